#include "vector_file.h"

#include <algorithm>
#include <charconv>
#include <sstream>

namespace ptmap {
namespace {

class Reader {
public:
    Reader(std::istream& in, const std::string& file) : in_(in), file_(file) {}

    std::vector<VectorCase> run() {
        std::string text;
        while (std::getline(in_, text)) {
            ++line_;
            std::istringstream words(text);
            std::string word;
            if (!(words >> word) || word[0] == '#') continue;
            const bool indented = text[0] == ' ';
            if (!indented && word == "case")
                begin_case(rest(words));
            else if (cases_.empty())
                fail("'" + word + "' before the first case");
            else if (indented)
                detail(word, words);
            else if (word == "mode")
                mode(rest(words));
            else if (word == "registers")
                registers(words);
            else if (word == "entry")
                entry(rest(words));
            else if (word == "va")
                question(rest(words));
            else
                fail("unknown word '" + word + "'");
        }
        end_case();
        return std::move(cases_);
    }

private:
    [[noreturn]] void fail(const std::string& why) const {
        throw VectorError(file_ + ":" + std::to_string(line_) + ": " + why);
    }

    static std::string rest(std::istream& words) {
        std::string text;
        std::getline(words >> std::ws, text);
        text.erase(text.find_last_not_of(" \r") + 1);
        return text;
    }

    std::uint64_t number(std::string_view text) const {
        const bool hex = text.starts_with("0x");
        if (hex) text.remove_prefix(2);
        std::uint64_t value = 0;
        const char* const end = text.data() + text.size();
        const auto [stop, error] = std::from_chars(text.data(), end, value, hex ? 16 : 10);
        if (error != std::errc() || stop != end || text.empty())
            fail("'" + std::string(text) + "' is not a number");
        return value;
    }

    // "left SEPARATOR right", both without blanks around them.
    std::pair<std::string, std::string> halves(const std::string& text, char separator) const {
        const auto at = text.find(separator);
        if (at == std::string::npos) fail(std::string("no '") + separator + "' in '" + text + "'");
        const auto trim = [](std::string part) {
            part.erase(part.find_last_not_of(' ') + 1);
            return part.erase(0, std::min(part.find_first_not_of(' '), part.size()));
        };
        return {trim(text.substr(0, at)), trim(text.substr(at + 1))};
    }

    VectorCase& now() { return cases_.back(); }

    void begin_case(const std::string& name) {
        end_case();
        if (name.empty()) fail("a case has a name");
        if (std::ranges::any_of(cases_, [&](const auto& c) { return c.name == name; }))
            fail("there is a case '" + name + "' already");
        cases_.push_back({.file = file_, .line = line_, .name = name});
    }

    void end_case() const {
        if (cases_.empty()) return;
        const VectorCase& last = cases_.back();
        if (last.mode == Mode::off) fail("case '" + last.name + "' has no mode");
        if (last.questions.empty()) fail("case '" + last.name + "' asks nothing");
        if (paging_mode(last.registers) != last.mode)
            fail("the registers of case '" + last.name + "' select " +
                 std::string(name(paging_mode(last.registers))));
    }

    void mode(const std::string& word) {
        const auto mode = mode_named(word);
        if (!mode || *mode == Mode::off) fail("no mode '" + word + "'");
        now().mode = *mode;
    }

    void registers(std::istream& words) {
        std::string word;
        while (words >> word) {
            const auto [key, text] = halves(word, '=');
            const std::uint64_t value = number(text);
            ControlRegisters& r = now().registers;
            if (key == "cr0")
                r.cr0 = value;
            else if (key == "cr3")
                r.cr3 = value;
            else if (key == "cr4")
                r.cr4 = value;
            else if (key == "efer")
                r.efer = value;
            else if (key == "maxphyaddr")
                r.maxphyaddr = static_cast<unsigned>(value);
            else if (key == "pat")
                now().pat = value;
            else if (key == "pkru")
                now().state.pkru = static_cast<std::uint32_t>(value);
            else if (key == "ac")
                now().state.ac = value;
            else
                fail("unknown register '" + key + "'");
        }
    }

    void entry(const std::string& text) {
        const auto [place, raw] = halves(text, '=');
        const auto [table, index] = halves(place, '[');
        if (!index.ends_with(']')) fail("no ']' in '" + place + "'");
        if (now().mode == Mode::off) fail("mode comes before the entries");
        const bool narrow = now().mode == Mode::bits32;
        VectorCase::Entry e{number(table), number(raw),
                            static_cast<unsigned>(number(index.substr(0, index.size() - 1)))};
        if (e.index >= (narrow ? 1024 : 512)) fail("no index " + std::to_string(e.index));
        if (e.table >= vector_ram) fail("a table beyond the 16 MiB of RAM");
        if (narrow && e.raw >> 32) fail("an entry of more than 32 bits");
        if (std::ranges::any_of(now().entries, [&](const auto& other) {
                return other.table == e.table && other.index == e.index;
            }))
            fail("this entry is there already");
        now().entries.push_back(e);
    }

    void question(const std::string& text) {
        const auto [va, answer] = halves(text, ':');
        now().questions.push_back({line_, number(va), answer, {}});
    }

    void detail(const std::string& first, std::istream& words) {
        if (now().questions.empty()) fail("an indented line before the first va");
        auto& details = now().questions.back().details;
        if (first == "path" || first == "note") {
            details.push_back({line_, first, rest(words)});
            return;
        }
        const auto [question, answer] = halves(first + ' ' + rest(words), ':');
        static const std::string known[] = {"user read",   "user write",   "user fetch",
                                            "kernel read", "kernel write", "kernel fetch"};
        if (std::ranges::find(known, question) == std::end(known))
            fail("unknown question '" + question + "'");
        details.push_back({line_, question, answer});
    }

    std::istream& in_;
    const std::string& file_;
    int line_ = 0;
    std::vector<VectorCase> cases_;
};

}  // namespace

std::vector<VectorCase> read_vectors(std::istream& in, const std::string& file) {
    return Reader(in, file).run();
}

}  // namespace ptmap
