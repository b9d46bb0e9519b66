// What the notes of a dump tell: the CPUs' registers, if QEMU's dump-guest-memory wrote them, and
// VMCOREINFO, if a crashed Linux did.
//
// In QEMU's first there is an NT_PRSTATUS note, named "CORE", for each CPU. Then there is a note of
// type 0, named "QEMU", for each CPU. It has a QEMUCPUState (QEMU, target/i386/arch_dump.c): the
// general registers, the segment registers with their hidden parts, LDTR, TR, GDTR, IDTR, CR0 to
// CR4, but no EFER. The size of the NT_PRSTATUS notes tells whether the first CPU is in long mode:
// QEMU chooses their layout by that CPU's EFER.LMA. (The ELF class only tells whether any RAM is
// above 4 GiB.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sources/vmcoreinfo.h"

namespace ptmap {

/// A segment register, or GDTR or IDTR, which have no selector.
struct SegmentRegister {
    std::uint32_t selector, limit;
    std::uint32_t flags;  ///< the descriptor's second doubleword
    std::uint64_t base;
};

struct CpuRegisters {
    std::uint64_t cr0, cr2, cr3, cr4, rflags, rip, rsp;
    SegmentRegister cs, ldtr, tr, gdtr, idtr;
    bool long_mode;       ///< EFER.LMA
    bool long_mode_told;  ///< this CPU's own registers tell it, not only the first CPU's
};

struct DumpNotes {
    std::vector<CpuRegisters> cpus;        ///< by QEMU's index; empty if no CPU's are known
    bool any = false;                      ///< there are notes of QEMU's, of a known kind or not
    bool vmcoreinfo_is_sound = true;       ///< of all such notes
    std::optional<Vmcoreinfo> vmcoreinfo;  ///< unless there are notes of QEMU's
    std::string problem;                   ///< what is wrong with the notes, a phrase; or ""
};

/// Reads an area of notes, whose bytes may be anything, up to the first note that is cut off.
DumpNotes read_dump_notes(std::span<const std::byte> area);

}  // namespace ptmap
