// Names of stretches of a space, given from outside: the core knows no operating system.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "paging/interval.h"

namespace ptmap {

/// A name for some linear addresses. Labels come sorted and do not overlap.
struct Label {
    VirtInterval interval;
    std::string name;    ///< printable ASCII
    std::string source;  ///< how it is known: one word
    bool apart = true;   ///< an overview never joins it with other labels
};

/// The labels that touch an interval, a subspan.
std::span<const Label> labels_in(std::span<const Label> labels, VirtInterval interval);

/// Whether the labels cover every byte of it.
bool cover(std::span<const Label> labels, VirtInterval interval);

}  // namespace ptmap
