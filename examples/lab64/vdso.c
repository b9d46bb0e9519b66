/*
 * lab64's vDSO: an ELF shared object that the kernel brings along and maps into its process.
 *
 * A process calls its functions as those of any library; they answer without a system call, from
 * the page before the image, the vvar page, which the kernel writes and the process only reads.
 * vdso.ld makes the object, boot.S puts it into the kernel, layout[] in kernel.c maps both pages.
 *
 * No function here may need a relocation, as nobody would do it: what they use is found relative
 * to RIP. (lab64 has no user mode, so nothing calls them; they would work.)
 */

#include <stdint.h>

/* The page before the image, of which kernel.c's lab_vvar says the same; vdso.ld says where. */
extern const volatile struct {
    uint64_t ready;     /* the time stamp counter when the kernel was ready */
} vvar __attribute__((visibility("hidden")));

uint64_t __vdso_lab_add(uint64_t a, uint64_t b)
{
    return a + b;
}

const char *__vdso_lab_name(void)
{
    return "lab64";
}

/* How many ticks of the time stamp counter ago the kernel was ready. */
uint64_t __vdso_lab_tick(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return ((uint64_t)high << 32 | low) - vvar.ready;
}

/* The name for a program, weak so that a library may have one of its own. Linux does the same. */
uint64_t lab_tick(void) __attribute__((weak, alias("__vdso_lab_tick")));
