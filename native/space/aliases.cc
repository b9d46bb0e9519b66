#include "space/aliases.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <set>
#include <unordered_map>

namespace ptmap {
namespace {

// Sweeps over the ranges of a map by physical address.
class Sweep {
public:
    explicit Sweep(const Map& map, const Pulse& pulse) : map_(map), tick_(pulse) {
        begins_.reserve(map.ranges.size());
        ends_.reserve(map.ranges.size());
        for (std::size_t i = 0; i < map.ranges.size(); ++i) {
            const Range& r = map.ranges[i];
            if (!r.contiguous) continue;
            const auto range = static_cast<std::uint32_t>(i);
            tick_.looked(16);
            begins_.push_back({r.pa.value, range, r.attributes.rights});
            ends_.push_back({r.pa.value + r.size, range, r.attributes.rights});
        }
        sort(begins_, &End::at, tick_);
        sort(ends_, &End::at, tick_);
    }

    // Calls `each(shared)` for every stretch with one of the conflicts, and `changed(range,
    // begins)` for every range that begins or ends before it.
    template <typename Each, typename Changed>
    void run(Conflict wanted, Each each, Changed changed) {
        std::size_t begin = 0, end = 0;
        // Where the next range begins or ends; at least one end is left.
        const auto next = [&] {
            return begin < begins_.size() ? std::min(begins_[begin].at, ends_[end].at)
                                          : ends_[end].at;
        };
        while (end < ends_.size()) {
            const std::uint64_t at = next();
            for (; end < ends_.size() && ends_[end].at == at; ++end) {
                tick_(in_a_set);
                active_[static_cast<unsigned>(ends_[end].rights)].erase(ends_[end].range);
                --count_;
                changed(ends_[end].range, false);
            }
            for (; begin < begins_.size() && begins_[begin].at == at; ++begin) {
                tick_(in_a_set);
                active_[static_cast<unsigned>(begins_[begin].rights)].insert(begins_[begin].range);
                ++count_;
                changed(begins_[begin].range, true);
            }
            if (!count_) continue;
            const Conflict conflict = now();
            if (!touches(conflict, wanted)) continue;
            list();
            each(Shared{{at}, next() - at, conflict, in_one(), count_, listed_});
        }
    }

private:
    static constexpr std::size_t of_each = 4;     // mappings listed for a combination of rights
    static constexpr std::size_t in_a_set = 256;  // work of a change to a large set

    // Where a range begins or ends, physically.
    struct End {
        std::uint64_t at;
        std::uint32_t range;  // index in the map
        Rights rights;
    };

    bool any(Rights set, Rights clear = Rights::none) const {
        for (unsigned r = 0; r < active_.size(); ++r)
            if (const Rights rights{static_cast<std::uint8_t>(r)};
                !active_[r].empty() && has(rights, set) && (rights & clear) == Rights::none)
                return true;
        return false;
    }
    bool in_one() const { return any(Rights::write | Rights::exec); }
    Conflict now() const {
        Conflict conflict = Conflict::none;
        if (any(Rights::write) && any(Rights::exec)) conflict = Conflict::write_exec;
        if (any(Rights::user) && any(Rights::none, Rights::user))
            conflict = conflict | Conflict::user_kernel;
        return conflict;
    }

    void list() {
        listed_.clear();
        for (const std::set<std::uint32_t>& of_rights : active_)
            for (auto i = of_rights.begin();
                 i != of_rights.end() &&
                 std::distance(of_rights.begin(), i) < std::ptrdiff_t{of_each};
                 ++i)
                listed_.push_back(*i);
        std::ranges::sort(listed_);  // ranges come by rising address
    }

    const Map& map_;
    Ticker tick_;
    Disposed<std::vector<End>> begins_, ends_;
    std::array<Disposed<std::set<std::uint32_t>>, 8>
        active_;             // by Rights: the ranges that map this place
    std::size_t count_ = 0;  // of all these ranges
    std::vector<std::uint32_t> listed_;
};

// Runs of neighbouring ranges with equal attributes, and the number of each range's run.
struct Runs {
    Disposed<std::vector<std::uint32_t>> of;
    Disposed<std::vector<VirtInterval>> runs;

