// Pages by what their own entry says, whatever the levels above take away.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "paging/pulse.h"
#include "paging/scan.h"

namespace ptmap {

/// A page, where one path leads to it.
struct Leaf {
    VirtAddr va;
    std::uint64_t size = 0;  ///< bytes
    PhysAddr pa;
    bool write = false;  ///< the path allows writes
};

struct Leaves {
    std::vector<Leaf> found;     ///< by offset
    bool cut = false;            ///< a limit was reached: there are more
    std::size_t unreadable = 0;  ///< tables of the user's that could not be read
};

/// What to look for, and how far.
struct LeafLimits {
    std::size_t tables = std::numeric_limits<std::size_t>::max();
    std::size_t leaves = std::numeric_limits<std::size_t>::max();
};

/// The user's pages below `root` that are executable by their leaf entry. Levels above it may deny
/// fetches: Linux's kernel root does, for all of the user's part, under KPTI. Each entry of a table
/// comes once, at the lowest offset that leads to it, and a table that only the supervisor reaches
/// is not read: cost follows the user's distinct tables. The pulse is told how many tables are
/// read, then how many leaves there are. Exceptions: those of `memory` and of the pulse.
Leaves user_executable(const Paging& paging, PhysAddr root, PhysicalMemory& memory,
                       const LeafLimits& limits = {}, const Pulse& pulse = {});

/// The same of tables that were read already, all of them: at most so many leaves.
Leaves user_executable(const Space& space,
                       std::size_t max_leaves = std::numeric_limits<std::size_t>::max(),
                       const Pulse& pulse = {});

}  // namespace ptmap
