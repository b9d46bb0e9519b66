/*
 * The judge: makes every access for real and tells what came of it.
 *
 * What it prints, a line each (a hex number has 0x):
 *
 *     cpu maxphyaddr=N
 *     mode NAME                        4-level, for example; its cases follow
 *     case N VA PAGE/BASE/ENTRY:WHAT   what is odd at that address, see tables.c
 *     state N cr0=.. cr3=.. cr4=.. efer=.. pkru=.. ac=..
 *     N OUTCOME ...                    a case's accesses in that state: see accesses[]
 *     stop N                           and then it passes judge_stop(), still in that state
 *     done
 *
 * An outcome is `ok`, or an exception with its error code: `#PF:0x5`. #PF is followed by CR2, where
 * that is not the case's address: `#PF:0x5@0x1000`. `-` is an access that was not made.
 */
#include "cpu.h"
#include "serial.h"
#include "tables.h"

/* ---- The registers that decide ---- */

/* A debugger stops the machine here, in the state just judged. */
__attribute__((noinline)) void judge_stop(void)
{
    __asm__ volatile("nop");
}

/* Every subset of these that the CPU can have is a state. */
enum { CR0, CR4, EFER, FLAGS, REGISTERS };

static const struct {
    uint8_t which;
    uint32_t bit;
    unsigned needs;
    uint8_t modes;
} switches[] = {
    {CR0,   CR0_WP,   0,        ~0},
    {CR4,   CR4_SMEP, HAS_SMEP, ~0},
    {CR4,   CR4_SMAP, HAS_SMAP, ~0},
    {FLAGS, FLAGS_AC, HAS_SMAP, ~0},
    {EFER,  EFER_NXE, HAS_NX,   ~0},                        /* without PAE it must not count */
    {CR4,   CR4_PKE,  HAS_PKU,  IN_PAE | IN_4LEVEL | IN_5LEVEL},    /* nor this in PAE */
};
enum { SWITCHES = sizeof switches / sizeof switches[0] };

/*
 * Values of PKRU: ADi is bit 2i, WDi bit 2i+1 (SDM vol. 3A, 4.6.2). The first has AD for key 1, WD
 * for 2, both for 3, WD for 8, AD for 15; the second WD for key 0, AD for 2 and 8, nothing else.
 */
static const uint32_t pkru_values[] = {0x400200e4, 0x00010012};

struct state {
    word bits[REGISTERS];
    uint32_t pkru;
};

static bool possible(const struct mode *mode, unsigned subset)
{
    for (unsigned i = 0; i < SWITCHES; i++)
        if (subset >> i & 1 && ((switches[i].needs & features) != switches[i].needs ||
                                !(switches[i].modes & mode->bit)))
            return false;
    return true;
}

static struct state state_of(unsigned subset, uint32_t pkru)
{
    struct state state = {.pkru = pkru};

    for (unsigned i = 0; i < SWITCHES; i++)
        if (subset >> i & 1)
            state.bits[switches[i].which] |= switches[i].bit;
    return state;
}

/* Loading CR3 last makes the processor forget what it has cached: SDM vol. 3A, 4.10.4.1. */
static void enter(const struct mode *mode, const struct state *state)
{
    write_cr4(mode->cr4 | CR4_PKE * !!(features & HAS_PKU));
    if (features & HAS_PKU)
        write_pkru(state->pkru);
    write_cr4(mode->cr4 | state->bits[CR4]);
    write_efer((read_efer() & ~(uint64_t)EFER_NXE) | state->bits[EFER]);
    write_cr3(roots[0]);
    write_cr0((read_cr0() & ~(word)CR0_WP) | CR0_PG | state->bits[CR0]);
    write_cr3(roots[0]);
    write_flags(read_flags() | state->bits[FLAGS]);
}

static void leave(void)
{
    write_flags(read_flags() & ~(word)FLAGS_AC);
#ifndef __x86_64__
    write_cr0(read_cr0() & ~(word)CR0_PG);
#endif
}

/* ---- Accesses ---- */

static const struct {
    const char *stub;
    bool user;
    bool elsewhere_too;                 /* makes sense where the frame is not `probe` */
    bool not_canonical_only;
} accesses[] = {
    {stub_read,  false, true,  false},
    {stub_write, false, true,  false},
    {stub_fetch, false, false, false},
    {stub_read,  true,  true,  false},
    {stub_write, true,  true,  false},
    {stub_fetch, true,  false, false},
    {stub_stack, false, true,  true},   /* #SS instead of #GP */
    {stub_stack, true,  true,  true},
};

