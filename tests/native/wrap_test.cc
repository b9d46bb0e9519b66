// Where lines end.
#include "text/wrap.h"

#include <gtest/gtest.h>

#include <random>

namespace ptmap {
namespace {

using Lines = std::vector<std::string>;

TEST(Wrap, AtSpaces) {
    EXPECT_EQ(wrap("one two three", {.width = 7}), (Lines{"one two", "three"}));
    EXPECT_EQ(wrap("one two three", {.width = 9, .indent = 4}), (Lines{"one two", "    three"}));
    EXPECT_EQ(wrap("", {}), Lines{});
    EXPECT_EQ(wrap("   ", {}), Lines{});
}

TEST(Wrap, KeepsSpacesThatBeginTheTextOrLieInALine) {
    EXPECT_EQ(wrap("  a  b", {.width = 10}), (Lines{"  a  b"}));
    EXPECT_EQ(wrap("a\nb\tc", {}), (Lines{"a b c"}));
    EXPECT_EQ(wrap("aa    bb", {.width = 4}), (Lines{"aa", "bb"}));
}

TEST(Wrap, BehindHyphensOfWords) {
    EXPECT_EQ(wrap("well-known", {.width = 6}), (Lines{"well-", "known"}));
    EXPECT_EQ(wrap("no -option", {.width = 6}), (Lines{"no -op", "tion"}));
    EXPECT_EQ(wrap("a-b-cd", {.width = 4}), (Lines{"a-b-", "cd"}));
    EXPECT_EQ(wrap("a--b", {.width = 3}), (Lines{"a--", "b"}));
    EXPECT_EQ(wrap("10-20-30", {.width = 6}), (Lines{"10-20-", "30"}));  // too long, so broken
}

TEST(Wrap, LongWords) {
    EXPECT_EQ(wrap("abcdefgh", {.width = 3}), (Lines{"abc", "def", "gh"}));
    EXPECT_EQ(wrap("a bcdefgh", {.width = 4, .break_long_words = false}), (Lines{"a", "bcdefgh"}));
    EXPECT_EQ(wrap("\xc3\xa9\xc3\xa9\xc3\xa9", {.width = 3}),
              (Lines{"\xc3\xa9\xc3\xa9", "\xc3\xa9"}));
}

// Whatever the text: no line is longer, and no character is lost but spaces.
TEST(Wrap, LosesNothing) {
    std::mt19937 numbers(1);
    const auto below = [&](std::size_t limit) { return static_cast<unsigned>(numbers() % limit); };
    constexpr std::string_view letters = "ab_9-- ,.\"(";
    for (unsigned i = 0; i < 20000; ++i) {
        std::string text;
        for (unsigned n = below(60); n > 0; --n) text += letters[below(letters.size())];
        const std::size_t width = 1 + below(20), indent = below(width);
        std::string joined, wanted;
        for (const std::string& line : wrap(text, {.width = width, .indent = indent})) {
            EXPECT_LE(line.size(), width) << text;
            for (const char c : line)
                if (c != ' ') joined += c;
        }
        for (const char c : text)
            if (c != ' ') wanted += c;
        ASSERT_EQ(joined, wanted) << text;
    }
}

}  // namespace
}  // namespace ptmap
