#include "core/diff.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <optional>
#include <unordered_set>

#include "core/render.h"
#include "core/text.h"

namespace ptmap {
namespace {

// Linear addresses of a mode without their sign extension: offsets, as Paging has them. In those
// both halves of a space lie side by side, and an unreadable root is one gap.
struct Offsets {
    explicit Offsets(Mode mode)
        : top(bits(0, format_of(mode).va_bits)),
          upper(format_of(mode).canonical ? top / 2 + 1 : 0) {}

    std::uint64_t of(VirtAddr va) const { return va.value & top; }
    VirtAddr address(std::uint64_t offset) const {
        return {upper && offset >= upper ? offset | ~top : offset};
    }

    std::uint64_t top;    // the last one
    std::uint64_t upper;  // where the upper part begins, 0 for none
};

// What a map says of an offset, and the last one for which it says the same.
struct Piece {
    enum : std::uint8_t { nothing, range, unknown } is;
    std::uint64_t last;
    const Range* pages = nullptr;
};

// Goes through a map by rising offset.
class Cursor {
public:
    Cursor(const Map& map, const Offsets& offsets) : map_(map), offsets_(offsets) {
        if (map.end) end_ = offsets.of(*map.end);
    }

    Piece at(std::uint64_t offset) {
        std::uint64_t next = offsets_.top;
        if (end_ && offset >= *end_) return {Piece::unknown, next};
        if (end_) next = *end_ - 1;
        for (auto* gaps : {&unreadable_, &malformed_})
            if (const Gap* gap = gaps->at(offset, offsets_, next))
                return {Piece::unknown, offsets_.of(gap->va) + (gap->size - 1)};
        if (const Range* r = ranges_.at(offset, offsets_, next))
            return {Piece::range, std::min(next, offsets_.of(r->va) + (r->size - 1)), r};
        return {Piece::nothing, next};
    }

private:
    // A sorted list and how much of it is behind.
    template <typename Element>
    struct List {
        const std::vector<Element>& all;
        std::size_t index = 0;

        // The element that holds `offset`; where there is none, `next` ends before the one to come.
        const Element* at(std::uint64_t offset, const Offsets& offsets, std::uint64_t& next) {
            while (index < all.size() && offsets.of(all[index].va) + (all[index].size - 1) < offset)
                ++index;
            if (index == all.size()) return nullptr;
            const std::uint64_t first = offsets.of(all[index].va);
            if (first <= offset) return &all[index];
            next = std::min(next, first - 1);
            return nullptr;
        }
    };

    const Map& map_;
    const Offsets& offsets_;
    std::optional<std::uint64_t> end_;
    List<Range> ranges_{map_.ranges};
    List<Gap> unreadable_{map_.unreadable}, malformed_{map_.malformed};
};

// The part of a range from `va` on.
Side side(const Range* r, VirtAddr va) {
    if (!r) return {};
    return {{r->pa.value + (va.value - r->va.value)}, true, r->page_sizes, r->attributes};
}

constexpr std::uint8_t bit(Change change) {
    return static_cast<std::uint8_t>(1u << static_cast<unsigned>(change));
}

std::uint8_t changes(const Side& before, const Side& after) {
    const Attributes &a = before.attributes, &b = after.attributes;
    std::uint8_t set = 0;
    if (a.rights != b.rights || a.read != b.read) set |= bit(Change::rights);
    if (before.pa != after.pa) set |= bit(Change::frame);
    if (before.page_sizes != after.page_sizes) set |= bit(Change::page_size);
    if (a.global != b.global) set |= bit(Change::global);
    if (a.type != b.type) set |= bit(Change::cache);
    return set;
}

// Whether what follows `size` bytes of a side goes on as it was; where the frames do not is noted.
bool alike(const Side& a, const Side& b) {
    return a.attributes == b.attributes && a.page_sizes == b.page_sizes;
}
bool follows(const Side& first, std::uint64_t size, const Side& second) {
    return first.contiguous && first.pa.value + size == second.pa.value;
}

class Differences {
public:
    explicit Differences(const DiffOptions& options) : options_(options), tick_(options.pulse) {}

    void add(const Difference& next) {
        if (!found_.empty() && join(found_.back(), next)) return;
        tick_();
        found_.push_back(next);
    }

    std::vector<Difference> take() { return std::move(found_); }

private:
    bool join(Difference& last, const Difference& next) const {
        if (last.what != next.what || last.changed != next.changed ||
            last.unknown != next.unknown || last.va.value + last.size != next.va.value ||
            !alike(last.before, next.before) || !alike(last.after, next.after))
            return false;
        const bool before = follows(last.before, last.size, next.before);
        const bool after = follows(last.after, last.size, next.after);
        const bool has_before = last.what == What::gone || last.what == What::changed;
        const bool has_after = last.what == What::added || last.what == What::changed;
        if (options_.split_physical && ((has_before && !before) || (has_after && !after)))
            return false;
        last.before.contiguous = before;
        last.after.contiguous = after;
        last.size += next.size;
        return true;
    }

