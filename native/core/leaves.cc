#include "core/leaves.h"

#include <algorithm>

namespace ptmap {
namespace {

class Collector {
public:
    Collector(const Space& space, std::size_t limit, Leaves& leaves)
        : space_(space), limit_(limit), leaves_(leaves), seen_(space.nodes()) {}

    // The entries in `part` (offsets inside the table) of a node that lies at offset `base`.
    void visit(std::uint32_t n, std::uint64_t base, const Window& part, bool write) {
        const Node& node = space_.node(n);
        if (seen_[n]) return;
        seen_[n] = true;
        if (!node.readable) {
            ++leaves_.unreadable;
            return;
        }
        const PagingLevel& level = space_.level(node);
        const std::uint64_t span = level.entry_span();
        for (unsigned i = level.index(part.first); i <= level.index(part.last); ++i) {
            const std::uint64_t raw = space_.entry(node, i), begin = i * span;
            const Kind kind = level.kind(raw);
            if (kind != Kind::table && kind != Kind::page) continue;
            if (leaves_.found.size() > limit_) return;
            const Rights rights = level.rules(raw).rights(raw);
            if (!has(rights, Rights::user)) continue;
            const bool writes = write && has(rights, Rights::write);
            if (kind == Kind::table)
                visit(space_.child_index(node, i), base + begin,
                      {std::max(part.first, begin) - begin,
                       std::min(part.last, begin + span - 1) - begin},
                      writes);
            else if (has(rights, Rights::exec))
                leaves_.found.push_back({space_.paging().address_of(base + begin), span,
                                         level.page.target(raw), writes});
        }
    }

private:
    const Space& space_;
    const std::size_t limit_;
    Leaves& leaves_;
    std::vector<bool> seen_;
};

}  // namespace

Leaves user_executable(const Paging& paging, PhysAddr root, PhysicalMemory& memory,
                       const LeafLimits& limits) {
    const Space space = scan(paging, root, memory, {}, limits.tables, Reach::user);
    Leaves leaves;
    Collector(space, limits.leaves, leaves).visit(0, 0, space.window(), true);
    leaves.cut = space.cut();
    if (leaves.found.size() > limits.leaves) {
        leaves.found.pop_back();
        leaves.cut = true;
    }
    return leaves;
}

}  // namespace ptmap
