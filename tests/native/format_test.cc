// Every bit of every entry, one at a time, against the SDM's tables (vol. 3A, chapter 4).
//
// The rows below are the SDM's, with M for MAXPHYADDR as there. A row says what a bit is for;
// the test toggles each bit of a plain entry and sees that exactly the expected thing changes.
#include <gtest/gtest.h>

#include <functional>
#include <ostream>

#include "fake_memory.h"

namespace ptmap {
namespace {

enum class What {
    present,
    write,
    user,
    pwt,
    pcd,
    pat,
    accessed,
    dirty,
    page_size,
    global,
    key,
    xd,
    address,
    ignored,
    reserved,
    load,  // reserved, but checked only when MOV CR3 loads the entry
};
using enum What;

struct Row {
    unsigned low, high;
    What what;
    unsigned to = 0;  // address: what bit `low` becomes
};
using Rows = std::vector<Row>;

struct Entry {
    const char* name;
    Mode mode;
    unsigned level;
    Kind kind;
    std::uint64_t plain;  // an entry of this kind with every right
    std::function<Rows(const ControlRegisters&)> rows;
};

bool nxe(const ControlRegisters& r) { return r.efer & 0x800; }
What xd_of(const ControlRegisters& r) { return nxe(r) ? xd : reserved; }
What global_of(const ControlRegisters& r) { return r.cr4 & 0x80 ? global : ignored; }
What key_of(const ControlRegisters& r) { return r.cr4 & 0x1400000 ? key : ignored; }

Rows table_4_4(const ControlRegisters& r) {  // 32-bit: PDE that maps a 4-MByte page
    const unsigned M = std::min(r.maxphyaddr, 40u);
    return {{0, 0, present},
            {1, 1, write},
            {2, 2, user},
            {3, 3, pwt},
            {4, 4, pcd},
            {5, 5, accessed},
            {6, 6, dirty},
            {7, 7, page_size},
            {8, 8, global_of(r)},
            {9, 11, ignored},
            {12, 12, pat},
            {13, M - 20, address, 32},
            {M - 19, 21, reserved},
            {22, 31, address, 22}};
}

Rows table_4_5(const ControlRegisters& r) {  // 32-bit: PDE that references a page table
    return {{0, 0, present},  {1, 1, write},
            {2, 2, user},     {3, 3, pwt},
            {4, 4, pcd},      {5, 5, accessed},
            {6, 6, ignored},  {7, 7, r.cr4 & 0x10 ? page_size : ignored},
            {8, 11, ignored}, {12, 31, address, 12}};
}

Rows table_4_6(const ControlRegisters& r) {  // 32-bit: PTE
    return {{0, 0, present},      {1, 1, write},    {2, 2, user},         {3, 3, pwt},
            {4, 4, pcd},          {5, 5, accessed}, {6, 6, dirty},        {7, 7, pat},
            {8, 8, global_of(r)}, {9, 11, ignored}, {12, 31, address, 12}};
}

Rows table_4_8(const ControlRegisters& r) {  // PAE: PDPTE
    const unsigned M = r.maxphyaddr;
    return {{0, 0, present},
            {1, 2, load},
            {3, 3, pwt},
            {4, 4, pcd},
            {5, 8, load},
            {9, 11, ignored},
            {12, M - 1, address, 12},
            {M, 63, load}};
}

Rows table_4_9(const ControlRegisters& r) {  // PAE: PDE that maps a 2-MByte page
    const unsigned M = r.maxphyaddr;
    return {{0, 0, present},
            {1, 1, write},
            {2, 2, user},
            {3, 3, pwt},
            {4, 4, pcd},
            {5, 5, accessed},
            {6, 6, dirty},
            {7, 7, page_size},
            {8, 8, global_of(r)},
            {9, 11, ignored},
            {12, 12, pat},
            {13, 20, reserved},
            {21, M - 1, address, 21},
            {M, 62, reserved},
            {63, 63, xd_of(r)}};
}

Rows table_4_10(const ControlRegisters& r) {  // PAE: PDE that references a page table
    const unsigned M = r.maxphyaddr;
    return {{0, 0, present},   {1, 1, write},
            {2, 2, user},      {3, 3, pwt},
            {4, 4, pcd},       {5, 5, accessed},
            {6, 6, ignored},   {7, 7, page_size},
            {8, 11, ignored},  {12, M - 1, address, 12},
            {M, 62, reserved}, {63, 63, xd_of(r)}};
}

Rows table_4_11(const ControlRegisters& r) {  // PAE: PTE
    const unsigned M = r.maxphyaddr;
    return {{0, 0, present},
            {1, 1, write},
            {2, 2, user},
            {3, 3, pwt},
            {4, 4, pcd},
            {5, 5, accessed},
            {6, 6, dirty},
            {7, 7, pat},
            {8, 8, global_of(r)},
            {9, 11, ignored},
            {12, M - 1, address, 12},
            {M, 62, reserved},
            {63, 63, xd_of(r)}};
}

Rows table_4_14(const ControlRegisters& r) {  // PML5E; Table 4-15, PML4E, is the same
    const unsigned M = r.maxphyaddr;
    return {{0, 0, present},   {1, 1, write},
            {2, 2, user},      {3, 3, pwt},
            {4, 4, pcd},       {5, 5, accessed},
            {6, 6, ignored},   {7, 7, reserved},
            {8, 11, ignored},  {12, M - 1, address, 12},
            {M, 51, reserved}, {52, 62, ignored},
            {63, 63, xd_of(r)}};
}

Rows table_4_16(const ControlRegisters& r) {  // PDPTE that maps a 1-GByte page
    const unsigned M = r.maxphyaddr;
    return {{0, 0, present},
            {1, 1, write},
            {2, 2, user},
            {3, 3, pwt},
            {4, 4, pcd},
            {5, 5, accessed},
            {6, 6, dirty},
            {7, 7, page_size},
            {8, 8, global_of(r)},
            {9, 11, ignored},
            {12, 12, pat},
            {13, 29, reserved},
            {30, M - 1, address, 30},
            {M, 51, reserved},
            {52, 58, ignored},
            {59, 62, key_of(r)},
            {63, 63, xd_of(r)}};
}

Rows table_4_17(const ControlRegisters& r) {  // PDPTE and (Table 4-19) PDE that name a table
    const unsigned M = r.maxphyaddr;
    return {{0, 0, present},   {1, 1, write},
            {2, 2, user},      {3, 3, pwt},
            {4, 4, pcd},       {5, 5, accessed},
            {6, 6, ignored},   {7, 7, page_size},
            {8, 11, ignored},  {12, M - 1, address, 12},
            {M, 51, reserved}, {52, 62, ignored},
            {63, 63, xd_of(r)}};
}

Rows table_4_18(const ControlRegisters& r) {  // PDE that maps a 2-MByte page
    const unsigned M = r.maxphyaddr;
    return {{0, 0, present},
            {1, 1, write},
            {2, 2, user},
            {3, 3, pwt},
            {4, 4, pcd},
            {5, 5, accessed},
            {6, 6, dirty},
            {7, 7, page_size},
            {8, 8, global_of(r)},
            {9, 11, ignored},
            {12, 12, pat},
            {13, 20, reserved},
            {21, M - 1, address, 21},
            {M, 51, reserved},
            {52, 58, ignored},
            {59, 62, key_of(r)},
            {63, 63, xd_of(r)}};
}

Rows table_4_20(const ControlRegisters& r) {  // PTE
    const unsigned M = r.maxphyaddr;
    return {{0, 0, present},
            {1, 1, write},
            {2, 2, user},
            {3, 3, pwt},
            {4, 4, pcd},
            {5, 5, accessed},
            {6, 6, dirty},
            {7, 7, pat},
            {8, 8, global_of(r)},
            {9, 11, ignored},
            {12, M - 1, address, 12},
            {M, 51, reserved},
            {52, 58, ignored},
            {59, 62, key_of(r)},
            {63, 63, xd_of(r)}};
}

const Entry entries[] = {
    {"Pse4MPage", Mode::bits32, 2, Kind::page, 0x87, table_4_4},
    {"Bits32Pde", Mode::bits32, 2, Kind::table, 0x07, table_4_5},
    {"Bits32Pte", Mode::bits32, 1, Kind::page, 0x07, table_4_6},
    {"PaePdpte", Mode::pae, 3, Kind::table, 0x01, table_4_8},
    {"Pae2MPage", Mode::pae, 2, Kind::page, 0x87, table_4_9},
    {"PaePde", Mode::pae, 2, Kind::table, 0x07, table_4_10},
    {"PaePte", Mode::pae, 1, Kind::page, 0x07, table_4_11},
    {"Level5Pml5e", Mode::level5, 5, Kind::table, 0x07, table_4_14},
    {"Level5Pml4e", Mode::level5, 4, Kind::table, 0x07, table_4_14},
    {"Level5Page1G", Mode::level5, 3, Kind::page, 0x87, table_4_16},
    {"Level5Pdpte", Mode::level5, 3, Kind::table, 0x07, table_4_17},
    {"Level5Page2M", Mode::level5, 2, Kind::page, 0x87, table_4_18},
    {"Level5Pde", Mode::level5, 2, Kind::table, 0x07, table_4_17},
    {"Level5Pte", Mode::level5, 1, Kind::page, 0x07, table_4_20},
    {"Level4Pml4e", Mode::level4, 4, Kind::table, 0x07, table_4_14},
    {"Level4Page1G", Mode::level4, 3, Kind::page, 0x87, table_4_16},
    {"Level4Pdpte", Mode::level4, 3, Kind::table, 0x07, table_4_17},
    {"Level4Page2M", Mode::level4, 2, Kind::page, 0x87, table_4_18},
    {"Level4Pde", Mode::level4, 2, Kind::table, 0x07, table_4_17},
    {"Level4Pte", Mode::level4, 1, Kind::page, 0x07, table_4_20},
};

// All that an entry says.
struct Seen {
    Kind kind;
    Rights rights{};
    std::uint64_t target = 0;
    unsigned slot = 0;
    std::uint64_t key = 0;
    bool accessed = false, dirty = false, global = false, load = false;
    bool operator==(const Seen&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Seen& s) {
    return out << std::hex << "kind " << int(s.kind) << " rights " << int(s.rights) << " target "
               << s.target << " slot " << s.slot << " key " << s.key << " A" << s.accessed << " D"
               << s.dirty << " G" << s.global << " load" << s.load;
}

Seen see(const PagingLevel& level, std::uint64_t raw) {
    Seen seen{level.kind(raw)};
    if (seen.kind != Kind::table && seen.kind != Kind::page) return seen;
    const EntryRules& rules = seen.kind == Kind::page ? level.page : level.table;
    seen.rights = rules.rights(raw);
    seen.target = rules.target(raw).value;
    seen.slot = rules.cache_slot(raw);
    seen.key = raw & rules.key;
    seen.accessed = raw & rules.accessed;
    seen.dirty = raw & rules.dirty;
    seen.global = raw & rules.global;
    seen.load = raw & rules.must_be_zero_at_load;
    return seen;
}

Seen expected(Seen plain, const Row& row, unsigned b) {
    const std::uint64_t mask = std::uint64_t{1} << b;
    switch (row.what) {
        case present: return {Kind::not_present};
        case reserved: return {Kind::malformed};
        case page_size:
        case ignored: break;
        case write: plain.rights = Rights::user | Rights::exec; break;  // toggled off
        case user: plain.rights = Rights::write | Rights::exec; break;
        case xd: plain.rights = Rights::user | Rights::write; break;  // toggled on
        case pwt: plain.slot = 1; break;
        case pcd: plain.slot = 2; break;
        case pat: plain.slot = 4; break;
        case accessed: plain.accessed = true; break;
        case dirty: plain.dirty = true; break;
        case global: plain.global = true; break;
        case key: plain.key = mask; break;
        case load: plain.load = true; break;
        case address: plain.target = std::uint64_t{1} << (row.to + b - row.low); break;
    }
    return plain;
}

void check(const Entry& entry, const ControlRegisters& registers) {
    const X86Paging paging(registers);
    ASSERT_GE(paging.position(entry.level), 0);
    const PagingLevel& level = paging.levels()[paging.position(entry.level)];
    const Seen plain{entry.kind, Rights::all};
    ASSERT_EQ(see(level, entry.plain), plain);

    unsigned next = 0;  // the SDM's rows name each bit, from 0 up
    for (const Row& row : entry.rows(registers)) {
        if (row.high + 1 == row.low) continue;  // M leaves nothing of it
        ASSERT_EQ(row.low, next) << "the test's own rows";
        next = row.high + 1;
        for (unsigned b = row.low; b <= row.high; ++b) {
            const std::uint64_t raw = entry.plain ^ std::uint64_t{1} << b;
            if (row.what == page_size)
                ASSERT_EQ(level.kind(raw), entry.kind == Kind::page ? Kind::table : Kind::page);
            else
                ASSERT_EQ(see(level, raw), expected(plain, row, b)) << "bit " << b;
        }
    }
    EXPECT_EQ(next, entry.mode == Mode::bits32 ? 32u : 64u) << "the test's own rows";
}

void PrintTo(const Entry& entry, std::ostream* out) { *out << entry.name; }

class Format : public testing::TestWithParam<Entry> {};
INSTANTIATE_TEST_SUITE_P(Sdm, Format, testing::ValuesIn(entries),
                         [](const auto& entry) { return entry.param.name; });

TEST_P(Format, EveryBitIsWhatTheSdmSays) {
    for (const unsigned maxphyaddr : {32, 36, 39, 40, 46, 51, 52})
        for (const std::uint64_t efer_off : {0, 0x800})
            for (const std::uint64_t cr4_off : {0, 0x80, 0x400000, 0x400080}) {
                ControlRegisters r = registers_of(GetParam().mode);
                r.maxphyaddr = maxphyaddr;
                r.cr4 |= 0x400000;  // PKE
                r.efer &= ~efer_off;
                r.cr4 &= ~cr4_off;
                SCOPED_TRACE(testing::Message() << "MAXPHYADDR " << maxphyaddr << " CR4 "
                                                << std::hex << r.cr4 << " EFER " << r.efer);
                check(GetParam(), r);
                if (HasFailure()) return;
            }
}

TEST(Format, KeysExistWithPksAloneToo) {  // SDM Tables 4-16, 4-18, 4-20: PKE or PKS
    ControlRegisters r = registers_of(Mode::level4);
    r.cr4 |= 0x1000000;
    for (const Entry& entry : entries)
        if (entry.mode == Mode::level4) check(entry, r);
}

TEST(Format, WithoutPseNo4MPage) {  // SDM Table 4-5
    ControlRegisters r = registers_of(Mode::bits32);
    r.cr4 &= ~std::uint64_t{0x10};
    check(entries[1], r);
    EXPECT_EQ(X86Paging(r).levels()[0].kind(0x87), Kind::table);
    // Not even the reserved bits of one.
    EXPECT_EQ(X86Paging(r).levels()[0].kind(0x2000e7), Kind::table);
}

TEST(Format, PaeIgnoresPseBit) {  // SDM 4.1.4: PAE has 2-MByte pages whatever CR4.PSE
    for (const std::uint64_t pse : {0, 0x10}) {
        ControlRegisters r = registers_of(Mode::pae);
        r.cr4 |= pse;
        EXPECT_EQ(X86Paging(r).levels()[1].kind(0x87), Kind::page);
    }
}

struct Shape {
    Mode mode;
    std::vector<std::tuple<unsigned, std::string_view, std::string_view, unsigned, unsigned>>
        levels;  // number, table, entry, lowest VA bit of the index, index bits
    unsigned entry_bytes;
};

TEST(Format, LevelsIndexTheBitsThatTheSdmSays) {  // SDM 4.3, 4.4.2, 4.5.4; Table 4-2
    const Shape shapes[] = {
        {Mode::bits32, {{2, "PD", "PDE", 22, 10}, {1, "PT", "PTE", 12, 10}}, 4},
        {Mode::pae,
         {{3, "PDPT", "PDPTE", 30, 2}, {2, "PD", "PDE", 21, 9}, {1, "PT", "PTE", 12, 9}},
         8},
        {Mode::level4,
         {{4, "PML4", "PML4E", 39, 9},
          {3, "PDPT", "PDPTE", 30, 9},
          {2, "PD", "PDE", 21, 9},
          {1, "PT", "PTE", 12, 9}},
         8},
        {Mode::level5,
         {{5, "PML5", "PML5E", 48, 9},
          {4, "PML4", "PML4E", 39, 9},
          {3, "PDPT", "PDPTE", 30, 9},
          {2, "PD", "PDE", 21, 9},
          {1, "PT", "PTE", 12, 9}},
         8},
    };
    for (const Shape& shape : shapes) {
        SCOPED_TRACE(name(shape.mode));
        const X86Paging paging(registers_of(shape.mode));
        EXPECT_EQ(paging.format().entry_bytes, shape.entry_bytes);
        ASSERT_EQ(paging.levels().size(), shape.levels.size());
        for (std::size_t i = 0; i < shape.levels.size(); ++i) {
            const auto& [number, table, entry, low, width] = shape.levels[i];
            const PagingLevel& level = paging.levels()[i];
            EXPECT_EQ(level.level->number, number);
            EXPECT_EQ(level.level->table_name, table);
            EXPECT_EQ(level.level->entry_name, entry);
            EXPECT_EQ(level.entry_span(), std::uint64_t{1} << low);
            EXPECT_EQ(level.entries(), 1u << width);
            EXPECT_EQ(level.table_span(), std::uint64_t{1} << (low + width));
            EXPECT_EQ(paging.table_bytes(level), shape.entry_bytes << width);
            for (unsigned b = 0; b < 64; ++b)
                EXPECT_EQ(level.index(std::uint64_t{1} << b),
                          b >= low && b < low + width ? 1u << (b - low) : 0u)
                    << b;
            EXPECT_EQ(paging.position(number), static_cast<int>(i));
        }
        EXPECT_EQ(paging.position(static_cast<unsigned>(shape.levels.size()) + 1), -1);
        EXPECT_EQ(paging.position(0), -1);
    }
}

}  // namespace
}  // namespace ptmap
