// Pages that are executable by their own entry, each once.
#include "space/leaves.h"

#include <gtest/gtest.h>

#include <set>
#include <tuple>

#include "fake_memory.h"

namespace ptmap {
namespace {

using Row = std::tuple<std::uint64_t, std::uint64_t, std::uint64_t, bool>;

std::vector<Row> rows(const Leaves& leaves) {
    std::vector<Row> found;
    for (const Leaf& leaf : leaves.found)
        found.emplace_back(leaf.va.value, leaf.size, leaf.pa.value, leaf.write);
    return found;
}

Leaves leaves_of(Machine& m, const LeafLimits& limits = {}) {
    const X86Paging& paging = m.paging();
    return user_executable(paging, paging.root(), m.memory, limits);
}

// 4-level: PML4 1, PDPT 2, PD 3, PT 4 (in units of 4 KiB).
Machine machine(std::uint64_t pml4e) {
    Machine m(Mode::level4);
    m.set(0x1000, 0, 0x2000 | pml4e);
    m.set(0x2000, 0, 0x3000 | bit::table);
    m.set(0x3000, 0, 0x4000 | bit::table);
    return m;
}

TEST(Leaves, NxCountsInTheLeafOnly) {
    for (const std::uint64_t above : {std::uint64_t{0}, bit::XD}) {
        Machine m = machine(bit::table | above);
        m.set(0x4000, 1, 0x10000 | bit::table);
        m.set(0x4000, 2, 0x11000 | bit::P | bit::US);
        m.set(0x4000, 3, 0x12000 | bit::table | bit::XD);
        m.set(0x4000, 4, 0x13000 | bit::P | bit::RW);
        m.set(0x4000, 5, 0x14000 | bit::US);
        EXPECT_EQ(rows(leaves_of(m)), (std::vector<Row>{
                                          {0x1000, 0x1000, 0x10000, true},
                                          {0x2000, 0x1000, 0x11000, false},
                                      }));
    }
}

TEST(Leaves, UserAndWriteCountOnTheWholePath) {
    Machine supervisor = machine(bit::P | bit::RW);
    supervisor.set(0x4000, 1, 0x10000 | bit::table);
    EXPECT_TRUE(leaves_of(supervisor).found.empty());
    Machine read_only = machine(bit::P | bit::US);
    read_only.set(0x4000, 1, 0x10000 | bit::table);
    EXPECT_EQ(rows(leaves_of(read_only)), (std::vector<Row>{{0x1000, 0x1000, 0x10000, false}}));
}

TEST(Leaves, LargePages) {
    Machine m = machine(bit::table);
    m.set(0x3000, 1, 0x40000000 | bit::table | bit::PS);
    m.set(0x4000, 3, 0x11000 | bit::table);
    EXPECT_EQ(rows(leaves_of(m)), (std::vector<Row>{{0x3000, 0x1000, 0x11000, true},
                                                    {2 * MiB, 2 * MiB, 0x40000000, true}}));
}

TEST(Leaves, TheUpperPartToo) {
    Machine m = machine(bit::table);
    m.set(0x1000, 511, 0x2000 | bit::table);
    m.set(0x1000, 0, 0);
    m.set(0x4000, 1, 0x10000 | bit::table);
    EXPECT_EQ(rows(leaves_of(m)), (std::vector<Row>{{0xffffff8000001000, 0x1000, 0x10000, true}}));
}

TEST(Leaves, TablesOfTheSupervisorAreNotRead) {
    Machine m = machine(bit::table);
    m.set(0x1000, 256, 0x5000 | bit::P | bit::RW);
    m.set(0x2000, 1, 0x6000 | bit::P | bit::RW);
    leaves_of(m);
    std::set<std::uint64_t> read;
    for (const FakeMemory::Read& one : m.memory.reads()) read.insert(one.address);
    EXPECT_EQ(read, (std::set<std::uint64_t>{0x1000, 0x2000, 0x3000, 0x4000}));
}

TEST(Leaves, EachEntryOnceAtItsLowestUserAddress) {
    Machine m(Mode::level4);
    m.set(0x1000, 0, 0x2000 | bit::P | bit::RW);  // not the user's
    m.set(0x1000, 1, 0x2000 | bit::table);
    m.set(0x1000, 2, 0x2000 | bit::table);
    m.set(0x1000, 511, 0x1000 | bit::table);  // recursive
    m.set(0x2000, 0, 0x3000 | bit::table);
    m.set(0x2000, 1, 0x3000 | bit::table);
    m.set(0x3000, 0, 0x4000 | bit::table);
    m.set(0x4000, 7, 0x10000 | bit::table);
    const Leaves leaves = leaves_of(m);
    ASSERT_FALSE(leaves.found.empty());
    EXPECT_EQ(rows(leaves).front(), Row(512 * GiB + 0x7000, 0x1000, 0x10000, true));
    for (const Leaf& leaf : leaves.found) EXPECT_NE(leaf.va.value, 512 * GiB + GiB + 0x7000);
    EXPECT_LT(leaves.found.size(), 20u);
}

TEST(Leaves, CountsTheTablesThatItCannotRead) {
    Machine m = machine(bit::table);
    m.set(0x4000, 1, 0x10000 | bit::table);
    m.set(0x3000, 1, 0x900000 | bit::table);        // not RAM
    m.set(0x3000, 2, 0x900000 | bit::table);        // the same one
    m.set(0x3000, 3, 0x901000 | bit::P | bit::RW);  // not the user's
    const Leaves leaves = leaves_of(m);
    EXPECT_EQ(leaves.unreadable, 1u);
    EXPECT_EQ(leaves.found.size(), 1u);
}

TEST(Leaves, Limits) {
    Machine m = machine(bit::table);
    m.fill(0x4000, 0, 9, 0x10000 | bit::table, 0x1000);
    EXPECT_FALSE(leaves_of(m, {.leaves = 10}).cut);
    const Leaves leaves = leaves_of(m, {.leaves = 9});
    EXPECT_TRUE(leaves.cut);
    EXPECT_EQ(leaves.found.size(), 9u);
    EXPECT_TRUE(leaves_of(m, {.tables = 2}).cut);  // tables were left out
}

}  // namespace
}  // namespace ptmap
