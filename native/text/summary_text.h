// The lines above and below a map: which space it is, its split, KPTI, counts, what is missing.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "space/kpti.h"
#include "space/map.h"
#include "space/split.h"
#include "text/json_writer.h"
#include "text/text.h"

namespace ptmap {

/// The space that a text is about.
struct SpaceHead {
    Mode mode;
    PhysAddr root;
    std::optional<Half> half;  ///< which of KPTI's roots that is; nothing without KPTI
    bool is_linux = false;
    std::span<const std::string> notes;  ///< whose space it is
};

/// A line, "4-level paging, root 0x1000, ...", or a line for each note if one is too short.
void put_head(Text& text, const SpaceHead& head);

/// "split 3G/1G: ...": where the supervisor's part of a 32-bit space begins.
void put_split(Text& text, VirtAddr split);

/// "KPTI: 2.1M of the kernel's 512M stay in the user root ...", seen from the root of this half.
void put_kpti(Text& text, const KptiShare& share, const KptiRoots& roots, Half half);

/// "132 tables; pages: 9386 of 4K, 267 of 2M; complete".
void put_counts(Text& text, const Map& map);

struct MissingOptions {
    bool tables_cut = false;  ///< the limit of tables was reached
    std::size_t indent = 0;   ///< spaces before each line
};

/// What could not be read or has reserved bits, and limits that were reached. Empty if the map is
/// complete.
void put_missing(Text& text, const Map& map, const MissingOptions& options);

/// The same as members of a JSON object that has others before them: "complete", "truncated",
/// "unreadable", "malformed".
void put_missing_json(Text& text, const Map& map, JsonLayout layout);

}  // namespace ptmap
