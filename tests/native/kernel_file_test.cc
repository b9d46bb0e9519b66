// A kernel's ELF file: what is read of it, and of files that are none or damaged.
#include "elf/kernel_file.h"

#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <stdexcept>

#include "dump_samples.h"
#include "elf/build_id.h"

namespace ptmap::elf {
namespace {

constexpr std::uint64_t text_at = 0xffffffff81000000, rodata_at = 0xffffffff82000000,
                        notes_at = 0xffffffff82800000;
constexpr std::string_view banner = "Linux version 7.2.13 (somebody@host) (gcc) #1 SMP";

struct SampleKernel {
    std::uint64_t per_cpu_at = 0xffffffff83000000;
    std::vector<std::string> symbols{"other",        "_text",      "linux_banner",
                                     "__init_begin", "__init_end", "_end"};
    std::string_view banner = elf::banner;
    std::string_view notes = {};
};

void append(Bytes& to, const void* from, std::size_t size) {
    const auto* bytes = static_cast<const std::byte*>(from);
    to.insert(to.end(), bytes, bytes + size);
}

// Symbol n is at text_at + n * 0x1000, but linux_banner in .rodata.
Bytes kernel_file(const SampleKernel& kernel = {}) {
    Bytes file(sizeof(Elf64_Ehdr));
    std::string names(1, '\0'), strings(1, '\0');
    std::vector<Elf64_Shdr> sections(1);
    const auto add = [&](const char* name, std::uint32_t type, std::uint64_t flags,
                         std::uint64_t address, const void* from, std::size_t size) {
        sections.push_back({.sh_name = static_cast<Elf64_Word>(names.size()),
                            .sh_type = type,
                            .sh_flags = flags,
                            .sh_addr = address,
                            .sh_offset = file.size(),
                            .sh_size = size,
                            .sh_link = 0,
                            .sh_info = 0,
                            .sh_addralign = type == SHT_NOTE ? 4u : 8u,
                            .sh_entsize = 0});
        names += name + std::string(1, '\0');
        append(file, from, size);
        file.resize((file.size() + 7) / 8 * 8);
    };
    add(".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, text_at, "code", 4);
    std::string rodata = std::string(16, '\0') + std::string(kernel.banner) + "\n";
    add(".rodata", SHT_PROGBITS, SHF_ALLOC, rodata_at, rodata.c_str(), rodata.size() + 1);
    add(".data..percpu", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE, kernel.per_cpu_at, "data", 4);
    if (!kernel.notes.empty())
        add(".notes", SHT_NOTE, SHF_ALLOC, notes_at, kernel.notes.data(), kernel.notes.size());
    std::vector<Elf64_Sym> symbols(1);
    for (std::size_t n = 0; n < kernel.symbols.size(); ++n) {
        const bool is_banner = kernel.symbols[n] == "linux_banner";
        symbols.push_back({.st_name = static_cast<Elf64_Word>(strings.size()),
                           .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT),
                           .st_other = 0,
                           .st_shndx = 1,
                           .st_value = is_banner ? rodata_at + 16 : text_at + n * 0x1000,
                           .st_size = 0});
        strings += kernel.symbols[n] + '\0';
    }
    add(".symtab", SHT_SYMTAB, 0, 0, symbols.data(), symbols.size() * sizeof symbols[0]);
    sections.back().sh_link = static_cast<Elf64_Word>(sections.size());
    sections.back().sh_entsize = sizeof symbols[0];
    add(".strtab", SHT_STRTAB, 0, 0, strings.data(), strings.size());
    names += ".shstrtab" + std::string(1, '\0');
    const std::string all_names = names;
    add("", SHT_STRTAB, 0, 0, all_names.data(), all_names.size());

    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    header.e_type = ET_EXEC;
    header.e_machine = EM_X86_64;
    header.e_version = EV_CURRENT;
    header.e_shoff = file.size();
    header.e_ehsize = sizeof header;
    header.e_shentsize = sizeof sections[0];
    header.e_shnum = static_cast<Elf64_Half>(sections.size());
    header.e_shstrndx = static_cast<Elf64_Half>(sections.size() - 1);
    std::memcpy(file.data(), &header, sizeof header);
    append(file, sections.data(), sections.size() * sizeof sections[0]);
    return file;
}

KernelFile read(const std::string& path) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    try {
        KernelFile kernel = read_kernel_file(file);
        ::close(file);
        return kernel;
    } catch (...) {
        ::close(file);
        throw;
    }
}

std::string refusal(const Bytes& bytes) {
    const TemporaryFile file(bytes);
    try {
        read(file.path());
        return "";
    } catch (const std::invalid_argument& error) {
        return error.what();
    }
}

TEST(ElfKernelFile, SaysWhatItIs) {
    const TemporaryFile file(kernel_file());
    const KernelFile kernel = read(file.path());
    EXPECT_EQ(kernel.text, text_at + 0x1000);
    EXPECT_EQ(kernel.banner_at, rodata_at + 16);
    EXPECT_EQ(kernel.init_begin, text_at + 0x3000);
    EXPECT_EQ(kernel.init_end, text_at + 0x4000);
    EXPECT_EQ(kernel.end, text_at + 0x5000);
    EXPECT_EQ(kernel.banner, banner);
    EXPECT_FALSE(kernel.per_cpu_from_zero);
}

TEST(ElfKernelFile, PerCpuFromZero) {
    const TemporaryFile file(kernel_file({.per_cpu_at = 0}));
    EXPECT_TRUE(read(file.path()).per_cpu_from_zero);
}

TEST(ElfKernelFile, ANameFoundTwiceHidesNoOther) {
    const TemporaryFile file(kernel_file(
        {.symbols = {"x", "_text", "_text", "_text", "linux_banner", "_end", "__init_end"}}));
    const KernelFile kernel = read(file.path());
    EXPECT_EQ(kernel.text, text_at + 0x1000);
    EXPECT_EQ(kernel.init_end, text_at + 0x6000);
    EXPECT_EQ(kernel.init_begin, 0u);
}

std::string note(std::string_view name, std::uint32_t type, std::string_view content) {
    std::string bytes;
    for (const std::size_t word : {name.size(), content.size(), std::size_t{type}})
        for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(word >> shift);
    return bytes.append(name).append(content);
}

std::optional<BuildId> build_id_of(std::string_view notes) {
    const TemporaryFile file(kernel_file({.notes = notes}));
    const int descriptor = ::open(file.path().c_str(), O_RDONLY | O_CLOEXEC);
    auto found = build_id(descriptor);
    ::close(descriptor);
    return found;
}

TEST(ElfKernelFile, BuildId) {
    using namespace std::string_view_literals;
    const std::string other = note("Xen\0"sv, 3, "no build id!") + note("GNU\0"sv, 1, "abcd");
    const std::string id = note("GNU\0"sv, NT_GNU_BUILD_ID, "twenty bytes of SHA1");
    const auto found = build_id_of(other + id);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->bytes, "twenty bytes of SHA1");
    EXPECT_EQ(found->va, notes_at + other.size() + 16);
    EXPECT_FALSE(build_id_of(other));
    EXPECT_FALSE(build_id_of(""));
    EXPECT_FALSE(build_id_of(note("GNU\0"sv, NT_GNU_BUILD_ID, std::string(68, 'x'))));
    EXPECT_FALSE(build_id_of(note("GNU\0"sv, NT_GNU_BUILD_ID, "")));
    for (std::size_t size = 1; size < id.size(); ++size)
        EXPECT_FALSE(build_id_of(id.substr(0, size))) << size;
}

