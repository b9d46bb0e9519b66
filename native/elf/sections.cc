#include "elf/sections.h"

#include <stdexcept>

#include "elf/elf_file.h"

namespace ptmap::elf {
namespace {

std::invalid_argument failure() {
    const char* why = elf_errmsg(-1);
    return std::invalid_argument(why ? why : "not an ELF file");
}

}  // namespace

std::vector<Section> sections_in_memory(int file) {
    const FileHandle elf = open_elf_file(file);
    std::size_t names = 0;
    if (elf_getshdrstrndx(elf.get(), &names) != 0) throw failure();
    std::vector<Section> found;
    for (Elf_Scn* at = elf_nextscn(elf.get(), nullptr); at; at = elf_nextscn(elf.get(), at)) {
        GElf_Shdr header;
        if (!gelf_getshdr(at, &header)) throw failure();
        if (!(header.sh_flags & SHF_ALLOC)) continue;
        const char* const name = elf_strptr(elf.get(), names, header.sh_name);
        if (!name) throw failure();
        const bool has_memory = !(header.sh_flags & SHF_TLS) || header.sh_type != SHT_NOBITS;
        found.push_back({name, header.sh_addr, header.sh_size, (header.sh_flags & SHF_WRITE) != 0,
                         (header.sh_flags & SHF_EXECINSTR) != 0, has_memory});
    }
    return found;
}

}  // namespace ptmap::elf
