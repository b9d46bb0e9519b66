// What an ELF image that lies in memory, a vDSO, says of itself. Read with elfutils' libelf.
//
// The bytes are a guest's: some may be missing (cut off, or zeros in their place), all may be made
// up. Whatever they are, reading them is bounded by their number, and the answer is an error, or
// smaller than that for the intact image, but not a wrong one: see Function.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ptmap::elf {

/// In bytes. What is larger is no vDSO: Linux's have 1 to 3 pages.
inline constexpr std::size_t max_image_size = 1 << 20;

/// By the ELF header's class and machine.
enum class Abi : std::uint8_t { bits64, bits32, x32 };

/// "64-bit", "32-bit" or "x32".
std::string_view name(Abi abi);

/// A function that an image defines for everybody. It is one only if each hash table of the image
/// finds it by its name and all of it is code, by the segments and, where they are there, by the
/// section headers; no two have the same name.
///
/// What nothing in an image can confirm, and so is as the bytes have it: where in the code a
/// function is and its size; which of the defined versions it has; and, where DT_HASH is the only
/// hash table, its name, as that one only has a hash's remainder.
struct Function {
    std::string name;      ///< of A-Z a-z 0-9 _ . $ @, not empty
    std::uint64_t offset;  ///< from the image's first byte
    std::uint64_t size;    ///< bytes, not 0
    std::string version;   ///< "LINUX_2.6"; empty: it has none, or the tables of them are damaged
    bool weak;
};

struct Image {
    Abi abi;
    std::uint64_t base;  ///< the link address of its first byte; a multiple of a page
    /// Bytes of the file, as its headers tell it: not rounded, and more than were given if some
    /// are missing. At most max_image_size.
    std::uint64_t size;
    bool dynamic = false;               ///< there is a dynamic section that could be read
    std::string soname;                 ///< printable; empty: none, or damaged
    std::vector<std::byte> build_id;    ///< empty: none, or damaged
    std::vector<Function> functions;    ///< in the symbol table's order
    std::vector<std::string> problems;  ///< short phrases: what is missing or damaged, each once

    /// Whether it is a vDSO by its SONAME: linux-vdso.so.1, linux-gate.so.1 (32-bit Linux),
    /// FreeBSD's elf-vdso.so.1, lab-vdso.so.
    bool is_vdso() const;
};

/// Reads an image that begins with the first of these bytes. Error: std::invalid_argument, one
/// sentence, where they are no x86 shared object that is in memory as it is in its file, or where
/// what they are is contradictory.
Image read(std::span<const std::byte> bytes);

}  // namespace ptmap::elf
