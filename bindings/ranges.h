#pragma once

#include <pybind11/pybind11.h>

/// Adds what gives maps, pages and tables in bulk, as buffers (PEP 3118).
void bind_ranges(pybind11::module_& m);
