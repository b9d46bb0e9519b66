#include "sources.h"

void bind_sources(pybind11::module_& m) {
    bind_dump(m);
    bind_qemu_process(m);
}
