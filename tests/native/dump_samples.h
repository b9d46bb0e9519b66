// Dumps as QEMU's dump-guest-memory writes them, or a crashed Linux and makedumpfile, made here: of
// any size, and with what these never do. Where the fields are is from QEMU's dump/dump.c and
// target/i386/arch_dump.c; tests/gdb has QEMU's own and Linux's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
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
    std::map<std::uint64_t, Bytes> contents;  // of pages that are not page_at()
    std::vector<SampleCpu> cpus{SampleCpu{}};
    std::string vmcoreinfo;  // "" if it is no crash dump
    bool prstatus_64 = true;
    bool class_64 = true;
    bool zlib = true;  // kdump: every second page
};

/// A crash dump has a note for each CPU, but none of QEMU's.
SampleDump crash_dump(std::string vmcoreinfo);
/// What the VMCOREINFO of Linux 6.12 says of its tables, and lines around it.
inline constexpr const char* sample_vmcoreinfo =
    "OSRELEASE=6.12.117+deb13-cloud-amd64\n"
    "BUILD-ID=3bde3ce03156c39bec3310fbdd6bd14bfbefb62e\n"
    "PAGESIZE=4096\n"
    "SYMBOL(swapper_pg_dir)=ffffffff82c01000\n"
    "NUMBER(phys_base)=-46137344\n"
    "SYMBOL(init_top_pgt)=ffffffff82c01000\n"
    "NUMBER(pgtable_l5_enabled)=0\n"
    "KERNELOFFSET=22200000\n"
    "NUMBER(sme_mask)=0\n"
    "CRASHTIME=1796110716\n";
inline constexpr std::uint64_t sample_root = 0x1000;  // which it tells

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
