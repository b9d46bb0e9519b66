// The two kinds of address, as two types so that they cannot be mixed.
#pragma once

#include <compare>
#include <cstdint>

namespace ptmap {

/// A linear address, as the paging unit gets it (SDM vol. 3A, 3.1). Any 64-bit value;
/// whether it is canonical is for the Format to say.
struct VirtAddr {
    std::uint64_t value = 0;
    auto operator<=>(const VirtAddr&) const = default;
};

/// A physical address, in bytes: 52 bits at most (SDM vol. 3A, 4.1.4).
struct PhysAddr {
    std::uint64_t value = 0;
    auto operator<=>(const PhysAddr&) const = default;
};

/// Bits low .. low+width-1 set; width 0..64.
constexpr std::uint64_t bits(unsigned low, unsigned width) {
    return (width >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << width) - 1) << low;
}

}  // namespace ptmap
