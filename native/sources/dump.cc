#include "sources/dump.h"

#include <array>
#include <string_view>

#include "sources/flattened.h"

namespace ptmap {
namespace {

constexpr std::string_view elf_magic =
    "\x7f"
    "ELF";
constexpr std::string_view kdump_magic = "KDUMP   ";

std::unique_ptr<Dump> open_any(std::shared_ptr<InputFile> file, bool may_be_flattened) {
    std::array<char, 16> bytes{};
    const std::size_t there = file->read(0, std::as_writable_bytes(std::span(bytes)));
    const std::string_view begin(bytes.data(), there);
    if (begin.starts_with(elf_magic)) return open_elf_dump(std::move(file));
    if (begin.starts_with(kdump_magic)) return open_kdump(std::move(file));
    if (may_be_flattened && is_flattened(std::as_bytes(std::span(begin))))
        return open_any(rearranged(*file), false);
    throw FileError(begin.empty() ? "it is empty" : "neither an ELF core nor a kdump file");
}

}  // namespace

std::unique_ptr<Dump> open_dump(const std::string& path) {
    return open_any(std::make_shared<InputFile>(path), true);
}

}  // namespace ptmap
