#include "text/render.h"

#include <algorithm>
#include <array>

#include "arch/formats.h"

namespace ptmap {
namespace {

// The members "label" and "label_source": names in address order, none twice in a row, and the
// source of each, as many of them.
void put_labels(std::string& out, std::span<const Label> labels) {
    std::string names, sources;
    const Label* before = nullptr;
    for (const Label& label : labels) {
        if (before && before->name == label.name && before->source == label.source) continue;
        names.append(before ? ", " : "").append(label.name);
        sources.append(before ? ", " : "").append(ptmap::name(label.source));
        before = &label;
    }
    put_text_member(out, "label", names);
    put_text_member(out, "label_source", sources);
}

void put_range(std::string& out, const Range& range, bool view, std::span<const Label> labels) {
    out += '{';
    put_hex_member(out, "va", range.va.value);
    put_hex_member(out, "size", range.size);
    put_pa_member(out, range.contiguous, range.pa);
    put_attribute_members(out, range.attributes, view);
    put_words_member(out, "page_sizes", [&](auto put) { each_size_name(range.page_sizes, put); });
    put_label_members(out, labels, range.interval());
    out += '}';
}

void put_gap(std::string& out, const Gap& gap) {
    out += '{';
    put_hex_member(out, "va", gap.va.value);
    put_hex_member(out, "size", gap.size);
    put_hex_member(out, "table", gap.table.value);
    put_number_member(out, "level", gap.level);
    put_text_member(out, "why", gap.why);
    out += '}';
}

// A list, one element a line.
template <typename Element, typename Put>
void put_list(Pieces& text, const char* key, const std::vector<Element>& list, Put put) {
    std::string& out = text.out;
    out.append(",\n\"").append(key).append("\": [");
    bool first = true;
    for (const Element& element : list) {
        out += first ? "\n  " : ",\n  ";
        put(element);
        first = false;
        text.next();
    }
    out += ']';
}

// How many ranges from `first` on map the same frame at equal distances, under the same label.
std::size_t aliases(const std::vector<Range>& ranges, std::size_t first,
                    std::span<const Label> labels, Ticker& tick) {
    const auto alike = [&](std::size_t i) {
        tick.looked(64);
        const Range &a = ranges[first], &b = ranges[i];
        const auto under_a = labels_in(labels, a.interval());
        const auto under_b = labels_in(labels, b.interval());
        if (under_a.data() != under_b.data() || under_a.size() != under_b.size()) return false;
        return b.contiguous && a.pa == b.pa && a.size == b.size && a.attributes == b.attributes &&
               b.va.value - ranges[i - 1].va.value == ranges[first + 1].va.value - a.va.value;
    };
    std::size_t end = first + 1;
    if (!ranges[first].contiguous) return 1;
    while (end < ranges.size() && alike(end)) ++end;
    return end - first;
}

// The columns of a line, as wide as their widest cell, with the head. Padded in place, because a
// map may have a million lines.
class Columns {
public:
    explicit Columns(unsigned digits) : digits_(digits) {
        for (std::size_t i = 0; i < heads.size(); ++i) width_[i] = heads[i].size();
        width_[start] = width_[end] = 2 + digits;
    }

    void measure(const Range& range) {
        const auto grow = [&](Column c, std::size_t to) { width_[c] = std::max(width_[c], to); };
        grow(size, size_text(range.size).size());
        grow(type, name(range.attributes.type).size());
        std::size_t names = 0;
        each_size_name(range.page_sizes, [&](std::string_view s) { names += s.size() + 1; });
        grow(pages, names - 1);
    }

    void head(Text& text) const {
        for (std::size_t i = 0; i < heads.size(); ++i)
            cell(text.out, static_cast<Column>(i), [&] { text.heading(heads[i]); });
    }

    [[gnu::flatten]] void line(Text& text, const Range& range) const {
        std::string& out = text.out;
        const Attributes& a = range.attributes;
        cell(out, start, [&] { text.address(range.va.value, digits_); });
        const std::uint64_t after = range.va.value + range.size;
        cell(out, end, [&] { text.address(digits_ == 8 ? after & 0xffffffff : after, digits_); });
        cell(out, size, [&] { out += size_text(range.size); });
        cell(out, rights, [&] { text.rights(rights_text(a)); });
        cell(out, type, [&] { out += name(a.type); });
        cell(out, pages, [&] {
            const char* comma = "";
            each_size_name(range.page_sizes, [&](std::string_view s) {
                out.append(comma).append(s);
                comma = ",";
            });
        });
        cell(out, physical, [&] {
            if (range.contiguous)
                text.address(range.pa.value);
            else
                out += '-';
        });
    }

private:
    enum Column : std::uint8_t { start, end, size, rights, type, pages, physical };
    static constexpr std::array<std::string_view, physical + 1> heads{
        "start", "end", "size", "rights", "type", "pages", "physical"};

    template <typename Put>
    void cell(std::string& out, Column column, Put put) const {
        const std::size_t at = out.size();
        put();
        if (column == physical) {
            out += '\n';
            return;
        }
        const std::size_t pad = width_[column] - (out.size() - at);
        out.insert(column == size ? at : out.size(), pad, ' ');  // sizes line up on the right
        out += ' ';
    }

