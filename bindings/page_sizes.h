// Page sizes for Python: bits of a number, which stay the same when sizes are added.
#pragma once

#include <array>
#include <cstdint>

#include "arch/page_size.h"

/// The shift of the page size for each bit. New sizes come last.
inline constexpr std::array<std::uint8_t, 4> shift_of_bit{12, 21, 22, 30};

constexpr unsigned bits_of(ptmap::PageSizes sizes) {
    unsigned bits = 0;
    for (unsigned i = 0; i < shift_of_bit.size(); ++i)
        bits |= unsigned{sizes.has(shift_of_bit[i])} << i;
    return bits;
}

constexpr ptmap::PageSizes sizes_of(unsigned bits) {
    ptmap::PageSizes sizes;
    for (unsigned i = 0; i < shift_of_bit.size(); ++i)
        if (bits >> i & 1) sizes |= ptmap::PageSizes::only(shift_of_bit[i]);
    return sizes;
}
