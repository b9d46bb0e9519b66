// VMCOREINFO: what a Linux tells those who read its crash dump. A note of /proc/vmcore, which
// makedumpfile copies. It has lines "KEY=VALUE" (Documentation/admin-guide/kdump/vmcoreinfo.rst).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace ptmap {

/// As far as it tells of the tables of x86-64.
struct Vmcoreinfo {
    std::string release;      ///< OSRELEASE, at most 64 bytes of any kind; "" if it is missing
    std::uint64_t root = 0;   ///< of the kernel's own tables, init_mm's; physical
    bool five_level = false;  ///< else 4-level
    std::string problem;      ///< why root and level are not known, a phrase; or ""
};

/// Whether each line is "KEY=VALUE", also behind a zero byte, and a page has 4096 bytes.
bool is_sound_vmcoreinfo(std::span<const std::byte> text);

/// The text may be anything. It ends at its first zero byte.
Vmcoreinfo read_vmcoreinfo(std::span<const std::byte> text);

}  // namespace ptmap
