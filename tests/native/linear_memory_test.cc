// Linear memory through a root: pages, their borders, and the ends of the address space.
#include "paging/linear_memory.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "fake_memory.h"

namespace ptmap {
namespace {

// Offset 0x0000 is at 0x5000, 0x1000 is at 0x9000, 0x2000 is in no RAM, 0x3000 is not mapped,
// 0x200000 is a page of 2 MiB at 0x400000; the last page of the space is at 0x6000.
struct Pages : Machine {
    Pages() : Machine(Mode::level4) {
        set(0x1000, 0, 0x2000 | bit::table);
        set(0x2000, 0, 0x3000 | bit::table);
        set(0x3000, 0, 0x4000 | bit::table);
        set(0x3000, 1, 0x400000 | bit::table | bit::PS);
        set(0x4000, 0, 0x5000 | bit::P);
        set(0x4000, 1, 0x9000 | bit::P);
        set(0x4000, 2, 0x100000 | bit::P);
        set(0x1000, 511, 0x12000 | bit::table);
        set(0x12000, 511, 0x13000 | bit::table);
        set(0x13000, 511, 0x14000 | bit::table);
        set(0x14000, 511, 0x6000 | bit::P);
        memory.put(0x5000, 0x11, 1);
        memory.put(0x5ffc, 0x44332211, 4);
        memory.put(0x9000, 0x88776655, 4);
        memory.put(0x6ff8, 0xfedcba9876543210, 8);
        memory.put(0x4ffff8, 0x77, 8);
        memory.ram(0x500000);
    }
    LinearMemory linear() { return {paging(), {0x1000}, memory}; }
    std::uint64_t number(std::uint64_t va) {
        std::uint64_t value = 0;
        EXPECT_TRUE(linear().read({va}, std::as_writable_bytes(std::span(&value, 1))));
        return value;
    }
};

bool readable(LinearMemory linear, std::uint64_t va, std::size_t size) {
    std::vector<std::byte> to(size);
    return linear.read({va}, to);
}

TEST(LinearMemory, TranslatesWhatIsMapped) {
    Pages m;
    LinearMemory linear = m.linear();
    EXPECT_EQ(linear.translate({0x123}), PhysAddr{0x5123});
    EXPECT_EQ(linear.translate({0x1fff}), PhysAddr{0x9fff});
    EXPECT_EQ(linear.translate({0x2000}), PhysAddr{0x100000});  // whether there is RAM or not
    EXPECT_EQ(linear.translate({0x3fedcb}), PhysAddr{0x5fedcb});
    EXPECT_EQ(linear.translate({~std::uint64_t{0}}), PhysAddr{0x6fff});
    EXPECT_EQ(linear.translate({0x3000}), std::nullopt);
    EXPECT_EQ(linear.translate({0x800000000000}), std::nullopt);  // not canonical
}

TEST(LinearMemory, ReadsOverTheBorderOfPages) {
    Pages m;
    EXPECT_EQ(m.number(0xffc), 0x8877665544332211);
    EXPECT_EQ(m.number(0xfffffffffffffff8), 0xfedcba9876543210);
    EXPECT_EQ(m.number(0x2ffff8), 0x77u);
    EXPECT_TRUE(readable(m.linear(), 0x2ffff8, 0x10));
}

TEST(LinearMemory, ReadsAllOrNothing) {
    Pages m;
    EXPECT_TRUE(readable(m.linear(), 0x1ff8, 8));
    EXPECT_FALSE(readable(m.linear(), 0x1ff9, 8));  // the next page is in no RAM
    EXPECT_FALSE(readable(m.linear(), 0x2000, 1));
    EXPECT_FALSE(readable(m.linear(), 0x3000, 1));  // not mapped
    EXPECT_FALSE(readable(m.linear(), 0x7fffffffffff, 2));
    EXPECT_TRUE(readable(m.linear(), 0x3000, 0));
}

TEST(LinearMemory, EndsWithTheAddressSpace) {
    Pages m;
    EXPECT_TRUE(readable(m.linear(), 0xfffffffffffff000, 0x1000));
    EXPECT_FALSE(readable(m.linear(), 0xfffffffffffff000, 0x1001));  // page 0 is mapped, too
    EXPECT_FALSE(readable(m.linear(), ~std::uint64_t{0}, 2));

    Machine below_4g(Mode::bits32);
    below_4g.set(0x1000, 1023, 0x2000 | bit::table);
    below_4g.set(0x2000, 1023, 0x3000 | bit::table);
    below_4g.memory.ram(0x3000);
    LinearMemory linear(below_4g.paging(), {0x1000}, below_4g.memory);
    EXPECT_TRUE(readable(linear, 0xfffff000, 0x1000));
    EXPECT_FALSE(readable(linear, 0xfffff000, 0x1001));
    EXPECT_FALSE(readable(linear, 0x1fffff000, 1));
}

TEST(LinearMemory, LooksForAPageOnce) {
    Pages m;
    LinearMemory linear = m.linear();
    std::array<std::byte, 8> to;
    EXPECT_TRUE(linear.read({0x10}, to));
    m.memory.calls.clear();
    EXPECT_TRUE(linear.read({0x20}, to));
    EXPECT_EQ(m.memory.reads(), (std::vector<FakeMemory::Read>{{0x5020, 8}}));
    m.memory.calls.clear();
    EXPECT_TRUE(linear.read({0xffc}, to));
    EXPECT_EQ(m.memory.calls.size(), 4u + 1u);  // the second page's tables, then both at once
    EXPECT_EQ(m.memory.calls.back(), (std::vector<FakeMemory::Read>{{0x5ffc, 4}, {0x9000, 4}}));
}

TEST(LinearMemory, SaysWhatIsUnread) {
    Pages m;
    LinearMemory linear = m.linear();
    std::array<std::byte, 0x1000> to;
    EXPECT_EQ(linear.why_unread({0x1000}, to), "");
    EXPECT_EQ(linear.why_unread({0x1800}, to),
              "0x1800 (physical 0x100000) cannot be read: not RAM");
    EXPECT_EQ(linear.why_unread({0x2800}, to), "0x3000 is not mapped below the root 0x1000");
    EXPECT_EQ(linear.why_unread({~std::uint64_t{0}}, to),
              "0x0 is not mapped below the root 0x1000");
}

TEST(LinearMemory, KnowsStretchesWithoutTables) {
    Pages m;
    LinearMemory linear(m.paging(), {0x1000}, m.memory,
                        {{{0x3000}, 0x1800, {0x5000}}, {{0x3000}, 0x2000, {0x9000}}});
    EXPECT_EQ(linear.translate({0x3123}), PhysAddr{0x5123});
    EXPECT_EQ(linear.translate({0x4800}), PhysAddr{0xa800});  // the first that has it
    EXPECT_TRUE(m.memory.calls.empty());
    EXPECT_EQ(linear.translate({0x5000}), std::nullopt);
    EXPECT_EQ(linear.translate({0x123}), PhysAddr{0x5123});
    EXPECT_EQ(linear.translate({0x2fff}), PhysAddr{0x100fff});
    std::array<std::byte, 8> to;
    EXPECT_TRUE(linear.read({0x2ffff8}, to));
}

TEST(LinearMemory, LetsTheMemorysExceptionThrough) {
    struct Gone final : PhysicalMemory {
        void fetch(std::span<Fetch>) override { throw std::runtime_error("connection lost"); }
    } gone;
    const X86Paging paging(registers_of(Mode::level4));
    EXPECT_THROW(readable(LinearMemory(paging, {0x1000}, gone), 0, 1), std::runtime_error);
}

}  // namespace
}  // namespace ptmap
