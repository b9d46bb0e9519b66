// ReadOnce: what it asks its source for, what it answers itself, what it forgets.
#include "paging/read_once.h"

#include <gtest/gtest.h>

#include "fake_memory.h"

namespace ptmap {
namespace {

class ReadOnceTest : public testing::Test {
protected:
    ReadOnceTest() {
        for (unsigned i = 0; i < 512; ++i) memory.put(0x1000 + i * 8, 0x100 + i, 8);
        for (unsigned i = 0; i < 4; ++i) memory.put(0x3020 + i * 8, 0x200 + i, 8);
    }

    // The first eight bytes of a read, or its reason.
    std::string read(std::uint64_t address, std::size_t bytes) {
        std::vector<std::byte> to(bytes);
        Fetch fetch{{address}, to};
        once.fetch({&fetch, 1});
        if (!fetch.ok) return fetch.why;
        std::uint64_t value = 0;
        std::memcpy(&value, to.data(), std::min(bytes, sizeof value));
        return std::to_string(value);
    }

    FakeMemory memory;
    ReadOnce once{memory};
};

TEST_F(ReadOnceTest, WhatLiesInAPageThatWasReadIsNotAskedFor) {
    EXPECT_EQ(read(0x1000, 4096), std::to_string(0x100));
    EXPECT_EQ(read(0x1ff8, 8), std::to_string(0x100 + 511));
    EXPECT_EQ(read(0x1000, 8), std::to_string(0x100));
    EXPECT_EQ(memory.reads().size(), 1u);
    EXPECT_EQ(once.bytes(), 4096u);
}

TEST_F(ReadOnceTest, WhatLiesInPaesRootIsNotAskedFor) {
    read(0x3020, 32);
    EXPECT_EQ(read(0x3038, 8), std::to_string(0x203));
    EXPECT_EQ(memory.reads().size(), 1u);
}

TEST_F(ReadOnceTest, AnEntryDoesNotStandForItsTable) {
    read(0x1000, 8);
    EXPECT_EQ(read(0x1008, 8), std::to_string(0x101));
    EXPECT_EQ(read(0x1000, 4096), std::to_string(0x100));
    EXPECT_EQ(memory.reads().size(), 3u);
    EXPECT_EQ(read(0x1010, 8), std::to_string(0x102));  // of the table now
    EXPECT_EQ(memory.reads().size(), 3u);
}

TEST_F(ReadOnceTest, NothingIsReadBehindWhatIsKnown) {
    read(0x3020, 32);
    EXPECT_EQ(read(0x3038, 16), std::to_string(0x203));
    EXPECT_EQ(memory.reads().size(), 2u);
}

TEST_F(ReadOnceTest, AReasonIsKeptLikeBytes) {
    EXPECT_EQ(read(0x9000, 4096), "not RAM");
    memory.ram(0x9000);
    EXPECT_EQ(read(0x9000, 4096), "not RAM");
    EXPECT_EQ(read(0x9008, 8), "0");  // another address may be another matter
    EXPECT_EQ(memory.reads().size(), 2u);
    EXPECT_EQ(once.bytes(), 8u);
}

TEST_F(ReadOnceTest, OnlyFailuresAreForgotten) {
    read(0x1000, 4096);
    read(0x9000, 4096);
    memory.ram(0x9000);
    once.forget_failures();
    EXPECT_EQ(read(0x9000, 4096), "0");
    read(0x1000, 4096);
    EXPECT_EQ(memory.reads().size(), 3u);
}

TEST_F(ReadOnceTest, EverythingIsForgotten) {
    read(0x1000, 8);
    memory.put(0x1000, 7, 8);
    EXPECT_EQ(read(0x1000, 8), std::to_string(0x100));
    once.forget();
    EXPECT_EQ(read(0x1000, 8), "7");
    EXPECT_EQ(once.bytes(), 16u);
}

TEST_F(ReadOnceTest, WhatIsMissingIsAskedForInOneCall) {
    read(0x1000, 4096);
    std::vector<std::byte> to(3 * 4096);
    std::vector<Fetch> reads;
    for (const std::uint64_t address : {0x3000, 0x1000, 0x9000})
        reads.push_back({{address}, std::span(to).subspan(reads.size() * 4096, 4096)});
    once.fetch(reads);
    ASSERT_EQ(memory.calls.size(), 2u);
    EXPECT_EQ(memory.calls[1], (std::vector<FakeMemory::Read>{{0x3000, 4096}, {0x9000, 4096}}));
    EXPECT_TRUE(reads[0].ok && reads[1].ok);
    EXPECT_EQ(reads[2].why, "not RAM");
}

}  // namespace
}  // namespace ptmap
