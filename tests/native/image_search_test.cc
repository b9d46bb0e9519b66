// The search for ELF images behind the pages that a user executes.
#include "vdso/image_search.h"

#include <gtest/gtest.h>

#include <ctime>
#include <random>

#include "elf_samples.h"
#include "fake_memory.h"

namespace ptmap {
namespace {

using elf::Bytes;
using From = ImagePage::From;

constexpr std::uint64_t frames = 0x100000;
constexpr std::uint64_t text = bit::P | bit::US;

// Page N below 2 MiB is at `frames` + N pages, if a test maps it. PML4 at 0x1000, PT at 0x4000.
struct Process {
    Process() {
        machine.set(0x1000, 0, 0x2000 | bit::table);
        machine.set(0x2000, 0, 0x3000 | bit::table);
        machine.set(0x3000, 0, 0x4000 | bit::table);
        machine.memory.remember = false;
    }

    void lay(std::uint64_t pa, const Bytes& bytes) {
        for (std::size_t i = 0; i < bytes.size(); ++i)
            machine.memory.put(pa + i, std::to_integer<unsigned>(bytes[i]), 1);
    }
    void map(std::uint64_t va, std::uint64_t rights = text) {
        machine.set(0x4000, static_cast<unsigned>(va >> 12), (frames + va) | rights);
    }
    // An image with its pages behind each other.
    void image(std::uint64_t va, const Bytes& bytes, std::uint64_t rights = text) {
        lay(frames + va, bytes);
        for (std::uint64_t at = 0; at < bytes.size(); at += 4096) map(va + at, rights);
    }

    UserCode code() { return user_code(machine.paging(), {0x1000}, machine.memory); }
    ImageSearch search(const Pulse& pulse = {}) {
        const Paging& paging = machine.paging();
        return search_images(paging, user_code(paging, {0x1000}, machine.memory), machine.memory,
                             pulse);
    }

