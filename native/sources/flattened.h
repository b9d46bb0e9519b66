// makedumpfile's flattened form of a dump, the only one in which QEMU's dump-guest-memory writes
// kdump files. A head of 4096 bytes is followed by records, each an offset, a size and so many
// bytes for that place of the dump; the last record is a mark (makedumpfile's IMPLEMENTATION).
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "sources/input_file.h"

namespace ptmap {

/// Whether a file that begins with these bytes, at least 16, is in that form.
bool is_flattened(std::span<const std::byte> begin);

/// The dump itself, in an unlinked file in the folder for temporary files (TMPDIR, or /tmp), which
/// needs as much space as the dump. It counts as `file`: replaced() and changed() are about that.
/// Error: FileError, also where the form is damaged or cut off, or there is no space; Interrupted.
std::shared_ptr<InputFile> rearranged(InputFile& file);

}  // namespace ptmap
