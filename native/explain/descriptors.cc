#include "explain/descriptors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <map>
#include <optional>
#include <span>
#include <utility>

#include "arch/x86_paging.h"

namespace ptmap {
namespace {

constexpr std::uint64_t small_page = 0x1000;

// Limits above these are not followed: a selector and GDTR's limit reach 64 KiB (SDM vol.
// 3A, 2.4.1, 3.5.1), the I/O permission bitmap is 8 KiB and a byte, from a 16-bit offset on (vol.
// 1, 19.5.2).
constexpr std::uint64_t largest_table = 1 << 16;
constexpr std::uint64_t largest_tss = largest_table + (8 << 10);

constexpr unsigned vectors = 256;

// A vector of the processor's own (SDM vol. 3A, Table 6-1; 28 to 30: AMD APM vol. 2, Table 8-1).
// A vector is rare if it is reserved, or raised only with a hypervisor or memory encryption:
// Linux's gates for these point to memory that it freed after boot.
enum class Raised : std::uint8_t { ordinarily, rarely };
struct Exception {
    const char* name;
    Raised raised = Raised::ordinarily;
    std::uint64_t with = 0;  // raised only with this bit of CR4
};
constexpr std::array<Exception, 32> exceptions{{
    {"#DE"},                                // 0
    {"#DB"},                                // 1
    {"NMI"},                                // 2
    {"#BP"},                                // 3
    {"#OF"},                                // 4
    {"#BR"},                                // 5
    {"#UD"},                                // 6
    {"#NM"},                                // 7
    {"#DF"},                                // 8
    {"9"},                                  // 9
    {"#TS"},                                // 10
    {"#NP"},                                // 11
    {"#SS"},                                // 12
    {"#GP"},                                // 13
    {"#PF"},                                // 14
    {"15", Raised::rarely},                 // 15
    {"#MF"},                                // 16
    {"#AC"},                                // 17
    {"#MC", Raised::ordinarily, cr4::MCE},  // 18
    {"#XM"},                                // 19
    {"#VE", Raised::rarely},                // 20
    {"#CP", Raised::ordinarily, cr4::CET},  // 21
    {"22", Raised::rarely},                 // 22
    {"23", Raised::rarely},                 // 23
    {"24", Raised::rarely},                 // 24
    {"25", Raised::rarely},                 // 25
    {"26", Raised::rarely},                 // 26
    {"27", Raised::rarely},                 // 27
    {"#HV", Raised::rarely},                // 28
    {"#VC", Raised::rarely},                // 29
    {"#SX", Raised::rarely},                // 30
    {"31", Raised::rarely},                 // 31
}};

// Types of gates and system segments (SDM vol. 3A, Table 3-2). IA-32e mode has only the types of
// 32-bit gates, which are 64-bit gates there.
enum Type : unsigned {
    tss_16_available = 0x1,
    tss_16_busy = 0x3,
    task_gate = 0x5,
    interrupt_gate_16 = 0x6,
    trap_gate_16 = 0x7,
    interrupt_gate = 0xE,
    trap_gate = 0xF,
};

// Offsets in a task-state segment.
struct TssLayout {
    unsigned size;                   // of the fixed part
    unsigned pointer;                // bytes of a stack pointer
    const char* letter;              // of its name
    std::array<unsigned, 3> stacks;  // of the stack pointers of the privilege levels 0, 1 and 2
    unsigned segment;                // of SSn, from its stack pointer; 0: there is none
    unsigned ist;                    // of IST1; 0: there is none
    std::uint64_t align;             // of a stack pointer, which the processor rounds down to
};
constexpr TssLayout tss_64{104, 8, "R", {4, 12, 20}, 0, 36, 16};  // SDM vol. 3A, 8.7, 6.14.2
constexpr TssLayout tss_32{104, 4, "E", {4, 12, 20}, 4, 0, 1};    // 8.2.1
constexpr TssLayout tss_16{44, 2, "", {2, 6, 10}, 2, 0, 1};       // 8.6
constexpr unsigned ist_stacks = 7;

// A present gate of the IDT (SDM vol. 3A, 6.11, 6.14.1).
struct Gate {
    unsigned vector, type, selector, ist, dpl;
    std::uint64_t offset;
};

// A little-endian number of up to 8 bytes; bytes after the data's end are 0.
std::uint64_t number(std::span<const std::byte> data, std::size_t at, std::size_t size) {
    std::uint64_t value = 0;
    if (at < data.size()) std::memcpy(&value, &data[at], std::min(size, data.size() - at));
    return value;
}

// Of a segment descriptor's 8 bytes (SDM vol. 3A, 3.4.5).
std::uint64_t base_of(std::uint64_t descriptor) {
    return (descriptor >> 16 & 0xFFFFFF) | (descriptor >> 32 & 0xFF000000);
}
unsigned dpl_of(std::uint64_t descriptor) { return descriptor >> 45 & 3; }
bool is_conforming(std::uint64_t descriptor) { return descriptor >> 42 & 1; }

bool is_rare(const Gate& gate, std::uint64_t cr4) {
    // A gate that INT n in user mode may use (SDM vol. 3A, 6.12.1.1) is not rare.
    if (gate.dpl == 3 || gate.vector >= exceptions.size()) return false;
    const Exception& e = exceptions[gate.vector];
    return e.raised == Raised::rarely || (e.with && !(cr4 & e.with));
}

// One CPU's tables.
class DescriptorTables {
public:
    DescriptorTables(const SystemRegisters& registers, LinearMemory& linear)
        : registers_(registers),
          linear_(linear),
          long_mode_(linear.paging().format().canonical),
          last_address_(bits(0, long_mode_ ? 64 : 32)) {
        registers_.ldtr = whole(registers.ldtr);
        registers_.tr = whole(registers.tr);
    }

