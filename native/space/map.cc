#include "space/map.h"

#include "arch/formats.h"
#include "paging/counts.h"
#include "paging/traversal.h"
#include "space/flatten.h"

namespace ptmap {
namespace {

void flatten_into(Map& map, const Tables& tables, const MapOptions& options,
                  const Interval& window) {
    RangeSink sink(tables.paging(), options, map);
    flatten(tables, options, window, sink, map);
}

}  // namespace

Map make_map(const Tables& tables, const MapOptions& options) {
    ++counts.flattenings;
    Map map{mode_of(tables.paging().format()), tables.root(), tables.count()};
    const Interval window = intersection(options.window, tables.window());
    map.as = options.as;
    if (!window.empty()) {
        if (options.counted) count_pages(tables, window, options, map);
        MapOptions merged = options;
        merged.split_physical = merged.split_sizes = false;
        // An unreadable root is one gap, on both sides of split_from.
        const bool has_both = window.first < options.split_from &&
                              options.split_from <= window.last && tables.node(0).readable;
        if (has_both) {
            flatten_into(map, tables, merged, {window.first, options.split_from - 1});
            if (!map.truncated)
                flatten_into(map, tables, options, {options.split_from, window.last});
        } else {
            const bool is_below = window.last < options.split_from;
            flatten_into(map, tables, is_below ? merged : options, window);
        }
    }
    map.truncated |= tables.cut();
    return map;
}

}  // namespace ptmap
