// Names of stretches of a space, given from outside: the core knows no operating system.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "paging/address.h"

namespace ptmap {

/// A name for the linear addresses first .. last. Labels come sorted and do not overlap.
struct Label {
    VirtAddr first, last;
    std::string name;    ///< printable ASCII
    std::string source;  ///< how it is known: one word
    bool apart = true;   ///< an overview joins it with no other label
};

/// Those of `labels` that touch size bytes from va on, a subspan.
std::span<const Label> labels_in(std::span<const Label> labels, VirtAddr va, std::uint64_t size);

/// Whether they leave no byte of it out.
bool cover(std::span<const Label> labels, VirtAddr va, std::uint64_t size);

}  // namespace ptmap
