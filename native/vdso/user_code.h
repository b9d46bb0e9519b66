// A process's code, in pages of 4 KiB.
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

    /// Goes through the pages, likely ones for a vDSO first: small before large pages, and among
    /// the small ones high before low addresses, because Linux maps a vDSO near the stack. The
    /// UserCode must outlive it.
    class Pages {
    public:
        /// The next page; nothing after the last one.
        std::optional<Page> next();

    private:
        friend class UserCode;
        Pages(const UserCode& code, bool writable)
            : code_(code), writable_(writable), small_(code.small_.size()) {}

        const UserCode& code_;
        bool writable_;
        std::size_t small_;      // small leaves that are left
        std::size_t large_ = 0;  // large leaves that are done
        std::uint64_t at_ = 0;   // bytes into the next large leaf
    };

    explicit UserCode(const Leaves& leaves);

    /// Whether a limit was reached: there is more code.
    bool cut() const { return cut_; }
    /// The number of the user's tables that could not be read.
    std::size_t unreadable() const { return unreadable_; }
    /// The number of pages that user space can write, or cannot.
    std::uint64_t count(bool writable) const;
    /// The frame of the page that begins at an address.
    std::optional<PhysAddr> frame(VirtAddr va) const;
    Pages pages(bool writable) const { return {*this, writable}; }

private:
    const Leaf* leaf_at(const std::vector<Leaf>& leaves, VirtAddr va) const;

    Disposed<std::vector<Leaf>> small_, large_;  // by rising address
    bool cut_;
    std::size_t unreadable_;
};

/// The code of the space below a root, from at most 65536 tables and 1048576 pages: a space with
/// more is not a process's, or takes too long. The pulse is as for user_executable(). Exceptions:
/// those of the memory and of the pulse.
UserCode user_code(const Paging& paging, PhysAddr root, PhysicalMemory& memory,
                   const Pulse& pulse = {});

/// The same for Tables that has all tables. The pulse is by leaves.
UserCode user_code(const Tables& tables, const Pulse& pulse = {});

}  // namespace ptmap
