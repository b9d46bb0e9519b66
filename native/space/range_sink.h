// Builds the ranges of a map from pages by rising address. They come from a scan's tables
// (flatten.cc) or from an earlier map (view.cc).
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "paging/paging.h"
#include "paging/pulse.h"
#include "space/map.h"

namespace ptmap {

/// A run of pages with equal attributes, without its address.
struct Run {
    Attributes attributes;
    PhysAddr pa;
    bool contiguous = true;  ///< physically
    PageSizes page_sizes;
};

/// Whether the frames of `second` begin where those of `first`, `first_size` bytes, end.
inline bool follows(const Run& first, std::uint64_t first_size, const Run& second) {
    return first.contiguous && second.contiguous && first.pa.value + first_size == second.pa.value;
}

/// Whether two runs may be one range, frames not considered.
inline bool alike(const MapOptions& options, const Run& a, const Run& b) {
    return a.attributes == b.attributes && (!options.split_sizes || a.page_sizes == b.page_sizes);
}

/// Joins runs to the longest ranges that MapOptions allow, drops ranges that do not match a filter,
/// and ends the map at its limit. Runs and gaps must come by rising offset.
class RangeSink {
public:
    /// All three must outlive the sink.
    RangeSink(const Paging& paging, const MapOptions& options, Map& map)
        : paging_(paging), options_(options), map_(map), tick_(options.pulse) {}

    Ticker& tick() { return tick_; }
    /// Whether the limit was reached: whatever follows is ignored.
    bool full() const { return map_.truncated; }

    /// `size` bytes from `offset` on are mapped.
    void emit(std::uint64_t offset, std::uint64_t size, const Run& run) {
        const std::uint64_t upper = paging_.upper_part();
        // The two halves of a canonical space never join.
        if (size_ && offset_ + size_ == offset && alike(options_, run_, run) &&
            !(upper && offset == upper)) {
            const bool contiguous = follows(run_, size_, run);
            if (contiguous || !options_.split_physical) {
                run_.contiguous = contiguous;
                run_.page_sizes |= run.page_sizes;
                size_ += size;
                return;
            }
        }
        close();
        offset_ = offset, size_ = size;
        // One by one: a copy of the whole would wait for the smaller writes just before.
        run_.attributes.rights = run.attributes.rights;
        run_.attributes.read = run.attributes.read;
        run_.attributes.global = run.attributes.global;
        run_.attributes.type = run.attributes.type;
        run_.pa = run.pa;
        run_.contiguous = run.contiguous;
        run_.page_sizes = run.page_sizes;
    }

    /// `gap.size` bytes from `offset` on are not known. `gaps` is one of the map's lists.
    void gap(std::vector<Gap>& gaps, std::uint64_t offset, Gap gap) {
        if (room(offset)) add_to<Gap>(gaps, std::move(gap));
    }

    /// Ends the last range: nothing follows.
    void close() {
        tick_.looked(options_.wanted.size());
        if (size_ && room(offset_) && is_wanted())
            add_to<Range>(map_.ranges, {paging_.address_of(offset_), size_, run_.pa,
                                        run_.contiguous, run_.page_sizes, run_.attributes});
        size_ = 0;
    }

private:
    // Ranges and gaps count before the filter: else a filter that lets nothing through would make
    // the work endless.
    bool room(std::uint64_t offset) {
        tick_();
        if (made_++ < options_.max_ranges) return true;
        map_.truncated = true;
        const VirtAddr va = paging_.address_of(offset);
        map_.end = std::min(map_.end.value_or(va), va);  // a range may begin before a gap
        return false;
    }

    bool is_wanted() const {
        return options_.wanted.empty() ||
               std::ranges::any_of(options_.wanted, [&](const Wanted& w) {
                   return ptmap::is_wanted(w, run_.attributes, run_.page_sizes);
               });
    }

    const Paging& paging_;
    const MapOptions& options_;
    Map& map_;
    Ticker tick_;
    std::size_t made_ = 0;                 // ranges and gaps so far
    std::uint64_t offset_ = 0, size_ = 0;  // the range that is being built
    Run run_;
};

/// The attributes that show the rights of a path; with MapOptions::as what that mode may do now.
/// Global and type keep their defaults.
Attributes shown_as(const Paging& paging, const MapOptions& options, Rights path);

/// Counts the pages of each size in a window (Map::pages, ram_known, outside_ram).
void count_pages(const Tables& tables, const Interval& window, const MapOptions& options, Map& map);

}  // namespace ptmap
