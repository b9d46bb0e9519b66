// What is read, how often and in how many calls; what is known of what could not be read.
#include "paging/scan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "fake_memory.h"

namespace ptmap {
namespace {

using Read = FakeMemory::Read;
using Reads = std::vector<Read>;

Reads sorted(Reads reads) {
    std::ranges::sort(reads);
    return reads;
}

// 4-level: PML4 1, PDPTs 2 and 3, PDs 4 5 6, PTs 7 8 (in units of 4 KiB), 1 + 2 + 3 + 2 tables.
Machine small_tree() {
    Machine m(Mode::level4);
    m.set(0x1000, 0, 0x2000 | bit::table);
    m.set(0x1000, 511, 0x3000 | bit::table);
    m.set(0x2000, 0, 0x4000 | bit::table);
    m.set(0x2000, 7, 0x5000 | bit::table);
    m.set(0x3000, 511, 0x6000 | bit::table);
    m.set(0x4000, 0, 0x7000 | bit::table);
    m.set(0x5000, 1, 0x8000 | bit::table);
    m.set(0x6000, 0, 0x40000000 | bit::table | bit::PS);
    m.set(0x7000, 0, 0x10000 | bit::table);
    m.set(0x8000, 0, 0x11000 | bit::table);
    return m;
}

TEST(Scan, ReadsEachTableOnceAndALevelInOneCall) {
    Machine m = small_tree();
    const Tables tables = m.scan();
    ASSERT_EQ(m.memory.calls.size(), 4u);
    EXPECT_EQ(m.memory.calls[0], (Reads{{0x1000, 4096}}));
    EXPECT_EQ(sorted(m.memory.calls[1]), (Reads{{0x2000, 4096}, {0x3000, 4096}}));
    EXPECT_EQ(sorted(m.memory.calls[2]), (Reads{{0x4000, 4096}, {0x5000, 4096}, {0x6000, 4096}}));
    EXPECT_EQ(sorted(m.memory.calls[3]), (Reads{{0x7000, 4096}, {0x8000, 4096}}));
    EXPECT_EQ(tables.count(), 8u);
    EXPECT_EQ(tables.nodes(), 8u);
    EXPECT_EQ(tables.root().value, 0x1000);
    EXPECT_FALSE(tables.cut());
}

TEST(Scan, FollowsEntries) {
    Machine m = small_tree();
    const Tables tables = m.scan();
    const Node& root = tables.node(0);
    const Node& pdpt = tables.child(root, 511);
    EXPECT_EQ(pdpt.table.value, 0x3000);
    EXPECT_EQ(tables.level(pdpt).level->number, 3);
    EXPECT_EQ(tables.child(pdpt, 511).table.value, 0x6000);
    EXPECT_TRUE(tables.child(pdpt, 511).children.empty());
    EXPECT_EQ(tables.entry(tables.child(pdpt, 511), 0), 0x40000087);
    EXPECT_EQ(tables.child(tables.child(root, 0), 7).table.value, 0x5000);
}

TEST(Scan, ReadsASharedSubtreeOnce) {
    Machine m(Mode::level4);
    m.fill(0x1000, 0, 511, 0x2000 | bit::table);
    m.fill(0x2000, 0, 511, 0x3000 | bit::table);
    m.fill(0x3000, 0, 511, 0x4000 | bit::table);
    m.fill(0x4000, 0, 511, 0x5000 | bit::table);
    const Tables tables = m.scan();
    EXPECT_EQ(m.memory.reads(),
              (Reads{{0x1000, 4096}, {0x2000, 4096}, {0x3000, 4096}, {0x4000, 4096}}));
    EXPECT_EQ(tables.count(), 4u);
    EXPECT_EQ(tables.nodes(), 4u);
}

TEST(Scan, ReadsATableUsedAtSeveralLevelsOnce) {
    Machine m(Mode::level4);
    m.set(0x1000, 510, 0x1000 | bit::table);  // recursive
    m.set(0x1000, 0, 0x2000 | bit::table);
    m.set(0x2000, 0, 0x1000 | bit::table);  // and again from below
    const Tables tables = m.scan();
    EXPECT_EQ(sorted(m.memory.reads()), (Reads{{0x1000, 4096}, {0x2000, 4096}}));
    EXPECT_EQ(tables.count(), 2u);
    EXPECT_EQ(tables.nodes(), 1u + 2 + 2 + 2);  // PML4 1; then 1 and 2 as PDPT, as PD, as PT
}

TEST(Scan, PaeRootIs32Bytes) {
    Machine m(Mode::pae);
    m.registers.cr3 = 0x1fe0;
    m.fill(0x1fe0, 0, 3, 0x2000 | bit::P, 0x1000);
    m.set(0x2000, 0, 0x6000 | bit::table);
    m.memory.ram(0x3000), m.memory.ram(0x4000), m.memory.ram(0x5000), m.memory.ram(0x6000);
    const Tables tables = m.scan();
    ASSERT_EQ(m.memory.calls.size(), 3u);
    EXPECT_EQ(m.memory.calls[0], (Reads{{0x1fe0, 32}}));
    EXPECT_EQ(sorted(m.memory.calls[1]),
              (Reads{{0x2000, 4096}, {0x3000, 4096}, {0x4000, 4096}, {0x5000, 4096}}));
    EXPECT_EQ(m.memory.calls[2], (Reads{{0x6000, 4096}}));
    EXPECT_EQ(tables.count(), 6u);
}

// The page that PAE's root lies in may be a table too. It has 512 entries then, the root still 4.
TEST(Scan, PaeRootsPageAsATable) {
    Machine m(Mode::pae);
    m.set(0x1000, 0, 0x1000 | bit::P);
    m.set(0x1000, 4, 0x200000 | bit::table | bit::PS);
    const Map map = m.map();
    EXPECT_EQ(sorted(m.memory.reads()), (Reads{{0x1000, 32}, {0x1000, 4096}}));
    ASSERT_EQ(map.ranges.size(), 3u);
    EXPECT_EQ(map.ranges[0].va.value, 0u);       // as a PT, entry 0
    EXPECT_EQ(map.ranges[1].va.value, 0x4000u);  // as a PT, entry 4
    EXPECT_EQ(map.ranges[2].va.value, 8 * MiB);  // as a PD, entry 4
}

TEST(Scan, ReadsOnlyWhatTheWindowNeeds) {
    Machine m = small_tree();
    m.scan({7 * GiB + 2 * MiB, 7 * GiB + 2 * MiB});
    EXPECT_EQ(m.memory.reads(),
              (Reads{{0x1000, 4096}, {0x2000, 4096}, {0x5000, 4096}, {0x8000, 4096}}));
    m.memory.calls.clear();
    m.scan({0, 7 * GiB + 2 * MiB - 1});  // one byte short of the PT at 0x8000
    EXPECT_EQ(
        sorted(m.memory.reads()),
        (Reads{{0x1000, 4096}, {0x2000, 4096}, {0x4000, 4096}, {0x5000, 4096}, {0x7000, 4096}}));
    m.memory.calls.clear();
    m.scan({0xff8000000000, ~0ull});
    EXPECT_EQ(m.memory.reads(), (Reads{{0x1000, 4096}, {0x3000, 4096}, {0x6000, 4096}}));
}

// A window that two paths share a table under: each part of it is needed by one of them.
TEST(Scan, AWindowsTwoEndsInOneSharedTable) {
    Machine m(Mode::level4);
    m.set(0x1000, 0, 0x2000 | bit::table);
    m.set(0x2000, 0, 0x3000 | bit::table);
    m.set(0x2000, 1, 0x3000 | bit::table);
    m.set(0x3000, 0, 0x4000 | bit::table);
    m.set(0x3000, 511, 0x5000 | bit::table);
    m.fill(0x4000, 0, 511, 0x100000 | bit::table, 0x1000);
    m.fill(0x5000, 0, 511, 0x300000 | bit::table, 0x1000);
    // The last page below 1 GiB and the first above it.
    MapOptions options;
    options.window = {GiB - 0x1000, GiB + 0xfff};
    const Map map = m.map(options);
    EXPECT_EQ(map.pages[12], 2u);
    ASSERT_EQ(map.ranges.size(), 1u);
    EXPECT_EQ(map.ranges[0].va.value, GiB - 0x1000);
    EXPECT_EQ(map.ranges[0].size, 0x2000u);
}

TEST(Scan, AsksForUpTo4096TablesACall) {
    Machine m(Mode::level4);
    // 1 PML4, 1 PDPT, 18 PDs, 18 * 512 = 9216 PTs that are not there.
    m.set(0x1000, 0, 0x2000 | bit::table);
    m.fill(0x2000, 0, 17, 0x100000 | bit::table, 0x1000);
    for (std::uint64_t pd = 0; pd < 18; ++pd)
        m.fill(0x100000 + pd * 0x1000, 0, 511, 0x10000000 + pd * 0x200000 + bit::table, 0x1000);
    const Tables tables = m.scan();
    ASSERT_EQ(m.memory.calls.size(), 3u + 3u);
    EXPECT_EQ(m.memory.calls[3].size(), 4096u);
    EXPECT_EQ(m.memory.calls[4].size(), 4096u);
    EXPECT_EQ(m.memory.calls[5].size(), 1024u);
    EXPECT_EQ(tables.count(), 20u);
    EXPECT_EQ(tables.nodes(), 20u + 9216);
    EXPECT_FALSE(tables.cut());
}

TEST(Scan, UnreadableTablesSpoilNothingElse) {
    Machine m = small_tree();
    m.set(0x2000, 8, 0x99000 | bit::table);
    m.set(0x2000, 9, 0x99000 | bit::table);
    const Tables tables = m.scan();
    EXPECT_EQ(tables.count(), 8u);
    const Node& pdpt = tables.child(tables.node(0), 0);
    const Node& lost = tables.child(pdpt, 8);
    EXPECT_FALSE(lost.readable);
    EXPECT_EQ(tables.why(lost), "not RAM");
    EXPECT_TRUE(tables.child(pdpt, 7).readable);
    EXPECT_EQ(tables.child_index(pdpt, 8), tables.child_index(pdpt, 9));
    // Asked for once only.
    EXPECT_EQ(std::ranges::count(m.memory.reads(), Read{0x99000, 4096}), 1);
    EXPECT_FALSE(tables.cut());
}

TEST(Scan, UnreadableRoot) {
    Machine m(Mode::level4);
    m.registers.cr3 = 0x77000;
    const Tables tables = m.scan();
    EXPECT_EQ(tables.count(), 0u);
    EXPECT_FALSE(tables.node(0).readable);
    EXPECT_EQ(tables.root().value, 0x77000);
}

TEST(Scan, MalformedEntriesAreNotFollowed) {
    Machine m(Mode::level4);
    m.set(0x1000, 0, 0x2000 | bit::table | bit::PS);
    m.set(0x1000, 1, 0x3000);
    m.scan();
    EXPECT_EQ(m.memory.reads(), (Reads{{0x1000, 4096}}));
}

TEST(Scan, StopsAtTheLimitOfTables) {
    for (std::size_t limit = 0; limit <= 9; ++limit) {
        Machine m = small_tree();
        const Tables tables = m.scan({}, limit);
        EXPECT_EQ(tables.count(), std::min<std::size_t>(limit, 8)) << limit;
        EXPECT_EQ(m.memory.reads().size(), std::min<std::size_t>(limit, 8)) << limit;
        EXPECT_EQ(tables.cut(), limit < 8) << limit;
        const Map map = make_map(tables, {});
        EXPECT_EQ(map.truncated, limit < 8) << limit;
        EXPECT_EQ(map.complete(), limit >= 8) << limit;
        EXPECT_EQ(map.unreadable.empty(), limit >= 8) << limit;
    }
}

// What is remembered of a table is what a look at its entries finds.
void expect_runs_as_looked_for(const Tables& tables, const Node& node) {
    const PagingLevel& level = tables.level(node);
    unsigned i = level.index(node.needed.first);
    const unsigned end = level.index(node.needed.last) + 1;
    for (const EntryRun& run : tables.runs(node)) {
        const EntryRun looked_for = tables.paging().run(level, tables.bytes(node), i, end);
        EXPECT_EQ(run.raw, looked_for.raw);
        EXPECT_EQ(run.kind, looked_for.kind);
        EXPECT_EQ(run.end, looked_for.end);
        if (run.kind == Kind::page) {
            EXPECT_EQ(run.frames.are_in_order,
                      i + 1 == run.end || tables.contiguous_end(node, i, run.end) == run.end);
            PhysInterval begin_in{{~std::uint64_t{0}}, {0}};
            for (; i < run.end; ++i) {
                const PhysAddr frame = level.page.target(tables.entry(node, i));
                begin_in = around(begin_in, {frame, frame});
            }
            EXPECT_EQ(run.frames.begin_in, begin_in);
        }
        i = run.end;
    }
    EXPECT_EQ(i, end);
}

TEST(Scan, RemembersTheRunsOfATableThatHasFew) {
    for (const Mode mode : {Mode::bits32, Mode::pae, Mode::level4, Mode::level5}) {
        Machine m(mode);
        const std::uint64_t last = m.paging().levels().size();  // the PT's level from the root
        const bool is_pae = mode == Mode::pae;
        for (std::uint64_t level = 1; level < last; ++level)
            m.set(0x1000 * level, 0,
                  0x1000 * (level + 1) | (is_pae && level == 1 ? 1 : bit::table));
        const std::uint64_t pt = 0x1000 * last;
        m.fill(pt, 0, 99, 0x100000 | bit::table, 0x1000);           // in order
        m.fill(pt, 100, 199, 0x300000 | bit::P | bit::US, 0x2000);  // others, not in order
        m.set(pt, 150, 0x5000 | bit::P | bit::US);
        m.fill(pt, 201, 201, 0x7000 | bit::table);
        m.fill(pt, 300, 349, 0x400000 | bit::table, -0x1000);  // backwards
        m.fill(pt, 350, 360, 0x400000 | bit::table);           // one frame again and again
        for (const Interval& window :
             {Interval{}, Interval{0x32000, 0x140fff}, Interval{0x96000, 0x96fff}}) {
            const Tables tables = m.scan(window);
            const Node& node = tables.node(static_cast<std::uint32_t>(tables.nodes() - 1));
            ASSERT_EQ(node.table.value, pt);
            EXPECT_FALSE(tables.runs(node).empty());
            expect_runs_as_looked_for(tables, node);
        }
    }
}

TEST(Scan, RemembersNoRunsOfATableThatHasMany) {
    for (const unsigned pages : {4u, 5u}) {  // each with a hole before it
        Machine m(Mode::bits32);
        m.set(0x1000, 0, 0x2000 | bit::table);
        m.set(0x1000, 1, 0x3000 | bit::table);
        for (unsigned i = 0; i < pages; ++i) m.set(0x2000, 1023 - 2 * i, 0x10000 | bit::table);
        m.set(0x3000, 0, 0x10000 | bit::table);
        const Tables tables = m.scan();
        EXPECT_EQ(tables.runs(tables.node(1)).size(), pages == 4 ? 8u : 0u);
        expect_runs_as_looked_for(tables, tables.node(2));
    }
}

}  // namespace
}  // namespace ptmap
