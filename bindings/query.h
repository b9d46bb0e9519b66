// The part of ptmap._core that asks a map about a stretch of addresses.
#pragma once

#include <pybind11/pybind11.h>

/// Adds matches(), first_hole() and unknown().
void bind_query(pybind11::module_& m);
