// The part of ptmap._core that stores maps.
#pragma once

#include <pybind11/pybind11.h>

/// Adds write_snapshot() and read_snapshot().
void bind_snapshot(pybind11::module_& m);
