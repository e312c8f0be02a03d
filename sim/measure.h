/* SPDX-License-Identifier: Apache-2.0 */
/* measure.h - a ring without churn under an even load, and what it costs.
 *
 * Messages one way (KBR, as OverSim calls it): a Ping to a random Resource-ID.  Look-ups: a Fetch
 * of a random record, or of a random Resource-ID where none are stored.  Both come from random
 * nodes at random times; each must be answered by the one peer that owns the place, which the
 * simulator alone can know.  Hops are transmissions from the originator to the owner.
 *
 * Owner: the scenario; one run at a time, while nobody joins or leaves. */
#pragma once
#include "sim/account.h"
#include "sim/ready.h"
#include "sim/spread.h"

enum { MEASURE_OPEN = 65536 }; /* at once; more are put off */

enum measure_kind { MEASURE_KBR, MEASURE_LOOKUP, MEASURE_KINDS };

struct measure_result {
    uint64_t sent, ok, failed, wrong; /* wrong: answered by another peer, or a wrong value */
    uint64_t put_off;                 /* the node had its hands full */
    struct spread hops;
    struct spread latency_us;
};

struct measure_open {
    enum measure_kind kind;
    uint32_t node; /* who asked */
    uint32_t owner;
    uint32_t record; /* UINT32_MAX: none */
    uint32_t next;   /* free: index + 1 */
    bool is_open;
};

struct measure {
    struct world *world;
    const struct ready_node *order;
    uint32_t count;
    struct rng rng;
    uint32_t records; /* those stored are 0 .. records - 1 */
    const bool *acked;
    uint64_t period_us[MEASURE_KINDS]; /* between two of all nodes together; 0: none */
    uint64_t next_us[MEASURE_KINDS];
    struct measure_open *open;
    uint32_t used, first_free, open_count;
    struct measure_result results[MEASURE_KINDS];
};

size_t measure_bytes(void);
/* `order`: all nodes, as ready_order gives them. */
void measure_init(struct measure *m, struct arena *arena, struct world *w,
                  const struct ready_node *order, uint32_t count);
/* Each node sends one of `kind` in `interval_s`, on average. */
void measure_rate(struct measure *m, enum measure_kind kind, uint64_t interval_s);
/* Runs for so long, then until all are answered. */
void measure_run(struct measure *m, uint64_t duration_us);
