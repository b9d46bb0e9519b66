// A part of a file or of an image.
#pragma once

#include <cstdint>

namespace ptmap {

/// As a header gives it: both may be anything.
struct FilePart {
    std::uint64_t offset, size;  ///< bytes
};

/// Whether they share a byte. Neither may wrap around at 2^64.
constexpr bool overlap(const FilePart& a, const FilePart& b) {
    return a.offset < b.offset + b.size && b.offset < a.offset + a.size;
}

/// Whether all of `inner`, which may be anything, is in `outer`.
constexpr bool contains(const FilePart& outer, const FilePart& inner) {
    return inner.offset >= outer.offset && inner.offset - outer.offset <= outer.size &&
           inner.size <= outer.size - (inner.offset - outer.offset);
}

}  // namespace ptmap
