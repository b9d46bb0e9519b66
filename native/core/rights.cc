#include "core/rights.h"

namespace ptmap {

std::string_view name(MemoryType type) {
    static constexpr std::array<std::string_view, 10> names{
        "UC", "WC", "WT", "WP", "WB", "UC-", "PAT1", "PAT5", "PAT7", "reserved"};
    return names[static_cast<std::size_t>(type)];
}

std::array<MemoryType, 8> memory_types(std::optional<std::uint64_t> pat) {
    using enum MemoryType;
    if (!pat) return {WB, PAT1, UC_minus, UC, WB, PAT5, UC_minus, PAT7};
    // SDM Table 11-10: the encodings of an entry of IA32_PAT; 2 and 3 are reserved.
    static constexpr std::array<MemoryType, 8> encodings{UC, WC, invalid, invalid,
                                                         WT, WP, WB,      UC_minus};
    std::array<MemoryType, 8> types;
    for (unsigned slot = 0; slot < 8; ++slot) {
        const unsigned code = *pat >> (8 * slot) & 0xff;
        types[slot] = code < 8 ? encodings[code] : invalid;
    }
    return types;
}

}  // namespace ptmap