static void print_outcome(const struct outcome *outcome, uint64_t va)
{
    static const char *const names[32] = {
        [VECTOR_SS] = "#SS", [VECTOR_GP] = "#GP", [VECTOR_PF] = "#PF",
    };

    if (outcome->vector == VECTOR_DONE) {
        print(" ok");
        return;
    }
    print(" ");
    if (names[outcome->vector]) {
        print(names[outcome->vector]);
    } else {
        print("#");
        print_decimal(outcome->vector);
    }
    print(":");
    print_hex(outcome->code);
    if (outcome->vector == VECTOR_PF && outcome->cr2 != va) {
        print("@");
        print_hex(outcome->cr2);
    }
}

static void judge_case(unsigned n)
{
    const struct probe_case *c = &cases[n];

    print_decimal(n);
    for (unsigned i = 0; i < sizeof accesses / sizeof accesses[0]; i++) {
        struct outcome outcome;

        if (accesses[i].not_canonical_only && !c->not_canonical)
            continue;
        if (c->elsewhere && !accesses[i].elsewhere_too) {
            print(" -");
            continue;
        }
        outcome = attempt((word)c->va, accesses[i].stub, accesses[i].user ? user_stubs : 0);
        print_outcome(&outcome, c->va);
        if (accesses[i].stub == stub_read && outcome.vector == VECTOR_DONE && !c->elsewhere &&
            outcome.value != PROBE_BYTE)
            print("(another-frame)");
    }
    print("\n");
}

/* ---- What it says of itself ---- */

static void print_register(const char *name, uint64_t value)
{
    print(name);
    print_hex(value);
}

static void judge_state(uint32_t pkru, unsigned root)
{
    static unsigned number;

    print("state ");
    print_decimal(number);
    print_register(" cr0=", read_cr0());
    print_register(" cr3=", read_cr3());
    print_register(" cr4=", read_cr4());
    print_register(" efer=", read_efer());
    print_register(" pkru=", pkru);
    print_register(" ac=", read_flags() / FLAGS_AC & 1);
    print("\n");
    for (unsigned n = 0; n < case_count; n++)
        if (cases[n].root == root)
            judge_case(n);
    print("stop ");
    print_decimal(number++);
    print("\n");
    judge_stop();
}

/*
 * The roots with a bad PDPTE. By the SDM (vol. 3A, 4.4.1) MOV CR3 raises #GP(0) for them, and that
 * is their outcome; a processor that loads them goes on and makes the accesses.
 */
static void judge_odd_roots(const struct mode *mode)
{
    for (unsigned root = 1; root < root_count; root++) {
        struct state state = state_of(features & HAS_NX ? 1 | 1 << 4 : 1, 0);   /* WP, NXE */
        struct outcome outcome;

        enter(mode, &state);
        outcome = attempt(roots[root], stub_load, 0);
        print("load ");
        print_hex(roots[root]);
        print_outcome(&outcome, 0);
        print("\n");
        if (outcome.vector == VECTOR_DONE)
            judge_state(0, root);
        leave();
    }
}

static void print_cases(void)
{
    for (unsigned n = 0; n < case_count; n++) {
        const struct probe_case *c = &cases[n];

        print("case ");
        print_decimal(n);
        print(" ");
        print_hex(c->va);
        print(" ");
        print(c->page);
        print("/");
        print(c->base);
        print("/");
        print(c->entry);
        print(":");
        print(c->what);
        print("\n");
    }
}

static void judge_mode(const struct mode *mode)
{
    print("mode ");
    print(mode->name);
    print("\n");
    if (!build(mode)) {
        print("failed: no room for all cases\n");
        return;
    }
    print_cases();
    for (unsigned subset = 0; subset < 1u << SWITCHES; subset++) {
        const bool keys = subset >> (SWITCHES - 1) & 1;

        if (!possible(mode, subset))
            continue;
        for (unsigned i = 0; i < (keys ? 2 : 1); i++) {
            struct state state = state_of(subset, pkru_values[i]);

            enter(mode, &state);
            judge_state(features & HAS_PKU ? state.pkru : 0, 0);
            leave();
        }
    }
    judge_odd_roots(mode);
}

void judge_main(void)
{
    cpu_setup();
    print_register("cpu maxphyaddr=", maxphyaddr);
    print("\n");
    for (unsigned i = 0; i < mode_count; i++) {
#ifdef __x86_64__
        if ((modes[i].cr4 ^ read_cr4()) & CR4_LA57)
            continue;                   /* boot64.S has decided: SDM vol. 3A, 4.1.1 */
#endif
        if ((modes[i].needs & features) == modes[i].needs)
            judge_mode(&modes[i]);
    }
    print("done\n");
    for (;;)
        judge_stop();
}
