#include "arch/registers.h"

#include <array>
#include <utility>

namespace ptmap {
namespace {

constexpr std::array<std::pair<Mode, std::string_view>, 5> mode_names{{
    {Mode::off, "off"},
    {Mode::bits32, "32-bit"},
    {Mode::pae, "pae"},
    {Mode::level4, "4-level"},
    {Mode::level5, "5-level"},
}};

}  // namespace

std::string_view name(Mode mode) { return mode_names[static_cast<std::size_t>(mode)].second; }

std::optional<Mode> mode_named(std::string_view word) {
    for (const auto& [mode, name] : mode_names)
        if (name == word) return mode;
    return std::nullopt;
}

Mode paging_mode(const ControlRegisters& r) {
    if (!(r.cr0 & cr0::PG)) return Mode::off;
    if (!(r.cr4 & cr4::PAE)) return Mode::bits32;
    if (!(r.efer & efer::LMA)) return Mode::pae;
    return r.cr4 & cr4::LA57 ? Mode::level5 : Mode::level4;
}

ControlRegisters switched_to(Mode mode, ControlRegisters r) {
    const bool is_long = mode == Mode::level4 || mode == Mode::level5;
    r.cr0 |= cr0::PG | cr0::PE;
    r.cr4 &= ~(cr4::PAE | cr4::LA57);
    r.cr4 |= mode == Mode::bits32 ? cr4::PSE : cr4::PAE;
    if (mode == Mode::level5) r.cr4 |= cr4::LA57;
    r.efer &= ~efer::LMA;
    if (is_long) r.efer |= efer::LMA;
    return r;
}

bool has_nx(const ControlRegisters& r) {
    return paging_mode(r) != Mode::bits32 && r.efer & efer::NXE;
}

bool has_keys(const ControlRegisters& r) { return r.cr4 & (cr4::PKE | cr4::PKS); }

}  // namespace ptmap
