// Rights over levels (SDM vol. 3A, 4.6) and memory types (11.12).
#include <gtest/gtest.h>

#include "fake_memory.h"

namespace ptmap {
namespace {

// One page at offset 0 through tables at 0x1000, 0x2000, ...: each level's entry has the rights
// of three bits of `combination` (1 user, 2 write, 4 no-execute).
struct Path {
    Machine machine;
    Rights expected = Rights::all;

    Path(Mode mode, unsigned combination) : machine(mode) {
        const std::size_t levels = machine.paging().levels().size();
        bool user = true, write = true, exec = true;
        for (std::size_t i = 0; i < levels; ++i) {
            const std::uint64_t next = 0x1000 * (i + 2);
            if (mode == Mode::pae && i == 0) {  // a PDPTE has none of the three
                machine.set(0x1000, 0, next | bit::P);
                continue;
            }
            const bool us = combination & 1, rw = combination & 2, xd = combination & 4;
            combination >>= 3;
            const bool has_xd = mode != Mode::bits32;
            machine.set(0x1000 * (i + 1), 0,
                        next | bit::P | (us ? bit::US : 0) | (rw ? bit::RW : 0) |
                            (xd && has_xd ? bit::XD : 0));
            user &= us;
            write &= rw;
            exec &= !(xd && has_xd);
        }
        expected = (user ? Rights::user : Rights::none) | (write ? Rights::write : Rights::none) |
                   (exec ? Rights::exec : Rights::none);
    }
};

unsigned combinations(Mode mode) {
    const unsigned levels_with_rights = mode == Mode::level5 ? 5 : mode == Mode::level4 ? 4 : 2;
    return 1u << 3 * levels_with_rights;
}

class RightsOver : public testing::TestWithParam<Mode> {};
INSTANTIATE_TEST_SUITE_P(Modes, RightsOver, testing::ValuesIn(all_modes),
                         [](const auto& mode) { return test_name(name(mode.param)); });

TEST_P(RightsOver, AllLevelsAreAnded) {
    for (unsigned c = 0; c < combinations(GetParam()); ++c) {
        Path path(GetParam(), c);
        const Walk walk = path.machine.walk(0x234);
        ASSERT_EQ(walk.outcome, Outcome::mapped);
        ASSERT_EQ(walk.rights, path.expected) << "combination " << c;
    }
}

TEST_P(RightsOver, TheMapSaysTheSame) {
    for (unsigned c = 0; c < combinations(GetParam()); c += GetParam() == Mode::level5 ? 37 : 3) {
        Path path(GetParam(), c);
        const Map map = path.machine.map();
        ASSERT_EQ(map.ranges.size(), 1u);
        ASSERT_EQ(map.ranges[0].attributes.rights, path.expected) << "combination " << c;
    }
}

TEST(RightsOver, EachStepHasThoseOfThePathDownToIt) {
    Machine m(Mode::level4);
    m.set(0x1000, 0, 0x2000 | bit::table);
    m.set(0x2000, 0, 0x3000 | bit::P | bit::US);
    m.set(0x3000, 0, 0x4000 | bit::table | bit::XD);
    m.set(0x4000, 0, 0x5000 | bit::P | bit::RW);
    const Walk walk = m.walk(0);
    ASSERT_EQ(walk.steps.size(), 4u);
    EXPECT_EQ(walk.steps[0].rights, Rights::all);
    EXPECT_EQ(walk.steps[1].rights, Rights::user | Rights::exec);
    EXPECT_EQ(walk.steps[2].rights, Rights::user);
    EXPECT_EQ(walk.steps[3].rights, Rights::none);
}

TEST(MemoryTypes, ArePatsSlots) {  // SDM Tables 11-10, 11-12
    using enum MemoryType;
    // Power-on: WB WT UC- UC, twice.
    EXPECT_EQ(memory_types(0x0007040600070406),
              (std::array{WB, WT, UC_minus, UC, WB, WT, UC_minus, UC}));
    // 64-bit Linux: WB WC UC- UC WB WP UC- WT.
    EXPECT_EQ(memory_types(0x0407050600070106),
              (std::array{WB, WC, UC_minus, UC, WB, WP, UC_minus, WT}));
    // 2, 3 and all from 8 up are reserved.
    EXPECT_EQ(memory_types(0x86ff080706030201),
              (std::array{WC, invalid, invalid, WB, UC_minus, invalid, invalid, invalid}));
}

TEST(MemoryTypes, WithoutPatAreThoseThatAllAgreeOn) {
    using enum MemoryType;
    EXPECT_EQ(memory_types(std::nullopt),
              (std::array{WB, PAT1, UC_minus, UC, WB, PAT5, UC_minus, PAT7}));
}

TEST(MemoryTypes, Names) {
    using enum MemoryType;
    EXPECT_EQ(name(UC), "UC");
    EXPECT_EQ(name(WC), "WC");
    EXPECT_EQ(name(WT), "WT");
    EXPECT_EQ(name(WP), "WP");
    EXPECT_EQ(name(WB), "WB");
    EXPECT_EQ(name(UC_minus), "UC-");
    EXPECT_EQ(name(PAT1), "PAT1");
    EXPECT_EQ(name(PAT5), "PAT5");
    EXPECT_EQ(name(PAT7), "PAT7");
}

}  // namespace
}  // namespace ptmap
