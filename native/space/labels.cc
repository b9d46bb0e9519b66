#include "space/labels.h"

#include <algorithm>

namespace ptmap {

std::span<const Label> labels_in(std::span<const Label> labels, VirtInterval interval) {
    const auto first = [](const Label& label) -> const VirtAddr& { return label.interval.first; };
    const auto last = [](const Label& label) -> const VirtAddr& { return label.interval.last; };
    const auto begin = std::ranges::lower_bound(labels, interval.first, {}, last);
    const auto end = std::ranges::upper_bound(labels, interval.last, {}, first);
    return begin < end ? std::span(begin, end) : std::span<const Label>{};
}

bool cover(std::span<const Label> labels, VirtInterval interval) {
    std::uint64_t covered = 0;
    for (const Label& label : labels_in(labels, interval))
        covered += intersection(label.interval, interval).size();
    return covered == interval.size();
}

}  // namespace ptmap
