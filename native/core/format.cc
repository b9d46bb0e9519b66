#include "core/format.h"

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
    assert(!"paging is off: no format");
    return formats::bits32;
}

}  // namespace ptmap
