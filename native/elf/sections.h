// The sections of an ELF file that a program has in memory, and the rights that they ask for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ptmap::elf {

/// A section with SHF_ALLOC (ELF specification, figure 1-10).
struct Section {
    std::string name;     ///< whatever bytes it has
    std::uint64_t start;  ///< sh_addr, the link address
    std::uint64_t size;   ///< bytes
    bool write;           ///< SHF_WRITE
    bool exec;            ///< SHF_EXECINSTR
    bool has_memory;      ///< false for .tbss, for which each thread has memory of its own
};

/// The sections of a file, in its order. `file` is a descriptor open for reading. Error:
/// std::invalid_argument.
std::vector<Section> sections_in_memory(int file);

}  // namespace ptmap::elf
