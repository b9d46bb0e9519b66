#include "core/render.h"

#include <algorithm>
#include <array>

#include "core/text.h"

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
        sources.append(before ? ", " : "").append(label.source);
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
    put_words_member(out, "page_sizes", [&](auto put) { each_size(range.page_sizes, put); });
    put_label_members(out, labels, range.va, range.size);
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
void put_list(std::string& out, const char* key, const std::vector<Element>& list, Put put) {
    out.append(",\n\"").append(key).append("\": [");
    bool first = true;
    for (const Element& element : list) {
        out += first ? "\n  " : ",\n  ";
        put(element);
        first = false;
    }
    out += ']';
}

// How many ranges from `first` on map one frame again and again, at equal distances, under the same
// label.
std::size_t aliases(const std::vector<Range>& ranges, std::size_t first,
                    std::span<const Label> labels) {
    const auto alike = [&](std::size_t i) {
        const Range &a = ranges[first], &b = ranges[i];
        const auto under_a = labels_in(labels, a.va, a.size);
        const auto under_b = labels_in(labels, b.va, b.size);
        if (under_a.data() != under_b.data() || under_a.size() != under_b.size()) return false;
        return b.contiguous && a.pa == b.pa && a.size == b.size && a.attributes == b.attributes &&
               b.va.value - ranges[i - 1].va.value == ranges[first + 1].va.value - a.va.value;
    };
    std::size_t end = first + 1;
    if (!ranges[first].contiguous) return 1;
    while (end < ranges.size() && alike(end)) ++end;
    return end - first;
}

// The columns of a line: as wide as what stands in them, the head too. Padded in place: a map may
// have a million lines.
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
        each_size(range.page_sizes, [&](std::string_view s) { names += s.size() + 1; });
        grow(pages, names - 1);
    }

    void head(std::string& out) const {
        for (std::size_t i = 0; i < heads.size(); ++i)
            cell(out, static_cast<Column>(i), [&] { out += heads[i]; });
    }

    void line(std::string& out, const Range& range) const {
        const Attributes& a = range.attributes;
        cell(out, start, [&] { put_hex(out, range.va.value, digits_); });
        const std::uint64_t after = range.va.value + range.size;
        cell(out, end, [&] { put_hex(out, digits_ == 8 ? after & 0xffffffff : after, digits_); });
        cell(out, size, [&] { out += size_text(range.size); });
        cell(out, rights, [&] { out += rights_text(a); });
        cell(out, type, [&] { out += name(a.type); });
        cell(out, pages, [&] {
            const char* comma = "";
            each_size(range.page_sizes, [&](std::string_view s) {
                out.append(comma).append(s);
                comma = ",";
            });
        });
        cell(out, physical, [&] {
            if (range.contiguous)
                put_hex(out, range.pa.value);
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

std::string heading(std::span<const Label> labels, VirtAddr va, std::uint64_t size) {
    const auto here = labels_in(labels, va, size);
    if (here.empty()) return "(no label):\n";
    std::string text = cover(here, va, size) ? "" : "partly ";
    std::string before;
    for (const Label& label : here) {
        std::string name = label.name + " (" + label.source + ')';
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

void put_label_members(std::string& out, std::span<const Label> labels, VirtAddr va,
                       std::uint64_t size) {
    const auto here = labels_in(labels, va, size);
    if (here.empty()) return;
    put_labels(out, here);
    if (!cover(here, va, size)) put_bool_member(out, "label_partial", true);
}

std::string json(const Map& map, std::span<const Label> labels, std::string_view more,
                 const Pulse& pulse, std::string_view kind) {
    std::string out = "{";
    put_text_member(out, "schema", "ptmap/1");
    put_text_member(out, "kind", kind);
    put_text_member(out, "mode", name(map.mode));
    put_hex_member(out, "root", map.root.value);
    put_bool_member(out, "complete", map.complete());
    put_bool_member(out, "truncated", map.truncated);
    if (map.as) put_text_member(out, "as", *map.as == Privilege::user ? "user" : "kernel");
    out += more;
    put_list(out, "unreadable", map.unreadable, [&](const Gap& gap) { put_gap(out, gap); });
    put_list(out, "malformed", map.malformed, [&](const Gap& gap) { put_gap(out, gap); });
    put_number_member(out, "tables", map.tables);
    put_key(out, "pages");
    out += '{';
    for (std::size_t i = 0; i < page_size_names.size(); ++i)
        put_number_member(out, page_size_names[i], map.pages[i]);
    out += '}';
    if (map.ram_known) put_number_member(out, "outside_ram", map.outside_ram);
    Ticker tick(pulse);
    out.reserve(out.size() + map.ranges.size() * 160);
    put_list(out, "ranges", map.ranges, [&](const Range& range) {
        tick();
        put_range(out, range, map.as.has_value(), labels);
    });
    return out += "}\n";
}

std::string ranges_text(const Map& map, std::span<const Label> labels, const Pulse& pulse) {
    if (map.ranges.empty()) return {};
    Columns columns(format_of(map.mode).canonical ? 16 : 8);
    std::string out;
    Ticker tick(pulse);
    for (const Range& range : map.ranges) {
        tick();
        columns.measure(range);
    }
    columns.head(out);
    out.reserve(map.ranges.size() * 2 * out.size());  // about twice too much: it costs nothing
    std::string shown;
    constexpr std::size_t folded = 8;  // fewer are not worth it
    for (std::size_t i = 0; i < map.ranges.size();) {
        const Range& range = map.ranges[i];
        tick();
        if (!labels.empty()) {
            std::string text = heading(labels, range.va, range.size);
            if (text != shown) out += text;
            shown = std::move(text);
        }
        columns.line(out, range);
        const std::size_t same = aliases(map.ranges, i, labels);
        if (same < folded) {
            ++i;
            continue;
        }
        const std::uint64_t distance = map.ranges[i + 1].va.value - range.va.value;
        out.append("  and the same frame ").append(std::to_string(same - 1));
        out.append(" times more, ").append(size_text(distance)).append(" on from one another\n");
        i += same;
    }
    return out;
}

}  // namespace ptmap
