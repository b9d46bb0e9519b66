// Makes ranges of tables, and passes them to a sink.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "paging/scan.h"
#include "space/map.h"
#include "space/range_sink.h"

namespace ptmap {

/// Passes the pages and gaps in a window (offsets, within the Tables' own) to a sink, which has the
/// same MapOptions. With `frames` only bytes that lie in them; then Map::pages counts the pages
/// that have one. Cost: see make_map().
void flatten(const Tables& tables, const MapOptions& options, const Interval& window,
             RangeSink& sink, Map& map, const std::optional<PhysInterval>& frames = {});

}  // namespace ptmap
