// The one way through the tables of a scan, for maps, counts, grids and lists of pages.
//
// Tables form a graph (scan.h), and a hostile one has 2^36 paths over four tables. So the result
// for a table, a Value, is kept: one for each combination of rights that a path to the table
// leaves. A visitor defines the Value, and joins the Values of neighbours. If they cannot be
// joined, the traversal enters the table on each path, and then the table must yield output: the
// cost follows distinct tables and the output.
//
// What a visitor has:
//
//     Value                       the result for a table, or for some of its entries, if one value
//                                 can express it; by default "nothing is here"
//     by_rights                   whether the Value depends on the rights of the path
//     parts                       for which tables Parts are kept, without those that are nothing
//     add(sum, entries)           adds entries that name no tables to the sum of their table; false
//                                 if no Value can express both: then the entries are visited
//     add(sum, value, at)         adds the Value of what lies `at` bytes into a table; false if no
//                                 Value can express both; anything adds to "nothing"
//     settles(value, size)        whether the Value is enough for something of this size; if not it
//                                 is entered
//     value_of_unreadable()       for a table that could not be read; none if it must be visited
//     is_nothing(value)           only with parts
//     asks(node, part)            whether to look for a table's Value before it is entered
//     take(base, value)           output: the Value of a table at offset `base`
//     take(base, entries, part)   output: entries that name no tables; part: offsets in the table
//     unreadable(base, node, part)
//     done()                      whether the traversal may stop
//     skip(node, level, i, end)   optional: the first entry from `i` on that it wants to see
//     wants(level, frames)        with skip(): whether it wants to see pages with these frames
//
// A visitor without a Value has enters(n, path) instead: whether it wants to see that node (again)
// on a path with these rights.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "paging/per_node.h"
#include "paging/pulse.h"
#include "paging/scan.h"

namespace ptmap {

/// For which entered tables the non-empty parts are kept, if they are few: for none; for tables
/// that name tables; for those at the last level too.
enum class Parts : std::uint8_t { none, of_tables, of_all };

/// Neighbouring entries of a table that are alike: not present, or pages with equal attributes and
/// any frames. Any other entry is by itself.
struct Entries {
    const Node& node;
    const PagingLevel& level;
    unsigned first, end;  ///< indices; `end` is not one of them
    std::uint64_t raw;    ///< the first
    Kind kind;            ///< of all
    Rights path;          ///< of the way to the table
    Frames frames;        ///< of pages, as far as it is known

    /// The rights of the path through them.
    Rights rights() const { return path & level.rules(raw).rights(raw); }
    /// What they translate, in bytes from the beginning of what the table does.
    Interval part() const {
        const std::uint64_t span = level.entry_span();
        return {first * span, end * span - 1};
    }
};

/// Whether a part (offsets inside the table) is all that a node translates.
inline bool is_whole(const PagingLevel& level, const Interval& part) {
    return part.first == 0 && part.last == level.table_span() - 1;
}

namespace detail {
struct NoValue {};
template <typename Visitor>
struct ValueOf {
    using type = NoValue;
};
template <typename Visitor>
requires requires { typename Visitor::Value; }
struct ValueOf<Visitor> {
    using type = typename Visitor::Value;
};
}  // namespace detail

/// Takes a visitor through Tables. Each look at an entry is one unit of the ticker's work.
template <typename Visitor>
class Traversal {
    using Value = typename detail::ValueOf<Visitor>::type;
    static constexpr bool has_values = !std::same_as<Value, detail::NoValue>;

public:
    Traversal(const Tables& tables, Visitor& visitor, Ticker& tick)
        : tables_(tables), visitor_(visitor), tick_(tick) {}

    /// All of a window (offsets, within the Tables' own), by rising offset.
    void run(const Interval& window) { enter(0, 0, window, Rights::all); }

private:
    struct Known {
        bool worked_out = false;
        std::optional<Value> value;  // none: no Value can express it
    };
    // Entries first .. end - 1 of a table, and their Value as offsets in the table have it.
    struct Part {
        unsigned first, end;
        std::optional<Value> value;
    };
    static constexpr std::size_t few = 32;  // parts; a table with more yields output anyway

    // A node that lies at offset `base`; `part` in offsets inside the table.
    void enter(std::uint32_t n, std::uint64_t base, const Interval& part, Rights path) {
        const Node& node = tables_.node(n);
        if constexpr (has_values) {
            if (visitor_.asks(node, part)) {
                const auto& value = value_of(n, path);
                if (value && visitor_.settles(*value, tables_.level(node).table_span()))
                    return visitor_.take(base, *value);
                if constexpr (Visitor::parts != Parts::none)
                    if (const auto& parts = few_parts(n, path); !parts.empty())
                        return pass_parts(node, base, parts, path);
            }
        } else if (!visitor_.enters(n, path)) {
            return;
        }
        if (!node.readable) return visitor_.unreadable(base, node, part);
        pass(node, base, part, path);
    }

    void pass_parts(const Node& node, std::uint64_t base, const std::vector<Part>& parts,
                    Rights path) {
        const std::uint64_t span = tables_.level(node).entry_span();
        for (const Part& part : parts) {
            if (part.value)
                visitor_.take(base, *part.value);
            else
                pass(node, base, {part.first * span, part.end * span - 1}, path);
            if (visitor_.done()) return;
        }
    }

