// The registers that select the paging mode, and what kernel entry needs, as text and as JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "arch/register_bits.h"
#include "arch/system_registers.h"
#include "arch/x86_paging.h"
#include "explain/entry_piece.h"
#include "paging/walk.h"
#include "space/kpti.h"
#include "text/text.h"

namespace ptmap {

/// A control register to show.
struct ShownRegister {
    ControlRegister reg;
    std::optional<std::uint64_t> value;  ///< nothing if it is not known
    bool is_set = false;                 ///< the user gave it, not the target
    std::vector<std::string> assumed;    ///< assumed bits: "CR4.PSE=1"
};

/// All that `ptmap regs` shows.
struct RegistersReport {
    std::vector<ShownRegister> registers;
    std::optional<Mode> mode;         ///< nothing if a register that decides is missing
    std::optional<X86Paging> paging;  ///< unless paging is off or the mode is not known
    std::optional<PhysAddr> root;     ///< nothing if the mode is not known
    std::optional<KptiRoots> pair;
    std::string cr2_now;  ///< how CR2's address is mapped now; "" if that is not known
    std::optional<SystemRegisters> tables;
    // Of registers that are not known, where a crash dump tells some of it.
    std::vector<std::string> assumed;  ///< "CR0.WP=1"
    std::vector<std::string> deduced;  ///< "EFER.NXE=1: an entry has XD"
    // What entering the kernel needs and whether it is mapped, or why that is not known.
    std::vector<EntryRow> rows;
    std::vector<std::string> notes;  ///< parts that are not known
    std::string why_not;

    /// Which of KPTI's roots the root is; nothing without KPTI.
    std::optional<Half> half() const;
};

/// "supervisor read at physical 0x1000", "not present: the walk ends at the PDE".
std::string outcome_text(const Walk& walk);

/// Lines of 80 columns at most, except longer notes and names.
void put_registers(Text& text, const RegistersReport& report);

/// An object of schema ptmap/1 and kind "regs". "descriptors" is null if GDTR and the others are
/// not known. Each of "pieces" has "va", "pages" and "mapped" (how many of them), "frame" of the
/// first, "access" (what the processor does there), and "ok" (whether it may, on all pages). "user"
/// has the same for KPTI's user root if that is another root. "before_switch": needed while CR3 is
/// still user space's; if false the verdict is the kernel root's. "rare": only for "vectors" that
/// an ordinary machine never raises. There are no pieces if paging is off. "assumed" of a register:
/// assumed bits; "assumed" and "deduced" beside "registers": of registers that are null.
std::string registers_json(const RegistersReport& report);

}  // namespace ptmap
