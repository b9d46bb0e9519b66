// A paging mode of x86 under its registers.
#pragma once

#include "arch/registers.h"
#include "paging/paging.h"

namespace ptmap {

/// Only for registers whose paging_mode() is not Mode::off.
class X86Paging final : public Paging {
public:
    explicit X86Paging(const ControlRegisters& registers);
    std::shared_ptr<const Paging> copy() const override;

    const ControlRegisters& registers() const { return registers_; }
    /// CR3 without its flags, PCID and LAM bits.
    PhysAddr root() const { return root_of(registers_.cr3); }

private:
    ControlRegisters registers_;
};

/// The registers that an X86Paging was made with. Error: std::bad_cast for another.
const ControlRegisters& registers_of(const Paging& paging);

}  // namespace ptmap
