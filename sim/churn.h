/* SPDX-License-Identifier: Apache-2.0 */
/* churn.h - peers come and go: each process lives as long as it was given, then leaves in good
 * order, dies or loses its power, and whoever has been away longest comes in its stead, under its
 * old name and with nothing stored.  So as many are alive as at the beginning.
 *
 * Owner: the scenario; one step after another, at times of its choosing. */
#pragma once
#include "sim/draw.h"
#include "sim/world.h"

struct churn_settings {
    enum draw_shape shape;
    uint64_t lifetime_us; /* mean; 0: nobody dies of age */
    uint32_t graceful_percent;
    uint32_t silent_percent; /* of the others: their power fails, nobody is told */
    uint32_t population;     /* processes alive, */
    uint64_t day_us;         /* ... at noon; 0: always */
    uint32_t night_percent;  /* of them are not replaced at midnight */
};

struct churn_counts {
    uint32_t left, killed, vanished, started;
};

struct churn {
    struct churn_settings s;
    struct rng rng;
    uint64_t *ends_us; /* of each process: its end; when dead, when it died */
    bool *is_leaving;
    uint32_t processes;
    uint64_t begun_us;   /* a noon */
    uint64_t seen_lives; /* world_lives of the last step, + 1 */
    struct churn_counts counts;
};

/* What a process that ends says of it: before, for whoever keeps books on copies. */
typedef void churn_watch(void *context, struct world *w, uint32_t first, uint32_t count,
                         bool is_graceful);

size_t churn_bytes(uint32_t processes);
void churn_init(struct churn *c, struct arena *arena, const struct churn_settings *s,
                uint32_t processes, uint64_t seed);
/* All that are alive get a lifetime. */
void churn_begin(struct churn *c, struct world *w);
/* Everything that was due until now. */
void churn_step(struct churn *c, struct world *w, churn_watch *watch, void *context);
