#include <algorithm>
#include <bit>
#include <set>
#include <unordered_set>

#include "arch/formats.h"
#include "arch/x86_paging.h"
#include "space/snapshot.h"
#include "space/snapshot_format.h"

namespace ptmap {
namespace {

using namespace snapshot;

constexpr std::uint64_t frames = std::uint64_t{1} << (52 - page_shift);  // in 52 bits of address

PageSizes sizes_of(const Format& format) {
    PageSizes sizes;
    for (const Level& level : format.levels)
        if (!level.page.empty()) sizes |= PageSizes::only(level.shift);
    return sizes;
}

// Of what zigzag() of the writer made.
std::uint64_t unzigzag(std::uint64_t number) {
    return number >> 1 ^ (number & 1 ? ~std::uint64_t{0} : 0);
}

[[noreturn]] void damaged(const std::string& what) {
    throw BadSnapshot("a damaged ptmap snapshot: " + what);
}

void require(bool holds, const char* otherwise) {
    if (!holds) damaged(otherwise);
}

class Reader {
public:
    Reader(std::span<const std::byte> bytes, const Pulse& pulse) : bytes_(bytes), tick_(pulse) {}

    void head() {
        const bool begins =
            bytes_.size() > magic.size() &&
            std::ranges::equal(magic, bytes_.first(magic.size()), {}, {},
                               [](std::byte b) { return std::to_integer<unsigned char>(b); });
        if (!begins) throw BadSnapshot("not a ptmap snapshot");
        at_ = magic.size();
        const std::uint64_t found = number();
        if (found > version)
            throw BadSnapshot("a ptmap snapshot of version " + std::to_string(found) +
                              ", newer than this ptmap, which reads version " +
                              std::to_string(version));
        require(found == version, "invalid version 0");
    }

    Snapshot run() {
        head();
        registers();
        flags();
        into_.words = texts();
        into_.assumed = texts();
        into_.map.tables = number();
        for (const unsigned shift : shift_of_index) into_.map.pages[shift] = number();
        ranges();
        require(into_.map.end || counted_ == into_.map.pages, "its count of pages is wrong");
        const std::vector<std::string> reasons = this->reasons();
        gaps(into_.map.unreadable, reasons);
        gaps(into_.map.malformed, reasons);
        require(used_ == reasons.size(), "a reason is not used");
        disjoint();
        labels();
        require(at_ == bytes_.size(), "there are bytes after its end");
        return std::move(into_);
    }

private:
    std::uint64_t number() {
        std::uint64_t value = 0;
        for (unsigned shift = 0;; shift += 7) {
            require(at_ < bytes_.size(), "it ends early");
            const auto byte = std::to_integer<std::uint64_t>(bytes_[at_++]);
            const std::uint64_t part = byte & 0x7f;
            require(shift < 63 || part <= 1, "a number is wider than 64 bits");
            value |= part << shift;
            if (byte & 0x80) {
                require(shift < 63, "a number is wider than 64 bits");
                continue;
            }
            require(part || shift == 0, "a number is longer than it must be");
            return value;
        }
    }

    // A list's length; an element has at least `least` bytes.
    std::size_t length(std::size_t least) {
        const std::uint64_t count = number();
        require(count <= (bytes_.size() - at_) / least, "a list is longer than the file");
        return count;
    }

    std::string text() {
        std::string words(length(1), ' ');
        tick_.looked(words.size() + 16);
        for (char& c : words) {
            c = std::to_integer<char>(bytes_[at_++]);
            require(is_printable(c), "a text has a character that is not printable");
        }
        return words;
    }

    std::vector<std::string> texts() {
        std::vector<std::string> list(length(1));
        for (std::string& words : list) words = text();
        return list;
    }

    std::vector<std::string> reasons() {
        std::vector<std::string> list = texts();
        std::set<std::string_view> seen;
        for (const std::string& why : list) {
            tick_.looked(256);
            require(seen.insert(why).second, "a reason is there twice");
        }
        return list;
    }

