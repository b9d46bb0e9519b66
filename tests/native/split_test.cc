// The two parts of a space, and what two roots share of the supervisor's.
#include "space/split.h"

#include <gtest/gtest.h>

#include "fake_memory.h"

namespace ptmap {
namespace {

constexpr Rights user = Rights::user, kernel = Rights::write;

Map map_of(std::vector<Range> ranges, Mode mode = Mode::bits32) {
    Map map{mode, {0x1000}, 1};
    map.ranges = std::move(ranges);
    return map;
}

Range range(std::uint64_t va, std::uint64_t size, Rights rights, std::uint64_t pa = 0) {
    return {{va}, size, {pa}, true, {12}, {rights}};
}

TEST(SplitOf, IsAtAPageDirectoryEntry) {
    const std::vector<Range> late{range(0x1000, 0x1000, user), range(0xc0101000, 64 * MiB, kernel)};
    EXPECT_EQ(split_of(Machine(Mode::bits32).paging(), map_of(late)), VirtAddr{0xc0000000});
    const std::vector<Range> later{range(0x1000, 0x1000, user),
                                   range(0xc0301000, 64 * MiB, kernel)};
    EXPECT_EQ(split_of(Machine(Mode::bits32).paging(), map_of(later)), VirtAddr{0xc0000000});
    EXPECT_EQ(split_of(Machine(Mode::pae).paging(), map_of(later, Mode::pae)),
              VirtAddr{0xc0200000});
}

TEST(SplitOf, NoneWithoutUserPagesBelow) {
    Machine m(Mode::bits32);
    EXPECT_EQ(split_of(m.paging(), map_of({})), std::nullopt);
    EXPECT_EQ(split_of(m.paging(), map_of({range(0xc0000000, MiB, kernel)})), std::nullopt);
}

TEST(SupervisorPart, IsAllOfASpaceWithoutUserPages) {
    Machine m(Mode::bits32);
    EXPECT_EQ(supervisor_part(m.paging(), map_of({range(0xc0000000, MiB, kernel)})), VirtAddr{0});
    EXPECT_EQ(supervisor_part(m.paging(), map_of({})), VirtAddr{0});
}

TEST(SupervisorPart, IsNotKnownWhereTheyAreMixed) {
    std::vector<Range> mixed;
    for (std::uint64_t i = 0; i < 64; ++i)
        mixed.push_back(range(i * MiB, MiB, i % 2 ? user : kernel));
    Machine m(Mode::bits32);
    EXPECT_EQ(supervisor_part(m.paging(), map_of(mixed)), std::nullopt);
    EXPECT_EQ(supervisor_part(m.paging(), map_of({range(0, MiB, user)})), std::nullopt);
    const std::vector<Range> split{range(0x1000, 0x1000, user), range(0xc0000000, MiB, kernel)};
    EXPECT_EQ(supervisor_part(m.paging(), map_of(split)), VirtAddr{0xc0000000});
}

TEST(KptiShare, CountsBytesAndFrames) {
    const Map all =
        map_of({range(0x1000, 0x3000, kernel, 0x10000), range(0x8000, 0x1000, kernel, 0x10000)});
    const Map some =
        map_of({range(0x2000, 0x1000, kernel, 0x11000), range(0x8000, 0x1000, kernel, 0x99000)});
    const auto share = kpti_share(all, some);
    ASSERT_TRUE(share);
    EXPECT_EQ(share->kernel, 0x4000u);
    EXPECT_EQ(share->kernel_frames, 0x3000u);
    EXPECT_EQ(share->user, 0x1000u);
    EXPECT_EQ(share->user_frames, 0x1000u);
}

TEST(KptiShare, IsNotKnownWhereATableIsMissing) {
    Map gap = map_of({});
    gap.unreadable.push_back({{0}, 1, {0}, 1, "not RAM"});
    EXPECT_FALSE(kpti_share(gap, map_of({})));
    EXPECT_FALSE(kpti_share(map_of({}), gap));
}

}  // namespace
}  // namespace ptmap
