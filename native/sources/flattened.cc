#include "sources/flattened.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "paging/file_part.h"
#include "sources/interrupt.h"

namespace ptmap {
namespace {

constexpr std::string_view signature{"makedumpfile\0\0\0\0", 16};
constexpr std::uint64_t head_size = 4096;
constexpr std::uint64_t end_mark = ~std::uint64_t{0};  // as offset and as size
constexpr std::size_t piece = 1 << 20;                 // bytes copied at once

std::uint64_t big_endian(std::span<const std::byte, 8> bytes) {
    std::uint64_t value = 0;
    for (const std::byte byte : bytes) value = value << 8 | std::to_integer<std::uint64_t>(byte);
    return value;
}

class Descriptor {
public:
    explicit Descriptor(int number) : number_(number) {}
    ~Descriptor() {
        if (number_ >= 0) ::close(number_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;

    int number() const { return number_; }
    int release() { return std::exchange(number_, -1); }

private:
    int number_;
};

FileError no_place(const std::string& folder, int error) {
    return FileError("it is flattened, and it cannot be rearranged in " + folder + ": " +
                     std::strerror(error) + " (TMPDIR selects another folder)");
}

// A file without a name.
int temporary_file(const std::string& folder) {
    const int file = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (file >= 0) return file;
    std::string name = folder + "/ptmap-XXXXXX";  // this file system has no O_TMPFILE
    const int named = ::mkostemp(name.data(), O_CLOEXEC);
    if (named < 0) throw no_place(folder, errno);
    ::unlink(name.c_str());
    return named;
}

void write(int to, std::span<const std::byte> bytes, std::uint64_t at, const std::string& folder) {
    while (!bytes.empty()) {
        const ssize_t done = ::pwrite(to, bytes.data(), bytes.size(), static_cast<off_t>(at));
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) throw no_place(folder, done < 0 ? errno : ENOSPC);
        bytes = bytes.subspan(static_cast<std::size_t>(done));
        at += static_cast<std::uint64_t>(done);
    }
}

}  // namespace

bool is_flattened(std::span<const std::byte> begin) {
    return begin.size() >= signature.size() &&
           std::memcmp(begin.data(), signature.data(), signature.size()) == 0;
}

std::shared_ptr<InputFile> rearranged(InputFile& file) {
    const FileError cut("it is flattened, and cut off or damaged");
    std::error_code error;
    std::string folder = std::filesystem::temp_directory_path(error).string();
    if (error) folder = "/tmp";
    Descriptor to(temporary_file(folder));
    std::vector<std::byte> buffer(piece);
    for (std::uint64_t at = head_size;;) {
        if (interrupt_pending()) throw Interrupted();
        std::array<std::byte, 16> record;
        if (file.read(at, record) < record.size()) throw cut;
        at += record.size();
        std::uint64_t offset = big_endian(std::span(record).first<8>());
        std::uint64_t size = big_endian(std::span(record).last<8>());
        if (offset == end_mark && size == end_mark) break;
        constexpr std::uint64_t last_offset = std::numeric_limits<off_t>::max();
        if (!contains({0, file.size()}, {at, size}) || !contains({0, last_offset}, {offset, size}))
            throw cut;
        while (size > 0) {
            if (interrupt_pending()) throw Interrupted();
            const auto part = std::span(buffer).first(std::min<std::uint64_t>(size, piece));
            if (file.read(at, part) < part.size()) throw cut;
            write(to.number(), part, offset, folder);
            at += part.size();
            offset += part.size();
            size -= part.size();
        }
    }
    return std::make_shared<InputFile>(file, to.release());
}

}  // namespace ptmap
