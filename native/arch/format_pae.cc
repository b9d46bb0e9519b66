// PAE paging (SDM vol. 3A, 4.4): 32-bit linear addresses, eight-byte entries, 2-MByte pages, XD.
//
// The root is peculiar. CR3 points to a table of only four PDPTEs, 32 bytes, 32-byte aligned,
// which MOV CR3 loads into the processor. If a reserved bit is set that MOV raises #GP; a page
// fault never comes of it. So here they are `must_be_zero_at_load`: ptmap mentions them, but they
// do not end a walk (QEMU's TCG even sets bit 5 of them in memory). PDPTEs have no R/W, U/S or XD:
// rights come from the two levels below. PS does not exist in them either.
//
// Unlike 4-level paging nothing in 62:MAXPHYADDR of a PDE or PTE is ignored: it is reserved.
#include "arch/formats.h"
#include "paging/address.h"

namespace ptmap::formats {
namespace {

// clang-format off
constexpr Field pdpte_fields[] = {  // SDM Table 4-8
    { 0,  1, Role::present,              "P"},
    { 1,  2, Role::must_be_zero_at_load, "rsvd"},
    { 3,  1, Role::pwt,                  "PWT"},
    { 4,  1, Role::pcd,                  "PCD"},
    { 5,  4, Role::must_be_zero_at_load, "rsvd"},
    { 9,  3, Role::ignored,              "ign"},
    {12, 40, Role::address,              "PD", 12, Need::nothing},
    {52, 12, Role::must_be_zero_at_load, "rsvd"},
};

constexpr Field pde_fields[] = {  // SDM Table 4-10
    { 0,  1, Role::present,    "P"},
    { 1,  1, Role::write,      "RW"},
    { 2,  1, Role::user,       "US"},
    { 3,  1, Role::pwt,        "PWT"},
    { 4,  1, Role::pcd,        "PCD"},
    { 5,  1, Role::accessed,   "A"},
    { 6,  1, Role::ignored,    "ign"},
    { 7,  1, Role::page_size,  "PS"},
    { 8,  4, Role::ignored,    "ign"},
    {12, 40, Role::address,    "PT", 12},
    {52, 11, Role::reserved,   "rsvd"},
    {63,  1, Role::no_execute, "XD", 0, Need::nxe, Role::reserved},
};

constexpr Field page_2m_fields[] = {  // SDM Table 4-9
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
    {52, 11, Role::reserved,   "rsvd"},
    {63,  1, Role::no_execute, "XD", 0, Need::nxe, Role::reserved},
};

constexpr Field pte_fields[] = {  // SDM Table 4-11
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
    {52, 11, Role::reserved,   "rsvd"},
    {63,  1, Role::no_execute, "XD", 0, Need::nxe, Role::reserved},
};

constexpr Level levels[] = {
    {3, "PDPT", "PDPTE", 30, 2, pdpte_fields, {}},
    {2, "PD",   "PDE",   21, 9, pde_fields,   page_2m_fields, bits(7, 1)},
    {1, "PT",   "PTE",   12, 9, {},           pte_fields},
};
// clang-format on

}  // namespace

constexpr Format format{"pae", 8, 32, false, bits(5, 27), levels};
static_assert(levels_fit(format));
const Format pae = format;

}  // namespace ptmap::formats
