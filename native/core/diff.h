// What differs between two maps, and which tables two spaces have in common.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/labels.h"
#include "core/map.h"
#include "core/pulse.h"
#include "core/scan.h"

namespace ptmap {

/// What became of a stretch of linear addresses.
enum class What : std::uint8_t {
    added,    ///< mapped only after
    gone,     ///< mapped only before
    changed,  ///< mapped otherwise
    unknown   ///< one of the maps (or both) cannot speak of it
};
inline constexpr std::array<std::string_view, 4> what_names{"added", "gone", "changed", "unknown"};

/// What may have changed: bit i of Difference::changed is change_names[i].
enum class Change : std::uint8_t { rights, frame, page_size, global, cache };
inline constexpr std::array<std::string_view, 5> change_names{"rights", "frame", "page_size",
                                                              "global", "cache"};

/// Pages of one size with equal attributes, on one side of a difference.
struct Side {
    PhysAddr pa;              ///< of its first byte; means something only where contiguous
    bool contiguous = false;  ///< physically
    std::uint8_t page_sizes = 0;
    Attributes attributes;
};

/// A maximal stretch of one kind of difference, with equal attributes on either side.
struct Difference {
    VirtAddr va;
    std::uint64_t size;  ///< bytes
    What what;
    std::uint8_t changed = 0;  ///< What::changed: a set of Change
    std::uint8_t unknown = 0;  ///< What::unknown: bit 0 before, bit 1 after
    Side before, after;        ///< as far as `what` has them
};

struct DiffOptions {
    bool split_physical = false;  ///< stretches end where frames stop being contiguous
    Pulse pulse;                  ///< by stretches
};

/// Whether each range is one run of contiguous frames in pages of one size: what split_physical and
/// split_sizes of MapOptions make.
bool is_exact(const Map& map);

/// The differences of two exact maps of one mode, by rising address. Cost follows their ranges.
std::vector<Difference> diff(const Map& before, const Map& after, const DiffOptions& options = {});

/// How many differences of a kind there are, of how many bytes.
struct DiffCounts {
    struct Count {
        std::uint64_t stretches = 0, bytes = 0;
    };
    std::array<Count, what_names.size()> what;
    std::array<Count, change_names.size()> changed;  ///< of What::changed; one may count in several
};
DiffCounts count(std::span<const Difference> differences);

/// The labels of either side. What is gone is under those before, all else under those after.
struct DiffLabels {
    std::span<const Label> before, after;
};

/// A header and a line a difference ("+", "-", "~", "?"); a changed one has a second line, "->",
/// with what is otherwise after it. Where there are labels, lines with them stand before, as in
/// ranges_text(). `digits` of an address. Empty for no differences.
std::string diff_text(std::span<const Difference> differences, unsigned digits,
                      const DiffLabels& labels = {}, const Pulse& pulse = {});

/// The elements of a JSON list, one a line.
std::string diff_json(std::span<const Difference> differences, const DiffLabels& labels = {},
                      const Pulse& pulse = {});

/// The root's entries for a part of two spaces. Present ones: that name a table or map a page.
struct PartShare {
    unsigned before = 0, after = 0;  ///< present ones
    unsigned either = 0;             ///< indices at which one of the two is
    unsigned shared = 0;             ///< the same table, or page, with the same rights bits
    unsigned other_rights = 0;       ///< the same with other rights
};

/// What two spaces have physically in common.
struct Sharing {
    std::vector<PartShare> parts;     ///< as they were asked for
    std::vector<std::size_t> levels;  ///< distinct tables both use at a level, root first
    std::size_t tables = 0;           ///< distinct ones that both use at the same level
    /// Below root entries that name different tables: what the same tables translate, merged.
    std::vector<Extent> below;
    bool cut = false;  ///< `below` is not all of it: the limit was reached
};

/// Compares the graphs of two spaces of one mode. `parts` in offsets; an entry belongs to the part
/// that it begins in. `max_steps` bounds the pairs of entries looked at for `below`: hostile tables
/// can make as many as there are paths.
Sharing share(const Space& before, const Space& after, std::span<const Window> parts,
              std::size_t max_steps = std::numeric_limits<std::size_t>::max(),
              const Pulse& pulse = {});

}  // namespace ptmap
