// A map as text: one JSON object for machines, one line a range for people.
#pragma once

#include <string>

#include "core/map.h"

namespace ptmap {

/// The object of schema ptmap/1, kind "map", with one range a line. A view (MapOptions::as) adds
/// "as" to the head and "read" to each range.
std::string json(const Map& map);

/// A header and a line a range: start, end (exclusive; the last byte + 1 may be 0), size, rights
/// (u or s, r, w, x, g or - each), memory type, page sizes, physical address (- where the frames
/// are not contiguous). Empty for no ranges.
std::string ranges_text(const Map& map);

}  // namespace ptmap
