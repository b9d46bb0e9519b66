// A row a bit, as the manual lists them. Bits that are not here are reserved, or newer than this.
#include "arch/register_bits.h"

#include <algorithm>
#include <array>

namespace ptmap {
namespace {

// SDM vol. 3A, 2.5 "Control Registers".
constexpr std::array cr0_bits{
    RegisterBit{0, "PE", "protected mode"},
    RegisterBit{1, "MP", "WAIT and FWAIT look at TS"},
    RegisterBit{2, "EM", "x87 instructions raise #NM"},
    RegisterBit{3, "TS", "a task was switched: x87 and SSE instructions raise #NM"},
    RegisterBit{4, "ET", "always 1 since the Pentium 4"},
    RegisterBit{5, "NE", "x87 errors raise #MF"},
    RegisterBit{16, "WP", "read-only pages are so for the supervisor too"},
    RegisterBit{18, "AM", "EFLAGS.AC checks alignment in user mode"},
    RegisterBit{29, "NW", "caches do not write through"},
    RegisterBit{30, "CD", "caches are off"},
    RegisterBit{31, "PG", "paging"},
};

// The same section.
constexpr std::array cr4_bits{
    RegisterBit{0, "VME", "virtual-8086 mode has virtual interrupts"},
    RegisterBit{1, "PVI", "protected mode has virtual interrupts"},
    RegisterBit{2, "TSD", "RDTSC is the supervisor's"},
    RegisterBit{3, "DE", "DR4 and DR5 do not exist"},
    RegisterBit{4, "PSE", "4 MiB pages in 32-bit paging"},
    RegisterBit{5, "PAE", "entries of 8 bytes"},
    RegisterBit{6, "MCE", "machine checks raise #MC"},
    RegisterBit{7, "PGE", "global pages"},
    RegisterBit{8, "PCE", "RDPMC is the user's too"},
    RegisterBit{9, "OSFXSR", "FXSAVE saves SSE, and SSE is on"},
    RegisterBit{10, "OSXMMEXCPT", "SSE errors raise #XM"},
    RegisterBit{11, "UMIP", "SGDT, SIDT, SLDT, SMSW and STR are the supervisor's"},
    RegisterBit{12, "LA57", "5-level paging in IA-32e mode"},
    RegisterBit{13, "VMXE", "VMX"},
    RegisterBit{14, "SMXE", "SMX"},
    RegisterBit{16, "FSGSBASE", "RDFSBASE, WRGSBASE and their like"},
    RegisterBit{17, "PCIDE", "process-context identifiers"},
    RegisterBit{18, "OSXSAVE", "XSAVE and XGETBV"},
    RegisterBit{19, "KL", "Key Locker"},
    RegisterBit{20, "SMEP", "the supervisor may not fetch from user pages"},
    RegisterBit{21, "SMAP", "the supervisor may not touch user pages without EFLAGS.AC"},
    RegisterBit{22, "PKE", "protection keys of user pages, by PKRU"},
    RegisterBit{23, "CET", "shadow stacks and indirect-branch tracking"},
    RegisterBit{24, "PKS", "protection keys of supervisor pages, by IA32_PKRS"},
    RegisterBit{25, "UINTR", "user interrupts"},
    RegisterBit{28, "LAM_SUP", "metadata in the supervisor's pointers"},
};

// SDM vol. 3A, 2.2.1 "Extended Feature Enable Register".
constexpr std::array efer_bits{
    RegisterBit{0, "SCE", "SYSCALL and SYSRET"},
    RegisterBit{8, "LME", "IA-32e mode once paging is on"},
    RegisterBit{10, "LMA", "IA-32e mode"},
    RegisterBit{11, "NXE", "XD forbids fetches"},
};

constexpr std::array<std::string_view, 5> names{"CR0", "CR2", "CR3", "CR4", "EFER"};

constexpr bool rise(std::span<const RegisterBit> bits) {
    for (std::size_t i = 0; i < bits.size(); ++i)
        if (bits[i].bit > 63 || (i && bits[i - 1].bit >= bits[i].bit)) return false;
    return true;
}
static_assert(rise(cr0_bits) && rise(cr4_bits) && rise(efer_bits));

}  // namespace

std::string_view name(ControlRegister reg) { return names[static_cast<std::size_t>(reg)]; }

std::optional<ControlRegister> control_register_named(std::string_view word) {
    const auto at = std::ranges::find(names, word);
    if (at == names.end()) return std::nullopt;
    return static_cast<ControlRegister>(at - names.begin());
}

std::span<const RegisterBit> register_bits(ControlRegister reg) {
    switch (reg) {
        case ControlRegister::cr0: return cr0_bits;
        case ControlRegister::cr4: return cr4_bits;
        case ControlRegister::efer: return efer_bits;
        case ControlRegister::cr2:
        case ControlRegister::cr3: break;
    }
    return {};
}

}  // namespace ptmap
