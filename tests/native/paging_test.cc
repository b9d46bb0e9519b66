// Roots, canonical addresses and the names of an entry's bits.
#include <gtest/gtest.h>

#include "fake_memory.h"

namespace ptmap {
namespace {

TEST(Root, IsCr3WithoutItsOtherBits) {  // SDM Tables 4-3, 4-7, 4-12
    const std::uint64_t ones = ~std::uint64_t{0};
    EXPECT_EQ(X86Paging(registers_of(Mode::bits32)).root_of(ones).value, 0xfffff000);
    EXPECT_EQ(X86Paging(registers_of(Mode::pae)).root_of(ones).value, 0xffffffe0);
    EXPECT_EQ(X86Paging(registers_of(Mode::level4)).root_of(ones).value, 0xffffffffff000);
    EXPECT_EQ(X86Paging(registers_of(Mode::level5)).root_of(ones).value, 0xffffffffff000);
    // PCID in 11:0, LAM in 62:61.
    EXPECT_EQ(X86Paging(registers_of(Mode::level4)).root_of(0x6000000123456fff).value, 0x123456000);
}

TEST(Root, EndsAtMaxphyaddr) {
    ControlRegisters r = registers_of(Mode::level4);
    r.maxphyaddr = 40;
    r.cr3 = ~std::uint64_t{0};
    EXPECT_EQ(X86Paging(r).root().value, 0xfffffff000);
}

struct Address {
    std::uint64_t va;
    bool level4, level5, bits32;
};

TEST(Canonical, IsTheHighestTranslatedBitRepeated) {  // SDM vol. 1, 3.3.7.1; vol. 3A, 4.5.3
    const Address addresses[] = {
        {0x0, true, true, true},
        {0xffffffff, true, true, true},
        {0x100000000, true, true, false},
        {0x00007fffffffffff, true, true, false},
        {0x0000800000000000, false, true, false},
        {0x0000ffffffffffff, false, true, false},
        {0x00ffffffffffffff, false, true, false},
        {0x0100000000000000, false, false, false},
        {0x8000000000000000, false, false, false},
        {0xfeffffffffffffff, false, false, false},
        {0xff00000000000000, false, true, false},
        {0xffff000000000000, false, true, false},
        {0xffff7fffffffffff, false, true, false},
        {0xffff800000000000, true, true, false},
        {0xffffffff80000000, true, true, false},  // a 32-bit address sign-extended by mistake
        {0xffffffffffffffff, true, true, false},
    };
    for (const Address& a : addresses) {
        SCOPED_TRACE(testing::Message() << std::hex << a.va);
        EXPECT_EQ(X86Paging(registers_of(Mode::level4)).translatable({a.va}), a.level4);
        EXPECT_EQ(X86Paging(registers_of(Mode::level5)).translatable({a.va}), a.level5);
        EXPECT_EQ(X86Paging(registers_of(Mode::bits32)).translatable({a.va}), a.bits32);
        EXPECT_EQ(X86Paging(registers_of(Mode::pae)).translatable({a.va}), a.bits32);
    }
}

TEST(Canonical, OffsetsAndAddresses) {
    const X86Paging level4(registers_of(Mode::level4)), level5(registers_of(Mode::level5)),
        pae(registers_of(Mode::pae));
    EXPECT_EQ(level4.last_offset(), 0xffffffffffff);
    EXPECT_EQ(level5.last_offset(), 0x1ffffffffffffff);
    EXPECT_EQ(pae.last_offset(), 0xffffffff);
    EXPECT_EQ(level4.upper_part(), 0x800000000000);
    EXPECT_EQ(level5.upper_part(), 0x100000000000000);
    EXPECT_EQ(pae.upper_part(), 0);
    EXPECT_EQ(level4.offset_of({0xffff800000001234}), 0x800000001234);
    EXPECT_EQ(level4.address_of(0x800000001234).value, 0xffff800000001234);
    EXPECT_EQ(level4.address_of(0x7fffffffffff).value, 0x7fffffffffff);
    EXPECT_EQ(level5.address_of(0x800000000000).value, 0x800000000000);
    EXPECT_EQ(level5.address_of(0x100000000000000).value, 0xff00000000000000);
    EXPECT_EQ(pae.address_of(0xc0000000).value, 0xc0000000);
}

// "P RW !bit 13": ! for a reserved bit, ~ for an ignored one, ^ for one checked at load.
std::string names(const ControlRegisters& registers, unsigned level, std::uint64_t raw) {
    const X86Paging paging(registers);
    std::string text;
    for (const NamedBits& b : paging.decode(paging.levels()[paging.position(level)], raw)) {
        text += text.empty() ? "" : " ";
        if (b.role == Role::reserved) text += '!';
        if (b.role == Role::ignored) text += '~';
        if (b.role == Role::must_be_zero_at_load) text += '^';
        text += bit_name(b);
        if (b.role == Role::key) text += '=' + std::to_string(b.value);
    }
    return text;
}

TEST(Decode, NamesEveryBitThatIsSet) {
    ControlRegisters r = registers_of(Mode::level4);
    r.cr4 |= cr4::PKE;
    r.maxphyaddr = 46;
    EXPECT_EQ(names(r, 1, 0x1), "P");
    EXPECT_EQ(names(r, 1, 0xf800000012345fffu),
              "P RW US PWT PCD A D PAT G ~bits 9,10,11 key=15 XD");
    EXPECT_EQ(names(r, 1, 0x2800000012345025), "P US A key=5");
    EXPECT_EQ(names(r, 1, 0x0008400000005001), "P !bits 46,51");
    EXPECT_EQ(names(r, 1, 0x0410000000005001), "P ~bits 52,58");
    EXPECT_EQ(names(r, 2, 0x00000000401050e3), "P RW A D PS PAT !bits 14,20");
    EXPECT_EQ(names(r, 3, 0x00000000400010e3), "P RW A D PS PAT");
    EXPECT_EQ(names(r, 4, 0x2087), "P RW US !PS");
    EXPECT_EQ(names(r, 4, 0x2147), "P RW US ~bit 6 ~bit 8");
    EXPECT_EQ(names(registers_of(Mode::pae), 3, 0x2027), "P ^bits 1,2 ^bit 5");
    EXPECT_EQ(names(registers_of(Mode::pae), 3, 0x8000000000002e19),
              "P PWT PCD ~bits 9,10,11 ^bit 63");
    EXPECT_EQ(names(registers_of(Mode::pae), 1, 0x4010000000002001), "P !bits 52,62");
}

TEST(Decode, FollowsTheRegisters) {
    ControlRegisters r = registers_of(Mode::level4);
    EXPECT_EQ(names(r, 1, 0x8800000000005101), "P G ~key XD");
    r.cr4 &= ~cr4::PGE;
    r.efer &= ~efer::NXE;
    EXPECT_EQ(names(r, 1, 0x8800000000005101), "P ~G ~key !XD");
    r = registers_of(Mode::bits32);
    r.maxphyaddr = 36;
    EXPECT_EQ(names(r, 2, 0x0023e083), "P RW PS !bit 17 !bit 21");
    r.cr4 = 0;
    EXPECT_EQ(names(r, 2, 0x0023e083), "P RW ~PS");
}

TEST(Entry, IsLittleEndianAndAsWideAsTheFormatSays) {
    std::array<std::byte, 24> bytes{};
    for (unsigned i = 0; i < bytes.size(); ++i) bytes[i] = std::byte(i + 1);
    EXPECT_EQ(X86Paging(registers_of(Mode::level4)).entry(bytes, 1), 0x100f0e0d0c0b0a09);
    EXPECT_EQ(X86Paging(registers_of(Mode::bits32)).entry(bytes, 1), 0x08070605);
}

}  // namespace
}  // namespace ptmap
