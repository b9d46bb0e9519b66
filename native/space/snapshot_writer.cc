#include <algorithm>
#include <bit>
#include <cassert>
#include <map>

#include "space/diff.h"
#include "space/snapshot.h"
#include "space/snapshot_format.h"

namespace ptmap {
namespace {

using namespace snapshot;

std::uint64_t page_size_index(PageSizes size) {
    const auto* const found = std::ranges::find(shift_of_index, size.smallest());
    return static_cast<std::uint64_t>(found - shift_of_index.begin());
}

// The attributes and page sizes of a range in one number.
std::uint64_t sort_of(const Range& r) {
    return static_cast<std::uint64_t>(r.attributes.rights) | r.attributes.global << 3 |
           static_cast<std::uint64_t>(r.attributes.type) << 4 | page_size_index(r.page_sizes) << 8;
}

// Numbers near 0 of either sign become small ones.
std::uint64_t zigzag(std::uint64_t difference) {
    return difference << 1 ^ (difference >> 63 ? ~std::uint64_t{0} : 0);
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
        for (const unsigned shift : shift_of_index) number(map.pages[shift]);
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

    static std::string printable(std::string_view words) {
        std::string text(words);
        std::ranges::replace_if(
            text, [](char c) { return !is_printable(c); }, '?');
        return text;
    }

    void text(std::string_view words) {
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
            const std::uint64_t pages = r.size >> r.page_sizes.smallest();
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
            text(name(label.source));
            va = label.interval.last.value + 1;
        }
    }

    const Map& map_;
    const Snapshot& from_;
    Ticker tick_;
    std::string out_;
};

}  // namespace

std::string write_snapshot(const Snapshot& snapshot, const Pulse& pulse) {
    return write_snapshot(snapshot.map, snapshot, pulse);
}

std::string write_snapshot(const Map& map, const Snapshot& about, const Pulse& pulse) {
    assert(is_exact(map) && !map.as);
    return Writer(map, about, pulse).run();
}

}  // namespace ptmap