    void pass(const Node& node, std::uint64_t base, const Interval& part, Rights path) {
        const PagingLevel& level = tables_.level(node);
        const unsigned first = level.index(part.first), end = level.index(part.last) + 1;
        each_run(node, first, end, path, [&](const Entries& entries) {
            const Interval inner = intersection(part, entries.part());
            if (entries.kind != Kind::table) {
                visitor_.take(base, entries, inner);
            } else if (tables_.follows(level, entries.raw)) {
                const std::uint64_t begin = entries.part().first;
                enter(tables_.child_index(node, entries.first), base + begin, inner.from(begin),
                      entries.rights());
            }
            return !visitor_.done();
        });
    }

    // Until each(entries) is false; then so is this.
    template <typename Each>
    bool each_run(const Node& node, unsigned first, unsigned end, Rights path, Each each) {
        const PagingLevel& level = tables_.level(node);
        const std::span<const std::byte> table = tables_.bytes(node);
        if (const std::span<const EntryRun> runs = tables_.runs(node); !runs.empty())
            return each_known_run(node, runs, first, end, path, each);
        std::size_t looked = 0;
        bool go_on = true;
        for (unsigned i = first; i < end && go_on;) {
            if constexpr (requires { visitor_.skip(node, level, i, end); }) {
                const unsigned next = visitor_.skip(node, level, i, end);
                looked += next - i;
                if ((i = next) == end) break;
            }
            const EntryRun run = tables_.paging().run(level, table, i, end);
            looked += run.end - i;
            go_on = each(Entries{node, level, i, run.end, run.raw, run.kind, path, run.frames});
            i = run.end;
        }
        tick_.looked(looked);
        return go_on;
    }

    // The same of runs that the scan remembered.
    template <typename Each>
    bool each_known_run(const Node& node, std::span<const EntryRun> runs, unsigned first,
                        unsigned end, Rights path, Each each) {
        const PagingLevel& level = tables_.level(node);
        unsigned begin = level.index(node.needed.first);
        for (const EntryRun& run : runs) {
            const unsigned from = std::max(begin, first), to = std::min(run.end, end);
            const std::uint64_t raw = from == begin ? run.raw : tables_.entry(node, from);
            begin = run.end;
            if (from >= to) continue;
            tick_.looked();
            if constexpr (requires { visitor_.wants(level, run.frames); })
                if (run.kind == Kind::page && !visitor_.wants(level, run.frames)) continue;
            // It may look for each frame.
            if (run.kind == Kind::page && !run.frames.are_in_order) tick_.looked(to - from);
            if (!each(Entries{node, level, from, to, raw, run.kind, path, run.frames}))
                return false;
        }
        return true;
    }

    const std::optional<Value>& value_of(std::uint32_t n, Rights path) {
        Known& known = known_[of(path)][n];
        if (!known.worked_out) known = {true, work_out(tables_.node(n), path)};
        return known.value;
    }

    // The Value of the part of a table that any path needs.
    std::optional<Value> work_out(const Node& node, Rights path) {
        if (!node.readable) return visitor_.value_of_unreadable();
        const PagingLevel& level = tables_.level(node);
        Value sum{};
        const unsigned first = level.index(node.needed.first);
        const unsigned end = level.index(node.needed.last) + 1;
        if (!each_run(node, first, end, path, [&](const Entries& e) { return add(sum, e); }))
            return {};
        return sum;
    }

    // Adds entries to the sum of their table; false if no Value can express both.
    bool add(Value& sum, const Entries& entries) {
        if (entries.kind != Kind::table) return visitor_.add(sum, entries);
        if (!tables_.follows(entries.level, entries.raw)) return true;
        const auto& value =
            value_of(tables_.child_index(entries.node, entries.first), entries.rights());
        return value && visitor_.add(sum, *value, entries.part().first);
    }

    // The non-empty parts of a table that no Value can express, each as large as possible; empty if
    // they are many, or at the last level.
    const std::vector<Part>& few_parts(std::uint32_t n, Rights path) {
        static const std::vector<Part> many;
        const Node& node = tables_.node(n);
        const bool is_last = tables_.level(node).level->table.empty();
        if (!node.readable || (is_last && Visitor::parts != Parts::of_all)) return many;
        std::unique_ptr<std::vector<Part>>& parts = parts_[of(path)][n];
        if (!parts) parts = std::make_unique<std::vector<Part>>(divide(node, path));
        return *parts;
    }

    std::vector<Part> divide(const Node& node, Rights path) {
        std::vector<Part> parts;
        const auto divide = [&](const Entries& entries) {
            Value here{};
            const std::uint64_t size = (entries.end - entries.first) * entries.level.entry_span();
            const bool is_one = add(here, entries) && visitor_.settles(here, size);
            if (is_one && visitor_.is_nothing(here)) return true;
            if (is_one && !parts.empty() && parts.back().value) {
                Value joined = *parts.back().value;
                if (visitor_.add(joined, here, 0)) {
                    parts.back().value = joined;
                    return true;
                }
            }
            if (parts.size() == few) return false;
            parts.push_back({entries.first, entries.end, {}});
            if (is_one) parts.back().value = here;
            return true;
        };
        const bool are_few = each_run(node, 0, tables_.level(node).entries(), path, divide);
        return are_few ? std::move(parts) : std::vector<Part>{};
    }

    static std::size_t of(Rights path) {
        if constexpr (has_values) return Visitor::by_rights ? static_cast<std::size_t>(path) : 0;
        return 0;
    }

    const Tables& tables_;
    Visitor& visitor_;
    Ticker& tick_;
    std::array<PerNode<Known>, 8> known_;  // by the rights of a path
    std::array<PerNode<std::unique_ptr<std::vector<Part>>>, 8> parts_;
};

}  // namespace ptmap
