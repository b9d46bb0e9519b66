// What the tables allow, and how the levels of a walk combine.
#pragma once

#include <cstdint>
#include <string_view>

namespace ptmap {

/// A set of the three rights that every level can take away. The rights of a path are the AND over
/// all its levels (SDM vol. 3A, 4.6: U/S and R/W must be set in every entry; one XD is enough to
/// forbid fetches, so `exec` is "no XD anywhere").
enum class Rights : std::uint8_t { none = 0, user = 1, write = 2, exec = 4, all = 7 };

constexpr Rights operator&(Rights a, Rights b) {
    return static_cast<Rights>(static_cast<unsigned>(a) & static_cast<unsigned>(b));
}
constexpr Rights operator|(Rights a, Rights b) {
    return static_cast<Rights>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
constexpr bool has(Rights set, Rights right) { return (set & right) == right; }

/// "user", "write" or "exec", for one right.
constexpr std::string_view name(Rights right) {
    return right == Rights::user ? "user" : right == Rights::write ? "write" : "exec";
}

}  // namespace ptmap
