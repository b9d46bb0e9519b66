#include "space/find.h"

#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include "bind.h"
#include "interval.h"
#include "lists.h"
#include "space/aliases.h"
#include "text/aliases_text.h"
#include "text/render.h"

namespace py = pybind11;
using namespace ptmap;

namespace {

Conflict conflicts_named(const std::vector<std::string>& words) {
    Conflict all = Conflict::none;
    for (const std::string& word : words) {
        Conflict named = Conflict::none;
        for (const Conflict one : {Conflict::write_exec, Conflict::user_kernel})
            if (names(one).front() == word) named = one;
        if (named == Conflict::none) throw py::value_error("conflicts: write+exec, user+kernel");
        all = all | named;
    }
    return all;
}

py::tuple as_tuple(const Aliases::Total& total) {
    return py::make_tuple(total.bytes, total.stretches);
}

void bind_groups(py::module_& m) {
    py::class_<SharedGroup::Mapping>(m, "AliasMapping")
        .def_property_readonly("va", [](const SharedGroup::Mapping& a) { return a.va.value; })
        .def_readonly("range", &SharedGroup::Mapping::range, "Index in the map.")
        .def_readonly("run", &SharedGroup::Mapping::run,
                      "(first, last) of the neighbouring ranges with equal attributes.");

    py::class_<SharedGroup>(m, "AliasGroup")
        .def_property_readonly("conflicts", [](const SharedGroup& g) { return names(g.conflict); })
        .def_readonly("in_one", &SharedGroup::in_one)
        .def_property_readonly("pa", [](const SharedGroup& g) { return g.pa.value; })
        .def_readonly("bytes", &SharedGroup::bytes)
        .def_readonly("stretches", &SharedGroup::stretches)
        .def_readonly("count", &SharedGroup::count)
        .def_readonly("mappings", &SharedGroup::mappings);

    py::class_<Aliases>(m, "Aliases")
        .def_property_readonly(
            "groups", [](const Aliases& a) -> const std::vector<SharedGroup>& { return a.groups; })
        .def_readonly("ungrouped", &Aliases::ungrouped,
                      "Stretches that are in no group, as there were too many.")
        .def_property_readonly("write_exec",
                               [](const Aliases& a) { return as_tuple(a.write_exec); })
        .def_property_readonly("in_one", [](const Aliases& a) { return as_tuple(a.in_one); })
        .def_property_readonly("user_kernel",
                               [](const Aliases& a) { return as_tuple(a.user_kernel); })
        .def_property_readonly(
            "first_write_exec", [](const Aliases& a) { return a.write_exec.first; },
            "The first of these stretches alone or None, however many groups there are.")
        .def_property_readonly("first_user_kernel",
                               [](const Aliases& a) { return a.user_kernel.first; });
}

void bind_aliases(py::module_& m) {
    const std::vector<std::string> both{"write+exec", "user+kernel"};

    m.def(
        "aliases",
        [](const Map& map, const std::vector<std::string>& wanted, const Pulse& pulse) {
            return aliases(map, conflicts_named(wanted), pulse);
        },
        py::arg("map"), py::arg("wanted") = both, py::arg("pulse") = Pulse{},
        "The frames of a map, made with split_physical, that are mapped in conflicting ways: as "
        "groups of alike stretches, with totals as (bytes, stretches); see "
        "native/space/aliases.h.");
    m.def(
        "aliases_json",
        [](const Map& map, const std::vector<std::string>& wanted, const std::vector<Label>& labels,
           const Pulse& pulse) {
            const Conflict conflicts = conflicts_named(wanted);
            return pieces(
                [&](const Sink& sink) { put_aliases_json(sink, map, conflicts, labels, pulse); });
        },
        py::arg("map"), py::arg("wanted") = both, py::arg("labels") = std::vector<Label>{},
        py::arg("pulse") = Pulse{}, "The stretches, as the elements of a JSON list, in pieces.");
}

}  // namespace

void bind_find(py::module_& m) {
    m.def(
        "find",
        [](const Tables& tables, std::uint64_t first, std::uint64_t last,
           std::optional<std::uint64_t> pat, std::size_t max_ranges, const Pulse& pulse) {
            return find(tables, {{{first}, {last}}, memory_types(pat), max_ranges, pulse});
        },
        py::arg("tables"), py::arg("first"), py::arg("last"), py::arg("pat") = py::none(),
        py::arg("max_ranges") = std::numeric_limits<std::uint64_t>::max(),
        py::arg("pulse") = Pulse{},
        "A Map of the bytes of a Space that lie in the physical bytes FIRST to LAST, and of "
        "nothing "
        "else; see native/space/find.h.");
    m.def(
        "find",
        [](const Map& map, std::uint64_t first, std::uint64_t last) {
            return find(map, PhysInterval{{first}, {last}});
        },
        py::arg("map"), py::arg("first"), py::arg("last"),
        "[Range, ...] by rising address: what of a map, made with split_physical, lies in the "
        "physical bytes FIRST to LAST, each cut to them.");

    bind_groups(m);
    bind_aliases(m);
}
