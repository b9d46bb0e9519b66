#include "space/labels.h"

#include <algorithm>

namespace ptmap {

std::span<const Label> labels_in(std::span<const Label> labels, VirtAddr va, std::uint64_t size) {
    const VirtAddr last{va.value + (size - 1)};
    const auto begin = std::ranges::lower_bound(labels, va, {}, &Label::last);
    const auto end = std::ranges::upper_bound(labels, last, {}, &Label::first);
    return begin < end ? std::span(begin, end) : std::span<const Label>{};
}

bool cover(std::span<const Label> labels, VirtAddr va, std::uint64_t size) {
    const VirtAddr last{va.value + (size - 1)};
    std::uint64_t covered = 0;
    for (const Label& label : labels_in(labels, va, size))
        covered += std::min(label.last, last).value - std::max(label.first, va).value + 1;
    return covered == size;
}

}  // namespace ptmap
