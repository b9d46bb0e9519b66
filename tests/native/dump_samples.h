// Dumps as QEMU's dump-guest-memory writes them, made here: of any size, and with what QEMU never
// does. Where the fields are is from QEMU's dump/dump.c and target/i386/arch_dump.c; tests/gdb has
// QEMU's own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace ptmap {

using Bytes = std::vector<std::byte>;

/// A CPU's note, with the values in it that tests look for.
struct SampleCpu {
    std::uint64_t cr0 = 0x80010011, cr2 = 0xdead000, cr3 = 0x1000, cr4 = 0x20;
    std::uint64_t rflags = 0x246, rip = 0xffffffff81000000, rsp = 0xffffc90000003000;
    std::uint32_t cs_flags = 0x00a09b00;  // 64-bit code
};

/// Pages at these addresses are in the dump; each begins with its own address, which no two share.
struct SampleDump {
    std::vector<std::uint64_t> pages{0x0000, 0x1000, 0x2000, 0x5000, 0x100000, 0x123456000};
    std::vector<SampleCpu> cpus{SampleCpu{}};
    bool prstatus_64 = true;
    bool class_64 = true;
    bool zlib = true;  // kdump: every second page
};

Bytes page_at(std::uint64_t address);
Bytes notes_of(const SampleDump& dump);
Bytes elf_dump(const SampleDump& dump);
Bytes kdump_file(const SampleDump& dump);
/// A dump as makedumpfile -F writes it: some records for places out of order.
Bytes flattened(const Bytes& dump);

/// A file with these bytes, gone with this object.
class TemporaryFile {
public:
    explicit TemporaryFile(std::span<const std::byte> bytes);
    ~TemporaryFile();
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;

    void write(std::span<const std::byte> bytes) const;
    void resize(std::uint64_t size) const { std::filesystem::resize_file(path_, size); }
    std::string path() const { return path_; }

private:
    std::filesystem::path path_;
};

}  // namespace ptmap
