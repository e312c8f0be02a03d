/* SPDX-License-Identifier: Apache-2.0 */
/* metric.h - counters, gauges and histograms, plain integers of one shard.
 *
 * core has the mechanism only.  The names of all layers stand in one list, core/metric.def, since a
 * closed set is what keeps scrapes bounded; a reader on another thread sums shards with relaxed
 * loads (metric_read), a writer is always the shard that owns the struct. */
#pragma once
#include "core/histogram.h"

enum metric {
#define METRIC(name, kind, help) METRIC_##name,
#include "core/metric.def"
#undef METRIC
    METRIC_COUNT
};

struct metrics {
    uint64_t values[METRIC_COUNT];
    struct histogram_counts histograms[HISTOGRAM_COUNT];
};

/* Only the owning shard may call these three. */
static inline void metric_add(struct metrics *m, enum metric which, uint64_t amount)
{
    __atomic_store_n(&m->values[which],
                     __atomic_load_n(&m->values[which], __ATOMIC_RELAXED) + amount,
                     __ATOMIC_RELAXED);
}
static inline void metric_set(struct metrics *m, enum metric which, uint64_t value)
{
    __atomic_store_n(&m->values[which], value, __ATOMIC_RELAXED);
}
static inline void metric_note(struct metrics *m, enum histogram which, uint64_t us)
{
    histogram_note(&m->histograms[which], us);
}
static inline uint64_t metric_read(const struct metrics *m, enum metric which)
{
    return __atomic_load_n(&m->values[which], __ATOMIC_RELAXED);
}

const char *metric_name(enum metric which); /* "links_up" */
const char *metric_kind(enum metric which); /* "counter" or "gauge" */
const char *metric_help(enum metric which);
