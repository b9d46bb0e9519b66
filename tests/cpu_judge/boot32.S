/*
 * The 32-bit judge: from the multiboot loader to C, into an access, and out of it again.
 *
 * The loader leaves us in 32-bit protected mode, flat segments, paging off (Multiboot 0.6.96, 3.2).
 * Paging is turned on and off by C. All instructions are a 486's, but for those that C runs after
 * it has looked at CPUID.
 */

#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 0               /* ask for nothing: the ELF headers say where to load us */

    .section .multiboot, "a"
    .balign 4
    .long MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

    .bss
    .balign 16
    .skip 16384
stack_top:
    .skip 4096
    .globl trap_stack_top
trap_stack_top:                         /* TSS.ESP0: traps from user mode arrive here */

resume_stack: .skip 4

    .text
    .globl start
start:
    cli
    cld
    mov $stack_top, %esp
    xor %ebp, %ebp                      /* ends the debugger's backtrace here */
    call judge_main
1:  jmp 1b

/* void load_tables(const struct table_pointer *gdt, const struct table_pointer *idt) */
    .globl load_tables
load_tables:
    mov 4(%esp), %eax
    lgdt (%eax)
    mov 8(%esp), %eax
    lidt (%eax)
    ljmp $0x08, $1f
1:  mov $0x10, %eax
    mov %eax, %ss
    mov $0x23, %eax                     /* user data: usable from both modes, never reloaded */
    mov %eax, %ds
    mov %eax, %es
    mov $0x28, %eax
    ltr %ax
    ret

/*
 * void attempt_kernel(word va, const void *stub)
 * void attempt_user(word va, const void *stub)
 *
 * Run a stub of stubs.S with `va` in ECX. It ends in a trap, whatever happens, and trap_common
 * returns to our caller from there. EFLAGS, AC in it, are the caller's.
 */
.macro save
    mov 4(%esp), %ecx
    mov 8(%esp), %edx
    push %ebx
    push %ebp
    push %esi
    push %edi
    pushf
    mov %esp, resume_stack
.endm

    .globl attempt_kernel, attempt_user
attempt_kernel:
    save
    jmp *%edx

attempt_user:
    save
    push $0x23                          /* SS, ESP: it needs no stack */
    push $0
    pushf
    push $0x1b                          /* CS, EIP */
    push %edx
    iret

trap_common:
    mov %eax, trap_value
    pop trap_vector
    pop trap_code
    mov %cr2, %eax
    mov %eax, trap_cr2
    mov resume_stack, %esp
    popf
    pop %edi
    pop %esi
    pop %ebp
    pop %ebx
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
