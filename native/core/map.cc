#include "core/map.h"

#include <algorithm>
#include <cassert>
#include <span>

namespace ptmap {
namespace {

struct PageCounts {
    std::array<std::uint64_t, 4> pages{};
    std::uint64_t outside_ram = 0;

    PageCounts& operator+=(const PageCounts& more) {
        for (std::size_t size = 0; size < pages.size(); ++size) pages[size] += more.pages[size];
        outside_ram += more.outside_ram;
        return *this;
    }
};

// Pages below each node, by size. Counted through the graph, so that a table shared by a million
// entries costs as much as one.
class PageCounter {
public:
    PageCounter(const Space& space, std::span<const PhysSpan> ram)
        : space_(space), ram_(ram), below_(space.nodes()) {
        // Children come after their parents.
        for (std::size_t n = space.nodes(); n-- > 0;) {
            const Node& node = space.node(static_cast<std::uint32_t>(n));
            below_[n] = count(node, node.needed);
        }
    }

    PageCounts count(const Node& node, const Window& part) {
        PageCounts sum{};
        if (!node.readable) return sum;
        const PagingLevel& level = space_.level(node);
        const std::uint64_t span = level.entry_span();
        const unsigned end = level.index(part.last) + 1;
        for (unsigned i = level.index(part.first), after; i < end; i = after) {
            after = space_.end_of_run(node, i, end);
            const Kind kind = level.kind(space_.entry(node, i));
            if (kind == Kind::page) {
                sum.pages[page_size_index(span)] += after - i;
                for (unsigned page = i; page < after; ++page)
                    sum.outside_ram +=
                        is_outside(level.page.target(space_.entry(node, page)), span);
            }
            if (kind != Kind::table) continue;
            const std::uint32_t child = space_.child_index(node, i);
            const Window inner{std::max(part.first, i * span) - i * span,
                               std::min(part.last, i * span + span - 1) - i * span};
            const bool whole = inner.first == 0 && inner.last == span - 1;
            sum += whole ? below_[child] : count(space_.node(child), inner);
        }
        return sum;
    }

private:
    // Whether no byte of a page is RAM, as far as RAM is known.
    bool is_outside(PhysAddr page, std::uint64_t size) {
        // Nearly always where the one before was.
        if (last_ && last_->first <= page && page <= last_->last) return false;
        const auto next = std::ranges::lower_bound(ram_, page, {}, &PhysSpan::last);
        if (next == ram_.end() || next->first.value >= page.value + size) return !ram_.empty();
        last_ = &*next;
        return false;
    }

    const Space& space_;
    std::span<const PhysSpan> ram_;
    const PhysSpan* last_ = nullptr;  // that a page was found in
    std::vector<PageCounts> below_;
};

// Pages with equal attributes, without their place.
struct Run {
    Attributes attributes;
    PhysAddr pa;
    bool contiguous = true;
    std::uint8_t page_sizes = 0;
};

bool follows(const Run& first, std::uint64_t first_size, const Run& second) {
    return first.contiguous && second.contiguous && first.pa.value + first_size == second.pa.value;
}

class MapBuilder {
public:
    MapBuilder(const Space& space, const MapOptions& options, Map& map)
        : space_(space),
          options_(options),
          map_(map),
          tick_(options.pulse),
          uniform_(space.nodes()) {
        for (unsigned r = 0; r < shown_.size(); ++r) shown_[r] = shown(static_cast<Rights>(r));
    }

    void run(const Window& window) {
        visit(0, 0, window, Rights::all);
        close();
    }

private:
    // What a table is as a whole, under the rights of a path to it.
    struct Uniform {
        enum : std::uint8_t { unknown, mixed, hole, run } is = unknown;
        Run pages;
    };

    // The attributes that path rights show as; global and type are filled in per page.
    Attributes shown(Rights path) const {
        if (!options_.as) return {path};
        const auto may = [&](Access access) {
            return decide(path, space_.paging().registers(), options_.ac, access, *options_.as) ==
                   Reason::allowed;
        };
        Rights rights = path & Rights::user;
        if (may(Access::write)) rights = rights | Rights::write;
        if (may(Access::fetch)) rights = rights | Rights::exec;
        return {rights, may(Access::read)};
    }

    Run page(const PagingLevel& level, std::uint64_t raw, Rights path) const {
        const EntryRules& rules = level.page;
        Run run{shown_[static_cast<unsigned>(path & rules.rights(raw))], rules.target(raw), true,
                static_cast<std::uint8_t>(1u << page_size_index(level.entry_span()))};
        run.attributes.global = raw & rules.global;
        run.attributes.type = options_.types[rules.cache_slot(raw)];
        return run;
    }

    const Uniform& uniform(std::uint32_t n, Rights path) {
        Uniform& known = uniform_[n][static_cast<unsigned>(path)];
        if (known.is == Uniform::unknown) known = work_out(space_.node(n), path);
        return known;
    }

