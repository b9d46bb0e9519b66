#include "rows.h"

#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include <vector>

#include "bind.h"
#include "page_sizes.h"
#include "paging/scan.h"
#include "space/pages.h"

namespace py = pybind11;
using namespace ptmap;

namespace {

constexpr std::uint64_t no_pa = ~std::uint64_t{0};

// Rows of numbers, copied: their source may be freed before them.
struct Rows {
    std::size_t columns;
    std::vector<std::uint64_t> numbers;

    std::size_t size() const { return numbers.size() / columns; }
};

// As row_flags().
std::uint64_t flags(Rights rights, bool global, PageSizes page_sizes, MemoryType type = {}) {
    return static_cast<std::uint64_t>(rights) | std::uint64_t{global} << 3 |
           std::uint64_t{bits_of(page_sizes)} << 8 | static_cast<std::uint64_t>(type) << 16;
}

Rows range_rows(const Map& map, const Pulse& pulse) {
    Rows rows{4, {}};
    Ticker tick(pulse);
    rows.numbers.reserve(rows.columns * map.ranges.size());
    for (const Range& r : map.ranges) {
        tick();
        rows.numbers.insert(rows.numbers.end(),
                            {r.va.value, r.size, r.contiguous ? r.pa.value : no_pa, row_flags(r)});
    }
    return rows;
}

py::tuple page_rows(const Tables& tables, std::uint64_t first, std::uint64_t last,
                    std::size_t max_pages, const Pulse& pulse) {
    const Pages found = pages(tables, {first, last}, max_pages, pulse);
    Rows rows{5, {}};
    Ticker tick(pulse);
    rows.numbers.reserve(rows.columns * found.found.size());
    for (const Page& p : found.found) {
        tick();
        rows.numbers.insert(
            rows.numbers.end(),
            {p.va.value, p.size, p.pa.value,
             flags(p.rights, p.global, PageSizes::only(page_shift_of(p.size))) | 1u << 4, p.entry});
    }
    return py::make_tuple(std::move(rows), found.cut);
}

}  // namespace

std::uint64_t row_flags(const Range& r) {
    const Attributes& a = r.attributes;
    return flags(a.rights, a.global, r.page_sizes, a.type) | std::uint64_t{a.read} << 4;
}

void bind_rows(py::module_& m) {
    py::class_<Rows>(m, "Rows", py::buffer_protocol(),
                     "Rows of unsigned 64-bit numbers, a read-only buffer of two dimensions "
                     "(format \"Q\"). It outlives what it was made of.")
        .def("__len__", &Rows::size)
        .def_readonly("columns", &Rows::columns)
        .def_buffer([](Rows& rows) -> py::buffer_info {
            constexpr py::ssize_t width = sizeof(std::uint64_t);
            const auto columns = static_cast<py::ssize_t>(rows.columns);
            return {rows.numbers.data(),
                    width,
                    "Q",
                    2,
                    {static_cast<py::ssize_t>(rows.size()), columns},
                    {columns * width, width},
                    true};
        });

    m.def("range_rows", &range_rows, py::arg("map"), py::arg("pulse") = Pulse{},
          "va, size, pa (2^64-1: frames not contiguous), flags of each range.");
    m.def("page_rows", &page_rows, py::arg("tables"), py::arg("first") = 0,
          py::arg("last") = no_limit, py::arg("max_pages") = no_limit, py::arg("pulse") = Pulse{},
          "(va, size, pa, flags, entry of each page, whether there are more).");
}
