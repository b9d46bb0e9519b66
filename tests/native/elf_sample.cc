// What the images that the tests read are made of: freestanding, and never run.
extern "C" {

extern const int __vdso_data;
const int __vdso_data = 1;  // no function

int __vdso_clock_gettime() { return 2; }
int __vdso_time() { return 3; }
int __vdso_getcpu() { return 4; }
int __kernel_vsyscall() { return 5; }
int __kernel_sigreturn() { return 6; }
int without_version() { return 7; }

[[gnu::weak, gnu::alias("__vdso_clock_gettime")]] int clock_gettime();
[[gnu::weak, gnu::alias("__vdso_time")]] int time();

[[gnu::visibility("hidden")]] int hidden() { return 8; }
}
