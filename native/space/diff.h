// What differs between two maps.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "paging/pulse.h"
#include "space/map.h"

namespace ptmap {

/// How a stretch of linear addresses differs.
enum class What : std::uint8_t {
    added,    ///< mapped only after
    gone,     ///< mapped only before
    changed,  ///< mapped differently
    unknown   ///< one of the maps (or both) does not know it
};
inline constexpr std::array<std::string_view, 4> what_names{"added", "gone", "changed", "unknown"};

/// What may have changed: bit i of Difference::changed is change_names[i].
enum class Change : std::uint8_t { rights, frame, page_size, global, cache };
inline constexpr std::array<std::string_view, 5> change_names{"rights", "frame", "page_size",
                                                              "global", "cache"};
constexpr std::uint8_t change_bit(Change change) {
    return static_cast<std::uint8_t>(1u << static_cast<unsigned>(change));
}

/// Pages of one size with equal attributes, on one side of a difference.
struct Side {
    PhysAddr pa;              ///< of its first byte; valid only if contiguous
    bool contiguous = false;  ///< physically
    PageSizes page_sizes;
    Attributes attributes;
};

/// A maximal stretch of one kind of difference, with equal attributes on either side.
struct Difference {
    VirtAddr va;
    std::uint64_t size;  ///< bytes
    What what;
    std::uint8_t changed = 0;  ///< What::changed: a set of Change
    std::uint8_t unknown = 0;  ///< What::unknown: bit 0 before, bit 1 after
    Side before, after;        ///< each valid only if `what` has that side

    VirtInterval interval() const { return VirtInterval::of_size(va, size); }
};

struct DiffOptions {
    bool split_physical = false;  ///< stretches end where frames stop being contiguous
    Pulse pulse;                  ///< told how many stretches there are
};

/// Whether each range has contiguous frames and one page size, as with split_physical and
/// split_sizes of MapOptions.
bool is_exact(const Map& map, const Pulse& pulse = {});

/// The differences of two exact maps of one mode, by rising address. Cost follows their ranges.
std::vector<Difference> diff(const Map& before, const Map& after, const DiffOptions& options = {});

/// The number of differences of each kind, and their bytes.
struct DiffCounts {
    struct Count {
        std::uint64_t stretches = 0, bytes = 0;
    };
    std::array<Count, what_names.size()> what;
    std::array<Count, change_names.size()> changed;  ///< a difference may count in several
};
DiffCounts count(std::span<const Difference> differences, const Pulse& pulse = {});

}  // namespace ptmap
