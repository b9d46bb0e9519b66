// The address spaces that the CPUs of a dump use.
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

/// EFER, which no note has.
struct AssumedEfer {
    std::optional<std::uint64_t> value;  ///< nothing without CR4.PAE: then it decides nothing
    std::vector<std::string> assumed;    ///< what the notes do not tell: "EFER.NXE=1"
};

/// EFER as the other registers show it; SCE and NXE are taken to be set, as every kernel that knows
/// them does.
AssumedEfer assumed_efer(const CpuRegisters& cpu);

/// What a CPU translates with. Its root is paging.root().
struct DumpSpace {
    std::size_t cpu;  ///< QEMU's index
    X86Paging paging;
    AccessState state;                 ///< PKRU is in no dump
    std::vector<std::string> assumed;  ///< what the dump does not tell: "EFER.NXE=1"
};

/// One for each CPU that has paging on, by rising index. Empty if there is none, or the dump tells
/// no registers (DumpNotes::problem). MAXPHYADDR is in no dump: it is taken to be 52.
std::vector<DumpSpace> spaces_of(const Dump& dump);

}  // namespace ptmap
