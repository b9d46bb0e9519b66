// Random spaces: what scan, map and grid make of them against one walk after the other.
//
// The walk is proved by walk_test and the vectors; here it is the judge. From any address it
// hops to the end of the entry that it ended at, so that it sees every page, gap and hole.
#include <gtest/gtest.h>

#include <bit>
#include <random>

#include "arch/access.h"
#include "fake_memory.h"
#include "space/grid.h"
#include "space/view.h"

namespace ptmap {
namespace {

using Random = std::mt19937_64;

// Up to 12 tables that name each other, themselves, pages, nothing, and tables that do not exist.
Machine random_machine(Mode mode, Random& random) {
    Machine m(mode);
    const auto below = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
    const auto one_in = [&](unsigned n) { return below(n) == 0; };
    m.registers.maxphyaddr = 36 + below(17);
    if (one_in(4)) m.registers.efer &= ~efer::NXE;
    if (one_in(4)) m.registers.cr4 &= ~cr4::PGE;
    if (one_in(4)) m.registers.cr4 &= ~cr4::PSE;
    if (one_in(2)) m.registers.cr4 |= cr4::SMEP;
    if (one_in(2)) m.registers.cr4 |= cr4::SMAP;
    if (one_in(2)) m.registers.cr0 &= ~cr0::WP;
    if (mode == Mode::pae) m.registers.cr3 = 0x1000 + random() % 128 * 32;
    const unsigned entries = mode == Mode::bits32 ? 1024 : 512;
    const auto any = [&] {
        static constexpr std::uint64_t flags[] = {
            bit::table,           bit::table,       bit::table,           bit::P,
            bit::P | bit::US,     bit::P | bit::RW, bit::table | bit::XD, bit::table | bit::G,
            bit::table | bit::PCD};
        std::uint64_t raw = 0x1000 * (1 + random() % 13) | flags[random() % std::size(flags)];
        if (one_in(3)) raw = (raw & ~std::uint64_t{0xff000}) | random() % 8 << 30 | bit::PS;
        if (one_in(40)) raw |= std::uint64_t{1} << (12 + random() % 40);
        return mode == Mode::bits32 ? raw & 0xffffffff : raw;
    };
    for (std::uint64_t table = 0x1000; table < 0xd000; table += 0x1000) {
        if (table > 0x1000 && one_in(10)) continue;  // not there
        m.memory.ram(table);
        if (one_in(4)) m.fill(table, 0, entries - 1, any(), one_in(2) ? 0x1000 : 0);
        for (unsigned n = below(4); n-- > 0;) m.set(table, below(entries), any());
        for (const unsigned edge : {0u, entries / 2, entries - 1})
            if (one_in(3)) m.set(table, edge, any());
    }
    if (mode == Mode::pae)
        for (unsigned i = 0; i < 4; ++i)
            m.set(m.registers.cr3, i, one_in(4) ? 0 : 0x1000 * (1 + random() % 13) | bit::P);
    return m;
}

// A stretch of the space that one walk explains.
struct Piece {
    std::uint64_t offset, size;
    Walk walk;
};

constexpr std::size_t enough = 3000;

// All pieces of a window; nothing where there are more than enough of them.
std::optional<std::vector<Piece>> pieces(Machine& m, const X86Paging& paging,
                                         const Interval& window) {
    std::vector<Piece> all;
    for (std::uint64_t at = window.first;;) {
        if (all.size() == enough) return std::nullopt;
        Walk walk = ptmap::walk(paging, paging.root(), paging.address_of(at), m.memory);
        const Step& end = walk.steps.back();
        // An unreadable table says nothing about all that it would translate.
        const std::uint64_t span =
            walk.outcome == Outcome::unreadable ? end.level->table_span() : end.level->entry_span();
        const std::uint64_t last = std::min(window.last, (at & ~(span - 1)) + (span - 1));
        all.push_back({at, last - at + 1, std::move(walk)});
        if (last == window.last) return all;
        at = last + 1;
    }
}

Attributes attributes(const Walk& walk, const Machine& m, const MapOptions& options) {
    Attributes a{walk.rights, true, walk.global, options.types[walk.cache_slot]};
    if (options.as) {
        const auto may = [&](Access access) {
            return verdict(walk, m.registers, {options.ac, 0}, access, *options.as).result ==
                   Verdict::Result::allowed;
        };
        a.read = may(Access::read);
        a.rights = (walk.rights & Rights::user) | (may(Access::write) ? Rights::write : Rights{}) |
                   (may(Access::fetch) ? Rights::exec : Rights{});
    }
    return a;
}

Map expected_map(Machine& m, const X86Paging& paging, const std::vector<Piece>& pieces,
                 const MapOptions& options) {
    Map map{};
    for (const Piece& piece : pieces) {
        const Walk& walk = piece.walk;
        const VirtAddr va = paging.address_of(piece.offset);
        const Step& end = walk.steps.back();
        const Gap gap{va, piece.size, end.table, end.level->number, {}};
        if (walk.outcome == Outcome::unreadable) map.unreadable.push_back(gap);
        if (walk.outcome == Outcome::reserved_bit) map.malformed.push_back(gap);
        if (walk.outcome != Outcome::mapped) continue;
        const unsigned shift = page_shift_of(walk.page_size);
        ++map.pages[shift];
        const Range page{
            va, piece.size, walk.pa, true, PageSizes::only(shift), attributes(walk, m, options)};
        if (!map.ranges.empty()) {
            Range& last = map.ranges.back();
            const bool follows = last.contiguous && last.pa.value + last.size == page.pa.value;
            if (last.va.value + last.size == page.va.value && last.attributes == page.attributes &&
                !(paging.upper_part() && piece.offset == paging.upper_part()) &&
                (follows || !options.split_physical)) {
                last.contiguous = follows;
                last.size += page.size;
                last.page_sizes |= page.page_sizes;
                continue;
            }
        }
        map.ranges.push_back(page);
    }
    return map;
}

void compare(const std::vector<Gap>& core, const std::vector<Gap>& judge) {
    ASSERT_EQ(core.size(), judge.size());
    for (std::size_t i = 0; i < core.size(); ++i) {
        EXPECT_EQ(core[i].va, judge[i].va);
        EXPECT_EQ(core[i].size, judge[i].size);
        EXPECT_EQ(core[i].table, judge[i].table);
        EXPECT_EQ(core[i].level, judge[i].level);
    }
}

void compare(const Map& core, const Map& judge) {
    EXPECT_EQ(core.pages, judge.pages);
    compare(core.unreadable, judge.unreadable);
    compare(core.malformed, judge.malformed);
    ASSERT_EQ(core.ranges.size(), judge.ranges.size());
    for (std::size_t i = 0; i < core.ranges.size(); ++i) {
        const Range &ours = core.ranges[i], &theirs = judge.ranges[i];
        EXPECT_EQ(ours.va, theirs.va);
        EXPECT_EQ(ours.size, theirs.size) << std::hex << ours.va.value;
        EXPECT_EQ(ours.contiguous, theirs.contiguous) << std::hex << ours.va.value;
        if (ours.contiguous) {
            EXPECT_EQ(ours.pa, theirs.pa) << std::hex << ours.va.value;
        }
        EXPECT_EQ(ours.page_sizes, theirs.page_sizes) << std::hex << ours.va.value;
        EXPECT_EQ(ours.attributes, theirs.attributes) << std::hex << ours.va.value;
    }
}

struct Picture {
    std::string cells;
    std::uint64_t mixed = 0;
};

// The picture, painted piece by piece.
Picture expected_picture(const std::vector<Piece>& pieces, std::uint64_t first, std::uint64_t last,
                         std::uint64_t cell_size) {
    Picture picture{std::string(last / cell_size - first / cell_size + 1, '.')};
    std::vector<unsigned> classes(picture.cells.size());  // bit per kind of page in the cell
    for (const Piece& piece : pieces) {
        const Walk& walk = piece.walk;
        const Step& end = walk.steps.back();
        char letter = '.';
        unsigned who = 0;
        if (walk.outcome == Outcome::unreadable) letter = '?';
        if (walk.outcome == Outcome::reserved_bit) letter = '!';
        if (walk.outcome == Outcome::mapped) {
            if (has(walk.rights, Rights::user)) who = has(walk.rights, Rights::write) ? 2 : 1;
            // A large page shows as one where it is an entry of the level on show or above it.
            const bool large = end.level->entry_span() >= cell_size && walk.page_size > 4096;
            letter = (large ? "XR*" : "xr+")[who];
        }
        for (std::uint64_t cell = piece.offset / cell_size;
             cell <= (piece.offset + piece.size - 1) / cell_size; ++cell) {
            char& shown = picture.cells[cell - first / cell_size];
            // The first page or unreadable table decides; a malformed entry gives way to both.
            if (shown == '.' || (shown == '!' && letter != '.')) shown = letter;
            if (walk.outcome == Outcome::mapped) classes[cell - first / cell_size] |= 1u << who;
        }
    }
    for (std::size_t i = 0; i < classes.size(); ++i)
        picture.mixed += picture.cells[i] != '?' && std::popcount(classes[i]) > 1;
    return picture;
}

// An address that something is known of: tables first, then any entry of the last one.
std::uint64_t random_offset(const Tables& tables, Random& random) {
    std::uint64_t offset = 0;
    const Node* node = &tables.node(0);
    while (!node->children.empty()) {
        const auto& [index, child] = node->children[random() % node->children.size()];
        offset += index * tables.level(*node).entry_span();
        node = &tables.node(child);
    }
    return offset + random() % tables.level(*node).table_span();
}

// Around such an address, or from there to the end of the lower part and beyond.
Interval random_window(const Tables& tables, Random& random) {
    const std::uint64_t top = tables.paging().last_offset(), middle = top / 2;
    const std::uint64_t centre = random() % 8 ? random_offset(tables, random) : middle;
    const std::uint64_t reach = std::uint64_t{1} << (10 + random() % 24);
    Interval window{centre - std::min(centre, random() % reach),
                    centre + std::min(top - centre, random() % reach)};
    if (random() % 2) window = {window.first & ~0x3fffffull, window.last | 0x3fffff};
    if (random() % 4 == 0) window = {window.first & ~0x3fffffffull, window.last | 0x3fffffff};
    return window;
}

class Randomly : public testing::TestWithParam<Mode> {};
INSTANTIATE_TEST_SUITE_P(Modes, Randomly, testing::ValuesIn(all_modes),
                         [](const auto& mode) { return test_name(name(mode.param)); });

TEST_P(Randomly, MapAndGridAgreeWithWalks) {
    Random random(20240607);
    std::size_t compared = 0, ranges = 0, gaps = 0, grids = 0;
    for (unsigned round = 0; round < 60; ++round) {
        SCOPED_TRACE(testing::Message() << "round " << round);
        Machine m = random_machine(GetParam(), random);
        m.memory.remember = false;
        const X86Paging paging = m.paging();
        const Tables whole = scan(paging, paging.root(), m.memory);
        for (unsigned w = 0; w < 8; ++w) {
            MapOptions options;
            options.window = w ? random_window(whole, random) : Interval{0, paging.last_offset()};
            const auto truth = pieces(m, paging, options.window);
            if (!truth) continue;
            options.split_physical = random() % 2;
            if (random() % 2) options.as = random() % 2 ? Privilege::user : Privilege::kernel;
            options.ac = random() % 2;
            const Tables tables = scan(paging, paging.root(), m.memory, options.window);
            const Map judge = expected_map(m, paging, *truth, options);
            compare(make_map(tables, options), judge);
            compare(make_map(whole, options), judge);
            ++compared;
            ranges += judge.ranges.size();
            gaps += judge.unreadable.size() + judge.malformed.size();

            for (unsigned position = 0; position < paging.levels().size(); ++position) {
                // Cells at the edges show their whole entry: only for windows that cut none.
                const std::uint64_t cell = paging.levels()[position].entry_span();
                const auto [first, last] = options.window;
                if ((last - first) / cell > 100000 || first % cell || (last + 1) % cell) continue;
                const Grid grid =
                    draw_grid(random() % 2 ? tables : whole, position, options.window);
                const Picture picture = expected_picture(*truth, first, last, cell);
                EXPECT_EQ(grid.cells, picture.cells);
                EXPECT_EQ(grid.mixed, picture.mixed);
                ++grids;
            }
            if (HasFailure()) return;
        }
    }
    EXPECT_GT(compared, 300u);
    EXPECT_GT(ranges, 1000u);
    EXPECT_GT(gaps, 1000u);
    EXPECT_GT(grids, 300u);
    std::printf("%zu maps, %zu ranges, %zu gaps, %zu grids compared\n", compared, ranges, gaps,
                grids);
}

// A view is what flattening anew would make: also where limits and filters cut it.
TEST_P(Randomly, ViewsAreWhatMapsAre) {
    Random random(20261130);
    const auto same_gaps = [](const std::vector<Gap>& a, const std::vector<Gap>& b) {
        return std::ranges::equal(a, b, [](const Gap& x, const Gap& y) {
            return x.va == y.va && x.size == y.size && x.table == y.table && x.level == y.level &&
                   x.why == y.why;
        });
    };
    std::size_t compared = 0, ranges = 0, gaps = 0, cut = 0;
    for (unsigned round = 0; round < 60; ++round) {
        SCOPED_TRACE(testing::Message() << "round " << round);
        Machine m = random_machine(GetParam(), random);
        m.memory.remember = false;
        const X86Paging paging = m.paging();
        const Tables whole = scan(paging, paging.root(), m.memory);
        MapOptions most;
        most.window = {0, paging.last_offset()};
        most.split_physical = most.split_sizes = true;
        most.max_ranges = 20000;
        const bool merged_below = random() % 2;
        if (merged_below) most.split_from = paging.upper_part();
        const Map exact = make_map(whole, most);
        if (exact.truncated) continue;
        for (unsigned w = 0; w < 8; ++w) {
            MapOptions options;
            options.window = w ? random_window(whole, random) : most.window;
            const bool is_above = options.window.first >= most.split_from;
            if (!is_above)  // no merged range is cut
                options.window = {0, std::max(options.window.last, most.split_from - 1)};
            options.split_physical = is_above && random() % 2;
            options.split_sizes = is_above && random() % 2;
            if (random() % 2) options.as = random() % 2 ? Privilege::user : Privilege::kernel;
            options.ac = random() % 2;
            if (random() % 2) options.wanted = {Wanted{.rights_set = Rights::user}};
            if (random() % 2) options.max_ranges = random() % 12;
            if (random() % 2) options.ram = {{{0x1000}, {0x5fff}}};
            const Map judge = make_map(whole, options), made = view(whole, exact, options);
            EXPECT_TRUE(std::ranges::equal(made.ranges, judge.ranges, [](Range a, Range b) {
                if (!a.contiguous && !b.contiguous) a.pa = b.pa;  // it means nothing
                return a == b;
            }));
            EXPECT_TRUE(same_gaps(made.unreadable, judge.unreadable));
            EXPECT_TRUE(same_gaps(made.malformed, judge.malformed));
            EXPECT_EQ(made.truncated, judge.truncated);
            EXPECT_EQ(made.end, judge.end);
            EXPECT_EQ(made.pages, judge.pages);
            EXPECT_EQ(made.ram_known, judge.ram_known);
            EXPECT_EQ(made.outside_ram, judge.outside_ram);
            EXPECT_EQ(made.as, judge.as);
            EXPECT_EQ(made.tables, scan(paging, paging.root(), m.memory, options.window).count());
            if (HasFailure()) return;
            ++compared;
            ranges += judge.ranges.size();
            gaps += judge.unreadable.size() + judge.malformed.size();
            cut += judge.truncated;
        }
    }
    EXPECT_GT(compared, 300u);
    EXPECT_GT(ranges, 1000u);
    EXPECT_GT(gaps, 300u);
    EXPECT_GT(cut, 50u);
}

}  // namespace
}  // namespace ptmap
