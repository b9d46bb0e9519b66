// A space as sorted ranges.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "arch/access.h"
#include "arch/memory_type.h"
#include "arch/page_size.h"
#include "paging/disposal.h"
#include "paging/pulse.h"
#include "paging/scan.h"
#include "space/attributes.h"

namespace ptmap {

/// A maximal run of pages with equal attributes.
struct Range {
    VirtAddr va;         ///< of its first byte
    std::uint64_t size;  ///< bytes
    PhysAddr pa;         ///< of its first byte; means something only where contiguous
    bool contiguous;     ///< physically
    PageSizes page_sizes;
    Attributes attributes;
    bool operator==(const Range&) const = default;

    VirtInterval interval() const { return VirtInterval::of_size(va, size); }
    PhysInterval frames() const { return PhysInterval::of_size(pa, size); }  ///< where contiguous
};

static_assert(sizeof(Range) == 32, "a map may have a million of them");

/// A part of the space that the map does not know.
struct Gap {
    VirtAddr va;
    std::uint64_t size;  ///< bytes of linear address
    PhysAddr table;      ///< unreadable: that table; malformed: the table that holds the entry
    unsigned level;      ///< of that table, 1 is PT
    std::string why;     ///< "not RAM", "reserved PS"
    bool interrupted = false;  ///< only Ctrl-C kept the table from being read

    VirtInterval interval() const { return VirtInterval::of_size(va, size); }
};

struct MapOptions {
    Interval window;              ///< in offsets, within the Tables' own
    bool split_physical = false;  ///< ranges end where frames stop being contiguous
    bool split_sizes = false;     ///< ranges end where the page size changes
    /// Both only from this offset on, at which two root entries meet; below it ranges are merged.
    std::uint64_t split_from = 0;
    std::array<MemoryType, 8> types = memory_types(std::nullopt);
    std::optional<Privilege> as;    ///< show what this mode may do now, not what the tables say
    bool ac = false;                ///< EFLAGS.AC, for `as`
    std::vector<Wanted> wanted;     ///< ranges for which one of these holds; empty: all
    std::vector<PhysInterval> ram;  ///< by rising address; empty: not known
    /// Limit of ranges, filtered out or not, and gaps; the map is truncated there.
    std::size_t max_ranges = std::numeric_limits<std::size_t>::max();
    bool counted = true;  ///< if false Map::pages and outside_ram are not valid
    Pulse pulse;          ///< by ranges and gaps, filtered out or not
};

struct Map {
    Mode mode;
    PhysAddr root;
    std::size_t tables;             ///< distinct ones read
    PageCounts pages;               ///< leaves by address
    bool ram_known = false;         ///< MapOptions::ram was given
    std::uint64_t outside_ram = 0;  ///< then, of these, pages without a byte of RAM
    std::optional<Privilege> as;
    Disposed<std::vector<Range>> ranges;  ///< by offset: lower part, then upper
    Disposed<std::vector<Gap>> unreadable, malformed;
    bool truncated = false;       ///< a limit was reached: there is more
    std::optional<VirtAddr> end;  ///< where max_ranges was reached: from here on nothing is known

    bool complete() const { return unreadable.empty() && malformed.empty() && !truncated; }
};

/// Flattens a space. The cost follows the resulting ranges: a table, or many of its entries, that
/// is one run under the rights of its path is taken whole. Other tables are entered for each path,
/// and each time they yield at least a range or a gap.
Map make_map(const Tables& tables, const MapOptions& options);

}  // namespace ptmap
