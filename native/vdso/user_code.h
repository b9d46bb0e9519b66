// Where a process's code is, in pages of 4 KiB.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "paging/disposal.h"
#include "space/leaves.h"

namespace ptmap {

/// The user's pages that are executable by their leaf entry.
class UserCode {
public:
    /// 4 KiB of it.
    struct Page {
        VirtAddr va;
        PhysAddr pa;
    };

    /// Goes through it one page after the other, the likely ones first: small before large pages,
    /// high before low addresses among the small ones, as Linux maps vDSOs near the stack. The
    /// UserCode has to outlive it.
    class Pages {
    public:
        /// Nothing behind the last one.
        std::optional<Page> next();

    private:
        friend class UserCode;
        Pages(const UserCode& code, bool writable)
            : code_(code), writable_(writable), small_(code.small_.size()) {}

        const UserCode& code_;
        bool writable_;
        std::size_t small_;      // so many are left
        std::size_t large_ = 0;  // so many are done
        std::uint64_t at_ = 0;   // bytes into that one
    };

    explicit UserCode(const Leaves& leaves);

    /// There is more of it than a search looks for.
    bool cut() const { return cut_; }
    /// Tables of the user's that could not be read.
    std::size_t unreadable() const { return unreadable_; }
    /// Pages that user space can write, or cannot.
    std::uint64_t count(bool writable) const;
    /// Of the page that begins at an address.
    std::optional<PhysAddr> frame(VirtAddr va) const;
    Pages pages(bool writable) const { return {*this, writable}; }

private:
    const Leaf* leaf_at(const std::vector<Leaf>& leaves, VirtAddr va) const;

    Disposed<std::vector<Leaf>> small_, large_;  // by rising address
    bool cut_;
    std::size_t unreadable_;
};

/// That of the space below a root, of 65536 tables and 1048576 pages at most: a space with more is
/// none of a process's, or it takes too long to look at all. The pulse is told as
/// user_executable()'s. Exceptions: those of the memory and of the pulse.
UserCode user_code(const Paging& paging, PhysAddr root, PhysicalMemory& memory,
                   const Pulse& pulse = {});

/// The same of tables that were read already, all of them. The pulse is told of leaves.
UserCode user_code(const Space& space, const Pulse& pulse = {});

}  // namespace ptmap
