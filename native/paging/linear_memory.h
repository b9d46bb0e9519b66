// Linear memory through one root: translated by a walk, read physically.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "paging/memory.h"
#include "paging/paging.h"

namespace ptmap {

/// What the tables below a root map, read whatever the rights. Tables and memory may hold anything.
/// Paging and memory have to outlive it, and the tables have to stand still: a page that was found
/// once is not looked for again.
class LinearMemory {
public:
    /// `size` bytes from `first` on, of which it is known without the tables where they are: behind
    /// each other from `pa` on.
    struct Known {
        VirtAddr first;
        std::uint64_t size;
        PhysAddr pa;
    };

    /// For an address in `known` no table is read; of several that have it the first counts.
    LinearMemory(const Paging& paging, PhysAddr root, PhysicalMemory& memory,
                 std::vector<Known> known = {})
        : paging_(paging), root_(root), memory_(memory), known_(std::move(known)) {}

    const Paging& paging() const { return paging_; }
    PhysicalMemory& physical() const { return memory_; }

    /// The physical address; nothing if there is no mapping, a table cannot be read, or it is no
    /// address in this paging mode.
    std::optional<PhysAddr> translate(VirtAddr va);

    /// Reads to.size() bytes from `va` on. False if any of them is not there: then `to` may hold
    /// anything. Behind address 2^64-1 there is nothing.
    bool read(VirtAddr va, std::span<std::byte> to) { return why_unread(va, to).empty(); }

    /// The same; "" or why not: "0x1000 is not mapped below the root 0x2000", "0x1000 (physical
    /// 0x5000) cannot be read: not RAM".
    std::string why_unread(VirtAddr va, std::span<std::byte> to);

private:
    const Paging& paging_;
    PhysAddr root_;
    PhysicalMemory& memory_;
    std::vector<Known> known_;
    std::unordered_map<std::uint64_t, PhysAddr> frames_;  // by the address of the page
};

}  // namespace ptmap
