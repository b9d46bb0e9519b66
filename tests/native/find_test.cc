// From frames to addresses: what maps them, and which mappings of one frame contradict each other.
#include "space/find.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <random>
#include <tuple>

#include "fake_memory.h"
#include "space/aliases.h"
#include "whole_text.h"

namespace ptmap {
namespace {

constexpr std::uint64_t page_bytes = 4096;

// What a range says, to be compared.
using Said = std::tuple<std::uint64_t, std::uint64_t, std::uint64_t, std::string>;

Said said(const Range& r) {
    std::string words{has(r.attributes.rights, Rights::user) ? 'u' : 's'};
    if (has(r.attributes.rights, Rights::write)) words += 'w';
    if (has(r.attributes.rights, Rights::exec)) words += 'x';
    if (r.attributes.global) words += 'g';
    words.append(" ").append(name(r.attributes.type));
    each_size_name(r.page_sizes, [&](std::string_view size) { words.append(" ").append(size); });
    return {r.va.value, r.size, r.pa.value, words};
}

using AllSaid = std::vector<Said>;
AllSaid said(const std::vector<Range>& ranges) {
    AllSaid all;
    for (const Range& r : ranges) all.push_back(said(r));
    return all;
}

Map found(Machine& m, std::uint64_t first, std::uint64_t last,
          std::size_t max_ranges = std::numeric_limits<std::size_t>::max()) {
    return find(m.scan(), {.frames = {{first}, {last}}, .max_ranges = max_ranges});
}

// 4-level: a PT at 0x4000 for offsets 0..2 MiB, a 2 MiB page of frames 0..2 MiB behind it.
Machine two_kinds() {
    Machine m(Mode::level4);
    m.set(0x1000, 0, 0x2000 | bit::table);
    m.set(0x2000, 0, 0x3000 | bit::table);
    m.set(0x3000, 0, 0x4000 | bit::table);
    m.set(0x3000, 1, bit::P | bit::RW | bit::PS | bit::G | bit::XD);
    m.memory.ram(0x4000);
    return m;
}

TEST(Find, EveryAddressOfAByte) {
    Machine m = two_kinds();
    m.set(0x4000, 7, 0x10000 | bit::P | bit::US);
    m.set(0x4000, 9, 0x10000 | bit::table);
    m.set(0x4000, 10, 0x11000 | bit::table);
    const Map map = found(m, 0x10123, 0x10123);
    EXPECT_EQ(said(map.ranges), (AllSaid{{0x7123, 1, 0x10123, "ux WB 4K"},
                                         {0x9123, 1, 0x10123, "uwx WB 4K"},
                                         {0x210123, 1, 0x10123, "swg WB 2M"}}));
    EXPECT_TRUE(map.complete());
    EXPECT_EQ(map.pages, (PageCounts{{12, 2}, {21, 1}}));
    EXPECT_EQ(map.tables, 4u);
}

TEST(Find, NeighboursAreOne) {
    Machine m = two_kinds();
    m.fill(0x4000, 7, 9, 0x10000 | bit::table, page_bytes);
    EXPECT_EQ(said(found(m, 0x10800, 0x127ff).ranges),
              (AllSaid{{0x7800, 0x2000, 0x10800, "uwx WB 4K"},
                       {0x210800, 0x2000, 0x10800, "swg WB 2M"}}));
}

TEST(Find, BothEndsAreInIt) {
    Machine m = two_kinds();
    m.fill(0x4000, 7, 9, 0x400000 | bit::table, page_bytes);
    EXPECT_TRUE(found(m, 0x3ff000, 0x3fffff).ranges.empty());
    EXPECT_EQ(said(found(m, 0x3ff000, 0x400000).ranges),
              (AllSaid{{0x7000, 1, 0x400000, "uwx WB 4K"}}));
    EXPECT_EQ(said(found(m, 0x402fff, 0x500000).ranges),
              (AllSaid{{0x9fff, 1, 0x402fff, "uwx WB 4K"}}));
    EXPECT_TRUE(found(m, 0x403000, 0x500000).ranges.empty());
    EXPECT_EQ(found(m, 0, ~std::uint64_t{0}).ranges.size(), 2u);
}

// Offsets that follow each other over the hole are no neighbours.
TEST(Find, HalvesAreTwo) {
    Machine m(Mode::level4);
    m.set(0x1000, 255, 0x2000 | bit::table);
    m.set(0x2000, 511, 0x3000 | bit::table);
    m.set(0x3000, 511, 0x4000 | bit::table);
    m.set(0x4000, 511, 0x10000 | bit::table);
    m.set(0x1000, 256, 0x5000 | bit::table);
    m.set(0x5000, 0, 0x6000 | bit::table);
    m.set(0x6000, 0, 0x7000 | bit::table);
    m.set(0x7000, 0, 0x11000 | bit::table);
    EXPECT_EQ(said(found(m, 0x10000, 0x11fff).ranges),
              (AllSaid{{0x7ffffffff000, 0x1000, 0x10000, "uwx WB 4K"},
                       {0xffff800000000000, 0x1000, 0x11000, "uwx WB 4K"}}));
}

// What hides behind a gap may be a mapping too.
TEST(Find, GapsAreToldWhereNothingIsFound) {
    Machine m = two_kinds();
    m.set(0x3000, 2, 0x9000 | bit::table);  // not RAM
    m.set(0x3000, 3, 0x600000 | bit::table | bit::PS | 0x4000);
    const Map map = found(m, 0x10000000, 0x10000fff);
    EXPECT_TRUE(map.ranges.empty());
    EXPECT_FALSE(map.complete());
    ASSERT_EQ(map.unreadable.size(), 1u);
    EXPECT_EQ(map.unreadable[0].va.value, 0x400000u);
    EXPECT_EQ(map.unreadable[0].why, "not RAM");
    ASSERT_EQ(map.malformed.size(), 1u);
    EXPECT_EQ(map.malformed[0].va.value, 0x600000u);
    EXPECT_EQ(map.malformed[0].why, "reserved bit 14");
}

TEST(Find, RightsAreThePaths) {
    Machine m = two_kinds();
    m.set(0x2000, 0, 0x3000 | bit::P | bit::US);
    m.set(0x4000, 1, 0x10000 | bit::table | bit::XD);
    EXPECT_EQ(
        said(found(m, 0x10000, 0x10fff).ranges),
        (AllSaid{{0x1000, 0x1000, 0x10000, "u WB 4K"}, {0x210000, 0x1000, 0x10000, "sg WB 2M"}}));
}

// A table that is named by every entry of every table above it: 2^27 addresses for each frame.
TEST(Find, AFrameMappedAMillionTimes) {
    Machine m(Mode::level4);
    m.fill(0x1000, 0, 511, 0x2000 | bit::table);
    m.fill(0x2000, 0, 511, 0x3000 | bit::table);
    m.fill(0x3000, 0, 511, 0x4000 | bit::table);
    m.set(0x4000, 5, 0x10000 | bit::table);
    m.set(0x4000, 6, 0x20000 | bit::table);
    const Map map = found(m, 0x10000, 0x10fff, 1000);
    EXPECT_EQ(map.ranges.size(), 1000u);
    EXPECT_TRUE(map.truncated);
    EXPECT_EQ(map.ranges[1].va.value, 0x205000u);
    EXPECT_TRUE(found(m, 0x30000, 0x30fff).complete());  // and it is not looked for everywhere
}

// Only what leads to the frame is gone into: 2^27 other mappings do not use up the limit.
TEST(Find, OtherMappingsDoNotCount) {
    Machine m(Mode::level4);
    m.fill(0x1000, 0, 510, 0x2000 | bit::table);
    m.fill(0x2000, 0, 511, 0x3000 | bit::table);
    m.fill(0x3000, 0, 511, 0x4000 | bit::table);
    m.fill(0x4000, 0, 511, 0x10000 | bit::table);
    m.set(0x1000, 511, 0x5000 | bit::table);
    m.set(0x5000, 511, 0x6000 | bit::table);
    m.set(0x6000, 511, 0x800000 | bit::table | bit::PS);
    const Map map = found(m, 0x801000, 0x801fff, 10);
    EXPECT_EQ(said(map.ranges), (AllSaid{{0xffffffffffe01000, 0x1000, 0x801000, "uwx WB 2M"}}));
    EXPECT_TRUE(map.complete());
}

// 512 page tables that make 1 GiB, which 4096 paths lead to: 2^30 pages, none of them looked at
// twice. A generous limit, as sanitizers and a busy host take their part.
TEST(Find, SharedTablesAreTakenWhole) {
    Machine m(Mode::level4);
    m.fill(0x1000, 0, 7, 0x2000 | bit::table);
    m.fill(0x2000, 0, 511, 0x3000 | bit::table);
    m.fill(0x3000, 0, 511, 0x100000 | bit::table, page_bytes);
    for (std::uint64_t i = 0; i < 512; ++i)
        m.fill(0x100000 + i * page_bytes, 0, 511, i << 21 | bit::table, page_bytes);
    const auto began = std::chrono::steady_clock::now();
    const Map all = found(m, 0, ~std::uint64_t{0});
    EXPECT_EQ(said(all.ranges), said(m.map({.split_physical = true}).ranges));
    ASSERT_EQ(all.ranges.size(), 4096u);
    EXPECT_EQ(all.pages, (PageCounts{{12, 1u << 30}}));
    // Two tables of it, cut in both.
    const Map some = found(m, 0x3ff123, 0x400122);
    ASSERT_EQ(some.ranges.size(), 4096u);
    EXPECT_EQ(said(some.ranges[1]), (Said{0x403ff123, 0x1000, 0x3ff123, "uwx WB 4K"}));
    EXPECT_EQ(some.pages[12], 8192u);
    EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(10));
}

// Pages of a shared table that are alike on a path that takes their rights away.
TEST(Find, AlikeOnThePath) {
    Machine m(Mode::level4);
    m.set(0x1000, 0, 0x2000 | bit::table);
    m.set(0x2000, 0, 0x3000 | bit::P | bit::US);
    m.set(0x2000, 1, 0x3000 | bit::table);
    m.set(0x3000, 0, 0x4000 | bit::table);
    m.set(0x4000, 0, 0x10000 | bit::P | bit::US);
    m.set(0x4000, 1, 0x11000 | bit::table);
    EXPECT_EQ(said(found(m, 0x10000, 0x11fff).ranges),
              (AllSaid{{0, 0x2000, 0x10000, "ux WB 4K"},
                       {0x40000000, 0x1000, 0x10000, "ux WB 4K"},
                       {0x40001000, 0x1000, 0x11000, "uwx WB 4K"}}));
}

TEST(Find, APulseEndsIt) {
    Machine m(Mode::level4);
    m.fill(0x1000, 0, 511, 0x2000 | bit::table);
    m.fill(0x2000, 0, 511, 0x3000 | bit::table);
    m.set(0x3000, 0, bit::P | bit::PS);
    m.set(0x3000, 2, bit::P | bit::PS);
    struct Interrupted {};
    EXPECT_THROW(find(m.scan(), {.frames = {{0}, {0xfff}},
                                 .pulse = [](std::size_t) { throw Interrupted{}; }}),
                 Interrupted);
}

// Where a limit ends it, nothing more is said: the range that is not finished is left out.
TEST(Find, EndsWhereAMapDoes) {
    Machine m = two_kinds();
    m.set(0x4000, 7, 0x10000 | bit::table);
    m.set(0x4000, 8, 0x10000 | bit::table);
    m.set(0x4000, 9, 0x10000 | bit::P | std::uint64_t{1} << 51);
    m.registers.maxphyaddr = 40;
    const Map map = found(m, 0x10000, 0x10fff, 2);
    EXPECT_EQ(map.ranges.size(), 1u);
    EXPECT_EQ(map.malformed.size(), 1u);
    ASSERT_TRUE(map.truncated);
    EXPECT_EQ(map.end, VirtAddr{0x8000});
}

TEST(Find, InAWindow) {
    Machine m = two_kinds();
    m.fill(0x4000, 7, 9, 0x10000 | bit::table, page_bytes);
    const Map map = find(m.scan({0x8000, 0x2107ff}), {.frames = {{0x10000}, {0x11fff}}});
    EXPECT_EQ(said(map.ranges), (AllSaid{{0x8000, 0x1000, 0x11000, "uwx WB 4K"},
                                         {0x210000, 0x800, 0x10000, "swg WB 2M"}}));
}

// Pages anywhere: what find() says of a stretch is what a whole map says of it.
TEST(Find, AsTheWholeMap) {
    std::mt19937_64 random(1);
    std::size_t compared = 0;
    for (int round = 0; round < 80; ++round) {
        Machine m(all_modes[round % 4]);
        const bool wide = m.paging().format().entry_bytes == 8;
        const unsigned entries = wide ? 512 : 1024, levels = unsigned(m.paging().levels().size());
        // Four tables of each level, a few entries each, frames from a small pool.
        const auto table = [](unsigned level, unsigned n) {
            return 0x1000 + (level * 4 + n) * 0x1000;
        };
        for (unsigned level = 0; level < levels; ++level)
            for (unsigned n = 0; n < 4; ++n) {
                m.memory.ram(table(level, n));
                const bool is_pdpt = all_modes[round % 4] == Mode::pae && level == 0;
                for (unsigned k = 0; k < 6; ++k) {
                    const auto at = static_cast<unsigned>(random() % (is_pdpt ? 4 : entries));
                    std::uint64_t flags = bit::P | (random() & (bit::RW | bit::US));
                    if (wide && random() % 4 == 0) flags |= bit::XD;
                    if (is_pdpt) flags = bit::P;
                    if (level + 1 == levels)
                        for (unsigned run = 0; run < 3 && at + run < entries; ++run)
                            m.set(table(level, n), at + run, (random() % 64 + run) << 12 | flags);
                    else if (level + 2 == levels && random() % 3 == 0)
                        m.set(table(level, n), at, bit::PS | flags);
                    else
                        m.set(table(level, n), at, table(level + 1, random() % 4) | flags);
                }
            }
        const Tables tables = m.scan();
        const Map whole = make_map(tables, {.split_physical = true, .split_sizes = true});
        ASSERT_TRUE(whole.complete());
        const Map all = find(tables, {.frames = {{0}, {~std::uint64_t{0}}}});
        ASSERT_EQ(said(all.ranges), said(make_map(tables, {.split_physical = true}).ranges));
        ASSERT_EQ(all.pages, whole.pages);
        for (int k = 0; k < 20; ++k) {
            const std::uint64_t first = random() % (70 << 12), last = first + random() % 0x5000;
            const Map map = find(tables, {.frames = {{first}, {last}}});
            std::vector<Range> expected = find(whole, {{first}, {last}});
            // The whole one is split by page size too.
            std::vector<Range> joined;
            for (const Range& r : expected) {
                if (!joined.empty()) {
                    Range& b = joined.back();
                    if (b.va.value + b.size == r.va.value && b.pa.value + b.size == r.pa.value &&
                        b.attributes == r.attributes) {
                        b.size += r.size;
                        b.page_sizes |= r.page_sizes;
                        continue;
                    }
                }
                joined.push_back(r);
            }
            ASSERT_EQ(said(map.ranges), said(joined)) << "round " << round;
            compared += joined.size();
        }
    }
    EXPECT_GT(compared, 10000u);
}

// Conflicts

Range range(std::uint64_t va, std::uint64_t pa, std::uint64_t size, Rights rights) {
    return {{va}, size, {pa}, true, {12}, {rights}};
}

Map map_of(std::vector<Range> ranges) {
    Map map{};
    std::ranges::sort(ranges, {}, &Range::va);
    map.ranges = std::move(ranges);
    return map;
}

constexpr Conflict both = Conflict::write_exec | Conflict::user_kernel;
constexpr Rights W = Rights::write, X = Rights::exec, U = Rights::user;

std::vector<std::string> stretches(const Map& map, Conflict wanted = both) {
    std::vector<std::string> all;
    each_shared(map, wanted, [&](const Shared& s) {
        char text[100];
        std::snprintf(text, sizeof text, "%llx+%llx", static_cast<unsigned long long>(s.pa.value),
                      static_cast<unsigned long long>(s.size));
        std::string line = text;
        for (const std::string_view word : names(s.conflict)) line.append(" ").append(word);
        if (s.in_one) line += " in one";
        line += " x" + std::to_string(s.count) + ":";
        for (const std::uint32_t i : s.ranges) {
            std::snprintf(text, sizeof text, " %llx",
                          static_cast<unsigned long long>(address_in(map.ranges[i], s.pa).value));
            line += text;
        }
        all.push_back(line);
    });
    return all;
}

using Lines = std::vector<std::string>;

TEST(Aliases, NoneWhereMappingsAgree) {
    EXPECT_EQ(
        stretches(map_of({range(0x1000, 0x10000, 0x1000, W), range(0x5000, 0x10000, 0x1000, W),
                          range(0x9000, 0x20000, 0x1000, X)})),
        Lines{});
}

TEST(Aliases, WriteHereExecThere) {
    const Map map = map_of({range(0x1000, 0x10000, 0x3000, W), range(0x9000, 0x11000, 0x1000, X)});
    EXPECT_EQ(stretches(map), (Lines{"11000+1000 write+exec x2: 2000 9000"}));
    EXPECT_EQ(stretches(map, Conflict::user_kernel), Lines{});
}

TEST(Aliases, BothThroughOne) {
    EXPECT_EQ(stretches(map_of({range(0x1000, 0x10000, 0x3000, W | X)})),
              (Lines{"10000+3000 write+exec in one x1: 1000"}));
}

TEST(Aliases, UserAndKernel) {
    const Map map = map_of({range(0x1000, 0x10000, 0x2000, U), range(0x9000, 0x0, 0x100000, W)});
    EXPECT_EQ(stretches(map), (Lines{"10000+2000 user+kernel x2: 1000 19000"}));
    EXPECT_EQ(stretches(map, Conflict::write_exec), Lines{});
}

TEST(Aliases, AStretchEndsWhereAMappingDoes) {
    EXPECT_EQ(
        stretches(map_of({range(0x1000, 0x10000, 0x4000, W), range(0x9000, 0x10000, 0x1000, X),
                          range(0xb000, 0x12000, 0x1000, X), range(0xd000, 0x11000, 0x3000, U)})),
        (Lines{"10000+1000 write+exec x2: 1000 9000", "11000+1000 user+kernel x2: 2000 d000",
               "12000+1000 write+exec user+kernel x3: 3000 b000 e000",
               "13000+1000 user+kernel x2: 4000 f000"}));
}

TEST(Aliases, OtherwiseContiguousRangesOnly) {
    Map map = map_of({range(0x1000, 0x10000, 0x4000, W), range(0x9000, 0x10000, 0x1000, X)});
    map.ranges[1].contiguous = false;
    EXPECT_EQ(stretches(map), Lines{});
}

// Of a million mappings alike a few are listed, and the one that differs is among them.
TEST(Aliases, TheOneThatDiffersIsListed) {
    std::vector<Range> ranges;
    for (std::uint64_t i = 0; i < 1000; ++i) ranges.push_back(range(i << 13, 0x10000, 0x1000, X));
    ranges.push_back(range(1 << 30, 0x10000, 0x1000, W));
    EXPECT_EQ(stretches(map_of(ranges)),
              (Lines{"10000+1000 write+exec x1001: 0 2000 4000 6000 40000000"}));
}

// A heap in frames anywhere, each in the direct map too, is one group.
TEST(Aliases, Groups) {
    std::vector<Range> ranges{range(1 << 30, 0, 1 << 20, W)};
    for (std::uint64_t i = 0; i < 10; ++i)
        ranges.push_back(range(0x1000 + (i << 12), 0x80000 - (i << 14), 0x1000, U | W));
    ranges.push_back(range(0x100000, 0x90000, 0x1000, U | X));
    const Map map = map_of(ranges);
    const Aliases all = aliases(map, both);
    ASSERT_EQ(all.groups.size(), 2u);
    const SharedGroup& heap = all.groups[0];
    EXPECT_EQ(heap.stretches, 10u);
    EXPECT_EQ(heap.bytes, 10u << 12);
    EXPECT_EQ(heap.count, 2u);
    EXPECT_EQ(heap.pa.value, 0x80000u - (9 << 14));
    ASSERT_EQ(heap.mappings.size(), 2u);
    EXPECT_EQ(heap.mappings[0].va.value, 0xa000u);
    EXPECT_EQ(heap.mappings[0].run.first.value, 0x1000u);
    EXPECT_EQ(heap.mappings[0].run.size(), 0xa000u);
    EXPECT_EQ(heap.mappings[1].run.size(), 1u << 20);
    EXPECT_EQ(names(all.groups[1].conflict),
              (std::vector<std::string_view>{"write+exec", "user+kernel"}));
    EXPECT_EQ(all.write_exec.bytes, 0x1000u);
    EXPECT_EQ(all.write_exec.stretches, 1u);
    EXPECT_EQ(all.in_one.stretches, 0u);
    EXPECT_EQ(all.user_kernel.bytes, 11u << 12);
    EXPECT_EQ(all.ungrouped, 0u);
    const Aliases first = aliases(map, both, {}, 1);
    EXPECT_EQ(first.groups.size(), 1u);
    EXPECT_EQ(first.groups[0].stretches, 10u);
    EXPECT_EQ(first.ungrouped, 1u);
    EXPECT_EQ(first.user_kernel.bytes, 11u << 12);
    // The first of each conflict is told all the same.
    EXPECT_FALSE(first.in_one.first);
    ASSERT_TRUE(first.write_exec.first);
    EXPECT_EQ(first.write_exec.first->pa.value, 0x90000u);
    EXPECT_EQ(first.write_exec.first->mappings.size(), 2u);
    ASSERT_TRUE(first.user_kernel.first);
    EXPECT_EQ(first.user_kernel.first->pa.value, heap.pa.value);
    EXPECT_EQ(first.user_kernel.first->stretches, 1u);
    EXPECT_EQ(first.user_kernel.first->bytes, 0x1000u);
}

TEST(Aliases, Json) {
    const Map map =
        map_of({range(0x1000, 0x10000, 0x3000, W | U), range(0x9000, 0x11000, 0x1000, X)});
    const std::vector<Label> labels{{{{0x9000}, {0x9fff}}, "a\"\x1b\\", LabelSource::read}};
    EXPECT_EQ(aliases_json(map, both, labels),
              "\n  {\"pa\": \"0x11000\", \"size\": \"0x1000\", \"conflicts\": [\"write+exec\", "
              "\"user+kernel\"], \"write_exec_in_one\": false, \"count\": 2, \"mappings\": "
              "[{\"va\": \"0x2000\", \"user\": true, \"write\": true, \"exec\": false, \"global\": "
              "false, "
              "\"cache\": \"WB\", \"page_sizes\": [\"4K\"]}, "
              "{\"va\": \"0x9000\", \"user\": false, \"write\": false, \"exec\": true, \"global\": "
              "false, "
              "\"cache\": \"WB\", \"page_sizes\": [\"4K\"], \"label\": \"a\\\"?\\\\\", "
              "\"label_source\": \"read\"}]}");
}

// Frame by frame, with no cleverness.
TEST(Aliases, AsFrameByFrame) {
    std::mt19937_64 random(2);
    std::size_t compared = 0, conflicts = 0;
    for (int round = 0; round < 300; ++round) {
        std::vector<Range> ranges;
        std::uint64_t va = 0;
        const std::size_t count = 1 + random() % 40;
        while (ranges.size() < count) {
            const std::uint64_t size = (1 + random() % (random() % 4 ? 3 : 30)) << 12;
            va += (random() % 3) << 12;
            ranges.push_back(range(va, (random() % 64) << 12, size,
                                   static_cast<Rights>(random() % (round % 2 ? 8 : 4))));
            va += size;
        }
        const Map map = map_of(ranges);
        std::map<std::uint64_t, std::pair<Conflict, std::size_t>> expected, said;
        for (std::uint64_t frame = 0; frame < 100 << 12; frame += page_bytes) {
            std::size_t n = 0;
            bool w = false, x = false, u = false, s = false;
            for (const Range& r : map.ranges) {
                if (frame < r.pa.value || frame >= r.pa.value + r.size) continue;
                ++n;
                const Rights rights = r.attributes.rights;
                w |= has(rights, W), x |= has(rights, X);
                (has(rights, U) ? u : s) = true;
            }
            Conflict conflict = w && x ? Conflict::write_exec : Conflict::none;
            if (u && s) conflict = conflict | Conflict::user_kernel;
            if (conflict != Conflict::none) expected[frame] = {conflict, n};
            ++compared;
        }
        std::uint64_t before = 0;
        each_shared(map, both, [&](const Shared& s) {
            EXPECT_GE(s.pa.value, before);
            before = s.pa.value + s.size;
            for (std::uint64_t at = 0; at < s.size; at += page_bytes)
                said[s.pa.value + at] = {s.conflict, s.count};
        });
        ASSERT_EQ(said, expected) << "round " << round;
        conflicts += said.size();
        std::uint64_t bytes = 0, stretches = 0;
        for (const SharedGroup& group : aliases(map, both).groups)
            bytes += group.bytes, stretches += group.stretches;
        EXPECT_EQ(bytes, said.size() * page_bytes);
        std::uint64_t each = 0;
        each_shared(map, both, [&](const Shared&) { ++each; });
        EXPECT_EQ(stretches, each);
    }
    EXPECT_GT(compared, 20000u);
    EXPECT_GT(conflicts, 5000u);
}

// Ranges inside one another, and one frame mapped by them all: no square of their number. A
// generous limit, as sanitizers and a busy host take their part.
TEST(Aliases, ManyMappingsOfOneFrame) {
    constexpr std::uint64_t count = 200000;
    std::vector<Range> nested, same;
    for (std::uint64_t i = 0; i < count; ++i) {
        const std::uint64_t at = i << 36;
        nested.push_back(range(at, i << 12, (2 * count - 2 * i) << 12, i % 2 ? W : U | X));
        same.push_back(range(i << 13, 0x10000, 0x1000, i % 2 ? W : U | X));
    }
    const auto began = std::chrono::steady_clock::now();
    EXPECT_EQ(aliases(map_of(nested), both).write_exec.stretches, 2 * count - 3);
    const Map map = map_of(same);
    const Aliases all = aliases(map, both);
    ASSERT_EQ(all.groups.size(), 1u);
    EXPECT_EQ(all.groups[0].count, count);
    EXPECT_EQ(all.groups[0].mappings.size(), 8u);
    EXPECT_LT(aliases_json(map, both).size(), 3000u);
    EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(30));
}

TEST(Aliases, APulseEndsIt) {
    std::vector<Range> ranges;
    for (std::uint64_t i = 0; i < 100000; ++i) ranges.push_back(range(i << 13, i << 13, 0x1000, W));
    const Map map = map_of(ranges);
    struct Interrupted {};
    const Pulse pulse = [](std::size_t) { throw Interrupted{}; };
    EXPECT_THROW(aliases(map, both, pulse), Interrupted);
    EXPECT_THROW(aliases_json(map, both, {}, pulse), Interrupted);
}

}  // namespace
}  // namespace ptmap
