// What entering a kernel needs: from tables as kernels have them to bytes that are none.
//
// Bits are given by the SDM's figures (vol. 3A, 3.4.5, 3.5, 6.11, 6.14, 8.2, 8.6, 8.7), in code
// that shares nothing with the core.
#include "explain/descriptors.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <random>
#include <stdexcept>
#include <utility>

#include "fake_memory.h"
#include "text/entry_text.h"

namespace ptmap {
namespace {

using Strings = std::vector<std::string>;
using Vectors = std::vector<std::uint8_t>;

constexpr std::uint64_t gdt_at = 0x10000, idt_at = 0x20000, ldt_at = 0x30000, tss_at = 0x40000;
constexpr unsigned code_0 = 0x08, code_1 = 0x11, code_2 = 0x1a, conforming = 0x20, tss_entry = 0x28;
constexpr unsigned interrupt = 0xE, trap = 0xF, task = 0x5, interrupt_16 = 0x6, trap_16 = 0x7;

std::uint64_t segment(std::uint64_t base, unsigned dpl, unsigned type = 0xB, bool system = false) {
    return 0xFFFF | (base & 0xFFFFFF) << 16 | std::uint64_t{type} << 40 |
           std::uint64_t{!system} << 44 | std::uint64_t{dpl} << 45 | std::uint64_t{1} << 47 |
           (base >> 24 & 0xFF) << 56;
}

struct TestGate {
    std::uint64_t offset = 0;
    unsigned type = interrupt, selector = code_0, ist = 0, dpl = 0;
    bool present = true;
};

// A CPU whose tables are in pages of their own, mapped as they are: linear is physical.
class Cpu : public Machine {
public:
    SystemRegisters now;

    explicit Cpu(Mode mode) : Machine(mode), long_(mode == Mode::level4 || mode == Mode::level5) {
        now = {{{gdt_at}, 0xFF},
               {{idt_at}, 256u * gate_bytes() - 1},
               {{ldt_at}, 0xFF, 0, 2},
               {{tss_at}, 103, tss_entry, 0xB}};
        for (const std::uint64_t page : {gdt_at, idt_at, ldt_at, tss_at}) map(page);
        map(idt_at + 0x1000);
        descriptor(code_0, segment(0, 0));
        descriptor(code_1, segment(0, 1));
        descriptor(code_2, segment(0, 2));
        descriptor(conforming, segment(0, 2, 0xF));
    }

    unsigned gate_bytes() const { return long_ ? 16 : 8; }

    /// A page, from `va` to the same physical address or to `pa`.
    void map(std::uint64_t va, std::optional<std::uint64_t> pa = {}, std::uint64_t leaf = 3) {
        const X86Paging& p = paging();
        const auto levels = p.levels();
        const std::uint64_t offset = p.offset_of({va});
        std::uint64_t table = 0x1000;
        for (std::size_t i = 0; i + 1 < levels.size(); ++i) {
            std::uint64_t& next = tables_[{table, levels[i].index(offset)}];
            if (!next) next = new_table();
            const bool pdpte = registers.efer == efer::NXE && i == 0 && levels.size() == 3;
            set(table, levels[i].index(offset), next | (pdpte ? bit::P : bit::table));
            table = next;
        }
        set(table, levels.back().index(offset), pa.value_or(va & ~std::uint64_t{0xFFF}) | leaf);
        memory.ram(pa.value_or(va));
    }

    void descriptor(unsigned selector, std::uint64_t raw) {
        memory.put((selector & 4 ? ldt_at : gdt_at) + (selector & ~7u), raw, 8);
    }
    void gate(unsigned vector, const TestGate& g) {
        gate_at(idt_at + std::uint64_t{vector} * gate_bytes(), g);
    }
    /// At a physical address, byte by byte: it may lie on the border of two pages.
    void gate_at(std::uint64_t at, const TestGate& g) {
        const std::array<std::uint64_t, 2> raw{
            (g.offset & 0xFFFF) | g.selector << 16 | std::uint64_t{g.ist} << 32 |
                std::uint64_t{g.type} << 40 | std::uint64_t{g.dpl} << 45 |
                std::uint64_t{g.present} << 47 | (g.offset >> 16 & 0xFFFF) << 48,
            g.offset >> 32};
        for (unsigned i = 0; i < gate_bytes(); ++i)
            memory.put(at + i, raw[i / 8] >> 8 * (i % 8), 1);
    }
    void tss(unsigned offset, std::uint64_t value, unsigned bytes) {
        memory.put(tss_at + offset, value, bytes);
    }

