// Dumps: what is read of them, and the reasons for what is not.
#include "sources/dump.h"

#include <elf.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "arch/formats.h"
#include "dump_samples.h"
#include "machine/dump_spaces.h"

namespace ptmap {
namespace {

struct Answer {
    bool ok;
    std::string why;
    Bytes bytes;
};

Answer read(PhysicalMemory& memory, std::uint64_t address, std::size_t length = 4096) {
    Answer answer{false, "", Bytes(length, std::byte{0xee})};
    Fetch fetch{{address}, answer.bytes};
    memory.fetch({&fetch, 1});
    return {fetch.ok, fetch.why, answer.bytes};
}

std::string refusal(const Bytes& file) {
    const TemporaryFile dump(file);
    try {
        open_dump(dump.path());
    } catch (const FileError& error) {
        return error.what();
    }
    return "";
}

Bytes made(const std::string& format, const SampleDump& sample) {
    return format == "ELF" ? elf_dump(sample) : kdump_file(sample);
}

class DumpTest : public testing::TestWithParam<std::string> {
protected:
    Bytes make(const SampleDump& sample) const { return made(GetParam(), sample); }
};
INSTANTIATE_TEST_SUITE_P(Formats, DumpTest, testing::Values("ELF", "kdump"),
                         [](const auto& which) { return which.param; });

TEST_P(DumpTest, ReadsEveryPageAndNothingElse) {
    for (const bool class_64 : {true, false}) {
        SampleDump sample;
        sample.class_64 = class_64;
        if (!class_64) sample.pages.pop_back();
        const TemporaryFile file(make(sample));
        const auto dump = open_dump(file.path());
        EXPECT_EQ(dump->format(), GetParam());
        EXPECT_FALSE(dump->cut());
        for (const std::uint64_t page : sample.pages) {
            const Answer answer = read(*dump, page);
            EXPECT_TRUE(answer.ok) << std::hex << page << " " << answer.why;
            EXPECT_EQ(answer.bytes, page_at(page)) << std::hex << page;
        }
        for (const std::uint64_t page :
             {0x3000ull, 0x4000ull, 0x6000ull, 0x101000ull, 0x123457000ull, 0xffffffffff000ull}) {
            const Answer answer = read(*dump, page);
            EXPECT_FALSE(answer.ok);
            EXPECT_EQ(answer.why, "not in the dump") << std::hex << page;
        }
        EXPECT_GT(dump->requests(), 0u);
    }
}

TEST_P(DumpTest, ReadsPartsAndAcrossPages) {
    const TemporaryFile file(make({}));
    const auto dump = open_dump(file.path());
    Bytes two = page_at(0x1000);
    const Bytes second = page_at(0x2000);
    two.insert(two.end(), second.begin(), second.end());
    EXPECT_EQ(read(*dump, 0x1000, 0x2000).bytes, two);
    EXPECT_EQ(read(*dump, 0x1ff8, 16).bytes, Bytes(two.begin() + 0xff8, two.begin() + 0x1008));
    EXPECT_EQ(read(*dump, 0x2008, 8).bytes, Bytes(second.begin() + 8, second.begin() + 16));
    EXPECT_EQ(read(*dump, 0x2ff8, 16).why, "not in the dump");
    EXPECT_EQ(read(*dump, 0x4ff8, 16).why, "not in the dump");
    EXPECT_EQ(read(*dump, ~7ull, 16).ok, false);
}

TEST_P(DumpTest, ListsRam) {
    const TemporaryFile file(make({}));
    const std::vector<PhysInterval> expected{{{0}, {0x2fff}},
                                             {{0x5000}, {0x5fff}},
                                             {{0x100000}, {0x100fff}},
                                             {{0x123456000}, {0x123456fff}}};
    EXPECT_EQ(open_dump(file.path())->ram(), expected);
}

TEST_P(DumpTest, KnowsEachCpusRegisters) {
    SampleDump sample;
    sample.cpus.resize(3);
    sample.cpus[1].cr3 = 0x5000;
    sample.cpus[2].cr2 = 0x77;
    const TemporaryFile file(make(sample));
    const auto dump = open_dump(file.path());
    const DumpNotes& notes = dump->notes();
    ASSERT_EQ(notes.cpus.size(), 3u);
    EXPECT_EQ(notes.problem, "");
    EXPECT_EQ(notes.cpus[0].cr3, 0x1000u);
    EXPECT_EQ(notes.cpus[1].cr3, 0x5000u);
    EXPECT_EQ(notes.cpus[2].cr2, 0x77u);
    const CpuRegisters& first = notes.cpus[0];
    EXPECT_EQ(first.cr0, 0x80010011u);
    EXPECT_EQ(first.cr4, 0x20u);
    EXPECT_EQ(first.rflags, 0x246u);
    EXPECT_EQ(first.rip, 0xffffffff81000000u);
    EXPECT_EQ(first.rsp, 0xffffc90000003000u);
    EXPECT_EQ(first.cs.selector, 0x10u);
    EXPECT_EQ(first.tr.base, 0xfffffe0000003000u);
    EXPECT_EQ(first.tr.limit, 0x4087u);
    EXPECT_EQ(first.gdtr.base, 0xfffffe0000001000u);
    EXPECT_EQ(first.idtr.limit, 0xfffu);
    EXPECT_EQ(first.ldtr.selector, 0u);
}

TEST_P(DumpTest, CutAnywhereItGivesWhatItHas) {
    const SampleDump sample;
    const Bytes whole = make(sample);
    const TemporaryFile file(whole);
    std::size_t readable = 0, refused = 0;
    for (std::size_t size = 0; size < whole.size(); size += size < 1200 ? 1 : 211) {
        file.write(std::span(whole).first(size));
        try {
            const auto dump = open_dump(file.path());
            EXPECT_TRUE(dump->cut()) << size;
            for (const std::uint64_t page : sample.pages) {
                const Answer answer = read(*dump, page);
                if (answer.ok) {
                    EXPECT_EQ(answer.bytes, page_at(page)) << std::hex << page << " of " << size;
                    ++readable;
                } else {
                    EXPECT_EQ(answer.why, "the dump ends before it") << std::hex << page;
                }
            }
            EXPECT_EQ(read(*dump, 0x3000).why, "not in the dump");
        } catch (const FileError&) {
            ++refused;
        }
    }
    EXPECT_GT(readable, 0u);
    EXPECT_GT(refused, 0u);
}

TEST_P(DumpTest, SaysWhatIsCutOfTheHeader) {
    const Bytes whole = make({});
    const auto cut = [&](std::size_t size) {
        return refusal(Bytes(whole.begin(), whole.begin() + static_cast<long>(size)));
    };
    if (GetParam() == "ELF") {
        EXPECT_EQ(cut(20), "the ELF header is damaged or cut off");
        EXPECT_EQ(cut(64 + 56 + 3), "it is cut off within the program headers");
    } else {
        EXPECT_EQ(cut(20), "it is cut off within its header");
        EXPECT_EQ(cut(4096 * 3), "it is cut off within its header");
    }
}

TEST_P(DumpTest, SeesThatTheFileHasChanged) {
    const Bytes whole = make({});
    const TemporaryFile file(whole);
    const auto dump = open_dump(file.path());
    EXPECT_EQ(dump->file().changed(), "");
    file.resize(whole.size() - 1);
    EXPECT_EQ(dump->file().changed(), "it has been written to");
    EXPECT_TRUE(read(*dump, 0).ok);
    EXPECT_EQ(read(*dump, 0x123456000).why, "the dump ends before it");
    std::filesystem::remove(file.path());
    EXPECT_EQ(dump->file().changed(), "No such file or directory");
    file.write(whole);
    EXPECT_EQ(dump->file().changed(), "another file has that name now");
}

// Long mode

SampleDump of(bool prstatus_64, bool class_64) {
    SampleDump sample;
    sample.prstatus_64 = prstatus_64;
    sample.class_64 = class_64;
    if (!class_64) sample.pages.pop_back();
    return sample;
}

TEST_P(DumpTest, LongModeIsToldByTheLayoutOfPrstatus) {
    // RAM above 4 GiB makes the class 64-bit whatever the mode.
    for (const bool class_64 : {true, false}) {
        for (const bool prstatus_64 : {true, false}) {
            const TemporaryFile file(make(of(prstatus_64, class_64)));
            const auto dump = open_dump(file.path());
            EXPECT_EQ(dump->notes().cpus.at(0).long_mode, prstatus_64);
            EXPECT_TRUE(dump->notes().cpus.at(0).long_mode_told);
        }
    }
}

TEST_P(DumpTest, LongModeNeedsPagingAndPae) {
    SampleDump sample;
    sample.cpus.resize(4);
    sample.cpus[1].cr0 = 0x11;           // reset
    sample.cpus[2].cr4 = 0;              // 32-bit paging
    sample.cpus[3].cs_flags = 0xcf9b00;  // 32-bit code
    const TemporaryFile file(make(sample));
    const auto dump = open_dump(file.path());
    std::vector<bool> on, told;
    for (const CpuRegisters& cpu : dump->notes().cpus) {
        on.push_back(cpu.long_mode);
        told.push_back(cpu.long_mode_told);
    }
    EXPECT_EQ(on, (std::vector{true, false, false, true}));
    EXPECT_EQ(told, (std::vector{true, true, true, false}));
}

TEST_P(DumpTest, SpacesOfItsCpus) {
    SampleDump sample;
    sample.cpus.resize(4);
    sample.cpus[1].cr0 = 0x11;           // reset: it has none
    sample.cpus[2].cr4 = 0;              // 32-bit paging
    sample.cpus[3].cs_flags = 0xcf9b00;  // 32-bit code
    const TemporaryFile file(make(sample));
    const auto dump = open_dump(file.path());
    const std::vector<DumpSpace> spaces = spaces_of(*dump);
    ASSERT_EQ(spaces.size(), 3u);
    EXPECT_EQ(spaces[0].cpu, 0u);
    EXPECT_EQ(mode_of(spaces[0].paging.format()), Mode::level4);
    EXPECT_EQ(spaces[0].paging.registers().efer, 0xd01u);
    EXPECT_EQ(spaces[0].paging.root(), PhysAddr{dump->notes().cpus[0].cr3 & ~0xfffull});
    EXPECT_EQ(spaces[0].assumed, std::vector<std::string>{"EFER.SCE=NXE=1"});
    EXPECT_EQ(spaces[1].cpu, 2u);
    EXPECT_EQ(mode_of(spaces[1].paging.format()), Mode::bits32);
    EXPECT_TRUE(spaces[1].assumed.empty());
    EXPECT_EQ(spaces[2].assumed, (std::vector<std::string>{"EFER.SCE=NXE=1", "EFER.LMA=1"}));
}

TEST_P(DumpTest, AnotherCpus64BitCodeIsInLongMode) {
    SampleDump sample = of(false, true);
    sample.cpus.resize(3);
    sample.cpus[0].cs_flags = 0xcf9b00;
    sample.cpus[2].cs_flags = 0xcf9b00;
    const TemporaryFile file(make(sample));
    const auto dump = open_dump(file.path());
    EXPECT_FALSE(dump->notes().cpus.at(0).long_mode);
    EXPECT_TRUE(dump->notes().cpus.at(1).long_mode);
    EXPECT_FALSE(dump->notes().cpus.at(2).long_mode);
}

// Notes

TEST(DumpNotesTest, EndWhereTheyAreCutOff) {
    SampleDump sample;
    sample.cpus.resize(2);
    const Bytes whole = notes_of(sample);
    EXPECT_EQ(read_dump_notes(whole).problem, "");
    for (std::size_t size = 0; size < whole.size(); ++size) {
        const DumpNotes notes = read_dump_notes(std::span(whole).first(size));
        EXPECT_LT(notes.cpus.size(), 2u);
        if (size == 0 || size % 4 != 0) continue;
        EXPECT_FALSE(notes.cpus.empty() && size > whole.size() - 100);
    }
}

TEST(DumpNotesTest, OfAnotherVersionAreNotBelieved) {
    Bytes notes = notes_of({});
    const std::size_t version = notes.size() - 0x1b8;
    notes[version] = std::byte{2};
    EXPECT_TRUE(read_dump_notes(notes).cpus.empty());
    EXPECT_EQ(read_dump_notes(notes).problem, "its notes are of an unknown kind");
}

TEST(DumpNotesTest, WithoutPrstatusLongModeIsNotTold) {
    const Bytes notes = notes_of({});
    const DumpNotes read = read_dump_notes(std::span(notes).subspan(12 + 8 + 336));
    ASSERT_EQ(read.cpus.size(), 1u);
    EXPECT_EQ(read.problem, "no note tells whether it is in long mode");
}

// ELF only

Elf64_Phdr* segments(Bytes& file) { return reinterpret_cast<Elf64_Phdr*>(file.data() + 64); }

TEST(DumpSegmentsTest, WhatASegmentHasInMemoryOnlyIsNotInTheDump) {
    Bytes file = elf_dump({});
    segments(file)[1].p_filesz = 0x1000;  // of 0x3000 in memory: devices, with paging on
    const TemporaryFile dump(file);
    const auto memory = open_dump(dump.path());
    EXPECT_TRUE(read(*memory, 0).ok);
    EXPECT_EQ(read(*memory, 0x1000).why, "not in the dump");
    EXPECT_EQ(memory->ram().at(0), (PhysInterval{{0}, {0xfff}}));
}

TEST(DumpSegmentsTest, SegmentsOverlapWithPagingOn) {
    Bytes file = elf_dump({});
    Elf64_Phdr* s = segments(file);
    // Page 5 is now described as pages 1 and 2 once more, in the middle of the first segment.
    s[2].p_paddr = 0x1000;
    s[2].p_offset = s[1].p_offset + 0x1000;
    s[2].p_filesz = s[2].p_memsz = 0x2000;
    s[3].p_paddr = 0x2000;
    s[3].p_offset = s[1].p_offset + 0x2000;
    s[3].p_filesz = s[3].p_memsz = 0x1000;
    const TemporaryFile dump(file);
    const auto memory = open_dump(dump.path());
    EXPECT_EQ(read(*memory, 0, 0x1000).bytes, page_at(0));
    EXPECT_EQ(read(*memory, 0x2000).bytes, page_at(0x2000));
    EXPECT_EQ(read(*memory, 0x3000).why, "not in the dump");
    EXPECT_EQ(memory->ram().size(), 2u);
}

TEST(DumpSegmentsTest, WithPagingOnQemuWritesMoreThanItNames) {
    SampleDump sample;
    sample.pages = {0, 0x1000, 0x2000, 0x3000, 0x8000, 0x9000};
    Bytes file = elf_dump(sample);
    Elf64_Phdr* s = segments(file);  // of 0 to 0x3fff, and of 0x8000 to 0x9fff
    s[1].p_paddr += 0x2000;
    s[1].p_offset += 0x2000;
    s[1].p_filesz = s[1].p_memsz = 0x1000;
    s[2].p_paddr += 0x1000;
    s[2].p_offset += 0x1000;
    s[2].p_filesz = s[2].p_memsz = 0x1000;
    const TemporaryFile dump(file);
    const auto memory = open_dump(dump.path());
    for (const std::uint64_t page : {0x0000, 0x1000, 0x2000, 0x9000})
        EXPECT_EQ(read(*memory, page).bytes, page_at(page)) << page;
    for (const std::uint64_t page : {0x3000, 0x4000, 0x8000})  // which is not certain
        EXPECT_EQ(read(*memory, page).why, "not in the dump");
    // Somebody else's file may have anything there.
    std::memset(file.data() + s[0].p_offset, 0, s[0].p_filesz);
    dump.write(file);
    EXPECT_EQ(read(*open_dump(dump.path()), 0x1000).why, "not in the dump");
}

TEST(DumpSegmentsTest, RefusesOtherFiles) {
    EXPECT_EQ(refusal({}), "it is empty");
    EXPECT_EQ(refusal(Bytes(5000)), "neither an ELF core nor a kdump file");
    Bytes file = elf_dump({});
    auto* header = reinterpret_cast<Elf64_Ehdr*>(file.data());
    header->e_type = ET_EXEC;
    EXPECT_EQ(refusal(file), "an ELF file, but not a core file");
    header->e_type = ET_CORE;
    header->e_machine = EM_AARCH64;
    EXPECT_EQ(refusal(file), "an ELF file, but not of an x86 machine");
    header->e_machine = EM_X86_64;
    for (int i = 0; i < 5; ++i) segments(file)[i].p_paddr = 0;
    segments(file)[0].p_type = PT_NULL;
    EXPECT_EQ(refusal(file), "a core file of a process, not of a machine");
    EXPECT_THROW(open_dump("/dev/null"), FileError);
    EXPECT_THROW(open_dump("/"), FileError);
    EXPECT_THROW(open_dump("/nowhere/at all"), FileError);
}

TEST(FlattenedTest, IsTheDumpThatItHolds) {
    SampleDump sample;
    sample.cpus.resize(2);
    for (const Bytes& whole : {kdump_file(sample), elf_dump(sample)}) {
        const TemporaryFile plain(whole), file(flattened(whole));
        const auto expected = open_dump(plain.path()), dump = open_dump(file.path());
        EXPECT_EQ(dump->format(), expected->format());
        EXPECT_EQ(dump->ram(), expected->ram());
        EXPECT_EQ(dump->notes().cpus.size(), 2u);
        EXPECT_FALSE(dump->cut());
        for (const std::uint64_t page : sample.pages)
            EXPECT_EQ(read(*dump, page).bytes, page_at(page)) << page;
        EXPECT_EQ(read(*dump, 0x3000).why, read(*expected, 0x3000).why);
        // What counts is the file that was named.
        EXPECT_EQ(dump->file().path(), file.path());
        EXPECT_EQ(dump->file().changed(), "");
        file.write(whole);
        EXPECT_NE(dump->file().changed(), "");
    }
}

TEST(FlattenedTest, CutOffAnywhereIsRefused) {
    const Bytes whole = flattened(kdump_file({}));
    const TemporaryFile file(whole);
    for (std::size_t size = 16; size < whole.size(); size += 1 + size % 971) {
        file.write(std::span(whole).first(size));
        try {
            open_dump(file.path());
            ADD_FAILURE() << size;
        } catch (const FileError& error) {
            EXPECT_STREQ(error.what(), "it is flattened, and cut off or damaged");
        }
    }
}

TEST(FlattenedTest, NoneInItself) {
    EXPECT_EQ(refusal(flattened(flattened(kdump_file({})))),
              "neither an ELF core nor a kdump file");
}

TEST(FlattenedTest, WithoutSpace) {
    const char* const before = std::getenv("TMPDIR");
    const std::string old = before ? before : "";
    const TemporaryFile file(flattened(kdump_file({})));
    ::setenv("TMPDIR", "/proc", 1);  // a folder in which nobody can make a file
    try {
        open_dump(file.path());
        ADD_FAILURE();
    } catch (const FileError& error) {
        const std::string_view said = error.what();
        EXPECT_TRUE(said.starts_with("it is flattened, and it cannot be rearranged in /proc: "));
        EXPECT_TRUE(said.ends_with(" (TMPDIR selects another folder)"));
    }
    if (before)
        ::setenv("TMPDIR", old.c_str(), 1);
    else
        ::unsetenv("TMPDIR");
}

// Pieces

TEST(FilePieceTest, AreOrderedAndDoNotOverlap) {
    using Pieces = std::vector<FilePiece>;
    EXPECT_EQ(in_order({{0x2000, 0x1000, 7}, {0, 0x1000, 1}}),
              (Pieces{{0, 0x1000, 1}, {0x2000, 0x1000, 7}}));
    EXPECT_EQ(in_order({{0, 0x3000, 0}, {0x1000, 0x1000, 500}, {0x2000, 0x3000, 0x100}}),
              (Pieces{{0, 0x3000, 0}, {0x3000, 0x2000, 0x1100}}));
    EXPECT_EQ(in_order({{5, 0, 0}}), Pieces{});
    constexpr std::uint64_t top = std::numeric_limits<std::uint64_t>::max();
    EXPECT_EQ(in_order({{top - 1, top, top}}), (Pieces{{top - 1, 1, top}}));
    EXPECT_EQ(in_order({{0, top, 0}, {1, top, 0}}), (Pieces{{0, top, 0}}));
}

TEST(FlatFileTest, ByteNIsAddressN) {
    Bytes image = page_at(0);
    const Bytes second = page_at(0x1000);
    image.insert(image.end(), second.begin(), second.begin() + 100);
    const TemporaryFile file(image);
    FileMemory memory = open_flat_file(file.path());
    EXPECT_EQ(memory.ram(), (std::vector<PhysInterval>{{{0}, {4195}}}));
    EXPECT_EQ(read(memory, 0x1000, 100).bytes, Bytes(second.begin(), second.begin() + 100));
    EXPECT_EQ(read(memory, 0x1000, 101).why, "beyond the end of the file");
    EXPECT_EQ(read(memory, 0x5000).why, "beyond the end of the file");
    file.resize(50);
    EXPECT_EQ(read(memory, 0, 51).why, "the file has become shorter");
}

TEST(FlatFileTest, ARamFileHasItsPieces) {
    Bytes image = page_at(0);
    const Bytes second = page_at(0x1000);
    image.insert(image.end(), second.begin(), second.end());
    const TemporaryFile file(image);
    FileMemory memory = open_ram_file(file.path(), {{0, 0x1000, 0}, {0x100000000, 0x1000, 0x1000}});
    EXPECT_EQ(read(memory, 0x100000000).bytes, second);
    EXPECT_EQ(read(memory, 0x1000).why, "not in the file");
}

}  // namespace
}  // namespace ptmap
