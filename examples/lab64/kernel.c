/*
 * lab64: a kernel that only lays out an address space, for you to look at with ptmap.
 *
 * 4-level paging, or 5-level where the CPU has it (SDM vol. 3A 4.5): tables of 512 entries of
 * 8 bytes, PML5 -> PML4 -> PDPT -> PD -> PT. An entry is empty, leads to a table of the next level,
 * or maps a page: 4 KiB in a PT, 2 MiB in a PD, 1 GiB in a PDPT. 5-level has one more table on top
 * and is otherwise the same, so one layout[] serves both. build() turns it into tables.
 *
 * lab32 beside this shows what an address space looks like; this one collects what can be
 * surprising in it. boot.S brings us here, already running at KERNEL_BASE.
 */

#include <stdint.h>

#define KERNEL_BASE 0xffffffff80000000  /* boot.S and link.ld say the same */

/* ---- What an entry is made of: SDM vol. 3A, figure 4-11 and tables 4-14 to 4-20 ---- */

#define P       (1ull << 0)     /* present */
#define RW      (1ull << 1)     /* may be written to */
#define US      (1ull << 2)     /* user mode may use it */
#define PWT     (1ull << 3)     /* PWT, PCD and PAT: */
#define PCD     (1ull << 4)     /*   number of the memory type's slot in IA32_PAT, 4.9.2 */
#define A       (1ull << 5)     /* accessed: the CPU sets it */
#define D       (1ull << 6)     /* dirty: the CPU sets it, in entries that map a page */
#define PS      (1ull << 7)     /* in a PDPTE or PDE: a page, not a table */
#define PAT_4K  (1ull << 7)     /* PAT in a PTE, which needs no PS */
#define G       (1ull << 8)     /* global: a new CR3 leaves it in the TLB */
#define PAT_BIG (1ull << 12)    /* PAT in a PDE or PDPTE that maps a page */
#define NX      (1ull << 63)    /* no instruction is fetched from it */
#define ADDRESS 0x000ffffffffff000ull

/* Bits the CPU does not look at: 4.5.4. In a PTE 62:59 are a protection key, with CR4.PKE only. */
#define IGNORED (0x7ffull << 52 | 7ull << 9)

/* ---- The address space ---- */

enum kind {
    PAGES,      /* maps pages; 1 GiB ones only where the CPU has them, see lab_pages_1g */
    ABSENT,     /* entries without P; the other bits are the OS's own */
    RESERVED,   /* a reserved bit is set in the entry: an access is a #PF with RSVD, 4.7 */
    OUTSIDE,    /* leads to a table at a physical address where there is no memory */
    SHARED,     /* leads to the table that the entry for `like` at the same level leads to */
    RECURSIVE,  /* leads to the root: the tables themselves appear as pages */
};

/*
 * One row is `count` entries of one level, for the addresses from `va` on, `size` bytes apart.
 * `size` tells the level: 4 KiB a PTE, 2 MiB a PDE, 1 GiB a PDPTE, 512 GiB a PML4E, 256 TiB a
 * PML5E. For PAGES it is the page size.
 *
 * bits[1] to bits[5] are the flags in PTE, PDE, PDPTE, PML4E, PML5E: those of the row's own level
 * go into its entries, those above into the entries on the way there, those below are 0. Rows that
 * share an entry on their way agree about it; build() refuses to go on if not. bits[5] is not used
 * in 4-level paging. The CPU may add A and D to what is written here, nothing else.
 *
 * A right exists if every level grants it (4.6.1): AND of all RW, AND of all US, OR of all NX.
 */
struct mapping {
    const char *name;
    uint64_t va;        /* canonical */
    uint64_t size;
    uint64_t count;
    uint64_t pa;        /* of the first page or table; the next ones are `size` apart */
    uint64_t bits[6];
    enum kind kind;     /* SHARED and RECURSIVE find their own target and don't use pa */
    uint32_t levels;    /* 4 or 5: only in that mode; 0: in both */
    uint64_t like;      /* SHARED only: an address; that entry was made by a row before */
};

