#include "elf/hash_tables.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <string>

namespace ptmap::elf {
namespace {

constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();

}  // namespace

std::optional<SysvHash> SysvHash::read(const File& file, std::uint64_t offset) {
    const auto head = file.integers<std::uint32_t>(offset, 2);
    if (head.empty() || head[0] == 0 || head[1] == 0) return std::nullopt;
    const std::uint64_t count = std::uint64_t{head[0]} + head[1];
    const auto words = file.integers<std::uint32_t>(offset + 8, count);
    if (words.empty()) return std::nullopt;
    const auto buckets = words.first(head[0]), chains = words.subspan(head[0]);
    SysvHash table;
    table.buckets_ = head[0];
    table.bucket_of_.assign(chains.size(), none);
    for (std::uint32_t bucket = 0; bucket < buckets.size(); ++bucket) {
        // A symbol that was seen before is on two chains, or the chain is a loop.
        for (std::uint32_t i = buckets[bucket]; i != STN_UNDEF; i = chains[i]) {
            if (i >= chains.size() || table.bucket_of_[i] != none) break;
            table.bucket_of_[i] = bucket;
        }
    }
    return table;
}

bool SysvHash::finds(std::uint64_t symbol, std::string_view name) const {
    return symbol < bucket_of_.size() &&
           bucket_of_[symbol] == elf_hash(std::string(name).c_str()) % buckets_;
}

std::optional<GnuHash> GnuHash::read(const File& file, std::uint64_t offset) {
    const auto head = file.integers<std::uint32_t>(offset, 4);
    if (head.empty()) return std::nullopt;
    GnuHash table;
    table.bloom_bits_ = file.abi() == Abi::bits64 ? 64 : 32;
    table.first_symbol_ = head[1];
    table.bloom_words_ = head[2];
    table.bloom_shift_ = head[3];
    if (head[0] == 0 || head[1] == 0 || !std::has_single_bit(head[2]) || head[3] >= 32)
        return std::nullopt;
    // In 32-bit words; a 64-bit word has its lower half first.
    const std::uint64_t bloom = std::uint64_t{head[2]} * (table.bloom_bits_ / 32);
    table.bloom_ = file.integers<std::uint32_t>(offset + 16, bloom);
    table.buckets_ = file.integers<std::uint32_t>(offset + 16 + 4 * bloom, head[0]);
    if (table.bloom_.empty() || table.buckets_.empty()) return std::nullopt;
    const std::uint64_t words = 4 + bloom + head[0];
    if (!table.take_chains(file, offset + 4 * words)) return std::nullopt;
    table.bytes_ = 4 * (words + table.chains_.size());
    return table;
}

// The table has no count: the end of the last chain tells it.
bool GnuHash::take_chains(const File& file, std::uint64_t offset) {
    const std::uint32_t last = std::ranges::max(buckets_);
    if (last == 0) return true;
    const auto lost = [&](std::uint32_t first) { return first != 0 && first < first_symbol_; };
    if (std::ranges::any_of(buckets_, lost) || offset > file.given()) return false;
    const auto words = file.integers<std::uint32_t>(offset, (file.given() - offset) / 4);
    std::uint64_t i = last - first_symbol_;
    while (i < words.size() && !(words[i] & 1)) ++i;
    if (i >= words.size()) return false;
    chains_ = words.first(i + 1);
    std::uint32_t begin = 0;
    for (std::uint32_t k = 0; k < chains_.size(); ++k) {
        begin_.push_back(begin);
        if (chains_[k] & 1) begin = k + 1;
    }
    return true;
}

bool GnuHash::passes_bloom(std::uint32_t hash) const {
    const std::uint32_t word = hash / bloom_bits_ & (bloom_words_ - 1);
    const auto is_set = [&](std::uint32_t bit) {
        return bloom_[word * (bloom_bits_ / 32) + bit / 32] >> bit % 32 & 1;
    };
    return is_set(hash % bloom_bits_) && is_set((hash >> bloom_shift_) % bloom_bits_);
}

bool GnuHash::finds(std::uint64_t symbol, std::string_view name) const {
    if (symbol < first_symbol_ || symbol >= symbols()) return false;
    const std::uint64_t i = symbol - first_symbol_;
    const auto hash = static_cast<std::uint32_t>(elf_gnu_hash(std::string(name).c_str()));
    return (chains_[i] | 1) == (hash | 1) &&
           buckets_[hash % buckets_.size()] == first_symbol_ + begin_[i] && passes_bloom(hash);
}

HashTables::HashTables(const File& file, const Dynamic& dynamic, Problems& problems) {
    if (const auto offset = dynamic.offset(DT_HASH)) sysv_ = SysvHash::read(file, *offset);
    if (const auto offset = dynamic.offset(DT_GNU_HASH)) gnu_ = GnuHash::read(file, *offset);
    if (dynamic.has(DT_HASH) != sysv_.has_value() || dynamic.has(DT_GNU_HASH) != gnu_.has_value() ||
        (!sysv_ && !gnu_))
        problems.add("a hash table is damaged or missing");
}

std::uint64_t HashTables::symbols() const {
    return sysv_ ? sysv_->symbols() : gnu_ ? gnu_->symbols() : 0;
}

bool HashTables::find(std::uint64_t symbol, std::string_view name) const {
    return (sysv_ || gnu_) && (!sysv_ || sysv_->finds(symbol, name)) &&
           (!gnu_ || gnu_->finds(symbol, name));
}

}  // namespace ptmap::elf
