// Spaces built to make a walker of paths run for ever. Work must follow distinct tables and the
// ranges that come out.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>

#include "fake_memory.h"
#include "space/find.h"
#include "space/grid.h"
#include "space/pages.h"
#include "whole_text.h"

namespace ptmap {
namespace {

void limit_cpu(rlim_t seconds) {
    const rlimit limit{seconds, seconds};
    setrlimit(RLIMIT_CPU, &limit);
}

// Runs work() in a process of its own that gets 20 seconds of CPU time, however busy the machine
// is: what runs for ever is a failure, not a test run that hangs.
template <typename Work>
void in_time(Work work) {
    EXPECT_EXIT(
        {
            limit_cpu(20);
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
        EXPECT_EQ(map.pages[12], std::uint64_t{1} << 36);
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
        EXPECT_EQ(m.map().pages[12], std::uint64_t{1} << 45);
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
        EXPECT_EQ(map.pages[12], std::uint64_t{1} << 36);
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
        EXPECT_EQ(m.map().pages[12], 0u);
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
            EXPECT_EQ(map.pages[12], std::uint64_t{1} << (mode == Mode::level4 ? 36 : 45));
        });
}

// How often a Pulse is called, each time for so much work.
struct Count {
    std::size_t pulses = 0;
    Pulse pulse = [this](std::size_t) { ++pulses; };

    double work() const { return static_cast<double>(pulses * Ticker::period); }
};

// Frames in no order and one hole: not one thing, and each path to it makes a range.
Machine all_scattered() {
    Machine m = all_shared();
    for (std::uint64_t i = 0; i < 511; ++i)
        m.set(0x4000, static_cast<unsigned>(i), (i * 37 % 512) << 13 | bit::table);
    m.set(0x4000, 511, 0);
    return m;
}

// An entry is looked at a few times for each path to it, and between two pulses are as many looks
// whatever comes out.
TEST(Hostile, ScatteredPagesAndAHole) {
    in_time([] {
        Count count;
        const Map map = all_scattered().map({.max_ranges = 5000, .pulse = count.pulse});
        EXPECT_EQ(map.ranges.size(), 5000u);
        EXPECT_EQ(map.pages[12], std::uint64_t{511} << 27);
        EXPECT_GT(count.work(), 5000 * 512 * 0.9);
        EXPECT_LT(count.work(), 5000 * 512 * 1.3);
    });
}

TEST(Hostile, ScatteredPagesThatAreSplit) {
    in_time([] {
        Count count;
        const Map map = all_scattered().map(
            {.split_physical = true, .max_ranges = 50000, .pulse = count.pulse});
        EXPECT_EQ(map.ranges.size(), 50000u);
        EXPECT_LT(count.work(), 50000 * 20);
    });
}

TEST(Hostile, FindAmongScatteredPages) {
    in_time([] {
        Count count;
        const Tables tables = all_scattered().scan();
        const Map map = find(
            tables, {.frames = {{0x10000}, {0x13fff}}, .max_ranges = 5000, .pulse = count.pulse});
        EXPECT_EQ(map.ranges.size(), 5000u);
        EXPECT_GT(count.work(), 2500 * 512 * 0.9);
        EXPECT_LT(count.work(), 2500 * 512 * 1.3);
    });
}

// One table with a hole among 511 without: all of these are one thing, on every path.
Machine one_mixed_table() {
    Machine m = all_shared();
    for (unsigned table = 0; table < 512; ++table) {
        const std::uint64_t at = 0x100000 + 0x1000 * table;
        m.set(0x3000, table, at | bit::table);
        m.fill(at, 0, 511, (0x1000000 + 0x200000 * table) | bit::table, 0x1000);
    }
    m.set(0x100000, 511, 0);
    return m;
}

TEST(Hostile, OneMixedTableAmong511) {
    in_time([] {
        Count count, find_count;
        const Tables tables = one_mixed_table().scan();
        const Map map =
            make_map(tables, {.split_physical = true, .max_ranges = 5000, .pulse = count.pulse});
        EXPECT_EQ(map.ranges.size(), 5000u);
        const double once = 2.2 * 512 * 513;  // each table; two ranges a visit add little
        EXPECT_LT(count.work(), once);
        const Map found = find(
            tables,
            {.frames = {{0}, {~std::uint64_t{0}}}, .max_ranges = 5000, .pulse = find_count.pulse});
        EXPECT_EQ(found.ranges, map.ranges);
        EXPECT_LT(find_count.work(), once);
    });
}

// What each of these makes of distinct tables is little; a pulse comes for the looks.
TEST(Hostile, APulseEndsWhatMakesNothing) {
    in_time([] {
        Machine m = one_mixed_table();
        // Too many runs to be remembered, whose pages are all the same: PCD chooses between equals.
        for (std::uint64_t table = 0; table < 512; ++table)
            for (unsigned page = 0; page < 511; page += 2)
                m.set(0x100000 + 0x1000 * table, page,
                      (0x1000000 + 0x200000 * table + 0x1000 * page) | bit::table | bit::PCD);
        const auto types = memory_types(0x0606060606060606);
        struct Stop {};
        const Pulse stop = [](std::size_t) { throw Stop{}; };
        const Tables tables = m.scan();
        EXPECT_THROW(make_map(tables, {.types = types, .pulse = stop}), Stop);
        EXPECT_THROW(find(tables, {.frames = {{0x1000}, {0x1fff}}, .types = types, .pulse = stop}),
                     Stop);
        EXPECT_THROW(pages(tables, {}, 1, stop), Stop);
        EXPECT_THROW(draw_grid(tables, 0, {}, stop), Stop);
    });
}

// A page a PT.
TEST(Hostile, PagesOfTablesThatAreNearlyEmpty) {
    in_time([] {
        Machine m = all_shared();
        m.fill(0x4000, 1, 511, 0);
        Count count;
        EXPECT_EQ(pages(m.scan(), {}, 100000, count.pulse).found.size(), 100000u);
        EXPECT_LT(count.work(), 100000 * 20);
    });
}

TEST(Hostile, GridsOfThem) {
    in_time([] {
        Machine m = all_alternating();
        const Tables tables = m.scan();
        for (const unsigned position : {0u, 1u}) {
            const Grid grid = draw_grid(tables, position, {});
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
            const Tables tables = m.scan({}, 1000);
            const Map map = make_map(tables, {.max_ranges = 1000});
            EXPECT_GT(map.ranges.size() + map.unreadable.size() + map.malformed.size(), 0u);
            EXPECT_FALSE(json(map).empty());
            draw_grid(tables, 0, {});
        });
}

}  // namespace
}  // namespace ptmap