    void registers() {
        Map& map = into_.map;
        ControlRegisters& r = into_.registers;
        const std::uint64_t mode = number();
        require(mode >= 1 && mode <= 4, "invalid paging mode");
        map.mode = static_cast<Mode>(mode);
        map.root = {number()};
        r.cr0 = number(), r.cr3 = number(), r.cr4 = number(), r.efer = number();
        const std::uint64_t maxphyaddr = number();
        require(maxphyaddr >= 32 && maxphyaddr <= 52, "invalid MAXPHYADDR");
        r.maxphyaddr = static_cast<unsigned>(maxphyaddr);
        require(paging_mode(r) == map.mode, "its registers select another paging mode");
        paging_.emplace(r);
        require(paging_->root_of(map.root.value) == map.root, "invalid root");
    }

    void flags() {
        const std::uint64_t set = number();
        require((set & ~all_flags) == 0, "unknown flags");
        Map& map = into_.map;
        if (set & has_pat) into_.pat = number();
        map.truncated = set & is_truncated;
        if (set & has_end) map.end = VirtAddr{number()};
        require(!map.end || (map.truncated && map.end->value % (1u << page_shift) == 0 &&
                             paging_->translatable(*map.end)),
                "invalid end");
    }

    // `pages` pages of `size` bytes from `va` on, in one half of the space or in `both`.
    void require_place(std::uint64_t va, std::uint64_t pages, std::uint64_t size, bool both) const {
        require(va % size == 0 && paging_->translatable({va}), "invalid address");
        const std::uint64_t offset = paging_->offset_of({va}), upper = paging_->upper_part();
        const std::uint64_t last = offset < upper && !both ? upper - 1 : paging_->last_offset();
        require(pages && pages - 1 <= (last - offset) / size, "a size leads out of the space");
    }

    // `units` of 2^shift behind `va`, where something ended; 0 is also behind the last address.
    static std::uint64_t after(std::uint64_t va, bool first, std::uint64_t units, unsigned shift) {
        require(first || va, "there is more after the last address");
        require(units <= ~va >> shift, "invalid address");
        return va + (units << shift);
    }

    // An index that was used before, or the next new one; `used` counts.
    static std::size_t by_first_use(std::uint64_t index, std::size_t& used, std::size_t size) {
        require(index <= used && index < size, "an index is out of order");
        used += index == used;
        return index;
    }

    void ranges() {
        const std::vector<Range> sorts = this->sorts();
        std::vector<Range>& list = into_.map.ranges;
        const std::size_t count = length(2);
        list.reserve(count);
        std::uint64_t va = 0, pa = 0, before = 0;  // the index of a sort
        std::size_t used = 0;
        for (std::size_t i = 0; i < count; ++i) {
            tick_();
            const std::uint64_t head = number();
            require(!sorts.empty(), "an index is out of order");
            Range r = sorts[by_first_use(head >> 2, used, sorts.size())];
            const unsigned shift = r.page_sizes.smallest();
            const std::uint64_t size = std::uint64_t{1} << shift;
            const std::uint64_t apart = head & 2 ? number() : 0, more = head & 1 ? number() : 0;
            require((apart != 0) == ((head & 2) != 0) && (more != 0) == ((head & 1) != 0) && ~more,
                    "a number must not be 0");
            r.va = {after(va, i == 0, apart, page_shift)};
            require_place(r.va.value, more + 1, size, false);
            r.size = (more + 1) * size;
            const std::uint64_t frame = (pa >> page_shift) + unzigzag(number());
            require(frame < frames && frame % (size >> page_shift) == 0 &&
                        r.size >> page_shift <= frames - frame,
                    "invalid frame");
            r.pa = {frame << page_shift};
            require(!into_.map.end || r.va.value + (r.size - 1) < into_.map.end->value,
                    "a range lies behind its end");
            const bool goes_on = i && !apart && r.pa.value == pa && head >> 2 == before;
            require(!goes_on, "two ranges should be one");
            before = head >> 2;
            counted_[shift] += more + 1;
            list.push_back(r);
            va = r.va.value + r.size;
            pa = r.pa.value + r.size;
        }
        require(used == sorts.size(), "a sort of range is not used");
    }

