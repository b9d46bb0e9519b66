#include "core/text.h"

#include <array>
#include <charconv>

namespace ptmap {

void put_hex(std::string& out, std::uint64_t value, unsigned digits) {
    std::array<char, 16> text;
    const char* const end = std::to_chars(text.data(), text.data() + text.size(), value, 16).ptr;
    const auto length = static_cast<unsigned>(end - text.data());
    out += "0x";
    out.append(digits > length ? digits - length : 0, '0');
    out.append(text.data(), length);
}

std::string size_text(std::uint64_t bytes) {
    static constexpr std::string_view units = "BKMGTPE";
    std::size_t unit = 0;
    for (; bytes && bytes % 1024 == 0 && unit + 1 < units.size(); ++unit) bytes /= 1024;
    return std::to_string(bytes) + units[unit];
}

void put_key(std::string& out, std::string_view key) {
    out.append(out.ends_with('{') ? "\"" : ", \"").append(key).append("\": ");
}

void put_hex_member(std::string& out, std::string_view key, std::uint64_t value) {
    put_key(out, key);
    out += '"';
    put_hex(out, value);
    out += '"';
}

void put_number_member(std::string& out, std::string_view key, std::uint64_t value) {
    put_key(out, key);
    out += std::to_string(value);
}

void put_bool_member(std::string& out, std::string_view key, bool value) {
    put_key(out, key);
    out += value ? "true" : "false";
}

void put_text_member(std::string& out, std::string_view key, std::string_view text) {
    put_key(out, key);
    out += '"';
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += c >= ' ' && c <= '~' ? c : '?';
    }
    out += '"';
}

}  // namespace ptmap
