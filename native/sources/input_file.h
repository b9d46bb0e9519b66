// A file that is read by position, and the error if it cannot be.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace ptmap {

/// Why a file cannot be a source of memory, a phrase without the file's name.
struct FileError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// A regular file, open for reading. It is never mapped: if a mapped file becomes shorter, a read
/// ends the process, GDB, by SIGBUS.
class InputFile {
public:
    /// Error: FileError.
    explicit InputFile(std::string path);
    /// One with the same name and identity, and another content: that of this descriptor, which it
    /// owns.
    InputFile(const InputFile& named, int content);
    ~InputFile();
    InputFile(const InputFile&) = delete;
    InputFile& operator=(const InputFile&) = delete;

    const std::string& path() const { return path_; }
    int descriptor() const { return descriptor_; }
    /// Bytes, when it was opened.
    std::uint64_t size() const { return size_; }
    /// Bytes, now.
    std::uint64_t size_now() const;

    /// Reads from `offset` on, and returns how many bytes: fewer than asked for at the file's end.
    /// Error: FileError if the system cannot read them.
    std::size_t read(std::uint64_t offset, std::span<std::byte> to);

    /// "" while the path still names this file and its size is the same; else why not, a phrase.
    std::string replaced() const;
    /// The same; also a phrase if the file has been written to.
    std::string changed() const;

    /// System calls that read() has made.
    std::uint64_t requests() const { return requests_; }

private:
    std::string path_;
    int descriptor_;
    struct stat opened_ {};   // of the file with that name
    std::uint64_t size_ = 0;  // of the content
    std::uint64_t requests_ = 0;
};

}  // namespace ptmap