    unsigned digits_;
    std::array<std::size_t, heads.size()> width_{};
};

}  // namespace

std::string rights_text(const Attributes& a) {
    return {has(a.rights, Rights::user) ? 'u' : 's', a.read ? 'r' : '-',
            has(a.rights, Rights::write) ? 'w' : '-', has(a.rights, Rights::exec) ? 'x' : '-',
            a.global ? 'g' : '-'};
}

std::string heading(std::span<const Label> labels, const VirtInterval& interval) {
    const auto here = labels_in(labels, interval);
    if (here.empty()) return "(no label):\n";
    std::string text = cover(here, interval) ? "" : "partly ";
    std::string before;
    for (const Label& label : here) {
        std::string name = label.name + " (" + std::string(ptmap::name(label.source)) + ')';
        if (name == before) continue;
        text.append(before.empty() ? "" : ", ").append(name);
        before = std::move(name);
    }
    return text + ":\n";
}

void put_pa_member(std::string& out, bool contiguous, PhysAddr pa) {
    if (contiguous) return put_hex_member(out, "pa", pa.value);
    put_key(out, "pa");
    out += "null";
}

void put_attribute_members(std::string& out, const Attributes& a, bool view) {
    put_bool_member(out, "user", has(a.rights, Rights::user));
    if (view) put_bool_member(out, "read", a.read);
    put_bool_member(out, "write", has(a.rights, Rights::write));
    put_bool_member(out, "exec", has(a.rights, Rights::exec));
    put_bool_member(out, "global", a.global);
    put_text_member(out, "cache", name(a.type));
}

void put_label_members(std::string& out, std::span<const Label> labels,
                       const VirtInterval& interval) {
    const auto here = labels_in(labels, interval);
    if (here.empty()) return;
    put_labels(out, here);
    if (!cover(here, interval)) put_bool_member(out, "label_partial", true);
}

void put_json(const Sink& sink, const Map& map, std::span<const Label> labels,
              std::string_view more, const Pulse& pulse, std::string_view kind) {
    Pieces text(sink, pulse);
    std::string& out = text.out;
    out += '{';
    put_text_member(out, "schema", "ptmap/1");
    put_text_member(out, "kind", kind);
    put_text_member(out, "mode", name(map.mode));
    put_hex_member(out, "root", map.root.value);
    put_bool_member(out, "complete", map.complete());
    put_bool_member(out, "truncated", map.truncated);
    if (map.as) put_text_member(out, "as", *map.as == Privilege::user ? "user" : "kernel");
    out += more;
    put_list(text, "unreadable", map.unreadable, [&](const Gap& gap) { put_gap(out, gap); });
    put_list(text, "malformed", map.malformed, [&](const Gap& gap) { put_gap(out, gap); });
    put_number_member(out, "tables", map.tables);
    put_key(out, "pages");
    out += '{';
    for (const unsigned shift : page_shifts)
        put_number_member(out, page_size_name(shift), map.pages[shift]);
    out += '}';
    if (map.ram_known) put_number_member(out, "outside_ram", map.outside_ram);
    put_list(text, "ranges", map.ranges,
             [&](const Range& range) { put_range(out, range, map.as.has_value(), labels); });
    out += "}\n";
    text.end();
}

void put_ranges_text(const Sink& sink, const Map& map, std::span<const Label> labels,
                     const Pulse& pulse) {
    if (map.ranges.empty()) return;
    Columns columns(format_of(map.mode).canonical ? 16 : 8);
    Ticker tick(pulse);
    for (const Range& range : map.ranges) {
        tick(64);
        columns.measure(range);
    }
    Pieces text(sink, pulse);
    std::string& out = text.out;
    columns.head(text);
    std::string shown;
    std::span<const Label> shown_labels;
    bool shown_covered = false;
    constexpr std::size_t folded = 8;  // fewer lines are not folded
    for (std::size_t i = 0; i < map.ranges.size();) {
        const Range& range = map.ranges[i];
        if (!labels.empty()) {
            const auto here = labels_in(labels, range.interval());
            const bool covered = cover(here, range.interval());
            // Mostly the labels are as before; this test is cheaper than making their text.
            if (shown.empty() || covered != shown_covered || here.data() != shown_labels.data() ||
                here.size() != shown_labels.size()) {
                std::string head = heading(here, range.interval());
                if (head != shown) text.label(head);
                shown = std::move(head);
            }
            shown_labels = here;
            shown_covered = covered;
        }
        columns.line(text, range);
        text.next();
        const std::size_t same = aliases(map.ranges, i, labels, tick);
        if (same < folded) {
            ++i;
            continue;
        }
        const std::uint64_t distance = map.ranges[i + 1].va.value - range.va.value;
        out.append("  and the same frame ").append(std::to_string(same - 1));
        out.append(" times more, every ").append(size_text(distance)).append("\n");
        i += same;
    }
    text.end();
}

}  // namespace ptmap
