#include "vdso/user_code.h"

#include <algorithm>

namespace ptmap {
namespace {

constexpr std::uint64_t page = 4096;
constexpr LeafLimits limits{.tables = 1 << 16, .leaves = 1 << 20};

}  // namespace

UserCode::UserCode(const Leaves& leaves) : cut_(leaves.cut), unreadable_(leaves.unreadable) {
    for (const Leaf& leaf : leaves.found) (leaf.size == page ? small_ : large_).push_back(leaf);
}

std::uint64_t UserCode::count(bool writable) const {
    std::uint64_t pages = 0;
    for (const auto* leaves : {&small_, &large_})
        for (const Leaf& leaf : *leaves)
            if (leaf.write == writable) pages += leaf.size / page;
    return pages;
}

// The last leaf that begins at or before an address.
const Leaf* UserCode::leaf_at(const std::vector<Leaf>& leaves, VirtAddr va) const {
    const auto next = std::ranges::upper_bound(leaves, va, {}, &Leaf::va);
    return next == leaves.begin() ? nullptr : &*std::prev(next);
}

std::optional<PhysAddr> UserCode::frame(VirtAddr va) const {
    if (const Leaf* leaf = leaf_at(small_, va); leaf && leaf->va == va) return leaf->pa;
    const Leaf* leaf = leaf_at(large_, va);
    if (!leaf || va.value - leaf->va.value >= leaf->size) return std::nullopt;
    return PhysAddr{leaf->pa.value + (va.value - leaf->va.value)};
}

std::optional<UserCode::Page> UserCode::Pages::next() {
    while (small_ > 0) {
        const Leaf& leaf = code_.small_[--small_];
        if (leaf.write == writable_) return Page{leaf.va, leaf.pa};
    }
    while (large_ < code_.large_.size()) {
        const Leaf& leaf = code_.large_[large_];
        if (leaf.write == writable_ && at_ < leaf.size) {
            const Page found{{leaf.va.value + at_}, {leaf.pa.value + at_}};
            at_ += page;
            return found;
        }
        ++large_;
        at_ = 0;
    }
    return std::nullopt;
}

UserCode user_code(const Paging& paging, PhysAddr root, PhysicalMemory& memory,
                   const Pulse& pulse) {
    return UserCode(user_executable(paging, root, memory, limits, pulse));
}

UserCode user_code(const Tables& tables, const Pulse& pulse) {
    return UserCode(user_executable(tables, limits.leaves, pulse));
}

}  // namespace ptmap
