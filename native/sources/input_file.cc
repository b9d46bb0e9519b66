#include "sources/input_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

namespace ptmap {
namespace {

constexpr std::uint64_t last_offset = std::numeric_limits<off_t>::max();

bool same(const timespec& a, const timespec& b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

}  // namespace

InputFile::InputFile(std::string path)
    : path_(std::move(path)),
      descriptor_(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) {
    if (descriptor_ < 0) throw FileError(std::strerror(errno));
    const bool known = ::fstat(descriptor_, &opened_) == 0;
    size_ = static_cast<std::uint64_t>(opened_.st_size);
    if (known && S_ISREG(opened_.st_mode)) return;
    ::close(descriptor_);
    throw FileError("not an ordinary file");
}

InputFile::InputFile(const InputFile& named, int content)
    : path_(named.path_), descriptor_(content), opened_(named.opened_), size_(size_now()) {}

InputFile::~InputFile() { ::close(descriptor_); }

std::uint64_t InputFile::size_now() const {
    struct stat now {};
    return ::fstat(descriptor_, &now) == 0 ? static_cast<std::uint64_t>(now.st_size) : 0;
}

std::size_t InputFile::read(std::uint64_t offset, std::span<std::byte> to) {
    std::size_t done = 0;
    while (done < to.size() && offset <= last_offset - done) {
        ++requests_;
        const ssize_t got = ::pread(descriptor_, to.data() + done, to.size() - done,
                                    static_cast<off_t>(offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) throw FileError(std::strerror(errno));
        if (got == 0) break;
        done += static_cast<std::size_t>(got);
    }
    return done;
}

std::string InputFile::replaced() const {
    struct stat now {};
    if (::stat(path_.c_str(), &now) != 0) return std::strerror(errno);
    if (now.st_dev != opened_.st_dev || now.st_ino != opened_.st_ino)
        return "another file has that name now";
    return now.st_size == opened_.st_size ? "" : "it has been written to";
}

std::string InputFile::changed() const {
    const std::string why = replaced();
    struct stat now {};
    if (!why.empty() || ::stat(path_.c_str(), &now) != 0) return why;
    return same(now.st_mtim, opened_.st_mtim) ? "" : "it has been written to";
}

}  // namespace ptmap
