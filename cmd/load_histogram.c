/* SPDX-License-Identifier: Apache-2.0 */
/* load_histogram.c - values below 2 * STEPS have a bucket each; above, a bucket covers 2^k of them.
 */
#include "cmd/load_histogram.h"

static uint32_t bucket_of(uint64_t value)
{
    uint32_t top = 63u - (uint32_t)__builtin_clzll(value | LOAD_HISTOGRAM_STEPS);
    uint32_t shift = top - LOAD_HISTOGRAM_BITS;
    return shift * LOAD_HISTOGRAM_STEPS + (uint32_t)(value >> shift);
}

/* The largest value that belongs there. */
static uint64_t end_of(uint32_t bucket)
{
    if (bucket < 2 * LOAD_HISTOGRAM_STEPS) {
        return bucket;
    }
    uint32_t shift = bucket / LOAD_HISTOGRAM_STEPS - 1;
    uint64_t step = bucket % LOAD_HISTOGRAM_STEPS + LOAD_HISTOGRAM_STEPS;
    return ((step + 1) << shift) - 1;
}

void load_histogram_add(struct load_histogram *h, uint64_t value)
{
    h->clipped += value > LOAD_HISTOGRAM_MAX ? 1 : 0;
    h->max = max_u64(h->max, value);
    h->sum += (double)value;
    h->count++;
    uint32_t bucket = bucket_of(min_u64(value, LOAD_HISTOGRAM_MAX));
    CHECK(bucket < LOAD_HISTOGRAM_BUCKETS);
    h->counts[bucket]++;
}

void load_histogram_merge(struct load_histogram *into, const struct load_histogram *from)
{
    for (uint32_t i = 0; i < LOAD_HISTOGRAM_BUCKETS; i++) {
        into->counts[i] += from->counts[i];
    }
    into->count += from->count;
    into->clipped += from->clipped;
    into->max = max_u64(into->max, from->max);
    into->sum += from->sum;
}

uint64_t load_histogram_quantile(const struct load_histogram *h, uint32_t per_million)
{
    CHECK(per_million <= 1000000);
    uint64_t seen = 0;
    /* The rank, rounded up: half of three values is the second. */
    uint64_t rank = (uint64_t)(((__uint128_t)h->count * per_million + 999999) / 1000000);
    rank = max_u64(rank, 1);
    for (uint32_t i = 0; h->count > 0 && i < LOAD_HISTOGRAM_BUCKETS; i++) {
        seen += h->counts[i];
        if (seen >= rank) {
            bool is_last = seen == h->count;
            return is_last ? min_u64(h->max, h->clipped > 0 ? h->max : end_of(i)) : end_of(i);
        }
    }
    return 0;
}

double load_histogram_mean(const struct load_histogram *h)
{
    return h->count == 0 ? 0 : h->sum / (double)h->count;
}
