// Images made to keep a reader busy: as large as one may be, and full of what leads to more of it.
#include <gtest/gtest.h>

#include <array>
#include <ctime>
#include <stdexcept>

#include "elf_samples.h"

namespace ptmap::elf {
namespace {

constexpr std::size_t names = 0x2000, tables = 0x4000;  // offsets of what is made up

// A 64-bit image of the largest size without section headers, whose tables are where a test has
// them. Its string table is one long name: its tails are names, too.
class Hostile {
public:
    Hostile() : bytes_(without_sections(sample("64-both"))), header_(get<Elf64_Ehdr>(bytes_, 0)) {
        dynamic_ = section(sample("64-both").bytes, ".dynamic");
        bytes_.resize(max_image_size);
        auto load = get<Elf64_Phdr>(bytes_, header_.e_phoff);
        load.p_filesz = load.p_memsz = max_image_size;
        put(bytes_, header_.e_phoff, load);
        for (std::size_t i = 1; i < 0x1fff; ++i) bytes_[names + i] = std::byte{'a'};
        set(DT_STRTAB, names);
        set(DT_STRSZ, 0x2000);
    }

    void set(std::int64_t tag, std::uint64_t value) { change(tag, tag, value); }

    void remove(std::int64_t tag) { change(tag, 0x12345, 0); }

    template <typename T>
    void write(std::size_t offset, const T& value) {
        put(bytes_, offset, value);
    }

    // Functions with long names, from an offset on.
    void write_functions(std::size_t offset, std::size_t count) {
        set(DT_SYMTAB, offset);
        for (std::size_t i = 1; i < count; ++i) {
            const auto name = static_cast<Elf64_Word>(0x1fff - 255 + i % 255);
            write(offset + i * sizeof(Elf64_Sym),
                  Elf64_Sym{name, ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), 0, 1, 0x1000, 1});
        }
    }

    // Reads it and says in how many seconds, of the processor's.
    double seconds() const {
        const std::clock_t start = std::clock();
        try {
            image = read(bytes_);
        } catch (const std::invalid_argument& e) {
            ADD_FAILURE() << e.what();
        }
        return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    }

    const Elf64_Ehdr& header() const { return header_; }
    mutable Image image;

private:
    void change(std::int64_t tag, std::int64_t to, std::uint64_t value) {
        for (std::size_t at = dynamic_.offset;; at += sizeof(Elf64_Dyn)) {
            if (get<Elf64_Dyn>(bytes_, at).d_tag != tag) continue;
            Elf64_Dyn entry{};
            entry.d_tag = to;
            entry.d_un.d_val = value;
            return write(at, entry);
        }
    }

    Bytes bytes_;
    Elf64_Ehdr header_;
    Section dynamic_;
};

constexpr double soon = 2;  // seconds, with sanitizers; it takes a tenth of that

TEST(ElfHostile, LongNamesOnOneChain) {
    Hostile image;
    constexpr std::uint32_t count = 34000;
    image.write_functions(0x30000, count);
    image.remove(DT_GNU_HASH);
    image.set(DT_HASH, tables);
    image.write(tables, std::array<std::uint32_t, 3>{1, count, 1});
    for (std::uint32_t i = 1; i + 1 < count; ++i) image.write(tables + 12 + 4 * i, i + 1);
    EXPECT_LT(image.seconds(), soon);
    EXPECT_TRUE(image.image.functions.empty());  // no name is of one symbol only
}

TEST(ElfHostile, EachBucketLeadsIntoACircle) {
    Hostile image;
    constexpr std::uint32_t count = 30000;
    image.write_functions(0x40000, count);
    image.remove(DT_GNU_HASH);
    image.set(DT_HASH, tables);
    image.write(tables, std::array<std::uint32_t, 2>{count, count});
    for (std::uint32_t i = 0; i < count; ++i) {
        image.write(tables + 8 + 4 * i, std::uint32_t{1});
        image.write(tables + 8 + 4 * (count + i), i + 1 < count ? i + 1 : 1);
    }
    EXPECT_LT(image.seconds(), soon);
}

TEST(ElfHostile, GnuChainWithoutAnEnd) {
    Hostile image;
    image.write_functions(0x30000, 34000);
    image.remove(DT_HASH);
    image.set(DT_GNU_HASH, tables);
    image.write(tables, std::array<std::uint32_t, 7>{1, 1, 1, 0, ~0u, ~0u, 1});
    EXPECT_LT(image.seconds(), soon);
    EXPECT_TRUE(image.image.functions.empty());
}

TEST(ElfHostile, ManyVersionDefinitions) {
    Hostile image;
    image.set(DT_VERDEF, tables);
    image.set(DT_VERDEFNUM, 0x7fff);
    for (std::size_t i = 0; i < 0x7fff; ++i) {
        const Elf64_Word aux = static_cast<Elf64_Word>(0xb0000 - tables - i * sizeof(Elf64_Verdef));
        image.write(tables + i * sizeof(Elf64_Verdef),
                    Elf64_Verdef{1, 0, static_cast<Elf64_Half>(i + 2), 1, 0, aux,
                                 i + 1 < 0x7fff ? Elf64_Word{sizeof(Elf64_Verdef)} : 0});
    }
    image.write(0xb0000, Elf64_Verdaux{0x1fff - 255, 0});
    EXPECT_LT(image.seconds(), soon);
}

TEST(ElfHostile, SegmentsFullOfNotes) {
    Hostile image;
    for (std::size_t i = 1; i < image.header().e_phnum; ++i) {
        Elf64_Phdr notes{};
        notes.p_type = PT_NOTE;
        notes.p_offset = tables;
        notes.p_filesz = max_image_size - tables;
        image.write(image.header().e_phoff + i * sizeof notes, notes);
    }
    EXPECT_LT(image.seconds(), soon);
}

TEST(ElfHostile, MoreSectionsThanAnImageHas) {
    Hostile image;
    Elf64_Ehdr header = image.header();
    header.e_shoff = tables;
    header.e_shentsize = sizeof(Elf64_Shdr);
    header.e_shnum = 0x3000;
    image.write(0, header);
    EXPECT_LT(image.seconds(), soon);
    EXPECT_EQ(image.image.problems.front(), "section headers are damaged or missing");
}

}  // namespace
}  // namespace ptmap::elf
