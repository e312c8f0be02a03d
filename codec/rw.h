/* SPDX-License-Identifier: Apache-2.0 */
/* rw.h - reading and writing wire formats: cursors with a sticky error.
 *
 * A decoder is straight-line code: read field after field, ask once at the end.  After the first
 * fault every read gives zeros and empty slices, every write does nothing, and rd_ok / wr_ok stay
 * false.  A reading cursor then tells what was wrong (`why`) and where (`at`).  Big-endian; length
 * prefixes count bytes (RFC 6940 6.3.1).
 *
 * Owner:   the caller; a cursor is a few words on the stack and borrows its bytes.
 * Limits:  a write that does not fit its buffer, or a region too long for its length prefix, is
 *          refused as a whole: never is a length cut short. */
#pragma once
#include "codec/reject.h"
#include "core/err.h"
#include "core/slice.h"

struct rd {
    const uint8_t *at;  /* the next byte; after a fault the field that is wrong */
    const uint8_t *end; /* after a fault the same as `at` */
    enum reject why;    /* the first fault */
};

struct wr {
    uint8_t *start;
    uint8_t *at;
    uint8_t *end;
    bool failed;
};

static inline struct rd rd_init(struct slice bytes)
{
    /* A NULL slice has length 0; adding 0 to NULL is not for C17, hence the test. */
    const uint8_t *end = bytes.len == 0 ? bytes.data : bytes.data + bytes.len;
    return (struct rd){bytes.data, end, REJECT_NONE};
}

/* Nothing was wrong so far. */
static inline bool rd_ok(const struct rd *r)
{
    return r->why == REJECT_NONE;
}

/* Nothing was wrong and every byte was read: what a strict decoder asks last. */
static inline bool rd_is_done(const struct rd *r)
{
    return r->why == REJECT_NONE && r->at == r->end;
}

static inline size_t rd_left(const struct rd *r)
{
    return (size_t)(r->end - r->at);
}

/* Something is wrong at `at`; the first such call counts. */
static inline void rd_reject_at(struct rd *r, enum reject why, const uint8_t *at)
{
    if (r->why == REJECT_NONE) {
        r->why = why;
        r->at = at;
    }
    r->end = r->at;
}

/* Something is wrong with what was read last. */
static inline void rd_reject(struct rd *r, enum reject why)
{
    rd_reject_at(r, why, r->at);
}

/* The end of a structure that fills its bytes: says TRAILING when it does not. */
static inline enum err rd_finish(struct rd *r)
{
    if (r->at != r->end) {
        rd_reject(r, REJECT_TRAILING);
    }
    return rd_ok(r) ? ERR_OK : ERR_MALFORMED;
}

/* The end of `inner`, which must have filled the bytes that `r` framed for it; a fault inside
 * becomes one of `r`. */
static inline void rd_close(struct rd *r, const struct rd *inner)
{
    if (UNLIKELY(!rd_is_done(inner))) {
        bool is_framing = inner->why == REJECT_NONE || inner->why == REJECT_SHORT;
        rd_reject_at(r, is_framing ? REJECT_INNER_LENGTH : inner->why, inner->at);
    }
}

/* The number in big-endian order at `p`, whose bytes the caller knows to be there. */
static inline uint16_t rd_at16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return __builtin_bswap16(v);
}

static inline uint32_t rd_at32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return __builtin_bswap32(v);
}

static inline uint64_t rd_at64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return __builtin_bswap64(v);
}

/* False, and SHORT, unless `len` more bytes are there. */
static inline bool rd_has(struct rd *r, size_t len)
{
    if (UNLIKELY(rd_left(r) < len)) {
        rd_reject(r, REJECT_SHORT);
        return false;
    }
    return true;
}

/* The next `len` bytes; NULL when there are not so many, and perhaps for no bytes. */
static inline const uint8_t *rd_take(struct rd *r, size_t len)
{
    if (!rd_has(r, len)) {
        return NULL;
    }
    const uint8_t *taken = r->at;
    if (len > 0) {
        r->at += len;
    }
    return taken;
}

static inline uint8_t rd_u8(struct rd *r)
{
    return rd_has(r, 1) ? *r->at++ : 0;
}

static inline uint16_t rd_u16(struct rd *r)
{
    if (!rd_has(r, 2)) {
        return 0;
    }
    r->at += 2;
    return rd_at16(r->at - 2);
}

