// Where physical memory lies elsewhere: reads are cut at the blocks' borders and nowhere else.
#include "sources/ram_blocks.h"

#include <gtest/gtest.h>

#include <array>
#include <stdexcept>

namespace ptmap {
namespace {

constexpr std::uint64_t top = ~std::uint64_t{0};

class RamBlocksTest : public ::testing::Test {
protected:
    std::array<std::byte, 64> buffer{};
    std::vector<Piece> pieces;

    bool split(const RamBlocks& blocks, std::uint64_t address, std::size_t length) {
        return blocks.split({{address}, std::span(buffer).first(length)}, 7, pieces);
    }
};

TEST_F(RamBlocksTest, AReadInsideIsOnePiece) {
    const RamBlocks blocks({{{{0x1000}, {0x1fff}}, 0x500000}});
    ASSERT_TRUE(split(blocks, 0x1ff0, 16));
    ASSERT_EQ(pieces.size(), 1u);
    EXPECT_EQ(pieces[0].read, 7u);
    EXPECT_EQ(pieces[0].at, 0x500ff0u);
    EXPECT_EQ(pieces[0].to.data(), buffer.data());
    EXPECT_EQ(pieces[0].to.size(), 16u);
}

TEST_F(RamBlocksTest, AReadAcrossNeighboursIsCut) {
    const RamBlocks blocks(
        {{{{0}, {0xfff}}, 0x9000}, {{{0x1000}, {0x100f}}, 0x100}, {{{0x1010}, {0x1fff}}, 0x70000}});
    ASSERT_TRUE(split(blocks, 0xff8, 40));
    ASSERT_EQ(pieces.size(), 3u);
    EXPECT_EQ(pieces[0].at, 0x9ff8u);
    EXPECT_EQ(pieces[0].to.size(), 8u);
    EXPECT_EQ(pieces[1].at, 0x100u);
    EXPECT_EQ(pieces[1].to.data(), buffer.data() + 8);
    EXPECT_EQ(pieces[1].to.size(), 16u);
    EXPECT_EQ(pieces[2].at, 0x70000u);
    EXPECT_EQ(pieces[2].to.data(), buffer.data() + 24);
    EXPECT_EQ(pieces[2].to.size(), 16u);
}

TEST_F(RamBlocksTest, AHoleTakesTheWholeRead) {
    const RamBlocks blocks({{{{0}, {0xfff}}, 0}, {{{0x1001}, {0x1fff}}, 0x2000}});
    EXPECT_FALSE(split(blocks, 0xff8, 16));
    EXPECT_FALSE(split(blocks, 0x1000, 1));
    EXPECT_FALSE(split(blocks, 0x1ff8, 16));
    EXPECT_FALSE(split(blocks, 0x3000, 1));
    EXPECT_TRUE(pieces.empty());
    EXPECT_TRUE(split(blocks, 0x1001, 8));
}

TEST_F(RamBlocksTest, TheEndOfTheAddressSpace) {
    const RamBlocks blocks({{{{0}, {0xff}}, 0}, {{{top - 0xff}, {top}}, 0x1000}});
    ASSERT_TRUE(split(blocks, top - 7, 8));
    EXPECT_EQ(pieces[0].at, 0x10f8u);
    EXPECT_EQ(pieces[0].to.size(), 8u);
    pieces.clear();
    EXPECT_FALSE(split(blocks, top - 7, 9));  // and not on at 0
    EXPECT_TRUE(pieces.empty());
    const RamBlocks all({{{{0}, {top}}, 0}});
    EXPECT_TRUE(split(all, 0, 64));
}

TEST_F(RamBlocksTest, NoExtents) {
    EXPECT_FALSE(split(RamBlocks({}), 0, 1));
    EXPECT_TRUE(split(RamBlocks({}), 0, 0));
}

TEST_F(RamBlocksTest, ImpossibleOnes) {
    EXPECT_THROW(RamBlocks({{{{0x1000}, {0xfff}}, 0}}), std::invalid_argument);
    EXPECT_THROW(RamBlocks({{{{0x1000}, {0x1fff}}, 0}, {{{0x1fff}, {0x2fff}}, 0x5000}}),
                 std::invalid_argument);
    EXPECT_THROW(RamBlocks({{{{0x2000}, {0x2fff}}, 0}, {{{0x1000}, {0x1fff}}, 0x5000}}),
                 std::invalid_argument);
    EXPECT_THROW(RamBlocks({{{{0x1000}, {0x1fff}}, top - 0xffe}}), std::invalid_argument);
}

}  // namespace
}  // namespace ptmap
