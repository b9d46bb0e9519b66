#include "elf/image.h"

#include <algorithm>
#include <map>
#include <optional>
#include <stdexcept>

#include "elf/dynamic.h"
#include "elf/file.h"
#include "elf/hash_tables.h"
#include "elf/problems.h"
#include "elf/versions.h"

namespace ptmap::elf {
namespace {

constexpr std::string_view gnu{ELF_NOTE_GNU, sizeof ELF_NOTE_GNU};  // with its NUL
constexpr std::size_t max_build_id = 64;  // bytes; SHA-1, which Linux has, gives 20

bool is_zero(std::byte b) { return b == std::byte{0}; }

// The build id in the notes of a segment, or nothing. Sets `good` to false if the notes do not end
// with the segment, or the id is not valid.
std::vector<std::byte> build_id_in(const File& file, const GElf_Phdr& segment, bool& good) {
    std::vector<std::byte> found;
    Elf_Data* data = file.chunk(segment.p_offset, segment.p_filesz,
                                segment.p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR);
    good = data != nullptr;
    for (std::size_t at = 0; data && at < data->d_size;) {
        GElf_Nhdr note;
        std::size_t name, content;
        const std::size_t next = gelf_getnote(data, at, &note, &name, &content);
        good = next > at;
        if (!good) return {};
        at = next;
        const auto* bytes = static_cast<const std::byte*>(data->d_buf);
        const std::string_view owner(reinterpret_cast<const char*>(bytes) + name, note.n_namesz);
        if (note.n_type != NT_GNU_BUILD_ID || owner != gnu) continue;
        found.assign(bytes + content, bytes + content + note.n_descsz);
    }
    // Its length is a hash's. A hash is never all zeros: those are bytes that are missing.
    good = found.size() <= max_build_id && found.size() % 4 == 0 &&
           (found.empty() || !std::ranges::all_of(found, is_zero));
    return good ? found : std::vector<std::byte>{};
}

std::vector<std::byte> build_id_of(const File& file, Problems& problems) {
    for (const GElf_Phdr& segment : file.segments()) {
        if (segment.p_type != PT_NOTE) continue;
        bool good = true;
        std::vector<std::byte> id = build_id_in(file, segment, good);
        if (!good) problems.add("notes are damaged or missing");
        if (!id.empty()) return id;
    }
    return {};
}

// The image's name. Version definitions, if there are any, have it too, with a hash, and must
// agree. Without them it must be a whole string: no linker uses the tail of one.
std::string soname_of(const Dynamic& dynamic, const Strings& strings, const Versions& versions,
                      Problems& problems) {
    const auto offset = dynamic.value(DT_SONAME);
    if (!offset) return {};
    const auto name = strings.at(*offset);
    if (name && (dynamic.has(DT_VERDEF) ? name == versions.base() : strings.begins_at(*offset)))
        return std::string(*name);
    problems.add("SONAME is damaged or missing");
    return {};
}

// Linux's names tell the image's ABI; a damaged header must not contradict them.
void check_abi(Abi abi, std::string_view soname) {
    const bool is_32 = abi == Abi::bits32;
    if ((soname == "linux-gate.so.1" && !is_32) || (soname == "linux-vdso.so.1" && is_32))
        throw std::invalid_argument("the ELF header says " + std::string(name(abi)) +
                                    " and the SONAME, " + std::string(soname) +
                                    ", is another kind's");
}

// The symbol table, and the checks that a symbol must pass.
class Symbols {
public:
    Symbols(const File& file, const Dynamic& dynamic, const Strings& strings,
            const HashTables& hashes)
        : file_(file), strings_(strings), hashes_(hashes) {
        const auto offset = dynamic.offset(DT_SYMTAB), entry = dynamic.value(DT_SYMENT);
        const std::uint64_t size = file.entry_size(ELF_T_SYM);
        if (!offset || entry != size) return;
        data_ = file.chunk(*offset, hashes.symbols() * size, ELF_T_SYM);
        // Symbol 0 is the null symbol, so that a table with another first entry is another table.
        if (data_ && !std::ranges::all_of(bytes().first(size), is_zero)) data_ = nullptr;
        if (!data_) return;
        place_ = {*offset, data_->d_size};
        count_ = hashes.symbols();
        // A hash's remainder often fits a wrong name, but not for all symbols of many.
        usable_ = hashes.gnu() || all_are_found();
    }

    std::uint64_t count() const { return count_; }
    const std::optional<FilePart>& place() const { return place_; }

    /// `tables`: the parts of the image that are not code.
    std::vector<Function> functions(const Versions& versions, std::span<const FilePart> tables,
                                    Problems& problems) const {
        std::vector<Function> functions;
        if (!data_ || !strings_ || !usable_) {
            problems.add("the symbol table is damaged or missing");
            return functions;
        }
        for (std::uint64_t i = 1; i < count_; ++i) {
            const GElf_Sym symbol = at(i);
            if (!is_function(symbol)) continue;
            const auto name = name_of(i, symbol);
            const std::uint64_t offset = symbol.st_value - file_.base();
            if (name && is_code({offset, symbol.st_size}, tables))
                functions.push_back({std::string(*name), offset, symbol.st_size,
                                     versions.of(i, problems),
                                     GELF_ST_BIND(symbol.st_info) == STB_WEAK});
            else
                problems.add("symbols are damaged");
        }
        if (drop_doubles(functions)) problems.add("symbols are damaged");
        return functions;
    }

private:
    std::span<const std::byte> bytes() const {
        return {static_cast<const std::byte*>(data_->d_buf), data_->d_size};
    }

    GElf_Sym at(std::uint64_t i) const {
        GElf_Sym symbol{};
        gelf_getsym(data_, static_cast<int>(i), &symbol);
        return symbol;
    }

