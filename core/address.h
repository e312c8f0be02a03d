/* SPDX-License-Identifier: Apache-2.0 */
/* address.h - an IP address and a port, as plain data (no socket headers above core/os). */
#pragma once
#include "core/err.h"
#include "core/slice.h"

enum { ADDRESS_TEXT_CAP = 64 };

struct address {
    uint8_t family; /* 4 or 6; 0 = no address */
    uint8_t zero;   /* keeps the struct free of padding: it is hashed and compared as bytes */
    uint16_t port;  /* host order */
    uint8_t ip[16]; /* network order; IPv4 in the first four bytes, the rest zero */
};
STATIC_CHECK(sizeof(struct address) == 20);

/* Compilers call memcmp for 20 bytes, which costs more than the bytes. */
static inline bool address_is_equal(const struct address *a, const struct address *b)
{
    uint64_t first[2], second[2];
    uint32_t last[2];
    memcpy(&first[0], a, sizeof(uint64_t));
    memcpy(&first[1], b, sizeof(uint64_t));
    memcpy(&second[0], (const uint8_t *)a + 8, sizeof(uint64_t));
    memcpy(&second[1], (const uint8_t *)b + 8, sizeof(uint64_t));
    memcpy(&last[0], (const uint8_t *)a + 16, sizeof(uint32_t));
    memcpy(&last[1], (const uint8_t *)b + 16, sizeof(uint32_t));
    return ((first[0] ^ first[1]) | (second[0] ^ second[1]) | (last[0] ^ last[1])) == 0;
}

static inline bool address_is_same_host(const struct address *a, const struct address *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

/* An IPv6 form of an IPv4 address, ::ffff:a.b.c.d (RFC 4291 2.5.5.2): the kernel takes it for that
 * one, comparing it with others does not. */
bool address_is_mapped(const struct address *a);

/* What an address is good for; design.md section 6, "An Attach makes us dial". */
enum address_range {
    ADDRESS_GLOBAL,
    ADDRESS_PRIVATE, /* RFC 1918, unique local */
    ADDRESS_LINK_LOCAL,
    ADDRESS_LOOPBACK,
    ADDRESS_NEVER /* unspecified, multicast, broadcast, reserved */
};

enum address_range address_range_of(const struct address *a);

/* Parses "192.0.2.1", "192.0.2.1:5060", "2001:db8::1" or "[2001:db8::1]:5060".  The port is
 * `default_port` where the text has none.  Returns ERR_MALFORMED otherwise; names are not looked
 * up. */
enum err address_parse(struct slice text, uint16_t default_port, struct address *out) MUST_USE;

/* Writes "192.0.2.1:5060" or "[2001:db8::1]:5060" and a NUL into `out` (ADDRESS_TEXT_CAP bytes)
 * and returns `out`.  address_host_text leaves the port out and has no brackets. */
const char *address_text(const struct address *a, char *out);
const char *address_host_text(const struct address *a, char *out);
