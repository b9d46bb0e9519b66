#include "text/wrap.h"

#include <algorithm>

namespace ptmap {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_word(char c) { return is_letter(c) || (c >= '0' && c <= '9'); }
bool is_word_or_mark(char c) {
    return is_word(c) || std::string_view("!\"'&.,?").find(c) != std::string_view::npos;
}

// The pieces of a text that may end a line: words, parts of hyphenated words, dashes and spaces.
class Chunks {
public:
    explicit Chunks(std::string_view text) : text_(text) {
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t end = end_of(at);
            all.push_back(text.substr(at, end - at));
            at = end;
        }
    }

    std::vector<std::string_view> all;

private:
    // Beyond the text is neither a letter nor a space.
    char at(std::size_t i) const { return i < text_.size() ? text_[i] : '\0'; }

    std::size_t end_of(std::size_t begin) const {
        if (text_[begin] == ' ') return std::min(text_.find_first_not_of(' ', begin), text_.size());
        if (const std::size_t end = end_of_dash(begin)) return end;
        std::size_t end = begin + 1;
        while (end < text_.size() && text_[end] != ' ') {
            if (is_hyphen(begin, end)) return end + 1;
            if (end_of_dash(end)) break;
            ++end;
        }
        return end;
    }

    // The end of "--" or more that joins two words; 0 if there is none.
    std::size_t end_of_dash(std::size_t begin) const {
        if (begin == 0 || !is_word_or_mark(text_[begin - 1]) || at(begin) != '-') return 0;
        const std::size_t end = std::min(text_.find_first_not_of('-', begin), text_.size());
        return end >= begin + 2 && is_word(at(end)) ? end : 0;
    }

    // Whether a hyphenated word has its hyphen here: two letters before and after it, of which one
    // may be a hyphen ("a-b-cd", "ab-c-d").
    bool is_hyphen(std::size_t begin, std::size_t i) const {
        if (at(i) != '-' || i < begin + 1 || i < 2) return false;
        const bool before =
            is_letter(at(i - 1)) &&
            (is_letter(at(i - 2)) || (i >= 3 && at(i - 2) == '-' && is_letter(at(i - 3))));
        const bool behind = is_letter(at(i + 1)) &&
                            (is_letter(at(i + 2)) || (at(i + 2) == '-' && is_letter(at(i + 3))));
        return before && behind;
    }

    std::string_view text_;
};

bool is_blank(std::string_view chunk) {
    return chunk.find_first_not_of(' ') == std::string_view::npos;
}

// How much of a word that is too long for any line fits `room` characters: up to its last hyphen if
// there is one.
std::size_t broken_at(std::string_view word, std::size_t room) {
    if (room == 0) return 0;
    const std::size_t hyphen = word.rfind('-', room - 1);
    const bool is_inside = hyphen != std::string_view::npos && word.find_first_not_of('-') < hyphen;
    if (is_inside) return hyphen + 1;
    std::size_t end = room;  // never within a character
    while (end < word.size() && (word[end] & 0xc0) == 0x80) ++end;
    return end;
}

}  // namespace

std::vector<std::string> wrap(std::string_view given, const WrapOptions& options) {
    std::string text(given);
    std::ranges::replace_if(
        text, [](char c) { return c >= '\t' && c <= '\r'; }, ' ');
    std::vector<std::string> lines;
    Chunks chunks(text);
    std::vector<std::string_view> line;
    for (auto next = chunks.all.begin(); next != chunks.all.end();) {
        const std::size_t indent = lines.empty() ? 0 : options.indent;
        const std::size_t room = options.width > indent ? options.width - indent : 1;
        if (!lines.empty() && is_blank(*next) && ++next == chunks.all.end()) break;
        line.clear();
        std::size_t length = 0;
        for (; next != chunks.all.end() && length + next->size() <= room; ++next) {
            line.push_back(*next);
            length += next->size();
        }
        if (next != chunks.all.end() && next->size() > room) {
            if (options.break_long_words) {
                const std::size_t end = broken_at(*next, room - length);
                line.push_back(next->substr(0, end));
                next->remove_prefix(end);
            } else if (line.empty()) {
                line.push_back(*next++);
            }
        }
        if (!line.empty() && is_blank(line.back())) line.pop_back();
        if (line.empty()) continue;
        lines.emplace_back(indent, ' ');
        for (const std::string_view chunk : line) lines.back() += chunk;
    }
    return lines;
}

}  // namespace ptmap
