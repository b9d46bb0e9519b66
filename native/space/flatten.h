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
void flatten(const Space& space, const MapOptions& options, const Interval& window, RangeSink& sink,
             Map& map, const std::optional<PhysInterval>& frames = {});

}  // namespace ptmap
