/* SPDX-License-Identifier: Apache-2.0 */
/* histogram.h - log-linear histograms of times: four buckets an octave, so a bound is at most a
 * quarter above what was noted, from 1 us to two minutes; what is longer counts in the last bucket.
 *
 * Part of struct metrics, and read and written as those are: plain integers of one shard, relaxed
 * loads by readers of other threads.  The names of all stand in one list, core/histogram.def.
 *
 * Limits: HISTOGRAM_BUCKETS words each, whatever is noted. */
#pragma once
#include "core/base.h"

enum histogram {
#define HISTOGRAM(name, help) HISTOGRAM_##name,
#include "core/histogram.def"
#undef HISTOGRAM
    HISTOGRAM_COUNT
};

enum {
    HISTOGRAM_OCTAVES = 27,                              /* up to 2^27 us */
    HISTOGRAM_BUCKETS = 4 * (HISTOGRAM_OCTAVES - 1) + 1, /* the last: all that is longer */
};

struct histogram_counts {
    uint64_t sum_us;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* Values up to 3 have a bucket each, 4 to 7 the next four, then each octave four. */
static inline uint32_t histogram_bucket(uint64_t us)
{
    if (us < 4) {
        return (uint32_t)us;
    }
    uint32_t octave = 63 - (uint32_t)__builtin_clzll(us);
    return octave >= HISTOGRAM_OCTAVES ? HISTOGRAM_BUCKETS - 1
                                       : 4 * (octave - 1) + ((uint32_t)(us >> (octave - 2)) & 3);
}

/* Only the owning shard may call this. */
static inline void histogram_note(struct histogram_counts *h, uint64_t us)
{
    uint64_t *bucket = &h->buckets[histogram_bucket(us)];
    __atomic_store_n(bucket, __atomic_load_n(bucket, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
    __atomic_store_n(&h->sum_us, __atomic_load_n(&h->sum_us, __ATOMIC_RELAXED) + us,
                     __ATOMIC_RELAXED);
}

/* The largest value that counts in a bucket; UINT64_MAX: the last one has no bound. */
uint64_t histogram_bound_us(uint32_t bucket);
/* Adds the counts of a shard, which may be running. */
void histogram_add(struct histogram_counts *sum, const struct histogram_counts *h);
uint64_t histogram_count(const struct histogram_counts *h);
/* The bound of the bucket in which the value stands that `per_million` of all do not exceed; 0 when
 * there is none. */
uint64_t histogram_quantile_us(const struct histogram_counts *h, uint32_t per_million);

const char *histogram_name(enum histogram which); /* "turn_us" */
const char *histogram_help(enum histogram which);