    EntryNeeds needs() {
        add_table("GDT", registers_.gdtr.base, size_of(registers_.gdtr.limit, largest_table));
        add_table("IDT", registers_.idtr.base, idt_size());
        const SystemSegment &ldtr = registers_.ldtr, &tr = registers_.tr;
        if (!ldtr.is_null()) add_table("LDT", ldtr.base, size_of(ldtr.limit, largest_table));
        const std::vector<Gate> gates = read_gates();
        add_handlers(gates);
        if (!tr.is_null()) {
            add_table("TSS", tr.base, size_of(tr.limit, largest_tss));
            add_stacks(gates);
        }
        add_tasks(gates);
        needs_.ldtr_base = ldtr.base;
        needs_.tr_base = tr.base;
        return std::move(needs_);
    }

private:
    // See EntryNeeds::tr_base.
    SystemSegment whole(SystemSegment segment) {
        if (!long_mode_ || segment.is_null() || segment.base.value >> 32) return segment;
        const VirtAddr at{registers_.gdtr.base.value + (segment.selector & ~7u)};
        std::array<std::byte, 16> descriptor;
        if (at < registers_.gdtr.base || !linear_.read(at, descriptor)) return segment;
        const std::uint64_t base =
            base_of(number(descriptor, 0, 8)) | (number(descriptor, 8, 4) << 32);
        if ((base & bits(0, 32)) == segment.base.value) segment.base = {base};
        return segment;
    }

    // The IDT

    std::uint64_t gate_bytes() const { return long_mode_ ? 16 : 8; }

    // Only the 256 vectors: after reset the limit says 64 KiB.
    std::uint64_t idt_size() const {
        return size_of(registers_.idtr.limit, vectors * gate_bytes());
    }

    std::vector<Gate> read_gates() {
        const auto table = available(SystemTable::idt, registers_.idtr.base, idt_size());
        std::vector<Gate> gates;
        for (unsigned vector = 0; (vector + 1) * gate_bytes() <= table.size(); ++vector) {
            const std::size_t at = vector * gate_bytes();
            const std::uint64_t low = number(table, at, 8);
            if (!(low >> 47 & 1)) continue;  // P
            const Gate gate = make_gate(vector, low, long_mode_ ? number(table, at + 8, 4) : 0);
            if (exists(gate.type)) gates.push_back(gate);
        }
        return gates;
    }

    Gate make_gate(unsigned vector, std::uint64_t low, std::uint64_t upper_offset) const {
        Gate gate{};
        gate.vector = vector;
        gate.type = low >> 40 & 0xF;
        gate.selector = low >> 16 & 0xFFFF;
        gate.ist = long_mode_ ? low >> 32 & 7 : 0;
        gate.dpl = low >> 45 & 3;
        gate.offset = (low & 0xFFFF) | upper_offset << 32;
        const bool is_16_bit = gate.type == interrupt_gate_16 || gate.type == trap_gate_16;
        if (!is_16_bit) gate.offset |= low >> 32 & 0xFFFF0000;
        return gate;
    }

