// Memory types: a page's slot of IA32_PAT decides (SDM vol. 3A, 11.12).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace ptmap {

/// A memory type, or the slot of IA32_PAT if its type is not known.
enum class MemoryType : std::uint8_t { UC, WC, WT, WP, WB, UC_minus, PAT1, PAT5, PAT7, invalid };

/// By MemoryType: words of the text and the JSON; all but the last are words of conditions too.
inline constexpr std::array<std::string_view, 10> memory_type_names{
    "UC", "WC", "WT", "WP", "WB", "UC-", "PAT1", "PAT5", "PAT7", "invalid"};

constexpr std::string_view name(MemoryType type) {
    return memory_type_names[static_cast<std::size_t>(type)];
}

/// A set of memory types, by bits.
using MemoryTypes = std::uint16_t;

constexpr MemoryTypes only(MemoryType type) {
    return static_cast<MemoryTypes>(1u << static_cast<unsigned>(type));
}

/// The slots whose type is not known.
inline constexpr MemoryTypes unknown_types =
    only(MemoryType::PAT1) | only(MemoryType::PAT5) | only(MemoryType::PAT7);

/// The type of each of the eight PAT slots (PAT << 2 | PCD << 1 | PWT, SDM Table 11-11) under this
/// IA32_PAT. Without an IA32_PAT: the types that the power-on PAT and Linux's have in common, and
/// PAT1, PAT5, PAT7 for the three slots that differ.
std::array<MemoryType, 8> memory_types(std::optional<std::uint64_t> pat);

}  // namespace ptmap
