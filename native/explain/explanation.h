// One address explained: the entries on its way, the page, and what each access would do.
//
// Only values. text/explanation_text.h makes text and JSON of them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "arch/access.h"
#include "arch/memory_type.h"
#include "paging/paging.h"
#include "paging/rights.h"
#include "paging/walk.h"

namespace ptmap {

/// An entry on the way. The lists have the fields of a present entry that are not 0, lowest bit
/// first; the registers decide which list a field is in. Address bits are in no list unless they
/// are reserved.
struct ExplainedStep {
    Step step;
    bool was_read = true;
    std::vector<NamedBits> used;
    std::vector<NamedBits> ignored;
    std::vector<NamedBits> reserved;          ///< an access faults with RSVD
    std::vector<NamedBits> reserved_at_load;  ///< PAE's PDPTEs: only MOV CR3 checks them
};

/// The first entry of a path that takes a right away.
struct Denial {
    Rights right;      ///< one of them
    std::size_t step;  ///< index in Explanation::steps
};

/// The page at the end of the way.
struct ExplainedPage {
    PhysAddr pa;             ///< of the address itself
    std::uint64_t size = 0;  ///< bytes
    MemoryType type = MemoryType::invalid;
    unsigned cache_slot = 0;  ///< of IA32_PAT, 0..7
    Rights rights = Rights::none;
    bool global = false;
    std::optional<unsigned> key;  ///< the protection key; nothing if CR4.PKE and CR4.PKS are off
    std::vector<Denial> denials;  ///< for each missing right, in the order user, write, exec
};

struct Explanation {
    VirtAddr va;
    const Format* format = nullptr;  ///< nullptr: paging is off, and `va` is its own address
    Outcome outcome = Outcome::mapped;
    std::string why;                   ///< Outcome::unreadable: what the memory said
    std::vector<ExplainedStep> steps;  ///< root first; the last is where the walk ended
    std::optional<ExplainedPage> page;
    std::array<std::array<Verdict, all_accesses.size()>, all_privileges.size()> verdicts{};

    bool paging_is_off() const { return format == nullptr; }
    const Verdict& verdict(Privilege privilege, Access access) const {
        return verdicts[static_cast<std::size_t>(privilege)][static_cast<std::size_t>(access)];
    }
};

/// Explains a walk that was made with `paging`. `types` are those of the slots of IA32_PAT.
Explanation explain(const Walk& walk, const Paging& paging, const AccessState& state,
                    const std::array<MemoryType, 8>& types);

/// With paging off an address is its own physical address.
Explanation explain_without_paging(VirtAddr va);

/// The entry that is responsible for what was found at an address.
struct ResponsibleEntry {
    enum class Says : std::uint8_t {
        maps_page,
        names_table,
        not_present,
        reserved_bit,
        unreadable,
        takes_right,
    };
    Step step;
    unsigned entry_bytes;  ///< 4 or 8
    Says says;
    Rights right = Rights::none;  ///< which right, if `says` is takes_right
};

/// The entry that takes `right` away if the page lacks it, else the entry at which the walk ends.
/// Nothing for an address that is not canonical.
std::optional<ResponsibleEntry> responsible_entry(const Walk& walk, const Paging& paging,
                                                  Rights right = Rights::none);

/// An entry that names a table. `step` is an index in Walk::steps, not the last one.
ResponsibleEntry table_entry(const Walk& walk, const Paging& paging, std::size_t step);

}  // namespace ptmap
