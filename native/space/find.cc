#include "space/find.h"

#include "arch/formats.h"
#include "paging/traversal.h"
#include "space/flatten.h"

namespace ptmap {

Map find(const Tables& tables, const FindOptions& options) {
    Map map{mode_of(tables.paging().format()), tables.root(), tables.count()};
    MapOptions exact;
    exact.split_physical = true;
    exact.types = options.types;
    exact.max_ranges = options.max_ranges;
    exact.pulse = options.pulse;
    RangeSink sink(tables.paging(), exact, map);
    flatten(tables, exact, tables.window(), sink, map, options.frames);
    map.truncated |= tables.cut();
    return map;
}

std::vector<Range> find(const Map& map, const PhysInterval& frames) {
    std::vector<Range> found;
    for (const Range& r : map.ranges) {
        if (!r.contiguous || !frames.overlaps(r.frames())) continue;
        const Interval cut = intersection(frames, r.frames()).from(r.pa);
        Range& part = found.emplace_back(r);
        part.va.value += cut.first;
        part.pa.value += cut.first;
        part.size = cut.size();
    }
    return found;
}

}  // namespace ptmap
