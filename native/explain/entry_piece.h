// Something that the processor needs when it enters a kernel, and whether it is mapped.
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

/// Something that must be mapped, and what the processor does there first.
struct EntryPiece {
    std::string name;
    std::string short_name;  ///< for a column
    VirtAddr address;
    std::vector<VirtAddr> pages;  ///< all that it touches
    Access access = Access::read;
    std::vector<std::uint8_t> vectors;  ///< handlers and IST stacks: the gates that lead to it
    bool before_switch = true;          ///< needed before entry code could load another CR3
    bool rare = false;  ///< needed only for vectors that an ordinary machine never raises
};

/// What one root says of a piece.
struct EntryPieceState {
    std::size_t pages = 0;
    std::size_t mapped = 0;  ///< how many of the pages
    std::string unread;      ///< why it is not known whether a page is mapped; "" if it is known
    Reason denied = Reason::allowed;  ///< why the access would fault, on the first page that denies
    std::optional<PhysAddr> frame;    ///< of the first page, if it is mapped
    std::optional<Rights> rights;     ///< of the mapped pages, if they are the same

    /// Whether the processor may access all of it.
    bool ok() const { return denied == Reason::allowed && unread.empty(); }
};

/// Walks every page of a piece below `root`. The access is the processor's own, which EFLAGS.AC
/// does not let past SMAP; `pkru` is nothing if it is not known.
EntryPieceState state_of(const EntryPiece& piece, const Paging& paging, PhysAddr root,
                         PhysicalMemory& memory, std::optional<std::uint32_t> pkru);

/// A piece with what is to be said of it.
struct EntryRow {
    EntryPiece piece;
    EntryPieceState here;  ///< under this root, or the kernel's where that is the one that counts
    std::optional<EntryPieceState> user;  ///< under KPTI's user root, where that is another one
};

}  // namespace ptmap
