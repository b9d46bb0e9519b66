// Intervals at both ends of 64 bits, where ends would wrap.
#include "paging/interval.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace ptmap {
namespace {

constexpr std::uint64_t top = ~std::uint64_t{0};

TEST(IntervalTest, SizeAndBack) {
    EXPECT_EQ(Interval::of_size(0x1000, 0x1000), (Interval{0x1000, 0x1fff}));
    EXPECT_EQ(Interval::of_size(top, 1), (Interval{top, top}));
    EXPECT_EQ(PhysInterval::of_size({top - 0xff}, 0x100).last.value, top);
    EXPECT_EQ((Interval{0, 0}).size(), 1u);
    EXPECT_EQ((Interval{1, top}).size(), top);
    EXPECT_EQ(Interval{}.size(), top);  // 2^64, as near as a number comes
}

TEST(IntervalTest, BothEndsAreInIt) {
    const VirtInterval some{{0x1000}, {0x1fff}};
    EXPECT_TRUE(some.contains({0x1000}) && some.contains({0x1fff}));
    EXPECT_FALSE(some.contains({0xfff}) || some.contains({0x2000}));
    EXPECT_TRUE(VirtInterval{}.contains({0}) && VirtInterval{}.contains({top}));
}

TEST(IntervalTest, TwoOfThem) {
    const Interval low{0, 0xfff}, middle{0xfff, 0x1000}, high{0x1000, top};
    EXPECT_FALSE(low.overlaps(high) || high.overlaps(low));
    EXPECT_TRUE(low.overlaps(middle) && middle.overlaps(low) && high.overlaps(middle));
    EXPECT_TRUE(intersection(low, high).empty());
    EXPECT_EQ(intersection(low, middle), (Interval{0xfff, 0xfff}));
    EXPECT_EQ(intersection(high, Interval{}), high);
    EXPECT_EQ(around(low, high), Interval{});
    EXPECT_EQ(around(low, middle), (Interval{0, 0x1000}));
}

TEST(IntervalTest, FromWhereSomethingBegins) {
    EXPECT_EQ((PhysInterval{{0x1800}, {0x2fff}}.from({0x1000})), (Interval{0x800, 0x1fff}));
    EXPECT_EQ((Interval{1, top}.from(1)), (Interval{0, top - 1}));
}

TEST(IntervalTest, Order) {
    std::vector<Interval> some{{2, 3}, {1, top}, {1, 2}};
    std::ranges::sort(some);
    EXPECT_EQ(some, (std::vector<Interval>{{1, 2}, {1, top}, {2, 3}}));
}

}  // namespace
}  // namespace ptmap
