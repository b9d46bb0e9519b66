#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include "bind.h"
#include "memory.h"
#include "vdso/image_search.h"

namespace py = pybind11;
using namespace ptmap;

namespace {

void bind_page(py::module_& m) {
    using From = ImagePage::From;
    py::class_<ImagePage>(m, "ImagePage", "A page of an image.")
        .def_static(
            "of_kernel",
            [](std::uint64_t va, std::uint64_t pa, std::uint64_t kernel_va) {
                return ImagePage{{va}, From::kernel, {pa}, {kernel_va}, {}};
            },
            py::arg("va"), py::arg("pa"), py::arg("kernel_va"))
        .def_property_readonly("va", [](const ImagePage& p) { return p.va.value; })
        .def_property_readonly("pa",
                               [](const ImagePage& p) {
                                   return p.from == From::nowhere ? std::nullopt
                                                                  : std::optional(p.pa.value);
                               })
        .def_property_readonly("source",
                               [](const ImagePage& p) -> std::optional<std::string> {
                                   if (p.from == From::nowhere) return std::nullopt;
                                   return p.from == From::kernel ? "kernel" : "process";
                               })
        .def_property_readonly("kernel_va",
                               [](const ImagePage& p) {
                                   return p.from == From::kernel ? std::optional(p.kernel_va.value)
                                                                 : std::nullopt;
                               })
        .def_readonly("why", &ImagePage::why);
}

void bind_code(py::module_& m) {
    py::class_<UserCode::Pages>(m, "UserCodePages")
        .def("__iter__", [](py::object self) { return self; })
        .def("__next__", [](UserCode::Pages& pages) {
            const auto page = pages.next();
            if (!page) throw py::stop_iteration();
            return std::pair(page->va.value, page->pa.value);
        });

    py::class_<UserCode>(m, "UserCode",
                         "The user's pages that are executable; see native/vdso/user_code.h.")
        .def(py::init([](const Paging& paging, std::uint64_t root, const py::object& given,
                         const Pulse& pulse) {
                 MemoryArgument memory(given);
                 return user_code(paging, {root}, *memory, until_interrupted(pulse));
             }),
             py::arg("paging"), py::arg("root"), py::arg("memory"), py::arg("pulse") = Pulse{})
        .def(py::init([](const Tables& tables, const Pulse& pulse) {
                 return user_code(tables, until_interrupted(pulse));
             }),
             py::arg("tables"), py::arg("pulse") = Pulse{})
        .def_property_readonly("unreadable", &UserCode::unreadable)
        .def("pages", &UserCode::pages, py::arg("writable"), py::keep_alive<0, 1>());
}

void bind_search(py::module_& m) {
    py::class_<UserImage>(m, "UserImage", "An image at an address of a process.")
        .def_property_readonly("va", [](const UserImage& i) { return i.va.value; })
        .def_readonly("elf", &UserImage::elf)
        .def_readonly("pages", &UserImage::pages);

    py::class_<ImageSearch>(m, "ImageSearch", "What was found of images, and how thoroughly.")
        .def_readonly("images", &ImageSearch::images)
        .def_property_readonly("rejected",
                               [](const ImageSearch& s) {
                                   std::vector<std::pair<std::uint64_t, std::string>> all;
                                   for (const auto& [va, why] : s.rejected)
                                       all.emplace_back(va.value, why);
                                   return all;
                               })
        .def_readonly("looked", &ImageSearch::looked)
        .def_readonly("pages", &ImageSearch::pages)
        .def_readonly("cut", &ImageSearch::cut);

    m.def(
        "search_images",
        [](const Paging& paging, const UserCode& code, const py::object& given,
           const Pulse& pulse) {
            MemoryArgument memory(given);
            return search_images(paging, code, *memory, until_interrupted(pulse));
        },
        py::arg("paging"), py::arg("code"), py::arg("memory"), py::arg("pulse") = Pulse{});
}

void bind_one_image(py::module_& m) {
    m.def(
        "look_at_image",
        [](const Paging& paging, const UserCode& code, const py::object& given, std::uint64_t va) {
            MemoryArgument memory(given);
            return look_at(paging, code, *memory, {va});
        },
        py::arg("paging"), py::arg("code"), py::arg("memory"), py::arg("va"));
    m.def(
        "image_pages",
        [](const UserCode& code, const py::object& given, std::uint64_t va, std::size_t count) {
            MemoryArgument memory(given);
            return pages_from(code, *memory, {va}, count);
        },
        py::arg("code"), py::arg("memory"), py::arg("va"), py::arg("count"));
    m.def(
        "read_image",
        [](const py::object& given, const std::vector<ImagePage>& pages) {
            MemoryArgument memory(given);
            return python_bytes(read_pages(*memory, pages));
        },
        py::arg("memory"), py::arg("pages"),
        "The pages' bytes, with zeros for those that are not known.");
    m.def(
        "fits",
        [](const Paging& paging, std::uint64_t va, std::uint64_t size) {
            return fits(paging, {va}, size);
        },
        py::arg("paging"), py::arg("va"), py::arg("size"),
        "Whether so many bytes from an address on are all addresses.");
}

}  // namespace

void bind_vdso(py::module_& m) {
    bind_page(m);
    bind_code(m);
    bind_search(m);
    bind_one_image(m);
}
