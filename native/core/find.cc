#include "core/find.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <unordered_map>

#include "core/render.h"
#include "core/text.h"

namespace ptmap {
namespace {

bool overlaps(const PhysSpan& frames, PhysAddr pa, std::uint64_t size) {
    return pa <= frames.last && frames.first.value <= pa.value + (size - 1);
}

// What of `size` bytes at `pa` lies in the frames, counted from `pa`. They overlap.
Window inside(const PhysSpan& frames, PhysAddr pa, std::uint64_t size) {
    return {std::max(frames.first, pa).value - pa.value,
            std::min(frames.last.value, pa.value + (size - 1)) - pa.value};
}

class Finder {
public:
    Finder(const Space& space, const FindOptions& options, Map& map)
        : space_(space),
          options_(options),
          map_(map),
          made_tick_(options.pulse),
          look_tick_(options.pulse) {}

    void run(const Window& window) {
        visit(0, 0, window, Rights::all);
        close();
    }

private:
    // Of some entries what is in the frames, as far as that is one range.
    struct Part {
        enum : std::uint8_t { unknown, mixed, hole, run } is = unknown;
        Range range;                           // its `va` counts from the table's first byte
        std::array<std::uint64_t, 4> pages{};  // that hold a byte of it, as in Map
    };

    // A whole table, under the rights of a path to it.
    const Part& whole(std::uint32_t n, Rights path) {
        std::vector<Part>& parts = wholes_[static_cast<unsigned>(path)];
        if (parts.empty()) parts.resize(space_.nodes());
        if (parts[n].is == Part::unknown) parts[n] = work_out(space_.node(n), path);
        return parts[n];
    }

    Part work_out(const Node& node, Rights path) {
        look_tick_();
        Part all{Part::hole, {}};
        if (!node.readable) return {Part::mixed, {}};
        const PagingLevel& level = space_.level(node);
        const unsigned end = level.entries();
        const std::uint64_t span = level.entry_span();
        for (unsigned i = 0, after; i < end; i = after) {
            after = i + 1;
            const std::uint64_t raw = space_.entry(node, i);
            const Kind kind = level.kind(raw);
            if (kind == Kind::malformed) return {Part::mixed, {}};
            // Most are of no interest.
            if (kind == Kind::not_present ||
                (kind == Kind::page && !overlaps(options_.frames, level.page.target(raw), span)))
                continue;
            Part part;
            if (kind == Kind::page) {
                after = end_of(node, i, end);
                part = pages(level, raw, {0, (after - i) * span - 1}, path);
            } else {
                part = whole(space_.child_index(node, i), path & level.table.rights(raw));
            }
            part.range.va.value += i * span;
            if (!join(all, part)) return {Part::mixed, {}};
        }
        return all;
    }

    // Adds what comes behind; false where the two are not one.
    static bool join(Part& all, const Part& part) {
        if (part.is == Part::hole) return true;
        if (all.is == Part::hole) {
            all = part;
            return part.is == Part::run;
        }
        if (part.is != Part::run || !follows(all.range, part.range)) return false;
        append(all.range, part.range);
        for (std::size_t i = 0; i < all.pages.size(); ++i) all.pages[i] += part.pages[i];
        return true;
    }

    static bool follows(const Range& first, const Range& second) {
        return first.va.value + first.size == second.va.value &&
               first.pa.value + first.size == second.pa.value &&
               first.attributes == second.attributes;
    }
    static void append(Range& first, const Range& second) {
        first.size += second.size;
        first.page_sizes |= second.page_sizes;
    }

    // Entries that are taken together: none of them present, or contiguous pages alike.
    unsigned end_of(const Node& node, unsigned index, unsigned end) const {
        const unsigned after = space_.end_of_run(node, index, end);
        const bool is_page = space_.level(node).kind(space_.entry(node, index)) == Kind::page;
        return is_page ? space_.contiguous_end(node, index, after) : after;
    }

    // What of `part` of contiguous pages (offsets from the first on, whose entry is `raw`) is in
    // the frames; its `va` counts from there too.
    Part pages(const PagingLevel& level, std::uint64_t raw, const Window& part, Rights path) const {
        const EntryRules& rules = level.page;
        const std::uint64_t size = part.last - part.first + 1;
        const PhysAddr pa{rules.target(raw).value + part.first};
        if (!overlaps(options_.frames, pa, size)) return {Part::hole, {}};
        const Window cut = inside(options_.frames, pa, size);
        const std::uint64_t first = part.first + cut.first, last = part.first + cut.last;
        const unsigned size_index = page_size_index(level.entry_span());
        Part found{Part::run,
                   {{first},
                    last - first + 1,
                    {pa.value + cut.first},
                    true,
                    static_cast<std::uint8_t>(1u << size_index),
                    {path & rules.rights(raw)}}};
        found.range.attributes.global = raw & rules.global;
        found.range.attributes.type = options_.types[rules.cache_slot(raw)];
        found.pages[size_index] = last / level.entry_span() - first / level.entry_span() + 1;
        return found;
    }

