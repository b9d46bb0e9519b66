#include "space/kpti.h"

#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include "bind.h"
#include "memory.h"
#include "space/split.h"

namespace py = pybind11;
using namespace ptmap;

namespace {

std::optional<std::uint64_t> value_of(const std::optional<VirtAddr>& va) {
    return va ? std::optional(va->value) : std::nullopt;
}

}  // namespace

void bind_kpti(py::module_& m) {
    m.def(
        "kpti_roots",
        [](const Paging& paging, std::uint64_t root,
           const py::object& given) -> std::optional<std::pair<std::uint64_t, std::uint64_t>> {
            MemoryArgument memory(given);
            const auto roots = kpti_roots(paging, {root}, *memory);
            if (!roots) return std::nullopt;
            return std::pair(roots->kernel.value, roots->user.value);
        },
        py::arg("paging"), py::arg("root"), py::arg("memory"));
    m.def(
        "split_of",
        [](const Paging& paging, const Map& map) { return value_of(split_of(paging, map)); },
        py::arg("paging"), py::arg("map"));
    m.def(
        "supervisor_part",
        [](const Paging& paging, const Map& map) { return value_of(supervisor_part(paging, map)); },
        py::arg("paging"), py::arg("map"));

    py::class_<KptiShare>(m, "KptiShare",
                          "What of the supervisor's part two roots share, in bytes.")
        .def_readonly("kernel", &KptiShare::kernel)
        .def_readonly("kernel_frames", &KptiShare::kernel_frames)
        .def_readonly("user", &KptiShare::user)
        .def_readonly("user_frames", &KptiShare::user_frames);
    m.def("kpti_share", &kpti_share, py::arg("kernel"), py::arg("user"),
          py::arg("pulse") = Pulse{});
}
