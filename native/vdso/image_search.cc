#include "vdso/image_search.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>

#include "paging/hex.h"

namespace ptmap {
namespace {

constexpr std::uint64_t page = 4096;
constexpr std::size_t head_bytes = 20;  // e_ident, e_type, e_machine
constexpr std::size_t batch = 1024;
constexpr std::uint64_t max_heads = 1 << 16;
constexpr std::size_t max_images = 1 << 10;    // images and rejected headers
constexpr std::uint64_t max_vdsos = 64 << 20;  // bytes
constexpr const char* unmapped = "not mapped executable";

// Reads pages and fills in what is known of each; `bytes` gets zeros for unknown ones.
std::vector<ImagePage> take_pages(const UserCode& code, PhysicalMemory& memory, VirtAddr va,
                                  std::size_t count, std::vector<std::byte>& bytes) {
    const std::size_t before = bytes.size();
    bytes.resize(before + count * page);
    std::vector<ImagePage> pages(count);
    std::vector<Fetch> reads;
    std::vector<std::size_t> read;
    for (std::size_t i = 0; i < count; ++i) {
        pages[i].va = {va.value + i * page};
        const auto pa = code.frame(pages[i].va);
        if (!pa) {
            pages[i].why = unmapped;
            continue;
        }
        pages[i].pa = *pa;
        reads.push_back({*pa, std::span(bytes).subspan(before + i * page, page)});
        read.push_back(i);
    }
    if (!reads.empty()) memory.fetch(reads);
    for (std::size_t i = 0; i < reads.size(); ++i) {
        ImagePage& one = pages[read[i]];
        if (reads[i].ok) {
            one.from = ImagePage::From::process;
            continue;
        }
        std::ranges::fill(reads[i].to, std::byte{0});
        one.why = "its frame " + hex(one.pa.value) + ": " + reads[i].why;
        one.pa = {};
    }
    return pages;
}

class Search {
public:
    Search(const Paging& paging, const UserCode& code, PhysicalMemory& memory, const Pulse& pulse)
        : paging_(paging), code_(code), memory_(memory), tick_(pulse) {
        found_.cut = code.cut();
    }

    // Searches the pages that user space can write, or those that it cannot.
    void search(bool writable) {
        found_.pages += code_.count(writable);
        UserCode::Pages pages = code_.pages(writable);
        while (look_at(next(pages))) {
        }
    }

    void follow(VirtAddr va) {
        std::uint64_t work = page;
        try {
            UserImage image = image_at(va);
            work = image.pages.size() * page;
            if (image.elf.is_vdso()) {
                any_ = true;
                vdsos_ += work;
            } else {
                image.elf.functions.clear();
                image.elf.functions.shrink_to_fit();
            }
            found_.images.push_back(std::move(image));
        } catch (const std::invalid_argument& error) {
            found_.rejected.emplace_back(va, error.what());
        }
        tick_.looked(work);
    }

    bool any() const { return any_; }
    ImageSearch& found() { return found_; }

private:
    std::vector<UserCode::Page> next(UserCode::Pages& pages) const {
        std::vector<UserCode::Page> some;
        while (some.size() < batch) {
            const auto one = pages.next();
            if (!one) break;
            some.push_back(*one);
        }
        return some;
    }

    // False if the search ends. Each page costs one short read.
    bool look_at(const std::vector<UserCode::Page>& pages) {
        if (pages.empty()) return false;
        if (found_.looked + pages.size() > max_heads) return end();
        std::vector<std::array<std::byte, head_bytes>> heads(pages.size());
        std::vector<Fetch> reads;
        for (std::size_t i = 0; i < pages.size(); ++i) reads.push_back({pages[i].pa, heads[i]});
        memory_.fetch(reads);
        for (std::size_t i = 0; i < pages.size(); ++i) {
            tick_();
            const bool headed = reads[i].ok && std::memcmp(heads[i].data(), ELFMAG, SELFMAG) == 0;
            if (headed && is_full()) return end();
            ++found_.looked;
            if (headed) follow(pages[i].va);
        }
        return true;
    }

    bool is_full() const {
        return found_.images.size() + found_.rejected.size() >= max_images || vdsos_ >= max_vdsos;
    }

    bool end() {
        found_.cut = true;
        return false;
    }

    // Error: std::invalid_argument if no image begins there.
    UserImage image_at(VirtAddr va) {
        std::vector<std::byte> bytes;
        std::vector<ImagePage> pages = take_pages(code_, memory_, va, 1, bytes);
        elf::Image elf = elf::read(bytes);
        const std::uint64_t count = std::max<std::uint64_t>(1, (elf.size + page - 1) / page);
        const std::uint64_t last = va.value + (count * page - 1);
        constexpr std::uint64_t end_of_32 = std::uint64_t{1} << 32;
        if (!fits(paging_, va, count * page) ||
            (elf.abi != elf::Abi::bits64 && va.value < end_of_32 && last >= end_of_32))
            throw std::invalid_argument("it would end beyond the address space");
        if (count == 1) return {va, std::move(elf), std::move(pages)};
        const auto rest = take_pages(code_, memory_, {va.value + page}, count - 1, bytes);
        pages.insert(pages.end(), rest.begin(), rest.end());
        return {va, elf::read(bytes), std::move(pages)};
    }

    const Paging& paging_;
    const UserCode& code_;
    PhysicalMemory& memory_;
    Ticker tick_;
    ImageSearch found_;
    bool any_ = false;         // a vDSO was found
    std::uint64_t vdsos_ = 0;  // bytes of them
};

}  // namespace

ImageSearch search_images(const Paging& paging, const UserCode& code, PhysicalMemory& memory,
                          const Pulse& pulse) {
    Search search(paging, code, memory, pulse);
    for (const bool writable : {false, true})
        if (!search.any()) search.search(writable);
    return std::move(search.found());
}

ImageSearch look_at(const Paging& paging, const UserCode& code, PhysicalMemory& memory,
                    VirtAddr va) {
    const Pulse none;
    Search search(paging, code, memory, none);
    ImageSearch& found = search.found();
    found.pages = code.count(false) + code.count(true);
    found.cut = false;
    if (code.frame(va)) {
        found.looked = 1;
        search.follow(va);
    }
    return std::move(found);
}

std::vector<ImagePage> pages_from(const UserCode& code, PhysicalMemory& memory, VirtAddr va,
                                  std::size_t count) {
    std::vector<std::byte> bytes;
    return take_pages(code, memory, va, count, bytes);
}

std::vector<std::byte> read_pages(PhysicalMemory& memory, std::span<const ImagePage> pages) {
    std::vector<std::byte> bytes(pages.size() * page);
    std::vector<Fetch> reads;
    for (std::size_t i = 0; i < pages.size(); ++i)
        if (pages[i].from != ImagePage::From::nowhere)
            reads.push_back({pages[i].pa, std::span(bytes).subspan(i * page, page)});
    if (!reads.empty()) memory.fetch(reads);
    if (!std::ranges::all_of(reads, &Fetch::ok))
        throw std::invalid_argument("a page of the image can no longer be read");
    return bytes;
}

bool fits(const Paging& paging, VirtAddr va, std::uint64_t size) {
    const VirtAddr last{va.value + (size - 1)};
    return last >= va && paging.translatable(va) && paging.translatable(last);
}

}  // namespace ptmap
