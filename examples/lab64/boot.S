/*
 * From the multiboot loader to C: long mode on, kernel at its high address.
 *
 * The loader leaves us in 32-bit protected mode, flat segments, paging off, at the physical address
 * of `start` (Multiboot 0.6.96, 3.2). The kernel is linked KERNEL_BASE (-2 GiB) higher than it was
 * loaded, so until it runs there every address is written as PHYS(symbol).
 *
 * Needs a 64-bit CPU with NX; on another one this faults, and as there is no IDT the machine
 * resets.
 */

#define KERNEL_BASE 0xffffffff80000000
#define PHYS(symbol) ((symbol) - KERNEL_BASE)

#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 0               /* ask for nothing: the ELF headers say where to load us */

#define CR0_WP    0x00010000
#define CR0_PG    0x80000000
#define CR4_PAE   0x00000020
#define CR4_LA57  0x00001000
#define EFER      0xc0000080
#define EFER_LME  0x00000100
#define EFER_NXE  0x00000800
#define CPUID7_ECX_LA57 0x00010000

#define P_RW      0x03
#define P_RW_PS   0x83

    .section .multiboot, "a"
    .balign 4
    .long MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

/* The vDSO, vdso.c, padded with zeros to a whole page: link.ld says where, layout[] maps it. */
    .section .vdso, "a"
    .balign 4096
    .incbin "lab64-vdso.so"
    .balign 4096

/*
 * Tables good for the jump only. They map the first 4 MiB of memory twice: where they are, because
 * the instruction after "PG on" is still fetched from there, and at KERNEL_BASE. Both ways lead
 * through the same tables: slot 0 is the way to the low one, 511, 511, 510 the way to the high one.
 * kernel.c builds the real ones, which have nothing there but the kernel.
 */
    .data
    .balign 4096
boot_pml5:                              /* the root on a CPU with LA57 only */
    .quad PHYS(boot_pml4) + P_RW
    .fill 510, 8, 0
    .quad PHYS(boot_pml4) + P_RW
boot_pml4:
    .quad PHYS(boot_pdpt) + P_RW
    .fill 510, 8, 0
    .quad PHYS(boot_pdpt) + P_RW
boot_pdpt:
    .quad PHYS(boot_pd) + P_RW
    .fill 509, 8, 0
    .quad PHYS(boot_pd) + P_RW
    .quad 0
boot_pd:
    .quad 0x000000 + P_RW_PS
    .quad 0x200000 + P_RW_PS
    .fill 510, 8, 0

    .bss
    .balign 16
    .skip 16384
stack_top:

    .section .rodata
    .balign 8
gdt:                                    /* 64-bit code, and data: SDM vol. 3A 3.4.5 */
    .quad 0
    .quad 0x00af9b000000ffff
    .quad 0x00cf93000000ffff
gdt_end:
gdt_pointer_low:
    .word gdt_end - gdt - 1
    .long PHYS(gdt)
gdt_pointer:
    .word gdt_end - gdt - 1
    .quad gdt

/* The steps are those of "Initializing IA-32e Mode", SDM vol. 3A 9.8.5. */
    .text
    .code32
    .globl start
start:
    cli
    cld

    /* CR4.LA57 can be changed only while paging is off: SDM vol. 3A 4.1. */
    mov $CR4_PAE, %edi
    mov $PHYS(boot_pml4), %esi
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
    mov $PHYS(boot_pml5), %esi
1:
    mov %edi, %cr4
    mov %esi, %cr3

    mov $EFER, %ecx
    rdmsr
    or $(EFER_LME | EFER_NXE), %eax
    wrmsr

    mov %cr0, %eax
    or $(CR0_PG | CR0_WP), %eax         /* WP: read-only binds the kernel too, SDM vol. 3A 4.6.1 */
    mov %eax, %cr0

    lgdt PHYS(gdt_pointer_low)
    ljmp $0x08, $PHYS(1f)               /* into a 64-bit code segment, still low */

    .code64
1:  mov $high, %rax                     /* an indirect jump: a direct one is relative, stays low */
    jmp *%rax
high:
    lgdt gdt_pointer                    /* the low half is about to disappear */
    mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    mov %eax, %ss
    mov $stack_top, %rsp
    xor %ebp, %ebp                      /* ends the debugger's backtrace here */
    call kernel_main
2:  hlt
    jmp 2b

    .section .note.GNU-stack, "", @progbits
