#include "paging/block.h"

#include <algorithm>
#include <array>
#include <mutex>
#include <utility>

namespace ptmap {
namespace {

constexpr std::size_t unit = std::size_t{1} << 16;  // smaller blocks are not worth keeping
constexpr std::size_t most = std::size_t{32} << 20;

#if defined(__SANITIZE_ADDRESS__)
constexpr bool keeps = false;  // the sanitizer must notice a use after free
#else
constexpr bool keeps = true;
#endif

struct Kept {
    std::byte* block = nullptr;
    std::size_t bytes = 0;
};

// The blocks that are kept. The pool is never freed: a thread may outlive main().
struct Pool {
    std::mutex mutex;
    std::array<Kept, 16> kept;
    std::size_t bytes = 0;
};
Pool& pool() {
    static Pool& only = *new Pool;
    return only;
}

}  // namespace

void FreeBlock::operator()(std::byte* block) const {
    if (keeps && bytes >= unit) {
        const std::lock_guard lock(pool().mutex);
        const auto free = std::ranges::find(pool().kept, nullptr, &Kept::block);
        if (free != pool().kept.end() && pool().bytes + bytes <= most) {
            *free = {block, bytes};
            pool().bytes += bytes;
            return;
        }
    }
    delete[] block;
}

Block make_block(std::size_t bytes) {
    const std::size_t whole = bytes < unit ? bytes : (bytes + unit - 1) / unit * unit;
    if (keeps && whole >= unit) {
        const std::lock_guard lock(pool().mutex);
        Kept* best = nullptr;
        for (Kept& one : pool().kept)
            if (one.block && one.bytes >= whole && one.bytes / 2 <= whole &&
                (!best || one.bytes < best->bytes))
                best = &one;
        if (best) {
            pool().bytes -= best->bytes;
            const Kept found = std::exchange(*best, {});
            return Block(found.block, FreeBlock{found.bytes});
        }
    }
    return Block(new std::byte[whole], FreeBlock{whole});
}

}  // namespace ptmap
