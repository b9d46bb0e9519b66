// How often the core did its long work. A test checks that a command does it once.
#pragma once

#include <atomic>
#include <cstdint>

namespace ptmap {

/// Since the program began, by all threads.
struct Counts {
    std::atomic<std::uint64_t> scans = 0;        ///< calls of scan()
    std::atomic<std::uint64_t> flattenings = 0;  ///< calls of make_map()
};
inline Counts counts;

}  // namespace ptmap
