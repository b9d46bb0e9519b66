#include "text/overview_text.h"

#include <algorithm>
#include <string>
#include <vector>

#include "space/grid.h"
#include "space/overview.h"
#include "text/grid_text.h"

namespace ptmap {
namespace {

constexpr std::size_t usual_width = 80, usual_bar = 16, shortest_bar = 4, longest_bar = 64;
constexpr std::size_t fewest_rows = 4;

// How many cells a stretch is drawn with.
std::size_t bar_in(std::size_t width) {
    return std::clamp(width + usual_bar, usual_width + shortest_bar, usual_width + longest_bar) -
           usual_width;
}

// A right that every page of a stretch has, some have, or none.
char letter_of(const Stretch& stretch, Rights right, char letter) {
    if (has(stretch.all_rights, right)) return letter;
    return has(stretch.rights, right) ? '?' : '-';
}

std::string rights_of(const Stretch& stretch) {
    const char user = letter_of(stretch, Rights::user, 'u');
    std::string rights = user == 'u' ? "ur" : user == '?' ? "usr" : "sr";
    rights += letter_of(stretch, Rights::write, 'w');
    rights += letter_of(stretch, Rights::exec, 'x');
    return rights;
}

void put_names(Text& text, const Stretch& stretch) {
    if (!stretch.labels.empty() && !stretch.labelled) text.out += "partly ";
    const char* comma = "";
    for (const Label* label : stretch.labels) {
        text.out += comma;
        text.label(label->name);
        text.out += source_mark(*label);
        comma = ", ";
    }
}

void put_row(Text& text, const Stretch& stretch, std::size_t bar, std::size_t width) {
    const std::size_t begin = text.out.size();
    const std::string rights = rights_of(stretch);
    text.out += right(stretch.empty ? short_size(stretch.empty) : "", 5) + ' ';
    text.address(stretch.interval.first.value, 16);
    text.out += ' ' + right(short_size(stretch.interval.size()), 5);
    text.out += ' ' + right(short_size(stretch.mapped), 5) + ' ';
    text.rights(rights);
    text.out.append(6 - rights.size(), ' ');
    text.rights(stretch.cells);
    text.out.append(bar - std::min(bar, stretch.cells.size()) + 1, ' ');
    put_names(text, stretch);
    if (text.out.size() - begin > width) {
        text.cut(begin + std::max<std::size_t>(width, 3) - 3);
        text.out += "...";
    }
    text.cut(text.out.find_last_not_of(' ') + 1);
    text.out += '\n';
}

// How many of the root's entries for this part of the space are in use.
void put_part(Text& text, std::string_view part, std::string_view slots, const Level& root) {
    const auto count = [&](char cell) {
        return static_cast<std::size_t>(std::ranges::count(slots, cell));
    };
    const std::size_t unknown = count('?'), used = slots.size() - count('.') - unknown;
    std::string line(part);
    line += " part: " + std::to_string(used) + " of " + std::to_string(slots.size()) + ' ';
    line.append(root.table_name).append(" slots of ").append(size_words(root.entry_span()));
    text.heading(line + " in use");
    if (unknown) text.out.append(", ").append(std::to_string(unknown)).append(" not readable");
    text.out += '\n';
}

}  // namespace

void put_overview(Text& text, const Tables& tables, const Map& map, std::span<const Label> labels,
                  const Screen& screen, const Pulse& pulse) {
    const std::size_t bar = bar_in(screen.width);
    const std::size_t room = std::max(screen.height, screen.other_lines) - screen.other_lines;
    const auto rows =
        overview(map, labels, std::max(room, fewest_rows), static_cast<unsigned>(bar), pulse);
    const std::string head =
        "empty start               size  used rwx   " + left("map", bar) + " what (?: some pages)";
    text.heading(std::string_view(head).substr(0, screen.width));
    text.out += '\n';
    const std::string slots = draw_grid(tables, 0, {}, pulse).cells;
    const std::size_t half = slots.size() / 2;
    const Level& root = *tables.paging().levels()[0].level;
    for (const bool upper : {false, true}) {
        put_part(text, upper ? "upper" : "lower",
                 std::string_view(slots).substr(upper ? half : 0, half), root);
        for (const Stretch& stretch : rows)
            if ((stretch.interval.first.value >> 63 != 0) == upper)
                put_row(text, stretch, bar, screen.width);
    }
    text.out += "x r +: supervisor, user read-only, user write; X R *: large";
    text.out += labels.empty() ? " pages\n" : "; =: read, ~: deduced\n";
}

}  // namespace ptmap
