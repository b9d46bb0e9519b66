#include "space/query.h"

#include <algorithm>

#include "arch/formats.h"

namespace ptmap {
namespace {

constexpr std::uint64_t top = ~std::uint64_t{0};

// The last address of a Range or a Gap; it may be 2^64-1.
constexpr auto last_of = [](const auto& one) { return one.interval().last; };

// The first element of a list that ends at or behind an address.
template <typename List>
auto from(const List& list, VirtAddr va) {
    return std::ranges::lower_bound(list, va, {}, last_of);
}

Range cut(Range range, const VirtInterval& interval) {
    const VirtInterval part = intersection(range.interval(), interval);
    range.pa.value += part.first.value - range.va.value;
    range.va = part.first;
    range.size = part.size();
    return range;
}

// The gaps of tables that could not be read. An unreadable root is a gap in both halves of a
// canonical space; here that is two gaps.
class Unreadable {
public:
    explicit Unreadable(const Map& map) : gaps_(&map.unreadable) {
        const Format& format = format_of(map.mode);
        const std::uint64_t half = std::uint64_t{1} << (format.va_bits - 1);
        if (!format.canonical || gaps_->empty() || gaps_->front().size <= half) return;
        halves_.assign(2, gaps_->front());
        halves_[0].size = halves_[1].size = half;
        halves_[1].va = VirtAddr{-half};
        gaps_ = &halves_;
    }
    Unreadable(const Unreadable&) = delete;
    const std::vector<Gap>& gaps() const { return *gaps_; }

private:
    std::vector<Gap> halves_;
    const std::vector<Gap>* gaps_;
};

// The last address that a map knows; nothing if it knows none. A table that a limit leaves unread
// is a gap like any other.
std::optional<VirtAddr> last_known(const Map& map) {
    if (!map.end) return VirtAddr{top};
    if (map.end->value == 0) return {};
    return VirtAddr{map.end->value - 1};
}

}  // namespace

const Range* range_at(const Map& map, VirtAddr va) {
    const auto found = from(map.ranges, va);
    return found != map.ranges.end() && found->va <= va ? &*found : nullptr;
}

const Range* last_user_write(const Map& map, VirtAddr first, VirtAddr end) {
    for (auto r = map.ranges.rbegin(); r != map.ranges.rend(); ++r)
        if (first <= r->va && r->va < end &&
            has(r->attributes.rights, Rights::user | Rights::write))
            return &*r;
    return nullptr;
}

std::optional<VirtInterval> user_write_around(const Map& map, VirtAddr va, std::uint64_t hole) {
    const auto writes = [](const Range& r) {
        return has(r.attributes.rights, Rights::user | Rights::write);
    };
    const Range* range = range_at(map, va);
    if (!range || !writes(*range)) return {};
    const auto end_of = [](const Range& r) { return r.va.value + r.size; };
    std::uint64_t start = range->va.value, end = end_of(*range);
    const std::size_t at = range - map.ranges.data();
    for (std::size_t i = at; i-- > 0 && start - end_of(map.ranges[i]) <= hole;)
        if (writes(map.ranges[i])) start = map.ranges[i].va.value;
    for (std::size_t i = at + 1; i < map.ranges.size() && map.ranges[i].va.value - end <= hole; ++i)
        if (writes(map.ranges[i])) end = end_of(map.ranges[i]);
    return VirtInterval{{start}, {end - 1}};
}

Matches matches(const Map& map, const VirtInterval& interval, std::span<const Wanted> wanted,
                Truth asked, const Pulse& pulse) {
    Matches found;
    Ticker tick(pulse);
    for (auto r = from(map.ranges, interval.first); r != map.ranges.end() && r->va <= interval.last;
         ++r) {
        tick(1 + wanted.size());
        if (truth(wanted, r->attributes, r->page_sizes) != asked) continue;
        if (found.count++ == 0) found.first = cut(*r, interval);
    }
    return found;
}

std::optional<VirtAddr> first_hole(const Map& map, const VirtInterval& interval) {
    auto range = from(map.ranges, interval.first);
    const Unreadable tables(map);
    auto unreadable = from(tables.gaps(), interval.first);
    auto malformed = from(map.malformed, interval.first);
    VirtAddr at = interval.first;
    // Whether the next element of a list covers `at`; if so `at` moves behind it. They never
    // overlap.
    bool full = false;
    const auto covers = [&](auto& next, const auto& list) {
        if (next == list.end() || next->va > at) return false;
        const VirtAddr last = last_of(*next++);
        full = last >= interval.last;
        at = VirtAddr{last.value + 1};
        return true;
    };
    while (covers(range, map.ranges) || covers(unreadable, tables.gaps()) ||
           covers(malformed, map.malformed))
        if (full) return {};
    const auto known = last_known(map);
    return known && at <= *known ? std::optional(at) : std::nullopt;
}

Unknown unknown(const Map& map, const VirtInterval& interval) {
    Unknown found;
    const auto count = [&](const std::vector<Gap>& gaps, bool malformed) {
        const auto begin = from(gaps, interval.first);
        const auto end = std::ranges::upper_bound(gaps, interval.last, {}, &Gap::va);
        if (begin >= end) return;
        found.count += static_cast<std::size_t>(end - begin);
        if (found.first && found.first->va <= begin->va) return;
        found.first = *begin;
        found.malformed = malformed;
    };
    const Unreadable tables(map);
    count(tables.gaps(), false);
    count(map.malformed, true);
    const auto known = last_known(map);
    found.truncated = !known || *known < interval.last;
    return found;
}

}  // namespace ptmap
