#include "core/grid.h"

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

namespace ptmap {
namespace {

// Whose page it is: what the letters of a grid tell apart.
enum Class : std::uint8_t { nobody, supervisor, user_read_only, user_write };
constexpr std::string_view small_letters = ".xr+", large_letters = ".XR*";

Class class_of(Rights rights) {
    if (!has(rights, Rights::user)) return supervisor;
    return has(rights, Rights::write) ? user_write : user_read_only;
}

// What lies below a table, as far as a cell shows it.
struct Below {
    bool known = false;
    bool unreadable_first = false;  // something unreadable comes before any present page
    bool malformed = false;
    Class first = nobody;      // of the first present page
    std::uint8_t classes = 0;  // bit per Class that occurs
};

class Drawer {
public:
    Drawer(const Space& space, unsigned position, Grid& grid)
        : space_(space), position_(position), grid_(grid), below_(space.nodes()) {}

    // Draws `part` (offsets inside the table) of a node.
    void draw(std::uint32_t n, const Window& part, Rights path) {
        const Node& node = space_.node(n);
        const PagingLevel& level = space_.level(node);
        if (!node.readable) return fill(part, '?');
        const std::uint64_t span = level.entry_span();
        for (unsigned i = level.index(part.first); i <= level.index(part.last); ++i) {
            const std::uint64_t raw = space_.entry(node, i), begin = i * span;
            const Window inner{std::max(part.first, begin) - begin,
                               std::min(part.last, begin + span - 1) - begin};
            const Rights rights = path & level.rules(raw).rights(raw);
            switch (level.kind(raw)) {
                case Kind::not_present: fill(inner, '.'); break;
                case Kind::malformed: fill(inner, '!'); break;
                case Kind::page:
                    fill(inner, (level.level->number > 1 ? large_letters
                                                         : small_letters)[class_of(rights)]);
                    break;
                case Kind::table:
                    if (node.level < position_)
                        draw(space_.child_index(node, i), inner, rights);
                    else
                        table_cell(below(space_.child_index(node, i), rights));
                    break;
            }
        }
    }

private:
    void table_cell(const Below& what) {
        char cell = small_letters[what.first];
        if (what.unreadable_first)
            cell = '?';
        else if (what.first == nobody && what.malformed)
            cell = '!';
        else if (std::popcount(what.classes) > 1)
            ++grid_.mixed;
        grid_.cells += cell;
    }

    // As many cells as the part touches.
    void fill(const Window& part, char cell) {
        grid_.cells.append(part.last / grid_.cell_size - part.first / grid_.cell_size + 1, cell);
    }

    const Below& below(std::uint32_t n, Rights path) {
        Below& known = below_[n][static_cast<unsigned>(path)];
        if (!known.known) known = look(space_.node(n), path);
        return known;
    }

    Below look(const Node& node, Rights path) {
        Below sum{.known = true};
        if (!node.readable) {
            sum.unreadable_first = true;
            return sum;
        }
        const PagingLevel& level = space_.level(node);
        for (unsigned i = level.index(node.needed.first); i <= level.index(node.needed.last); ++i) {
            const std::uint64_t raw = space_.entry(node, i);
            const Rights rights = path & level.rules(raw).rights(raw);
            Below part{.known = true};
            switch (level.kind(raw)) {
                case Kind::not_present: continue;
                case Kind::malformed: part.malformed = true; break;
                case Kind::page:
                    part.first = class_of(rights);
                    part.classes = static_cast<std::uint8_t>(1u << part.first);
                    break;
                case Kind::table: part = below(space_.child_index(node, i), rights); break;
            }
            if (sum.first == nobody) {
                sum.unreadable_first |= part.unreadable_first;
                sum.first = part.first;
            }
            sum.malformed |= part.malformed;
            sum.classes |= part.classes;
        }
        return sum;
    }

    const Space& space_;
    unsigned position_;
    Grid& grid_;
    std::vector<std::array<Below, 8>> below_;
};

}  // namespace

Grid draw_grid(const Space& space, unsigned position, const Window& window) {
    const PagingLevel& level = space.paging().levels()[position];
    const Window shown{std::max(window.first, space.window().first),
                       std::min(window.last, space.window().last)};
    Grid grid{level.level->number,
              space.paging().address_of(shown.first & ~(level.entry_span() - 1)),
              level.entry_span(),
              {}};
    if (shown.first <= shown.last) Drawer(space, position, grid).draw(0, shown, Rights::all);
    return grid;
}

}  // namespace ptmap
