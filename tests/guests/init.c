/*
 * The only process of a test guest: maps memory of known kinds, says where, and stays.
 *
 * Freestanding, no libc, no headers: one source for 32 bits, 64 bits and x32, as initramfs.py
 * builds it.
 * The console then has, in this order:
 *
 *     init: map KIND ADDRESS SIZE      one line per row of areas[] that could be mapped
 *     init: no KIND                    the row lies beyond this process's address space
 *     init: stack ADDRESS
 *     init: vdso ADDRESS               or: init: no vdso
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
 *
 *     ask=1         before all else: init: which words? One line from the second serial port is
 *                   the environment instead: a machine saved there begins with other words each
 *                   time.
 *
 * These add lines, in this order. Two come before the areas; forking later would write-protect
 * those:
 *
 *     child=1       a second process, "sleeper", with an area of its own; it sleeps:
 *                       init: child map KIND ADDRESS SIZE, init: child PID N
 *     smp=1         a second process that spins on CPU 1, and this one stays on CPU 0:
 *                       init: child map KIND ADDRESS SIZE (two), init: child spin ADDRESS,
 *                       init: child PID N
 *     exec=1        the second process is no fork, but has executed /init: its stack and its vDSO
 *                   are elsewhere; before its other lines init: child vdso ADDRESS
 *     files=1       a heap and a private mapping of /init: init: map heap..., init: map file...
 *     modules=1     what lies in /modules is inserted: init: module NAME, or init: no module NAME
 *                   ERRNO
 *     swap=1        an area on swap, as far as the kernel takes it: init: map swapped...,
 *                       init: swapped PAGES, or init: no swap ERRNO
 *
 * These decide which pages of its vDSO each process touches before it stays. Without them, none:
 *
 *     vdso_touch=first, vdso_touch=last   only that page
 *     vdso_touch=all   every page, and: init: vdso sum HASH SIZE, or init: child vdso sum...
 *                      HASH is the 64-bit FNV-1a of the bytes of whole pages; SIZE is theirs
 *     vvar_touch=1     the first page of [vvar], the vDSO's data
 *     vdso_copy=1      every page, and a copy of them in executable memory of the first process:
 *                      init: map copy ADDRESS SIZE
 *
 * and these come after /proc/self/maps; nothing changes the tables afterwards:
 *
 *     clocks=1      init: clocksource NAME, which the kernel has time from, if sysfs tells
 *     symbols=1     init: symbol NAME ADDRESS, for those of symbols[] the kernel has
 *     kcore=1       init: kcore VA PA SIZE, for each part of /proc/kcore, where it is: the
 *                   kernel's own idea of its layout; PA is -1 where it is not contiguous
 *     pagemap=1     init: pagemap VA ENTRY, for every page whose entry is not 0
 *     ps=1          for each process: init: present PAGES, those that its pagemap calls present and
 *                   its maps do not call PROT_NONE; and /proc/PID/stat
 *     modules=1     init: section MODULE NAME ADDRESS, for each of sections[] that one has; and
 *                   /proc/modules and /proc/vmallocinfo, as dump=1 has its files
 *     dump=1        init: begin PATH, the kernel's own dump of its tables, init: end PATH;
 *                   the last one of a PATH counts
 *
 *     kgdb=1        after init: ready, the kernel's debugger is entered (with kgdboc=ttyS1)
 *     vdso_sum=later   init: vdso flag ADDRESS, before init: ready. Until a debugger writes
 *                   something into that word of 32 bits, the process waits, in user mode or, with
 *                   stay=kernel, in the kernel. Then it reads its vDSO and says what
 *                   vdso_touch=all says, init: went on, and stays.
 *     remap=1       with that: before, "ro" is unmapped, "rw" is made read-only and "late" is
 *                   mapped, and: init: map late ADDRESS SIZE
 *     crash=1       after init: ready, the kernel and the initramfs in /crash are loaded for a
 *                   crash: init: crash loaded, or init: no crash ERRNO. A line from the second
 *                   serial port crashes the kernel. The one that was loaded has an init, too, with
 *                   the word capture=1. That only copies /proc/vmcore to the first port of
 *                   virtio-serial: init: vmcore SIZE, or init: no vmcore ERRNO
 */

