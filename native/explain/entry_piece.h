// A piece of memory that the processor needs when it enters a kernel, and whether it is mapped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "arch/access.h"
#include "paging/address.h"
#include "paging/memory.h"
#include "paging/paging.h"

namespace ptmap {

/// What a piece is, if text depends on it.
enum class EntryPieceKind : std::uint8_t { other, handlers, stack };

/// A piece that must be mapped, and the processor's first access to it.
struct EntryPiece {
    std::string name;        ///< a stack's without that word: "RSP0"
    std::string short_name;  ///< for a column
    VirtAddr address;
    std::vector<VirtAddr> pages;  ///< all pages that the processor touches
    Access access = Access::read;
    std::vector<std::uint8_t> vectors;  ///< handlers and IST stacks: the gates that lead to it
    bool before_switch = true;          ///< needed before entry code could load another CR3
    bool rare = false;  ///< needed only for vectors that an ordinary machine never raises
    EntryPieceKind kind = EntryPieceKind::other;

    /// As it is shown: "RSP0 stack".
    std::string full_name() const { return kind == EntryPieceKind::stack ? name + " stack" : name; }
};

/// How one root maps a piece.
struct EntryPieceState {
    std::size_t pages = 0;
    std::size_t mapped = 0;  ///< how many of the pages
    std::string unread;      ///< why it is not known whether a page is mapped; "" if it is known
    Reason denied = Reason::allowed;  ///< why the access faults, on the first page that denies it
    std::optional<PhysAddr> frame;    ///< of the first page, if it is mapped
    std::optional<Rights> rights;     ///< of the mapped pages, if they are the same

    /// Whether the processor may access all of it.
    bool ok() const { return denied == Reason::allowed && unread.empty(); }
};

/// Walks every page of a piece below `root`. The access is the processor's own, so SMAP applies
/// whatever EFLAGS.AC is. `pkru` is nothing if it is not known.
EntryPieceState state_of(const EntryPiece& piece, const Paging& paging, PhysAddr root,
                         PhysicalMemory& memory, std::optional<std::uint32_t> pkru);

/// A piece and how it is mapped.
struct EntryRow {
    EntryPiece piece;
    EntryPieceState here;  ///< under this root, or under the kernel root if the piece needs that
    std::optional<EntryPieceState> user;  ///< under KPTI's user root, if that is another one
};

}  // namespace ptmap
