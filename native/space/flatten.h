// Tables become ranges, which go to a sink as they come.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "paging/scan.h"
#include "space/map.h"
#include "space/range_sink.h"

namespace ptmap {

/// Tells a sink of the pages and gaps in a window (offsets, within the Space's own), under the same
/// MapOptions as the sink. With `frames`, of pages only those bytes that lie in these, and
/// Map::pages counts the pages that have one. Cost: see make_map().
void flatten(const Space& space, const MapOptions& options, const Window& window, RangeSink& sink,
             Map& map, const std::optional<PhysSpan>& frames = {});

/// Whether a byte of `size` bytes at `pa` is in the frames.
inline bool overlaps(const PhysSpan& frames, PhysAddr pa, std::uint64_t size) {
    return pa <= frames.last && frames.first.value <= pa.value + (size - 1);
}

/// What of `size` bytes at `pa` lies in the frames, in bytes from `pa` on. They overlap.
inline Window inside(const PhysSpan& frames, PhysAddr pa, std::uint64_t size) {
    return {std::max(frames.first, pa).value - pa.value,
            std::min(frames.last.value, pa.value + (size - 1)) - pa.value};
}

}  // namespace ptmap
