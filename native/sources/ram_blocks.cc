#include "sources/ram_blocks.h"

#include <algorithm>
#include <limits>
#include <stdexcept>

namespace ptmap {

RamBlocks::RamBlocks(std::vector<RamBlock> blocks) : blocks_(std::move(blocks)) {
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
        const PhysInterval& here = blocks_[i].interval;
        if (here.empty() || (i > 0 && blocks_[i - 1].interval.last >= here.first) ||
            blocks_[i].at > std::numeric_limits<std::uint64_t>::max() - here.from(here.first).last)
            throw std::invalid_argument("blocks: not sorted, one over another or too long");
    }
}

bool RamBlocks::split(const Fetch& read, std::size_t index, std::vector<Piece>& pieces) const {
    const std::size_t before = pieces.size();
    PhysAddr address = read.address;
    const auto last = [](const RamBlock& b) { return b.interval.last; };
    auto block = std::ranges::lower_bound(blocks_, address, {}, last);
    for (std::size_t done = 0; done < read.to.size(); ++block) {
        if (block == blocks_.end() || address < block->interval.first) {
            pieces.resize(before);
            return false;
        }
        const std::uint64_t skipped = address.value - block->interval.first.value;
        // The last of them, not their number: a block of all 2^64 bytes has none.
        const std::uint64_t last_of_block = block->interval.last.value - address.value;
        const std::size_t length =
            std::min<std::uint64_t>(read.to.size() - done - 1, last_of_block) + 1;
        pieces.push_back({index, block->at + skipped, read.to.subspan(done, length)});
        done += length;
        address.value += length;
        if (done < read.to.size() && address.value == 0) {  // beyond 2^64
            pieces.resize(before);
            return false;
        }
    }
    return true;
}

}  // namespace ptmap
