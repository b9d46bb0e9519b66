// A 64-bit space in one screen: a row for each occupied stretch, what is empty counted.
#pragma once

#include <cstddef>
#include <span>

#include "paging/pulse.h"
#include "paging/scan.h"
#include "space/labels.h"
#include "space/map.h"
#include "text/text.h"

namespace ptmap {

/// What there is room for.
struct Screen {
    std::size_t width = 80, height = 24;  ///< columns and lines
    std::size_t other_lines = 9;          ///< that stand over and under it, the prompt too
};

/// A header, the two parts with how many of the root's entries are in use, their stretches as
/// overview() has them, and a legend. More columns give longer bars. `tables` are those of the
/// whole space that `map` was made of.
void put_overview(Text& text, const Space& tables, const Map& map, std::span<const Label> labels,
                  const Screen& screen, const Pulse& pulse = {});

}  // namespace ptmap
