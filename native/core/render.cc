#include "core/render.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace ptmap {
namespace {

void put_hex(std::string& out, std::uint64_t value, unsigned digits = 1) {
    std::array<char, 16> text;
    const char* const end = std::to_chars(text.data(), text.data() + text.size(), value, 16).ptr;
    const auto length = static_cast<unsigned>(end - text.data());
    out += "0x";
    out.append(digits > length ? digits - length : 0, '0');
    out.append(text.data(), length);
}

void put_bool(std::string& out, const char* key, bool value) {
    out.append(", \"").append(key).append(value ? "\": true" : "\": false");
}

void put_hex_value(std::string& out, const char* key, std::uint64_t value) {
    out.append("\"").append(key).append("\": \"");
    put_hex(out, value);
    out += '"';
}

// Calls `put(name)` for each page size of a set.
template <typename Put>
void each_size(std::uint8_t sizes, Put put) {
    for (std::size_t i = 0; i < page_size_names.size(); ++i)
        if (sizes >> i & 1) put(page_size_names[i]);
}

// Our own words, a memory source's, and names that a guest may have chosen.
void put_escaped(std::string& out, std::string_view text) {
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += c >= ' ' && c <= '~' ? c : '?';
    }
}

// The members "label" and "label_source": names in address order, none twice in a row, and the
// source of each, as many of them.
void put_labels(std::string& out, std::span<const Label> labels) {
    std::string names, sources;
    const Label* before = nullptr;
    for (const Label& label : labels) {
        if (before && before->name == label.name && before->source == label.source) continue;
        put_escaped(names.append(before ? ", " : ""), label.name);
        put_escaped(sources.append(before ? ", " : ""), label.source);
        before = &label;
    }
    out.append(", \"label\": \"").append(names);
    out.append("\", \"label_source\": \"").append(sources) += '"';
}

void put_range(std::string& out, const Range& range, bool view, std::span<const Label> labels) {
    const Attributes& a = range.attributes;
    out += '{';
    put_hex_value(out, "va", range.va.value);
    put_hex_value(out += ", ", "size", range.size);
    if (range.contiguous)
        put_hex_value(out += ", ", "pa", range.pa.value);
    else
        out += ", \"pa\": null";
    put_bool(out, "user", has(a.rights, Rights::user));
    if (view) put_bool(out, "read", a.read);
    put_bool(out, "write", has(a.rights, Rights::write));
    put_bool(out, "exec", has(a.rights, Rights::exec));
    put_bool(out, "global", a.global);
    out.append(", \"cache\": \"").append(name(a.type)).append("\", \"page_sizes\": [");
    bool first = true;
    each_size(range.page_sizes, [&](std::string_view size) {
        out.append(first ? "\"" : ", \"").append(size).append("\"");
        first = false;
    });
    out += ']';
    put_label_members(out, labels, range.va, range.size);
    out += '}';
}

void put_gap(std::string& out, const Gap& gap) {
    out += '{';
    put_hex_value(out, "va", gap.va.value);
    put_hex_value(out += ", ", "size", gap.size);
    put_hex_value(out += ", ", "table", gap.table.value);
    out.append(", \"level\": ").append(std::to_string(gap.level));
    put_escaped(out.append(", \"why\": \""), gap.why);
    out += "\"}";
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

std::string size_text(std::uint64_t bytes) {
    static constexpr std::string_view units = "BKMGTPE";
    std::size_t unit = 0;
    for (; bytes && bytes % 1024 == 0 && unit + 1 < units.size(); ++unit) bytes /= 1024;
    return std::to_string(bytes) + units[unit];
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

void put_label_members(std::string& out, std::span<const Label> labels, VirtAddr va,
                       std::uint64_t size) {
    const auto here = labels_in(labels, va, size);
    if (here.empty()) return;
    put_labels(out, here);
    if (!cover(here, va, size)) put_bool(out, "label_partial", true);
}

std::string json(const Map& map, std::span<const Label> labels, std::string_view more,
                 const Pulse& pulse, std::string_view kind) {
    std::string out = "{\"schema\": \"ptmap/1\", \"kind\": \"";
    out.append(kind).append("\", \"mode\": \"").append(name(map.mode)).append("\", ");
    put_hex_value(out, "root", map.root.value);
    put_bool(out, "complete", map.complete());
    put_bool(out, "truncated", map.truncated);
    if (map.as)
        out.append(", \"as\": \"").append(*map.as == Privilege::user ? "user\"" : "kernel\"");
    out += more;
    put_list(out, "unreadable", map.unreadable, [&](const Gap& gap) { put_gap(out, gap); });
    put_list(out, "malformed", map.malformed, [&](const Gap& gap) { put_gap(out, gap); });
    out.append(",\n\"tables\": ").append(std::to_string(map.tables)).append(", \"pages\": {");
    for (std::size_t i = 0; i < page_size_names.size(); ++i)
        out.append(i ? ", \"" : "\"")
            .append(page_size_names[i])
            .append("\": ")
            .append(std::to_string(map.pages[i]));
    out += '}';
    if (map.ram_known) out.append(", \"outside_ram\": ").append(std::to_string(map.outside_ram));
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
