// libelf's handle on an image, behind checks of everything that it is asked for.
#pragma once

#include <gelf.h>

#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

#include "elf/elf_file.h"
#include "elf/image.h"
#include "elf/problems.h"
#include "paging/file_part.h"

namespace ptmap::elf {

/// The headers of an image and typed access to its bytes. Offsets and sizes are in bytes and may be
/// anything; whatever is not wholly within the given bytes counts as missing.
class File {
public:
    /// Copies the bytes: libelf wants them aligned and may change them. Error: as read().
    explicit File(std::span<const std::byte> bytes);

    Abi abi() const { return abi_; }
    std::uint64_t given() const { return given_; }
    /// Link address minus offset, which must be the same for all segments.
    std::uint64_t base() const { return base_; }
    const std::vector<GElf_Phdr>& segments() const { return segments_; }
    /// Empty if there is no table of sections.
    const std::vector<GElf_Shdr>& sections() const { return sections_; }

    /// The end of the ELF header and the program headers, an offset.
    std::uint64_t headers_end() const { return headers_end_; }

    /// As Image::size. Adds implausible headers and missing bytes to `problems`.
    std::uint64_t size(Problems& problems) const;

    /// The size of one such structure in this image.
    std::uint64_t entry_size(Elf_Type type) const;

    /// Data for libelf's gelf_get...(); null unless all of it is there and aligned for its type.
    /// Lives as long as the File.
    Elf_Data* chunk(std::uint64_t offset, std::uint64_t size, Elf_Type type) const;

    /// `count` integers; empty if chunk() would be null.
    template <typename Integer>
    std::span<const Integer> integers(std::uint64_t offset, std::uint64_t count) const {
        static_assert(std::is_same_v<Integer, Elf32_Half> || std::is_same_v<Integer, Elf32_Word>);
        constexpr Elf_Type type = sizeof(Integer) == 2 ? ELF_T_HALF : ELF_T_WORD;
        if (count == 0 || count > given_) return {};
        const Elf_Data* data = chunk(offset, count * sizeof(Integer), type);
        if (!data) return {};
        return {static_cast<const Integer*>(data->d_buf), static_cast<std::size_t>(count)};
    }

private:
    FileHandle open(std::uint64_t size);
    GElf_Ehdr read_header();
    void read_segments(const GElf_Ehdr& header);
    void read_sections(const GElf_Ehdr& header);
    void hide_sections();

    std::vector<std::uint64_t> storage_;  // 64-bit, to be aligned
    std::uint64_t given_;
    FileHandle elf_;
    Abi abi_{};
    std::uint64_t base_ = 0;
    std::vector<GElf_Phdr> segments_;
    std::vector<GElf_Shdr> sections_;
    std::uint64_t headers_end_ = 0;
    std::uint64_t section_table_end_ = 0;  // an offset; 0: there is none
    bool section_table_damaged_ = false;   // the ELF header's words about it make no sense
};

}  // namespace ptmap::elf
