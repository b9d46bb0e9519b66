// The search for ELF images behind a process's executable pages.
//
// An image is found by its header in a page that is executable by its leaf entry: under KPTI the
// kernel's root takes the right to execute away above it. No place is assumed, and nothing that is
// found there is believed: see elf/image.h.
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
    PhysAddr pa;         ///< not From::nowhere: where they are
    VirtAddr kernel_va;  ///< From::kernel: where the kernel has them
    std::string why;     ///< From::nowhere: "not mapped executable"
};

/// An image at an address of the process.
struct UserImage {
    VirtAddr va;
    elf::Image elf;
    std::vector<ImagePage> pages;
};

/// What was found of images, and how thoroughly.
struct ImageSearch {
    std::vector<UserImage> images;
    /// Where an ELF header is, and why it begins no image.
    std::vector<std::pair<VirtAddr, std::string>> rejected;
    std::uint64_t looked = 0;  ///< pages
    std::uint64_t pages = 0;   ///< of so many
    bool cut = false;          ///< there may be more: a limit was reached
};

/// Every image that begins at a read-only page of `code`, a vDSO or not; if none is a vDSO, those
/// at writable pages too. An image that is none keeps no functions. Limits: 65536 pages looked at,
/// 1024 headers followed, vDSOs of 64 MiB together. The pulse is by pages. Exceptions: those of the
/// memory and of the pulse.
ImageSearch search_images(const Paging& paging, const UserCode& code, PhysicalMemory& memory,
                          const Pulse& pulse = {});

/// The same, of the page at one address only.
ImageSearch look_at(const Paging& paging, const UserCode& code, PhysicalMemory& memory,
                    VirtAddr va);

/// So many pages of `code` from an address on, as far as they are there.
std::vector<ImagePage> pages_from(const UserCode& code, PhysicalMemory& memory, VirtAddr va,
                                  std::size_t count);

/// Their bytes, with zeros for those that are not known. Error: std::invalid_argument if a page
/// that was read before can be read no more.
std::vector<std::byte> read_pages(PhysicalMemory& memory, std::span<const ImagePage> pages);

/// Whether so many bytes from an address on are all addresses. `size` is not 0.
bool fits(const Paging& paging, VirtAddr va, std::uint64_t size);

}  // namespace ptmap
