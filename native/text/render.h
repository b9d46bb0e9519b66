// A map as text: one JSON object for machines, one line a range for people. Texts may be long, so a
// Sink gets them in pieces. The pulse is by lines, with those of gaps.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "paging/pulse.h"
#include "space/labels.h"
#include "space/map.h"
#include "text/text.h"

namespace ptmap {

/// "ur-xg": u or s for user or supervisor, then r, w, x, g, or - for one that does not hold.
std::string rights_text(const Attributes& attributes);

/// The line above ranges with these labels: "NAME (source):", "partly NAME (source):", "(no
/// label):".
std::string heading(std::span<const Label> labels, const VirtInterval& interval);

/// The members of a JSON object about pages: "pa", null if their frames are not contiguous; "user"
/// to "cache", with "read" in a view.
void put_pa_member(std::string& out, bool contiguous, PhysAddr pa);
void put_attribute_members(std::string& out, const Attributes& attributes, bool view = false);

/// The members "label", "label_source" and "label_partial" of a stretch; nothing if it has no
/// label.
void put_label_members(std::string& out, std::span<const Label> labels,
                       const VirtInterval& interval);

/// The object of schema ptmap/1 and this kind, with one range a line. A view (MapOptions::as) adds
/// "as" to the head and "read" to each range. "outside_ram" is there if RAM is known. A range with
/// a label has "label" and "label_source", several joined by ", " in address order. `more` has
/// further members of the object, as JSON text that begins with a comma, or is empty.
void put_json(const Sink& sink, const Map& map, std::span<const Label> labels = {},
              std::string_view more = {}, const Pulse& pulse = {}, std::string_view kind = "map");

/// A header and a line a range: start, end (exclusive; the last byte + 1 may be 0), size, rights
/// (u or s, r, w, x, g or - each), memory type, page sizes, physical address (- if the frames are
/// not contiguous). If there are labels a line "NAME (source):" comes before its ranges, "partly
/// NAME (source):" or "(no label):" before others. A frame that is mapped many times at equal
/// distances has two lines: its first page, and how many follow. Empty without ranges.
void put_ranges_text(const Sink& sink, const Map& map, std::span<const Label> labels = {},
                     const Pulse& pulse = {});

}  // namespace ptmap
