// A 64-bit space on one screen: a row for each occupied stretch, with the empty space before it.
#pragma once

#include <cstddef>
#include <span>

#include "paging/pulse.h"
#include "paging/scan.h"
#include "space/labels.h"
#include "space/map.h"
#include "text/text.h"

namespace ptmap {

/// The room on the screen.
struct Screen {
    std::size_t width = 80, height = 24;  ///< columns and lines
    std::size_t other_lines = 9;          ///< lines above and below it, with the prompt
};

/// A header, the two parts with the number of the root's entries in use, their stretches as
/// overview() has them, and a legend. More columns give longer bars. `map` was made of `tables`,
/// the whole space's.
void put_overview(Text& text, const Tables& tables, const Map& map, std::span<const Label> labels,
                  const Screen& screen, const Pulse& pulse = {});

}  // namespace ptmap
