/* SPDX-License-Identifier: Apache-2.0 */
/* msgbuf.h - message buffers with headroom, counted by plain (not atomic) references.
 *
 * Two sizes, so that a SIP datagram does not hold 18 KiB.  A shard owns its pool; a buffer that was
 * mailed to another shard goes home through the mailbox (core/os/mailbox), never straight into
 * this pool.  When it runs short, load from others is shed first: the last buffers are a reserve
 * for the peer's own upkeep (design.md section 7). */
#pragma once
#include "core/arena.h"
#include "core/err.h"
#include "core/slice.h"

enum {
    MSGBUF_HEADROOM = 256,          /* room in front for via entries and framing */
    MSGBUF_SMALL_BYTES = 2048,      /* payload of a small buffer, headroom apart */
    MSGBUF_LARGE_BYTES = 18 * 1024, /* one full TLS record and its overhead */
    MSGBUF_ANYBODY = -1,            /* msgbuf_release_owned: whoever it is, but nobody (0) */
    MSGBUF_ACCOUNTS = 1024,
};

struct msgbuf {
    struct msgbuf *next; /* for whoever holds it in a queue */
    uint8_t *storage;    /* headroom starts here */
    uint32_t cap;        /* of storage, headroom included */
    uint32_t start;      /* payload = storage[start .. start+len) */
    uint32_t len;
    uint16_t refs;
    uint8_t is_large;
    uint8_t zero;
    uint32_t owner;   /* who acquired it: pool->owner then */
    uint16_t account; /* that holds it; 0 = none */
};

struct msgbuf_pool {
    struct msgbuf *headers[2]; /* small, large */
    size_t header_bytes[2];
    struct msgbuf *first_free[2];
    uint8_t *storage[2];
    uint32_t never_used[2]; /* buffers from here on have never been taken */
    uint32_t cap[2];
    uint32_t in_use[2];
    uint32_t peak[2];
    uint32_t fail_after; /* tests: see pool_fail_after */
    uint32_t owner;      /* stamped on what is acquired; the simulator's nodes share a pool */
    uint32_t reserved[2];
    bool is_reserve_open;
    uint64_t refused;      /* acquisitions in vain, whether none were left or only the reserve */
    uint64_t from_reserve; /* acquisitions out of the reserve */
    uint64_t over_share;   /* refused to an account that holds as many as are left for the others */
    uint32_t held[2][MSGBUF_ACCOUNTS];
};

void msgbuf_pool_init(struct msgbuf_pool *p, struct arena *arena, uint32_t small_count,
                      uint32_t large_count);
/* A buffer with room for at least `payload_bytes`, len 0, one reference; NULL when there is none
 * (or none so large). */
struct msgbuf *msgbuf_acquire(struct msgbuf_pool *p, size_t payload_bytes);
/* Keeps the last buffers of each size for upkeep: acknowledgements, the topology's messages,
 * records of a link that would be lost without them.  At most half of a size is kept back. */
void msgbuf_pool_reserve(struct msgbuf_pool *p, uint32_t small_count, uint32_t large_count);
/* While open, msgbuf_acquire may take the reserve.  Returns what it was before, which the caller
 * puts back: who opens it does so around one piece of upkeep, never for longer. */
static inline bool msgbuf_open_reserve(struct msgbuf_pool *p, bool is_open)
{
    bool before = p->is_reserve_open;
    p->is_reserve_open = is_open;
    return before;
}
/* One buffer, out of the reserve if need be. */
struct msgbuf *msgbuf_acquire_reserved(struct msgbuf_pool *p, size_t payload_bytes);

/* An account stands for somebody who decides how long buffers stay in use: a neighbor that takes
 * messages, and all links of its user together.  It may hold as many of each size as are left to
 * everybody else, no more (a dynamic threshold, after Choudhury and Hahne): one that takes nothing
 * ends up with half of the pool, n of them leave an (n + 1)th, and whoever holds little is not
 * refused before all is gone.  Two may share an account, since it is a hash. */
static inline uint16_t msgbuf_account(uint64_t hash)
{
    return (uint16_t)(1 + hash % (MSGBUF_ACCOUNTS - 1));
}
static inline bool msgbuf_has_share(const struct msgbuf_pool *p, uint16_t account, bool is_large)
{
    return (uint64_t)p->held[is_large][account] + p->in_use[is_large] + p->reserved[is_large] <
           p->cap[is_large];
}
/* One buffer that counts to `account` until it is released, wherever that happens.  NULL also when
 * the account has its share, unless the reserve is open. */
struct msgbuf *msgbuf_acquire_for(struct msgbuf_pool *p, uint16_t account, size_t payload_bytes);
/* The buffer counts to `account` from now on, whatever that holds. */
void msgbuf_charge(struct msgbuf_pool *p, struct msgbuf *b, uint16_t account);
struct msgbuf *msgbuf_ref(struct msgbuf *b);
void msgbuf_release(struct msgbuf_pool *p, struct msgbuf *b);

/* Gives back everything that `owner` has acquired and still holds: it was killed.  What it had
 * handed on carries another stamp by then. */
void msgbuf_release_owned(struct msgbuf_pool *p, uint32_t owner);

static inline uint8_t *msgbuf_data(const struct msgbuf *b)
{
    return b->storage + b->start;
}
static inline struct slice msgbuf_slice(const struct msgbuf *b)
{
    return slice_of(b->storage + b->start, b->len);
}
/* Free bytes behind the payload. */
static inline size_t msgbuf_tailroom(const struct msgbuf *b)
{
    return b->cap - b->start - b->len;
}
/* Sends for the lines of a buffer that will be released, and written to by who gets it next. */
void msgbuf_prefetch(const struct msgbuf_pool *p, const struct msgbuf *b);
/* Appends; ERR_TOO_LARGE, and nothing changed, when there is no room. */
enum err msgbuf_append(struct msgbuf *b, struct slice bytes) MUST_USE;
