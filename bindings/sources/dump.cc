#include "sources/dump.h"

#include <pybind11/stl.h>

#include "bind.h"
#include "interval.h"
#include "machine/dump_spaces.h"
#include "sources/flat_file.h"
#include "sources/interrupt.h"

namespace py = pybind11;
using namespace ptmap;

namespace {

// (base, limit, selector, flags)
py::tuple segment(const SegmentRegister& s) {
    return py::make_tuple(s.base, s.limit, s.selector, s.flags);
}

std::vector<FilePiece> pieces_of(
    const std::vector<std::tuple<std::uint64_t, std::uint64_t, std::uint64_t>>& given) {
    std::vector<FilePiece> pieces;
    for (const auto& [address, size, offset] : given) pieces.push_back({address, size, offset});
    return pieces;
}

std::unique_ptr<Dump> open_from_python(const std::string& path) {
    try {
        return open_dump(path);
    } catch (const Interrupted&) {
        PyErr_SetNone(PyExc_KeyboardInterrupt);
        throw py::error_already_set();
    }
}

void bind_cpu_registers(py::module_& m) {
    py::class_<CpuRegisters>(m, "CpuRegisters", "Of a CPU, from a dump's notes.")
        .def_readonly("cr0", &CpuRegisters::cr0)
        .def_readonly("cr2", &CpuRegisters::cr2)
        .def_readonly("cr3", &CpuRegisters::cr3)
        .def_readonly("cr4", &CpuRegisters::cr4)
        .def_readonly("rflags", &CpuRegisters::rflags)
        .def_readonly("rsp", &CpuRegisters::rsp)
        .def_property_readonly("cs", [](const CpuRegisters& r) { return r.cs.selector; })
        .def_property_readonly("gdtr", [](const CpuRegisters& r) { return segment(r.gdtr); })
        .def_property_readonly("idtr", [](const CpuRegisters& r) { return segment(r.idtr); })
        .def_property_readonly("ldtr", [](const CpuRegisters& r) { return segment(r.ldtr); })
        .def_property_readonly("tr", [](const CpuRegisters& r) { return segment(r.tr); })
        .def_property_readonly(
            "efer",
            [](const CpuRegisters& r) {
                const AssumedEfer efer = assumed_efer(r);
                return std::pair(efer.value, efer.assumed);
            },
            "(EFER as it has to be or None, what is assumed).");
}

}  // namespace

void bind_dump(py::module_& m) {
    py::register_exception<FileError>(m, "FileError");
    bind_cpu_registers(m);

    py::class_<Vmcoreinfo>(m, "Vmcoreinfo", "What a crashed Linux tells of itself.")
        .def_property_readonly("release", [](const Vmcoreinfo& i) { return py::bytes(i.release); })
        .def_readonly("problem", &Vmcoreinfo::problem);

    py::class_<CrashedKernel>(m, "CrashedKernel", "As VMCOREINFO and the tables tell.")
        .def_property_readonly("cr0", [](const CrashedKernel& k) { return k.registers.cr0; })
        .def_property_readonly("cr3", [](const CrashedKernel& k) { return k.registers.cr3; })
        .def_property_readonly("cr4", [](const CrashedKernel& k) { return k.registers.cr4; })
        .def_property_readonly("efer", [](const CrashedKernel& k) { return k.registers.efer; })
        .def_readonly("assumed", &CrashedKernel::assumed)
        .def_readonly("deduced", &CrashedKernel::deduced);

    py::class_<Dump, PhysicalMemory>(m, "Dump", "A dump file; see native/sources/dump.h.")
        .def(
            py::init(&open_from_python), py::arg("path"),
            "FileError if it is not one. KeyboardInterrupt if SIGINT is pending, as it is blocked.")
        .def_property_readonly("format", &Dump::format)
        .def_property_readonly("ram", &Dump::ram)
        .def_property_readonly("requests", &Dump::requests)
        .def_property_readonly("cut", &Dump::cut, "Whether the file ends before its memory does.")
        .def_property_readonly("cpus", [](const Dump& d) { return d.notes().cpus; })
        .def_property_readonly("problem", [](const Dump& d) { return d.notes().problem; })
        .def_property_readonly("vmcoreinfo", [](const Dump& d) { return d.notes().vmcoreinfo; })
        .def_property_readonly("kernel", &crashed_kernel)
        .def_property_readonly("changed", [](const Dump& d) { return d.file().changed(); });

    py::class_<FileMemory, PhysicalMemory>(m, "FlatFile")
        .def(py::init(&open_flat_file), py::arg("path"), "FileError if it cannot be read.")
        .def(py::init([](const std::string& path,
                         const std::vector<std::tuple<std::uint64_t, std::uint64_t, std::uint64_t>>&
                             pieces) { return open_ram_file(path, pieces_of(pieces)); }),
             py::arg("path"), py::arg("pieces"), "Pieces are (address, size, offset).")
        .def_property_readonly("ram", &FileMemory::ram)
        .def_property_readonly("size", [](const FileMemory& f) { return f.file().size(); })
        .def_property_readonly("requests", &FileMemory::requests)
        .def_property_readonly("replaced", [](const FileMemory& f) { return f.file().replaced(); });
}
