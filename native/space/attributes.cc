#include "space/attributes.h"

#include <algorithm>

namespace ptmap {
namespace {

// Whether all but the memory type holds.
bool others_hold(const Wanted& w, const Attributes& a, PageSizes page_sizes) {
    return has(a.rights, w.rights_set) && (a.rights & w.rights_clear) == Rights::none &&
           (!w.global || *w.global == a.global) && page_sizes.has_all(w.sizes_any) &&
           !page_sizes.has_any(w.sizes_none) && (!w.large || page_sizes.has_any(large_pages));
}

// Whether the conditions on the memory types in `some` hold for a page of `type`.
bool types_hold(const Wanted& w, MemoryTypes some, MemoryType type) {
    return !(w.types_set & some & ~only(type)) && !(w.types_clear & some & only(type));
}

}  // namespace

PageAttributes page_attributes(const Walk& walk, const std::array<MemoryType, 8>& types) {
    return {{.rights = walk.rights, .global = walk.global, .type = types[walk.cache_slot]},
            PageSizes::only(page_shift_of(walk.page_size))};
}

Truth truth(const Wanted& w, const Attributes& a, PageSizes page_sizes) {
    if (!others_hold(w, a, page_sizes)) return Truth::no;
    if (!(only(a.type) & unknown_types))
        return types_hold(w, ~MemoryTypes{0}, a.type) ? Truth::yes : Truth::no;
    // The slot is known, but its type is not.
    if (!types_hold(w, unknown_types, a.type)) return Truth::no;
    return (w.types_set | w.types_clear) & ~unknown_types ? Truth::unknown : Truth::yes;
}

Truth truth(std::span<const Wanted> wanted, const Attributes& a, PageSizes page_sizes) {
    Truth best = Truth::no;
    for (auto w = wanted.begin(); w != wanted.end() && best != Truth::yes; ++w)
        best = std::max(best, truth(*w, a, page_sizes));
    return best;
}

bool is_wanted(const Wanted& w, const Attributes& a, PageSizes page_sizes) {
    return others_hold(w, a, page_sizes) && types_hold(w, ~MemoryTypes{0}, a.type);
}

}  // namespace ptmap
