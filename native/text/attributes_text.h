// A page's attributes in words.
#pragma once

#include <string>

#include "space/attributes.h"

namespace ptmap {

/// "user read exec, 4K, WB": rights and "global", page size, memory type.
std::string page_words(const PageAttributes& page);

}  // namespace ptmap