/* In the order of a walk. Where nothing else is said, the PML5E grants all. */
#define BITS5(pml5e, pml4e, pdpte, pde, pte) {0, pte, pde, pdpte, pml4e, pml5e}
#define BITS(pml4e, pdpte, pde, pte) BITS5(ALL, pml4e, pdpte, pde, pte)

#define K4   0x1000ull              /* 4 KiB, 2 MiB and so on: what an entry of each level spans */
#define M2   0x200000ull
#define G1   0x40000000ull
#define G512 0x8000000000ull
#define T256 0x1000000000000ull

#define SLOT(n)  ((n) * G512)       /* where the n-th PML4E of the lower half begins */
#define SLOT5(n) ((n) * T256)       /* where the n-th PML5E of the lower half begins */
#define SHADOW   0xffffec0000000000
#define FAR      0x7fff000000       /* a physical address */

/* What tables (and some pages) grant: everything, or everything but one. */
#define ALL     (P | RW | US)
#define NO_W    (P | US)
#define NO_U    (P | RW)
#define NO_X    (P | RW | US | NX)

#define U_TEXT  (P | US | A)
#define U_DATA  (P | RW | US | A | D | NX)
#define U_CONST (P | US | A | NX)
#define K_TEXT  (P | A | G)
#define K_DATA  (P | RW | A | D | G | NX)
#define K_IO    (K_DATA | PCD | PWT)

/* Memory type n of the eight in IA32_PAT, 4.9.2. The page size decides where PAT stands. */
#define PAT_SLOT(n, pat) (((n) & 1 ? PWT : 0) | ((n) & 2 ? PCD : 0) | ((n) & 4 ? (pat) : 0))
#define TYPE(n)     (NO_X | PAT_SLOT(n, PAT_4K))
#define TYPE_BIG(n) (NO_X | PS | PAT_SLOT(n, PAT_BIG))

/* In a table PWT and PCD are about reading the next table, D and G are ignored as well. */
#define NOISE (ALL | PWT | PCD | D | G | IGNORED)

/* Between the flags and the address of a large page, reserved: tables 4-16 and 4-18. */
#define RSVD_13 (1ull << 13)

/*
 *     0000000000000000 +-----------------------------------------------------+
 *     0000000000400000 |  a process: text, data, a 2 MiB page                |
 *     0000008000000000 |  one right, taken away by one level      slots 1-4  |
 *     0000028000000000 |  rights taken away by several levels        slot 5  |
 *     0000030000000000 |  memory types                               slot 6  |
 *     0000038000000000 |  bits that mean nothing                     slot 7  |
 *     0000040000000000 |  entries without P                          slot 8  |
 *     0000048000000000 |  reserved bits                         slots 9, 10  |
 *     0000058000000000 |  tables outside memory                     slot 11  |
 *     0000060000000000 |  slot 1's tables again, three times    slots 12-14  |
 *     00007ffff7dc0000 |  the process: a library, vDSO, stack      slot 255  |
 *     0001000000000000 |  5-level only, slots 1-5 of the PML5: rights, a     |
 *                      |  reserved bit, the 4-level lower half once more     |
 *                      +-----------------------------------------------------+
 *                         the recursive slot is 510 of the root:
 *                         fffe000000000000 in 5-level, ffffff0000000000 in 4
 *                      +-----------------------------------------------------+
 *     ffff888000000000 |  all memory, in 2 MiB and 1 GiB pages               |
 *     ffffc90000000000 |  modules                                            |
 *     ffffec0000000000 |  64 PDEs that lead to one PT                        |
 *     ffffffff80100000 |  the kernel                                         |
 *     ffffffffff5fb000 |  devices, vsyscall                                  |
 *                      +-----------------------------------------------------+
 *
 * Nobody touches most of these pages. The 4 KiB and 2 MiB ones are within 64 MiB of memory or are
 * real devices; the 1 GiB ones reach beyond it, or begin there.
 */
