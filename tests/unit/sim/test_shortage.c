/* SPDX-License-Identifier: Apache-2.0 */
/* What the model expects to be lost is what is lost where its assumptions hold: three copies,
 * crashes at a rate, everything made again a window after the first of them. */
#include "sim/draw.h"
#include "sim/shortage.h"
#include <criterion/criterion.h>

enum { S = 1000000, LOOK_US = S / 10 };

static void begin(struct shortage *s, uint64_t window_us)
{
    memset(s, 0, sizeof(*s));
    s->window_us = window_us;
    s->step_us = LOOK_US;
}

/* Repairs take `repair_us`; how many of the shortages end with all three copies gone. */
static uint64_t live(struct shortage *s, uint64_t lifetime_us, uint64_t repair_us, uint64_t count)
{
    struct rng rng;
    uint64_t lost = 0;
    rng_init(&rng, lifetime_us ^ repair_us);
    for (uint64_t i = 0; i < count; i++) {
        bool both = draw_us(&rng, DRAW_EXPONENTIAL, lifetime_us) < repair_us;
        both = draw_us(&rng, DRAW_EXPONENTIAL, lifetime_us) < repair_us && both;
        lost += both ? 1 : 0;
        shortage_note(s, both ? s->window_us : repair_us);
    }
    return lost;
}

Test(shortage, expects_what_is_lost)
{
    static const uint64_t repairs_s[] = {2, 10, 35};
    for (size_t i = 0; i < sizeof(repairs_s) / sizeof(repairs_s[0]); i++) {
        struct shortage s;
        uint64_t repair_us = repairs_s[i] * S;
        begin(&s, repair_us);
        uint64_t lost = live(&s, 200ULL * S, repair_us, 1000000);
        /* Two hundred peers, a crash a second among them. */
        double expected = (double)shortage_expected_ppm(&s, 1000, 200000ULL * S) / 1e6;
        double off = expected - (double)lost;
        cr_expect_lt(off * off, 16 * expected, "%f expected, %lu lost", expected, lost);
        cr_expect_gt(expected, 50);
    }
}

/* A repair that never comes is no excuse. */
Test(shortage, counts_no_more_than_the_window)
{
    struct shortage slow;
    struct shortage never;
    begin(&slow, 50ULL * S);
    begin(&never, 50ULL * S);
    shortage_note(&slow, 50ULL * S);
    shortage_note(&never, 5000ULL * S);
    cr_expect_eq(shortage_expected_ppm(&slow, 1, 200ULL * S),
                 shortage_expected_ppm(&never, 1, 200ULL * S));
    cr_expect_eq(never.longest_us, 5000ULL * S);
}

Test(shortage, expects_nothing_where_nobody_dies)
{
    struct shortage s;
    begin(&s, 50ULL * S);
    shortage_note(&s, 10ULL * S);
    cr_expect_eq(shortage_expected_ppm(&s, 0, 1000ULL * S), 0);
    cr_expect_eq(shortage_expected_ppm(&s, 0, 0), 0);
    cr_expect_eq(shortage_p95_us(&s), 10ULL * S);
}
