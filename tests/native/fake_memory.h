// Physical memory for tests, and a machine around it.
#pragma once

#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "arch/formats.h"
#include "arch/x86_paging.h"
#include "paging/memory.h"
#include "paging/paging.h"
#include "paging/scan.h"
#include "paging/walk.h"
#include "space/map.h"

namespace ptmap {

/// Pages that were written to exist, everything else is "not RAM". Remembers every read.
class FakeMemory final : public PhysicalMemory {
public:
    struct Read {
        std::uint64_t address;
        std::size_t bytes;
        auto operator<=>(const Read&) const = default;
    };
    std::vector<std::vector<Read>> calls;  ///< what each call of fetch asked for
    bool remember = true;                  ///< the calls

    void fetch(std::span<Fetch> reads) override {
        if (remember) calls.emplace_back();
        for (Fetch& read : reads) {
            if (remember) calls.back().push_back({read.address.value, read.to.size()});
            const auto page = pages_.find(read.address.value >> 12);
            const std::size_t at = read.address.value & 0xfff;
            read.ok = page != pages_.end() && at + read.to.size() <= 4096;
            if (read.ok)
                std::memcpy(read.to.data(), page->second.data() + at, read.to.size());
            else
                read.why = "not RAM";
        }
    }

    /// The page that `address` lies in exists from now on, zero as yet.
    void ram(std::uint64_t address) { pages_[address >> 12]; }

    void put(std::uint64_t address, std::uint64_t value, unsigned bytes) {
        std::memcpy(pages_[address >> 12].data() + (address & 0xfff), &value, bytes);
    }

    std::vector<Read> reads() const {
        std::vector<Read> all;
        for (const auto& call : calls) all.insert(all.end(), call.begin(), call.end());
        return all;
    }

private:
    std::map<std::uint64_t, std::array<std::byte, 4096>> pages_;
};

// The bits of an entry, by the SDM's names (vol. 3A, chapter 4; see format_test.cc).
namespace bit {
inline constexpr std::uint64_t P = 1, RW = 2, US = 4, PWT = 8, PCD = 0x10, A = 0x20, D = 0x40,
                               PS = 0x80, G = 0x100, XD = std::uint64_t{1} << 63;
inline constexpr std::uint64_t pat_4k = 0x80, pat_large = 0x1000;
inline constexpr std::uint64_t table = P | RW | US;  ///< takes no right away
}  // namespace bit

inline constexpr std::uint64_t KiB = 1024, MiB = KiB * KiB, GiB = KiB * MiB;

/// Registers of a kernel in this mode: WP, PGE and (but for 32-bit) NXE on, PSE in 32-bit, the
/// root at 0x1000.
inline ControlRegisters registers_of(Mode mode) {
    ControlRegisters r{.cr0 = cr0::PE | cr0::PG | cr0::WP, .cr3 = 0x1000, .cr4 = cr4::PGE};
    r.cr4 |= mode == Mode::bits32 ? cr4::PSE : cr4::PAE;
    if (mode == Mode::level5) r.cr4 |= cr4::LA57;
    if (mode != Mode::bits32) r.efer |= efer::NXE;
    if (mode == Mode::level4 || mode == Mode::level5) r.efer |= efer::LMA;
    return r;
}

/// Registers, memory and the core's view of both.
struct Machine {
    ControlRegisters registers;
    FakeMemory memory;

    explicit Machine(Mode mode) : registers(registers_of(mode)) {}

    void set(std::uint64_t table, unsigned index, std::uint64_t raw) {
        const unsigned bytes = paging_mode(registers) == Mode::bits32 ? 4 : 8;
        memory.put(table + std::uint64_t{index} * bytes, raw, bytes);
    }
    /// Entries first .. last: raw, raw + step, ...
    void fill(std::uint64_t table, unsigned first, unsigned last, std::uint64_t raw,
              std::uint64_t step = 0) {
        for (unsigned i = first; i <= last; ++i, raw += step) set(table, i, raw);
    }

    /// Compiled anew by every call; walks point into it.
    const X86Paging& paging() {
        paging_ = std::make_unique<X86Paging>(registers);
        return *paging_;
    }
    Walk walk(std::uint64_t va) {
        const X86Paging& p = paging();
        return ptmap::walk(p, p.root(), {va}, memory);
    }
    Tables scan(const Interval& window = {},
                std::size_t max_tables = std::numeric_limits<std::size_t>::max()) {
        const X86Paging& p = paging();
        return ptmap::scan(p, p.root(), memory, window, max_tables);
    }
    Map map(const MapOptions& options = {}) { return make_map(scan(options.window), options); }

private:
    std::unique_ptr<X86Paging> paging_;
};

inline constexpr std::array<Mode, 4> all_modes{Mode::bits32, Mode::pae, Mode::level4, Mode::level5};

/// For the names of parameterized tests: letters and digits only.
inline std::string test_name(std::string_view text) {
    std::string name;
    for (const char c : text) name += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
    return name;
}

}  // namespace ptmap
