// VMCOREINFO: the root that it tells, why it tells none, and the space that a crash dump then has.
#include "sources/vmcoreinfo.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <string_view>

#include "arch/formats.h"
#include "dump_samples.h"
#include "machine/dump_spaces.h"

namespace ptmap {
namespace {

using namespace std::string_literals;

Vmcoreinfo read(const std::string& text) {
    const std::vector<char> exact(text.begin(), text.end());  // no zero behind it
    return read_vmcoreinfo(std::as_bytes(std::span(exact)));
}

// The sample with one text for another.
std::string with(std::string_view before, std::string_view after) {
    std::string text = sample_vmcoreinfo;
    const std::size_t at = text.find(before);
    EXPECT_NE(at, std::string::npos) << before;
    return text.replace(at, before.size(), after);
}

std::string without(std::string_view key) {
    std::string text = sample_vmcoreinfo;
    for (std::size_t at; (at = text.find(key)) != std::string::npos;)
        text.erase(at, text.find('\n', at) + 1 - at);
    return text;
}

std::string problem(const std::string& text) {
    const std::string whole = read(text).problem, start = "its VMCOREINFO tells no root: ";
    EXPECT_TRUE(whole.starts_with(start)) << whole;
    return whole.substr(std::min(start.size(), whole.size()));
}

TEST(VmcoreinfoTest, TellsRootAndLevel) {
    const Vmcoreinfo info = read(sample_vmcoreinfo);
    EXPECT_EQ(info.problem, "");
    EXPECT_EQ(info.root, sample_root);
    EXPECT_FALSE(info.five_level);
    EXPECT_EQ(info.release, "6.12.117+deb13-cloud-amd64");
    EXPECT_TRUE(read(with("enabled)=0", "enabled)=1")).five_level);
    EXPECT_EQ(read(with("=-46137344", "=16777216")).root, 0x3c01000u);
}

TEST(VmcoreinfoTest, OneOfTheRootsNamesIsEnough) {
    for (const char* key : {"SYMBOL(init_top_pgt)", "SYMBOL(swapper_pg_dir)"})
        EXPECT_EQ(read(without(key)).root, sample_root);
    EXPECT_EQ(problem(without("SYMBOL")), "SYMBOL(swapper_pg_dir) is missing");
}

TEST(VmcoreinfoTest, BeforeFiveLevelsThereAreFour) {  // Linux 4.16
    const Vmcoreinfo info = read(without("NUMBER(pgtable_l5_enabled)"));
    EXPECT_EQ(info.problem, "");
    EXPECT_FALSE(info.five_level);
}

TEST(VmcoreinfoTest, EndsWithItsBytesOrAtAZero) {
    std::string text = sample_vmcoreinfo;
    text.resize(text.find("\nKERNELOFFSET"));
    EXPECT_EQ(read(text).problem, "");
    EXPECT_EQ(read(text + "\0NUMBER(sme_mask)=8"s).problem, "");
    EXPECT_EQ(problem(text + "\nNUMBER(sme_mask)=8"),
              "NUMBER(sme_mask) is not 0: the tables are encrypted");
}

TEST(VmcoreinfoTest, SaysWhyItTellsNoRoot) {
    EXPECT_EQ(problem(""), "SYMBOL(swapper_pg_dir) is missing");
    EXPECT_EQ(problem(without("NUMBER(phys_base)")), "NUMBER(phys_base) is missing");
    EXPECT_EQ(problem(with("enabled)=0", "enabled)=2")),
              "NUMBER(pgtable_l5_enabled) is neither 0 nor 1");
    EXPECT_EQ(problem(with("init_top_pgt)=ffffffff82c01000", "init_top_pgt)=c1e01000")),
              "SYMBOL(init_top_pgt) is a 32-bit kernel's");
    EXPECT_EQ(problem(with("init_top_pgt)=ffffffff", "init_top_pgt)=ffff8880")),
              "SYMBOL(init_top_pgt) is not in the kernel's image");
    for (const char* base : {"=-46137345", "=-9000000000", "=4503599627370496"})
        EXPECT_EQ(problem(with("=-46137344", base)),
                  "NUMBER(phys_base) puts it where no root can be");
    for (const char* number : {"=", "=-", "=--1", "=0x10", "= 1", "=1 ", "=99999999999999999999"})
        EXPECT_EQ(problem(with("=-46137344", number)),
                  "NUMBER(phys_base) is not a number of 64 bits");
    EXPECT_EQ(problem("NUMBER(phys_base)=5\n"s + sample_vmcoreinfo),
              "NUMBER(phys_base) has two values");
    EXPECT_EQ(read("NUMBER(phys_base)=-46137344\n"s + sample_vmcoreinfo).root, sample_root);
}

TEST(VmcoreinfoTest, ALongReleaseIsCut) {
    EXPECT_EQ(read("OSRELEASE=" + std::string(1 << 20, 'x')).release, std::string(64, 'x'));
}

TEST(VmcoreinfoTest, CutOrDamagedAnywhereItTellsARootOrWhyNot) {
    const std::string whole = sample_vmcoreinfo;
    std::size_t told = 0, refused = 0;
    const auto check = [&](const std::string& text) {
        const Vmcoreinfo info = read(text);
        ++(info.problem.empty() ? told : refused);
        if (!info.problem.empty()) return;
        EXPECT_EQ(info.root % 4096, 0u);
        EXPECT_EQ(info.root >> 52, 0u);
    };
    for (std::size_t at = 0; at < whole.size(); ++at) {
        check(whole.substr(0, at));
        check(whole.substr(at));
        for (int value = 0; value < 256; ++value) {
            std::string broken = whole;
            broken[at] = static_cast<char>(value);
            check(broken);
        }
    }
    EXPECT_GT(told, 0u);
    EXPECT_GT(refused, 0u);
}

TEST(VmcoreinfoTest, IsSound) {
    const auto pairs = [](const std::string& text) {
        return is_sound_vmcoreinfo(std::as_bytes(std::span(text)));
    };
    for (const std::string& text : {""s, "A=\n"s, "A=1\nB=2"s, std::string(sample_vmcoreinfo)})
        EXPECT_TRUE(pairs(text)) << text;
    for (const std::string& text :
         {"A"s, "\n"s, "=1\n"s, "A=1\n\nB=2\n"s, "A=1\n\0"s, "A=1\nB"s, "PAGESIZE=8192\n"s})
        EXPECT_FALSE(pairs(text)) << text;
}

// In a dump

Bytes table(std::size_t index, std::uint64_t entry) {
    Bytes page(4096);
    std::memcpy(page.data() + index * 8, &entry, sizeof entry);
    return page;
}

// With tables down to the IDT's page.
SampleDump with_idt(std::uint64_t page_entry) {
    SampleDump sample = crash_dump(sample_vmcoreinfo);
    sample.contents[sample_root] = table(508, 0x2067);
    sample.contents[0x2000] = table(0, 0x5067);
    sample.contents[0x5000] = table(0, 0x100067);
    sample.contents[0x100000] = table(0, page_entry);
    return sample;
}

std::vector<Bytes> files(const SampleDump& sample) {
    std::vector<Bytes> files{elf_dump(sample), kdump_file(sample), flattened(kdump_file(sample))};
    files.push_back(files[1]);
    files.back()[4096 + 48 + 8] = files.back()[4096 + 48 + 9] = std::byte{0};  // no notes
    return files;
}

TEST(CrashDumpTest, HasTheKernelsSpace) {
    for (const Bytes& bytes : files(with_idt(0x8000000000000161))) {
        const TemporaryFile file(bytes);
        const auto dump = open_dump(file.path());
        const auto kernel = crashed_kernel(*dump);
        ASSERT_TRUE(kernel);
        EXPECT_EQ(kernel->deduced, (std::vector<std::string>{
                                       "root 0x1000: the kernel's own, by VMCOREINFO",
                                       "CR4.LA57=0: VMCOREINFO", "EFER.NXE=1: an entry has XD"}));
        const std::vector<DumpSpace> spaces = spaces_of(*dump);
        ASSERT_EQ(spaces.size(), 1u);
        EXPECT_EQ(mode_of(spaces[0].paging.format()), Mode::level4);
        EXPECT_EQ(spaces[0].paging.root().value, sample_root);
        EXPECT_EQ(spaces[0].assumed,
                  (std::vector<std::string>{"CR0.WP=1", "CR4.PGE=1, SMEP=SMAP=PKE=0"}));
    }
}

TEST(CrashDumpTest, NxIsAssumedIfNoEntryShowsIt) {
    for (const std::uint64_t entry : {0x161ull, 0x8000000000000160ull}) {  // not present
        const TemporaryFile file(elf_dump(with_idt(entry)));
        const auto kernel = crashed_kernel(*open_dump(file.path()));
        ASSERT_TRUE(kernel);
        EXPECT_EQ(kernel->assumed.back(), "EFER.NXE=1");
        EXPECT_EQ(kernel->deduced.size(), 2u);
    }
}

TEST(CrashDumpTest, FiveLevels) {
    const TemporaryFile file(elf_dump(crash_dump(with("enabled)=0", "enabled)=1"))));
    const std::vector<DumpSpace> spaces = spaces_of(*open_dump(file.path()));
    ASSERT_EQ(spaces.size(), 1u);
    EXPECT_EQ(mode_of(spaces[0].paging.format()), Mode::level5);
}

TEST(CrashDumpTest, WithoutARootThereIsNoSpace) {
    const TemporaryFile file(elf_dump(crash_dump(without("NUMBER(phys_base)"))));
    const auto dump = open_dump(file.path());
    EXPECT_EQ(dump->notes().vmcoreinfo->problem,
              "its VMCOREINFO tells no root: NUMBER(phys_base) is missing");
    EXPECT_FALSE(crashed_kernel(*dump));
    EXPECT_TRUE(spaces_of(*dump).empty());
}

TEST(CrashDumpTest, QemusCpusComeBeforeIt) {  // QEMU copies the note if it has a vmcoreinfo device
    SampleDump sample;
    sample.vmcoreinfo = sample_vmcoreinfo;
    const TemporaryFile file(elf_dump(sample));
    const auto dump = open_dump(file.path());
    EXPECT_FALSE(crashed_kernel(*dump));
    ASSERT_EQ(spaces_of(*dump).size(), 1u);
    EXPECT_EQ(spaces_of(*dump)[0].assumed, std::vector<std::string>{"EFER.SCE=NXE=1"});
}

TEST(CrashDumpTest, ANoteThatIsLongerThanTheNotesEndsThem) {
    Bytes notes = notes_of(crash_dump(sample_vmcoreinfo));
    const std::string_view text(reinterpret_cast<const char*>(notes.data()), notes.size());
    notes[text.find("VMCOREINFO") - 8 + 3] = std::byte{0x7f};  // its size's highest byte
    const DumpNotes read = read_dump_notes(notes);
    EXPECT_EQ(read.problem, "its notes are cut off");
    EXPECT_FALSE(read.vmcoreinfo);
}

}  // namespace
}  // namespace ptmap
