#include "sources/flat_file.h"

#include <algorithm>
#include <limits>

#include "sources/interrupt.h"

namespace ptmap {

std::vector<FilePiece> in_order(std::vector<FilePiece> pieces) {
    constexpr std::uint64_t top = std::numeric_limits<std::uint64_t>::max();
    std::stable_sort(pieces.begin(), pieces.end(),
                     [](const auto& a, const auto& b) { return a.address < b.address; });
    std::vector<FilePiece> ordered;
    std::uint64_t end = 0;  // of the pieces so far
    for (FilePiece piece : pieces) {
        piece.size = std::min(piece.size, top - piece.address);
        const std::uint64_t known = piece.address < end ? end - piece.address : 0;
        if (known >= piece.size) continue;
        piece.address += known;
        piece.size -= known;
        piece.offset += std::min(known, top - piece.offset);
        end = piece.address + piece.size;
        ordered.push_back(piece);
    }
    return ordered;
}

FileMemory::FileMemory(std::shared_ptr<InputFile> file, std::vector<FilePiece> pieces,
                       std::string absent, std::string ended)
    : file_(std::move(file)),
      pieces_(std::move(pieces)),
      absent_(std::move(absent)),
      ended_(std::move(ended)) {}

void FileMemory::fetch(std::span<Fetch> reads) {
    for (Fetch& one : reads) {
        if (interrupt_pending()) throw Interrupted();
        try {
            read(one);
        } catch (const FileError& error) {
            one.why = error.what();
        }
    }
}

void FileMemory::read(Fetch& read) {
    std::uint64_t address = read.address.value;
    std::span<std::byte> to = read.to;
    read.ok = false;
    auto piece =
        std::upper_bound(pieces_.begin(), pieces_.end(), address,
                         [](std::uint64_t a, const FilePiece& p) { return a < p.address; });
    if (piece != pieces_.begin()) --piece;
    for (; !to.empty(); ++piece) {
        if (piece == pieces_.end() || address < piece->address ||
            address - piece->address >= piece->size) {
            read.why = absent_;
            return;
        }
        const std::uint64_t at = address - piece->address;
        const auto part = to.first(std::min<std::uint64_t>(to.size(), piece->size - at));
        if (piece->offset > std::numeric_limits<std::uint64_t>::max() - at ||
            file_->read(piece->offset + at, part) < part.size()) {
            read.why = ended_;
            return;
        }
        address += part.size();
        to = to.subspan(part.size());
    }
    read.ok = true;
}

std::vector<PhysInterval> FileMemory::ram() const {
    std::vector<PhysInterval> ranges;
    for (const FilePiece& piece : pieces_) {
        const auto next = PhysInterval::of_size({piece.address}, piece.size);
        if (!ranges.empty() && ranges.back().last.value + 1 == piece.address)
            ranges.back().last = next.last;
        else
            ranges.push_back(next);
    }
    return ranges;
}

std::uint64_t FileMemory::missing() const {
    std::uint64_t sum = 0;
    for (const FilePiece& piece : pieces_) {
        const std::uint64_t there = piece.offset < file_->size() ? file_->size() - piece.offset : 0;
        sum += piece.size - std::min(there, piece.size);
    }
    return sum;
}

FileMemory open_flat_file(const std::string& path) {
    auto file = std::make_shared<InputFile>(path);
    if (file->size() == 0) throw FileError("it is empty");
    return {
        file, {{0, file->size(), 0}}, "beyond the end of the file", "the file has become shorter"};
}

FileMemory open_ram_file(const std::string& path, std::vector<FilePiece> pieces) {
    auto file = std::make_shared<InputFile>(path);
    return {file, in_order(std::move(pieces)), "not in the file", "the file has become shorter"};
}

}  // namespace ptmap
