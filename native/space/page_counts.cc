#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "paging/traversal.h"
#include "space/range_sink.h"

namespace ptmap {
namespace {

struct Counts {
    PageCounts pages;
    std::uint64_t outside_ram = 0;

    Counts& operator+=(const Counts& more) {
        pages += more.pages;
        outside_ram += more.outside_ram;
        return *this;
    }
};

// Counts pages by address: a table that a million entries name counts a million times, but is
// looked at once.
class PageCounter {
public:
    using Value = Counts;
    static constexpr bool by_rights = false;
    static constexpr Parts parts = Parts::none;

    PageCounter(const Tables& tables, std::span<const PhysInterval> ram, Ticker& tick)
        : tables_(tables), ram_(ram), tick_(tick) {}

    Counts sum;

    bool asks(const Node& node, const Interval& part) const {
        return is_whole(tables_.level(node), part);
    }
    bool settles(const Counts&, std::uint64_t) const { return true; }
    std::optional<Counts> value_of_unreadable() const { return Counts{}; }

    bool add(Counts& to, const Entries& entries) {
        if (entries.kind != Kind::page) return true;
        const std::uint64_t size = entries.level.entry_span();
        to.pages[entries.level.level->shift] += entries.end - entries.first;
        if (ram_.empty() || are_in_ram(entries.frames)) return true;
        for (unsigned i = entries.first; i < entries.end; ++i)
            to.outside_ram +=
                is_outside(entries.level.page.target(tables_.entry(entries.node, i)), size);
        return true;
    }
    bool add(Counts& to, const Counts& counts, std::uint64_t) const {
        to += counts;
        return true;
    }

    void take(std::uint64_t, const Counts& counts) { sum += counts; }
    void take(std::uint64_t, const Entries& entries, const Interval&) { add(sum, entries); }
    void unreadable(std::uint64_t, const Node&, const Interval&) {}
    bool done() const { return false; }

private:
    // Whether all of these begin in one block of RAM, for certain.
    bool are_in_ram(const Frames& frames) {
        const PhysInterval& begin_in = frames.begin_in;
        if (last_ && last_->contains(begin_in.first)) return last_->contains(begin_in.last);
        tick_.looked(16);
        const auto block = std::ranges::lower_bound(ram_, begin_in.first, {}, &PhysInterval::last);
        if (block == ram_.end() || !block->contains(begin_in.first)) return false;
        last_ = &*block;
        return last_->contains(begin_in.last);
    }

    // Whether no byte of a page is RAM.
    bool is_outside(PhysAddr page, std::uint64_t size) {
        // Nearly always it is in the same part of RAM as the page before.
        if (last_ && last_->contains(page)) return false;
        tick_.looked(16);
        const auto next = std::ranges::lower_bound(ram_, page, {}, &PhysInterval::last);
        if (next == ram_.end() || next->first.value >= page.value + size) return true;
        last_ = &*next;
        return false;
    }

    const Tables& tables_;
    std::span<const PhysInterval> ram_;
    Ticker& tick_;
    const PhysInterval* last_ = nullptr;  // that a page was found in
};

}  // namespace

void count_pages(const Tables& tables, const Interval& window, const MapOptions& options,
                 Map& map) {
    Ticker tick(options.pulse);
    PageCounter counter(tables, options.ram, tick);
    Traversal(tables, counter, tick).run(window);
    map.pages = counter.sum.pages;
    map.ram_known = !options.ram.empty();
    map.outside_ram = counter.sum.outside_ram;
}

}  // namespace ptmap
