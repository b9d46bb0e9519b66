#include "text/attributes_text.h"

#include "text/entry_text.h"

namespace ptmap {

std::string page_words(const PageAttributes& page) {
    std::string words = rights_words(page.attributes.rights);
    if (page.attributes.global) words += " global";
    each_size_name(page.page_size, [&](std::string_view size) { words.append(", ").append(size); });
    return words.append(", ").append(name(page.attributes.type));
}

}  // namespace ptmap
