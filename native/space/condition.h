// Conditions on attributes: "write+exec,user" and the like.
//
// A condition is a list of terms with commas between them: one of them must hold. A term is a list
// of words with plus signs between them: all of them must hold. "no-" before a word negates it. A
// word for a page size is about the pages of a range: "2M" holds if it has at least one 2 MiB page,
// "no-2M" if it has none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

#include "space/attributes.h"

namespace ptmap {

/// A condition, parsed.
struct Condition {
    std::vector<Wanted> terms;         ///< at least one
    std::vector<Rights> rights_asked;  ///< rights that the first term asks for, in its order
    std::vector<Rights> rights_named;  ///< rights that any word is about, in order; each once

    /// Whether a word is about page sizes ("2M", "large"). Then the ranges that it is asked of must
    /// have one size each.
    bool names_page_size() const;
};

/// Why a text is not a condition.
struct ConditionError {
    enum class What : std::uint8_t {
        unknown_word,  ///< a word that does not exist
        contradiction  ///< a term that never holds, because of its rights or "global"
    };
    What what;
    std::size_t offset, length;  ///< bytes in the text: of the word, or of the term
    bool operator==(const ConditionError&) const = default;
};

/// Parses a text of any bytes and any length; time and memory follow its length. The error is the
/// first one from the left.
std::variant<Condition, ConditionError> parse_condition(std::string_view text);

/// All words, for people. "no-" may also precede words that are not listed with it.
std::vector<std::string_view> condition_words();

}  // namespace ptmap
