#include "core/pages.h"

#include <algorithm>

namespace ptmap {
namespace {

class Collector {
public:
    Collector(const Space& space, std::size_t limit, const Pulse& pulse, Pages& pages)
        : space_(space), limit_(limit), tick_(pulse), pages_(pages), below_(space.nodes()) {}

    // The entries in `part` (offsets inside the table) of a node that lies at offset `base`.
    void visit(std::uint32_t n, std::uint64_t base, const Window& part, Rights path) {
        if (!leads_to_pages(n)) return;
        const Node& node = space_.node(n);
        const PagingLevel& level = space_.level(node);
        const std::uint64_t span = level.entry_span();
        for (unsigned i = level.index(part.first); i <= level.index(part.last); ++i) {
            tick_();
            const std::uint64_t raw = space_.entry(node, i), begin = i * span;
            const Kind kind = level.kind(raw);
            if (kind != Kind::page && kind != Kind::table) continue;
            const Rights rights = path & level.rules(raw).rights(raw);
            if (kind == Kind::table) {
                visit(space_.child_index(node, i), base + begin,
                      {std::max(part.first, begin) - begin,
                       std::min(part.last, begin + span - 1) - begin},
                      rights);
            } else if (pages_.found.size() < limit_) {
                pages_.found.push_back({space_.paging().address_of(base + begin), span,
                                        level.page.target(raw), raw, rights,
                                        (raw & level.page.global) != 0});
            } else {
                pages_.cut = true;
            }
            if (pages_.cut) return;
        }
    }

private:
    // Whether there is a page on any path that a node begins.
    bool leads_to_pages(std::uint32_t n) {
        if (below_[n] != unknown) return below_[n] == some;
        const Node& node = space_.node(n);
        below_[n] = none;
        if (!node.readable) return false;
        const PagingLevel& level = space_.level(node);
        for (unsigned i = level.index(node.needed.first); i <= level.index(node.needed.last); ++i) {
            tick_();
            const Kind kind = level.kind(space_.entry(node, i));
            if (kind == Kind::page ||
                (kind == Kind::table && leads_to_pages(space_.child_index(node, i)))) {
                below_[n] = some;
                return true;
            }
        }
        return false;
    }

    enum Below : std::uint8_t { unknown, none, some };

    const Space& space_;
    const std::size_t limit_;
    Ticker tick_;
    Pages& pages_;
    std::vector<Below> below_;
};

}  // namespace

Pages pages(const Space& space, const Window& window, std::size_t limit, const Pulse& pulse) {
    Pages pages;
    const Window part{std::max(window.first, space.window().first),
                      std::min(window.last, space.window().last)};
    if (part.first <= part.last)
        Collector(space, limit, pulse, pages).visit(0, 0, part, Rights::all);
    return pages;
}

}  // namespace ptmap
