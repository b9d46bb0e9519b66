#include "elf/kernel_file.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include "elf/elf_file.h"

namespace ptmap::elf {
namespace {

constexpr std::size_t longest_banner = 512;
constexpr std::string_view banner_begins = "Linux version ";

struct KernelSection {
    Elf_Scn* handle;
    GElf_Shdr header;
    std::string_view name;
};

class KernelFileReader {
public:
    explicit KernelFileReader(int file) : file_(file), elf_(open_elf_file(file)) {
        read_sections();
    }

    KernelFile read() {
        KernelFile kernel{};
        find_symbols(kernel);
        kernel.banner = banner(kernel.banner_at);
        for (const KernelSection& section : sections_)
            if (section.name == ".data..percpu")
                kernel.per_cpu_from_zero = section.header.sh_addr == 0;
        return kernel;
    }

private:
    void read_sections() {
        std::size_t names = 0;
        if (elf_getshdrstrndx(elf_.get(), &names) != 0) throw not_a_kernel();
        for (Elf_Scn* at = elf_nextscn(elf_.get(), nullptr); at; at = elf_nextscn(elf_.get(), at)) {
            GElf_Shdr header;
            if (!gelf_getshdr(at, &header)) throw not_a_kernel();
            const char* const name = elf_strptr(elf_.get(), names, header.sh_name);
            sections_.push_back({at, header, name ? name : ""});
        }
    }

    void find_symbols(KernelFile& kernel) const {
        using Wanted = std::pair<std::string_view, std::uint64_t*>;
        const std::array wanted{Wanted("_text", &kernel.text), Wanted("_end", &kernel.end),
                                Wanted("linux_banner", &kernel.banner_at),
                                Wanted("__init_begin", &kernel.init_begin),
                                Wanted("__init_end", &kernel.init_end)};
        std::size_t found = 0;
        for (const KernelSection& section : sections_) {
            if (section.header.sh_type != SHT_SYMTAB) continue;
            Elf_Data* const symbols = elf_getdata(section.handle, nullptr);
            if (!symbols || section.header.sh_entsize == 0) throw not_a_kernel();
            const auto count = static_cast<int>(
                std::min<std::uint64_t>(symbols->d_size / section.header.sh_entsize, 1 << 26));
            for (int i = 0; i < count && found < wanted.size(); ++i) {
                GElf_Sym symbol;
                if (!gelf_getsym(symbols, i, &symbol)) break;
                if (GELF_ST_BIND(symbol.st_info) != STB_GLOBAL || symbol.st_shndx == SHN_UNDEF)
                    continue;
                const char* const name =
                    elf_strptr(elf_.get(), section.header.sh_link, symbol.st_name);
                if (!name) continue;
                for (const auto& [known, address] : wanted) {
                    if (known != name || *address != 0) continue;
                    *address = symbol.st_value;
                    ++found;
                }
            }
        }
        if (!kernel.text || !kernel.end || !kernel.banner_at) throw not_a_kernel();
    }

    std::string banner(std::uint64_t address) const {
        std::string text(longest_banner, '\0');
        if (const auto offset = offset_of(address)) text.resize(read_at(*offset, text));
        text.resize(std::min(text.find_first_of(std::string_view("\0\n", 2)), text.size()));
        if (!text.starts_with(banner_begins)) throw not_a_kernel();
        return text;
    }

    std::optional<std::uint64_t> offset_of(std::uint64_t address) const {
        for (const auto& [handle, header, name] : sections_)
            if (header.sh_flags & SHF_ALLOC && header.sh_type != SHT_NOBITS &&
                address >= header.sh_addr && address - header.sh_addr < header.sh_size)
                return header.sh_offset + (address - header.sh_addr);
        return std::nullopt;
    }

    // Bytes read; fewer than `to` has room for at the file's end.
    std::size_t read_at(std::uint64_t offset, std::string& to) const {
        const auto got = ::pread(file_, to.data(), to.size(), static_cast<off_t>(offset));
        return got > 0 ? static_cast<std::size_t>(got) : 0;
    }

    static std::invalid_argument not_a_kernel() {
        return std::invalid_argument("not a Linux kernel with symbols (a vmlinux is)");
    }

    int file_;
    FileHandle elf_;
    std::vector<KernelSection> sections_;
};

}  // namespace

KernelFile read_kernel_file(int file) { return KernelFileReader(file).read(); }

}  // namespace ptmap::elf
