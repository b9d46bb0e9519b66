#include "space/snapshot.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <map>
#include <set>
#include <unordered_set>

#include "arch/x86_paging.h"
#include "space/diff.h"

namespace ptmap {
namespace {

constexpr std::array<unsigned char, 8> magic{0x8f, 'p', 't', 'm', 'a', 'p', '\r', '\n'};
constexpr std::uint64_t version = 1;
constexpr unsigned page_shift = 12;
constexpr std::array<std::uint64_t, 4> page_bytes{1u << 12, 1u << 21, 1u << 22, 1u << 30};

constexpr std::uint64_t frames = std::uint64_t{1} << (52 - page_shift);  // that there can be

constexpr std::uint64_t has_pat = 1, is_truncated = 2, has_end = 4, all_flags = 7;

// The page sizes of a mode, as bits.
constexpr std::array<unsigned, 5> sizes_of_mode{0, 0b0101, 0b0011, 0b1011, 0b1011};

bool is_printable(char c) { return c >= ' ' && c <= '~'; }

// What tells ranges apart, in one number.
std::uint64_t sort_of(const Range& r) {
    return static_cast<std::uint64_t>(r.attributes.rights) | r.attributes.global << 3 |
           static_cast<std::uint64_t>(r.attributes.type) << 4 |
           static_cast<std::uint64_t>(std::countr_zero(r.page_sizes)) << 8;
}

// Numbers near 0 of either sign become small ones.
std::uint64_t zigzag(std::uint64_t difference) {
    return difference << 1 ^ (difference >> 63 ? ~std::uint64_t{0} : 0);
}
std::uint64_t unzigzag(std::uint64_t number) {
    return number >> 1 ^ (number & 1 ? ~std::uint64_t{0} : 0);
}

// Values by first use, each with its index.
template <typename Value>
class Dictionary {
public:
    std::uint64_t index(const Value& value) {
        const auto [found, fresh] = index_.try_emplace(value, values_.size());
        if (fresh) values_.push_back(value);
        return found->second;
    }
    const std::vector<Value>& values() const { return values_; }

private:
    std::map<Value, std::uint64_t> index_;
    std::vector<Value> values_;
};

class Writer {
public:
    Writer(const Map& map, const Snapshot& about, const Pulse& pulse)
        : map_(map), from_(about), tick_(pulse) {}

    std::string run() {
        const Map& map = map_;
        out_.append(reinterpret_cast<const char*>(magic.data()), magic.size());
        const ControlRegisters& r = from_.registers;
        for (const std::uint64_t value :
             {version, static_cast<std::uint64_t>(map.mode), map.root.value, r.cr0, r.cr3, r.cr4,
              r.efer, std::uint64_t{r.maxphyaddr}})
            number(value);
        number(from_.pat.has_value() * has_pat + map.truncated * is_truncated +
               map.end.has_value() * has_end);
        if (from_.pat) number(*from_.pat);
        if (map.end) number(map.end->value);
        texts(from_.words);
        texts(from_.assumed);
        number(map.tables);
        for (const std::uint64_t pages : map.pages) number(pages);
        ranges(map.ranges);
        Dictionary<std::string> reasons;
        for (const auto* gaps : {&map.unreadable, &map.malformed})
            for (const Gap& gap : *gaps) {
                tick_.looked(64);
                reasons.index(printable(gap.why));
            }
        texts(reasons.values());
        for (const auto* gaps : {&map.unreadable, &map.malformed}) put(*gaps, reasons);
        put(from_.labels);
        return std::move(out_);
    }

private:
    void number(std::uint64_t value) {
        for (; value >= 0x80; value >>= 7) out_ += static_cast<char>(value | 0x80);
        out_ += static_cast<char>(value);
    }

    static std::string printable(std::string text) {
        std::ranges::replace_if(
            text, [](char c) { return !is_printable(c); }, '?');
        return text;
    }

    void text(const std::string& words) {
        number(words.size());
        out_ += printable(words);
    }

    void texts(const std::vector<std::string>& list) {
        number(list.size());
        for (const std::string& words : list) text(words);
    }

