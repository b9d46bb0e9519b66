#include "query.h"

#include <pybind11/stl.h>

#include "core/query.h"

namespace py = pybind11;
using namespace ptmap;

void bind_query(py::module_& m) {
    m.def(
        "matches",
        [](const Map& map, std::uint64_t first, std::uint64_t last,
           const std::vector<Wanted>& wanted, bool others) {
            Matches found = matches(map, {{first}, {last}}, wanted, others);
            return py::make_tuple(found.first, found.count);
        },
        py::arg("map"), py::arg("first"), py::arg("last"), py::arg("wanted"),
        py::arg("others") = false,
        "(the first Range cut to the addresses first to last or None, how many there are) of those "
        "for which one of `wanted` holds; with `others`, of those for which none does.");
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
