/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/spread.h"

enum { EXACT_BITS = 6 };
STATIC_CHECK(1 << EXACT_BITS == SPREAD_EXACT);

static uint32_t bucket_of(uint64_t number)
{
    if (number < SPREAD_EXACT) {
        return (uint32_t)number;
    }
    uint32_t power = 63 - (uint32_t)__builtin_clzll(number);
    uint32_t step =
        (uint32_t)(number >> (power - SPREAD_STEP_BITS)) & ((1 << SPREAD_STEP_BITS) - 1);
    return SPREAD_EXACT + ((power - EXACT_BITS) << SPREAD_STEP_BITS) + step;
}

/* The largest number of a bucket. */
static uint64_t top_of(uint32_t bucket)
{
    if (bucket < SPREAD_EXACT) {
        return bucket;
    }
    uint32_t power = EXACT_BITS + ((bucket - SPREAD_EXACT) >> SPREAD_STEP_BITS);
    uint64_t step = (bucket - SPREAD_EXACT) & ((1 << SPREAD_STEP_BITS) - 1);
    return (((UINT64_C(1) << SPREAD_STEP_BITS) + step + 1) << (power - SPREAD_STEP_BITS)) - 1;
}

void spread_add(struct spread *s, uint64_t number)
{
    s->count++;
    s->total += number;
    s->max = max_u64(s->max, number);
    s->buckets[bucket_of(number)]++;
}

void spread_merge(struct spread *s, const struct spread *other)
{
    s->count += other->count;
    s->total += other->total;
    s->max = max_u64(s->max, other->max);
    for (uint32_t i = 0; i < SPREAD_BUCKETS; i++) {
        s->buckets[i] += other->buckets[i];
    }
}

uint64_t spread_at(const struct spread *s, uint32_t per_mille)
{
    uint64_t wanted = (s->count * per_mille + 999) / 1000;
    uint64_t seen = 0;
    for (uint32_t i = 0; i < SPREAD_BUCKETS; i++) {
        seen += s->buckets[i];
        if (seen > 0 && seen >= wanted) {
            return min_u64(top_of(i), s->max);
        }
    }
    return s->max;
}
