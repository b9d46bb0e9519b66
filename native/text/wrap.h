// Text in lines of a limited width.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace ptmap {

inline constexpr std::size_t screen_columns = 80;  ///< that text is wrapped to

struct WrapOptions {
    std::size_t width = screen_columns;
    std::size_t indent = 0;  ///< spaces before each line but the first
    bool break_long_words = true;
};

/// Lines without newlines. A line ends at spaces, or behind the hyphen of a hyphenated word; a word
/// that is longer than a line is broken, or stands alone. Spaces that begin the text stay, as do
/// several between two words of a line. Any white space is a space. It is what Python's
/// textwrap.wrap() does, for ASCII without tabs.
std::vector<std::string> wrap(std::string_view text, const WrapOptions& options = {});

}  // namespace ptmap
