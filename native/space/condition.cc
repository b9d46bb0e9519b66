#include "space/condition.h"

#include <algorithm>
#include <array>
#include <optional>

namespace ptmap {
namespace {

// A word and its meaning.
struct Word {
    std::string_view word;
    Wanted says;
    std::optional<Wanted> negated;  // the meaning with "no-"; nothing if the word begins with "no-"
};

// clang-format off
constexpr Word plain_words[]{
    {"user",       {.rights_set   = Rights::user},  Wanted{.rights_clear = Rights::user}},
    {"supervisor", {.rights_clear = Rights::user},  Wanted{.rights_set   = Rights::user}},
    {"write",      {.rights_set   = Rights::write}, Wanted{.rights_clear = Rights::write}},
    {"read-only",  {.rights_clear = Rights::write}, Wanted{.rights_set   = Rights::write}},
    {"exec",       {.rights_set   = Rights::exec},  Wanted{.rights_clear = Rights::exec}},
    {"no-exec",    {.rights_clear = Rights::exec},  Wanted{.rights_set   = Rights::exec}},
    {"global",     {.global       = true},          Wanted{.global       = false}},
    {"no-global",  {.global       = false},         {}},
    {"large",      {.large        = true},          Wanted{.sizes_none   = large_pages}},
    {"no-large",   {.sizes_none   = large_pages},   {}},
};
// clang-format on

constexpr std::size_t types_with_a_word = memory_type_names.size() - 1;  // all but the invalid one

// Then page sizes and memory types, by their names.
constexpr auto vocabulary = [] {
    std::array<Word, std::size(plain_words) + page_shifts.size() + types_with_a_word> all{};
    auto next = std::ranges::copy(plain_words, all.begin()).out;
    for (const unsigned shift : page_shifts) {
        const PageSizes size = PageSizes::only(shift);
        *next++ = {page_size_name(shift), {.sizes_any = size}, Wanted{.sizes_none = size}};
    }
    for (std::size_t i = 0; i < types_with_a_word; ++i) {
        const MemoryTypes type = only(static_cast<MemoryType>(i));
        *next++ = {memory_type_names[i], {.types_set = type}, Wanted{.types_clear = type}};
    }
    return all;
}();

const Word* row_of(std::string_view word) {
    const auto* found = std::ranges::find(vocabulary, word, &Word::word);
    return found == vocabulary.end() ? nullptr : found;
}

// The meaning of a word, with its "no-"; null if there is no such word.
const Wanted* meaning(std::string_view word) {
    if (const Word* row = row_of(word)) return &row->says;
    if (!word.starts_with("no-")) return nullptr;
    const Word* row = row_of(word.substr(3));
    return row && row->negated ? &*row->negated : nullptr;
}

void add(std::vector<Rights>& rights, Rights right) {
    if (right != Rights::none && std::ranges::find(rights, right) == rights.end())
        rights.push_back(right);
}

// Calls `part(text between separators, its offset)` until it returns false.
template <typename Part>
bool split(std::string_view text, char separator, Part part) {
    for (std::size_t begin = 0;;) {
        const std::size_t end = std::min(text.find(separator, begin), text.size());
        if (!part(text.substr(begin, end - begin), begin)) return false;
        if (end == text.size()) return true;
        begin = end + 1;
    }
}

class Parser {
public:
    explicit Parser(std::string_view text) : text_(text) {}

    std::variant<Condition, ConditionError> parse() {
        const bool is_condition =
            split(text_, ',', [&](std::string_view term, std::size_t at) { return add(term, at); });
        if (!is_condition) return *error_;
        return std::move(condition_);
    }

private:
    bool add(std::string_view term, std::size_t at) {
        Wanted all;
        const auto contradicts = [&] {
            error_ = {ConditionError::What::contradiction, at, term.size()};
            return false;
        };
        const bool is_term = split(term, '+', [&](std::string_view word, std::size_t in_term) {
            const Wanted* one = meaning(word);
            if (!one) {
                error_ = {ConditionError::What::unknown_word, at + in_term, word.size()};
                return false;
            }
            ptmap::add(condition_.rights_named, one->rights_set | one->rights_clear);
            if (condition_.terms.empty()) ptmap::add(condition_.rights_asked, one->rights_set);
            return merge(all, *one) || contradicts();
        });
        if (!is_term) return false;
        if ((all.rights_set & all.rights_clear) != Rights::none) return contradicts();
        condition_.terms.push_back(all);
        return true;
    }

    // False if one says "global" and the other "no-global".
    static bool merge(Wanted& all, const Wanted& one) {
        if (all.global && one.global && *all.global != *one.global) return false;
        if (one.global) all.global = one.global;
        all.rights_set = all.rights_set | one.rights_set;
        all.rights_clear = all.rights_clear | one.rights_clear;
        all.sizes_any |= one.sizes_any;
        all.sizes_none |= one.sizes_none;
        all.large |= one.large;
        all.types_set |= one.types_set;
        all.types_clear |= one.types_clear;
        return true;
    }

    std::string_view text_;
    Condition condition_;
    std::optional<ConditionError> error_;
};

}  // namespace

bool Condition::names_page_size() const {
    return std::ranges::any_of(terms, [](const Wanted& w) {
        return w.large || w.sizes_any != PageSizes{} || w.sizes_none != PageSizes{};
    });
}

std::variant<Condition, ConditionError> parse_condition(std::string_view text) {
    return Parser(text).parse();
}

std::vector<std::string_view> condition_words() {
    std::vector<std::string_view> all;
    for (const Word& row : vocabulary) all.push_back(row.word);
    return all;
}

}  // namespace ptmap
