#include "sources/qemu_process.h"

#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <string>

#include "sources/gone.h"
#include "sources/interrupt.h"

namespace ptmap {
namespace {

iovec vector_of(std::uint64_t address, std::size_t length) {
    return {reinterpret_cast<void*>(address), length};
}

[[noreturn]] void gone(pid_t pid, int error) {
    const std::string process = "QEMU process " + std::to_string(pid);
    if (error == ESRCH) throw SourceGone(process + " has ended");
    if (error == EPERM)
        throw SourceGone("not permitted to read " + process + ": ptrace_scope or another user");
    throw SourceGone("reading " + process + ": " + std::strerror(error));
}

}  // namespace

void QemuProcess::fetch(std::span<Fetch> reads) {
    std::vector<Piece> pieces;
    for (std::size_t i = 0; i < reads.size(); ++i) {
        reads[i].ok = ram_.split(reads[i], i, pieces);
        if (!reads[i].ok) reads[i].why = "not RAM";
    }
    std::span<const Piece> left = pieces;
    while (!left.empty()) {
        if (interrupt_pending()) throw Interrupted();
        const auto batch = left.first(std::min<std::size_t>(left.size(), IOV_MAX));
        left = left.subspan(transfer(batch));
        if (left.data() == batch.data() + batch.size()) continue;
        // The transfer ended before or inside a piece. Reading that piece alone shows whether it is
        // the reason.
        if (batch.size() == 1 || transfer(left.first(1)) == 0) {
            Fetch& read = reads[left.front().read];
            read.ok = false;
            read.why = "not mapped in the QEMU process";
        }
        left = left.subspan(1);
    }
}

// Reads the pieces and returns how many, from the first on, are complete.
std::size_t QemuProcess::transfer(std::span<const Piece> pieces) {
    std::vector<iovec> from, to;
    for (const Piece& piece : pieces) {
        from.push_back(vector_of(piece.at, piece.to.size()));
        to.push_back({piece.to.data(), piece.to.size()});
    }
    ++requests_;
    const ssize_t got = process_vm_readv(pid_, to.data(), to.size(), from.data(), from.size(), 0);
    if (got < 0 && errno != EFAULT) gone(pid_, errno);
    std::size_t whole = 0;
    // A transfer may end inside a piece, at a page, although process_vm_readv(2) denies it.
    for (std::size_t rest = static_cast<std::size_t>(std::max<ssize_t>(got, 0));
         whole < pieces.size() && rest >= pieces[whole].to.size(); ++whole)
        rest -= pieces[whole].to.size();
    return whole;
}

}  // namespace ptmap
