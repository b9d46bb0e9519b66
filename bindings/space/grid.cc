#include "space/grid.h"

#include <pybind11/functional.h>

#include "bind.h"

namespace py = pybind11;
using namespace ptmap;

void bind_grid(py::module_& m) {
    py::class_<Grid>(m, "Grid")
        .def_readonly("level", &Grid::level)
        .def_property_readonly("first", [](const Grid& g) { return g.first.value; })
        .def_readonly("cell_size", &Grid::cell_size)
        .def_readonly("cells", &Grid::cells)
        .def_readonly("mixed", &Grid::mixed);

    m.def(
        "draw_grid",
        [](const Tables& tables, unsigned position, std::uint64_t first, std::uint64_t last,
           const Pulse& pulse) {
            if (position >= tables.paging().levels().size()) throw py::value_error("no such level");
            return draw_grid(tables, position, {first, last}, pulse);
        },
        py::arg("tables"), py::arg("position"), py::arg("first") = 0, py::arg("last") = no_limit,
        py::arg("pulse") = Pulse{});
}
