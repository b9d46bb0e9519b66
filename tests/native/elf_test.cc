// What is read of intact images, against a reader that goes by their section headers.
#include <gtest/gtest.h>
#include <sys/auxv.h>

#include <algorithm>
#include <ctime>
#include <stdexcept>

#include "elf_samples.h"

namespace ptmap::elf {
namespace {

void expect_functions(const Image& image, const std::vector<Known>& known) {
    ASSERT_EQ(image.functions.size(), known.size());
    for (std::size_t i = 0; i < known.size(); ++i) {
        const Function& function = image.functions[i];
        EXPECT_EQ(function.name, known[i].name);
        EXPECT_EQ(function.offset, known[i].offset) << function.name;
        EXPECT_EQ(function.size, known[i].size) << function.name;
        EXPECT_EQ(function.version, known[i].version) << function.name;
        EXPECT_EQ(function.weak, known[i].weak) << function.name;
    }
}

const Function& function(const Image& image, const std::string& name) {
    return *std::ranges::find(image.functions, name, &Function::name);
}

bool has_problem(const Image& image, const std::string& phrase) {
    return std::ranges::find(image.problems, phrase) != image.problems.end();
}

std::string error_of(const Bytes& bytes) {
    try {
        read(bytes);
    } catch (const std::invalid_argument& e) {
        return e.what();
    }
    return "";
}

TEST(Elf, Samples) {
    for (const Sample& sample : samples()) {
        SCOPED_TRACE(sample.name);
        const Image image = read(sample.bytes);
        const bool is_32 = sample.name.starts_with("32");
        EXPECT_EQ(name(image.abi), sample.is_64() ? "64-bit" : is_32 ? "32-bit" : "x32");
        EXPECT_EQ(image.base, sample.name == "64-prelinked" ? 0xffffffffff700000 : 0);
        EXPECT_EQ(image.size, sample.bytes.size());
        EXPECT_TRUE(image.dynamic);
        EXPECT_EQ(image.soname, is_32 ? "linux-gate.so.1" : "linux-vdso.so.1");
        const Section note = section(sample.bytes, ".note");
        const auto id = sample.bytes.begin() + static_cast<std::ptrdiff_t>(note.offset + 16);
        EXPECT_EQ(image.build_id, Bytes(id, id + 20));
        EXPECT_EQ(image.problems, std::vector<std::string>{});
        EXPECT_EQ(image.functions.size(), 8u);
        expect_functions(image, functions_by_sections(sample.bytes));
    }
}

// What the sources of the samples say, so that both readers do not merely agree.
TEST(Elf, VersionsAndAliases) {
    const Image image = read(sample("32-both").bytes);
    EXPECT_EQ(function(image, "__vdso_time").version, "LINUX_2.6");
    EXPECT_EQ(function(image, "__kernel_vsyscall").version, "LINUX_2.5");
    EXPECT_EQ(function(image, "without_version").version, "");
    EXPECT_TRUE(function(image, "time").weak);
    EXPECT_FALSE(function(image, "__vdso_time").weak);
    EXPECT_EQ(function(image, "time").offset, function(image, "__vdso_time").offset);
}

TEST(Elf, WithoutSectionHeaders) {
    for (const Sample& sample : samples()) {
        SCOPED_TRACE(sample.name);
        const Image image = read(without_sections(sample));
        EXPECT_EQ(image.problems, std::vector<std::string>{});
        EXPECT_LT(image.size, sample.bytes.size());
        expect_functions(image, functions_by_sections(sample.bytes));
    }
}

// Whoever has the first page learns from it how many to get.
TEST(Elf, FirstPageTellsTheSize) {
    for (const Sample& sample : samples()) {
        SCOPED_TRACE(sample.name);
        const Image image = read(std::span(sample.bytes).first(4096));
        EXPECT_EQ(image.size, sample.bytes.size());
        EXPECT_TRUE(has_problem(image, "its end is missing"));
        expect_functions(image, functions_by_sections(sample.bytes));
    }
}

TEST(Elf, RestOfTheLastPageIsNotTheImages) {
    Sample one = sample("64-both");
    const std::uint64_t size = one.bytes.size();
    one.bytes.resize(0x5000, std::byte{0xcc});
    const Image image = read(one.bytes);
    EXPECT_EQ(image.size, size);
    EXPECT_EQ(image.problems, std::vector<std::string>{});
}

// A page of zeros for one that is missing: here the code and the section headers.
TEST(Elf, SecondPageIsZeros) {
    for (Sample& sample : samples()) {
        SCOPED_TRACE(sample.name);
        const auto known = functions_by_sections(sample.bytes);
        std::fill(sample.bytes.begin() + 4096, sample.bytes.end(), std::byte{0});
        const Image image = read(sample.bytes);
        EXPECT_TRUE(has_problem(image, "section headers are damaged or missing"));
        expect_functions(image, known);
    }
}

TEST(Elf, NotAnImage) {
    EXPECT_NE(error_of({}), "");
    EXPECT_NE(error_of(Bytes(8192)), "");
    EXPECT_NE(error_of(Bytes(8192, std::byte{0x7f})), "");
    Bytes archive(8192);
    std::memcpy(archive.data(),
                "!<arch>\nx/              0           0     0     644     4         `\n", 68);
    EXPECT_NE(error_of(archive), "");
}

TEST(Elf, OtherKindsOfImage) {
    const Bytes good = sample("64-both").bytes;
    const auto error_with = [&](std::size_t offset, std::uint16_t value) {
        Bytes bytes = good;
        put(bytes, offset, value);
        return error_of(bytes);
    };
    EXPECT_EQ(error_with(offsetof(Elf64_Ehdr, e_machine), EM_AARCH64),
              "an ELF image, but not for x86");
    EXPECT_EQ(error_with(offsetof(Elf64_Ehdr, e_machine), EM_386), "an ELF image, but not for x86");
    EXPECT_EQ(error_with(offsetof(Elf64_Ehdr, e_type), ET_EXEC),
              "an ELF image, but not a shared object");
    EXPECT_EQ(error_with(EI_DATA, ELFDATA2MSB | EV_CURRENT << 8),
              "an ELF image, but not little-endian");
}

// The header says x32, the name is that of the 32-bit one; and the other way round.
TEST(Elf, NameOfAnotherKind) {
    for (const char* name : {"32-both", "x32-both"}) {
        Bytes bytes = sample(name).bytes;
        const std::size_t machine = offsetof(Elf32_Ehdr, e_machine);
        const bool is_32 = get<std::uint16_t>(bytes, machine) == EM_386;
        put(bytes, machine, static_cast<std::uint16_t>(is_32 ? EM_X86_64 : EM_386));
        EXPECT_NE(error_of(bytes).find("another kind's"), std::string::npos) << name;
    }
}

// Who of both is right is not known, so neither is believed.
TEST(Elf, SectionHeadersContradict) {
    Bytes bytes = sample("64-both").bytes;
    const Section dynamic = section(bytes, ".dynamic");
    std::size_t at = dynamic.offset;
    while (get<Elf64_Dyn>(bytes, at).d_tag != DT_STRTAB) at += sizeof(Elf64_Dyn);
    Elf64_Dyn entry = get<Elf64_Dyn>(bytes, at);
    entry.d_un.d_ptr += 16;
    put(bytes, at, entry);
    const Image image = read(bytes);
    EXPECT_TRUE(has_problem(image, "section headers contradict the dynamic section"));
    EXPECT_TRUE(image.functions.empty());
    EXPECT_EQ(image.soname, "");
}

TEST(Elf, FunctionOverHeadersOrOutside) {
    const Sample good = sample("64-both");
    const Known known = functions_by_sections(good.bytes).front();
    for (const std::uint64_t value : {std::uint64_t{0}, std::uint64_t{64}, known.offset + 0x10000,
                                      ~std::uint64_t{0}, known.symbol_offset}) {
        Bytes bytes = without_sections(good);
        put(bytes, known.symbol_offset + offsetof(Elf64_Sym, st_value), value);
        const Image image = read(bytes);
        EXPECT_EQ(image.functions.size(), 7u) << value;
        EXPECT_TRUE(has_problem(image, "symbols are damaged")) << value;
    }
}

TEST(Elf, BuildIdOfZeros) {
    Bytes bytes = sample("64-both").bytes;
    const auto id =
        bytes.begin() + static_cast<std::ptrdiff_t>(section(bytes, ".note").offset + 16);
    std::fill(id, id + 20, std::byte{0});
    EXPECT_TRUE(read(bytes).build_id.empty());
    EXPECT_TRUE(has_problem(read(bytes), "notes are damaged or missing"));
}

TEST(Elf, OwnVdso) {
    const auto address = getauxval(AT_SYSINFO_EHDR);
    if (address == 0) GTEST_SKIP() << "this process has no vDSO";
    const auto* first = reinterpret_cast<const std::byte*>(address);
    const std::uint64_t size = read({first, 4096}).size;
    const Bytes bytes(first, first + (size + 4095) / 4096 * 4096);
    const Image image = read(bytes);
    EXPECT_EQ(image.abi, Abi::bits64);
    EXPECT_EQ(image.soname, "linux-vdso.so.1");
    EXPECT_EQ(image.build_id.size(), 20u);
    EXPECT_EQ(image.problems, std::vector<std::string>{});
    expect_functions(image, functions_by_sections(bytes));

    const Function& time_function = function(image, "__vdso_time");
    EXPECT_EQ(time_function.version, "LINUX_2.6");
    const auto vdso_time =
        reinterpret_cast<std::time_t (*)(std::time_t*)>(address + time_function.offset);
    const std::time_t before = std::time(nullptr), now = vdso_time(nullptr);
    EXPECT_LE(before, now);
    EXPECT_LE(now, std::time(nullptr));
}

TEST(ElfImage, IsAVdsoByItsName) {
    const auto is = [](std::string name) {
        Image image{};
        image.soname = std::move(name);
        return image.is_vdso();
    };
    for (const char* name : {"linux-vdso.so.1", "linux-gate.so.1", "elf-vdso.so.1", "vdso.so",
                             "gate.so.1", "lab64-vdso.so.1", "a_vdso.so", "xvdso.so-vdso.so"})
        EXPECT_TRUE(is(name)) << name;
    for (const char* name : {"", "libc.so.6", "vdso", "xvdso.so.1", "linux-vdso.so1", "gate.sox",
                             "navigate.so", "vdso.so_"})
        EXPECT_FALSE(is(name)) << name;
}

}  // namespace
}  // namespace ptmap::elf