const struct mapping layout[] = {
    /*                   va                  size  count pa         PML4E PDPTE PDE  PTE */

    /*
     * A process, as an OS maps it: the tables grant all, the last entry decides. The vDSO (vdso.c)
     * and the vvar page before it are the kernel's own memory, where link.ld puts it.
     */
    {"text",             0x400000,           K4,   8,   0x1000000,  BITS(ALL, ALL, ALL, U_TEXT)},
    {"constants",        0x408000,           K4,   2,   0x1008000,  BITS(ALL, ALL, ALL, U_CONST)},
    {"data",             0x600000,           K4,   4,   0x100a000,  BITS(ALL, ALL, ALL, U_DATA)},
    {"heap",             0x800000,           M2,   2,   0x1800000,  BITS(ALL, ALL, U_DATA | PS, 0)},
    {"library text",     0x7ffff7dc0000,     K4,   16,  0x1100000,  BITS(ALL, ALL, ALL, U_TEXT)},
    {"library data",     0x7ffff7dd0000,     K4,   2,   0x1110000,  BITS(ALL, ALL, ALL, U_DATA)},
    {"vvar",             0x7ffff7fc0000,     K4,   1,   0x200000,   BITS(ALL, ALL, ALL, U_CONST)},
    {"vDSO",             0x7ffff7fc1000,     K4,   1,   0x101000,   BITS(ALL, ALL, ALL, U_TEXT)},
    {"stack",            0x7ffffffdd000,     K4,   33,  0x1140000,  BITS(ALL, ALL, ALL, U_DATA)},

    /* One right, taken away by one level. The pages themselves grant all three. */
    {"PDE no W",         SLOT(1),            K4,   2,   0x1200000,  BITS(ALL, ALL, NO_W, ALL)},
    {"PDE no U",         SLOT(1) + M2,       K4,   2,   0x1202000,  BITS(ALL, ALL, NO_U, ALL)},
    {"PDE no X",         SLOT(1) + 2 * M2,   K4,   2,   0x1204000,  BITS(ALL, ALL, NO_X, ALL)},
    {"PDPTE no W",       SLOT(1) + G1,       K4,   2,   0x1206000,  BITS(ALL, NO_W, ALL, ALL)},
    {"PDPTE no U",       SLOT(1) + 2 * G1,   K4,   2,   0x1208000,  BITS(ALL, NO_U, ALL, ALL)},
    {"PDPTE no X",       SLOT(1) + 3 * G1,   K4,   2,   0x120a000,  BITS(ALL, NO_X, ALL, ALL)},
    {"PDPTE no W, 2M",   SLOT(1) + G1 + M2,  M2,   1,   0x1c00000,  BITS(ALL, NO_W, ALL | PS, 0)},
    {"PML4E no W",       SLOT(2),            K4,   2,   0x120c000,  BITS(NO_W, ALL, ALL, ALL)},
    {"PML4E no U",       SLOT(3),            K4,   2,   0x120e000,  BITS(NO_U, ALL, ALL, ALL)},
    {"PML4E no X",       SLOT(4),            K4,   2,   0x1210000,  BITS(NO_X, ALL, ALL, ALL)},
    {"PML4E no U, 2M",   SLOT(3) + G1,       M2,   1,   0x1e00000,  BITS(NO_U, ALL, ALL | PS, 0)},
    {"PML4E no W, 1G",   SLOT(2) + G1,       G1,   1,   G1,         BITS(NO_W, ALL | PS, 0, 0)},
    {"PML4E no X, 1G",   SLOT(4) + G1,       G1,   1,   G1,         BITS(NO_X, ALL | PS, 0, 0)},
    {"PML5E no W",       SLOT5(1),           K4,   2,   0x1212000,
                                             BITS5(NO_W, ALL, ALL, ALL, ALL), PAGES, 5},
    {"PML5E no U",       SLOT5(2),           K4,   2,   0x1214000,
                                             BITS5(NO_U, ALL, ALL, ALL, ALL), PAGES, 5},
    {"PML5E no X",       SLOT5(3),           K4,   2,   0x1216000,
                                             BITS5(NO_X, ALL, ALL, ALL, ALL), PAGES, 5},

    /* Several levels take something away. */
    {"one right each",   SLOT(5),            K4,   2,   0x1218000,  BITS(NO_X, NO_W, NO_U, ALL)},
    {"one right, twice", SLOT(5) + G1,       K4,   2,   0x121a000,  BITS(NO_X, ALL, NO_X, ALL)},
    {"all but read",     SLOT(5) + 2 * G1,   K4,   2,   0x121c000,  BITS(NO_X, ALL, ALL, P)},

    /* Memory types. In a large page PAT is where the address of a small one begins. */
    {"type 1",           SLOT(6) + 1 * K4,   K4,   1,   0x1301000,  BITS(ALL, ALL, ALL, TYPE(1))},
    {"type 2",           SLOT(6) + 2 * K4,   K4,   1,   0x1302000,  BITS(ALL, ALL, ALL, TYPE(2))},
    {"type 3",           SLOT(6) + 3 * K4,   K4,   1,   0x1303000,  BITS(ALL, ALL, ALL, TYPE(3))},
    {"type 4",           SLOT(6) + 4 * K4,   K4,   1,   0x1304000,  BITS(ALL, ALL, ALL, TYPE(4))},
    {"type 5",           SLOT(6) + 5 * K4,   K4,   1,   0x1305000,  BITS(ALL, ALL, ALL, TYPE(5))},
    {"type 6",           SLOT(6) + 6 * K4,   K4,   1,   0x1306000,  BITS(ALL, ALL, ALL, TYPE(6))},
    {"type 7",           SLOT(6) + 7 * K4,   K4,   1,   0x1307000,  BITS(ALL, ALL, ALL, TYPE(7))},
    {"type 1, 2M",       SLOT(6) + 1 * M2,   M2,   1,   0x2200000,  BITS(ALL, ALL, TYPE_BIG(1), 0)},
    {"type 2, 2M",       SLOT(6) + 2 * M2,   M2,   1,   0x2400000,  BITS(ALL, ALL, TYPE_BIG(2), 0)},
    {"type 4, 2M",       SLOT(6) + 4 * M2,   M2,   1,   0x2800000,  BITS(ALL, ALL, TYPE_BIG(4), 0)},
    {"type 7, 2M",       SLOT(6) + 7 * M2,   M2,   1,   0x2e00000,  BITS(ALL, ALL, TYPE_BIG(7), 0)},
    {"type 5, 1G",       SLOT(6) + G1,       G1,   1,   0,          BITS(ALL, TYPE_BIG(5), 0, 0)},

    /* Flags of tables that say nothing about a page, and bits that say nothing at all. */
    {"noise in tables",  SLOT(7),            K4,   2,   0x121e000,  BITS(NOISE, NOISE, NOISE, ALL)},
    {"noise in a PTE",   SLOT(7) + M2,       K4,   2,   0x1220000,
                                             BITS(NOISE, NOISE, ALL, ALL | IGNORED)},
    {"noise in a PDE",   SLOT(7) + 2 * M2,   M2,   1,   0x3000000,
                                             BITS(NOISE, NOISE, ALL | PS | IGNORED, 0)},

    /* Without P no other bit counts, not even a reserved one. */
    {"swapped out",      SLOT(8),            K4,   3,   0x12345000,
                                             BITS(ALL, ALL, ALL, RW | US | D), ABSENT},
    {"no 2 MiB page",    SLOT(8) + M2,       M2,   1,   0x3200000,
                                             BITS(ALL, ALL, US | PS | RSVD_13, 0), ABSENT},
    {"all bits but P",   SLOT(8) + G1,       G1,   1,   ADDRESS,
                                             BITS(ALL, ~(ADDRESS | P), 0, 0), ABSENT},

    /* Reserved bits: address bits below a large page, and PS where no page can be. */
    {"bit 13, 2M",       SLOT(9),            M2,   1,   0x3200000,
                                             BITS(ALL, ALL, ALL | PS | RSVD_13, 0), RESERVED},
    {"bit 13, 1G",       SLOT(9) + G1,       G1,   1,   0,
                                             BITS(ALL, ALL | PS | RSVD_13, 0, 0), RESERVED},
    {"PS in a PML4E",    SLOT(10),           G512, 1,   0x3300000,
                                             BITS(ALL | PS, 0, 0, 0), RESERVED},
    {"PS in a PML5E",    SLOT5(4),           T256, 1,   0x3300000,
                                             BITS5(ALL | PS, 0, 0, 0, 0), RESERVED, 5},

    /* Tables where a machine this small has no memory. */
    {"PT out of memory", SLOT(11),           M2,   1,   FAR,
                                             BITS(ALL, ALL, ALL, 0), OUTSIDE},
    {"PD out of memory", SLOT(11) + G1,      G1,   1,   FAR + K4,   BITS(ALL, ALL, 0, 0), OUTSIDE},

    /* Tables reached by several ways. Rights are those of the way taken. */
    {"slot 1 again",     SLOT(12),           G512, 2,   0,
                                             BITS(ALL, 0, 0, 0), SHARED, 0, SLOT(1)},
    {"slot 1, no W, X",  SLOT(14),           G512, 1,   0,
                                             BITS(P | US | NX, 0, 0, 0), SHARED, 0, SLOT(1)},
    {"lower half, no U", SLOT5(5),           T256, 1,   0,
                                             BITS5(NO_U, 0, 0, 0, 0), SHARED, 5, 0},
    {"shadow, its PT",   SHADOW,             K4,   8,   0x3400000,
                                             BITS(NO_U, NO_U, NO_U, P | NX | G)},
    {"shadow, the rest", SHADOW + M2,        M2,   63,  0,
                                             BITS(NO_U, NO_U, NO_U, 0), SHARED, 0, SHADOW},
    {"recursive PML4",   0xffffff0000000000, G512, 1,   0,
                                             BITS(P | RW | NX, 0, 0, 0), RECURSIVE, 4},
    {"recursive PML5",   0xfffe000000000000, T256, 1,   0,
                                             BITS5(P | RW | NX, 0, 0, 0, 0), RECURSIVE, 5},

    /* The kernel: the borders at 1, 2 and 4 MiB are link.ld's. */
    {"all memory",       0xffff888000000000, M2,   32,  0,
                                             BITS(NO_U, NO_U, K_DATA | PS, 0)},
    {"1 GiB to 4 GiB",   0xffff888040000000, G1,   3,   0x40000000, BITS(NO_U, K_DATA | PS, 0, 0)},
    {"module text",      0xffffc90000000000, K4,   4,   0x3500000,  BITS(NO_U, NO_U, NO_U, K_TEXT)},
    {"module data",      0xffffc90000005000, K4,   2,   0x3600000,  BITS(NO_U, NO_U, NO_U, K_DATA)},
    {"kernel text",      0xffffffff80100000, K4,   256, 0x100000,   BITS(ALL, NO_U, NO_U, K_TEXT)},
    {"kernel data",      0xffffffff80200000, K4,   512, 0x200000,   BITS(ALL, NO_U, NO_U, K_DATA)},
    {"local APIC",       0xffffffffff5fb000, K4,   1,   0xfee00000, BITS(ALL, ALL, NO_U, K_IO)},
    {"HPET",             0xffffffffff5fc000, K4,   1,   0xfed00000, BITS(ALL, ALL, NO_U, K_IO)},
    {"vsyscall",         0xffffffffff600000, K4,   1,   0x3700000,  BITS(ALL, ALL, ALL, U_TEXT)},
};

