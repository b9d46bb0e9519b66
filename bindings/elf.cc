#include "elf.h"

#include <pybind11/stl.h>

#include "elf/image.h"
#include "elf/sections.h"

namespace py = pybind11;
using namespace ptmap;

namespace {

elf::Image read_elf(const py::bytes& image) {
    const std::string_view bytes(image);
    return elf::read(std::as_bytes(std::span(bytes)));
}

py::bytes as_bytes(const std::vector<std::byte>& bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

void bind_elf(py::module_& m) {
    py::class_<elf::Function>(m, "ElfFunction", "A function that an ELF image defines for others.")
        .def_readonly("name", &elf::Function::name)
        .def_readonly("offset", &elf::Function::offset, "From the image's first byte.")
        .def_readonly("size", &elf::Function::size)
        .def_readonly("version", &elf::Function::version, "Empty for none.")
        .def_readonly("weak", &elf::Function::weak);

    py::class_<elf::Image>(m, "Elf", "What an ELF image says of itself; see native/elf/image.h.")
        .def_property_readonly("abi", [](const elf::Image& i) { return name(i.abi); })
        .def_readonly("base", &elf::Image::base, "The link address of its first byte.")
        .def_readonly("size", &elf::Image::size,
                      "Bytes of the file as its headers tell; more than were given if some are "
                      "missing.")
        .def_readonly("dynamic", &elf::Image::dynamic,
                      "Whether there is a dynamic section that could be read.")
        .def_readonly("soname", &elf::Image::soname, "Empty for none.")
        .def_property_readonly("build_id", [](const elf::Image& i) { return as_bytes(i.build_id); })
        .def_readonly("functions", &elf::Image::functions)
        .def_readonly("problems", &elf::Image::problems,
                      "Short phrases: what is damaged or missing.");

    m.def("read_elf", &read_elf, py::arg("image"),
          "Reads a vDSO's image, which may be damaged or lack its end. ValueError where it is "
          "none.");

    m.def(
        "elf_sections",
        [](int file) {
            py::list sections;
            for (const elf::Section& s : elf::sections_in_memory(file))
                sections.append(py::make_tuple(py::bytes(s.name), s.start, s.size, s.write, s.exec,
                                               s.has_memory));
            return sections;
        },
        py::arg("file"),
        "(name, link address, size, writable, executable, whether it has memory of its own) of "
        "each section "
        "with SHF_ALLOC of the ELF file that is open as this descriptor. ValueError where it "
        "cannot be read.");
}
