// Labels, the overview's rows, and what two maps have in common.
#include "space/overview.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "fake_memory.h"
#include "space/query.h"
#include "space/split.h"
#include "whole_text.h"

namespace ptmap {
namespace {

constexpr std::uint64_t upper = 0xffff800000000000;
constexpr Rights user = Rights::user | Rights::write, kernel = Rights::write;

Range range(std::uint64_t va, std::uint64_t size, Rights rights, std::uint64_t pa = 0,
            PageSizes sizes = {12}) {
    return {{va}, size, {pa}, true, sizes, {rights}};
}

Map map_of(std::vector<Range> ranges, Mode mode = Mode::level4) {
    Map map{mode, {0x1000}, 1};
    map.ranges = std::move(ranges);
    return map;
}

TEST(Labels, ThoseThatTouch) {
    const std::vector<Label> labels{
        {{{0x1000}, {0x1fff}}, "a", LabelSource::read},
        {{{0x3000}, {0x4fff}}, "b", LabelSource::read},
        {{{~std::uint64_t{0xfff}}, {~std::uint64_t{0}}}, "top", LabelSource::read}};
    const auto names = [&](std::uint64_t va, std::uint64_t size) {
        std::string joined;
        for (const Label& label : labels_in(labels, VirtInterval::of_size({va}, size)))
            joined += label.name;
        return joined;
    };
    EXPECT_EQ(names(0, 0x1000), "");
    EXPECT_EQ(names(0, 0x1001), "a");
    EXPECT_EQ(names(0x1fff, 1), "a");
    EXPECT_EQ(names(0x2000, 0x1000), "");
    EXPECT_EQ(names(0, 0x10000), "ab");
    EXPECT_EQ(names(0x4000, 0x1000), "b");
    EXPECT_EQ(names(~std::uint64_t{0}, 1), "top");
    EXPECT_EQ(names(~std::uint64_t{0xffff}, 0x10000), "top");
    EXPECT_TRUE(labels_in({}, {{0}, {0xfff}}).empty());
}

TEST(Overview, ARowForEachStretchWithTheEmptySpaceBeforeIt) {
    const Map map = map_of({range(0x1000, 0x2000, user), range(upper + 0x5000, 0x1000, kernel)});
    const auto rows = overview(map, {}, 10, 16);
    ASSERT_EQ(rows.size(), 2u);
    EXPECT_EQ(rows[0].interval.first, VirtAddr{0x1000});
    EXPECT_EQ(rows[0].interval.size(), 0x2000u);
    EXPECT_EQ(rows[0].mapped, 0x2000u);
    EXPECT_EQ(rows[0].empty, 0x1000u);
    EXPECT_EQ(rows[0].cells, "++");
    EXPECT_EQ(rows[0].all_rights, user);
    EXPECT_EQ(rows[1].interval.first, VirtAddr{upper + 0x5000});
    EXPECT_EQ(rows[1].empty, 0x5000u);  // from where the upper part begins
    EXPECT_EQ(rows[1].cells, "x");
    EXPECT_EQ(rows[1].rights, kernel);
}

TEST(Overview, JoinsOverTheSmallestHoles) {
    std::vector<Range> ranges{range(0x1000, 0x1000, user), range(0x3000, 0x1000, user),
                              range(0x100000, 0x1000, Rights::user),
                              range(0x40000000, 0x1000, user)};
    const Map map = map_of(ranges);
    EXPECT_EQ(overview(map, {}, 4, 16).size(), 4u);
    const auto three = overview(map, {}, 3, 16);
    ASSERT_EQ(three.size(), 3u);
    EXPECT_EQ(three[0].interval.size(), 0x3000u);
    EXPECT_EQ(three[0].mapped, 0x2000u);
    EXPECT_EQ(three[0].cells, "+.+");
    const auto two = overview(map, {}, 2, 16);
    ASSERT_EQ(two.size(), 2u);
    EXPECT_EQ(two[0].cells, "+..............r");
    EXPECT_EQ(two[0].rights, user);
    EXPECT_EQ(two[0].all_rights, Rights::user);
    EXPECT_EQ(two[1].interval.first, VirtAddr{0x40000000});
}

TEST(Overview, RightsOfAJoinedRow) {
    const auto rows = overview(
        map_of({range(0x1000, 0x1000, Rights::user), range(0x3000, 0x1000, kernel)}), {}, 1, 16);
    ASSERT_EQ(rows.size(), 1u);
    EXPECT_EQ(rows[0].rights, user);  // user of the one, write of the other
    EXPECT_EQ(rows[0].all_rights, Rights::none);
}

TEST(Overview, NeverJoinsTheTwoParts) {
    const Map map = map_of({range(0x7ffffffff000, 0x1000, user), range(upper, 0x1000, kernel)});
    const auto rows = overview(map, {}, 1, 16);
    ASSERT_EQ(rows.size(), 2u);
    EXPECT_EQ(rows[1].empty, 0u);
}

// A screen full of the kernel's labels leaves no row for the process, whose program and stack are
// 127 TiB apart.
TEST(Overview, NoRowHidesAWideHole) {
    std::vector<Label> labels;
    std::vector<Range> ranges{range(0x400000, 0x1000, user), range(0x402000, 0x1000, user),
                              range(0x7ffff0000000, 0x1000, user)};
    for (std::uint64_t at = upper; labels.size() < 4; at += 0x1000) {
        labels.push_back({{{at}, {at + 0xfff}}, std::to_string(at), LabelSource::read});
        ranges.push_back(range(at, 0x1000, kernel));
    }
    const auto rows = overview(map_of(ranges), labels, 4, 16);
    ASSERT_EQ(rows.size(), 6u);
    EXPECT_EQ(rows[0].interval.size(), 0x3000u);
    EXPECT_EQ(rows[1].interval.first, VirtAddr{0x7ffff0000000});
}

TEST(Overview, WideHolesDoNotMakeItEndless) {
    std::vector<Range> ranges;
    for (std::uint64_t n = 0, at = 0; n < 14; at += ++n)  // ever wider
        ranges.push_back(range(at << 40, 0x1000, user));
    EXPECT_EQ(overview(map_of(ranges), {}, 20, 16).size(), 14u);
    EXPECT_EQ(overview(map_of(ranges), {}, 3, 16).size(), 6u);
}

TEST(Overview, LabelsKeepTogetherAndApart) {
    const std::vector<Label> labels{
        {{{upper}, {upper + 0xfffff}}, "direct", LabelSource::read},
        {{{upper + 0x100000}, {upper + 0x1fffff}}, "heap", LabelSource::read}};
    // One range over both labels, then another far up in the second.
    const Map map = map_of({range(upper, 0x110000, kernel), range(upper + 0x1f0000, 0x1000, kernel),
                            range(upper + 0x300000, 0x1000, kernel)});
    const auto rows = overview(map, labels, 1, 16);
    ASSERT_EQ(rows.size(), 3u);
    EXPECT_EQ(rows[0].interval.size(), 0x100000u);
    EXPECT_EQ(rows[0].labels, std::vector<const Label*>{&labels[0]});
    EXPECT_EQ(rows[1].interval.first, VirtAddr{upper + 0x100000});
    EXPECT_EQ(rows[1].mapped, 0x11000u);
    EXPECT_EQ(rows[1].labels, std::vector<const Label*>{&labels[1]});
    EXPECT_TRUE(rows[2].labels.empty());
    EXPECT_TRUE(rows[0].labelled && rows[1].labelled);
    EXPECT_FALSE(rows[2].labelled);
}

TEST(Overview, ARowIsLabelledOnlyWhereAllOfItIs) {
    const std::vector<Label> labels{{{{0x1000}, {0x1fff}}, "a.so", LabelSource::read, false}};
    const Map map = map_of({range(0x1000, 0x1000, user), range(0x3000, 0x1000, user)});
    const auto rows = overview(map, labels, 1, 16);
    ASSERT_EQ(rows.size(), 1u);
    EXPECT_EQ(rows[0].labels.size(), 1u);
    EXPECT_FALSE(rows[0].labelled);
}

TEST(Overview, JoinsLabelsThatNeedNotStandApart) {
    const std::vector<Label> labels{{{{0x1000}, {0x1fff}}, "a.so", LabelSource::read, false},
                                    {{{0x3000}, {0x3fff}}, "a.so", LabelSource::read, false},
                                    {{{0x8000}, {0x8fff}}, "b.so", LabelSource::read, false},
                                    {{{0xa000}, {0xafff}}, "stack", LabelSource::read, true}};
    const Map map = map_of({range(0x1000, 0x1000, user), range(0x3000, 0x1000, user),
                            range(0x8000, 0x1000, user), range(0xa000, 0x1000, user)});
    EXPECT_EQ(overview(map, labels, 10, 16).size(), 3u);
    const auto rows = overview(map, labels, 1, 16);
    ASSERT_EQ(rows.size(), 2u);
    ASSERT_EQ(rows[0].labels.size(), 2u);
    EXPECT_EQ(rows[0].labels[1]->name, "b.so");
    EXPECT_EQ(rows[1].labels[0]->name, "stack");
}

TEST(Overview, CellsOfOddSizes) {
    // Labels need not end at a page; a terabyte still fits in its cells.
    const std::vector<Label> labels{{{{0x1000}, {0x1233}}, "text", LabelSource::read}};
    const auto odd = overview(map_of({range(0x1000, 0x1000, user)}), labels, 10, 16);
    ASSERT_EQ(odd.size(), 2u);
    EXPECT_EQ(odd[0].cells, "+");
    const Map wide = map_of({range(0, 0x1000, user), range(0xfffffff000, 0x1000, user, 0, {30})});
    const auto rows = overview(wide, {}, 1, 16);
    EXPECT_EQ(rows[0].cells, "+..............*");
    EXPECT_EQ(overview(wide, {}, 1, 0)[0].cells, "+");
    EXPECT_TRUE(overview(map_of({}), {}, 10, 16).empty());
}

TEST(Common, SamePagesOfTheSameFrames) {
    const std::uint64_t top = ~std::uint64_t{0xfff};
    const Map a =
        map_of({range(0x1000, 0x4000, user, 0x10000), range(top, 0x1000, kernel, 0x50000)});
    const Map b =
        map_of({range(0x2000, 0x1000, kernel, 0x11000), range(0x4000, 0x4000, user, 0x99000),
                range(top, 0x1000, kernel, 0x50000)});
    EXPECT_EQ(common(a, b).bytes, 0x2000u);
    EXPECT_EQ(common(b, a).bytes, 0x2000u);
    EXPECT_EQ(common(a, a).bytes, 0x5000u);
    EXPECT_EQ(common(a, a).frames, 0x5000u);
    EXPECT_EQ(common(a, map_of({})).bytes, 0u);
}

TEST(Common, FramesCountOnce) {
    const Map a =
        map_of({range(0x1000, 0x2000, user, 0x10000), range(0x8000, 0x1000, user, 0x11000),
                range(0x9000, 0x2000, user, 0x10000)});
    EXPECT_EQ(common(a, a).bytes, 0x5000u);
    EXPECT_EQ(common(a, a).frames, 0x2000u);
}

TEST(Labels, Cover) {
    const std::vector<Label> labels{{{{0x1000}, {0x1fff}}, "a", LabelSource::read},
                                    {{{0x2000}, {0x2fff}}, "b", LabelSource::read}};
    EXPECT_TRUE(cover(labels, VirtInterval::of_size({0x1000}, 0x2000)));
    EXPECT_TRUE(cover(labels, VirtInterval::of_size({0x1800}, 0x1000)));
    EXPECT_FALSE(cover(labels, VirtInterval::of_size({0x1000}, 0x2001)));
    EXPECT_FALSE(cover(labels, VirtInterval::of_size({0xfff}, 0x1000)));
    EXPECT_FALSE(cover({}, {{0x1000}, {0x1fff}}));
}

TEST(Map, RangeAt) {
    const std::uint64_t top = ~std::uint64_t{0xfff};
    const Map map = map_of({range(0x1000, 0x2000, user), range(top, 0x1000, kernel)});
    EXPECT_EQ(range_at(map, {0xfff}), nullptr);
    EXPECT_EQ(range_at(map, {0x1000}), &map.ranges[0]);
    EXPECT_EQ(range_at(map, {0x2fff}), &map.ranges[0]);
    EXPECT_EQ(range_at(map, {0x3000}), nullptr);
    EXPECT_EQ(range_at(map, {~std::uint64_t{0}}), &map.ranges[1]);
}

TEST(Map, LastUserWrite) {
    const Map map = map_of({range(0x1000, 0x1000, user), range(0x5000, 0x2000, user),
                            range(0x8000, 0x1000, Rights::user), range(0x9000, 0x1000, kernel)});
    EXPECT_EQ(last_user_write(map, {0}, {0x10000}), &map.ranges[1]);
    EXPECT_EQ(last_user_write(map, {0}, {0x5000}), &map.ranges[0]);
    EXPECT_EQ(last_user_write(map, {0x1001}, {0x5000}), nullptr);
}

TEST(Map, UserWriteAround) {
    const std::uint64_t top = ~std::uint64_t{0xfff};
    const Map map = map_of({range(0x1000, 0x1000, user), range(0x5000, 0x2000, user),
                            range(0x8000, 0x1000, Rights::user), range(0xa000, 0x1000, user),
                            range(top, 0x1000, user)});
    const auto around = [&](std::uint64_t va, std::uint64_t hole) {
        const auto found = user_write_around(map, {va}, hole);
        return found ? std::pair(found->first.value, found->size())
                     : std::pair(va, std::uint64_t{0});
    };
    using Found = std::pair<std::uint64_t, std::uint64_t>;
    EXPECT_EQ(around(0x6fff, 0), Found(0x5000, 0x2000));
    EXPECT_EQ(around(0x6fff, 0x2fff), Found(0x5000, 0x2000));
    EXPECT_EQ(around(0x6fff, 0x3000), Found(0x1000, 0xa000));
    EXPECT_EQ(around(0xa000, 0x3000), Found(0x1000, 0xa000));
    EXPECT_EQ(around(0x1000, 0x3000), Found(0x1000, 0xa000));
    EXPECT_EQ(around(top, 0x3000), Found(top, 0x1000));
    EXPECT_EQ(around(0x8000, 0x3000), Found(0x8000, 0));
    EXPECT_EQ(around(0x3000, 0x3000), Found(0x3000, 0));
}

TEST(Map, Split) {
    const auto of = [](std::vector<Range> ranges) { return split(map_of(ranges, Mode::bits32)); };
    EXPECT_EQ(of({range(0x1000, 0x1000, user), range(0xc0000000, 0x1000, kernel)}),
              VirtAddr{0xc0000000});
    EXPECT_FALSE(of({range(0x1000, 0x1000, user)}));
    EXPECT_FALSE(of({range(0xc0000000, 0x1000, kernel)}));
    EXPECT_FALSE(of({}));
    // A page or two on the other side do not matter.
    EXPECT_EQ(of({range(0x1000, 0x1000, kernel), range(0x40000000, 0x10000, user),
                  range(0xc0000000, 0x100000, kernel), range(0xffffe000, 0x1000, user),
                  range(0xfffff000, 0x1000, kernel)}),
              VirtAddr{0xc0000000});
    // The supervisor's pages far below the user's are not its part.
    EXPECT_EQ(of({range(0x1000, 0x1000, user), range(0x10000, 0x1000, kernel),
                  range(0x40000000, 0x100000, user), range(0xc0000000, 0x100000, kernel)}),
              VirtAddr{0xc0000000});
    // Mixed: there is no one place.
    EXPECT_FALSE(of({range(0x1000, 0x1000, kernel), range(0x2000, 0x1000, user),
                     range(0x3000, 0x1000, kernel), range(0x4000, 0x1000, user)}));
}

TEST(Render, Labels) {
    const std::vector<Label> labels{{{{0x1000}, {0x1fff}}, "a\"\n", LabelSource::read},
                                    {{{0x2000}, {0x2fff}}, "b", LabelSource::deduced}};
    const Map map = map_of({range(0x1000, 0x2000, user), range(0x2000, 0x1000, kernel),
                            range(0x9000, 0x1000, kernel)});
    EXPECT_NE(json(map, labels).find(R"("label": "a\"?, b", "label_source": "read, deduced"})"),
              std::string::npos);
    EXPECT_EQ(json(map, labels).find(R"("label": "")"), std::string::npos);
    const std::string text = ranges_text(map, labels);
    EXPECT_NE(text.find("b (deduced):\n0x0000000000002000"), std::string::npos);
    EXPECT_NE(text.find("(no label):\n0x0000000000009000"), std::string::npos);
    EXPECT_EQ(ranges_text(map).find("label"), std::string::npos);
    EXPECT_NE(json(map, {}, ", \"more\": 1").find(R"("truncated": false, "more": 1,)"),
              std::string::npos);
}

TEST(Render, PartlyLabelled) {
    const std::vector<Label> labels{{{{0x2000}, {0x2fff}}, "b", LabelSource::deduced}};
    const Map map = map_of({range(0x1000, 0x2000, user), range(0x2000, 0x1000, kernel)});
    EXPECT_NE(ranges_text(map, labels).find("partly b (deduced):\n0x0000000000001000"),
              std::string::npos);
    EXPECT_NE(ranges_text(map, labels).find("\nb (deduced):\n0x0000000000002000"),
              std::string::npos);
    const std::string text = json(map, labels);
    EXPECT_NE(text.find(R"("label_source": "deduced", "label_partial": true})"), std::string::npos);
    EXPECT_NE(text.find(R"("label_source": "deduced"})"), std::string::npos);
}

TEST(Render, AliasesOfOneFrameAreFolded) {
    std::vector<Range> ranges;
    for (std::uint64_t i = 0; i < 20; ++i)
        ranges.push_back(range(0x1000 + i * 0x10000, 0x1000, kernel, 0x5000));
    ranges.push_back(range(0x1000000, 0x1000, kernel, 0x5000));  // further on than the others
    const std::string text = ranges_text(map_of(ranges));
    EXPECT_EQ(std::ranges::count(text, '\n'), 4);
    EXPECT_NE(text.find("  and the same frame 19 times more, every 64K\n"), std::string::npos);
    ranges.resize(7);
    EXPECT_EQ(std::ranges::count(ranges_text(map_of(ranges)), '\n'), 8);
    ranges = {range(0x1000, 0x1000, kernel, 0x5000)};
    EXPECT_EQ(std::ranges::count(ranges_text(map_of(ranges)), '\n'), 2);
}

}  // namespace
}  // namespace ptmap
