// Parts of texts: numbers, sizes, members of JSON objects; and Text, which knows what its
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

// Functions that may make a million lines are [[gnu::flatten]]: the library's appends are inlined
// into them.

/// "0x00001000": hexadecimal, with at least `digits` digits.
void put_hex(std::string& out, std::uint64_t value, unsigned digits = 1);
std::string hex(std::uint64_t value, unsigned digits = 1);

/// "612K", "1G": the largest unit that divides it.
std::string size_text(std::uint64_t bytes);

/// "4 KiB", "1 GiB", "12 bytes": the same in words.
std::string size_words(std::uint64_t bytes);

/// "4K", "15.9T": five characters at most, rounded.
std::string short_size(std::uint64_t bytes);

/// "1 table", "12 tables"; `many` is the plural if it is not the noun and "s".
std::string plural(std::uint64_t count, std::string_view noun, std::string_view many = {});

/// Pads `text` with spaces to `width` characters: after it, or before it.
std::string left(std::string_view text, std::size_t width);
std::string right(std::string_view text, std::size_t width);

/// A JSON string of any text: characters that are not printable ASCII become "?".
void put_quoted(std::string& out, std::string_view text);

/// Writes a member of a JSON object. Each begins with its comma, except the first after a brace.
void put_key(std::string& out, std::string_view key);
void put_hex_member(std::string& out, std::string_view key, std::uint64_t value);
void put_number_member(std::string& out, std::string_view key, std::uint64_t value);
void put_bool_member(std::string& out, std::string_view key, bool value);
void put_text_member(std::string& out, std::string_view key, std::string_view text);

/// A list of strings without escapes; `each(put)` calls `put` with each of them.
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

/// What a part of a text is. Colour can follow it without parsing the text.
enum class TextRole : std::uint8_t { plain, address, rights, label, heading, reason };
inline constexpr std::array<std::string_view, 6> text_role_names{"plain", "address", "rights",
                                                                 "label", "heading", "reason"};

/// A run of `size` bytes with one role; neighbouring runs differ.
struct TextRun {
    TextRole role;
    std::size_t length;
    bool operator==(const TextRun&) const = default;
};

/// A text that is being written. If asked for it keeps the roles of its characters; else a role
/// costs one comparison.
class Text {
public:
    explicit Text(bool with_roles = false) : with_roles_(with_roles) {}

    std::string out;  ///< what is appended here directly is plain

    /// Gives this role to everything that `put` appends to `out`.
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

    /// Drops all but the first `size` bytes.
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

/// Takes a long text piece by piece. A Sink that takes runs gets those that cover the piece; for
/// others none are made.
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

/// A long text for a Sink, in pieces of some 64 KiB; after each a Pulse, by lines.
class Pieces : public Text {
public:
    Pieces(const Sink& sink, const Pulse& pulse)
        : Text(sink.with_roles()), sink_(sink), pulse_(pulse) {
        out.reserve(2 * piece);
    }

    /// Call it after each line, or element of a list.
    void next() {
        ++done_;
        if (out.size() < piece) return;
        end();
        if (pulse_) pulse_(done_);
    }
    /// Call it at the end of the text.
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