static inline uint32_t rd_u24(struct rd *r)
{
    if (!rd_has(r, 3)) {
        return 0;
    }
    r->at += 3;
    return (uint32_t)r->at[-3] << 16 | (uint32_t)r->at[-2] << 8 | r->at[-1];
}

static inline uint32_t rd_u32(struct rd *r)
{
    if (!rd_has(r, 4)) {
        return 0;
    }
    r->at += 4;
    return rd_at32(r->at - 4);
}

static inline uint64_t rd_u64(struct rd *r)
{
    if (!rd_has(r, 8)) {
        return 0;
    }
    r->at += 8;
    return rd_at64(r->at - 8);
}

/* RFC 6940 6.3.1: a Boolean is 0 or 1 and nothing else. */
static inline bool rd_bool(struct rd *r)
{
    const uint8_t *start = r->at;
    uint8_t v = rd_u8(r);
    if (UNLIKELY(v > 1)) {
        rd_reject_at(r, REJECT_BOOLEAN, start);
    }
    return v == 1;
}

/* The next `len` bytes, borrowed. */
static inline struct slice rd_bytes(struct rd *r, size_t len)
{
    if (!rd_has(r, len)) {
        return SLICE_EMPTY;
    }
    struct slice bytes = slice_of(r->at, len);
    if (len > 0) { /* r->at may be NULL */
        r->at += len;
    }
    return bytes;
}

/* All that is left, borrowed. */
static inline struct slice rd_rest(struct rd *r)
{
    return rd_bytes(r, rd_left(r));
}

/* opaque x<0..2^N-1>: a length prefix of N bits and the bytes, borrowed. */
static inline struct slice rd_opaque8(struct rd *r)
{
    size_t len = rd_u8(r);
    return rd_bytes(r, len);
}

static inline struct slice rd_opaque16(struct rd *r)
{
    size_t len = rd_u16(r);
    return rd_bytes(r, len);
}

static inline struct slice rd_opaque24(struct rd *r)
{
    size_t len = rd_u24(r);
    return rd_bytes(r, len);
}

static inline struct slice rd_opaque32(struct rd *r)
{
    size_t len = rd_u32(r);
    return rd_bytes(r, len);
}

/* A cursor over the next `len` bytes, for a list or an inner structure, to be given to rd_close.
 * Born with the fault of `r` when there are not so many. */
static inline struct rd rd_sub(struct rd *r, size_t len)
{
    const uint8_t *start = r->at;
    struct slice bytes = rd_bytes(r, len);
    if (UNLIKELY(!rd_ok(r))) {
        return (struct rd){start, start, r->why};
    }
    return rd_init(bytes);
}

static inline struct wr wr_init(void *buffer, size_t cap)
{
    uint8_t *p = buffer;
    return (struct wr){p, p, cap == 0 ? p : p + cap, false};
}

static inline bool wr_ok(const struct wr *w)
{
    return !w->failed;
}

static inline void wr_fail(struct wr *w)
{
    w->failed = true;
    w->end = w->at; /* so that nothing fits any more */
}

/* Bytes written so far. */
static inline size_t wr_len(const struct wr *w)
{
    return (size_t)(w->at - w->start);
}

static inline size_t wr_left(const struct wr *w)
{
    return (size_t)(w->end - w->at);
}

/* What was written, borrowed from the buffer; empty after a fault. */
static inline struct slice wr_slice(const struct wr *w)
{
    return w->failed ? SLICE_EMPTY : slice_of(w->start, wr_len(w));
}

/* Claims `len` bytes to be filled in by the caller; NULL when they do not fit. */
static inline uint8_t *wr_claim(struct wr *w, size_t len)
{
    if (UNLIKELY(w->failed || wr_left(w) < len)) {
        wr_fail(w);
        return NULL;
    }
    uint8_t *claimed = w->at;
    if (len > 0) {
        w->at += len;
    }
    return claimed;
}

/* A number in big-endian order to `p`, which the caller has claimed; gives what is behind it. */
static inline uint8_t *wr_at16(uint8_t *p, uint16_t v)
{
    v = __builtin_bswap16(v);
    memcpy(p, &v, sizeof(v));
    return p + sizeof(v);
}