/* ---- What the CPU turned out to have: tests read these ---- */

uint32_t lab_levels;        /* 4 or 5 */
uint32_t lab_pages_1g;      /* 0: the rows of 1 GiB PAGES were left out */

/* ---- What the vDSO's functions read: a page of its own, as a process sees all of it ---- */

union {
    uint64_t ready;         /* the time stamp counter when all was in place */
    uint8_t page[4096];
} lab_vvar __attribute__((section(".vvar"), aligned(4096)));

/* ---- From the rows to the tables ---- */

enum { ENTRIES = 512, TABLES = 96 };

static uint64_t tables[TABLES][ENTRIES] __attribute__((aligned(4096)));
static uint64_t *const root = tables[0];
static unsigned tables_used = 1;

/* Tables are linked to each other by physical address; the kernel reaches them at KERNEL_BASE. */
static uint64_t physical(const void *p)
{
    return (uint64_t)p - KERNEL_BASE;
}

static uint64_t *table_of(uint64_t entry)
{
    return (uint64_t *)((entry & ADDRESS) + KERNEL_BASE);
}

/* 1 for a PTE to 5 for a PML5E: 12 bits of offset, then 9 for each level. */
static unsigned level_of(uint64_t size)
{
    return ((unsigned)__builtin_ctzll(size) - 12) / 9 + 1;
}

