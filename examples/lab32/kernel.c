/*
 * lab32: a kernel that only lays out an address space, for you to look at with ptmap.
 *
 * The space is that of a process on 32-bit Linux 2.6: two-level paging (SDM vol. 3A 4.3), a page
 * directory of 1024 entries (PDEs) of 4 MiB each, every one empty, a 4 MiB page, or a table of
 * 1024 entries (PTEs) of 4 KiB each. Everything is in layout[] below; build() turns it into tables.
 * boot.S brings us here, already running at KERNEL_BASE.
 */

#include <stdint.h>

/* ---- What an entry is made of: SDM vol. 3A, figure 4-4 and tables 4-4 to 4-6 ---- */

enum {
    P   = 1 << 0,  /* present */
    RW  = 1 << 1,  /* may be written to */
    US  = 1 << 2,  /* user mode may use it */
    PWT = 1 << 3,  /* write-through */
    PCD = 1 << 4,  /* not cached */
    A   = 1 << 5,  /* accessed: the CPU sets it */
    D   = 1 << 6,  /* dirty: the CPU sets it, in entries that map a page */
    PS  = 1 << 7,  /* in a PDE: a 4 MiB page, not a table */
    G   = 1 << 8,  /* global: a new CR3 leaves it in the TLB */
};

enum {
    PAGE_4K = 0x1000,
    PAGE_4M = 0x400000,

    /*
     * An access needs RW or US at both levels (SDM vol. 3A 4.6.1), so an OS sets both in the PDE
     * and decides in the PTE. SUPER shows that rule: the PTE of "driver's mistake" says user and
     * its PDE does not, so user mode stays out.
     */
    OPEN   = P | RW | US,
    SUPER  = P | RW,

    U_READ  = P | US | A,
    U_WRITE = P | US | RW | A | D,
    K_READ  = P | A | G,
    K_WRITE = P | RW | A | D | G,
    K_4M    = K_WRITE | PS,
    K_IO    = K_WRITE | PCD | PWT,

    /* `make broken` builds a kernel with three mistakes, for a check to find (lab32.check). */
#ifndef BROKEN
    KERNEL_TEXT = K_READ,
    KERNEL_DATA = K_WRITE,
    GUARD       = US | G,
#else
    KERNEL_TEXT = K_WRITE,
    KERNEL_DATA = K_WRITE | US,
    GUARD       = U_WRITE,
#endif
};

/* ---- The address space ---- */

/*
 * One row is `count` pages of `size` bytes, one after the other from `va` and `pa` on.
 * `leaf` are the low bits of the entry that maps the page, and `pde` those of the entry above it
 * (0 for 4 MiB pages, which have none above). Rows within one 4 MiB cell have the same `pde`.
 * A row without P makes entries that are not present, which an OS may use as it likes.
 * The CPU may add A and D to what is written here, nothing else.
 */
struct mapping {
    const char *name;
    uint32_t va;
    uint32_t size;
    uint32_t count;
    uint32_t pa;
    uint32_t leaf;
    uint32_t pde;
};

/*
 * The letters are those of ptmap's grid: what the first present page of that 4 MiB cell is.
 * BASE is 0xc0000000, 0x80000000 or 0x40000000 by the build's SPLIT.
 *
 *     00000000 +-----------------------------------+
 *              |                                   |
 *     08048000 |  text, data and heap           r  |  stays where it is
 *              |                                   |
 *  BASE-  132M |  mapped libraries              +  |  these two keep their distance
 *  BASE-    8M |  stack                         +  |  below BASE
 *              |                                   |
 *  BASE        +-----------------------------------+  from here PA = VA - BASE
 *              |  1st 4 MiB of memory: the kernel  x  |  in 4 KiB pages, for their rights differ
 *  BASE+    4M |  lowmem                        X  |  in 4 MiB pages
 *  BASE+  504M |  lowmem in 4 KiB pages         x  |  a piece of it made uncached (so this cell
 *  BASE+  508M |  lowmem                        X  |  keeps its distance above BASE, its PA)
 *              |                                   |
 *     f8000000 +-----------------------------------+  lowmem grows up to here in every split:
 *              |  8 MiB hole, catches overruns     |  896, 1920 or 2944 MiB of it
 *     f8800000 |  vmalloc                       x  |  these three stay where they are
 *     ff800000 |  kmap window                   x  |
 *     ffc00000 |  fixed addresses               x  |
 *              +-----------------------------------+
 *
 * Lowmem maps far more memory than a small machine has. Nobody touches those pages, so it does no
 * harm, and the map is the same whatever -m says. All else is within 64 MiB, or is a real device.
 */
#define BASE KERNEL_BASE
#define REST ((0xf8000000u - (BASE + 0x1fc00000u)) / PAGE_4M)  /* cells of lowmem after the x */

