// The differences of two maps as text and as JSON.
#pragma once

#include <span>

#include "paging/pulse.h"
#include "space/diff.h"
#include "space/labels.h"
#include "text/text.h"

namespace ptmap {

/// The labels of both sides. A stretch that is gone has its label from `before`, others from
/// `after`.
struct DiffLabels {
    std::span<const Label> before, after;
};

/// A header and a line for each difference ("+", "-", "~", "?"). A changed one has a second line
/// with
/// "->" and the new values. If there are labels, lines with them come before, as in
/// put_ranges_text(). `digits`: of an address. Empty without differences.
void put_diff_text(const Sink& sink, std::span<const Difference> differences, unsigned digits,
                   const DiffLabels& labels = {}, const Pulse& pulse = {});

/// The elements of a JSON list, one a line.
void put_diff_json(const Sink& sink, std::span<const Difference> differences,
                   const DiffLabels& labels = {}, const Pulse& pulse = {});

}  // namespace ptmap
