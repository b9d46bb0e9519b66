// The differences of two maps as text and as JSON.
#pragma once

#include <span>

#include "paging/pulse.h"
#include "space/diff.h"
#include "space/labels.h"
#include "text/text.h"

namespace ptmap {

/// The labels of either side. What is gone is under those before, all else under those after.
struct DiffLabels {
    std::span<const Label> before, after;
};

/// A header and a line a difference ("+", "-", "~", "?"); a changed one has a second line, "->",
/// with what is otherwise after it. Where there are labels, lines with them stand before, as in
/// put_ranges_text(). `digits` of an address. Empty for no differences.
void put_diff_text(const Sink& sink, std::span<const Difference> differences, unsigned digits,
                   const DiffLabels& labels = {}, const Pulse& pulse = {});

/// The elements of a JSON list, one a line.
void put_diff_json(const Sink& sink, std::span<const Difference> differences,
                   const DiffLabels& labels = {}, const Pulse& pulse = {});

}  // namespace ptmap
