// The user's and the supervisor's part of a space; how much of the supervisor's part two roots
// share.
#pragma once

#include <cstdint>
#include <optional>

#include "paging/address.h"
#include "paging/paging.h"
#include "paging/pulse.h"
#include "space/map.h"

namespace ptmap {

/// Where the supervisor's part of a space begins: the supervisor page that leaves the fewest bytes
/// on the wrong side. (A vsyscall page may be above it, a real-mode trampoline below.) Nothing if
/// no user page is below a supervisor page, or if more than a sixteenth of all mapped memory would
/// be on the wrong side.
std::optional<VirtAddr> split(const Map& map);

/// Where the supervisor's part of a space without canonical addresses begins: split(), moved down
/// to a page directory entry, because a kernel begins at one even if its first MiB is not mapped
/// yet. `map` is of the whole space, with the kernel in it. Nothing if there is no such place.
std::optional<VirtAddr> split_of(const Paging& paging, const Map& map);

/// The same; 0 if there is no user page. Nothing if user and supervisor pages are mixed.
std::optional<VirtAddr> supervisor_part(const Paging& paging, const Map& map);

/// Bytes of the supervisor's part: those that the kernel root maps, and those of them that the user
/// root maps to the same frames. A frame counts once, however often it is mapped.
struct KptiShare {
    std::uint64_t kernel, kernel_frames, user, user_frames;
};

/// Both maps must be of the supervisor's part and split physically. Nothing if a table of either
/// could not be read.
std::optional<KptiShare> kpti_share(const Map& kernel, const Map& user, const Pulse& pulse = {});

}  // namespace ptmap
