// Memory types, which a page has by its slot of IA32_PAT (SDM vol. 3A, 11.12).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace ptmap {

/// A memory type, or the slot of IA32_PAT where the type is not known.
enum class MemoryType : std::uint8_t { UC, WC, WT, WP, WB, UC_minus, PAT1, PAT5, PAT7, invalid };

/// By MemoryType: the words of the text, of the JSON and, except the last, of conditions.
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

/// The type that each of the eight PAT slots (PAT << 2 | PCD << 1 | PWT, SDM Table 11-11) stands
/// for under this IA32_PAT. Without one: the slots that are the same in the power-on PAT and in
/// Linux's, and PAT1, PAT5, PAT7 for the three that differ.
std::array<MemoryType, 8> memory_types(std::optional<std::uint64_t> pat);

}  // namespace ptmap
