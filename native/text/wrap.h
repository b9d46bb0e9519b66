// Text in lines of a limited width.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace ptmap {

inline constexpr std::size_t screen_columns = 80;  ///< text is wrapped to this width

struct WrapOptions {
    std::size_t width = screen_columns;
    std::size_t indent = 0;  ///< spaces before each line but the first
    bool break_long_words = true;
};

/// Lines without newlines. A line ends at spaces, or after the hyphen of a hyphenated word; a word
/// that is longer than a line is broken, or alone on its line. Spaces at the beginning of the text
/// stay, and so do several spaces between two words of a line. Any white space counts as a space.
/// The result is that of Python's textwrap.wrap(), for ASCII without tabs.
std::vector<std::string> wrap(std::string_view text, const WrapOptions& options = {});

}  // namespace ptmap
