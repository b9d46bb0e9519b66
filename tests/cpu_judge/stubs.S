/*
 * The accesses themselves, each with the address in ECX/RCX. An access that succeeds ends in
 * INT 0x80, one that does not in its exception. Kernel mode runs them here; user mode runs the same
 * page, mapped for it elsewhere, so they are position-independent.
 */

#ifdef __x86_64__
#define CX %rcx
#define SP %rsp
#else
#define CX %ecx
#define SP %esp
#endif

#define PROBE_BYTE 0xcd                 /* the first byte of INT, at `probe` */

    .section .stubs, "ax"
    .balign 4096
    .globl stubs, stub_read, stub_write, stub_fetch, stub_stack, stub_load
stubs:
    .skip 64
stub_read:
    mov (CX), %al
    int $0x80
stub_write:                             /* what is there anyway */
    mov $PROBE_BYTE, %al
    mov %al, (CX)
    int $0x80
stub_fetch:
    jmp *CX
stub_stack:                             /* a read through the stack segment */
    mov CX, SP
    mov (SP), %al
    int $0x80
stub_load:                              /* not an access of the case, but of its root */
    mov CX, %cr3
    int $0x80

    .section .probe, "awx"
    .balign 4096
    .skip 0x5a8                         /* not at the page's start, so that offsets count */
    .globl probe
probe:
    int $0x80

    .section .note.GNU-stack, "", @progbits
