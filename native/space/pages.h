// A space page by page: what its leaf entries say, which a map of ranges has no room for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "paging/pulse.h"
#include "paging/scan.h"

namespace ptmap {

/// A page, where one path leads to it.
struct Page {
    VirtAddr va;
    std::uint64_t size;  ///< bytes
    PhysAddr pa;
    std::uint64_t entry;  ///< raw: accessed, dirty, what the OS keeps in it
    Rights rights;        ///< of the whole path
    bool global;
};

struct Pages {
    std::vector<Page> found;  ///< by offset
    bool cut = false;         ///< there are more than the limit
};

/// Every page that touches `window` (offsets, within the Space's own), `limit` at most. Each table
/// is looked through once, for the entries that lead to a page: then cost follows the pages that
/// come out. `pulse` is told how many there are.
Pages pages(const Space& space, const Interval& window, std::size_t limit, const Pulse& pulse = {});

}  // namespace ptmap
