// An interval in Python is a tuple, (first, last), both inclusive. Include this wherever one
// passes.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <utility>

#include "paging/interval.h"

namespace pybind11::detail {

template <typename Address>
struct type_caster<ptmap::IntervalOf<Address>> {
    PYBIND11_TYPE_CASTER(ptmap::IntervalOf<Address>, const_name("tuple[int, int]"));

    bool load(handle from, bool convert) {
        make_caster<std::pair<std::uint64_t, std::uint64_t>> pair;
        if (!pair.load(from, convert)) return false;
        const auto [first, last] = cast_op<std::pair<std::uint64_t, std::uint64_t>>(pair);
        value = {Address{first}, Address{last}};
        return true;
    }

    static handle cast(const ptmap::IntervalOf<Address>& interval, return_value_policy, handle) {
        const auto [first, last] = interval;
        if constexpr (std::is_integral_v<Address>)
            return make_tuple(first, last).release();
        else
            return make_tuple(first.value, last.value).release();
    }
};

}  // namespace pybind11::detail
