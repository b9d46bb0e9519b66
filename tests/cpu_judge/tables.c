/*
 * All cases of a mode are built at once, each at a linear address of its own, so that one stop
 * serves them all. A case is a path through the tables that grants everything (P, RW and US set at
 * all levels, XD at none) and ends in the frame `probe`, with one entry made odd by a row of
 * defects[], after another may have been by a row of bases[].
 */
#include "tables.h"

enum {
    P = 1, RW = 2, US = 4, PWT = 8, PCD = 16, A = 32, D = 64, PS = 128, G = 256,
    AVAILABLE = 7 << 9,
    PAT_SMALL = 1 << 7, PAT_LARGE = 1 << 12,
};
#define BIT(n) (1ull << (n))
#define XD     BIT(63)
#define KEY(n) ((uint64_t)(n) << 59)    /* SDM vol. 3A, 4.6.2 */

/* ---- Modes: SDM vol. 3A, tables 4-1 and 4-2, figures 4-2 to 4-10 ---- */

#ifndef __x86_64__
static const struct level levels_32bit[] = {
    {"PDE",   2, 22, 10, true},
    {"PTE",   1, 12, 10, true},
};
static const struct level levels_pae[] = {
    {"PDPTE", 3, 30, 2,  false},
    {"PDE",   2, 21, 9,  true},
    {"PTE",   1, 12, 9,  true},
};
#else
static const struct level levels_5[] = {
    {"PML5E", 5, 48, 9,  true},
    {"PML4E", 4, 39, 9,  true},
    {"PDPTE", 3, 30, 9,  true},
    {"PDE",   2, 21, 9,  true},
    {"PTE",   1, 12, 9,  true},
};
#endif

const struct mode modes[] = {
#ifndef __x86_64__
    {"32-bit",  IN_32BIT,  0,       0,                  levels_32bit, 2, 4, 32, 2, 1},
    {"PSE",     IN_PSE,    HAS_PSE, CR4_PSE,            levels_32bit, 2, 4, 32, 2, 2},
    {"PAE",     IN_PAE,    HAS_PAE, CR4_PAE,            levels_pae,   3, 8, 32, 2, 2},
#else
    {"4-level", IN_4LEVEL, 0,       CR4_PAE,            levels_5 + 1, 4, 8, 48, 4, 3},
    {"5-level", IN_5LEVEL, 0,       CR4_PAE | CR4_LA57, levels_5,     5, 8, 57, 5, 3},
#endif
};
const unsigned mode_count = sizeof modes / sizeof modes[0];

/* ---- What is odd ---- */

enum {
    IN_LONG = IN_4LEVEL | IN_5LEVEL,
    IN_WIDE = IN_PAE | IN_LONG,         /* entries of 64 bits */
    IN_ALL = IN_32BIT | IN_PSE | IN_WIDE,

    /* Kinds of entry. */
    TABLE = 1, SMALL = 2, LARGE = 4, ANY = TABLE | SMALL | LARGE,
    /* Levels, by number. */
    L2 = 1 << 2, L3 = 1 << 3, L4 = 1 << 4, L5 = 1 << 5, EVERY = ~0,
};

/*
 * Bits of an entry to clear and to set, and where the row applies. A row with `rights` is about RW,
 * US or XD, one with `relative` has its bits counted from MAXPHYADDR. `plain` rows, which other
 * bits cannot change, are tried with the first of bases[] only. `elsewhere`: where the bits are
 * not reserved they are part of an address at which there is no memory.
 */
struct defect {
    const char *what;
    uint64_t clear, set;
    uint8_t in, kind;
    int levels;
    bool rights, relative, plain, elsewhere;
};