    const DiffOptions& options_;
    Ticker tick_;
    std::vector<Difference> found_;
};

// Of entries that a root has for two spaces at one index.
void compare_roots(const Space& a, const Space& b, std::span<const Window> parts,
                   std::vector<PartShare>& shares) {
    const PagingLevel& level = a.level(a.node(0));
    const auto entry = [](const Space& space, unsigned index) -> std::uint64_t {
        const Node& root = space.node(0);
        const std::uint64_t raw = root.readable ? space.entry(root, index) : 0;
        return space.level(root).kind(raw) == Kind::malformed ? 0 : raw;
    };
    for (unsigned i = 0; i < level.entries(); ++i) {
        const std::uint64_t one = entry(a, i), other = entry(b, i), begin = i * level.entry_span();
        if (!((one | other) & 1)) continue;
        for (std::size_t p = 0; p < parts.size(); ++p) {
            if (begin < parts[p].first || begin > parts[p].last) continue;
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

void count_common(const Space& a, const Space& b, Sharing& sharing) {
    sharing.levels.resize(a.paging().levels().size());
    std::unordered_set<std::uint64_t> of_a, tables;
    for (std::uint32_t n = 0; n < a.nodes(); ++n)
        if (a.node(n).readable) of_a.insert(key(a.node(n)));
    for (std::uint32_t n = 0; n < b.nodes(); ++n) {
        const Node& node = b.node(n);
        if (!node.readable || !of_a.contains(key(node))) continue;
        ++sharing.levels[node.level];
        tables.insert(node.table.value);
    }
    sharing.tables = tables.size();
}

// Where the same tables hang below different ones, at the same address.
class Below {
public:
    Below(const Space& a, const Space& b, std::size_t max_steps, const Pulse& pulse,
          Sharing& sharing)
        : a_(a), b_(b), left_(max_steps), tick_(pulse), sharing_(sharing) {}

    void run() { visit(0, 0, 0); }

private:
    // Whether two different tables have one below them in common. As deep as there are levels.
    bool visit(std::uint32_t na, std::uint32_t nb, std::uint64_t base) {
        const Node &one = a_.node(na), &other = b_.node(nb);
        const std::uint64_t span = a_.level(one).entry_span();
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
        std::vector<Extent>& list = sharing_.below;
        if (!list.empty() && list.back().va.value + list.back().size == va.value)
            list.back().size += size;
        else
            list.push_back({va, size});
    }

    const Space &a_, &b_;
    std::size_t left_;
    Ticker tick_;
    Sharing& sharing_;
    std::unordered_set<std::uint64_t> nothing_;  // pairs of tables with nothing in common below
};

// Text

std::string_view page_size_of(const Side& side) {
    return page_size_names[static_cast<unsigned>(std::countr_zero(side.page_sizes)) & 3];
}

// start, end, size, rights, type, pages, physical
using Row = std::array<std::string, 7>;

void put_side(Row& row, const Side& side, std::uint8_t which = 0xff) {
    if (which & (bit(Change::rights) | bit(Change::global))) row[3] = rights_text(side.attributes);
    if (which & bit(Change::cache)) row[4] = name(side.attributes.type);
    if (which & bit(Change::page_size)) row[5] = page_size_of(side);
    if (!(which & bit(Change::frame))) return;
    if (side.contiguous)
        put_hex(row[6], side.pa.value);
    else
        row[6].push_back('-');
}

// Before `va` + `size`, which may lie beyond 32 or 64 bits, as many digits as an address has.
std::uint64_t end_of(const Difference& d, unsigned digits) {
    const std::uint64_t end = d.va.value + d.size;
    return digits == 8 ? end & 0xffffffff : end;
}

Row row_of(const Difference& d, unsigned digits) {
    static constexpr std::array<std::string_view, 4> who{"", "before", "after", "before and after"};
    Row row;
    put_hex(row[0], d.va.value, digits);
    put_hex(row[1], end_of(d, digits), digits);
    row[2] = size_text(d.size);
    if (d.what == What::unknown)
        row[3].append("not known ").append(who[d.unknown & 3]);
    else
        put_side(row, d.what == What::added ? d.after : d.before);
    return row;
}

// JSON

void put_side(std::string& out, std::string_view key, const Side& side) {
    put_key(out, key);
    out += '{';
    put_pa_member(out, side.contiguous, side.pa);
    put_attribute_members(out, side.attributes);
    put_text_member(out, "page_size", page_size_of(side));
    out += '}';
}

// Those names whose bit is set.
template <std::size_t size>
void put_names(std::string& out, std::string_view key, unsigned set,
               const std::array<std::string_view, size>& names) {
    put_words_member(out, key, [&](auto put) {
        for (std::size_t i = 0; i < size; ++i)
            if (set >> i & 1) put(names[i]);
    });
}

std::span<const Label> labels_of(const DiffLabels& labels, const Difference& d) {
    return d.what == What::gone ? labels.before : labels.after;
}

}  // namespace

bool is_exact(const Map& map) {
    return std::ranges::all_of(map.ranges, [](const Range& r) {
        return r.contiguous && std::has_single_bit(r.page_sizes) && r.attributes.read;
    });
}

std::vector<Difference> diff(const Map& before, const Map& after, const DiffOptions& options) {
    assert(before.mode == after.mode && is_exact(before) && is_exact(after));
    const Offsets offsets(before.mode);
    Cursor a(before, offsets), b(after, offsets);
    Differences found(options);
    for (std::uint64_t offset = 0, last = 0; last < offsets.top; offset = last + 1) {
        const Piece one = a.at(offset), other = b.at(offset);
        last = std::min({one.last, other.last, offsets.top});
        if (offset < offsets.upper) last = std::min(last, offsets.upper - 1);
        Difference d{offsets.address(offset), last - offset + 1, What::unknown};
        d.unknown = static_cast<std::uint8_t>((one.is == Piece::unknown) |
                                              (other.is == Piece::unknown) << 1);
        if (d.unknown) {
            found.add(d);
            continue;
        }
        if (!one.pages && !other.pages) continue;
        d.before = side(one.pages, d.va);
        d.after = side(other.pages, d.va);
        if (one.pages && other.pages) {
            d.what = What::changed;
            d.changed = changes(d.before, d.after);
            if (!d.changed) continue;
        } else {
            d.what = one.pages ? What::gone : What::added;
        }
        found.add(d);
    }
    return found.take();
}

DiffCounts count(std::span<const Difference> differences) {
    DiffCounts counts;
    const auto add = [](DiffCounts::Count& to, const Difference& d) {
        ++to.stretches;
        to.bytes += d.size;
    };
    for (const Difference& d : differences) {
        add(counts.what[static_cast<std::size_t>(d.what)], d);
        for (std::size_t i = 0; i < change_names.size(); ++i)
            if (d.changed >> i & 1) add(counts.changed[i], d);
    }
    return counts;
}

std::string diff_text(std::span<const Difference> differences, unsigned digits,
                      const DiffLabels& labels, const Pulse& pulse) {
    static constexpr std::string_view signs = "+-~?";
    if (differences.empty()) return {};
    const Row head{"start", "end", "size", "rights", "type", "pages", "physical"};
    std::array<std::size_t, head.size()> width{};
    const auto measure = [&](const Row& row, std::size_t columns) {
        for (std::size_t i = 0; i < columns; ++i) width[i] = std::max(width[i], row[i].size());
    };
    std::string out;
    const auto put = [&](std::string_view sign, const Row& row) {
        const std::size_t line = out.size();
        out.append(sign).append(2 - std::min<std::size_t>(sign.size(), 2), ' ');
        for (std::size_t i = 0; i < row.size(); ++i) {
            const std::size_t pad = width[i] - std::min(width[i], row[i].size());
            if (i == 2) out.append(pad, ' ');  // sizes line up on the right
            out += row[i];
            if (i != 2) out.append(pad, ' ');
            out += ' ';
        }
        out.resize(std::max(line, out.find_last_not_of(' ') + 1));
        out += '\n';
    };
    measure(head, head.size());
    Ticker tick(pulse);
    for (const Difference& d : differences) {
        tick();
        // The words of an unknown one may run over the columns behind.
        measure(row_of(d, digits), d.what == What::unknown ? 3 : head.size());
    }
    put("", head);
    std::string shown;
    for (const Difference& d : differences) {
        tick();
        if (const auto named = labels_of(labels, d); !named.empty()) {
            std::string text = heading(named, d.va, d.size);
            if (text != shown) out += text;
            shown = std::move(text);
        }
        put(signs.substr(static_cast<std::size_t>(d.what), 1), row_of(d, digits));
        if (d.what != What::changed) continue;
        Row after;
        put_side(after, d.after, d.changed);
        put("->", after);
    }
    return out;
}

std::string diff_json(std::span<const Difference> differences, const DiffLabels& labels,
                      const Pulse& pulse) {
    static constexpr std::array<std::string_view, 2> sides{"before", "after"};
    std::string out;
    Ticker tick(pulse);
    for (const Difference& d : differences) {
        tick();
        out += out.empty() ? "\n  {" : ",\n  {";
        put_hex_member(out, "va", d.va.value);
        put_hex_member(out, "size", d.size);
        put_text_member(out, "what", what_names[static_cast<std::size_t>(d.what)]);
        if (d.what == What::unknown) put_names(out, "unknown", d.unknown, sides);
        if (d.what == What::changed) put_names(out, "changed", d.changed, change_names);
        if (d.what == What::gone || d.what == What::changed) put_side(out, "before", d.before);
        if (d.what == What::added || d.what == What::changed) put_side(out, "after", d.after);
        put_label_members(out, labels_of(labels, d), d.va, d.size);
        out += '}';
    }
    return out;
}

Sharing share(const Space& before, const Space& after, std::span<const Window> parts,
              std::size_t max_steps, const Pulse& pulse) {
    assert(before.paging().format().mode == after.paging().format().mode);
    Sharing sharing;
    sharing.parts.resize(parts.size());
    compare_roots(before, after, parts, sharing.parts);
    count_common(before, after, sharing);
    Below(before, after, max_steps, pulse, sharing).run();
    return sharing;
}

}  // namespace ptmap
