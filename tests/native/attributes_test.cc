// The vocabulary of attributes: each word, how words combine, what is refused, and that a range of
// a map and each of its pages get the same answer.
#include <gtest/gtest.h>

#include <random>

#include "fake_memory.h"
#include "space/condition.h"
#include "space/query.h"
#include "text/attributes_text.h"

namespace ptmap {
namespace {

using enum Truth;

Condition parsed(std::string_view text) {
    const auto result = parse_condition(text);
    EXPECT_TRUE(std::holds_alternative<Condition>(result)) << text;
    return std::holds_alternative<Condition>(result) ? std::get<Condition>(result) : Condition{};
}

// "word" or "term", and the part of the text that it names.
std::string refused(std::string_view text) {
    const auto result = parse_condition(text);
    if (!std::holds_alternative<ConditionError>(result)) return "parsed";
    const auto& error = std::get<ConditionError>(result);
    if (error.offset > text.size() || error.length > text.size() - error.offset) return "beyond";
    const bool is_word = error.what == ConditionError::What::unknown_word;
    return (is_word ? "word " : "term ") + std::string(text.substr(error.offset, error.length));
}

PageAttributes page(Rights rights, bool global = false, PageSizes size = {12},
                    MemoryType type = MemoryType::WB) {
    return {{rights, true, global, type}, size};
}

Truth holds(std::string_view text, const PageAttributes& p) {
    return truth(parsed(text).terms, p.attributes, p.page_size);
}

bool is_shown(std::string_view text, const PageAttributes& p) {
    return std::ranges::any_of(parsed(text).terms, [&](const Wanted& term) {
        return is_wanted(term, p.attributes, p.page_size);
    });
}

// All pages that there can be.
std::vector<PageAttributes> every_page() {
    std::vector<PageAttributes> all;
    for (unsigned rights = 0; rights < 8; ++rights)
        for (const bool global : {false, true})
            for (const unsigned shift : page_shifts)
                for (unsigned type = 0; type < memory_type_names.size(); ++type)
                    all.push_back(page(static_cast<Rights>(rights), global, PageSizes::only(shift),
                                       static_cast<MemoryType>(type)));
    return all;
}

Truth opposite(Truth truth) { return truth == unknown ? unknown : truth == yes ? no : yes; }

// What each word is true of, said once more.
Truth expected(std::string_view word, const PageAttributes& p) {
    const auto is = [](bool so) { return so ? yes : no; };
    const Rights rights = p.attributes.rights;
    if (word == "user") return is(has(rights, Rights::user));
    if (word == "supervisor") return is(!has(rights, Rights::user));
    if (word == "write") return is(has(rights, Rights::write));
    if (word == "read-only") return is(!has(rights, Rights::write));
    if (word == "exec") return is(has(rights, Rights::exec));
    if (word == "no-exec") return is(!has(rights, Rights::exec));
    if (word == "global") return is(p.attributes.global);
    if (word == "no-global") return is(!p.attributes.global);
    if (word == "large") return is(!p.page_size.has(12));
    if (word == "no-large") return is(p.page_size.has(12));
    for (const unsigned shift : page_shifts)
        if (word == page_size_name(shift)) return is(p.page_size.has(shift));
    const auto is_slot = [](std::string_view type) { return type.starts_with("PAT"); };
    const std::string_view type = name(p.attributes.type);
    if (is_slot(type) && !is_slot(word)) return unknown;
    return is(type == word);
}

TEST(Condition, EachWordAloneAndNegated) {
    const auto words = condition_words();
    EXPECT_EQ(words.size(), 23u);
    for (const std::string_view word : words) {
        const std::string negated = "no-" + std::string(word);
        const bool has_no = word == "no-global" || word == "no-large";
        EXPECT_EQ(refused(negated), has_no ? "word " + negated : "parsed");
        for (const PageAttributes& p : every_page()) {
            const Truth truth = expected(word, p);
            EXPECT_EQ(holds(word, p), truth) << word << " of " << page_words(p);
            if (has_no) continue;
            EXPECT_EQ(holds(negated, p), opposite(truth)) << page_words(p);
        }
    }
}

TEST(Condition, PlusIsAndCommaIsOr) {
    const PageAttributes user = page(Rights::user), code = page(Rights::user | Rights::exec);
    EXPECT_EQ(holds("user+exec", user), no);
    EXPECT_EQ(holds("user+exec", code), yes);
    EXPECT_EQ(holds("supervisor,user+exec", code), yes);
    EXPECT_EQ(holds("supervisor,user+exec", user), no);
    EXPECT_EQ(holds("exec+supervisor,user", user), yes);  // + binds tighter
    EXPECT_EQ(holds("user+user,user", user), yes);
    EXPECT_EQ(holds("4K+2M", user), no);
    EXPECT_EQ(truth(std::span<const Wanted>{}, user.attributes, user.page_size), no);
}

// A type that is not known decides nothing, unless the slot itself is asked for.
TEST(Condition, UnknownTypes) {
    const PageAttributes p = page(Rights::write, false, {12}, MemoryType::PAT1);
    EXPECT_EQ(holds("WC", p), unknown);
    EXPECT_EQ(holds("no-WC", p), unknown);
    EXPECT_EQ(holds("WC+no-WC", p), unknown);
    EXPECT_EQ(holds("WC,no-WC", p), unknown);
    EXPECT_EQ(holds("PAT1", p), yes);
    EXPECT_EQ(holds("PAT5", p), no);
    EXPECT_EQ(holds("no-PAT5", p), yes);
    EXPECT_EQ(holds("PAT1+WC", p), unknown);
    EXPECT_EQ(holds("PAT5+WC", p), no);
    EXPECT_EQ(holds("no-PAT1+no-WC", p), no);
    EXPECT_EQ(holds("WC+exec", p), no);  // something else decides
    EXPECT_EQ(holds("WC,write", p), yes);
    EXPECT_EQ(holds("WC,exec", p), unknown);
    // For those who look for pages a slot is a type of its own.
    EXPECT_FALSE(is_shown("WC", p));
    EXPECT_TRUE(is_shown("no-WC", p));
    EXPECT_TRUE(is_shown("PAT1+no-WC", p));
    EXPECT_FALSE(is_shown("PAT1+WC", p));
    // An encoding that IA32_PAT must not have is none of the types.
    const PageAttributes bad = page(Rights::none, false, {12}, MemoryType::invalid);
    EXPECT_EQ(holds("no-UC+no-WC+no-WT+no-WP+no-WB+no-UC-+no-PAT1+no-PAT5+no-PAT7", bad), yes);
    EXPECT_TRUE(is_shown("no-WB", bad));
}

TEST(Condition, UnknownWords) {
    EXPECT_EQ(refused("usr"), "word usr");
    EXPECT_EQ(refused(""), "word ");
    EXPECT_EQ(refused("user,"), "word ");
    EXPECT_EQ(refused("user++exec"), "word ");
    EXPECT_EQ(refused("user+ exec"), "word  exec");
    EXPECT_EQ(refused("no-"), "word no-");
    EXPECT_EQ(refused("no-no-user"), "word no-no-user");
    EXPECT_EQ(refused("User"), "word User");
    EXPECT_EQ(refused("invalid"), "word invalid");  // a memory type, but no condition
    EXPECT_EQ(refused("user+a,b"), "word a");
    EXPECT_EQ(std::get<ConditionError>(parse_condition("user,exec+,")),
              (ConditionError{ConditionError::What::unknown_word, 10, 0}));
    // These negate no-exec, which is a word of its own.
    EXPECT_EQ(holds("no-no-exec", page(Rights::exec)), yes);
}

TEST(Condition, Contradictions) {
    EXPECT_EQ(refused("user+supervisor"), "term user+supervisor");
    EXPECT_EQ(refused("exec,write+read-only+exec,x"), "term write+read-only+exec");
    EXPECT_EQ(refused("exec+no-exec"), "term exec+no-exec");
    EXPECT_EQ(refused("global+no-global"), "term global+no-global");
    EXPECT_EQ(refused("global+no-global+x"), "term global+no-global+x");
    EXPECT_EQ(refused("user+no-user+x"), "word x");
    EXPECT_EQ(refused("user,supervisor"), "parsed");
    // Never true, and not refused: sizes and types.
    EXPECT_EQ(holds("large+no-large", page(Rights::none)), no);
    EXPECT_EQ(holds("2M+no-2M", page(Rights::none)), no);
    EXPECT_EQ(holds("WB+UC", page(Rights::none)), no);
}

TEST(Condition, Rights) {
    using List = std::vector<Rights>;
    const Condition c = parsed("exec+WB+no-read-only+exec,user+no-exec");
    EXPECT_EQ(c.rights_asked, (List{Rights::exec, Rights::write}));
    EXPECT_EQ(c.rights_named, (List{Rights::exec, Rights::write, Rights::user}));
    EXPECT_EQ(parsed("supervisor+no-write,exec").rights_asked, List{});
    EXPECT_EQ(parsed("supervisor+no-write").rights_named, (List{Rights::user, Rights::write}));
    EXPECT_EQ(parsed("WB,4K").rights_named, List{});
}

TEST(Condition, LongTexts) {
    std::string text = "user";
    for (int i = 0; i < 300'000; ++i) text += i % 3 ? "+user" : ",no-WB+4K";
    EXPECT_EQ(parsed(text).terms.size(), 100'001u);
    EXPECT_EQ(refused(text + "+"), "word ");
    EXPECT_EQ(refused(std::string(4 << 20, 'x')).size(), 5u + (4 << 20));
    EXPECT_EQ(refused(std::string(4 << 20, '+')), "word ");
    std::string negations;
    for (int i = 0; i < 1'000'000; ++i) negations += "no-";
    EXPECT_EQ(refused(negations + "exec").size(), 5 + negations.size() + 4);
    EXPECT_EQ(refused("user," + std::string(1 << 20, '\0')).size(), 5u + (1 << 20));
}

TEST(Condition, AnyBytes) {
    std::mt19937 random(20);
    const std::string pieces[]{
        "user", "no-", "exec", "+",       ",",    "4K",           "WB",
        "UC-",  " ",   "\n",   "\x1b[2J", "\xff", "\xed\xb2\x80", std::string(1, '\0'),
        "x"};
    for (int round = 0; round < 20'000; ++round) {
        std::string text;
        for (unsigned left = random() % 8; left > 0; --left)
            text += pieces[random() % std::size(pieces)];
        const std::string said = refused(text);
        EXPECT_NE(said, "beyond") << text;
        if (said != "parsed") continue;
        EXPECT_EQ(text.find_first_not_of("userxcno4KWBUC-+,"), std::string::npos) << text;
    }
}

std::string random_condition(std::mt19937& random) {
    const auto words = condition_words();
    std::string text;
    for (;;) {
        if (random() % 4 == 0) text += "no-";
        text += words[random() % words.size()];
        if (random() % 3 == 0) return text;
        text += random() % 3 ? '+' : ',';
    }
}

// A map of one range for each page that there can be.
Map map_of(const std::vector<PageAttributes>& pages) {
    Map map{Mode::level4, {0x1000}, 1};
    for (std::size_t i = 0; i < pages.size(); ++i)
        map.ranges.push_back(
            {{0x1000 * i}, 0x1000, {}, true, pages[i].page_size, pages[i].attributes});
    return map;
}

// Words one after the other (Kleene's and, or) say what all of them together say, of a page and of
// the ranges of a map.
TEST(Condition, RangesAndPagesAgreeRandomly) {
    std::mt19937 random(7);
    const auto pages = every_page();
    const Map map = map_of(pages);
    unsigned parsed_ones = 0;
    for (int round = 0; round < 300; ++round) {
        const std::string text = random_condition(random);
        const auto result = parse_condition(text);
        if (!std::holds_alternative<Condition>(result)) continue;
        ++parsed_ones;
        const auto& terms = std::get<Condition>(result).terms;
        std::array<std::size_t, 3> count{};
        std::array<std::optional<VirtAddr>, 3> first;
        for (std::size_t i = 0; i < pages.size(); ++i) {
            Truth any = no;
            for (std::size_t begin = 0; begin <= text.size();) {
                const std::size_t end = std::min(text.find(',', begin), text.size());
                Truth all = yes;
                for (std::size_t at = begin; at <= end;) {
                    const std::size_t word_end = std::min(text.find('+', at), end);
                    const std::string word = text.substr(at, word_end - at);
                    all = std::min(all, holds(word, pages[i]));
                    at = word_end + 1;
                }
                any = std::max(any, all);
                begin = end + 1;
            }
            ASSERT_EQ(truth(terms, pages[i].attributes, pages[i].page_size), any)
                << text << " of " << page_words(pages[i]);
            const auto which = static_cast<std::size_t>(any);
            if (count[which]++ == 0) first[which] = map.ranges[i].va;
        }
        for (const Truth asked : {no, unknown, yes}) {
            const Matches found = matches(map, {{0}, {~std::uint64_t{0}}}, terms, asked);
            const auto which = static_cast<std::size_t>(asked);
            EXPECT_EQ(found.count, count[which]) << text;
            EXPECT_EQ(found.first ? std::optional(found.first->va) : std::nullopt, first[which]);
        }
    }
    EXPECT_GT(parsed_ones, 200u);
}

TEST(Condition, NamesAPageSize) {
    const auto names = [](std::string_view text) {
        return std::get<Condition>(parse_condition(text)).names_page_size();
    };
    for (const auto* text : {"4K", "no-2M", "large", "no-large", "user,write+1G"})
        EXPECT_TRUE(names(text)) << text;
    for (const auto* text : {"user", "no-global+UC-", "exec,WB"}) EXPECT_FALSE(names(text)) << text;
}

// A filter of make_map() keeps the ranges whose pages it is true of, where types are known.
TEST(Condition, FiltersAndPagesAgreeRandomly) {
    std::mt19937 random(9);
    Machine m(Mode::level4);
    for (const std::uint64_t table : {0x1000, 0x2000, 0x3000})
        m.set(table, 0, (table + 0x1000) | bit::table);
    for (unsigned i = 0; i < 200; ++i)
        m.set(0x4000, i,
              0x10000 | bit::P | (random() % 2 ? bit::US : 0) | (random() % 2 ? bit::RW : 0) |
                  (random() % 2 ? bit::XD : 0) | (random() % 2 ? bit::G : 0) |
                  (random() % 2 ? bit::PCD : 0));
    for (unsigned i = 1; i < 20; ++i)
        m.set(0x3000, i, 0x200000 * i | bit::P | bit::PS | (random() % 2 ? bit::US : 0));
    const std::uint64_t pat = 0x0007040600070406;
    for (int round = 0; round < 300; ++round) {
        const std::string text = random_condition(random);
        const auto result = parse_condition(text);
        if (!std::holds_alternative<Condition>(result)) continue;
        MapOptions options;
        options.split_physical = options.split_sizes = true;
        options.types = memory_types(pat);
        const Map all = m.map(options);
        options.wanted = std::get<Condition>(result).terms;
        std::vector<Range> expected;
        for (const Range& range : all.ranges) {
            const Walk at = m.walk(range.va.value);
            const PageAttributes p = page_attributes(at, options.types);
            EXPECT_EQ(p.attributes, range.attributes);
            EXPECT_EQ(p.page_size, range.page_sizes);
            if (holds(text, p) == yes) expected.push_back(range);
        }
        const Map kept = m.map(options);
        EXPECT_TRUE(std::ranges::equal(kept.ranges, expected)) << text;
    }
}

TEST(Condition, PageWords) {
    EXPECT_EQ(page_words(page(Rights::user | Rights::exec)), "user read exec, 4K, WB");
    EXPECT_EQ(page_words(page(Rights::write, true, {30}, MemoryType::PAT5)),
              "supervisor read write global, 1G, PAT5");
    EXPECT_EQ(page_words(page(Rights::all, true, {22}, MemoryType::UC_minus)),
              "user read write exec global, 4M, UC-");
}

TEST(Condition, WordsInOrder) {
    std::string all;
    for (const std::string_view word : condition_words()) all.append(word) += ' ';
    EXPECT_EQ(all,
              "user supervisor write read-only exec no-exec global no-global large no-large "
              "4K 2M 4M 1G UC WC WT WP WB UC- PAT1 PAT5 PAT7 ");
}

}  // namespace
}  // namespace ptmap
