/* SPDX-License-Identifier: Apache-2.0 */
/* test_queue.c - the calendar gives events back by (time, sequence), near and far, against a list
 * that is searched. */
#include "core/rng.h"
#include "sim/queue.h"
#include <criterion/criterion.h>
#include <stdlib.h>

enum { EVENTS = 600, STEPS = 20000 };

struct model {
    uint64_t at_us;
    uint64_t order;
    bool is_there;
};

static size_t first(const struct model *m)
{
    size_t best = EVENTS;
    for (size_t i = 0; i < EVENTS; i++) {
        if (m[i].is_there && (best == EVENTS || m[i].at_us < m[best].at_us ||
                              (m[i].at_us == m[best].at_us && m[i].order < m[best].order))) {
            best = i;
        }
    }
    return best;
}

/* From the same microsecond to a year away. */
static uint64_t some_wait(struct rng *rng)
{
    return rng_next(rng) >> (19 + rng_below(rng, 45));
}

Test(queue, against_list)
{
    static struct queue q;
    static struct model m[EVENTS];
    struct arena arena;
    struct rng rng;
    size_t bytes = queue_bytes(EVENTS);
    void *block = malloc(bytes);
    uint64_t now_us = 0;
    uint64_t order = 0;
    rng_init(&rng, 11);
    arena_init(&arena, block, bytes);
    queue_init(&q, &arena, EVENTS);
    cr_assert_null(queue_first(&q));
    for (uint32_t step = 0; step < STEPS; step++) {
        size_t i = rng_below(&rng, EVENTS);
        if (!m[i].is_there && rng_below(&rng, 2) == 0) {
            m[i] = (struct model){now_us + some_wait(&rng), order++, true};
            struct queue_event e = {.at_us = m[i].at_us, .node = (uint32_t)i};
            queue_put(&q, &e);
            continue;
        }
        size_t expected = first(m);
        const struct queue_event *next = queue_first(&q);
        cr_assert_eq(next == NULL, expected == EVENTS);
        if (next != NULL && rng_below(&rng, 3) != 0) { /* or it was only looked at */
            struct queue_event e;
            queue_take(&q, &e);
            cr_assert_eq(e.node, expected);
            cr_assert_eq(e.at_us, m[expected].at_us);
            m[expected].is_there = false;
            now_us = e.at_us;
        }
    }
    free(block);
}
