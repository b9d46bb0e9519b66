// A grid as rows of text, and the parts of a space that is drawn so.
#pragma once

#include <cstddef>
#include <span>

#include "paging/paging.h"
#include "paging/pulse.h"
#include "space/grid.h"
#include "space/labels.h"
#include "space/map.h"
#include "text/text.h"

namespace ptmap {

/// A line on the size of a cell; rows of an address, a space and 64 cells; a line on cells that
/// hide a mix. Cells before a window's first are blank. If a screen of `width` columns (0: any) is
/// too narrow for 64 cells a row has 32.
void put_grid(Text& text, const Paging& paging, const Grid& grid, std::size_t width = 0);

/// A header, and a line for each name among `parts`: the beginning of its first stretch, the size
/// to the end of its last one, and how much of that is mapped. Empty without parts. `labels` are
/// the space's, `parts` some of them by rising address. The pulse is by ranges.
void put_parts(Text& text, const Map& map, std::span<const Label> labels,
               std::span<const Label> parts, const Pulse& pulse = {});

/// " =" for a label that is read, " ~" for one that is deduced, else nothing.
std::string_view source_mark(const Label& label);

}  // namespace ptmap
