#include "arch/access.h"

#include <array>

namespace ptmap {
namespace {

// How the protection key of a user page decides (SDM 4.6.2): PKRU's ADi and WDi, bits 2i, 2i+1.
// Keys apply to data accesses only. Nothing: the key does not decide, the other rules do.
std::optional<Reason> key_denies(const Walk& walk, const ControlRegisters& r,
                                 const AccessState& state, Access access, Privilege privilege) {
    if (access == Access::fetch || !(r.efer & efer::LMA)) return std::nullopt;
    if (!has(walk.rights, Rights::user))  // IA32_PKRS decides for supervisor pages
        return r.cr4 & cr4::PKS && privilege == Privilege::kernel
                   ? std::optional(Reason::unknown_pkrs)
                   : std::nullopt;
    if (!(r.cr4 & cr4::PKE)) return std::nullopt;
    if (!state.pkru) return Reason::unknown_pkru;
    const unsigned deny = *state.pkru >> (2 * walk.key) & 3;
    const bool write_counts = privilege == Privilege::user || r.cr0 & cr0::WP;
    if (deny & 1 || (deny & 2 && access == Access::write && write_counts))
        return Reason::protection_key;
    return std::nullopt;
}

// The bits that only the kind of access decides. I/D exists with SMEP, or PAE with NXE.
std::uint32_t access_bits(const ControlRegisters& r, Access access, Privilege privilege) {
    const bool reports_fetch = r.cr4 & cr4::SMEP || (r.cr4 & cr4::PAE && r.efer & efer::NXE);
    return (access == Access::write ? fault::W : 0) |
           (privilege == Privilege::user ? fault::U : 0) |
           (access == Access::fetch && reports_fetch ? fault::I : 0);
}

constexpr std::array<std::string_view, 3> access_names{"read", "write", "fetch"};

}  // namespace

std::string_view name(Access access) { return access_names[static_cast<std::size_t>(access)]; }

std::optional<Access> access_named(std::string_view word) {
    for (std::size_t i = 0; i < access_names.size(); ++i)
        if (access_names[i] == word) return static_cast<Access>(i);
    return std::nullopt;
}

std::string_view name(Privilege privilege) {
    return privilege == Privilege::user ? "user" : "kernel";
}

std::string error_code_bits(std::uint32_t code) {
    struct Bit {
        std::uint32_t mask;
        std::string_view name;
    };
    static constexpr std::array<Bit, 6> bits{{{fault::P, "P"},
                                              {fault::W, "W"},
                                              {fault::U, "U"},
                                              {fault::RSVD, "RSVD"},
                                              {fault::I, "I"},
                                              {fault::PK, "PK"}}};
    std::string names;
    for (const Bit& bit : bits)
        if (code & bit.mask) names.append(names.empty() ? "" : " ").append(bit.name);
    return names;
}

std::string_view text(Reason reason) {
    static constexpr std::array<std::string_view, 13> texts{
        "",
        "not present",
        "reserved bit",
        "not canonical",
        "supervisor page",
        "read-only",
        "no-execute",
        "SMEP: user page",
        "SMAP: user page, EFLAGS.AC=0",
        "protection key",
        "a table could not be read",
        "PKRU is not known",
        "IA32_PKRS is not known",
    };
    return texts[static_cast<std::size_t>(reason)];
}

std::string_view short_text(Reason reason) {
    if (reason == Reason::smep) return "SMEP";
    if (reason == Reason::smap) return "SMAP";
    return text(reason);
}

// SDM 4.6.1: rights and CR0.WP, CR4.SMEP, CR4.SMAP.
Reason decide(Rights rights, const ControlRegisters& r, bool ac, Access access,
              Privilege privilege) {
    const bool user_page = has(rights, Rights::user);
    if (privilege == Privilege::user && !user_page) return Reason::supervisor_page;
    if (access == Access::fetch) {
        if (privilege == Privilege::kernel && user_page && r.cr4 & cr4::SMEP) return Reason::smep;
        return has(rights, Rights::exec) ? Reason::allowed : Reason::no_execute;
    }
    if (privilege == Privilege::kernel && user_page && r.cr4 & cr4::SMAP && !ac)
        return Reason::smap;
    const bool write_protected = privilege == Privilege::user || r.cr0 & cr0::WP;
    if (access == Access::write && !has(rights, Rights::write) && write_protected)
        return Reason::read_only;
    return Reason::allowed;
}

Verdict verdict(const Walk& walk, const ControlRegisters& registers, const AccessState& state,
                Access access, Privilege privilege) {
    using enum Verdict::Result;
    const std::uint32_t kind = access_bits(registers, access, privilege);
    switch (walk.outcome) {
        case Outcome::not_canonical:
            return {.result = general_protection,
                    .reason = Reason::not_canonical,
                    .stack_fault = access != Access::fetch};
        case Outcome::unreadable: return {unknown, Reason::unknown_table};
        case Outcome::not_present: return {page_fault, Reason::not_present, kind};
        case Outcome::reserved_bit:
            return {page_fault, Reason::reserved_bit, kind | fault::P | fault::RSVD};
        case Outcome::mapped: break;
    }
    const Reason by_rights = decide(walk.rights, registers, state.ac, access, privilege);
    const auto by_key = key_denies(walk, registers, state, access, privilege);
    // PK is set whenever the key denies, even if something else denies too (SDM 4.7).
    const std::uint32_t pk = by_key == Reason::protection_key ? fault::PK : 0;
    if (by_rights != Reason::allowed)
        return {page_fault, by_rights, kind | fault::P | pk, by_key == Reason::unknown_pkru};
    if (!by_key) return {};
    if (*by_key != Reason::protection_key) return {unknown, *by_key};
    return {page_fault, *by_key, kind | fault::P | pk};
}

}  // namespace ptmap
