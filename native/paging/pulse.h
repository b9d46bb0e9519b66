// Progress of long work.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <vector>

namespace ptmap {

/// Called every few milliseconds of work with the number of things done. An exception from it ends
/// the work.
using Pulse = std::function<void(std::size_t done)>;

/// Counts work, with or without results, and calls a Pulse (if there is one) every 65536 units. A
/// unit is a look at an entry or a comparison: some nanoseconds.
class Ticker {
public:
    static constexpr std::size_t period = 65536;

    explicit Ticker(const Pulse& pulse) : pulse_(pulse) {}

    /// One more thing is done, after `work` units.
    void operator()(std::size_t work = 16) {
        ++done_;
        looked(work);
    }
    /// `work` units are done.
    void looked(std::size_t work = 1) {
        worked_ += work;
        if (worked_ < period) return;
        worked_ = 0;
        if (pulse_) pulse_(done_);
    }

private:
    const Pulse& pulse_;
    std::size_t done_ = 0, worked_ = 0;
};

/// Adds to a list that may grow to `limit`. It reserves room at once: copying millions of elements
/// takes too long, and unused room costs nothing.
template <typename Element>
void add_to(std::vector<Element>& list, Element element, std::size_t limit = std::size_t{1} << 22) {
    constexpr std::size_t few = std::size_t{1} << 16;
    if (list.size() == list.capacity() && list.size() >= few)
        list.reserve(std::max(2 * list.size(), std::min(limit, std::size_t{1} << 24)));
    list.push_back(std::move(element));
}

/// std::ranges::sort() that counts as work.
template <typename List, typename Projection>
void sort(List& list, Projection projection, Ticker& tick) {
    std::ranges::sort(
        list,
        [&](const auto& a, const auto& b) {
            tick.looked();
            return a < b;
        },
        projection);
}

}  // namespace ptmap