static const struct defect defects[] = {
    {"P=0",        P,  0,       IN_ALL,   ANY,   EVERY},
    {"only-P=0",   P,  ~(uint64_t)P, IN_ALL, ANY, EVERY, .plain = true},
    {"RW=0",       RW, 0,       IN_ALL,   ANY,   EVERY, .rights = true},
    {"US=0",       US, 0,       IN_ALL,   ANY,   EVERY, .rights = true},
    {"XD",         0,  XD,      IN_WIDE,  ANY,   EVERY, .rights = true},

    /* Reserved in some formats: SDM vol. 3A, tables 4-4 to 4-6, 4-9 to 4-11, 4-14 to 4-20. */
    {"maxphyaddr", 0,  BIT(0),  IN_WIDE,  ANY,   EVERY, .relative = true},
    {"bit-51",     0,  BIT(51), IN_WIDE,  ANY,   EVERY, .plain = true},
    {"bit-52",     0,  BIT(52), IN_WIDE,  ANY,   EVERY, .plain = true},
    {"bit-62",     0,  BIT(62), IN_WIDE,  ANY,   EVERY, .plain = true},     /* a leaf: key 8 */
    {"PS",         0,  PS,      IN_LONG,  TABLE, L5 | L4},
    {"PS",         0,  PS,      IN_32BIT, TABLE, L2},                       /* ignored */
    {"bit-13",     0,  BIT(13), IN_WIDE,  LARGE, EVERY},
    {"bit-20",     0,  BIT(20), IN_WIDE,  LARGE, EVERY, .plain = true},
    {"bit-29",     0,  BIT(29), IN_LONG,  LARGE, L3,    .plain = true},
    {"bit-21",     0,  BIT(21), IN_PSE,   LARGE, L2},

    /* Address bits 32, 36 and 39 of PSE-36, as far as MAXPHYADDR goes: table 4-4. */
    {"bit-13",     0,  BIT(13), IN_PSE,   LARGE, L2,    .elsewhere = true},
    {"bit-17",     0,  BIT(17), IN_PSE,   LARGE, L2,    .elsewhere = true},
    {"bit-20",     0,  BIT(20), IN_PSE,   LARGE, L2,    .elsewhere = true},

    /* Bits that no access depends on. */
    {"PAT",        0,  PAT_LARGE, IN_ALL, LARGE, EVERY, .plain = true},
    {"PAT",        0,  PAT_SMALL, IN_ALL, SMALL, EVERY, .plain = true},
    {"flags",      0,  PWT | PCD | A | D | G | AVAILABLE, IN_ALL, ANY, L5 | L4 | L2 | 1 << 1,
                                                        .plain = true},
    {"flags",      0,  PWT | PCD | A | D | G | AVAILABLE, IN_LONG, ANY, L3, .plain = true},

    /* Protection keys; judge.c's PKRU values give each of these other rights. */
    {"key-1",      0,  KEY(1),  IN_LONG,  SMALL | LARGE, EVERY},
    {"key-2",      0,  KEY(2),  IN_LONG,  SMALL | LARGE, EVERY},
    {"key-3",      0,  KEY(3),  IN_LONG,  SMALL,         EVERY},
    {"key-15",     0,  KEY(15), IN_LONG,  SMALL,         EVERY},
};

/* What the case's path has before the defect, at its first entry that has rights or in its leaf. */
struct base {
    const char *name;
    uint64_t clear_top, clear_leaf;
    uint64_t set_leaf;
    bool relative;                      /* set_leaf is counted from MAXPHYADDR */
    bool small_only;                    /* with 4 KiB pages, and a defect above the leaf */
    uint8_t in;
};

static const struct base bases[] = {
    {"user",       0,  0,  0, .in = IN_ALL},
    {"supervisor", US, 0,  0, .in = IN_ALL},
    {"read-only",  0,  RW, 0, .in = IN_ALL},
    {"absent",     0,  P,  0, .in = IN_ALL, .small_only = true},
    {"reserved",   0,  0,  1, .in = IN_WIDE, .small_only = true, .relative = true},
};

/*
 * PAE's PDPTEs are checked when CR3 is loaded (SDM vol. 3A, 4.4.1), so their reserved bits need
 * roots of their own: the first one's PDPTEs, but for the last.
 */
enum { PAE_LAST = 3 };
static const struct { const char *what; uint64_t set; bool relative; } pdpte_defects[] = {
    {"bit-1",      BIT(1)},
    {"maxphyaddr", BIT(0), true},
    {"bit-63",     BIT(63)},
};

/* ---- Memory for the tables: used with paging off, or under boot64.S's tables ---- */

enum { POOL = 0x800000, POOL_END = 0x4000000, PAGE = 4096 };

static word pool_next;

static word new_page(void)
{
    word page = pool_next;

    if (page >= POOL_END)
        return 0;
    pool_next += PAGE;
    for (unsigned i = 0; i < PAGE / sizeof(word); i++)
        ((volatile word *)page)[i] = 0;
    return page;
}

static uint64_t get_entry(const struct mode *mode, word at)
{
    return mode->entry_bytes == 4 ? *(volatile uint32_t *)at : *(volatile uint64_t *)at;
}

static void put_entry(const struct mode *mode, word at, uint64_t entry)
{
    if (mode->entry_bytes == 4)
        *(volatile uint32_t *)at = (uint32_t)entry;
    else
        *(volatile uint64_t *)at = entry;
}

/* ---- From rows to entries ---- */

struct probe_case cases[MAX_CASES];
unsigned case_count;
word roots[MAX_ROOTS];
unsigned root_count;
word user_stubs;

