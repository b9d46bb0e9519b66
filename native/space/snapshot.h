// A map as bytes and back: the same bytes for the same map, on every machine.
//
// Numbers are LEB128: 7 bits a byte, the lowest first, bit 7 set in all but the last, no byte more
// than needed. Addresses are differences from what came before. In this order:
//
//     magic            8f 70 74 6d 61 70 0d 0a: neither text nor what a transfer as text leaves
//     version          1
//     mode             1 32-bit, 2 PAE, 3 4-level, 4 5-level
//     root, CR0, CR3, CR4, EFER, MAXPHYADDR
//     flags            1 PAT is known, 2 truncated, 4 there is an end
//     PAT, end         each where its flag is set
//     words, assumed   two lists of texts; a text is its length and so many characters 20..7e
//     tables, pages    distinct tables read; leaves of 4K, 2M, 4M, 1G
//     sorts            a list: rights | global << 3 | memory type << 4 | page size << 8
//     ranges           a list: sort << 2 | apart << 1 | many; where it is apart the pages of 4 KiB
//                      from the end of the one before; where it is many its pages less one; from
//                      where the frames before ended, in 4 KiB: 0, -1, 1, -2, ... as 0, 1, 2, 3
//     reasons          a list of texts
//     unreadable, malformed
//                      two lists: from the end of the one before and size, both in 4 KiB; table /
//                      32; level; reason
//     labels           a list: from the end of the one before, size less one, apart, name, source
//
// A list is its length and its elements. Whatever has an order of its own (sorts, reasons) is in
// that of first use. So a map has one form, and what read_snapshot() takes is what
// write_snapshot() made.
//
// Nothing here guards against damage that makes another valid map: whoever stores it adds a
// checksum.
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

/// A map and what it was made under.
struct Snapshot {
    Map map;  ///< exact: see is_exact()
    ControlRegisters registers;
    std::optional<std::uint64_t> pat;
    std::vector<std::string> words;    ///< which space it is: "KPTI's kernel root"
    std::vector<std::string> assumed;  ///< "EFER.NXE=1"
    std::vector<Label> labels;
};

/// Bytes that are no snapshot, or a damaged one; what() is one sentence.
class BadSnapshot : public std::invalid_argument {
    using std::invalid_argument::invalid_argument;
};

/// The map must be exact, of a whole space, no view. Characters of texts that are not printable
/// ASCII become "?".
std::string write_snapshot(const Snapshot& snapshot, const Pulse& pulse = {});
/// The same of a map that lies elsewhere, as it may be too large to copy: `about.map` is not used.
std::string write_snapshot(const Map& map, const Snapshot& about, const Pulse& pulse = {});

/// Everything is checked: order, alignment, sizes, what the mode has, counts. Error: BadSnapshot.
/// Its version first: what is newer says so.
Snapshot read_snapshot(std::span<const std::byte> bytes, const Pulse& pulse = {});

/// Only what it is: nothing where read_snapshot() may go on. Error: BadSnapshot where it is none,
/// or a newer one.
void check_is_snapshot(std::span<const std::byte> bytes);

}  // namespace ptmap
