#include "space/view.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "arch/formats.h"
#include "space/range_sink.h"

namespace ptmap {
namespace {

// Gaps of one kind by rising offset.
struct Gaps {
    const std::vector<Gap>& from;
    std::vector<Gap>& to;
    std::size_t at = 0;
};

class Viewer {
public:
    Viewer(const Paging& paging, const Map& exact, const MapOptions& options, Map& made)
        : paging_(paging),
          options_(options),
          exact_(exact),
          sink_(paging, options, made),
          unreadable_{exact.unreadable, made.unreadable, 0},
          malformed_{exact.malformed, made.malformed, 0} {
        for (unsigned r = 0; r < shown_.size(); ++r)
            shown_[r] = shown_as(paging, options, static_cast<Rights>(r));
    }

    void run() {
        const std::uint64_t first = options_.window.first, last = options_.window.last;
        skip(unreadable_);
        skip(malformed_);
        const auto last_of = [&](const Range& r) { return offsets(r).last; };
        auto range = std::ranges::lower_bound(exact_.ranges, first, {}, last_of);
        for (; range != exact_.ranges.end() && offset(range->va) <= last; ++range) {
            gaps_before(offset(range->va));
            if (sink_.full()) break;
            add(*range);
        }
        gaps_before(last + 1);
        sink_.close();  // even if it is full: a range may begin before the gap that was too much
    }

private:
    std::uint64_t offset(VirtAddr va) const { return paging_.offset_of(va); }
    // Of a Range or a Gap.
    Interval offsets(const auto& one) const { return Interval::of_size(offset(one.va), one.size); }

    void skip(Gaps& gaps) const {
        const auto last_of = [&](const Gap& g) { return offsets(g).last; };
        gaps.at = std::ranges::lower_bound(gaps.from, options_.window.first, {}, last_of) -
                  gaps.from.begin();
    }

    // Gaps of both kinds that begin before an offset, in turn.
    void gaps_before(std::uint64_t end) {
        while (!sink_.full()) {
            Gaps* next = nullptr;
            std::uint64_t begins = std::min(end, options_.window.last + 1);
            for (Gaps* gaps : {&unreadable_, &malformed_}) {
                if (gaps->at == gaps->from.size()) continue;
                const std::uint64_t at = offset(gaps->from[gaps->at].va);
                if (at < begins) begins = at, next = gaps;
            }
            if (!next) return;
            Gap gap = next->from[next->at++];
            const Interval cut = intersection(options_.window, Interval::of_size(begins, gap.size));
            gap.va = paging_.address_of(cut.first);
            gap.size = cut.size();
            sink_.gap(next->to, cut.first, std::move(gap));
        }
    }

    void add(const Range& range) {
        const Interval all = offsets(range), cut = intersection(options_.window, all);
        Run run{shown_[static_cast<unsigned>(range.attributes.rights)],
                {range.pa.value + (cut.first - all.first)},
                range.contiguous,
                range.page_sizes};
        run.attributes.global = range.attributes.global;
        run.attributes.type = range.attributes.type;
        sink_.tick().looked(4);
        sink_.emit(cut.first, cut.size(), run);
    }

    const Paging& paging_;
    const MapOptions& options_;
    const Map& exact_;
    RangeSink sink_;
    Gaps unreadable_, malformed_;
    std::array<Attributes, 8> shown_;
};

}  // namespace

Map view(const Tables& tables, const Map& exact, const MapOptions& options) {
    Map made{mode_of(tables.paging().format()), tables.root(), tables.count()};
    made.as = options.as;
    const Interval& all = tables.window();
    MapOptions within = options;
    within.window = intersection(options.window, all);
    const Interval& window = within.window;
    if (!window.empty()) {
        const bool whole = window == all;
        if (whole && (exact.ram_known || options.ram.empty())) {
            made.pages = exact.pages;
            made.ram_known = !options.ram.empty();
            if (made.ram_known) made.outside_ram = exact.outside_ram;
        } else if (options.counted) {
            count_pages(tables, window, within, made);
        }
        if (!whole && options.counted) made.tables = tables_in(tables, window);
        Viewer(tables.paging(), exact, within, made).run();
    }
    made.truncated |= tables.cut();
    return made;
}

std::size_t tables_in(const Tables& tables, const Interval& window) {
    struct Part {
        std::uint32_t node;
        Interval needed;
    };
    std::unordered_set<std::uint32_t> distinct;
    std::vector<Part> level{{0, window}};
    // Level by level, as the scan: all paths to a level's tables come from the level above.
    while (!level.empty()) {
        std::vector<Part> below;
        std::unordered_map<std::uint32_t, std::size_t> place;
        for (const Part& part : level) {
            const Node& node = tables.node(part.node);
            if (!node.readable) continue;
            distinct.insert(node.bytes);
            const PagingLevel& rows = tables.level(node);
            const std::uint64_t span = rows.entry_span();
            for (const Node::Child& child : node.children) {
                const auto its_part = Interval::of_size(child.index * span, span);
                if (!part.needed.overlaps(its_part)) continue;
                const Interval inner = intersection(part.needed, its_part).from(its_part.first);
                const auto [known, fresh] = place.try_emplace(child.node, below.size());
                if (fresh) {
                    below.push_back({child.node, inner});
                } else {
                    Interval& needed = below[known->second].needed;
                    needed = around(needed, inner);
                }
            }
        }
        level = std::move(below);
    }
    return distinct.size();
}

}  // namespace ptmap
