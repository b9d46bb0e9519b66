// KPTI's pair of roots: pairs as Linux makes them, and neighbours that are none.
#include "space/kpti.h"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <stdexcept>

#include "fake_memory.h"

namespace ptmap {
namespace {

constexpr std::uint64_t kernel_root = 0x10000, user_root = 0x11000;
constexpr KptiRoots pair{{kernel_root}, {user_root}};
constexpr std::uint64_t user_table = 0x20000, kernel_table = 0x30000, entry_code = 0x40000,
                        entry_area = 0x50000, last_pml4 = 0x60000, last_user_pml4 = 0x61000;

struct Roots : Machine {
    using Machine::Machine;
    std::optional<KptiRoots> found(std::uint64_t root = kernel_root) {
        return kpti_roots(paging(), {root}, memory);
    }
    void both(unsigned index, std::uint64_t kernel, std::uint64_t user) {
        set(kernel_root, index, kernel);
        set(user_root, index, user);
    }
};

// As Linux has them: two user entries with XD in the kernel root, the direct map in the kernel root
// alone, entry code by tables of its own, and with 4 levels the cpu_entry_area in both.
struct WideRoots : Roots {
    explicit WideRoots(Mode mode) : Roots(mode) {
        both(0, user_table | bit::table | bit::XD, user_table | bit::table);
        both(255, 0x21000 | bit::table | bit::XD | bit::A, 0x21000 | bit::table);
        both(273, kernel_table | bit::P | bit::RW, 0);
        both(511, last_pml4 | bit::P | bit::RW, last_user_pml4 | bit::P | bit::RW);
        if (mode == Mode::level4) {
            both(508, entry_area | bit::P | bit::RW | bit::A, entry_area | bit::P | bit::RW);
        } else {
            set(last_pml4, 508, entry_area | bit::P | bit::RW);
            set(last_user_pml4, 508, entry_area | bit::P | bit::RW | bit::A);
        }
    }
};

struct PaeRoots : Roots {
    explicit PaeRoots(unsigned users = 3) : Roots(Mode::pae) {
        for (unsigned i = 0; i < users; ++i)
            both(i, (user_table + i * 0x1000) | bit::P, (user_table + i * 0x1000) | bit::P);
        for (unsigned i = users; i < 4; ++i)
            both(i, (kernel_table + i * 0x1000) | bit::P, (entry_code + i * 0x1000) | bit::P);
    }
};

class WidePair : public testing::TestWithParam<Mode> {};
INSTANTIATE_TEST_SUITE_P(Kpti, WidePair, testing::Values(Mode::level4, Mode::level5),
                         [](const auto& test) { return test_name(name(test.param)); });

TEST_P(WidePair, IsFoundFromEitherRoot) {
    WideRoots m(GetParam());
    EXPECT_EQ(m.found(kernel_root), pair);
    EXPECT_EQ(m.found(user_root), pair);
}

TEST_P(WidePair, NeedsBothRoots) {
    WideRoots m(GetParam());
    EXPECT_EQ(m.found(0x7f000000), std::nullopt);  // no RAM
    Machine alone(GetParam());
    alone.memory.ram(kernel_root);
    EXPECT_EQ(kpti_roots(alone.paging(), {kernel_root}, alone.memory), std::nullopt);
}

TEST_P(WidePair, IsNoPairOfEmptyPages) {
    Roots m(GetParam());
    m.memory.ram(kernel_root);
    m.memory.ram(user_root);
    EXPECT_EQ(m.found(), std::nullopt);
}

TEST_P(WidePair, OneUserEntryInFourMayDiffer) {
    WideRoots m(GetParam());
    m.both(1, 0x22000 | bit::table, 0x22000 | bit::table);
    m.both(2, 0x23000 | bit::table, 0x24000 | bit::table);
    EXPECT_EQ(m.found(), pair);
    m.both(3, 0, 0x25000 | bit::table);
    EXPECT_EQ(m.found(), std::nullopt);
    m.both(3, 0x25000, 0);  // neither is present
    EXPECT_EQ(m.found(), pair);
}

TEST_P(WidePair, OnlyXdAndAMayDifferInTheLowerHalf) {
    for (const std::uint64_t other : {bit::P, bit::RW, bit::US, bit::PWT, bit::PCD, bit::D, bit::PS,
                                      bit::G, std::uint64_t{0x1000}, std::uint64_t{1} << 62}) {
        WideRoots m(GetParam());
        m.both(0, user_table | bit::table, (user_table | bit::table) ^ other);
        EXPECT_EQ(m.found(), std::nullopt) << other;
    }
}

TEST_P(WidePair, TheUsersUpperHalfIsAPartOfTheKernels) {
    WideRoots m(GetParam());
    m.both(300, 0, entry_code | bit::P);  // the user's alone
    EXPECT_EQ(m.found(), std::nullopt);
    m.both(300, 0, 0);
    m.both(273, kernel_table | bit::P, kernel_table | bit::P);  // all of the kernel's
    EXPECT_EQ(m.found(), std::nullopt);
    m.both(273, kernel_table | bit::P, kernel_table);
    EXPECT_EQ(m.found(), pair);
    for (unsigned i = 256; i < 512; ++i) m.set(user_root, i, 0);  // nothing of it
    EXPECT_EQ(m.found(), std::nullopt);
}

TEST_P(WidePair, SharesAnEntry) {
    WideRoots m(GetParam());
    m.set(user_root, 508, 0);
    m.set(last_user_pml4, 508, 0);
    m.set(user_root, 300, entry_code | bit::P | bit::RW);
    m.set(kernel_root, 300, kernel_table | bit::P | bit::RW);
    EXPECT_EQ(m.found(), std::nullopt);
    m.set(user_root, 300, kernel_table | bit::P | bit::RW | bit::A);
    EXPECT_EQ(m.found(), pair);
}

TEST(Kpti, OnlyWithFiveLevelsTheLastTablesAreAsked) {
    WideRoots four(Mode::level4);
    four.set(user_root, 508, 0);
    four.set(last_pml4, 508, entry_area | bit::P);
    four.set(last_user_pml4, 508, entry_area | bit::P);
    EXPECT_EQ(four.found(), std::nullopt);
    WideRoots five(Mode::level5);
    EXPECT_EQ(five.found(), pair);
    five.set(last_user_pml4, 508, entry_area);  // not present
    EXPECT_EQ(five.found(), std::nullopt);
    five.set(last_user_pml4, 0, entry_code | bit::P);  // the user's alone
    EXPECT_EQ(five.found(), std::nullopt);
    five.both(511, 0x7f000000 | bit::P, last_user_pml4 | bit::P);  // in no RAM
    EXPECT_EQ(five.found(), std::nullopt);
    five.both(511, last_pml4 | bit::P, last_user_pml4);
    EXPECT_EQ(five.found(), std::nullopt);
}

TEST(Kpti, APaePairSharesTheUsersDirectories) {
    for (unsigned users = 0; users <= 4; ++users) {
        PaeRoots m(users);
        const auto expected = users > 0 && users < 4 ? std::optional(pair) : std::nullopt;
        EXPECT_EQ(m.found(), expected) << users;
        EXPECT_EQ(m.found(user_root), expected) << users;
    }
    PaeRoots again;
    again.both(1, user_table | bit::P, entry_code | bit::P);  // same, other, same, other
    EXPECT_EQ(again.found(), std::nullopt);
}

TEST(Kpti, APaePairHasBothKernelParts) {
    PaeRoots m;
    m.both(3, kernel_table | bit::P, 0);
    EXPECT_EQ(m.found(), std::nullopt);
    m.both(3, 0, entry_code | bit::P);
    EXPECT_EQ(m.found(), std::nullopt);
}

TEST(Kpti, PaeRootsOfAPairAreAligned) {
    PaeRoots m;
    for (unsigned i = 0; i < 4; ++i)
        for (const std::uint64_t root : {kernel_root, user_root}) {
            std::array<std::byte, 8> entry;
            Fetch read{{root + 8 * i}, entry};
            m.memory.fetch({&read, 1});
            m.memory.put(root + 0x20 + 8 * i, m.paging().entry(entry, 0), 8);
        }
    EXPECT_EQ(m.found(), pair);
    EXPECT_EQ(m.found(kernel_root + 0x20), std::nullopt);
    EXPECT_EQ(m.found(user_root + 0x20), std::nullopt);
}

TEST(Kpti, APaeRootHasNoReservedBits) {
    for (unsigned i = 0; i < 64; ++i) {
        PaeRoots m;
        const std::uint64_t set = user_table | bit::P | std::uint64_t{1} << i;
        m.both(0, set, set);
        const bool reserved = i == 1 || i == 2 || (i >= 6 && i <= 8) || i >= 52;
        EXPECT_EQ(m.found().has_value(), !reserved) << i;
        m.both(0, set & ~bit::P, set & ~bit::P);
        EXPECT_EQ(m.found().has_value(), i < 52) << i;
    }
}

TEST(Kpti, ThirtyTwoBitPagingHasNone) {
    Roots m(Mode::bits32);
    m.memory.ram(kernel_root);
    m.memory.ram(user_root);
    m.memory.calls.clear();
    EXPECT_EQ(m.found(), std::nullopt);
    EXPECT_TRUE(m.memory.calls.empty());
}

TEST(Kpti, ReadsTheTwoRootsAtOnce) {
    WideRoots m(Mode::level4);
    m.memory.calls.clear();
    EXPECT_EQ(m.found(), pair);
    EXPECT_EQ(
        m.memory.calls,
        (std::vector<std::vector<FakeMemory::Read>>{{{kernel_root, 4096}, {user_root, 4096}}}));
    PaeRoots pae;
    pae.memory.calls.clear();
    EXPECT_EQ(pae.found(), pair);
    EXPECT_EQ(pae.memory.reads(),
              (std::vector<FakeMemory::Read>{{kernel_root, 32}, {user_root, 32}}));
}

TEST(Kpti, LetsTheMemorysExceptionThrough) {
    struct Gone final : PhysicalMemory {
        void fetch(std::span<Fetch>) override { throw std::runtime_error("connection lost"); }
    } gone;
    const X86Paging paging(registers_of(Mode::pae));
    EXPECT_THROW(kpti_roots(paging, {kernel_root}, gone), std::runtime_error);
}

// Roots may be anything, at the ends of the physical address space too.
TEST(Kpti, RandomPages) {
    std::mt19937_64 random(1);
    for (int round = 0; round < 40; ++round)
        for (const Mode mode : all_modes) {
            Roots m(mode);
            m.memory.remember = false;
            for (const std::uint64_t page : {kernel_root, user_root})
                for (unsigned at = 0; at < 4096; at += 8) m.memory.put(page + at, random(), 8);
            EXPECT_EQ(m.found(), std::nullopt);
            EXPECT_EQ(m.found(random()), std::nullopt);
            EXPECT_EQ(m.found(~std::uint64_t{0} << 12), std::nullopt);
        }
}

}  // namespace
}  // namespace ptmap
