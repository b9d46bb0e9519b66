#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>

#include "core/map.h"

/// Adds what gives maps, pages and tables in bulk, as buffers (PEP 3118).
/// What a row's flags are: rights, global, read, page sizes, memory type. See gdb/ptmap/api.py.
std::uint64_t row_flags(const ptmap::Range& range);

void bind_ranges(pybind11::module_& m);
