// What the processor itself reads when it enters a kernel, and where that is.
//
// An interrupt, an exception or a system call in user space goes through the IDT's gate and the
// GDT's code segment to a handler, on a stack that the TSS names. The processor finds all of it by
// linear addresses through the root that is in CR3 then: if it is not mapped there, that ends in
// #DF or a reset.
//
// The tables are the guest's and may hold anything. Of the IDT the 256 vectors are read, of a TSS
// its fixed part; a descriptor beyond its table's limit is none, and what cannot be read is zeros,
// which no present descriptor is.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "arch/system_registers.h"
#include "explain/entry_piece.h"
#include "paging/linear_memory.h"

namespace ptmap {

/// What entering the kernel of one CPU needs.
struct EntryNeeds {
    std::vector<EntryPiece> pieces;  ///< tables, handlers by rising address, stacks, other tasks
    /// Tables of which a part is not there: "GDT", "IDT", "LDT", "TSS". Without all of the TSS no
    /// stacks are known.
    std::vector<std::string_view> unread;
    /// LDTR's and TR's base, whole. While CS is a 32-bit segment QEMU cuts them to 32 bits; the
    /// descriptor that they were loaded from (SDM vol. 3A, Figure 8-4) has the rest.
    VirtAddr ldtr_base, tr_base;
};

/// Reads the tables through `linear`, whose root has the kernel mapped; its paging mode tells
/// whether they are those of IA-32e mode. Whatever the tables hold, it reads no more than the 256
/// gates, a descriptor for each and for each stack, and one TSS.
EntryNeeds entry_needs(const SystemRegisters& registers, LinearMemory& linear);

/// "#PF", or the number of a vector without a name.
std::string vector_name(unsigned vector);

}  // namespace ptmap
