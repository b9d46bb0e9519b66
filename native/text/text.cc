#include "text/text.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace ptmap {
namespace {

// Divides `bytes` by 1024 as often as possible, and returns how often.
std::size_t divide(std::uint64_t& bytes) {
    std::size_t unit = 0;
    for (; bytes && bytes % 1024 == 0; ++unit) bytes /= 1024;
    return unit;
}

constexpr std::string_view unit_letters = "BKMGTPE";

}  // namespace

[[gnu::flatten]] void put_hex(std::string& out, std::uint64_t value, unsigned digits) {
    std::array<char, 16> text;
    const char* const end = std::to_chars(text.data(), text.data() + text.size(), value, 16).ptr;
    const auto length = static_cast<unsigned>(end - text.data());
    out += "0x";
    out.append(digits > length ? digits - length : 0, '0');
    out.append(text.data(), length);
}

std::string hex(std::uint64_t value, unsigned digits) {
    std::string text;
    put_hex(text, value, digits);
    return text;
}

std::string size_text(std::uint64_t bytes) {
    const std::size_t unit = divide(bytes);
    return std::to_string(bytes) + unit_letters[unit];
}

std::string size_words(std::uint64_t bytes) {
    static constexpr std::array<std::string_view, unit_letters.size()> units{
        " bytes", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"};
    const std::size_t unit = divide(bytes);
    return std::to_string(bytes).append(units[unit]);
}

std::string short_size(std::uint64_t bytes) {
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    for (; value >= 1023.5 && unit + 1 < unit_letters.size(); ++unit) value /= 1024;
    const int decimals = value == std::floor(value) || value >= 100 ? 0 : 1;
    std::array<char, 32> text;
    char* const end = std::to_chars(text.data(), text.data() + text.size(), value,
                                    std::chars_format::fixed, decimals)
                          .ptr;
    return std::string(text.data(), end) + unit_letters[unit];
}

std::string plural(std::uint64_t count, std::string_view noun, std::string_view many) {
    std::string text = std::to_string(count) + ' ';
    if (count == 1 || many.empty()) text += noun;
    if (count != 1) text += many.empty() ? "s" : many;
    return text;
}

std::string left(std::string_view text, std::size_t width) {
    std::string padded(text);
    padded.resize(std::max(width, padded.size()), ' ');
    return padded;
}

std::string right(std::string_view text, std::size_t width) {
    return std::string(width - std::min(width, text.size()), ' ').append(text);
}

[[gnu::flatten]] void put_quoted(std::string& out, std::string_view text) {
    out += '"';
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += c >= ' ' && c <= '~' ? c : '?';
    }
    out += '"';
}

[[gnu::flatten]] void put_key(std::string& out, std::string_view key) {
    out.append(out.ends_with('{') ? "\"" : ", \"").append(key).append("\": ");
}

[[gnu::flatten]] void put_hex_member(std::string& out, std::string_view key, std::uint64_t value) {
    put_key(out, key);
    out += '"';
    put_hex(out, value);
    out += '"';
}

[[gnu::flatten]] void put_number_member(std::string& out, std::string_view key,
                                        std::uint64_t value) {
    put_key(out, key);
    out += std::to_string(value);
}

[[gnu::flatten]] void put_bool_member(std::string& out, std::string_view key, bool value) {
    put_key(out, key);
    out += value ? "true" : "false";
}

[[gnu::flatten]] void put_text_member(std::string& out, std::string_view key,
                                      std::string_view text) {
    put_key(out, key);
    put_quoted(out, text);
}

void Text::cut(std::size_t size) {
    if (size >= out.size()) return;
    out.resize(size);
    for (; covered_ > size && covered_ - size >= runs_.back().length; runs_.pop_back())
        covered_ -= runs_.back().length;
    if (covered_ <= size) return;
    runs_.back().length -= covered_ - size;
    covered_ = size;
}

// From `begin` to the end.
void Text::mark(TextRole role, std::size_t begin) {
    extend(TextRole::plain, begin);
    extend(role, out.size());
}

// Runs cover `end` bytes from now on.
void Text::extend(TextRole role, std::size_t end) {
    if (end <= covered_) return;
    if (!runs_.empty() && runs_.back().role == role)
        runs_.back().length += end - covered_;
    else
        runs_.push_back({role, end - covered_});
    covered_ = end;
}

}  // namespace ptmap
