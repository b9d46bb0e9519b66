// The map as text, to the letter.
#include "text/render.h"

#include <gtest/gtest.h>

#include "fake_memory.h"
#include "whole_text.h"

namespace ptmap {
namespace {

// 4-level: two neighbouring frames apart, a 2 MiB page, a bad table and a bad entry.
Machine small() {
    Machine m(Mode::level4);
    m.registers.maxphyaddr = 40;
    m.set(0x1000, 0, 0x2000 | bit::table);
    m.set(0x1000, 511, 0x2000 | bit::P | bit::RW | bit::XD);
    m.set(0x2000, 511, 0x3000 | bit::table);
    m.set(0x3000, 0, 0x4000 | bit::table);
    m.set(0x3000, 1, 0x600000 | bit::P | bit::US | bit::PS | bit::G | bit::PWT);
    m.set(0x3000, 2, 0x9000 | bit::table);
    m.set(0x3000, 3, 0x60000000000 | bit::P);
    m.set(0x4000, 0, 0x10000 | bit::table);
    m.set(0x4000, 1, 0x20000 | bit::table);
    return m;
}

TEST(Json, IsTheSchemaToTheLetter) {
    MapOptions options;
    options.window = {0, 0x7fffffffffff};
    EXPECT_EQ(
        json(small().map(options)),
        R"({"schema": "ptmap/1", "kind": "map", "mode": "4-level", "root": "0x1000", "complete": false, "truncated": false,
"unreadable": [
  {"va": "0x7fc0400000", "size": "0x200000", "table": "0x9000", "level": 1, "why": "not RAM"}],
"malformed": [
  {"va": "0x7fc0600000", "size": "0x200000", "table": "0x3000", "level": 2, "why": "reserved bits 41,42"}], "tables": 4, "pages": {"4K": 2, "2M": 1, "4M": 0, "1G": 0},
"ranges": [
  {"va": "0x7fc0000000", "size": "0x2000", "pa": null, "user": true, "write": true, "exec": true, "global": false, "cache": "WB", "page_sizes": ["4K"]},
  {"va": "0x7fc0200000", "size": "0x200000", "pa": "0x600000", "user": true, "write": false, "exec": true, "global": true, "cache": "PAT1", "page_sizes": ["2M"]}]}
)");
}

TEST(Json, OfNothing) {
    Machine m(Mode::pae);
    m.memory.ram(0x1000);
    EXPECT_EQ(
        json(m.map()),
        R"({"schema": "ptmap/1", "kind": "map", "mode": "pae", "root": "0x1000", "complete": true, "truncated": false,
"unreadable": [],
"malformed": [], "tables": 1, "pages": {"4K": 0, "2M": 0, "4M": 0, "1G": 0},
"ranges": []}
)");
}

TEST(Json, OfAView) {
    MapOptions options;
    options.window = {0x7fc0200000, 0x7fc03fffff};
    options.as = Privilege::user;
    EXPECT_EQ(
        json(small().map(options)),
        R"({"schema": "ptmap/1", "kind": "map", "mode": "4-level", "root": "0x1000", "complete": true, "truncated": false, "as": "user",
"unreadable": [],
"malformed": [], "tables": 3, "pages": {"4K": 0, "2M": 1, "4M": 0, "1G": 0},
"ranges": [
  {"va": "0x7fc0200000", "size": "0x200000", "pa": "0x600000", "user": true, "read": true, "write": false, "exec": true, "global": true, "cache": "PAT1", "page_sizes": ["2M"]}]}
)");
}

TEST(Json, SeveralPageSizesAndACutList) {
    Machine m(Mode::bits32);
    m.set(0x1000, 0, 0x2000 | bit::table);
    m.set(0x1000, 1, 0x400000 | bit::table | bit::PS);
    m.set(0x1000, 3, 0x400000 | bit::table | bit::PS);
    m.set(0x2000, 1023, 0x3ff000 | bit::table);
    const std::string text = json(m.map({.max_ranges = 1}));
    EXPECT_NE(text.find(R"("complete": false, "truncated": true)"), std::string::npos) << text;
    EXPECT_NE(text.find(R"("page_sizes": ["4K", "4M"])"), std::string::npos) << text;
}

