// Images for the tests of ptmap_elf, and a reader of them that shares nothing with it.
#pragma once

#include <elf.h>

#include <cstring>
#include <string>
#include <vector>

#include "elf/image.h"

namespace ptmap::elf {

using Bytes = std::vector<std::byte>;

/// An image of tests/native/CMakeLists.txt.
struct Sample {
    std::string name;  ///< "32-gnu"
    Bytes bytes;
    bool is_64() const { return name.starts_with("64"); }
    bool has_gnu_hash() const { return !name.ends_with("sysv"); }
};

/// With their section headers, as Linux's vDSOs are. Error: aborts where one cannot be read.
std::vector<Sample> samples();

Sample sample(const std::string& name);

/// The same image as if it had no section headers, so that nothing can be checked by them.
Bytes without_sections(const Sample& sample);

template <typename T>
T get(const Bytes& bytes, std::size_t offset) {
    T value;
    std::memcpy(&value, &bytes.at(offset + sizeof value - 1) + 1 - sizeof value, sizeof value);
    return value;
}

template <typename T>
void put(Bytes& bytes, std::size_t offset, const T& value) {
    std::memcpy(&bytes.at(offset + sizeof value - 1) + 1 - sizeof value, &value, sizeof value);
}

/// A section as its header has it, of either class.
struct Section {
    std::string name;
    std::uint64_t type, offset, size;
};

/// All of an intact image's.
std::vector<Section> sections(const Bytes& bytes);

/// The one of this name. Error: aborts where there is none.
Section section(const Bytes& bytes, const std::string& name);

/// The functions of an intact image, by its section headers, and where their symbols are.
struct Known : Function {
    std::size_t index;          ///< of the symbol
    std::size_t symbol_offset;  ///< of its entry in the image
};
std::vector<Known> functions_by_sections(const Bytes& bytes);

}  // namespace ptmap::elf
