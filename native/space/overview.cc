#include "space/overview.h"

#include <algorithm>

#include "arch/formats.h"

namespace ptmap {
namespace {

constexpr std::uint64_t wide_hole = std::uint64_t{1} << 40;

// A range, or the part of it that has one label or none.
struct Piece {
    Interval offsets;
    const Range* range;
    const Label* label;
};

class Overview {
public:
    Overview(const Map& map, std::span<const Label> labels, unsigned cells, const Pulse& pulse)
        : format_(format_of(map.mode)), cells_(cells), tick_(pulse) {
        pieces_.reserve(map.ranges.size());
        for (const Range& range : map.ranges) cut(range, labels);
    }

    std::vector<Stretch> rows(std::size_t limit) {
        const std::uint64_t widest = widest_joined_hole(limit);
        std::vector<Stretch> rows;
        std::uint64_t end = 0;  // of the stretch before, or where the part begins
        for (std::size_t first = 0, next; first < pieces_.size(); first = next) {
            for (next = first + 1; next < pieces_.size(); ++next) {
                tick_.looked();
                const Piece &a = pieces_[next - 1], &b = pieces_[next];
                if (!same_label(a, b) && !(may_join(a, b) && hole(a, b) < widest)) break;
            }
            if (is_upper(pieces_[first]) && end < upper()) end = upper();
            rows.push_back(row({&pieces_[first], next - first}, end));
            end = pieces_[next - 1].offsets.last + 1;
        }
        return rows;
    }

private:
    std::uint64_t offset(VirtAddr va) const { return va.value & bits(0, format_.va_bits); }
    std::uint64_t upper() const {
        return format_.canonical ? std::uint64_t{1} << (format_.va_bits - 1) : 0;
    }
    bool is_upper(const Piece& piece) const { return piece.offsets.first >= upper(); }

    void cut(const Range& range, std::span<const Label> labels) {
        tick_();
        // What is not cut off yet; offsets do not wrap.
        auto rest = Interval::of_size(offset(range.va), range.size);
        for (const Label& label : labels_in(labels, range.interval())) {
            const Interval part =
                intersection(rest, {offset(label.interval.first), offset(label.interval.last)});
            if (rest.first < part.first)
                pieces_.push_back({{rest.first, part.first - 1}, &range, nullptr});
            pieces_.push_back({part, &range, &label});
            rest.first = part.last + 1;
        }
        if (!rest.empty()) pieces_.push_back({rest, &range, nullptr});
    }

    // Bytes between one and the next.
    static std::uint64_t hole(const Piece& a, const Piece& b) {
        return b.offsets.first - a.offsets.last - 1;
    }
    bool same_part(const Piece& a, const Piece& b) const { return is_upper(a) == is_upper(b); }
    bool same_label(const Piece& a, const Piece& b) const {
        return a.label && b.label && a.label->name == b.label->name && same_part(a, b);
    }
    bool may_join(const Piece& a, const Piece& b) const {
        return !(a.label && a.label->apart) && !(b.label && b.label->apart) && same_part(a, b);
    }

    // Ranges are joined over holes smaller than this, so that at most `limit` rows are left; or
    // twice as many, before a row hides a hole as wide as from a program to its stack.
    std::uint64_t widest_joined_hole(std::size_t limit) {
        std::vector<std::uint64_t> holes;
        holes.reserve(pieces_.size());
        std::size_t rows = pieces_.empty() ? 0 : 1;
        for (std::size_t i = 1; i < pieces_.size(); ++i) {
            const Piece &a = pieces_[i - 1], &b = pieces_[i];
            tick_.looked();
            if (same_label(a, b)) continue;
            ++rows;
            if (may_join(a, b)) holes.push_back(hole(a, b));
        }
        const auto joins_for = [&](std::size_t most) { return rows - std::min(rows, most); };
        const std::size_t narrow =
            std::ranges::count_if(holes, [](std::uint64_t size) { return size < wide_hole; });
        const std::size_t joins = std::min(
            std::max(std::min(joins_for(limit), narrow), joins_for(2 * limit)), holes.size());
        if (joins == 0) return 0;
        const auto smaller = [&](std::uint64_t a, std::uint64_t b) {
            tick_.looked();
            return a < b;
        };
        std::ranges::nth_element(holes, holes.begin() + static_cast<std::ptrdiff_t>(joins) - 1,
                                 smaller);
        return holes[joins - 1] + 1;
    }

    Stretch row(std::span<const Piece> pieces, std::uint64_t before) {
        const Interval all{pieces.front().offsets.first, pieces.back().offsets.last};
        const std::uint64_t size = all.size();
        constexpr std::uint64_t page = 4096;
        const std::uint64_t cell = ((size + page - 1) / page + cells_ - 1) / cells_ * page;
        Stretch row{.interval = {address(all.first), address(all.last)},
                    .empty = all.first - before};
        row.all_rights = Rights::all;
        row.cells.assign((size + cell - 1) / cell, '.');
        for (const Piece& piece : pieces) {
            tick_.looked(16);
            if (piece.label && (row.labels.empty() || row.labels.back()->name != piece.label->name))
                row.labels.push_back(piece.label);
            row.mapped += piece.offsets.size();
            row.rights = row.rights | piece.range->attributes.rights;
            row.all_rights = row.all_rights & piece.range->attributes.rights;
            row.labelled &= piece.label != nullptr;
            const Interval cells = piece.offsets.from(all.first);
            for (std::uint64_t at = cells.first / cell; at <= cells.last / cell; ++at)
                if (row.cells[at] == '.') row.cells[at] = letter(*piece.range);
        }
        return row;
    }

    VirtAddr address(std::uint64_t at) const {
        return {at >= upper() && upper() ? at | ~bits(0, format_.va_bits) : at};
    }

    static char letter(const Range& range) {
        const Rights rights = range.attributes.rights;
        const bool large = !range.page_sizes.has(12);
        if (!has(rights, Rights::user)) return large ? 'X' : 'x';
        if (!has(rights, Rights::write)) return large ? 'R' : 'r';
        return large ? '*' : '+';
    }

    const Format& format_;
    unsigned cells_;
    Ticker tick_;
    std::vector<Piece> pieces_;
};

}  // namespace

std::vector<Stretch> overview(const Map& map, std::span<const Label> labels, std::size_t rows,
                              unsigned cells, const Pulse& pulse) {
    return Overview(map, labels, std::max(cells, 1u), pulse).rows(rows);
}

Common common(const Map& left, const Map& right, const Pulse& pulse) {
    Common sum;
    Ticker tick(pulse);
    std::vector<PhysInterval> frames;
    for (auto a = left.ranges.begin(), b = right.ranges.begin();
         a != left.ranges.end() && b != right.ranges.end();) {
        tick();
        const VirtInterval in_a = a->interval(), in_b = b->interval();
        const VirtInterval both = intersection(in_a, in_b);
        const PhysAddr pa{a->pa.value + (both.first.value - a->va.value)};
        if (!both.empty() && pa.value == b->pa.value + (both.first.value - b->va.value)) {
            sum.bytes += both.size();
            add_to(frames, PhysInterval::of_size(pa, both.size()));
        }
        if (in_a.last <= in_b.last) ++a;
        if (in_b.last <= in_a.last) ++b;
    }
    sort(frames, &PhysInterval::first, tick);
    PhysInterval uncounted;
    for (const PhysInterval& one : frames) {
        tick.looked();
        const PhysInterval more = intersection(one, uncounted);
        if (more.empty()) continue;
        sum.frames += more.size();
        uncounted.first = {more.last.value + 1};
    }
    return sum;
}

}  // namespace ptmap
