#include "space/grid.h"

#include <bit>
#include <optional>

#include "paging/traversal.h"

namespace ptmap {
namespace {

// What a grid's letters tell of a page.
enum Class : std::uint8_t { nobody, supervisor, user_read_only, user_write };
constexpr std::string_view small_letters = ".xr+", large_letters = ".XR*";

Class class_of(Rights rights) {
    if (!has(rights, Rights::user)) return supervisor;
    return has(rights, Rights::write) ? user_write : user_read_only;
}

class Drawer {
public:
    // What a cell shows of everything below a table.
    struct Value {
        bool unreadable_first = false;  // a table is unreadable before the first present page
        bool malformed = false;
        Class first = nobody;      // of the first present page
        std::uint8_t classes = 0;  // bit per Class that occurs
    };
    static constexpr bool by_rights = true;
    static constexpr Parts parts = Parts::none;

    Drawer(unsigned position, Grid& grid, Ticker& tick)
        : position_(position), grid_(grid), tick_(tick) {}

    // A table below the cells is one cell.
    bool asks(const Node& node, const Interval&) const { return node.level > position_; }

    bool settles(const Value&, std::uint64_t) const { return true; }
    std::optional<Value> value_of_unreadable() const { return Value{.unreadable_first = true}; }

    bool add(Value& sum, const Entries& entries) const {
        if (entries.kind == Kind::malformed) sum.malformed = true;
        if (entries.kind != Kind::page) return true;
        const Class page = class_of(entries.rights());
        if (sum.first == nobody) sum.first = page;
        sum.classes |= static_cast<std::uint8_t>(1u << page);
        return true;
    }

    bool add(Value& sum, const Value& part, std::uint64_t) const {
        if (sum.first == nobody) {
            sum.unreadable_first |= part.unreadable_first;
            sum.first = part.first;
        }
        sum.malformed |= part.malformed;
        sum.classes |= part.classes;
        return true;
    }

    void take(std::uint64_t, const Value& what) {
        char cell = small_letters[what.first];
        if (what.unreadable_first)
            cell = '?';
        else if (what.first == nobody && what.malformed)
            cell = '!';
        else if (std::popcount(what.classes) > 1)
            ++grid_.mixed;
        put(cell);
    }

    void take(std::uint64_t, const Entries& entries, const Interval& part) {
        char cell = '.';
        if (entries.kind == Kind::malformed) cell = '!';
        if (entries.kind == Kind::page)
            cell = (entries.level.level->number > 1 ? large_letters
                                                    : small_letters)[class_of(entries.rights())];
        fill(part, cell);
    }

    void unreadable(std::uint64_t, const Node&, const Interval& part) { fill(part, '?'); }
    bool done() const { return false; }

private:
    // As many cells as the part touches.
    void fill(const Interval& part, char cell) {
        for (std::uint64_t i = part.first / grid_.cell_size; i <= part.last / grid_.cell_size; ++i)
            put(cell);
    }

    void put(char cell) {
        tick_();
        grid_.cells += cell;
    }

    unsigned position_;
    Grid& grid_;
    Ticker& tick_;
};

}  // namespace

Grid draw_grid(const Tables& tables, unsigned position, const Interval& window,
               const Pulse& pulse) {
    const PagingLevel& level = tables.paging().levels()[position];
    const Interval shown = intersection(window, tables.window());
    Grid grid{level.level->number,
              tables.paging().address_of(shown.first & ~(level.entry_span() - 1)),
              level.entry_span(),
              {}};
    if (shown.empty()) return grid;
    Ticker tick(pulse);
    Drawer drawer(position, grid, tick);
    Traversal(tables, drawer, tick).run(shown);
    return grid;
}

}  // namespace ptmap
