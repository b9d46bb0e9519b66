// One address, root to leaf. What entries mean is format_test's; more cases are in tests/vectors.
#include <gtest/gtest.h>

#include <stdexcept>

#include "fake_memory.h"

namespace ptmap {
namespace {

using Reads = std::vector<FakeMemory::Read>;

TEST(Walk, ReadsOneEntryALevel) {
    Machine m(Mode::level5);
    m.set(0x1000, 0x1ff, 0x2000 | bit::table);
    m.set(0x2000, 0x100, 0x3000 | bit::table);
    m.set(0x3000, 0x001, 0x4000 | bit::table);
    m.set(0x4000, 0x002, 0x5000 | bit::table);
    m.set(0x5000, 0x003, 0x000fffffffff0000 | bit::table);
    const Walk walk = m.walk(0xffff800040403abc);
    EXPECT_EQ(walk.outcome, Outcome::mapped);
    EXPECT_EQ(walk.pa.value, 0x000fffffffff0abc);
    EXPECT_EQ(walk.page_size, 4 * KiB);
    EXPECT_EQ(m.memory.reads(),
              (Reads{{0x1ff8, 8}, {0x2800, 8}, {0x3008, 8}, {0x4010, 8}, {0x5018, 8}}));
    ASSERT_EQ(walk.steps.size(), 5u);
    EXPECT_STREQ(walk.steps[4].level->entry_name, "PTE");
    EXPECT_EQ(walk.steps[3].table.value, 0x4000);
    EXPECT_EQ(walk.steps[3].index, 2u);
    EXPECT_EQ(walk.steps[3].entry_address.value, 0x4010);
    EXPECT_EQ(walk.steps[3].raw, 0x5007);
    EXPECT_EQ(walk.steps[3].kind, Kind::table);
}

TEST(Walk, ReadsFourBytesInThe32BitFormat) {
    Machine m(Mode::bits32);
    m.set(0x1000, 0x300, 0x2000 | bit::table);
    m.set(0x2000, 0x3ff, 0xfffff000 | bit::table);
    EXPECT_EQ(m.walk(0xc03ff123).pa.value, 0xfffff123);
    EXPECT_EQ(m.memory.reads(), (Reads{{0x1c00, 4}, {0x2ffc, 4}}));
}

TEST(Walk, PaeRootIsFourEntriesAnywhere32BytesAligned) {
    Machine m(Mode::pae);
    m.registers.cr3 = 0x1fe0 | 0x18;  // PWT and PCD are not part of it
    m.set(0x1fe0, 3, 0x2000 | bit::P);
    m.set(0x2000, 0x1ff, 0x3000 | bit::table);
    m.set(0x3000, 0x1ff, 0x4000 | bit::table);
    EXPECT_EQ(m.walk(0xffffffff).pa.value, 0x4fff);
    EXPECT_EQ(m.memory.reads(), (Reads{{0x1ff8, 8}, {0x2ff8, 8}, {0x3ff8, 8}}));
}

TEST(Walk, LargePagesKeepTheOffsetAndDropPat) {
    Machine m(Mode::level4);
    m.set(0x1000, 0, 0x2000 | bit::table);
    m.set(0x2000, 1, 0x000fffff40001000 | bit::table | bit::PS);
    m.set(0x2000, 0, 0x3000 | bit::table);
    m.set(0x3000, 1, 0x000fffff00201000 | bit::table | bit::PS | bit::PCD);
    const Walk giant = m.walk(0x7fedcba9);
    EXPECT_EQ(giant.pa.value, 0x000fffff7fedcba9);
    EXPECT_EQ(giant.page_size, GiB);
    EXPECT_EQ(giant.cache_slot, 4u);
    const Walk large = m.walk(0x3edcba);
    EXPECT_EQ(large.pa.value, 0x000fffff003edcba);
    EXPECT_EQ(large.page_size, 2 * MiB);
    EXPECT_EQ(large.cache_slot, 6u);
}

TEST(Walk, GlobalTypeAndKeyAreTheLeafsOwn) {
    Machine m(Mode::level4);
    m.registers.cr4 |= cr4::PKE;
    const std::uint64_t all_of_it = bit::G | bit::PWT | bit::PCD | std::uint64_t{9} << 59;
    m.set(0x1000, 0, 0x2000 | bit::table | all_of_it);
    m.set(0x2000, 0, 0x3000 | bit::table | all_of_it);
    m.set(0x3000, 0, 0x4000 | bit::table | all_of_it);
    m.set(0x4000, 0, 0x5000 | bit::table);
    m.set(0x4000, 1, 0x5000 | bit::table | all_of_it);
    const Walk plain = m.walk(0), set = m.walk(0x1000);
    EXPECT_FALSE(plain.global);
    EXPECT_EQ(plain.cache_slot, 0u);
    EXPECT_EQ(plain.key, 0u);
    EXPECT_TRUE(set.global);
    EXPECT_EQ(set.cache_slot, 3u);
    EXPECT_EQ(set.key, 9u);
}

// At each level in turn: the walk ends there, whatever the entry's other bits say.
TEST(Walk, EndsWhereAnEntryIsNotPresent) {
    for (unsigned stop = 0; stop < 4; ++stop) {
        Machine m(Mode::level4);
        for (unsigned i = 0; i < 4; ++i)
            m.set(0x1000 * (i + 1), 0,
                  0x1000 * (i + 2) | (i == stop ? 0x80000000000000fe : bit::table));
        const Walk walk = m.walk(0);
        EXPECT_EQ(walk.outcome, Outcome::not_present);
        EXPECT_EQ(walk.steps.size(), stop + 1);
        EXPECT_EQ(walk.steps.back().kind, Kind::not_present);
        EXPECT_EQ(walk.steps.back().raw, 0x1000 * (stop + 2) | 0x80000000000000fe);
        EXPECT_EQ(m.memory.calls.size(), stop + 1);
    }
}

TEST(Walk, EndsAtAReservedBit) {
    for (unsigned stop = 0; stop < 4; ++stop) {
        Machine m(Mode::level4);
        m.registers.maxphyaddr = 46;
        for (unsigned i = 0; i < 4; ++i)
            m.set(0x1000 * (i + 1), 0,
                  0x1000 * (i + 2) | bit::table | (i == stop ? std::uint64_t{1} << 46 : 0));
        const Walk walk = m.walk(0);
        EXPECT_EQ(walk.outcome, Outcome::reserved_bit);
        EXPECT_EQ(walk.steps.size(), stop + 1);
        EXPECT_EQ(walk.steps.back().kind, Kind::malformed);
    }
}

TEST(Walk, EndsAtATableThatCannotBeRead) {
    for (unsigned stop = 0; stop < 4; ++stop) {
        Machine m(Mode::level4);
        for (unsigned i = 0; i < stop; ++i)
            m.set(0x1000 * (i + 1), 0, 0x1000 * (i + 2) | bit::table);
        const Walk walk = m.walk(0);
        EXPECT_EQ(walk.outcome, Outcome::unreadable);
        EXPECT_EQ(walk.why, "not RAM");
        ASSERT_EQ(walk.steps.size(), stop + 1);
        EXPECT_EQ(walk.steps.back().table.value, 0x1000 * (stop + 1));
        EXPECT_EQ(walk.steps.back().raw, 0u);
    }
}

TEST(Walk, ReadsNothingForAnAddressThatIsNotCanonical) {
    Machine m(Mode::level4);
    m.set(0x1000, 0, 0x2000 | bit::table);
    const Walk walk = m.walk(0x800000000000);
    EXPECT_EQ(walk.outcome, Outcome::not_canonical);
    EXPECT_TRUE(walk.steps.empty());
    EXPECT_TRUE(m.memory.calls.empty());
}

TEST(Walk, GoesRoundARecursiveSlot) {
    Machine m(Mode::level4);
    m.set(0x1000, 510, 0x1000 | bit::P | bit::RW);
    m.set(0x1000, 0, 0x2000 | bit::table);
    // Four times 510: the root itself, as a page.
    const std::uint64_t self = 0xffffff7fbfdfe000;
    EXPECT_EQ(m.walk(self | 0x123).pa.value, 0x1123);
    // Three times 510, then 0: the PDPT of slot 0 as a page.
    EXPECT_EQ(m.walk(0xffffff7fbfc00000).pa.value, 0x2000);
    EXPECT_EQ(m.walk(self).steps.size(), 4u);
}

TEST(Walk, OutcomeNames) {
    EXPECT_EQ(name(Outcome::mapped), "mapped");
    EXPECT_EQ(name(Outcome::not_present), "not-present");
    EXPECT_EQ(name(Outcome::reserved_bit), "reserved-bit");
    EXPECT_EQ(name(Outcome::not_canonical), "not-canonical");
    EXPECT_EQ(name(Outcome::unreadable), "unreadable");
}

struct GoneMemory final : PhysicalMemory {
    void fetch(std::span<Fetch>) override { throw std::runtime_error("connection lost"); }
};

TEST(Walk, LetsTheMemorysExceptionThrough) {
    GoneMemory gone;
    const X86Paging paging(registers_of(Mode::level4));
    EXPECT_THROW(walk(paging, paging.root(), {0}, gone), std::runtime_error);
    EXPECT_THROW(scan(paging, paging.root(), gone), std::runtime_error);
}

}  // namespace
}  // namespace ptmap
