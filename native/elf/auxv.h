// What Linux told a process at exec: the auxiliary vector, on its stack above the environment.
//
// It is found by its shape, so that no symbols are needed (create_elf_tables() in Linux's
// fs/binfmt_elf.c): pairs of words that end with AT_NULL, and AT_RANDOM pointing to bytes right
// behind it. The process can write all of that, so any byte may be anything.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "elf/image.h"
#include "paging/linear_memory.h"
#include "paging/pulse.h"

namespace ptmap::elf {

/// An auxiliary vector.
struct Auxv {
    VirtAddr va;    ///< of its first pair
    unsigned word;  ///< bytes, 4 or 8; a pair has two
    /// Type (include/uapi/linux/auxvec.h) and value, as they lie there, without AT_NULL; at most
    /// 63, no type twice.
    std::vector<std::pair<std::uint64_t, std::uint64_t>> values;

    /// The value of a type; nothing if there is no such pair.
    std::optional<std::uint64_t> value(std::uint64_t type) const;

    /// Where exec put the vDSO (AT_SYSINFO_EHDR); nothing if it put none.
    std::optional<VirtAddr> vdso() const;

    /// Of the process. 32-bit ones have AT_SYSINFO, x32 ones have not (ARCH_DLINFO_IA32,
    /// ARCH_DLINFO_X32 in arch/x86/include/asm/elf.h).
    Abi abi() const;
};

/// The vector in a stack, whose addresses `start` and `end` (exclusive) are multiples of a page.
/// Looked for from the top down, in what is mapped of the uppermost 8 MiB; each page is read once.
/// Both word sizes are tried if `wide`, else 32 bits only. Nothing if there is none. The pulse is
/// by pages. Exceptions: those of the memory and of the pulse.
std::optional<Auxv> find_auxv(LinearMemory& memory, VirtAddr start, VirtAddr end, bool wide,
                              const Pulse& pulse = {});

}  // namespace ptmap::elf
