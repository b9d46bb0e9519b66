#include "serial.h"

enum { COM1 = 0x3f8, LINE_STATUS = COM1 + 5, TRANSMITTER_EMPTY = 0x20 };    /* 8250 and later */

static void put(char c)
{
    uint8_t status;

    do
        __asm__ volatile("inb %w1, %b0" : "=a"(status) : "Nd"(LINE_STATUS));
    while (!(status & TRANSMITTER_EMPTY));
    __asm__ volatile("outb %b0, %w1" : : "a"(c), "Nd"(COM1));
}

void print(const char *s)
{
    while (*s)
        put(*s++);
}

void print_hex(uint64_t n)
{
    int shift = 60;

    print("0x");
    while (shift && !(n >> shift))
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        put("0123456789abcdef"[n >> shift & 15]);
}

void print_decimal(uint32_t n)
{
    if (n >= 10)
        print_decimal(n / 10);
    put((char)('0' + n % 10));
}