enum { PROT_NONE = 0, PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4 };
enum { MAP_SHARED = 1, MAP_PRIVATE = 2, MAP_ANONYMOUS = 0x20, MAP_FIXED_NOREPLACE = 0x100000 };
enum { PAGE = 4096 };

#define RW (PROT_READ | PROT_WRITE)

#ifdef __x86_64__
# ifdef __ILP32__
enum { ABI = 0x40000000, EXECVE = ABI | 520 };
# else
enum { ABI = 0, EXECVE = 59 };
# endif
enum { READ = ABI | 0, WRITE = ABI | 1, OPEN = ABI | 2, CLOSE = ABI | 3, POLL = ABI | 7,
       LSEEK = ABI | 8, MMAP = ABI | 9, MPROTECT = ABI | 10, MUNMAP = ABI | 11, BRK = ABI | 12,
       PIPE = ABI | 22, MADVISE = ABI | 28, PAUSE = ABI | 34, FORK = ABI | 57, SYSLOG = ABI | 103,
       MKNOD = ABI | 133, PRCTL = ABI | 157, MOUNT = ABI | 165, SWAPON = ABI | 167,
       SCHED_SETAFFINITY = ABI | 203, FINIT_MODULE = ABI | 313, KEXEC_FILE_LOAD = ABI | 320 };
#else
enum { FORK = 2, READ = 3, WRITE = 4, OPEN = 5, CLOSE = 6, EXECVE = 11, MKNOD = 14, LSEEK = 19,
       MOUNT = 21, PAUSE = 29, PIPE = 42, BRK = 45, SWAPON = 87, MUNMAP = 91, SYSLOG = 103,
       MPROTECT = 125, POLL = 168, PRCTL = 172, MMAP = 192, MADVISE = 219, SCHED_SETAFFINITY = 241,
       FINIT_MODULE = 350, KEXEC_FILE_LOAD = -1 /* 64-bit only */ };
#endif

#ifdef __LP64__
/* Areas 1 GiB apart: each has a page directory of its own, two PML4 entries in all. */
#define AT(n)   (0x100000000000UL + ((unsigned long)(n) << 30))
#define BIG     0x200000000000UL
#define BEYOND  0x10000000000000UL      /* bit 52: only 5-level paging reaches it */
#else
/* Areas 4 MiB apart: each has a page table of its own. */
#define AT(n)   (0x10000000UL + ((unsigned long)(n) << 22))
#define BIG     0x20000000UL
#define BEYOND  0xe0000000UL            /* the fourth GiB: only a 64-bit kernel gives it */
#endif

enum { AT_SYSINFO_EHDR = 33 };
enum { KEXEC_FILE_ON_CRASH = 2 };
enum { O_WRONLY = 1, O_RDWR = 2, S_IFCHR = 0020000, S_IFBLK = 0060000, TTYS1 = 4 << 8 | 65,
       RAM0 = 1 << 8, PR_SET_NAME = 15, MADV_PAGEOUT = 21 };

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

static const struct area
    child_area = { "child",      AT(10), 4,  FILL, RW,                    MAP_PRIVATE },
    child_spin = { "child-exec", AT(11), 1,  FILL, PROT_READ | PROT_EXEC, MAP_PRIVATE },
    swapped    = { "swapped",    AT(12), 16, FILL, RW,                    MAP_PRIVATE },
    vdso_copy  = { "copy",       AT(13), 2,  FILL, RW,                    MAP_PRIVATE },
    late       = { "late",       AT(14), 3,  FILL, RW | PROT_EXEC,        MAP_PRIVATE };

static const char *const symbols[] = {
    "page_offset_base", "vmalloc_base", "vmemmap_base", "_text", "_stext", "_etext",
    "__start_rodata", "__end_rodata", "_sdata", "_edata", "__bss_start", "__bss_stop", "_end",
    "__brk_base", "__brk_limit", "high_memory", "swapper_pg_dir", "init_top_pgt", "init_mm",
    "idt_table", "linux_banner", "cpu_entry_area", "entry_SYSCALL_64", "vsyscall_mode",
    "pkmap_page_table", "init_task", 0
};

