#include <pybind11/stl.h>

#include <algorithm>

#include "bind.h"
#include "explain/descriptors.h"
#include "explain/entry_piece.h"
#include "memory.h"
#include "system_registers.h"
#include "text/entry_text.h"

namespace py = pybind11;
using namespace ptmap;

namespace {

std::vector<std::uint64_t> numbers(const std::vector<VirtAddr>& addresses) {
    std::vector<std::uint64_t> all;
    for (const VirtAddr va : addresses) all.push_back(va.value);
    return all;
}

Access access_of(std::string_view word) {
    const auto access = access_named(word);
    if (!access) throw py::value_error("access: read, write or fetch");
    return *access;
}

EntryPiece make_piece(std::string name, std::string short_name, std::uint64_t address,
                      const std::vector<std::uint64_t>& pages, std::string_view access,
                      bool before_switch, bool is_stack) {
    EntryPiece piece{.name = std::move(name),
                     .short_name = std::move(short_name),
                     .address = {address},
                     .access = access_of(access),
                     .before_switch = before_switch,
                     .kind = is_stack ? EntryPieceKind::stack : EntryPieceKind::other};
    for (const std::uint64_t page : pages) piece.pages.push_back({page});
    return piece;
}

std::vector<std::string_view> unread_names(const EntryNeeds& needs) {
    std::vector<std::string_view> names;
    for (const SystemTable table : needs.unread) names.push_back(ptmap::name(table));
    return names;
}

bool knows_stacks(const EntryNeeds& needs) {
    return std::ranges::find(needs.unread, SystemTable::tss) == needs.unread.end();
}

void bind_piece(py::module_& m) {
    py::class_<EntryPiece>(m, "EntryPiece", "Something that the processor needs to enter a kernel.")
        .def(py::init(&make_piece), py::arg("name"), py::arg("short"), py::arg("address"),
             py::arg("pages"), py::arg("access"), py::arg("before_switch") = true,
             py::arg("is_stack") = false)
        .def_property_readonly("name", &EntryPiece::full_name)
        .def_property_readonly("address", [](const EntryPiece& p) { return p.address.value; })
        .def_property_readonly("pages", [](const EntryPiece& p) { return numbers(p.pages); })
        .def_readonly("before_switch", &EntryPiece::before_switch);

    py::class_<EntryPieceState>(m, "EntryPieceState", "What one root says of an EntryPiece.")
        .def_property_readonly("text", [](const EntryPieceState& s) { return text(s); });

    py::class_<EntryRow>(m, "EntryRow", "An EntryPiece with what is to be said of it.")
        .def(py::init(
                 [](EntryPiece piece, EntryPieceState here, std::optional<EntryPieceState> user) {
                     return EntryRow{std::move(piece), std::move(here), std::move(user)};
                 }),
             py::arg("piece"), py::arg("here"), py::arg("user"))
        .def_readonly("piece", &EntryRow::piece)
        .def_readonly("here", &EntryRow::here);

    m.def(
        "entry_piece_state",
        [](const EntryPiece& piece, const Paging& paging, std::uint64_t root,
           const py::object& given, std::optional<std::uint32_t> pkru) {
            MemoryArgument memory(given);
            return state_of(piece, paging, {root}, *memory, pkru);
        },
        py::arg("piece"), py::arg("paging"), py::arg("root"), py::arg("memory"),
        py::arg("pkru") = py::none());
}

}  // namespace

void bind_entry(py::module_& m) {
    bind_piece(m);

    py::class_<EntryNeeds>(m, "EntryNeeds", "What entering the kernel of one CPU needs.")
        .def_readonly("pieces", &EntryNeeds::pieces)
        .def_property_readonly("unread", &unread_names)
        .def_property_readonly("knows_stacks", &knows_stacks)
        .def_property_readonly("ldtr_base", [](const EntryNeeds& n) { return n.ldtr_base.value; })
        .def_property_readonly("tr_base", [](const EntryNeeds& n) { return n.tr_base.value; });

    m.def(
        "entry_needs",
        [](const Paging& paging, std::uint64_t root, const py::object& given,
           const TableTuple& gdtr, const TableTuple& idtr, const SegmentTuple& ldtr,
           const SegmentTuple& tr) {
            MemoryArgument memory(given);
            LinearMemory linear(paging, {root}, *memory);
            return entry_needs({table_of(gdtr), table_of(idtr), segment_of(ldtr), segment_of(tr)},
                               linear);
        },
        py::arg("paging"), py::arg("root"), py::arg("memory"), py::kw_only(), py::arg("gdtr"),
        py::arg("idtr"), py::arg("ldtr"), py::arg("tr"));
    m.def(
        "rights_words", [](const Walk& w) { return rights_words(w.rights); }, py::arg("walk"));
}
