// The registers that say where the descriptor tables and the task-state segment are (SDM vol. 3A,
// 2.4 "Memory-Management Registers").
//
// They come from a debugger's answer or from a dump's notes, so any of them may hold anything.
#pragma once

#include <cstdint>

#include "paging/address.h"

namespace ptmap {

/// GDTR or IDTR.
struct TableRegister {
    VirtAddr base;
    std::uint32_t limit = 0;  ///< offset of the last byte; the processor's has 16 bits
};

/// LDTR or TR, with the parts of the loaded descriptor that the processor keeps.
struct SystemSegment {
    VirtAddr base;
    std::uint32_t limit = 0;     ///< of the last byte
    std::uint32_t selector = 0;  ///< the processor's has 16 bits
    std::uint8_t type = 0;       ///< of a system segment (SDM vol. 3A, Table 3-2)

    /// Whether nothing is loaded (SDM vol. 3A, 3.4.2).
    bool is_null() const { return selector < 4; }
};

struct SystemRegisters {
    TableRegister gdtr, idtr;
    SystemSegment ldtr, tr;
};

}  // namespace ptmap
