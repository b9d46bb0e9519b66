// Which mode the registers select: SDM vol. 3A, 4.1.1 and Figure 4-1.
#include "arch/registers.h"

#include <gtest/gtest.h>

namespace ptmap {
namespace {

TEST(Registers, BitsAreWhereTheSdmHasThem) {  // SDM 2.5, 2.2.1
    EXPECT_EQ(cr0::PE, 0x1);
    EXPECT_EQ(cr0::WP, 0x10000);
    EXPECT_EQ(cr0::PG, 0x80000000);
    EXPECT_EQ(cr4::PSE, 0x10);
    EXPECT_EQ(cr4::PAE, 0x20);
    EXPECT_EQ(cr4::PGE, 0x80);
    EXPECT_EQ(cr4::LA57, 0x1000);
    EXPECT_EQ(cr4::SMEP, 0x100000);
    EXPECT_EQ(cr4::SMAP, 0x200000);
    EXPECT_EQ(cr4::PKE, 0x400000);
    EXPECT_EQ(cr4::PKS, 0x1000000);
    EXPECT_EQ(efer::LMA, 0x400);
    EXPECT_EQ(efer::NXE, 0x800);
}

TEST(Registers, SelectTheMode) {
    for (const bool pg : {false, true})
        for (const bool pae : {false, true})
            for (const bool la57 : {false, true})
                for (const bool lma : {false, true}) {
                    const ControlRegisters r{.cr0 = pg ? 0x80000001u : 0x1u,
                                             .cr4 = (pae ? 0x20u : 0u) | (la57 ? 0x1000u : 0u),
                                             .efer = lma ? 0x500u : 0x100u};
                    Mode mode = Mode::off;
                    if (pg && !pae) mode = Mode::bits32;
                    if (pg && pae && !lma) mode = Mode::pae;
                    if (pg && pae && lma) mode = la57 ? Mode::level5 : Mode::level4;
                    EXPECT_EQ(name(paging_mode(r)), name(mode)) << pg << pae << la57 << lma;
                }
}

constexpr Mode modes[]{Mode::bits32, Mode::pae, Mode::level4, Mode::level5};

TEST(Registers, SwitchToEachModeFromAny) {
    for (const Mode from : modes)
        for (const Mode to : modes) {
            const ControlRegisters r = switched_to(to, switched_to(from, {}));
            EXPECT_EQ(name(paging_mode(r)), name(to)) << name(from);
        }
}

TEST(Registers, SwitchChangesOnlyWhatTheModeNeeds) {
    const std::uint64_t cr0 = 0x80000001, cr4 = 0x1030, efer = 0x400;
    for (const Mode to : modes)
        for (const std::uint64_t old : {std::uint64_t{0}, ~std::uint64_t{0}}) {
            const ControlRegisters r = switched_to(to, {.cr0 = old, .cr4 = old, .efer = old});
            EXPECT_EQ(r.cr0 & ~cr0, old & ~cr0);
            EXPECT_EQ(r.cr4 & ~cr4, old & ~cr4);
            EXPECT_EQ(r.efer & ~efer, old & ~efer);
        }
    EXPECT_EQ(switched_to(Mode::bits32, {}).cr4, 0x10);  // 4 MiB pages
    EXPECT_EQ(switched_to(Mode::pae, {}).cr4, 0x20);
    EXPECT_EQ(switched_to(Mode::pae, {.cr4 = 0x10}).cr4, 0x30);
}

TEST(Registers, NoExecNeedsEntriesOf8Bytes) {
    for (const Mode mode : modes) {
        EXPECT_EQ(has_nx(switched_to(mode, {.efer = 0x800})), mode != Mode::bits32) << name(mode);
        EXPECT_FALSE(has_nx(switched_to(mode, {}))) << name(mode);
    }
}

TEST(Registers, KeysAreOfUserOrSupervisorPages) {
    EXPECT_TRUE(has_keys({.cr4 = 0x400000}));
    EXPECT_TRUE(has_keys({.cr4 = 0x1000000}));
    EXPECT_FALSE(has_keys({.cr4 = 0x10FF}));
}

TEST(Registers, ModeNames) {
    for (const std::string_view word : {"off", "32-bit", "pae", "4-level", "5-level"}) {
        ASSERT_TRUE(mode_named(word)) << word;
        EXPECT_EQ(name(*mode_named(word)), word);
    }
    EXPECT_EQ(mode_named("4-level"), Mode::level4);
    for (const std::string_view word : {"", "PAE", "4level", "64-bit", "4-level "})
        EXPECT_FALSE(mode_named(word)) << word;
}

}  // namespace
}  // namespace ptmap