    std::vector<Range> sorts() {
        const PageSizes sizes = sizes_of(format_of(into_.map.mode));
        std::vector<Range> list(length(1));
        std::unordered_set<std::uint64_t> seen;
        for (Range& r : list) {
            const std::uint64_t sort = number(), type = sort >> 4 & 0xf, size = sort >> 8;
            require(type <= static_cast<std::uint64_t>(MemoryType::invalid), "invalid memory type");
            require(size < shift_of_index.size() && sizes.has(shift_of_index[size]),
                    "its paging mode has no such page size");
            require(seen.insert(sort).second, "a sort of range is there twice");
            r.contiguous = true;
            r.page_sizes = PageSizes::only(shift_of_index[size]);
            r.attributes = {static_cast<Rights>(sort & 7), true, (sort >> 3 & 1) != 0,
                            static_cast<MemoryType>(type)};
        }
        return list;
    }

    void gaps(std::vector<Gap>& list, const std::vector<std::string>& reasons) {
        const std::size_t count = length(5);
        list.reserve(count);
        std::uint64_t va = 0;
        for (std::size_t i = 0; i < count; ++i) {
            tick_();
            Gap gap{};
            gap.va = {after(va, i == 0, number(), page_shift)};
            const std::uint64_t pages = number(), table = number(), level = number();
            // Only an unreadable root is one of both halves.
            const bool is_root = &list == &into_.map.unreadable &&
                                 level == paging_->levels().front().level->number &&
                                 table << 5 == into_.map.root.value;
            require_place(gap.va.value, pages, 1u << page_shift, is_root);
            gap.size = pages << page_shift;
            require(level && paging_->position(
                                 static_cast<unsigned>(std::min(level, std::uint64_t{9}))) >= 0,
                    "its paging mode has no such level");
            gap.level = static_cast<unsigned>(level);
            const unsigned alignment = into_.map.mode == Mode::pae && level == 3 ? 32 : 4096;
            require(table < frames << (page_shift - 5) && (table << 5) % alignment == 0,
                    "invalid table address");
            gap.table = {table << 5};
            gap.why = reasons.empty() ? "" : reasons[by_first_use(number(), used_, reasons.size())];
            require(!reasons.empty(), "an index is out of order");
            va = gap.va.value + gap.size;
            list.push_back(std::move(gap));
        }
    }

    // No address is in two ranges or gaps.
    void disjoint() {
        constexpr std::uint64_t none = ~std::uint64_t{0};
        const Map& map = into_.map;
        std::size_t range = 0, unreadable = 0, malformed = 0;  // the next of each list
        const auto first = [&](const auto& list, std::size_t at) {
            return at < list.size() ? paging_->offset_of(list[at].va) : none;
        };
        for (std::uint64_t end = 0;;) {
            tick_.looked(16);
            const std::uint64_t r = first(map.ranges, range);
            const std::uint64_t u = first(map.unreadable, unreadable);
            const std::uint64_t m = first(map.malformed, malformed), least = std::min({r, u, m});
            if (least == none) return;
            require(least >= end, "an address is there twice");
            end = least + (least == r   ? map.ranges[range++].size
                           : least == u ? map.unreadable[unreadable++].size
                                        : map.malformed[malformed++].size);
        }
    }

    void labels() {
        const std::size_t count = length(5);
        into_.labels.reserve(count);
        std::uint64_t va = 0;
        for (std::size_t i = 0; i < count; ++i) {
            Label label;
            VirtInterval& interval = label.interval;
            interval.first = {after(va, i == 0, number(), 0)};
            const std::uint64_t more = number(), apart = number();
            require(more <= ~interval.first.value && apart <= 1, "invalid label");
            interval.last = {interval.first.value + more};
            label.apart = apart != 0;
            label.name = text();
            const auto source = label_source_named(text());
            require(source.has_value(), "invalid label");
            label.source = *source;
            va = interval.last.value + 1;
            into_.labels.push_back(std::move(label));
        }
    }

    std::span<const std::byte> bytes_;
    std::size_t at_ = 0;
    Ticker tick_;
    Snapshot into_;
    std::optional<X86Paging> paging_;
    PageCounts counted_;    // pages in ranges
    std::size_t used_ = 0;  // reasons
};

}  // namespace

Snapshot read_snapshot(std::span<const std::byte> bytes, const Pulse& pulse) {
    return Reader(bytes, pulse).run();
}

void check_is_snapshot(std::span<const std::byte> bytes) { Reader(bytes, {}).head(); }

}  // namespace ptmap
