// A machine's memory in the file or memfd that QEMU keeps it in.
#pragma once

#include <cstdint>
#include <vector>

#include "paging/memory.h"
#include "sources/ram_blocks.h"

namespace ptmap {

/// Reads a file by pread(2), without mapping it: if a mapped file becomes shorter, a read ends the
/// process. Only for files that QEMU maps shared: a private mapping's pages are not the file's.
class RamFile : public PhysicalMemory {
public:
    /// `file`: a descriptor, copied. `ram`: the parts of the machine's memory in the file. `rest`
    /// has all other memory. Error: std::system_error.
    RamFile(int file, std::vector<RamBlock> ram, PhysicalMemory& rest);
    ~RamFile() override;
    RamFile(const RamFile&) = delete;
    RamFile& operator=(const RamFile&) = delete;

    /// Error: Interrupted, and what `rest` throws.
    void fetch(std::span<Fetch> reads) override;

    /// System calls so far, without the rest's.
    std::uint64_t requests() const { return requests_; }

private:
    void read(const Piece& piece, Fetch& answer);

    int file_;
    RamBlocks ram_;
    PhysicalMemory& rest_;
    std::uint64_t requests_ = 0;
};

}  // namespace ptmap
