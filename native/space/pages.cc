#include "space/pages.h"

#include <optional>

#include "paging/traversal.h"

namespace ptmap {
namespace {

class Collector {
public:
    struct Value {
        bool any = false;  // a page is below: then the table is entered
    };
    static constexpr bool by_rights = false;
    static constexpr Parts parts = Parts::of_all;

    Collector(const Tables& tables, std::size_t limit, Pages& pages, Ticker& tick)
        : tables_(tables), limit_(limit), pages_(pages), tick_(tick) {}

    bool asks(const Node& node, const Interval& part) const {
        return is_whole(tables_.level(node), part);
    }
    bool is_nothing(const Value& value) const { return !value.any; }
    bool settles(const Value& value, std::uint64_t) const { return is_nothing(value); }
    std::optional<Value> value_of_unreadable() const { return Value{}; }
    bool add(Value& sum, const Entries& entries) const {
        sum.any |= entries.kind == Kind::page;
        return true;
    }
    bool add(Value& sum, const Value& value, std::uint64_t) const {
        sum.any |= value.any;
        return true;
    }

    void take(std::uint64_t, const Value&) {}
    void take(std::uint64_t base, const Entries& entries, const Interval& part) {
        if (entries.kind != Kind::page) return;
        const PagingLevel& level = entries.level;
        const std::uint64_t size = level.entry_span();
        for (unsigned i = level.index(part.first); i <= level.index(part.last); ++i) {
            if (pages_.found.size() == limit_) {
                pages_.cut = true;
                return;
            }
            tick_();
            const std::uint64_t raw = tables_.entry(entries.node, i);
            add_to<Page>(pages_.found, {tables_.paging().address_of(base + i * size), size,
                                        level.page.target(raw), raw, entries.rights(),
                                        (raw & level.page.global) != 0});
        }
    }
    void unreadable(std::uint64_t, const Node&, const Interval&) {}
    bool done() const { return pages_.cut; }

private:
    const Tables& tables_;
    const std::size_t limit_;
    Pages& pages_;
    Ticker& tick_;
};

}  // namespace

Pages pages(const Tables& tables, const Interval& window, std::size_t limit, const Pulse& pulse) {
    Pages pages;
    const Interval part = intersection(window, tables.window());
    if (part.empty()) return pages;
    Ticker tick(pulse);
    Collector collector(tables, limit, pages, tick);
    Traversal(tables, collector, tick).run(part);
    return pages;
}

}  // namespace ptmap
