// Linear memory through one root: a walk translates, then physical memory is read.
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

/// What the tables below a root map, readable whatever the rights. Tables and memory may hold
/// anything. Paging and memory must outlive it, and the tables must not change: a translation that
/// was found is kept.
class LinearMemory {
public:
    /// `size` bytes from `first` on, known to be at `pa` without a look at the tables.
    struct Known {
        VirtAddr first;
        std::uint64_t size;
        PhysAddr pa;
    };

    /// For an address in `known` no table is read; if several have it the first counts.
    LinearMemory(const Paging& paging, PhysAddr root, PhysicalMemory& memory,
                 std::vector<Known> known = {})
        : paging_(paging), root_(root), memory_(memory), known_(std::move(known)) {}

    const Paging& paging() const { return paging_; }
    PhysicalMemory& physical() const { return memory_; }

    /// The physical address; nothing if it is not mapped, if a table cannot be read, or if the
    /// paging mode has no such address.
    std::optional<PhysAddr> translate(VirtAddr va);

    /// Reads to.size() bytes from `va` on. False if any of them cannot be read: then `to` may hold
    /// anything. It does not wrap around after 2^64-1.
    bool read(VirtAddr va, std::span<std::byte> to) { return why_unread(va, to).empty(); }

    /// The same; "" or the reason: "0x1000 is not mapped below the root 0x2000", "0x1000 (physical
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