/*
 * The entry for `va` at `level`, with the tables on the way there. Null if an entry on the way has
 * not the bits that `row` wants, or if the tables are used up.
 */
static uint64_t *entry_for(const struct mapping *row, uint64_t va, unsigned level)
{
    uint64_t *table = root;

    for (unsigned at = lab_levels;; at--) {
        uint64_t *entry = &table[va >> (12 + 9 * (at - 1)) & (ENTRIES - 1)];

        if (at == level)
            return entry;
        if (!*entry && tables_used < TABLES)
            *entry = physical(tables[tables_used++]) | row->bits[at];
        if ((*entry & ~ADDRESS) != row->bits[at])
            return 0;
        table = table_of(*entry);
    }
}

/* Writes the entries of one row; false if it is at odds with one before it. */
static int build_row(const struct mapping *row)
{
    unsigned level = level_of(row->size);

    for (uint64_t i = 0; i < row->count; i++) {
        uint64_t *entry = entry_for(row, row->va + i * row->size, level);
        uint64_t target = row->pa + i * row->size;

        if (!entry || *entry)
            return 0;
        if (row->kind == SHARED)
            target = *entry_for(row, row->like, level) & ADDRESS;
        if (row->kind == RECURSIVE)
            target = physical(root);
        *entry = target | row->bits[level];
    }
    return 1;
}

