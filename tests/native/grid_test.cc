// The classic picture, letter by letter.
#include "space/grid.h"

#include <gtest/gtest.h>

#include "fake_memory.h"

namespace ptmap {
namespace {

// The cells of the level with this number over the whole space (or a window).
Grid grid(Machine& m, unsigned level, const Interval& window = {}) {
    const Tables tables = m.scan(window);
    return draw_grid(tables, static_cast<unsigned>(tables.paging().position(level)), window);
}

// 32-bit: what PDE 0 (and its table at 0x2000) shows as.
struct Cell {
    Machine machine{Mode::bits32};
    Cell() { machine.memory.ram(0x1000), machine.memory.ram(0x2000); }
    Cell& pde(std::uint64_t raw) { return machine.set(0x1000, 0, raw), *this; }
    Cell& pte(unsigned i, std::uint64_t raw) { return machine.set(0x2000, i, raw), *this; }
    char show() { return grid(machine, 2).cells[0]; }
    std::uint64_t mixed() { return grid(machine, 2).mixed; }
};
constexpr std::uint64_t table = 0x2000 | bit::table, user = bit::US, write = bit::RW, P = bit::P;

TEST(Grid, NotPresent) {
    EXPECT_EQ(Cell().pde(0).show(), '.');
    EXPECT_EQ(Cell().pde(0xfffffffe).show(), '.');
}

TEST(Grid, LargePages) {
    EXPECT_EQ(Cell().pde(P | bit::PS).show(), 'X');
    EXPECT_EQ(Cell().pde(P | bit::PS | write).show(), 'X');
    EXPECT_EQ(Cell().pde(P | bit::PS | user).show(), 'R');
    EXPECT_EQ(Cell().pde(P | bit::PS | user | write).show(), '*');
}

TEST(Grid, Tables) {
    EXPECT_EQ(Cell().pde(table).show(), '.');
    EXPECT_EQ(Cell().pde(table).pte(7, P).show(), 'x');
    EXPECT_EQ(Cell().pde(table).pte(7, P | write).show(), 'x');
    EXPECT_EQ(Cell().pde(table).pte(7, P | user).show(), 'r');
    EXPECT_EQ(Cell().pde(table).pte(1023, P | user | write).show(), '+');
}

TEST(Grid, RightsAreThoseOfThePath) {
    EXPECT_EQ(Cell().pde(0x2000 | P | write).pte(0, P | user | write).show(), 'x');
    EXPECT_EQ(Cell().pde(0x2000 | P | user).pte(0, P | user | write).show(), 'r');
}

TEST(Grid, TheFirstPresentPageDecidesAndMixesAreCounted) {
    Cell cell;
    cell.pde(table).pte(5, P | user).pte(6, P | user);
    EXPECT_EQ(cell.show(), 'r');
    EXPECT_EQ(cell.mixed(), 0u);
    cell.pte(900, P | user | write);
    EXPECT_EQ(cell.show(), 'r');
    EXPECT_EQ(cell.mixed(), 1u);
    cell.pte(1, P | user | write);
    EXPECT_EQ(cell.show(), '+');
    EXPECT_EQ(cell.mixed(), 1u);
}

TEST(Grid, SameLetterIsNoMix) {
    EXPECT_EQ(Cell().pde(table).pte(0, P).pte(1, P | write | bit::G).mixed(), 0u);
}

TEST(Grid, Malformed) {
    EXPECT_EQ(Cell().pde(P | bit::PS | 0x200000).show(), '!');
    EXPECT_EQ(Cell().pde(P | user | bit::PS | 0x200000).show(), '!');
}

TEST(Grid, Unreadable) {
    EXPECT_EQ(Cell().pde(0x9000 | bit::table).show(), '?');
    Cell lost_root;
    lost_root.machine.registers.cr3 = 0x9000;
    EXPECT_EQ(grid(lost_root.machine, 2).cells, std::string(1024, '?'));
    EXPECT_EQ(grid(lost_root.machine, 1, {0, 4 * MiB - 1}).cells, std::string(1024, '?'));
}

// 4-level, PD 0x3000 below PML4 and PDPT: entry 0 of the PDPT on show.
Machine pdpt_cell() {
    Machine m(Mode::level4);
    m.set(0x1000, 0, 0x2000 | bit::table);
    m.set(0x2000, 0, 0x3000 | bit::table);
    m.memory.ram(0x3000);
    return m;
}

TEST(Grid, WhatIsUnreadableBelowCountsBeforeAnyPage) {
    Machine m = pdpt_cell();
    m.set(0x3000, 5, 0x9000 | bit::table);
    EXPECT_EQ(grid(m, 3, {0, GiB - 1}).cells, "?");
    m.set(0x3000, 9, P | bit::PS);
    EXPECT_EQ(grid(m, 3, {0, GiB - 1}).cells, "?");
    EXPECT_EQ(grid(m, 4, {0, GiB - 1}).cells, "?");
    m.set(0x3000, 1, P | user | bit::PS);
    EXPECT_EQ(grid(m, 3, {0, GiB - 1}).cells, "r");
    EXPECT_EQ(grid(m, 4, {0, GiB - 1}).cells, "r");
    EXPECT_EQ(grid(m, 4, {0, GiB - 1}).mixed, 1u);
}

TEST(Grid, ALargePageBelowATableIsASmallLetter) {
    Machine m = pdpt_cell();
    m.set(0x3000, 5, P | user | write | bit::PS);
    EXPECT_EQ(grid(m, 3, {0, GiB - 1}).cells, "+");
    EXPECT_EQ(grid(m, 2, {0, GiB - 1}).cells, ".....*" + std::string(506, '.'));
}

TEST(Grid, APageAboveTheLevelOnShowFillsItsCells) {
    Machine m = pdpt_cell();
    m.set(0x2000, 1, P | user | bit::PS);
    m.set(0x2000, 2, 0x9000 | bit::table);
    m.set(0x2000, 3, P | bit::PS | 0x2000);
    const Grid g = grid(m, 2, {0, 5 * GiB - 1});
    EXPECT_EQ(g.cells, std::string(512, '.') + std::string(512, 'R') + std::string(512, '?') +
                           std::string(512, '!') + std::string(512, '.'));
    EXPECT_EQ(g.cell_size, 2 * MiB);
    EXPECT_EQ(g.level, 2u);
    EXPECT_EQ(g.first.value, 0u);
}

TEST(Grid, PtesAreSmallLetters) {
    Cell cell;
    cell.pde(table).pte(0, P).pte(1, P | user).pte(2, P | user | write);
    EXPECT_EQ(grid(cell.machine, 1, {0, 4 * MiB - 1}).cells, "xr+" + std::string(1021, '.'));
}

TEST(Grid, AWindowShowsEveryCellThatItTouches) {
    Machine m(Mode::level4);
    m.set(0x1000, 256, 0x2000 | bit::table);
    m.fill(0x2000, 0, 511, P | bit::PS);
    m.set(0x2000, 3, P | user | bit::PS);
    const Grid g = grid(m, 3, {0x800000000000 + 2 * GiB + 5, 0x800000000000 + 4 * GiB});
    EXPECT_EQ(g.cells, "XRX");
    EXPECT_EQ(g.first.value, 0xffff800080000000);
    const Grid one = grid(m, 3, {0x800000000000 + 3 * GiB + 5, 0x800000000000 + 3 * GiB + 5});
    EXPECT_EQ(one.cells, "R");
    // From a whole scan, too.
    const Tables tables = m.scan();
    EXPECT_EQ(draw_grid(tables, 1, {0x800000000000 + 3 * GiB, 0x800000000000 + 4 * GiB}).cells,
              "RX");
}

TEST(Grid, RootOf4LevelPaging) {
    Machine m(Mode::level4);
    m.set(0x1000, 0, 0x2000 | bit::table);
    m.set(0x1000, 255, 0x9000 | bit::table);
    m.set(0x1000, 256, 0x2000 | bit::P | bit::RW);
    m.set(0x1000, 511, bit::table | bit::PS);
    m.set(0x2000, 17, P | user | write | bit::PS);
    const Grid g = grid(m, 4);
    EXPECT_EQ(g.cells, "+" + std::string(254, '.') + "?x" + std::string(254, '.') + "!");
    EXPECT_EQ(g.cell_size, 512 * GiB);
}

TEST(Grid, PaeShowsAllFourDirectories) {
    Machine m(Mode::pae);
    m.registers.cr3 = 0x1020;
    m.set(0x1020, 0, 0x2000 | P);
    m.set(0x1020, 2, 0x9000 | P);
    m.set(0x1020, 3, 0x3000 | P | 0x1e6);  // reserved bits of a PDPTE are no '!'
    m.set(0x2000, 0, P | user | bit::PS);
    m.set(0x2000, 511, 0x4000 | bit::table);
    m.set(0x4000, 511, P | user | write);
    m.set(0x3000, 0, P | bit::PS | bit::XD);
    m.set(0x3000, 511, P | bit::PS | 0x2000);
    const Grid g = grid(m, 2);
    EXPECT_EQ(g.cells, "R" + std::string(510, '.') + "+" + std::string(512, '.') +
                           std::string(512, '?') + "X" + std::string(510, '.') + "!");
    EXPECT_EQ(g.cell_size, 2 * MiB);
    EXPECT_EQ(grid(m, 3).cells, "r.?x");
    EXPECT_EQ(grid(m, 3).mixed, 1u);
}

// A shared table is seen with the rights of each path.
TEST(Grid, SharedTables) {
    Cell cell;
    cell.pte(0, P | user | write);
    cell.machine.set(0x1000, 0, table);
    cell.machine.set(0x1000, 1, 0x2000 | P | user);
    cell.machine.set(0x1000, 2, 0x2000 | P | write);
    EXPECT_EQ(grid(cell.machine, 2).cells.substr(0, 4), "+rx.");
}

}  // namespace
}  // namespace ptmap
