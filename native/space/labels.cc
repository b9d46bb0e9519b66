#include "space/labels.h"

#include <algorithm>
#include <array>

namespace ptmap {
namespace {

constexpr std::array<std::string_view, 3> source_names{"documented", "deduced", "read"};

}  // namespace

std::string_view name(LabelSource source) { return source_names[static_cast<std::size_t>(source)]; }

std::optional<LabelSource> label_source_named(std::string_view word) {
    const auto at = std::ranges::find(source_names, word);
    if (at == source_names.end()) return std::nullopt;
    return static_cast<LabelSource>(at - source_names.begin());
}

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
