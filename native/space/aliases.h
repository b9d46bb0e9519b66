// Which frames are mapped in ways that contradict each other.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "paging/disposal.h"
#include "paging/pulse.h"
#include "space/map.h"

namespace ptmap {

/// Conflicts between the mappings of a frame; a set.
enum class Conflict : std::uint8_t {
    none = 0,
    write_exec = 1,  ///< writable through one address and executable through the same or another
    user_kernel = 2  ///< one address lets the user through, another does not
};

constexpr Conflict operator|(Conflict a, Conflict b) {
    return static_cast<Conflict>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
constexpr bool touches(Conflict a, Conflict b) {
    return (static_cast<unsigned>(a) & static_cast<unsigned>(b)) != 0;
}

/// A maximal stretch of physical memory with the same set of mappings.
struct Shared {
    PhysAddr pa;
    std::uint64_t size;  ///< bytes
    Conflict conflict;
    bool in_one;        ///< one address alone is both writable and executable
    std::size_t count;  ///< of mappings
    /// Some of the mappings, by rising address; all if there are few. Each combination of rights
    /// that occurs has at least one here. Valid during the call.
    std::span<const std::uint32_t> ranges;  ///< indices in the map
};

/// Calls `each` for the stretches, by rising physical address, that have one of the conflicts in
/// `wanted`. Ranges whose frames are not contiguous are left out. Takes n log n for n ranges,
/// however they overlap. The pulse is by ends of ranges.
void each_shared(const Map& map, Conflict wanted, const std::function<void(const Shared&)>& each,
                 const Pulse& pulse = {});

/// The address of a stretch's first byte in one of its ranges.
inline VirtAddr address_in(const Range& range, PhysAddr pa) {
    return {range.va.value + (pa.value - range.pa.value)};
}

/// Stretches whose mappings lie in the same runs of linear memory (neighbouring ranges with equal
/// attributes and any frames). So a process's heap is one group.
struct SharedGroup {
    Conflict conflict;
    bool in_one;
    PhysAddr pa;              ///< of the first stretch
    std::uint64_t bytes = 0;  ///< of all
    std::size_t stretches = 0;
    std::size_t count;  ///< of mappings, of each stretch
    struct Mapping {
        VirtAddr va;          ///< of the first stretch
        std::uint32_t range;  ///< the range that maps it, an index in the map
        VirtInterval run;     ///< all of it
    };
    std::vector<Mapping> mappings;  ///< see Shared::ranges
};

struct Aliases {
    Disposed<std::vector<SharedGroup>> groups;  ///< by rising `pa`
    struct Total {
        std::uint64_t bytes = 0;  ///< of physical memory
        std::size_t stretches = 0;
        std::optional<SharedGroup> first;  ///< only the first stretch, even if it is in no group
    };
    Total write_exec, in_one, user_kernel;
    std::size_t ungrouped = 0;  ///< stretches in no group, because there are too many groups
};

/// Totals count everything. There are at most `max_groups` groups, the first ones.
Aliases aliases(const Map& map, Conflict wanted, const Pulse& pulse = {},
                std::size_t max_groups = std::size_t{1} << 16);

/// {"write+exec"}, {"user+kernel"}, both or none.
std::vector<std::string_view> names(Conflict conflict);

}  // namespace ptmap
