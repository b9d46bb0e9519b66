#include "arch/x86_paging.h"

#include <memory>

#include "arch/formats.h"

namespace ptmap {
namespace {

Features features_of(const ControlRegisters& registers) {
    Features features{.physical_bits = registers.maxphyaddr};
    features.set(Need::pse, registers.cr4 & cr4::PSE);
    features.set(Need::pge, registers.cr4 & cr4::PGE);
    features.set(Need::nxe, registers.efer & efer::NXE);
    features.set(Need::keys, has_keys(registers));
    return features;
}

}  // namespace

X86Paging::X86Paging(const ControlRegisters& registers)
    : Paging(format_of(paging_mode(registers)), features_of(registers)), registers_(registers) {}

std::shared_ptr<const Paging> X86Paging::copy() const { return std::make_shared<X86Paging>(*this); }

const ControlRegisters& registers_of(const Paging& paging) {
    return dynamic_cast<const X86Paging&>(paging).registers();
}

}  // namespace ptmap
