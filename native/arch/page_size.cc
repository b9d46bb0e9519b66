#include "arch/page_size.h"

#include <cassert>

namespace ptmap {

unsigned page_size_index(std::uint64_t bytes) {
    switch (bytes) {
        case std::uint64_t{1} << 12: return 0;
        case std::uint64_t{1} << 21: return 1;
        case std::uint64_t{1} << 22: return 2;
        default: assert(bytes == std::uint64_t{1} << 30); return 3;
    }
}

}  // namespace ptmap
