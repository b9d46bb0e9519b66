// A grid as rows, and the parts of a 32-bit space.
#include "text/grid_text.h"

#include <gtest/gtest.h>

#include "fake_memory.h"
#include "whole_text.h"

namespace ptmap {
namespace {

std::string text_of(Machine& machine, const Grid& grid, std::size_t width = 0,
                    std::string* roles = nullptr) {
    return written([&](Text& text) { put_grid(text, machine.paging(), grid, width); }, roles);
}

TEST(GridText, RowsOf64Cells) {
    Machine m(Mode::bits32);
    const Grid grid{2, {0}, 4 * MiB, std::string(128, '.') + "xx", 0};
    EXPECT_EQ(text_of(m, grid), "a cell is 4 MiB\n0x00000000 " + std::string(64, '.') +
                                    "\n0x10000000 " + std::string(64, '.') + "\n0x20000000 xx\n");
}

TEST(GridText, CellsBeforeTheFirstAreBlank) {
    Machine m(Mode::bits32);
    EXPECT_EQ(text_of(m, {2, {0x00c00000}, 4 * MiB, "+x", 0}),
              "a cell is 4 MiB\n0x00000000    +x\n");
    EXPECT_EQ(text_of(m, {1, {0xc0040000}, 4 * KiB, "x", 1}),
              "a cell is 4 KiB\n0xc0040000 x\n"
              "1 cell hides a mix: a cell shows its first present page\n");
}

TEST(GridText, UpperHalfAndManyMixes) {
    Machine m(Mode::level4);
    std::string roles;
    const Grid grid{4, {0xffff800000000000}, 512 * GiB, "xX", 2};
    EXPECT_EQ(text_of(m, grid, 0, &roles),
              "a cell is 512 GiB\n0xffff800000000000 xX\n"
              "2 cells hide a mix: a cell shows its first present page\n");
    EXPECT_EQ(roles,
              "<heading a cell is 512 GiB>\n<address 0xffff800000000000> <rights xX>\n"
              "2 cells hide a mix: a cell shows its first present page\n");
}

TEST(GridText, HalfAsWideOnANarrowScreen) {
    const std::string half(32, '.');
    Machine m(Mode::level4);
    const Grid grid{1, {0}, 4 * KiB, half + half, 0};
    EXPECT_EQ(text_of(m, grid, 83), "a cell is 4 KiB\n0x0000000000000000 " + half + half + "\n");
    EXPECT_EQ(text_of(m, grid, 82), "a cell is 4 KiB\n0x0000000000000000 " + half +
                                        "\n0x0000000000020000 " + half + "\n");
    Machine n(Mode::bits32);
    EXPECT_EQ(text_of(n, grid, 75), "a cell is 4 KiB\n0x00000000 " + half + half + "\n");
    EXPECT_NE(text_of(n, grid, 74).find("\n0x00020000 "), std::string::npos);
}

TEST(PartsText, EachNameOnceWithWhatIsMappedOfIt) {
    Map map{Mode::bits32, {0x1000}, 1};
    for (const auto& [va, size] :
         {std::pair(0xbf000000u, 12 * KiB), std::pair(0xc0000000u, MiB),
          std::pair(0xc0100000u, 3 * MiB), std::pair(0xc8000000u, 5 * MiB)})
        map.ranges.push_back({{va}, size, {va}, true, {12}, {Rights::write}});
    const std::vector<Label> labels{
        {{{0xbf000000}, {0xbfffffff}}, "stack", LabelSource::deduced},
        {{{0xc0000000}, {0xc00fffff}}, "lowmem", LabelSource::read},
        {{{0xc0100000}, {0xc03fffff}}, "kernel text", LabelSource::documented},
        {{{0xc0400000}, {0xcfffffff}}, "lowmem", LabelSource::read},
        {{{0xfffff000}, {0xffffffff}}, "top", LabelSource::read}};
    std::string roles;
    const auto put = [&](Text& text) { put_parts(text, map, labels, labels); };
    EXPECT_EQ(written(put, &roles),
              "start       size mapped what (= read, ~ deduced)\n"
              "0xbf000000   16M    12K stack ~\n"
              "0xc0000000  256M     9M lowmem =\n"
              "0xc0100000    3M     3M kernel text\n"
              "0xfffff000    4K     0B top =\n");
    EXPECT_NE(roles.find("<address 0xc0000000>  256M     9M <label lowmem> =\n"),
              std::string::npos);
    EXPECT_EQ(written([&](Text& text) { put_parts(text, map, labels, {}); }), "");
}

}  // namespace
}  // namespace ptmap
