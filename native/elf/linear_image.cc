#include "elf/linear_image.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>

namespace ptmap::elf {
namespace {

constexpr std::uint64_t page = 4096;
constexpr unsigned max_pages = 64;      // how far below one of its pages an image may begin
constexpr std::size_t max_images = 64;  // Linux has 3
constexpr std::size_t batch = 1024;

bool has_magic(std::span<const std::byte> bytes) {
    return std::memcmp(bytes.data(), ELFMAG, SELFMAG) == 0;
}

// The size that the image's first page tells, 0 if there is none.
std::uint64_t size_at(LinearMemory& memory, VirtAddr va) {
    std::array<std::byte, page> head;
    return memory.read(va, head) && has_magic(head) ? read(head).size : 0;
}

// Reads the beginnings of `count` pages from `first` on, `at` bytes into a part.
class Heads {
public:
    Heads(LinearMemory& memory, const LinearMemory::Known& part, std::uint64_t at)
        : heads_(std::min<std::uint64_t>(batch, (part.size - at - 1) / page + 1)) {
        std::vector<Fetch> reads;
        for (std::size_t i = 0; i < heads_.size(); ++i)
            reads.push_back({{part.pa.value + at + i * page}, heads_[i]});
        memory.physical().fetch(reads);
        for (std::size_t i = 0; i < heads_.size(); ++i)
            if (reads[i].ok && has_magic(heads_[i])) found_.push_back(i);
    }

    std::size_t size() const { return heads_.size(); }
    // Indices of the pages that begin with an ELF header.
    const std::vector<std::size_t>& found() const { return found_; }

private:
    std::vector<std::array<std::byte, SELFMAG>> heads_;
    std::vector<std::size_t> found_;
};

}  // namespace

std::optional<LinearImage> image_at(LinearMemory& memory, VirtAddr va,
                                    std::optional<std::uint64_t> size) {
    if (va.value % page) return std::nullopt;
    try {
        const std::uint64_t bytes = size ? *size : size_at(memory, va);
        if (bytes == 0 || bytes > max_image_size) return std::nullopt;
        std::vector<std::byte> content((bytes + page - 1) / page * page);
        if (!memory.read(va, content)) return std::nullopt;
        return LinearImage{va, content.size(), read(content)};
    } catch (const std::invalid_argument&) {
        return std::nullopt;
    }
}

std::optional<LinearImage> image_around(LinearMemory& memory, VirtAddr va) {
    for (unsigned i = 0; i < max_pages && va.value >= i * page; ++i) {
        auto found = image_at(memory, {va.value - i * page});
        if (found) return i * page < found->size ? found : std::nullopt;
    }
    return std::nullopt;
}

std::vector<LinearImage> images_in(LinearMemory& memory, std::span<const LinearMemory::Known> parts,
                                   const Pulse& pulse) {
    Ticker tick(pulse);
    std::vector<LinearImage> images;
    for (const LinearMemory::Known& part : parts) {
        for (std::uint64_t at = 0; at < part.size;) {
            const Heads heads(memory, part, at);
            for (std::size_t i = 0; i < heads.size(); ++i) tick(64);
            for (const std::size_t i : heads.found()) {
                auto found = image_at(memory, {part.first.value + at + i * page});
                tick.looked(found ? found->size : page);
                if (found) images.push_back(std::move(*found));
                if (images.size() == max_images) return images;
            }
            const std::uint64_t next = at + heads.size() * page;
            if (next < at) break;
            at = next;
        }
    }
    return images;
}

}  // namespace ptmap::elf
