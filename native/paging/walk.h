// One address, root to leaf, as the processor translates it (SDM vol. 3A, 4.3 to 4.5).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "paging/memory.h"
#include "paging/paging.h"

namespace ptmap {

/// How a walk ended.
enum class Outcome : std::uint8_t { mapped, not_present, reserved_bit, not_canonical, unreadable };

/// "mapped", "not-present", "reserved-bit", "not-canonical", "unreadable".
std::string_view name(Outcome outcome);

/// One entry on the way.
struct Step {
    const Level* level;  ///< a row of the format, which is never freed
    PhysAddr table;
    unsigned index;
    PhysAddr entry_address;
    std::uint64_t raw = 0;  ///< 0 if the entry could not be read
    Kind kind = Kind::not_present;
    PhysAddr target;              ///< the table or page that the entry names, else 0
    Rights rights = Rights::all;  ///< of the path down to here; meaningful for tables and pages
};

struct Walk {
    VirtAddr va;
    Outcome outcome = Outcome::not_canonical;
    std::vector<Step> steps;  ///< root first; the last is where the walk ended
    std::string why;          ///< Outcome::unreadable: the memory's reason
    // The rest only for Outcome::mapped.
    PhysAddr pa;                  ///< of `va` itself
    std::uint64_t page_size = 0;  ///< bytes
    Rights rights = Rights::none;
    bool global = false;
    unsigned cache_slot = 0;  ///< of IA32_PAT, 0..7
    unsigned key = 0;         ///< protection key, 0 if keys are off
};

/// Walks `va` below `root`. Reads one entry a level and nothing more.
Walk walk(const Paging& paging, PhysAddr root, VirtAddr va, PhysicalMemory& memory);

}  // namespace ptmap
