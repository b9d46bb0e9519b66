#include "elf/versions.h"

#include <algorithm>

namespace ptmap::elf {
namespace {

constexpr unsigned index_bits = 0x7fff;  // the bit above hides a symbol from lookups by name alone
constexpr std::string_view damaged = "symbol versions are damaged or missing";

}  // namespace

Versions::Versions(const File& file, const Dynamic& dynamic, const Strings& strings,
                   std::uint64_t symbols, std::span<const FilePart> others, Problems& problems) {
    const auto names = dynamic.offset(DT_VERDEF), count = dynamic.value(DT_VERDEFNUM);
    const auto indices = dynamic.offset(DT_VERSYM);
    if (!names && !count && !indices) return;
    // An image may have DT_VERSYM only for versions that it needs.
    const bool defined =
        (!names && !count) || (names && count && take_definitions(file, *names, *count, strings));
    const bool good = indices && take_indices(file, *indices, symbols, others) && defined;
    if (!good) problems.add(damaged);
}

// Whether all definitions are valid. Valid ones are kept anyway: each has a hash of its name.
bool Versions::take_definitions(const File& file, std::uint64_t offset, std::uint64_t count,
                                const Strings& strings) {
    if (offset >= file.given() || count > index_bits) return false;
    Elf_Data* data = file.chunk(offset, file.given() - offset, ELF_T_VDEF);
    if (!data) return false;
    bool good = true;
    std::uint64_t at = 0;
    definitions_ = {offset, 0};
    for (std::uint64_t i = 0; i < count; ++i) {
        GElf_Verdef definition;
        if (at % 4 || at + sizeof(Elf64_Verdef) > data->d_size ||
            !gelf_getverdef(data, static_cast<int>(at), &definition))
            return false;
        definitions_.size = std::max(definitions_.size, at + sizeof(Elf64_Verdef));
        good &= take_definition(data, at, definition, strings);
        const bool last = i + 1 == count;
        if (last != (definition.vd_next == 0)) return false;
        if (!last && definition.vd_next < sizeof(Elf64_Verdef)) return false;
        at += definition.vd_next;
    }
    return good;
}

bool Versions::take_definition(Elf_Data* data, std::uint64_t offset, const GElf_Verdef& definition,
                               const Strings& strings) {
    const std::uint64_t at = offset + definition.vd_aux;
    GElf_Verdaux name;
    if (definition.vd_version != VER_DEF_CURRENT || definition.vd_cnt == 0 || at % 4 ||
        at + sizeof(Elf64_Verdaux) > data->d_size ||
        !gelf_getverdaux(data, static_cast<int>(at), &name))
        return false;
    definitions_.size = std::max(definitions_.size, at + sizeof(Elf64_Verdaux));
    const auto string = strings.at(name.vda_name);
    if (!string || elf_hash(std::string(*string).c_str()) != definition.vd_hash) return false;
    if (definition.vd_flags & VER_FLG_BASE) {
        base_ = *string;
        return definition.vd_ndx == VER_NDX_GLOBAL;
    }
    if (definition.vd_ndx <= VER_NDX_GLOBAL || definition.vd_ndx > index_bits) return false;
    const auto [known, is_new] = names_.emplace(definition.vd_ndx, *string);
    if (!is_new) known->second.clear();
    return is_new;
}

bool Versions::take_indices(const File& file, std::uint64_t offset, std::uint64_t symbols,
                            std::span<const FilePart> others) {
    const auto over = [&](const FilePart& p) { return overlap({offset, 2 * symbols}, p); };
    const auto indices = file.integers<std::uint16_t>(offset, symbols);
    // Symbol 0 is the null symbol, so that a table with another first index is another table.
    if (indices.empty() || indices[0] != VER_NDX_LOCAL || over(definitions_) ||
        std::ranges::any_of(others, over))
        return false;
    indices_ = indices;
    return true;
}

std::string Versions::of(std::uint64_t symbol, Problems& problems) const {
    if (symbol >= indices_.size()) return {};
    const unsigned index = indices_[symbol] & index_bits;
    if (index == VER_NDX_GLOBAL) return {};
    // Index 0 (local) has no name either: a global symbol does not have it.
    const auto name = names_.find(index);
    if (name != names_.end() && !name->second.empty()) return name->second;
    problems.add(damaged);
    return {};
}

}  // namespace ptmap::elf
