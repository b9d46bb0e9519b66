// What a map answers about a stretch, hand-made maps with all that can be at its edges.
#include "space/query.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "fake_memory.h"

namespace ptmap {
namespace {

constexpr std::uint64_t top = ~std::uint64_t{0};

Range range(std::uint64_t va, std::uint64_t size, Rights rights, std::uint64_t pa) {
    return {{va}, size, {pa}, true, {12}, {rights}};
}

Gap gap(std::uint64_t va, std::uint64_t size, std::string why = "not RAM") {
    return {{va}, size, {0x5000}, 1, std::move(why)};
}

// 0x1000 user, 0x2000 supervisor, [0x3000 nothing], 0x4000 unreadable, 0x5000 malformed, 0x6000
// user, ..., the last page supervisor.
Map sample() {
    Map map{Mode::level4, {0x1000}, 3};
    map.ranges = {range(0x1000, 0x1000, Rights::user, 0x10000),
                  range(0x2000, 0x1000, Rights::none, 0x20000),
                  range(0x6000, 0x2000, Rights::user | Rights::write, 0x10000),
                  range(top - 0xfff, 0x1000, Rights::write, 0x30000)};
    map.unreadable = {gap(0x4000, 0x1000)};
    map.malformed = {gap(0x5000, 0x1000, "reserved PS")};
    return map;
}

Wanted user() { return {.rights_set = Rights::user}; }

struct Found {
    std::uint64_t va, size, pa;
    std::size_t count;
    bool operator==(const Found&) const = default;
};

std::optional<Found> found(const Map& map, std::uint64_t first, std::uint64_t last,
                           const std::vector<Wanted>& wanted, bool others = false) {
    const Matches m = matches(map, {{first}, {last}}, wanted, others ? Truth::no : Truth::yes);
    if (!m.first) return {};
    return Found{m.first->va.value, m.first->size, m.first->pa.value, m.count};
}

std::optional<std::uint64_t> hole(const Map& map, std::uint64_t first, std::uint64_t last) {
    const auto va = first_hole(map, {{first}, {last}});
    return va ? std::optional(va->value) : std::nullopt;
}

TEST(Query, Matches) {
    const Map map = sample();
    EXPECT_EQ(found(map, 0, top, {user()}), (Found{0x1000, 0x1000, 0x10000, 2}));
    EXPECT_EQ(found(map, 0, top, {user()}, true), (Found{0x2000, 0x1000, 0x20000, 2}));
    EXPECT_EQ(found(map, 0x2000, 0x5fff, {user()}), std::nullopt);
    EXPECT_EQ(found(map, 0x2000, 0x6000, {user()}), (Found{0x6000, 1, 0x10000, 1}));
    EXPECT_EQ(found(map, 0x1fff, 0x1fff, {user()}), (Found{0x1fff, 1, 0x10fff, 1}));
    EXPECT_EQ(found(map, 0x6800, 0x77ff, {user()}), (Found{0x6800, 0x1000, 0x10800, 1}));
    EXPECT_EQ(found(map, 0x8000, top, {user()}), std::nullopt);
    EXPECT_EQ(found(map, 0x8000, top, {}, true), (Found{top - 0xfff, 0x1000, 0x30000, 1}));
    EXPECT_EQ(found(map, top, top, {}, true), (Found{top, 1, 0x30fff, 1}));
    EXPECT_EQ(found(map, 0, top, {}), std::nullopt);  // of no terms none holds
    EXPECT_EQ(found(map, 0, top, {{.rights_set = Rights::write}, user()}),
              (Found{0x1000, 0x1000, 0x10000, 3}));
    EXPECT_EQ(found(Map{Mode::bits32}, 0, top, {}, true), std::nullopt);
}

// Long work is heard of: Ctrl-C ends it by what the pulse throws.
TEST(Query, MatchesTellsAPulse) {
    Map map{Mode::level4, {0x1000}, 1};
    for (std::uint64_t i = 0; i < 10'000; ++i)
        map.ranges.push_back(range(0x2000 * i, 0x1000, Rights::user, 0x10000));
    const std::vector<Wanted> many(100, Wanted{.rights_clear = Rights::user});
    std::size_t told = 0;
    const Pulse pulse = [&](std::size_t done) { told = done; };
    EXPECT_EQ(matches(map, {{0}, {top}}, many, Truth::no, pulse).count, 10'000u);
    EXPECT_GT(told, 9'000u);
    const Pulse stop = [](std::size_t) { throw std::runtime_error("stop"); };
    EXPECT_THROW(matches(map, {{0}, {top}}, many, Truth::no, stop), std::runtime_error);
}

TEST(Query, FirstHole) {
    Map map = sample();
    EXPECT_EQ(hole(map, 0, top), 0);
    EXPECT_EQ(hole(map, 0x1000, top), 0x3000);
    EXPECT_EQ(hole(map, 0x1000, 0x2fff), std::nullopt);
    EXPECT_EQ(hole(map, 0x1000, 0x3000), 0x3000);
    EXPECT_EQ(hole(map, 0x1800, 0x1fff), std::nullopt);
    EXPECT_EQ(hole(map, 0x3800, 0x3800), 0x3800);
    EXPECT_EQ(hole(map, 0x4000, 0x7fff), std::nullopt);  // over both gaps, which may be anything
    EXPECT_EQ(hole(map, 0x4800, top), 0x8000);
    EXPECT_EQ(hole(map, top - 0xfff, top), std::nullopt);
    EXPECT_EQ(hole(map, top, top), std::nullopt);
    EXPECT_EQ(hole(map, top - 0x1000, top), top - 0x1000);
    EXPECT_EQ(hole(Map{Mode::bits32}, 5, 6), 5);
}

// A page of the user's at 0x1000, and an entry with a reserved bit behind it: 0x2000.
Machine page_and_reserved_bit() {
    Machine m(Mode::level4);
    m.registers.maxphyaddr = 40;
    for (const std::uint64_t table : {0x1000, 0x2000, 0x3000})
        m.set(table, 0, (table + 0x1000) | bit::table);
    m.set(0x4000, 1, 0x10000 | bit::table);
    m.set(0x4000, 2, std::uint64_t{1} << 45 | bit::table);
    return m;
}

// What lies behind the end of a map is not known, even where a gap behind it is told: the page is
// a range as yet unfinished when the limit is reached.
TEST(Query, Truncated) {
    Machine m = page_and_reserved_bit();
    MapOptions options;
    options.max_ranges = 1;
    const Map map = m.map(options);
    ASSERT_TRUE(map.ranges.empty());
    ASSERT_EQ(map.malformed.size(), 1u);
    EXPECT_EQ(hole(map, 0x1000, 0x1fff), std::nullopt);
    EXPECT_EQ(hole(map, 0xfff, top), 0xfff);
    EXPECT_FALSE(unknown(map, {{0}, {0xfff}}).truncated);
    EXPECT_TRUE(unknown(map, {{0}, {0x1000}}).truncated);
    EXPECT_TRUE(unknown(map, {{0x1000}, {0x1fff}}).truncated);
    options.max_ranges = 2;
    const Map whole = m.map(options);
    EXPECT_FALSE(unknown(whole, {{0}, {top}}).truncated);
    EXPECT_EQ(hole(whole, 0x1000, top), 0x3000);
    // One that ends where it begins.
    m.set(0x4000, 0, 0x20000 | bit::table);
    options.max_ranges = 0;
    const Map nothing = m.map(options);
    ASSERT_EQ(nothing.end, VirtAddr{0});
    EXPECT_EQ(hole(nothing, 0, 0), std::nullopt);
    EXPECT_TRUE(unknown(nothing, {{0}, {0}}).truncated);
}

// The limit of tables ends nothing: what it leaves out are gaps, and all the rest is known.
TEST(Query, TooManyTables) {
    Machine m = page_and_reserved_bit();
    m.set(0x3000, 1, 0x5000 | bit::table);
    m.memory.ram(0x5000);
    const Map map = make_map(m.scan({}, 4), {});
    ASSERT_TRUE(map.truncated);
    ASSERT_EQ(map.unreadable.size(), 1u);
    EXPECT_EQ(hole(map, 0x200000, 0x3fffff), std::nullopt);
    EXPECT_EQ(hole(map, 0x200000, top), 0x400000);
    EXPECT_EQ(unknown(map, {{0x200000}, {0x3fffff}}).count, 1u);
    const Unknown behind = unknown(map, {{0x400000}, {top}});
    EXPECT_FALSE(behind.first || behind.truncated);
}

TEST(Query, Unknown) {
    const Map map = sample();
    const auto first = [&](std::uint64_t from, std::uint64_t to) {
        const Unknown u = unknown(map, {{from}, {to}});
        return std::tuple(u.first ? u.first->va.value : 0, u.malformed, u.count);
    };
    EXPECT_EQ(first(0, top), std::tuple(0x4000, false, 2));
    EXPECT_EQ(first(0, 0x3fff), std::tuple(0, false, 0));
    EXPECT_EQ(first(0, 0x4000), std::tuple(0x4000, false, 1));
    EXPECT_EQ(first(0x4fff, 0x4fff), std::tuple(0x4000, false, 1));
    EXPECT_EQ(first(0x5000, 0x5000), std::tuple(0x5000, true, 1));
    EXPECT_EQ(first(0x6000, top), std::tuple(0, false, 0));
}

// A root that cannot be read is one gap of the map, and is of both halves; between them is nothing.
TEST(Query, UnreadableRoot) {
    for (const Mode mode : {Mode::level4, Mode::level5}) {
        Machine m(mode);
        const Map map = m.map();
        const std::uint64_t half = mode == Mode::level4 ? 1ull << 47 : 1ull << 56;
        ASSERT_EQ(map.unreadable.size(), 1u);
        EXPECT_EQ(unknown(map, {{0}, {0}}).count, 1u);
        EXPECT_EQ(unknown(map, {{top}, {top}}).count, 1u);
        EXPECT_EQ(unknown(map, {{-half}, {-half}}).count, 1u);
        EXPECT_EQ(unknown(map, {{half}, {-half - 1}}).count, 0u);
        EXPECT_EQ(hole(map, 0, half - 1), std::nullopt);
        EXPECT_EQ(hole(map, 0, top), half);
        EXPECT_EQ(hole(map, -half, top), std::nullopt);
    }
    const Map map = Machine(Mode::bits32).map();
    EXPECT_EQ(unknown(map, {{0}, {0xffffffff}}).count, 1u);
    EXPECT_EQ(hole(map, 0, 0xffffffff), std::nullopt);
}

}  // namespace
}  // namespace ptmap
