/* SPDX-License-Identifier: Apache-2.0 */
/* shortage.h - how long records stand in fewer than three places, and how many a model says are
 * lost.
 *
 * A shortage begins when a record is seen with fewer than three copies, and is over when it has
 * three again (or none).  That time is the repair window, measured: detection, hold-down (CH-19),
 * transfer, and whatever takes so long that should not.  The model: three copies on three peers;
 * the two that are left both die within the window, independently, at the rate r at which peers do
 * crash: (1 - e^(-r w))^2 for a shortage of length w.  What is expected to be lost is the sum over
 * all shortages.  A window longer than `window_us` counts as that: a repair that never comes is no
 * excuse for what is lost meanwhile.
 *
 * Owner: one for each run.  Integer arithmetic but for the sum that the report prints. */
#pragma once
#include "sim/world.h"

enum { SHORTAGE_STEPS = 512, SHORTAGE_COPIES = 3 };

struct shortage {
    uint32_t records;
    uint64_t window_us;
    uint64_t step_us;   /* between two looks */
    uint64_t look_us;   /* the next one */
    uint64_t seen_us;   /* the last one, or when somebody died after a time without any */
    uint64_t *since_us; /* of each record, when it fell short; 0: it has its copies */
    uint8_t *copies;    /* of each record, in this look */
    uint32_t *index;    /* of accounts by Node-ID: record + 1, open addressing */
    uint32_t index_cap; /* a power of two */
    bool is_restless;   /* somebody has died, or something is short */
    /* Shortages that are over, by their length in looks, the last one for all longer ones. */
    uint64_t lasted[SHORTAGE_STEPS];
    uint64_t count;
    uint64_t total_us;
    uint64_t longest_us;
};

size_t shortage_bytes(uint32_t records);
void shortage_init(struct shortage *s, struct arena *arena, uint32_t records, uint64_t window_us);
/* The accounts' keys are those of the records; nothing is short now. */
void shortage_begin(struct shortage *s, struct world *w, uint64_t step_us);
/* The record whose account has this Node-ID; `records` when there is none. */
uint32_t shortage_record(const struct shortage *s, const struct world *w, struct slice key);
/* A peer is about to die: looks will be taken until all is whole again. */
void shortage_wake(struct shortage *s, const struct world *w);
/* A look, when one is due. */
void shortage_step(struct shortage *s, struct world *w);
/* One that is over, and how long it lasted. */
void shortage_note(struct shortage *s, uint64_t us);
/* What is short now ends. */
void shortage_end(struct shortage *s, struct world *w);
/* So long lasted all but a twentieth of them. */
uint64_t shortage_p95_us(const struct shortage *s);
/* Records that the model loses, times a million, when peers crash `crashes` times in `node_us` of
 * their lives together. */
uint64_t shortage_expected_ppm(const struct shortage *s, uint64_t crashes, uint64_t node_us);
