// The auxiliary vector, which Linux's exec puts on a process's stack, above the environment.
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
    /// Type (include/uapi/linux/auxvec.h) and value, in the vector's order, without AT_NULL; at
    /// most 63, no type twice.
    std::vector<std::pair<std::uint64_t, std::uint64_t>> values;

    /// The value of a type; nothing if there is no such pair.
    std::optional<std::uint64_t> value(std::uint64_t type) const;

    /// Where exec put the vDSO (AT_SYSINFO_EHDR); nothing if it put none.
    std::optional<VirtAddr> vdso() const;

    /// The process's ABI. A 32-bit process has AT_SYSINFO, an x32 process does not
    /// (ARCH_DLINFO_IA32, ARCH_DLINFO_X32 in arch/x86/include/asm/elf.h).
    Abi abi() const;
};

/// The vector in a stack; nothing if there is none. `start` and `end` (exclusive) are multiples of
/// a page. It searches from the top down in the mapped pages of the uppermost 8 MiB, and reads each
/// page once. If `wide` it tries both word sizes, else only 32 bits. The pulse is by pages.
/// Exceptions: those of the memory and of the pulse.
std::optional<Auxv> find_auxv(LinearMemory& memory, VirtAddr start, VirtAddr end, bool wide,
                              const Pulse& pulse = {});

}  // namespace ptmap::elf