static const char *const dumps[] = {
    "/sys/kernel/debug/page_tables/kernel", "/sys/kernel/debug/page_tables/current_kernel",
    "/sys/kernel/debug/page_tables/current_user", 0
};

/* Of initramfs.py. */
static const char *const modules[] = { "binfmt_misc", "brd", "dummy", "loop", "nbd", 0 };
static const char *const sections[] = {
    ".text", ".rodata", ".data", ".bss", ".init.text", ".init.data", ".exit.text",
    ".data..ro_after_init", 0
};

/* Twelve lines of assembler: the entry, and a system call of up to six arguments. What the kernel
   put on the stack has a page of its own: after a fork that stays write-protected. */
long syscall(long number, ...);

#ifdef __x86_64__
__asm__(".globl _start\n_start: mov %rsp, %rdi; sub $4096, %rsp; and $-16, %rsp; call start\n"
        "syscall: mov %rdi, %rax; mov %rsi, %rdi; mov %rdx, %rsi; mov %rcx, %rdx\n"
        "mov %r8, %r10; mov %r9, %r8; mov 8(%rsp), %r9; syscall; ret\n");
#else
__asm__(".globl _start\n_start: mov %esp, %eax; sub $4096, %esp; and $-16, %esp; sub $12, %esp\n"
        "push %eax; call start\n"
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

static void hex(unsigned long long value)
{
    int digits = 1;

    while (digits < 2 * (int)sizeof value && value >> (4 * digits))
        digits++;
    text(" 0x");
    while (digits--)
        line[used++] = "0123456789abcdef"[(value >> (4 * digits)) & 15];
}

static void decimal(unsigned long value)
{
    unsigned long unit = 1;

    while (value / unit >= 10)
        unit *= 10;
    text(" ");
    for (; unit; unit /= 10)
        line[used++] = (char)('0' + value / unit % 10);
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

static char buffer[16384];

static long open(const char *path)
{
    return syscall(OPEN, path, 0L, 0L);
}

/* The words of a line from the second serial port, as an environment. */
static char **asked(void)
{
    static char words[1024], *environ[32];
    unsigned count = 0;
    long fd, length;

    syscall(MKNOD, "/dev/ttyS1", (long)(S_IFCHR | 0600), (long)TTYS1);
    fd = open("/dev/ttyS1");            /* from now on nothing that comes there is lost */
    say("which words?", "");
    flush();
    length = syscall(READ, fd, words, (long)sizeof words);
    syscall(CLOSE, fd);
    for (long i = 0; i < length; i++) {
        if (words[i] == ' ' || words[i] == '\n')
            words[i] = 0;
        else if ((i == 0 || words[i - 1] == 0) && count < sizeof environ / sizeof *environ - 1)
            environ[count++] = words + i;
    }
    return environ;
}

/* Returns the FNV-1a hash of what the file holds; prints it or not. */
static unsigned read_file(long fd, int print)
{
    unsigned hash = 2166136261U;
    long got;

    while ((got = syscall(READ, fd, buffer, (long)sizeof buffer)) > 0) {
        for (long i = 0; i < got; i++)
            hash = (hash ^ (unsigned char)buffer[i]) * 16777619U;
        if (print)
            syscall(WRITE, 1, buffer, got);
    }
    syscall(CLOSE, fd);
    return hash;
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

static void map(const char *who, const struct area *area, unsigned long pages)
{
    unsigned long size = pages * PAGE;
    long flags = area->share | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    long got = syscall(MMAP, area->address, size, (long)RW, flags, -1L, 0L);

    if ((unsigned long)got != area->address) {
        say(who, "no ");
        text(area->kind);
    } else {
        touch(area->address, pages, area->touch);
        if (area->prot != RW)
            syscall(MPROTECT, area->address, size, (long)area->prot);
        say(who, "map ");
        text(area->kind);
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

static void spin_at(const char *who, unsigned long at)
{
    say(who, "spin");
    hex(at);
    flush();
}

static void stay_on(int cpu)
{
    unsigned long mask = 1UL << cpu;

    syscall(SCHED_SETAFFINITY, 0L, (long)sizeof mask, &mask);
}

/* The second process's part. By `ready` it tells the first one that it has mapped its memory. */
__attribute__((noreturn)) static void be_child(const char *name, long ready)
{
    int spins = name[1] == 'p';
    unsigned long at = 0;

    syscall(PRCTL, (long)PR_SET_NAME, name);
    map("child ", &child_area, child_area.pages);
    if (spins) {
        map("child ", &child_spin, child_spin.pages);
        at = write_spin(&child_spin);
        spin_at("child ", at);
        stay_on(1);
    }
    syscall(WRITE, ready, "", 1L);
    while (!spins)
        syscall(PAUSE);
    ((void (*)(void))at)();
    __builtin_unreachable();
}

/* "sleeper" or "spinner"; when it has executed /init, start() knows it by that name. */
static void start_child(const char *name, char **environ)
{
    int ends[2];
    char byte = 0;
    long pid;

    syscall(PIPE, ends);
    pid = syscall(FORK);
    if (pid == 0) {
        char ready[] = { (char)('0' + ends[1]), 0 };
        const char *const words[] = { name, ready, 0 };

        if (option(environ, "exec="))
            syscall(EXECVE, "/init", words, environ);
        be_child(name, ends[1]);
    }
    syscall(READ, (long)ends[0], &byte, 1L);
    say("child PID", "");
    decimal((unsigned long)pid);
    flush();
}

static void map_files(void)
{
    unsigned long heap = ((unsigned long)syscall(BRK, 0L) + PAGE - 1) & -(unsigned long)PAGE;
    unsigned long size = 3 * PAGE, file;

    syscall(BRK, heap + size);
    touch(heap, 3, FILL);
    say("map heap", "");
    hex(heap);
    hex(size);
    flush();
    size = 2 * PAGE;
    file = (unsigned long)syscall(MMAP, 0L, size, (long)PROT_READ, (long)MAP_PRIVATE,
                                  open("/init"), 0L);
    touch(file, 2, LOOK);
    say("map file", "");
    hex(file);
    hex(size);
    flush();
}

/* What pagemap says of these pages, at most 32. */
static const unsigned long long *page_map(unsigned long address, unsigned long pages)
{
    static unsigned long long entries[32];
    static long fd = -1;

    if (fd < 0)
        fd = open("/proc/self/pagemap");
    for (unsigned long i = 0; i < pages; i++)
        entries[i] = 0;
    syscall(LSEEK, fd, (long)(address / PAGE * sizeof *entries), 0L);
    syscall(READ, fd, entries, (long)(pages * sizeof *entries));
    return entries;
}

/* /dev/ram0 becomes a swap area, in mkswap's format, and the pages of "swapped" go there. */
static void map_swapped(void)
{
    enum { PAGES = 256 };
    unsigned int *head = (unsigned int *)(buffer + 1024);
    const char *magic = "SWAPSPACE2";
    unsigned long out = 0;
    long fd, wrong;

    for (unsigned i = 0; i < PAGE; i++)
        buffer[i] = 0;
    head[0] = 1;                        /* version */
    head[1] = PAGES - 1;                /* last page */
    for (unsigned i = 0; magic[i]; i++)
        buffer[PAGE - 10 + i] = magic[i];
    syscall(MKNOD, "/dev/ram0", (long)(S_IFBLK | 0600), (long)RAM0);
    fd = syscall(OPEN, "/dev/ram0", (long)O_RDWR, 0L);
    wrong = fd < 0 ? fd : syscall(WRITE, fd, buffer, (long)PAGE);
    if (wrong >= 0) {
        syscall(CLOSE, fd);
        wrong = syscall(SWAPON, "/dev/ram0", 0L);
    }
    if (wrong >= 0) {
        map("", &swapped, swapped.pages);
        wrong = syscall(MADVISE, swapped.address, swapped.pages * PAGE, (long)MADV_PAGEOUT);
    }
    if (wrong < 0) {
        say("no swap", "");
        decimal((unsigned long)-wrong);
    } else {
        const unsigned long long *entries = page_map(swapped.address, swapped.pages);

        for (unsigned long i = 0; i < swapped.pages; i++)
            out += entries[i] >> 62 & 1;
        say("swapped", "");
        decimal(out);
    }
    flush();
}

/* A number in hexadecimal; *s is moved behind it. */
static unsigned long long parse_hex(const char **s)
{
    unsigned long long value = 0;

    for (;; ++*s) {
        unsigned digit = (unsigned)(unsigned char)**s;

        digit = digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : digit - '0';
        if (digit > 15)
            return value;
        value = value << 4 | digit;
    }
}

/* The next line of a file, cut at 255 characters, or 0. One file at a time is read this way. */
static const char *next_line(long fd)
{
    static char row[256];
    static long have, at;

    for (unsigned length = 0;;) {
        if (at == have) {
            at = 0;
            have = syscall(READ, fd, buffer, (long)sizeof buffer);
            if (have <= 0) {
                have = 0;
                syscall(CLOSE, fd);
                return 0;
            }
        }
        if (buffer[at] == '\n') {
            at++;
            row[length] = 0;
            return row;
        }
        if (length < sizeof row - 1)
            row[length++] = buffer[at];
        at++;
    }
}

static int same(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

/* Where in /proc/self/maps a line ends in this name. */
struct part {
    unsigned long address, pages;
};

static struct part find_part(const char *name)
{
    long fd = open("/proc/self/maps");
    struct part found = { 0, 0 };
    const char *row;

    while ((row = next_line(fd))) {
        unsigned long at = (unsigned long)parse_hex(&row);
        unsigned long end = (row++, (unsigned long)parse_hex(&row));

        while (*row && !same(row, name))
            row++;
        if (*row)
            found = (struct part){ at, (end - at) / PAGE };
    }
    return found;
}

/* The auxiliary vector is the kernel's own word: no page of the vDSO is touched for it. */
static unsigned long show_vdso(const char *who, char **environ)
{
    unsigned long *vector;

    while (*environ)
        environ++;
    for (vector = (unsigned long *)environ + 1; *vector; vector += 2) {
        if (*vector == AT_SYSINFO_EHDR) {
            say(who, "vdso");
            hex(vector[1]);
            flush();
            return vector[1];
        }
    }
    say(who, "no vdso");
    flush();
    return 0;
}

static void sum_vdso(const char *who)
{
    struct part vdso = find_part("[vdso]");
    const unsigned char *bytes = (const unsigned char *)vdso.address;
    unsigned long long hash = 14695981039346656037ULL;

    for (unsigned long i = 0; i < vdso.pages * PAGE; i++)
        hash = (hash ^ bytes[i]) * 1099511628211ULL;
    say(who, "vdso sum");
    hex(hash);
    hex(vdso.pages * PAGE);
    flush();
}

static void touch_vdso(const char *who, char **environ)
{
    const char *which = option(environ, "vdso_touch=");
    struct part vdso = find_part("[vdso]"), vvar = find_part("[vvar]");

    if (which && which[0] == 'a')
        sum_vdso(who);
    else if (which && which[0] == 'f')
        touch(vdso.address, 1, LOOK);
    else if (which && which[0] == 'l')
        touch(vdso.address + (vdso.pages - 1) * PAGE, 1, LOOK);
    if (option(environ, "vvar_touch="))
        touch(vvar.address, 1, LOOK);
}

static void copy_vdso(void)
{
    struct part vdso = find_part("[vdso]");
    const volatile unsigned char *from = (unsigned char *)vdso.address;

    map("", &vdso_copy, vdso.pages);
    for (unsigned long i = 0; i < vdso.pages * PAGE; i++)
        ((volatile unsigned char *)vdso_copy.address)[i] = from[i];
    syscall(MPROTECT, vdso_copy.address, vdso.pages * PAGE, (long)(PROT_READ | PROT_EXEC));
}

static volatile int go_on;

/* Until a debugger writes to go_on. */
static void wait(int in_kernel)
{
    while (!go_on) {
        if (in_kernel)
            syscall(POLL, 0L, 0L, 20L);
        else
            __asm__ volatile("pause");
    }
}

/* One area gone, one changed, one new: what a debugger that looked before sees afterwards. */
static void remap(void)
{
    for (const struct area *area = areas; area < areas + sizeof areas / sizeof *areas; area++)
        if (area->kind[0] == 'r' && area->kind[1] == 'o')
            syscall(MUNMAP, area->address, (long)(area->pages * PAGE));
        else if (area->kind[0] == 'r' && area->kind[1] == 'w' && !area->kind[2])
            syscall(MPROTECT, area->address, (long)(area->pages * PAGE), (long)PROT_READ);
    map("", &late, late.pages);
}

static void show_clocksource(void)
{
    const char *name;
    long fd;

    syscall(MOUNT, "sys", "/sys", "sysfs", 0L, 0L);
    fd = open("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    name = fd < 0 ? 0 : next_line(fd);
    if (name) {
        say("clocksource ", name);
        flush();
        syscall(CLOSE, fd);
    }
}

static unsigned read_path(const char *path, int print)
{
    long fd = open(path);
    unsigned hash;

    if (fd < 0)
        return 0;
    if (print) {
        say("begin ", path);
        flush();
    }
    hash = read_file(fd, print);
    if (print) {
        say("end ", path);
        flush();
    }
    return hash;
}

/* A, B and so on one behind the other, until the first 0. */
static const char *joined(const char *const *parts)
{
    static char path[128];
    unsigned length = 0;

    for (; *parts; parts++)
        for (const char *part = *parts; *part && length < sizeof path - 1; part++)
            path[length++] = *part;
    path[length] = 0;
    return path;
}

static void insert_modules(void)
{
    for (const char *const *name = modules; *name; name++) {
        const char *const path[] = { "/modules/", *name, ".ko", 0 };
        long fd = open(joined(path)), failed = fd < 0 ? fd : syscall(FINIT_MODULE, fd, "", 0L);

        if (fd >= 0)
            syscall(CLOSE, fd);
        say(failed ? "no module " : "module ", *name);
        if (failed)
            decimal((unsigned long)-failed);
        flush();
    }
}

static void show_modules(void)
{
    long fd = syscall(OPEN, "/proc/sys/kernel/kptr_restrict", (long)O_WRONLY, 0L);

    syscall(WRITE, fd, "1", 1L);            /* addresses are shown to root, and not hashed */
    syscall(CLOSE, fd);
    syscall(MOUNT, "sys", "/sys", "sysfs", 0L, 0L);
    for (const char *const *name = modules; *name; name++) {
        for (const char *const *section = sections; *section; section++) {
            const char *const path[] = { "/sys/module/", *name, "/sections/", *section, 0 };
            const char *row;

            fd = open(joined(path));
            if (fd < 0)
                continue;
            row = next_line(fd);
            if (row) {
                row += 2;                   /* 0x */
                say("section ", *name);
                text(" ");
                text(*section);
                hex(parse_hex(&row));
                flush();
                while (next_line(fd))
                    ;
            }
        }
    }
    read_path("/proc/modules", 1);
    read_path("/proc/vmallocinfo", 1);
}

/* Lines "ADDRESS TYPE NAME", in modules with more behind it. */
static void show_symbols(void)
{
    long fd = open("/proc/kallsyms");
    const char *row;

    while ((row = next_line(fd))) {
        unsigned long long address = parse_hex(&row);

        for (const char *const *name = symbols; *name; name++) {
            if (same(row + 3, *name)) {
                say("symbol ", *name);
                hex(address);
                flush();
            }
        }
    }
}

/* Its program headers: ELF64, or ELF32 of a 32-bit kernel (elf(5)). */
static void show_kcore(void)
{
    long got = syscall(READ, open("/proc/kcore"), buffer, (long)sizeof buffer);
    int wide = buffer[4] == 2;
    unsigned at = wide ? 64 : 52, size = wide ? 56 : 32;
    unsigned count = got > 0 ? *(unsigned short *)(buffer + (wide ? 56 : 44)) : 0;

    for (; count--; at += size) {
        unsigned *field = (unsigned *)(buffer + at);
        unsigned long long *far = (unsigned long long *)(buffer + at);

        if (*field != 1)                    /* PT_LOAD */
            continue;
        say("kcore", "");
        hex(wide ? far[2] : field[2]);      /* p_vaddr, p_paddr, p_memsz */
        hex(wide ? far[3] : field[3]);
        hex(wide ? far[5] : field[5]);
        flush();
    }
}

/* Every range of /proc/self/maps but vsyscall, which lies in the kernel's part. */
static void show_pagemap(void)
{
    long fd = open("/proc/self/maps");
    const char *row;

    while ((row = next_line(fd))) {
        unsigned long long at = parse_hex(&row), end = (row++, parse_hex(&row));

        if (at >> 63)
            continue;
        for (; at < end; at += PAGE) {
            unsigned long long entry = *page_map(at, 1);

            if (entry) {
                say("pagemap", "");
                hex(at);
                hex(entry);
                flush();
            }
        }
    }
}

static long open_of(unsigned pid, const char *name)
{
    static char path[32];
    unsigned unit = 1, at = 6;

    for (const char *s = "/proc/", *to = s; *s; s++)
        path[s - to] = *s;
    while (pid / unit >= 10)
        unit *= 10;
    for (; unit; unit /= 10)
        path[at++] = (char)('0' + pid / unit % 10);
    do
        path[at++] = *name;
    while (*name++);
    return open(path);
}

static void show_processes(void)
{
    for (unsigned pid = 1; pid < 1000; pid++) {
        long maps = open_of(pid, "/maps"), pagemap = open_of(pid, "/pagemap");
        unsigned long present = 0;
        const char *row;

        if (maps < 0)
            continue;
        while ((row = next_line(maps))) {
            unsigned long long at = parse_hex(&row), end = (row++, parse_hex(&row)), entry = 0;

            if (at >> 63 || (row[1] == '-' && row[2] == '-' && row[3] == '-'))
                continue;
            syscall(LSEEK, pagemap, (long)(at / PAGE * sizeof entry), 0L);
            for (; at < end; at += PAGE) {
                syscall(READ, pagemap, &entry, (long)sizeof entry);
                present += entry >> 63;
            }
        }
        syscall(CLOSE, pagemap);
        say("present", "");
        decimal(present);
        flush();
        read_file(open_of(pid, "/stat"), 1);
    }
}

static unsigned read_dumps(int print)
{
    unsigned hash = 0;

    for (const char *const *path = dumps; *path; path++)
        hash = 31 * hash + read_path(*path, print);
    return hash;
}

/* While they are printed the kernel may map a new thread's stack: until they still hold then. */
static void show_dumps(void)
{
    unsigned printed;

    syscall(MOUNT, "sys", "/sys", "sysfs", 0L, 0L);
    syscall(MOUNT, "debug", "/sys/kernel/debug", "debugfs", 0L, 0L);
    for (int tries = 0; tries < 10; tries++) {
        printed = read_dumps(1);
        if (read_dumps(0) == printed)
            break;
    }
}

static void sysrq(const char *key)
{
    syscall(WRITE, syscall(OPEN, "/proc/sysrq-trigger", (long)O_WRONLY, 0L), key, 1L);
}

static void crash(void)
{
    static const char words[] =
        "console=ttyS0 quiet capture=1 nr_cpus=1 noapic panic=-1 cryptomgr.notests";
    long fd = open("/dev/ttyS1");
    long failed = syscall(KEXEC_FILE_LOAD, open("/crash/kernel"), open("/crash/initramfs"),
                          (long)sizeof words, words, (long)KEXEC_FILE_ON_CRASH);

    say(failed ? "no crash" : "crash loaded", "");
    if (failed)
        decimal((unsigned long)-failed);
    flush();
    syscall(READ, fd, buffer, 1L);
    sysrq("c");
}

/* In the kernel that crash() has loaded. */
static void capture(void)
{
    unsigned long size = 0;
    long from = open("/proc/vmcore"), to = 0, got = from;

    syscall(MOUNT, "dev", "/dev", "devtmpfs", 0L, 0L);
    while (from >= 0 && (to = syscall(OPEN, "/dev/vport0p1", (long)O_WRONLY, 0L)) < 0)
        syscall(POLL, 0L, 0L, 20L);
    while (from >= 0 && (got = syscall(READ, from, buffer, (long)sizeof buffer)) > 0) {
        for (long done = 0, part; done < got; done += part)
            if ((part = syscall(WRITE, to, buffer + done, got - done)) <= 0)
                return;
        size += (unsigned long)got;
    }
    say(got ? "no vmcore" : "vmcore", "");
    decimal(got ? (unsigned long)-got : size);
    flush();
}

__attribute__((used, noreturn)) static void start(unsigned long *stack)
{
    char **argv = (char **)(stack + 1);         /* argc, argv[], 0, environ[], 0, auxv[][2] */
    char **environ = argv + stack[0] + 1;
    const struct area *spin = 0;
    unsigned long vdso;

    if (argv[0][0] == 's') {            /* "/init" is the first process */
        if (show_vdso("child ", environ))
            touch_vdso("child ", environ);
        be_child(argv[0], argv[1][0] - '0');
    }
    syscall(SYSLOG, 6L, 0L, 0L);        /* the kernel's messages off the console; panics come */
    syscall(MOUNT, "proc", "/proc", "proc", 0L, 0L);

    if (option(environ, "capture=")) {
        capture();
        for (;;)
            syscall(PAUSE);
    }

    char **words = option(environ, "ask=") ? asked() : environ;
    const char *stay = option(words, "stay="), *big = option(words, "big=");

    if (option(words, "modules="))
        insert_modules();
    if (option(words, "child="))
        start_child("sleeper", words);
    if (option(words, "smp=")) {
        start_child("spinner", words);
        stay_on(0);
    }
    for (const struct area *area = areas; area != areas + sizeof areas / sizeof *areas; area++) {
        int is_big = area->address == BIG;

        map("", area, is_big && big ? number(big) << 8 : area->pages);
        if (area->address == AT(2))
            spin = area;
    }
    if (option(words, "files="))
        map_files();
    if (option(words, "swap="))
        map_swapped();
    say("stack", "");
    hex((unsigned long)stack);
    flush();
    vdso = show_vdso("", environ);
    if (vdso)
        touch_vdso("", words);
    if (vdso && option(words, "vdso_copy="))
        copy_vdso();

    int in_kernel = stay && stay[0] == 'k', later = option(words, "vdso_sum=") != 0;
    unsigned long at = write_spin(spin);

    if (!in_kernel)
        spin_at("", at);
    read_file(open("/proc/self/maps"), 1);
    if (option(words, "clocks="))
        show_clocksource();
    if (option(words, "symbols="))
        show_symbols();
    if (option(words, "kcore="))
        show_kcore();
    if (option(words, "modules="))
        show_modules();
    /* What the rest needs of the stack and of static memory is there before they tell of it. */
    touch((unsigned long)stack - 2 * PAGE, 2, FILL);
    touch((unsigned long)stack - 6 * PAGE, 1, FILL);    /* below a hole */
    touch((unsigned long)buffer, sizeof buffer / PAGE, FILL);
    page_map(0, 1);
    go_on = 0;                          /* in a page of this process, not Linux's zero page */
    if (option(words, "pagemap="))
        show_pagemap();
    if (option(words, "ps="))
        show_processes();
    if (option(words, "dump="))
        show_dumps();
    if (vdso && later) {
        say("vdso flag", "");
        hex((unsigned long)&go_on);
        flush();
    }
    say("ready", "");
    flush();
    if (option(words, "kgdb="))
        sysrq("g");
    if (option(words, "crash="))
        crash();
    if (vdso && later) {
        wait(in_kernel);
        if (option(words, "remap="))
            remap();
        sum_vdso("");
        say("went on", "");
        flush();
    }
    while (in_kernel)
        syscall(PAUSE);
    ((void (*)(void))at)();
    __builtin_unreachable();
}
