/* SPDX-License-Identifier: Apache-2.0 */
/* test_spin.c - when a shard spins, in made-up time: against a list of the periods that were, and
 * what it costs and gains with work that comes evenly, rarely, in bursts and at random. */
#include "core/os/spin.h"
#include "core/rng.h"
#include <criterion/criterion.h>

enum { WINDOW_US = 50, PERIODS = 4000 };

/* A shard's day: what it spun for, and how often that found work. */
struct day {
    struct spin spin;
    uint64_t now_us;
    uint64_t spun_us;
    uint32_t found, missed, slept;
};

static struct day dawn(uint32_t window_us, bool is_adaptive)
{
    struct day d = {.now_us = 1000};
    spin_init(&d.spin, window_us, is_adaptive);
    spin_idle(&d.spin, 900);
    cr_assert_eq(spin_until_us(&d.spin), 0, "nothing has come in yet");
    spin_work(&d.spin, d.now_us);
    return d;
}

/* A turn ends, and work comes after `gap_us`. */
static void pass(struct day *d, uint64_t gap_us)
{
    spin_idle(&d->spin, d->now_us);
    uint64_t until_us = spin_until_us(&d->spin);
    if (until_us == 0) {
        d->slept++;
    } else {
        cr_assert_eq(until_us, d->now_us + d->spin.window_us);
        bool is_found = gap_us <= d->spin.window_us;
        d->spun_us += is_found ? gap_us : d->spin.window_us;
        d->found += is_found;
        d->missed += !is_found;
    }
    d->now_us += gap_us;
    spin_work(&d->spin, d->now_us);
    d->now_us += 7; /* the turn */
}

Test(spin, off_unless_asked_for)
{
    for (int is_adaptive = 0; is_adaptive < 2; is_adaptive++) {
        struct day d = dawn(0, is_adaptive != 0);
        for (int i = 0; i < 100; i++) {
            pass(&d, 0);
            pass(&d, 10);
        }
        cr_assert_eq(d.slept, 200);
    }
}

Test(spin, fixed_never_gives_up)
{
    struct day d = dawn(WINDOW_US, false);
    for (int i = 0; i < 100; i++) {
        pass(&d, 100000);
    }
    cr_assert_eq(d.missed, 100);
    cr_assert_eq(d.spun_us, 100 * WINDOW_US);
}

Test(spin, begins_with_work_that_comes_soon)
{
    struct day d = dawn(WINDOW_US, true);
    for (int i = 0; i < 100; i++) {
        pass(&d, WINDOW_US); /* just in time */
    }
    cr_assert_eq(d.slept, SPIN_BEGIN);
    cr_assert_eq(d.found, 100 - SPIN_BEGIN);
    cr_assert_eq(d.missed, 0);
}

Test(spin, backs_off_when_work_comes_late)
{
    struct day d = dawn(WINDOW_US, true);
    for (int i = 0; i < 100; i++) {
        pass(&d, 20);
    }
    d.found = d.slept = 0;
    for (int i = 0; i < 1000; i++) {
        pass(&d, WINDOW_US + 1);
    }
    cr_assert_eq(d.missed, SPIN_HISTORY - SPIN_END + 1, "%u", d.missed);
    cr_assert_eq(d.slept, 1000 - d.missed);
    for (int i = 0; i < 1000; i++) {
        pass(&d, 20);
    }
    cr_assert_eq(d.found, 1000 - SPIN_BEGIN, "and begins again by what it sees while it sleeps");
}

/* Timers and what became of sends wake a shard without being work. */
Test(spin, wakes_without_work_do_not_begin_a_period)
{
    struct day d = dawn(WINDOW_US, true);
    for (int i = 0; i < 100; i++) {
        spin_idle(&d.spin, d.now_us);
        spin_idle(&d.spin, d.now_us + 40);
        spin_idle(&d.spin, d.now_us + 80);
        d.now_us += 100; /* since the first, too long */
        spin_work(&d.spin, d.now_us);
        spin_work(&d.spin, d.now_us); /* two turns of work in a row: no period between them */
    }
    cr_assert_eq(spin_until_us(&d.spin), 0);
    cr_assert_eq(d.spin.history, 0);
}

/* One short period, one long: half of the spins would be in vain. */
Test(spin, does_not_begin_for_every_other)
{
    struct day d = dawn(WINDOW_US, true);
    for (int i = 0; i < 1000; i++) {
        pass(&d, i % 2 == 0 ? 5 : 5000);
    }
    cr_assert_eq(d.slept, 1000);
}

/* Against a list, over work of changing density. */
Test(spin, model)
{
    bool was_short[PERIODS] = {false};
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct day d = dawn(WINDOW_US, true);
        struct rng rng;
        bool is_on = false;
        rng_init(&rng, seed);
        for (int i = 0; i < PERIODS; i++) {
            uint32_t spread = i / 200 % 3 == 0 ? 60 : i / 200 % 3 == 1 ? 140 : 3000;
            uint64_t gap_us = rng_below(&rng, spread);
            uint32_t slept = d.slept;
            pass(&d, gap_us);
            cr_assert_eq(d.slept == slept, is_on, "seed %llu, period %d", (unsigned long long)seed,
                         i);
            was_short[i] = gap_us <= WINDOW_US;
            int count = 0;
            for (int k = i; k >= 0 && k > i - SPIN_HISTORY; k--) {
                count += was_short[k];
            }
            is_on = is_on ? count >= SPIN_END : count >= SPIN_BEGIN;
        }
        cr_assert_gt(d.found, d.missed, "it pays");
        cr_assert_gt(d.slept, PERIODS / 3, "and is off while it would not");
    }
}
