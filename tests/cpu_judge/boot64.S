/*
 * The 64-bit judge: from the multiboot loader to C, into an access, and out of it again.
 *
 * The loader leaves us in 32-bit protected mode, flat segments, paging off (Multiboot 0.6.96, 3.2).
 * Long mode is turned on here, with 5 levels where the CPU has CR4.LA57 and with 4 elsewhere.
 * C runs at the addresses it was loaded to and exchanges CR3 only.
 */

#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 0               /* ask for nothing: the ELF headers say where to load us */

#define CR0_PG    0x80000000
#define CR4_PAE   0x00000020
#define CR4_LA57  0x00001000
#define EFER      0xc0000080
#define EFER_LME  0x00000100
#define CPUID7_ECX_LA57 0x00010000

    .section .multiboot, "a"
    .balign 4
    .long MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

/* Tables to build the real ones under: the first 64 MiB where they are, in 2 MiB pages. */
    .data
    .balign 4096
boot_pml5:                              /* the root on a CPU with LA57 only */
    .quad boot_pml4 + 0x03
    .fill 511, 8, 0
boot_pml4:
    .quad boot_pdpt + 0x03
    .fill 511, 8, 0
boot_pdpt:
    .quad boot_pd + 0x03
    .fill 511, 8, 0
boot_pd:
page = 0
    .rept 32
    .quad page * 0x200000 + 0x83
page = page + 1
    .endr
    .fill 480, 8, 0

    .balign 8
boot_gdt:                               /* 64-bit code: SDM vol. 3A, 3.4.5 */
    .quad 0
    .quad 0x00af9b000000ffff
boot_gdt_end:
boot_gdt_pointer:
    .word boot_gdt_end - boot_gdt - 1
    .long boot_gdt

    .bss
    .balign 16
    .skip 16384
stack_top:
    .skip 4096
    .globl trap_stack_top
trap_stack_top:                         /* TSS.IST1: every trap arrives here, whatever RSP was */

resume_stack: .skip 8

/* The steps are those of SDM vol. 3A, 9.8.5, "Initializing IA-32e mode". */
    .text
    .code32
    .globl start
start:
    cli
    cld

    /* CR4.LA57 can be changed while paging is off only: SDM vol. 3A, 4.1.1. */
    mov $CR4_PAE, %edi
    mov $boot_pml4, %esi
    xor %eax, %eax
    cpuid                               /* EAX: the highest leaf there is */
    cmp $7, %eax
    jb 1f
    mov $7, %eax
    xor %ecx, %ecx
    cpuid
    test $CPUID7_ECX_LA57, %ecx
    jz 1f
    or $CR4_LA57, %edi
    mov $boot_pml5, %esi
1:
    mov %edi, %cr4
    mov %esi, %cr3
    mov $EFER, %ecx
    rdmsr
    or $EFER_LME, %eax
    wrmsr
    mov %cr0, %eax
    or $CR0_PG, %eax
    mov %eax, %cr0
    lgdt boot_gdt_pointer
    ljmp $0x08, $1f

    .code64
1:  mov $stack_top, %esp
    xor %ebp, %ebp                      /* ends the debugger's backtrace here */
    call judge_main
2:  jmp 2b

/* void load_tables(const struct table_pointer *gdt, const struct table_pointer *idt) */
    .globl load_tables
load_tables:
    lgdt (%rdi)
    lidt (%rsi)
    mov $0x10, %eax
    mov %eax, %ss
    mov $0x23, %eax
    mov %eax, %ds
    mov %eax, %es
    mov $0x28, %eax
    ltr %ax
    ret                                 /* CS keeps 0x08, the same in both GDTs */

/*
 * void attempt_kernel(word va, const void *stub)
 * void attempt_user(word va, const void *stub)
 *
 * Run a stub of stubs.S with `va` in RCX. It ends in a trap, whatever happens, and trap_common
 * returns to our caller from there. RFLAGS, AC in it, are the caller's.
 */
.macro save
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    pushfq
    mov %rsp, resume_stack
    mov %rdi, %rcx
.endm

    .globl attempt_kernel, attempt_user
attempt_kernel:
    save
    jmp *%rsi

attempt_user:
    save
    push $0x23                          /* SS, RSP: it needs no stack */
    push $0
    pushfq
    push $0x1b                          /* CS, RIP */
    push %rsi
    iretq

trap_common:
    mov %rax, trap_value
    pop trap_vector
    pop trap_code
    mov %cr2, %rax
    mov %rax, trap_cr2
    mov resume_stack, %rsp
    popfq
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret

/* Where each exception enters, 16 bytes apart; the 33rd is for vector 0x80. */
#define HAVE_ERROR_CODE 0x227d00        /* bit per vector: SDM vol. 3A, table 6-1 */
    .balign 16
    .globl trap_entries
trap_entries:
vector = 0
    .rept 33
    .balign 16
    .if !((HAVE_ERROR_CODE >> vector) & 1)
    push $0
    .endif
    push $vector
    jmp trap_common
vector = vector + 1
    .endr

    .section .note.GNU-stack, "", @progbits
