// ELF dumps. libelf reads the headers. The memory is read here, not by libkdumpfile, which gives
// zeros for memory that a segment does not have in the file (with paging on QEMU writes device
// memory in this way), and for memory beyond the end of a file that was cut off.
#include <gelf.h>

#include <algorithm>

#include "elf/elf_file.h"
#include "paging/file_part.h"
#include "sources/dump.h"

namespace ptmap {
namespace {

// Notes of more than this would be of some 80,000 CPUs.
constexpr std::uint64_t max_notes = 64 << 20;

std::vector<GElf_Phdr> segments_of(const InputFile& file) {
    const elf::FileHandle elf = elf::try_open_elf_file(file.descriptor());
    GElf_Ehdr header;
    if (!elf || !gelf_getehdr(elf.get(), &header))
        throw FileError("the ELF header is damaged or cut off");
    if (header.e_ident[EI_DATA] != ELFDATA2LSB ||
        (header.e_machine != EM_386 && header.e_machine != EM_X86_64))
        throw FileError("an ELF file, but not of an x86 machine");
    if (header.e_type != ET_CORE) throw FileError("an ELF file, but not a core file");
    std::size_t count = 0;
    if (elf_getphdrnum(elf.get(), &count) != 0 || count == 0)
        throw FileError("the ELF header names no segments");
    // libelf does not count headers that are not in the file.
    if (header.e_phnum != PN_XNUM && count < header.e_phnum)
        throw FileError("it is cut off within the program headers");
    std::vector<GElf_Phdr> segments(count);
    for (std::size_t i = 0; i < count; ++i)
        if (!gelf_getphdr(elf.get(), static_cast<int>(i), &segments[i]))
            throw FileError("it is cut off within the program headers");
    return segments;
}

std::vector<FilePiece> memory_of(const std::vector<GElf_Phdr>& segments) {
    std::vector<FilePiece> pieces;
    for (const GElf_Phdr& s : segments)
        if (s.p_type == PT_LOAD)
            pieces.push_back({s.p_paddr, std::min(s.p_filesz, s.p_memsz), s.p_offset});
    return in_order(std::move(pieces));
}

// With paging on QEMU still writes all RAM, by rising address and right after the notes. But its
// headers name only memory that the CPUs' roots map: under KPTI in user mode not even the page
// tables. If two named pieces are as far apart in the file as in memory, the bytes between them in
// the file are the memory between them.
std::vector<FilePiece> with_unnamed(const std::vector<FilePiece>& named, std::uint64_t notes_end) {
    std::vector<FilePiece> pieces;
    FilePiece before{0, 0, notes_end};
    for (const FilePiece& piece : named) {
        const std::uint64_t end = before.address + before.size, at = before.offset + before.size;
        if (piece.address > end && piece.offset > at && piece.address - end == piece.offset - at)
            pieces.push_back({end, piece.address - end, at});
        pieces.push_back(piece);
        before = piece;
    }
    return pieces;
}

std::uint64_t end_of_notes(const std::vector<GElf_Phdr>& segments) {
    std::uint64_t end = 0;
    for (const GElf_Phdr& s : segments)
        if (s.p_type == PT_NOTE) end = std::max(end, s.p_offset + s.p_filesz);
    return end;
}

DumpNotes notes_of(const std::vector<GElf_Phdr>& segments, InputFile& file) {
    std::vector<std::byte> area;
    bool cut = false;
    for (const GElf_Phdr& s : segments) {
        if (s.p_type != PT_NOTE) continue;
        if (s.p_filesz > max_notes - area.size())
            throw FileError("its notes have no sensible size");
        const std::size_t at = area.size();
        const std::uint64_t there =
            contains({0, file.size()}, {s.p_offset, s.p_filesz})
                ? s.p_filesz
                : file.size() - std::min<std::uint64_t>(file.size(), s.p_offset);
        cut = cut || there < s.p_filesz;
        area.resize(at + there);
        area.resize(at + file.read(s.p_offset, std::span(area).subspan(at)));
        if (cut) break;
    }
    DumpNotes notes = read_dump_notes(area);
    if (cut) notes.problem = "its notes are cut off";
    return notes;
}

// A process's core names no physical addresses.
bool is_of_a_process(const std::vector<GElf_Phdr>& segments, const DumpNotes& notes) {
    if (notes.any) return false;
    std::size_t loads = 0;
    for (const GElf_Phdr& s : segments) {
        if (s.p_type != PT_LOAD) continue;
        if (s.p_paddr != 0) return false;
        ++loads;
    }
    return loads > 1;
}

class ElfDump final : public Dump {
public:
    ElfDump(std::shared_ptr<InputFile> file, const std::vector<GElf_Phdr>& segments,
            DumpNotes notes)
        : notes_(std::move(notes)),
          memory_(std::move(file), pieces_of(segments), not_in_dump, dump_ended) {}

    void fetch(std::span<Fetch> reads) override { memory_.fetch(reads); }
    std::string_view format() const override { return "ELF"; }
    std::vector<PhysInterval> ram() const override { return memory_.ram(); }
    std::uint64_t requests() const override { return memory_.requests(); }
    bool cut() const override { return memory_.missing() != 0; }
    const DumpNotes& notes() const override { return notes_; }
    const InputFile& file() const override { return memory_.file(); }

private:
    std::vector<FilePiece> pieces_of(const std::vector<GElf_Phdr>& segments) const {
        const std::vector<FilePiece> named = memory_of(segments);
        return notes_.any ? with_unnamed(named, end_of_notes(segments)) : named;
    }

    DumpNotes notes_;
    FileMemory memory_;
};

}  // namespace

std::unique_ptr<Dump> open_elf_dump(std::shared_ptr<InputFile> file) {
    const std::vector<GElf_Phdr> segments = segments_of(*file);
    DumpNotes notes = notes_of(segments, *file);
    if (is_of_a_process(segments, notes))
        throw FileError("a core file of a process, not of a machine");
    return std::make_unique<ElfDump>(std::move(file), segments, std::move(notes));
}

}  // namespace ptmap
