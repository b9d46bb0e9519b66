#include "sources.h"

void bind_sources(pybind11::module_&) {}
