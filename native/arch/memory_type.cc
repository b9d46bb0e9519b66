#include "arch/memory_type.h"

namespace ptmap {

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
