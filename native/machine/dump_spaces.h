// The address spaces that the CPUs of a dump use, and the one of a kernel that crashed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "arch/access.h"
#include "arch/x86_paging.h"
#include "sources/dump.h"

namespace ptmap {

/// EFER, which the notes of a dump do not have.
struct AssumedEfer {
    std::optional<std::uint64_t> value;  ///< nothing without CR4.PAE, which makes it irrelevant
    std::vector<std::string> assumed;    ///< assumed bits: "EFER.NXE=1"
};

/// EFER as the other registers show it. SCE and NXE are assumed to be set, because every kernel
/// that knows them sets them.
AssumedEfer assumed_efer(const CpuRegisters& cpu);

/// The registers of a crashed Linux: its crash dump has no CPU's control registers.
struct CrashedKernel {
    ControlRegisters registers;        ///< CR3 is init_mm's: the kernel's own space
    std::vector<std::string> assumed;  ///< "CR0.WP=1": what no part of the dump tells
    std::vector<std::string> deduced;  ///< "EFER.NXE=1: an entry has XD"
};

/// What VMCOREINFO and the tables tell; nothing if it tells no root, or if there are CPUs. The
/// other bits are as Linux sets them on all CPUs, or 0.
std::optional<CrashedKernel> crashed_kernel(Dump& dump);

/// The space that a CPU uses. Its root is paging.root().
struct DumpSpace {
    std::size_t cpu;  ///< QEMU's index; 0 for a crashed kernel
    X86Paging paging;
    AccessState state;                 ///< PKRU is in no dump
    std::vector<std::string> assumed;  ///< assumed bits: "EFER.NXE=1"
};

/// One for each CPU that has paging on, by rising index; or the crashed kernel's. Empty if there is
/// none, or the dump has no usable registers (DumpNotes::problem). MAXPHYADDR is in no dump: 52 is
/// assumed.
std::vector<DumpSpace> spaces_of(Dump& dump);

}  // namespace ptmap
