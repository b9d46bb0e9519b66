// libelf's handle.
#pragma once

#include <gelf.h>

#include <memory>

namespace ptmap::elf {

struct EndFile {
    void operator()(::Elf* elf) const { elf_end(elf); }
};
using FileHandle = std::unique_ptr<::Elf, EndFile>;

/// `file` is a descriptor open for reading; it is read where something is asked for, never mapped:
/// a file that gets shorter meanwhile would end GDB by SIGBUS. Error: std::invalid_argument.
FileHandle open_elf_file(int file);

/// The same; null if that is not an ELF file.
FileHandle try_open_elf_file(int file);

}  // namespace ptmap::elf
