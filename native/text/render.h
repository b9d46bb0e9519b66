// A map as text: one JSON object for machines, one line a range for people. Texts may be long: what
// takes a Sink gives them in pieces. A pulse is told of lines, those of gaps too.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "paging/pulse.h"
#include "space/labels.h"
#include "space/map.h"
#include "text/text.h"

namespace ptmap {

/// "ur-xg": u or s for user or supervisor, then r, w, x, g, each - where it is not so.
std::string rights_text(const Attributes& attributes);

/// The line over ranges that lie under these labels: "NAME (source):", "partly NAME (source):",
/// "(no label):".
std::string heading(std::span<const Label> labels, const VirtInterval& interval);

/// The members of a JSON object that say what pages are: "pa", null where their frames are not
/// contiguous; "user" to "cache", with "read" in a view.
void put_pa_member(std::string& out, bool contiguous, PhysAddr pa);
void put_attribute_members(std::string& out, const Attributes& attributes, bool view = false);

/// The members "label", "label_source" and "label_partial" of a stretch, nothing without labels
/// there.
void put_label_members(std::string& out, std::span<const Label> labels,
                       const VirtInterval& interval);

/// The object of schema ptmap/1 and this kind, with one range a line. A view (MapOptions::as) adds
/// "as" to the head and "read" to each range. "outside_ram" is there where RAM is known. A range
/// under a label has "label" and "label_source", several joined by ", " in address order. `more` is
/// further members of the object, as JSON text that begins with a comma, or nothing.
void put_json(const Sink& sink, const Map& map, std::span<const Label> labels = {},
              std::string_view more = {}, const Pulse& pulse = {}, std::string_view kind = "map");

/// A header and a line a range: start, end (exclusive; the last byte + 1 may be 0), size, rights
/// (u or s, r, w, x, g or - each), memory type, page sizes, physical address (- where the frames
/// are not contiguous). Where there are labels a line "NAME (source):" stands before the ranges
/// that it holds for, "partly NAME (source):" or "(no label):" before others. A frame that is
/// mapped again and again at equal distances has two lines: its first page, and how many follow.
/// Empty for no ranges.
void put_ranges_text(const Sink& sink, const Map& map, std::span<const Label> labels = {},
                     const Pulse& pulse = {});

}  // namespace ptmap