const struct mapping layout[] = {
    /*                     va                   size     count  pa          leaf           pde */

    /* The process: frames wherever they were free. */
    {"text",               0x08048000,          PAGE_4K,   12,  0x01000000, U_READ,        OPEN},
    {"data",               0x08054000,          PAGE_4K,    2,  0x0100c000, U_WRITE,       OPEN},
    {"heap",               0x08071000,          PAGE_4K,   33,  0x01234000, U_WRITE,       OPEN},

    {"thread data",        BASE - 0x08200000,   PAGE_4K,    1,  0x01300000, U_WRITE,       OPEN},
    {"libc text",          BASE - 0x081ff000,   PAGE_4K,  310,  0x01400000, U_READ,        OPEN},
    {"libc guard, no P",   BASE - 0x080c9000,   PAGE_4K,    1,  0,          GUARD,         OPEN},
    {"libc data",          BASE - 0x080c8000,   PAGE_4K,    3,  0x01540000, U_WRITE,       OPEN},
    {"ld.so text",         BASE - 0x08020000,   PAGE_4K,   26,  0x01600000, U_READ,        OPEN},
    {"ld.so data",         BASE - 0x08006000,   PAGE_4K,    2,  0x0161a000, U_WRITE,       OPEN},

    {"stack, lower part",  BASE - 0x00535000,   PAGE_4K,    4,  0x01733000, U_WRITE,       OPEN},
    {"stack, upper part",  BASE - 0x00531000,   PAGE_4K,   17,  0x01700000, U_WRITE,       OPEN},

    /* The kernel: the borders at 1, 2 and 4 MiB are link.ld's. */
    {"real-mode memory",   BASE,                PAGE_4K,  160,  0x00000000, K_WRITE,       OPEN},
    {"VGA window",         BASE + 0x000a0000,   PAGE_4K,   32,  0x000a0000, K_IO,          OPEN},
    {"firmware",           BASE + 0x000c0000,   PAGE_4K,   64,  0x000c0000, K_READ,        OPEN},
    {"kernel text",        BASE + 0x00100000,   PAGE_4K,  256,  0x00100000, KERNEL_TEXT,   OPEN},
    {"kernel data",        BASE + 0x00200000,   PAGE_4K,  512,  0x00200000, KERNEL_DATA,   OPEN},

    {"lowmem",             BASE + 0x00400000,   PAGE_4M,  125,  0x00400000, K_4M,          0},
    {"lowmem, in 4 KiB",   BASE + 0x1f800000,   PAGE_4K,  256,  0x1f800000, K_WRITE,       OPEN},
    {"lowmem, uncached",   BASE + 0x1f900000,   PAGE_4K,   16,  0x1f900000, K_WRITE | PCD, OPEN},
    {"lowmem, in 4 KiB",   BASE + 0x1f910000,   PAGE_4K,  752,  0x1f910000, K_WRITE,       OPEN},
    {"lowmem",             BASE + 0x1fc00000,   PAGE_4M,  REST, 0x1fc00000, K_4M,          0},

    /* vmalloc leaves an empty page after each piece. */
    {"module text",        0xf8800000,          PAGE_4K,    5,  0x02001000, K_READ,        SUPER},
    {"module data",        0xf8806000,          PAGE_4K,    2,  0x02345000, K_WRITE,       SUPER},
    {"driver's mistake",   0xf8809000,          PAGE_4K,    1,  0x02400000, U_WRITE,       SUPER},
    {"network registers",  0xf8820000,          PAGE_4K,   32,  0xfebc0000, K_IO,          SUPER},

    {"kmap window",        0xff801000,          PAGE_4K,    3,  0x03a50000, K_WRITE,       OPEN},

    {"local APIC",         0xffffb000,          PAGE_4K,    1,  0xfee00000, K_IO,          OPEN},
    {"I/O APIC",           0xffffc000,          PAGE_4K,    1,  0xfec00000, K_IO,          OPEN},
    {"vsyscall",           0xffffe000,          PAGE_4K,    1,  0x02600000, U_READ,        OPEN},
};

/* ---- From the rows to the tables ---- */

enum { ENTRIES = 1024, TABLES = 8 };    /* 8: the cells that are not in 4 MiB pages */

static uint32_t directory[ENTRIES] __attribute__((aligned(PAGE_4K)));
static uint32_t tables[TABLES][ENTRIES] __attribute__((aligned(PAGE_4K)));
static unsigned tables_used;

/* Tables are linked to each other by physical address; the kernel reaches them BASE higher. */
static uint32_t physical(const void *p)
{
    return (uint32_t)(uintptr_t)p - BASE;
}

static uint32_t *table_of(uint32_t pde)
{
    return (uint32_t *)(uintptr_t)((pde & ~0xfffu) + BASE);
}

/* Writes the tables for all of layout[]; false if there are not enough of them. */
static int build(void)
{
    const struct mapping *end = layout + sizeof layout / sizeof layout[0];

    for (const struct mapping *row = layout; row < end; row++) {
        for (uint32_t i = 0; i < row->count; i++) {
            uint32_t va = row->va + i * row->size;
            uint32_t entry = (row->pa + i * row->size) | row->leaf;
            uint32_t *pde = &directory[va >> 22];

            if (row->size == PAGE_4M) {
                *pde = entry;
                continue;
            }
            if (!(*pde & P)) {
                if (tables_used == TABLES)
                    return 0;
                *pde = physical(tables[tables_used++]) | row->pde;
            }
            table_of(*pde)[va >> 12 & (ENTRIES - 1)] = entry;
        }
    }
    return 1;
}

static void load_directory(void)
{
    const uint32_t cr4_pge = 1 << 7;
    uint32_t cr4;

    __asm__ volatile("mov %0, %%cr3" : : "r"(physical(directory)) : "memory");

    /* G counts only with CR4.PGE, to be set when paging is on already: SDM vol. 3A 4.10.2.4. */
    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    __asm__ volatile("mov %0, %%cr4" : : "r"(cr4 | cr4_pge) : "memory");
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
    if (build()) {
        load_directory();
        print("lab32: ready\n");
    } else {
        print("lab32: layout[] needs more tables than TABLES\n");
    }
    lab_wait();
}
