#include <pybind11/stl.h>

#include <tuple>

#include "bind.h"
#include "lists.h"
#include "system_registers.h"
#include "text/registers_text.h"

namespace py = pybind11;
using namespace ptmap;

namespace {

// name, value, whether the user gave it, what of it is assumed
using ShownTuple =
    std::tuple<std::string, std::optional<std::uint64_t>, bool, std::vector<std::string>>;
using TablesTuple = std::tuple<TableTuple, TableTuple, SegmentTuple, SegmentTuple>;
using RootsTuple = std::pair<std::uint64_t, std::uint64_t>;  // the kernel's, the user's

ControlRegister register_of(std::string_view word) {
    const auto reg = control_register_named(word);
    if (!reg) throw py::value_error("register: CR0, CR2, CR3, CR4 or EFER");
    return *reg;
}

RegistersReport make_report(const std::vector<ShownTuple>& shown,
                            const std::optional<std::string>& mode, const Paging* paging,
                            std::optional<std::uint64_t> root,
                            const std::optional<RootsTuple>& pair, std::string cr2_now,
                            const std::optional<TablesTuple>& tables, std::vector<EntryRow> rows,
                            std::vector<std::string> notes, std::string why_not,
                            std::vector<std::string> assumed, std::vector<std::string> deduced) {
    RegistersReport report{.cr2_now = std::move(cr2_now),
                           .assumed = std::move(assumed),
                           .deduced = std::move(deduced),
                           .rows = std::move(rows),
                           .notes = std::move(notes),
                           .why_not = std::move(why_not)};
    for (const auto& [word, value, is_set, assumed] : shown)
        report.registers.push_back({register_of(word), value, is_set, assumed});
    if (mode) report.mode = mode_named(*mode);
    if (paging) report.paging.emplace(registers_of(*paging));
    if (root) report.root = PhysAddr{*root};
    if (pair) report.pair = KptiRoots{{pair->first}, {pair->second}};
    if (tables) {
        const auto& [gdtr, idtr, ldtr, tr] = *tables;
        report.tables = {table_of(gdtr), table_of(idtr), segment_of(ldtr), segment_of(tr)};
    }
    return report;
}

}  // namespace

void bind_registers(py::module_& m) {
    py::class_<RegistersReport>(m, "RegistersReport", "What ptmap regs shows.")
        .def(py::init(&make_report), py::kw_only(), py::arg("registers"), py::arg("mode"),
             py::arg("paging"), py::arg("root"), py::arg("pair"), py::arg("cr2_now"),
             py::arg("tables"), py::arg("rows"), py::arg("notes"), py::arg("why_not"),
             py::arg("assumed"), py::arg("deduced"))
        .def(
            "text",
            [](const RegistersReport& report, bool roles) {
                return piece([&](Text& text) { put_registers(text, report); }, roles);
            },
            py::arg("roles") = false)
        .def("json", &registers_json);
    m.def("outcome_text", &outcome_text, py::arg("walk"));
}
