// 32-bit paging (SDM vol. 3A, 4.3): the 386's. Two levels of 1024 four-byte entries.
//
// Its one peculiarity is the 4-MByte page of CR4.PSE. With PSE-36 such a page may lie above
// 4 GiB: its entry carries address bits 39:32 in bits 20:13, in front of bits 31:22 where they
// always were, so that the page's address is two slices. A processor without PSE-36 has a
// MAXPHYADDR of 32 as far as these bits matter, and then they are all reserved: Table 4-4's
// "bits 21:13 are reserved" needs no rule of its own. Without CR4.PSE the PS bit is ignored and
// the entry names a page table.
//
// There is no XD, no key, and nothing below 4 GiB is reserved.
#include "arch/formats.h"
#include "paging/address.h"

namespace ptmap::formats {
namespace {

// clang-format off
constexpr Field pde_fields[] = {  // SDM Table 4-5
    { 0,  1, Role::present,  "P"},
    { 1,  1, Role::write,    "RW"},
    { 2,  1, Role::user,     "US"},
    { 3,  1, Role::pwt,      "PWT"},
    { 4,  1, Role::pcd,      "PCD"},
    { 5,  1, Role::accessed, "A"},
    { 6,  1, Role::ignored,  "ign"},
    { 7,  1, Role::ignored,  "PS"},  // reached only if CR4.PSE is off
    { 8,  4, Role::ignored,  "ign"},
    {12, 20, Role::address,  "PT", 12},
};

constexpr Field page_4m_fields[] = {  // SDM Table 4-4
    { 0,  1, Role::present,   "P"},
    { 1,  1, Role::write,     "RW"},
    { 2,  1, Role::user,      "US"},
    { 3,  1, Role::pwt,       "PWT"},
    { 4,  1, Role::pcd,       "PCD"},
    { 5,  1, Role::accessed,  "A"},
    { 6,  1, Role::dirty,     "D"},
    { 7,  1, Role::page_size, "PS"},
    { 8,  1, Role::global,    "G", 0, Need::pge},
    { 9,  3, Role::ignored,   "ign"},
    {12,  1, Role::pat,       "PAT"},
    {13,  8, Role::address,   "page 39:32", 32},  // PSE-36
    {21,  1, Role::reserved,  "rsvd"},
    {22, 10, Role::address,   "page", 22},
};

constexpr Field pte_fields[] = {  // SDM Table 4-6
    { 0,  1, Role::present,  "P"},
    { 1,  1, Role::write,    "RW"},
    { 2,  1, Role::user,     "US"},
    { 3,  1, Role::pwt,      "PWT"},
    { 4,  1, Role::pcd,      "PCD"},
    { 5,  1, Role::accessed, "A"},
    { 6,  1, Role::dirty,    "D"},
    { 7,  1, Role::pat,      "PAT"},
    { 8,  1, Role::global,   "G", 0, Need::pge},
    { 9,  3, Role::ignored,  "ign"},
    {12, 20, Role::address,  "page", 12},
};

constexpr Level levels[] = {
    {2, "PD", "PDE", 22, 10, pde_fields, page_4m_fields, bits(7, 1), Need::pse},
    {1, "PT", "PTE", 12, 10, {},         pte_fields},
};
// clang-format on

}  // namespace

constexpr Format format{"32-bit", 4, 32, false, bits(12, 20), levels};
static_assert(levels_fit(format));
const Format bits32 = format;

}  // namespace ptmap::formats
