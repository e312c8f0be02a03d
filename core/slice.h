/* SPDX-License-Identifier: Apache-2.0 */
/* slice.h - bytes that belong to somebody else.
 *
 * A slice is borrowed until the turn ends.  To keep the bytes, take a reference to the message
 * buffer they stand in (core/msgbuf.h) or copy them into an object of your own. */
#pragma once
#include "core/base.h"
#include <string.h>

struct slice {
    const uint8_t *data; /* may be NULL when len is 0 */
    size_t len;
};

#define SLICE_EMPTY ((struct slice){NULL, 0})
#define SLICE_LITERAL(text) ((struct slice){(const uint8_t *)(text), sizeof(text) - 1})

static inline struct slice slice_of(const void *data, size_t len)
{
    return (struct slice){(const uint8_t *)data, len};
}

static inline struct slice slice_text(const char *text)
{
    return slice_of(text, strlen(text));
}

/* Loads of the machine's own byte order: only good for comparing. */
static inline uint64_t slice_eight(const uint8_t *p)
{
    uint64_t x;
    memcpy(&x, p, sizeof(x));
    return x;
}

static inline uint32_t slice_four(const uint8_t *p)
{
    uint32_t x;
    memcpy(&x, p, sizeof(x));
    return x;
}

/* Compares `len` bytes, few of them without a call: most texts here are short. */
static inline bool slice_is_same(const uint8_t *a, const uint8_t *b, size_t len)
{
    enum { FEW = 32 };
    if (len > FEW) {
        return memcmp(a, b, len) == 0;
    }
    if (len >= 8) {
        size_t last = len - 8; /* the last eight, some of them once more */
        for (size_t i = 0; i < last; i += 8) {
            if (slice_eight(a + i) != slice_eight(b + i)) {
                return false;
            }
        }
        return slice_eight(a + last) == slice_eight(b + last);
    }
    if (len >= 4) {
        return slice_four(a) == slice_four(b) && slice_four(a + len - 4) == slice_four(b + len - 4);
    }
    for (size_t i = 0; i < len; i++) {
        if (a[i] != b[i]) {
            return false;
        }
    }
    return true;
}

static inline bool slice_is_equal(struct slice a, struct slice b)
{
    return a.len == b.len && slice_is_same(a.data, b.data, a.len);
}

/* The bytes from `offset` on; empty when `offset` lies behind the end. */
static inline struct slice slice_from(struct slice s, size_t offset)
{
    return offset >= s.len ? SLICE_EMPTY : slice_of(s.data + offset, s.len - offset);
}

/* At most `len` bytes from `offset` on. */
static inline struct slice slice_sub(struct slice s, size_t offset, size_t len)
{
    struct slice rest = slice_from(s, offset);
    return slice_of(rest.data, min_size(rest.len, len));
}

/* [from, to), which must lie in `s`. */
static inline struct slice slice_between(struct slice s, size_t from, size_t to)
{
    return slice_of(s.data + from, to - from);
}

static inline uint8_t slice_lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

/* slice_lower of eight bytes, in whatever order. */
static inline uint64_t slice_lower_eight(uint64_t x)
{
    const uint64_t each = UINT64_C(0x0101010101010101);
    uint64_t low = x & 0x7f * each;
    uint64_t from_a = low + (0x80 - 'A') * each, above_z = low + (0x7f - 'Z') * each;
    uint64_t upper = ~x & from_a & ~above_z & 0x80 * each;
    return x | upper >> 2;
}

/* Writes `s` in lower case to `out`. */
static inline void slice_lower_to(struct slice s, uint8_t *out)
{
    size_t i = 0;
    for (; i + 8 <= s.len; i += 8) {
        uint64_t x = slice_lower_eight(slice_eight(s.data + i));
        memcpy(out + i, &x, sizeof(x));
    }
    for (; i < s.len; i++) {
        out[i] = slice_lower(s.data[i]);
    }
}

/* Compares ASCII text without regard to case. */
static inline bool slice_is_equal_nocase(struct slice a, struct slice b)
{
    if (a.len != b.len) {
        return false;
    }
    if (slice_is_same(a.data, b.data, a.len)) {
        return true; /* mostly, where it is not another word altogether */
    }
    for (size_t i = 0; i < a.len; i++) {
        if (slice_lower(a.data[i]) != slice_lower(b.data[i])) {
            return false;
        }
    }
    return true;
}
