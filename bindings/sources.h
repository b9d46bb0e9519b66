// The part of ptmap._core that reads physical memory natively.
#pragma once

#include <pybind11/pybind11.h>

/// Adds what dump.h and flat_file.h have.
void bind_dump(pybind11::module_& m);

/// Adds every native source.
void bind_sources(pybind11::module_& m);

/// Adds QemuProcess and RamFile.
void bind_qemu_process(pybind11::module_& m);
