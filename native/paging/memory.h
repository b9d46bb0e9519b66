// Where the core gets physical memory from.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "paging/address.h"

namespace ptmap {

/// One read: `to.size()` bytes at `address`. Each is answered by itself: `ok` and all bytes, or the
/// reason why not ("not RAM"), and whether that is only that Ctrl-C came before it.
struct Fetch {
    PhysAddr address;
    std::span<std::byte> to;
    bool ok = false;
    std::string why;
    bool interrupted = false;
};

/// A machine's physical memory. Many reads come at once, so that a source can group them; one that
/// fails does not affect the others. An exception means that the source itself is gone; it crosses
/// the core unchanged.
class PhysicalMemory {
public:
    virtual ~PhysicalMemory() = default;
    virtual void fetch(std::span<Fetch> reads) = 0;
};

}  // namespace ptmap
