// Pages by their leaf entry, whatever rights the levels above take away.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "paging/pulse.h"
#include "paging/scan.h"

namespace ptmap {

/// A page, at the end of one path.
struct Leaf {
    VirtAddr va;
    std::uint64_t size = 0;  ///< bytes
    PhysAddr pa;
    bool write = false;  ///< the path allows writes
};

struct Leaves {
    std::vector<Leaf> found;     ///< by offset
    bool cut = false;            ///< a limit was reached: there are more
    std::size_t unreadable = 0;  ///< the user's tables that could not be read
};

/// What to look for, and how far.
struct LeafLimits {
    std::size_t tables = std::numeric_limits<std::size_t>::max();
    std::size_t leaves = std::numeric_limits<std::size_t>::max();
};

/// The user's pages below `root` that are executable by their leaf entry. Levels above it may deny
/// fetches: under KPTI Linux's kernel root does, for the whole user's part. Each entry of a table
/// is there once, at the lowest offset that leads to it. Tables that only the supervisor reaches
/// are not read, so the cost follows the user's distinct tables. The pulse is by tables read, then
/// by leaves. Exceptions: those of `memory` and of the pulse.
Leaves user_executable(const Paging& paging, PhysAddr root, PhysicalMemory& memory,
                       const LeafLimits& limits = {}, const Pulse& pulse = {});

/// The same for Tables that has all tables; `max_leaves` at most.
Leaves user_executable(const Tables& tables,
                       std::size_t max_leaves = std::numeric_limits<std::size_t>::max(),
                       const Pulse& pulse = {});

}  // namespace ptmap
