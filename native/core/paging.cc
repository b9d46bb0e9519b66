#include "core/paging.h"

#include <algorithm>

namespace ptmap {

std::string bit_name(const NamedBits& named) {
    const Field& f = *named.field;
    if (f.role != Role::address && f.role != Role::reserved && f.role != Role::ignored &&
        f.role != Role::must_be_zero_at_load)
        return f.name;
    if (f.name == std::string_view("PS")) return f.name;
    std::string list;
    for (unsigned bit = 0; bit < f.width; ++bit)
        if (named.value >> bit & 1)
            list.append(list.empty() ? "" : ",").append(std::to_string(f.low + bit));
    return std::string(list.find(',') == std::string::npos ? "bit " : "bits ").append(list);
}

Paging::Paging(const ControlRegisters& registers)
    : registers_(registers), format_(&format_of(paging_mode(registers))) {
    for (const Level& level : format_->levels) {
        PagingLevel compiled;
        compiled.level = &level;
        const bool large = !level.page_needs_pse || (registers.cr4 & cr4::PSE);
        compiled.page_when = large ? level.page_when : 0;
        compiled.table = compile(level.table);
        compiled.page = compile(level.page);
        const EntryRules& page = compiled.page;
        compiled.page_decides = 1 | compiled.page_when | page.reserved | page.user | page.write |
                                page.no_execute | page.global | page.pwt | page.pcd | page.pat;
        levels_.push_back(compiled);
    }
}

bool Paging::on(Need need) const {
    switch (need) {
        case Need::nothing: return true;
        case Need::pge: return registers_.cr4 & cr4::PGE;
        case Need::nxe: return registers_.efer & efer::NXE;
        case Need::keys: return registers_.cr4 & (cr4::PKE | cr4::PKS);
    }
    return false;
}

// The bits of an address slice that would give address bits MAXPHYADDR and up.
std::uint64_t Paging::beyond_maxphyaddr(const Field& f) const {
    const unsigned usable =
        std::clamp<int>(static_cast<int>(registers_.maxphyaddr) - f.to, 0, f.width);
    return bits(f.low + usable, f.width - usable);
}

EntryRules Paging::compile(std::span<const Field> fields) const {
    EntryRules rules;
    rules.fields = fields;
    auto slice = rules.address.begin();
    for (const Field& f : fields) {
        const std::uint64_t mask = bits(f.low, f.width);
        switch (on(f.need) ? f.role : f.otherwise) {
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
            case Role::must_be_zero_at_load: rules.odd |= mask; break;
            case Role::address: {
                const std::uint64_t beyond = beyond_maxphyaddr(f);
                *slice++ = {mask & ~beyond, static_cast<std::uint8_t>(f.to - f.low)};
                // A PDPTE of PAE is checked when it is loaded, its address too.
                (rules.odd ? rules.odd : rules.reserved) |= beyond;
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

PhysAddr Paging::root_of(std::uint64_t cr3) const {
    return {cr3 & format_->root_mask & bits(0, registers_.maxphyaddr)};
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
        const Role role = on(f.need) ? f.role : f.otherwise;
        if (role != Role::address) {
            if (raw & mask) found.push_back({&f, role, (raw & mask) >> f.low});
        } else if (const auto beyond = raw & mask & (rules.reserved | rules.odd)) {
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
