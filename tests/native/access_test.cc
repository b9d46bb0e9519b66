// Verdicts on accesses against a second opinion, written from SDM vol. 3A, 4.6 and 4.7 sentence
// by sentence and with nothing of the core's but the names of its results.
#include "arch/access.h"

#include <gtest/gtest.h>

#include "fake_memory.h"

namespace ptmap {
namespace {

// One access to one page that is mapped by plain tables and a leaf with these bits.
struct Case {
    Mode mode;
    bool supervisor_access, is_write, is_fetch;  // neither write nor fetch: a data read
    bool us, rw, xd;                             // the leaf's; all levels above allow all
    bool wp, smep, smap, ac, nxe, pke;
    unsigned key_rights;  // of the page's key: 1 AD, 2 WD
};

enum class Effect { none, page_fault };
struct Opinion {
    Effect effect = Effect::none;
    unsigned error_code = 0;
};

bool long_mode(const Case& c) { return c.mode == Mode::level4 || c.mode == Mode::level5; }

// SDM 4.6.2, "Protection keys": whether the key permits the access.
bool key_permits(const Case& c) {
    if (!long_mode(c) || !c.pke) return true;  // keys are for 4- and 5-level paging, with CR4.PKE
    if (!c.us) return true;                    // PKRU is for user-mode addresses
    if (c.is_fetch) return true;               // keys never stop a fetch
    const bool AD = c.key_rights & 1, WD = c.key_rights & 2;
    if (AD) return false;  // "data accesses ... are not permitted"
    if (WD && c.is_write) {
        if (!c.supervisor_access) return false;  // "user-mode write accesses are not permitted"
        if (c.wp) return false;                  // "if CR0.WP = 1, supervisor-mode write accesses"
    }
    return true;
}

// SDM 4.6.1, "Determination of Access Rights", in its order.
bool permitted_by_4_6_1(const Case& c) {
    if (c.supervisor_access) {
        if (!c.is_write && !c.is_fetch) {  // data reads
            if (!c.us) return true;        // "any supervisor-mode address"
            if (!c.smap) return true;
            return c.ac;  // "if CR4.SMAP = 1": EFLAGS.AC = 1 and the access is explicit
        }
        if (c.is_write) {
            if (!c.us) {
                if (!c.wp) return true;
                return c.rw;
            }
            if (!c.wp) {
                if (!c.smap) return true;
                return c.ac;
            }
            if (!c.smap) return c.rw;
            return c.ac && c.rw;
        }
        if (!c.us) {  // fetches, supervisor-mode address
            if (c.mode == Mode::bits32 || !c.nxe) return true;
            return !c.xd;
        }
        if (c.smep) return false;  // fetches, user-mode address
        if (c.mode == Mode::bits32 || !c.nxe) return true;
        return !c.xd;
    }
    if (!c.us) return false;  // user-mode accesses reach user-mode addresses only
    if (c.is_write) return c.rw;
    if (!c.is_fetch) return true;
    if (c.mode == Mode::bits32 || !c.nxe) return true;
    return !c.xd;
}

Opinion opinion(const Case& c) {
    const bool xd_is_reserved = c.mode != Mode::bits32 && !c.nxe;
    const bool reserved = c.xd && xd_is_reserved;
    if (!reserved && permitted_by_4_6_1(c) && key_permits(c)) return {};
    // SDM 4.7, flag by flag.
    unsigned code = 0x1;                                         // P: all the tables were present
    if (c.is_write) code |= 0x2;                                 // W/R
    if (!c.supervisor_access) code |= 0x4;                       // U/S
    if (reserved) code |= 0x8;                                   // RSVD
    const bool pae = c.mode != Mode::bits32;                     // CR4.PAE
    if (c.is_fetch && (c.smep || (pae && c.nxe))) code |= 0x10;  // I/D
    if (!reserved && !key_permits(c)) code |= 0x20;              // PK
    return {Effect::page_fault, code};
}

Verdict core_says(const Case& c) {
    Machine m(c.mode);
    m.registers.cr0 = 0x80000001u | (c.wp ? 0x10000u : 0u);
    m.registers.cr4 |=
        (c.smep ? 0x100000u : 0u) | (c.smap ? 0x200000u : 0u) | (c.pke ? 0x400000u : 0u);
    m.registers.efer = (m.registers.efer & 0x400u) | (c.nxe ? 0x800u : 0u);
    const unsigned key = 6;
    const std::uint64_t levels = m.paging().levels().size();
    for (std::uint64_t i = 1; i < levels; ++i)
        m.set(0x1000 * i, 0,
              0x1000 * (i + 1) | (c.mode == Mode::pae && i == 1 ? bit::P : bit::table));
    m.set(0x1000 * levels, 0,
          0x7000 | bit::P | (c.us ? bit::US : 0) | (c.rw ? bit::RW : 0) | (c.xd ? bit::XD : 0) |
              (long_mode(c) ? std::uint64_t{key} << 59 : 0));
    const Access access = c.is_write ? Access::write : c.is_fetch ? Access::fetch : Access::read;
    // The neighbouring keys deny what this one allows.
    const std::uint32_t pkru = (~0u & ~(3u << 2 * key)) | c.key_rights << 2 * key;
    return verdict(m.walk(0x10), m.registers, {c.ac, pkru}, access,
                   c.supervisor_access ? Privilege::kernel : Privilege::user);
}

std::string describe(const Case& c) {
    std::string text{name(c.mode)};
    text += c.supervisor_access ? " kernel" : " user";
    text += c.is_write ? " write" : c.is_fetch ? " fetch" : " read";
    const std::pair<const char*, bool> flags[] = {{"US", c.us},
                                                  {"RW", c.rw},
                                                  {"XD", c.xd},
                                                  {"WP", c.wp},
                                                  {"SMEP", c.smep},
                                                  {"SMAP", c.smap},
                                                  {"AC", c.ac},
                                                  {"NXE", c.nxe},
                                                  {"PKE", c.pke},
                                                  {"AD", c.key_rights & 1},
                                                  {"WD", c.key_rights & 2}};
    for (const auto& [flag, set] : flags)
        if (set) (text += ' ') += flag;
    return text;
}

class EveryAccess : public testing::TestWithParam<Mode> {};
INSTANTIATE_TEST_SUITE_P(Modes, EveryAccess, testing::ValuesIn(all_modes),
                         [](const auto& mode) { return test_name(name(mode.param)); });

TEST_P(EveryAccess, IsJudgedAsTheSdmSays) {
    unsigned cases = 0, faults = 0;
    for (unsigned kind = 0; kind < 6; ++kind)  // privilege x access
        for (unsigned flags = 0; flags < 1u << 8; ++flags)
            for (unsigned key = 0; key < (long_mode({GetParam()}) ? 8u : 1u); ++key) {
                const auto flag = [&](unsigned b) { return bool(flags >> b & 1); };
                const Case c{GetParam(), kind < 3, kind % 3 == 1, kind % 3 == 2, flag(0),
                             flag(1),    flag(2),  flag(3),       flag(4),       flag(5),
                             flag(6),    flag(7),  key >= 4,      key % 4};
                if (c.mode == Mode::bits32 && c.xd) continue;  // there is no such bit
                const Opinion sdm = opinion(c);
                const Verdict core = core_says(c);
                ++cases;
                faults += sdm.effect == Effect::page_fault;
                ASSERT_EQ(core.result, sdm.effect == Effect::none ? Verdict::Result::allowed
                                                                  : Verdict::Result::page_fault)
                    << describe(c) << ": " << text(core.reason);
                ASSERT_EQ(core.error_code, sdm.error_code) << std::hex << describe(c);
                ASSERT_EQ(core.reason == Reason::allowed, sdm.effect == Effect::none);
            }
    EXPECT_EQ(cases,
              6u * 256 / (GetParam() == Mode::bits32 ? 2 : 1) * (long_mode({GetParam()}) ? 8 : 1));
    EXPECT_GT(faults, cases / 4);
    EXPECT_LT(faults, cases);
}

// What stands in the way, for one plain example each.
TEST(Verdict, NamesTheReason) {
    Case c{.mode = Mode::level4, .supervisor_access = false, .wp = true, .nxe = true};
    EXPECT_EQ(core_says(c).reason, Reason::supervisor_page);
    c.us = c.is_write = true;
    EXPECT_EQ(core_says(c).reason, Reason::read_only);
    c.rw = true;
    EXPECT_EQ(core_says(c).reason, Reason::allowed);
    c.pke = true, c.key_rights = 2;
    EXPECT_EQ(core_says(c).reason, Reason::protection_key);
    c.is_write = false, c.is_fetch = true, c.xd = true;
    EXPECT_EQ(core_says(c).reason, Reason::no_execute);
    c.supervisor_access = c.smep = true;
    EXPECT_EQ(core_says(c).reason, Reason::smep);
    c.is_fetch = false, c.smap = true;
    EXPECT_EQ(core_says(c).reason, Reason::smap);
    c.nxe = false;
    EXPECT_EQ(core_says(c).reason, Reason::reserved_bit);
}

// The walk that did not get to a page decides alone.
TEST(Verdict, WithoutAPage) {
    Machine m(Mode::level4);
    m.set(0x1000, 0, 0x2000 | bit::table);
    m.set(0x1000, 1, 0x9000 | bit::table);
    m.set(0x2000, 1, 0x3000 | bit::P | bit::PS | 0x2000);  // bit 13 of a 1-GByte page
    const AccessState state;
    const auto judge = [&](std::uint64_t va, Access access, Privilege privilege) {
        return verdict(m.walk(va), m.registers, state, access, privilege);
    };
    using enum Verdict::Result;
    const Verdict absent = judge(0, Access::write, Privilege::user);
    EXPECT_EQ(absent.result, page_fault);
    EXPECT_EQ(absent.reason, Reason::not_present);
    EXPECT_EQ(absent.error_code, 0x6);
    EXPECT_EQ(judge(0, Access::read, Privilege::kernel).error_code, 0x0);
    EXPECT_EQ(judge(0, Access::fetch, Privilege::user).error_code, 0x14);
    const Verdict bad = judge(GiB, Access::read, Privilege::kernel);
    EXPECT_EQ(bad.reason, Reason::reserved_bit);
    EXPECT_EQ(bad.error_code, 0x9);
    EXPECT_EQ(judge(GiB, Access::fetch, Privilege::user).error_code, 0x1d);
    const Verdict far = judge(0x8000000000000000, Access::read, Privilege::user);
    EXPECT_EQ(far.result, general_protection);
    EXPECT_EQ(far.reason, Reason::not_canonical);
    EXPECT_EQ(far.error_code, 0u);
    const Verdict lost = judge(512 * GiB, Access::read, Privilege::kernel);
    EXPECT_EQ(lost.result, unknown);
    EXPECT_EQ(lost.reason, Reason::unknown_table);
}

// PKRU cannot be read through QEMU's stub: then only what it can't change is known.
TEST(Verdict, WithoutPkru) {
    Machine m(Mode::level4);
    m.registers.cr4 |= cr4::PKE | cr4::SMAP;
    m.set(0x1000, 0, 0x2000 | bit::table);
    m.set(0x2000, 0, 0x3000 | bit::table);
    m.set(0x3000, 0, 0x200000 | bit::P | bit::US | bit::PS);
    m.set(0x3000, 1, 0x200000 | bit::P | bit::RW | bit::PS);
    const auto judge = [&](std::uint64_t va, Access access, Privilege privilege) {
        return verdict(m.walk(va), m.registers, {}, access, privilege);
    };
    using enum Verdict::Result;
    m.set(0x3000, 0, 0x200000 | bit::P | bit::US | bit::PS | std::uint64_t{3} << 59);
    EXPECT_EQ(judge(0, Access::read, Privilege::user).result, unknown);
    EXPECT_EQ(judge(0, Access::read, Privilege::user).reason, Reason::unknown_pkru);
    // Key 0 is what Linux never denies by itself; a fault for another reason stays one.
    m.set(0x3000, 0, 0x200000 | bit::P | bit::US | bit::PS);
    EXPECT_EQ(judge(0, Access::read, Privilege::user), (Verdict{.if_key_0 = true}));
    EXPECT_EQ(judge(0, Access::fetch, Privilege::user).result, allowed);
    EXPECT_EQ(judge(0, Access::write, Privilege::user).reason, Reason::read_only);
    EXPECT_EQ(judge(0, Access::read, Privilege::kernel).reason, Reason::smap);
    EXPECT_EQ(judge(2 * MiB, Access::write, Privilege::kernel).result, allowed);
    // Supervisor pages have keys with CR4.PKS, and IA32_PKRS can't be read either.
    m.registers.cr4 |= cr4::PKS;
    EXPECT_EQ(judge(2 * MiB, Access::write, Privilege::kernel).reason, Reason::unknown_pkrs);
    EXPECT_EQ(judge(2 * MiB, Access::fetch, Privilege::kernel).result, allowed);
    EXPECT_EQ(judge(2 * MiB, Access::read, Privilege::user).reason, Reason::supervisor_page);
}

TEST(Verdict, EveryReasonHasWords) {
    for (unsigned r = 1; r <= static_cast<unsigned>(Reason::unknown_pkrs); ++r)
        EXPECT_FALSE(text(static_cast<Reason>(r)).empty()) << r;
    EXPECT_EQ(text(Reason::supervisor_page), "supervisor page");
    EXPECT_EQ(text(Reason::smap), "SMAP: user page, EFLAGS.AC=0");
}

TEST(Access, Names) {
    for (const Access access : {Access::read, Access::write, Access::fetch})
        EXPECT_EQ(access_named(name(access)), access);
    EXPECT_EQ(name(Access::fetch), "fetch");
    EXPECT_EQ(access_named("Read"), std::nullopt);
    EXPECT_EQ(access_named(""), std::nullopt);
}

TEST(Access, ShortReasonsHaveNoExplanation) {
    EXPECT_EQ(short_text(Reason::smep), "SMEP");
    EXPECT_EQ(short_text(Reason::smap), "SMAP");
    EXPECT_EQ(short_text(Reason::read_only), "read-only");
    for (unsigned r = 0; r <= static_cast<unsigned>(Reason::unknown_pkrs); ++r) {
        const auto reason = static_cast<Reason>(r);
        const std::string_view all = text(reason);
        EXPECT_EQ(short_text(reason), all.substr(0, all.find_first_of(":,")));
    }
}

}  // namespace
}  // namespace ptmap
