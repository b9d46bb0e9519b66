// Which tables two spaces have in common.
#pragma once

#include <cstddef>
#include <limits>
#include <span>
#include <vector>

#include "paging/pulse.h"
#include "paging/scan.h"
#include "space/map.h"

namespace ptmap {

/// The root's entries for a part of two spaces. Present ones: that name a table or map a page.
struct PartShare {
    unsigned before = 0, after = 0;  ///< present ones
    unsigned either = 0;             ///< indices at which one of the two is
    unsigned shared = 0;             ///< the same table, or page, with the same rights bits
    unsigned other_rights = 0;       ///< the same with other rights
};

/// What two spaces have physically in common.
struct Sharing {
    std::vector<PartShare> parts;     ///< as they were asked for
    std::vector<std::size_t> levels;  ///< distinct tables both use at a level, root first
    std::size_t tables = 0;           ///< distinct ones that both use at the same level
    /// Below root entries that name different tables: what the same tables translate, merged.
    std::vector<VirtInterval> below;
    bool cut = false;  ///< `below` is not all of it: the limit was reached
};

/// Compares the graphs of two spaces of one mode. `parts` in offsets; an entry belongs to the part
/// that it begins in. `max_steps` bounds the pairs of entries looked at for `below`: hostile tables
/// can make as many as there are paths.
Sharing share(const Space& before, const Space& after, std::span<const Interval> parts,
              std::size_t max_steps = std::numeric_limits<std::size_t>::max(),
              const Pulse& pulse = {});

}  // namespace ptmap
