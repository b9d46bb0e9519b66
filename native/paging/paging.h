// A format under its registers, which scan and walk use to read entries.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "paging/address.h"
#include "paging/format.h"
#include "paging/interval.h"
#include "paging/rights.h"

namespace ptmap {

/// What an entry is.
enum class Kind : std::uint8_t {
    not_present,
    table,     ///< names the next table
    page,      ///< maps a page
    malformed  ///< present with a reserved bit set
};

/// The masks of one kind of entry at one level. A mask is 0 if the entry has no such field.
struct EntryRules {
    std::span<const Field> fields;
    std::uint64_t reserved = 0;
    std::uint64_t must_be_zero_at_load = 0;  ///< only MOV CR3 checks these
    std::uint64_t user = 0, write = 0, no_execute = 0;
    std::uint64_t accessed = 0, dirty = 0, global = 0, key = 0;
    std::uint64_t pwt = 0, pcd = 0, pat = 0;
    struct Slice {
        std::uint64_t mask = 0;  ///< in the entry
        std::uint8_t shift = 0;  ///< to the left, from there to the address
    };
    std::array<Slice, 2> address;

    /// The rights that this entry allows.
    Rights rights(std::uint64_t raw) const {
        return static_cast<Rights>(((raw & user) == user) | ((raw & write) == write) << 1 |
                                   ((raw & no_execute) == 0) << 2);
    }
    PhysAddr target(std::uint64_t raw) const {
        return {(raw & address[0].mask) << address[0].shift | (raw & address[1].mask)
                                                                  << address[1].shift};
    }
    /// The slot of IA32_PAT, 0..7.
    unsigned cache_slot(std::uint64_t raw) const {
        return ((raw & pwt) != 0) | ((raw & pcd) != 0) << 1 | ((raw & pat) != 0) << 2;
    }
};

/// One level, compiled.
struct PagingLevel {
    const Level* level = nullptr;
    std::uint64_t page_when = 0;
    EntryRules table, page;
    /// Two pages of this level have the same attributes if they are equal in these bits.
    std::uint64_t page_decides = 0;

    std::uint64_t entry_span() const { return level->entry_span(); }
    std::uint64_t table_span() const { return level->table_span(); }
    unsigned entries() const { return level->entries(); }
    unsigned index(std::uint64_t va) const {
        return static_cast<unsigned>(va >> level->shift) & (entries() - 1);
    }

    /// What a raw entry is, and the rules that its bits follow.
    Kind kind(std::uint64_t raw) const {
        if (!(raw & 1)) return Kind::not_present;
        const bool maps = maps_page(raw);
        const EntryRules& rules = maps ? page : table;
        if (raw & rules.reserved) return Kind::malformed;
        return maps ? Kind::page : Kind::table;
    }
    const EntryRules& rules(std::uint64_t raw) const { return maps_page(raw) ? page : table; }

private:
    bool maps_page(std::uint64_t raw) const {
        return level->table.empty() || (raw & page_when) != 0;
    }
};

/// What is known of the frames of some pages: by default nothing.
struct Frames {
    PhysInterval begin_in;      ///< each frame's first byte lies in it
    bool are_in_order = false;  ///< each frame is known to begin where the one before ends
};

/// Entries of one table that are alike; see Paging::run.
struct EntryRun {
    std::uint64_t raw;  ///< the first
    Kind kind;          ///< of all
    unsigned end;       ///< the index behind the last
    Frames frames;      ///< of pages
};

/// A field of a raw entry that is not zero, named; see Paging::decode.
struct NamedBits {
    const Field* field;
    Role role;  ///< with what is on
    std::uint64_t value;
};

/// The SDM's name; "" if it has none for them.
std::string_view sdm_name(const NamedBits& bits);

/// The numbers of the bits that are set, in the entry.
std::vector<unsigned> bit_numbers(const NamedBits& bits);

/// A name for them: the SDM's, or "bit 13", "bits 13,15" if it has none.
std::string bit_name(const NamedBits& bits);

/// A format compiled for its registers. Addresses inside the core are offsets: linear addresses
/// without their sign extension, 0 .. 2^va_bits - 1. An architecture's subclass (X86Paging) keeps
/// its registers too.
class Paging {
public:
    virtual ~Paging() = default;
    /// A copy with all that the architecture keeps in it.
    virtual std::shared_ptr<const Paging> copy() const = 0;

    const Format& format() const { return *format_; }
    /// Root first.
    std::span<const PagingLevel> levels() const { return levels_; }
    /// The index in levels() of a level's number (5 PML5 .. 1 PT); -1 if this mode lacks it.
    int position(unsigned number) const;

