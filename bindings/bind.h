// The parts of ptmap._core, a file each, in folders as native/ has them. They convert and decide
// nothing.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <limits>

/// The default of a limit.
inline constexpr auto no_limit = std::numeric_limits<std::uint64_t>::max();

// paging/
void bind_memory(pybind11::module_& m);  ///< physical memory, ReadOnce, LinearMemory
void bind_paging(pybind11::module_& m);  ///< Paging, Walk, walk()
void bind_scan(pybind11::module_& m);    ///< Tables, scan(), the tables themselves, counts()

// arch/
void bind_modes(pybind11::module_& m);  ///< paging modes, memory types

// space/
void bind_condition(pybind11::module_& m);  ///< the vocabulary of attributes
void bind_map(pybind11::module_& m);        ///< Map and what is in it, make_map(), view()
void bind_grid(pybind11::module_& m);       ///< draw_grid()
void bind_rows(pybind11::module_& m);       ///< maps and pages in bulk, as buffers (PEP 3118)
void bind_query(pybind11::module_& m);      ///< what a map says about a part
void bind_find(pybind11::module_& m);       ///< from frames to linear addresses; aliases
void bind_diff(pybind11::module_& m);       ///< differences of maps, what two spaces share
void bind_kpti(pybind11::module_& m);       ///< the two parts of a space, and KPTI
void bind_snapshot(pybind11::module_& m);   ///< maps as bytes

// explain/
void bind_entry(pybind11::module_& m);        ///< what entering a kernel needs
void bind_explanation(pybind11::module_& m);  ///< one address explained, with its text and JSON

// text/
void bind_text(pybind11::module_& m);       ///< Text, and what stands over and under a map
void bind_registers(pybind11::module_& m);  ///< what registers hold and lead to

// sources/
void bind_dump(pybind11::module_& m);          ///< dumps and raw images
void bind_qemu_process(pybind11::module_& m);  ///< a QEMU process and its RAM file

// elf/, vdso/
void bind_elf(pybind11::module_& m);   ///< ELF images, auxiliary vectors
void bind_vdso(pybind11::module_& m);  ///< the search for a vDSO
