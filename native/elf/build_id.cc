#include "elf/build_id.h"

#include <string_view>

#include "elf/elf_file.h"

namespace ptmap::elf {
namespace {

constexpr std::size_t longest_build_id = 64, most_note_bytes = 1 << 20;
constexpr std::string_view note_owner("GNU\0", 4);

std::optional<BuildId> build_id_among(Elf_Data& notes, std::uint64_t start) {
    const std::string_view bytes(static_cast<const char*>(notes.d_buf), notes.d_size);
    GElf_Nhdr note;
    std::size_t at = 0, name = 0, content = 0;
    while (at < bytes.size() && (at = gelf_getnote(&notes, at, &note, &name, &content)) != 0) {
        if (note.n_type != NT_GNU_BUILD_ID || note.n_namesz != note_owner.size() ||
            bytes.substr(name, note_owner.size()) != note_owner || note.n_descsz == 0 ||
            note.n_descsz > longest_build_id)
            continue;
        return BuildId{start + content, std::string(bytes.substr(content, note.n_descsz))};
    }
    return std::nullopt;
}

}  // namespace

std::optional<BuildId> build_id(int file) {
    const FileHandle elf = open_elf_file(file);
    for (Elf_Scn* at = elf_nextscn(elf.get(), nullptr); at; at = elf_nextscn(elf.get(), at)) {
        GElf_Shdr header;
        if (!gelf_getshdr(at, &header) || header.sh_type != SHT_NOTE ||
            header.sh_size > most_note_bytes)
            continue;
        Elf_Data* const notes = elf_getdata(at, nullptr);
        if (!notes || !notes->d_buf) continue;
        if (auto found = build_id_among(*notes, header.sh_addr)) return found;
    }
    return std::nullopt;
}

}  // namespace ptmap::elf
