// What entering a kernel needs, in words.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "explain/entry_piece.h"
#include "paging/rights.h"
#include "space/kpti.h"
#include "text/text.h"

namespace ptmap {

/// "supervisor read exec": of a mapped page.
std::string rights_words(Rights rights);

/// "yes", "part", "NO", "?": whether a piece is mapped as needed, for a narrow column.
std::string_view word(const EntryPieceState& state);

/// "supervisor read write", "ONLY 1 of 2 pages", "FAULTS: read-only".
std::string text(const EntryPieceState& state);

/// "15, 20-31".
std::string vectors_text(std::span<const std::uint8_t> vectors);

/// Whether what must be mapped while user space runs is mapped, in a sentence or two.
std::string entry_answer(std::span<const EntryRow> rows, const std::optional<KptiRoots>& pair);

/// What entering the kernel needs, as seen from a root.
struct EntryView {
    Mode mode;
    PhysAddr root;
    std::optional<KptiRoots> pair;
    std::optional<Half> half;  ///< which of them the root is; nothing without KPTI
    std::span<const EntryRow> rows;
    std::span<const std::string> notes;  ///< what is not known
};

/// A header, a line for each row, the notes and the answer. Neighbouring pages of handlers that are
/// in the same state share a line.
void put_entry(Text& text, const EntryView& view);

}  // namespace ptmap
