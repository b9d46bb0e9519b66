// The part of ptmap._core that goes from frames to linear addresses.
#pragma once

#include <pybind11/pybind11.h>

/// Adds find(), aliases() and what they return. Map, Range, Space and Label are there before.
void bind_find(pybind11::module_& m);
