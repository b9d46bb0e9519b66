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

/// The roots' entries of two spaces for one part. An entry is present if it names a table or maps a
/// page.
struct PartShare {
    unsigned before = 0, after = 0;  ///< present entries
    unsigned either = 0;             ///< indices at which at least one of the two is present
    unsigned shared = 0;        ///< both have the same table, or page, with the same rights bits
    unsigned other_rights = 0;  ///< both have the same table, or page, with different rights
};

/// What two spaces have physically in common.
struct Sharing {
    std::vector<PartShare> parts;     ///< in the order in which they were given
    std::vector<std::size_t> levels;  ///< by level, root first: distinct tables that both use
    std::size_t tables = 0;           ///< their sum
    /// Memory that the same tables translate below different root entries, merged.
    std::vector<VirtInterval> below;
    bool cut = false;  ///< `below` is not complete: the limit was reached
};

/// Compares the tables of two spaces of one mode. `parts` are in offsets; an entry belongs to the
/// part in which it begins. `max_steps` limits the pairs of entries that are looked at for `below`:
/// hostile tables can make as many pairs as there are paths.
Sharing share(const Tables& before, const Tables& after, std::span<const Interval> parts,
              std::size_t max_steps = std::numeric_limits<std::size_t>::max(),
              const Pulse& pulse = {});

}  // namespace ptmap
