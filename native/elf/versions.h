// Which version of an image's interface a symbol belongs to.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "elf/dynamic.h"

namespace ptmap::elf {

/// DT_VERSYM, an index for each symbol, and DT_VERDEF, the names of the indices (LSB, "Symbol
/// Versioning").
class Versions {
public:
    /// `others`: places of the image's other tables. A table that overlaps one is not DT_VERSYM.
    Versions(const File& file, const Dynamic& dynamic, const Strings& strings,
             std::uint64_t symbols, std::span<const FilePart> others, Problems& problems);

    /// The version of a global symbol; empty if it has none. If it is not certain, also empty, with
    /// a problem.
    std::string of(std::uint64_t symbol, Problems& problems) const;

    /// The name of the image, from its base definition; nothing if there is none.
    const std::optional<std::string>& base() const { return base_; }

private:
    bool take_definitions(const File& file, std::uint64_t offset, std::uint64_t count,
                          const Strings& strings);
    bool take_definition(Elf_Data* data, std::uint64_t offset, const GElf_Verdef& definition,
                         const Strings& strings);
    bool take_indices(const File& file, std::uint64_t offset, std::uint64_t symbols,
                      std::span<const FilePart> others);

    std::span<const std::uint16_t> indices_;  // by symbol; of the File
    std::map<unsigned, std::string> names_;   // by index; empty if it is defined twice
    std::optional<std::string> base_;
    FilePart definitions_{0, 0};  // the place of DT_VERDEF
};

}  // namespace ptmap::elf
