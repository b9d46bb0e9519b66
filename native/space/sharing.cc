#include "space/sharing.h"

#include <cassert>
#include <unordered_set>

#include "arch/formats.h"
#include "paging/disposal.h"

namespace ptmap {
namespace {

// Compares the roots' entries of two spaces, index by index.
void compare_roots(const Tables& a, const Tables& b, std::span<const Interval> parts,
                   std::vector<PartShare>& shares) {
    const PagingLevel& level = a.level(a.node(0));
    const auto entry = [](const Tables& tables, unsigned index) -> std::uint64_t {
        const Node& root = tables.node(0);
        const std::uint64_t raw = root.readable ? tables.entry(root, index) : 0;
        return tables.level(root).kind(raw) == Kind::malformed ? 0 : raw;
    };
    for (unsigned i = 0; i < level.entries(); ++i) {
        const std::uint64_t one = entry(a, i), other = entry(b, i), begin = i * level.entry_span();
        if (!((one | other) & 1)) continue;
        for (std::size_t p = 0; p < parts.size(); ++p) {
            if (!parts[p].contains(begin)) continue;
            PartShare& share = shares[p];
            share.before += one & 1;
            share.after += other & 1;
            ++share.either;
            const PagingLevel &la = a.level(a.node(0)), &lb = b.level(b.node(0));
            if (!(one & other & 1) || la.kind(one) != lb.kind(other) ||
                la.rules(one).target(one) != lb.rules(other).target(other))
                continue;
            const bool same = la.rules(one).rights(one) == lb.rules(other).rights(other);
            ++(same ? share.shared : share.other_rights);
        }
    }
}

std::uint64_t key(const Node& node) { return node.table.value << 3 | node.level; }

void count_common(const Tables& a, const Tables& b, const Pulse& pulse, Sharing& sharing) {
    Ticker tick(pulse);
    constexpr std::size_t lookup = 8;
    sharing.levels.resize(a.paging().levels().size());
    std::unordered_set<std::uint64_t> of_a, common;
    for (std::uint32_t n = 0; n < a.nodes(); ++n) {
        tick.looked(lookup);
        if (a.node(n).readable) of_a.insert(key(a.node(n)));
    }
    for (std::uint32_t n = 0; n < b.nodes(); ++n) {
        tick.looked(lookup);
        const Node& node = b.node(n);
        if (!node.readable || !of_a.contains(key(node))) continue;
        ++sharing.levels[node.level];
        common.insert(node.table.value);
    }
    sharing.tables = common.size();
}

// Finds tables that both spaces have at the same address below different root entries.
class Below {
public:
    Below(const Tables& a, const Tables& b, std::size_t max_steps, const Pulse& pulse,
          Sharing& sharing)
        : a_(a), b_(b), left_(max_steps), tick_(pulse), sharing_(sharing) {}

    void run() { visit(0, 0, 0); }

private:
    // Whether two different tables have a table below them in common. Recursion is as deep as
    // levels.
    bool visit(std::uint32_t na, std::uint32_t nb, std::uint64_t base) {
        const Node &one = a_.node(na), &other = b_.node(nb);
        const std::uint64_t span = a_.level(one).entry_span();
        tick_.looked(one.children.size() + other.children.size());
        bool found = false;
        auto there = other.children.begin();
        for (const Node::Child& child : one.children) {
            while (there != other.children.end() && there->index < child.index) ++there;
            if (there == other.children.end()) break;
            if (there->index != child.index) continue;
            if (left_ == 0) {
                sharing_.cut = true;
                return true;
            }
            --left_;
            tick_();
            const std::uint64_t begin = base + child.index * span;
            if (a_.node(child.node).table == b_.node(there->node).table) {
                if (one.level > 0) add(begin, span);
                found = true;
            } else if (!nothing_.contains(pair(child.node, there->node))) {
                if (visit(child.node, there->node, begin))
                    found = true;
                else
                    nothing_.insert(pair(child.node, there->node));
            }
        }
        return found;
    }

    static std::uint64_t pair(std::uint32_t a, std::uint32_t b) {
        return std::uint64_t{a} << 32 | b;
    }

    void add(std::uint64_t offset, std::uint64_t size) {
        const VirtAddr va = a_.paging().address_of(offset);
        std::vector<VirtInterval>& list = sharing_.below;
        const auto next = VirtInterval::of_size(va, size);
        if (!list.empty() && list.back().last.value + 1 == va.value)
            list.back().last = next.last;
        else
            add_to(list, next);
    }

    const Tables &a_, &b_;
    std::size_t left_;
    Ticker tick_;
    Sharing& sharing_;
    Disposed<std::unordered_set<std::uint64_t>>
        nothing_;  // pairs of tables with nothing in common below
};

}  // namespace

Sharing share(const Tables& before, const Tables& after, std::span<const Interval> parts,
              std::size_t max_steps, const Pulse& pulse) {
    assert(mode_of(before.paging().format()) == mode_of(after.paging().format()));
    Sharing sharing;
    sharing.parts.resize(parts.size());
    compare_roots(before, after, parts, sharing.parts);
    count_common(before, after, pulse, sharing);
    Below(before, after, max_steps, pulse, sharing).run();
    return sharing;
}

}  // namespace ptmap
