// Other maps of a space that was flattened already.
#pragma once

#include <cstddef>

#include "space/map.h"

namespace ptmap {

/// What make_map() makes of the same space with these options, out of a map that tells at least as
/// much: its window has the view's in it, and where the view's cuts a range that has pages of one
/// size and contiguous frames; it splits ranges where the view does; it is of no mode
/// (MapOptions::as), has no filter, and is not truncated. `types` are those of the map. Cost
/// follows its ranges in the window; tables are looked at only to count the pages and tables of a
/// part, and without MapOptions::counted not even for that.
Map view(const Space& space, const Map& exact, const MapOptions& options);

/// Distinct tables that a part of a scan's window reads.
std::size_t tables_in(const Space& space, const Interval& window);

}  // namespace ptmap
