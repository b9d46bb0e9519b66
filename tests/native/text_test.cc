// Numbers and sizes in words, a text with roles, and JSON with an element a line.
#include "text/text.h"

#include <gtest/gtest.h>

#include "text/json_writer.h"
#include "whole_text.h"

namespace ptmap {
namespace {

constexpr std::uint64_t KiB = 1024, MiB = KiB * KiB, GiB = KiB * MiB, TiB = KiB * GiB;

TEST(Words, ShortSizesAreRounded) {
    EXPECT_EQ(short_size(0), "0B");
    EXPECT_EQ(short_size(1023), "1023B");
    EXPECT_EQ(short_size(4096), "4K");
    EXPECT_EQ(short_size(4097), "4.0K");
    EXPECT_EQ(short_size(MiB - 4 * KiB), "1020K");
    EXPECT_EQ(short_size(MiB - 1), "1.0M");
    EXPECT_EQ(short_size(99 * MiB + 900 * KiB), "99.9M");
    EXPECT_EQ(short_size(100 * MiB + 512 * KiB), "100M");  // half to even
    EXPECT_EQ(short_size(128 * TiB), "128T");
    EXPECT_EQ(short_size(~std::uint64_t{0}), "16E");
    for (unsigned bit = 0; bit < 64; ++bit)
        for (const std::uint64_t less : {0, 1, 77})
            EXPECT_LE(short_size((std::uint64_t{1} << bit) - less % (bit + 1)).size(), 5u) << bit;
}

TEST(Words, SizesByTheLargestUnit) {
    EXPECT_EQ(size_words(0), "0 bytes");
    EXPECT_EQ(size_words(1025), "1025 bytes");
    EXPECT_EQ(size_words(4 * KiB), "4 KiB");
    EXPECT_EQ(size_words(512 * GiB), "512 GiB");
    EXPECT_EQ(size_words(std::uint64_t{1} << 63), "8 EiB");
    EXPECT_EQ(size_text(std::uint64_t{1} << 63), "8E");
}

TEST(Words, Plural) {
    EXPECT_EQ(plural(0, "table"), "0 tables");
    EXPECT_EQ(plural(1, "table"), "1 table");
    EXPECT_EQ(plural(1, "cell hides", "cells hide"), "1 cell hides");
    EXPECT_EQ(plural(2, "cell hides", "cells hide"), "2 cells hide");
}

TEST(Roles, CoverTheText) {
    std::string roles;
    const auto put = [](Text& text) {
        text.out += "at ";
        text.address(0x1000, 8);
        text.out += ": ";
        text.label("a");
        text.label("b");
        text.rights("");
        text.reason("not RAM");
        text.out += '\n';
    };
    EXPECT_EQ(written(put, &roles), "at 0x00001000: abnot RAM\n");
    EXPECT_EQ(roles, "at <address 0x00001000>: <label ab><reason not RAM>\n");
}

TEST(Roles, OfNothing) {
    Text text(true);
    EXPECT_TRUE(text.runs().empty());
    text.heading("");
    EXPECT_TRUE(text.runs().empty());
}

TEST(Roles, EndWithTheTextThatIsCut) {
    for (std::size_t size = 0; size <= 9; ++size) {
        std::string roles;
        const std::string text = written(
            [&](Text& t) {
                t.address(0x12);
                t.label("label");
                t.cut(size);
                t.out += '.';
            },
            &roles);
        EXPECT_EQ(text, std::string("0x12label").substr(0, size) + '.');
        if (size == 4) {
            EXPECT_EQ(roles, "<address 0x12>.");
        }
        if (size == 6) {
            EXPECT_EQ(roles, "<address 0x12><label la>.");
        }
    }
}

TEST(JsonWriter, IsWhatPythonWrites) {
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.key("empty").list([] {});
        json.key("nothing").object([] {});
        json.key("list").list([&] {
            json.number(1);
            json.list([&] { json.text("a \"b\" \\"); });
            json.null();
        });
        json.key("last").object([&] {
            json.key("yes").boolean(true);
            json.key("at").hex(0x1000);
        });
    });
    EXPECT_EQ(out, R"({
 "empty": [],
 "nothing": {},
 "list": [
  1,
  [
   "a \"b\" \\"
  ],
  null
 ],
 "last": {
  "yes": true,
  "at": "0x1000"
 }
})");
}

}  // namespace
}  // namespace ptmap
