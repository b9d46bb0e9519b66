// The sizes that a page can have (SDM vol. 3A, Table 4-1).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ptmap {

/// A set of page sizes; bit i is page_size_names[i].
enum class PageSizes : std::uint8_t {
    none = 0,
    size_4k = 1,
    size_2m = 2,
    size_4m = 4,
    size_1g = 8
};

/// The words of the text, of the JSON and of conditions.
inline constexpr std::array<std::string_view, 4> page_size_names{"4K", "2M", "4M", "1G"};

/// The index in page_size_names of a page size in bytes.
unsigned page_size_index(std::uint64_t bytes);

/// Calls `put(name)` for each page size of a set, the smallest first.
template <typename Put>
void each_size(std::uint8_t sizes, Put put) {
    for (std::size_t i = 0; i < page_size_names.size(); ++i)
        if (sizes >> i & 1) put(page_size_names[i]);
}

}  // namespace ptmap
