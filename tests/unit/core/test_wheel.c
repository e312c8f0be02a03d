/* SPDX-License-Identifier: Apache-2.0 */
/* test_wheel.c - the timer wheel, against a naive list under random operations. */
#include "core/rng.h"
#include "core/wheel.h"
#include <criterion/criterion.h>

enum { TIMERS = 200, STEPS = 60000 };

struct model {
    bool is_armed;
    uint64_t tick;  /* at which it may fire */
    uint64_t order; /* of arming */
};

static uint64_t tick_of(uint64_t due_us)
{
    return (due_us + 999) / 1000;
}

/* The armed timer that has to come next, or TIMERS. */
static size_t first(const struct model *m)
{
    size_t best = TIMERS;
    for (size_t i = 0; i < TIMERS; i++) {
        if (m[i].is_armed && (best == TIMERS || m[i].tick < m[best].tick ||
                              (m[i].tick == m[best].tick && m[i].order < m[best].order))) {
            best = i;
        }
    }
    return best;
}

static void drain(struct wheel *w, struct wheel_timer *timers, struct model *m, uint64_t now_us)
{
    struct wheel_timer *fired = NULL;
    while ((fired = wheel_take(w, now_us)) != NULL) {
        size_t i = (size_t)(fired - timers);
        size_t expected = first(m);
        cr_assert_eq(i, expected);
        cr_assert(m[i].tick <= now_us / 1000, "fired early");
        cr_assert(fired->due_us <= now_us);
        cr_assert(!wheel_is_armed(fired));
        cr_assert_eq(handle_index(fired->tag), i);
        m[i].is_armed = false;
    }
    size_t next = first(m);
    if (next < TIMERS) {
        cr_assert(m[next].tick > now_us / 1000, "timer %zu was not fired", next);
        cr_assert(wheel_next_us(w) <= m[next].tick * 1000, "next is late");
        cr_assert(wheel_next_us(w) > now_us, "next stands still");
        cr_assert_eq(wheel_due_us(w), m[next].tick * 1000, "the exact time");
    } else {
        cr_assert_eq(wheel_next_us(w), UINT64_MAX);
        cr_assert_eq(wheel_due_us(w), UINT64_MAX);
        cr_assert_eq(w->armed, 0);
    }
}

static void run(uint64_t seed, uint64_t start_us)
{
    static struct wheel w;
    static struct wheel_timer timers[TIMERS];
    static struct model m[TIMERS];
    memset(timers, 0, sizeof(timers));
    memset(m, 0, sizeof(m));
    struct rng rng;
    rng_init(&rng, seed);
    uint64_t now_us = start_us;
    wheel_init(&w, now_us);
    for (uint64_t step = 0; step < STEPS; step++) {
        size_t i = rng_below(&rng, TIMERS);
        uint64_t what = rng_below(&rng, 10);
        if (what < 6) {
            /* Lengths of every magnitude, microseconds to months; always in the future. */
            uint64_t span = rng_next(&rng) >> (22 + rng_below(&rng, 42));
            timers[i].tag = handle_make(1, 0, (uint32_t)i);
            wheel_arm(&w, &timers[i], now_us + 1000 + span);
            m[i] = (struct model){true, tick_of(now_us + 1000 + span), step};
        } else if (what < 8) {
            wheel_cancel(&w, &timers[i]);
            m[i].is_armed = false;
        } else if (what == 8) {
            now_us += rng_next(&rng) >> (24 + rng_below(&rng, 40));
            drain(&w, timers, m, now_us);
        } else if (wheel_next_us(&w) != UINT64_MAX) {
            uint64_t next_us = wheel_next_us(&w);
            now_us = next_us > now_us ? next_us : now_us;
            drain(&w, timers, m, now_us);
        }
    }
    for (size_t i = 0; i < TIMERS; i++) {
        wheel_cancel(&w, &timers[i]);
        wheel_cancel(&w, &timers[i]);
    }
    cr_assert_eq(w.armed, 0);
    cr_assert_eq(wheel_next_us(&w), UINT64_MAX);
}

Test(wheel, against_naive_list)
{
    run(1, 0);
    run(2, 123456789);
    run(3, UINT64_C(68719476735000) - 500000); /* just before the range of six digits ends */
}

Test(wheel, order_and_past)
{
    static struct wheel w;
    struct wheel_timer t[4] = {0};
    wheel_init(&w, 5000000);
    wheel_arm(&w, &t[2], 1);
    wheel_arm(&w, &t[0], 5070000);
    wheel_arm(&w, &t[1], 5069500); /* same tick, armed later */
    cr_assert_eq(wheel_take(&w, 5000000), &t[2], "the past fires at once");
    cr_assert_null(wheel_take(&w, 5069999));
    wheel_arm(&w, &t[3], 5070000); /* armed when the tick has come down to level 0 */
    cr_assert_eq(wheel_take(&w, 5070000), &t[0]);
    cr_assert_eq(wheel_take(&w, 5070000), &t[1]);
    cr_assert_eq(wheel_take(&w, 5070000), &t[3]);
    cr_assert_null(wheel_take(&w, 5070000));
    wheel_arm(&w, &t[0], UINT64_MAX);
    cr_assert_null(wheel_take(&w, UINT64_C(1) << 50));
    wheel_cancel(&w, &t[0]);
    cr_assert_eq(w.armed, 0);
}
