// One address explained: the values, and its text and JSON.
#include "explain/explanation.h"

#include <gtest/gtest.h>

#include "fake_memory.h"
#include "text/explanation_text.h"
#include "whole_text.h"

namespace ptmap {
namespace {

// A machine whose tables lead to one page, by entries that take no right away.
struct Explained : Machine {
    using Machine::Machine;

    AccessState state{.ac = false, .pkru = 0};
    std::optional<std::uint64_t> pat;
    ExplainedSpace space{.root = {0x1000}};

    Explanation explain(std::uint64_t va) {
        const Walk walked = walk(va);
        return ptmap::explain(walked, paging(), state, memory_types(pat));
    }

    std::string text(std::uint64_t va, std::vector<SystemNote> notes = {}) {
        return text_of({explain(va), std::move(notes), ""});
    }

    std::string json(std::uint64_t va, std::vector<SystemNote> notes = {}) {
        return json_of({explain(va), std::move(notes), ""});
    }

    std::string text_of(const ExplainedAddress& address) {
        space.mode = paging_mode(registers);
        return whole([&](const Sink& sink) { put_explanations_text(sink, space, {&address, 1}); });
    }

    std::string json_of(const ExplainedAddress& address, std::string_view expect = {}) {
        space.mode = paging_mode(registers);
        return whole([&](const Sink& sink) {
            put_explanations_json(sink, space, {&address, 1}, expect);
        });
    }
};

// 0x8048000, as in README.md: a read-only user page of 4 KiB.
Explained bits32() {
    Explained m(Mode::bits32);
    m.set(0x1000, 32, 0x2000 | bit::table);
    m.set(0x2000, 72, 0x01000000 | bit::P | bit::US | bit::A);
    return m;
}

// Linear 0 leads to the last table at 0x4000, through tables from 0x1000 on.
Explained long_mode(Mode mode = Mode::level4) {
    Explained m(mode);
    const std::uint64_t tables = mode == Mode::level5 ? 4 : 3;
    for (std::uint64_t i = 1; i <= tables; ++i) m.set(0x1000 * i, 0, 0x1000 * (i + 1) | bit::table);
    m.memory.ram(0x1000 * (tables + 1));
    return m;
}

std::vector<std::string> names(const std::vector<NamedBits>& all) {
    std::vector<std::string> texts;
    for (const NamedBits& bits : all) texts.push_back(bit_name(bits));
    return texts;
}
using Names = std::vector<std::string>;

// The lines that begin so, without what they begin with.
std::string after(const std::string& text, std::string_view start) {
    const std::size_t at = text.find(start);
    if (at == std::string::npos) return "";
    const std::size_t from = at + start.size();
    return text.substr(from, text.find('\n', from) - from);
}

TEST(Explanation, OfAMappedAddress) {
    Explained m = bits32();
    const Explanation e = m.explain(0x8048123);
    EXPECT_EQ(e.format, &formats::bits32);
    EXPECT_EQ(e.outcome, Outcome::mapped);
    ASSERT_EQ(e.steps.size(), 2u);
    EXPECT_EQ(names(e.steps[0].used), (Names{"P", "RW", "US"}));
    EXPECT_EQ(names(e.steps[1].used), (Names{"P", "US", "A"}));
    ASSERT_TRUE(e.page);
    EXPECT_EQ(e.page->pa.value, 0x1000123u);
    EXPECT_EQ(e.page->size, 4 * KiB);
    EXPECT_EQ(e.page->type, MemoryType::WB);
    EXPECT_EQ(e.page->rights, Rights::user | Rights::exec);
    EXPECT_FALSE(e.page->key);
    ASSERT_EQ(e.page->denials.size(), 1u);
    EXPECT_EQ(e.page->denials[0].right, Rights::write);
    EXPECT_EQ(e.page->denials[0].step, 1u);
    EXPECT_EQ(e.verdict(Privilege::user, Access::read), Verdict{});
    EXPECT_EQ(e.verdict(Privilege::user, Access::write),
              (Verdict{Verdict::Result::page_fault, Reason::read_only, 7}));
}

TEST(Explanation, IsTheTextOfTheReadme) {
    EXPECT_EQ(bits32().text(0x8048000),
              "0x08048000: 32-bit paging, root 0x1000\n"
              "  PDE     32  0x1080  0x00002007  P RW US\n"
              "  PTE     72  0x2120  0x01000025  P US A\n"
              "  physical 0x1000000, 4 KiB page\n"
              "  type     WB (PAT slot 0); MTRRs not considered\n"
              "  rights   user read exec\n"
              "           no write: PTE 72 RW=0\n"
              "  kernel  read  ok\n"
              "  kernel  write #PF 0x3 (P W): read-only\n"
              "  kernel  fetch ok\n"
              "  user    read  ok\n"
              "  user    write #PF 0x7 (P W U): read-only\n"
              "  user    fetch ok\n");
}

TEST(Explanation, AsJson) {
    EXPECT_EQ(bits32().json(0x8048000), R"({
 "schema": "ptmap/1",
 "kind": "pte",
 "mode": "32-bit",
 "root": "0x1000",
 "maxphyaddr": 52,
 "maxphyaddr_assumed": false,
 "addresses": [
  {
   "va": "0x8048000",
   "outcome": "mapped",
   "steps": [
    {
     "level": 2,
     "name": "PDE",
     "table": "0x1000",
     "index": 32,
     "entry_pa": "0x1080",
     "raw": "0x2007",
     "bits": [
      "P",
      "RW",
      "US"
     ],
     "target": "0x2000"
    },
    {
     "level": 1,
     "name": "PTE",
     "table": "0x2000",
     "index": 72,
     "entry_pa": "0x2120",
     "raw": "0x1000025",
     "bits": [
      "P",
      "US",
      "A"
     ],
     "target": "0x1000000"
    }
   ],
   "level": 1,
   "pa": "0x1000000",
   "page_size": "4K",
   "cache": "WB",
   "cache_slot": 0,
   "rights": {
    "user": true,
    "write": false,
    "exec": true,
    "global": false
   },
   "denied_by": {
    "write": {
     "entry": "PTE",
     "index": 72,
     "bit": "RW=0"
    }
   },
   "access": {
    "kernel": {
     "read": {
      "ok": true
     },
     "write": {
      "ok": false,
      "fault": "#PF",
      "why": "read-only",
      "error_code": "0x3"
     },
     "fetch": {
      "ok": true
     }
    },
    "user": {
     "read": {
      "ok": true
     },
     "write": {
      "ok": false,
      "fault": "#PF",
      "why": "read-only",
      "error_code": "0x7"
     },
     "fetch": {
      "ok": true
     }
    }
   }
  }
 ]
}
)");
}

TEST(Explanation, NamesTheFirstEntryThatTakesARightAway) {
    Explained m = long_mode();
    m.set(0x2000, 0, 0x3000 | bit::P | bit::RW | bit::XD);
    m.set(0x4000, 5, 0x9000 | bit::P | bit::XD);
    const std::string text = m.text(0x5000);
    EXPECT_EQ(after(text, "  rights   "), "supervisor read");
    EXPECT_EQ(after(text, "no user: "), "PDPTE 0 US=0");
    EXPECT_EQ(after(text, "no write: "), "PTE 5 RW=0");
    EXPECT_EQ(after(text, "no exec: "), "PDPTE 0 XD=1");
}

TEST(Explanation, OfLargePagesOfEachMode) {
    Explained m4(Mode::bits32);
    m4.set(0x1000, 1, 0x00400000 | bit::table | bit::PS | bit::G);
    EXPECT_EQ(after(m4.text(0x400001), "  physical "), "0x400001, 4 MiB page");
    EXPECT_EQ(after(m4.text(0x400001), "  rights   "), "user read write exec global");

    Explained pae(Mode::pae);
    pae.set(0x1000, 0, 0x2000 | bit::P);
    pae.set(0x2000, 1, 0x200000 | bit::table | bit::PS);
    EXPECT_EQ(after(pae.text(0x200000), "  physical "), "0x200000, 2 MiB page");
    EXPECT_EQ(pae.explain(0x200000).steps.size(), 2u);

    Explained m1 = long_mode(Mode::level5);
    m1.set(0x3000, 1, 0x40000000 | bit::table | bit::PS);
    EXPECT_EQ(after(m1.text(0x40000000), "  physical "), "0x40000000, 1 GiB page");
    EXPECT_EQ(after(m1.text(0x40000000), "  PML5E    0  0x1000  "), "0x0000000000002007  P RW US");
}

TEST(Explanation, OfANotPresentEntry) {
    Explained m = long_mode();
    m.set(0x4000, 3, 0xabc000);
    const std::string text = m.text(0x3000);
    EXPECT_EQ(after(text, "  PTE      3  0x4018  "), "0x0000000000abc000  not present");
    EXPECT_EQ(after(text, "  not present: "), "the walk ends at the PTE (P=0)");
    EXPECT_EQ(after(text, "  kernel  read  "), "#PF 0x0 (no bit): not present");
    EXPECT_EQ(after(text, "  user    fetch "), "#PF 0x14 (U I): not present");
    EXPECT_FALSE(m.explain(0x3000).page);
    // The entry's bits mean nothing.
    EXPECT_NE(m.json(0x3000).find("\"raw\": \"0xabc000\"\n    }\n   ],"), std::string::npos);
}

TEST(Explanation, PassesOnWhatASystemMeansByAnEntry) {
    Explained m = long_mode();
    m.set(0x4000, 3, 0xabc000);
    const SystemNote note{"linux", "{\n \"what\": \"swap\",\n \"type\": 3\n}",
                          "Linux: swapped out"};
    EXPECT_NE(m.text(0x3000, {note}).find("(P=0)\n  Linux: swapped out\n  kernel"),
              std::string::npos);
    EXPECT_NE(m.json(0x3000, {note})
                  .find("   \"level\": 1,\n"
                        "   \"linux\": {\n"
                        "    \"what\": \"swap\",\n"
                        "    \"type\": 3\n"
                        "   },\n"
                        "   \"access\": {\n"),
              std::string::npos);
}

TEST(Explanation, PassesOnWhatWasExpected) {
    Explained m = bits32();
    const std::string json =
        m.json_of({m.explain(0x8048000), {}, "{\n \"result\": \"ok\"\n}"}, "\"user\"");
    EXPECT_TRUE(
        json.ends_with("    }\n   },\n   \"expect\": {\n    \"result\": \"ok\"\n   }\n"
                       "  }\n ],\n \"expect\": \"user\"\n}\n"))
        << json;
}

TEST(Explanation, OfAReservedBit) {
    Explained m = long_mode();
    m.registers.maxphyaddr = 40;
    m.registers.efer &= ~efer::NXE;
    m.space.maxphyaddr = 40;
    m.space.maxphyaddr_is_assumed = true;
    m.set(0x3000, 0, 0x4000 | bit::table | bit::PS | bit::XD | std::uint64_t{3} << 40);
    const Explanation e = m.explain(0);
    EXPECT_EQ(e.outcome, Outcome::reserved_bit);
    EXPECT_EQ(names(e.steps[2].reserved), (Names{"bit 14", "bits 40,41", "XD"}));
    const std::string text = m.text(0);
    EXPECT_EQ(after(text, "  reserved bit: "), "the PDE has [14], [40,41], XD set");
    EXPECT_NE(text.find("0x8000030000004087  P RW US PS [14] RESERVED\n" + std::string(42, ' ') +
                        "[40,41] RESERVED XD RESERVED\n"),
              std::string::npos)
        << text;
    EXPECT_EQ(after(text, "  MAXPHYADDR is not known: "), "assuming 40");
    EXPECT_EQ(after(text, "  user    write "), "#PF 0xf (P W U RSVD): reserved bit");
    EXPECT_EQ(m.json(0).find("\"target\": \"0x200000\""), std::string::npos);
    EXPECT_NE(m.json(0).find("\"reserved\": [\n      \"bit 14\",\n      \"bits 40,41\",\n      "
                             "\"XD\"\n     ]\n    }"),
              std::string::npos);
}

TEST(Explanation, NamesPsWhereItIsReserved) {
    Explained m(Mode::level4);
    m.set(0x1000, 0, 0x2000 | bit::table | bit::PS);
    EXPECT_EQ(after(m.text(0), "  reserved bit: "), "the PML4E has PS set");
}

TEST(Explanation, OfAnEntryThatCannotBeRead) {
    Explained m(Mode::level4);
    m.set(0x1000, 0, 0x77000 | bit::table);
    const std::string text = m.text(0x5000);
    EXPECT_EQ(after(text, "  PML4E    0   0x1000  "), "0x0000000000077007  P RW US");
    EXPECT_EQ(after(text, "  PDPTE    0  0x77000  "), "could not be read");
    EXPECT_EQ(after(text, "  unreadable: "), "the PDPTE at 0x77000: not RAM");
    EXPECT_EQ(after(text, "  kernel  "),
              "read, write, fetch: not known: a table could not be read");
    EXPECT_FALSE(m.explain(0x5000).steps.back().was_read);
    EXPECT_NE(m.json(0x5000).find("   \"level\": 3,\n   \"why\": \"not RAM\",\n"),
              std::string::npos);
    EXPECT_NE(m.json(0x5000).find("      \"ok\": null,\n      \"why\": \"a table could"),
              std::string::npos);
}

TEST(Explanation, OfAnAddressThatIsNotCanonical) {
    Explained m = long_mode(Mode::level5);
    EXPECT_EQ(m.text(0x0100000000000000),
              "0x0100000000000000: 5-level paging, root 0x1000\n"
              "  not canonical: bits 63:56 are not all the same\n"
              "  kernel  read  #GP(0) (#SS(0) through the stack segment): not canonical\n"
              "  kernel  write #GP(0) (#SS(0) through the stack segment): not canonical\n"
              "  kernel  fetch #GP(0): not canonical\n"
              "  user    read  #GP(0) (#SS(0) through the stack segment): not canonical\n"
              "  user    write #GP(0) (#SS(0) through the stack segment): not canonical\n"
              "  user    fetch #GP(0): not canonical\n");
    const std::string json = m.json(0x0100000000000000);
    EXPECT_NE(json.find("   \"outcome\": \"not-canonical\",\n   \"steps\": [],\n   \"access\": {"),
              std::string::npos);
    EXPECT_NE(json.find("      \"fault\": \"#GP\",\n      \"why\": \"not canonical\",\n"
                        "      \"stack_fault\": \"#SS\"\n"),
              std::string::npos);
}

TEST(Explanation, WithPagingOff) {
    Explained m(Mode::bits32);
    m.registers.cr0 &= ~cr0::PG;
    m.space.root = {};
    const ExplainedAddress address{explain_without_paging({0x1234}), {}, ""};
    EXPECT_EQ(m.text_of(address), "0x00001234: paging is off (CR0.PG=0), physical 0x1234\n");
    EXPECT_NE(m.json_of(address).find("  {\n   \"va\": \"0x1234\",\n"
                                      "   \"outcome\": \"paging-off\",\n"
                                      "   \"pa\": \"0x1234\",\n   \"steps\": []\n  }\n"),
              std::string::npos);
}

TEST(Explanation, WrapsLongListsOfBits) {
    Explained m = long_mode();
    m.set(0x4000, 0, 0x000ffffffffff000 | 0x07f0000000000fff);
    // P RW US PWT PCD A D PAT G are used (PGE is on); 9:11 and 52:58 are ignored.
    const std::string text = m.text(0);
    EXPECT_NE(text.find("  PTE      0  0x4000  0x07ffffffffffffff  "
                        "P RW US PWT PCD A D PAT G AVL[11:9]\n" +
                        std::string(42, ' ') + "AVL[58:52]\n"),
              std::string::npos)
        << text;
    for (std::size_t at = 0, end; at < text.size(); at = end + 1) {
        end = text.find('\n', at);
        EXPECT_LE(end - at, 80u);
        EXPECT_NE(text[end - 1], ' ');
    }
}

TEST(Explanation, ListsBitsThatHaveNoNameAsTheManualDoes) {
    Explained m = long_mode();
    const auto ignored = [&](std::uint64_t bits) {
        m.set(0x4000, 0, 0x9000 | bit::P | bits << 52);
        return after(m.text(0), "  PTE      0  0x4000  ").substr(sizeof "0x0000000000009001  P");
    };
    EXPECT_EQ(ignored(0b0000001), "AVL[52]");
    EXPECT_EQ(ignored(0b0000011), "AVL[52,53]");
    EXPECT_EQ(ignored(0b0000111), "AVL[54:52]");
    EXPECT_EQ(ignored(0b1110101), "AVL[52,54,58:56]");
    EXPECT_EQ(ignored(0b1011011), "AVL[52,53,55,56,58]");
}

TEST(Explanation, SaysWhichNamedBitsAreIgnored) {
    Explained m = long_mode();
    m.registers.cr4 &= ~cr4::PGE;
    m.set(0x4000, 0, 0x9000 | bit::P | bit::G | std::uint64_t{5} << 59);
    EXPECT_EQ(after(m.text(0), "0x2800000000009101  "), "P G (ignored) key (ignored)");
    EXPECT_EQ(names(m.explain(0).steps[3].ignored), (Names{"G", "key"}));
    EXPECT_FALSE(m.explain(0).page->global);
}

TEST(Explanation, OfBitsThatOnlyMovCr3Checks) {
    Explained m(Mode::pae);
    m.set(0x1000, 0, 0x2000 | bit::P | bit::RW | bit::A);
    m.set(0x2000, 0, 0x200000 | bit::table | bit::PS);
    const Explanation e = m.explain(0);
    EXPECT_EQ(e.outcome, Outcome::mapped);
    EXPECT_EQ(names(e.steps[0].reserved_at_load), (Names{"bit 1", "bit 5"}));
    EXPECT_EQ(after(m.text(0), "0x0000000000002023  "), "P [1] (reserved for MOV CR3)");
    EXPECT_NE(m.json(0).find("\"load\": [\n      \"bit 1\",\n      \"bit 5\"\n     ],"),
              std::string::npos);
}

TEST(Explanation, OfAMemoryTypeThatPatWouldTell) {
    Explained m = bits32();
    m.set(0x2000, 72, 0x01000000 | bit::P | bit::US | bit::PWT);
    m.space.pat_hint = "tell it";
    EXPECT_EQ(after(m.text(0x8048000), "  type     "),
              "not known: PAT slot 1 (tell it); MTRRs not considered");
    EXPECT_NE(m.json(0x8048000).find("\"cache\": \"PAT1\",\n   \"cache_slot\": 1,"),
              std::string::npos);
    m.space.pat_hint.clear();
    EXPECT_EQ(after(m.text(0x8048000), "  type     "),
              "not known: PAT slot 1; MTRRs not considered");
    m.pat = 0x0007040600070106;
    EXPECT_EQ(after(m.text(0x8048000), "  type     "), "WC (PAT slot 1); MTRRs not considered");
}

TEST(Explanation, OfAProtectionKey) {
    Explained m = long_mode();
    m.registers.cr4 |= cr4::PKE;
    m.state.pkru = 2u << (2 * 5);  // WD of key 5
    m.set(0x4000, 0, 0x9000 | bit::table | std::uint64_t{5} << 59);
    std::string text = m.text(0);
    EXPECT_EQ(after(text, "0x2800000000009007  "), "P RW US key=5");
    EXPECT_EQ(after(text, "  rights   "), "user read write exec key 5");
    EXPECT_EQ(after(text, "  user    write "), "#PF 0x27 (P W U PK): protection key");
    EXPECT_NE(m.json(0).find("\"key=5\""), std::string::npos);
    EXPECT_NE(m.json(0).find("   \"cache_slot\": 0,\n   \"key\": 5,\n"), std::string::npos);

    m.state.pkru.reset();
    m.space.pkru_hint = "tell it";
    EXPECT_EQ(after(m.text(0), "  user    read  "), "not known: PKRU is not known (tell it)");
    m.set(0x4000, 0, 0x9000 | bit::table);
    EXPECT_EQ(after(m.text(0), "  user    read  "), "ok, if PKRU allows key 0");
    EXPECT_NE(m.json(0).find("\"ok\": true,\n      \"if\": \"PKRU allows key 0\"\n"),
              std::string::npos);
    m.set(0x4000, 0, 0x9000 | bit::P | bit::RW);  // no user page
    EXPECT_EQ(after(m.text(0), "  rights   "), "supervisor read write exec");
    m.set(0x4000, 0, 0x9000 | bit::P | bit::US);  // it faults, whatever PKRU has
    EXPECT_EQ(after(m.text(0), "  user    write "),
              "#PF 0x7 (P W U): read-only; PK not known (tell it)");
    EXPECT_NE(
        m.json(0).find("\"error_code\": \"0x7\",\n      \"unknown_bits\": [\n       \"PK\"\n"),
        std::string::npos);
}

TEST(Explanation, OfAKeyThatPkrsWouldDecide) {
    Explained m = long_mode();
    m.registers.cr4 |= cr4::PKS;
    m.space.pkru_hint = "tell it";
    m.set(0x4000, 0, 0x9000 | bit::P | bit::RW);
    EXPECT_EQ(after(m.text(0), "  kernel  read  "), "not known: IA32_PKRS is not known");
    EXPECT_EQ(after(m.text(0), "  kernel  fetch "), "ok");
}

TEST(Explanation, OfWhatSmepAndSmapForbid) {
    Explained m = long_mode();
    m.registers.cr4 |= cr4::SMEP | cr4::SMAP;
    m.set(0x4000, 0, 0x9000 | bit::table);
    EXPECT_EQ(after(m.text(0), "  kernel  read  "), "#PF 0x1 (P): SMAP: user page, EFLAGS.AC=0");
    EXPECT_EQ(after(m.text(0), "  kernel  fetch "), "#PF 0x11 (P I): SMEP: user page");
    m.state.ac = true;
    EXPECT_EQ(after(m.text(0), "  kernel  read  "), "ok");
    m.set(0x4000, 0, 0x9000 | bit::P | bit::XD);
    EXPECT_EQ(after(m.text(0), "  user    read  "), "#PF 0x5 (P U): supervisor page");
    EXPECT_EQ(after(m.text(0), "  kernel  fetch "), "#PF 0x11 (P I): no-execute");
}

TEST(Explanation, SaysOfEqualVerdictsOnce) {
    Explained m = long_mode();
    m.set(0x4000, 0, 0x9000 | bit::table);
    const std::string text = m.text(0);
    EXPECT_TRUE(
        text.ends_with("  kernel  read, write, fetch: ok\n  user    read, write, fetch: ok\n"))
        << text;
}

TEST(Explanation, BeginsWithWhichSpaceItIs) {
    Explained m = bits32();
    m.space.notes = {"pid 1 (init)"};
    m.space.assumed = {"CR0.WP=1", "EFER.NXE=1"};
    EXPECT_TRUE(
        m.text(0x8048000).starts_with("0x08048000: 32-bit paging, root 0x1000, pid 1 (init)\n"
                                      "  assuming CR0.WP=1\n  assuming EFER.NXE=1\n  PDE "));
    m.space.notes.push_back("the current task of CPU 0, of which there are many");
    EXPECT_TRUE(
        m.text(0x8048000).starts_with("0x08048000: 32-bit paging, root 0x1000\n  pid 1 (init)\n"
                                      "  the current task of CPU 0, of which there are many\n"));
    m.space.notes = {std::string(80 - 40, 'x')};  // as long as a line may be
    EXPECT_TRUE(m.text(0x8048000).starts_with("0x08048000: 32-bit paging, root 0x1000, xx"));
    m.space.notes[0] += 'x';
    EXPECT_TRUE(m.text(0x8048000).starts_with("0x08048000: 32-bit paging, root 0x1000\n  xx"));
}

TEST(Explanation, OfSeveralAddressesHasAnEmptyLineBetweenThem) {
    Explained m = bits32();
    const std::vector<ExplainedAddress> both{{m.explain(0x8048000), {}, ""},
                                             {m.explain(0x8049000), {}, ""}};
    m.space.mode = Mode::bits32;
    const auto all = whole([&](const Sink& sink) { put_explanations_text(sink, m.space, both); });
    EXPECT_EQ(all, m.text(0x8048000) + "\n" + m.text(0x8049000));
    EXPECT_NE(whole([&](const Sink& sink) {
                  put_explanations_json(sink, m.space, both);
              }).find("\n  },\n  {\n   \"va\": \"0x8049000\""),
              std::string::npos);
}

TEST(Explanation, OfWhatAMemorySaidIsPrintableInJson) {
    Explained m(Mode::level4);
    Explanation e = m.explain(0);
    e.why = "a \"pipe\"\nbroke\x1b";
    EXPECT_NE(m.json_of({e, {}, ""}).find("\"why\": \"a \\\"pipe\\\"?broke?\""), std::string::npos);
}

TEST(ResponsibleEntry, IsTheOneThatTakesARightAway) {
    Explained m = long_mode();
    m.set(0x2000, 0, 0x3000 | bit::P | bit::RW);
    m.set(0x4000, 5, 0x9000 | bit::P | bit::US);
    const auto of = [&](std::uint64_t va, Rights right) {
        const Walk walked = m.walk(va);
        const auto entry = responsible_entry(walked, m.paging(), right);
        return entry ? text(*entry) : "none";
    };
    EXPECT_EQ(of(0x5000, Rights::user), "PDPTE 0 at 0x2000 = 0x0000000000003003: US=0");
    EXPECT_EQ(of(0x5000, Rights::write), "PTE 5 at 0x4028 = 0x0000000000009005: RW=0");
    EXPECT_EQ(of(0x5000, Rights::exec), "PTE 5 at 0x4028 = 0x0000000000009005: maps the page");
    EXPECT_EQ(of(0x5000, Rights::none), "PTE 5 at 0x4028 = 0x0000000000009005: maps the page");
    EXPECT_EQ(of(0x6000, Rights::write), "PTE 6 at 0x4030 = 0x0000000000000000: not present (P=0)");
    m.set(0x4000, 7, 0x9000 | bit::P | bit::XD);
    EXPECT_EQ(of(0x7000, Rights::exec), "PTE 7 at 0x4038 = 0x8000000000009001: XD=1");
    m.set(0x1000, 1, 0x9000 | bit::P | bit::PS);
    EXPECT_EQ(of(std::uint64_t{1} << 39, Rights::user),
              "PML4E 1 at 0x1008 = 0x0000000000009081: a reserved bit is set");
    m.set(0x1000, 2, 0x99000 | bit::table);
    EXPECT_EQ(of(std::uint64_t{2} << 39, Rights::user), "PDPTE 0 at 0x99000: could not be read");
    EXPECT_EQ(of(std::uint64_t{1} << 50, Rights::user), "none");

    Explained b = bits32();
    const Walk walked = b.walk(0x8048000);
    EXPECT_EQ(text(table_entry(walked, b.paging(), 0)),
              "PDE 32 at 0x1080 = 0x00002007: names the table");
}

TEST(EndText, SaysHowAWalkEnded) {
    Explained m = long_mode();
    m.set(0x3000, 1, 0x200000 | bit::table | bit::PS);
    m.set(0x1000, 1, 0x9000 | bit::P | bit::PS);
    m.set(0x1000, 2, 0x99000 | bit::table);
    EXPECT_EQ(end_text(m.walk(0x200000)), "PDE 1 at 0x3008 maps a page of 2 MiB");
    EXPECT_EQ(end_text(m.walk(0x1000)), "PTE 1 at 0x4008 is not present");
    EXPECT_EQ(end_text(m.walk(std::uint64_t{1} << 39)), "PML4E 1 at 0x1008 has a reserved bit set");
    EXPECT_EQ(end_text(m.walk(std::uint64_t{2} << 39)),
              "PDPTE 0 at 0x99000 could not be read (not RAM)");
    EXPECT_EQ(end_text(m.walk(std::uint64_t{1} << 50)), "");
}

}  // namespace
}  // namespace ptmap
