/* SPDX-License-Identifier: Apache-2.0 */
/* load_histogram.h - latencies counted in log-linear buckets: each power of two in
 * LOAD_HISTOGRAM_STEPS equal steps, so a value read back is at most 1/128 too large, and never too
 * small.
 *
 * Owner: plain data, all zero is a valid empty one; merge adds two.  Limits: values above
 * LOAD_HISTOGRAM_MAX are counted as that, and in `clipped`. */
#pragma once
#include "core/base.h"

enum {
    LOAD_HISTOGRAM_BITS = 7,
    LOAD_HISTOGRAM_STEPS = 1 << LOAD_HISTOGRAM_BITS,
    LOAD_HISTOGRAM_TOP_BITS = 42, /* of nanoseconds: 73 minutes */
    LOAD_HISTOGRAM_BUCKETS =
        (LOAD_HISTOGRAM_TOP_BITS - LOAD_HISTOGRAM_BITS + 1) * LOAD_HISTOGRAM_STEPS
};
#define LOAD_HISTOGRAM_MAX ((UINT64_C(1) << LOAD_HISTOGRAM_TOP_BITS) - 1)

struct load_histogram {
    uint64_t counts[LOAD_HISTOGRAM_BUCKETS];
    uint64_t count;
    uint64_t clipped;
    uint64_t max; /* exact */
    double sum;   /* exact enough for a mean */
};

void load_histogram_add(struct load_histogram *h, uint64_t value);
void load_histogram_merge(struct load_histogram *into, const struct load_histogram *from);
/* The smallest bucket end that `per_million` of the values do not exceed, and never more than the
 * maximum: 999000 is p99.9, 1000000 the maximum itself.  0 when there are no values. */
uint64_t load_histogram_quantile(const struct load_histogram *h, uint32_t per_million);
double load_histogram_mean(const struct load_histogram *h);
