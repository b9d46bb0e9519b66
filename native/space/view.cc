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
        const auto end_of = [&](const Range& r) { return offset(r.va) + (r.size - 1); };
        auto range = std::ranges::lower_bound(exact_.ranges, first, {}, end_of);
        for (; range != exact_.ranges.end() && offset(range->va) <= last; ++range) {
            gaps_before(offset(range->va));
            if (sink_.full()) break;
            add(*range);
        }
        gaps_before(last + 1);
        sink_.close();  // also where it is full: a range may begin before the gap that was too much
    }

private:
    std::uint64_t offset(VirtAddr va) const { return paging_.offset_of(va); }

    void skip(Gaps& gaps) const {
        const auto end_of = [&](const Gap& g) { return offset(g.va) + (g.size - 1); };
        gaps.at = std::ranges::lower_bound(gaps.from, options_.window.first, {}, end_of) -
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
            const std::uint64_t first = std::max(begins, options_.window.first);
            const std::uint64_t last = std::min(begins + (gap.size - 1), options_.window.last);
            gap.va = paging_.address_of(first);
            gap.size = last - first + 1;
            sink_.gap(next->to, first, std::move(gap));
        }
    }

    void add(const Range& range) {
        const std::uint64_t begin = offset(range.va);
        const std::uint64_t first = std::max(begin, options_.window.first);
        const std::uint64_t last = std::min(begin + (range.size - 1), options_.window.last);
        Run run{shown_[static_cast<unsigned>(range.attributes.rights)],
                {range.pa.value + (first - begin)},
                range.contiguous,
                range.page_sizes};
        run.attributes.global = range.attributes.global;
        run.attributes.type = range.attributes.type;
        sink_.tick().looked(4);
        sink_.emit(first, last - first + 1, run);
    }

    const Paging& paging_;
    const MapOptions& options_;
    const Map& exact_;
    RangeSink sink_;
    Gaps unreadable_, malformed_;
    std::array<Attributes, 8> shown_;
};

}  // namespace

Map view(const Space& space, const Map& exact, const MapOptions& options) {
    Map made{mode_of(space.paging().format()), space.root(), space.tables()};
    made.as = options.as;
    const Window& all = space.window();
    MapOptions within = options;
    within.window = {std::max(options.window.first, all.first),
                     std::min(options.window.last, all.last)};
    const Window& window = within.window;
    if (window.first <= window.last) {
        const bool whole = window.first == all.first && window.last == all.last;
        if (whole && (exact.ram_known || options.ram.empty())) {
            made.pages = exact.pages;
            made.ram_known = !options.ram.empty();
            if (made.ram_known) made.outside_ram = exact.outside_ram;
        } else if (options.counted) {
            count_pages(space, window, within, made);
        }
        if (!whole && options.counted) made.tables = tables_in(space, window);
        Viewer(space.paging(), exact, within, made).run();
    }
    made.truncated |= space.cut();
    return made;
}

std::size_t tables_in(const Space& space, const Window& window) {
    struct Part {
        std::uint32_t node;
        Window needed;
    };
    std::unordered_set<std::uint32_t> tables;
    std::vector<Part> level{{0, window}};
    // As the scan does: all paths to a level's tables come from the level above.
    while (!level.empty()) {
        std::vector<Part> below;
        std::unordered_map<std::uint32_t, std::size_t> place;
        for (const Part& part : level) {
            const Node& node = space.node(part.node);
            if (!node.readable) continue;
            tables.insert(node.bytes);
            const PagingLevel& rows = space.level(node);
            const std::uint64_t span = rows.entry_span();
            for (const Node::Child& child : node.children) {
                const std::uint64_t begin = child.index * span;
                if (begin > part.needed.last || begin + (span - 1) < part.needed.first) continue;
                const Window inner{std::max(part.needed.first, begin) - begin,
                                   std::min(part.needed.last, begin + (span - 1)) - begin};
                const auto [known, fresh] = place.try_emplace(child.node, below.size());
                if (fresh) {
                    below.push_back({child.node, inner});
                } else {
                    Window& needed = below[known->second].needed;
                    needed = {std::min(needed.first, inner.first),
                              std::max(needed.last, inner.last)};
                }
            }
        }
        level = std::move(below);
    }
    return tables.size();
}

}  // namespace ptmap
