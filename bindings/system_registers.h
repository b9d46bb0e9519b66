// GDTR, IDTR, LDTR and TR as Python gives them: (base, limit), and (base, limit, selector, flags).
#pragma once

#include <cstdint>
#include <tuple>

#include "arch/system_registers.h"

using TableTuple = std::tuple<std::uint64_t, std::uint32_t>;
using SegmentTuple = std::tuple<std::uint64_t, std::uint32_t, std::uint32_t, std::uint32_t>;

inline ptmap::TableRegister table_of(const TableTuple& given) {
    const auto& [base, limit] = given;
    return {{base}, limit};
}

inline ptmap::SystemSegment segment_of(const SegmentTuple& given) {
    const auto& [base, limit, selector, flags] = given;
    return {{base}, limit, selector, static_cast<std::uint8_t>(flags >> 8 & 0xF)};
}
