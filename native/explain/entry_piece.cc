#include "explain/entry_piece.h"

#include "arch/x86_paging.h"
#include "paging/walk.h"

namespace ptmap {

EntryPieceState state_of(const EntryPiece& piece, const Paging& paging, PhysAddr root,
                         PhysicalMemory& memory, std::optional<std::uint32_t> pkru) {
    using Result = Verdict::Result;
    const AccessState processor{.ac = false, .pkru = pkru};
    EntryPieceState state{.pages = piece.pages.size()};
    bool alike = true;
    for (const VirtAddr page : piece.pages) {
        const Walk walked = walk(paging, root, page, memory);
        const Verdict said =
            verdict(walked, registers_of(paging), processor, piece.access, Privilege::kernel);
        const bool faults =
            said.result == Result::page_fault || said.result == Result::general_protection;
        if (faults && state.denied == Reason::allowed) state.denied = said.reason;
        if (walked.outcome == Outcome::unreadable && state.unread.empty())
            state.unread = walked.why;
        if (walked.outcome != Outcome::mapped) continue;
        if (page == piece.pages.front()) state.frame = walked.pa;
        alike = alike && state.rights.value_or(walked.rights) == walked.rights;
        state.rights = walked.rights;
        ++state.mapped;
    }
    if (!alike) state.rights.reset();
    return state;
}

}  // namespace ptmap
