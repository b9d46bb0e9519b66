#include "arch/formats.h"

#include <cassert>

namespace ptmap {

const Format& format_of(Mode mode) {
    switch (mode) {
        case Mode::off: break;
        case Mode::bits32: return formats::bits32;
        case Mode::pae: return formats::pae;
        case Mode::level4: return formats::level4;
        case Mode::level5: return formats::level5;
    }
    assert(mode != Mode::off);
    return formats::bits32;
}

Mode mode_of(const Format& format) { return mode_named(format.name).value_or(Mode::off); }

}  // namespace ptmap
