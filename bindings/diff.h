// The part of ptmap._core that compares.
#pragma once

#include <pybind11/pybind11.h>

/// Adds diff() and share().
void bind_diff(pybind11::module_& m);
