/* SPDX-License-Identifier: Apache-2.0 */
/* msgbuf.c - see msgbuf.h. */
#include "core/msgbuf.h"

enum { POISON = 0xdb, POISON_BYTES = 512, LINE = 64 };

static const uint32_t payload_caps[2] = {MSGBUF_SMALL_BYTES, MSGBUF_LARGE_BYTES};

void msgbuf_pool_init(struct msgbuf_pool *p, struct arena *arena, uint32_t small_count,
                      uint32_t large_count)
{
    *p = (struct msgbuf_pool){.cap = {small_count, large_count}, .fail_after = UINT32_MAX};
    for (size_t large = 0; large < 2; large++) {
        uint32_t bytes = MSGBUF_HEADROOM + payload_caps[large];
        p->storage[large] = arena_take_raw(arena, p->cap[large], bytes, LINE);
        p->headers[large] = ARENA_RAW(arena, struct msgbuf, p->cap[large]);
        p->header_bytes[large] = p->cap[large] * sizeof(struct msgbuf);
    }
}

/* The next buffer that nobody has had yet: memory is touched when it is needed. */
static struct msgbuf *take_new(struct msgbuf_pool *p, size_t large)
{
    uint32_t bytes = MSGBUF_HEADROOM + payload_caps[large];
    uint32_t i = p->never_used[large];
    if (i == p->cap[large]) {
        return NULL;
    }
    p->never_used[large]++;
    struct msgbuf *b = &p->headers[large][i];
    *b = (struct msgbuf){
        .storage = p->storage[large] + (size_t)i * bytes, .cap = bytes, .is_large = (uint8_t)large};
    return b;
}

/* Only the reserve is left, or nothing: may one be taken all the same? */
static NOINLINE bool may_take_last(struct msgbuf_pool *p, uint32_t left)
{
    if (left == 0 || !p->is_reserve_open) {
        p->refused++;
        return false;
    }
    p->from_reserve++;
    return true;
}

static bool is_to_fail(struct msgbuf_pool *p)
{
    if (p->fail_after == 0) {
        return true;
    }
    p->fail_after--;
    return false;
}

struct msgbuf *msgbuf_acquire(struct msgbuf_pool *p, size_t payload_bytes)
{
    size_t large = 0;
    if (UNLIKELY(payload_bytes > MSGBUF_SMALL_BYTES)) {
        large = 1;
        if (payload_bytes > MSGBUF_LARGE_BYTES) {
            return NULL;
        }
    }
    uint32_t in_use = p->in_use[large];
    uint32_t left = p->cap[large] - in_use;
    if (UNLIKELY(left <= p->reserved[large]) && !may_take_last(p, left)) {
        return NULL;
    }
    if (UNLIKELY(p->fail_after != UINT32_MAX) && is_to_fail(p)) {
        return NULL;
    }
    struct msgbuf *b = p->first_free[large];
    if (LIKELY(b != NULL)) {
        CHECK(b->refs == 0);
        p->first_free[large] = b->next;
    } else {
        b = take_new(p, large);
    }
    in_use++;
    p->in_use[large] = in_use;
    if (UNLIKELY(in_use > p->peak[large])) {
        p->peak[large] = in_use;
    }
    b->next = NULL;
    b->start = MSGBUF_HEADROOM;
    b->len = 0;
    b->refs = 1;
    b->owner = p->owner;
    return b;
}

void msgbuf_pool_reserve(struct msgbuf_pool *p, uint32_t small_count, uint32_t large_count)
{
    p->reserved[0] = (uint32_t)min_size(small_count, p->cap[0] / 2);
    p->reserved[1] = (uint32_t)min_size(large_count, p->cap[1] / 2);
}

struct msgbuf *msgbuf_acquire_reserved(struct msgbuf_pool *p, size_t payload_bytes)
{
    bool before = msgbuf_open_reserve(p, true);
    struct msgbuf *b = msgbuf_acquire(p, payload_bytes);
    p->is_reserve_open = before;
    return b;
}

void msgbuf_charge(struct msgbuf_pool *p, struct msgbuf *b, uint16_t account)
{
    CHECK(b->refs > 0 && account < MSGBUF_ACCOUNTS);
    p->held[b->is_large][b->account] -= b->account != 0 ? 1 : 0;
    p->held[b->is_large][account] += account != 0 ? 1 : 0;
    b->account = account;
}

struct msgbuf *msgbuf_acquire_for(struct msgbuf_pool *p, uint16_t account, size_t payload_bytes)
{
    size_t large = payload_bytes > MSGBUF_SMALL_BYTES;
    if (UNLIKELY(!msgbuf_has_share(p, account, large) && !p->is_reserve_open)) {
        p->over_share++;
        return NULL;
    }
    struct msgbuf *b = msgbuf_acquire(p, payload_bytes);
    if (b != NULL) {
        msgbuf_charge(p, b, account);
    }
    return b;
}

void msgbuf_release_owned(struct msgbuf_pool *p, uint32_t owner)
{
    for (size_t large = 0; large < 2; large++) {
        for (uint32_t i = 0; i < p->never_used[large]; i++) {
            struct msgbuf *b = &p->headers[large][i];
            bool is_meant = owner == (uint32_t)MSGBUF_ANYBODY ? b->owner != 0 : b->owner == owner;
            if (b->refs > 0 && is_meant) {
                b->refs = 1;
                msgbuf_release(p, b);
            }
        }
    }
}

struct msgbuf *msgbuf_ref(struct msgbuf *b)
{
    CHECK(b->refs > 0);
    CHECK(b->refs < UINT16_MAX);
    b->refs++;
    return b;
}

void msgbuf_release(struct msgbuf_pool *p, struct msgbuf *b)
{
    size_t large = b->is_large;
    uint32_t refs = b->refs;
    CHECK(refs > 0);
    /* A buffer of another shard must go home through the mailbox. */
    CHECK((uintptr_t)b - (uintptr_t)p->headers[large] < p->header_bytes[large]);
    b->refs = (uint16_t)(refs - 1);
    if (refs > 1) {
        return;
    }
#ifdef CHORDIAL_DEBUG
    memset(b->storage + MSGBUF_HEADROOM, POISON, POISON_BYTES);
#endif
    CHECK(p->in_use[large] > 0);
    p->in_use[large]--;
    if (UNLIKELY(b->account != 0)) {
        p->held[large][b->account]--;
        b->account = 0;
    }
    b->next = p->first_free[large];
    p->first_free[large] = b;
}

void msgbuf_prefetch(const struct msgbuf_pool *p, const struct msgbuf *b)
{
    enum { LINES = 8 }; /* of payload: a response */
    size_t i = ((uintptr_t)b - (uintptr_t)p->headers[0]) / sizeof(*b);
    __builtin_prefetch(b, 1);
    if (i < p->cap[0]) { /* a small one: where it lies is known without its header */
        const uint8_t *payload =
            p->storage[0] + i * (MSGBUF_HEADROOM + MSGBUF_SMALL_BYTES) + MSGBUF_HEADROOM;
        for (size_t line = 0; line < LINES; line++) {
            __builtin_prefetch(payload + line * LINE, 1);
        }
    }
}

enum err msgbuf_append(struct msgbuf *b, struct slice bytes)
{
    if (bytes.len > msgbuf_tailroom(b)) {
        return ERR_TOO_LARGE;
    }
    if (bytes.len != 0) {
        memcpy(b->storage + b->start + b->len, bytes.data, bytes.len);
        b->len += (uint32_t)bytes.len;
    }
    return ERR_OK;
}