static inline uint8_t *wr_at32(uint8_t *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, sizeof(v));
    return p + sizeof(v);
}

static inline uint8_t *wr_at64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, sizeof(v));
    return p + sizeof(v);
}

static inline uint8_t *wr_at_bytes(uint8_t *p, struct slice bytes)
{
    if (bytes.len > 0) {
        memcpy(p, bytes.data, bytes.len);
    }
    return p + bytes.len;
}

static inline void wr_u8(struct wr *w, uint8_t v)
{
    uint8_t *p = wr_claim(w, 1);
    if (p != NULL) {
        *p = v;
    }
}

static inline void wr_u16(struct wr *w, uint16_t v)
{
    uint8_t *p = wr_claim(w, sizeof(v));
    if (p != NULL) {
        v = __builtin_bswap16(v);
        memcpy(p, &v, sizeof(v));
    }
}

/* Refuses a value of more than 24 bits. */
static inline void wr_u24(struct wr *w, uint32_t v)
{
    uint8_t *p = v > 0xffffffu ? NULL : wr_claim(w, 3);
    if (p == NULL) {
        wr_fail(w);
        return;
    }
    p[0] = (uint8_t)(v >> 16);
    p[1] = (uint8_t)(v >> 8);
    p[2] = (uint8_t)v;
}

static inline void wr_u32(struct wr *w, uint32_t v)
{
    uint8_t *p = wr_claim(w, sizeof(v));
    if (p != NULL) {
        v = __builtin_bswap32(v);
        memcpy(p, &v, sizeof(v));
    }
}

static inline void wr_u64(struct wr *w, uint64_t v)
{
    uint8_t *p = wr_claim(w, sizeof(v));
    if (p != NULL) {
        v = __builtin_bswap64(v);
        memcpy(p, &v, sizeof(v));
    }
}

static inline void wr_bool(struct wr *w, bool v)
{
    wr_u8(w, v ? 1 : 0);
}

static inline void wr_bytes(struct wr *w, struct slice bytes)
{
    uint8_t *p = wr_claim(w, bytes.len);
    if (p != NULL && bytes.len > 0) {
        memcpy(p, bytes.data, bytes.len);
    }
}

/* opaque x<0..2^N-1>; a slice longer than the prefix can say is refused. */
static inline void wr_opaque8(struct wr *w, struct slice bytes)
{
    if (bytes.len > UINT8_MAX) {
        wr_fail(w);
    }
    wr_u8(w, (uint8_t)bytes.len);
    wr_bytes(w, bytes);
}

static inline void wr_opaque16(struct wr *w, struct slice bytes)
{
    if (bytes.len > UINT16_MAX) {
        wr_fail(w);
    }
    wr_u16(w, (uint16_t)bytes.len);
    wr_bytes(w, bytes);
}

static inline void wr_opaque24(struct wr *w, struct slice bytes)
{
    wr_u24(w, bytes.len > 0xffffffu ? UINT32_MAX : (uint32_t)bytes.len);
    wr_bytes(w, bytes);
}

static inline void wr_opaque32(struct wr *w, struct slice bytes)
{
    if (bytes.len > UINT32_MAX) {
        wr_fail(w);
    }
    wr_u32(w, (uint32_t)bytes.len);
    wr_bytes(w, bytes);
}

/* Regions whose length is known only at their end:
 *     size_t mark = wr_begin(&w, 2);  ... write ...  wr_end(&w, 2, mark);
 * `width` is the length prefix in bytes, 1 to 4; the same in both calls. */
static inline size_t wr_begin(struct wr *w, unsigned width)
{
    size_t mark = wr_len(w);
    (void)wr_claim(w, width);
    return mark;
}

static inline void wr_end(struct wr *w, unsigned width, size_t mark)
{
    if (w->failed) {
        return;
    }
    uint64_t len = wr_len(w) - mark - width;
    if (len >> (8 * width) != 0) {
        wr_fail(w);
        return;
    }
    if (width == 4) { /* known where this is compiled into its caller */
        (void)wr_at32(w->start + mark, (uint32_t)len);
        return;
    }
    if (width == 2) {
        (void)wr_at16(w->start + mark, (uint16_t)len);
        return;
    }
    for (unsigned i = 0; i < width; i++) {
        w->start[mark + i] = (uint8_t)(len >> (8 * (width - 1 - i)));
    }
}
