#include "paging/linear_memory.h"

#include <algorithm>

#include "paging/hex.h"
#include "paging/walk.h"

namespace ptmap {
namespace {

constexpr std::uint64_t offset_in_page = bits(0, 12);

}  // namespace

std::optional<PhysAddr> LinearMemory::translate(VirtAddr va) {
    for (const Known& known : known_)
        if (va.value - known.first.value < known.size)
            return PhysAddr{known.pa.value + (va.value - known.first.value)};
    const VirtAddr page{va.value & ~offset_in_page};
    auto found = frames_.find(page.value);
    if (found == frames_.end()) {
        const Walk walked = walk(paging_, root_, page, memory_);
        if (walked.outcome != Outcome::mapped) return std::nullopt;
        found = frames_.emplace(page.value, walked.pa).first;
    }
    return PhysAddr{found->second.value + (va.value & offset_in_page)};
}

std::string LinearMemory::why_unread(VirtAddr va, std::span<std::byte> to) {
    std::vector<Fetch> reads;
    for (VirtAddr at = va; !to.empty();) {
        const auto pa = translate(at);
        // The address wrapped around: 0 does not follow the last address.
        if (!pa || at < va)
            return hex(at.value) + " is not mapped below the root " + hex(root_.value);
        const std::size_t size =
            std::min<std::uint64_t>(to.size(), offset_in_page + 1 - (at.value & offset_in_page));
        reads.push_back({*pa, to.first(size)});
        to = to.subspan(size);
        at.value += size;
    }
    if (reads.empty()) return {};
    memory_.fetch(reads);
    const auto failed = std::ranges::find(reads, false, &Fetch::ok);
    if (failed == reads.end()) return {};
    return hex(va.value) + " (physical " + hex(failed->address.value) +
           ") cannot be read: " + failed->why;
}

}  // namespace ptmap
