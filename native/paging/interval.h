// A part of a space or of physical memory: one type for all of them.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <type_traits>

#include "paging/address.h"

namespace ptmap {

/// The bytes `first` .. `last`, both of them in it, of all 64 bits: with an end behind it, the last
/// byte of a space would have none. One made by default is all there is.
///
/// An intersection() may be nothing: then `last` is before `first`. No other interval is, unless
/// who makes it says so.
template <typename Address>
struct IntervalOf {
    Address first{}, last{~std::uint64_t{0}};

    auto operator<=>(const IntervalOf&) const = default;  // by `first`, then by `last`

    /// So many bytes from an address on: one at least, and none behind 2^64-1.
    static constexpr IntervalOf of_size(Address first, std::uint64_t size) {
        return {first, Address{number(first) + (size - 1)}};
    }

    constexpr bool empty() const { return last < first; }
    /// In bytes; not of an empty one. 2^64-1 for all 2^64 of them, which no number says.
    constexpr std::uint64_t size() const {
        const std::uint64_t more = number(last) - number(first);
        return more + (more != ~std::uint64_t{0});
    }

    constexpr bool contains(Address address) const { return first <= address && address <= last; }
    /// Whether they have a byte in common. Neither is empty.
    constexpr bool overlaps(const IntervalOf& other) const {
        return other.first <= last && first <= other.last;
    }

    /// In bytes from `origin` on, which is not behind its first.
    constexpr IntervalOf<std::uint64_t> from(Address origin) const {
        return {number(first) - number(origin), number(last) - number(origin)};
    }

private:
    static constexpr std::uint64_t number(Address address) {
        if constexpr (std::is_integral_v<Address>)
            return address;
        else
            return address.value;
    }
};

/// What two intervals have in common; it may be empty.
template <typename Address>
constexpr IntervalOf<Address> intersection(const IntervalOf<Address>& a,
                                           const IntervalOf<Address>& b) {
    return {std::max(a.first, b.first), std::min(a.last, b.last)};
}

/// The smallest interval that has both of them in it.
template <typename Address>
constexpr IntervalOf<Address> around(const IntervalOf<Address>& a, const IntervalOf<Address>& b) {
    return {std::min(a.first, b.first), std::max(a.last, b.last)};
}

/// Of offsets: linear addresses without sign extension, or bytes from where something begins.
using Interval = IntervalOf<std::uint64_t>;
/// Of linear addresses. It may lie over the hole between canonical halves.
using VirtInterval = IntervalOf<VirtAddr>;
using PhysInterval = IntervalOf<PhysAddr>;

}  // namespace ptmap
