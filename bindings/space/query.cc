#include "space/query.h"

#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include "bind.h"
#include "space/condition.h"
#include "truth.h"

namespace py = pybind11;
using namespace ptmap;

void bind_query(py::module_& m) {
    m.def(
        "matches",
        [](const Map& map, std::uint64_t first, std::uint64_t last, const Condition* condition,
           std::optional<bool> truth, const Pulse& pulse) {
            const std::vector<Wanted> any{{}};
            Matches found = matches(map, {{first}, {last}}, condition ? condition->terms : any,
                                    truth_of(truth), pulse);
            return py::make_tuple(found.first, found.count);
        },
        py::arg("map"), py::arg("first"), py::arg("last"), py::arg("condition"), py::arg("truth"),
        py::arg("pulse") = Pulse{},
        "(the first Range cut to the addresses first to last or None, how many there are) of those "
        "of which `truth` is the condition's truth: True, False, or None for not known. A "
        "condition "
        "of None holds of all.");
    m.def(
        "first_hole",
        [](const Map& map, std::uint64_t first,
           std::uint64_t last) -> std::optional<std::uint64_t> {
            const auto va = first_hole(map, {{first}, {last}});
            return va ? std::optional(va->value) : std::nullopt;
        },
        py::arg("map"), py::arg("first"), py::arg("last"),
        "The first address from first to last where nothing is mapped for certain, or None.");
    m.def(
        "unknown",
        [](const Map& map, std::uint64_t first, std::uint64_t last) {
            const Unknown found = unknown(map, {{first}, {last}});
            return py::make_tuple(found.first, found.malformed, found.count, found.truncated);
        },
        py::arg("map"), py::arg("first"), py::arg("last"),
        "What the map cannot say about the addresses first to last: (the first Gap or None, "
        "whether "
        "that is a reserved bit, how many gaps, whether a limit cut the map there).");
}
