#include "elf/file.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace ptmap::elf {
namespace {

using Error = std::invalid_argument;

constexpr std::uint64_t page = 4096;
// Linux's vDSOs have 4 or 5 segments and 17 sections, an ordinary library some 12 and 30.
constexpr unsigned max_segments = 64, max_sections = 256;

bool within(std::uint64_t offset, std::uint64_t size, std::uint64_t end) {
    return contains({0, end}, {offset, size});
}

// Removes the table of sections from an image, whose header is an Ehdr.
template <typename Ehdr>
void hide_section_headers(void* image) {
    Ehdr header;
    std::memcpy(&header, image, sizeof header);
    header.e_shoff = 0;
    header.e_shnum = 0;
    header.e_shstrndx = SHN_UNDEF;
    std::memcpy(image, &header, sizeof header);
}

Abi abi_of(unsigned char elf_class, unsigned machine) {
    if (elf_class == ELFCLASS64 && machine == EM_X86_64) return Abi::bits64;
    if (elf_class == ELFCLASS32 && machine == EM_386) return Abi::bits32;
    if (elf_class == ELFCLASS32 && machine == EM_X86_64) return Abi::x32;
    throw Error("an ELF image, but not for x86");
}

// What must hold before libelf may see the image at all: it takes archives, too.
void check_ident(std::span<const std::byte> bytes) {
    if (bytes.size() < SELFMAG || std::memcmp(bytes.data(), ELFMAG, SELFMAG) != 0)
        throw Error("not an ELF image: it does not begin with the ELF magic number");
    if (bytes.size() < EI_NIDENT) throw Error("the ELF header is cut off");
    const auto ident = [&](int i) { return std::to_integer<unsigned>(bytes[i]); };
    if (ident(EI_CLASS) != ELFCLASS32 && ident(EI_CLASS) != ELFCLASS64)
        throw Error("the ELF header is damaged: neither 32 nor 64 bits");
    if (ident(EI_DATA) != ELFDATA2LSB) throw Error("an ELF image, but not little-endian");
    if (ident(EI_VERSION) != EV_CURRENT)
        throw Error("the ELF header is damaged: its version is not known");
}

unsigned alignment(Elf_Type type, bool is_64) {
    switch (type) {
        case ELF_T_BYTE: return 1;
        case ELF_T_HALF: return 2;
        case ELF_T_SYM:
        case ELF_T_DYN: return is_64 ? 8 : 4;
        case ELF_T_NHDR8: return 8;
        default: return 4;
    }
}

}  // namespace

File::File(std::span<const std::byte> bytes)
    : given_(std::min<std::uint64_t>(bytes.size(), max_image_size)) {
    check_ident(bytes);
    storage_.resize(given_ / sizeof storage_[0] + 1);
    std::memcpy(storage_.data(), bytes.data(), given_);
    elf_version(EV_CURRENT);
    const GElf_Ehdr header = read_header();
    const std::uint64_t table = std::uint64_t{header.e_shnum} * header.e_shentsize;
    // libelf must not look at a table whose size is not certain.
    const bool whole =
        !section_table_damaged_ && table > 0 && within(header.e_shoff, table, given_);
    if (!whole) hide_sections();
    elf_ = open(given_);
    read_segments(header);
    if (whole) read_sections(header);
}

FileHandle File::open(std::uint64_t size) {
    FileHandle elf(elf_memory(reinterpret_cast<char*>(storage_.data()), size));
    if (!elf || elf_kind(elf.get()) != ELF_K_ELF) throw Error("libelf cannot read this ELF image");
    return elf;
}

