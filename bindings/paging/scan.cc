#include "paging/scan.h"

#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include "bind.h"
#include "memory.h"
#include "paging/counts.h"

namespace py = pybind11;
using namespace ptmap;

namespace {

// A copy of ptmap::counts.
struct Counted {
    std::uint64_t scans, flattenings;
};

// One table of a scan; it keeps the Tables alive.
struct Table {
    const Tables* tables;
    const Node* node;

    const PagingLevel& level() const { return tables->level(*node); }
};

// The buffer of a readable Table; a buffer's function must not throw.
struct Entries {
    Table table;
};

py::buffer_info buffer(Entries& entries) {
    const Table& t = entries.table;
    const auto width = static_cast<py::ssize_t>(t.tables->paging().format().entry_bytes);
    return {const_cast<std::byte*>(t.tables->bytes(*t.node).data()),
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
    py::detail::keep_alive_impl(entries, self);  // and that keeps the Tables
    return py::memoryview(entries);
}

void bind_tables(py::module_& m) {
    py::class_<Entries>(m, "Entries", py::buffer_protocol(), "What Table.entries() is a view of.")
        .def_buffer(&buffer);
    py::class_<Table>(m, "Table", "A page table of a scan, used at one level.")
        .def_property_readonly("pa", [](const Table& t) { return t.node->table.value; })
        .def_property_readonly("level", [](const Table& t) { return t.level().level->number; })
        .def_property_readonly("name", [](const Table& t) { return t.level().level->table_name; })
        .def_property_readonly(
            "size", [](const Table& t) { return t.tables->paging().table_bytes(t.level()); },
            "Bytes.")
        .def_property_readonly("readable", [](const Table& t) { return t.node->readable; })
        .def_property_readonly(
            "why",
            [](const Table& t) {
                return t.node->readable ? std::string() : t.tables->why(*t.node);
            },
            "Why it could not be read; empty if it was.")
        .def("entries", &entries_of,
             "The entries, raw: a read-only memoryview of format \"Q\" (\"I\" in 32-bit mode) that "
             "keeps the scan. BufferError if the table could not be read.");
    m.def(
        "table_count", [](const Tables& tables) { return tables.nodes(); }, py::arg("tables"),
        "Tables, counted once for each level that they are used at.");
    m.def(
        "table",
        [](const Tables& tables, std::uint32_t index) {
            if (index >= tables.nodes()) throw py::index_error();
            return Table{&tables, &tables.node(index)};
        },
        py::arg("tables"), py::arg("index"), py::keep_alive<0, 1>(), "The root is table 0.");
}

}  // namespace

void bind_scan(py::module_& m) {
    py::class_<Tables>(m, "Tables")
        .def_property_readonly("root", [](const Tables& tables) { return tables.root().value; })
        .def_property_readonly("tables", &Tables::count)
        .def_property_readonly("cut", &Tables::cut);

    m.def(
        "scan",
        [](const Paging& paging, std::uint64_t root, const py::object& given, std::uint64_t first,
           std::uint64_t last, std::size_t max_tables, const Pulse& pulse) {
            MemoryArgument memory(given);
            return scan(paging, {root}, *memory, {first, last}, max_tables, Reach::all, pulse);
        },
        py::arg("paging"), py::arg("root"), py::arg("memory"), py::arg("first") = 0,
        py::arg("last") = no_limit, py::arg("max_tables") = no_limit, py::arg("pulse") = Pulse{});

    py::class_<Counted>(m, "Counts", "How often the core did its long work, since it was loaded.")
        .def_readonly("scans", &Counted::scans, "Tables read below a root.")
        .def_readonly("flattenings", &Counted::flattenings, "Maps made of what a scan read.");
    m.def("counts", [] { return Counted{counts.scans, counts.flattenings}; });

    bind_tables(m);
}
