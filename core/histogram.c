/* SPDX-License-Identifier: Apache-2.0 */
/* histogram.c - see histogram.h. */
#include "core/histogram.h"

static const struct {
    const char *name;
    const char *help;
} descriptions[HISTOGRAM_COUNT] = {
#define HISTOGRAM(name, help) {#name, help},
#include "core/histogram.def"
#undef HISTOGRAM
};

uint64_t histogram_bound_us(uint32_t bucket)
{
    CHECK(bucket < HISTOGRAM_BUCKETS);
    if (bucket == HISTOGRAM_BUCKETS - 1) {
        return UINT64_MAX;
    }
    if (bucket < 4) {
        return bucket;
    }
    uint32_t octave = bucket / 4 + 1;
    return ((UINT64_C(4) + bucket % 4 + 1) << (octave - 2)) - 1;
}

void histogram_add(struct histogram_counts *sum, const struct histogram_counts *h)
{
    sum->sum_us += __atomic_load_n(&h->sum_us, __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        sum->buckets[i] += __atomic_load_n(&h->buckets[i], __ATOMIC_RELAXED);
    }
}

uint64_t histogram_count(const struct histogram_counts *h)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        count += h->buckets[i];
    }
    return count;
}

uint64_t histogram_quantile_us(const struct histogram_counts *h, uint32_t per_million)
{
    uint64_t count = histogram_count(h);
    uint64_t rank =
        (count / 1000000) * per_million + ((count % 1000000) * per_million + 999999) / 1000000;
    uint64_t below = 0;
    CHECK(per_million > 0);
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        below += h->buckets[i];
        if (below >= rank && below > 0) {
            return histogram_bound_us(i);
        }
    }
    return 0;
}

const char *histogram_name(enum histogram which)
{
    CHECK((unsigned)which < HISTOGRAM_COUNT);
    return descriptions[which].name;
}

const char *histogram_help(enum histogram which)
{
    CHECK((unsigned)which < HISTOGRAM_COUNT);
    return descriptions[which].help;
}
