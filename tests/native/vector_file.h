// The cases of tests/vectors/*.txt; README.md there explains the format.
#pragma once

#include <istream>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "arch/access.h"
#include "arch/registers.h"

namespace ptmap {

/// A line of a file that is not understood; what() is "FILE:LINE: reason".
struct VectorError : std::runtime_error {
    using runtime_error::runtime_error;
};

struct VectorCase {
    struct Entry {
        std::uint64_t table, raw;
        unsigned index;
    };
    /// "user write" -> "#PF 0x7", "path" -> "0x1000[0] 0x2000[3]".
    struct Detail {
        int line;
        std::string question, answer;
    };
    struct Question {
        int line;
        std::uint64_t va;
        std::string answer;
        std::vector<Detail> details;
    };

    std::string file;  ///< as given, for messages
    int line = 0;
    std::string name;
    Mode mode = Mode::off;
    ControlRegisters registers;
    std::optional<std::uint64_t> pat;
    AccessState state;
    std::vector<Entry> entries;
    std::vector<Question> questions;
};

/// All vectors' memory is RAM from 0 up to here, zero but for the entries, and nothing else.
inline constexpr std::uint64_t vector_ram = 16 << 20;

/// Error: VectorError.
std::vector<VectorCase> read_vectors(std::istream& in, const std::string& file);

}  // namespace ptmap
