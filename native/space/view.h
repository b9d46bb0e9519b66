// Other maps of a space that has been flattened.
#pragma once

#include <cstddef>

#include "space/map.h"

namespace ptmap {

/// The map that make_map() would make with these options, made from a map that tells at least as
/// much. That means: its window contains the view's; a range that the view's window cuts has one
/// page size and contiguous frames; it splits ranges where the view does; it is not for a mode
/// (MapOptions::as), has no filter, and is not truncated. `types` are those of the map. The cost
/// follows its ranges in the window. Tables are looked at only to count the pages and tables of a
/// part, and without MapOptions::counted not at all.
Map view(const Tables& tables, const Map& exact, const MapOptions& options);

/// The number of distinct tables that a part of a scan's window needs.
std::size_t tables_in(const Tables& tables, const Interval& window);

}  // namespace ptmap