    Runs(const Map& map, const Pulse& pulse) {
        Ticker tick(pulse);
        of.reserve(map.ranges.size());
        runs.reserve(map.ranges.size());
        for (std::size_t i = 0; i < map.ranges.size(); ++i) {
            tick();
            const Range& r = map.ranges[i];
            const bool goes_on =
                i && map.ranges[i - 1].va.value + map.ranges[i - 1].size == r.va.value &&
                map.ranges[i - 1].attributes == r.attributes;
            if (goes_on)
                runs.back().last = r.interval().last;
            else
                runs.push_back(r.interval());
            of.push_back(static_cast<std::uint32_t>(runs.size() - 1));
        }
    }
};

// A hash (splitmix64), so that a guest cannot choose runs whose sums collide.
std::uint64_t scattered(std::uint64_t n) {
    n += 0x9e3779b97f4a7c15;
    n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9;
    n = (n ^ n >> 27) * 0x94d049bb133111eb;
    return n ^ n >> 31;
}

// Identifies a multiset of runs by two sums.
struct Signature {
    std::uint64_t a = 0, b = 0;
    bool operator==(const Signature&) const = default;
    void add(std::uint64_t run) { a += scattered(run), b += scattered(~run); }
    void remove(std::uint64_t run) { a -= scattered(run), b -= scattered(~run); }
    struct Hash {
        std::size_t operator()(const Signature& s) const { return s.a ^ s.b >> 7; }
    };
};

}  // namespace

void each_shared(const Map& map, Conflict wanted, const std::function<void(const Shared&)>& each,
                 const Pulse& pulse) {
    Sweep(map, pulse).run(wanted, each, [](std::uint32_t, bool) {});
}

Aliases aliases(const Map& map, Conflict wanted, const Pulse& pulse, std::size_t max_groups) {
    Aliases all;
    const Runs runs(map, pulse);
    Signature here;
    Disposed<std::unordered_map<Signature, std::size_t, Signature::Hash>> group_of;
    const auto changed = [&](std::uint32_t range, bool begins) {
        begins ? here.add(runs.of[range]) : here.remove(runs.of[range]);
    };
    const auto alone = [&](const Shared& shared) {
        SharedGroup group{};
        group.conflict = shared.conflict;
        group.in_one = shared.in_one;
        group.pa = shared.pa;
        group.count = shared.count;
        for (const std::uint32_t i : shared.ranges)
            group.mappings.push_back(
                {address_in(map.ranges[i], shared.pa), i, runs.runs[runs.of[i]]});
        return group;
    };
    const auto add = [&](Aliases::Total& total, const Shared& shared) {
        if (!total.first) {
            total.first = alone(shared);
            total.first->bytes = shared.size;
            total.first->stretches = 1;
        }
        total.bytes += shared.size;
        ++total.stretches;
    };
    const auto each = [&](const Shared& shared) {
        if (touches(shared.conflict, Conflict::write_exec)) add(all.write_exec, shared);
        if (shared.in_one) add(all.in_one, shared);
        if (touches(shared.conflict, Conflict::user_kernel)) add(all.user_kernel, shared);
        auto known = group_of.find(here);
        if (known == group_of.end()) {
            if (all.groups.size() >= max_groups) {
                ++all.ungrouped;
                return;
            }
            known = group_of.emplace(here, all.groups.size()).first;
            all.groups.push_back(alone(shared));
        }
        SharedGroup& group = all.groups[known->second];
        group.bytes += shared.size;
        ++group.stretches;
    };
    Sweep(map, pulse).run(wanted, each, changed);
    return all;
}

std::vector<std::string_view> names(Conflict conflict) {
    std::vector<std::string_view> words;
    if (touches(conflict, Conflict::write_exec)) words.push_back("write+exec");
    if (touches(conflict, Conflict::user_kernel)) words.push_back("user+kernel");
    return words;
}

}  // namespace ptmap
