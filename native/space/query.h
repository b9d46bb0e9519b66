// What a map answers about a stretch of addresses: which ranges are so, where nothing is, what it
// cannot speak of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "space/map.h"

namespace ptmap {

/// The range that holds an address; null where there is none.
const Range* range_at(const Map& map, VirtAddr va);

/// The last range that begins in first .. end - 1 and that the user may write; null for none.
const Range* last_user_write(const Map& map, VirtAddr first, VirtAddr end);

/// All that the user may write around an address, where no hole is larger than so many bytes.
/// Nothing where the user may not write there.
std::optional<VirtInterval> user_write_around(const Map& map, VirtAddr va, std::uint64_t hole);

/// The first of some ranges, cut to the interval, and how many there are.
struct Matches {
    std::optional<Range> first;
    std::size_t count = 0;
};

/// The ranges in an interval of which this is the truth of "one of `wanted` holds". A pulse is told
/// how many were looked at.
Matches matches(const Map& map, const VirtInterval& interval, std::span<const Wanted> wanted,
                Truth asked, const Pulse& pulse = {});

/// The first address of an interval where nothing is mapped for certain: no range is there, no gap,
/// and the map does not end before (Map::end). Nothing where there is none.
std::optional<VirtAddr> first_hole(const Map& map, const VirtInterval& interval);

/// What a map cannot say about an interval.
struct Unknown {
    std::optional<Gap> first;  ///< by address; whole, not cut
    bool malformed = false;    ///< it is a reserved bit, not a table that could not be read
    std::size_t count = 0;     ///< gaps
    bool truncated = false;    ///< the interval goes on behind the end of the map (Map::end)
};
Unknown unknown(const Map& map, const VirtInterval& interval);

}  // namespace ptmap