    bool exists(unsigned type) const {
        switch (type) {
            case interrupt_gate:
            case trap_gate: return true;
            case task_gate:
            case interrupt_gate_16:
            case trap_gate_16: return !long_mode_;
            default: return false;
        }
    }

    // One piece for each page in which a handler begins.
    void add_handlers(const std::vector<Gate>& gates) {
        std::map<std::uint64_t, std::vector<Gate>> by_page;
        for (const Gate& gate : gates) {
            if (gate.type == task_gate) continue;
            const std::uint64_t base =
                long_mode_ ? 0 : base_of(descriptor(gate.selector).value_or(0));
            by_page[page_of(base + gate.offset).value].push_back(gate);
        }
        for (const auto& [page, to_page] : by_page)
            needs_.pieces.push_back({.name = "handlers",
                                     .short_name = "handlers",
                                     .address = {page},
                                     .pages = {{page}},
                                     .access = Access::fetch,
                                     .vectors = vectors_of(to_page),
                                     .rare = all_rare(to_page),
                                     .kind = EntryPieceKind::handlers});
    }

    // The TSSs that task gates switch to (SDM vol. 3A, 8.2.5). Such a task then runs on the CR3 in
    // its TSS, so its own needs are not looked at.
    void add_tasks(const std::vector<Gate>& gates) {
        for (const Gate& gate : gates) {
            if (gate.type != task_gate) continue;
            const auto tss = descriptor(gate.selector);
            if (!tss) continue;
            add_table(vector_name(gate.vector) + " TSS", {base_of(*tss)}, tss_32.size);
            needs_.pieces.back().vectors = vectors_of({&gate, 1});
        }
    }

    bool all_rare(std::span<const Gate> gates) const {
        const std::uint64_t cr4 = ptmap::registers_of(linear_.paging()).cr4;
        return std::ranges::all_of(gates, [&](const Gate& gate) { return is_rare(gate, cr4); });
    }

    static std::vector<std::uint8_t> vectors_of(std::span<const Gate> gates) {
        std::vector<std::uint8_t> all;
        for (const Gate& gate : gates) all.push_back(static_cast<std::uint8_t>(gate.vector));
        return all;
    }

    // The TSS

    const TssLayout& tss_layout() const {
        if (long_mode_) return tss_64;
        const unsigned type = registers_.tr.type;
        return type == tss_16_available || type == tss_16_busy ? tss_16 : tss_32;
    }

    // The stacks for an entry from user mode: those of the levels that gates lead to, and ISTs.
    void add_stacks(const std::vector<Gate>& gates) {
        const TssLayout& layout = tss_layout();
        const SystemSegment& tr = registers_.tr;
        const auto tss = available(SystemTable::tss, tr.base, size_of(tr.limit, layout.size));
        if (std::ranges::count(needs_.unread, SystemTable::tss))
            return;  // its stacks are not known then
        std::array<bool, 4> entered{true};
        for (const Gate& gate : gates)
            if (gate.type != task_gate) entered[level_of(gate)] = true;
        for (unsigned level = 0; level < layout.stacks.size(); ++level) {
            const unsigned at = layout.stacks[level];
            if (!entered[level] || at + layout.pointer > tss.size()) continue;
            const std::string name = std::string(layout.letter) + "SP" + std::to_string(level);
            const std::uint64_t base = layout.segment ? stack_base(tss, at + layout.segment) : 0;
            add_stack(name, name, base, number(tss, at, layout.pointer));
        }
        if (layout.ist) add_ist_stacks(tss, gates);
    }

    std::uint64_t stack_base(std::span<const std::byte> tss, std::size_t at) {
        return base_of(descriptor(static_cast<unsigned>(number(tss, at, 2))).value_or(0));
    }

    // ISTs that gates use, and ISTs that no gate uses.
    void add_ist_stacks(std::span<const std::byte> tss, const std::vector<Gate>& gates) {
        for (unsigned index = 1; index <= ist_stacks; ++index) {
            const std::size_t at = tss_64.ist + std::size_t{8} * (index - 1);
            std::vector<Gate> on_it;
            std::ranges::copy_if(gates, std::back_inserter(on_it),
                                 [&](const Gate& gate) { return gate.ist == index; });
            const std::uint64_t pointer = number(tss, at, 8);
            if (at + 8 > tss.size() || (!pointer && on_it.empty())) continue;
            const std::string name = "IST" + std::to_string(index);
            const bool one = on_it.size() == 1;
            add_stack(name, one ? name + " " + vector_name(on_it[0].vector) : name, 0, pointer);
            needs_.pieces.back().vectors = vectors_of(on_it);
            needs_.pieces.back().rare = all_rare(on_it);
        }
    }

