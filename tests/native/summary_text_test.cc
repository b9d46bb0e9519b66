// What stands over and under a map, to the letter.
#include "text/summary_text.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "fake_memory.h"
#include "whole_text.h"

namespace ptmap {
namespace {

using Notes = std::vector<std::string>;

std::string head(const SpaceHead& space) {
    return written([&](Text& text) { put_head(text, space); });
}

std::string missing(const Map& map, const MissingOptions& options = {}) {
    return written([&](Text& text) { put_missing(text, map, options); });
}

std::string missing_json(const Map& map, JsonLayout layout) {
    return written([&](Text& text) { put_missing_json(text, map, layout); });
}

TEST(Head, SaysWhichSpaceItIs) {
    EXPECT_EQ(head({Mode::bits32, {0x1000}, {}, false, {}}), "32-bit paging, root 0x1000\n");
    EXPECT_EQ(head({Mode::level4, {0x1064000}, Half::kernel, true, {}}),
              "4-level paging, root 0x1064000, KPTI's kernel root, Linux\n");
    EXPECT_EQ(head({Mode::off, {0}, {}, false, {}}), "off paging, root 0x0\n");
}

TEST(Head, NotesShareItsLineIfTheyFit) {
    const Notes one{"pid 1 (init)"}, two{"pid 1 (init)", std::string(37, 'x')},
        more{"pid 1 (init)", std::string(38, 'x')};
    EXPECT_EQ(head({Mode::pae, {0x20}, {}, false, one}), "pae paging, root 0x20, pid 1 (init)\n");
    const std::string full = head({Mode::level4, {0x1000}, {}, false, two});
    EXPECT_EQ(full.size(), 81u) << full;
    EXPECT_EQ(std::ranges::count(full, '\n'), 1);
    EXPECT_EQ(head({Mode::level4, {0x1000}, {}, false, more}),
              "4-level paging, root 0x1000\npid 1 (init)\n" + std::string(38, 'x') + "\n");
}

TEST(SplitText, InGigabytes) {
    const auto split = [](std::uint64_t va) {
        return written([&](Text& text) { put_split(text, {va}); });
    };
    EXPECT_EQ(split(0xc0000000), "split 3G/1G: the supervisor's part begins at 0xc0000000\n");
    EXPECT_EQ(split(0xb0000000), "split 2.75G/1.25G: the supervisor's part begins at 0xb0000000\n");
    EXPECT_EQ(split(0xc0400000),
              "split 3.004G/0.9961G: the supervisor's part begins at 0xc0400000\n");
    EXPECT_EQ(split(0x400000),
              "split 0.003906G/3.996G: the supervisor's part begins at 0x00400000\n");
}

TEST(KptiText, NamesTheOtherRoot) {
    const KptiShare share{GiB, 512 * MiB, 4 * MiB, 2150 * KiB};
    const KptiRoots roots{{0x1064000}, {0x1065000}};
    const auto kpti = [&](Half half) {
        return written([&](Text& text) { put_kpti(text, share, roots, half); });
    };
    EXPECT_EQ(kpti(Half::kernel),
              "KPTI: 2.1M of the kernel's 512M stay in the user root (-half user: 0x1065000)\n");
    EXPECT_EQ(kpti(Half::user),
              "KPTI: 2.1M of the kernel's 512M stay in the user root (-half kernel: 0x1064000)\n");
}

TEST(Counts, OfTablesAndPages) {
    Map map{Mode::level4, {0x1000}, 1};
    const auto counts = [&] { return written([&](Text& text) { put_counts(text, map); }); };
    EXPECT_EQ(counts(), "1 table; pages: none; complete\n");
    map.tables = 132;
    map.pages = {{12, 9386}, {21, 267}, {30, 1}};
    map.outside_ram = 4;
    map.truncated = true;
    EXPECT_EQ(counts(),
              "132 tables; pages: 9386 of 4K, 267 of 2M, 1 of 1G, 4 not RAM; INCOMPLETE\n");
}

TEST(Missing, NothingIfTheMapIsComplete) { EXPECT_EQ(missing(Map{Mode::level4, {0x1000}, 1}), ""); }

TEST(Missing, NamesWhatCouldNotBeReadAndWhy) {
    Map map{Mode::level4, {0x1000}, 1};
    map.unreadable.push_back({{0x7fc0400000}, 2 * MiB, {0x9000}, 1, "not RAM"});
    map.malformed.push_back({{0xffffffff80000000}, GiB, {0x3000}, 3, "reserved bits 41,42"});
    EXPECT_EQ(missing(map),
              "1 table could not be read:\n"
              "  0x0000007fc0400000   2 MiB  PT at 0x9000: not RAM\n"
              "1 entry has a reserved bit set:\n"
              "  0xffffffff80000000   1 GiB  PDPT at 0x3000: reserved bits 41,42\n");
    std::string roles;
    written([&](Text& text) { put_missing(text, map, {}); }, &roles);
    EXPECT_TRUE(roles.starts_with("<heading 1 table could not be read:>\n<reason   0x")) << roles;
}

TEST(Missing, AsMembersOfJson) {
    Map map{Mode::level4, {0x1000}, 1};
    EXPECT_EQ(missing_json(map, JsonLayout::one_line),
              R"(, "complete": true, "truncated": false, "unreadable": [], "malformed": [])");
    map.unreadable.push_back({{0x7fc0400000}, 2 * MiB, {0x9000}, 1, "not RAM"});
    map.malformed.push_back({{0xffffffff80000000}, GiB, {0x3000}, 3, "reserved PS"});
    map.malformed.push_back(map.malformed[0]);
    const std::string gap =
        R"({"va": "0xffffffff80000000", "size": "0x40000000", "table": "0x3000", "level": 3, )"
        R"("why": "reserved PS"})";
    EXPECT_EQ(missing_json(map, JsonLayout::one_line),
              R"(, "complete": false, "truncated": false, "unreadable": [)"
              R"({"va": "0x7fc0400000", "size": "0x200000", "table": "0x9000", "level": 1, )"
              R"("why": "not RAM"}], "malformed": [)" +
                  gap + ", " + gap + "]");
    map.malformed.clear();
    map.truncated = true;
    EXPECT_EQ(missing_json(map, JsonLayout::indented), R"(,
 "complete": false,
 "truncated": true,
 "unreadable": [
  {
   "va": "0x7fc0400000",
   "size": "0x200000",
   "table": "0x9000",
   "level": 1,
   "why": "not RAM"
  }
 ],
 "malformed": [])");
}

TEST(Missing, AFewOfManyInLinesThatFitTheScreen) {
    Map map{Mode::bits32, {0x1000}, 1};
    const std::string why = "cannot be read: /dev/shm/qemu-ram-file: it is shorter than it was";
    for (unsigned i = 0; i < 9; ++i)
        map.unreadable.push_back({{i << 22}, 4 * MiB, {0x2000}, 1, why});
    map.truncated = true;
    const std::string not_interrupted = missing(map);
    map.unreadable.back().interrupted = true;
    const std::string text = missing(map, {.tables_cut = true});
    EXPECT_TRUE(
        text.starts_with("9 tables could not be read:\n"
                         "  0x00000000   4 MiB  PT at 0x2000: cannot be read: "
                         "/dev/shm/qemu-ram-file: it\n"
                         "    is shorter than it was\n"
                         "  0x00400000"))
        << text;
    EXPECT_TRUE(
        text.ends_with("  and 3 more (-json names all)\n"
                       "interrupted: the same command goes on from here\n"
                       "cut short: the limit of tables is reached (set ptmap "
                       "max-tables)\n"))
        << text;
    EXPECT_NE(missing(map).find("the limit of ranges is reached (set ptmap max-ranges)"),
              std::string::npos);
    EXPECT_EQ(not_interrupted.find("interrupted"), std::string::npos);
}

TEST(Missing, Indented) {
    Map map{Mode::pae, {0x20}, 1};
    map.malformed.push_back({{0}, GiB, {0x20}, 3, "reserved bit 5"});
    map.truncated = true;
    EXPECT_EQ(missing(map, {.indent = 5}),
              "     1 entry has a reserved bit set:\n"
              "       0x00000000   1 GiB  PDPT at 0x20: reserved bit 5\n"
              "     cut short: the limit of ranges is reached (set ptmap max-ranges)\n");
}

}  // namespace
}  // namespace ptmap
