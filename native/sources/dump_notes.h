// The CPUs' registers, from the notes that QEMU's dump-guest-memory writes.
//
// Per CPU there is one NT_PRSTATUS, named "CORE", and then per CPU one of the type 0 that is named
// "QEMU" and holds a QEMUCPUState (QEMU, target/i386/arch_dump.c): the general registers, the
// segment registers with what they hide, LDTR, TR, GDTR, IDTR, CR0 to CR4. It has no EFER. Whether
// the first CPU is in long mode is told by the size of the NT_PRSTATUS notes, as QEMU chooses their
// layout by that CPU's EFER.LMA; the ELF class tells something else, whether any RAM lies above 4
// GiB.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

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
    bool long_mode_told;  ///< by this CPU's own registers, and not only by the first CPU's
};

struct DumpNotes {
    std::vector<CpuRegisters> cpus;  ///< by QEMU's index; empty: none that is known
    bool any = false;                ///< there are notes of QEMU's, whether known or not
    std::string problem;             ///< what is wrong with them, a phrase; "" for nothing
};

/// Reads an area of notes, whose bytes may be anything. It ends where one is cut off.
DumpNotes read_dump_notes(std::span<const std::byte> area);

}  // namespace ptmap
