// What an access would do: rights and registers put together (SDM vol. 3A, 4.6 and 4.7).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "arch/registers.h"
#include "paging/walk.h"

namespace ptmap {

enum class Access : std::uint8_t { read, write, fetch };
inline constexpr std::array all_accesses{Access::read, Access::write, Access::fetch};

/// "read", "write", "fetch".
std::string_view name(Access access);

/// The access with this name; nothing for any other word.
std::optional<Access> access_named(std::string_view word);

enum class Privilege : std::uint8_t { kernel, user };  ///< CPL 0..2 and CPL 3
inline constexpr std::array all_privileges{Privilege::kernel, Privilege::user};

/// "kernel", "user".
std::string_view name(Privilege privilege);

/// The bits of a page fault's error code (SDM Figure 4-12).
namespace fault {
inline constexpr std::uint32_t P = 1, W = 2, U = 4, RSVD = 8, I = 16, PK = 32;
}

/// "P W": the bits that are set in a page fault's error code, "" if there is none.
std::string error_code_bits(std::uint32_t code);

/// Why an access faults, or that it is allowed.
enum class Reason : std::uint8_t {
    allowed,
    not_present,
    reserved_bit,
    not_canonical,
    supervisor_page,  ///< user mode and a U/S of 0
    read_only,        ///< R/W of 0, from user mode or with CR0.WP
    no_execute,       ///< XD
    smep,
    smap,
    protection_key,
    unknown_table,  ///< a table could not be read
    unknown_pkru,   ///< PKRU decides and is not known
    unknown_pkrs,   ///< IA32_PKRS decides and is not known
};

/// A short phrase for people: "supervisor page", "SMAP, EFLAGS.AC=0".
std::string_view text(Reason reason);

/// The same, shorter for SMEP and SMAP.
std::string_view short_text(Reason reason);

struct Verdict {
    enum class Result : std::uint8_t { allowed, page_fault, general_protection, unknown };
    Result result = Result::allowed;
    Reason reason = Reason::allowed;
    std::uint32_t error_code = 0;  ///< page_fault only
    bool pk_unknown = false;       ///< the fault is certain, its PK bit depends on an unknown PKRU
    /// general_protection: it is #SS if the access goes through SS (SDM vol. 1, 3.3.7.1).
    bool stack_fault = false;

    friend bool operator==(const Verdict&, const Verdict&) = default;
};

/// Processor state outside the control registers that accesses depend on.
struct AccessState {
    bool ac = false;                    ///< EFLAGS.AC: if set, SMAP does not stop the kernel
    std::optional<std::uint32_t> pkru;  ///< user pages' keys; nothing if it cannot be read
};

/// Whether rights and registers allow an access, keys not considered; if not, the reason.
Reason decide(Rights rights, const ControlRegisters& registers, bool ac, Access access,
              Privilege privilege);

/// What one access to a walked address would do. Shadow stacks are not considered.
Verdict verdict(const Walk& walk, const ControlRegisters& registers, const AccessState& state,
                Access access, Privilege privilege);

}  // namespace ptmap
