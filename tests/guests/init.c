/*
 * The only process of a test guest: maps memory of known kinds, says where, and stays.
 *
 * Freestanding, no libc, no headers: one source for 32 and 64 bits, as initramfs.py builds it.
 * The console then has, in this order:
 *
 *     init: map KIND ADDRESS SIZE      one line per row of areas[] that could be mapped
 *     init: no KIND                    the row lies beyond this process's address space
 *     init: stack ADDRESS
 *     init: spin ADDRESS               where the CPU will be (stay=user only)
 *     ... /proc/self/maps ...
 *     init: ready
 *
 * The kernel hands NAME=VALUE words of its command line to init as environment:
 *
 *     stay=user     spin in user mode: the CPU never leaves this process (the default)
 *     stay=kernel   pause() for ever: the CPU idles in the kernel. There is no other process,
 *                   so Linux, which switches lazily, leaves this process's root in CR3.
 *     big=MIB       size of the area "big"
 */

enum { PROT_NONE = 0, PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4 };
enum { MAP_SHARED = 1, MAP_PRIVATE = 2, MAP_ANONYMOUS = 0x20, MAP_FIXED_NOREPLACE = 0x100000 };
enum { PAGE = 4096 };

#define RW (PROT_READ | PROT_WRITE)

#ifdef __x86_64__
enum { READ = 0, WRITE = 1, OPEN = 2, MMAP = 9, MPROTECT = 10, PAUSE = 34, SYSLOG = 103,
       MOUNT = 165 };
/* Areas 1 GiB apart: each has a page directory of its own, two PML4 entries in all. */
#define AT(n)   (0x100000000000UL + ((unsigned long)(n) << 30))
#define BIG     0x200000000000UL
#define BEYOND  0x10000000000000UL      /* bit 52: only 5-level paging reaches it */
#else
enum { READ = 3, WRITE = 4, OPEN = 5, MOUNT = 21, PAUSE = 29, SYSLOG = 103, MPROTECT = 125,
       MMAP = 192 };
/* Areas 4 MiB apart: each has a page table of its own. */
#define AT(n)   (0x10000000UL + ((unsigned long)(n) << 22))
#define BIG     0x20000000UL
#define BEYOND  0xe0000000UL            /* the fourth GiB: only a 64-bit kernel gives it */
#endif

enum touch { LEAVE, LOOK, FILL, ODD };  /* read every page, write every page, every second one */

static const struct area {
    const char *kind;
    unsigned long address, pages;
    enum touch touch;                   /* while it is still readable and writable */
    int prot;                           /* afterwards */
    int share;
} areas[] = {
    { "rw",        AT(0), 8,    FILL,  RW,                    MAP_PRIVATE },
    { "ro",        AT(1), 4,    FILL,  PROT_READ,             MAP_PRIVATE },
    { "exec",      AT(2), 1,    FILL,  PROT_READ | PROT_EXEC, MAP_PRIVATE },
    { "rwx",       AT(3), 2,    FILL,  RW | PROT_EXEC,        MAP_PRIVATE },
    { "none",      AT(4), 4,    FILL,  PROT_NONE,             MAP_PRIVATE },
    { "untouched", AT(5), 16,   LEAVE, RW,                    MAP_PRIVATE },
    /* only read: every page is Linux's one zero page, write-protected */
    { "zero",      AT(6), 4,    LOOK,  RW,                    MAP_PRIVATE },
    { "sparse",    AT(7), 16,   ODD,   RW,                    MAP_PRIVATE },
    { "shared",    AT(8), 4,    FILL,  RW,                    MAP_SHARED },
    { "beyond",    BEYOND, 4,   FILL,  RW,                    MAP_PRIVATE },
    { "big",       BIG,   2048, FILL,  RW,                    MAP_PRIVATE },
};

/* Twelve lines of assembler: the entry, and a system call of up to six arguments. */
long syscall(long number, ...);

#ifdef __x86_64__
__asm__(".globl _start\n_start: mov %rsp, %rdi; and $-16, %rsp; call start\n"
        "syscall: mov %rdi, %rax; mov %rsi, %rdi; mov %rdx, %rsi; mov %rcx, %rdx\n"
        "mov %r8, %r10; mov %r9, %r8; mov 8(%rsp), %r9; syscall; ret\n");
