// What differs between two maps, address by address, and what two spaces share.
#include "space/diff.h"

#include <gtest/gtest.h>

#include <map>

#include "fake_memory.h"
#include "space/sharing.h"
#include "text/text.h"
#include "whole_text.h"

namespace ptmap {
namespace {

MapOptions exact_options() {
    MapOptions options;
    options.split_physical = options.split_sizes = true;
    return options;
}

// "+0x1000:4K" a difference; "~" with what is changed, "?" with the sides.
std::string show(const std::vector<Difference>& found) {
    std::string text;
    for (const Difference& d : found) {
        char start[24];
        std::snprintf(start, sizeof start, "0x%llx", static_cast<unsigned long long>(d.va.value));
        text += text.empty() ? "" : " ";
        text += "+-~?"[static_cast<unsigned>(d.what)];
        text += std::string(start) + ":" + size_text(d.size);
        for (std::size_t i = 0; i < change_names.size(); ++i)
            if (d.changed >> i & 1) text.append(",").append(change_names[i]);
        if (d.unknown) text += d.unknown == 1 ? ",before" : d.unknown == 2 ? ",after" : ",both";
    }
    return text;
}

// A PAE machine: PD of the first GiB at 0x3000, its first PT at 0x4000.
Machine pae() {
    Machine m(Mode::pae);
    m.set(0x1000, 0, 0x3000 | bit::P);
    m.set(0x3000, 0, 0x4000 | bit::table);
    m.fill(0x4000, 1, 8, 0x400000 | bit::P | bit::RW, 0x1000);
    m.set(0x3000, 1, 0x200000 | bit::P | bit::RW | bit::PS);
    return m;
}

std::string differences(void (*change)(Machine&), DiffOptions options = {}) {
    Machine before = pae(), after = pae();
    change(after);
    const Map a = before.map(exact_options()), b = after.map(exact_options());
    EXPECT_TRUE(is_exact(a) && is_exact(b));
    return show(diff(a, b, options));
}

TEST(DiffTest, EachKind) {
    EXPECT_EQ(differences([](Machine&) {}), "");
    EXPECT_EQ(differences([](Machine& m) { m.set(0x4000, 0, 0x1000 | bit::P); }), "+0x0:4K");
    EXPECT_EQ(differences([](Machine& m) { m.fill(0x4000, 2, 3, 0); }), "-0x2000:8K");
    EXPECT_EQ(differences([](Machine& m) { m.fill(0x4000, 2, 3, 0x401000 | bit::P, 0x1000); }),
              "~0x2000:8K,rights");
    EXPECT_EQ(differences([](Machine& m) { m.set(0x4000, 3, 0x800000 | bit::P | bit::RW); }),
              "~0x3000:4K,frame");
    EXPECT_EQ(
        differences([](Machine& m) { m.set(0x4000, 3, 0x402000 | bit::P | bit::RW | bit::G); }),
        "~0x3000:4K,global");
    EXPECT_EQ(
        differences([](Machine& m) { m.set(0x4000, 3, 0x402000 | bit::P | bit::RW | bit::PCD); }),
        "~0x3000:4K,cache");
    EXPECT_EQ(
        differences([](Machine& m) { m.set(0x4000, 3, 0x9000 | bit::P | bit::G | bit::PCD); }),
        "~0x3000:4K,rights,frame,global,cache");
    // A large page split into small ones with the same frames.
    EXPECT_EQ(differences([](Machine& m) {
                  m.set(0x3000, 1, 0x5000 | bit::table);
                  m.fill(0x5000, 0, 511, 0x200000 | bit::P | bit::RW, 0x1000);
              }),
              "~0x200000:2M,page_size");
}

TEST(DiffTest, NeighboursMergeWhereAlike) {
    // Frames in no order are one stretch; contiguous frames tell, where asked for.
    const auto scatter = [](Machine& m) { m.fill(0x4000, 16, 19, 0x900000 | bit::P, 0x2000); };
    EXPECT_EQ(differences(scatter), "+0x10000:16K");
    EXPECT_EQ(differences(scatter, {.split_physical = true, .pulse = {}}),
              "+0x10000:4K +0x11000:4K +0x12000:4K +0x13000:4K");
    EXPECT_EQ(differences([](Machine& m) {
                  m.set(0x4000, 2, 0x401000 | bit::P);          // rights
                  m.set(0x4000, 3, 0x9000 | bit::P | bit::RW);  // frame
                  m.set(0x4000, 4, 0);                          // gone
              }),
              "~0x2000:4K,rights ~0x3000:4K,frame -0x4000:4K");
}

TEST(DiffTest, WhatCannotBeReadIsUnknown) {
    EXPECT_EQ(differences([](Machine& m) { m.set(0x3000, 0, 0x7000000 | bit::table); }),
              "?0x0:2M,after");
    EXPECT_EQ(differences([](Machine& m) { m.set(0x4000, 2, 0x401000 | bit::P | 1ull << 60); }),
              "?0x2000:4K,after");
    EXPECT_EQ(differences([](Machine& m) { m.set(0x1000, 3, 0x7000000 | bit::P); }),
              "?0xc0000000:1G,after");
    Machine before = pae(), after = pae();
    before.set(0x3000, 0, 0x7000000 | bit::table);
    after.set(0x3000, 1, 0x7000000 | bit::table);
    EXPECT_EQ(show(diff(before.map(exact_options()), after.map(exact_options()))),
              "?0x0:2M,before ?0x200000:2M,after");
    after.set(0x3000, 0, 0x7000000 | bit::table);
    EXPECT_EQ(show(diff(before.map(exact_options()), after.map(exact_options()))),
              "?0x0:2M,both ?0x200000:2M,after");
}

TEST(DiffTest, BehindALimitNothingIsGone) {
    Machine m = pae();
    m.fill(0x4000, 100, 300, 0x400000 | bit::P, 0x2000);  // a range each
    MapOptions options = exact_options();
    const Map whole = m.map(options);
    for (options.max_ranges = 0; options.max_ranges < 6; ++options.max_ranges) {
        const Map cut = m.map(options);
        ASSERT_TRUE(cut.truncated && cut.end);
        const auto found = diff(whole, cut);
        ASSERT_EQ(found.size(), 1u);
        EXPECT_EQ(found[0].what, What::unknown);
        EXPECT_EQ(found[0].va, *cut.end);
        EXPECT_EQ(found[0].va.value + found[0].size, 4 * GiB);
    }
    // A limit of tables leaves gaps, and no end.
    const Map few = make_map(m.scan({}, 2), exact_options());
    EXPECT_TRUE(few.truncated && !few.end);
    EXPECT_EQ(show(diff(whole, few)), "?0x0:2M,after");
}

TEST(DiffTest, TheTwoHalvesStayApart) {
    Machine m(Mode::level4), none(Mode::level4);
    none.memory.ram(0x1000);
    m.set(0x1000, 255, 0x3000 | bit::table);
    m.set(0x1000, 256, 0x3000 | bit::table);
    m.fill(0x3000, 0, 511, bit::P | bit::PS, 0);
    EXPECT_EQ(show(diff(none.map(exact_options()), m.map(exact_options()))),
              "+0x7f8000000000:512G +0xffff800000000000:512G");
    // An unreadable root is all of both.
    m.registers.cr3 = 0x7000000;
    EXPECT_EQ(show(diff(none.map(exact_options()), m.map(exact_options()))),
              "?0x0:128T,after ?0xffff800000000000:128T,after");
    EXPECT_EQ(show(diff(m.map(exact_options()), m.map(exact_options()))),
              "?0x0:128T,both ?0xffff800000000000:128T,both");
}

TEST(DiffTest, TheLastPage) {
    for (const Mode mode : all_modes) {
        Machine m(mode), none(mode);
        none.memory.ram(0x1000);
        const Map a = none.map(exact_options());
        Map b = a;
        const std::uint64_t last = mode <= Mode::pae ? 0xfffff000 : ~std::uint64_t{0xfff};
        b.ranges.push_back({{last}, 4096, {0}, true, {12}, {}});
        const auto found = diff(a, b);
        ASSERT_EQ(found.size(), 1u);
        EXPECT_EQ(found[0].va.value, last);
        EXPECT_EQ(found[0].size, 4096u);
        const std::string text = diff_text(found, mode <= Mode::pae ? 8 : 16);
        EXPECT_NE(text.find(mode <= Mode::pae ? " 0x00000000 " : " 0x0000000000000000 "),
                  text.npos);
    }
}

// Every page of random pairs against a plain comparison of the two, page by page.
TEST(DiffTest, RandomlyAgainstEachPage) {
    std::uint64_t state = 88172645463325252u;
    const auto random = [&](std::uint64_t limit) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        return state % limit;
    };
    std::size_t pages = 0;
    for (unsigned round = 0; round < 300; ++round) {
        std::array<Map, 2> maps{Map{Mode::pae, {0}, 1}, Map{Mode::pae, {0}, 1}};
        constexpr std::uint64_t count = 64;
        // 0 nothing, 1 unknown, else attributes and frame
        std::array<std::map<std::uint64_t, std::array<std::uint64_t, 3>>, 2> plain;
        for (unsigned side = 0; side < 2; ++side)
            for (std::uint64_t page = 0; page < count;) {
                const std::uint64_t kind = random(5), length = 1 + random(6);
                const std::uint64_t frame = random(4) * 16 + page, rights = random(3);
                const std::uint64_t end = std::min(count, page + length);
                const VirtAddr va{page << 12};
                if (kind == 0)
                    maps[side].malformed.push_back({va, (end - page) << 12, {0}, 1, ""});
                else if (kind > 1)
                    maps[side].ranges.push_back({va,
                                                 (end - page) << 12,
                                                 {frame << 12},
                                                 true,
                                                 {12},
                                                 {static_cast<Rights>(rights)}});
                for (; page < end; ++page)
                    if (kind == 0)
                        plain[side][page] = {1, 0, 0};
                    else if (kind > 1)
                        plain[side][page] = {2, rights, frame + (page - (va.value >> 12))};
            }
        const auto found = diff(maps[0], maps[1]);
        std::map<std::uint64_t, unsigned> said;
        for (const Difference& d : found) {
            for (std::uint64_t at = 0; at < d.size; at += 4096)
                said[(d.va.value + at) >> 12] =
                    static_cast<unsigned>(d.what) << 8 | d.changed << 4 | d.unknown;
        }
        for (std::uint64_t page = 0; page < count; ++page, ++pages) {
            const auto one = plain[0][page], other = plain[1][page];
            unsigned expected = ~0u;
            const unsigned unknown = (one[0] == 1) | (other[0] == 1) << 1;
            if (unknown)
                expected = 3u << 8 | unknown;
            else if (!one[0] && other[0])
                expected = 0;
            else if (one[0] && !other[0])
                expected = 1u << 8;
            else if (one != other)
                expected = 2u << 8 | (one[1] != other[1]) << 4 | (one[2] != other[2]) << 5;
            const auto answer = said.find(page);
            ASSERT_EQ(answer == said.end() ? ~0u : answer->second, expected)
                << round << ' ' << page;
        }
        for (std::size_t i = 1; i < found.size(); ++i)  // maximal
            EXPECT_FALSE(found[i - 1].va.value + found[i - 1].size == found[i].va.value &&
                         found[i - 1].what == found[i].what &&
                         found[i - 1].changed == found[i].changed &&
                         found[i - 1].unknown == found[i].unknown &&
                         found[i - 1].before.attributes == found[i].before.attributes &&
                         found[i - 1].after.attributes == found[i].after.attributes);
    }
    EXPECT_EQ(pages, 300u * 64);
}

TEST(DiffTest, Text) {
    Machine before = pae(), after = pae();
    after.set(0x4000, 0, 0x1000 | bit::P);
    after.set(0x4000, 2, 0x401000 | bit::P);
    after.set(0x4000, 3, 0);
    after.set(0x4000, 5, 0x9000 | bit::P | bit::RW | bit::G | bit::XD);
    after.set(0x3000, 1, 0x7000000 | bit::table);
    const auto found = diff(before.map(exact_options()), after.map(exact_options()));
    EXPECT_EQ(diff_text(found, 8),
              "  start      end        size rights type pages physical\n"
              "+ 0x00000000 0x00001000   4K sr-x-  WB   4K    0x1000\n"
              "~ 0x00002000 0x00003000   4K srwx-  WB   4K    0x401000\n"
              "->                           sr-x-\n"
              "- 0x00003000 0x00004000   4K srwx-  WB   4K    0x402000\n"
              "~ 0x00005000 0x00006000   4K srwx-  WB   4K    0x404000\n"
              "->                           srw-g             0x9000\n"
              "? 0x00200000 0x00400000   2M not known after\n");
    EXPECT_EQ(
        diff_json(std::span(found).first(1)),
        "\n  {\"va\": \"0x0\", \"size\": \"0x1000\", \"what\": \"added\", \"after\": {\"pa\": "
        "\"0x1000\", \"user\": false, \"write\": false, \"exec\": true, \"global\": false, "
        "\"cache\": \"WB\", \"page_size\": \"4K\"}}");
    const DiffCounts counts = count(found);
    EXPECT_EQ(counts.what[static_cast<unsigned>(What::changed)].stretches, 2u);
    EXPECT_EQ(counts.changed[static_cast<unsigned>(Change::rights)].bytes, 8192u);
    EXPECT_EQ(counts.changed[static_cast<unsigned>(Change::frame)].stretches, 1u);
}

TEST(DiffTest, APulseEndsIt) {
    Machine m(Mode::pae), none(Mode::pae);
    none.memory.ram(0x1000);
    m.set(0x1000, 0, 0x3000 | bit::P);
    m.fill(0x3000, 0, 511, 0x4000 | bit::table);
    for (unsigned i = 0; i < 512; ++i)
        m.set(0x4000, i, (i % 2 ? 0x400000 : 0x500000) | bit::P | (i % 2 ? bit::RW : 0));
    struct Stop {};
    EXPECT_THROW(diff(none.map(exact_options()), m.map(exact_options()),
                      {.pulse = [](std::size_t) { throw Stop{}; }}),
                 Stop);
}

// Sharing

constexpr std::array<Interval, 2> halves{Interval{0, (1ull << 47) - 1},
                                         Interval{1ull << 47, (1ull << 48) - 1}};

// Two 4-level spaces in one memory: roots at 0x1000 and 0x2000.
struct Pair {
    Machine m{Mode::level4};
    Pair() { m.memory.ram(0x1000), m.memory.ram(0x2000); }

