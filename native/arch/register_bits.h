// Names of the bits of control registers and IA32_EFER.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace ptmap {

struct RegisterBit {
    std::uint8_t bit;
    std::string_view name;     ///< the SDM's
    std::string_view meaning;  ///< of a 1
};

/// The named bits of "CR0", "CR4" or "EFER", by rising number; empty for any other register (SDM
/// vol. 3A, 2.5 and 2.2.1).
std::span<const RegisterBit> register_bits(std::string_view name);

}  // namespace ptmap
