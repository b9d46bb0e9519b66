#include "text/grid_text.h"

#include <algorithm>
#include <string>
#include <vector>

#include "arch/formats.h"
#include "space/overview.h"

namespace ptmap {
namespace {

constexpr std::size_t most_cells = 64;

unsigned digits_of(Mode mode) { return format_of(mode).canonical ? 16 : 8; }

// Labels with the same name: lowmem, for example, lies in pieces around the kernel's image.
struct Part {
    const Label* first;
    VirtInterval interval;  // from the first one to the last one
    std::uint64_t mapped = 0;
};

std::vector<Part> by_name(std::span<const Label> labels) {
    std::vector<Part> parts;
    for (const Label& label : labels) {
        const auto same =
            std::ranges::find(parts, label.name, [](const Part& p) { return p.first->name; });
        if (same == parts.end())
            parts.push_back({&label, label.interval});
        else
            same->interval.last = label.interval.last;
    }
    return parts;
}

}  // namespace

void put_grid(Text& text, const Paging& paging, const Grid& grid, std::size_t width) {
    text.heading("a cell is " + size_words(grid.cell_size));
    text.out += '\n';
    const unsigned digits = digits_of(mode_of(paging.format()));
    const bool is_narrow = width && digits + 3 + most_cells > width;
    const std::size_t cells = is_narrow ? most_cells / 2 : most_cells;
    const std::uint64_t row = cells * grid.cell_size, offset = paging.offset_of(grid.first);
    const std::size_t skipped = offset % row / grid.cell_size;
    const std::string all = std::string(skipped, ' ') + grid.cells;
    std::uint64_t address = offset - skipped * grid.cell_size;
    for (std::size_t at = 0; at < all.size(); at += cells, address += row) {
        text.address(paging.address_of(address).value, digits);
        text.out += ' ';
        text.rights(std::string_view(all).substr(at, cells));
        text.out += '\n';
    }
    if (!grid.mixed) return;
    text.out += plural(grid.mixed, "cell hides", "cells hide");
    text.out += " a mix: a cell shows its first present page\n";
}

void put_parts(Text& text, const Map& map, std::span<const Label> labels,
               std::span<const Label> wanted, const Pulse& pulse) {
    std::vector<Part> parts = by_name(wanted);
    if (parts.empty()) return;
    for (const Stretch& stretch : overview(map, labels, labels.size(), 1, pulse))
        for (Part& part : parts)
            if (part.interval.contains(stretch.interval.first)) part.mapped += stretch.mapped;
    text.heading("start       size mapped what (= read, ~ deduced)");
    text.out += '\n';
    for (const Part& part : parts) {
        text.address(part.interval.first.value, digits_of(map.mode));
        text.out += ' ' + right(short_size(part.interval.size()), 5) + ' ' +
                    right(short_size(part.mapped), 6);
        text.out += ' ';
        text.label(part.first->name);
        text.out.append(source_mark(*part.first)) += '\n';
    }
}

std::string_view source_mark(const Label& label) {
    switch (label.source) {
        case LabelSource::read: return " =";
        case LabelSource::deduced: return " ~";
        case LabelSource::documented: break;
    }
    return "";
}

}  // namespace ptmap
