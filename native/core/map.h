// A space as sorted ranges.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "core/access.h"
#include "core/pulse.h"
#include "core/rights.h"
#include "core/scan.h"

namespace ptmap {

/// A set of page sizes.
enum class PageSizes : std::uint8_t {
    none = 0,
    size_4k = 1,
    size_2m = 2,
    size_4m = 4,
    size_1g = 8
};
inline constexpr std::array<std::string_view, 4> page_size_names{"4K", "2M", "4M", "1G"};

/// The index in page_size_names of a page of so many bytes.
unsigned page_size_index(std::uint64_t bytes);

/// What tells neighbouring ranges apart.
struct Attributes {
    Rights rights = Rights::none;
    bool read = true;  ///< false only in a view (MapOptions::as)
    bool global = false;
    MemoryType type = MemoryType::WB;
    bool operator==(const Attributes&) const = default;
};

/// A maximal run of pages with equal attributes.
struct Range {
    VirtAddr va;              ///< of its first byte
    std::uint64_t size;       ///< bytes
    PhysAddr pa;              ///< of its first byte; means something only where contiguous
    bool contiguous;          ///< physically
    std::uint8_t page_sizes;  ///< bit i: has pages of page_size_names[i]
    Attributes attributes;
    bool operator==(const Range&) const = default;
};

/// A part of the space that the map cannot speak of.
struct Gap {
    VirtAddr va;
    std::uint64_t size;  ///< bytes of linear address
    PhysAddr table;      ///< unreadable: that table; malformed: the table that holds the entry
    unsigned level;      ///< of that table, 1 is PT
    std::string why;     ///< "not RAM", "reserved PS"
};

/// One way for a range to be wanted: all of it must hold. See gdb/ptmap/attributes.py for the
/// words.
struct Wanted {
    Rights rights_set = Rights::none, rights_clear = Rights::none;
    std::optional<bool> global;
    std::uint8_t sizes_any = 0;   ///< has a page of each of these sizes
    std::uint8_t sizes_none = 0;  ///< and no page of these
    bool large = false;           ///< has a page larger than 4 KiB
    std::uint32_t types = ~0u;    ///< bit t: MemoryType t will do
};

/// Whether that holds of pages with these attributes and sizes (Range::page_sizes).
bool is_wanted(const Wanted& wanted, const Attributes& attributes, std::uint8_t page_sizes);

/// A stretch of physical memory, both ends in it.
struct PhysSpan {
    PhysAddr first, last;
};

struct MapOptions {
    Window window;                ///< in offsets, within the Space's own
    bool split_physical = false;  ///< ranges end where frames stop being contiguous
    bool split_sizes = false;     ///< and where the page size changes
    std::array<MemoryType, 8> types = memory_types(std::nullopt);
    std::optional<Privilege> as;  ///< show what this mode may do now, not what the tables say
    bool ac = false;              ///< EFLAGS.AC, for `as`
    std::vector<Wanted> wanted;   ///< ranges for which one of these holds; empty: all
    std::vector<PhysSpan> ram;    ///< by rising address; empty: not known
    /// Of ranges, filtered out or not, and gaps; the map is truncated there.
    std::size_t max_ranges = std::numeric_limits<std::size_t>::max();
    Pulse pulse;  ///< by ranges and gaps, filtered out or not
};

struct Map {
    Mode mode;
    PhysAddr root;
    std::size_t tables;                    ///< distinct ones read
    std::array<std::uint64_t, 4> pages{};  ///< leaves by address, in page_size_names' order
    bool ram_known = false;                ///< MapOptions::ram was given
    std::uint64_t outside_ram = 0;         ///< then, of these, pages without a byte of RAM
    std::optional<Privilege> as;
    std::vector<Range> ranges;  ///< by offset: lower part, then upper
    std::vector<Gap> unreadable, malformed;
    bool truncated = false;       ///< a limit was reached: there is more than this says
    std::optional<VirtAddr> end;  ///< where max_ranges was: from there on nothing is said

    bool complete() const { return unreadable.empty() && malformed.empty() && !truncated; }
};

/// Flattens a space. Cost follows the ranges that come out: subtables that are one run under the
/// rights of their path are taken whole.
Map make_map(const Space& space, const MapOptions& options);

/// The range that holds an address; null where there is none.
const Range* range_at(const Map& map, VirtAddr va);

/// The last range that begins in first .. end - 1 and that the user may write; null for none.
const Range* last_user_write(const Map& map, VirtAddr first, VirtAddr end);

/// Bytes of a space: from an address on.
struct Extent {
    VirtAddr va;
    std::uint64_t size = 0;
};

/// All that the user may write around an address, where no hole is larger than so many bytes.
/// Nothing where the user may not write there.
std::optional<Extent> user_write_around(const Map& map, VirtAddr va, std::uint64_t hole);

/// Where the supervisor's part of a space begins: the page of its that has the least memory of the
/// other side before and behind it (a vsyscall page up there, a real-mode trampoline down here).
/// Nothing where there are no user pages below any of the supervisor's, or more than a sixteenth
/// of all that is mapped would be on the wrong side.
std::optional<VirtAddr> split(const Map& map);

}  // namespace ptmap
