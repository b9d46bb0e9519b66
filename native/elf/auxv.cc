#include "elf/auxv.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

namespace ptmap::elf {
namespace {

constexpr std::uint64_t page = 4096;
// Linux allows 6 MiB of arguments (_STK_LIM / 4 * 3 in fs/exec.c), which lie above the vector.
constexpr std::uint64_t searched = 8 << 20;
constexpr std::uint64_t last_type = 63;
// From the vector's end to where AT_RANDOM points, a few strings.
constexpr std::uint64_t max_behind = 4096;

// Mapped pages that follow each other. The vector may begin in the first or before it. A vector and
// the bytes behind it lie in three pages.
class Window {
public:
    Window(VirtAddr start, std::span<const std::byte> bytes, unsigned word)
        : start_(start), bytes_(bytes), word_(word) {}

    std::optional<Auxv> find(Ticker& tick) const {
        // The second: a kernel may map no vDSO.
        for (const std::uint64_t type : {AT_SYSINFO_EHDR, AT_PAGESZ}) {
            // The third page was searched when it was the second.
            const std::size_t end = std::min<std::size_t>(bytes_.size(), 2 * page);
            for (std::size_t at = 0; at < end; at += word_) {
                tick.looked();
                if (read(at) != type) continue;
                if (auto found = around(at, tick)) return found;
            }
        }
        return std::nullopt;
    }

private:
    std::uint64_t read(std::size_t at) const {
        std::uint64_t value = 0;  // little-endian, as the guest's
        std::memcpy(&value, bytes_.data() + at, word_);
        return value;
    }

    // The vector that has the pair at this offset.
    std::optional<Auxv> around(std::size_t at, Ticker& tick) const {
        const std::size_t pair = 2 * word_;
        std::size_t first = at;
        for (std::size_t pairs = 0; first >= pair; first -= pair) {
            tick.looked();
            const std::uint64_t type = read(first - pair);
            if (type == AT_NULL || type > last_type) break;
            if (++pairs > last_type) return std::nullopt;  // some type must be there twice
        }
        if (first < pair) return std::nullopt;  // it begins in the page below, which comes next
        Auxv found{{start_.value + first}, word_, {}};
        for (std::size_t place = first; place + pair <= bytes_.size(); place += pair) {
            tick.looked(8);
            const std::uint64_t type = read(place), value = read(place + word_);
            if (type == AT_NULL) {
                if (!is_sound(found, start_.value + place + pair - 1)) return std::nullopt;
                return found;
            }
            if (type > last_type || found.value(type)) return std::nullopt;
            found.values.emplace_back(type, value);
        }
        return std::nullopt;
    }

    // `last` is the address of the vector's last byte.
    static bool is_sound(const Auxv& found, std::uint64_t last) {
        const std::uint64_t random = found.value(AT_RANDOM).value_or(0);
        return found.value(AT_PAGESZ) == page && random > last && random - last <= max_behind;
    }

    VirtAddr start_;
    std::span<const std::byte> bytes_;
    unsigned word_;
};

}  // namespace

std::optional<std::uint64_t> Auxv::value(std::uint64_t type) const {
    const auto found = std::ranges::find(values, type, [](const auto& pair) { return pair.first; });
    if (found == values.end()) return std::nullopt;
    return found->second;
}

std::optional<VirtAddr> Auxv::vdso() const {
    const std::uint64_t base = value(AT_SYSINFO_EHDR).value_or(0);
    return base ? std::optional(VirtAddr{base}) : std::nullopt;
}

Abi Auxv::abi() const {
    if (word == 8) return Abi::bits64;
    return value(AT_SYSINFO) ? Abi::bits32 : Abi::x32;
}

std::optional<Auxv> find_auxv(LinearMemory& memory, VirtAddr start, VirtAddr end, bool wide,
                              const Pulse& pulse) {
    Ticker tick(pulse);
    std::array<std::byte, 3 * page> bytes{};
    std::size_t pages = 0;  // that follow each other from `at` on, 3 at most
    const std::uint64_t bottom = std::max(start.value, end.value - std::min(end.value, searched));
    for (std::uint64_t at = end.value; at >= bottom + page;) {
        at -= page;
        tick();
        std::memmove(bytes.data() + page, bytes.data(), 2 * page);
        if (!memory.read({at}, std::span(bytes).first(page))) {
            pages = 0;
            continue;
        }
        pages = std::min<std::size_t>(pages + 1, 3);
        const auto there = std::span(bytes).first(pages * page);
        if (wide)
            if (auto found = Window({at}, there, 8).find(tick)) return found;
        if (auto found = Window({at}, there, 4).find(tick)) return found;
    }
    return std::nullopt;
}

}  // namespace ptmap::elf
