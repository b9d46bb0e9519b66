#include "explain/explanation.h"

#include <algorithm>
#include <array>

#include "arch/x86_paging.h"

namespace ptmap {
namespace {

constexpr std::array every_right{Rights::user, Rights::write, Rights::exec};

// The first step whose path lacks a right; a step's rights are those of the path down to it.
std::size_t first_without(const std::vector<Step>& steps, Rights right) {
    const auto found =
        std::ranges::find_if(steps, [right](const Step& s) { return !has(s.rights, right); });
    return static_cast<std::size_t>(found - steps.begin());
}

std::vector<NamedBits>& list_of(ExplainedStep& step, Role role) {
    switch (role) {
        case Role::ignored: return step.ignored;
        case Role::reserved: return step.reserved;
        case Role::must_be_zero_at_load: return step.reserved_at_load;
        default: return step.used;
    }
}

ExplainedStep explain_step(const Step& step, const Paging& paging) {
    ExplainedStep explained{.step = step};
    if (step.kind == Kind::not_present) return explained;
    const PagingLevel& level =
        paging.levels()[static_cast<std::size_t>(paging.position(step.level->number))];
    for (const NamedBits& bits : paging.decode(level, step.raw))
        list_of(explained, bits.role).push_back(bits);
    return explained;
}

ExplainedPage explain_page(const Walk& walk, const ControlRegisters& registers,
                           const std::array<MemoryType, 8>& types) {
    ExplainedPage page{.pa = walk.pa,
                       .size = walk.page_size,
                       .type = types[walk.cache_slot],
                       .cache_slot = walk.cache_slot,
                       .rights = walk.rights,
                       .global = walk.global};
    const std::uint64_t has_key = has(walk.rights, Rights::user) ? cr4::PKE : cr4::PKS;
    if (registers.cr4 & has_key) page.key = walk.key;
    for (const Rights right : every_right)
        if (!has(walk.rights, right))
            page.denials.push_back({right, first_without(walk.steps, right)});
    return page;
}

ResponsibleEntry::Says said_by_last(Outcome outcome) {
    using enum ResponsibleEntry::Says;
    switch (outcome) {
        case Outcome::not_present: return not_present;
        case Outcome::reserved_bit: return reserved_bit;
        case Outcome::unreadable: return unreadable;
        case Outcome::mapped:
        case Outcome::not_canonical: break;  // the latter has no entries
    }
    return maps_page;
}

}  // namespace

Explanation explain(const Walk& walk, const Paging& paging, const AccessState& state,
                    const std::array<MemoryType, 8>& types) {
    Explanation explained{
        .va = walk.va, .format = &paging.format(), .outcome = walk.outcome, .why = walk.why};
    for (const Step& step : walk.steps) explained.steps.push_back(explain_step(step, paging));
    if (walk.outcome == Outcome::unreadable) explained.steps.back().was_read = false;
    if (walk.outcome == Outcome::mapped)
        explained.page = explain_page(walk, registers_of(paging), types);
    for (const Privilege privilege : all_privileges)
        for (const Access access : all_accesses)
            explained
                .verdicts[static_cast<std::size_t>(privilege)][static_cast<std::size_t>(access)] =
                verdict(walk, registers_of(paging), state, access, privilege);
    return explained;
}

Explanation explain_without_paging(VirtAddr va) { return {.va = va}; }

std::optional<ResponsibleEntry> responsible_entry(const Walk& walk, const Paging& paging,
                                                  Rights right) {
    if (walk.steps.empty()) return std::nullopt;
    const unsigned bytes = paging.format().entry_bytes;
    if (walk.outcome == Outcome::mapped && !has(walk.rights, right))
        return ResponsibleEntry{walk.steps[first_without(walk.steps, right)], bytes,
                                ResponsibleEntry::Says::takes_right, right};
    return ResponsibleEntry{walk.steps.back(), bytes, said_by_last(walk.outcome)};
}

ResponsibleEntry table_entry(const Walk& walk, const Paging& paging, std::size_t step) {
    return {walk.steps.at(step), paging.format().entry_bytes, ResponsibleEntry::Says::names_table};
}

}  // namespace ptmap
