// The sections of an ELF file that a program has in memory, and the rights that they ask for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ptmap::elf {

/// A section with SHF_ALLOC (ELF specification, figure 1-10).
struct Section {
    std::string name;     ///< whatever bytes it has
    std::uint64_t start;  ///< sh_addr: where it is linked for
    std::uint64_t size;   ///< bytes
    bool write;           ///< SHF_WRITE
    bool exec;            ///< SHF_EXECINSTR
    bool has_memory;      ///< false for .tbss, which only each thread's copy has
};

/// Those of a file, in its order. `file` is a descriptor open for reading. Error:
/// std::invalid_argument.
std::vector<Section> sections_in_memory(int file);

}  // namespace ptmap::elf
