// The vocabulary of attributes: "write+exec,user" and the like.
//
// A condition is terms with a comma between them, of which one must hold. A term is words with a
// plus between them, which must all hold. "no-" before a word negates it. A word about page sizes
// is about what a range contains: "2M" is true of a range with at least one 2 MiB page, "no-2M" of
// one with none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

#include "space/attributes.h"

namespace ptmap {

/// A text of the vocabulary, parsed.
struct Condition {
    std::vector<Wanted> terms;         ///< at least one
    std::vector<Rights> rights_asked;  ///< that the first term says are there, as its words come
    std::vector<Rights> rights_named;  ///< that any word is about, as they come; each once
};

/// Why a text is no condition.
struct ConditionError {
    enum class What : std::uint8_t {
        unknown_word,  ///< a word that there is not
        contradiction  ///< a term that is never true, by what it says of rights or of "global"
    };
    What what;
    std::size_t offset, length;  ///< bytes in the text: of the word, or of the term
    bool operator==(const ConditionError&) const = default;
};

/// Reads a text of any bytes and of any length; time and memory follow its length. The error is
/// the first from the left.
std::variant<Condition, ConditionError> parse_condition(std::string_view text);

/// All words, as they are listed for people. "no-" goes before those too that are not listed with
/// it.
std::vector<std::string_view> condition_words();

}  // namespace ptmap
