// The registers and what they lead to, to the letter.
#include "text/registers_text.h"

#include <gtest/gtest.h>

#include "fake_memory.h"
#include "text/entry_text.h"
#include "whole_text.h"

namespace ptmap {
namespace {

using Words = std::vector<std::string>;

std::string text_of(const RegistersReport& report, std::string* roles = nullptr) {
    return written([&](Text& text) { put_registers(text, report); }, roles);
}

RegistersReport report_of(Mode mode) {
    const ControlRegisters r = registers_of(mode);
    RegistersReport report{.mode = mode, .paging = X86Paging(r), .root = PhysAddr{r.cr3}};
    report.registers = {{ControlRegister::cr0, r.cr0},
                        {ControlRegister::cr3, r.cr3},
                        {ControlRegister::cr4, r.cr4},
                        {ControlRegister::efer, r.efer}};
    return report;
}

EntryPiece piece(std::string name, std::uint64_t address, Access access = Access::read) {
    return {.name = name,
            .short_name = name,
            .address = {address},
            .pages = {{address}},
            .access = access};
}

EntryPiece handlers(std::uint64_t address) {
    EntryPiece found = piece("handlers", address, Access::fetch);
    found.kind = EntryPieceKind::handlers;
    return found;
}

EntryPiece stack(const std::string& name, std::uint64_t address) {
    EntryPiece found = piece(name + " stack", address, Access::write);
    found.name = name;
    found.kind = EntryPieceKind::stack;
    return found;
}

EntryPieceState mapped(std::uint64_t frame) {
    return {.pages = 1, .mapped = 1, .frame = PhysAddr{frame}, .rights = Rights::exec};
}

const EntryPieceState not_mapped{.pages = 1, .denied = Reason::not_present};

TEST(RegistersText, BitsByNameAndTheMode) {
    std::string roles;
    EXPECT_EQ(text_of(report_of(Mode::bits32), &roles).substr(0, 185),
              "CR0   0x80010001  PE WP PG\n"
              "CR3   0x00001000  root=0x1000\n"
              "CR4   0x00000090  PSE PGE\n"
              "EFER  0x00000000\n"
              "GDTR, IDTR, LDTR, TR  not known\n"
              "mode  32-bit paging: PD, PT; 32-bit linear addresses\n");
    EXPECT_TRUE(roles.starts_with("<heading CR0>   <address 0x80010001>  PE WP PG\n")) << roles;
}

TEST(RegistersText, WhatIsGivenAssumedAndNotKnown) {
    RegistersReport report;
    report.registers = {{ControlRegister::cr0, std::nullopt},
                        {ControlRegister::cr2, 0x1234, false, {}},
                        {ControlRegister::cr3, 0x2000},
                        {ControlRegister::cr4, 0x20, true, {"CR4.PSE=1", "CR4.PGE=1"}}};
    report.cr2_now = "not canonical";
    EXPECT_EQ(text_of(report),
              "CR0   not known\n"
              "CR2   0x00001234  now not canonical\n"
              "CR3   0x00002000\n"
              "CR4   0x00000020  PAE (set by `set ptmap cr4`) (assuming CR4.PSE=1) (assuming\n"
              "                  CR4.PGE=1)\n"
              "GDTR, IDTR, LDTR, TR  not known\n"
              "mode  not known: a register that decides is missing\n");
    report.mode = Mode::off;
    EXPECT_TRUE(text_of(report).ends_with(
        "mode  paging is off (CR0.PG=0): linear addresses are physical\n"));
}

TEST(RegistersText, FieldsOfCr3) {
    const auto cr3 = [](Mode mode, std::uint64_t value, std::uint64_t cr4 = 0) {
        ControlRegisters r = registers_of(mode);
        r.cr4 |= cr4;
        RegistersReport report{.mode = mode, .paging = X86Paging(r)};
        report.registers = {{ControlRegister::cr3, value}};
        const std::string text = text_of(report);
        return text.substr(0, text.find('\n'));
    };
    EXPECT_EQ(cr3(Mode::bits32, 0x5018), "CR3   0x00005018  root=0x5000 PWT PCD");
    EXPECT_EQ(cr3(Mode::pae, 0x5038), "CR3   0x00005038  root=0x5020");
    EXPECT_EQ(cr3(Mode::level4, 0x5018, 1 << 17), "CR3   0x00005018  root=0x5000 PCID=0x18");
    EXPECT_EQ(cr3(Mode::level4, 0x6000000000005010),
              "CR3   0x6000000000005010  root=0x5000 PCD LAM_U57 LAM_U48");
}

TEST(RegistersText, TheTablesRegisters) {
    RegistersReport report;
    report.tables = {{{0xfffffe0000001000}, 0x7f},
                     {{0x800}, 0xfff},
                     {{0}, 0xffff, 3},
                     {{0xfffffe0000003000}, 0x4087, 0x40}};
    EXPECT_EQ(text_of(report),
              "GDTR  base 0xfffffe0000001000 limit 0x7f\n"
              "IDTR  base 0x00000800 limit 0xfff\n"
              "LDTR  null\n"
              "TR    base 0xfffffe0000003000 limit 0x4087 selector 0x40\n"
              "mode  not known: a register that decides is missing\n");
}

TEST(OutcomeText, SaysWhereAWalkEnds) {
    Machine m(Mode::level4);
    m.set(0x1000, 0, 0x2000 | bit::table);
    m.set(0x1000, 1, 0x9000 | bit::table);
    m.set(0x2000, 0, 0x3000 | bit::table);
    m.set(0x2000, 1, 0x40000000 | bit::P | bit::PS | bit::US);
    m.set(0x3000, 0, 0x200000 | bit::P | bit::PS | 1 << 13);
    EXPECT_EQ(outcome_text(m.walk(0x40000123)), "user read exec at physical 0x40000123");
    EXPECT_EQ(outcome_text(m.walk(0x200000)), "not present: the walk ends at the PDE");
    EXPECT_EQ(outcome_text(m.walk(0)), "not usable: the PDE has a reserved bit set");
    EXPECT_EQ(outcome_text(m.walk(std::uint64_t{1} << 39)),
              "not known: the PDPTE cannot be read (not RAM)");
    EXPECT_EQ(outcome_text(m.walk(std::uint64_t{1} << 60)), "not canonical");
}

TEST(EntryText, NeighbouringHandlersShareALine) {
    std::vector<EntryRow> rows;
    for (const std::uint64_t at : {0x10000, 0x11000, 0x13000})
        rows.push_back({handlers(at), mapped(at), {}});
    rows.push_back({handlers(0x14000), not_mapped, {}});
    rows.back().piece.vectors = {3, 4, 5};
    EXPECT_EQ(written([&](Text& text) {
                  put_entry(text, {Mode::bits32, {0x1000}, {}, {}, rows, {}});
              }),
              "Entering the kernel needs, under the root 0x1000:\n"
              "           address    size physical rights\n"
              "  handlers 0x00010000 8K   0x10000  supervisor read exec\n"
              "  handlers 0x00013000 4K   0x13000  supervisor read exec\n"
              "  handlers 0x00014000 4K   -        NOT MAPPED (3-5)\n"
              "No KPTI here: the kernel stays mapped while user space runs, but NOT as needed:\n"
              "1 handler page.\n");
}

TEST(EntryText, UnderBothRootsOfKpti) {
    std::vector<EntryRow> rows{{piece("GDT", 0xfffffe0000001000), mapped(0x5000), mapped(0x5000)},
                               {stack("RSP0", 0xfffffe0000003000), mapped(0x6000), not_mapped},
                               {piece("late", 0x1000), mapped(0x7000), {}}};
    rows[2].piece.before_switch = false;
    const KptiRoots pair{{0x2000}, {0x3000}};
    const Words notes{"SYSCALL is off (EFER.SCE=0)"};
    std::string roles;
    EXPECT_EQ(written(
                  [&](Text& text) {
                      put_entry(text, {Mode::level4, {0x2000}, pair, Half::kernel, rows, notes});
                  },
                  &roles),
              "Entering the kernel needs, under the root 0x2000, KPTI's kernel root\n"
              "(and in the last column, whether under the user root 0x3000 too):\n"
              "             address            size physical rights                        user\n"
              "  GDT        0xfffffe0000001000 4K   0x5000   supervisor read exec           yes\n"
              "  RSP0 stack 0xfffffe0000003000 4K   0x6000   supervisor read exec            NO\n"
              "  late       0x0000000000001000 4K   0x7000   supervisor read exec             -\n"
              "  SYSCALL is off (EFER.SCE=0)\n"
              "While user space runs (user root 0x3000), NOT mapped as needed: RSP0 stack.\n"
              "Mapped: GDT.\n");
    EXPECT_NE(roles.find("<label GDT>        <address 0xfffffe0000001000> 4K   <address 0x5000>   "
                         "<rights supervisor read exec>"),
              std::string::npos)
        << roles;
    const std::string of_user = written([&](Text& text) {
        put_entry(text, {Mode::level4, {0x3000}, pair, Half::user, std::span(rows).last(1), {}});
    });
    EXPECT_NE(of_user.find("supervisor read exec (kernel's)\n"), std::string::npos) << of_user;
}

TEST(EntryAnswer, InASentence) {
    std::vector<EntryRow> rows{{piece("GDT", 0), mapped(0), {}}, {handlers(0), mapped(0), {}},
                               {handlers(0), mapped(0), {}},     {stack("RSP0", 0), mapped(0), {}},
                               {piece("TSS", 0), mapped(0), {}}, {stack("IST1", 0), mapped(0), {}},
                               {stack("IST1", 0), mapped(0), {}}};
    EXPECT_EQ(entry_answer(rows, {}),
              "No KPTI here: the kernel stays mapped while user space runs: GDT, 2 handler pages, "
              "RSP0/IST1 stacks, TSS.");
    rows[4].here = not_mapped;
    rows[5].here = rows[6].here = not_mapped;
    rows[5].piece.rare = rows[6].piece.rare = true;
    rows[5].piece.vectors = {18};
    EXPECT_EQ(entry_answer(rows, {}),
              "No KPTI here: the kernel stays mapped while user space runs, but NOT as needed: "
              "TSS. The rest is for vectors that an ordinary machine never raises (18): IST1 "
              "stack.");
    rows[5].piece.vectors = {};
    EXPECT_TRUE(entry_answer(rows, {}).ends_with(" The rest is used by no gate: IST1 stack."));
    rows[0].here.unread = "not RAM";
    EXPECT_EQ(entry_answer(rows, {}), "Not known, because tables cannot be read (not RAM): GDT.");
    EXPECT_EQ(entry_answer(std::span(rows).subspan(4, 1), KptiRoots{{0x1000}, {0x2000}}),
              "While user space runs (user root 0x2000), NOT mapped as needed: TSS. Mapped: "
              "nothing.");
}

TEST(RegistersText, WhyTheEntryIsNotKnown) {
    RegistersReport report = report_of(Mode::level4);
    report.why_not = "not known, because only QEMU's monitor shows GDTR, IDTR and TR";
    EXPECT_TRUE(text_of(report).ends_with(
        "What entering the kernel needs: not known, because only QEMU's monitor shows\n"
        "GDTR, IDTR and TR\n"));
}

TEST(RegistersJson, IsTheSchemaToTheLetter) {
    RegistersReport report = report_of(Mode::level4);
    report.registers = {{ControlRegister::cr0, 0x80010001},
                        {ControlRegister::cr2, 0x10, true, {"x"}},
                        {ControlRegister::efer, std::nullopt}};
    report.cr2_now = "not canonical";
    report.tables = {{{0x1000}, 0x7f}, {{0}, 0}, {{0}, 0}, {{0x3000}, 103, 0x40}};
    report.rows = {{piece("GDT", 0x1000), mapped(0x5000), not_mapped}};
    report.rows[0].piece.vectors = {1, 2};
    report.pair = KptiRoots{{0x1000}, {0x2000}};
    report.notes = {"a note"};
    EXPECT_EQ(registers_json(report), R"({
 "schema": "ptmap/1",
 "kind": "regs",
 "mode": "4-level",
 "root": "0x1000",
 "registers": {
  "cr0": {
   "value": "0x80010001",
   "bits": [
    "PE",
    "WP",
    "PG"
   ]
  },
  "cr2": {
   "value": "0x10",
   "bits": [],
   "set": true,
   "now": "not canonical",
   "assumed": [
    "x"
   ]
  },
  "efer": null
 },
 "descriptors": {
  "gdtr": {
   "base": "0x1000",
   "limit": 127
  },
  "idtr": {
   "base": "0x0",
   "limit": 0
  },
  "ldtr": {
   "selector": 0,
   "base": "0x0",
   "limit": 0
  },
  "tr": {
   "selector": 64,
   "base": "0x3000",
   "limit": 103
  },
  "kernel_root": "0x1000",
  "user_root": "0x2000",
  "pieces": [
   {
    "name": "GDT",
    "va": "0x1000",
    "access": "read",
    "vectors": [
     1,
     2
    ],
    "before_switch": true,
    "rare": false,
    "pages": 1,
    "mapped": 1,
    "frame": "0x5000",
    "verdict": "supervisor read exec",
    "ok": true,
    "user": {
     "pages": 1,
     "mapped": 0,
     "frame": null,
     "verdict": "NOT MAPPED",
     "ok": false
    }
   }
  ],
  "notes": [
   "a note"
  ],
  "answer": "While user space runs (user root 0x2000), NOT mapped as needed: GDT. Mapped: nothing."
 }
}
)");
}

TEST(RegistersJson, OfLittle) {
    EXPECT_EQ(registers_json({}), R"({
 "schema": "ptmap/1",
 "kind": "regs",
 "mode": null,
 "root": null,
 "registers": {},
 "descriptors": null
}
)");
}

}  // namespace
}  // namespace ptmap