TEST(ElfKernelFile, RefusesOthers) {
    EXPECT_EQ(refusal({}), "not an ELF file");
    EXPECT_EQ(refusal(Bytes(5000)), "not an ELF file");
    const std::string none = "not a Linux kernel with symbols (a vmlinux is)";
    EXPECT_EQ(refusal(kernel_file({.symbols = {"x", "_text", "_end"}})), none);
    EXPECT_EQ(refusal(kernel_file({.banner = "Windows"})), none);
}

TEST(ElfKernelFile, DamageOfEachByte) {
    const Bytes whole = kernel_file();
    const TemporaryFile file(whole);
    Bytes broken = whole;
    for (std::size_t at = 0; at < whole.size(); ++at) {
        for (const int value : {0, 0x7f, 0xff}) {
            broken[at] = std::byte(value);
            file.write(broken);
            try {
                read(file.path());
            } catch (const std::invalid_argument& error) {
                EXPECT_STRNE(error.what(), "");
            }
        }
        broken[at] = whole[at];
    }
    for (std::size_t size = 0; size < whole.size(); size += 5) {
        file.write(std::span(whole).first(size));
        EXPECT_THROW(read(file.path()), std::invalid_argument) << size;
    }
}

}  // namespace
}  // namespace ptmap::elf
