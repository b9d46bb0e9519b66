// The three truths, for Python: True, False, and None for unknown.
#pragma once

#include <optional>

#include "space/attributes.h"

inline std::optional<bool> bool_of(ptmap::Truth truth) {
    if (truth == ptmap::Truth::unknown) return std::nullopt;
    return truth == ptmap::Truth::yes;
}

inline ptmap::Truth truth_of(std::optional<bool> known) {
    if (!known) return ptmap::Truth::unknown;
    return *known ? ptmap::Truth::yes : ptmap::Truth::no;
}
