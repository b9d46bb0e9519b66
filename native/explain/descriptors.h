// What the processor itself reads when it enters a kernel.
//
// An interrupt, an exception or a system call in user space goes through the IDT's gate and the
// GDT's code segment to a handler, on a stack that the TSS names. The processor uses linear
// addresses, through the root that is in CR3 then. If one is not mapped there, the entry ends in
// #DF or a reset.
//
// The tables are the guest's and may hold anything. Only the 256 vectors of the IDT and the fixed
// part of a TSS are read. A descriptor beyond its table's limit does not count. Bytes that cannot
// be read are taken as zeros, which is never a present descriptor.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "arch/system_registers.h"
#include "explain/entry_piece.h"
#include "paging/linear_memory.h"

namespace ptmap {

enum class SystemTable : std::uint8_t { gdt, idt, ldt, tss };

/// "GDT", "TSS".
std::string_view name(SystemTable table);

/// What entering the kernel of one CPU needs.
struct EntryNeeds {
    std::vector<EntryPiece> pieces;  ///< tables, handlers by rising address, stacks, other tasks
    /// Tables that could not be read whole. If it is the TSS no stacks are known.
    std::vector<SystemTable> unread;
    /// LDTR's and TR's whole base. While CS is a 32-bit segment QEMU cuts them to 32 bits; the
    /// descriptor from which they were loaded (SDM vol. 3A, Figure 8-4) has the rest.
    VirtAddr ldtr_base, tr_base;
};

/// Reads the tables through `linear`, whose root must have the kernel mapped; its paging mode tells
/// whether they are IA-32e mode's. It never reads more than the 256 gates, a descriptor for each
/// gate and each stack, and one TSS.
EntryNeeds entry_needs(const SystemRegisters& registers, LinearMemory& linear);

/// "#PF", or the number of a vector without a name.
std::string vector_name(unsigned vector);

}  // namespace ptmap
