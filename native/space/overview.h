// The whole space in few rows: where something is, and what.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "paging/pulse.h"
#include "space/labels.h"
#include "space/map.h"

namespace ptmap {

/// Neighbouring ranges in one row.
struct Stretch {
    VirtInterval interval;  ///< from its first mapped byte to its last one
    std::uint64_t mapped;   ///< bytes of them that are mapped
    std::uint64_t empty;    ///< bytes before it, to the stretch before or the part's beginning
    Rights rights;          ///< that some page in it has
    Rights all_rights;      ///< that every page in it has
    /// The interval in equal cells by their first page, a capital (or *) where the range that it
    /// belongs to has large pages only: . x X r R + * as in a Grid.
    std::string cells;
    std::vector<const Label*> labels;  ///< in it, no name twice in a row
    bool labelled = true;              ///< all of it is
};

/// At most `rows` stretches (more only where Label::apart or the two parts of a canonical space
/// keep them apart): ranges of one label are one stretch, others are joined over the smallest
/// holes. `labels` lives longer than the result. Stretches of the lower part come first. The pulse
/// is told of ranges.
std::vector<Stretch> overview(const Map& map, std::span<const Label> labels, std::size_t rows,
                              unsigned cells, const Pulse& pulse = {});

/// How much two maps have in common.
struct Common {
    std::uint64_t bytes = 0;   ///< of linear address that both map to the same physical one
    std::uint64_t frames = 0;  ///< bytes of physical memory behind them, each counted once
};

/// Both maps are split physically (MapOptions::split_physical). A map has all of itself in common
/// with itself.
Common common(const Map& left, const Map& right, const Pulse& pulse = {});

}  // namespace ptmap
