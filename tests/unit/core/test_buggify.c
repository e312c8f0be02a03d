/* SPDX-License-Identifier: Apache-2.0 */
#include "core/buggify.h"
#include <criterion/criterion.h>
#include <string.h>

enum { SEEDS = 400, ASKED = 20000 };

Test(buggify, nothing_happens_unless_somebody_wants_it)
{
    struct buggify b;
    struct turn t = {.now_us = 1}; /* as the daemon's */
    for (unsigned p = 0; p < BUGGIFY_POINTS; p++) {
        cr_expect_not(buggify(&t, (enum buggify_point)p));
    }
    buggify_init(&b, 1, 1000000);
    t.buggify = &b; /* off */
    for (unsigned p = 0; p < BUGGIFY_POINTS; p++) {
        cr_expect_not(buggify(&t, (enum buggify_point)p));
        cr_expect_eq(b.reached[p], 0);
    }
    buggify_init(&b, 1, 0);
    b.is_on = true;
    for (unsigned p = 0; p < BUGGIFY_POINTS; p++) {
        cr_expect_not(buggify(&t, (enum buggify_point)p));
    }
}

Test(buggify, a_seed_is_a_run_and_takes_half_of_the_points)
{
    uint32_t part[BUGGIFY_POINTS] = {0};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct buggify a, b;
        buggify_init(&a, seed, 100);
        buggify_init(&b, seed, 100);
        cr_assert_eq(memcmp(&a, &b, sizeof(a)), 0);
        for (unsigned p = 0; p < BUGGIFY_POINTS; p++) {
            part[p] += a.chance_ppm[p] != 0 ? 1 : 0;
        }
    }
    for (unsigned p = 0; p < BUGGIFY_POINTS; p++) {
        cr_expect(part[p] > SEEDS * 2 / 5 && part[p] < SEEDS * 3 / 5, "%s: %u of %d seeds",
                  buggify_name((enum buggify_point)p), part[p], SEEDS);
    }
}

/* Within four standard deviations of its chance; what a point counts is what happened. */
Test(buggify, points_come_up_by_their_chances)
{
    struct buggify b;
    buggify_init(&b, 5, 100);
    struct turn t = {.buggify = &b};
    b.is_on = true;
    b.chance_ppm[BUGGIFY_disk_late] = 100000;
    uint64_t fired = 0;
    for (uint32_t i = 0; i < ASKED; i++) {
        fired += buggify(&t, BUGGIFY_disk_late) ? 1 : 0;
    }
    cr_expect(fired > 2000 - 170 && fired < 2000 + 170, "%lu of %d", (unsigned long)fired, ASKED);
    cr_expect_eq(b.fired[BUGGIFY_disk_late], fired);
    cr_expect_eq(b.reached[BUGGIFY_disk_late], ASKED);
}
