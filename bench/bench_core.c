/* SPDX-License-Identifier: Apache-2.0 */
/* bench_core.c - what the small parts of core/ cost that every message passes: tables, pools,
 * buffers, timers, rings between threads, random numbers, token buckets. */
#include "bench/bench.h"
#include "core/bucket.h"
#include "core/msgbuf.h"
#include "core/pool.h"
#include "core/rng.h"
#include "core/spsc.h"
#include "core/table.h"
#include "core/wheel.h"

#include <stdlib.h>
#include <string.h>

enum { KEY_BYTES = 16, KEYS = 1024, OBJECT_BYTES = 256, OBJECTS = 128, TIMER_STEP_US = 1000 };
#define FAR_US UINT64_C(30000000000000) /* a year: 15,000,000,000 iterations */
enum { ARENA_BYTES = 1 << 20, MESSAGE_BYTES = 500, ITEM_BYTES = 64, TAKEN_AT_START = 64 };

static struct arena new_arena(void)
{
    struct arena arena;
    void *block = aligned_alloc(4096, ARENA_BYTES);
    bench_require(block != NULL, "no memory");
    memset(block, 0, ARENA_BYTES);
    arena_init(&arena, block, ARENA_BYTES);
    return arena;
}

/* ---- table ---- */

struct keys {
    struct table table;
    uint8_t keys[KEYS][KEY_BYTES];
};

static void *table_setup(void)
{
    static struct keys k;
    struct arena arena = new_arena();
    struct rng rng;
    rng_init(&rng, 1);
    memset(&k, 0, sizeof(k));
    table_init(&k.table, &arena, 2 * KEYS, KEY_BYTES, 5);
    for (uint32_t i = 0; i < KEYS; i++) {
        uint8_t other[KEY_BYTES];
        uint32_t value;
        rng_fill(&rng, k.keys[i], KEY_BYTES);
        rng_fill(&rng, other, KEY_BYTES);
        bench_require(table_insert(&k.table, k.keys[i], 3 * i) == ERR_OK, "a key is inserted");
        bench_require(!table_find(&k.table, other, &value), "a strange key is not found");
    }
    return &k;
}

static uint64_t table_want(const void *state, size_t input)
{
    (void)state;
    return 3 * input + 1;
}

static uint64_t find_run(void *state, uint64_t iterations)
{
    const struct keys *k = state;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < iterations; i++) {
        uint32_t value = 0;
        if (table_find(&k->table, k->keys[i % KEYS], &value)) {
            sum += value + UINT64_C(1);
        }
    }
    return sum;
}

/* One entry goes, and comes again with the same value. */
static uint64_t churn_run(void *state, uint64_t iterations)
{
    struct keys *k = state;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < iterations; i++) {
        uint32_t input = (uint32_t)(i % KEYS);
        if (table_remove(&k->table, k->keys[input]) &&
            table_insert(&k->table, k->keys[input], 3 * input) == ERR_OK) {
            sum += k->table.count - KEYS + 3 * input + UINT64_C(1);
        }
    }
    return sum;
}

/* ---- pool ---- */

struct objects {
    struct pool pool;
    void *taken[TAKEN_AT_START]; /* the oldest goes when a new one comes */
};

static void *pool_setup(void)
{
    static struct objects o;
    struct arena arena = new_arena();
    memset(&o, 0, sizeof(o));
    pool_init(&o.pool, &arena, "bench", 1, OBJECTS, OBJECT_BYTES);
    for (size_t i = 0; i < TAKEN_AT_START; i++) {
        o.taken[i] = pool_acquire(&o.pool);
        bench_require(o.taken[i] != NULL, "an object is acquired");
    }
    return &o;
}

static uint64_t pool_want(const void *state, size_t input)
{
    (void)state;
    (void)input;
    return TAKEN_AT_START;
}

/* Acquire, find by handle, release another. */
static uint64_t pool_run(void *state, uint64_t iterations)
{
    struct objects *o = state;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < iterations; i++) {
        void **slot = &o->taken[i % TAKEN_AT_START];
        pool_release(&o->pool, *slot);
        *slot = pool_acquire(&o->pool);
        if (*slot != NULL && pool_get(&o->pool, pool_handle(&o->pool, *slot)) == *slot) {
            sum += o->pool.in_use;
        }
    }
    return sum;
}

/* ---- message buffers ---- */

struct buffers {
    struct msgbuf_pool pool;
    uint8_t bytes[BENCH_SLOTS][MESSAGE_BYTES];
    size_t len; /* not a constant to the compiler */
};

static void *msgbuf_setup(void)
{
    static struct buffers b;
    struct arena arena = new_arena();
    memset(&b, 0, sizeof(b));
    msgbuf_pool_init(&b.pool, &arena, 64, 0);
    b.len = MESSAGE_BYTES;
    for (size_t i = 0; i < BENCH_SLOTS; i++) {
        memset(b.bytes[i], (int)i, MESSAGE_BYTES);
    }
    bench_keep(&b.len);
    return &b;
}

static uint64_t msgbuf_want(const void *state, size_t input)
{
    (void)state;
    return MESSAGE_BYTES + input;
}

static uint64_t msgbuf_run(void *state, uint64_t iterations)
{
    struct buffers *b = state;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < iterations; i++) {
        struct msgbuf *m = msgbuf_acquire(&b->pool, b->len);
        if (m != NULL) {
            if (msgbuf_append(m, slice_of(b->bytes[i % BENCH_SLOTS], b->len)) == ERR_OK) {
                bench_keep(msgbuf_data(m));
                sum += m->len + (uint64_t)msgbuf_data(m)[m->len - 1];
            }
            msgbuf_release(&b->pool, m);
        }
    }
    return sum;
}

