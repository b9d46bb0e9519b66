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

/// EFER, which the notes of a dump do not have.
struct AssumedEfer {
    std::optional<std::uint64_t> value;  ///< nothing without CR4.PAE, which makes it irrelevant
    std::vector<std::string> assumed;    ///< assumed bits: "EFER.NXE=1"
};

/// EFER as the other registers show it. SCE and NXE are assumed to be set, because every kernel
/// that knows them sets them.
AssumedEfer assumed_efer(const CpuRegisters& cpu);

/// The space that a CPU uses. Its root is paging.root().
struct DumpSpace {
    std::size_t cpu;  ///< QEMU's index
    X86Paging paging;
    AccessState state;                 ///< PKRU is in no dump
    std::vector<std::string> assumed;  ///< assumed bits: "EFER.NXE=1"
};

/// One for each CPU that has paging on, by rising index. Empty if there is none, or the dump has no
/// usable registers (DumpNotes::problem). MAXPHYADDR is in no dump: 52 is assumed.
std::vector<DumpSpace> spaces_of(const Dump& dump);

}  // namespace ptmap
