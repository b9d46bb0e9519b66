// Where a machine's physical memory lies in something else: a process, a file.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "paging/interval.h"
#include "paging/memory.h"

namespace ptmap {

/// Some of the physical memory; its first byte is at `at` there.
struct RamBlock {
    PhysInterval interval;
    std::uint64_t at = 0;
};

/// A part of a read that lies in one block.
struct Piece {
    std::size_t read = 0;  ///< which of the reads
    std::uint64_t at = 0;
    std::span<std::byte> to;
};

/// Sorted blocks without overlaps; there may be gaps.
class RamBlocks {
public:
    /// Error: std::invalid_argument if they are not, or if addresses pass 2^64.
    explicit RamBlocks(std::vector<RamBlock> blocks);

    /// Appends the pieces of a read to `pieces`, in order. If not all of it is in blocks it appends
    /// nothing and returns false.
    bool split(const Fetch& read, std::size_t index, std::vector<Piece>& pieces) const;

private:
    std::vector<RamBlock> blocks_;
};

}  // namespace ptmap
