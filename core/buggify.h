/* SPDX-License-Identifier: Apache-2.0 */
/* buggify.h - points at which the simulator makes product code take its rare way, after
 * FoundationDB's: a full pool, a short write, a lost answer, a timer that is early.
 *
 * Whoever drives a turn decides: turn.buggify is NULL in the daemon, where a point costs the test
 * of a pointer that every function with a turn has at hand, and nothing can set it from outside.
 * So the objects that are simulated are the daemon's own (design.md section 1: no #ifdef TEST).
 * Draws come from a stream of their own, so that a seed remains a run, and two runs that differ by
 * points alone have the same faults.
 *
 * Owner: who made it (sim/world); one thread. */
#pragma once
#include "core/rng.h"
#include "core/turn.h"

enum buggify_point {
#define BUGGIFY(name, chance_ppm, text) BUGGIFY_##name,
#include "core/buggify.def"
#undef BUGGIFY
    BUGGIFY_POINTS
};

struct buggify {
    struct rng rng;
    bool is_on;                          /* while faults go on */
    uint32_t chance_ppm[BUGGIFY_POINTS]; /* 0: not in this run */
    uint64_t reached[BUGGIFY_POINTS];    /* while it was on */
    uint64_t fired[BUGGIFY_POINTS];
};

/* Half of the points, drawn from the seed, take part in a run; `percent` of their own chances. */
void buggify_init(struct buggify *b, uint64_t seed, uint32_t percent);
const char *buggify_name(enum buggify_point point);
/* Is it to happen now?  For buggify() alone. */
bool buggify_draw(struct buggify *b, enum buggify_point point);

static inline bool buggify(const struct turn *t, enum buggify_point point)
{
    return UNLIKELY(t->buggify != NULL) && buggify_draw(t->buggify, point);
}