/* Builds all of layout[] that this CPU can have. Returns the row that failed, null if none did. */
static const struct mapping *build(void)
{
    const struct mapping *end = layout + sizeof layout / sizeof layout[0];

    for (const struct mapping *row = layout; row < end; row++) {
        if (row->levels && row->levels != lab_levels)
            continue;
        if (row->kind == PAGES && row->size == G1 && !lab_pages_1g)
            continue;
        if (!build_row(row))
            return row;
    }
    return 0;
}

/* ---- The CPU ---- */

static uint64_t read_cr4(void)
{
    uint64_t cr4;

    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    return cr4;
}

static void detect(void)
{
    const uint64_t cr4_la57 = 1 << 12;      /* boot.S set it if it could */
    const uint32_t pdpe1gb = 1 << 26;       /* CPUID.80000001H:EDX */
    uint32_t eax = 0x80000001, ebx, ecx = 0, edx;

    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    lab_pages_1g = (edx & pdpe1gb) != 0;
    lab_levels = read_cr4() & cr4_la57 ? 5 : 4;
}

static void load_root(void)
{
    const uint64_t cr4_pge = 1 << 7;

    __asm__ volatile("mov %0, %%cr3" : : "r"(physical(root)) : "memory");

    /* G counts only with CR4.PGE, to be set when paging is on already: SDM vol. 3A 4.10.2.4. */
    __asm__ volatile("mov %0, %%cr4" : : "r"(read_cr4() | cr4_pge) : "memory");
}

static uint64_t read_tsc(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

/* ---- Telling the outside: the first serial port, 8250 or later ---- */

enum { COM1 = 0x3f8, LINE_STATUS = COM1 + 5, TRANSMITTER_EMPTY = 0x20 };

static void print(const char *s)
{
    for (uint8_t status; *s; s++) {
        do
            __asm__ volatile("inb %w1, %b0" : "=a"(status) : "d"(LINE_STATUS));
        while (!(status & TRANSMITTER_EMPTY));
        __asm__ volatile("outb %b0, %w1" : : "a"(*s), "d"(COM1));
    }
}

/* A debugger finds the CPU here, or sets a breakpoint: everything is in place. */
__attribute__((noinline)) void lab_wait(void)
{
    for (;;)
        __asm__ volatile("cli; hlt");
}

void kernel_main(void)
{
    detect();

    const struct mapping *bad = build();

    if (!bad) {
        load_root();
        lab_vvar.ready = read_tsc();
        print("lab64: ready\n");
    } else {
        print("lab64: no room for this row of layout[], or a row before it says otherwise: ");
        print(bad->name);
        print("\n");
    }
    lab_wait();
}