    EntryNeeds needs() {
        LinearMemory linear(paging(), {0x1000}, memory);
        return entry_needs(now, linear);
    }
    /// The only piece of this name; an empty one if there is none.
    EntryPiece piece(std::string_view name) {
        EntryPiece found;
        for (const EntryPiece& piece : needs().pieces) {
            if (piece.full_name() != name) continue;
            EXPECT_EQ(found.full_name(), "") << "two of " << name;
            found = piece;
        }
        return found;
    }
    Strings names(std::string_view ending = "") {
        Strings all;
        for (const EntryPiece& piece : needs().pieces)
            if (piece.full_name().ends_with(ending)) all.push_back(piece.full_name());
        return all;
    }
    std::map<std::uint64_t, Vectors> handlers() {
        std::map<std::uint64_t, Vectors> all;
        for (const EntryPiece& piece : needs().pieces)
            if (piece.full_name() == "handlers") {
                EXPECT_EQ(piece.access, Access::fetch);
                EXPECT_EQ(piece.pages, std::vector{piece.address});
                all[piece.address.value] = piece.vectors;
            }
        return all;
    }
    EntryPieceState state(std::string_view name, std::optional<std::uint32_t> pkru = 0) {
        const EntryPiece found = piece(name);
        return state_of(found, paging(), {0x1000}, memory, pkru);
    }

private:
    std::uint64_t new_table() {
        memory.ram(next_table_);
        return std::exchange(next_table_, next_table_ + 0x1000);
    }

