// A range as a row of numbers.
#pragma once

#include <cstdint>

#include "space/map.h"

/// Its flags: bits 0 to 2 rights, 3 global, 4 read, 8 to 11 page sizes, 16 and up the memory type.
std::uint64_t row_flags(const ptmap::Range& range);
