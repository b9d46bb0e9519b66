#include "space/map.h"

#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include "bind.h"
#include "interval.h"
#include "lists.h"
#include "page_sizes.h"
#include "rights.h"
#include "rows.h"
#include "space/condition.h"
#include "space/labels.h"
#include "space/query.h"
#include "space/view.h"
#include "text/render.h"

namespace py = pybind11;
using namespace ptmap;

namespace {

Privilege privilege_named(std::string_view word) {
    if (word == "kernel") return Privilege::kernel;
    if (word == "user") return Privilege::user;
    throw py::value_error("privilege: kernel or user");
}

LabelSource source_of(std::string_view word) {
    const auto source = label_source_named(word);
    if (!source) throw py::value_error("label: read, deduced or documented");
    return *source;
}

using Intervals = std::vector<PhysInterval>;

MapOptions map_options(std::uint64_t first, std::uint64_t last, bool split_physical,
                       bool split_sizes, std::optional<std::uint64_t> pat,
                       std::optional<std::string> as, bool ac, const Condition* wanted,
                       std::size_t max_ranges, const Intervals& ram, const Pulse& pulse,
                       bool counted) {
    MapOptions options;
    options.counted = counted;
    options.ram = ram;
    options.window = {first, last};
    options.split_physical = split_physical;
    options.split_sizes = split_sizes;
    options.types = memory_types(pat);
    if (as) options.as = privilege_named(*as);
    options.ac = ac;
    if (wanted) options.wanted = wanted->terms;
    options.max_ranges = max_ranges;
    options.pulse = pulse;
    return options;
}

Map map_of(const Tables& tables, std::uint64_t first, std::uint64_t last, bool split_physical,
           bool split_sizes, std::optional<std::uint64_t> pat, std::optional<std::string> as,
           bool ac, const Condition* wanted, std::size_t max_ranges, const Intervals& ram,
           const Pulse& pulse, std::uint64_t split_from, bool counted) {
    MapOptions options = map_options(first, last, split_physical, split_sizes, pat, std::move(as),
                                     ac, wanted, max_ranges, ram, pulse, counted);
    options.split_from = split_from;
    return make_map(tables, options);
}

Map view_of(const Tables& tables, const Map& exact, std::uint64_t first, std::uint64_t last,
            bool split_physical, bool split_sizes, std::optional<std::string> as, bool ac,
            const Condition* wanted, std::size_t max_ranges, const Intervals& ram,
            const Pulse& pulse, bool counted) {
    return view(tables, exact,
                map_options(first, last, split_physical, split_sizes, std::nullopt, std::move(as),
                            ac, wanted, max_ranges, ram, pulse, counted));
}

// Leaves by their size: {"4K": 12, ...}
py::dict pages_of(const Map& map) {
    py::dict pages;
    for (const unsigned shift : page_shifts)
        pages[py::str(std::string(page_size_name(shift)))] = map.pages[shift];
    return pages;
}

void bind_range(py::module_& m) {
    py::class_<Range> range(m, "Range", "A run of pages with equal attributes.");
    def_rights(range, [](const Range& r) { return r.attributes.rights; });
    range.def_property_readonly("va", [](const Range& r) { return r.va.value; })
        .def_readonly("size", &Range::size)
        .def_property_readonly(
            "end", [](const Range& r) { return py::int_(r.va.value) + py::int_(r.size); })
        .def_property_readonly(
            "pa",
            [](const Range& r) { return r.contiguous ? std::optional(r.pa.value) : std::nullopt; },
            "Of its first byte, None if the frames are not contiguous.")
        .def_property_readonly("global_", [](const Range& r) { return r.attributes.global; })
        .def_property_readonly("cache",
                               [](const Range& r) { return ptmap::name(r.attributes.type); })
        .def_property_readonly(
            "rights", [](const Range& r) { return rights_text(r.attributes); }, "As \"ur-xg\".")
        .def_property_readonly(
            "page_sizes", [](const Range& one) { return bits_of(one.page_sizes); },
            "Bits: 1 4K, 2 2M, 4 4M, 8 1G.")
        .def_property_readonly("flags", &row_flags, "As a row of Map.buffer() has them.")
        .def(
            "__eq__", [](const Range& a, const Range& b) { return a == b; }, py::is_operator())
        .def("__hash__",
             [](const Range& r) { return std::hash<std::uint64_t>()(r.va.value ^ r.size); })
        .def("__repr__", [](const Range& r) {
            std::string text = "<ptmap.Range ";
            put_hex(text, r.va.value);
            return text + ", " + size_text(r.size) + ", " + rights_text(r.attributes) + ">";
        });
}

void bind_label(py::module_& m) {
    py::class_<Label>(m, "Label")
        .def(py::init([](std::uint64_t first, std::uint64_t last, std::string name_,
                         std::string_view source, bool apart) {
                 return Label{{{first}, {last}}, std::move(name_), source_of(source), apart};
             }),
             py::arg("first"), py::arg("last"), py::arg("name"), py::arg("source"),
             py::arg("apart") = true)
        .def_readonly("name", &Label::name)
        .def_property_readonly("source", [](const Label& l) { return ptmap::name(l.source); });
}

void bind_gap(py::module_& m) {
    py::class_<Gap>(m, "Gap", "A part of the space that a map cannot speak of.")
        .def_property_readonly("va", [](const Gap& g) { return g.va.value; })
        .def_readonly("size", &Gap::size)
        .def_property_readonly("table", [](const Gap& g) { return g.table.value; })
        .def_readonly("level", &Gap::level, "Of that table: 1 is PT, 5 is PML5.")
        .def_readonly("why", &Gap::why, "\"not RAM\", \"reserved bit 52\".")
        .def_readonly("interrupted", &Gap::interrupted);

    bind_list<Gap>(m, "Gaps");
}

void def_values(py::class_<Map>& map_class) {
    map_class.def_property_readonly("mode", [](const Map& map) { return ptmap::name(map.mode); })
        .def_property_readonly("complete", &Map::complete)
        .def_readonly("truncated", &Map::truncated)
        .def_readonly("tables", &Map::tables)
        .def_readonly("outside_ram", &Map::outside_ram)
        .def_property_readonly("pages", &pages_of)
        .def_property_readonly("unreadable", list_in(&Map::unreadable))
        .def_property_readonly("malformed", list_in(&Map::malformed))
        .def("__len__", [](const Map& map) { return map.ranges.size(); })
        .def(
            "__iter__",
            [](const Map& map) {
                return py::make_iterator<py::return_value_policy::copy>(map.ranges.begin(),
                                                                        map.ranges.end());
            },
            py::keep_alive<0, 1>())
        .def(
            "__getitem__",
            [](const Map& map, std::size_t index) {
                if (index >= map.ranges.size()) throw py::index_error();
                return map.ranges[index];
            },
            "A range, by rising address.");
}

void def_queries(py::class_<Map>& map_class) {
    map_class
        .def(
            "at",
            [](const Map& map, std::uint64_t va) {
                const Range* range = range_at(map, {va});
                return range ? std::optional(*range) : std::nullopt;
            },
            "The range that holds an address, or None.")
        .def(
            "last_user_write",
            [](const Map& map, std::uint64_t first, std::uint64_t end) {
                const Range* range = last_user_write(map, {first}, {end});
                return range ? std::optional(*range) : std::nullopt;
            },
            py::arg("first"), py::arg("end"),
            "The last range that begins in [first, end) and that the user may write, or None.")
        .def(
            "user_write_around",
            [](const Map& map, std::uint64_t va, std::uint64_t hole) {
                return user_write_around(map, {va}, hole);
            },
            py::arg("va"), py::arg("hole"),
            "All that the user may write around an address, over holes of so many bytes: (first, "
            "last), or None.");
}

void def_texts(py::class_<Map>& map_class) {
    map_class
        .def(
            "json",
            [](const Map& map, const std::vector<Label>& labels, std::string_view more,
               const Pulse& pulse, std::string_view kind) {
                return pieces(
                    [&](const Sink& sink) { put_json(sink, map, labels, more, pulse, kind); });
            },
            py::arg("labels") = std::vector<Label>{}, py::arg("more") = "",
            py::arg("pulse") = Pulse{}, py::arg("kind") = "map", "In pieces.")
        .def(
            "ranges_text",
            [](const Map& map, const std::vector<Label>& labels, const Pulse& pulse, bool roles) {
                return pieces([&](const Sink& sink) { put_ranges_text(sink, map, labels, pulse); },
                              roles);
            },
            py::arg("labels") = std::vector<Label>{}, py::arg("pulse") = Pulse{},
            py::arg("roles") = false, "In pieces.");
}

}  // namespace

void bind_map(py::module_& m) {
    bind_label(m);
    bind_range(m);
    bind_gap(m);
    py::class_<Map> map_class(m, "Map");
    def_values(map_class);
    def_queries(map_class);
    def_texts(map_class);
    m.def("make_map", &map_of, py::arg("tables"), py::arg("first") = 0, py::arg("last") = no_limit,
          py::arg("split_physical") = false, py::arg("split_sizes") = false,
          py::arg("pat") = py::none(), py::arg("as_") = py::none(), py::arg("ac") = false,
          py::arg("wanted") = py::none(), py::arg("max_ranges") = no_limit,
          py::arg("ram") = Intervals{}, py::arg("pulse") = Pulse{}, py::arg("split_from") = 0,
          py::arg("counted") = true);
    m.def("view", &view_of, py::arg("tables"), py::arg("exact"), py::arg("first") = 0,
          py::arg("last") = no_limit, py::arg("split_physical") = false,
          py::arg("split_sizes") = false, py::arg("as_") = py::none(), py::arg("ac") = false,
          py::arg("wanted") = py::none(), py::arg("max_ranges") = no_limit,
          py::arg("ram") = Intervals{}, py::arg("pulse") = Pulse{}, py::arg("counted") = true);
}