    // The page that the first push writes to.
    void add_stack(const std::string& name, std::string short_name, std::uint64_t base,
                   std::uint64_t pointer) {
        const TssLayout& layout = tss_layout();
        const VirtAddr stack_top{(base + (pointer & -layout.align)) & last_address_};
        needs_.pieces.push_back({.name = name,
                                 .short_name = std::move(short_name),
                                 .address = stack_top,
                                 .pages = {page_of(stack_top.value - layout.pointer)},
                                 .access = Access::write,
                                 .kind = EntryPieceKind::stack});
    }

    // The privilege level that a gate leads to: its code segment's DPL, if that segment is there
    // and not conforming (SDM vol. 3A, 6.12.1).
    unsigned level_of(const Gate& gate) {
        const std::uint64_t segment = descriptor(gate.selector).value_or(0);
        return is_conforming(segment) ? 0 : dpl_of(segment);
    }

    // Reading

    // A descriptor's 8 bytes, zeros if they cannot be read; nothing if it is beyond the table.
    std::optional<std::uint64_t> descriptor(unsigned selector) {
        const auto [known, is_new] = descriptors_.try_emplace(selector & ~3u);
        if (is_new) known->second = read_descriptor(selector);
        return known->second;
    }

    std::optional<std::uint64_t> read_descriptor(unsigned selector) {
        const bool local = selector & 4;
        const std::uint64_t at = selector & ~7u;
        const SystemSegment& ldtr = registers_.ldtr;
        const TableRegister table = local ? TableRegister{ldtr.base, ldtr.limit} : registers_.gdtr;
        if (!(selector & ~3u) || (local && ldtr.is_null()) || at + 7 > table.limit)
            return std::nullopt;
        return number(
            available(local ? SystemTable::ldt : SystemTable::gdt, {table.base.value + at}, 8), 0,
            8);
    }

    // Those bytes, zeros if there are none.
    std::vector<std::byte> available(SystemTable table, VirtAddr base, std::uint64_t size) {
        std::vector<std::byte> data(size);
        for (std::size_t done = 0; done < size;) {
            const VirtAddr at{(base.value + done) & last_address_};
            const std::uint64_t length = std::min(size - done, small_page - at.value % small_page);
            const auto part = std::span(data).subspan(done, length);
            if (!linear_.read(at, part)) {
                std::ranges::fill(part, std::byte{});
                if (!std::ranges::count(needs_.unread, table)) needs_.unread.push_back(table);
            }
            done += length;
        }
        return data;
    }

    static std::uint64_t size_of(std::uint32_t limit, std::uint64_t largest) {
        return std::min(std::uint64_t{limit} + 1, largest);
    }

    VirtAddr page_of(std::uint64_t address) const {
        return {address & last_address_ & -small_page};
    }

    void add_table(std::string name, VirtAddr base, std::uint64_t size) {
        EntryPiece piece{.name = name, .short_name = std::move(name), .address = base};
        const std::uint64_t before = base.value % small_page;
        for (std::uint64_t done = 0; done < before + size; done += small_page)
            piece.pages.push_back(page_of(base.value + done));
        needs_.pieces.push_back(std::move(piece));
    }

    SystemRegisters registers_;
    LinearMemory& linear_;
    bool long_mode_;
    std::uint64_t last_address_;
    std::map<unsigned, std::optional<std::uint64_t>> descriptors_;  // by selector, without its RPL
    EntryNeeds needs_;
};

}  // namespace

EntryNeeds entry_needs(const SystemRegisters& registers, LinearMemory& linear) {
    return DescriptorTables(registers, linear).needs();
}

std::string_view name(SystemTable table) {
    static constexpr std::array<std::string_view, 4> names{"GDT", "IDT", "LDT", "TSS"};
    return names[static_cast<std::size_t>(table)];
}

std::string vector_name(unsigned vector) {
    return vector < exceptions.size() ? exceptions[vector].name : std::to_string(vector);
}

}  // namespace ptmap
