// Physical memory in pieces of a file: a raw image, or the segments of an ELF dump.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "paging/interval.h"
#include "paging/memory.h"
#include "sources/input_file.h"

namespace ptmap {

/// A piece of physical memory: `size` bytes from `address` on are at `offset` in the file.
struct FilePiece {
    std::uint64_t address, size, offset;
    bool operator==(const FilePiece&) const = default;
};

/// Pieces by rising address; none overlaps another or wraps around at 2^64. If two of the given
/// pieces overlap, the one that begins first wins; if both begin together, the first given one.
std::vector<FilePiece> in_order(std::vector<FilePiece> pieces);

class FileMemory final : public PhysicalMemory {
public:
    /// `pieces` as in_order() returns them. `absent` is the reason for an address between pieces,
    /// `ended` the reason for a piece's bytes that are not in the file.
    FileMemory(std::shared_ptr<InputFile> file, std::vector<FilePiece> pieces, std::string absent,
               std::string ended);

    void fetch(std::span<Fetch> reads) override;

    std::uint64_t requests() const { return file_->requests(); }
    const InputFile& file() const { return *file_; }
    /// The memory that neighbouring pieces cover, by rising address.
    std::vector<PhysInterval> ram() const;
    /// Bytes of the pieces that are beyond the file's end.
    std::uint64_t missing() const;

private:
    void read(Fetch& read);

    std::shared_ptr<InputFile> file_;
    std::vector<FilePiece> pieces_;
    std::string absent_, ended_;
};

/// A raw image: byte N of the file is at the physical address N. Error: FileError.
FileMemory open_flat_file(const std::string& path);

/// The file behind a machine's RAM; `pieces` says which parts are where in physical memory. Error:
/// FileError.
FileMemory open_ram_file(const std::string& path, std::vector<FilePiece> pieces);

}  // namespace ptmap
