// Memory for many tables at once.
#pragma once

#include <cstddef>
#include <memory>

namespace ptmap {

/// Gives a block back.
struct FreeBlock {
    std::size_t bytes = 0;
    void operator()(std::byte* block) const;
};
using Block = std::unique_ptr<std::byte[], FreeBlock>;

/// At least `bytes` bytes, with any content. Freed blocks are kept for the next caller, up to 32
/// MiB together: a command reads about as many tables as the one before, and getting pages from the
/// system takes as long as reading tables into them. For any thread. Exceptions: std::bad_alloc.
Block make_block(std::size_t bytes);

}  // namespace ptmap
