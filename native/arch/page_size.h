// The sizes that a page can have, by their logarithms (SDM vol. 3A, Table 4-1).
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <utility>

namespace ptmap {

/// A page has 1 << shift bytes. The smallest comes first. Another architecture adds its sizes here.
inline constexpr std::array<std::uint8_t, 4> page_shifts{12, 21, 22, 30};

/// The shift of a page size in bytes.
constexpr unsigned page_shift_of(std::uint64_t bytes) {
    return static_cast<unsigned>(std::countr_zero(bytes));
}

namespace detail {

/// The index in page_shifts, by shift.
inline constexpr auto page_size_indices = [] {
    std::array<std::uint8_t, 64> all{};
    for (std::size_t i = 0; i < page_shifts.size(); ++i)
        all[page_shifts[i]] = static_cast<std::uint8_t>(i);
    return all;
}();
constexpr std::size_t page_size_index(unsigned shift) {
    assert(std::ranges::find(page_shifts, shift) != page_shifts.end());
    return page_size_indices[shift & 63];
}

struct PageSizeName {
    std::array<char, 4> text{};
    std::size_t size = 0;
};
inline constexpr auto page_size_name_texts = [] {
    std::array<PageSizeName, page_shifts.size()> all{};
    for (std::size_t i = 0; i < all.size(); ++i) {
        const unsigned number = 1u << page_shifts[i] % 10;
        for (unsigned power = 100; power > 0; power /= 10)
            if (number >= power)
                all[i].text[all[i].size++] = static_cast<char>('0' + number / power % 10);
        all[i].text[all[i].size++] = std::string_view("BKMGTPE")[page_shifts[i] / 10];
    }
    return all;
}();

}  // namespace detail

/// "4K": the words of the text, of the JSON and of conditions.
constexpr std::string_view page_size_name(unsigned shift) {
    const auto& name = detail::page_size_name_texts[detail::page_size_index(shift)];
    return {name.text.data(), name.size};
}

/// A set of page sizes. It is small because a map may have a million ranges.
class PageSizes {
public:
    constexpr PageSizes() = default;
    constexpr PageSizes(std::initializer_list<unsigned> shifts) {
        for (const unsigned shift : shifts) *this |= only(shift);
    }

    static constexpr PageSizes only(unsigned shift) {
        PageSizes one;
        one.bits_ = static_cast<std::uint16_t>(1u << detail::page_size_index(shift));
        return one;
    }
    static constexpr PageSizes all() {
        PageSizes all;
        for (const unsigned shift : page_shifts) all |= only(shift);
        return all;
    }

    constexpr bool empty() const { return bits_ == 0; }
    constexpr bool is_one() const { return std::has_single_bit(bits_); }
    constexpr bool has(unsigned shift) const { return has_all(only(shift)); }
    constexpr bool has_all(PageSizes of) const { return (bits_ & of.bits_) == of.bits_; }
    constexpr bool has_any(PageSizes of) const { return (bits_ & of.bits_) != 0; }
    /// The shift of the smallest. The set is not empty.
    constexpr unsigned smallest() const {
        assert(!empty());
        return page_shifts[static_cast<unsigned>(std::countr_zero(bits_)) % page_shifts.size()];
    }

    constexpr PageSizes& operator|=(PageSizes more) {
        bits_ |= more.bits_;
        return *this;
    }
    constexpr PageSizes without(PageSizes others) const {
        PageSizes left = *this;
        left.bits_ &= static_cast<std::uint16_t>(~others.bits_);
        return left;
    }
    constexpr bool operator==(const PageSizes&) const = default;

    /// Calls `put(shift)` for each, the smallest first.
    template <typename Put>
    constexpr void each(Put put) const {
        for (const unsigned shift : page_shifts)
            if (has(shift)) put(shift);
    }

private:
    std::uint16_t bits_ = 0;  // bit i: page_shifts[i]
};

/// Calls `put(name)` for each page size of a set, the smallest first.
template <typename Put>
void each_size_name(PageSizes sizes, Put put) {
    sizes.each([&](unsigned shift) { put(page_size_name(shift)); });
}

/// The number of pages of each size.
class PageCounts {
public:
    constexpr PageCounts() = default;
    /// (shift, how many)
    constexpr PageCounts(std::initializer_list<std::pair<unsigned, std::uint64_t>> counts) {
        for (const auto& [shift, count] : counts) (*this)[shift] = count;
    }

    constexpr std::uint64_t& operator[](unsigned shift) {
        return counts_[detail::page_size_index(shift)];
    }
    constexpr std::uint64_t operator[](unsigned shift) const {
        return counts_[detail::page_size_index(shift)];
    }
    constexpr PageCounts& operator+=(const PageCounts& more) {
        for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += more.counts_[i];
        return *this;
    }
    bool operator==(const PageCounts&) const = default;

private:
    std::array<std::uint64_t, page_shifts.size()> counts_{};  // by page_shifts
};

}  // namespace ptmap
