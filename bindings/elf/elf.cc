#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include "bind.h"
#include "elf/auxv.h"
#include "elf/build_id.h"
#include "elf/image.h"
#include "elf/kernel_file.h"
#include "elf/linear_image.h"
#include "elf/sections.h"
#include "memory.h"

namespace py = pybind11;
using namespace ptmap;

namespace {

elf::Image read_elf(const py::bytes& image) {
    const std::string_view bytes(image);
    return elf::read(std::as_bytes(std::span(bytes)));
}

std::optional<elf::Auxv> find_auxv(LinearMemory& memory, std::uint64_t start, std::uint64_t end,
                                   bool wide, const Pulse& pulse) {
    return elf::find_auxv(memory, {start}, {end}, wide, until_interrupted(pulse));
}

void bind_auxv(py::module_& m) {
    py::class_<elf::Auxv>(m, "Auxv", "An auxiliary vector; see native/elf/auxv.h.")
        .def_property_readonly("va", [](const elf::Auxv& a) { return a.va.value; })
        .def_readonly("word", &elf::Auxv::word, "Bytes; a pair has two.")
        .def_readonly("values", &elf::Auxv::values, "Pairs of type and value, as they lie there.")
        .def_property_readonly("vdso",
                               [](const elf::Auxv& a) {
                                   const auto va = a.vdso();
                                   return va ? std::optional(va->value) : std::nullopt;
                               })
        .def_property_readonly("abi", [](const elf::Auxv& a) { return name(a.abi()); });

    m.def("find_auxv", &find_auxv, py::arg("memory"), py::arg("start"), py::arg("end"),
          py::arg("wide"), py::arg("pulse") = Pulse{});
}

// (address, size, physical address)
using PartTuple = std::tuple<std::uint64_t, std::uint64_t, std::uint64_t>;

std::vector<elf::LinearImage> images_in(LinearMemory& memory, const std::vector<PartTuple>& given,
                                        const Pulse& pulse) {
    std::vector<LinearMemory::Known> parts;
    for (const auto& [first, size, pa] : given) parts.push_back({{first}, size, {pa}});
    return elf::images_in(memory, parts, until_interrupted(pulse));
}

void bind_linear_images(py::module_& m) {
    py::class_<elf::LinearImage>(m, "LinearImage",
                                 "An ELF image in linear memory; see native/elf/linear_image.h.")
        .def_property_readonly("va", [](const elf::LinearImage& i) { return i.va.value; })
        .def_readonly("size", &elf::LinearImage::size, "Whole pages, in bytes.")
        .def_readonly("elf", &elf::LinearImage::image);

    m.def(
        "linear_image_at",
        [](LinearMemory& memory, std::uint64_t va, std::optional<std::uint64_t> size) {
            return elf::image_at(memory, {va}, size);
        },
        py::arg("memory"), py::arg("va"), py::arg("size") = py::none());
    m.def(
        "linear_image_around",
        [](LinearMemory& memory, std::uint64_t va) { return elf::image_around(memory, {va}); },
        py::arg("memory"), py::arg("va"));
    m.def("linear_images", &images_in, py::arg("memory"), py::arg("parts"),
          py::arg("pulse") = Pulse{}, "Parts are (address, size, physical address).");
}

void bind_image(py::module_& m) {
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
        .def_property_readonly("is_vdso", &elf::Image::is_vdso, "By its SONAME.")
        .def_property_readonly("build_id",
                               [](const elf::Image& i) { return python_bytes(i.build_id); })
        .def_readonly("functions", &elf::Image::functions)
        .def_readonly("problems", &elf::Image::problems,
                      "Short phrases: what is damaged or missing.");

    m.def("read_elf", &read_elf, py::arg("image"),
          "Reads a vDSO's image, which may be damaged or lack its end. ValueError if it is "
          "none.");
}

void bind_kernel_file(py::module_& m) {
    py::class_<elf::KernelFile>(m, "KernelFile",
                                "A Linux kernel's vmlinux, by link addresses; see "
                                "native/elf/kernel_file.h.")
        .def_readonly("text", &elf::KernelFile::text)
        .def_readonly("end", &elf::KernelFile::end)
        .def_readonly("init_begin", &elf::KernelFile::init_begin)
        .def_readonly("init_end", &elf::KernelFile::init_end)
        .def_readonly("banner_at", &elf::KernelFile::banner_at)
        .def_property_readonly("banner",
                               [](const elf::KernelFile& k) { return py::bytes(k.banner); })
        .def_readonly("per_cpu_from_zero", &elf::KernelFile::per_cpu_from_zero);

    m.def("read_kernel_file", &elf::read_kernel_file, py::arg("file"),
          "Reads the file that is open as this descriptor. ValueError if it is no Linux kernel "
          "with symbols.");
    m.def(
        "elf_build_id",
        [](int file) -> std::optional<std::pair<std::uint64_t, py::bytes>> {
            const auto found = elf::build_id(file);
            if (!found) return std::nullopt;
            return std::pair(found->va, py::bytes(found->bytes));
        },
        py::arg("file"),
        "The link address and the bytes of the build id of the ELF file that is open as this "
        "descriptor; None if it has none. ValueError if it is no ELF file.");
}

}  // namespace

void bind_elf(py::module_& m) {
    bind_image(m);
    bind_kernel_file(m);
    bind_auxv(m);
    bind_linear_images(m);

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
        "with SHF_ALLOC of the ELF file that is open as this descriptor. ValueError if it "
        "cannot be read.");
}
