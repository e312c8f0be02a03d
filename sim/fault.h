/* SPDX-License-Identifier: Apache-2.0 */
/* fault.h - what goes wrong in a made-up world: networks that fall apart, nodes that nothing
 * reaches for a while, losses, machines that die, clocks that are wrong.
 *
 * fault_step draws one fault after another (a mix); the single functions do one on demand.  Who
 * dies is replaced by sim/churn. Owner: the scenario. */
#pragma once
#include "sim/churn.h"
#include "sim/fault_list.h"
#include "sim/net.h"

enum { FAULT_CLOGGED = 16 };

struct fault_settings {
    struct fault_list *list; /* of the mix: written down, or what is done instead; NULL: neither */
    uint64_t interval_us;    /* mean time between two faults of the mix; 0: none */
    uint32_t spared;         /* processes that stay alive at least */
};

struct fault_counts {
    uint32_t killed, vanished, left, hosts, partitions, asymmetric, clogs, losses, skews;
};

struct fault {
    struct fault_settings s;
    struct rng rng;
    uint64_t next_us;
    uint64_t partition_until_us; /* 0: none */
    uint64_t loss_until_us;
    /* swizzle-clog: cut off one by one, let in again in another order */
    uint32_t clogged[FAULT_CLOGGED];
    uint32_t clog_count, clog_at;
    bool is_unclogging;
    uint64_t clog_next_us;
    struct fault_counts counts;
};

void fault_init(struct fault *f, const struct fault_settings *s, uint64_t seed);
void fault_begin(struct fault *f, struct world *w);
void fault_step(struct fault *f, struct world *w, churn_watch *watch, void *context);
/* Everything that does not heal by itself is put right, but for the clocks. */
void fault_heal(struct fault *f, struct world *w);

/* `percent` of the processes stand on a side of their own; is_asymmetric: they are still heard. */
void fault_partition(struct fault *f, struct world *w, uint32_t percent, bool is_asymmetric);
/* All peers of one process that is alive die (their power fails); false: nobody left. */
bool fault_kill_process(struct fault *f, struct world *w, bool is_silent, churn_watch *watch,
                        void *context);
/* Every clock is wrong by up to so much, either way. */
void fault_skew_all(struct fault *f, struct world *w, uint64_t most_ms);
uint32_t fault_total(const struct fault *f);
