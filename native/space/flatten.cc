#include "space/flatten.h"

#include <string>
#include <utility>

#include "arch/access.h"
#include "arch/x86_paging.h"
#include "paging/traversal.h"

namespace ptmap {
namespace {

// One run of pages, `first` bytes behind the beginning of a table or of entries. Empty if its size
// is 0.
struct Place {
    std::uint64_t first = 0, size = 0;
    Run run;
    PageCounts pages;  // that hold a byte of it, if some frames are meant
};

// Takes a table whole if it is one run or nothing under the rights of its path.
class Flattener {
public:
    using Value = Place;
    static constexpr bool by_rights = true;
    static constexpr Parts parts = Parts::of_tables;

    Flattener(const Tables& tables, const MapOptions& options,
              const std::optional<PhysInterval>& frames, RangeSink& sink, Map& map)
        : tables_(tables), options_(options), frames_(frames), sink_(sink), map_(map) {
        for (unsigned r = 0; r < shown_.size(); ++r)
            shown_[r] = shown_as(tables.paging(), options, static_cast<Rights>(r));
        for (const PagingLevel& level : tables.paging().levels())
            page_size_.push_back(level.level->page.empty() ? PageSizes{}
                                                           : PageSizes::only(level.level->shift));
    }

    // Not for the root: the two halves of a canonical space are never one range.
    bool asks(const Node& node, const Interval& part) const {
        return node.level > 0 && is_whole(tables_.level(node), part);
    }
    bool is_nothing(const Place& place) const { return place.size == 0; }
    bool settles(const Place& place, std::uint64_t size) const {
        return is_nothing(place) || place.size == size || frames_;
    }
    std::optional<Place> value_of_unreadable() const { return {}; }

    bool add(Place& sum, const Entries& entries) const {
        if (entries.kind != Kind::page) return entries.kind == Kind::not_present;
        const std::uint64_t at = entries.part().first;
        return each_piece(entries, entries.part(),
                          [&](const Place& piece) { return add(sum, piece, at); });
    }

    bool add(Place& sum, const Place& next, std::uint64_t at) const {
        if (is_nothing(next)) return true;
        if (is_nothing(sum)) {
            sum = next;
            sum.first += at;
            return true;
        }
        if (sum.first + sum.size != at + next.first || !alike(options_, sum.run, next.run))
            return false;
        sum.run.contiguous = follows(sum.run, sum.size, next.run);
        if (!sum.run.contiguous && options_.split_physical) return false;
        sum.run.page_sizes |= next.run.page_sizes;
        sum.size += next.size;
        sum.pages += next.pages;
        return true;
    }

    void take(std::uint64_t base, const Place& place) {
        if (is_nothing(place)) return;
        if (frames_) map_.pages += place.pages;
        sink_.emit(base + place.first, place.size, place.run);
    }

    void take(std::uint64_t base, const Entries& entries, const Interval& part) {
        if (entries.kind == Kind::malformed)
            gap(map_.malformed, base, entries.node, part,
                reserved_bits(tables_.paging(), entries.level, entries.raw), false);
        if (entries.kind != Kind::page) return;
        each_piece(entries, part, [&](const Place& piece) {
            take(base + entries.part().first, piece);
            return !done();
        });
    }

    void unreadable(std::uint64_t base, const Node& node, const Interval& part) {
        gap(map_.unreadable, base, node, part, tables_.why(node), tables_.interrupted(node));
    }

    bool done() const { return sink_.full(); }

    // Most pages are outside of the frames.
    unsigned skip(const Node& node, const PagingLevel& level, unsigned i, unsigned end) const {
        if (!frames_) return i;
        const std::uint64_t size = level.entry_span();
        for (; i < end; ++i) {
            const std::uint64_t raw = tables_.entry(node, i);
            const Kind kind = level.kind(raw);
            if (kind == Kind::not_present) continue;
            if (kind != Kind::page ||
                frames_->overlaps(PhysInterval::of_size(level.page.target(raw), size)))
                break;
        }
        return i;
    }

