/* Telling the outside: the first serial port. */
#pragma once

#include <stdint.h>

void print(const char *s);
void print_hex(uint64_t n);             /* without leading zeros, with 0x */
void print_decimal(uint32_t n);
