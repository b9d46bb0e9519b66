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
    /// Of ranges and gaps; the map is truncated there.
    std::size_t max_ranges = std::numeric_limits<std::size_t>::max();
    Pulse pulse;  ///< told how many ranges and gaps there are
};

/// A map of those bytes of a space that lie in these frames, and of nothing else: each of its
/// ranges is contiguous and cut to them, and no two neighbours could be one. `pages` counts the
/// pages that hold a byte of them; the gaps are the whole space's, as what they hide may be here.
///
/// It looks at each table once for each combination of rights that lead to it, and takes one whole
/// that has nothing to be found or one range of it. Into others it goes again for each path, which
/// makes a range or a gap at least: so cost follows distinct tables and what comes out (up to a
/// table's entries for each), not the paths nor the ranges of the space.
Map find(const Space& space, const FindOptions& options);

/// The same of a map that is there already, as ranges by rising address, each with the page sizes
/// of the whole range that it is cut from; one look at each range.
/// Ranges that are not contiguous (a map without MapOptions::split_physical) are not looked into.
std::vector<Range> find(const Map& map, const PhysInterval& frames);

}  // namespace ptmap
