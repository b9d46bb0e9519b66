#include "cpu.h"

unsigned features;
unsigned maxphyaddr = 32;

/* ---- CPUID ---- */

struct leaf { uint32_t eax, ebx, ecx, edx; };

static struct leaf cpuid(uint32_t number)
{
    struct leaf l = {number, 0, 0, 0};

    __asm__ volatile("cpuid" : "+a"(l.eax), "=b"(l.ebx), "+c"(l.ecx), "=d"(l.edx));
    return l;
}

static bool has_cpuid(void)
{
    const word id = 1u << 21;           /* EFLAGS.ID can be changed: SDM vol. 1, 3.4.3.3 */
    word flags = read_flags();
    bool changed;

    write_flags(flags ^ id);
    changed = (read_flags() ^ flags) & id;
    write_flags(flags);
    return changed;
}

static void note(uint32_t bits, unsigned bit, unsigned feature)
{
    if (bits >> bit & 1)
        features |= feature;
}

static void detect(void)
{
    uint32_t highest, highest_extended;

    if (!has_cpuid())
        return;
    highest = cpuid(0).eax;
    highest_extended = cpuid(0x80000000).eax;
    if (highest >= 1) {
        uint32_t edx = cpuid(1).edx;

        note(edx, 3, HAS_PSE);
        note(edx, 6, HAS_PAE);
    }
    if (highest >= 7) {
        note(cpuid(7).ebx, 7, HAS_SMEP);
        note(cpuid(7).ebx, 20, HAS_SMAP);
        note(cpuid(7).ecx, 3, HAS_PKU);
    }
    if (highest_extended >= 0x80000001 && highest_extended < 0x80010000) {
        note(cpuid(0x80000001).edx, 20, HAS_NX);
        note(cpuid(0x80000001).edx, 26, HAS_1G);
    }

    /* SDM vol. 3A, 4.1.4, MAXPHYADDR */
    if (highest_extended >= 0x80000008 && highest_extended < 0x80010000)
        maxphyaddr = cpuid(0x80000008).eax & 0xff;
    else if (features & HAS_PAE)
        maxphyaddr = 36;
}

/* ---- Registers ---- */

word read_cr0(void) { word v; __asm__ volatile("mov %%cr0, %0" : "=r"(v)); return v; }
word read_cr3(void) { word v; __asm__ volatile("mov %%cr3, %0" : "=r"(v)); return v; }
void write_cr0(word v) { __asm__ volatile("mov %0, %%cr0" : : "r"(v) : "memory"); }
void write_cr3(word v) { __asm__ volatile("mov %0, %%cr3" : : "r"(v) : "memory"); }

word read_flags(void) { word v; __asm__ volatile("pushf; pop %0" : "=r"(v)); return v; }
void write_flags(word v) { __asm__ volatile("push %0; popf" : : "r"(v) : "cc", "memory"); }

word read_cr4(void)
{
    word v = 0;

    if (features & HAS_PSE)             /* CR4 came with it, but for some late 486 */
        __asm__ volatile("mov %%cr4, %0" : "=r"(v));
    return v;
}

void write_cr4(word v)
{
    if (features & HAS_PSE)
        __asm__ volatile("mov %0, %%cr4" : : "r"(v) : "memory");
}

enum { EFER = 0xc0000080 };

uint64_t read_efer(void)
{
    uint32_t low = 0, high = 0;

    if (features & HAS_NX)
        __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(EFER));
    return (uint64_t)high << 32 | low;
}

void write_efer(uint64_t v)
{
    if (features & HAS_NX)
        __asm__ volatile("wrmsr" : : "c"(EFER), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)));
}

void write_pkru(uint32_t v) { __asm__ volatile("wrpkru" : : "a"(v), "c"(0), "d"(0)); }

/* ---- GDT, TSS, IDT: SDM vol. 3A, 3.4.5, 7.2 and 6.11 to 6.14 ---- */

struct table_pointer {
    uint16_t limit;
    word base;
} __attribute__((packed));

/* All that is used of a TSS: where the stack is that traps arrive on. */
#ifdef __x86_64__
struct tss {
    uint32_t unused;
    uint64_t rsp[3], unused_too, ist[7];
    uint8_t rest[12];
} __attribute__((packed));
enum { LONG_CODE = 1, GATE_WORDS = 4 };
#else
struct tss {
    uint32_t link, esp0, ss0;
    uint8_t rest[92];
};
enum { LONG_CODE = 0, GATE_WORDS = 2 };
#endif

extern const char trap_stack_top[], trap_entries[];
void load_tables(const struct table_pointer *gdt, const struct table_pointer *idt);

static struct tss tss;
static uint64_t gdt[7];
static uint32_t idt[129][GATE_WORDS];

/* The selectors that boot32.S and boot64.S use are 8 times these positions, and RPL. */
static void fill_gdt(void)
{
    const uint64_t long_or_32 = LONG_CODE ? 0x00af000000000000 : 0x00cf000000000000;
    uint64_t base = (word)&tss;

    gdt[1] = long_or_32 | 0x00009b000000ffff;           /* kernel code */
    gdt[2] = 0x00cf93000000ffff;                        /* kernel data */
    gdt[3] = long_or_32 | 0x0000fb000000ffff;           /* user code */
    gdt[4] = 0x00cff3000000ffff;                        /* user data */
    gdt[5] = (base & 0xff000000) << 32 | 0x0000890000000000 | (base & 0xffffff) << 16 |
             (sizeof tss - 1);
    gdt[6] = base >> 32;                                /* 64-bit: its second half */
}

static void set_gate(unsigned vector, unsigned entry, unsigned privilege)
{
    uint64_t target = (word)trap_entries + 16 * entry;
    uint32_t *gate = idt[vector];

    gate[0] = 8 << 16 | (target & 0xffff);
    gate[1] = (target & 0xffff0000) | 0x8e00 | privilege << 13;
#ifdef __x86_64__
    gate[1] |= 1;                                       /* IST1 */
    gate[2] = target >> 32;
#endif
}

static void load_descriptors(void)
{
    struct table_pointer gdt_at = {sizeof gdt - 1, (word)gdt};
    struct table_pointer idt_at = {sizeof idt - 1, (word)idt};

#ifdef __x86_64__
    tss.ist[0] = (word)trap_stack_top;
#else
    tss.esp0 = (word)trap_stack_top;
    tss.ss0 = 0x10;
#endif
    fill_gdt();
    for (unsigned vector = 0; vector < 32; vector++)
        set_gate(vector, vector, 0);
    set_gate(0x80, VECTOR_DONE, 3);
    load_tables(&gdt_at, &idt_at);
}

void cpu_setup(void)
{
    detect();
    load_descriptors();
}

/* ---- Accesses ---- */

void attempt_kernel(word va, word stub);
void attempt_user(word va, word stub);

volatile word trap_vector, trap_code, trap_cr2, trap_value;     /* filled in by trap_common */

struct outcome attempt(word va, const char *stub, word user_stubs)
{
    if (user_stubs)
        attempt_user(va, user_stubs + (word)(stub - stubs));
    else
        attempt_kernel(va, (word)stub);
    return (struct outcome){trap_vector, trap_code, trap_cr2, (uint8_t)trap_value};
}