    Machine machine{Mode::level4};
};

const Bytes& vdso() {
    static const Bytes bytes = elf::sample("64-both").bytes;
    return bytes;
}

// The same image under another name.
Bytes named(const std::string& name) {
    Bytes bytes = elf::sample("64-sysv").bytes;
    const std::string old = "linux-vdso.so.1";
    const auto section = elf::section(bytes, ".dynstr");
    for (std::size_t i = section.offset; i < section.offset + section.size - old.size(); ++i)
        if (std::equal(old.begin(), old.end(), reinterpret_cast<const char*>(&bytes[i])))
            std::memcpy(&bytes[i], name.data(), old.size());
    return bytes;
}

TEST(UserCode, FramesAndOrder) {
    Process m;
    m.map(0x3000);
    m.map(0x5000, text | bit::RW);
    m.map(0x7000);
    m.map(0x8000, bit::P);          // the supervisor's
    m.map(0x9000, text | bit::XD);  // no code
    m.machine.set(0x3000, 1, 0x400000 | text | bit::PS);
    const UserCode code = m.code();
    EXPECT_EQ(code.count(false), 2u + 512u);
    EXPECT_EQ(code.count(true), 1u);
    EXPECT_EQ(code.frame({0x3000}), PhysAddr{frames + 0x3000});
    EXPECT_EQ(code.frame({0x3001}), std::nullopt);
    EXPECT_EQ(code.frame({0x4000}), std::nullopt);
    EXPECT_EQ(code.frame({0}), std::nullopt);
    EXPECT_EQ(code.frame({0x8000}), std::nullopt);
    EXPECT_EQ(code.frame({2 * MiB + 0x5000}), PhysAddr{0x405000});
    EXPECT_EQ(code.frame({4 * MiB}), std::nullopt);
    EXPECT_EQ(code.frame({~std::uint64_t{0}}), std::nullopt);
    auto pages = code.pages(false);
    EXPECT_EQ(pages.next()->va, VirtAddr{0x7000});  // high ones first
    EXPECT_EQ(pages.next()->va, VirtAddr{0x3000});
    for (std::uint64_t i = 0; i < 512; ++i) {
        const auto page = pages.next();
        ASSERT_TRUE(page);
        EXPECT_EQ(page->va, VirtAddr{2 * MiB + i * 0x1000});
        EXPECT_EQ(page->pa, PhysAddr{0x400000 + i * 0x1000});
    }
    EXPECT_FALSE(pages.next());
    EXPECT_FALSE(pages.next());
    auto writable = code.pages(true);
    EXPECT_EQ(writable.next()->va, VirtAddr{0x5000});
    EXPECT_FALSE(writable.next());
}

TEST(ImageSearch, FindsAnImageWithItsPages) {
    Process m;
    m.image(0x10000, vdso());
    m.map(0x20000);
    const ImageSearch found = m.search();
    ASSERT_EQ(found.images.size(), 1u);
    const UserImage& image = found.images.front();
    EXPECT_EQ(image.va, VirtAddr{0x10000});
    EXPECT_TRUE(image.elf.is_vdso());
    EXPECT_FALSE(image.elf.functions.empty());
    EXPECT_TRUE(image.elf.problems.empty());
    const std::size_t pages = (vdso().size() + 4095) / 4096;
    ASSERT_EQ(image.pages.size(), pages);
    for (std::size_t i = 0; i < pages; ++i) {
        EXPECT_EQ(image.pages[i].from, From::process);
        EXPECT_EQ(image.pages[i].pa, PhysAddr{frames + 0x10000 + i * 4096});
    }
    Bytes expected = vdso();
    expected.resize(pages * 4096);
    EXPECT_EQ(read_pages(m.machine.memory, image.pages), expected);
    EXPECT_EQ(found.pages, pages + 1);
    EXPECT_EQ(found.looked, pages + 1);
    EXPECT_FALSE(found.cut);
}

TEST(ImageSearch, AMissingPageIsNotTheProcesss) {
    for (const bool unmapped : {true, false}) {
        Process m;
        m.image(0x10000, vdso());
        m.machine.set(0x4000, 0x11, unmapped ? 0 : 0x900000 | text);
        const ImageSearch found = m.search();
        ASSERT_EQ(found.images.size(), 1u);
        const ImagePage& page = found.images.front().pages.at(1);
        EXPECT_EQ(page.from, From::nowhere);
        EXPECT_EQ(page.why, unmapped ? "not mapped executable" : "its frame 0x900000: not RAM");
        const auto bytes = read_pages(m.machine.memory, found.images.front().pages);
        for (std::size_t i = 4096; i < 8192; ++i) EXPECT_EQ(bytes[i], std::byte{0});
        EXPECT_FALSE(found.images.front().elf.problems.empty());
    }
}

TEST(ImageSearch, WritablePagesOnlyIfNoVdsoIsFound) {
    Process m;
    m.image(0x10000, vdso(), text | bit::RW);
    const std::size_t pages = (vdso().size() + 4095) / 4096;
    EXPECT_EQ(m.search().images.size(), 1u);
    EXPECT_EQ(m.search().pages, pages);
    m.image(0x40000, vdso());
    ImageSearch found = m.search();
    ASSERT_EQ(found.images.size(), 1u);
    EXPECT_EQ(found.images[0].va, VirtAddr{0x40000});
    EXPECT_EQ(found.pages, pages);
}

TEST(ImageSearch, OrdinaryImagesKeepNoFunctions) {
    Process m;
    m.image(0x10000, named("linux-odso.so.1"));
    const ImageSearch found = m.search();
    ASSERT_EQ(found.images.size(), 1u);
    EXPECT_FALSE(found.images[0].elf.is_vdso());
    EXPECT_TRUE(found.images[0].elf.functions.empty());
}

TEST(ImageSearch, HeadersThatBeginNoImageAreTold) {
    Process m;
    m.image(0x10000, {std::byte{0x7f}, std::byte{'E'}, std::byte{'L'}, std::byte{'F'}});
    const ImageSearch found = m.search();
    EXPECT_TRUE(found.images.empty());
    ASSERT_EQ(found.rejected.size(), 1u);
    EXPECT_EQ(found.rejected[0].first, VirtAddr{0x10000});
    EXPECT_EQ(found.rejected[0].second, "the ELF header is damaged: neither 32 nor 64 bits");
}

TEST(ImageSearch, AnImageEndsWithinTheAddressSpace) {
    const Machine machine(Mode::level4);
    const X86Paging paging(machine.registers);
    EXPECT_TRUE(fits(paging, {0}, 1));
    EXPECT_TRUE(fits(paging, {0x7fffffffe000}, 0x2000));
    EXPECT_FALSE(fits(paging, {0x7fffffffe000}, 0x2001));
    EXPECT_TRUE(fits(paging, {0xfffffffffffff000}, 0x1000));
    EXPECT_FALSE(fits(paging, {0xfffffffffffff000}, 0x1001));
    EXPECT_FALSE(fits(paging, {0x800000000000}, 1));

    Process m;  // a 32-bit image over 4 GiB
    m.machine.set(0x2000, 3, 0x5000 | bit::table);
    m.machine.set(0x5000, 511, 0x6000 | bit::table);
    m.machine.set(0x6000, 511, frames | text);
    const Bytes image = elf::sample("32-both").bytes;
    ASSERT_GT(image.size(), 4096u);
    m.lay(frames, image);
    const ImageSearch found = m.search();
    ASSERT_EQ(found.rejected.size(), 1u);
    EXPECT_EQ(found.rejected[0].second, "it would end beyond the address space");
}

TEST(ImageSearch, LooksAtOnePage) {
    Process m;
    m.image(0x10000, vdso());
    const Paging& paging = m.machine.paging();
    const UserCode code = user_code(paging, {0x1000}, m.machine.memory);
    EXPECT_EQ(look_at(paging, code, m.machine.memory, {0x10000}).images.size(), 1u);
    EXPECT_EQ(look_at(paging, code, m.machine.memory, {0x10000}).looked, 1u);
    EXPECT_EQ(look_at(paging, code, m.machine.memory, {0x11000}).rejected.size(), 1u);
    const ImageSearch nothing = look_at(paging, code, m.machine.memory, {0x40000});
    EXPECT_TRUE(nothing.images.empty() && nothing.rejected.empty());
    EXPECT_EQ(nothing.looked, 0u);
    EXPECT_GT(nothing.pages, 0u);
}

TEST(ImageSearch, PagesThatCannotBeReadAgain) {
    Process m;
    std::vector<ImagePage> pages{{{0x1000}, From::process, {0x900000}, {}, {}}};
    EXPECT_THROW(read_pages(m.machine.memory, pages), std::invalid_argument);
    pages[0].from = From::nowhere;
    EXPECT_EQ(read_pages(m.machine.memory, pages), Bytes(4096));
    EXPECT_TRUE(read_pages(m.machine.memory, {}).empty());
}

constexpr double soon = 4;  // seconds, with sanitizers

// Every page of many tables leads to one frame.
struct Full : Process {
    explicit Full(const Bytes& bytes) {
        lay(frames, bytes);
        machine.fill(0x4000, 0, 511, frames | text);
        machine.fill(0x3000, 0, 511, 0x4000 | bit::table);
        for (unsigned i = 0; i < 255; ++i) {  // each table counts once, so there are several
            const std::uint64_t table = 0x800000 + i * 0x1000;
            machine.fill(table, 0, 511, frames | text);
            machine.set(0x3000, i + 1, table | bit::table);
        }
    }
};

TEST(ImageSearchHostile, HeadersEverywhere) {
    Full m({std::byte{0x7f}, std::byte{'E'}, std::byte{'L'}, std::byte{'F'}});
    const std::clock_t start = std::clock();
    const ImageSearch found = m.search();
    EXPECT_EQ(found.rejected.size(), 1024u);
    EXPECT_TRUE(found.cut);
    EXPECT_EQ(found.looked, 1024u);
    EXPECT_LT(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC, soon);
}

TEST(ImageSearchHostile, MorePagesThanAreLookedAt) {
    Full m({std::byte{0}});
    const ImageSearch found = m.search();
    EXPECT_EQ(found.looked, 65536u);
    EXPECT_EQ(found.pages, 256u * 512u);
    EXPECT_TRUE(found.cut);
}

TEST(ImageSearchHostile, LargeVdsosEverywhere) {
    Bytes bytes = elf::without_sections(elf::sample("64-both"));
    auto header = elf::get<Elf64_Ehdr>(bytes, 0);
    auto load = elf::get<Elf64_Phdr>(bytes, header.e_phoff);
    load.p_filesz = load.p_memsz = elf::max_image_size;
    elf::put(bytes, header.e_phoff, load);
    bytes.resize(4096);  // each of its pages is the first
    Full m(bytes);
    struct Enough {};
    std::size_t pulses = 0;
    const auto pulse = [&](std::size_t) {
        if (++pulses == 10) throw Enough();
    };
    EXPECT_THROW(m.search(pulse), Enough);
    const ImageSearch found = m.search();
    EXPECT_TRUE(found.cut);
    EXPECT_LE(found.images.size(), 64u);  // of 1 MiB each
}

TEST(ImageSearchHostile, DamagedBytes) {
    std::mt19937 random(7);
    for (int i = 0; i < 200; ++i) {
        Bytes bytes = vdso();
        for (int n = 0; n < 40; ++n)
            bytes[4 + random() % (bytes.size() - 4)] = static_cast<std::byte>(random());
        Process m;
        m.image(0x10000, bytes);
        const ImageSearch found = m.search();
        EXPECT_EQ(found.images.size() + found.rejected.size(), 1u);
    }
}

}  // namespace
}  // namespace ptmap
