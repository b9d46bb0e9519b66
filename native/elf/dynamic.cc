#include "elf/dynamic.h"

#include <algorithm>
#include <utility>

namespace ptmap::elf {
namespace {

// The tags that anybody asks for.
constexpr GElf_Sxword known_tags[] = {DT_SONAME, DT_SYMTAB,   DT_SYMENT, DT_STRTAB, DT_STRSZ,
                                      DT_HASH,   DT_GNU_HASH, DT_VERSYM, DT_VERDEF, DT_VERDEFNUM};

// Types of sections, each with the entry that has the section's address too.
constexpr std::pair<GElf_Word, GElf_Sxword> twins[] = {
    {SHT_DYNSYM, DT_SYMTAB},     {SHT_STRTAB, DT_STRTAB},     {SHT_HASH, DT_HASH},
    {SHT_GNU_HASH, DT_GNU_HASH}, {SHT_GNU_versym, DT_VERSYM}, {SHT_GNU_verdef, DT_VERDEF}};

// Whether the image has no section of this type in memory, or has one at this address.
bool agree(const File& file, GElf_Word type, std::uint64_t address) {
    bool any = false;
    for (const GElf_Shdr& section : file.sections()) {
        if (section.sh_type != type || !(section.sh_flags & SHF_ALLOC)) continue;
        if (section.sh_addr == address) return true;
        any = true;
    }
    return !any;
}

constexpr std::size_t max_string = 255;

}  // namespace

std::optional<Dynamic> Dynamic::read(const File& file, Problems& problems) {
    const auto is = [](const GElf_Phdr& s) { return s.p_type == PT_DYNAMIC; };
    const auto segment = std::ranges::find_if(file.segments(), is);
    if (segment == file.segments().end()) {
        problems.add("there is no dynamic section");
        return std::nullopt;
    }
    Dynamic dynamic;
    dynamic.base_ = file.base();
    if (std::ranges::count_if(file.segments(), is) > 1 || !dynamic.take_entries(file, *segment)) {
        problems.add("the dynamic section is damaged or missing");
        return std::nullopt;
    }
    if (!agree(file, SHT_DYNAMIC, segment->p_vaddr)) {
        problems.add("section headers contradict the dynamic section");
        return std::nullopt;
    }
    dynamic.drop_contradicted(file, problems);
    return dynamic;
}

// Whether the entries end with DT_NULL and none contradicts another.
bool Dynamic::take_entries(const File& file, const GElf_Phdr& segment) {
    const std::uint64_t size = file.entry_size(ELF_T_DYN);
    Elf_Data* data = file.chunk(segment.p_offset, segment.p_filesz, ELF_T_DYN);
    if (!data) return false;
    for (std::uint64_t i = 0; i < segment.p_filesz / size; ++i) {
        GElf_Dyn entry;
        if (!gelf_getdyn(data, static_cast<int>(i), &entry)) return false;
        if (entry.d_tag == DT_NULL) return i > 0;
        if (std::ranges::find(known_tags, entry.d_tag) == std::end(known_tags)) continue;
        const auto [known, is_new] = entries_.emplace(entry.d_tag, entry.d_un.d_val);
        if (!is_new && known->second != entry.d_un.d_val) return false;
    }
    return false;
}

void Dynamic::drop_contradicted(const File& file, Problems& problems) {
    for (const auto& [type, tag] : twins) {
        const auto address = value(tag);
        if (!address || agree(file, type, *address)) continue;
        entries_.erase(tag);
        problems.add("section headers contradict the dynamic section");
    }
}

std::optional<std::uint64_t> Dynamic::value(GElf_Sxword tag) const {
    const auto entry = entries_.find(tag);
    if (entry == entries_.end()) return std::nullopt;
    return entry->second;
}

// The kernel does not relocate a vDSO, so the image has link addresses.
std::optional<std::uint64_t> Dynamic::offset(GElf_Sxword tag) const {
    const auto address = value(tag);
    if (!address) return std::nullopt;
    return *address - base_;
}

Strings::Strings(const File& file, const Dynamic& dynamic) {
    const auto offset = dynamic.offset(DT_STRTAB), size = dynamic.value(DT_STRSZ);
    if (!offset || !size) return;
    const Elf_Data* data = file.chunk(*offset, *size, ELF_T_BYTE);
    if (!data) return;
    bytes_ = {static_cast<const char*>(data->d_buf), data->d_size};
    // Each string table begins and ends with a NUL; bytes at a wrong place hardly do.
    if (bytes_.front() != '\0' || bytes_.back() != '\0') bytes_ = {};
}

std::optional<std::string_view> Strings::at(std::uint64_t offset) const {
    if (offset >= bytes_.size()) return std::nullopt;
    const std::string_view rest = bytes_.substr(offset, max_string + 1);
    const std::size_t length = rest.find('\0');
    if (length == 0 || length == rest.npos) return std::nullopt;
    const std::string_view string = rest.substr(0, length);
    const auto printable = [](char c) { return c > ' ' && c <= '~'; };
    if (!std::ranges::all_of(string, printable)) return std::nullopt;
    return string;
}

bool Strings::begins_at(std::uint64_t offset) const {
    return offset > 0 && offset < bytes_.size() && bytes_[offset - 1] == '\0';
}

}  // namespace ptmap::elf
