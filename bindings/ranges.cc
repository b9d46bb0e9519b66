#include "ranges.h"

#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include <vector>

#include "core/map.h"
#include "core/pages.h"
#include "core/scan.h"

namespace py = pybind11;
using namespace ptmap;

namespace {

constexpr auto no_limit = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t no_pa = ~std::uint64_t{0};

// Numbers in rows, of their own: what they were made of may be gone.
struct Rows {
    std::size_t columns;
    std::vector<std::uint64_t> numbers;

    std::size_t size() const { return numbers.size() / columns; }
};

// What a row's flags are: rights, global, page sizes, memory type. See gdb/ptmap/api.py.
std::uint64_t flags(Rights rights, bool global, unsigned page_sizes, MemoryType type = {}) {
    return static_cast<std::uint64_t>(rights) | std::uint64_t{global} << 3 |
           std::uint64_t{page_sizes} << 8 | static_cast<std::uint64_t>(type) << 16;
}

Rows range_rows(const Map& map) {
    Rows rows{4, {}};
    rows.numbers.reserve(rows.columns * map.ranges.size());
    for (const Range& r : map.ranges)
        rows.numbers.insert(rows.numbers.end(),
                            {r.va.value, r.size, r.contiguous ? r.pa.value : no_pa, row_flags(r)});
    return rows;
}

py::tuple page_rows(const Space& space, std::uint64_t first, std::uint64_t last,
                    std::size_t max_pages, const Pulse& pulse) {
    const Pages found = pages(space, {first, last}, max_pages, pulse);
    Rows rows{5, {}};
    rows.numbers.reserve(rows.columns * found.found.size());
    for (const Page& p : found.found)
        rows.numbers.insert(
            rows.numbers.end(),
            {p.va.value, p.size, p.pa.value,
             flags(p.rights, p.global, 1u << page_size_index(p.size)) | 1u << 4, p.entry});
    return py::make_tuple(std::move(rows), found.cut);
}

// One table of a scan; the Space is kept for it.
struct Table {
    const Space* space;
    const Node* node;

    const PagingLevel& level() const { return space->level(*node); }
};

// What a readable Table gives as a buffer, whose function must not throw.
struct Entries {
    Table table;
};

py::buffer_info buffer(Entries& entries) {
    const Table& t = entries.table;
    const auto width = static_cast<py::ssize_t>(t.space->paging().format().entry_bytes);
    return {const_cast<std::byte*>(t.space->bytes(*t.node).data()),
            width,
            width == 8 ? "Q" : "I",
            1,
            {static_cast<py::ssize_t>(t.level().entries())},
            {width},
            true};
}

py::memoryview entries_of(const py::object& self) {
    const Table& table = self.cast<const Table&>();
    if (!table.node->readable) throw py::buffer_error("the table could not be read");
    const py::object entries = py::cast(Entries{table});
    py::detail::keep_alive_impl(entries, self);  // and that keeps the Space
    return py::memoryview(entries);
}

}  // namespace

std::uint64_t row_flags(const Range& r) {
    const Attributes& a = r.attributes;
    return flags(a.rights, a.global, r.page_sizes, a.type) | std::uint64_t{a.read} << 4;
}

void bind_ranges(py::module_& m) {
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

    m.def("range_rows", &range_rows, py::arg("map"),
          "va, size, pa (2^64-1: frames not contiguous), flags of each range.");
    m.def("page_rows", &page_rows, py::arg("space"), py::arg("first") = 0,
          py::arg("last") = no_limit, py::arg("max_pages") = no_limit, py::arg("pulse") = Pulse{},
          "(va, size, pa, flags, entry of each page, whether there are more).");
    m.def(
        "type_names",
        [] {
            std::vector<std::string_view> names;
            for (unsigned t = 0; t <= static_cast<unsigned>(MemoryType::invalid); ++t)
                names.push_back(name(static_cast<MemoryType>(t)));
            return names;
        },
        "Memory types by their number in a range's flags.");

    py::class_<Entries>(m, "Entries", py::buffer_protocol(), "What Table.entries() is a view of.")
        .def_buffer(&buffer);
    py::class_<Table>(m, "Table", "A page table of a scan, used at one level.")
        .def_property_readonly("pa", [](const Table& t) { return t.node->table.value; })
        .def_property_readonly("level", [](const Table& t) { return t.level().level->number; })
        .def_property_readonly("name", [](const Table& t) { return t.level().level->table_name; })
        .def_property_readonly(
            "size", [](const Table& t) { return t.space->paging().table_bytes(t.level()); },
            "Bytes.")
        .def_property_readonly("readable", [](const Table& t) { return t.node->readable; })
        .def_property_readonly(
            "why",
            [](const Table& t) { return t.node->readable ? std::string() : t.space->why(*t.node); },
            "Why it could not be read; empty where it was.")
        .def("entries", &entries_of,
             "The entries, raw: a read-only memoryview of format \"Q\" (\"I\" in 32-bit mode) that "
             "keeps the scan. BufferError where the table could not be read.");
    m.def(
        "table_count", [](const Space& space) { return space.nodes(); }, py::arg("space"),
        "Tables, counted once for each level that they are used at.");
    m.def(
        "table",
        [](const Space& space, std::uint32_t index) {
            if (index >= space.nodes()) throw py::index_error();
            return Table{&space, &space.node(index)};
        },
        py::arg("space"), py::arg("index"), py::keep_alive<0, 1>(), "The root is table 0.");
}