TEST(Json, EscapesWhatAMemorySourceSays) {
    Map map{};
    map.unreadable.push_back({{0}, 1, {0}, 1, "a \"b\" \\ \n c"});
    const std::string text = json(map);
    EXPECT_NE(text.find(R"("why": "a \"b\" \\ ? c")"), std::string::npos) << text;
}

TEST(RangesText, LinesUp) {
    EXPECT_EQ(ranges_text(small().map()),
              "start              end                size rights type pages physical\n"
              "0x0000007fc0000000 0x0000007fc0002000   8K urwx-  WB   4K    -\n"
              "0x0000007fc0200000 0x0000007fc0400000   2M ur-xg  PAT1 2M    0x600000\n"
              "0xffffffffc0000000 0xffffffffc0002000   8K srw--  WB   4K    -\n"
              "0xffffffffc0200000 0xffffffffc0400000   2M sr--g  PAT1 2M    0x600000\n");
}

TEST(RangesText, EndsAtTheTopWithZero) {
    Machine m(Mode::level4);
    m.set(0x1000, 511, 0x2000 | bit::table);
    m.set(0x2000, 511, 0x40000000 | bit::table | bit::PS);
    EXPECT_EQ(ranges_text(m.map()),
              "start              end                size rights type pages physical\n"
              "0xffffffffc0000000 0x0000000000000000   1G urwx-  WB   1G    0x40000000\n");
    Machine n(Mode::bits32);
    n.set(0x1000, 1023, 0x400000 | bit::P | bit::PS);
    n.set(0x1000, 1022, 0x000000 | bit::P | bit::PS);
    EXPECT_EQ(ranges_text(n.map()),
              "start      end        size rights type pages physical\n"
              "0xff800000 0x00000000   8M sr-x-  WB   4M    0x0\n");
}

TEST(RangesText, SizesInTheLargestUnitThatDividesThem) {
    Map map{};
    map.mode = Mode::level4;
    for (const std::uint64_t size :
         {std::uint64_t{1}, std::uint64_t{1025}, 612 * KiB, 3 * MiB, 1536 * MiB, 1024 * GiB})
        map.ranges.push_back({{0}, size, {0}, true, {12}, {}});
    const std::string text = ranges_text(map);
    for (const char* size : {" 1B ", " 1025B ", " 612K ", " 3M ", " 1536M ", " 1T "})
        EXPECT_NE(text.find(size), std::string::npos) << size << text;
}

TEST(RangesText, OfNothing) {
    Machine m(Mode::level4);
    m.memory.ram(0x1000);
    EXPECT_EQ(ranges_text(m.map()), "");
}

TEST(RangesText, SaysWhatItsCharactersAre) {
    MapOptions options;
    options.window = {0x7fc0000000, 0x7fc03fffff};
    const Map map = small().map(options);
    const std::vector<Label> labels{{{{0x7fc0000000}, {0x7fc0001fff}}, "a", LabelSource::read}};
    std::string roles;
    whole([&](const Sink& sink) { put_ranges_text(sink, map, labels); }, &roles);
    EXPECT_EQ(roles,
              "<heading start>              <heading end>                <heading size> <heading "
              "rights> <heading type> <heading pages> <heading physical>\n"
              "<label a (read):\n>"
              "<address 0x0000007fc0000000> <address 0x0000007fc0002000>   8K <rights urwx->  WB   "
              "4K    -\n"
              "<label (no label):\n>"
              "<address 0x0000007fc0200000> <address 0x0000007fc0400000>   2M <rights ur-xg>  PAT1 "
              "2M    <address 0x600000>\n");
}

TEST(RangesText, PiecesHaveTheirOwnRuns) {
    Map map{};
    map.mode = Mode::level4;
    for (std::uint64_t i = 0; i < 5000; ++i)
        map.ranges.push_back({{i << 14}, 4096, {i}, true, {12}, {}});
    std::size_t pieces = 0;
    put_ranges_text(
        [&](std::string_view piece, Sink::Runs runs) {
            ++pieces;
            with_roles(piece, runs);
        },
        map);
    EXPECT_GT(pieces, 3u);
}

}  // namespace
}  // namespace ptmap
