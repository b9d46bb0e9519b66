// 5-level and 4-level paging (SDM vol. 3A, 4.5): IA-32e mode. 4-level is 5-level without its
// first row.
//
// Linear addresses must be canonical: the bits above the translated 57 (48) repeat the highest
// of them. PS is reserved in a PML5E and a PML4E, so no page is larger than 1 GiB. Bits 62:52
// are ignored, except the protection key in 62:59 of a leaf. Bit 11 (HLAT's "restart") is
// ignored by ordinary paging.
#include "arch/formats.h"
#include "paging/address.h"

namespace ptmap::formats {
namespace {

// clang-format off
constexpr Field upper_fields[] = {  // PML5E and PML4E: SDM Tables 4-14, 4-15
    { 0,  1, Role::present,    "P"},
    { 1,  1, Role::write,      "RW"},
    { 2,  1, Role::user,       "US"},
    { 3,  1, Role::pwt,        "PWT"},
    { 4,  1, Role::pcd,        "PCD"},
    { 5,  1, Role::accessed,   "A"},
    { 6,  1, Role::ignored,    "ign"},
    { 7,  1, Role::reserved,   "PS"},
    { 8,  4, Role::ignored,    "ign"},
    {12, 40, Role::address,    "table", 12},
    {52, 11, Role::ignored,    "ign"},
    {63,  1, Role::no_execute, "XD", 0, Need::nxe, Role::reserved},
};

constexpr Field table_fields[] = {  // PDPTE and PDE that name a table: SDM Tables 4-17, 4-19
    { 0,  1, Role::present,    "P"},
    { 1,  1, Role::write,      "RW"},
    { 2,  1, Role::user,       "US"},
    { 3,  1, Role::pwt,        "PWT"},
    { 4,  1, Role::pcd,        "PCD"},
    { 5,  1, Role::accessed,   "A"},
    { 6,  1, Role::ignored,    "ign"},
    { 7,  1, Role::page_size,  "PS"},
    { 8,  4, Role::ignored,    "ign"},
    {12, 40, Role::address,    "table", 12},
    {52, 11, Role::ignored,    "ign"},
    {63,  1, Role::no_execute, "XD", 0, Need::nxe, Role::reserved},
};

constexpr Field page_1g_fields[] = {  // SDM Table 4-16
    { 0,  1, Role::present,    "P"},
    { 1,  1, Role::write,      "RW"},
    { 2,  1, Role::user,       "US"},
    { 3,  1, Role::pwt,        "PWT"},
    { 4,  1, Role::pcd,        "PCD"},
    { 5,  1, Role::accessed,   "A"},
    { 6,  1, Role::dirty,      "D"},
    { 7,  1, Role::page_size,  "PS"},
    { 8,  1, Role::global,     "G", 0, Need::pge},
    { 9,  3, Role::ignored,    "ign"},
    {12,  1, Role::pat,        "PAT"},
    {13, 17, Role::reserved,   "rsvd"},
    {30, 22, Role::address,    "page", 30},
    {52,  7, Role::ignored,    "ign"},
    {59,  4, Role::key,        "key", 0, Need::keys},
    {63,  1, Role::no_execute, "XD", 0, Need::nxe, Role::reserved},
};

constexpr Field page_2m_fields[] = {  // SDM Table 4-18
    { 0,  1, Role::present,    "P"},
    { 1,  1, Role::write,      "RW"},
    { 2,  1, Role::user,       "US"},
    { 3,  1, Role::pwt,        "PWT"},
    { 4,  1, Role::pcd,        "PCD"},
    { 5,  1, Role::accessed,   "A"},
    { 6,  1, Role::dirty,      "D"},
    { 7,  1, Role::page_size,  "PS"},
    { 8,  1, Role::global,     "G", 0, Need::pge},
    { 9,  3, Role::ignored,    "ign"},
    {12,  1, Role::pat,        "PAT"},
    {13,  8, Role::reserved,   "rsvd"},
    {21, 31, Role::address,    "page", 21},
    {52,  7, Role::ignored,    "ign"},
    {59,  4, Role::key,        "key", 0, Need::keys},
    {63,  1, Role::no_execute, "XD", 0, Need::nxe, Role::reserved},
};

constexpr Field pte_fields[] = {  // SDM Table 4-20
    { 0,  1, Role::present,    "P"},
    { 1,  1, Role::write,      "RW"},
    { 2,  1, Role::user,       "US"},
    { 3,  1, Role::pwt,        "PWT"},
    { 4,  1, Role::pcd,        "PCD"},
    { 5,  1, Role::accessed,   "A"},
    { 6,  1, Role::dirty,      "D"},
    { 7,  1, Role::pat,        "PAT"},
    { 8,  1, Role::global,     "G", 0, Need::pge},
    { 9,  3, Role::ignored,    "ign"},
    {12, 40, Role::address,    "page", 12},
    {52,  7, Role::ignored,    "ign"},
    {59,  4, Role::key,        "key", 0, Need::keys},
    {63,  1, Role::no_execute, "XD", 0, Need::nxe, Role::reserved},
};

constexpr Level levels[] = {
    {5, "PML5", "PML5E", 48, 9, upper_fields, {}},
    {4, "PML4", "PML4E", 39, 9, upper_fields, {}},
    {3, "PDPT", "PDPTE", 30, 9, table_fields, page_1g_fields, bits(7, 1)},
    {2, "PD",   "PDE",   21, 9, table_fields, page_2m_fields, bits(7, 1)},
    {1, "PT",   "PTE",   12, 9, {},           pte_fields},
};
// clang-format on

}  // namespace

constexpr Format with_5_levels{"5-level", 8, 57, true, bits(12, 40), levels};
constexpr Format with_4_levels{"4-level", 8, 48, true, bits(12, 40), std::span(levels).subspan(1)};
static_assert(levels_fit(with_5_levels) && levels_fit(with_4_levels));
const Format level5 = with_5_levels;
const Format level4 = with_4_levels;

}  // namespace ptmap::formats
