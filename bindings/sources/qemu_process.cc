#include "sources/qemu_process.h"

#include <pybind11/stl.h>

#include <tuple>

#include "bind.h"
#include "memory.h"
#include "sources/gone.h"
#include "sources/ram_file.h"

namespace py = pybind11;
using namespace ptmap;

namespace {

// (first, last, where the first byte is)
using Blocks = std::vector<std::tuple<std::uint64_t, std::uint64_t, std::uint64_t>>;

std::vector<RamBlock> blocks_of(const Blocks& blocks) {
    std::vector<RamBlock> ram;
    for (const auto& [first, last, at] : blocks) ram.push_back({{{first}, {last}}, at});
    return ram;
}

// A RamFile that owns what a Python callable needs.
class OwningRamFile : private MemoryArgument, public RamFile {
public:
    OwningRamFile(int file, const Blocks& ram, const py::object& rest)
        : MemoryArgument(rest),
          RamFile(file, blocks_of(ram), **static_cast<MemoryArgument*>(this)) {}
};

}  // namespace

void bind_qemu_process(py::module_& m) {
    py::register_exception<SourceGone>(m, "SourceGone");

    py::class_<QemuProcess, PhysicalMemory>(m, "QemuProcess")
        .def(py::init([](int pid, const Blocks& ram) {
                 return std::make_unique<QemuProcess>(pid, blocks_of(ram));
             }),
             py::arg("pid"), py::arg("ram"),
             "`ram`: (first, last, host address of the first byte) each, sorted.")
        .def_property_readonly("requests", &QemuProcess::requests, "System calls so far.");

    py::class_<OwningRamFile, PhysicalMemory>(m, "RamFile")
        .def(py::init<int, const Blocks&, const py::object&>(), py::arg("file"), py::arg("ram"),
             py::arg("rest"), py::keep_alive<1, 4>(),
             "`file`: a descriptor, copied. `ram`: (first, last, offset of the first byte) each, "
             "sorted; `rest` reads all else.")
        .def_property_readonly("requests", &OwningRamFile::requests,
                               "System calls so far, without the rest's.");
}
