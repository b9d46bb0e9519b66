// The classic picture: one character for each entry.
#pragma once

#include <cstdint>
#include <string>

#include "paging/pulse.h"
#include "paging/scan.h"

namespace ptmap {

/// The cells of one level over a stretch of the space, by rising address. First match wins:
///
///     ?   its table, or one below before any present page, could not be read
///     !   a reserved bit is set
///     .   not present, or a table with nothing present below it
///     X R *   a large page: supervisor, user read-only, user read/write
///     x r +   a 4 KiB page, or a table, by the first present page below it: the same
///
/// Rights are those of the whole path.
struct Grid {
    unsigned level;           ///< the number of the level that is shown, 1 is PT
    VirtAddr first;           ///< of the first cell
    std::uint64_t cell_size;  ///< bytes of linear address
    std::string cells;
    std::uint64_t mixed = 0;  ///< cells with pages of another letter than the cell's
};

/// Draws the entries of the level at `position` in Paging::levels() that touch `window`
/// (offsets). It makes one character for each entry, so keep the window small. The pulse is by
/// characters.
Grid draw_grid(const Tables& tables, unsigned position, const Interval& window,
               const Pulse& pulse = {});

}  // namespace ptmap
