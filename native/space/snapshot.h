// A map as bytes and back: the same bytes for the same map, on every machine.
//
// Numbers are LEB128: 7 bits a byte, the lowest first, bit 7 set in all but the last, no byte more
// than needed. Addresses are differences from what came before. In this order:
//
//     magic            8f 70 74 6d 61 70 0d 0a: not text, and a transfer as text damages it
//     version          1
//     mode             1 32-bit, 2 PAE, 3 4-level, 4 5-level
//     root, CR0, CR3, CR4, EFER, MAXPHYADDR
//     flags            1 PAT is known, 2 truncated, 4 there is an end
//     PAT, end         each only if its flag is set
//     words, assumed   two lists of texts; a text is its length and its characters, 20..7e
//     tables, pages    distinct tables read; leaves of 4K, 2M, 4M, 1G
//     sorts            a list: rights | global << 3 | memory type << 4 | page size << 8
//     ranges           a list: sort << 2 | apart << 1 | many; if apart, the distance from the end
//                      of the range before, in 4 KiB; if many, its number of pages less one; the
//                      distance of its frames from the end of the frames before, in 4 KiB: 0, -1,
//                      1, -2, ... as 0, 1, 2, 3
//     reasons          a list of texts
//     unreadable, malformed
//                      two lists: distance from the end of the gap before, and size, both in 4 KiB;
//                      table / 32; level; reason
//     labels           a list: distance from the end of the label before, size less one, apart,
//                      name, source (a text: read, deduced or documented)
//
// A list is its length and its elements. Sorts and reasons are in the order of their first use. So
// a map has exactly one form, and read_snapshot() takes only what write_snapshot() makes.
//
// Damage may make another valid map: the caller that stores the bytes must add a checksum.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "arch/registers.h"
#include "paging/pulse.h"
#include "space/labels.h"
#include "space/map.h"

namespace ptmap {

/// A map, and the registers and words that belong to it.
struct Snapshot {
    Map map;  ///< exact: see is_exact()
    ControlRegisters registers;
    std::optional<std::uint64_t> pat;
    std::vector<std::string> words;    ///< which space it is: "KPTI's kernel root"
    std::vector<std::string> assumed;  ///< "EFER.NXE=1"
    std::vector<Label> labels;
};

/// The bytes are not a snapshot, or a damaged one; what() is one sentence.
class BadSnapshot : public std::invalid_argument {
    using std::invalid_argument::invalid_argument;
};

/// The map must be exact, of a whole space, and not a view. Characters of texts that are not
/// printable ASCII become "?".
std::string write_snapshot(const Snapshot& snapshot, const Pulse& pulse = {});
/// The same for a map elsewhere, which may be too large to copy: `about.map` is not used.
std::string write_snapshot(const Map& map, const Snapshot& about, const Pulse& pulse = {});

/// Checks everything: order, alignment, sizes, what the mode has, counts. Error: BadSnapshot. It
/// checks the version first, so a newer snapshot is reported as such.
Snapshot read_snapshot(std::span<const std::byte> bytes, const Pulse& pulse = {});

/// Checks only what the bytes are. Error: BadSnapshot if they are not a snapshot, or a newer one's.
void check_is_snapshot(std::span<const std::byte> bytes);

}  // namespace ptmap