    Uniform work_out(const Node& node, Rights path) {
        if (!node.readable) return {Uniform::mixed, {}};
        const PagingLevel& level = space_.level(node);
        Uniform whole;
        for (unsigned i = 0, after; i < level.entries(); i = after) {
            after = space_.end_of_run(node, i, level.entries());
            const std::uint64_t raw = space_.entry(node, i);
            Uniform part{Uniform::hole, {}};
            switch (level.kind(raw)) {
                case Kind::not_present: break;
                case Kind::malformed: return {Uniform::mixed, {}};
                case Kind::page:
                    part = {Uniform::run, page(level, raw, path)};
                    part.pages.contiguous = space_.contiguous_end(node, i, after) == after;
                    if (options_.split_physical && !part.pages.contiguous)
                        return {Uniform::mixed, {}};
                    break;
                case Kind::table:
                    part = uniform(space_.child_index(node, i), path & level.table.rights(raw));
                    break;
            }
            if (!join(whole, i * level.entry_span(), part)) return {Uniform::mixed, {}};
        }
        return whole;
    }

    // Whether two runs may be one range, but for where their frames are.
    bool alike(const Run& a, const Run& b) const {
        return a.attributes == b.attributes &&
               (!options_.split_sizes || a.page_sizes == b.page_sizes);
    }

    // Adds a part behind `size` bytes of whole; false where the two are not one.
    bool join(Uniform& whole, std::uint64_t size, const Uniform& part) const {
        if (size == 0) {
            whole = part;
            return part.is != Uniform::mixed;
        }
        if (whole.is != part.is) return false;
        if (whole.is == Uniform::hole) return true;
        if (!alike(whole.pages, part.pages)) return false;
        whole.pages.contiguous = follows(whole.pages, size, part.pages);
        whole.pages.page_sizes |= part.pages.page_sizes;
        return whole.pages.contiguous || !options_.split_physical;
    }

    // Emits `part` (offsets inside the table) of a node that lies at offset `base`.
    void visit(std::uint32_t n, std::uint64_t base, const Window& part, Rights path) {
        const Node& node = space_.node(n);
        const PagingLevel& level = space_.level(node);
        if (!node.readable) {
            gap(map_.unreadable, base + part.first, part.last - part.first + 1, node,
                space_.why(node));
            return;
        }
        if (part.first == 0 && part.last == level.table_span() - 1) {
            const Uniform& whole = uniform(n, path);
            if (whole.is == Uniform::hole) return;
            // The two halves of a canonical space never join, whatever their pages.
            if (whole.is == Uniform::run && node.level > 0)
                return emit(base, level.table_span(), whole.pages);
        }
        const std::uint64_t span = level.entry_span();
        const unsigned end = level.index(part.last) + 1;
        for (unsigned i = level.index(part.first), after; i < end; i = after) {
            if (map_.truncated) return;
            const std::uint64_t raw = space_.entry(node, i), begin = i * span;
            after = space_.end_of_run(node, i, end);
            if (level.kind(raw) == Kind::page) after = space_.contiguous_end(node, i, after);
            // Of what these entries translate, what is in the window: offsets from `begin` on.
            const Window inner{std::max(part.first, begin) - begin,
                               std::min(part.last, after * span - 1) - begin};
            switch (level.kind(raw)) {
                case Kind::not_present: break;
                case Kind::malformed:
                    gap(map_.malformed, base + begin + inner.first, inner.last - inner.first + 1,
                        node, reserved_bits(space_.paging(), level, raw));
                    break;
                case Kind::page: {
                    Run run = page(level, raw, path);
                    run.pa.value += inner.first;
                    emit(base + begin + inner.first, inner.last - inner.first + 1, run);
                    break;
                }
                case Kind::table:
                    visit(space_.child_index(node, i), base + begin, inner,
                          path & level.table.rights(raw));
                    break;
            }
        }
    }

    // Ranges and gaps are counted before a filter, so that one which lets nothing through does not
    // make the work endless.
    bool room(std::uint64_t offset) {
        tick_();
        if (made_++ < options_.max_ranges) return true;
        map_.truncated = true;
        const VirtAddr va = space_.paging().address_of(offset);
        map_.end = std::min(map_.end.value_or(va), va);  // a range may begin before a gap
        return false;
    }

    void gap(std::vector<Gap>& gaps, std::uint64_t offset, std::uint64_t size, const Node& node,
             std::string why) {
        if (room(offset))
            gaps.push_back({space_.paging().address_of(offset), size, node.table,
                            space_.level(node).level->number, std::move(why)});
    }

    void emit(std::uint64_t offset, std::uint64_t size, const Run& run) {
        const std::uint64_t upper = space_.paging().upper_part();
        if (size_ && offset_ + size_ == offset && alike(run_, run) && !(upper && offset == upper)) {
            const bool contiguous = follows(run_, size_, run);
            if (contiguous || !options_.split_physical) {
                run_.contiguous = contiguous;
                run_.page_sizes |= run.page_sizes;
                size_ += size;
                return;
            }
        }
        close();
        offset_ = offset, size_ = size, run_ = run;
    }

