// Questions to a map about a stretch of addresses: which ranges match, where nothing is mapped,
// what is not known.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "space/map.h"

namespace ptmap {

/// The range that holds an address; null if there is none.
const Range* range_at(const Map& map, VirtAddr va);

/// The last range that begins in first .. end - 1 and that the user may write; null if there is
/// none.
const Range* last_user_write(const Map& map, VirtAddr first, VirtAddr end);

/// The memory around an address that the user may write, over holes of up to `hole` bytes. Nothing
/// if the user may not write at the address.
std::optional<VirtInterval> user_write_around(const Map& map, VirtAddr va, std::uint64_t hole);

/// The first of some ranges, cut to the interval, and how many there are.
struct Matches {
    std::optional<Range> first;
    std::size_t count = 0;
};

/// The ranges in an interval for which the truth of "one of `wanted` holds" is `asked`. The pulse
/// is by ranges looked at.
Matches matches(const Map& map, const VirtInterval& interval, std::span<const Wanted> wanted,
                Truth asked, const Pulse& pulse = {});

/// The first address of an interval that is certainly not mapped: it has no range and no gap, and
/// the map does not end before it (Map::end). Nothing if there is none.
std::optional<VirtAddr> first_hole(const Map& map, const VirtInterval& interval);

/// What a map cannot say about an interval.
struct Unknown {
    std::optional<Gap> first;  ///< by address; whole, not cut
    bool malformed = false;    ///< `first` is a reserved bit, not an unreadable table
    std::size_t count = 0;     ///< gaps
    bool truncated = false;    ///< the map ends (Map::end) before the interval does
};
Unknown unknown(const Map& map, const VirtInterval& interval);

}  // namespace ptmap
