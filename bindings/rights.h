// Rights as Python sees them wherever they are attributes of something.
#pragma once

#include <pybind11/pybind11.h>

#include "paging/rights.h"

/// Adds user, write and exec to a class; `rights_of(object)` are the core's.
template <typename Class, typename RightsOf>
void def_rights(pybind11::class_<Class>& c, RightsOf rights_of) {
    const auto def = [&](const char* name, ptmap::Rights right) {
        c.def_property_readonly(name, [rights_of, right](const Class& object) {
            return has(rights_of(object), right);
        });
    };
    def("user", ptmap::Rights::user);
    def("write", ptmap::Rights::write);
    def("exec", ptmap::Rights::exec);
}