    void ranges(const std::vector<Range>& list) {
        Dictionary<std::uint64_t> sorts;
        for (const Range& r : list) {
            tick_.looked(16);
            sorts.index(sort_of(r));
        }
        number(sorts.values().size());
        for (const std::uint64_t sort : sorts.values()) number(sort);
        number(list.size());
        std::uint64_t va = 0, pa = 0;
        for (const Range& r : list) {
            tick_();
            const std::uint64_t apart = (r.va.value - va) >> page_shift;
            const std::uint64_t pages = r.size / page_bytes[std::countr_zero(r.page_sizes) & 3];
            number(sorts.index(sort_of(r)) << 2 | (apart != 0) << 1 | (pages != 1));
            if (apart) number(apart);
            if (pages != 1) number(pages - 1);
            number(zigzag((r.pa.value >> page_shift) - (pa >> page_shift)));
            va = r.va.value + r.size;
            pa = r.pa.value + r.size;
        }
    }

    void put(const std::vector<Gap>& gaps, Dictionary<std::string>& reasons) {
        number(gaps.size());
        std::uint64_t va = 0;
        for (const Gap& gap : gaps) {
            tick_(64);
            for (const std::uint64_t value :
                 {(gap.va.value - va) >> page_shift, gap.size >> page_shift, gap.table.value >> 5,
                  std::uint64_t{gap.level}, reasons.index(printable(gap.why))})
                number(value);
            va = gap.va.value + gap.size;
        }
    }

    void put(const std::vector<Label>& labels) {
        number(labels.size());
        std::uint64_t va = 0;
        for (const Label& label : labels) {
            tick_(64);
            number(label.interval.first.value - va);
            number(label.interval.last.value - label.interval.first.value);
            number(label.apart);
            text(label.name);
            text(label.source);
            va = label.interval.last.value + 1;
        }
    }

    const Map& map_;
    const Snapshot& from_;
    Ticker tick_;
    std::string out_;
};

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
        if (!begins) throw BadSnapshot("no ptmap snapshot");
        at_ = magic.size();
        const std::uint64_t found = number();
        if (found > version)
            throw BadSnapshot("a ptmap snapshot of version " + std::to_string(found) +
                              ", newer than this ptmap, which reads version " +
                              std::to_string(version));
        require(found == version, "its version is 0");
    }

    Snapshot run() {
        head();
        registers();
        flags();
        into_.words = texts();
        into_.assumed = texts();
        into_.map.tables = number();
        for (std::uint64_t& pages : into_.map.pages) pages = number();
        ranges();
        require(into_.map.end || counted_ == into_.map.pages, "its pages are not those it counts");
        const std::vector<std::string> reasons = this->reasons();
        gaps(into_.map.unreadable, reasons);
        gaps(into_.map.malformed, reasons);
        require(used_ == reasons.size(), "a reason is not used");
        disjoint();
        labels();
        require(at_ == bytes_.size(), "there are bytes behind its end");
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

    // A list's length, where an element has so many bytes or more.
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
        require(mode >= 1 && mode <= 4, "its mode is none");
        map.mode = static_cast<Mode>(mode);
        map.root = {number()};
        r.cr0 = number(), r.cr3 = number(), r.cr4 = number(), r.efer = number();
        const std::uint64_t maxphyaddr = number();
        require(maxphyaddr >= 32 && maxphyaddr <= 52, "its MAXPHYADDR is none");
        r.maxphyaddr = static_cast<unsigned>(maxphyaddr);
        require(paging_mode(r) == map.mode, "its registers are of another mode");
        paging_.emplace(r);
        require(paging_->root_of(map.root.value) == map.root, "its root can be none");
    }

    void flags() {
        const std::uint64_t set = number();
        require((set & ~all_flags) == 0, "it has flags that there are not");
        Map& map = into_.map;
        if (set & has_pat) into_.pat = number();
        map.truncated = set & is_truncated;
        if (set & has_end) map.end = VirtAddr{number()};
        require(!map.end || (map.truncated && map.end->value % page_bytes[0] == 0 &&
                             paging_->translatable(*map.end)),
                "its end can be none");
    }

    // `pages` pages of `size` bytes from `va` on, in one half of the space or in `both`.
    void require_place(std::uint64_t va, std::uint64_t pages, std::uint64_t size, bool both) const {
        require(va % size == 0 && paging_->translatable({va}), "an address can be none");
        const std::uint64_t offset = paging_->offset_of({va}), upper = paging_->upper_part();
        const std::uint64_t last = offset < upper && !both ? upper - 1 : paging_->last_offset();
        require(pages && pages - 1 <= (last - offset) / size, "a size leads out of the space");
    }