// Reads the header alone first, so that everything that it says about the rest is checked.
GElf_Ehdr File::read_header() {
    const auto* ident = reinterpret_cast<const unsigned char*>(storage_.data());
    const bool is_64 = ident[EI_CLASS] == ELFCLASS64;
    const std::uint64_t header_size = is_64 ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr);
    if (given_ < header_size) throw Error("the ELF header is cut off");
    const FileHandle alone = open(header_size);
    GElf_Ehdr header;
    if (!gelf_getehdr(alone.get(), &header)) throw Error("libelf cannot read the ELF header");
    abi_ = abi_of(ident[EI_CLASS], header.e_machine);
    if (header.e_type != ET_DYN) throw Error("an ELF image, but not a shared object");
    const std::uint64_t segment_size = is_64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
    const std::uint64_t section_size = is_64 ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr);
    if (header.e_version != EV_CURRENT || header.e_ehsize != header_size ||
        header.e_phentsize != segment_size)
        throw Error("the ELF header is damaged");
    if (header.e_phnum == 0 || header.e_phnum > max_segments)
        throw Error("the ELF header is damaged: no program headers, or too many");
    if (!within(header.e_phoff, header.e_phnum * segment_size, given_) || header.e_phoff % 4)
        throw Error("the program headers are not within the image's bytes");
    headers_end_ = header.e_phoff + header.e_phnum * segment_size;

    if (header.e_shoff == 0 && header.e_shnum == 0) return header;
    const std::uint64_t table = header.e_shnum * section_size;
    section_table_damaged_ = header.e_shoff % 4 || header.e_shnum == 0 ||
                             header.e_shnum > max_sections || header.e_shentsize != section_size ||
                             header.e_shoff < header_size ||
                             !within(header.e_shoff, table, max_image_size);
    if (!section_table_damaged_) section_table_end_ = header.e_shoff + table;
    return header;
}

void File::hide_sections() {
    if (abi_ == Abi::bits64)
        hide_section_headers<Elf64_Ehdr>(storage_.data());
    else
        hide_section_headers<Elf32_Ehdr>(storage_.data());
}

void File::read_segments(const GElf_Ehdr& header) {
    for (int i = 0; i < header.e_phnum; ++i) {
        GElf_Phdr segment;
        if (!gelf_getphdr(elf_.get(), i, &segment))
            throw Error("libelf cannot read the program headers");
        segments_.push_back(segment);
    }
    const auto first = std::ranges::find(segments_, GElf_Word{PT_LOAD}, &GElf_Phdr::p_type);
    if (first == segments_.end()) throw Error("an ELF image with no segment to load");
    if (first->p_offset != 0) throw Error("the first segment does not hold the ELF header");
    base_ = first->p_vaddr;
    if (base_ % page) throw Error("the first segment is not at a page's beginning");
    for (const GElf_Phdr& segment : segments_) {
        if (segment.p_type != PT_LOAD && segment.p_type != PT_DYNAMIC) continue;
        if (segment.p_vaddr - base_ != segment.p_offset)
            throw Error("its segments are not in memory as they are in the file");
        if (!within(segment.p_offset, segment.p_filesz, max_image_size))
            throw Error("a segment ends beyond 1 MiB: damaged, or not a vDSO");
    }
}

void File::read_sections(const GElf_Ehdr& header) {
    for (std::size_t i = 0; i < header.e_shnum; ++i) {
        GElf_Shdr section;
        Elf_Scn* scn = elf_getscn(elf_.get(), i);
        if (!scn || !gelf_getshdr(scn, &section)) return sections_.clear();
        sections_.push_back(section);
    }
}

std::uint64_t File::size(Problems& problems) const {
    std::uint64_t end = section_table_end_;
    bool damaged = section_table_damaged_;
    for (const GElf_Phdr& segment : segments_)
        if (segment.p_type == PT_LOAD) end = std::max(end, segment.p_offset + segment.p_filesz);
    for (const GElf_Shdr& section : sections_) {
        if (section.sh_type == SHT_NULL || section.sh_type == SHT_NOBITS) continue;
        if (within(section.sh_offset, section.sh_size, max_image_size))
            end = std::max(end, section.sh_offset + section.sh_size);
        else
            damaged = true;
    }
    // If the table's page is missing (zeros), all entries are null; in a real one only the first
    // is.
    const auto none = [](const GElf_Shdr& s) { return s.sh_type == SHT_NULL; };
    damaged |= sections_.size() > 1 && std::ranges::all_of(sections_, none);
    if (end > given_) problems.add("its end is missing");
    if (damaged) problems.add("section headers are damaged or missing");
    return end;
}

std::uint64_t File::entry_size(Elf_Type type) const {
    return gelf_fsize(elf_.get(), type, 1, EV_CURRENT);
}

Elf_Data* File::chunk(std::uint64_t offset, std::uint64_t size, Elf_Type type) const {
    if (size == 0 || !within(offset, size, given_)) return nullptr;
    if (offset % alignment(type, abi_ == Abi::bits64)) return nullptr;
    return elf_getdata_rawchunk(elf_.get(), static_cast<std::int64_t>(offset), size, type);
}

}  // namespace ptmap::elf
