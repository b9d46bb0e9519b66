// The build id of a kernel's or a module's ELF file: what tells two builds of one source apart.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace ptmap::elf {

struct BuildId {
    std::uint64_t va;   ///< link address of its bytes; in a module, counted from its section
    std::string bytes;  ///< 20 of them for SHA-1, which Linux has; 64 at most
};

/// The first note "GNU" of type NT_GNU_BUILD_ID in the sections of a file that is open for reading;
/// nothing if it has none that is sound. Error: std::invalid_argument if it is no ELF file.
std::optional<BuildId> build_id(int file);

}  // namespace ptmap::elf
