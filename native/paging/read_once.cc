#include "paging/read_once.h"

#include <algorithm>

namespace ptmap {

void ReadOnce::fetch(std::span<Fetch> reads) {
    std::vector<std::size_t> missing;
    std::vector<Fetch> wanted;
    for (std::size_t i = 0; i < reads.size(); ++i) {
        if (answer(reads[i])) continue;
        missing.push_back(i);
        wanted.push_back({reads[i].address, reads[i].to});
    }
    if (wanted.empty()) return;
    ask(wanted);
    for (std::size_t i = 0; i < wanted.size(); ++i) reads[missing[i]] = std::move(wanted[i]);
}

void ReadOnce::ask(std::span<Fetch> reads) {
    const auto start = std::chrono::steady_clock::now();
    source_.fetch(reads);
    time_ += std::chrono::steady_clock::now() - start;
    std::size_t size = 0;
    for (const Fetch& read : reads)
        if (read.ok) size += read.to.size();
    bytes_ += size;
    std::byte* at = nullptr;
    if (size) {
        kept_.push_back(make_block(size));
        at = kept_.back().get();
    }
    answers_.reserve(answers_.size() + reads.size());
    for (const Fetch& read : reads) {
        std::span<const std::byte> bytes;
        if (read.ok) {
            std::ranges::copy(read.to, at);
            bytes = {at, read.to.size()};
            at += read.to.size();
        }
        answers_.insert_or_assign(read.address.value,
                                  Answer{read.ok, bytes, read.why, read.interrupted});
    }
}

bool ReadOnce::answer(Fetch& read) const {
    const std::uint64_t address = read.address.value;
    for (const std::uint64_t begin :
         {address, address & ~std::uint64_t{0xFFF}, address & ~std::uint64_t{0x1F}}) {
        const auto found = answers_.find(begin);
        if (found == answers_.end()) continue;
        const Answer& known = found->second;
        const std::uint64_t skipped = address - begin;
        if (known.ok && skipped + read.to.size() <= known.bytes.size()) {
            std::copy_n(known.bytes.begin() + static_cast<std::ptrdiff_t>(skipped), read.to.size(),
                        read.to.begin());
            read.ok = true;
            return true;
        }
        if (!known.ok && begin == address) {
            read.ok = false;
            read.why = known.why;
            read.interrupted = known.interrupted;
            return true;
        }
    }
    return false;
}

void ReadOnce::forget_failures() {
    std::erase_if(answers_, [](const auto& entry) { return !entry.second.ok; });
}

}  // namespace ptmap
