// A space page by page, with its leaf entries, which a map of ranges does not keep.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "paging/pulse.h"
#include "paging/scan.h"

namespace ptmap {

/// A page, at the end of one path.
struct Page {
    VirtAddr va;
    std::uint64_t size;  ///< bytes
    PhysAddr pa;
    std::uint64_t entry;  ///< the raw leaf entry: accessed, dirty, the OS's bits
    Rights rights;        ///< of the whole path
    bool global;
};

struct Pages {
    std::vector<Page> found;  ///< by offset
    bool cut = false;         ///< there are more than the limit
};

/// Every page that touches `window` (offsets, within the Tables' own), `limit` at most. Each table
/// is searched once for entries that lead to a page; then the cost follows the resulting pages. The
/// pulse is by pages.
Pages pages(const Tables& tables, const Interval& window, std::size_t limit,
            const Pulse& pulse = {});

}  // namespace ptmap
