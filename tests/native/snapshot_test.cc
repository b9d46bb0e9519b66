// Maps as bytes and back; damage is refused.
#include "space/snapshot.h"

#include <gtest/gtest.h>

#include <chrono>

#include "fake_memory.h"
#include "space/diff.h"
#include "whole_text.h"

namespace ptmap {
namespace {

MapOptions exact_options() {
    MapOptions options;
    options.split_physical = options.split_sizes = true;
    return options;
}

std::span<const std::byte> bytes_of(const std::string& text) {
    return std::as_bytes(std::span(text));
}

// A space with everything that a snapshot has: pages of all sizes, gaps of both kinds, labels.
Snapshot sample(Mode mode) {
    Machine m(mode);
    const bool is_wide = mode != Mode::bits32;
    const unsigned levels = mode == Mode::bits32   ? 2
                            : mode == Mode::pae    ? 3
                            : mode == Mode::level4 ? 4
                                                   : 5;
    // 0x1000 is the root, then one table a level down to the PT.
    for (unsigned depth = 0; depth + 1 < levels; ++depth)
        m.set(0x1000 + depth * 0x1000, 0,
              (0x2000 + depth * 0x1000) | (mode == Mode::pae && depth == 0 ? bit::P : bit::table));
    const std::uint64_t pt = levels * 0x1000, pd = pt - 0x1000;
    m.fill(pt, 1, 3, 0x400000 | bit::P | bit::US, 0x1000);
    m.set(pt, 4, 0x500000 | bit::P | bit::RW | bit::G);
    m.fill(pt, 9, 12, 0x10000 | bit::P | bit::RW | bit::PCD | bit::PWT, 0);
    m.set(pd, 3, 0x800000 | bit::P | bit::RW | bit::PS);
    m.set(pd, 4, 0x800000 | bit::P | bit::RW | bit::PS | (is_wide ? 0x2000 : 0x200000));
    m.set(pd, 5, 0x7000000 | bit::table);  // not RAM
    if (is_wide) m.set(pd, 6, 0xc00000 | bit::P | bit::PS | bit::XD | bit::pat_large);
    if (levels >= 4) m.set(0x1000, 511, 0x1000 | bit::table);
    MapOptions options = exact_options();
    if (levels >= 4) options.max_ranges = 12;  // the self-map has more
    Snapshot s{m.map(options), m.registers, {}, {"KPTI's user root"}, {"EFER.NXE=1"}, {}};
    if (mode == Mode::level5) s.pat = 0x0407050600070106;
    s.labels = {{{{0x1000}, {0x3fff}}, "[heap]", LabelSource::read, true},
                {{{0x5000}, {0x5000}}, "", LabelSource::deduced, false}};
    return s;
}

std::string json_of(const Snapshot& s) { return json(s.map, s.labels); }

std::string refusal(const std::string& bytes) {
    try {
        read_snapshot(bytes_of(bytes));
    } catch (const BadSnapshot& bad) {
        return bad.what();
    }
    return {};
}

class SnapshotOf : public testing::TestWithParam<Mode> {};
INSTANTIATE_TEST_SUITE_P(All, SnapshotOf, testing::ValuesIn(all_modes),
                         [](const auto& one) { return test_name(name(one.param)); });

TEST_P(SnapshotOf, ReadsWhatWasWritten) {
    const Snapshot s = sample(GetParam());
    ASSERT_GT(s.map.ranges.size(), 4u);
    ASSERT_FALSE(s.map.unreadable.empty());
    ASSERT_FALSE(s.map.malformed.empty());
    EXPECT_EQ(s.map.truncated, GetParam() >= Mode::level4);
    EXPECT_EQ(s.map.end.has_value(), s.map.truncated);
    const std::string bytes = write_snapshot(s);
    const Snapshot read = read_snapshot(bytes_of(bytes));
    EXPECT_EQ(json_of(read), json_of(s));
    EXPECT_EQ(read.map.end, s.map.end);
    EXPECT_EQ(read.registers.cr3, s.registers.cr3);
    EXPECT_EQ(read.registers.efer, s.registers.efer);
    EXPECT_EQ(read.pat, s.pat);
    EXPECT_EQ(read.words, s.words);
    EXPECT_EQ(read.assumed, s.assumed);
    ASSERT_EQ(read.labels.size(), 2u);
    EXPECT_EQ(read.labels[0].interval.last.value, 0x3fffu);
    EXPECT_FALSE(read.labels[1].apart);
    EXPECT_EQ(write_snapshot(read), bytes);
    EXPECT_EQ(count(diff(read.map, s.map)).what[0].stretches, 0u);
}

TEST_P(SnapshotOf, CutAnywhereIsRefused) {
    const std::string bytes = write_snapshot(sample(GetParam()));
    for (std::size_t size = 0; size < bytes.size(); ++size)
        EXPECT_NE(refusal(bytes.substr(0, size)), "") << size;
    EXPECT_NE(refusal(bytes + '\0'), "");
}

// Without a checksum: what is taken is another map's whole and only form.
TEST_P(SnapshotOf, AnyOtherByteIsRefusedOrAnotherMap) {
    const std::string bytes = write_snapshot(sample(GetParam()));
    const std::string original = json_of(read_snapshot(bytes_of(bytes)));
    std::size_t refused = 0, taken = 0;
    for (std::size_t at = 0; at < bytes.size(); ++at)
        for (unsigned value = 0; value < 256; ++value) {
            std::string other = bytes;
            other[at] = static_cast<char>(value);
            if (other == bytes) continue;
            if (const std::string why = refusal(other); !why.empty()) {
                EXPECT_TRUE(why.starts_with("a damaged ptmap snapshot: ") ||
                            why.find("of version") != why.npos || why == "not a ptmap snapshot")
                    << why;
                ++refused;
                continue;
            }
            const Snapshot read = read_snapshot(bytes_of(other));
            ASSERT_EQ(write_snapshot(read), other) << at << ' ' << value;
            ++taken;
        }
    EXPECT_GT(refused, taken / 4);
    EXPECT_GT(taken, 100u);  // the checks behind the first ones are reached
}

TEST_P(SnapshotOf, RandomDamageIsRefusedOrAnotherMap) {
    const std::string bytes = write_snapshot(sample(GetParam()));
    std::uint64_t state = 88172645463325252u + static_cast<unsigned>(GetParam());
    const auto random = [&](std::size_t limit) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        return static_cast<std::size_t>(state % limit);
    };
    static constexpr std::array<unsigned char, 8> odd{0, 1, 2, 0x7f, 0x80, 0x81, 0xfe, 0xff};
    for (unsigned round = 0; round < 5000; ++round) {
        std::string other = bytes;
        for (std::size_t left = 1 + random(4); left-- > 0;) {
            const std::size_t at = 9 + random(other.size() - 9);
            const char value = static_cast<char>(odd[random(odd.size())]);
            switch (random(3)) {
                case 0: other[at] = value; break;
                case 1: other.insert(at, 1 + random(9), value); break;
                case 2: other.erase(at, 1 + random(5)); break;
            }
        }
        if (refusal(other).empty()) {
            ASSERT_EQ(write_snapshot(read_snapshot(bytes_of(other))), other);
        }
    }
}

TEST(SnapshotTest, SaysWhatItIsNot) {
    EXPECT_EQ(refusal(""), "not a ptmap snapshot");
    EXPECT_EQ(refusal("{\"schema\": \"ptmap/1\"}"), "not a ptmap snapshot");
    std::string bytes = write_snapshot(sample(Mode::pae));
    bytes[8] = 2;
    EXPECT_EQ(refusal(bytes),
              "a ptmap snapshot of version 2, newer than this ptmap, which reads version 1");
    EXPECT_THROW(check_is_snapshot(bytes_of(bytes)), BadSnapshot);
    bytes[8] = 1;
    check_is_snapshot(bytes_of(bytes));
}

// A count that would fill memory is refused before anything is allocated.
TEST(SnapshotTest, LongListsAreRefused) {
    const std::string bytes = write_snapshot(sample(Mode::bits32));
    for (std::size_t at = 9; at < bytes.size(); ++at)
        refusal(bytes.substr(0, at) + "\xff\xff\xff\xff\xff\xff\xff\xff\x7f" +
                bytes.substr(at + 1));
}

// What a map cannot say: each of it valid but for one field.
TEST(SnapshotTest, MapsThatCannotBe) {
    const auto with = [](auto change) {
        Snapshot s = sample(Mode::pae);
        s.map.unreadable.clear(), s.map.malformed.clear(), s.labels.clear();
        change(s);
        return refusal(write_snapshot(s));
    };
    EXPECT_EQ(with([](Snapshot&) {}), "");
    EXPECT_NE(with([](Snapshot& s) { s.map.mode = Mode::level4; }), "");
    EXPECT_NE(with([](Snapshot& s) { s.registers.cr4 = 0; }), "");
    EXPECT_NE(with([](Snapshot& s) { s.registers.maxphyaddr = 53; }), "");
    EXPECT_NE(with([](Snapshot& s) { s.map.root.value |= 8; }), "");
    EXPECT_NE(with([](Snapshot& s) { ++s.map.pages[12]; }), "");
    EXPECT_NE(with([](Snapshot& s) { std::swap(s.map.ranges[0], s.map.ranges[1]); }), "");
    EXPECT_NE(with([](Snapshot& s) { s.map.ranges[0].size += 4 * GiB; }), "");
    EXPECT_NE(with([](Snapshot& s) { s.map.ranges.back().va.value -= 4096; }), "");
    EXPECT_NE(with([](Snapshot& s) { s.map.ranges.back().pa.value -= 4096; }), "");
    EXPECT_NE(with([](Snapshot& s) { s.map.ranges[0].pa.value += std::uint64_t{1} << 52; }), "");
    EXPECT_NE(with([](Snapshot& s) { s.map.ranges[0].page_sizes = {22}; }), "");  // 4M
    EXPECT_NE(with([](Snapshot& s) { s.map.end = VirtAddr{0x2000}; }), "");
    EXPECT_NE(with([](Snapshot& s) {
                  s.map.malformed.push_back({s.map.ranges[0].va, 4096, {0x1000}, 1, "reserved PS"});
              }),
              "");
    EXPECT_NE(with([](Snapshot& s) {
                  s.map.malformed.push_back({{0xf0000000}, 4096, {0x1000}, 4, "reserved PS"});
              }),
              "");
    EXPECT_EQ(with([](Snapshot& s) {
                  s.map.malformed.push_back({{0xf0000000}, 4096, {0x1000}, 1, "reserved PS"});
              }),
              "");
    EXPECT_NE(with([](Snapshot& s) {
                  s.labels = {{{{0x2000}, {0x2fff}}, "a", LabelSource::read},
                              {{{0x1000}, {0x1fff}}, "b", LabelSource::read}};
              }),
              "");
}

// Neighbours of one sort in neighbouring frames are one range, and only a root is of both halves.
TEST(SnapshotTest, AMapHasOneForm) {
    Snapshot s = sample(Mode::pae);
    ASSERT_EQ(s.map.ranges[0].size, 3u * 4096);
    s.map.ranges.insert(s.map.ranges.begin() + 1, s.map.ranges[0]);
    s.map.ranges[0].size = 4096;
    Range& rest = s.map.ranges[1];
    rest.va.value += 4096, rest.pa.value += 4096, rest.size -= 4096;
    EXPECT_EQ(refusal(write_snapshot(s)), "a damaged ptmap snapshot: two ranges should be one");
    rest.pa.value += 4096;  // another frame
    EXPECT_EQ(refusal(write_snapshot(s)), "");

    const auto with = [](std::uint64_t at, std::uint64_t size, std::uint64_t table, unsigned level,
                         bool malformed) {
        Machine m(Mode::level4);
        Snapshot one{{Mode::level4, {0x1000}, 1}, m.registers, {}, {}, {}, {}};
        (malformed ? one.map.malformed : one.map.unreadable)
            .push_back({{at}, size, {table}, level, ""});
        return refusal(write_snapshot(one));
    };
    const std::uint64_t half = std::uint64_t{1} << 47;
    EXPECT_EQ(with(0, 2 * half, 0x1000, 4, false), "");
    EXPECT_EQ(with(half - 4096, 4096, 0x2000, 1, false), "");
    EXPECT_NE(with(half - 4096, 8192, 0x2000, 1, false), "");
    EXPECT_NE(with(0, 2 * half, 0x2000, 4, false), "");
    EXPECT_NE(with(0, 2 * half, 0x1000, 3, false), "");
    EXPECT_NE(with(0, 2 * half, 0x1000, 4, true), "");
}

// Then another file would be the same map.
TEST(SnapshotTest, AReasonIsThereOnce) {
    Machine m(Mode::level4);
    Snapshot s{{Mode::level4, {0x1000}, 1}, m.registers, {}, {}, {}, {}};
    s.map.unreadable = {{{0}, 4096, {0x2000}, 1, "not RAM"},
                        {{4096}, 4096, {0x3000}, 1, "not ROM"}};
    std::string bytes = write_snapshot(s);
    EXPECT_EQ(refusal(bytes), "");
    bytes.replace(bytes.find("not ROM"), 7, "not RAM");
    EXPECT_EQ(refusal(bytes), "a damaged ptmap snapshot: a reason is there twice");
}

TEST(SnapshotTest, TextsOfAGuestBecomePrintable) {
    Snapshot s = sample(Mode::level4);
    s.words = {"a\x1b[2J\xff\n"};
    const std::string bytes = write_snapshot(s);
    EXPECT_EQ(read_snapshot(bytes_of(bytes)).words[0], "a?[2J??");
}

TEST(SnapshotTest, AnUnreadableRootIsOneGap) {
    Machine m(Mode::level4);
    m.registers.cr3 = 0x7000000;
    const Snapshot s{m.map(exact_options()), m.registers, {}, {}, {}, {}};
    ASSERT_EQ(s.map.unreadable.size(), 1u);
    const std::string bytes = write_snapshot(s);
    EXPECT_EQ(json_of(read_snapshot(bytes_of(bytes))), json_of(s));
}

TEST(SnapshotTest, AMillionRanges) {
    Snapshot s{{Mode::level4, {0x1000}, 1954}, registers_of(Mode::level4), {}, {}, {}, {}};
    std::uint64_t frame = 1;
    for (unsigned i = 0; i < 1'000'000; ++i) {
        frame = (frame * 1103515245 + 12345) & 0xffffff;  // 64 GiB
        s.map.ranges.push_back({{i * std::uint64_t{0x1000} + (i / 100) * 0x1000},
                                0x1000,
                                {frame << 12},
                                true,
                                {12},
                                {i / 1000 % 2 ? Rights::all : Rights::user}});
    }
    s.map.pages[12] = s.map.ranges.size();
    const auto begin = std::chrono::steady_clock::now();
    const std::string bytes = write_snapshot(s);
    const auto middle = std::chrono::steady_clock::now();
    const Snapshot read = read_snapshot(bytes_of(bytes));
    const auto end = std::chrono::steady_clock::now();
    EXPECT_EQ(read.map.ranges.size(), s.map.ranges.size());
    EXPECT_TRUE(diff(read.map, s.map).empty());
    EXPECT_LT(bytes.size(), 7'000'000u);
    const auto ms = [](auto time) {
        return static_cast<int>(
            std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
    };
    RecordProperty("bytes", static_cast<int>(bytes.size()));
    RecordProperty("write_ms", ms(middle - begin));
    RecordProperty("read_ms", ms(end - middle));
}

}  // namespace
}  // namespace ptmap
