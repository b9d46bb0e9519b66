// A paging format as data: which levels there are and what every bit of their entries means.
//
// A format is a column of Level rows, root first. Each level has up to two kinds of entry, one
// that names the next table and one that maps a page, and each kind is a list of Field rows from
// bit 0 upwards that names every bit once. Nothing here depends on the registers; a Field's `need`
// says what must be on so that the row is valid. Paging (paging.h) combines a format with what is
// on.
//
// A new architecture is a new file of rows and no new walker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace ptmap {

/// What a field of an entry is for.
enum class Role : std::uint8_t {
    present,
    write,  ///< R/W: writes are allowed
    user,   ///< U/S: user-mode accesses are allowed
    pwt,
    pcd,
    pat,  ///< the three bits of the memory type's slot in IA32_PAT (SDM 4.9)
    accessed,
    dirty,
    page_size,  ///< PS: this entry maps a page
    global,
    key,         ///< protection key (SDM 4.6.2)
    no_execute,  ///< XD
    address,     ///< a slice of a physical address
    ignored,
    reserved,              ///< must be 0, else the access faults with RSVD (SDM 4.7)
    must_be_zero_at_load,  ///< PAE PDPTE: checked by MOV CR3 (#GP), not by a walk (SDM 4.4.1)
};

/// What must be on for a row. If it is off, the field's role is `otherwise`.
enum class Need : std::uint8_t { nothing, pse, pge, nxe, keys };

/// What the registers say of a format: what is on, and how wide physical addresses are.
struct Features {
    std::uint8_t on = 0;          ///< bit i: Need i
    unsigned physical_bits = 52;  ///< MAXPHYADDR

    constexpr bool has(Need need) const {
        return need == Need::nothing || on >> static_cast<unsigned>(need) & 1;
    }
    constexpr void set(Need need, bool is_on) {
        on = static_cast<std::uint8_t>(on | unsigned{is_on} << static_cast<unsigned>(need));
    }
};

/// One field of an entry.
struct Field {
    std::uint8_t low;    ///< its lowest bit in the entry
    std::uint8_t width;  ///< in bits
    Role role;
    const char* name;     ///< as in the SDM's tables
    std::uint8_t to = 0;  ///< Role::address only: the bit of the address that bit `low` becomes
    Need need = Need::nothing;
    Role otherwise = Role::ignored;
};

/// One level of the tables.
struct Level {
    std::uint8_t number;           ///< 1 is PT, 5 is PML5
    const char* table_name;        ///< "PT"
    const char* entry_name;        ///< "PTE"
    std::uint8_t shift;            ///< the lowest linear-address bit of the index
    std::uint8_t index_bits;       ///< a table has 1 << index_bits entries
    std::span<const Field> table;  ///< an entry that names a table; empty if this level has none
    std::span<const Field> page;   ///< an entry that maps a page; empty if this level has none
    /// If both kinds exist: a present entry with any of these bits is a page. 0 at PT.
    std::uint64_t page_when = 0;
    Need page_need = Need::nothing;  ///< must be on for pages at this level

    /// Bytes of linear address that an entry, and a table, translate.
    constexpr std::uint64_t entry_span() const { return std::uint64_t{1} << shift; }
    constexpr std::uint64_t table_span() const { return entry_span() << index_bits; }
    constexpr unsigned entries() const { return 1u << index_bits; }
};

/// One paging mode.
struct Format {
    const char* name;          ///< "4-level"
    std::uint8_t entry_bytes;  ///< 4 or 8
    std::uint8_t va_bits;      ///< linear-address bits that are translated
    bool canonical;            ///< the bits above must equal bit va_bits-1 (SDM vol. 1, 3.3.7.1)
    std::uint64_t root_mask;   ///< CR3's bits that are the root's address (SDM 4.3, 4.4.1, 4.5.2)
    std::span<const Level> levels;  ///< root first
};

/// For static_assert: rows rise from bit 0 and name each of `entry_bits` bits exactly once, and
/// no two address slices give the same address bit.
constexpr bool names_every_bit_once(std::span<const Field> fields, unsigned entry_bits) {
    unsigned next = 0;
    std::uint64_t address = 0;
    for (const Field& f : fields) {
        if (f.low != next || f.width == 0) return false;
        next += f.width;
        if (f.role != Role::address) continue;
        for (unsigned bit = f.to; bit < f.to + f.width; ++bit) {
            if (address >> bit & 1) return false;
            address |= std::uint64_t{1} << bit;
        }
    }
    return next == entry_bits;
}

/// For static_assert: each level's index begins where the next one's ends, the last ends at the
/// page offset and every row is sound.
constexpr bool levels_fit(const Format& format) {
    unsigned top = format.va_bits;
    for (const Level& level : format.levels) {
        if (level.shift + level.index_bits != top) return false;
        top = level.shift;
        for (const auto& fields : {level.table, level.page})
            if (!fields.empty() && !names_every_bit_once(fields, format.entry_bytes * 8u))
                return false;
    }
    return top == 12 && format.levels.back().table.empty();
}

}  // namespace ptmap
