/* SPDX-License-Identifier: Apache-2.0 */
/* bench_lookup.c - a look-up from the bytes of the request to those of the answer, for the counts
 * of instructions: its time, which is memory's, is measured by lookup.c.
 *
 * Turns of 64 requests among a few thousand records.  Each answer is checked in full when the
 * inputs are made; afterwards the bytes that leave must add up. */
#include "bench/bench.h"
#include "bench/lookup_world.h"

enum { RECORDS = 4096, STRIDE = 61 };

struct lookups {
    struct lookup_world *w;
    uint64_t bytes; /* of an answer and its frame: all are as long */
};

static void *setup(void)
{
    static struct lookups l;
    if (l.w != NULL) {
        return &l;
    }
    uint32_t numbers[BENCH_SLOTS];
    l.w = lookup_world_make(RECORDS);
    (void)lookup_world_store(l.w, 0, RECORDS);
    for (uint32_t i = 0; i < BENCH_SLOTS; i++) {
        numbers[i] = i * STRIDE;
    }
    lookup_world_prepare(l.w, numbers, BENCH_SLOTS);
    lookup_world_run(l.w);
    lookup_world_check(l.w);
    bench_require(!l.w->is_wrong, "look-ups");
    lookup_world_run(l.w);
    l.bytes = lookup_world_forget(l.w) / BENCH_SLOTS;
    bench_require(l.bytes > LOOKUP_CERTIFICATE_BYTES, "the bytes of answers");
    return &l;
}

static uint64_t want(const void *state, size_t input)
{
    const struct lookups *l = state;
    (void)input;
    return l->bytes;
}

static uint64_t run(void *state, uint64_t iterations)
{
    const struct lookups *l = state;
    uint64_t sum = 0;
    for (uint64_t done = 0; done < iterations;) {
        l->w->request_count = (uint32_t)min_u64(BENCH_SLOTS, iterations - done);
        done += l->w->request_count;
        lookup_world_run(l->w);
        sum += lookup_world_forget(l->w);
    }
    l->w->request_count = BENCH_SLOTS;
    return sum;
}

const struct bench bench_lookup_list[] = {
    {"lookup/fetch", 2 * LOOKUP_CERTIFICATE_BYTES, BENCH_SLOTS, setup, run, want},
    {0},
};
