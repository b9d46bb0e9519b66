#include "sources/ram_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "sources/interrupt.h"

namespace ptmap {
namespace {

constexpr std::size_t batch = 256;  // system calls between two looks for Ctrl-C

}  // namespace

RamFile::RamFile(int file, std::vector<RamBlock> ram, PhysicalMemory& rest)
    : file_(fcntl(file, F_DUPFD_CLOEXEC, 0)), ram_(std::move(ram)), rest_(rest) {
    if (file_ < 0) throw std::system_error(errno, std::generic_category(), "the RAM file");
}

RamFile::~RamFile() { close(file_); }

void RamFile::fetch(std::span<Fetch> reads) {
    std::vector<Piece> pieces;
    std::vector<std::size_t> elsewhere;
    std::vector<Fetch> others;
    for (std::size_t i = 0; i < reads.size(); ++i) {
        reads[i].ok = ram_.split(reads[i], i, pieces);
        if (reads[i].ok) continue;
        elsewhere.push_back(i);
        others.push_back({reads[i].address, reads[i].to});
    }
    for (std::size_t i = 0; i < pieces.size(); ++i) {
        if (i % batch == 0 && interrupt_pending()) throw Interrupted();
        read(pieces[i], reads[pieces[i].read]);
    }
    if (!others.empty()) rest_.fetch(others);
    for (std::size_t i = 0; i < others.size(); ++i) reads[elsewhere[i]] = std::move(others[i]);
}

void RamFile::read(const Piece& piece, Fetch& answer) {
    for (std::size_t done = 0; done < piece.to.size();) {
        ++requests_;
        const ssize_t got = pread(file_, piece.to.data() + done, piece.to.size() - done,
                                  static_cast<off_t>(piece.at + done));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            answer.ok = false;
            answer.why = got == 0 ? "the RAM file ends before it"
                                  : std::string("the RAM file: ") + std::strerror(errno);
            return;
        }
        done += static_cast<std::size_t>(got);
    }
}

}  // namespace ptmap