/* ---- timers ---- */

struct timers {
    struct wheel wheel;
    struct wheel_timer far[BENCH_SLOTS]; /* always armed, hours ahead */
    struct wheel_timer near;
    uint64_t now_us;
};

static void *wheel_setup(void)
{
    struct timers *w = aligned_alloc(64, (sizeof(*w) + 63) / 64 * 64);
    bench_require(w != NULL, "no memory");
    memset(w, 0, sizeof(*w));
    w->now_us = TIMER_STEP_US;
    wheel_init(&w->wheel, w->now_us);
    for (uint32_t i = 0; i < BENCH_SLOTS; i++) {
        w->far[i].what = i;
        wheel_arm(&w->wheel, &w->far[i], FAR_US);
    }
    return w;
}

static uint64_t wheel_want(const void *state, size_t input)
{
    (void)state;
    return BENCH_SLOTS + 1 + input;
}

/* A timer is put off: what most timers see, as most of what is waited for comes. */
static uint64_t rearm_run(void *state, uint64_t iterations)
{
    struct timers *w = state;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < iterations; i++) {
        struct wheel_timer *t = &w->far[i % BENCH_SLOTS];
        wheel_arm(&w->wheel, t, FAR_US + (i % KEYS + 1) * TIMER_STEP_US);
        sum += w->wheel.armed + UINT64_C(1) + t->what;
    }
    return sum;
}

/* A timer is armed, time goes on, it fires. */
static uint64_t expire_run(void *state, uint64_t iterations)
{
    struct timers *w = state;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < iterations; i++) {
        w->near.what = (uint32_t)(i % BENCH_SLOTS);
        wheel_arm(&w->wheel, &w->near, w->now_us + TIMER_STEP_US);
        w->now_us += 2 * TIMER_STEP_US;
        const struct wheel_timer *t = wheel_take(&w->wheel, w->now_us);
        if (t == &w->near) {
            sum += w->wheel.armed + UINT64_C(1) + t->what;
        }
    }
    return sum;
}

/* ---- rings ---- */

static void *spsc_setup(void)
{
    static struct spsc ring;
    struct arena arena = new_arena();
    spsc_init(&ring, &arena, 256, ITEM_BYTES);
    return &ring;
}

static uint64_t spsc_want(const void *state, size_t input)
{
    (void)state;
    return input;
}

/* By one thread: what the code costs, not what the caches do between two processors. */
static uint64_t spsc_run(void *state, uint64_t iterations)
{
    struct spsc *ring = state;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < iterations; i++) {
        uint64_t item[ITEM_BYTES / sizeof(uint64_t)] = {i % BENCH_SLOTS};
        uint64_t out[ITEM_BYTES / sizeof(uint64_t)] = {0};
        if (spsc_push(ring, item) && spsc_pop(ring, out)) {
            bench_keep(out);
            sum += out[0];
        }
    }
    return sum;
}

/* ---- random numbers ---- */

struct numbers {
    struct rng start[BENCH_SLOTS];
};

static uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static uint64_t rng_want(const void *state, size_t input)
{
    const struct rng *r = &((const struct numbers *)state)->start[input];
    return rotate(r->state[1] * 5, 7) * 9; /* xoshiro256**, as its authors write it */
}

static void *rng_setup(void)
{
    static struct numbers n;
    for (size_t i = 0; i < BENCH_SLOTS; i++) {
        rng_init(&n.start[i], i);
    }
    return &n;
}

static uint64_t rng_run(void *state, uint64_t iterations)
{
    const struct numbers *n = state;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < iterations; i++) {
        struct rng r = n->start[i % BENCH_SLOTS];
        sum += rng_next(&r);
        bench_keep(&r);
    }
    return sum;
}

/* ---- token buckets ---- */

struct tokens {
    struct bucket bucket;
    uint64_t now_us;
};

static void *bucket_setup(void)
{
    static struct tokens t;
    t.now_us = 1000000;
    bucket_init(&t.bucket, 1000 * 1000, 1, t.now_us);
    bench_require(bucket_take(&t.bucket, 1, t.now_us), "it begins full");
    return &t;
}

static uint64_t bucket_want(const void *state, size_t input)
{
    (void)state;
    return input % 2 == 0 ? 1 : 0;
}

/* By turns: a token has come in since, or not. */
static uint64_t bucket_run(void *state, uint64_t iterations)
{
    struct tokens *t = state;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < iterations; i++) {
        t->now_us += i % 2 == 0 ? 1000 : 0;
        sum += bucket_take(&t->bucket, 1, t->now_us);
    }
    return sum;
}

const struct bench bench_core_list[] = {
    {"table/find", KEY_BYTES, KEYS, table_setup, find_run, table_want},
    {"table/churn", KEY_BYTES, KEYS, table_setup, churn_run, table_want},
    {"pool/cycle", OBJECT_BYTES, TAKEN_AT_START, pool_setup, pool_run, pool_want},
    {"msgbuf/cycle", MESSAGE_BYTES, BENCH_SLOTS, msgbuf_setup, msgbuf_run, msgbuf_want},
    {"wheel/rearm", sizeof(struct wheel_timer), BENCH_SLOTS, wheel_setup, rearm_run, wheel_want},
    {"wheel/expire", sizeof(struct wheel_timer), BENCH_SLOTS, wheel_setup, expire_run, wheel_want},
    {"spsc/cycle", ITEM_BYTES, BENCH_SLOTS, spsc_setup, spsc_run, spsc_want},
    {"rng/next", sizeof(uint64_t), BENCH_SLOTS, rng_setup, rng_run, rng_want},
    {"bucket/take", sizeof(struct bucket), 2, bucket_setup, bucket_run, bucket_want},
    {0},
};
