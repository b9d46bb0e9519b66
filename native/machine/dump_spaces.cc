#include "machine/dump_spaces.h"

#include "paging/hex.h"
#include "paging/walk.h"

namespace ptmap {
namespace {

constexpr std::uint64_t SCE = 1 << 0, LME = 1 << 8;  // of EFER

// Linux's IDT, in the cpu_entry_area (Documentation/arch/x86/x86_64/mm.rst): data, so that an entry
// on the way to it has XD if the kernel uses it.
constexpr VirtAddr idt{0xfffffe0000000000};

bool uses_nx(const ControlRegisters& registers, PhysicalMemory& memory) {
    const X86Paging paging(registers);
    const Walk found = walk(paging, paging.root(), idt, memory);
    return found.outcome == Outcome::mapped && !has(found.rights, Rights::exec);
}

}  // namespace

AssumedEfer assumed_efer(const CpuRegisters& cpu) {
    if (!(cpu.cr4 & cr4::PAE)) return {};
    AssumedEfer efer{efer::NXE, {cpu.long_mode ? "EFER.SCE=NXE=1" : "EFER.NXE=1"}};
    if (cpu.long_mode) *efer.value |= SCE | LME | efer::LMA;
    if (!cpu.long_mode_told) efer.assumed.push_back(cpu.long_mode ? "EFER.LMA=1" : "EFER.LMA=0");
    return efer;
}

std::optional<CrashedKernel> crashed_kernel(Dump& dump) {
    const std::optional<Vmcoreinfo>& info = dump.notes().vmcoreinfo;
    if (!info || !info->problem.empty()) return std::nullopt;
    CrashedKernel kernel{
        .registers = {.cr0 = cr0::PG | cr0::WP | cr0::PE,
                      .cr3 = info->root,
                      .cr4 = cr4::PAE | cr4::PGE | (info->five_level ? cr4::LA57 : 0),
                      .efer = SCE | LME | efer::LMA | efer::NXE},
        .assumed = {"CR0.WP=1", "CR4.PGE=1, SMEP=SMAP=PKE=0"},
        .deduced = {"root " + hex(info->root) + ": the kernel's own, by VMCOREINFO",
                    std::string("CR4.LA57=") + (info->five_level ? "1" : "0") + ": VMCOREINFO"}};
    if (uses_nx(kernel.registers, dump))
        kernel.deduced.push_back("EFER.NXE=1: an entry has XD");
    else
        kernel.assumed.push_back("EFER.NXE=1");
    return kernel;
}

std::vector<DumpSpace> spaces_of(Dump& dump) {
    constexpr std::uint64_t ac = 1 << 18;  // of EFLAGS
    std::vector<DumpSpace> spaces;
    const std::vector<CpuRegisters>& cpus = dump.notes().cpus;
    for (std::size_t i = 0; i < cpus.size(); ++i) {
        const CpuRegisters& cpu = cpus[i];
        AssumedEfer efer = assumed_efer(cpu);
        const ControlRegisters registers{
            .cr0 = cpu.cr0, .cr3 = cpu.cr3, .cr4 = cpu.cr4, .efer = efer.value.value_or(0)};
        if (paging_mode(registers) == Mode::off) continue;
        spaces.push_back(
            {i, X86Paging(registers), {.ac = (cpu.rflags & ac) != 0}, std::move(efer.assumed)});
    }
    if (auto kernel = crashed_kernel(dump))
        spaces.push_back({0, X86Paging(kernel->registers), {}, std::move(kernel->assumed)});
    return spaces;
}

}  // namespace ptmap