/* Everything allowed, in an entry that names a table. */
static uint64_t granting(const struct level *level)
{
    return level->has_rights ? P | RW | US : P;
}

static const struct level *level_number(const struct mode *mode, unsigned number)
{
    const struct level *level = mode->levels;

    while (level->number != number)
        level++;
    return level;
}

static word entry_address(const struct level *level, word table, uint64_t va, unsigned bytes)
{
    return table + (va >> level->shift & ((1u << level->index_bits) - 1)) * bytes;
}

/*
 * Writes the path to `va`: `bits[n]` are the bits of the entry at level n, the last one's address
 * is `pa`. Entries that are there already stay. False: no memory.
 */
static bool map(const struct mode *mode, uint64_t va, uint64_t pa, unsigned leaf,
                const uint64_t bits[6])
{
    word table = roots[0];

    for (const struct level *level = mode->levels;; level++) {
        word at = entry_address(level, table, va, mode->entry_bytes);

        if (level->number == leaf) {
            put_entry(mode, at, pa | bits[leaf]);
            return true;
        }
        table = get_entry(mode, at) & (POOL_END - 1) & ~(PAGE - 1ul);
        if (!table) {
            table = new_page();
            if (!table)
                return false;
            put_entry(mode, at, table | bits[level->number]);
        }
    }
}

static uint64_t canonical(const struct mode *mode, uint64_t va)
{
    unsigned unused = 64 - mode->va_bits;

    return mode->va_bits == 32 ? (uint32_t)va : (uint64_t)((int64_t)(va << unused) >> unused);
}

/*
 * The address of case n: slots alternate between the bottom and the top of the space, the indices
 * below them are all 1 or mixed, and the rest is the probe's place in its page. In PAE the last
 * PDPTE's slots are left out.
 */
static uint64_t case_address(const struct mode *mode, unsigned n, unsigned leaf)
{
    const struct level *slot_level = level_number(mode, mode->slot_level);
    unsigned shift = slot_level->shift;
    unsigned slots = mode->bit == IN_PAE ? PAE_LAST << 9 : 1u << slot_level->index_bits;
    uint64_t slot = n & 1 ? slots - 1 - n / 2 : 3 + n / 2;      /* 0 to 2: the kernel, the stubs */
    uint64_t below = BIT(shift) - 1, inside = BIT(level_number(mode, leaf)->shift) - 1;
    uint64_t indices = n % 4 == 1 ? ~0ull : (n + 1) * 0x9e3779b97f4a7c15;

    return canonical(mode, slot << shift | (indices & below & ~inside) | ((word)probe & inside));
}

static const char *page_name(const struct mode *mode, unsigned leaf)
{
    return leaf == 1 ? "4K" : leaf == 3 ? "1G" : mode->entry_bytes == 4 ? "4M" : "2M";
}

static struct probe_case *new_case(struct probe_case made)
{
    if (case_count == MAX_CASES)
        return 0;
    cases[case_count] = made;
    return &cases[case_count++];
}

static uint64_t bits_of(uint64_t bits, bool relative)
{
    return relative ? bits << maxphyaddr : bits;
}

/* One case; `defect` and the level it is at may be null: nothing is odd. */
static bool build_case(const struct mode *mode, unsigned leaf, const struct base *base,
                       const struct level *odd, const struct defect *defect)
{
    uint64_t bits[6] = {0}, va = case_address(mode, case_count, leaf);
    uint64_t inside = BIT(level_number(mode, leaf)->shift) - 1;
    const struct level *top = mode->levels->has_rights ? mode->levels : mode->levels + 1;

    for (unsigned i = 0; i < mode->level_count; i++)
        bits[mode->levels[i].number] = granting(&mode->levels[i]);
    if (leaf > 1)
        bits[leaf] |= PS;
    bits[top->number] &= ~base->clear_top;
    bits[leaf] &= ~base->clear_leaf;
    bits[leaf] |= bits_of(base->set_leaf, base->relative);
    if (defect) {
        bits[odd->number] &= ~defect->clear;
        bits[odd->number] |= bits_of(defect->set, defect->relative);
    }
    return new_case((struct probe_case){va, page_name(mode, leaf), base->name,
                                        odd ? odd->entry : "all", defect ? defect->what : "ok",
                                        .elsewhere = defect && defect->elsewhere}) &&
           map(mode, va, (word)probe & ~inside, leaf, bits);
}

