// ptmap._core: the core for Python. It converts and decides nothing.
//
// Conventions: addresses and sizes are Python ints, modes, outcomes and reasons are the core's
// own words, memory is a PhysicalMemory or a callable (memory.h).
#include <pybind11/pybind11.h>

#include "bind.h"

// A class must be bound after its base class and after the types of its default values.
PYBIND11_MODULE(_core, m) {
    m.doc() = "ptmap's page-table walker; see the headers in native/.";
    bind_memory(m);
    bind_modes(m);
    bind_paging(m);
    bind_condition(m);
    bind_scan(m);
    bind_map(m);
    bind_text(m);
    bind_grid(m);
    bind_diff(m);
    bind_rows(m);
    bind_elf(m);
    bind_entry(m);
    bind_explanation(m);
    bind_registers(m);
    bind_snapshot(m);
    bind_find(m);
    bind_query(m);
    bind_kpti(m);
    bind_dump(m);
    bind_qemu_process(m);
    bind_vdso(m);
}
