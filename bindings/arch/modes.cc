#include <pybind11/stl.h>

#include <optional>
#include <string_view>
#include <vector>

#include "arch/memory_type.h"
#include "arch/registers.h"
#include "bind.h"

namespace py = pybind11;
using namespace ptmap;

void bind_modes(py::module_& m) {
    m.def("paging_mode", [](std::uint64_t cr0, std::uint64_t cr4, std::uint64_t efer) {
        return ptmap::name(paging_mode({cr0, 0, cr4, efer}));
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
