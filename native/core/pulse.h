// A look up from long work.
#pragma once

#include <cstddef>
#include <functional>

namespace ptmap {

/// Called now and then with how many things are done. What it throws ends the work.
using Pulse = std::function<void(std::size_t done)>;

/// Counts, and calls a Pulse (if there is one) for every 65536.
class Ticker {
public:
    explicit Ticker(const Pulse& pulse) : pulse_(pulse) {}
    void operator()() {
        if (++done_ % 65536 == 0 && pulse_) pulse_(done_);
    }

private:
    const Pulse& pulse_;
    std::size_t done_ = 0;
};

}  // namespace ptmap