#else
__asm__(".globl _start\n_start: mov %esp, %eax; and $-16, %esp; sub $12, %esp; push %eax\n"
        "call start\n"
        "syscall: push %ebp; push %edi; push %esi; push %ebx\n"
        "mov 20(%esp), %eax; mov 24(%esp), %ebx; mov 28(%esp), %ecx; mov 32(%esp), %edx\n"
        "mov 36(%esp), %esi; mov 40(%esp), %edi; mov 44(%esp), %ebp; int $0x80\n"
        "pop %ebx; pop %esi; pop %edi; pop %ebp; ret\n");
#endif

/* A line is written by one call, so that the kernel's own messages don't cut it. */
static char line[256];
static unsigned used;

static void text(const char *s)
{
    while (*s)
        line[used++] = *s++;
}

static void hex(unsigned long value)
{
    int digits = 1;

    while (digits < 2 * (int)sizeof value && value >> (4 * digits))
        digits++;
    text(" 0x");
    while (digits--)
        line[used++] = "0123456789abcdef"[(value >> (4 * digits)) & 15];
}

static void flush(void)
{
    line[used++] = '\n';
    syscall(WRITE, 1, line, (long)used);
    used = 0;
}

static void say(const char *what, const char *kind)
{
    text("init: ");
    text(what);
    text(kind);
}

/* The value of NAME= (with its `=`) in the environment, or 0. */
static const char *option(char **environ, const char *name)
{
    for (; *environ; environ++) {
        const char *have = *environ, *want = name;

        while (*want && *have == *want)
            have++, want++;
        if (!*want)
            return have;
    }
    return 0;
}

static unsigned long number(const char *s)
{
    unsigned long value = 0;

    while (*s >= '0' && *s <= '9')
        value = 10 * value + (unsigned long)(*s++ - '0');
    return value;
}

static void show_file(const char *path)
{
    static char buffer[4096];
    long fd = syscall(OPEN, path, 0L, 0L), got;

    while ((got = syscall(READ, fd, buffer, (long)sizeof buffer)) > 0)
        syscall(WRITE, 1, buffer, got);
}

/* Every page written holds its own address in its first word. */
static void touch(unsigned long address, unsigned long pages, enum touch how)
{
    for (unsigned long page = 0; page < pages; page++) {
        volatile unsigned long *word = (unsigned long *)(address + page * PAGE);

        if (how == FILL || (how == ODD && page % 2))
            *word = (unsigned long)word;
        else if (how == LOOK)
            (void)*word;
    }
}

static void map(const struct area *area, unsigned long pages)
{
    unsigned long size = pages * PAGE;
    long flags = area->share | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    long got = syscall(MMAP, area->address, size, (long)RW, flags, -1L, 0L);

    if ((unsigned long)got != area->address) {
        say("no ", area->kind);
    } else {
        touch(area->address, pages, area->touch);
        if (area->prot != RW)
            syscall(MPROTECT, area->address, size, (long)area->prot);
        say("map ", area->kind);
        hex(area->address);
        hex(size);
    }
    flush();
}

/* spin: pause; jmp spin -- in a page that holds nothing else. Returns where. */
static unsigned long write_spin(const struct area *area)
{
    static const unsigned char code[] = { 0xf3, 0x90, 0xeb, 0xfc };
    unsigned char *to = (unsigned char *)area->address + 0x100;

    syscall(MPROTECT, area->address, (long)PAGE, (long)RW);
    for (unsigned i = 0; i < sizeof code; i++)
        ((volatile unsigned char *)to)[i] = code[i];
    syscall(MPROTECT, area->address, (long)PAGE, (long)area->prot);
    return (unsigned long)to;
}

__attribute__((used, noreturn)) static void start(unsigned long *stack)
{
    char **environ = (char **)(stack + 1 + stack[0] + 1);   /* argc, argv[], 0, environ[] */
    const char *stay = option(environ, "stay="), *big = option(environ, "big=");
    const struct area *spin = 0;

    syscall(SYSLOG, 6L, 0L, 0L);        /* the kernel's messages off the console; panics come */
    syscall(MOUNT, "proc", "/proc", "proc", 0L, 0L);

    for (const struct area *area = areas; area != areas + sizeof areas / sizeof *areas; area++) {
        int is_big = area->address == BIG;

        map(area, is_big && big ? number(big) << 8 : area->pages);
        if (area->address == AT(2))
            spin = area;
    }
    say("stack", "");
    hex((unsigned long)stack);
    flush();

    int in_kernel = stay && stay[0] == 'k';
    unsigned long at = write_spin(spin);

    if (!in_kernel) {
        say("spin", "");
        hex(at);
        flush();
    }
    show_file("/proc/self/maps");
    say("ready", "");
    flush();
    while (in_kernel)
        syscall(PAUSE);
    ((void (*)(void))at)();
    __builtin_unreachable();
}
