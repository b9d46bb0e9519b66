#include "space/split.h"

#include <algorithm>

#include "space/overview.h"

namespace ptmap {

std::optional<VirtAddr> split(const Map& map) {
    // Bytes on the wrong side: the supervisor's before a range, and the user's from it on.
    std::uint64_t total = 0, wrong = 0;
    const auto is_user = [](const Range& r) { return has(r.attributes.rights, Rights::user); };
    for (const Range& r : map.ranges) {
        total += r.size;
        if (is_user(r)) wrong += r.size;
    }
    std::uint64_t least = total / 16 + 1;
    std::optional<VirtAddr> best;
    bool user_below = false;
    for (const Range& r : map.ranges) {
        if (is_user(r)) {
            user_below = true;
            wrong -= r.size;
            continue;
        }
        if (user_below && wrong < least) {
            least = wrong;
            best = r.va;
        }
        wrong += r.size;
    }
    return best;
}

std::optional<VirtAddr> split_of(const Paging& paging, const Map& map) {
    const auto va = split(map);
    if (!va) return std::nullopt;
    const PagingLevel& directory = paging.levels()[paging.levels().size() - 2];
    return VirtAddr{va->value & ~(directory.entry_span() - 1)};
}

std::optional<VirtAddr> supervisor_part(const Paging& paging, const Map& map) {
    if (const auto begins = split_of(paging, map)) return begins;
    const auto is_user = [](const Range& r) { return has(r.attributes.rights, Rights::user); };
    if (std::ranges::any_of(map.ranges, is_user)) return std::nullopt;
    return VirtAddr{0};
}

std::optional<KptiShare> kpti_share(const Map& kernel, const Map& user, const Pulse& pulse) {
    if (!kernel.unreadable.empty() || !user.unreadable.empty()) return std::nullopt;
    const Common all = common(kernel, kernel, pulse), same = common(kernel, user, pulse);
    return KptiShare{all.bytes, all.frames, same.bytes, same.frames};
}

}  // namespace ptmap
