// The dynamic section: where an image's tables are.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string_view>

#include "elf/file.h"

namespace ptmap::elf {

/// Entries of PT_DYNAMIC. Those that tell of an address which a section header contradicts are
/// left out: it is not known which of both is right.
class Dynamic {
public:
    /// Nothing where there is none, or not all of it, or it makes no sense.
    static std::optional<Dynamic> read(const File& file, Problems& problems);

    /// What an entry (DT_STRSZ) holds; nothing where there is none.
    std::optional<std::uint64_t> value(GElf_Sxword tag) const;

    /// The offset that an entry with an address (DT_SYMTAB) leads to. May be anything.
    std::optional<std::uint64_t> offset(GElf_Sxword tag) const;

    bool has(GElf_Sxword tag) const { return entries_.contains(tag); }

private:
    Dynamic() = default;
    bool take_entries(const File& file, const GElf_Phdr& segment);
    void drop_contradicted(const File& file, Problems& problems);

    std::uint64_t base_ = 0;
    std::map<GElf_Sxword, std::uint64_t> entries_;
};

/// The string table (DT_STRTAB), which is there only if all of it is.
class Strings {
public:
    Strings() = default;  ///< has none
    Strings(const File& file, const Dynamic& dynamic);

    explicit operator bool() const { return !bytes_.empty(); }

    /// The string at an offset in the table; nothing where there is none, or one that no linker
    /// makes: empty, of more than 255 bytes, or with bytes that are not printable ASCII.
    std::optional<std::string_view> at(std::uint64_t offset) const;

    /// Whether a string begins there, not only the tail of one.
    bool begins_at(std::uint64_t offset) const;

private:
    std::string_view bytes_;
};

}  // namespace ptmap::elf
