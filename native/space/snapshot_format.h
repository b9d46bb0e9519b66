// Shared by the writer and the reader of snapshots; snapshot.h describes the form.
#pragma once

#include <array>
#include <cstdint>

namespace ptmap::snapshot {

inline constexpr std::array<unsigned char, 8> magic{0x8f, 'p', 't', 'm', 'a', 'p', '\r', '\n'};
inline constexpr std::uint64_t version = 1;
inline constexpr unsigned page_shift = 12;
/// The page sizes by their index in a file. New sizes come last.
inline constexpr std::array<std::uint8_t, 4> shift_of_index{12, 21, 22, 30};

/// Flags.
inline constexpr std::uint64_t has_pat = 1, is_truncated = 2, has_end = 4, all_flags = 7;

constexpr bool is_printable(char c) { return c >= ' ' && c <= '~'; }

}  // namespace ptmap::snapshot