    Sharing share(std::size_t max_steps = std::numeric_limits<std::size_t>::max()) {
        const X86Paging& p = m.paging();
        const Tables a = scan(p, {0x1000}, m.memory), b = scan(p, {0x2000}, m.memory);
        return ptmap::share(a, b, halves, max_steps);
    }
};

TEST(ShareTest, RootEntries) {
    Pair two;
    for (const std::uint64_t root : {0x1000, 0x2000})
        two.m.fill(root, 256, 259, 0x10000 | bit::table, 0x1000);
    two.m.fill(0x1000, 0, 1, 0x20000 | bit::table, 0x1000);
    two.m.fill(0x2000, 1, 2, 0x21000 | bit::table | bit::XD, 0x1000);  // 1 is the same with XD
    two.m.set(0x2000, 259, 0x19000 | bit::table);
    for (std::uint64_t table = 0x10000; table < 0x30000; table += 0x1000) two.m.memory.ram(table);
    const Sharing s = two.share();
    ASSERT_EQ(s.parts.size(), 2u);
    const auto show = [](const PartShare& p) {
        return std::to_string(p.before) + ' ' + std::to_string(p.after) + ' ' +
               std::to_string(p.either) + ' ' + std::to_string(p.shared) + ' ' +
               std::to_string(p.other_rights);
    };
    EXPECT_EQ(show(s.parts[0]), "2 2 3 0 1");
    EXPECT_EQ(show(s.parts[1]), "4 4 4 3 0");
    EXPECT_EQ(s.levels, (std::vector<std::size_t>{0, 4, 0, 0}));
    EXPECT_EQ(s.tables, 4u);
    EXPECT_TRUE(s.below.empty() && !s.cut);
}

TEST(ShareTest, BelowRootEntries) {
    Pair two;
    two.m.set(0x1000, 0, 0x3000 | bit::table);
    two.m.set(0x2000, 0, 0x4000 | bit::table);
    for (const std::uint64_t pdpt : {0x3000, 0x4000})
        two.m.fill(pdpt, 2, 3, 0x5000 | bit::table, 0x1000);  // neighbours
    two.m.set(0x3000, 8, 0x7000 | bit::table);
    two.m.set(0x4000, 8, 0x8000 | bit::table);
    two.m.set(0x7000, 1, 0x9000 | bit::table);
    two.m.set(0x8000, 1, 0x9000 | bit::table);
    two.m.set(0x7000, 2, 0xa000 | bit::table);
    two.m.set(0x8000, 3, 0xa000 | bit::table);  // elsewhere
    two.m.set(0x5000, 0, 0xb000 | bit::table);
    for (std::uint64_t table = 0x5000; table < 0xc000; table += 0x1000) two.m.memory.ram(table);
    const Sharing s = two.share();
    EXPECT_EQ(s.levels, (std::vector<std::size_t>{0, 0, 2, 3}));
    EXPECT_EQ(s.tables, 5u);
    ASSERT_EQ(s.below.size(), 2u);
    EXPECT_EQ(s.below[0].first.value, 2 * GiB);
    EXPECT_EQ(s.below[0].size(), 2 * GiB);
    EXPECT_EQ(s.below[1].first.value, 8 * GiB + 2 * MiB);
    EXPECT_EQ(s.below[1].size(), 2 * MiB);
    EXPECT_EQ(two.share(1).cut, true);
}

// Every entry of every table names one of a few tables of the next level: as many pairs as paths.
TEST(ShareTest, HostileSpacesAreBounded) {
    Pair two;
    for (const std::uint64_t root : {0x1000, 0x2000}) {
        two.m.fill(root, 0, 511, root | bit::table);  // itself, at each level
    }
    const Sharing s = two.share();
    EXPECT_EQ(s.tables, 0u);
    EXPECT_TRUE(s.below.empty() && !s.cut);
    // One page in common, as far down as can be: every path has it.
    two.m.set(0x1000, 0, 0x5000 | bit::table);
    two.m.set(0x2000, 0, 0x5000 | bit::table);
    two.m.memory.ram(0x5000);
    EXPECT_TRUE(two.share(100000).cut);
}

}  // namespace
}  // namespace ptmap
