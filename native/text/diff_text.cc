#include "text/diff_text.h"

#include <algorithm>
#include <array>
#include <bit>
#include <string_view>
#include <utility>

#include "text/render.h"

namespace ptmap {
namespace {

std::string_view page_size_of(const Side& side) {
    return page_size_name(side.page_sizes.smallest());
}

// start, end, size, rights, type, pages, physical
using Row = std::array<std::string, 7>;

// The role of a cell in a line with this sign; the header has no sign.
TextRole role(std::string_view sign, std::size_t column) {
    using enum TextRole;
    static constexpr std::array<TextRole, 7> roles{address, address, plain,  rights,
                                                   plain,   plain,   address};
    if (sign.empty()) return heading;
    return sign == "?" && roles[column] == rights ? reason : roles[column];
}

void put_side(Row& row, const Side& side, std::uint8_t which = 0xff) {
    if (which & (change_bit(Change::rights) | change_bit(Change::global)))
        row[3] = rights_text(side.attributes);
    if (which & change_bit(Change::cache)) row[4] = name(side.attributes.type);
    if (which & change_bit(Change::page_size)) row[5] = page_size_of(side);
    if (!(which & change_bit(Change::frame))) return;
    if (side.contiguous)
        put_hex(row[6], side.pa.value);
    else
        row[6].push_back('-');
}

// `va` + `size`, which may be beyond 32 or 64 bits, cut to the digits of an address.
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

void put_side(std::string& out, std::string_view key, const Side& side) {
    put_key(out, key);
    out += '{';
    put_pa_member(out, side.contiguous, side.pa);
    put_attribute_members(out, side.attributes);
    put_text_member(out, "page_size", page_size_of(side));
    out += '}';
}

// The names whose bit is set.
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

void put_diff_text(const Sink& sink, std::span<const Difference> differences, unsigned digits,
                   const DiffLabels& labels, const Pulse& pulse) {
    static constexpr std::string_view signs = "+-~?";
    if (differences.empty()) return;
    const Row head{"start", "end", "size", "rights", "type", "pages", "physical"};
    std::array<std::size_t, head.size()> width{};
    const auto measure = [&](const Row& row, std::size_t columns) {
        for (std::size_t i = 0; i < columns; ++i) width[i] = std::max(width[i], row[i].size());
    };
    Pieces text(sink, pulse);
    std::string& out = text.out;
    const auto put = [&](std::string_view sign, const Row& row) {
        const std::size_t line = out.size();
        out.append(sign).append(2 - std::min<std::size_t>(sign.size(), 2), ' ');
        for (std::size_t i = 0; i < row.size(); ++i) {
            const std::size_t pad = width[i] - std::min(width[i], row[i].size());
            if (i == 2) out.append(pad, ' ');  // sizes line up on the right
            text.in(role(sign, i), row[i]);
            if (i != 2) out.append(pad, ' ');
            out += ' ';
        }
        text.cut(std::max(line, out.find_last_not_of(' ') + 1));
        out += '\n';
        text.next();
    };
    measure(head, head.size());
    Ticker tick(pulse);
    for (const Difference& d : differences) {
        tick(256);
        // The words of an unknown difference may run into the next columns.
        measure(row_of(d, digits), d.what == What::unknown ? 3 : head.size());
    }
    put("", head);
    std::string shown;
    for (const Difference& d : differences) {
        if (const auto named = labels_of(labels, d); !named.empty()) {
            std::string names = heading(named, d.interval());
            if (names != shown) text.label(names);
            shown = std::move(names);
        }
        put(signs.substr(static_cast<std::size_t>(d.what), 1), row_of(d, digits));
        if (d.what != What::changed) continue;
        Row after;
        put_side(after, d.after, d.changed);
        put("->", after);
    }
    text.end();
}

void put_diff_json(const Sink& sink, std::span<const Difference> differences,
                   const DiffLabels& labels, const Pulse& pulse) {
    static constexpr std::array<std::string_view, 2> sides{"before", "after"};
    Pieces text(sink, pulse);
    std::string& out = text.out;
    const char* comma = "\n  {";
    for (const Difference& d : differences) {
        out += std::exchange(comma, ",\n  {");
        put_hex_member(out, "va", d.va.value);
        put_hex_member(out, "size", d.size);
        put_text_member(out, "what", what_names[static_cast<std::size_t>(d.what)]);
        if (d.what == What::unknown) put_names(out, "unknown", d.unknown, sides);
        if (d.what == What::changed) put_names(out, "changed", d.changed, change_names);
        if (d.what == What::gone || d.what == What::changed) put_side(out, "before", d.before);
        if (d.what == What::added || d.what == What::changed) put_side(out, "after", d.after);
        put_label_members(out, labels_of(labels, d), d.interval());
        out += '}';
        text.next();
    }
    text.end();
}

}  // namespace ptmap