    // Emits what of `part` (offsets inside the table) of a node at offset `base` is in the frames.
    // Of a whole table more than one range or gap comes out, or it is not gone into: so cost
    // follows them.
    void visit(std::uint32_t n, std::uint64_t base, const Window& part, Rights path) {
        const Node& node = space_.node(n);
        const PagingLevel& level = space_.level(node);
        if (!node.readable)
            return gap(map_.unreadable, base + part.first, part.last - part.first + 1, node,
                       space_.why(node));
        if (part.first == 0 && part.last == level.table_span() - 1) {
            const Part& all = whole(n, path);
            // The two halves of a canonical space never join, whatever their pages.
            if (all.is == Part::hole || (all.is == Part::run && node.level > 0))
                return emit(base, all);
        }
        const std::uint64_t span = level.entry_span();
        const unsigned end = level.index(part.last) + 1;
        for (unsigned i = level.index(part.first), after; i < end && !map_.truncated; i = after) {
            after = end_of(node, i, end);
            const std::uint64_t raw = space_.entry(node, i), begin = i * span;
            const Window inner{std::max(part.first, begin) - begin,
                               std::min(part.last, after * span - 1) - begin};
            switch (level.kind(raw)) {
                case Kind::not_present: break;
                case Kind::malformed:
                    gap(map_.malformed, base + begin + inner.first, inner.last - inner.first + 1,
                        node, reserved_bits(space_.paging(), level, raw));
                    break;
                case Kind::page: emit(base + begin, pages(level, raw, inner, path)); break;
                case Kind::table:
                    visit(space_.child_index(node, i), base + begin, inner,
                          path & level.table.rights(raw));
                    break;
            }
        }
    }

    // A part that counts from offset `base` on. The `va` of run_ is an offset.
    void emit(std::uint64_t base, const Part& part) {
        if (part.is == Part::hole) return;
        for (std::size_t i = 0; i < part.pages.size(); ++i) map_.pages[i] += part.pages[i];
        Range next = part.range;
        next.va.value += base;
        const std::uint64_t upper = space_.paging().upper_part();
        if (run_.size && follows(run_, next) && !(upper && next.va.value == upper))
            return append(run_, next);
        close();
        run_ = next;
    }

    // Ends the range that is being built.
    void close() {
        if (run_.size && room(run_.va.value)) {
            run_.va = space_.paging().address_of(run_.va.value);
            map_.ranges.push_back(run_);
        }
        run_.size = 0;
    }

    void gap(std::vector<Gap>& gaps, std::uint64_t offset, std::uint64_t size, const Node& node,
             std::string why) {
        if (room(offset))
            gaps.push_back({space_.paging().address_of(offset), size, node.table,
                            space_.level(node).level->number, std::move(why)});
    }

    bool room(std::uint64_t offset) {
        made_tick_();
        if (made_++ < options_.max_ranges) return true;
        map_.truncated = true;
        const VirtAddr va = space_.paging().address_of(offset);
        map_.end = std::min(map_.end.value_or(va), va);  // a range may begin before a gap
        return false;
    }

    const Space& space_;
    const FindOptions& options_;
    Map& map_;
    Ticker made_tick_, look_tick_;
    std::array<std::vector<Part>, 8> wholes_;  // by the rights of a path, by node
    std::size_t made_ = 0;                     // ranges and gaps so far
    Range run_{};                              // that is being built; of size 0 for none
};

// Sweeps over the ranges of a map by physical address.
class Sweep {
public:
    explicit Sweep(const Map& map, const Pulse& pulse) : map_(map), tick_(pulse) {
        for (std::size_t i = 0; i < map.ranges.size(); ++i) {
            const Range& r = map.ranges[i];
            if (!r.contiguous) continue;
            const auto range = static_cast<std::uint32_t>(i);
            begins_.push_back({r.pa.value, range, r.attributes.rights});
            ends_.push_back({r.pa.value + r.size, range, r.attributes.rights});
        }
        std::ranges::sort(begins_, {}, &End::at);
        std::ranges::sort(ends_, {}, &End::at);
    }

