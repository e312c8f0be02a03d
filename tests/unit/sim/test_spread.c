/* SPDX-License-Identifier: Apache-2.0 */
/* test_spread.c - percentiles of numbers that are known. */
#include "sim/spread.h"
#include <criterion/criterion.h>

Test(spread, small_numbers_are_exact)
{
    static struct spread s;
    for (uint64_t i = 1; i <= 50; i++) {
        spread_add(&s, i);
    }
    cr_assert_eq(s.count, 50);
    cr_assert_eq(s.total, 1275);
    cr_assert_eq(s.max, 50);
    cr_assert_eq(spread_at(&s, 500), 25);
    cr_assert_eq(spread_at(&s, 980), 49);
    cr_assert_eq(spread_at(&s, 1000), 50);
}

Test(spread, large_numbers_are_a_little_too_large)
{
    static struct spread s;
    static struct spread all;
    cr_assert_eq(spread_at(&s, 500), 0);
    for (uint64_t i = 1; i <= 100000; i++) {
        spread_add(&s, i * 1000);
    }
    uint64_t p50 = spread_at(&s, 500);
    cr_assert(p50 >= 50000000 && p50 < 51700000, "%lu", (unsigned long)p50);
    spread_add(&s, UINT64_MAX);
    cr_assert_eq(spread_at(&s, 1000), UINT64_MAX);
    spread_merge(&all, &s);
    spread_merge(&all, &s);
    cr_assert_eq(all.count, 200002);
    cr_assert_eq(spread_at(&all, 500), p50);
}
