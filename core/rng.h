/* SPDX-License-Identifier: Apache-2.0 */
/* rng.h - random numbers from a seed (xoshiro256**): jitter, table secrets, simulated worlds.
 *
 * The daemon seeds it from the kernel at start.  What an attacker must not guess (nonces, opaque
 * ids, transaction ids, tags) comes from crypto->random instead (core/crypto.h). */
#pragma once
#include "core/base.h"

struct rng {
    uint64_t state[4];
};

void rng_init(struct rng *r, uint64_t seed);
uint64_t rng_next(struct rng *r);
/* Uniform in 0..bound-1; bound 0 gives 0. */
uint64_t rng_below(struct rng *r, uint64_t bound);
void rng_fill(struct rng *r, void *out, size_t len);
/* `base` +- `percent` per cent, uniform: for timers that must not march in step. */
uint64_t rng_jitter(struct rng *r, uint64_t base, unsigned percent);
