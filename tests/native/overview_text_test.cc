// A 64-bit space in one screen, to the letter.
#include "text/overview_text.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "fake_memory.h"
#include "whole_text.h"

namespace ptmap {
namespace {

// Two user pages of which one is read-only, and a large page of the supervisor's at the top.
Machine small() {
    Machine m(Mode::level4);
    m.set(0x1000, 0, 0x2000 | bit::table);
    m.set(0x1000, 511, 0x2000 | bit::P | bit::RW);
    m.set(0x2000, 511, 0x3000 | bit::table);
    m.set(0x2000, 0, 0x5000 | bit::table);
    m.set(0x3000, 511, 0x600000 | bit::P | bit::PS | bit::XD);
    m.set(0x5000, 0, 0x4000 | bit::table);
    m.set(0x4000, 1, 0x10000 | bit::table);
    m.set(0x4000, 2, 0x20000 | bit::P | bit::US | bit::XD);
    return m;
}

std::string overview_of(Machine& m, const Screen& screen, std::span<const Label> labels = {},
                        std::string* roles = nullptr) {
    const Tables tables = m.scan();
    const Map map = make_map(tables, {});
    return written([&](Text& text) { put_overview(text, tables, map, labels, screen); }, roles);
}

TEST(OverviewText, ARowForEachStretch) {
    const std::vector<Label> labels{{{{0x1000}, {0x1fff}}, "text", LabelSource::read},
                                    {{{0x2000}, {0x2fff}}, "data", LabelSource::deduced}};
    std::string roles;
    Machine m = small();
    EXPECT_EQ(overview_of(m, {}, labels, &roles),
              "empty start               size  used rwx   map              what (?: some pages)\n"
              "lower part: 1 of 256 PML4 slots of 512 GiB in use\n"
              "   4K 0x0000000000001000    4K    4K urwx  +                text =\n"
              "      0x0000000000002000    4K    4K ur--  r                data ~\n"
              " 512G 0x0000007fffe00000    2M    2M sr--  XXXXXXXXXXXXXXXX\n"
              "upper part: 1 of 256 PML4 slots of 512 GiB in use\n"
              " 128T 0xffffff8000001000    4K    4K srwx  x\n"
              "      0xffffff8000002000    4K    4K sr--  x\n"
              " 512G 0xffffffffffe00000    2M    2M sr--  XXXXXXXXXXXXXXXX\n"
              "x r +: supervisor, user read-only, user write; X R *: large; =: read, ~: deduced\n");
    EXPECT_NE(roles.find("   4K <address 0x0000000000001000>    4K    4K <rights urwx>  <rights "
                         "+>                <label text> =\n"),
              std::string::npos)
        << roles;
}

TEST(OverviewText, LinesAreNotWiderThanTheScreen) {
    const std::vector<Label> labels{
        {{{0}, {0x7fffffffffff}}, std::string(100, 'n'), LabelSource::read}};
    Machine m = small();
    for (std::size_t width = 1; width < 200; ++width) {
        const std::string text = overview_of(m, {.width = width}, labels);
        std::size_t begin = 0;
        for (std::size_t end; (end = text.find('\n', begin)) != std::string::npos;
             begin = end + 1) {
            const auto line = std::string_view(text).substr(begin, end - begin);
            const bool is_row = line.size() > 8 && line.substr(6, 2) == "0x";
            if (!is_row) continue;
            EXPECT_LE(line.size(), width) << line;
            EXPECT_NE(line.back(), ' ');
        }
    }
    EXPECT_NE(overview_of(m, {.width = 80}, labels).find("nnn...\n"), std::string::npos);
}

TEST(OverviewText, MoreRowsOnATallerScreen) {
    Machine m(Mode::level4);
    m.set(0x1000, 0, 0x2000 | bit::table);
    m.set(0x2000, 0, 0x3000 | bit::table);
    m.set(0x3000, 0, 0x4000 | bit::table);
    for (unsigned n = 0, at = 0; at < 512; ++n, at += n + 1)  // ever larger holes
        m.set(0x4000, at, 0x10000 | bit::table);
    const auto rows = [&](const Screen& screen) {
        return std::ranges::count(overview_of(m, screen), '\n') - 4;
    };
    EXPECT_EQ(rows({80, 24, 9}), 15);
    EXPECT_EQ(rows({80, 24, 10}), 14);
    EXPECT_EQ(rows({80, 5, 9}), 4);
    EXPECT_EQ(rows({80, 1000, 9}), 31);
}

TEST(OverviewText, SaysWhatIsNotReadable) {
    Machine m = small();
    m.set(0x1000, 3, 0x90000 | bit::table);
    EXPECT_NE(overview_of(m, {}).find(
                  "lower part: 1 of 256 PML4 slots of 512 GiB in use, 1 not readable\n"),
              std::string::npos);
}

TEST(OverviewText, OfNothing) {
    Machine m(Mode::level5);
    m.memory.ram(0x1000);
    EXPECT_EQ(overview_of(m, {}),
              "empty start               size  used rwx   map              what (?: some pages)\n"
              "lower part: 0 of 256 PML5 slots of 256 TiB in use\n"
              "upper part: 0 of 256 PML5 slots of 256 TiB in use\n"
              "x r +: supervisor, user read-only, user write; X R *: large pages\n");
}

}  // namespace
}  // namespace ptmap
