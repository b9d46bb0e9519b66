#include <pybind11/stl.h>

#include <tuple>

#include "bind.h"
#include "lists.h"
#include "text/explanation_text.h"

namespace py = pybind11;
using namespace ptmap;

namespace {

using NoteTuple = std::tuple<std::string, std::string, std::string>;  // key, JSON, text

Rights right_named(const std::optional<std::string>& word) {
    if (!word) return Rights::none;
    if (*word == "user") return Rights::user;
    if (*word == "write") return Rights::write;
    if (*word == "exec") return Rights::exec;
    throw py::value_error("right: user, write or exec");
}

ExplainedAddress explained(const Walk& walk, const Paging& paging, bool ac,
                           std::optional<std::uint32_t> pkru, std::optional<std::uint64_t> pat,
                           const std::vector<NoteTuple>& notes, std::string expect_json) {
    ExplainedAddress address{.explanation = explain(walk, paging, {ac, pkru}, memory_types(pat)),
                             .notes = {},
                             .expect_json = std::move(expect_json)};
    for (const NoteTuple& note : notes)
        address.notes.push_back(std::make_from_tuple<SystemNote>(note));
    return address;
}

ExplainedSpace make_space(std::string_view mode, std::uint64_t root, std::vector<std::string> notes,
                          std::vector<std::string> assumed, unsigned maxphyaddr,
                          bool maxphyaddr_is_assumed, std::string pat_hint, std::string pkru_hint) {
    const auto named = mode_named(mode);
    if (!named) throw py::value_error("no such mode");
    return {.mode = *named,
            .root = {root},
            .notes = std::move(notes),
            .assumed = std::move(assumed),
            .maxphyaddr = maxphyaddr,
            .maxphyaddr_is_assumed = maxphyaddr_is_assumed,
            .pat_hint = std::move(pat_hint),
            .pkru_hint = std::move(pkru_hint)};
}

void bind_addresses(py::module_& m) {
    py::class_<ExplainedAddress>(m, "ExplainedAddress", "All that is said of one address.");
    m.def("explain", &explained, py::arg("walk"), py::arg("paging"), py::kw_only(), py::arg("ac"),
          py::arg("pkru"), py::arg("pat"), py::arg("notes") = std::vector<NoteTuple>{},
          py::arg("expect_json") = "");
    m.def(
        "explain_without_paging",
        [](std::uint64_t va) {
            return ExplainedAddress{explain_without_paging({va}), {}, ""};
        },
        py::arg("va"));

    py::class_<ExplainedSpace>(m, "ExplainedSpace", "What is said around explained addresses.")
        .def(py::init(&make_space), py::kw_only(), py::arg("mode"), py::arg("root"),
             py::arg("notes"), py::arg("assumed"), py::arg("maxphyaddr"),
             py::arg("maxphyaddr_is_assumed"), py::arg("pat_hint"), py::arg("pkru_hint"));
    m.def(
        "explanations_text",
        [](const ExplainedSpace& space, const std::vector<ExplainedAddress>& addresses) {
            return pieces([&](const Sink& sink) { put_explanations_text(sink, space, addresses); });
        },
        py::arg("space"), py::arg("addresses"));
    m.def(
        "explanations_json",
        [](const ExplainedSpace& space, const std::vector<ExplainedAddress>& addresses,
           std::string_view expect_json) {
            return pieces([&](const Sink& sink) {
                put_explanations_json(sink, space, addresses, expect_json);
            });
        },
        py::arg("space"), py::arg("addresses"), py::arg("expect_json") = "");
}

void bind_entries(py::module_& m) {
    using Entry = ResponsibleEntry;
    py::class_<Entry>(m, "ResponsibleEntry", "The entry that answers for a finding.")
        .def_property_readonly("level", [](const Entry& e) { return e.step.level->number; })
        .def_property_readonly("entry_name",
                               [](const Entry& e) { return e.step.level->entry_name; })
        .def_property_readonly("table", [](const Entry& e) { return e.step.table.value; })
        .def_property_readonly("index", [](const Entry& e) { return e.step.index; })
        .def_property_readonly("entry_address",
                               [](const Entry& e) { return e.step.entry_address.value; })
        .def_property_readonly(
            "raw",
            [](const Entry& e) {
                return e.says == Entry::Says::unreadable ? std::nullopt : std::optional(e.step.raw);
            })
        .def_property_readonly("says", [](const Entry& e) { return says(e); })
        .def_property_readonly("text", [](const Entry& e) { return text(e); });
    m.def(
        "responsible_entry",
        [](const Walk& walk, const Paging& paging, const std::optional<std::string>& right) {
            return responsible_entry(walk, paging, right_named(right));
        },
        py::arg("walk"), py::arg("paging"), py::arg("right") = py::none());
    m.def(
        "table_entry",
        [](const Walk& walk, const Paging& paging, std::size_t step) {
            return table_entry(walk, paging, step);  // std::out_of_range is IndexError
        },
        py::arg("walk"), py::arg("paging"), py::arg("step"));
    m.def(
        "end_text", [](const Walk& walk) { return end_text(walk); }, py::arg("walk"));
}

}  // namespace

void bind_explanation(py::module_& m) {
    bind_addresses(m);
    bind_entries(m);
}
