#include "space/map.h"

#include "arch/formats.h"
#include "paging/counts.h"
#include "paging/traversal.h"
#include "space/flatten.h"

namespace ptmap {
namespace {

void flatten_into(Map& map, const Space& space, const MapOptions& options, const Interval& window) {
    RangeSink sink(space.paging(), options, map);
    flatten(space, options, window, sink, map);
}

}  // namespace

Map make_map(const Space& space, const MapOptions& options) {
    ++counts.flattenings;
    Map map{mode_of(space.paging().format()), space.root(), space.tables()};
    const Interval window = intersection(options.window, space.window());
    map.as = options.as;
    if (!window.empty()) {
        if (options.counted) count_pages(space, window, options, map);
        MapOptions merged = options;
        merged.split_physical = merged.split_sizes = false;
        // An unreadable root is one gap, on both sides of split_from.
        const bool has_both = window.first < options.split_from &&
                              options.split_from <= window.last && space.node(0).readable;
        if (has_both) {
            flatten_into(map, space, merged, {window.first, options.split_from - 1});
            if (!map.truncated)
                flatten_into(map, space, options, {options.split_from, window.last});
        } else {
            const bool is_below = window.last < options.split_from;
            flatten_into(map, space, is_below ? merged : options, window);
        }
    }
    map.truncated |= space.cut();
    return map;
}

}  // namespace ptmap
