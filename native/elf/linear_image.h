// ELF images in linear memory: the kernel's own vDSOs, whose pages it maps into processes.
//
// Linux's arch/x86/entry/vdso/vdso2c makes each a page-aligned array in the kernel's data. In a
// hostile guest those bytes may be anything.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "elf/image.h"
#include "paging/linear_memory.h"
#include "paging/pulse.h"

namespace ptmap::elf {

/// An image of which all pages could be read.
struct LinearImage {
    VirtAddr va;         ///< of its first byte, a multiple of a page
    std::uint64_t size;  ///< whole pages, in bytes
    Image image;
};

/// The image that begins at an address; nothing if there is none, or if a part is missing. `size`
/// is in bytes; without it the first page tells the size.
std::optional<LinearImage> image_at(LinearMemory& memory, VirtAddr va,
                                    std::optional<std::uint64_t> size = std::nullopt);

/// The image that the page at an address belongs to. It begins in that page or at most 63 pages
/// below.
std::optional<LinearImage> image_around(LinearMemory& memory, VirtAddr va);

/// The images in these parts of a space, 64 at most, found by an ELF header at a page's beginning.
/// Each page costs one short read. The pulse is by pages. Exceptions: those of the memory and of
/// the pulse.
std::vector<LinearImage> images_in(LinearMemory& memory, std::span<const LinearMemory::Known> parts,
                                   const Pulse& pulse = {});

}  // namespace ptmap::elf
