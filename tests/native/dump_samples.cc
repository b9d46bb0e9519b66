#include "dump_samples.h"

#include <elf.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <fstream>

// libkdumpfile 0.5.1 leaks if it does not open a file, and its contexts are not freed. For every
// program with these dumps in it.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:libkdumpfile"; }

namespace ptmap {
namespace {

template <typename T>
void append(Bytes& to, const T& value) {
    const auto bytes = std::as_bytes(std::span(&value, 1));
    to.insert(to.end(), bytes.begin(), bytes.end());
}

template <typename T>
void put(Bytes& to, std::size_t at, T value) {
    std::memcpy(to.data() + at, &value, sizeof value);
}

void pad(Bytes& to, std::size_t alignment) {
    to.resize((to.size() + alignment - 1) / alignment * alignment);
}

void append_note(Bytes& to, std::uint32_t type, std::string_view name, const Bytes& contents) {
    append(to, Elf64_Nhdr{static_cast<Elf64_Word>(name.size() + 1),
                          static_cast<Elf64_Word>(contents.size()), type});
    for (const char letter : name) append(to, letter);
    append(to, '\0');
    pad(to, 4);
    to.insert(to.end(), contents.begin(), contents.end());
    pad(to, 4);
}

Bytes qemu_note(const SampleCpu& cpu) {
    Bytes note(0x1b8);
    put<std::uint32_t>(note, 0, 1);
    put<std::uint32_t>(note, 4, 0x1b8);
    put(note, 8 + 6 * 8, cpu.rsp);
    put(note, 8 + 16 * 8, cpu.rip);
    put(note, 8 + 17 * 8, cpu.rflags);
    const std::size_t segments = 8 + 18 * 8;
    const auto segment = [&](std::size_t index, std::uint32_t selector, std::uint32_t limit,
                             std::uint32_t flags, std::uint64_t base) {
        put(note, segments + index * 24, selector);
        put(note, segments + index * 24 + 4, limit);
        put(note, segments + index * 24 + 8, flags);
        put(note, segments + index * 24 + 16, base);
    };
    segment(0, 0x10, 0xffffffff, cpu.cs_flags, 0);         // CS
    segment(6, 0, 0, 0, 0);                                // LDTR
    segment(7, 0x40, 0x4087, 0x8900, 0xfffffe0000003000);  // TR
    segment(8, 0, 0x7f, 0, 0xfffffe0000001000);            // GDTR
    segment(9, 0, 0xfff, 0, 0xfffffe0000000000);           // IDTR
    const std::size_t cr = segments + 10 * 24;
    put(note, cr, cpu.cr0);
    put(note, cr + 16, cpu.cr2);
    put(note, cr + 24, cpu.cr3);
    put(note, cr + 32, cpu.cr4);
    return note;
}

// Runs of neighbouring pages.
std::vector<std::pair<std::uint64_t, std::uint64_t>> runs_of(std::vector<std::uint64_t> pages) {
    std::sort(pages.begin(), pages.end());
    std::vector<std::pair<std::uint64_t, std::uint64_t>> runs;
    for (const std::uint64_t page : pages) {
        if (!runs.empty() && runs.back().first + runs.back().second == page)
            runs.back().second += 4096;
        else
            runs.emplace_back(page, 4096);
    }
    return runs;
}

Bytes page_of(const SampleDump& dump, std::uint64_t address) {
    const auto other = dump.contents.find(address);
    return other == dump.contents.end() ? page_at(address) : other->second;
}

template <typename Ehdr, typename Phdr>
Bytes elf_of(const SampleDump& dump, unsigned char elf_class) {
    const Bytes notes = notes_of(dump);
    const auto runs = runs_of(dump.pages);
    Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = elf_class;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    header.e_type = ET_CORE;
    header.e_machine = dump.prstatus_64 ? EM_X86_64 : EM_386;
    header.e_version = EV_CURRENT;
    header.e_phoff = sizeof header;
    header.e_ehsize = sizeof header;
    header.e_phentsize = sizeof(Phdr);
    header.e_phnum = static_cast<decltype(header.e_phnum)>(1 + runs.size());
    Bytes file;
    append(file, header);
    const auto segment = [&](unsigned type, std::uint64_t offset, std::uint64_t at,
                             std::uint64_t size) {
        Phdr s{};
        s.p_type = type;
        s.p_offset = static_cast<decltype(s.p_offset)>(offset);
        s.p_paddr = static_cast<decltype(s.p_paddr)>(at);
        s.p_filesz = s.p_memsz = static_cast<decltype(s.p_filesz)>(size);
        append(file, s);
    };
    std::uint64_t offset = sizeof header + header.e_phnum * sizeof(Phdr);
    segment(PT_NOTE, offset, 0, notes.size());
    offset += notes.size();
    for (const auto& [at, size] : runs) {
        segment(PT_LOAD, offset, at, size);
        offset += size;
    }
    file.insert(file.end(), notes.begin(), notes.end());
    for (const auto& [at, size] : runs)
        for (std::uint64_t page = at; page < at + size; page += 4096) {
            const Bytes bytes = page_of(dump, page);
            file.insert(file.end(), bytes.begin(), bytes.end());
        }
    return file;
}

Bytes compressed(const Bytes& data) {
    uLongf size = compressBound(data.size());
    Bytes stream(size);
    compress(reinterpret_cast<Bytef*>(stream.data()), &size,
             reinterpret_cast<const Bytef*>(data.data()), data.size());
    stream.resize(size);
    return stream;
}

struct Descriptor {
    std::uint64_t offset;
    std::uint32_t size, flags;
    std::uint64_t page_flags;
};

}  // namespace

Bytes page_at(std::uint64_t address) {
    Bytes page(4096);
    for (std::size_t at = 0; at < page.size(); at += 8) put(page, at, address + at + 1);
    return page;
}

Bytes notes_of(const SampleDump& dump) {
    Bytes notes;
    const bool crashed = !dump.vmcoreinfo.empty();
    for (std::size_t i = 0; i < std::max<std::size_t>(dump.cpus.size(), crashed); ++i)
        append_note(notes, NT_PRSTATUS, "CORE", Bytes(dump.prstatus_64 ? 336 : 144));
    for (const SampleCpu& cpu : dump.cpus) append_note(notes, 0, "QEMU", qemu_note(cpu));
    if (!crashed) return notes;
    const auto text = std::as_bytes(std::span(dump.vmcoreinfo));
    append_note(notes, 0, "VMCOREINFO", Bytes(text.begin(), text.end()));
    return notes;
}

SampleDump crash_dump(std::string vmcoreinfo) {
    SampleDump dump;
    dump.cpus.clear();
    dump.vmcoreinfo = std::move(vmcoreinfo);
    return dump;
}

Bytes elf_dump(const SampleDump& dump) {
    return dump.class_64 ? elf_of<Elf64_Ehdr, Elf64_Phdr>(dump, ELFCLASS64)
                         : elf_of<Elf32_Ehdr, Elf32_Phdr>(dump, ELFCLASS32);
}

Bytes kdump_file(const SampleDump& dump) {
    const Bytes notes = notes_of(dump);
    std::vector<std::uint64_t> pages = dump.pages;
    std::sort(pages.begin(), pages.end());
    const std::uint64_t count = pages.back() / 4096 + 1;
    const std::uint64_t bitmap_blocks = (count + 32767) / 32768;  // each of the two

    const bool wide = dump.class_64;
    const std::size_t sub_size = wide ? 104 : 80, fields = wide ? 428 : 416;
    const std::size_t sub_blocks = (sub_size + notes.size() + 4095) / 4096;
    Bytes file(4096 * (1 + sub_blocks + 2 * bitmap_blocks));
    std::memcpy(file.data(), "KDUMP   ", 8);
    put<std::uint32_t>(file, 8, 6);                       // header_version
    std::memcpy(file.data() + 12 + 4 * 65, "x86_64", 6);  // utsname.machine
    put<std::uint32_t>(file, fields, 4096);
    put<std::uint32_t>(file, fields + 4, static_cast<std::uint32_t>(sub_blocks));
    put<std::uint32_t>(file, fields + 8, static_cast<std::uint32_t>(2 * bitmap_blocks));
    put<std::uint32_t>(file, fields + 12, static_cast<std::uint32_t>(count));
    put<std::uint32_t>(file, 4096 + (wide ? 8 : 4), 1);  // dump_level
    put<std::uint64_t>(file, 4096 + (wide ? 48 : 32), 4096 + sub_size);
    put<std::uint32_t>(file, 4096 + (wide ? 56 : 40), static_cast<std::uint32_t>(notes.size()));
    put<std::uint64_t>(file, 4096 + (wide ? 96 : 72), count);
    if (!dump.vmcoreinfo.empty()) {  // the note's text: the last thing in the notes
        const std::size_t padded = (dump.vmcoreinfo.size() + 3) / 4 * 4;
        put<std::uint64_t>(file, 4096 + (wide ? 32 : 20), 4096 + sub_size + notes.size() - padded);
        put(file, 4096 + (wide ? 40 : 28), static_cast<std::uint32_t>(dump.vmcoreinfo.size()));
    }
    std::copy(notes.begin(), notes.end(), file.begin() + 4096 + static_cast<long>(sub_size));
    const std::size_t bitmap = 4096 * (1 + sub_blocks);
    for (const std::uint64_t page : pages)
        for (const std::size_t at : {bitmap, bitmap + 4096 * bitmap_blocks})
            file[at + page / 4096 / 8] |= std::byte{1} << page / 4096 % 8;

    Bytes data;
    const std::size_t data_at = file.size() + pages.size() * sizeof(Descriptor);
    for (const std::uint64_t page : pages) {
        const bool packed = dump.zlib && page / 4096 % 2;
        const Bytes whole = page_of(dump, page);
        const Bytes bytes = packed ? compressed(whole) : whole;
        append(file, Descriptor{data_at + data.size(), static_cast<std::uint32_t>(bytes.size()),
                                packed ? 1u : 0u, 0});
        data.insert(data.end(), bytes.begin(), bytes.end());
    }
    file.insert(file.end(), data.begin(), data.end());
    return file;
}

Bytes flattened(const Bytes& dump) {
    Bytes file(4096);
    std::memcpy(file.data(), "makedumpfile", 12);
    file[23] = file[31] = std::byte{1};  // type and version, with the first byte first
    const auto put_number = [&](std::uint64_t number) {
        for (int shift = 56; shift >= 0; shift -= 8) file.push_back(std::byte(number >> shift));
    };
    constexpr std::size_t piece = 3000;
    std::vector<std::size_t> places;
    for (std::size_t at = 0; at < dump.size(); at += piece) places.push_back(at);
    if (places.size() > 3) std::swap(places[1], places[2]);
    for (const std::size_t at : places) {
        const auto part = std::span(dump).subspan(at, std::min(piece, dump.size() - at));
        put_number(at);
        put_number(part.size());
        file.insert(file.end(), part.begin(), part.end());
    }
    put_number(~std::uint64_t{0});
    put_number(~std::uint64_t{0});
    return file;
}

TemporaryFile::TemporaryFile(std::span<const std::byte> bytes) {
    std::string pattern = (std::filesystem::temp_directory_path() / "ptmap-dump-XXXXXX").string();
    const int descriptor = ::mkstemp(pattern.data());
    if (descriptor >= 0) ::close(descriptor);
    path_ = pattern;
    write(bytes);
}

TemporaryFile::~TemporaryFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
}

void TemporaryFile::write(std::span<const std::byte> bytes) const {
    std::ofstream file(path_, std::ios::binary | std::ios::trunc);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    if (!file.flush()) ADD_FAILURE() << "cannot write " << path_;
}

}  // namespace ptmap
