// A machine's memory in the QEMU process that runs it, on this host.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "paging/memory.h"
#include "sources/ram_blocks.h"

namespace ptmap {

/// Reads another process's memory by process_vm_readv(2), many reads a call. Needs the permission
/// to trace it. The caller must prove that the process is the machine, and still the same process:
/// its number proves neither.
class QemuProcess : public PhysicalMemory {
public:
    /// `ram`: where the machine's RAM and ROM lie in the process's address space.
    QemuProcess(pid_t pid, std::vector<RamBlock> ram) : pid_(pid), ram_(std::move(ram)) {}

    /// A read of memory that is not RAM, or not mapped in the process, gets a reason.
    /// Error: SourceGone if the process has ended or may not be read; Interrupted.
    void fetch(std::span<Fetch> reads) override;

    /// System calls so far.
    std::uint64_t requests() const { return requests_; }

private:
    std::size_t transfer(std::span<const Piece> pieces);

    pid_t pid_;
    RamBlocks ram_;
    std::uint64_t requests_ = 0;
};

}  // namespace ptmap
