// The registers that decide how the tables are read.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace ptmap {

// Bit masks, by the SDM's names (vol. 3A, 2.5 "Control Registers" and 2.2.1 "EFER").
namespace cr0 {
inline constexpr std::uint64_t PE = 1u << 0, WP = 1u << 16, PG = 1u << 31;
}
namespace cr4 {
inline constexpr std::uint64_t PSE = 1u << 4, PAE = 1u << 5, MCE = 1u << 6, PGE = 1u << 7,
                               LA57 = 1u << 12, SMEP = 1u << 20, SMAP = 1u << 21, PKE = 1u << 22,
                               CET = 1u << 23, PKS = 1u << 24;
}
namespace efer {
inline constexpr std::uint64_t LMA = 1u << 10, NXE = 1u << 11;
}

/// The paging modes of SDM vol. 3A, 4.1.1; `off` is CR0.PG = 0.
enum class Mode : std::uint8_t { off, bits32, pae, level4, level5 };

/// "off", "32-bit", "pae", "4-level" or "5-level": the words of -mode and of the JSON.
std::string_view name(Mode mode);

/// The mode with this name; nothing for any other word.
std::optional<Mode> mode_named(std::string_view word);

/// The registers of translation. MAXPHYADDR is CPUID's, in bits, 32..52.
struct ControlRegisters {
    std::uint64_t cr0 = 0, cr3 = 0, cr4 = 0, efer = 0;
    unsigned maxphyaddr = 52;
};

/// The mode that the registers select. Never taken from the width of general registers:
/// QEMU shows 64-bit ones to 32-bit guests.
Mode paging_mode(const ControlRegisters& registers);

/// What is taken for CR0, CR4 and EFER if a target does not show them.
inline constexpr ControlRegisters usual_registers{
    .cr0 = cr0::PE | cr0::WP | cr0::PG, .cr4 = cr4::PSE | cr4::PGE, .efer = efer::NXE};

/// The registers in a mode other than `off`, changed only as far as the mode needs. 32-bit paging
/// gets 4 MiB pages.
ControlRegisters switched_to(Mode mode, ControlRegisters registers);

/// Whether a page can be no-exec: EFER.NXE, and entries of 8 bytes.
bool has_nx(const ControlRegisters& registers);

/// Whether user or supervisor pages have protection keys.
bool has_keys(const ControlRegisters& registers);

}  // namespace ptmap
