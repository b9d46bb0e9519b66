// Pieces of what is rendered: numbers, sizes, members of JSON objects.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ptmap {

/// "0x00001000": hexadecimal, of so many digits at least.
void put_hex(std::string& out, std::uint64_t value, unsigned digits = 1);

/// "612K", "1G": the largest unit that divides it.
std::string size_text(std::uint64_t bytes);

/// The members of a JSON object that is being written: each begins with its comma, the first after
/// a brace with none.
void put_key(std::string& out, std::string_view key);
void put_hex_member(std::string& out, std::string_view key, std::uint64_t value);
void put_number_member(std::string& out, std::string_view key, std::uint64_t value);
void put_bool_member(std::string& out, std::string_view key, bool value);
/// Of a string that may hold anything: what is not printable ASCII becomes "?".
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

}  // namespace ptmap
