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

static inline bool slice_is_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
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

/* Compares ASCII text without regard to case. */
static inline bool slice_is_equal_nocase(struct slice a, struct slice b)
{
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (slice_lower(a.data[i]) != slice_lower(b.data[i])) {
            return false;
        }
    }
    return true;
}
