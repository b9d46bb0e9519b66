// The dynamic section: where an image's tables are.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string_view>

#include "elf/file.h"

namespace ptmap::elf {

/// Entries of PT_DYNAMIC. An address that a section header contradicts is left out, because it is
/// not known which of the two is right.
class Dynamic {
public:
    /// Nothing if the section is missing, incomplete or invalid.
    static std::optional<Dynamic> read(const File& file, Problems& problems);

    /// The value of an entry (DT_STRSZ); nothing if there is no such entry.
    std::optional<std::uint64_t> value(GElf_Sxword tag) const;

    /// The offset of an entry's address (DT_SYMTAB). May be anything.
    std::optional<std::uint64_t> offset(GElf_Sxword tag) const;

    bool has(GElf_Sxword tag) const { return entries_.contains(tag); }

private:
    Dynamic() = default;
    bool take_entries(const File& file, const GElf_Phdr& segment);
    void drop_contradicted(const File& file, Problems& problems);

    std::uint64_t base_ = 0;
    std::map<GElf_Sxword, std::uint64_t> entries_;
};

/// The string table (DT_STRTAB); empty unless all of it is there.
class Strings {
public:
    Strings() = default;  ///< empty
    Strings(const File& file, const Dynamic& dynamic);

    explicit operator bool() const { return !bytes_.empty(); }

    /// The string at an offset in the table; nothing if there is none, or if no linker would make
    /// it: empty, longer than 255 bytes, or with bytes that are not printable ASCII.
    std::optional<std::string_view> at(std::uint64_t offset) const;

    /// Whether a string begins there, not only the tail of one.
    bool begins_at(std::uint64_t offset) const;

private:
    std::string_view bytes_;
};

}  // namespace ptmap::elf
