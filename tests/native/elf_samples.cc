#include "elf_samples.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>

namespace ptmap::elf {
namespace {

[[noreturn]] void die(const std::string& what) {
    std::fprintf(stderr, "elf_samples: %s\n", what.c_str());
    std::abort();
}

bool is_64(const Bytes& bytes) { return bytes[EI_CLASS] == std::byte{ELFCLASS64}; }

std::string string(const Bytes& bytes, std::size_t offset) {
    return reinterpret_cast<const char*>(bytes.data()) + offset;
}

template <typename Ehdr, typename Shdr>
std::vector<Section> sections_of(const Bytes& bytes) {
    const auto header = get<Ehdr>(bytes, 0);
    const auto at = [&](std::size_t i) {
        return get<Shdr>(bytes, header.e_shoff + i * sizeof(Shdr));
    };
    std::vector<Section> sections;
    for (std::size_t i = 0; i < header.e_shnum; ++i) {
        const std::size_t name = at(header.e_shstrndx).sh_offset + at(i).sh_name;
        sections.push_back({string(bytes, name), at(i).sh_type, at(i).sh_offset, at(i).sh_size});
    }
    return sections;
}

std::map<unsigned, std::string> version_names(const Bytes& bytes) {
    const std::size_t strings = section(bytes, ".dynstr").offset;
    std::map<unsigned, std::string> names;
    for (std::size_t at = section(bytes, ".gnu.version_d").offset;;) {
        const auto definition = get<Elf64_Verdef>(bytes, at);
        const auto name = get<Elf64_Verdaux>(bytes, at + definition.vd_aux).vda_name;
        if (!(definition.vd_flags & VER_FLG_BASE))
            names[definition.vd_ndx] = string(bytes, strings + name);
        if (definition.vd_next == 0) return names;
        at += definition.vd_next;
    }
}

template <typename Ehdr, typename Phdr, typename Sym>
std::vector<Known> functions_of(const Bytes& bytes) {
    const auto base = get<Phdr>(bytes, get<Ehdr>(bytes, 0).e_phoff).p_vaddr;
    const Section symbols = section(bytes, ".dynsym"), versions = section(bytes, ".gnu.version");
    const std::size_t strings = section(bytes, ".dynstr").offset;
    auto names = version_names(bytes);
    std::vector<Known> functions;
    for (std::size_t i = 1; i < symbols.size / sizeof(Sym); ++i) {
        const std::size_t place = symbols.offset + i * sizeof(Sym);
        const auto symbol = get<Sym>(bytes, place);
        if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC) continue;
        Known known{};
        known.name = string(bytes, strings + symbol.st_name);
        known.offset = symbol.st_value - base;
        known.size = symbol.st_size;
        known.version = names[get<std::uint16_t>(bytes, versions.offset + 2 * i)];
        known.weak = ELF64_ST_BIND(symbol.st_info) == STB_WEAK;
        known.index = i;
        known.symbol_offset = place;
        functions.push_back(known);
    }
    return functions;
}

template <typename Ehdr>
Bytes hide_sections(Bytes bytes) {
    auto header = get<Ehdr>(bytes, 0);
    header.e_shoff = 0;
    header.e_shnum = header.e_shstrndx = 0;
    put(bytes, 0, header);
    return bytes;
}

}  // namespace

Sample sample(const std::string& name) {
    std::ifstream file(std::string(PTMAP_ELF_SAMPLES "/") + name + ".so", std::ios::binary);
    const std::string content((std::istreambuf_iterator<char>(file)), {});
    if (content.empty()) die("no image " + name);
    Sample sample{name, Bytes(content.size())};
    std::memcpy(sample.bytes.data(), content.data(), content.size());
    return sample;
}

std::vector<Sample> samples() {
    std::vector<Sample> all{sample("64-prelinked")};
    for (const char* abi : {"64", "32", "x32"})
        for (const char* hash_style : {"both", "gnu", "sysv"})
            all.push_back(sample(std::string(abi) + "-" + hash_style));
    return all;
}

Bytes without_sections(const Sample& sample) {
    return sample.is_64() ? hide_sections<Elf64_Ehdr>(sample.bytes)
                          : hide_sections<Elf32_Ehdr>(sample.bytes);
}

std::vector<Section> sections(const Bytes& bytes) {
    return is_64(bytes) ? sections_of<Elf64_Ehdr, Elf64_Shdr>(bytes)
                        : sections_of<Elf32_Ehdr, Elf32_Shdr>(bytes);
}

Section section(const Bytes& bytes, const std::string& name) {
    for (const Section& section : sections(bytes))
        if (section.name == name) return section;
    die("no section " + name);
}

std::vector<Known> functions_by_sections(const Bytes& bytes) {
    return is_64(bytes) ? functions_of<Elf64_Ehdr, Elf64_Phdr, Elf64_Sym>(bytes)
                        : functions_of<Elf32_Ehdr, Elf32_Phdr, Elf32_Sym>(bytes);
}

}  // namespace ptmap::elf