    static bool is_global(const GElf_Sym& symbol) {
        const unsigned binding = GELF_ST_BIND(symbol.st_info);
        return binding == STB_GLOBAL || binding == STB_WEAK;
    }

    static bool is_function(const GElf_Sym& symbol) {
        return is_global(symbol) && GELF_ST_TYPE(symbol.st_info) == STT_FUNC &&
               symbol.st_shndx != SHN_UNDEF && symbol.st_shndx < SHN_LORESERVE;
    }

    // Nothing if no hash table finds the symbol by its name.
    std::optional<std::string_view> name_of(std::uint64_t i, const GElf_Sym& symbol) const {
        const auto name = strings_.at(symbol.st_name);
        const auto odd = [](char c) {
            constexpr std::string_view others = "_.$@";
            return !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
                   others.find(c) == others.npos;
        };
        if (!name || std::ranges::any_of(*name, odd) || !hashes_.find(i, *name))
            return std::nullopt;
        return name;
    }

    bool all_are_found() const {
        for (std::uint64_t i = 1; i < count_; ++i)
            if (const GElf_Sym symbol = at(i); is_global(symbol) && !name_of(i, symbol))
                return false;
        return true;
    }

    // Whether all of it is in an executable segment, and in a section of code if sections are
    // known, and none of it overlaps a table.
    bool is_code(const FilePart& code, std::span<const FilePart> tables) const {
        const auto holds = [&](const GElf_Phdr& s) {
            return s.p_type == PT_LOAD && (s.p_flags & PF_X) &&
                   contains({s.p_offset, s.p_filesz}, code);
        };
        const auto is_over = [&](const FilePart& table) { return overlap(code, table); };
        // All of Linux's functions have a size. A size or offset of 0 is a missing byte.
        return code.size > 0 && std::ranges::any_of(file_.segments(), holds) &&
               std::ranges::none_of(tables, is_over) && sections_allow(code);
    }

    // st_shndx is not used: a program that strips section headers may leave it wrong.
    bool sections_allow(const FilePart& code) const {
        bool any = false;
        for (const GElf_Shdr& section : file_.sections()) {
            if (section.sh_type != SHT_PROGBITS || !(section.sh_flags & SHF_EXECINSTR)) continue;
            if (contains({section.sh_addr - file_.base(), section.sh_size}, code)) return true;
            any = true;
        }
        return !any;
    }

    // If two have the same name one of them is wrong, and it is not known which.
    static bool drop_doubles(std::vector<Function>& functions) {
        std::map<std::string, unsigned> uses;
        for (const Function& function : functions) ++uses[function.name];
        return std::erase_if(functions, [&](const Function& f) { return uses[f.name] > 1; }) > 0;
    }

    const File& file_;
    const Strings& strings_;
    const HashTables& hashes_;
    Elf_Data* data_ = nullptr;
    std::uint64_t count_ = 0;
    std::optional<FilePart> place_;
    bool usable_ = false;
};

// The places of the headers and tables, except DT_VERSYM's.
std::vector<FilePart> places(const File& file, const Dynamic& dynamic, const HashTables& hashes,
                             const Symbols& symbols) {
    std::vector<FilePart> places{{0, file.headers_end()}};
    for (const GElf_Phdr& segment : file.segments())
        if (segment.p_type == PT_DYNAMIC) places.push_back({segment.p_offset, segment.p_filesz});
    if (symbols.place()) places.push_back(*symbols.place());
    if (const auto at = dynamic.offset(DT_STRTAB), size = dynamic.value(DT_STRSZ); at && size)
        places.push_back({*at, *size});
    if (const auto at = dynamic.offset(DT_VERDEF))
        places.push_back({*at, file.entry_size(ELF_T_VDEF)});
    if (hashes.sysv()) places.push_back({*dynamic.offset(DT_HASH), hashes.sysv()->bytes()});
    if (hashes.gnu()) places.push_back({*dynamic.offset(DT_GNU_HASH), hashes.gnu()->bytes()});
    return places;
}

void read_dynamic(const File& file, const Dynamic& dynamic, Image& image, Problems& problems) {
    const Strings strings(file, dynamic);
    if (!strings) problems.add("the string table is damaged or missing");
    const HashTables hashes(file, dynamic, problems);
    const Symbols symbols(file, dynamic, strings, hashes);
    const auto tables = places(file, dynamic, hashes, symbols);
    const Versions versions(file, dynamic, strings, symbols.count(), tables, problems);
    image.soname = soname_of(dynamic, strings, versions, problems);
    check_abi(image.abi, image.soname);
    image.functions = symbols.functions(versions, tables, problems);
}

}  // namespace

std::string_view name(Abi abi) {
    static constexpr std::string_view names[]{"64-bit", "32-bit", "x32"};
    return names[static_cast<std::size_t>(abi)];
}

bool Image::is_vdso() const {
    const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
    for (const std::string_view word : {"vdso.so", "gate.so"}) {
        for (std::size_t at = soname.find(word); at != soname.npos;
             at = soname.find(word, at + 1)) {
            const std::size_t end = at + word.size();
            if ((at == 0 || !is_letter(soname[at - 1])) &&
                (end == soname.size() || soname[end] == '.'))
                return true;
        }
    }
    return false;
}

Image read(std::span<const std::byte> bytes) {
    const File file(bytes);
    Problems problems;
    Image image{file.abi(), file.base(), file.size(problems)};
    image.build_id = build_id_of(file, problems);
    const auto dynamic = Dynamic::read(file, problems);
    image.dynamic = dynamic.has_value();
    if (dynamic) read_dynamic(file, *dynamic, image, problems);
    image.problems = problems.take();
    return image;
}

}  // namespace ptmap::elf
