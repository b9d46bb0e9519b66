// x86's paging formats, by mode.
#pragma once

#include "arch/registers.h"
#include "paging/format.h"

namespace ptmap {

/// The format of a mode, which must not be Mode::off.
const Format& format_of(Mode mode);

/// The mode of one of these formats; Mode::off for any other.
Mode mode_of(const Format& format);

namespace formats {
extern const Format bits32, pae, level4, level5;
}

}  // namespace ptmap