    /// The root's address in a register's value (CR3).
    PhysAddr root_of(std::uint64_t root_register) const;
    /// A table's size in bytes: 4096, or 32 for PAE's root.
    std::size_t table_bytes(const PagingLevel& level) const {
        return std::size_t{level.entries()} * format_->entry_bytes;
    }

    /// Whether an address can be translated at all: canonical, or below 4 GiB.
    bool translatable(VirtAddr va) const { return address_of(offset_of(va)) == va; }
    std::uint64_t offset_of(VirtAddr va) const { return va.value & last_offset(); }
    VirtAddr address_of(std::uint64_t offset) const;
    std::uint64_t last_offset() const { return bits(0, format_->va_bits); }
    /// Where the upper part begins (the first offset whose address is sign-extended); 0 if there is
    /// none.
    std::uint64_t upper_part() const {
        return format_->canonical ? std::uint64_t{1} << (format_->va_bits - 1) : 0;
    }

    /// Entry `index` of a table's bytes (little-endian, as the guest stores it).
    std::uint64_t entry(std::span<const std::byte> table, unsigned index) const {
        if (format_->entry_bytes == 8) return load<std::uint64_t>(table, index);
        return load<std::uint32_t>(table, index);
    }

    /// The run of entries that begins at `index`, before `end`: entries that are not present, or
    /// pages with equal attributes and any frames. Any other entry is a run by itself.
    EntryRun run(const PagingLevel& level, std::span<const std::byte> table, unsigned index,
                 unsigned end) const {
        if (format_->entry_bytes == 8) return run_of<std::uint64_t>(level, table, index, end);
        return run_of<std::uint32_t>(level, table, index, end);
    }

    /// The frames of such a run of pages, which `index` begins.
    Frames frames(const PagingLevel& level, std::span<const std::byte> table, unsigned index,
                  const EntryRun& run) const {
        if (format_->entry_bytes == 8) return frames_of<std::uint64_t>(level, table, index, run);
        return frames_of<std::uint32_t>(level, table, index, run);
    }

    /// Every field of a present entry that is not zero, lowest bit first; reserved bits set are
    /// there with Role::reserved, address slices are left out.
    std::vector<NamedBits> decode(const PagingLevel& level, std::uint64_t raw) const;

protected:
    Paging(const Format& format, const Features& features);
    Paging(const Paging&) = default;
    Paging& operator=(const Paging&) = default;

private:
    template <typename Entry>
    static std::uint64_t load(std::span<const std::byte> table, unsigned index) {
        Entry raw;
        std::memcpy(&raw, table.data() + std::size_t{index} * sizeof raw, sizeof raw);
        return raw;
    }

    template <typename Entry>
    static EntryRun run_of(const PagingLevel& level, std::span<const std::byte> table,
                           unsigned index, unsigned end) {
        const std::uint64_t first = load<Entry>(table, index);
        const Kind kind = level.kind(first);
        ++index;
        if (kind == Kind::not_present || kind == Kind::page) {
            const std::uint64_t same = kind == Kind::page ? level.page_decides : 1;
            constexpr unsigned block = 16;  // compared at once
            while (end - index >= block) {
                std::uint64_t differences = 0;
                for (unsigned i = index; i < index + block; ++i)
                    differences |= load<Entry>(table, i) ^ first;
                if (differences & same) break;
                index += block;
            }
            while (index < end && !((load<Entry>(table, index) ^ first) & same)) ++index;
        }
        return {first, kind, index, {}};
    }

    template <typename Entry>
    static Frames frames_of(const PagingLevel& level, std::span<const std::byte> table,
                            unsigned index, const EntryRun& run) {
        const std::uint64_t span = level.entry_span();
        const PhysAddr first = level.page.target(run.raw);
        std::uint64_t differences = 0;  // from frames in order
        for (unsigned i = index; i < run.end; ++i)
            differences |=
                level.page.target(load<Entry>(table, i)).value ^ (first.value + (i - index) * span);
        if (!differences) return {{first, {first.value + (run.end - index - 1) * span}}, true};
        PhysInterval begin_in{first, first};
        for (unsigned i = index + 1; i < run.end; ++i) {
            const PhysAddr frame = level.page.target(load<Entry>(table, i));
            begin_in = {std::min(begin_in.first, frame), std::max(begin_in.last, frame)};
        }
        return {begin_in, false};
    }

    EntryRules compile(std::span<const Field> fields) const;
    std::uint64_t too_wide(const Field& field) const;

    Features features_;
    const Format* format_;
    std::vector<PagingLevel> levels_;
};

/// "reserved PS, bits 52,53": those that are set in a malformed entry.
std::string reserved_bits(const Paging& paging, const PagingLevel& level, std::uint64_t raw);

}  // namespace ptmap
