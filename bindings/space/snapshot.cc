#include "space/snapshot.h"

#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include "bind.h"
#include "space/diff.h"

namespace py = pybind11;
using namespace ptmap;

namespace {

// Bytes that Python holds; while this lives they cannot be resized.
struct Held {
    explicit Held(const py::buffer& data) : info(data.request()) {}

    std::span<const std::byte> bytes() const {
        return {static_cast<const std::byte*>(info.ptr),
                static_cast<std::size_t>(info.size * info.itemsize)};
    }

    py::buffer_info info;
};

py::bytes make_snapshot(const Map& map, std::uint64_t cr0, std::uint64_t cr3, std::uint64_t cr4,
                        std::uint64_t efer, unsigned maxphyaddr, std::optional<std::uint64_t> pat,
                        std::vector<std::string> words, std::vector<std::string> assumed,
                        std::vector<Label> labels, const Pulse& pulse) {
    if (!is_exact(map, pulse) || map.as) throw py::value_error("a map that is not exact");
    return write_snapshot(map,
                          {{},
                           {cr0, cr3, cr4, efer, maxphyaddr},
                           pat,
                           std::move(words),
                           std::move(assumed),
                           std::move(labels)},
                          pulse);
}

}  // namespace

void bind_snapshot(py::module_& m) {
    py::class_<Snapshot>(m, "Snapshot", "See native/space/snapshot.h.")
        .def_readonly("map", &Snapshot::map)
        .def_property_readonly("root", [](const Snapshot& s) { return s.map.root.value; })
        .def_property_readonly("cr0", [](const Snapshot& s) { return s.registers.cr0; })
        .def_property_readonly("cr3", [](const Snapshot& s) { return s.registers.cr3; })
        .def_property_readonly("cr4", [](const Snapshot& s) { return s.registers.cr4; })
        .def_property_readonly("efer", [](const Snapshot& s) { return s.registers.efer; })
        .def_property_readonly("maxphyaddr",
                               [](const Snapshot& s) { return s.registers.maxphyaddr; })
        .def_readonly("pat", &Snapshot::pat)
        .def_readonly("words", &Snapshot::words, "Which space it is.")
        .def_readonly("assumed", &Snapshot::assumed)
        .def_readonly("labels", &Snapshot::labels)
        .def(
            "bytes",
            [](const Snapshot& s, const Pulse& pulse) {
                return py::bytes(write_snapshot(s, pulse));
            },
            py::arg("pulse") = Pulse{}, "Those that it was read from.");

    m.def("write_snapshot", &make_snapshot, py::arg("map"), py::kw_only(), py::arg("cr0"),
          py::arg("cr3"), py::arg("cr4"), py::arg("efer"), py::arg("maxphyaddr"), py::arg("pat"),
          py::arg("words"), py::arg("assumed"), py::arg("labels"), py::arg("pulse") = Pulse{},
          "An exact map as bytes, without a checksum.");
    m.def(
        "read_snapshot",
        [](const py::buffer& data, const Pulse& pulse) {
            return read_snapshot(Held(data).bytes(), pulse);
        },
        py::arg("data"), py::arg("pulse") = Pulse{},
        "A Snapshot. Error: ValueError with one phrase for what is none or damaged.");
    m.def(
        "check_is_snapshot", [](const py::buffer& data) { check_is_snapshot(Held(data).bytes()); },
        py::arg("data"), "Error: ValueError if they are not a snapshot's bytes, or a newer one's.");
}
