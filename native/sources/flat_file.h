// Physical memory that lies in a file, piece by piece: a raw image, or the segments of an ELF dump.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "paging/interval.h"
#include "paging/memory.h"
#include "sources/input_file.h"

namespace ptmap {

/// Some of the physical memory: `size` bytes from `address` on are at `offset` in the file.
struct FilePiece {
    std::uint64_t address, size, offset;
    bool operator==(const FilePiece&) const = default;
};

/// Pieces by rising address, of which none overlaps another or goes round 2^64; where two of those
/// given have the same address it is the one that begins first, or is given first.
std::vector<FilePiece> in_order(std::vector<FilePiece> pieces);

class FileMemory final : public PhysicalMemory {
public:
    /// `pieces` as in_order() has them. `absent` is the reason why there is nothing at an address
    /// between them, `ended` why a piece's bytes are not in the file.
    FileMemory(std::shared_ptr<InputFile> file, std::vector<FilePiece> pieces, std::string absent,
               std::string ended);

    void fetch(std::span<Fetch> reads) override;

    std::uint64_t requests() const { return file_->requests(); }
    const InputFile& file() const { return *file_; }
    /// What neighbouring pieces cover together, by rising address.
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

/// The file behind a machine's RAM, of which these pieces are in its physical memory. Error:
/// FileError.
FileMemory open_ram_file(const std::string& path, std::vector<FilePiece> pieces);

}  // namespace ptmap
