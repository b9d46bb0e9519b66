#include "space/kpti.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "arch/formats.h"

namespace ptmap {
namespace {

constexpr std::uint64_t user_root_bit = 1 << 12;

// Bits of entries of 8 bytes (SDM vol. 3A, Tables 4-8, 4-13, 4-14).
constexpr std::uint64_t present = 1, accessed = 1 << 5, xd = std::uint64_t{1} << 63;
constexpr std::uint64_t entry_address = bits(12, 40);
constexpr std::uint64_t pdpte_reserved = bits(52, 12);
constexpr std::uint64_t pdpte_reserved_if_present = bits(1, 2) | bits(6, 3);

// The entries of two tables at the same index.
struct Both {
    std::uint64_t kernel, user;

    bool any_present() const { return (kernel | user) & present; }
    // Except the accessed bit, which the processor sets, and `ignored`.
    bool same(std::uint64_t ignored = 0) const {
        return !((kernel ^ user) & ~(accessed | ignored));
    }
    bool shared() const { return same() && user & present; }
};
using Pairs = std::vector<Both>;

// Two tables of `entries` entries each; empty if one of them cannot be read.
Pairs read_both(PhysicalMemory& memory, PhysAddr kernel, PhysAddr user, std::size_t entries) {
    std::vector<std::uint64_t> tables(2 * entries);
    const auto all = std::as_writable_bytes(std::span(tables));
    std::array<Fetch, 2> reads{Fetch{kernel, all.first(all.size() / 2)},
                               Fetch{user, all.last(all.size() / 2)}};
    memory.fetch(reads);
    Pairs pairs;
    if (!std::ranges::all_of(reads, &Fetch::ok)) return pairs;
    for (std::size_t i = 0; i < entries; ++i) pairs.push_back({tables[i], tables[entries + i]});
    return pairs;
}

bool lower_halves_agree(std::span<const Both> lower) {
    const auto used = std::ranges::count_if(lower, &Both::any_present);
    const auto differ =
        std::ranges::count_if(lower, [](const Both& b) { return b.any_present() && !b.same(xd); });
    return 4 * differ <= used;
}

// Whether the user root's upper half has only entries of the kernel root's, and fewer.
bool upper_half_is_less(std::span<const Both> upper) {
    bool some = false, others = false;
    for (const Both& b : upper) {
        if (!b.any_present()) continue;
        if (!(b.kernel & present)) return false;
        (b.user & present ? some : others) = true;
    }
    return some && others;
}

// Whether an upper entry is the same in both roots, or in the last PML4s of both.
bool share_an_entry(const Paging& paging, std::span<const Both> upper, PhysicalMemory& memory) {
    if (std::ranges::any_of(upper, &Both::shared)) return true;
    const Both last = upper.back();
    if (mode_of(paging.format()) != Mode::level5 || !(last.kernel & last.user & present))
        return false;
    const Pairs below = read_both(memory, {last.kernel & entry_address},
                                  {last.user & entry_address}, paging.levels()[1].entries());
    return std::ranges::any_of(below, &Both::shared);
}

bool is_pae_pair(std::span<const Both> pdptes) {
    // A page with reserved bits in its PDPTEs cannot be a root.
    for (const Both& b : pdptes)
        if (b.user & pdpte_reserved || (b.user & present && b.user & pdpte_reserved_if_present))
            return false;
    const auto is_same = [](const Both& b) { return b.same(); };
    const auto kernels = std::ranges::find_if_not(pdptes, is_same);
    return kernels != pdptes.begin() && kernels != pdptes.end() &&
           std::none_of(kernels, pdptes.end(), is_same) &&
           pdptes.back().kernel & pdptes.back().user & present;
}

bool is_wide_pair(const Paging& paging, std::span<const Both> entries, PhysicalMemory& memory) {
    const auto lower = entries.first(entries.size() / 2);
    const auto upper = entries.last(entries.size() / 2);
    return lower_halves_agree(lower) && upper_half_is_less(upper) &&
           share_an_entry(paging, upper, memory);
}

}  // namespace

std::optional<KptiRoots> kpti_roots(const Paging& paging, PhysAddr root, PhysicalMemory& memory) {
    const Mode mode = mode_of(paging.format());
    if (mode == Mode::bits32) return std::nullopt;
    const KptiRoots pair{{root.value & ~user_root_bit}, {root.value | user_root_bit}};
    if (mode == Mode::pae && pair.kernel.value & bits(0, 12)) return std::nullopt;
    const Pairs entries = read_both(memory, pair.kernel, pair.user, paging.levels()[0].entries());
    if (entries.empty()) return std::nullopt;
    const bool is_pair =
        mode == Mode::pae ? is_pae_pair(entries) : is_wide_pair(paging, entries, memory);
    return is_pair ? std::optional(pair) : std::nullopt;
}

}  // namespace ptmap
