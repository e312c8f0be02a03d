/* SPDX-License-Identifier: Apache-2.0 */
/* load_schedule.h - when operations are *meant* to begin, whatever the server does: open loop.
 *
 * Constant: every 1/rate.  Poisson: gaps of exponential distribution, as many independent users
 * make them; the same seed gives the same times.  Latency is counted from these times, so a server
 * that stalls is charged with all that would have been sent meanwhile (no coordinated omission).
 *
 * Owner: plain data.  Time: an argument, nanoseconds. */
#pragma once
#include "core/rng.h"

enum load_schedule_kind { LOAD_SCHEDULE_CONSTANT, LOAD_SCHEDULE_POISSON };

struct load_schedule {
    enum load_schedule_kind kind;
    double gap_ns; /* mean */
    double ahead;  /* of the next one after `begin_ns`, in nanoseconds */
    uint64_t begin_ns;
    struct rng rng;
};

/* `rate` operations a second, at least 1. */
void load_schedule_init(struct load_schedule *s, enum load_schedule_kind kind, uint64_t rate,
                        uint64_t begin_ns, uint64_t seed);
/* The next intended time; it stays until load_schedule_take. */
uint64_t load_schedule_next(const struct load_schedule *s);
void load_schedule_take(struct load_schedule *s);
