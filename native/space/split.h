// The user's and the supervisor's part of a space, and how much of the supervisor's two roots
// share.
#pragma once

#include <cstdint>
#include <optional>

#include "paging/address.h"
#include "paging/paging.h"
#include "paging/pulse.h"
#include "space/map.h"

namespace ptmap {

/// Where the supervisor's part of a space begins: the page of its that has the least memory of the
/// other side before and behind it (a vsyscall page up there, a real-mode trampoline down here).
/// Nothing where there are no user pages below any of the supervisor's, or more than a sixteenth
/// of all that is mapped would be on the wrong side.
std::optional<VirtAddr> split(const Map& map);

/// Where the supervisor's part begins, of a space that is not canonical: split(), but at a page
/// directory entry, as a kernel that maps its first MiB late still begins at one. `map` is of the
/// whole space, with the kernel in it. Nothing where there is no such place.
std::optional<VirtAddr> split_of(const Paging& paging, const Map& map);

/// The same, and 0 where no page is the user's. Nothing where user and supervisor pages are mixed.
std::optional<VirtAddr> supervisor_part(const Paging& paging, const Map& map);

/// Of the supervisor's part, in bytes: what the kernel root maps, and what of that the user root
/// maps to the same frames. Frames count once, however often they are mapped.
struct KptiShare {
    std::uint64_t kernel, kernel_frames, user, user_frames;
};

/// Both maps are of the supervisor's part and split physically. Nothing where a table of either
/// could not be read.
std::optional<KptiShare> kpti_share(const Map& kernel, const Map& user, const Pulse& pulse = {});

}  // namespace ptmap
