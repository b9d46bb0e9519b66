// DT_HASH and DT_GNU_HASH: by which names an image's symbols are found.
//
// Here they are used the other way round, to tell whether a symbol is the one it says it is.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "elf/dynamic.h"

namespace ptmap::elf {

/// DT_HASH (System V ABI, "Hash Table"): for each symbol the remainder of its name's hash.
class SysvHash {
public:
    /// Nothing where it is not all there or makes no sense.
    static std::optional<SysvHash> read(const File& file, std::uint64_t offset);

    /// Of symbols in the image.
    std::uint64_t symbols() const { return bucket_of_.size(); }
    std::uint64_t bytes() const { return 4 * (2 + buckets_ + symbols()); }

    /// Whether it is this symbol that is found by this name, or one of the same bucket.
    bool finds(std::uint64_t symbol, std::string_view name) const;

private:
    std::uint32_t buckets_ = 0;
    std::vector<std::uint32_t> bucket_of_;  // of each symbol the one whose chain it is on
};

/// DT_GNU_HASH (as ld.so's do_lookup_x reads it): for each symbol 31 bits of its name's hash, the
/// remainder that gives its bucket, and two bits in a Bloom filter.
class GnuHash {
public:
    static std::optional<GnuHash> read(const File& file, std::uint64_t offset);

    /// As far as it tells: up to the last one in it.
    std::uint64_t symbols() const { return first_symbol_ + chains_.size(); }
    std::uint64_t bytes() const { return bytes_; }

    /// Whether it is this symbol that is found by this name.
    bool finds(std::uint64_t symbol, std::string_view name) const;

private:
    bool take_chains(const File& file, std::uint64_t offset);
    bool passes_bloom(std::uint32_t hash) const;

    unsigned bloom_bits_ = 0;  // of one word of the filter
    std::uint32_t bloom_words_ = 0, bloom_shift_ = 0;
    std::uint64_t first_symbol_ = 0, bytes_ = 0;
    std::span<const std::uint32_t> bloom_, buckets_;  // of the File
    std::span<const std::uint32_t> chains_;           // one a symbol; bit 0 ends a chain
    std::vector<std::uint32_t> begin_;  // of each symbol the one that its chain begins with
};

/// Those that an image has. The answers are empty or no where it has none.
class HashTables {
public:
    HashTables(const File& file, const Dynamic& dynamic, Problems& problems);

    const std::optional<SysvHash>& sysv() const { return sysv_; }
    const std::optional<GnuHash>& gnu() const { return gnu_; }

    /// Of symbols in the image; 0 where no table tells.
    std::uint64_t symbols() const;

    /// Whether each table finds this symbol by this name.
    bool find(std::uint64_t symbol, std::string_view name) const;

private:
    std::optional<SysvHash> sysv_;
    std::optional<GnuHash> gnu_;
};

}  // namespace ptmap::elf
