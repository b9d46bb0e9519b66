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

/// Another PhysicalMemory, read through a store of its answers: reasons are kept like bytes. Only
/// for as long as that memory stands still, then forget().
class ReadOnce : public PhysicalMemory {
public:
    explicit ReadOnce(PhysicalMemory& source) : source_(source) {}

    /// A read is answered from the store where an earlier one from the same address, from the
    /// beginning of its page or of its 32 bytes (PAE's root) holds it whole.
    void fetch(std::span<Fetch> reads) override;

    void forget() {
        answers_.clear();
        kept_.clear();
    }
    /// Only what could not be read: it may be worth another try.
    void forget_failures();

    /// What came from the source so far, in bytes, and the time that it took.
    std::uint64_t bytes() const { return bytes_; }
    std::chrono::duration<double> time() const { return time_; }

private:
    struct Answer {
        bool ok;
        std::span<const std::byte> bytes;  // in kept_
        std::string why;
    };

    bool answer(Fetch& read) const;
    void ask(std::span<Fetch> reads);

    PhysicalMemory& source_;
    Disposed<std::unordered_map<std::uint64_t, Answer>, 1 << 10> answers_;  // by address
    // A piece for each time that the source was asked: one is up to 16 MiB.
    Disposed<std::vector<Block>, 8> kept_;
    std::uint64_t bytes_ = 0;
    std::chrono::duration<double> time_{};
};

}  // namespace ptmap
