// Physical memory of which nothing is read twice.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "paging/block.h"
#include "paging/disposal.h"
#include "paging/memory.h"

namespace ptmap {

/// Another PhysicalMemory, read through a store of its answers; reasons are kept like bytes. Call
/// forget() when the memory may have changed.
class ReadOnce : public PhysicalMemory {
public:
    explicit ReadOnce(PhysicalMemory& source) : source_(source) {}

    /// The store answers a read that lies whole in an earlier one. The earlier one began at the
    /// same address, at the beginning of the page, or at the beginning of the 32 bytes (PAE's
    /// root).
    void fetch(std::span<Fetch> reads) override;

    void forget() {
        answers_.clear();
        kept_.clear();
    }
    /// Forgets only reads that failed, so that they are tried again.
    void forget_failures();

    /// What came from the source so far, in bytes, and the time that it took.
    std::uint64_t bytes() const { return bytes_; }
    std::chrono::duration<double> time() const { return time_; }

private:
    struct Answer {
        bool ok;
        std::span<const std::byte> bytes;  // in kept_
        std::string why;
        bool interrupted;
    };

    bool answer(Fetch& read) const;
    void ask(std::span<Fetch> reads);

    PhysicalMemory& source_;
    Disposed<std::unordered_map<std::uint64_t, Answer>, 1 << 10> answers_;  // by address
    // One block for each request to the source, of up to 16 MiB.
    Disposed<std::vector<Block>, 8> kept_;
    std::uint64_t bytes_ = 0;
    std::chrono::duration<double> time_{};
};

}  // namespace ptmap