    // `each(shared)` for every stretch with one of the conflicts; `changed(range, begins)` for
    // every range that begins or ends before it.
    template <typename Each, typename Changed>
    void run(Conflict wanted, Each each, Changed changed) {
        std::size_t begin = 0, end = 0;
        // Where the next one begins or ends; there is an end left.
        const auto next = [&] {
            return begin < begins_.size() ? std::min(begins_[begin].at, ends_[end].at)
                                          : ends_[end].at;
        };
        while (end < ends_.size()) {
            const std::uint64_t at = next();
            for (; end < ends_.size() && ends_[end].at == at; ++end) {
                tick_();
                active_[static_cast<unsigned>(ends_[end].rights)].erase(ends_[end].range);
                --count_;
                changed(ends_[end].range, false);
            }
            for (; begin < begins_.size() && begins_[begin].at == at; ++begin) {
                tick_();
                active_[static_cast<unsigned>(begins_[begin].rights)].insert(begins_[begin].range);
                ++count_;
                changed(begins_[begin].range, true);
            }
            if (!count_) continue;
            const Conflict conflict = now();
            if (!touches(conflict, wanted)) continue;
            list();
            each(Shared{{at}, next() - at, conflict, in_one(), count_, listed_});
        }
    }

private:
    static constexpr std::size_t of_each = 4;  // listed mappings of each combination of rights

    // Of a range: where it begins or ends, physically.
    struct End {
        std::uint64_t at;
        std::uint32_t range;  // index in the map
        Rights rights;
    };

    bool any(Rights set, Rights clear = Rights::none) const {
        for (unsigned r = 0; r < active_.size(); ++r)
            if (const Rights rights{static_cast<std::uint8_t>(r)};
                !active_[r].empty() && has(rights, set) && (rights & clear) == Rights::none)
                return true;
        return false;
    }
    bool in_one() const { return any(Rights::write | Rights::exec); }
    Conflict now() const {
        Conflict conflict = Conflict::none;
        if (any(Rights::write) && any(Rights::exec)) conflict = Conflict::write_exec;
        if (any(Rights::user) && any(Rights::none, Rights::user))
            conflict = conflict | Conflict::user_kernel;
        return conflict;
    }

    void list() {
        listed_.clear();
        for (const std::set<std::uint32_t>& of_rights : active_)
            for (auto i = of_rights.begin();
                 i != of_rights.end() &&
                 std::distance(of_rights.begin(), i) < std::ptrdiff_t{of_each};
                 ++i)
                listed_.push_back(*i);
        std::ranges::sort(listed_);  // ranges come by rising address
    }

    const Map& map_;
    Ticker tick_;
    std::vector<End> begins_, ends_;
    std::array<std::set<std::uint32_t>, 8> active_;  // by Rights: the ranges that map this place
    std::size_t count_ = 0;                          // of all of them
    std::vector<std::uint32_t> listed_;
};

// Neighbouring ranges with equal attributes: the number of the run that each is of, and the runs.
struct Runs {
    std::vector<std::uint32_t> of;
    std::vector<Extent> extents;

