// Which linear addresses map a stretch of physical memory.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <vector>

#include "paging/pulse.h"
#include "paging/scan.h"
#include "space/map.h"

namespace ptmap {

struct FindOptions {
    PhysInterval frames;  ///< what is looked for
    std::array<MemoryType, 8> types = memory_types(std::nullopt);
    /// Limit of ranges and gaps together; the map is truncated there.
    std::size_t max_ranges = std::numeric_limits<std::size_t>::max();
    Pulse pulse;  ///< told how many ranges and gaps there are
};

/// A map of only those bytes of a space that lie in these frames. Each range is contiguous and cut
/// to them, and no two neighbours could be one. `pages` counts the pages that hold a byte of them.
/// The gaps are those of the whole space, because they may hide such pages.
///
/// It looks at each table once for each combination of rights that lead to it. A table with no such
/// page, or with one range of them, is taken whole. It enters other tables again for each path, and
/// each time they yield at least a range or a gap. So the cost follows distinct tables and the
/// output (up to a table's entries for each), not the paths or the ranges of the space.
Map find(const Tables& tables, const FindOptions& options);

/// The same for an existing map, as ranges by rising address; one look at each range. A result has
/// the page sizes of the whole range that it is cut from.
/// Ranges that are not contiguous (a map without MapOptions::split_physical) are not looked into.
std::vector<Range> find(const Map& map, const PhysInterval& frames);

}  // namespace ptmap