    bool long_;
    std::uint64_t next_table_ = 0x100000;
    std::map<std::pair<std::uint64_t, unsigned>, std::uint64_t> tables_;
};

std::vector<std::uint64_t> values(const std::vector<VirtAddr>& addresses) {
    std::vector<std::uint64_t> all;
    for (const VirtAddr va : addresses) all.push_back(va.value);
    return all;
}
using Numbers = std::vector<std::uint64_t>;

class EveryMode : public testing::TestWithParam<Mode> {};
class LongMode : public testing::TestWithParam<Mode> {};
class LegacyMode : public testing::TestWithParam<Mode> {};
constexpr auto mode_name = [](const auto& info) { return test_name(name(info.param)); };
INSTANTIATE_TEST_SUITE_P(Descriptors, EveryMode, testing::ValuesIn(all_modes), mode_name);
INSTANTIATE_TEST_SUITE_P(Descriptors, LongMode, testing::Values(Mode::level4, Mode::level5),
                         mode_name);
INSTANTIATE_TEST_SUITE_P(Descriptors, LegacyMode, testing::Values(Mode::bits32, Mode::pae),
                         mode_name);

// The tables

TEST_P(EveryMode, TablesAreAsLongAsTheirLimits) {
    Cpu cpu(GetParam());
    cpu.now.ldtr.selector = 0x30;
    const char* const stack = cpu.gate_bytes() == 16 ? "RSP0 stack" : "ESP0 stack";
    EXPECT_EQ(cpu.names(), (Strings{"GDT", "IDT", "LDT", "TSS", stack}));
    EXPECT_EQ(values(cpu.piece("GDT").pages), Numbers{gdt_at});
    EXPECT_EQ(values(cpu.piece("IDT").pages), Numbers{idt_at});
    EXPECT_EQ(cpu.piece("LDT").address.value, ldt_at);
    EXPECT_EQ(cpu.piece("TSS").access, Access::read);
    EXPECT_TRUE(cpu.needs().unread.empty());

    cpu.now.gdtr.limit = 0x1000;  // of the last byte, which is in the next page
    cpu.now.ldtr = {{ldt_at + 0xFFF}, 1, 0x30, 2};
    EXPECT_EQ(values(cpu.piece("GDT").pages), (Numbers{gdt_at, gdt_at + 0x1000}));
    EXPECT_EQ(values(cpu.piece("LDT").pages), (Numbers{ldt_at, ldt_at + 0x1000}));
    cpu.now.gdtr.limit = 0xFFF;
    EXPECT_EQ(cpu.piece("GDT").pages.size(), 1u);
}

TEST_P(EveryMode, LimitsOfZeroLeaveTheirFirstByte) {
    Cpu cpu(GetParam());
    cpu.gate(0, {.offset = 0x5000});
    cpu.now = {{{gdt_at}, 0}, {{idt_at}, 0}, {{ldt_at}, 0, 0x30, 2}, {{tss_at}, 0, tss_entry, 0xB}};
    EXPECT_EQ(cpu.names(), (Strings{"GDT", "IDT", "LDT", "TSS"}));
    for (const char* name : {"GDT", "IDT", "LDT", "TSS"})
        EXPECT_EQ(cpu.piece(name).pages.size(), 1u);
}

TEST_P(EveryMode, LimitsThatAreTooLargeAreCut) {
    Cpu cpu(GetParam());
    cpu.now.gdtr.limit = cpu.now.idtr.limit = cpu.now.ldtr.limit = cpu.now.tr.limit = ~0u;
    cpu.now.ldtr.selector = 0x30;
    EXPECT_EQ(cpu.piece("GDT").pages.size(), 16u);  // 64 KiB
    EXPECT_EQ(cpu.piece("IDT").pages.size(), 1u);   // 256 gates
    EXPECT_EQ(cpu.piece("LDT").pages.size(), 16u);
    EXPECT_EQ(cpu.piece("TSS").pages.size(), 18u);  // and 8 KiB of I/O permissions
}

TEST_P(EveryMode, NullSelectorsAreNotLoaded) {
    for (unsigned selector = 0; selector < 4; ++selector) {
        Cpu cpu(GetParam());
        cpu.now.ldtr.selector = cpu.now.tr.selector = selector;
        EXPECT_EQ(cpu.names(), (Strings{"GDT", "IDT"}));
    }
}

TEST_P(EveryMode, TablesGoRoundTheEndOfTheAddressSpace) {
    Cpu cpu(GetParam());
    const std::uint64_t end = cpu.gate_bytes() == 16 ? 0 : std::uint64_t{1} << 32;
    cpu.map(end - 0x1000, 0x50000);
    cpu.map(0, 0x51000);
    const unsigned before = cpu.gate_bytes() + 3;  // the second gate's first bytes, too
    cpu.gate_at(0x51000 - before, {.offset = 0x5000});
    cpu.gate_at(0x51000 - 3, {.offset = 0x6000});
    cpu.now.idtr = {{end - before}, 2 * cpu.gate_bytes() - 1};
    EXPECT_EQ(cpu.handlers(), (std::map<std::uint64_t, Vectors>{{0x5000, {0}}, {0x6000, {1}}}));
    EXPECT_EQ(values(cpu.piece("IDT").pages), (Numbers{end - 0x1000, 0}));
}

// The IDT

TEST_P(EveryMode, HandlersArePagesThatGatesLeadTo) {
    Cpu cpu(GetParam());
    cpu.gate(0, {.offset = 0x5000});
    cpu.gate(1, {.offset = 0x5FFF, .type = trap});
    cpu.gate(14, {.offset = 0xFFFF6123});
    cpu.gate(255, {.offset = 0x4000});
    cpu.gate(3, {.offset = 0x7000, .present = false});
    for (const unsigned none : {0x0, 0x1, 0x2, 0x4, 0x8, 0x9, 0xA, 0xB, 0xC, 0xD})
        cpu.gate(0x20 + none, {.offset = 0x8000, .type = none});
    EXPECT_EQ(cpu.handlers(), (std::map<std::uint64_t, Vectors>{
                                  {0x4000, {255}}, {0x5000, {0, 1}}, {0xFFFF6000, {14}}}));
}

TEST_P(EveryMode, AGateBeyondTheLimitIsNone) {
    Cpu cpu(GetParam());
    cpu.gate(0, {.offset = 0x5000});
    cpu.gate(1, {.offset = 0x6000});
    cpu.now.idtr.limit = 2 * cpu.gate_bytes() - 1;
    EXPECT_EQ(cpu.handlers().size(), 2u);
    --cpu.now.idtr.limit;
    EXPECT_EQ(cpu.handlers().size(), 1u);
}

TEST_P(LongMode, GatesHave64BitsAndNoSegmentsBase) {
    Cpu cpu(GetParam());
    cpu.descriptor(code_0, segment(0x1000000, 0));
    cpu.gate(0, {.offset = 0xFFFFFFFF81234567});
    cpu.gate(1, {.offset = 0xDEAD000000000123});
    for (const unsigned none : {task, interrupt_16, trap_16})
        cpu.gate(none, {.offset = 0x8000, .type = none, .selector = tss_entry});
    EXPECT_EQ(cpu.handlers(), (std::map<std::uint64_t, Vectors>{{0xDEAD000000000000, {1}},
                                                                {0xFFFFFFFF81234000, {0}}}));
    EXPECT_EQ(cpu.names(" TSS"), Strings{});
}

TEST_P(LegacyMode, HandlersLieInTheirSegment) {
    Cpu cpu(GetParam());
    cpu.descriptor(code_1, segment(0x12345678, 1));
    cpu.descriptor(0x0C, segment(0xFF000000, 0));  // of the LDT
    cpu.now.ldtr.selector = 0x30;
    cpu.gate(0, {.offset = 0x1000, .selector = code_1});
    cpu.gate(1, {.offset = 0x12345678, .type = interrupt_16, .selector = code_0});
    cpu.gate(2, {.offset = 0x12349678, .type = trap_16, .selector = code_0});
    cpu.gate(4, {.offset = 0x01000FFF, .selector = 0x0C});  // round the end
    cpu.gate(5, {.offset = 0x3000, .selector = 0xFFF8});    // beyond the GDT's limit
    EXPECT_EQ(cpu.handlers(),
              (std::map<std::uint64_t, Vectors>{
                  {0, {4}}, {0x3000, {5}}, {0x5000, {1}}, {0x9000, {2}}, {0x12346000, {0}}}));
    cpu.now.ldtr.selector = 0;  // then its segments have no base
    EXPECT_EQ(cpu.handlers().at(0x1000000), Vectors{4});
}

TEST_P(LegacyMode, TaskGatesNeedTheirTss) {
    Cpu cpu(GetParam());
    cpu.descriptor(0x30, segment(0x00ABCFA0, 0, 0x9, true));
    cpu.gate(8, {.type = task, .selector = 0x30});
    cpu.gate(200, {.type = task, .selector = 0x30});
    cpu.gate(9, {.type = task, .selector = 0});       // null
    cpu.gate(10, {.type = task, .selector = 0x100});  // beyond the limit
    EXPECT_EQ(cpu.names(" TSS"), (Strings{"#DF TSS", "200 TSS"}));
    const EntryPiece tss = cpu.piece("#DF TSS");
    EXPECT_EQ(tss.short_name, "#DF TSS");
    EXPECT_EQ(tss.vectors, Vectors{8});
    EXPECT_EQ(tss.address.value, 0xABCFA0u);
    EXPECT_EQ(values(tss.pages), (Numbers{0xABC000, 0xABD000}));
    EXPECT_TRUE(cpu.handlers().empty());
}

TEST_P(EveryMode, RareHandlersAreForVectorsThatAreNeverRaised) {
    Cpu cpu(GetParam());
    const auto rare = [&] {
        Vectors all;
        for (const EntryPiece& piece : cpu.needs().pieces)
            if (piece.rare) all.insert(all.end(), piece.vectors.begin(), piece.vectors.end());
        return all;
    };
    for (unsigned vector = 0; vector < 256; ++vector)
        cpu.gate(vector, {.offset = 0x100000 + vector * 0x1000});
    EXPECT_EQ(rare(), (Vectors{15, 18, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31}));
    cpu.registers.cr4 |= 1 << 6;  // MCE
    EXPECT_EQ(rare(), (Vectors{15, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31}));
    cpu.registers.cr4 |= 1 << 23;  // CET
    EXPECT_EQ(rare(), (Vectors{15, 20, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31}));
    cpu.gate(15, {.offset = 0x100000 + 15 * 0x1000, .dpl = 3});  // INT n may use it
    cpu.gate(20, {.offset = 0x100000 + 14 * 0x1000});            // #PF's page
    EXPECT_EQ(rare(), (Vectors{22, 23, 24, 25, 26, 27, 28, 29, 30, 31}));
}

TEST(Descriptors, VectorNames) {
    EXPECT_EQ(vector_name(0), "#DE");
    EXPECT_EQ(vector_name(2), "NMI");
    EXPECT_EQ(vector_name(9), "9");
    EXPECT_EQ(vector_name(14), "#PF");
    EXPECT_EQ(vector_name(18), "#MC");
    EXPECT_EQ(vector_name(21), "#CP");
    EXPECT_EQ(vector_name(30), "#SX");
    EXPECT_EQ(vector_name(31), "31");
    EXPECT_EQ(vector_name(32), "32");
    EXPECT_EQ(vector_name(255), "255");
}

// The TSS

TEST_P(LongMode, StacksAreOfTheLevelsThatGatesLeadTo) {
    Cpu cpu(GetParam());
    cpu.tss(4, 0x51000, 8);
    cpu.tss(12, 0x6100F, 8);
    cpu.tss(20, 0xFFFFC90000004000, 8);
    EXPECT_EQ(cpu.names(" stack"), Strings{"RSP0 stack"});
    cpu.gate(0, {.selector = conforming});
    EXPECT_EQ(cpu.names(" stack"), Strings{"RSP0 stack"});
    cpu.gate(1, {.selector = code_2});
    EXPECT_EQ(cpu.names(" stack"), (Strings{"RSP0 stack", "RSP2 stack"}));
    cpu.gate(2, {.selector = code_1});
    const EntryPiece piece = cpu.piece("RSP1 stack");
    EXPECT_EQ(piece.short_name, "RSP1");
    EXPECT_EQ(piece.address.value, 0x61000u);  // rounded down to 16 bytes
    EXPECT_EQ(values(piece.pages), Numbers{0x60000});
    EXPECT_EQ(piece.access, Access::write);
    EXPECT_EQ(piece.vectors, Vectors{});
    EXPECT_FALSE(piece.rare);
    EXPECT_TRUE(piece.before_switch);
    EXPECT_EQ(values(cpu.piece("RSP2 stack").pages), Numbers{0xFFFFC90000003000});
}

TEST_P(LongMode, IstStacksAreThoseThatAreThereOrUsed) {
    Cpu cpu(GetParam());
    cpu.tss(36, 0x51008, 8);
    cpu.tss(84, 0x52000, 8);
    cpu.gate(2, {.ist = 1});
    cpu.gate(8, {.ist = 3});   // its pointer is 0
    cpu.gate(18, {.ist = 7});  // rare without CR4.MCE
    cpu.gate(29, {.ist = 7});
    EXPECT_EQ(cpu.names(" stack"),
              (Strings{"RSP0 stack", "IST1 stack", "IST3 stack", "IST7 stack"}));
    EXPECT_EQ(cpu.piece("IST1 stack").short_name, "IST1 NMI");
    EXPECT_EQ(cpu.piece("IST1 stack").address.value, 0x51000u);
    EXPECT_EQ(cpu.piece("IST1 stack").vectors, Vectors{2});
    EXPECT_FALSE(cpu.piece("IST1 stack").rare);
    EXPECT_EQ(values(cpu.piece("IST3 stack").pages), Numbers{0xFFFFFFFFFFFFF000});
    EXPECT_EQ(cpu.piece("IST7 stack").short_name, "IST7");
    EXPECT_EQ(cpu.piece("IST7 stack").vectors, (Vectors{18, 29}));
    EXPECT_TRUE(cpu.piece("IST7 stack").rare);
    cpu.tss(44, 0x53000, 8);  // for no gate
    EXPECT_TRUE(cpu.piece("IST2 stack").rare);
    EXPECT_EQ(cpu.piece("IST2 stack").vectors, Vectors{});
}

TEST_P(LongMode, WhatIsBeyondTheTssLimitIsNone) {
    Cpu cpu(GetParam());
    for (unsigned i = 0; i < 3; ++i) cpu.tss(4 + 8 * i, 0x51000, 8);
    for (unsigned i = 0; i < 7; ++i) cpu.tss(36 + 8 * i, 0x51000, 8);
    cpu.gate(0, {.selector = code_1});
    cpu.gate(1, {.selector = code_2});
    for (const auto& [limit, stacks] : std::map<unsigned, std::size_t>{{0, 0},
                                                                       {10, 0},
                                                                       {11, 1},
                                                                       {18, 1},
                                                                       {19, 2},
                                                                       {26, 2},
                                                                       {27, 3},
                                                                       {42, 3},
                                                                       {43, 4},
                                                                       {50, 4},
                                                                       {51, 5},
                                                                       {90, 9},
                                                                       {91, 10},
                                                                       {103, 10},
                                                                       {~0u, 10}}) {
        cpu.now.tr.limit = limit;
        EXPECT_EQ(cpu.names(" stack").size(), stacks) << limit;
    }
}

TEST_P(LegacyMode, StacksLieInTheirSegment) {
    Cpu cpu(GetParam());
    cpu.descriptor(0x48, segment(0x10000000, 0, 3));
    cpu.tss(4, 0x2000, 4);
    cpu.tss(8, 0x48, 2);
    cpu.tss(12, 0x7002, 4);
    cpu.tss(16, 0x1000, 2);  // beyond the GDT's limit
    cpu.gate(0, {.selector = code_1});
    const EntryPiece level_0 = cpu.piece("ESP0 stack"), level_1 = cpu.piece("ESP1 stack");
    EXPECT_EQ(level_0.address.value, 0x10002000u);
    EXPECT_EQ(values(level_0.pages), Numbers{0x10001000});
    EXPECT_EQ(level_1.address.value, 0x7002u);  // not rounded
    EXPECT_EQ(values(level_1.pages), Numbers{0x6000});
    cpu.tss(4, 0xF0000002, 4);
    EXPECT_EQ(cpu.piece("ESP0 stack").address.value, 2u);  // round the end
    EXPECT_EQ(values(cpu.piece("ESP0 stack").pages), Numbers{0xFFFFF000});
    cpu.now.tr.limit = 8;  // half of SS0
    EXPECT_EQ(cpu.names(" stack"), Strings{"ESP0 stack"});
}

TEST_P(LegacyMode, TssOf16Bits) {
    for (const unsigned type : {0x1, 0x3}) {
        Cpu cpu(GetParam());
        cpu.now.tr.type = static_cast<std::uint8_t>(type);
        cpu.now.tr.limit = 43;
        cpu.tss(2, 0x1002, 2);
        cpu.tss(10, 0x3001, 2);
        cpu.gate(0, {.selector = code_2});
        EXPECT_EQ(cpu.names(" stack"), (Strings{"SP0 stack", "SP2 stack"}));
        EXPECT_EQ(values(cpu.piece("SP0 stack").pages), Numbers{0x1000});
        EXPECT_EQ(values(cpu.piece("SP2 stack").pages), Numbers{0x2000});
    }
}

TEST_P(LongMode, ABaseOf32BitsIsMadeWhole) {
    constexpr std::uint64_t whole = 0xFFFFFE0000003000;
    Cpu cpu(GetParam());
    cpu.map(whole, 0x60000);
    cpu.memory.put(gdt_at + tss_entry, segment(whole, 0, 0xB, true), 8);
    cpu.memory.put(gdt_at + tss_entry + 8, 0xFFFFFFFF00000000 | whole >> 32, 8);
    cpu.now.tr.base = {whole & 0xFFFFFFFF};
    EXPECT_EQ(cpu.needs().tr_base.value, whole);
    EXPECT_EQ(cpu.piece("TSS").address.value, whole);
    cpu.now.ldtr = {{whole & 0xFFFFFFFF}, 0, tss_entry | 3, 2};
    EXPECT_EQ(cpu.needs().ldtr_base.value, whole);

    cpu.now.tr.base = {0x14000};  // another segment's
    EXPECT_EQ(cpu.needs().tr_base.value, 0x14000u);
    cpu.now.tr.base = {std::uint64_t{1} << 32};  // not cut
    EXPECT_EQ(cpu.needs().tr_base.value, std::uint64_t{1} << 32);
    cpu.now.tr = {{whole & 0xFFFFFFFF}, 103, 0xFFF8, 0xB};  // no page there
    EXPECT_EQ(cpu.needs().tr_base.value, whole & 0xFFFFFFFF);
    cpu.now.gdtr.base = {0xFFFFFFFFFFFFFFF0};  // behind the last address
    EXPECT_EQ(cpu.needs().tr_base.value, whole & 0xFFFFFFFF);
}

TEST_P(LegacyMode, ABaseIsWholeAsItIs) {
    Cpu cpu(GetParam());
    cpu.memory.put(gdt_at + tss_entry, segment(tss_at, 0, 0xB, true), 8);
    cpu.memory.put(gdt_at + tss_entry + 8, 0x12345678, 8);
    EXPECT_EQ(cpu.needs().tr_base.value, tss_at);
}

// What cannot be read

TEST_P(EveryMode, TablesThatAreNotMappedAreSaid) {
    Machine bare(GetParam());
    bare.memory.ram(0x1000);
    LinearMemory linear(bare.paging(), {0x1000}, bare.memory);
    const SystemRegisters registers{
        {{0}, 0xFFFF}, {{0}, 0xFFFF}, {{0}, 0xFFFF, 8, 2}, {{0}, 0xFFFF, 8, 0xB}};
    const EntryNeeds needs = entry_needs(registers, linear);
    EXPECT_EQ(needs.unread, (std::vector<SystemTable>{SystemTable::idt, SystemTable::tss}));
    EXPECT_EQ(needs.pieces.size(), 4u);  // all tables, and no stacks
}

TEST_P(EveryMode, TablesThatCannotBeReadAreZeros) {
    Cpu cpu(GetParam());
    cpu.gate(0, {.offset = 0x5000, .selector = code_2});
    cpu.now.gdtr.base = {0x90000};  // not mapped
    EXPECT_EQ(cpu.needs().unread, std::vector<SystemTable>{SystemTable::gdt});
    EXPECT_EQ(cpu.names(" stack").size(), 1u);  // zeros are a segment of DPL 0
    cpu.gate(0, {.offset = 0x5000, .selector = 0x0C});
    cpu.now.ldtr = {{0x90000}, 0xFF, 0x30, 2};
    EXPECT_EQ(cpu.needs().unread, std::vector<SystemTable>{SystemTable::ldt});
}

TEST_P(EveryMode, APartOfATableThatIsThereIsRead) {
    Cpu cpu(GetParam());
    cpu.map(0x70000);  // the first gate ends this page, the next page is not mapped
    cpu.gate_at(0x71000 - cpu.gate_bytes(), {.offset = 0x5000});
    cpu.now.idtr = {{0x71000 - cpu.gate_bytes()}, 2 * cpu.gate_bytes() - 1};
    EXPECT_EQ(cpu.handlers(), (std::map<std::uint64_t, Vectors>{{0x5000, {0}}}));
    EXPECT_EQ(cpu.needs().unread, std::vector<SystemTable>{SystemTable::idt});
    const EntryPieceState state = cpu.state("IDT");
    EXPECT_EQ(state.mapped, 1u);
    EXPECT_EQ(text(state), "ONLY 1 of 2 pages");
    EXPECT_EQ(word(state), "part");
}

TEST_P(EveryMode, ATableInNoRamIsMappedAndUnread) {
    Cpu cpu(GetParam());
    cpu.map(0x70000, 0x70000);
    cpu.set(cpu.walk(0x70000).steps.back().table.value, cpu.walk(0x70000).steps.back().index,
            0x7f000000 | bit::P);
    cpu.now.idtr = {{0x70000}, 0xFF};
    EXPECT_EQ(cpu.needs().unread, std::vector<SystemTable>{SystemTable::idt});
    EXPECT_EQ(cpu.state("IDT").frame, PhysAddr{0x7f000000});
    EXPECT_TRUE(cpu.state("IDT").ok());
}

TEST_P(EveryMode, WithoutAllOfTheTssThereAreNoStacks) {
    Cpu cpu(GetParam());
    cpu.map(0x70000);
    cpu.now.tr.base = {0x70FA0};  // ends in a page that is not mapped
    EXPECT_EQ(cpu.names(" stack"), Strings{});
    EXPECT_EQ(cpu.needs().unread, std::vector<SystemTable>{SystemTable::tss});
}

TEST_P(EveryMode, LetsTheMemorysExceptionThrough) {
    struct Gone final : PhysicalMemory {
        void fetch(std::span<Fetch>) override { throw std::runtime_error("connection lost"); }
    } gone;
    const X86Paging paging(registers_of(GetParam()));
    LinearMemory linear(paging, paging.root(), gone);
    EXPECT_THROW(entry_needs({}, linear), std::runtime_error);
}

// Bytes that are no tables

TEST_P(EveryMode, AllOnes) {
    Cpu cpu(GetParam());
    for (std::uint64_t page : {gdt_at, idt_at, ldt_at, tss_at})
        for (unsigned at = 0; at < 4096; at += 8) cpu.memory.put(page + at, ~std::uint64_t{0}, 8);
    cpu.now.ldtr.selector = 0xFFFF;
    const EntryNeeds needs = cpu.needs();
    EXPECT_TRUE(needs.unread.empty());
    EXPECT_EQ(cpu.handlers().size(), 1u);
    EXPECT_EQ(cpu.handlers().begin()->second.size(), 256u);
}

// Whatever tables and registers hold, it ends, with pieces whose pages are addresses.
TEST_P(EveryMode, RandomBytes) {
    std::mt19937_64 random(1);
    const std::uint64_t last =
        GetParam() == Mode::level4 || GetParam() == Mode::level5 ? ~std::uint64_t{0} : 0xFFFFFFFF;
    for (int round = 0; round < 60; ++round) {
        Cpu cpu(GetParam());
        cpu.memory.remember = false;
        for (std::uint64_t page : {gdt_at, idt_at, idt_at + 0x1000, ldt_at, tss_at})
            for (unsigned at = 0; at < 4096; at += 8) cpu.memory.put(page + at, random(), 8);
        if (round % 2) {
            const auto base = [&] {
                const std::uint64_t bases[]{gdt_at + 0xFF0, idt_at + 0xFFF, 0, last, last - 0xFFF,
                                            random(),       random() & last};
                return VirtAddr{bases[random() % std::size(bases)]};
            };
            const auto any = [&] { return static_cast<std::uint32_t>(random() >> random() % 64); };
            cpu.now.gdtr = {base(), any()};
            cpu.now.idtr = {base(), any()};
            cpu.now.ldtr = {base(), any(), any(), static_cast<std::uint8_t>(any() & 0xF)};
            cpu.now.tr = {base(), any(), any(), static_cast<std::uint8_t>(any() & 0xF)};
        }
        const EntryNeeds needs = cpu.needs();
        EXPECT_LE(needs.pieces.size(), 4u + 256 + 10);
        for (const EntryPiece& piece : needs.pieces) {
            ASSERT_FALSE(piece.pages.empty());
            EXPECT_LE(piece.pages.size(), 20u);
            for (const VirtAddr page : piece.pages) {
                EXPECT_EQ(page.value & 0xFFF, 0u);
                EXPECT_LE(page.value, last);
            }
            const EntryPieceState state = state_of(piece, cpu.paging(), {0x1000}, cpu.memory, {});
            EXPECT_EQ(state.pages, piece.pages.size());
            EXPECT_FALSE(text(state).empty());
        }
    }
}

// What a root says of a piece

TEST(EntryPieceState, SaysWhyTheProcessorFaults) {
    Cpu cpu(Mode::level4);
    const auto said = [&](std::uint64_t va, Access access, std::optional<std::uint32_t> pkru = 0) {
        const EntryPiece piece{.name = "x", .address = {va}, .pages = {{va}}, .access = access};
        const EntryPieceState state = state_of(piece, cpu.paging(), {0x1000}, cpu.memory, pkru);
        EXPECT_EQ(state.ok(), word(state) == "yes");
        return text(state);
    };
    cpu.map(0x5000, 0x5000, bit::P);
    cpu.map(0x6000, 0x6000, bit::P | bit::RW | bit::XD);
    cpu.map(0x7000, 0x7000, bit::P | bit::US | bit::RW | std::uint64_t{3} << 59);
    EXPECT_EQ(said(0x5000, Access::read), "supervisor read exec");
    EXPECT_EQ(said(0x5000, Access::write), "FAULTS: read-only");
    EXPECT_EQ(said(0x6000, Access::fetch), "FAULTS: no-execute");
    EXPECT_EQ(said(0x6000, Access::write), "supervisor read write");
    EXPECT_EQ(said(0x7000, Access::fetch), "user read write exec");
    EXPECT_EQ(said(0x8000, Access::read), "NOT MAPPED");
    EXPECT_EQ(said(0x800000000000, Access::read), "NOT MAPPED");
    cpu.registers.cr4 |= cr4::SMEP | cr4::SMAP;
    EXPECT_EQ(said(0x7000, Access::fetch), "FAULTS: SMEP");
    EXPECT_EQ(said(0x7000, Access::read), "FAULTS: SMAP");
    cpu.registers.cr4 &= ~cr4::SMAP;
    cpu.registers.cr4 |= cr4::PKE;
    EXPECT_EQ(said(0x7000, Access::read, 1 << 6), "FAULTS: protection key");
    EXPECT_EQ(said(0x7000, Access::read, std::nullopt), "user read write exec");  // not known
}

TEST(EntryPieceState, CountsPagesAndTakesTheFirstFrame) {
    Cpu cpu(Mode::level4);
    cpu.map(0x5000, 0x9000, bit::P | bit::RW);
    cpu.map(0x6000, 0x8000, bit::P);
    const auto state = [&](std::vector<VirtAddr> pages, Access access = Access::read) {
        const EntryPiece piece{.name = "x", .pages = std::move(pages), .access = access};
        return state_of(piece, cpu.paging(), {0x1000}, cpu.memory, {});
    };
    EXPECT_EQ(state({{0x5000}, {0x6000}}).frame, PhysAddr{0x9000});
    EXPECT_EQ(text(state({{0x5000}, {0x6000}})), "mapped, various rights");
    EXPECT_EQ(text(state({{0x5000}, {0x6000}, {0x5000}})), "mapped, various rights");
    EXPECT_EQ(text(state({{0x5000}, {0x6000}}, Access::write)), "FAULTS: read-only");
    EXPECT_EQ(word(state({{0x5000}, {0x6000}}, Access::write)), "NO");
    EXPECT_EQ(text(state({{0x5000}, {0x5000}})), "supervisor read write exec");
    EXPECT_EQ(state({{0x7000}, {0x6000}}).frame, std::nullopt);
    EXPECT_EQ(text(state({{0x7000}, {0x6000}, {0x5000}})), "ONLY 2 of 3 pages");
    EXPECT_EQ(word(state({{0x7000}})), "NO");
    EXPECT_EQ(text(state({})), "NOT MAPPED");
}

TEST(EntryPieceState, SaysIfATableCannotBeRead) {
    Cpu cpu(Mode::level4);
    cpu.map(0x5000);
    cpu.set(0x1000, 1, 0x900000 | bit::table);
    const EntryPiece piece{.name = "x", .pages = {{0x5000}, {std::uint64_t{1} << 39}, {0x6000}}};
    const EntryPieceState state = state_of(piece, cpu.paging(), {0x1000}, cpu.memory, {});
    EXPECT_EQ(state.unread, "not RAM");
    EXPECT_EQ(state.denied, Reason::not_present);  // the third page's
    EXPECT_EQ(text(state), "NOT KNOWN: not RAM");
    EXPECT_EQ(word(state), "?");
    EXPECT_FALSE(state.ok());
}

TEST(EntryText, RightsInWords) {
    EXPECT_EQ(rights_words(Rights::none), "supervisor read");
    EXPECT_EQ(rights_words(Rights::all), "user read write exec");
    EXPECT_EQ(rights_words(Rights::user | Rights::exec), "user read exec");
}

TEST(EntryText, VectorsAsRuns) {
    const auto text_of = [](const Vectors& vectors) { return vectors_text(vectors); };
    EXPECT_EQ(text_of({}), "");
    EXPECT_EQ(text_of({7}), "7");
    EXPECT_EQ(text_of({31, 15, 20, 21, 20, 30, 22}), "15, 20-22, 30-31");
    EXPECT_EQ(text_of({0, 255, 254}), "0, 254-255");
}

}  // namespace
}  // namespace ptmap
