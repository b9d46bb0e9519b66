#include "elf/elf_file.h"

#include <stdexcept>

namespace ptmap::elf {

FileHandle try_open_elf_file(int file) {
    elf_version(EV_CURRENT);
    FileHandle elf(elf_begin(file, ELF_C_READ, nullptr));
    if (elf && elf_kind(elf.get()) != ELF_K_ELF) elf.reset();
    return elf;
}

FileHandle open_elf_file(int file) {
    FileHandle elf = try_open_elf_file(file);
    if (!elf) throw std::invalid_argument("not an ELF file");
    return elf;
}

}  // namespace ptmap::elf
