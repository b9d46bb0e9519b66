// The part of ptmap._core that reads ELF images.
#pragma once

#include <pybind11/pybind11.h>

/// Adds read_elf() and what it returns.
void bind_elf(pybind11::module_& m);
