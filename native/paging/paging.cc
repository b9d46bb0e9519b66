#include "paging/paging.h"

#include <algorithm>

namespace ptmap {

std::string_view sdm_name(const NamedBits& named) {
    const Field& f = *named.field;
    const bool is_nameless = f.role == Role::address || f.role == Role::reserved ||
                             f.role == Role::ignored || f.role == Role::must_be_zero_at_load;
    // The rows' names for these are not bits' names: "rsvd", "ign", or the address's. Only PS has a
    // name even if it is reserved or ignored.
    return is_nameless && f.name != std::string_view("PS") ? "" : f.name;
}

std::vector<unsigned> bit_numbers(const NamedBits& named) {
    std::vector<unsigned> numbers;
    for (unsigned bit = 0; bit < named.field->width; ++bit)
        if (named.value >> bit & 1) numbers.push_back(named.field->low + bit);
    return numbers;
}

std::string bit_name(const NamedBits& named) {
    if (const std::string_view name = sdm_name(named); !name.empty()) return std::string(name);
    const std::vector<unsigned> numbers = bit_numbers(named);
    std::string name = numbers.size() == 1 ? "bit " : "bits ";
    for (const unsigned& bit : numbers)
        name.append(&bit == &numbers.front() ? "" : ",").append(std::to_string(bit));
    return name;
}

Paging::Paging(const Format& format, const Features& features)
    : features_(features), format_(&format) {
    for (const Level& level : format_->levels) {
        PagingLevel compiled;
        compiled.level = &level;
        compiled.page_when = features.has(level.page_need) ? level.page_when : 0;
        compiled.table = compile(level.table);
        compiled.page = compile(level.page);
        const EntryRules& page = compiled.page;
        compiled.page_decides = 1 | compiled.page_when | page.reserved | page.user | page.write |
                                page.no_execute | page.global | page.pwt | page.pcd | page.pat;
        levels_.push_back(compiled);
    }
}

// The bits of an address slice that are above the width of physical addresses.
std::uint64_t Paging::too_wide(const Field& f) const {
    const unsigned usable =
        std::clamp<int>(static_cast<int>(features_.physical_bits) - f.to, 0, f.width);
    return bits(f.low + usable, f.width - usable);
}

EntryRules Paging::compile(std::span<const Field> fields) const {
    EntryRules rules;
    rules.fields = fields;
    auto slice = rules.address.begin();
    for (const Field& f : fields) {
        const std::uint64_t mask = bits(f.low, f.width);
        switch (features_.has(f.need) ? f.role : f.otherwise) {
            case Role::write: rules.write = mask; break;
            case Role::user: rules.user = mask; break;
            case Role::pwt: rules.pwt = mask; break;
            case Role::pcd: rules.pcd = mask; break;
            case Role::pat: rules.pat = mask; break;
            case Role::accessed: rules.accessed = mask; break;
            case Role::dirty: rules.dirty = mask; break;
            case Role::global: rules.global = mask; break;
            case Role::key: rules.key = mask; break;
            case Role::no_execute: rules.no_execute = mask; break;
            case Role::reserved: rules.reserved |= mask; break;
            case Role::must_be_zero_at_load: rules.must_be_zero_at_load |= mask; break;
            case Role::address: {
                const std::uint64_t beyond = too_wide(f);
                *slice++ = {mask & ~beyond, static_cast<std::uint8_t>(f.to - f.low)};
                // PAE's PDPTEs, with their addresses, are checked when they are loaded.
                const bool is_checked_at_load = rules.must_be_zero_at_load != 0;
                (is_checked_at_load ? rules.must_be_zero_at_load : rules.reserved) |= beyond;
                break;
            }
            case Role::present:
            case Role::page_size:
            case Role::ignored: break;
        }
    }
    return rules;
}

int Paging::position(unsigned number) const {
    const auto here =
        std::ranges::find(levels_, number, [](const auto& l) { return l.level->number; });
    return here == levels_.end() ? -1 : static_cast<int>(here - levels_.begin());
}

PhysAddr Paging::root_of(std::uint64_t root_register) const {
    return {root_register & format_->root_mask & bits(0, features_.physical_bits)};
}

VirtAddr Paging::address_of(std::uint64_t offset) const {
    if (upper_part() && offset & upper_part()) return {offset | ~last_offset()};
    return {offset};
}

std::vector<NamedBits> Paging::decode(const PagingLevel& level, std::uint64_t raw) const {
    std::vector<NamedBits> found;
    const EntryRules& rules = level.rules(raw);
    for (const Field& f : rules.fields) {
        const std::uint64_t mask = bits(f.low, f.width);
        const Role role = features_.has(f.need) ? f.role : f.otherwise;
        if (role != Role::address) {
            if (raw & mask) found.push_back({&f, role, (raw & mask) >> f.low});
        } else if (const auto beyond = raw & mask & (rules.reserved | rules.must_be_zero_at_load)) {
            found.push_back({&f,
                             rules.reserved & mask ? Role::reserved : Role::must_be_zero_at_load,
                             beyond >> f.low});
        }
    }
    return found;
}

std::string reserved_bits(const Paging& paging, const PagingLevel& level, std::uint64_t raw) {
    std::string names;
    for (const NamedBits& b : paging.decode(level, raw))
        if (b.role == Role::reserved) names.append(names.empty() ? "" : ", ").append(bit_name(b));
    return "reserved " + names;
}

}  // namespace ptmap
