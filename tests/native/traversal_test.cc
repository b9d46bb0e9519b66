// The one way through scanned tables: what a visitor is asked and told, how often, in which order.
#include "paging/traversal.h"

#include <gtest/gtest.h>

#include <tuple>

#include "fake_memory.h"

namespace ptmap {
namespace {

// Counts pages below a table, and notes what it is told.
struct Counter {
    using Value = std::size_t;
    static constexpr bool by_rights = true;
    static constexpr Parts parts = Parts::none;

    std::size_t most = ~std::size_t{0};  // pages that are wanted
    std::size_t pages = 0, added = 0, unread = 0;
    std::vector<std::tuple<std::uint64_t, std::uint64_t, Kind>> taken;

    bool asks(const Node& node, const Interval&) const { return node.level > 0; }
    bool settles(std::size_t, std::uint64_t) const { return true; }
    std::optional<std::size_t> value_of_unreadable() const { return {}; }
    bool add(std::size_t& sum, const Entries& entries) {
        ++added;
        if (entries.kind == Kind::page) sum += entries.end - entries.first;
        return entries.kind != Kind::malformed;
    }
    bool add(std::size_t& sum, std::size_t more, std::uint64_t) const {
        sum += more;
        return true;
    }
    void take(std::uint64_t, std::size_t value) { pages += value; }
    void take(std::uint64_t base, const Entries& entries, const Interval& part) {
        taken.push_back({base + part.first, part.size(), entries.kind});
        if (entries.kind == Kind::page) pages += entries.end - entries.first;
    }
    void unreadable(std::uint64_t base, const Node&, const Interval& part) {
        ++unread;
        taken.push_back({base + part.first, part.size(), Kind::table});
    }
    bool done() const { return pages >= most; }
};

template <typename Visitor>
void traverse(const Tables& tables, Visitor& visitor, const Interval& window,
              const Pulse& pulse = {}) {
    Ticker tick(pulse);
    Traversal(tables, visitor, tick).run(intersection(window, tables.window()));
}

// 2^36 pages in four tables, each but the last named by all entries of the one above.
Machine all_shared() {
    Machine m(Mode::level4);
    for (std::uint64_t i = 1; i <= 4; ++i)
        m.fill(0x1000 * i, 0, 511, 0x1000 * (i + 1) | bit::table);
    return m;
}

TEST(Traversal, ATableIsWorkedOutOnceHoweverManyPathsLeadToIt) {
    Machine m = all_shared();
    Counter counter;
    traverse(m.scan(), counter, {});
    EXPECT_EQ(counter.pages, std::uint64_t{1} << 36);
    EXPECT_EQ(counter.added, 1u);  // the PT's one run
}

TEST(Traversal, AndOnceMoreForOtherRightsOfThePath) {
    Machine m = all_shared();
    for (unsigned i = 0; i < 512; i += 2) m.set(0x2000, i, 0x3000 | bit::P | bit::US);
    Counter counter;
    traverse(m.scan(), counter, {});
    EXPECT_EQ(counter.pages, std::uint64_t{1} << 36);
    EXPECT_EQ(counter.added, 2u);
}

TEST(Traversal, PagesWithEqualAttributesAreOneRunAndAWindowCutsIt) {
    Machine m(Mode::bits32);
    m.set(0x1000, 1, 0x2000 | bit::table);
    m.fill(0x2000, 0, 9, 0x100000 | bit::P, 0x3000);
    m.set(0x2000, 10, 0x100000 | bit::P | bit::US);
    struct Taker : Counter {
        bool asks(const Node&, const Interval&) const { return false; }
    } taker;
    traverse(m.scan(), taker, {4 * MiB + 0x1800, 4 * MiB + 0xa0ff});
    const decltype(taker.taken) expected{{4 * MiB + 0x1800, 0x8800, Kind::page},
                                         {4 * MiB + 0xa000, 0x100, Kind::page}};
    EXPECT_EQ(taker.taken, expected);
}

TEST(Traversal, WhatHasNoValueIsGoneIntoInOrder) {
    Machine m(Mode::level4);
    m.set(0x1000, 0, 0x2000 | bit::table);
    m.set(0x2000, 0, 0x3000 | bit::table);
    m.set(0x2000, 1, 0x99000 | bit::table);  // not RAM
    m.set(0x3000, 0, 0x4000 | bit::table);
    m.fill(0x4000, 0, 511, 0x100000 | bit::P, 0x1000);
    m.set(0x4000, 1, bit::P | std::uint64_t{1} << 51);  // beyond MAXPHYADDR
    m.registers.maxphyaddr = 40;
    Counter counter;
    traverse(m.scan(), counter, {});
    using Told = std::tuple<std::uint64_t, std::uint64_t, Kind>;
    ASSERT_GE(counter.taken.size(), 3u);
    EXPECT_EQ(counter.taken[0], Told(0, 0x1000, Kind::page));
    EXPECT_EQ(counter.taken[1], Told(0x1000, 0x1000, Kind::malformed));
    EXPECT_EQ(counter.taken[2], Told(0x2000, 2 * MiB - 0x2000, Kind::page));
    EXPECT_EQ(counter.unread, 1u);
    EXPECT_EQ(counter.pages, 511u);
}

TEST(Traversal, AVisitorThatIsDoneIsToldNoMore) {
    Machine m = all_shared();
    Counter counter;
    counter.most = 1;
    traverse(m.scan(), counter, {});
    EXPECT_EQ(counter.pages, std::uint64_t{1} << 27);  // below one entry of the root
}

TEST(Traversal, TablesThatTheScanDidNotFollowAreLeftOut) {
    Machine m(Mode::level4);
    m.fill(0x1000, 0, 1, 0x2000 | bit::P);
    m.set(0x1000, 1, 0x2000 | bit::table);
    m.set(0x2000, 0, bit::table | bit::PS);
    const X86Paging& paging = m.paging();
    const Tables tables = scan(paging, PhysAddr{0x1000}, m.memory, {}, 100, Reach::user);
    Counter counter;
    traverse(tables, counter, {});
    EXPECT_EQ(counter.pages, 1u);
}

// Pages that all differ from their neighbours are as many runs, each looked at once by either pass.
TEST(Traversal, ThePulseComesForLooksAtEntries) {
    Machine m = all_shared();
    for (unsigned i = 0; i < 512; i += 2) m.set(0x4000, i, 0x5000 | bit::P);
    std::size_t pulses = 0;
    struct Taker : Counter {
        bool asks(const Node&, const Interval&) const { return false; }
        bool done() const { return taken.size() >= 1u << 20; }
    } taker;
    traverse(m.scan(), taker, {}, [&](std::size_t) { ++pulses; });
    EXPECT_GE(pulses, (1u << 20) / Ticker::period);
    EXPECT_LE(pulses, (1u << 20) / Ticker::period + 1);
}

}  // namespace
}  // namespace ptmap
