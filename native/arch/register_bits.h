// Names of the bits of control registers and IA32_EFER.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace ptmap {

struct RegisterBit {
    std::uint8_t bit;
    std::string_view name;     ///< the SDM's
    std::string_view meaning;  ///< of a 1
};

enum class ControlRegister : std::uint8_t { cr0, cr2, cr3, cr4, efer };

/// "CR0", "EFER".
std::string_view name(ControlRegister reg);
/// Nothing for another word.
std::optional<ControlRegister> control_register_named(std::string_view word);

/// The named bits of a register, by rising number; CR2 and CR3 have none (SDM vol. 3A, 2.5 and
/// 2.2.1).
std::span<const RegisterBit> register_bits(ControlRegister reg);

}  // namespace ptmap
