#include "sources/dump_notes.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>

namespace ptmap {
namespace {

// QEMU's structures, little-endian as the processors that QEMU and ptmap run them on.

struct QemuSegment {
    std::uint32_t selector, limit, flags, pad;
    std::uint64_t base;
};

struct QemuCpuState {
    std::uint32_t version, size;
    std::uint64_t rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp;
    std::uint64_t r8_to_r15[8];
    std::uint64_t rip, rflags;
    QemuSegment cs, ds, es, fs, gs, ss, ldt, tr, gdt, idt;
    std::uint64_t cr[5];
    // Newer versions add fields, which are not needed here; the size tells whether they are there.
};
static_assert(sizeof(QemuCpuState) == 0x1b0);

constexpr std::uint32_t known_version = 1;
constexpr std::size_t prstatus_64_size = 336, prstatus_32_size = 144;
// Bits that long mode needs (SDM vol. 3A, 2.5).
constexpr std::uint64_t cr0_pg = std::uint64_t{1} << 31, cr4_pae = 1 << 5;
constexpr std::uint32_t segment_l = 1 << 21;  // CS.L, SDM vol. 3A, Figure 3-8

struct Note {
    std::uint32_t type;
    std::string_view name;  // without the zero at its end
    std::span<const std::byte> contents;
};

// Takes the first note off the area; none if it is not whole. Both ELF classes have the same
// headers, and pad to 4 bytes.
std::optional<Note> next_note(std::span<const std::byte>& area) {
    Elf64_Nhdr header;
    if (area.size() < sizeof header) return std::nullopt;
    std::memcpy(&header, area.data(), sizeof header);
    const auto padded = [](std::uint64_t size) { return (size + 3) & ~std::uint64_t{3}; };
    const std::uint64_t contents = sizeof header + padded(header.n_namesz);
    const std::uint64_t end = contents + padded(header.n_descsz);
    if (contents + header.n_descsz > area.size()) return std::nullopt;
    std::string_view name(reinterpret_cast<const char*>(area.data()) + sizeof header,
                          header.n_namesz);
    while (name.ends_with('\0')) name.remove_suffix(1);
    const Note note{header.n_type, name, area.subspan(contents, header.n_descsz)};
    area = area.subspan(std::min<std::uint64_t>(end, area.size()));
    return note;
}

SegmentRegister of(const QemuSegment& s) { return {s.selector, s.limit, s.flags, s.base}; }

CpuRegisters of(const QemuCpuState& s) {
    return {.cr0 = s.cr[0],
            .cr2 = s.cr[2],
            .cr3 = s.cr[3],
            .cr4 = s.cr[4],
            .rflags = s.rflags,
            .rip = s.rip,
            .rsp = s.rsp,
            .cs = of(s.cs),
            .ldtr = of(s.ldt),
            .tr = of(s.tr),
            .gdtr = of(s.gdt),
            .idtr = of(s.idt),
            .long_mode = false,
            .long_mode_told = false};
}

// Long mode is active only with paging and PAE (SDM vol. 3A, 4.1.1). If another CPU than the first
// runs 64-bit code it is in long mode. If it runs other code it is assumed to be as the first CPU,
// which is wrong only while it is still starting.
void tell_long_mode(std::vector<CpuRegisters>& cpus, bool first_is) {
    for (CpuRegisters& cpu : cpus) {
        const bool first = &cpu == &cpus.front();
        const bool possible = (cpu.cr0 & cr0_pg) && (cpu.cr4 & cr4_pae);
        const bool runs_it = !first && (cpu.cs.flags & segment_l);
        cpu.long_mode = possible && (runs_it || first_is);
        cpu.long_mode_told = first || !possible || runs_it;
    }
}

}  // namespace

DumpNotes read_dump_notes(std::span<const std::byte> area) {
    DumpNotes notes;
    std::optional<bool> wide;  // the first NT_PRSTATUS
    while (!area.empty()) {
        const auto note = next_note(area);
        if (!note) {
            notes.problem = "its notes are cut off";
            break;
        }
        if (note->name == "CORE" && note->type == NT_PRSTATUS && !wide) {
            if (note->contents.size() == prstatus_64_size) wide = true;
            if (note->contents.size() == prstatus_32_size) wide = false;
        }
        if (note->name == "VMCOREINFO" && !is_sound_vmcoreinfo(note->contents))
            notes.vmcoreinfo_is_sound = false;
        if (note->name == "VMCOREINFO" && !notes.vmcoreinfo)
            notes.vmcoreinfo = read_vmcoreinfo(note->contents);
        if (note->name != "QEMU" || note->type != 0) continue;
        notes.any = true;
        QemuCpuState state;
        if (note->contents.size() >= sizeof state) {
            std::memcpy(&state, note->contents.data(), sizeof state);
            if (state.version == known_version && state.size >= sizeof state) {
                notes.cpus.push_back(of(state));
                continue;
            }
        }
        // If this note were skipped, the next CPU would get this CPU's number.
        notes.problem = "its notes are of an unknown kind";
        break;
    }
    if (notes.any) notes.vmcoreinfo.reset();  // QEMU copies it if there is a vmcoreinfo device
    if (!notes.cpus.empty() && !wide && notes.problem.empty())
        notes.problem = "no note tells whether it is in long mode";
    tell_long_mode(notes.cpus, wide.value_or(false));
    return notes;
}

}  // namespace ptmap
