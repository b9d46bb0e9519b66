// A space page by page: every path, the leaf's own bits, and what it costs.
#include "space/pages.h"

#include <gtest/gtest.h>

#include <tuple>

#include "fake_memory.h"

namespace ptmap {
namespace {

using Row = std::tuple<std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t>;

std::vector<Row> rows(const Pages& pages) {
    std::vector<Row> found;
    for (const Page& p : pages.found) found.emplace_back(p.va.value, p.size, p.pa.value, p.entry);
    return found;
}

Tables space_of(Machine& m, const Interval& window = {}) {
    const X86Paging& paging = m.paging();
    return scan(paging, paging.root(), m.memory, window);
}

// 4-level: PML4 1, PDPT 2, PD 3, PT 4 (in units of 4 KiB).
Machine machine() {
    Machine m(Mode::level4);
    m.set(0x1000, 0, 0x2000 | bit::table);
    m.set(0x2000, 0, 0x3000 | bit::P | bit::US);
    m.set(0x3000, 0, 0x4000 | bit::table);
    m.set(0x4000, 1, 0x10000 | bit::table);
    m.set(0x4000, 3, 0x12000 | bit::table | bit::XD);
    return m;
}

TEST(Pages, EntriesAreRawAndRightsOfThePath) {
    Machine m = machine();
    m.set(0x3000, 1, 0x200000 | bit::table | bit::PS);
    const Pages found = pages(space_of(m), {}, 100);
    EXPECT_EQ(rows(found), (std::vector<Row>{
                               {0x1000, 0x1000, 0x10000, 0x10000 | bit::table},
                               {0x3000, 0x1000, 0x12000, 0x12000 | bit::table | bit::XD},
                               {0x200000, 0x200000, 0x200000, 0x200000 | bit::table | bit::PS},
                           }));
    EXPECT_FALSE(found.cut);
    EXPECT_EQ(found.found[0].rights, Rights::user | Rights::exec);  // the PDPTE has no RW
    EXPECT_EQ(found.found[1].rights, Rights::user);
}

TEST(Pages, ATableOnTwoPathsIsThereTwice) {
    Machine m = machine();
    m.set(0x1000, 256, 0x2000 | bit::table);
    const Pages found = pages(space_of(m), {}, 100);
    ASSERT_EQ(found.found.size(), 4u);
    EXPECT_EQ(found.found[2].va.value, 0xffff800000001000u);
}

TEST(Pages, AWindowAndALimit) {
    Machine m = machine();
    const Tables tables = space_of(m);
    EXPECT_EQ(pages(tables, {0x1fff, 0x2fff}, 100).found.size(), 1u);
    EXPECT_EQ(pages(tables, {0x2000, 0x2fff}, 100).found.size(), 0u);
    const Pages cut = pages(tables, {}, 1);
    EXPECT_EQ(cut.found.size(), 1u);
    EXPECT_TRUE(cut.cut);
    EXPECT_FALSE(pages(tables, {}, 2).cut);
}

// Each entry of three levels leads to the one table of the next, which maps nothing: 2^27 paths.
TEST(Pages, TablesThatLeadNowhereAreLookedAtOnce) {
    Machine m(Mode::level4);
    for (std::uint64_t table = 0x1000; table < 0x4000; table += 0x1000)
        for (unsigned i = 0; i < 512; ++i) m.set(table, i, (table + 0x1000) | bit::table);
    m.memory.ram(0x4000);
    std::size_t looked = 0;
    const Tables tables = space_of(m);
    EXPECT_TRUE(
        pages(tables, {}, 1u << 20, [&](std::size_t done) { looked = done; }).found.empty());
    EXPECT_EQ(looked, 0u);  // fewer than the first pulse
}

TEST(Pages, APulseEndsIt) {
    Machine m(Mode::level4);
    for (std::uint64_t table = 0x1000; table < 0x5000; table += 0x1000)
        for (unsigned i = 0; i < 512; ++i) m.set(table, i, (table + 0x1000) | bit::table);
    const Tables tables = space_of(m);
    EXPECT_THROW(pages(tables, {}, 1u << 30, [](std::size_t) { throw 1; }), int);
}

}  // namespace
}  // namespace ptmap
