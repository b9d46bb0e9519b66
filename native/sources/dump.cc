#include "sources/dump.h"

#include <array>
#include <string_view>

namespace ptmap {
namespace {

constexpr std::string_view elf_magic =
    "\x7f"
    "ELF";
constexpr std::string_view kdump_magic = "KDUMP   ";
constexpr std::string_view flattened_magic{"makedumpfile\0\0\0\0", 16};

// The path as one word of a shell.
std::string quoted(const std::string& path) {
    constexpr std::string_view plain =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-";
    if (!path.empty() && path.find_first_not_of(plain) == std::string::npos) return path;
    std::string text = "'";
    for (const char c : path) text += c == '\'' ? "'\\''" : std::string(1, c);
    return text + "'";
}

}  // namespace

std::unique_ptr<Dump> open_dump(const std::string& path) {
    auto file = std::make_shared<InputFile>(path);
    std::array<char, 16> bytes{};
    const std::size_t there = file->read(0, std::as_writable_bytes(std::span(bytes)));
    const std::string_view begin(bytes.data(), there);
    if (begin.starts_with(elf_magic)) return open_elf_dump(std::move(file));
    if (begin.starts_with(kdump_magic)) return open_kdump(std::move(file));
    if (begin == flattened_magic)
        throw FileError(
            "a dump in makedumpfile's flattened form: rearrange it by `makedumpfile -R " +
            quoted(path + ".kdump") + " < " + quoted(path) + "`");
    throw FileError(begin.empty() ? "it is empty" : "neither an ELF core nor a kdump file");
}

}  // namespace ptmap
