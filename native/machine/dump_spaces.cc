#include "machine/dump_spaces.h"

namespace ptmap {

AssumedEfer assumed_efer(const CpuRegisters& cpu) {
    if (!(cpu.cr4 & cr4::PAE)) return {};
    constexpr std::uint64_t SCE = 1 << 0, LME = 1 << 8;
    AssumedEfer efer{efer::NXE, {cpu.long_mode ? "EFER.SCE=NXE=1" : "EFER.NXE=1"}};
    if (cpu.long_mode) *efer.value |= SCE | LME | efer::LMA;
    if (!cpu.long_mode_told) efer.assumed.push_back(cpu.long_mode ? "EFER.LMA=1" : "EFER.LMA=0");
    return efer;
}

std::vector<DumpSpace> spaces_of(const Dump& dump) {
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
    return spaces;
}

}  // namespace ptmap
