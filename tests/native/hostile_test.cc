// Spaces built to make a walker of paths run for ever. Work must follow distinct tables and the
// ranges that come out.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "core/grid.h"
#include "core/render.h"
#include "fake_memory.h"

namespace ptmap {
namespace {

// Runs work() in a process of its own that gets two seconds: what runs for ever is a failure,
// not a test run that hangs. All of it takes milliseconds when it is right.
template <typename Work>
void in_time(Work work) {
    EXPECT_EXIT(
        {
            alarm(2);
            work();
            std::fflush(stdout);
            std::_Exit(testing::Test::HasFailure());
        },
        testing::ExitedWithCode(0), "");
}

// 4-level: each table but the last is one that all entries of the level above name; 2^36 pages.
Machine all_shared() {
    Machine m(Mode::level4);
    for (std::uint64_t i = 1; i <= 4; ++i)
        m.fill(0x1000 * i, 0, 511, 0x1000 * (i + 1) | bit::table);
    return m;
}

TEST(Hostile, UniformSpaceIsTwoRanges) {
    in_time([] {
        Machine m = all_shared();
        const Map map = m.map();
        EXPECT_EQ(map.ranges.size(), 2u);
        EXPECT_EQ(map.pages[0], std::uint64_t{1} << 36);
        EXPECT_EQ(map.tables, 4u);
        EXPECT_TRUE(map.complete());
        EXPECT_EQ(m.memory.reads().size(), 4u);
    });
}

TEST(Hostile, UniformIn5Levels) {
    in_time([] {
        Machine m(Mode::level5);
        for (std::uint64_t i = 1; i <= 5; ++i)
            m.fill(0x1000 * i, 0, 511, 0x1000 * (i + 1) | bit::table);
        EXPECT_EQ(m.map().pages[0], std::uint64_t{1} << 45);
    });
}

// One PT for everybody below distinct tables.
TEST(Hostile, OneSharedPt) {
    in_time([] {
        Machine m(Mode::level4);
        m.set(0x1000, 0, 0x2000 | bit::table);
        m.fill(0x2000, 0, 127, 0x100000 | bit::table, 0x1000);
        for (std::uint64_t pd = 0; pd < 128; ++pd)
            m.fill(0x100000 + 0x1000 * pd, 0, 511, 0x3000 | bit::table);
        m.fill(0x3000, 0, 511, 0x4000 | bit::table);
        EXPECT_EQ(m.map().ranges.size(), 1u);
        for (unsigned i = 0; i < 512; i += 2) m.set(0x3000, i, 0);
        EXPECT_EQ(m.map({.max_ranges = 1000}).ranges.size(), 1000u);
    });
}

// Every page differs from its neighbour: 2^36 ranges, of which the first thousand come out.
Machine all_alternating() {
    Machine m = all_shared();
    for (unsigned i = 0; i < 512; i += 2) m.set(0x4000, i, 0x5000 | bit::P);
    return m;
}

TEST(Hostile, AlternatingSpaceIsTruncated) {
    in_time([] {
        const Map map = all_alternating().map({.max_ranges = 1000});
        EXPECT_EQ(map.ranges.size(), 1000u);
        EXPECT_TRUE(map.truncated);
        EXPECT_EQ(map.pages[0], std::uint64_t{1} << 36);
    });
}

TEST(Hostile, SplitPhysicalIsTruncated) {
    in_time([] {
        const Map map = all_shared().map({.split_physical = true, .max_ranges = 1000});
        EXPECT_EQ(map.ranges.size(), 1000u);
        EXPECT_TRUE(map.truncated);
    });
}

TEST(Hostile, UnreadableEverywhereIsTruncated) {
    in_time([] {
        Machine m = all_shared();
        m.fill(0x3000, 0, 511, 0x99000 | bit::table);
        const Map map = m.map({.max_ranges = 1000});
        EXPECT_EQ(map.unreadable.size(), 1000u);
        EXPECT_TRUE(map.truncated);
    });
}

TEST(Hostile, MalformedEverywhereIsTruncated) {
    in_time([] {
        Machine m = all_shared();
        m.registers.maxphyaddr = 40;
        m.fill(0x4000, 0, 511, std::uint64_t{1} << 45 | bit::P);
        const Map map = m.map({.max_ranges = 1000});
        EXPECT_EQ(map.malformed.size(), 1000u);
        EXPECT_TRUE(map.truncated);
    });
}

// Nothing is mapped, through 2^27 paths.
TEST(Hostile, EmptyEverywhere) {
    in_time([] {
        Machine m = all_shared();
        m.fill(0x4000, 0, 511, 0);
        EXPECT_TRUE(m.map().ranges.empty());
        EXPECT_EQ(m.map().pages[0], 0u);
    });
}

// The limit must hold for what is looked through, not for what a filter leaves of it.
TEST(Hostile, AlternatingSpaceThroughAFilterThatNothingPasses) {
    in_time([] {
        MapOptions options{.max_ranges = 1000};
        options.wanted = {{.global = true}};
        const Map map = all_alternating().map(options);
        EXPECT_TRUE(map.ranges.empty());
    });
}

TEST(Hostile, AlternatingSpaceThroughAFilterThatLittlePasses) {
    in_time([] {
        Machine m = all_alternating();
        m.set(0x1000, 511, 0x6000 | bit::table);
        m.set(0x6000, 511, bit::table | bit::PS | bit::G);
        MapOptions options{.max_ranges = 1000};
        options.wanted = {{.global = true}};
        m.map(options);
    });
}

// A view in which the pages do not differ is uniform however their tables differ.
TEST(Hostile, AlternatingSpaceInAViewThatSeesNoDifference) {
    in_time([] {
        Machine m = all_shared();
        for (unsigned i = 0; i < 512; i += 2) m.set(0x4000, i, 0x5000 | bit::P | bit::US);
        m.registers.cr0 &= ~cr0::WP;
        const Map map = m.map({.as = Privilege::kernel, .max_ranges = 1000});
        EXPECT_EQ(map.ranges.size(), 2u);
        EXPECT_TRUE(map.complete());
    });
}

TEST(Hostile, EveryEntryIsRecursive) {
    for (const Mode mode : {Mode::level4, Mode::level5})
        in_time([mode] {
            Machine m(mode);
            m.fill(0x1000, 0, 511, 0x1000 | bit::table);
            const Map map = m.map();
            EXPECT_EQ(map.tables, 1u);
            EXPECT_EQ(map.ranges.size(), 2u);
            EXPECT_EQ(map.pages[0], std::uint64_t{1} << (mode == Mode::level4 ? 36 : 45));
        });
}

TEST(Hostile, GridsOfThem) {
    in_time([] {
        Machine m = all_alternating();
        const Space space = m.scan();
        for (const unsigned position : {0u, 1u}) {
            const Grid grid = draw_grid(space, position, {});
            EXPECT_EQ(grid.cells.size(), position ? 512u * 512 : 512u);
            EXPECT_EQ(grid.mixed, grid.cells.size());
            EXPECT_EQ(grid.cells.find_first_not_of('x'), std::string::npos);
        }
    });
}

// Random bits as tables, everywhere: anything may come out, but soon and without harm.
TEST(Hostile, Noise) {
    for (const Mode mode : all_modes)
        in_time([mode] {
            Machine m(mode);
            m.registers.maxphyaddr = 32;
            std::uint64_t noise = 88172645463325252;
            for (std::uint64_t at = 0; at < 0x10000; at += 8) {
                noise ^= noise << 13, noise ^= noise >> 7, noise ^= noise << 17;
                m.memory.put(at, noise & 0x800000000000ffffu, 8);
            }
            const Space space = m.scan({}, 1000);
            const Map map = make_map(space, {.max_ranges = 1000});
            EXPECT_GT(map.ranges.size() + map.unreadable.size() + map.malformed.size(), 0u);
            EXPECT_FALSE(json(map).empty());
            draw_grid(space, 0, {});
        });
}

}  // namespace
}  // namespace ptmap