    // Ends the range that is being built.
    void close() {
        if (size_ && room(offset_) && is_wanted())
            map_.ranges.push_back({space_.paging().address_of(offset_), size_, run_.pa,
                                   run_.contiguous, run_.page_sizes, run_.attributes});
        size_ = 0;
    }

    bool is_wanted() const {
        return options_.wanted.empty() ||
               std::ranges::any_of(options_.wanted, [&](const Wanted& w) {
                   return ptmap::is_wanted(w, run_.attributes, run_.page_sizes);
               });
    }

    const Space& space_;
    const MapOptions& options_;
    Map& map_;
    Ticker tick_;
    std::array<Attributes, 8> shown_;
    std::vector<std::array<Uniform, 8>> uniform_;
    std::size_t made_ = 0;                 // ranges and gaps so far
    std::uint64_t offset_ = 0, size_ = 0;  // the range that is being built
    Run run_;
};

}  // namespace

unsigned page_size_index(std::uint64_t bytes) {
    switch (bytes) {
        case std::uint64_t{1} << 12: return 0;
        case std::uint64_t{1} << 21: return 1;
        case std::uint64_t{1} << 22: return 2;
        default: assert(bytes == std::uint64_t{1} << 30); return 3;
    }
}

bool is_wanted(const Wanted& w, const Attributes& a, std::uint8_t page_sizes) {
    return has(a.rights, w.rights_set) && (a.rights & w.rights_clear) == Rights::none &&
           (!w.global || *w.global == a.global) && (page_sizes & w.sizes_any) == w.sizes_any &&
           !(page_sizes & w.sizes_none) && (!w.large || page_sizes > 1) &&
           w.types >> static_cast<unsigned>(a.type) & 1;
}

Map make_map(const Space& space, const MapOptions& options) {
    Map map{space.paging().format().mode, space.root(), space.tables()};
    const Window window{std::max(options.window.first, space.window().first),
                        std::min(options.window.last, space.window().last)};
    map.as = options.as;
    if (window.first <= window.last) {
        const PageCounts counts = PageCounter(space, options.ram).count(space.node(0), window);
        map.pages = counts.pages;
        map.ram_known = !options.ram.empty();
        map.outside_ram = counts.outside_ram;
        MapBuilder(space, options, map).run(window);
    }
    map.truncated |= space.cut();
    return map;
}

const Range* range_at(const Map& map, VirtAddr va) {
    const auto last = [](const Range& r) { return VirtAddr{r.va.value + (r.size - 1)}; };
    const auto found = std::ranges::lower_bound(map.ranges, va, {}, last);
    return found != map.ranges.end() && found->va <= va ? &*found : nullptr;
}

const Range* last_user_write(const Map& map, VirtAddr first, VirtAddr end) {
    for (auto r = map.ranges.rbegin(); r != map.ranges.rend(); ++r)
        if (first <= r->va && r->va < end &&
            has(r->attributes.rights, Rights::user | Rights::write))
            return &*r;
    return nullptr;
}

std::optional<Extent> user_write_around(const Map& map, VirtAddr va, std::uint64_t hole) {
    const auto writes = [](const Range& r) {
        return has(r.attributes.rights, Rights::user | Rights::write);
    };
    const Range* range = range_at(map, va);
    if (!range || !writes(*range)) return {};
    const auto end_of = [](const Range& r) { return r.va.value + r.size; };
    std::uint64_t start = range->va.value, end = end_of(*range);
    const std::size_t at = range - map.ranges.data();
    for (std::size_t i = at; i-- > 0 && start - end_of(map.ranges[i]) <= hole;)
        if (writes(map.ranges[i])) start = map.ranges[i].va.value;
    for (std::size_t i = at + 1; i < map.ranges.size() && map.ranges[i].va.value - end <= hole; ++i)
        if (writes(map.ranges[i])) end = end_of(map.ranges[i]);
    return Extent{{start}, end - start};
}

std::optional<VirtAddr> split(const Map& map) {
    // Bytes on the wrong side: the supervisor's before a range, the user's from it on.
    std::uint64_t total = 0, wrong = 0;
    const auto is_user = [](const Range& r) { return has(r.attributes.rights, Rights::user); };
    for (const Range& r : map.ranges) {
        total += r.size;
        if (is_user(r)) wrong += r.size;
    }
    std::uint64_t least = total / 16 + 1;
    std::optional<VirtAddr> best;
    bool user_below = false;
    for (const Range& r : map.ranges) {
        if (is_user(r)) {
            user_below = true;
            wrong -= r.size;
            continue;
        }
        if (user_below && wrong < least) {
            least = wrong;
            best = r.va;
        }
        wrong += r.size;
    }
    return best;
}

}  // namespace ptmap
