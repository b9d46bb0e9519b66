/* The cases: which paging modes there are, and one linear address for each thing to try. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cpu.h"

/* One level of the tables. Numbers are 1 for a PTE to 5 for a PML5E. */
struct level {
    const char *entry;                  /* the SDM's name */
    uint8_t number;
    uint8_t shift, index_bits;          /* the linear-address bits that choose an entry */
    bool has_rights;                    /* RW, US and XD: all but PAE's PDPTE */
};

struct mode {
    const char *name;
    unsigned bit;                       /* IN_PSE and so on */
    unsigned needs;                     /* features */
    word cr4;
    const struct level *levels;         /* the root's first */
    uint8_t level_count;
    uint8_t entry_bytes;
    uint8_t va_bits;
    uint8_t slot_level;                 /* each case has an entry of its own from here on down */
    uint8_t largest;                    /* level of the largest page */
};

enum { IN_32BIT = 1, IN_PSE = 2, IN_PAE = 4, IN_4LEVEL = 8, IN_5LEVEL = 16 };

extern const struct mode modes[];
extern const unsigned mode_count;

/* One address to access. Its name says which page, whose, and what of it is odd. */
struct probe_case {
    uint64_t va;
    const char *page, *base, *entry, *what;
    uint8_t root;                       /* which of roots[] it needs */
    bool elsewhere;                     /* the frame, if it maps one, is not `probe` */
    bool not_canonical;
};

enum { MAX_CASES = 480, MAX_ROOTS = 4 };

extern struct probe_case cases[MAX_CASES];
extern unsigned case_count;
extern word roots[MAX_ROOTS];           /* values for CR3; all but the first are PAE's odd ones */
extern unsigned root_count;
extern word user_stubs;                 /* where user mode finds the page `stubs` */

/* Fills in the four above: the tables of a mode, afresh. False: they do not fit. */
bool build(const struct mode *mode);
