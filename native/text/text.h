// Pieces of what is rendered: numbers, sizes, members of JSON objects; and a text with what its
// characters are.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "paging/pulse.h"

namespace ptmap {

// A million lines are made of the functions that are [[gnu::flatten]] where they are defined: the
// library's appends are inlined into them, however much is compiled along with them.

/// "0x00001000": hexadecimal, of so many digits at least.
void put_hex(std::string& out, std::uint64_t value, unsigned digits = 1);
std::string hex(std::uint64_t value, unsigned digits = 1);

/// "612K", "1G": the largest unit that divides it.
std::string size_text(std::uint64_t bytes);

/// "4 KiB", "1 GiB", "12 bytes": the same in words.
std::string size_words(std::uint64_t bytes);

/// "4K", "15.9T": five characters at most, rounded.
std::string short_size(std::uint64_t bytes);

/// "1 table", "12 tables"; `many` where an "s" does not make it.
std::string plural(std::uint64_t count, std::string_view noun, std::string_view many = {});

/// Adds spaces until `text` has so many characters: behind it, or before it.
std::string left(std::string_view text, std::size_t width);
std::string right(std::string_view text, std::size_t width);

/// A JSON string that may hold anything: what is not printable ASCII becomes "?".
void put_quoted(std::string& out, std::string_view text);

/// The members of a JSON object that is being written: each begins with its comma, the first after
/// a brace with none.
void put_key(std::string& out, std::string_view key);
void put_hex_member(std::string& out, std::string_view key, std::uint64_t value);
void put_number_member(std::string& out, std::string_view key, std::uint64_t value);
void put_bool_member(std::string& out, std::string_view key, bool value);
void put_text_member(std::string& out, std::string_view key, std::string_view text);

/// A list of strings of our own; `each` calls what it is given with one after the other.
template <typename Each>
void put_words_member(std::string& out, std::string_view key, Each each) {
    put_key(out, key);
    const char* before = "[\"";
    each([&](std::string_view word) {
        out.append(before).append(word) += '"';
        before = ", \"";
    });
    out += *before == '[' ? "[]" : "]";
}

/// What a part of a text is. Colour can follow it, so that no text needs to be parsed.
enum class TextRole : std::uint8_t { plain, address, rights, label, heading, reason };
inline constexpr std::array<std::string_view, 6> text_role_names{"plain", "address", "rights",
                                                                 "label", "heading", "reason"};

/// So many bytes of one role; neighbouring runs differ.
struct TextRun {
    TextRole role;
    std::size_t length;
    bool operator==(const TextRun&) const = default;
};

/// A text that is being written. If asked for, it notes beside the characters what they are; else
/// a role costs one comparison.
class Text {
public:
    explicit Text(bool with_roles = false) : with_roles_(with_roles) {}

    std::string out;  ///< what is appended here directly is plain

    /// What `put` appends to `out` has this role. What came before it stays as it is.
    template <std::invocable Put>
    void in(TextRole role, Put put) {
        const std::size_t begin = out.size();
        put();
        if (with_roles_) mark(role, begin);
    }
    void in(TextRole role, std::string_view text) {
        in(role, [&] { out += text; });
    }
    void address(std::uint64_t value, unsigned digits = 1) {
        in(TextRole::address, [&] { put_hex(out, value, digits); });
    }
    void rights(std::string_view text) { in(TextRole::rights, text); }
    void label(std::string_view text) { in(TextRole::label, text); }
    void heading(std::string_view text) { in(TextRole::heading, text); }
    void reason(std::string_view text) { in(TextRole::reason, text); }

    /// Drops what is behind the first `size` bytes.
    void cut(std::size_t size);

    /// Runs that cover all of `out`; none if roles were not asked for.
    std::span<const TextRun> runs() {
        if (with_roles_) mark(TextRole::plain, out.size());
        return runs_;
    }

    /// Begins anew.
    void clear() {
        out.clear();
        runs_.clear();
        covered_ = 0;
    }

private:
    void mark(TextRole role, std::size_t begin);
    void extend(TextRole role, std::size_t end);

    bool with_roles_;
    std::size_t covered_ = 0;  // of `out`, by runs_
    std::vector<TextRun> runs_;
};

/// Takes a long text piece by piece. One that takes runs as well is given those that cover the
/// piece; for any other none are made.
class Sink {
public:
    using Runs = std::span<const TextRun>;

    template <std::invocable<std::string_view> Take>
    Sink(Take take) : take_([take](std::string_view piece, Runs) mutable { take(piece); }) {}
    template <std::invocable<std::string_view, Runs> Take>
    Sink(Take take) : take_(std::move(take)), with_roles_(true) {}

    void take(std::string_view piece, Runs runs) const { take_(piece, runs); }
    bool with_roles() const { return with_roles_; }

private:
    std::function<void(std::string_view piece, Runs runs)> take_;
    bool with_roles_ = false;
};

/// A long text on its way to a Sink: pieces of some 64 KiB, and a Pulse after each, with how many
/// lines there are.
class Pieces : public Text {
public:
    Pieces(const Sink& sink, const Pulse& pulse)
        : Text(sink.with_roles()), sink_(sink), pulse_(pulse) {
        out.reserve(2 * piece);
    }

    /// Another line, or element of a list, is whole.
    void next() {
        ++done_;
        if (out.size() < piece) return;
        end();
        if (pulse_) pulse_(done_);
    }
    /// The text is whole.
    void end() {
        if (!out.empty()) sink_.take(out, runs());
        clear();
    }

private:
    static constexpr std::size_t piece = 65536;

    const Sink& sink_;
    const Pulse& pulse_;
    std::size_t done_ = 0;
};

}  // namespace ptmap
