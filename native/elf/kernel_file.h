// What a Linux kernel's own ELF file, its vmlinux, says of itself.
#pragma once

#include <cstdint>
#include <string>

namespace ptmap::elf {

/// By link addresses: from where a kernel runs they differ by KASLR's offset.
struct KernelFile {
    std::uint64_t text, end;             ///< of the symbols _text and _end
    std::uint64_t init_begin, init_end;  ///< __init_begin and __init_end: freed after boot; or 0
    std::uint64_t banner_at;             ///< of linux_banner
    std::string banner;                  ///< its bytes without the newline: "Linux version ..."
    bool per_cpu_from_zero;              ///< whether .data..percpu is linked at 0
};

/// `file` is a descriptor open for reading. Only its section table, its symbols and these bytes are
/// read. Error: std::invalid_argument if it is no ELF file, or no Linux kernel with symbols.
KernelFile read_kernel_file(int file);

}  // namespace ptmap::elf
