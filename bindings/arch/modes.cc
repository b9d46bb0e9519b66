#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "arch/memory_type.h"
#include "arch/register_bits.h"
#include "arch/registers.h"
#include "bind.h"

namespace py = pybind11;
using namespace ptmap;

using MaybeValue = std::optional<std::uint64_t>;

std::tuple<std::uint64_t, std::uint64_t, std::uint64_t> registers_for(std::string_view word,
                                                                      MaybeValue cr0,
                                                                      MaybeValue cr4,
                                                                      MaybeValue efer) {
    const auto mode = mode_named(word);
    if (!mode || *mode == Mode::off) throw py::value_error("no paging mode");
    const ControlRegisters& usual = usual_registers;
    const ControlRegisters made = switched_to(
        *mode, {cr0.value_or(usual.cr0), 0, cr4.value_or(usual.cr4), efer.value_or(usual.efer)});
    return {made.cr0, made.cr4, made.efer};
}

std::uint64_t register_mask(std::string_view reg, const std::vector<std::string>& names) {
    std::uint64_t mask = 0;
    const auto known = control_register_named(reg);
    const auto bits = known ? register_bits(*known) : std::span<const RegisterBit>{};
    for (const std::string& name : names) {
        const auto row = std::ranges::find(bits, name, &RegisterBit::name);
        if (row == bits.end()) throw py::value_error("no such bit: " + name);
        mask |= std::uint64_t{1} << row->bit;
    }
    return mask;
}

void bind_modes(py::module_& m) {
    m.def("paging_mode", [](std::uint64_t cr0, std::uint64_t cr4, std::uint64_t efer) {
        return ptmap::name(paging_mode({cr0, 0, cr4, efer}));
    });
    m.def("registers_for", &registers_for);
    m.def("register_mask", [](std::string_view reg, const py::args& names) {
        return register_mask(reg, names.cast<std::vector<std::string>>());
    });
    m.def("memory_types", [](std::optional<std::uint64_t> pat) {
        std::vector<std::string_view> names;
        for (const MemoryType type : memory_types(pat)) names.push_back(ptmap::name(type));
        return names;
    });
    m.def(
        "type_names",
        [] { return std::vector(memory_type_names.begin(), memory_type_names.end()); },
        "Memory types by their number in a range's flags.");
}
