#include "sources/vmcoreinfo.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

namespace ptmap {
namespace {

// arch/x86/include/asm/page_64_types.h, __START_KERNEL_map: where the kernel's image is mapped.
// Its physical address is lower by this, and higher by phys_base.
constexpr std::uint64_t image_map = 0xffffffff80000000;
constexpr std::size_t longest_release = 64;  // struct new_utsname
constexpr std::uint64_t max_physical = std::uint64_t{1} << 52, page = 4096;

class Lines {
public:
    explicit Lines(std::string_view text) : text_(text.substr(0, text.find('\0'))) {}

    // The value of a key. A key with two values has none.
    std::optional<std::string_view> value(std::string_view key) {
        std::optional<std::string_view> found;
        for (std::string_view rest = text_; !rest.empty();) {
            const std::string_view line = rest.substr(0, rest.find('\n'));
            rest.remove_prefix(std::min(line.size() + 1, rest.size()));
            if (!line.starts_with(key) || line.substr(key.size(), 1) != "=") continue;
            const std::string_view here = line.substr(key.size() + 1);
            if (found && *found != here) {
                add_problem(key, "has two values");
                return std::nullopt;
            }
            found = here;
        }
        return found;
    }

    // Negative numbers wrap around.
    std::optional<std::uint64_t> number(std::string_view key, int base) {
        const auto text = value(key);
        if (!text) return std::nullopt;
        std::uint64_t number = 0;
        const bool negative = text->starts_with('-');
        const char* const end = text->data() + text->size();
        const auto read = std::from_chars(text->data() + negative, end, number, base);
        if (read.ec == std::errc{} && read.ptr == end) return negative ? 0 - number : number;
        add_problem(key, "is not a number of 64 bits");
        return std::nullopt;
    }

    void add_problem(std::string_view key, std::string_view why) {
        if (problem.empty())
            problem.append("its VMCOREINFO tells no root: ").append(key).append(" ").append(why);
    }

    std::string problem;  // the first one

private:
    std::string_view text_;
};

}  // namespace

bool is_sound_vmcoreinfo(std::span<const std::byte> text) {
    std::string_view rest(reinterpret_cast<const char*>(text.data()), text.size());
    while (!rest.empty()) {
        const std::string_view line = rest.substr(0, rest.find('\n'));
        if (const std::size_t at = line.find('='); at == 0 || at == line.npos) return false;
        if (line.starts_with("PAGESIZE=") && line != "PAGESIZE=4096") return false;
        rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    }
    return true;
}

Vmcoreinfo read_vmcoreinfo(std::span<const std::byte> text) {
    Lines lines({reinterpret_cast<const char*>(text.data()), text.size()});
    Vmcoreinfo info;
    info.release = lines.value("OSRELEASE").value_or("").substr(0, longest_release);

    // Two names of one variable; either may be missing.
    std::string_view symbol = "SYMBOL(init_top_pgt)";
    auto linear = lines.number(symbol, 16);
    if (!linear) linear = lines.number(symbol = "SYMBOL(swapper_pg_dir)", 16);
    const auto base = lines.number("NUMBER(phys_base)", 10);
    const std::uint64_t level5 = lines.number("NUMBER(pgtable_l5_enabled)", 10).value_or(0);
    const std::uint64_t encryption = lines.number("NUMBER(sme_mask)", 10).value_or(0);

    if (!linear) lines.add_problem(symbol, "is missing");
    if (linear && *linear >> 32 == 0) lines.add_problem(symbol, "is a 32-bit kernel's");
    if (linear && *linear < image_map) lines.add_problem(symbol, "is not in the kernel's image");
    if (!base) lines.add_problem("NUMBER(phys_base)", "is missing");
    if (level5 > 1) lines.add_problem("NUMBER(pgtable_l5_enabled)", "is neither 0 nor 1");
    if (encryption) lines.add_problem("NUMBER(sme_mask)", "is not 0: the tables are encrypted");
    info.root = linear.value_or(0) - image_map + base.value_or(0);
    if (info.root % page || info.root >= max_physical)
        lines.add_problem("NUMBER(phys_base)", "puts it where no root can be");
    info.five_level = level5 == 1;
    info.problem = lines.problem;
    return info;
}

}  // namespace ptmap
