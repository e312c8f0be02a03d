/* SPDX-License-Identifier: Apache-2.0 */
/* sip_scan.h - where the bytes stand that a SIP parser looks for, 64 bytes at a time.
 *
 * Three ways to one answer: AVX2 or SSE4.2 where the processor has it, and plain C anywhere; tests
 * hold them to each other.
 *
 * Owner: nobody; pure functions.  Nothing behind `len` bytes is read. */
#pragma once
#include "core/base.h"

enum { SIP_SCAN_BLOCK = 64 };

/* Bit i speaks of byte i; bits from `len` on are 0. */
struct sip_scan_lines {
    uint64_t controls; /* below 0x20 */
    uint64_t colons;
};

/* The first `len` bytes of `data`, at most SIP_SCAN_BLOCK. */
struct sip_scan_lines sip_scan_lines(const uint8_t *data, size_t len);

/* The same in one of the ways, for tests; false where this processor has no such way. */
enum sip_scan_way { SIP_SCAN_PLAIN, SIP_SCAN_SSE42, SIP_SCAN_AVX2 };
bool sip_scan_lines_by(enum sip_scan_way way, const uint8_t *data, size_t len,
                       struct sip_scan_lines *out);
