#include "sources/ram_blocks.h"

#include <algorithm>
#include <limits>
#include <stdexcept>

namespace ptmap {

RamBlocks::RamBlocks(std::vector<RamBlock> blocks) : blocks_(std::move(blocks)) {
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
        const RamBlock& e = blocks_[i];
        if (e.first > e.last || (i > 0 && blocks_[i - 1].last >= e.first) ||
            e.at > std::numeric_limits<std::uint64_t>::max() - (e.last - e.first))
            throw std::invalid_argument("blocks: not sorted, one over another or too long");
    }
}

bool RamBlocks::split(const Fetch& read, std::size_t index, std::vector<Piece>& pieces) const {
    const std::size_t before = pieces.size();
    std::uint64_t address = read.address.value;
    auto block = std::ranges::lower_bound(blocks_, address, {}, &RamBlock::last);
    for (std::size_t done = 0; done < read.to.size(); ++block) {
        if (block == blocks_.end() || address < block->first) {
            pieces.resize(before);
            return false;
        }
        const std::uint64_t skipped = address - block->first;
        // Not +1: an block of all 2^64 bytes has no length.
        const std::size_t length =
            std::min<std::uint64_t>(read.to.size() - done - 1, block->last - address) + 1;
        pieces.push_back({index, block->at + skipped, read.to.subspan(done, length)});
        done += length;
        address += length;
        if (done < read.to.size() && address == 0) {  // beyond 2^64
            pieces.resize(before);
            return false;
        }
    }
    return true;
}

}  // namespace ptmap
