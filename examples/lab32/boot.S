/*
 * From the multiboot loader to C: paging on, kernel at its high address.
 *
 * The loader leaves us in 32-bit protected mode, flat segments, paging off, at the physical address
 * of `start` (Multiboot 0.6.96, 3.2). The kernel is linked KERNEL_BASE higher than it was loaded,
 * so until paging is on every address is written as PHYS(symbol).
 *
 * Needs a CPU with 4 MiB pages and global pages (Pentium Pro and later); on an older one this
 * faults, and as there is no IDT the machine resets.
 */

#define PHYS(symbol) ((symbol) - KERNEL_BASE)

#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 0               /* ask for nothing: the ELF headers say where to load us */

#define CR0_WP  0x00010000
#define CR0_PG  0x80000000
#define CR4_PSE 0x00000010

#define PDE_P_RW_PS 0x83                /* a present, writable 4 MiB page */

    .section .multiboot, "a"
    .balign 4
    .long MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

/*
 * A page directory good for the jump only. It maps the first 4 MiB of memory twice: where they are,
 * because the instruction after "PG on" is still fetched from there, and at KERNEL_BASE.
 * kernel.c builds the real one, which has no low half any more.
 */
    .data
    .balign 4096
boot_directory:
    .long 0 | PDE_P_RW_PS
    .fill (KERNEL_BASE >> 22) - 1, 4, 0
    .long 0 | PDE_P_RW_PS
    .fill 1023 - (KERNEL_BASE >> 22), 4, 0

    .bss
    .balign 16
    .skip 16384
stack_top:

    .section .rodata
    .balign 8
gdt:                                    /* flat 4 GiB code and data, SDM vol. 3A 3.4.5 */
    .quad 0
    .quad 0x00cf9b000000ffff
    .quad 0x00cf93000000ffff
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .long gdt

    .text
    .globl start
start:
    cli
    cld
    mov %cr4, %eax
    or $CR4_PSE, %eax
    mov %eax, %cr4
    mov $PHYS(boot_directory), %eax
    mov %eax, %cr3
    mov %cr0, %eax
    or $(CR0_PG | CR0_WP), %eax         /* WP: read-only binds the kernel too, SDM vol. 3A 4.6.1 */
    mov %eax, %cr0
    mov $high, %eax                     /* an indirect jump: a direct one is relative, stays low */
    jmp *%eax
high:
    lgdt gdt_pointer                    /* the loader's GDT is in the half about to disappear */
    ljmp $0x08, $1f
1:  mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    mov %eax, %ss
    mov $stack_top, %esp
    xor %ebp, %ebp                      /* ends the debugger's backtrace here */
    call kernel_main
2:  hlt
    jmp 2b

    .section .note.GNU-stack, "", @progbits
