#include "text/summary_text.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "arch/formats.h"
#include "text/wrap.h"

namespace ptmap {
namespace {

constexpr std::size_t gaps_shown = 6;
constexpr std::uint64_t gib = 1 << 30;

// As "3G", "2.5G".
std::string gib_text(double number) {
    std::array<char, 32> text;
    char* const end =
        std::to_chars(text.data(), text.data() + text.size(), number, std::chars_format::general, 4)
            .ptr;
    return std::string(text.data(), end) + 'G';
}

void put_gap(JsonWriter& json, const Gap& gap) {
    json.object([&] {
        json.key("va").hex(gap.va.value);
        json.key("size").hex(gap.size);
        json.key("table").hex(gap.table.value);
        json.key("level").number(gap.level);
        json.key("why").text(gap.why);
    });
}

void put_gaps(Text& text, std::span<const Gap> gaps, Mode mode, std::string_view one,
              std::string_view many, std::size_t indent) {
    if (gaps.empty()) return;
    const Format& format = format_of(mode);
    const std::string margin(indent, ' ');
    text.out += margin;
    text.heading(plural(gaps.size(), one, many) + ":");
    text.out += '\n';
    for (const Gap& gap : gaps.first(std::min(gaps.size(), gaps_shown))) {
        const auto level = std::ranges::find(format.levels, gap.level, &Level::number);
        std::string line = "  " + hex(gap.va.value, format.canonical ? 16 : 8) + ' ' +
                           right(size_words(gap.size), 7) + "  ";
        line.append(level == format.levels.end() ? "table" : level->table_name);
        line.append(" at ").append(hex(gap.table.value)).append(": ").append(gap.why);
        for (const std::string& row : wrap(line, {.indent = 4})) {
            text.out += margin;
            text.reason(row);
            text.out += '\n';
        }
    }
    if (gaps.size() <= gaps_shown) return;
    text.out.append(margin).append("  and ").append(std::to_string(gaps.size() - gaps_shown));
    text.out += " more (-json names all)\n";
}

}  // namespace

void put_head(Text& text, const SpaceHead& head) {
    std::string first{name(head.mode)};
    first.append(" paging, root ").append(hex(head.root.value));
    if (head.half) first.append(", KPTI's ").append(name(*head.half)).append(" root");
    if (head.is_linux) first += ", Linux";
    std::size_t length = first.size();
    for (const std::string& note : head.notes) length += 2 + note.size();
    text.heading(first);
    for (const std::string& note : head.notes)
        text.out.append(length <= screen_columns ? ", " : "\n").append(note);
    text.out += '\n';
}

void put_split(Text& text, VirtAddr split) {
    const double user = static_cast<double>(split.value) / gib;
    text.out += "split ";
    text.out.append(gib_text(user)).append("/").append(gib_text(4 - user));
    text.out += ": the supervisor's part begins at ";
    text.address(split.value, 8);
    text.out += '\n';
}

void put_kpti(Text& text, const KptiShare& share, const KptiRoots& roots, Half half) {
    const bool is_user = half == Half::user;
    text.out.append("KPTI: ").append(short_size(share.user_frames)).append(" of the kernel's ");
    text.out.append(short_size(share.kernel_frames)).append(" stay in the user root (-half ");
    text.out += is_user ? "kernel: " : "user: ";
    text.address((is_user ? roots.kernel : roots.user).value);
    text.out += ")\n";
}

void put_counts(Text& text, const Map& map) {
    text.out.append(plural(map.tables, "table")).append("; pages: ");
    const char* comma = "";
    for (const unsigned shift : page_shifts) {
        if (!map.pages[shift]) continue;
        text.out.append(comma).append(std::to_string(map.pages[shift])).append(" of ");
        text.out += page_size_name(shift);
        comma = ", ";
    }
    if (!*comma) text.out += "none";
    if (map.outside_ram)
        text.out.append(", ").append(std::to_string(map.outside_ram)).append(" not RAM");
    text.out += map.complete() ? "; complete\n" : "; INCOMPLETE\n";
}

void put_missing(Text& text, const Map& map, const MissingOptions& options) {
    put_gaps(text, map.unreadable, map.mode, "table could not be read", "tables could not be read",
             options.indent);
    put_gaps(text, map.malformed, map.mode, "entry has a reserved bit set",
             "entries have a reserved bit set", options.indent);
    const std::string margin(options.indent, ' ');
    if (std::ranges::any_of(map.unreadable, &Gap::interrupted))
        text.out.append(margin).append("interrupted: the same command goes on from here\n");
    if (!map.truncated) return;
    const std::string limit = options.tables_cut ? "tables" : "ranges";
    text.out +=
        margin + "cut short: the limit of " + limit + " is reached (set ptmap max-" + limit + ")\n";
}

void put_missing_json(Text& text, const Map& map, JsonLayout layout) {
    JsonWriter json(text.out, layout);
    json.go_on();
    json.key("complete").boolean(map.complete());
    json.key("truncated").boolean(map.truncated);
    const auto list = [&](std::string_view name, const std::vector<Gap>& gaps) {
        json.key(name).list([&] {
            for (const Gap& gap : gaps) put_gap(json, gap);
        });
    };
    list("unreadable", map.unreadable);
    list("malformed", map.malformed);
}

}  // namespace ptmap
