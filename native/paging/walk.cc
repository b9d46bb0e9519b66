#include "paging/walk.h"

#include <array>
#include <bit>

namespace ptmap {
namespace {

void finish(Walk& walk, const PagingLevel& level, const Step& leaf, std::uint64_t offset) {
    const EntryRules& rules = level.page;
    walk.outcome = Outcome::mapped;
    walk.page_size = level.entry_span();
    walk.pa = {leaf.target.value | (offset & (walk.page_size - 1))};
    walk.rights = leaf.rights;
    walk.global = leaf.raw & rules.global;
    walk.cache_slot = rules.cache_slot(leaf.raw);
    if (rules.key)
        walk.key = static_cast<unsigned>((leaf.raw & rules.key) >> std::countr_zero(rules.key));
}

}  // namespace

std::string_view name(Outcome outcome) {
    static constexpr std::array<std::string_view, 5> names{"mapped", "not-present", "reserved-bit",
                                                           "not-canonical", "unreadable"};
    return names[static_cast<std::size_t>(outcome)];
}

Walk walk(const Paging& paging, PhysAddr root, VirtAddr va, PhysicalMemory& memory) {
    Walk result{.va = va};
    if (!paging.translatable(va)) return result;

    const std::uint64_t offset = paging.offset_of(va);
    PhysAddr table = root;
    Rights rights = Rights::all;
    for (const PagingLevel& level : paging.levels()) {
        Step step{level.level, table, level.index(offset), {}};
        step.entry_address = {table.value +
                              std::uint64_t{step.index} * paging.format().entry_bytes};

        std::array<std::byte, 8> bytes;
        Fetch read{step.entry_address, std::span(bytes).first(paging.format().entry_bytes)};
        memory.fetch({&read, 1});
        if (read.ok) {
            step.raw = paging.entry(bytes, 0);
            step.kind = level.kind(step.raw);
            if (step.kind != Kind::not_present) {
                const EntryRules& rules = level.rules(step.raw);
                step.target = rules.target(step.raw);
                step.rights = rights = rights & rules.rights(step.raw);
            }
        }
        result.steps.push_back(step);
        if (!read.ok) {
            result.outcome = Outcome::unreadable;
            result.why = read.why;
            return result;
        }
        switch (step.kind) {
            case Kind::not_present: result.outcome = Outcome::not_present; return result;
            case Kind::malformed: result.outcome = Outcome::reserved_bit; return result;
            case Kind::page: finish(result, level, step, offset); return result;
            case Kind::table: table = step.target; break;
        }
    }
    return result;  // not reached: the last level has no tables (levels_fit)
}

}  // namespace ptmap
