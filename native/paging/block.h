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

/// At least so many bytes, of no certain content. One that is freed is kept for the next that asks,
/// up to 32 MiB of all of them: a command's tables are as many as those of the command before, and
/// to get pages from the system takes as long as to read tables into them. For any thread.
/// Exceptions: std::bad_alloc.
Block make_block(std::size_t bytes);

}  // namespace ptmap
