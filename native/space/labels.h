// Names of stretches of a space, given from outside: the core knows no operating system.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "paging/interval.h"

namespace ptmap {

/// How a name is known.
enum class LabelSource : std::uint8_t { documented, deduced, read };

/// "documented", "deduced", "read".
std::string_view name(LabelSource source);
/// Nothing for another word.
std::optional<LabelSource> label_source_named(std::string_view word);

/// A name for some linear addresses. Labels come sorted and do not overlap.
struct Label {
    VirtInterval interval;
    std::string name;  ///< printable ASCII
    LabelSource source;
    bool apart = true;  ///< an overview never joins it with other labels
};

/// The labels that touch an interval, a subspan.
std::span<const Label> labels_in(std::span<const Label> labels, VirtInterval interval);

/// Whether the labels cover every byte of it.
bool cover(std::span<const Label> labels, VirtInterval interval);

}  // namespace ptmap