    // `units` of 2^shift behind `va`, where something ended; 0 is also behind the last address.
    static std::uint64_t after(std::uint64_t va, bool first, std::uint64_t units, unsigned shift) {
        require(first || va, "there is more behind the last address");
        require(units <= ~va >> shift, "an address can be none");
        return va + (units << shift);
    }

    // An index that is new or was used; `used` counts.
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
            Range r = sorts.empty() ? Range{} : sorts[by_first_use(head >> 2, used, sorts.size())];
            require(!sorts.empty(), "an index is out of order");
            const unsigned size_index = std::countr_zero(r.page_sizes) & 3u;
            const std::uint64_t size = page_bytes[size_index];
            const std::uint64_t apart = head & 2 ? number() : 0, more = head & 1 ? number() : 0;
            require((apart != 0) == ((head & 2) != 0) && (more != 0) == ((head & 1) != 0) && ~more,
                    "a number is 0 that cannot be");
            r.va = {after(va, i == 0, apart, page_shift)};
            require_place(r.va.value, more + 1, size, false);
            r.size = (more + 1) * size;
            const std::uint64_t frame = (pa >> page_shift) + unzigzag(number());
            require(frame < frames && frame % (size >> page_shift) == 0 &&
                        r.size >> page_shift <= frames - frame,
                    "a frame can be none");
            r.pa = {frame << page_shift};
            require(!into_.map.end || r.va.value + (r.size - 1) < into_.map.end->value,
                    "a range lies behind its end");
            const bool goes_on = i && !apart && r.pa.value == pa && head >> 2 == before;
            require(!goes_on, "two ranges are one");
            before = head >> 2;
            counted_[size_index] += more + 1;
            list.push_back(r);
            va = r.va.value + r.size;
            pa = r.pa.value + r.size;
        }
        require(used == sorts.size(), "a sort of range is not used");
    }

    std::vector<Range> sorts() {
        std::vector<Range> list(length(1));
        std::unordered_set<std::uint64_t> seen;
        for (Range& r : list) {
            const std::uint64_t sort = number(), type = sort >> 4 & 0xf, size = sort >> 8;
            require(type <= static_cast<std::uint64_t>(MemoryType::invalid),
                    "a memory type is none");
            require(size < page_bytes.size() &&
                        sizes_of_mode[static_cast<std::size_t>(into_.map.mode)] >> size & 1,
                    "a page size is none of its mode");
            require(seen.insert(sort).second, "a sort of range is there twice");
            r.contiguous = true;
            r.page_sizes = static_cast<std::uint8_t>(1u << size);
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
            require_place(gap.va.value, pages, page_bytes[0], is_root);
            gap.size = pages << page_shift;
            require(level && paging_->position(
                                 static_cast<unsigned>(std::min(level, std::uint64_t{9}))) >= 0,
                    "a level is none of its mode");
            gap.level = static_cast<unsigned>(level);
            const unsigned alignment = into_.map.mode == Mode::pae && level == 3 ? 32 : 4096;
            require(table < frames << (page_shift - 5) && (table << 5) % alignment == 0,
                    "a table's address can be none");
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
            require(more <= ~interval.first.value && apart <= 1, "a label can be none");
            interval.last = {interval.first.value + more};
            label.apart = apart != 0;
            label.name = text();
            label.source = text();
            va = interval.last.value + 1;
            into_.labels.push_back(std::move(label));
        }
    }

    std::span<const std::byte> bytes_;
    std::size_t at_ = 0;
    Ticker tick_;
    Snapshot into_;
    std::optional<X86Paging> paging_;
    std::array<std::uint64_t, 4> counted_{};  // pages in ranges
    std::size_t used_ = 0;                    // reasons
};

}  // namespace

std::string write_snapshot(const Snapshot& snapshot, const Pulse& pulse) {
    return write_snapshot(snapshot.map, snapshot, pulse);
}

std::string write_snapshot(const Map& map, const Snapshot& about, const Pulse& pulse) {
    assert(is_exact(map) && !map.as);
    return Writer(map, about, pulse).run();
}

Snapshot read_snapshot(std::span<const std::byte> bytes, const Pulse& pulse) {
    return Reader(bytes, pulse).run();
}

void check_is_snapshot(std::span<const std::byte> bytes) { Reader(bytes, {}).head(); }

}  // namespace ptmap
