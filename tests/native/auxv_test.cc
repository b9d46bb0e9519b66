// The auxiliary vector on a stack: where it is, what is none, and stacks made to keep us busy.
#include "elf/auxv.h"

#include <elf.h>
#include <gtest/gtest.h>

#include <ctime>
#include <random>
#include <stdexcept>

#include "fake_memory.h"

namespace ptmap::elf {
namespace {

constexpr std::uint64_t frames = 0x100000;

// A stack of so many pages below 2 MiB, mapped in order; PML4 at 0x1000.
class Stack {
public:
    explicit Stack(unsigned pages, unsigned word = 8) : pages_(pages), word_(word) {
        machine.set(0x1000, 0, 0x2000 | bit::table);
        machine.set(0x2000, 0, 0x3000 | bit::table);
        machine.set(0x3000, 0, 0x4000 | bit::table);
        machine.fill(0x4000, 512 - pages, 511, frames | bit::table, 0x1000);
        for (unsigned i = 0; i < pages; ++i) machine.memory.ram(frames + i * 0x1000);
        machine.memory.remember = false;
    }

    std::uint64_t start() const { return 2 * MiB - pages_ * 4 * KiB; }

    void put(std::uint64_t va, std::uint64_t value) {
        machine.memory.put(frames + (va - start()), value, word_);
    }
    // Pairs from an address on; returns where they end.
    std::uint64_t put(std::uint64_t va,
                      const std::vector<std::pair<std::uint64_t, std::uint64_t>>& pairs) {
        for (const auto& [type, value] : pairs) {
            put(va, type);
            put(va + word_, value);
            va += 2 * word_;
        }
        return va;
    }
    // What Linux writes, AT_RANDOM's bytes `behind` bytes behind it.
    std::uint64_t vector(std::uint64_t va, std::uint64_t behind = 9) {
        const std::uint64_t end = va + 6 * 2 * word_;
        return put(va, {{AT_SYSINFO_EHDR, 0x7fff0000},
                        {AT_HWCAP, 0xbfebfbff},
                        {AT_PAGESZ, 4096},
                        {AT_ENTRY, 0x401000},
                        {AT_RANDOM, end + behind},
                        {AT_NULL, 0}});
    }

    std::optional<Auxv> find(bool wide = true, const Pulse& pulse = {}) {
        return find(start(), 2 * MiB, wide, pulse);
    }
    std::optional<Auxv> find(std::uint64_t first, std::uint64_t end, bool wide = true,
                             const Pulse& pulse = {}) {
        const Paging& paging = machine.paging();
        LinearMemory linear(paging, {0x1000}, machine.memory);
        return find_auxv(linear, {first}, {end}, wide, pulse);
    }

