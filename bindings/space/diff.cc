#include "space/diff.h"

#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include "arch/formats.h"
#include "bind.h"
#include "interval.h"
#include "lists.h"
#include "page_sizes.h"
#include "rights.h"
#include "space/sharing.h"
#include "text/diff_text.h"
#include "text/render.h"

namespace py = pybind11;
using namespace ptmap;

namespace {

// Differences for Python, with counts of all of them.
struct Differences {
    std::vector<Difference> all;
};

Differences make_diff(const Map& before, const Map& after, bool split_physical,
                      const Pulse& pulse) {
    if (before.mode != after.mode) throw py::value_error("maps of different modes");
    if (!is_exact(before, pulse) || !is_exact(after, pulse))
        throw py::value_error("a map that is not exact");
    return {diff(before, after, {split_physical, pulse})};
}

std::optional<Side> side_of(const Difference& d, bool before) {
    const bool has = d.what == What::changed || d.what == (before ? What::gone : What::added);
    return has ? std::optional(before ? d.before : d.after) : std::nullopt;
}

// {"added": (stretches, bytes), ...}
template <std::size_t size>
py::dict dict_of(const std::array<DiffCounts::Count, size>& counts,
                 const std::array<std::string_view, size>& names) {
    py::dict all;
    for (std::size_t i = 0; i < size; ++i)
        all[py::str(std::string(names[i]))] = py::make_tuple(counts[i].stretches, counts[i].bytes);
    return all;
}

Sharing make_share(const Tables& before, const Tables& after, const std::vector<Interval>& parts,
                   std::size_t max_steps, const Pulse& pulse) {
    if (mode_of(before.paging().format()) != mode_of(after.paging().format()))
        throw py::value_error("spaces of different modes");
    return share(before, after, parts, max_steps, pulse);
}

void bind_side(py::module_& m) {
    py::class_<Side> side(m, "DiffSide", "Pages of one size with equal attributes.");
    def_rights(side, [](const Side& s) { return s.attributes.rights; });
    side.def_property_readonly(
            "pa",
            [](const Side& s) { return s.contiguous ? std::optional(s.pa.value) : std::nullopt; },
            "Of the first byte, None if the frames are not contiguous.")
        .def_property_readonly("global_", [](const Side& s) { return s.attributes.global; })
        .def_property_readonly("cache",
                               [](const Side& s) { return ptmap::name(s.attributes.type); })
        .def_property_readonly(
            "rights", [](const Side& s) { return rights_text(s.attributes); }, "As \"ur-xg\".")
        .def_property_readonly(
            "page_sizes", [](const Side& one) { return bits_of(one.page_sizes); },
            "Bits: 1 4K, 2 2M, 4 4M, 8 1G.");
}

void bind_difference(py::module_& m) {
    py::class_<Difference>(
        m, "Difference",
        "A maximal stretch with one kind of difference, and equal attributes on either side.")
        .def_property_readonly("va", [](const Difference& d) { return d.va.value; })
        .def_readonly("size", &Difference::size, "Bytes.")
        .def_property_readonly(
            "what", [](const Difference& d) { return what_names[static_cast<unsigned>(d.what)]; },
            "added, gone, changed or unknown.")
        .def_property_readonly(
            "changed",
            [](const Difference& d) {
                std::vector<std::string_view> names;
                for (std::size_t i = 0; i < change_names.size(); ++i)
                    if (d.changed >> i & 1) names.push_back(change_names[i]);
                return names;
            },
            "Of what is changed: rights, frame, page_size, global, cache.")
        .def_property_readonly("unknown_before", [](const Difference& d) { return d.unknown & 1; })
        .def_property_readonly("unknown_after",
                               [](const Difference& d) { return d.unknown >> 1 & 1; })
        .def_property_readonly("before", [](const Difference& d) { return side_of(d, true); })
        .def_property_readonly("after", [](const Difference& d) { return side_of(d, false); });
}

TextPieces text_of(const Differences& d, unsigned digits, const std::vector<Label>& before,
                   const std::vector<Label>& after, const Pulse& pulse, bool roles) {
    return pieces(
        [&](const Sink& sink) {
            put_diff_text(sink, d.all, digits, {before, after}, pulse);
        },
        roles);
}

TextPieces json_of(const Differences& d, const std::vector<Label>& before,
                   const std::vector<Label>& after, const Pulse& pulse) {
    return pieces([&](const Sink& sink) { put_diff_json(sink, d.all, {before, after}, pulse); });
}

void bind_differences(py::module_& m) {
    py::class_<Differences>(m, "Differences", "By rising address.")
        .def("__len__", [](const Differences& d) { return d.all.size(); })
        .def("__getitem__",
             [](const Differences& d, std::size_t index) {
                 if (index >= d.all.size()) throw py::index_error();
                 return d.all[index];
             })
        .def(
            "counts",
            [](const Differences& d, const Pulse& pulse) {
                const DiffCounts counts = count(d.all, pulse);
                return py::make_tuple(dict_of(counts.what, what_names),
                                      dict_of(counts.changed, change_names));
            },
            py::arg("pulse") = Pulse{},
            "({\"added\": (stretches, bytes), ...}, {\"rights\": ..., ...}), the second of what is "
            "changed.")
        .def("text", &text_of, py::arg("digits"), py::arg("before") = std::vector<Label>{},
             py::arg("after") = std::vector<Label>{}, py::arg("pulse") = Pulse{},
             py::arg("roles") = false, "With the labels of either side, in pieces.")
        .def("json", &json_of, py::arg("before") = std::vector<Label>{},
             py::arg("after") = std::vector<Label>{}, py::arg("pulse") = Pulse{},
             "The elements of a list, in pieces.");

    m.def("diff", &make_diff, py::arg("before"), py::arg("after"),
          py::arg("split_physical") = false, py::arg("pulse") = Pulse{},
          "The Differences of two exact maps. Error: ValueError for others, or of two modes.");
}

void bind_sharing(py::module_& m) {
    py::class_<PartShare>(m, "PartShare", "The root's entries for a part of two spaces.")
        .def_readonly("before", &PartShare::before, "Present ones.")
        .def_readonly("after", &PartShare::after)
        .def_readonly("either", &PartShare::either, "Indices at which one of the two is present.")
        .def_readonly("shared", &PartShare::shared, "The same table or page, the same rights.")
        .def_readonly("other_rights", &PartShare::other_rights, "The same with other rights.");

    bind_list<VirtInterval>(m, "Intervals");

    py::class_<Sharing>(m, "Sharing", "What two spaces have physically in common.")
        .def_readonly("parts", &Sharing::parts)
        .def_readonly("levels", &Sharing::levels, "Distinct tables in common, root first.")
        .def_readonly("tables", &Sharing::tables)
        .def_property_readonly("below", list_in(&Sharing::below),
                               "What the same tables translate below different ones of the root's.")
        .def_readonly("cut", &Sharing::cut, "Whether `below` is not all of it.");

    m.def("share", &make_share, py::arg("before"), py::arg("after"), py::arg("parts"),
          py::arg("max_steps") = std::numeric_limits<std::size_t>::max(),
          py::arg("pulse") = Pulse{},
          "Which tables two spaces have in common. `parts`: (first, last) offsets.");
}

}  // namespace

void bind_diff(py::module_& m) {
    bind_side(m);
    bind_difference(m);
    bind_differences(m);
    bind_sharing(m);
}
