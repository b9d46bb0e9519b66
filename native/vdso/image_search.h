// The search for ELF images behind a process's executable pages.
//
// An image is found by its header in a page that is executable by its leaf entry. (Under KPTI the
// kernel root takes the right to execute away at a higher level.) No address is assumed, and the
// bytes are not trusted: see elf/image.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "elf/image.h"
#include "paging/memory.h"
#include "paging/paging.h"
#include "paging/pulse.h"
#include "vdso/user_code.h"

namespace ptmap {

/// A page of an image. Its bytes stay where they are: see read_pages().
struct ImagePage {
    /// Whose memory has its bytes; `nowhere` if they are not known.
    enum class From : std::uint8_t { nowhere, process, kernel };

    VirtAddr va;
    From from = From::nowhere;
    PhysAddr pa;         ///< of its bytes; not for From::nowhere
    VirtAddr kernel_va;  ///< of the kernel's copy; only for From::kernel
    std::string why;     ///< From::nowhere: "not mapped executable"
};

/// An image at an address of the process.
struct UserImage {
    VirtAddr va;
    elf::Image elf;
    std::vector<ImagePage> pages;
};

/// The images found, and how complete the search was.
struct ImageSearch {
    std::vector<UserImage> images;
    /// The address of an ELF header, and why it does not begin an image.
    std::vector<std::pair<VirtAddr, std::string>> rejected;
    std::uint64_t looked = 0;  ///< pages that were searched
    std::uint64_t pages = 0;   ///< all pages
    bool cut = false;          ///< there may be more: a limit was reached
};

/// Every image that begins at a read-only page of `code`; if none is a vDSO, those at writable
/// pages too. An image that is not a vDSO keeps no functions. Limits: 65536 pages, 1024 headers,
/// vDSOs of 64 MiB together. The pulse is by pages. Exceptions: those of the memory and of the
/// pulse.
ImageSearch search_images(const Paging& paging, const UserCode& code, PhysicalMemory& memory,
                          const Pulse& pulse = {});

/// The same for the page at one address only.
ImageSearch look_at(const Paging& paging, const UserCode& code, PhysicalMemory& memory,
                    VirtAddr va);

/// `count` pages of `code` from an address on; those that are missing say why.
std::vector<ImagePage> pages_from(const UserCode& code, PhysicalMemory& memory, VirtAddr va,
                                  std::size_t count);

/// The pages' bytes, with zeros for unknown pages. Error: std::invalid_argument if a page that was
/// read before can no longer be read.
std::vector<std::byte> read_pages(PhysicalMemory& memory, std::span<const ImagePage> pages);

/// Whether `size` bytes from `va` on all have valid addresses. `size` is not 0.
bool fits(const Paging& paging, VirtAddr va, std::uint64_t size);

}  // namespace ptmap
