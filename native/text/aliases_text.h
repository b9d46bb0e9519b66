// Frames that are mapped in conflicting ways, as JSON.
#pragma once

#include <span>

#include "paging/pulse.h"
#include "space/aliases.h"
#include "space/labels.h"
#include "text/text.h"

namespace ptmap {

/// The stretches as the elements of a JSON list, one a line.
void put_aliases_json(const Sink& sink, const Map& map, Conflict wanted,
                      std::span<const Label> labels = {}, const Pulse& pulse = {});

}  // namespace ptmap
