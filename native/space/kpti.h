// The two roots of a process under kernel page-table isolation.
//
// Linux (and systems that copy it) allocates them as a pair: the kernel root, and the user root one
// page behind it, so that bit 12 of CR3 tells them apart. The tables tell whether two neighbouring
// pages are such a pair, so no symbols are needed:
//
//   - 4- and 5-level: the lower halves have the same entries, except XD, which the kernel root sets
//     on the user's entries. (One in four may differ, because tables may be damaged.) The user
//     root's upper half has fewer entries; each is present in the kernel root too, and at least one
//     is equal: the cpu_entry_area's. (With 5 levels that one is in the last PML4; the entry code
//     has tables of its own.)
//   - PAE: the user's PDPTEs are the same. The kernel's are present in both, but name different
//   page
//     directories. The roots are page-aligned; without KPTI they are only 32-byte aligned.
//
// 32-bit paging without PAE has no KPTI.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "paging/address.h"
#include "paging/memory.h"
#include "paging/paging.h"

namespace ptmap {

/// One of the two roots.
enum class Half : std::uint8_t { kernel, user };

/// "kernel", "user".
constexpr std::string_view name(Half half) { return half == Half::user ? "user" : "kernel"; }

/// Two physical addresses, a page apart.
struct KptiRoots {
    PhysAddr kernel, user;
    bool operator==(const KptiRoots&) const = default;
};

/// The pair that a root belongs to; nothing if it belongs to none, or a table cannot be read.
std::optional<KptiRoots> kpti_roots(const Paging& paging, PhysAddr root, PhysicalMemory& memory);

}  // namespace ptmap
