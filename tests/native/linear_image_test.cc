// ELF images in linear memory, whole or not there.
#include "elf/linear_image.h"

#include <gtest/gtest.h>

#include "elf_samples.h"
#include "fake_memory.h"

namespace ptmap::elf {
namespace {

constexpr std::uint64_t frames = 0x100000;

// Linear 0 .. 2 MiB at physical 1 MiB .. 3 MiB, of which all is RAM.
struct Identity {
    Identity() {
        machine.set(0x1000, 0, 0x2000 | bit::table);
        machine.set(0x2000, 0, 0x3000 | bit::table);
        machine.set(0x3000, 0, 0x4000 | bit::table);
        machine.fill(0x4000, 0, 511, frames | bit::table, 0x1000);
        for (unsigned i = 0; i < 512; ++i) machine.memory.ram(frames + i * 0x1000);
        machine.memory.remember = false;
    }

    void lay(std::uint64_t va, const Bytes& bytes) {
        for (std::size_t i = 0; i < bytes.size(); ++i)
            machine.memory.put(frames + va + i, std::to_integer<unsigned>(bytes[i]), 1);
    }
    LinearMemory linear() { return {machine.paging(), {0x1000}, machine.memory}; }

    Machine machine{Mode::level4};
};

const Bytes& image() {
    static const Bytes bytes = sample("64-both").bytes;
    return bytes;
}
std::uint64_t pages() { return (image().size() + 4095) / 4096; }

TEST(ElfLinearImage, AtAnAddress) {
    Identity m;
    m.lay(0x10000, image());
    LinearMemory linear = m.linear();
    const auto found = image_at(linear, {0x10000});
    ASSERT_TRUE(found);
    EXPECT_EQ(found->size, pages() * 4096);
    EXPECT_EQ(found->image.soname, "linux-vdso.so.1");
    EXPECT_TRUE(image_at(linear, {0x10000}, image().size()));
    EXPECT_FALSE(image_at(linear, {0x11000}));
    EXPECT_FALSE(image_at(linear, {0x10008}));
    EXPECT_FALSE(image_at(linear, {0x10000}, 0));
    EXPECT_FALSE(image_at(linear, {0x10000}, max_image_size + 1));
    EXPECT_FALSE(image_at(linear, {0x10000}, ~std::uint64_t{0}));
    EXPECT_FALSE(image_at(linear, {0x200000}));
}

TEST(ElfLinearImage, OfWhichAPageIsMissing) {
    for (std::uint64_t missing = 0; missing < pages(); ++missing) {
        Identity m;
        m.lay(0x10000, image());
        m.machine.set(0x4000, static_cast<unsigned>(0x10 + missing), 0);
        LinearMemory linear = m.linear();
        EXPECT_FALSE(image_at(linear, {0x10000}));
    }
}

TEST(ElfLinearImage, AroundItsPages) {
    Identity m;
    m.lay(0x10000, image());
    LinearMemory linear = m.linear();
    for (std::uint64_t i = 0; i < pages(); ++i) {
        const auto found = image_around(linear, {0x10000 + i * 4096});
        ASSERT_TRUE(found);
        EXPECT_EQ(found->va, VirtAddr{0x10000});
    }
    EXPECT_FALSE(image_around(linear, {0x10000 + pages() * 4096}));
    EXPECT_FALSE(image_around(linear, {0xf000}));
    EXPECT_FALSE(image_around(linear, {0}));
    EXPECT_FALSE(image_around(linear, {0x10800}));
}

TEST(ElfLinearImage, AllOfThem) {
    Identity m;
    m.lay(0x10000, image());
    m.lay(0x40000, sample("32-both").bytes);
    m.lay(0x80000, {std::byte{0x7f}, std::byte{'E'}, std::byte{'L'}, std::byte{'F'}});
    LinearMemory linear = m.linear();
    std::size_t pulses = 0;
    const auto found =
        images_in(linear, {{{{0}, 2 * MiB, {frames}}}}, [&](std::size_t) { ++pulses; });
    ASSERT_EQ(found.size(), 2u);
    EXPECT_EQ(found[0].va, VirtAddr{0x10000});
    EXPECT_EQ(found[1].va, VirtAddr{0x40000});
    EXPECT_EQ(found[1].image.abi, Abi::bits32);
    EXPECT_TRUE(images_in(linear, {}).empty());
    EXPECT_TRUE(images_in(linear, {{{{0}, 0, {frames}}}}).empty());
}

TEST(ElfLinearImage, AsManyAsOneMayFind) {
    Identity m;
    const Bytes& bytes = image();
    for (std::uint64_t va = 0; va + pages() * 4096 <= 2 * MiB; va += pages() * 4096)
        m.lay(va, bytes);
    LinearMemory linear = m.linear();
    EXPECT_EQ(images_in(linear, {{{{0}, 2 * MiB, {frames}}}}).size(), 64u);
}

TEST(ElfLinearImage, PartsThatEndNowhere) {
    Identity m;
    LinearMemory linear = m.linear();
    struct Enough {};
    std::size_t pulses = 0;
    const auto pulse = [&](std::size_t) {
        if (++pulses == 20) throw Enough();
    };
    EXPECT_THROW(images_in(linear, {{{{0}, ~std::uint64_t{0}, {frames}}}}, pulse), Enough);
}

}  // namespace
}  // namespace ptmap::elf
