// The attributes of pages, and conditions on them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "arch/memory_type.h"
#include "arch/page_size.h"
#include "paging/rights.h"
#include "paging/walk.h"

namespace ptmap {

/// Neighbouring ranges differ in at least one of these.
struct Attributes {
    Rights rights = Rights::none;
    bool read = true;  ///< false only in a view (MapOptions::as)
    bool global = false;
    MemoryType type = MemoryType::WB;
    bool operator==(const Attributes&) const = default;
};

/// The attributes of one page.
struct PageAttributes {
    Attributes attributes;
    PageSizes page_size;  ///< one
};

/// Of a walk whose outcome is Outcome::mapped; `types` are those of memory_types().
PageAttributes page_attributes(const Walk& walk, const std::array<MemoryType, 8>& types);

/// Those that are called large.
inline constexpr PageSizes large_pages = PageSizes::all().without({12});

/// One term of a condition: all members must hold for a page.
struct Wanted {
    Rights rights_set = Rights::none, rights_clear = Rights::none;
    std::optional<bool> global;
    PageSizes sizes_any;          ///< has a page of each of these sizes
    PageSizes sizes_none;         ///< and no page of these
    bool large = false;           ///< has a page larger than 4 KiB
    MemoryTypes types_set = 0;    ///< is of each of these types; with two types it never holds
    MemoryTypes types_clear = 0;  ///< is of none of these types
    bool operator==(const Wanted&) const = default;
};

/// Whether something holds; `unknown` lies between no and yes. "Or" is the greatest of several
/// truths, "and" the least (Kleene's three values).
enum class Truth : std::uint8_t { no, unknown, yes };

/// Whether a term holds for pages with these attributes and sizes (Range::page_sizes). Unknown if a
/// memory type decides that is not known (unknown_types): PAT1 may be WC or not.
Truth truth(const Wanted& wanted, const Attributes& attributes, PageSizes page_sizes);

/// Whether one of several terms holds; `no` without a term.
Truth truth(std::span<const Wanted> wanted, const Attributes& attributes, PageSizes page_sizes);

/// The same for a filter, which has no "unknown": a type that is not known is a type of its own. So
/// PAT1 is not WC.
bool is_wanted(const Wanted& wanted, const Attributes& attributes, PageSizes page_sizes);

}  // namespace ptmap
