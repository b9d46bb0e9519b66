#include "paging/paging.h"

#include <pybind11/stl.h>

#include <memory>

#include "arch/x86_paging.h"
#include "bind.h"
#include "memory.h"
#include "paging/walk.h"
#include "rights.h"
#include "text/render.h"

namespace py = pybind11;
using namespace ptmap;

namespace {

std::string_view name(Kind kind) {
    static constexpr std::string_view names[]{"not-present", "table", "page", "malformed"};
    return names[static_cast<std::size_t>(kind)];
}

std::unique_ptr<Paging> make_paging(std::uint64_t cr0, std::uint64_t cr3, std::uint64_t cr4,
                                    std::uint64_t efer, unsigned maxphyaddr) {
    const ControlRegisters registers{cr0, cr3, cr4, efer, maxphyaddr};
    if (paging_mode(registers) == Mode::off) throw py::value_error("paging is off");
    return std::make_unique<X86Paging>(registers);
}

void bind_formats(py::module_& m) {
    py::class_<PagingLevel>(m, "Level")
        .def_property_readonly("number", [](const PagingLevel& l) { return l.level->number; })
        .def_property_readonly("table_name",
                               [](const PagingLevel& l) { return l.level->table_name; })
        .def_property_readonly("entry_name",
                               [](const PagingLevel& l) { return l.level->entry_name; })
        .def_property_readonly("entry_span", &PagingLevel::entry_span)
        .def_property_readonly("table_span", &PagingLevel::table_span)
        .def_property_readonly("entries", &PagingLevel::entries);

    py::class_<Paging>(m, "Paging")
        .def(py::init(&make_paging), py::arg("cr0"), py::arg("cr3"), py::arg("cr4"),
             py::arg("efer"), py::arg("maxphyaddr"))
        .def_property_readonly("mode", [](const Paging& p) { return p.format().name; })
        .def_property_readonly("va_bits", [](const Paging& p) { return p.format().va_bits; })
        .def_property_readonly("canonical", [](const Paging& p) { return p.format().canonical; })
        .def_property_readonly("entry_bytes",
                               [](const Paging& p) { return p.format().entry_bytes; })
        .def_property_readonly("has_nx", [](const Paging& p) { return has_nx(registers_of(p)); })
        .def_property_readonly("has_keys",
                               [](const Paging& p) { return has_keys(registers_of(p)); })
        .def_property_readonly(
            "levels",
            [](const Paging& p) {
                return std::vector<PagingLevel>(p.levels().begin(), p.levels().end());
            },
            "Root first.")
        .def_property_readonly("last_offset", &Paging::last_offset)
        .def_property_readonly("upper_part", &Paging::upper_part)
        .def("root_of", [](const Paging& p, std::uint64_t cr3) { return p.root_of(cr3).value; })
        .def("translatable", [](const Paging& p, std::uint64_t va) { return p.translatable({va}); })
        .def("offset_of", [](const Paging& p, std::uint64_t va) { return p.offset_of({va}); })
        .def("address_of",
             [](const Paging& p, std::uint64_t offset) { return p.address_of(offset).value; });
}

void bind_step(py::module_& m) {
    py::class_<Step> step(m, "Step", "One entry on the way of a Walk.");
    step.def_property_readonly("level", [](const Step& s) { return s.level->number; })
        .def_property_readonly("entry_name", [](const Step& s) { return s.level->entry_name; })
        .def_property_readonly("table", [](const Step& s) { return s.table.value; })
        .def_readonly("index", &Step::index)
        .def_property_readonly("entry_address", [](const Step& s) { return s.entry_address.value; })
        .def_readonly("raw", &Step::raw)
        .def_property_readonly("kind", [](const Step& s) { return name(s.kind); })
        .def_property_readonly(
            "target", [](const Step& s) { return s.target.value; },
            "The address that a table or page entry holds.");
    def_rights(step, [](const Step& s) { return s.rights; });
}

Walk walk_of(const Paging& paging, std::uint64_t root, std::uint64_t va, const py::object& given) {
    MemoryArgument memory(given);
    return walk(paging, {root}, {va}, *memory);
}

void bind_walk(py::module_& m) {
    py::class_<Walk> walk_class(m, "Walk",
                                "One address, root to leaf, as the processor translates it.");
    walk_class.def_property_readonly("va", [](const Walk& w) { return w.va.value; })
        .def_property_readonly(
            "outcome", [](const Walk& w) { return ptmap::name(w.outcome); },
            "mapped, not-present, reserved-bit, not-canonical or unreadable.")
        .def_readonly("steps", &Walk::steps, "Root first; the last is where the walk ended.")
        .def_readonly("why", &Walk::why, "What the memory said, where it is unreadable.")
        .def_property_readonly(
            "pa",
            [](const Walk& w) {
                if (w.outcome != Outcome::mapped) throw py::value_error("it is not mapped");
                return w.pa.value;
            },
            "The physical address of `va` itself. ValueError if it is not mapped.")
        .def_readonly("page_size", &Walk::page_size, "Bytes; 0 if it is not mapped.")
        .def_property_readonly("global_", [](const Walk& w) { return w.global; })
        .def_property_readonly(
            "rights",
            [](const Walk& w) {
                return w.outcome == Outcome::mapped
                           ? rights_text({.rights = w.rights, .global = w.global})
                           : std::string();
            },
            "As \"ur-xg\"; empty if it is not mapped.")
        .def_readonly("cache_slot", &Walk::cache_slot, "Of IA32_PAT, 0 to 7.")
        .def_readonly("key", &Walk::key, "The protection key, 0 if keys are off.");
    walk_class.def("__repr__", [](const Walk& w) {
        std::string text = "<ptmap.Walk ";
        put_hex(text, w.va.value);
        return text.append(": ").append(ptmap::name(w.outcome)) + ">";
    });
    def_rights(walk_class, [](const Walk& w) { return w.rights; });

    m.def("walk", &walk_of, py::arg("paging"), py::arg("root"), py::arg("va"), py::arg("memory"));
}

}  // namespace

void bind_paging(py::module_& m) {
    bind_formats(m);
    bind_step(m);
    bind_walk(m);
}
