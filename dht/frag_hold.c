/* SPDX-License-Identifier: Apache-2.0 */
/* frag_hold.c - see frag_hold.h. */
#include "dht/frag_hold.h"

STATIC_CHECK(FRAG_HOLD_BYTES % FRAG_HOLD_BLOCK == 0);
STATIC_CHECK(FRAG_HOLD_BYTES <= UINT16_MAX);

static uint32_t end_of(const struct frag_hold_piece *p)
{
    return p->from + (uint32_t)p->payload.len;
}

static uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t max_u32(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* Bytes from `at` to the end of its block, at most up to `to`. */
static uint32_t run(uint32_t at, uint32_t to)
{
    return min_u32(to - at, FRAG_HOLD_BLOCK - at % FRAG_HOLD_BLOCK);
}

static uint8_t *byte_at(uint8_t *const *blocks, uint32_t at)
{
    return blocks[at / FRAG_HOLD_BLOCK] + at % FRAG_HOLD_BLOCK;
}

static bool is_same(const struct frag_hold *hold, uint32_t from, uint32_t to, const uint8_t *bytes)
{
    while (from < to) {
        uint32_t len = run(from, to);
        if (memcmp(byte_at(hold->payload, from), bytes, len) != 0) {
            return false;
        }
        from += len;
        bytes += len;
    }
    return true;
}

static uint32_t behind_last(const struct frag_hold *hold)
{
    return hold->span_count == 0 ? 0 : hold->spans[hold->span_count - 1].to;
}

static bool is_within(const struct frag_hold *hold, const struct frag_hold_piece *p)
{
    if (hold->end != 0) {
        return p->is_last ? end_of(p) == hold->end : end_of(p) <= hold->end;
    }
    return !p->is_last || end_of(p) >= behind_last(hold);
}

enum frag_hold_verdict frag_hold_judge(const struct frag_hold *hold,
                                       const struct frag_hold_piece *p)
{
    if (!is_within(hold, p)) {
        return FRAG_HOLD_ENDS;
    }
    bool is_new = p->is_last && hold->end == 0;
    uint32_t known = 0;
    for (uint32_t i = 0; i < hold->span_count; i++) {
        uint32_t from = max_u32(hold->spans[i].from, p->from);
        uint32_t to = min_u32(hold->spans[i].to, end_of(p));
        if (from >= to) {
            continue;
        }
        if (!is_same(hold, from, to, p->payload.data + (from - p->from))) {
            return FRAG_HOLD_DIFFERS;
        }
        known += to - from;
    }
    return is_new || known < p->payload.len ? FRAG_HOLD_NEW : FRAG_HOLD_REPEATED;
}

static uint32_t missing(uint8_t *const *blocks, uint32_t from, uint32_t to)
{
    uint32_t count = 0;
    for (uint32_t i = from / FRAG_HOLD_BLOCK; i * FRAG_HOLD_BLOCK < to; i++) {
        count += blocks[i] == NULL ? 1 : 0;
    }
    return count;
}

static bool brings_header(const struct frag_hold *hold, const struct frag_hold_piece *p)
{
    return p->from == 0 && hold->header_bytes == 0;
}

uint32_t frag_hold_need(const struct frag_hold *hold, const struct frag_hold_piece *p)
{
    uint32_t need = missing(hold->payload, p->from, end_of(p));
    if (brings_header(hold, p)) {
        need += missing(hold->header, 0, (uint32_t)p->header.len);
    }
    return need;
}

static bool put(struct frag_hold *hold, struct pool *blocks, uint8_t **list, uint32_t at,
                struct slice bytes)
{
    const uint8_t *from = bytes.data;
    uint32_t to = at + (uint32_t)bytes.len;
    while (at < to) {
        uint32_t len = run(at, to);
        uint8_t **block = &list[at / FRAG_HOLD_BLOCK];
        if (*block == NULL) {
            *block = pool_acquire(blocks);
            if (*block == NULL) {
                return false;
            }
            hold->block_count++;
        }
        memcpy(byte_at(list, at), from, len);
        at += len;
        from += len;
    }
    return true;
}

/* Adds a range: those that it overlaps or touches become one with it. */
static void add_span(struct frag_hold *hold, uint32_t from, uint32_t to)
{
    uint32_t first = 0;
    while (first < hold->span_count && hold->spans[first].to < from) {
        first++;
    }
    uint32_t behind = first;
    while (behind < hold->span_count && hold->spans[behind].from <= to) {
        from = min_u32(from, hold->spans[behind].from);
        to = max_u32(to, hold->spans[behind].to);
        behind++;
    }
    uint32_t count = hold->span_count - (behind - first) + 1;
    CHECK(count <= FRAG_HOLD_SPANS);
    memmove(&hold->spans[first + 1], &hold->spans[behind],
            (hold->span_count - behind) * sizeof(hold->spans[0]));
    hold->spans[first] = (struct frag_hold_span){(uint16_t)from, (uint16_t)to};
    hold->span_count = (uint16_t)count;
}

bool frag_hold_put(struct frag_hold *hold, struct pool *blocks, const struct frag_hold_piece *p)
{
    CHECK(end_of(p) + p->header.len <= FRAG_HOLD_BYTES);
    if (brings_header(hold, p)) {
        if (!put(hold, blocks, hold->header, 0, p->header)) {
            return false;
        }
        hold->header_bytes = (uint32_t)p->header.len;
        hold->via_bytes = p->via_bytes;
    }
    if (!put(hold, blocks, hold->payload, p->from, p->payload)) {
        return false;
    }
    add_span(hold, p->from, end_of(p));
    if (p->is_last) {
        hold->end = end_of(p);
    }
    return true;
}

void frag_hold_clear(struct frag_hold *hold, struct pool *blocks)
{
    for (uint32_t i = 0; i < FRAG_HOLD_BLOCKS; i++) {
        if (hold->header[i] != NULL) {
            pool_release(blocks, hold->header[i]);
        }
        if (hold->payload[i] != NULL) {
            pool_release(blocks, hold->payload[i]);
        }
    }
    memset(hold, 0, sizeof(*hold));
}

bool frag_hold_is_complete(const struct frag_hold *hold)
{
    return hold->end != 0 && hold->span_count == 1 && hold->spans[0].from == 0 &&
           hold->spans[0].to == hold->end;
}

/* How far one can go from `at` in what is held. */
static uint32_t reach(const struct frag_hold *hold, uint32_t at)
{
    for (uint32_t i = 0; i < hold->span_count; i++) {
        if (hold->spans[i].from <= at && at < hold->spans[i].to) {
            return hold->spans[i].to;
        }
    }
    return at;
}

static bool is_overlap_same(const struct frag_hold *a, const struct frag_hold *b, uint32_t from,
                            uint32_t to)
{
    while (from < to) {
        uint32_t len = run(from, to);
        if (memcmp(byte_at(a->payload, from), byte_at(b->payload, from), len) != 0) {
            return false;
        }
        from += len;
    }
    return true;
}

static bool is_in_agreement(const struct frag_hold *a, const struct frag_hold *b)
{
    uint32_t k = 0;
    for (uint32_t i = 0; i < a->span_count; i++) {
        while (k < b->span_count && b->spans[k].to <= a->spans[i].from) {
            k++;
        }
        for (uint32_t m = k; m < b->span_count && b->spans[m].from < a->spans[i].to; m++) {
            uint32_t from = max_u32(a->spans[i].from, b->spans[m].from);
            uint32_t to = min_u32(a->spans[i].to, b->spans[m].to);
            if (!is_overlap_same(a, b, from, to)) {
                return false;
            }
        }
    }
    return true;
}

bool frag_hold_is_joint(const struct frag_hold *a, const struct frag_hold *b)
{
    uint32_t end = max_u32(a->end, b->end);
    if (end == 0 || (a->end != 0 && a->end != end) || (b->end != 0 && b->end != end) ||
        behind_last(a) > end || behind_last(b) > end) {
        return false;
    }
    uint32_t at = 0;
    while (at < end) {
        uint32_t next = max_u32(reach(a, at), reach(b, at));
        if (next == at) {
            return false;
        }
        at = next;
    }
    return is_in_agreement(a, b);
}

static void copy(uint8_t *const *blocks, uint32_t from, uint32_t to, uint8_t *out)
{
    while (from < to) {
        uint32_t len = run(from, to);
        memcpy(out + from, byte_at(blocks, from), len);
        from += len;
    }
}

void frag_hold_copy_header(const struct frag_hold *hold, uint8_t *header)
{
    copy(hold->header, 0, hold->header_bytes, header);
}

void frag_hold_copy_payload(const struct frag_hold *hold, uint8_t *payload)
{
    for (uint32_t i = 0; i < hold->span_count; i++) {
        copy(hold->payload, hold->spans[i].from, hold->spans[i].to, payload);
    }
}
