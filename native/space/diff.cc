#include "space/diff.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <optional>
#include <utility>

#include "arch/formats.h"
#include "paging/disposal.h"

namespace ptmap {
namespace {

// Converts linear addresses of a mode to offsets, as Paging does. In offsets both halves of a space
// lie side by side, and an unreadable root is one gap.
struct Offsets {
    explicit Offsets(Mode mode)
        : top(bits(0, format_of(mode).va_bits)),
          upper(format_of(mode).canonical ? top / 2 + 1 : 0) {}

    std::uint64_t of(VirtAddr va) const { return va.value & top; }
    VirtAddr address(std::uint64_t offset) const {
        return {upper && offset >= upper ? offset | ~top : offset};
    }

    std::uint64_t top;    // the last one
    std::uint64_t upper;  // where the upper part begins, 0 for none
};

// What a map says about an offset, and the last offset for which it says the same.
struct Piece {
    enum : std::uint8_t { nothing, range, unknown } is;
    std::uint64_t last;
    const Range* pages = nullptr;
};

// Goes through a map by rising offset.
class Cursor {
public:
    Cursor(const Map& map, const Offsets& offsets) : map_(map), offsets_(offsets) {
        if (map.end) end_ = offsets.of(*map.end);
    }

    Piece at(std::uint64_t offset) {
        std::uint64_t next = offsets_.top;
        if (end_ && offset >= *end_) return {Piece::unknown, next};
        if (end_) next = *end_ - 1;
        for (auto* gaps : {&unreadable_, &malformed_})
            if (const Gap* gap = gaps->at(offset, offsets_, next))
                return {Piece::unknown, offsets_.of(gap->va) + (gap->size - 1)};
        if (const Range* r = ranges_.at(offset, offsets_, next))
            return {Piece::range, std::min(next, offsets_.of(r->va) + (r->size - 1)), r};
        return {Piece::nothing, next};
    }

private:
    // A sorted list and the number of elements already passed.
    template <typename Element>
    struct List {
        const std::vector<Element>& all;
        std::size_t index = 0;

        // The element that holds `offset`. If there is none, `next` becomes the beginning of the
        // next one, if that is before it.
        const Element* at(std::uint64_t offset, const Offsets& offsets, std::uint64_t& next) {
            while (index < all.size() && offsets.of(all[index].va) + (all[index].size - 1) < offset)
                ++index;
            if (index == all.size()) return nullptr;
            const std::uint64_t first = offsets.of(all[index].va);
            if (first <= offset) return &all[index];
            next = std::min(next, first - 1);
            return nullptr;
        }
    };

    const Map& map_;
    const Offsets& offsets_;
    std::optional<std::uint64_t> end_;
    List<Range> ranges_{map_.ranges};
    List<Gap> unreadable_{map_.unreadable}, malformed_{map_.malformed};
};

// The part of a range from `va` on.
Side side(const Range* r, VirtAddr va) {
    if (!r) return {};
    return {{r->pa.value + (va.value - r->va.value)}, true, r->page_sizes, r->attributes};
}

std::uint8_t changes(const Side& before, const Side& after) {
    const Attributes &a = before.attributes, &b = after.attributes;
    std::uint8_t set = 0;
    if (a.rights != b.rights || a.read != b.read) set |= change_bit(Change::rights);
    if (before.pa != after.pa) set |= change_bit(Change::frame);
    if (before.page_sizes != after.page_sizes) set |= change_bit(Change::page_size);
    if (a.global != b.global) set |= change_bit(Change::global);
    if (a.type != b.type) set |= change_bit(Change::cache);
    return set;
}

// Whether `b`, which follows `a`, is like `a`, frames not considered.
bool alike(const Side& a, const Side& b) {
    return a.attributes == b.attributes && a.page_sizes == b.page_sizes;
}
bool follows(const Side& first, std::uint64_t size, const Side& second) {
    return first.contiguous && first.pa.value + size == second.pa.value;
}

class Differences {
public:
    /// There are at most `most`.
    Differences(const DiffOptions& options, std::size_t most)
        : options_(options), most_(most), tick_(options.pulse) {}

    /// Call it for each stretch that was compared, different or not.
    void looked() { tick_.looked(16); }

    void add(const Difference& next) {
        if (!found_.empty() && join(found_.back(), next)) return;
        tick_();
        add_to(found_, next, most_);
    }

    std::vector<Difference> take() { return std::move(found_); }

private:
    bool join(Difference& last, const Difference& next) const {
        if (last.what != next.what || last.changed != next.changed ||
            last.unknown != next.unknown || last.va.value + last.size != next.va.value ||
            !alike(last.before, next.before) || !alike(last.after, next.after))
            return false;
        const bool before = follows(last.before, last.size, next.before);
        const bool after = follows(last.after, last.size, next.after);
        const bool has_before = last.what == What::gone || last.what == What::changed;
        const bool has_after = last.what == What::added || last.what == What::changed;
        if (options_.split_physical && ((has_before && !before) || (has_after && !after)))
            return false;
        last.before.contiguous = before;
        last.after.contiguous = after;
        last.size += next.size;
        return true;
    }

    const DiffOptions& options_;
    std::size_t most_;
    Ticker tick_;
    Disposed<std::vector<Difference>> found_;
};

}  // namespace

bool is_exact(const Map& map, const Pulse& pulse) {
    Ticker tick(pulse);
    return std::ranges::all_of(map.ranges, [&](const Range& r) {
        tick.looked();
        return r.contiguous && r.page_sizes.is_one() && r.attributes.read;
    });
}

std::vector<Difference> diff(const Map& before, const Map& after, const DiffOptions& options) {
    assert(before.mode == after.mode && is_exact(before) && is_exact(after));
    const Offsets offsets(before.mode);
    Cursor a(before, offsets), b(after, offsets);
    const auto parts = [](const Map& map) {
        return map.ranges.size() + map.unreadable.size() + map.malformed.size() + 2;
    };
    Differences found(options, 2 * (parts(before) + parts(after)));
    for (std::uint64_t offset = 0, last = 0; last < offsets.top; offset = last + 1) {
        found.looked();
        const Piece one = a.at(offset), other = b.at(offset);
        last = std::min({one.last, other.last, offsets.top});
        if (offset < offsets.upper) last = std::min(last, offsets.upper - 1);
        Difference d{offsets.address(offset), last - offset + 1, What::unknown};
        d.unknown = static_cast<std::uint8_t>((one.is == Piece::unknown) |
                                              (other.is == Piece::unknown) << 1);
        if (d.unknown) {
            found.add(d);
            continue;
        }
        if (!one.pages && !other.pages) continue;
        d.before = side(one.pages, d.va);
        d.after = side(other.pages, d.va);
        if (one.pages && other.pages) {
            d.what = What::changed;
            d.changed = changes(d.before, d.after);
            if (!d.changed) continue;
        } else {
            d.what = one.pages ? What::gone : What::added;
        }
        found.add(d);
    }
    return found.take();
}

DiffCounts count(std::span<const Difference> differences, const Pulse& pulse) {
    DiffCounts totals;
    Ticker tick(pulse);
    const auto add = [](DiffCounts::Count& to, const Difference& d) {
        ++to.stretches;
        to.bytes += d.size;
    };
    for (const Difference& d : differences) {
        tick();
        add(totals.what[static_cast<std::size_t>(d.what)], d);
        for (std::size_t i = 0; i < change_names.size(); ++i)
            if (d.changed >> i & 1) add(totals.changed[i], d);
    }
    return totals;
}

}  // namespace ptmap
