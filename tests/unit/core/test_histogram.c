/* SPDX-License-Identifier: Apache-2.0 */
/* test_histogram.c - buckets against their bounds, quantiles against a sorted list. */
#include "core/metric.h"
#include "core/rng.h"
#include <criterion/criterion.h>
#include <stdlib.h>

enum { VALUES = 5000 };

Test(histogram, buckets_and_bounds_agree)
{
    for (uint32_t i = 0; i + 1 < HISTOGRAM_BUCKETS; i++) {
        uint64_t bound = histogram_bound_us(i);
        cr_assert_eq(histogram_bucket(bound), i, "%u", i);
        cr_assert_eq(histogram_bucket(bound + 1), i + 1, "%u", i);
    }
    cr_assert_eq(histogram_bucket(0), 0);
    cr_assert_eq(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
    cr_assert_eq(histogram_bound_us(HISTOGRAM_BUCKETS - 1), UINT64_MAX);
    cr_assert_eq(histogram_bound_us(HISTOGRAM_BUCKETS - 2), (UINT64_C(1) << 27) - 1);
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

Test(histogram, quantiles_are_a_quarter_too_large_at_most)
{
    static uint64_t values[VALUES];
    static struct metrics metrics;
    struct histogram_counts sum = {0};
    struct rng rng;
    uint64_t total = 0;
    rng_init(&rng, 7);
    for (uint32_t i = 0; i < VALUES; i++) {
        values[i] = rng_next(&rng) >> (38 + rng_below(&rng, 26)); /* 2^26 us at most */
        total += values[i];
        metric_note(&metrics, HISTOGRAM_lookup_us, values[i]);
    }
    histogram_add(&sum, &metrics.histograms[HISTOGRAM_lookup_us]);
    cr_assert_eq(sum.sum_us, total);
    cr_assert_eq(histogram_count(&sum), VALUES);
    cr_assert_eq(histogram_count(&metrics.histograms[HISTOGRAM_turn_us]), 0);
    qsort(values, VALUES, sizeof(values[0]), by_size);
    const uint32_t asked[] = {1, 100, 500000, 900000, 990000, 999000, 1000000};
    for (size_t i = 0; i < ARRAY_COUNT(asked); i++) {
        size_t rank = ((uint64_t)VALUES * asked[i] + 999999) / 1000000;
        uint64_t true_us = values[max_size(rank, 1) - 1];
        uint64_t us = histogram_quantile_us(&sum, asked[i]);
        cr_assert_geq(us, true_us, "%u", asked[i]);
        cr_assert_leq(us, true_us + true_us / 4, "%u", asked[i]);
    }
}

Test(histogram, of_nothing_and_of_too_much)
{
    struct histogram_counts h = {0};
    cr_assert_eq(histogram_quantile_us(&h, 500000), 0);
    histogram_note(&h, UINT64_MAX / 2);
    cr_assert_eq(histogram_quantile_us(&h, 500000), UINT64_MAX);
    for (unsigned i = 0; i < HISTOGRAM_COUNT; i++) {
        const char *name = histogram_name((enum histogram)i);
        cr_assert_str_eq(name + strlen(name) - 3, "_us", "%s", name);
        cr_assert_gt(strlen(histogram_help((enum histogram)i)), 0);
    }
}
