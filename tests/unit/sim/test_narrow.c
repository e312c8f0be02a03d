/* SPDX-License-Identifier: Apache-2.0 */
/* A line does what its settings say, and the same for the same seed. */
#include "sim/narrow.h"
#include <criterion/criterion.h>
#include <string.h>

enum { MS = 1000, S = 1000000 };

Test(narrow, has_a_rate_a_delay_and_a_queue)
{
    static const struct narrow_settings settings = {
        .bytes_per_s = 100000, .queue_bytes = 10000, .delay_us = 30 * MS};
    struct narrow n;
    narrow_init(&n, &settings, 1);
    for (uint64_t i = 1; i <= 10; i++) { /* 1000 bytes take 10 ms */
        struct narrow_fate fate = narrow_enter(&n, 5 * MS, 1000);
        cr_assert_eq(fate.copies, 1);
        cr_assert_eq(fate.arrives_us[0], (5 + 10 * i + 30) * MS);
    }
    cr_assert_eq(narrow_enter(&n, 5 * MS, 1000).copies, 0);
    cr_assert_eq(n.overflowed, 1);
    cr_assert_eq(narrow_enter(&n, 15 * MS, 1000).copies, 1); /* one has left */
    cr_assert_eq(narrow_enter(&n, 15 * MS, 1).copies, 0);
    struct narrow_fate late = narrow_enter(&n, 10 * S, 500);
    cr_assert_eq(late.arrives_us[0], 10 * S + 5 * MS + 30 * MS);
    cr_assert_eq(n.entered, 14);
    cr_assert_eq(n.carried_bytes, 11500);
}

/* Nanoseconds are not lost: a fast line carries what it should. */
Test(narrow, keeps_its_rate_over_many_datagrams)
{
    static const struct narrow_settings settings = {.bytes_per_s = 125000000,
                                                    .queue_bytes = 200000000};
    struct narrow n;
    struct narrow_fate fate = {0};
    narrow_init(&n, &settings, 1);
    for (uint32_t i = 0; i < 125000; i++) {
        fate = narrow_enter(&n, 0, 1000);
    }
    cr_assert_eq(fate.arrives_us[0], S);
}

Test(narrow, jitters_and_keeps_the_order)
{
    static const struct narrow_settings settings = {.delay_us = 10 * MS, .jitter_us = 5 * MS};
    struct narrow n;
    uint64_t last_us = 0;
    uint64_t spread_us = 0;
    narrow_init(&n, &settings, 3);
    for (uint64_t i = 0; i < 1000; i++) {
        struct narrow_fate fate = narrow_enter(&n, i * MS, 100);
        uint64_t took_us = fate.arrives_us[0] - i * MS;
        cr_assert_geq(fate.arrives_us[0], last_us);
        cr_assert(took_us >= 10 * MS && took_us <= 15 * MS);
        spread_us = max_u64(spread_us, took_us - 10 * MS);
        last_us = fate.arrives_us[0];
    }
    cr_assert_gt(spread_us, 4 * MS);
}

Test(narrow, loses_reorders_and_duplicates)
{
    static const struct narrow_settings settings = {.delay_us = 10 * MS,
                                                    .loss_ppm = 100000,
                                                    .reorder_ppm = 50000,
                                                    .reorder_us = 7 * MS,
                                                    .duplicate_ppm = 20000};
    struct narrow n;
    uint64_t arrived = 0;
    uint64_t last_us = 0;
    uint64_t overtaken = 0;
    narrow_init(&n, &settings, 4);
    for (uint64_t i = 0; i < 20000; i++) {
        struct narrow_fate fate = narrow_enter(&n, i * MS, 100);
        cr_assert_leq(fate.copies, NARROW_COPIES);
        arrived += fate.copies;
        if (fate.copies > 0) {
            overtaken += fate.arrives_us[0] < last_us;
            last_us = max_u64(last_us, fate.arrives_us[0]);
        }
        if (fate.copies == 2) {
            cr_assert_eq(fate.arrives_us[1], fate.arrives_us[0] + 7 * MS);
        }
    }
    cr_assert_eq(arrived, n.entered - n.lost + n.duplicated);
    cr_assert(n.lost > 1800 && n.lost < 2200, "%lu", n.lost);
    cr_assert(n.held_back > 800 && n.held_back < 1000, "%lu", n.held_back);
    cr_assert(n.duplicated > 300 && n.duplicated < 420, "%lu", n.duplicated);
    cr_assert_gt(overtaken, 2 * n.held_back);
}

Test(narrow, is_the_same_for_the_same_seed)
{
    static const struct narrow_settings settings = {.bytes_per_s = 1000000,
                                                    .queue_bytes = 5000,
                                                    .jitter_us = 3 * MS,
                                                    .loss_ppm = 100000,
                                                    .reorder_ppm = 100000,
                                                    .reorder_us = MS,
                                                    .duplicate_ppm = 100000};
    struct narrow a;
    struct narrow b;
    struct narrow other;
    uint32_t differ = 0;
    narrow_init(&a, &settings, 5);
    narrow_init(&b, &settings, 5);
    narrow_init(&other, &settings, 6);
    for (uint64_t i = 0; i < 1000; i++) {
        struct narrow_fate x = narrow_enter(&a, i * 300, 400);
        struct narrow_fate y = narrow_enter(&b, i * 300, 400);
        struct narrow_fate z = narrow_enter(&other, i * 300, 400);
        cr_assert_eq(memcmp(&x, &y, sizeof(x)), 0);
        differ += memcmp(&x, &z, sizeof(x)) != 0;
    }
    cr_assert_gt(differ, 500);
}
