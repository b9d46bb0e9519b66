/* The processor: what it can do, its registers, and making an access that may fault. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef unsigned long word;             /* as wide as a register */

/* ---- Bits of registers: SDM vol. 3A, 2.5 and 2.2.1 ---- */

#define CR0_WP   (1u << 16)
#define CR0_PG   (1u << 31)
#define CR4_PSE  (1u << 4)
#define CR4_PAE  (1u << 5)
#define CR4_LA57 (1u << 12)
#define CR4_SMEP (1u << 20)
#define CR4_SMAP (1u << 21)
#define CR4_PKE  (1u << 22)
#define EFER_NXE (1u << 11)
#define FLAGS_AC (1u << 18)

/* ---- What CPUID says, SDM vol. 3A, 4.1.4: one bit each ---- */

enum feature {
    HAS_PSE = 1, HAS_PAE = 2, HAS_NX = 4, HAS_SMEP = 8, HAS_SMAP = 16, HAS_PKU = 32, HAS_1G = 64,
};

extern unsigned features;
extern unsigned maxphyaddr;

/* Fills in the two above, and loads GDT, TSS and IDT. */
void cpu_setup(void);

word read_cr0(void);
word read_cr3(void);
word read_cr4(void);
word read_flags(void);
uint64_t read_efer(void);               /* 0 on a CPU that has none */
void write_cr0(word value);
void write_cr3(word value);
void write_cr4(word value);             /* nothing on a CPU that has none */
void write_efer(uint64_t value);
void write_flags(word value);
void write_pkru(uint32_t value);        /* needs CR4.PKE */

/* ---- Accesses ---- */

enum { VECTOR_SS = 12, VECTOR_GP = 13, VECTOR_PF = 14, VECTOR_DONE = 32 };

/* How a stub ended: `vector` is an exception's, or VECTOR_DONE. */
struct outcome {
    unsigned vector;
    word code;
    word cr2;
    uint8_t value;                      /* AL */
};

extern const char stubs[], stub_read[], stub_write[], stub_fetch[], stub_stack[], stub_load[];
extern const uint8_t probe[];           /* what a fetch must find; PROBE_BYTE for a read */
#define PROBE_BYTE 0xcd

/* `user_stubs` is where user mode finds the page `stubs`; 0 makes the access from kernel mode. */
struct outcome attempt(word va, const char *stub, word user_stubs);
