#include "text/entry_text.h"

#include <algorithm>
#include <array>
#include <bitset>
#include <utility>
#include <vector>

#include "arch/formats.h"
#include "text/wrap.h"

namespace ptmap {
namespace {

constexpr std::uint64_t page_bytes = 4096;

using Run = std::span<const EntryRow>;  // rows that share a line

std::string vectors_of(Run rows) {
    std::vector<std::uint8_t> all;
    for (const EntryRow& row : rows)
        all.insert(all.end(), row.piece.vectors.begin(), row.piece.vectors.end());
    return vectors_text(all);
}

bool is_handler(const EntryPiece& piece) { return piece.kind == EntryPieceKind::handlers; }
bool is_stack(const EntryPiece& piece) { return piece.kind == EntryPieceKind::stack; }

// Whether a row begins where the row before it ends.
bool continues(const EntryRow& before, const EntryRow& row) {
    const auto said = [](const std::optional<EntryPieceState>& state) {
        return state ? std::optional(text(*state)) : std::nullopt;
    };
    return is_handler(before.piece) && is_handler(row.piece) &&
           text(before.here) == text(row.here) && said(before.user) == said(row.user) &&
           before.piece.address.value + page_bytes == row.piece.address.value;
}

std::vector<Run> runs_of(Run rows) {
    std::vector<Run> runs;
    for (std::size_t begin = 0, end = 0; begin < rows.size(); begin = end) {
        for (end = begin + 1; end < rows.size() && continues(rows[end - 1], rows[end]);) ++end;
        runs.push_back(rows.subspan(begin, end - begin));
    }
    return runs;
}

// name, address, size, physical; then the verdict, vectors and "user", which have no column
struct Line {
    std::array<std::string, 4> cells;
    std::string verdict, vectors, user;
    bool ok = true;
};

constexpr std::array<TextRole, 4> cell_roles{TextRole::label, TextRole::address, TextRole::plain,
                                             TextRole::address};

Line line_of(Run run, const EntryView& view, bool has_user_column) {
    const EntryPiece& piece = run[0].piece;
    const EntryPieceState& here = run[0].here;
    std::size_t pages = 0;
    for (const EntryRow& row : run) pages += row.piece.pages.size();
    // A stack is shown as the page below its pointer.
    const VirtAddr address = is_stack(piece) ? piece.pages.front() : piece.address;
    Line line{
        {piece.short_name, hex(address.value, format_of(view.mode).canonical ? 16 : 8),
         std::to_string(pages * page_bytes >> 10) + 'K', here.frame ? hex(here.frame->value) : "-"},
        text(here),
        here.ok() ? "" : vectors_of(run),
        has_user_column ? "-" : "",
        here.ok()};
    if (!piece.before_switch && view.half == Half::user) line.verdict += " (kernel's)";
    if (run[0].user) line.user = word(*run[0].user);
    return line;
}

void put_lines(Text& text, const EntryView& view) {
    const bool has_user_column =
        std::ranges::any_of(view.rows, [](const EntryRow& row) { return row.user.has_value(); });
    std::vector<Line> lines{
        {{"", "address", "size", "physical"}, "rights", "", has_user_column ? "user" : ""}};
    for (const Run run : runs_of(view.rows)) lines.push_back(line_of(run, view, has_user_column));
    std::array<std::size_t, 4> width{};
    for (const Line& line : lines)
        for (std::size_t i = 0; i < width.size(); ++i)
            width[i] = std::max(width[i], line.cells[i].size());
    const std::size_t room = screen_columns - (has_user_column ? 4 : 0);
    for (const Line& line : lines) {
        const bool is_head = &line == &lines.front();
        const std::size_t begin = text.out.size();
        text.out += ' ';
        for (std::size_t i = 0; i < width.size(); ++i) {
            text.out += ' ';
            text.in(is_head ? TextRole::heading : cell_roles[i], line.cells[i]);
            text.out.append(width[i] - line.cells[i].size(), ' ');
        }
        text.out += ' ';
        text.in(is_head   ? TextRole::heading
                : line.ok ? TextRole::rights
                          : TextRole::reason,
                line.verdict);
        if (!line.vectors.empty() && text.out.size() - begin + line.vectors.size() + 3 <= room)
            text.out.append(" (").append(line.vectors).append(")");
        if (line.user.empty()) {
            text.cut(text.out.find_last_not_of(' ') + 1);
        } else {
            const std::size_t used = text.out.size() - begin;
            text.out.append(room - std::min(room, used), ' ').append(right(line.user, 4));
        }
        text.out += '\n';
    }
}

// For example "GDT, IDT, 3 handler pages, TSS, RSP0/IST1 stacks": each name once; all stacks are at
// the place of the first.
std::string names_of(std::span<const EntryPiece* const> pieces) {
    std::vector<const EntryPiece*> named;  // the first of each name
    std::string stacks;
    std::size_t handlers = 0, stack_count = 0;
    for (const EntryPiece* piece : pieces) {
        handlers += is_handler(*piece);
        if (std::ranges::find(named, piece->full_name(), &EntryPiece::full_name) != named.end())
            continue;
        named.push_back(piece);
        if (is_stack(*piece)) stacks.append(stack_count++ ? "/" : "").append(piece->name);
    }
    std::string text;
    bool has_stacks = false;
    for (const EntryPiece* piece : named) {
        std::string name = piece->full_name();
        if (is_handler(*piece)) name = plural(handlers, "handler page");
        if (is_stack(*piece)) {
            if (std::exchange(has_stacks, true)) continue;
            name = stacks + (stack_count > 1 ? " stacks" : " stack");
        }
        text.append(text.empty() ? "" : ", ").append(name);
    }
    return text;
}

}  // namespace

std::string rights_words(Rights rights) {
    std::string words = has(rights, Rights::user) ? "user read" : "supervisor read";
    if (has(rights, Rights::write)) words += " write";
    if (has(rights, Rights::exec)) words += " exec";
    return words;
}

std::string_view word(const EntryPieceState& state) {
    if (!state.unread.empty()) return "?";
    if (state.ok()) return "yes";
    return state.mapped > 0 && state.mapped < state.pages ? "part" : "NO";
}

std::string text(const EntryPieceState& state) {
    if (!state.unread.empty()) return "NOT KNOWN: " + state.unread;
    if (state.mapped == 0) return "NOT MAPPED";
    if (state.mapped < state.pages)
        return "ONLY " + std::to_string(state.mapped) + " of " + std::to_string(state.pages) +
               " pages";
    if (!state.ok()) return std::string("FAULTS: ").append(short_text(state.denied));
    return state.rights ? rights_words(*state.rights) : "mapped, various rights";
}

std::string vectors_text(std::span<const std::uint8_t> vectors) {
    std::bitset<257> all;  // the last bit is never set: it ends a run
    for (const std::uint8_t vector : vectors) all.set(vector);
    std::string text;
    for (std::size_t first = 0; first < all.size(); ++first) {
        if (!all[first]) continue;
        std::size_t last = first;
        while (all[last + 1]) ++last;
        if (!text.empty()) text += ", ";
        text += std::to_string(first);
        if (last > first) text.append("-").append(std::to_string(last));
        first = last;
    }
    return text;
}

std::string entry_answer(std::span<const EntryRow> rows, const std::optional<KptiRoots>& pair) {
    std::vector<const EntryPiece*> unread, there, missing, rare;
    std::string why;
    std::vector<std::uint8_t> vectors;  // of the rare pieces
    for (const EntryRow& row : rows) {
        if (!row.piece.before_switch) continue;
        const EntryPieceState& state = row.user ? *row.user : row.here;
        if (!state.unread.empty()) {
            if (unread.empty()) why = state.unread;
            unread.push_back(&row.piece);
        }
        (state.ok() ? there : row.piece.rare ? rare : missing).push_back(&row.piece);
        if (!state.ok() && row.piece.rare)
            vectors.insert(vectors.end(), row.piece.vectors.begin(), row.piece.vectors.end());
    }
    if (!unread.empty())
        return "Not known, because tables cannot be read (" + why + "): " + names_of(unread) + '.';
    std::string answer;
    if (!pair) {
        answer = "No KPTI here: the kernel stays mapped while user space runs";
        answer += missing.empty() ? ": " + names_of(there) + '.'
                                  : ", but NOT as needed: " + names_of(missing) + '.';
    } else {
        answer = "While user space runs (user root " + hex(pair->user.value) + "), ";
        answer += missing.empty()
                      ? "all that it needs is mapped: " + names_of(there) + '.'
                      : "NOT mapped as needed: " + names_of(missing) +
                            ". Mapped: " + (there.empty() ? "nothing" : names_of(there)) + '.';
    }
    if (rare.empty()) return answer;
    answer += " The rest is ";
    answer += vectors.empty() ? "used by no gate"
                              : "for vectors that an ordinary machine never raises (" +
                                    vectors_text(vectors) + ')';
    return answer + ": " + names_of(rare) + '.';
}

void put_entry(Text& text, const EntryView& view) {
    std::string head = "Entering the kernel needs, under the root " + hex(view.root.value);
    if (view.half) head.append(", KPTI's ").append(name(*view.half)).append(" root");
    if (view.pair && view.half == Half::kernel)
        head += "\n(and in the last column, whether under the user root " +
                hex(view.pair->user.value) + " too)";
    text.heading(head + ':');
    text.out += '\n';
    put_lines(text, view);
    for (const std::string& note : view.notes) {
        text.out += "  ";
        text.reason(note);
        text.out += '\n';
    }
    for (const std::string& line :
         wrap(entry_answer(view.rows, view.pair), {.break_long_words = false}))
        text.out.append(line) += '\n';
}

}  // namespace ptmap
