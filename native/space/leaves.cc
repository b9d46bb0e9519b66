#include "space/leaves.h"

#include "paging/traversal.h"

namespace ptmap {
namespace {

class Collector {
public:
    Collector(const Tables& tables, std::size_t limit, Leaves& leaves, Ticker& tick)
        : tables_(tables), limit_(limit), leaves_(leaves), tick_(tick), seen_(tables.nodes()) {}

    // Only once, on the first path that lets the user through.
    bool enters(std::uint32_t n, Rights path) {
        if (!has(path, Rights::user) || seen_[n]) return false;
        return seen_[n] = true;
    }

    void take(std::uint64_t base, const Entries& entries, const Interval&) {
        if (entries.kind != Kind::page) return;
        const std::uint64_t size = entries.level.entry_span();
        const EntryRules& rules = entries.level.page;
        const Rights own = rules.rights(entries.raw);
        if (!has(own, Rights::user | Rights::exec)) return;
        for (unsigned i = entries.first; i < entries.end && !done(); ++i) {
            tick_();
            add_to<Leaf>(leaves_.found, {tables_.paging().address_of(base + i * size), size,
                                         rules.target(tables_.entry(entries.node, i)),
                                         has(entries.rights(), Rights::write)});
        }
    }

    void unreadable(std::uint64_t, const Node&, const Interval&) { ++leaves_.unreadable; }
    bool done() const { return leaves_.found.size() > limit_; }

private:
    const Tables& tables_;
    const std::size_t limit_;
    Leaves& leaves_;
    Ticker& tick_;
    std::vector<bool> seen_;
};

}  // namespace

Leaves user_executable(const Paging& paging, PhysAddr root, PhysicalMemory& memory,
                       const LeafLimits& limits, const Pulse& pulse) {
    return user_executable(scan(paging, root, memory, {}, limits.tables, Reach::user, pulse),
                           limits.leaves, pulse);
}

Leaves user_executable(const Tables& tables, std::size_t max_leaves, const Pulse& pulse) {
    Leaves leaves;
    Ticker tick(pulse);
    Collector collector(tables, max_leaves, leaves, tick);
    Traversal(tables, collector, tick).run(tables.window());
    leaves.cut = tables.cut();
    if (leaves.found.size() > max_leaves) {
        leaves.found.pop_back();
        leaves.cut = true;
    }
    return leaves;
}

}  // namespace ptmap
