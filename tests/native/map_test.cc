// From tables to ranges: what merges, what splits, what is counted.
#include "space/map.h"

#include <gtest/gtest.h>

#include "fake_memory.h"

namespace ptmap {
namespace {

// "0x1000+0x2000 pa 0x5000 usr,w,x,g WB 4K" a range: all of it, for readable expectations.
std::string show(const Range& r) {
    std::string text;
    const auto hex = [&](std::uint64_t value) {
        char digits[20];
        std::snprintf(digits, sizeof digits, "0x%llx", static_cast<unsigned long long>(value));
        text += digits;
    };
    hex(r.va.value);
    text += '+';
    hex(r.size);
    text += " pa ";
    if (r.contiguous)
        hex(r.pa.value);
    else
        text += '-';
    const Attributes& a = r.attributes;
    text += has(a.rights, Rights::user) ? " u" : " s";
    text += a.read ? 'r' : '-';
    text += has(a.rights, Rights::write) ? 'w' : '-';
    text += has(a.rights, Rights::exec) ? 'x' : '-';
    text += a.global ? 'g' : '-';
    (text += ' ') += name(a.type);
    each_size_name(r.page_sizes, [&](std::string_view size) { (text += ' ') += size; });
    return text;
}

std::string show(const std::vector<Gap>& gaps) {
    std::string text;
    for (const Gap& g : gaps) {
        char line[160];
        std::snprintf(line, sizeof line, "0x%llx+0x%llx table 0x%llx level %u ",
                      static_cast<unsigned long long>(g.va.value),
                      static_cast<unsigned long long>(g.size),
                      static_cast<unsigned long long>(g.table.value), g.level);
        text += line + g.why + "\n";
    }
    return text;
}

using Lines = std::vector<std::string>;
Lines lines(const Map& map) {
    Lines all;
    for (const Range& r : map.ranges) all.push_back(show(r));
    return all;
}

// 4-level with a PT at 0x4000 for offsets 0..2 MiB, under tables that allow all.
Machine one_table() {
    Machine m(Mode::level4);
    m.set(0x1000, 0, 0x2000 | bit::table);
    m.set(0x2000, 0, 0x3000 | bit::table);
    m.set(0x3000, 0, 0x4000 | bit::table);
    m.memory.ram(0x4000);
    return m;
}

TEST(Map, Empty) {
    Machine m(Mode::level4);
    m.memory.ram(0x1000);
    const Map map = m.map();
    EXPECT_TRUE(map.ranges.empty());
    EXPECT_TRUE(map.complete());
    EXPECT_EQ(map.tables, 1u);
    EXPECT_EQ(map.mode, Mode::level4);
    EXPECT_EQ(map.root.value, 0x1000);
    EXPECT_EQ(map.pages, PageCounts{});
}

TEST(Map, MergesEqualNeighbours) {
    Machine m = one_table();
    m.fill(0x4000, 3, 5, 0x10000 | bit::table, 0x1000);
    EXPECT_EQ(lines(m.map()), (Lines{"0x3000+0x3000 pa 0x10000 urwx- WB 4K"}));
}

TEST(Map, AHoleEndsARange) {
    Machine m = one_table();
    m.set(0x4000, 3, 0x10000 | bit::table);
    m.set(0x4000, 5, 0x12000 | bit::table);
    EXPECT_EQ(lines(m.map()), (Lines{"0x3000+0x1000 pa 0x10000 urwx- WB 4K",
                                     "0x5000+0x1000 pa 0x12000 urwx- WB 4K"}));
}

// One attribute at a time tells neighbours apart; accessed, dirty and software bits do not.
TEST(Map, SplitsByAttributes) {
    const std::uint64_t plain = 0x10000 | bit::P;
    for (const std::uint64_t differs : {bit::RW, bit::US, bit::XD, bit::G, bit::PWT, bit::PCD,
                                        bit::PWT | bit::PCD, bit::PWT | bit::pat_4k}) {
        Machine m = one_table();
        m.set(0x4000, 0, plain);
        m.set(0x4000, 1, (plain + 0x1000) | differs);
        EXPECT_EQ(m.map().ranges.size(), 2u) << std::hex << differs;
    }
    for (const std::uint64_t same : {bit::A, bit::D, std::uint64_t{0xe00},
                                     std::uint64_t{0x7ff} << 52, bit::pat_4k}) {  // slot 4: WB too
        Machine m = one_table();
        m.set(0x4000, 0, plain);
        m.set(0x4000, 1, (plain + 0x1000) | same);
        EXPECT_EQ(m.map().ranges.size(), 1u) << std::hex << same;
    }
}

TEST(Map, GlobalCountsWithPgeOnly) {
    Machine m = one_table();
    m.set(0x4000, 0, 0x10000 | bit::P | bit::G);
    m.set(0x4000, 1, 0x11000 | bit::P);
    m.registers.cr4 &= ~cr4::PGE;
    EXPECT_EQ(lines(m.map()), (Lines{"0x0+0x2000 pa 0x10000 sr-x- WB 4K"}));
}

TEST(Map, SplitPhysical) {
    Machine m = one_table();
    m.set(0x4000, 0, 0x10000 | bit::table);
    m.set(0x4000, 1, 0x11000 | bit::table);
    m.set(0x4000, 2, 0x20000 | bit::table);
    m.set(0x4000, 3, 0x20000 | bit::table);
    EXPECT_EQ(lines(m.map()), (Lines{"0x0+0x4000 pa - urwx- WB 4K"}));
    EXPECT_EQ(lines(m.map({.split_physical = true})),
              (Lines{"0x0+0x2000 pa 0x10000 urwx- WB 4K", "0x2000+0x1000 pa 0x20000 urwx- WB 4K",
                     "0x3000+0x1000 pa 0x20000 urwx- WB 4K"}));
}

// A run that lost its contiguity does not win it back.
TEST(Map, NotContiguousStaysSo) {
    Machine m = one_table();
    m.set(0x4000, 0, 0x10000 | bit::table);
    m.set(0x4000, 1, 0x30000 | bit::table);
    m.set(0x4000, 2, 0x12000 | bit::table);  // where contiguous frames would have gone
    m.set(0x4000, 3, 0x13000 | bit::table);
    EXPECT_EQ(lines(m.map()), (Lines{"0x0+0x4000 pa - urwx- WB 4K"}));
}

TEST(Map, MergesAcrossTablesAndPageSizes) {
    Machine m(Mode::level4);
    m.set(0x1000, 0, 0x2000 | bit::table);
    m.set(0x2000, 0, 0x3000 | bit::table);
    m.set(0x2000, 1, 0x40000000 | bit::table | bit::PS);
    m.set(0x3000, 511, 0x4000 | bit::table);
    m.set(0x3000, 510, 0x3fc00000 | bit::table | bit::PS);
    m.fill(0x4000, 0, 511, 0x3fe00000 | bit::table, 0x1000);
    const Map map = m.map({.split_physical = true});
    EXPECT_EQ(lines(map), (Lines{"0x3fc00000+0x40400000 pa 0x3fc00000 urwx- WB 4K 2M 1G"}));
    EXPECT_EQ(map.pages, (PageCounts{{12, 512}, {21, 1}, {30, 1}}));
}

TEST(Map, TypesComeFromPat) {
    Machine m = one_table();
    for (unsigned slot = 0; slot < 8; ++slot)
        m.set(0x4000, 2 * slot,
              0x10000 | bit::P | (slot & 1 ? bit::PWT : 0) | (slot & 2 ? bit::PCD : 0) |
                  (slot & 4 ? bit::pat_4k : 0));
    const auto types = [&](std::optional<std::uint64_t> pat) {
        std::string all;
        for (const Range& r : m.map({.types = memory_types(pat)}).ranges)
            (all += name(r.attributes.type)) += ' ';
        return all;
    };
    EXPECT_EQ(types({}), "WB PAT1 UC- UC WB PAT5 UC- PAT7 ");
    EXPECT_EQ(types(0x0407050600070106), "WB WC UC- UC WB WP UC- WT ");
    EXPECT_EQ(types(0x0407050600070206), "WB invalid UC- UC WB WP UC- WT ");
}

TEST(Map, UpperAndLowerPartNeverMerge) {
    for (const Mode mode : {Mode::level4, Mode::level5}) {
        Machine m(mode);
        // The whole of both: every entry of every table, all to one page.
        const std::uint64_t levels = m.paging().levels().size();
        for (std::uint64_t i = 1; i <= levels; ++i)
            m.fill(0x1000 * i, 0, 511, 0x1000 * (i + 1) | bit::table);
        const std::uint64_t half = std::uint64_t{1} << (mode == Mode::level4 ? 47 : 56);
        const Map map = m.map();
        ASSERT_EQ(map.ranges.size(), 2u);
        EXPECT_EQ(map.ranges[0].va.value, 0u);
        EXPECT_EQ(map.ranges[0].size, half);
        EXPECT_EQ(map.ranges[1].va.value, ~half + 1);
        EXPECT_EQ(map.ranges[1].size, half);
        EXPECT_EQ(map.pages[12], half / 4096 * 2);
    }
}

TEST(Map, ThirtyTwoBitPartsDoMerge) {
    Machine m(Mode::bits32);
    m.set(0x1000, 0x1ff, 0x00000000 | bit::table | bit::PS);
    m.set(0x1000, 0x200, 0x00400000 | bit::table | bit::PS);
    EXPECT_EQ(lines(m.map()), (Lines{"0x7fc00000+0x800000 pa 0x0 urwx- WB 4M"}));
}

TEST(Map, WindowsCutPages) {
    Machine m(Mode::level4);
    m.set(0x1000, 256, 0x2000 | bit::table);
    m.set(0x2000, 0, 0x40000000 | bit::table | bit::PS);
    m.set(0x2000, 1, 0x3000 | bit::table);
    m.set(0x3000, 0, 0x80000000 | bit::table | bit::PS);
    MapOptions options;
    const std::uint64_t base = 0x800000000000;
    options.window = {base + 0x3ff00000, base + 0x40000fff};
    const Map map = m.map(options);
    EXPECT_EQ(lines(map), (Lines{"0xffff80003ff00000+0x101000 pa 0x7ff00000 urwx- WB 2M 1G"}));
    EXPECT_EQ(map.pages, (PageCounts{{21, 1}, {30, 1}}));
    options.window = {base + 0x1234, base + 0x1234};
    EXPECT_EQ(lines(m.map(options)), (Lines{"0xffff800000001234+0x1 pa 0x40001234 urwx- WB 1G"}));
}

TEST(Map, AWindowOfAWiderScan) {
    Machine m = one_table();
    m.fill(0x4000, 0, 511, 0x10000 | bit::table, 0x1000);
    const Tables tables = m.scan();
    MapOptions options;
    options.window = {0x5000, 0x7fff};
    const Map map = make_map(tables, options);
    EXPECT_EQ(lines(map), (Lines{"0x5000+0x3000 pa 0x15000 urwx- WB 4K"}));
    EXPECT_EQ(map.pages[12], 3u);
}

// A window may begin and end inside the hole in the middle; offsets know nothing of it.
TEST(Map, AWindowOverTheMiddle) {
    Machine m(Mode::level4);
    m.set(0x1000, 255, 0x2000 | bit::table);
    m.set(0x1000, 256, 0x2000 | bit::table);
    m.set(0x2000, 0, 0x40000000 | bit::table | bit::PS);
    m.set(0x2000, 511, 0x80000000 | bit::table | bit::PS);
    MapOptions options;
    options.window = {0x800000000000 - GiB, 0x800000000000 + GiB - 1};
    EXPECT_EQ(lines(m.map(options)),
              (Lines{"0x7fffc0000000+0x40000000 pa 0x80000000 urwx- WB 1G",
                     "0xffff800000000000+0x40000000 pa 0x40000000 urwx- WB 1G"}));
}

TEST(Map, CountsPagesByAddress) {
    Machine m(Mode::level4);
    m.fill(0x1000, 0, 9, 0x2000 | bit::table);   // 10 times
    m.fill(0x2000, 0, 4, 0x3000 | bit::table);   // 5 times
    m.set(0x2000, 5, bit::table | bit::PS);      // 10 of 1 GiB
    m.fill(0x3000, 0, 2, 0x4000 | bit::table);   // 3 times
    m.set(0x3000, 3, bit::table | bit::PS);      // 50 of 2 MiB
    m.fill(0x4000, 0, 6, 0x10000 | bit::table);  // 7 pages
    const Map map = m.map();
    EXPECT_EQ(map.pages, (PageCounts{{12, 10 * 5 * 3 * 7}, {21, 50}, {30, 10}}));
    EXPECT_EQ(map.tables, 4u);
    // A window into the middle of one of the paths.
    MapOptions options;
    options.window = {512 * GiB + GiB + 2 * MiB + 0x5000, 512 * GiB + GiB + 4 * MiB + 0x1fff};
    EXPECT_EQ(m.map(options).pages, (PageCounts{{12, 2 + 2}}));
}

// A shared subtree has the rights of each path to it.
TEST(Map, SharedSubtreesTakeTheirPathsRights) {
    Machine m(Mode::level4);
    m.set(0x1000, 0, 0x2000 | bit::table);
    m.set(0x1000, 1, 0x2000 | bit::P | bit::RW);
    m.set(0x1000, 2, 0x2000 | bit::P | bit::US | bit::XD);
    m.fill(0x2000, 0, 511, 0x3000 | bit::table);
    m.fill(0x3000, 0, 511, bit::table | bit::PS);
    EXPECT_EQ(lines(m.map()), (Lines{"0x0+0x8000000000 pa - urwx- WB 2M",
                                     "0x8000000000+0x8000000000 pa - srwx- WB 2M",
                                     "0x10000000000+0x8000000000 pa - ur--- WB 2M"}));
}

// A whole subtree that is contiguous keeps its first frame, wherever it is taken in.
TEST(Map, WholeSubtreesKeepTheirFrames) {
    Machine m = one_table();
    m.fill(0x4000, 0, 511, 0x10000000 | bit::table, 0x1000);
    m.set(0x3000, 1, 0x5000 | bit::table);
    m.fill(0x5000, 0, 511, 0x10200000 | bit::table, 0x1000);
    m.set(0x3000, 2, 0x5000 | bit::table);
    EXPECT_EQ(lines(m.map({.split_physical = true})),
              (Lines{"0x0+0x400000 pa 0x10000000 urwx- WB 4K",
                     "0x400000+0x200000 pa 0x10200000 urwx- WB 4K"}));
    EXPECT_EQ(lines(m.map()), (Lines{"0x0+0x600000 pa - urwx- WB 4K"}));
}

// What a subtree as a whole is made of: rights that a level inside it takes away, page sizes.
TEST(Map, WholeSubtreesAreMoreThanTheirFirstPage) {
    Machine m(Mode::level4);
    m.set(0x1000, 0, 0x2000 | bit::table);
    m.fill(0x2000, 0, 511, 0x3000 | bit::P | bit::RW);
    m.set(0x3000, 0, 0x4000 | bit::table);
    m.fill(0x3000, 1, 511, 0x200000 | bit::table | bit::PS, 2 * MiB);
    m.fill(0x4000, 0, 511, bit::table, 4 * KiB);
    EXPECT_EQ(lines(m.map()), (Lines{"0x0+0x8000000000 pa - srwx- WB 4K 2M"}));
    // Inside a uniform table an entry that has less rights makes it two.
    m.set(0x2000, 511, 0x3000 | bit::P);
    EXPECT_EQ(lines(m.map()), (Lines{"0x0+0x7fc0000000 pa - srwx- WB 4K 2M",
                                     "0x7fc0000000+0x40000000 pa 0x0 sr-x- WB 4K 2M"}));
}

TEST(Map, RecursiveSlot) {
    Machine m(Mode::level4);
    m.set(0x1000, 511, 0x1000 | bit::P | bit::RW | bit::XD);
    const Map map = m.map();
    EXPECT_EQ(lines(map), (Lines{"0xfffffffffffff000+0x1000 pa 0x1000 srw-- WB 4K"}));
    EXPECT_EQ(map.tables, 1u);
    EXPECT_EQ(map.pages[12], 1u);
}

TEST(Map, SaysWhatItCouldNotRead) {
    Machine m = one_table();
    m.set(0x1000, 300, 0x70000 | bit::table);
    m.set(0x2000, 1, 0x71000 | bit::table);
    m.set(0x3000, 1, 0x72000 | bit::table);
    m.set(0x4000, 0, 0x10000 | bit::table);
    const Map map = m.map();
    EXPECT_EQ(show(map.unreadable),
              "0x200000+0x200000 table 0x72000 level 1 not RAM\n"
              "0x40000000+0x40000000 table 0x71000 level 2 not RAM\n"
              "0xffff960000000000+0x8000000000 table 0x70000 level 3 not RAM\n");
    EXPECT_EQ(map.ranges.size(), 1u);
    EXPECT_FALSE(map.complete());
    EXPECT_FALSE(map.truncated);
    EXPECT_EQ(map.tables, 4u);
}

TEST(Map, SaysWhichEntriesAreMalformed) {
    Machine m = one_table();
    m.registers.maxphyaddr = 40;
    m.set(0x1000, 256, 0x2000 | bit::table | bit::PS);
    m.set(0x2000, 1, 0x2000 | bit::table | bit::PS);
    m.set(0x4000, 2, (std::uint64_t{3} << 50) | 0x2000 | bit::table);
    m.set(0x4000, 3, 0x10000 | bit::table);
    const Map map = m.map();
    EXPECT_EQ(show(map.malformed),
              "0x2000+0x1000 table 0x4000 level 1 reserved bits 50,51\n"
              "0x40000000+0x40000000 table 0x2000 level 3 reserved bit 13\n"
              "0xffff800000000000+0x8000000000 table 0x1000 level 4 reserved PS\n");
    EXPECT_EQ(lines(map), (Lines{"0x3000+0x1000 pa 0x10000 urwx- WB 4K"}));
    EXPECT_FALSE(map.complete());
}

TEST(Map, GapsAreCutByWindows) {
    Machine m = one_table();
    m.set(0x2000, 1, 0x71000 | bit::table);
    m.set(0x2000, 2, 0x2000 | bit::table | bit::PS);
    MapOptions options;
    options.window = {GiB + 0x1000, 2 * GiB + 0x1fff};
    const Map map = m.map(options);
    EXPECT_EQ(show(map.unreadable), "0x40001000+0x3ffff000 table 0x71000 level 2 not RAM\n");
    EXPECT_EQ(show(map.malformed), "0x80000000+0x2000 table 0x2000 level 3 reserved bit 13\n");
}

TEST(Map, UnreadableRootIsAllTheSpace) {
    Machine m(Mode::pae);
    EXPECT_EQ(show(m.map().unreadable), "0x0+0x100000000 table 0x1000 level 3 not RAM\n");
}

// PDPTEs' reserved bits are for MOV CR3; what hangs below is mapped.
TEST(Map, PaePdptesAreNeverMalformed) {
    Machine m(Mode::pae);
    m.set(0x1000, 0, 0x2000 | bit::P | 0x1e6 | bit::XD);
    m.set(0x2000, 0, 0x200000 | bit::P | bit::PS);
    const Map map = m.map();
    EXPECT_EQ(lines(map), (Lines{"0x0+0x200000 pa 0x200000 sr-x- WB 2M"}));
    EXPECT_TRUE(map.complete());
}

// Seven pages with every combination of user, write, exec that tells filters apart.
Machine for_filters() {
    Machine m = one_table();
    m.set(0x4000, 0, 0x10000 | bit::P | bit::US | bit::RW | bit::XD);
    m.set(0x4000, 2, 0x10000 | bit::P | bit::US);
    m.set(0x4000, 4, 0x10000 | bit::P | bit::RW | bit::XD | bit::G);
    m.set(0x4000, 6, 0x10000 | bit::P | bit::PCD | bit::PWT);
    m.set(0x3000, 1, 0x200000 | bit::P | bit::PS | bit::RW);
    m.set(0x2000, 1, 0x40000000 | bit::P | bit::PS | bit::XD);
    return m;
}

std::string kept(const std::vector<Wanted>& wanted) {
    Machine m = for_filters();
    MapOptions options;
    options.wanted = wanted;
    const Map map = m.map(options);
    std::string all;
    for (const Range& r : map.ranges)
        all += r.va.value == GiB ? 'G' : r.va.value == 2 * MiB ? 'M' : "0.2.4.6"[r.va.value >> 12];
    EXPECT_TRUE(map.complete());
    return all;
}

TEST(Map, Filters) {
    EXPECT_EQ(kept({}), "0246MG");
    EXPECT_EQ(kept({Wanted{}}), "0246MG");
    EXPECT_EQ(kept({{.rights_set = Rights::user}}), "02");
    EXPECT_EQ(kept({{.rights_clear = Rights::user}}), "46MG");
    EXPECT_EQ(kept({{.rights_set = Rights::write | Rights::exec}}), "M");
    EXPECT_EQ(kept({{.rights_clear = Rights::write | Rights::exec}}), "G");
    EXPECT_EQ(kept({{.rights_set = Rights::user, .rights_clear = Rights::exec}}), "0");
    EXPECT_EQ(kept({{.global = true}}), "4");
    EXPECT_EQ(kept({{.global = false}}), "026MG");
    EXPECT_EQ(kept({{.sizes_any = {12}}}), "0246");
    EXPECT_EQ(kept({{.sizes_any = {21}}}), "M");
    EXPECT_EQ(kept({{.sizes_none = {12, 21}}}), "G");
    EXPECT_EQ(kept({{.large = true}}), "MG");
    EXPECT_EQ(kept({{.types_set = only(MemoryType::UC)}}), "6");
    EXPECT_EQ(kept({{.types_clear = only(MemoryType::WB)}}), "6");
    // One or the other.
    EXPECT_EQ(kept({{.global = true}, {.large = true}}), "4MG");
    EXPECT_EQ(kept({{.rights_set = Rights::user, .large = true}}), "");
}

TEST(Map, FiltersSeeWholeRanges) {
    Machine m = one_table();
    m.fill(0x4000, 511, 511, 0x1ff000 | bit::table);
    m.set(0x3000, 1, 0x200000 | bit::table | bit::PS);
    MapOptions options;
    options.wanted = {{.sizes_any = {21, 12}}};
    EXPECT_EQ(lines(m.map(options)), (Lines{"0x1ff000+0x201000 pa 0x1ff000 urwx- WB 4K 2M"}));
    options.wanted = {{.sizes_none = {12}}};
    EXPECT_EQ(lines(m.map(options)), Lines{});
}

// What each mode may do now (SDM 4.6.1); merged anew by that.
TEST(Map, Views) {
    Machine m = one_table();
    m.set(0x4000, 0, 0x10000 | bit::P | bit::RW);
    m.set(0x4000, 1, 0x11000 | bit::P | bit::XD);
    m.set(0x4000, 2, 0x12000 | bit::P | bit::US);
    m.set(0x4000, 3, 0x13000 | bit::P | bit::US | bit::RW | bit::XD);
    EXPECT_EQ(lines(m.map({.as = Privilege::user})),
              (Lines{"0x0+0x2000 pa 0x10000 s---- WB 4K", "0x2000+0x1000 pa 0x12000 ur-x- WB 4K",
                     "0x3000+0x1000 pa 0x13000 urw-- WB 4K"}));
    m.registers.cr4 |= cr4::SMEP | cr4::SMAP;
    EXPECT_EQ(lines(m.map({.as = Privilege::kernel})),
              (Lines{"0x0+0x1000 pa 0x10000 srwx- WB 4K", "0x1000+0x1000 pa 0x11000 sr--- WB 4K",
                     "0x2000+0x2000 pa 0x12000 u---- WB 4K"}));
    EXPECT_EQ(
        lines(m.map({.as = Privilege::kernel, .ac = true})),
        (Lines{"0x0+0x1000 pa 0x10000 srwx- WB 4K", "0x1000+0x1000 pa 0x11000 sr--- WB 4K",
               "0x2000+0x1000 pa 0x12000 ur--- WB 4K", "0x3000+0x1000 pa 0x13000 urw-- WB 4K"}));
    m.registers.cr0 &= ~cr0::WP;
    EXPECT_EQ(lines(m.map({.as = Privilege::kernel, .ac = true})),
              (Lines{"0x0+0x1000 pa 0x10000 srwx- WB 4K", "0x1000+0x1000 pa 0x11000 srw-- WB 4K",
                     "0x2000+0x2000 pa 0x12000 urw-- WB 4K"}));
    EXPECT_EQ(m.map({.as = Privilege::user}).as, Privilege::user);
}

TEST(Map, MaxRangesTruncates) {
    Machine m = one_table();
    for (unsigned i = 0; i < 10; ++i) m.set(0x4000, 2 * i, 0x10000 | bit::table);
    for (std::size_t limit = 0; limit < 12; ++limit) {
        const Map map = m.map({.max_ranges = limit});
        EXPECT_EQ(map.ranges.size(), std::min<std::size_t>(limit, 10)) << limit;
        EXPECT_EQ(map.truncated, limit < 10) << limit;
        EXPECT_EQ(map.complete(), limit >= 10) << limit;
        EXPECT_EQ(map.pages[12], 10u);
    }
}

TEST(Map, MaxRangesCountsGapsToo) {
    Machine m = one_table();
    m.fill(0x3000, 1, 10, 0x70000 | bit::table);
    const Map map = m.map({.max_ranges = 4});
    EXPECT_EQ(map.unreadable.size(), 4u);
    EXPECT_TRUE(map.truncated);
}

TEST(Map, MaxRangesCountsWhatAFilterLeavesOut) {
    Machine m = one_table();
    for (unsigned i = 0; i < 10; ++i)
        m.set(0x4000, 2 * i, 0x10000 | bit::P | (i == 9 ? bit::G : 0));
    MapOptions options;
    options.wanted = {{.global = true}};
    options.max_ranges = 9;
    EXPECT_EQ(lines(m.map(options)), Lines{});
    EXPECT_TRUE(m.map(options).truncated);
    options.max_ranges = 10;
    EXPECT_EQ(lines(m.map(options)), Lines{"0x12000+0x1000 pa 0x10000 sr-xg WB 4K"});
    EXPECT_TRUE(m.map(options).complete());
}

TEST(PageSizes, HaveNames) {
    EXPECT_EQ(page_size_name(page_shift_of(4 * KiB)), "4K");
    EXPECT_EQ(page_size_name(page_shift_of(2 * MiB)), "2M");
    EXPECT_EQ(page_size_name(page_shift_of(4 * MiB)), "4M");
    EXPECT_EQ(page_size_name(page_shift_of(GiB)), "1G");
}

TEST(PageSizes, AreASet) {
    const PageSizes none, both{12, 30};
    EXPECT_TRUE(none.empty() && !none.is_one() && none.has_all(none) && !both.has_any(none));
    EXPECT_TRUE(both.has(12) && both.has(30) && !both.has(21) && !both.is_one());
    EXPECT_TRUE(both.has_all({30}) && !both.has_all({21, 30}) && both.has_any({21, 30}));
    EXPECT_EQ(both.smallest(), 12u);
    EXPECT_EQ(both.without({12, 21}), PageSizes::only(30));
    std::vector<unsigned> shifts;
    PageSizes::all().each([&](unsigned shift) { shifts.push_back(shift); });
    EXPECT_EQ(shifts, (std::vector<unsigned>{12, 21, 22, 30}));
}

TEST(PageSizes, AreCounted) {
    PageCounts counts{{12, 3}};
    counts += {{12, 1}, {22, 2}};
    EXPECT_EQ(counts, (PageCounts{{22, 2}, {12, 4}}));
    EXPECT_EQ(counts[30], 0u);
}

TEST(Map, PagesOutsideRam) {
    Machine m(Mode::level4);
    m.set(0x1000, 0, 0x2000 | bit::table);
    m.set(0x2000, 0, 0x3000 | bit::table);
    m.set(0x2000, 1, 0x40000000 | bit::P | bit::PS);
    m.set(0x3000, 0, 0x4000 | bit::table);
    m.set(0x3000, 1, 0x200000 | bit::P | bit::PS);
    m.set(0x3000, 2, 0x4000 | bit::table);  // the same table again
    m.set(0x4000, 0, 0x9000 | bit::P);
    m.set(0x4000, 1, 0xa000 | bit::P);
    m.set(0x4000, 2, 0xfee00000 | bit::P);
    EXPECT_EQ(m.map().outside_ram, 0u);
    EXPECT_FALSE(m.map().ram_known);
    MapOptions options;
    options.ram = {{{0}, {0x9fff}}, {{0x3ff000}, {0x3fffff}}};
    const Map map = m.map(options);
    // In both uses of the table 0xa000 and the APIC; the 1 GiB page; not the 2 MiB page, whose
    // last bytes are RAM.
    EXPECT_EQ(map.outside_ram, 5u);
    EXPECT_TRUE(map.ram_known);
    options.window = {0x1000, 0x1fff};
    EXPECT_EQ(m.map(options).outside_ram, 1u);
    options.ram = {{{0xa000}, {0xa000}}};
    EXPECT_EQ(m.map(options).outside_ram, 0u);
}

}  // namespace
}  // namespace ptmap