static bool applies(const struct mode *mode, unsigned leaf, const struct base *base,
                    const struct level *level, const struct defect *defect)
{
    unsigned kind = level->number > leaf ? TABLE : leaf == 1 ? SMALL : LARGE;

    if (!(defect->in & mode->bit) || !(defect->kind & kind) ||
        !(defect->levels & 1 << level->number))
        return false;
    if (defect->rights && !level->has_rights)
        return false;
    if (mode->bit == IN_PAE && level->number > mode->slot_level)
        return false;                   /* build_pae_roots() */
    if (defect->plain && base != bases)
        return false;
    if (base->small_only && kind != TABLE)
        return false;
    return !(defect->set == BIT(51) && maxphyaddr > 51);
}

static bool build_page_size(const struct mode *mode, unsigned leaf)
{
    const struct base *bases_end = bases + sizeof bases / sizeof bases[0];
    const struct defect *defects_end = defects + sizeof defects / sizeof defects[0];

    for (const struct base *base = bases; base < bases_end; base++) {
        if (!(base->in & mode->bit) || (base->small_only && leaf > 1))
            continue;
        if (!build_case(mode, leaf, base, 0, 0))
            return false;
        for (const struct level *level = mode->levels; level->number >= leaf; level++) {
            for (const struct defect *defect = defects; defect < defects_end; defect++)
                if (applies(mode, leaf, base, level, defect) &&
                    !build_case(mode, leaf, base, level, defect))
                    return false;
            if (level->number == leaf)
                break;
        }
    }
    return true;
}

/* Addresses whose upper bits are not all alike: SDM vol. 1, 3.3.7.1. */
static bool build_not_canonical(const struct mode *mode)
{
    const uint64_t first = BIT(mode->va_bits - 1);
    const uint64_t addresses[] = {first, ~first, BIT(63), ~BIT(63), ~BIT(62) - 15, BIT(62)};

    for (unsigned i = 0; i < sizeof addresses / sizeof addresses[0]; i++)
        if (!new_case((struct probe_case){addresses[i], "-", "-", "-", "not-canonical",
                                          .not_canonical = true}))
            return false;
    return true;
}

static bool build_pae_roots(const struct mode *mode)
{
    const uint64_t plain[6] = {[3] = P, [2] = P | RW | US, [1] = P | RW | US};
    uint64_t va = (uint64_t)PAE_LAST << 30 | ((word)probe & (BIT(30) - 1));
    word last = roots[0] + 8 * PAE_LAST;
    uint64_t pdpte;

    if (!map(mode, va, (word)probe & ~(PAGE - 1ul), 1, plain))
        return false;
    pdpte = get_entry(mode, last);
    put_entry(mode, last, pdpte & ~(uint64_t)P);
    new_case((struct probe_case){va, "4K", "user", "PDPTE", "P=0"});

    /* A root has 32 bytes: they follow each other in the same page. */
    for (unsigned i = 0; i < sizeof pdpte_defects / sizeof pdpte_defects[0]; i++) {
        word root = roots[root_count++] = roots[0] + 32 * (i + 1);

        for (unsigned n = 0; n < PAE_LAST; n++)
            put_entry(mode, root + 8 * n, get_entry(mode, roots[0] + 8 * n));
        put_entry(mode, root + 8 * PAE_LAST,
                  pdpte | bits_of(pdpte_defects[i].set, pdpte_defects[i].relative));
        if (!new_case((struct probe_case){va, "4K", "user", "PDPTE", pdpte_defects[i].what,
                                          .root = i + 1}))
            return false;
    }
    return true;
}

/* What the kernel itself needs: the first 4 MiB, and a page of stubs for user mode, read-only. */
static bool build_kernel(const struct mode *mode)
{
    const struct level *slot_level = level_number(mode, mode->slot_level);
    uint64_t kernel[6], user[6];

    for (unsigned i = 0; i < mode->level_count; i++) {
        const struct level *level = &mode->levels[i];

        user[level->number] = granting(level);
        kernel[level->number] = granting(level) & ~(uint64_t)US;
    }
    user[1] &= ~(uint64_t)RW;
    for (uint64_t pa = 0; pa < 0x400000; pa += PAGE)
        if (!map(mode, pa, pa, 1, kernel))
            return false;
    user_stubs = (word)2 << slot_level->shift;
    return map(mode, user_stubs, (word)stubs, 1, user);
}

bool build(const struct mode *mode)
{
    pool_next = POOL;
    case_count = 0;
    root_count = 1;
    roots[0] = new_page();
    if (!build_kernel(mode))
        return false;
    for (unsigned leaf = 1; leaf <= mode->largest; leaf++)
        if ((leaf < 3 || features & HAS_1G) && !build_page_size(mode, leaf))
            return false;
    if (mode->bit & IN_LONG)
        return build_not_canonical(mode);
    return mode->bit != IN_PAE || build_pae_roots(mode);
}
