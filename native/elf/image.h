// Reads an ELF image in memory, a vDSO, with elfutils' libelf.
//
// The bytes are a guest's: some may be missing (cut off, or zeros instead), all may be hostile. The
// work is bounded by their number. For a damaged image the answer is an error, or has less than
// that for the intact image, but nothing wrong: see Function.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ptmap::elf {

/// In bytes. A vDSO is not larger: Linux's have 1 to 3 pages.
inline constexpr std::size_t max_image_size = 1 << 20;

/// By the ELF header's class and machine.
enum class Abi : std::uint8_t { bits64, bits32, x32 };

/// "64-bit", "32-bit" or "x32".
std::string_view name(Abi abi);

/// A function that an image exports. Each hash table of the image finds it by its name, and all of
/// it is code by the segments and, if there are any, by the section headers. No two have the same
/// name.
///
/// Nothing in an image can confirm these, so they are as the bytes say: a function's place in the
/// code and its size; which of the defined versions it has; and, if DT_HASH is the only hash table,
/// its name, because that table has only a hash's remainder.
struct Function {
    std::string name;      ///< of A-Z a-z 0-9 _ . $ @, not empty
    std::uint64_t offset;  ///< from the image's first byte
    std::uint64_t size;    ///< bytes, not 0
    std::string version;   ///< "LINUX_2.6"; empty: it has none, or the version tables are damaged
    bool weak;
};

struct Image {
    Abi abi;
    std::uint64_t base;  ///< the link address of its first byte; a multiple of a page
    /// Bytes of the file by its headers: not rounded; more than were given if some are missing. At
    /// most max_image_size.
    std::uint64_t size;
    bool dynamic = false;               ///< there is a dynamic section that could be read
    std::string soname;                 ///< printable; empty: none, or damaged
    std::vector<std::byte> build_id;    ///< empty: none, or damaged
    std::vector<Function> functions;    ///< in the symbol table's order
    std::vector<std::string> problems;  ///< short phrases: what is missing or damaged, each once

    /// Whether it is a vDSO by its SONAME: linux-vdso.so.1, linux-gate.so.1 (32-bit Linux),
    /// FreeBSD's elf-vdso.so.1, lab-vdso.so.
    bool is_vdso() const;
};

/// Reads an image that begins with the first of these bytes. Error: std::invalid_argument, one
/// sentence, if they are not an x86 shared object that is in memory as it is in its file, or if
/// they contradict each other.
Image read(std::span<const std::byte> bytes);

}  // namespace ptmap::elf
