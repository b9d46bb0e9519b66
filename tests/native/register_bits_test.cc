// Names of register bits.
#include "arch/register_bits.h"

#include <gtest/gtest.h>

#include <bit>

#include "arch/registers.h"

namespace ptmap {
namespace {

std::string_view name_of(ControlRegister reg, std::uint64_t mask) {
    for (const RegisterBit& row : register_bits(reg))
        if (row.bit == std::countr_zero(mask)) return row.name;
    return "";
}

TEST(RegisterBits, AreTheMasksThatTheCoreUses) {
    EXPECT_EQ(name_of(ControlRegister::cr0, cr0::PE), "PE");
    EXPECT_EQ(name_of(ControlRegister::cr0, cr0::WP), "WP");
    EXPECT_EQ(name_of(ControlRegister::cr0, cr0::PG), "PG");
    EXPECT_EQ(name_of(ControlRegister::cr4, cr4::PSE), "PSE");
    EXPECT_EQ(name_of(ControlRegister::cr4, cr4::PAE), "PAE");
    EXPECT_EQ(name_of(ControlRegister::cr4, cr4::MCE), "MCE");
    EXPECT_EQ(name_of(ControlRegister::cr4, cr4::PGE), "PGE");
    EXPECT_EQ(name_of(ControlRegister::cr4, cr4::LA57), "LA57");
    EXPECT_EQ(name_of(ControlRegister::cr4, cr4::SMEP), "SMEP");
    EXPECT_EQ(name_of(ControlRegister::cr4, cr4::SMAP), "SMAP");
    EXPECT_EQ(name_of(ControlRegister::cr4, cr4::PKE), "PKE");
    EXPECT_EQ(name_of(ControlRegister::cr4, cr4::CET), "CET");
    EXPECT_EQ(name_of(ControlRegister::cr4, cr4::PKS), "PKS");
    EXPECT_EQ(name_of(ControlRegister::efer, efer::LMA), "LMA");
    EXPECT_EQ(name_of(ControlRegister::efer, efer::NXE), "NXE");
}

TEST(RegisterBits, OfOtherRegistersThereAreNone) {
    EXPECT_TRUE(register_bits(ControlRegister::cr2).empty());
    EXPECT_TRUE(register_bits(ControlRegister::cr3).empty());
    EXPECT_EQ(control_register_named(""), std::nullopt);
}

TEST(RegisterBits, EachHasAMeaning) {
    for (const ControlRegister reg :
         {ControlRegister::cr0, ControlRegister::cr4, ControlRegister::efer})
        for (const RegisterBit& row : register_bits(reg)) EXPECT_FALSE(row.meaning.empty());
}

}  // namespace
}  // namespace ptmap