    Machine machine{Mode::level4};

private:
    unsigned pages_, word_;
};

TEST(ElfAuxv, IsFoundByItsShape) {
    Stack stack(4);
    const std::uint64_t at = 2 * MiB - 0x800;
    stack.vector(at);
    const auto found = stack.find();
    ASSERT_TRUE(found);
    EXPECT_EQ(found->va, VirtAddr{at});
    EXPECT_EQ(found->word, 8u);
    EXPECT_EQ(found->vdso(), VirtAddr{0x7fff0000});
    EXPECT_EQ(found->abi(), Abi::bits64);
    EXPECT_EQ(found->values.size(), 5u);
    EXPECT_EQ(found->values.front(), (std::pair<std::uint64_t, std::uint64_t>{33, 0x7fff0000}));
    EXPECT_EQ(found->value(AT_ENTRY), 0x401000u);
    EXPECT_EQ(found->value(AT_UID), std::nullopt);
}

TEST(ElfAuxv, Of32Bits) {
    Stack stack(4, 4);
    const std::uint64_t at = 2 * MiB - 0x800;
    stack.vector(at);
    for (const bool wide : {false, true}) {
        const auto found = stack.find(wide);
        ASSERT_TRUE(found);
        EXPECT_EQ(found->word, 4u);
        EXPECT_EQ(found->abi(), Abi::x32);
    }
    const std::uint64_t end = at + 7 * 8;
    stack.put(at, {{AT_SYSINFO, 0x7fff0410},
                   {AT_SYSINFO_EHDR, 0x7fff0000},
                   {AT_HWCAP, 1},
                   {AT_PAGESZ, 4096},
                   {AT_ENTRY, 0x401000},
                   {AT_RANDOM, end + 1},
                   {AT_NULL, 0}});
    EXPECT_EQ(stack.find()->abi(), Abi::bits32);
    Stack wide(4);
    wide.vector(at);
    EXPECT_FALSE(wide.find(false));
}

TEST(ElfAuxv, WithoutAVdso) {
    Stack stack(4);
    const std::uint64_t at = 2 * MiB - 0x800, end = at + 3 * 16;
    stack.put(at, {{AT_PAGESZ, 4096}, {AT_RANDOM, end}, {AT_NULL, 0}});
    ASSERT_TRUE(stack.find());
    EXPECT_EQ(stack.find()->vdso(), std::nullopt);
    stack.put(at - 16, {{AT_SYSINFO_EHDR, 0}});
    EXPECT_EQ(stack.find()->vdso(), std::nullopt);
    EXPECT_EQ(stack.find()->value(AT_SYSINFO_EHDR), 0u);
}

TEST(ElfAuxv, AcrossPages) {
    for (std::uint64_t before = 0; before <= 96; before += 16) {
        Stack stack(4);
        const std::uint64_t at = 2 * MiB - 0x2000 - before;
        stack.vector(at, 4095);
        const auto found = stack.find();
        ASSERT_TRUE(found) << before;
        EXPECT_EQ(found->va, VirtAddr{at});
    }
}

TEST(ElfAuxv, RandomBytesAreRightBehindIt) {
    const std::uint64_t at = 2 * MiB - 0x1800;
    const auto is_found = [&](std::uint64_t behind) {
        Stack stack(4);
        stack.vector(at, behind);
        return stack.find().has_value();
    };
    EXPECT_TRUE(is_found(0));
    EXPECT_TRUE(is_found(4095));
    EXPECT_FALSE(is_found(4096));
    EXPECT_FALSE(is_found(~std::uint64_t{0}));  // one before its end
    EXPECT_FALSE(is_found(std::uint64_t{1} << 63));
}

TEST(ElfAuxv, WhatIsNone) {
    const std::uint64_t at = 2 * MiB - 0x800;
    const auto is_found_with = [&](std::uint64_t place, std::uint64_t value) {
        Stack stack(4);
        stack.vector(at);
        stack.put(at + place, value);
        return stack.find().has_value();
    };
    EXPECT_TRUE(is_found_with(8, 1));
    EXPECT_FALSE(is_found_with(40, 8192));               // AT_PAGESZ
    EXPECT_FALSE(is_found_with(48, AT_HWCAP));           // twice
    EXPECT_FALSE(is_found_with(48, 64));                 // no type
    EXPECT_FALSE(is_found_with(80, std::uint64_t{40}));  // it does not end
}

TEST(ElfAuxv, APageThatIsNotMappedEndsIt) {
    for (const bool unmapped : {true, false}) {
        Stack stack(4);
        const std::uint64_t at = 2 * MiB - 0x2000 - 48;  // half of it in the page below
        stack.vector(at);
        ASSERT_TRUE(stack.find());
        stack.machine.set(0x4000, 510, unmapped ? 0 : 0x900000 | bit::table);
        EXPECT_FALSE(stack.find());
    }
}

TEST(ElfAuxv, EachPageIsReadOnce) {
    Stack stack(16);
    stack.machine.memory.remember = true;
    EXPECT_FALSE(stack.find());
    std::map<std::uint64_t, int> reads;
    for (const auto& read : stack.machine.memory.reads())
        if (read.bytes == 4096) ++reads[read.address];
    EXPECT_EQ(reads.size(), 16u);
    for (const auto& [address, times] : reads) EXPECT_EQ(times, 1) << address;
}

TEST(ElfAuxv, OddEnds) {
    Stack stack(4);
    stack.vector(2 * MiB - 0x800);
    EXPECT_FALSE(stack.find(2 * MiB, 2 * MiB));
    EXPECT_FALSE(stack.find(2 * MiB, 0));  // nothing is between them
    EXPECT_TRUE(stack.find(0, 2 * MiB));
    EXPECT_FALSE(stack.find(0, ~std::uint64_t{0xfff}));  // beyond the 8 MiB that are looked at
    EXPECT_FALSE(stack.find(0, ~std::uint64_t{0}));
    EXPECT_FALSE(stack.find(2 * MiB - 100, 2 * MiB));  // not a whole page
}

TEST(ElfAuxv, AtTheEndOfTheAddressSpace) {
    Machine m(Mode::level4);
    m.set(0x1000, 511, 0x2000 | bit::table);
    m.set(0x2000, 511, 0x3000 | bit::table);
    m.set(0x3000, 511, 0x4000 | bit::table);
    m.set(0x4000, 510, 0x100000 | bit::table);
    m.set(0x4000, 511, 0x101000 | bit::table);
    m.memory.ram(0x100000);
    m.memory.ram(0x101000);
    // It ends with the last byte, and AT_RANDOM leads to address 5.
    const std::vector<std::uint64_t> words{AT_PAGESZ, 4096, AT_RANDOM, 5, AT_NULL, 0};
    for (std::size_t i = 0; i < 6; ++i) m.memory.put(0x102000 - 48 + 8 * i, words[i], 8);
    const Paging& paging = m.paging();
    LinearMemory linear(paging, {0x1000}, m.memory);
    EXPECT_FALSE(find_auxv(linear, {0}, {~std::uint64_t{0xfff}}, true));
}

constexpr double soon = 4;  // seconds, with sanitizers

// 2 MiB of the same few words.
double seconds(const std::vector<std::uint64_t>& words, unsigned word, std::size_t& pulses) {
    Stack stack(512, word);  // 2 MiB
    for (std::uint64_t va = stack.start(), i = 0; va < 2 * MiB; va += word, ++i)
        stack.put(va, words[i % words.size()]);
    const std::clock_t start = std::clock();
    EXPECT_FALSE(stack.find(true, [&](std::size_t) { ++pulses; }));
    return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

TEST(ElfAuxvHostile, StacksFullOfBeginnings) {
    std::size_t pulses = 0;
    EXPECT_LT(seconds({33}, 8, pulses), soon);
    EXPECT_LT(seconds({33}, 4, pulses), soon);
    EXPECT_LT(seconds({6, 4096}, 4, pulses), soon);
    // All types once, again and again: as long as a vector can be, without an end.
    std::vector<std::uint64_t> all;
    for (std::uint64_t type = 1; type < 64; ++type) all.insert(all.end(), {type, 4096});
    EXPECT_LT(seconds(all, 4, pulses), soon);
    EXPECT_GT(pulses, 100u);
}

TEST(ElfAuxvHostile, ThePulseEndsIt) {
    Stack stack(512);
    for (std::uint64_t va = stack.start(); va < 2 * MiB; va += 8) stack.put(va, 33);
    struct Enough {};
    EXPECT_THROW(stack.find(true, [](std::size_t) { throw Enough(); }), Enough);
}

TEST(ElfAuxvHostile, RandomWords) {
    std::mt19937_64 random(13);
    for (int i = 0; i < 50; ++i) {
        Stack stack(8, i % 2 ? 4 : 8);
        for (std::uint64_t va = stack.start(); va < 2 * MiB; va += i % 2 ? 4 : 8)
            stack.put(va, random() % (i % 3 ? 70 : 4100));
        const auto found = stack.find();
        EXPECT_LE(found ? found->values.size() : 0, 63u);
    }
}

}  // namespace
}  // namespace ptmap::elf