    bool wants(const PagingLevel& level, const Frames& frames) const {
        const PhysInterval& begin_in = frames.begin_in;
        return !frames_ || frames_->overlaps(
                               {begin_in.first, {begin_in.last.value + (level.entry_span() - 1)}});
    }

private:
    // Cuts pages with equal attributes where a range ends because of their frames, and to `part`
    // (offsets inside the table). Pieces count from the first page's first byte. Stops and returns
    // false if each(piece) does.
    template <typename Each>
    bool each_piece(const Entries& pages, const Interval& part, Each each) const {
        const EntryRules& rules = pages.level.page;
        const unsigned first = next_in_frames(pages, pages.first);
        if (first == pages.end) return true;
        const std::uint64_t span = pages.level.entry_span(), begin = pages.part().first;
        Place piece;
        piece.run.attributes = shown_[static_cast<unsigned>(pages.rights())];
        piece.run.attributes.global = pages.raw & rules.global;
        piece.run.attributes.type = options_.types[rules.cache_slot(pages.raw)];
        piece.run.page_sizes = page_size_[pages.node.level];
        for (unsigned i = first; i < pages.end;) {
            const PhysAddr frame = frame_of(pages, i);
            const bool are_in_order = pages.frames.are_in_order || i + 1 == pages.end;
            const unsigned follow =
                are_in_order ? pages.end : tables_.contiguous_end(pages.node, i, pages.end);
            const unsigned after = options_.split_physical ? follow : pages.end;
            Interval cut = intersection(part, {i * span, after * span - 1});
            if (frames_) {
                const auto size = (after - i) * span;
                const Interval in_frames =
                    intersection(*frames_, PhysInterval::of_size(frame, size)).from(frame);
                cut = intersection(cut, {i * span + in_frames.first, i * span + in_frames.last});
                piece.pages[pages.level.level->shift] = cut.last / span - cut.first / span + 1;
            }
            if (!cut.empty()) {
                piece.first = cut.first - begin;
                piece.size = cut.size();
                piece.run.pa = {frame.value + (cut.first - i * span)};
                piece.run.contiguous = follow == after;
                if (!each(piece)) return false;
            }
            i = next_in_frames(pages, after);
        }
        return true;
    }

    // The next page from `i` on that is in the frames, or the end.
    unsigned next_in_frames(const Entries& pages, unsigned i) const {
        if (!frames_) return i;
        const std::uint64_t size = pages.level.entry_span();
        while (i < pages.end && !frames_->overlaps(PhysInterval::of_size(frame_of(pages, i), size)))
            ++i;
        return i;
    }

    PhysAddr frame_of(const Entries& pages, unsigned i) const {
        return pages.level.page.target(i == pages.first ? pages.raw : tables_.entry(pages.node, i));
    }

    void gap(std::vector<Gap>& gaps, std::uint64_t base, const Node& node, const Interval& part,
             std::string why, bool interrupted) {
        const std::uint64_t offset = base + part.first;
        sink_.gap(gaps, offset,
                  {tables_.paging().address_of(offset), part.size(), node.table,
                   tables_.level(node).level->number, std::move(why), interrupted});
    }

    const Tables& tables_;
    const MapOptions& options_;
    const std::optional<PhysInterval>& frames_;
    RangeSink& sink_;
    Map& map_;
    std::array<Attributes, 8> shown_;   // by Rights
    std::vector<PageSizes> page_size_;  // by level
};

}  // namespace

Attributes shown_as(const Paging& paging, const MapOptions& options, Rights path) {
    if (!options.as) return {path};
    const auto may = [&](Access access) {
        return decide(path, registers_of(paging), options.ac, access, *options.as) ==
               Reason::allowed;
    };
    Rights rights = path & Rights::user;
    if (may(Access::write)) rights = rights | Rights::write;
    if (may(Access::fetch)) rights = rights | Rights::exec;
    return {rights, may(Access::read)};
}

void flatten(const Tables& tables, const MapOptions& options, const Interval& window,
             RangeSink& sink, Map& map, const std::optional<PhysInterval>& frames) {
    Flattener flattener(tables, options, frames, sink, map);
    Traversal(tables, flattener, sink.tick()).run(window);
    sink.close();
}

}  // namespace ptmap
