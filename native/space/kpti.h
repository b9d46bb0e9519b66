// The two roots of a process under kernel page-table isolation.
//
// Linux (and what copies it) allocates them as a pair: the kernel root, and the user root one page
// behind it, so that bit 12 of CR3 tells them apart. Whether two neighbouring pages are such a pair
// is read from the tables, so that no symbols are needed:
//
//   - 4- and 5-level: the lower halves are the same entries, but for XD, which the kernel root sets
//     on what is the user's (one in four may differ: damaged tables are looked at too). The user
//     root's upper half has fewer entries, each present in the kernel root too, and one at least is
//     the very same: the cpu_entry_area's (with 5 levels in the PML4 of the last one; the entry
//     code has tables of its own).
//   - PAE: the user's PDPTEs are the same, the kernel's are present in both but name different page
//     directories. The roots are page-aligned then; without KPTI they are only 32-byte aligned.
//
// 32-bit paging without PAE has no KPTI.
#pragma once

#include <optional>

#include "paging/address.h"
#include "paging/memory.h"
#include "paging/paging.h"

namespace ptmap {

/// Two physical addresses, a page apart.
struct KptiRoots {
    PhysAddr kernel, user;
    bool operator==(const KptiRoots&) const = default;
};

/// The pair that a root belongs to; nothing if it belongs to none, or a table cannot be read.
std::optional<KptiRoots> kpti_roots(const Paging& paging, PhysAddr root, PhysicalMemory& memory);

}  // namespace ptmap
