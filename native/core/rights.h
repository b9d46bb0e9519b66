// What the tables allow, and how the levels of a walk combine.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace ptmap {

/// Rights as the tables give them: a set of the three that every level can take away. The rights
/// of a path are the AND over all its levels (SDM vol. 3A, 4.6: U/S and R/W must be set in every
/// entry; one XD is enough to forbid fetches, so `exec` is "no XD anywhere").
enum class Rights : std::uint8_t { none = 0, user = 1, write = 2, exec = 4, all = 7 };

constexpr Rights operator&(Rights a, Rights b) {
    return static_cast<Rights>(static_cast<unsigned>(a) & static_cast<unsigned>(b));
}
constexpr Rights operator|(Rights a, Rights b) {
    return static_cast<Rights>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
constexpr bool has(Rights set, Rights right) { return (set & right) == right; }

/// A memory type, or the slot of IA32_PAT where the type is not known.
enum class MemoryType : std::uint8_t { UC, WC, WT, WP, WB, UC_minus, PAT1, PAT5, PAT7, invalid };

/// "WB", "UC-", "PAT1": the words of the JSON and of filters.
std::string_view name(MemoryType type);

/// The type that each of the eight PAT slots (PAT << 2 | PCD << 1 | PWT, SDM Table 11-11) stands
/// for under this IA32_PAT. Without one: the slots that are the same in the power-on PAT and in
/// Linux's, and PAT1, PAT5, PAT7 for the three that differ.
std::array<MemoryType, 8> memory_types(std::optional<std::uint64_t> pat);

}  // namespace ptmap
