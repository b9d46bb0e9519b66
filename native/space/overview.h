// The whole space in few rows: what is mapped where.
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
    std::uint64_t mapped;   ///< how many bytes of it are mapped
    std::uint64_t empty;    ///< bytes before it, to the stretch before or the part's beginning
    Rights rights;          ///< rights that some page in it has
    Rights all_rights;      ///< rights that every page in it has
    /// The interval in equal cells, each drawn by its first page: . x X r R + * as in a Grid. It is
    /// a capital (or *) if that page's range has only large pages.
    std::string cells;
    std::vector<const Label*> labels;  ///< labels in it, no name twice in a row
    bool labelled = true;              ///< labels cover all of it
};

/// At most `rows` stretches; more only if Label::apart, the two parts of a canonical space or holes
/// of 1 TiB and more keep them apart, because of holes at most twice as many. Ranges of one label
/// are one stretch; others are joined over the smallest holes. `labels` must outlive the result.
/// Stretches of the lower part come first. The pulse is by ranges.
std::vector<Stretch> overview(const Map& map, std::span<const Label> labels, std::size_t rows,
                              unsigned cells, const Pulse& pulse = {});

/// How much two maps have in common.
struct Common {
    std::uint64_t bytes = 0;   ///< of linear address that both map to the same physical one
    std::uint64_t frames = 0;  ///< bytes of physical memory behind them, each counted once
};

/// Both maps must be split physically (MapOptions::split_physical).
Common common(const Map& left, const Map& right, const Pulse& pulse = {});

}  // namespace ptmap
