// DT_HASH and DT_GNU_HASH, by which an image's symbols are found by name.
//
// Here they serve to check that a symbol's name is right.
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
    /// Nothing if it is incomplete or invalid.
    static std::optional<SysvHash> read(const File& file, std::uint64_t offset);

    /// Of symbols in the image.
    std::uint64_t symbols() const { return bucket_of_.size(); }
    std::uint64_t bytes() const { return 4 * (2 + buckets_ + symbols()); }

    /// Whether this name finds this symbol, or another of its bucket.
    bool finds(std::uint64_t symbol, std::string_view name) const;

private:
    std::uint32_t buckets_ = 0;
    std::vector<std::uint32_t> bucket_of_;  // by symbol: the bucket whose chain it is on
};

/// DT_GNU_HASH (as ld.so's do_lookup_x reads it): for each symbol 31 bits of its name's hash, the
/// remainder that gives its bucket, and two bits in a Bloom filter.
class GnuHash {
public:
    static std::optional<GnuHash> read(const File& file, std::uint64_t offset);

    /// At least so many: up to the last symbol in the table.
    std::uint64_t symbols() const { return first_symbol_ + chains_.size(); }
    std::uint64_t bytes() const { return bytes_; }

    /// Whether this name finds this symbol.
    bool finds(std::uint64_t symbol, std::string_view name) const;

private:
    bool take_chains(const File& file, std::uint64_t offset);
    bool passes_bloom(std::uint32_t hash) const;

    unsigned bloom_bits_ = 0;  // of one word of the filter
    std::uint32_t bloom_words_ = 0, bloom_shift_ = 0;
    std::uint64_t first_symbol_ = 0, bytes_ = 0;
    std::span<const std::uint32_t> bloom_, buckets_;  // of the File
    std::span<const std::uint32_t> chains_;           // one a symbol; bit 0 ends a chain
    std::vector<std::uint32_t> begin_;                // by symbol: the symbol that begins its chain
};

/// The hash tables of an image, which may have none.
class HashTables {
public:
    HashTables(const File& file, const Dynamic& dynamic, Problems& problems);

    const std::optional<SysvHash>& sysv() const { return sysv_; }
    const std::optional<GnuHash>& gnu() const { return gnu_; }

    /// The number of symbols in the image; 0 if no table tells.
    std::uint64_t symbols() const;

    /// Whether each table finds this symbol by this name; false without a table.
    bool find(std::uint64_t symbol, std::string_view name) const;

private:
    std::optional<SysvHash> sysv_;
    std::optional<GnuHash> gnu_;
};

}  // namespace ptmap::elf