    explicit Runs(const Map& map) {
        of.reserve(map.ranges.size());
        for (std::size_t i = 0; i < map.ranges.size(); ++i) {
            const Range& r = map.ranges[i];
            const bool goes_on =
                i && map.ranges[i - 1].va.value + map.ranges[i - 1].size == r.va.value &&
                map.ranges[i - 1].attributes == r.attributes;
            if (goes_on)
                extents.back().size += r.size;
            else
                extents.push_back({r.va, r.size});
            of.push_back(static_cast<std::uint32_t>(extents.size() - 1));
        }
    }
};

// A number that nobody who chooses the runs can make come out as he likes in a sum (splitmix64).
std::uint64_t scattered(std::uint64_t n) {
    n += 0x9e3779b97f4a7c15;
    n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9;
    n = (n ^ n >> 27) * 0x94d049bb133111eb;
    return n ^ n >> 31;
}

// A set of runs, each as often as it is in it, known by two sums.
struct Signature {
    std::uint64_t a = 0, b = 0;
    bool operator==(const Signature&) const = default;
    void add(std::uint64_t run) { a += scattered(run), b += scattered(~run); }
    void remove(std::uint64_t run) { a -= scattered(run), b -= scattered(~run); }
    struct Hash {
        std::size_t operator()(const Signature& s) const { return s.a ^ s.b >> 7; }
    };
};

void put_mapping(std::string& out, const Range& range, PhysAddr pa, std::span<const Label> labels) {
    const VirtAddr va = address_in(range, pa);
    out += '{';
    put_hex_member(out, "va", va.value);
    put_attribute_members(out, range.attributes);
    put_words_member(out, "page_sizes", [&](auto put) { each_size(range.page_sizes, put); });
    put_label_members(out, labels, va, 1);
    out += '}';
}

}  // namespace

Map find(const Space& space, const FindOptions& options) {
    Map map{space.paging().format().mode, space.root(), space.tables()};
    const Window window{space.window().first,
                        std::min(space.window().last, space.paging().last_offset())};
    if (window.first <= window.last) Finder(space, options, map).run(window);
    map.truncated |= space.cut();
    return map;
}

std::vector<Range> find(const Map& map, const PhysSpan& frames) {
    std::vector<Range> found;
    for (const Range& r : map.ranges) {
        if (!r.contiguous || !overlaps(frames, r.pa, r.size)) continue;
        const Window cut = inside(frames, r.pa, r.size);
        Range& part = found.emplace_back(r);
        part.va.value += cut.first;
        part.pa.value += cut.first;
        part.size = cut.last - cut.first + 1;
    }
    return found;
}

void each_shared(const Map& map, Conflict wanted, const std::function<void(const Shared&)>& each,
                 const Pulse& pulse) {
    Sweep(map, pulse).run(wanted, each, [](std::uint32_t, bool) {});
}

Aliases aliases(const Map& map, Conflict wanted, const Pulse& pulse, std::size_t max_groups) {
    Aliases all;
    const Runs runs(map);
    Signature here;
    std::unordered_map<Signature, std::size_t, Signature::Hash> group_of;
    const auto changed = [&](std::uint32_t range, bool begins) {
        begins ? here.add(runs.of[range]) : here.remove(runs.of[range]);
    };
    const auto alone = [&](const Shared& shared) {
        SharedGroup group{};
        group.conflict = shared.conflict;
        group.in_one = shared.in_one;
        group.pa = shared.pa;
        group.count = shared.count;
        for (const std::uint32_t i : shared.ranges)
            group.mappings.push_back(
                {address_in(map.ranges[i], shared.pa), i, runs.extents[runs.of[i]]});
        return group;
    };
    const auto add = [&](Aliases::Total& total, const Shared& shared) {
        if (!total.first) {
            total.first = alone(shared);
            total.first->bytes = shared.size;
            total.first->stretches = 1;
        }
        total.bytes += shared.size;
        ++total.stretches;
    };
    const auto each = [&](const Shared& shared) {
        if (touches(shared.conflict, Conflict::write_exec)) add(all.write_exec, shared);
        if (shared.in_one) add(all.in_one, shared);
        if (touches(shared.conflict, Conflict::user_kernel)) add(all.user_kernel, shared);
        auto known = group_of.find(here);
        if (known == group_of.end()) {
            if (all.groups.size() >= max_groups) {
                ++all.ungrouped;
                return;
            }
            known = group_of.emplace(here, all.groups.size()).first;
            all.groups.push_back(alone(shared));
        }
        SharedGroup& group = all.groups[known->second];
        group.bytes += shared.size;
        ++group.stretches;
    };
    Sweep(map, pulse).run(wanted, each, changed);
    return all;
}

std::string aliases_json(const Map& map, Conflict wanted, std::span<const Label> labels,
                         const Pulse& pulse) {
    std::string out;
    each_shared(
        map, wanted,
        [&](const Shared& shared) {
            out += out.empty() ? "\n  {" : ",\n  {";
            put_hex_member(out, "pa", shared.pa.value);
            put_hex_member(out, "size", shared.size);
            put_words_member(out, "conflicts",
                             [&](auto put) { std::ranges::for_each(names(shared.conflict), put); });
            put_bool_member(out, "write_exec_in_one", shared.in_one);
            put_number_member(out, "count", shared.count);
            put_key(out, "mappings");
            const char* before = "[";
            for (const std::uint32_t i : shared.ranges) {
                put_mapping(out += before, map.ranges[i], shared.pa, labels);
                before = ", ";
            }
            out += ']';
            out += '}';
        },
        pulse);
    return out;
}

std::vector<std::string_view> names(Conflict conflict) {
    std::vector<std::string_view> words;
    if (touches(conflict, Conflict::write_exec)) words.push_back("write+exec");
    if (touches(conflict, Conflict::user_kernel)) words.push_back("user+kernel");
    return words;
}

}  // namespace ptmap
