// A part of a space or of physical memory: one type for all of them.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <type_traits>

#include "paging/address.h"

namespace ptmap {

/// The bytes `first` .. `last`, both inclusive: an exclusive end would not fit 64 bits for the last
/// byte of a space. By default it is everything.
///
/// Only an intersection() may be empty: then `last` is before `first`.
template <typename Address>
struct IntervalOf {
    Address first{}, last{~std::uint64_t{0}};

    auto operator<=>(const IntervalOf&) const = default;  // by `first`, then by `last`

    /// `size` bytes from an address on: at least one, and none after 2^64-1.
    static constexpr IntervalOf of_size(Address first, std::uint64_t size) {
        return {first, Address{number(first) + (size - 1)}};
    }

    constexpr bool empty() const { return last < first; }
    /// In bytes; not for an empty interval. All 2^64 bytes do not fit: then it is 2^64-1.
    constexpr std::uint64_t size() const {
        const std::uint64_t more = number(last) - number(first);
        return more + (more != ~std::uint64_t{0});
    }

    constexpr bool contains(Address address) const { return first <= address && address <= last; }
    /// Whether they have a byte in common. Neither is empty.
    constexpr bool overlaps(const IntervalOf& other) const {
        return other.first <= last && first <= other.last;
    }

    /// As offsets from `origin`, which must not be behind `first`.
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

/// The bytes that two intervals have in common; it may be empty.
template <typename Address>
constexpr IntervalOf<Address> intersection(const IntervalOf<Address>& a,
                                           const IntervalOf<Address>& b) {
    return {std::max(a.first, b.first), std::min(a.last, b.last)};
}

/// The smallest interval that contains both.
template <typename Address>
constexpr IntervalOf<Address> around(const IntervalOf<Address>& a, const IntervalOf<Address>& b) {
    return {std::min(a.first, b.first), std::max(a.last, b.last)};
}

/// An interval of offsets: linear addresses without sign extension, or bytes from a beginning.
using Interval = IntervalOf<std::uint64_t>;
/// An interval of linear addresses. It may contain the hole between canonical halves.
using VirtInterval = IntervalOf<VirtAddr>;
using PhysInterval = IntervalOf<PhysAddr>;

}  // namespace ptmap
