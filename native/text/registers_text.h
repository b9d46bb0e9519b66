// The registers that select the paging mode, and what they lead to, as text and as JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "arch/system_registers.h"
#include "arch/x86_paging.h"
#include "explain/entry_piece.h"
#include "paging/walk.h"
#include "space/kpti.h"
#include "text/text.h"

namespace ptmap {

/// A control register on show.
struct ShownRegister {
    std::string name;                    ///< "CR0"
    std::optional<std::uint64_t> value;  ///< nothing if it is not known
    bool is_set = false;                 ///< the user gave it instead of the target
    std::vector<std::string> assumed;    ///< what of it nobody tells: "CR4.PSE=1"
};

/// All that `ptmap regs` shows.
struct RegistersReport {
    std::vector<ShownRegister> registers;
    std::optional<Mode> mode;         ///< nothing if a register that decides is missing
    std::optional<X86Paging> paging;  ///< unless paging is off or the mode is not known
    std::optional<PhysAddr> root;     ///< nothing if the mode is not known
    std::optional<KptiRoots> pair;
    std::string cr2_now;  ///< what the address in CR2 is now; "" if that is not known
    std::optional<SystemRegisters> tables;
    // Whether what entering the kernel needs is mapped, or why that is not known.
    std::vector<EntryRow> rows;
    std::vector<std::string> notes;  ///< what of it is not known
    std::string why_not;

    /// Which of KPTI's roots the root is: "user" or "kernel", "" without KPTI.
    std::string_view half() const;
};

/// "supervisor read at physical 0x1000", "not present: the walk ends at the PDE".
std::string outcome_text(const Walk& walk);

/// Lines of 80 columns at most, but for notes and names that are longer.
void put_registers(Text& text, const RegistersReport& report);

/// An object of schema ptmap/1 and kind "regs". The member "descriptors" is null if GDTR and the
/// others are not known. Of "pieces" each has "va", "pages" and "mapped" (how many of them),
/// "frame" of the first, "access" (what the processor does there), "ok" (whether it may, on all of
/// its pages); "user" says the same of the KPTI user root where that is another root.
/// "before_switch": needed while CR3 is still user space's (else the verdict is the kernel root's).
/// "rare": only for "vectors" that are never raised ordinarily. With paging off there are no
/// pieces. "assumed" of a register: what of it nobody tells.
std::string registers_json(const RegistersReport& report);

}  // namespace ptmap
