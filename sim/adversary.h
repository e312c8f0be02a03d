/* SPDX-License-Identifier: Apache-2.0 */
/* adversary.h - some peers do not play by the rules.
 *
 * They run the same object files; what they do wrong is done to the bytes that reach them, as if
 * they had read them themselves, or sent in their name.  Their own keys they serve honestly.
 * Owner: the scenario. */
#pragma once
#include "sim/world.h"

enum adversary_does {
    ADVERSARY_DROP = 1,     /* what they should pass on */
    ADVERSARY_MISROUTE = 2, /* ... goes to somebody else */
    ADVERSARY_GARBLE = 4,   /* ... loses a bit behind its header */
    ADVERSARY_REPLAY = 8,   /* what passed through is sent again, later, to anybody */
    ADVERSARY_LIE = 16,     /* Updates name neighbors that do not exist */
    ADVERSARY_FLOOD = 32,   /* Stores without end */
    ADVERSARY_NOISE = 64,   /* messages of random bytes */
};

enum { ADVERSARY_KEPT = 32, ADVERSARY_KEPT_BYTES = 3000 };

struct adversary_settings {
    uint32_t percent;
    uint32_t does; /* of enum adversary_does */
};

struct adversary_kept {
    uint32_t len;
    uint8_t bytes[ADVERSARY_KEPT_BYTES];
};

struct adversary {
    struct adversary_settings s;
    struct rng rng;
    uint8_t *is_hostile; /* of each node */
    uint32_t hostile;
    uint64_t next_us;
    struct adversary_kept kept[ADVERSARY_KEPT];
    uint32_t kept_next;
    uint64_t dropped, misrouted, garbled, replayed, lied, flooded, noise;
};

size_t adversary_bytes(uint32_t nodes);
void adversary_init(struct adversary *a, struct arena *arena, const struct adversary_settings *s,
                    uint32_t nodes, uint64_t seed);
/* From now on. */
void adversary_begin(struct adversary *a, struct world *w);
/* What they do of their own accord; once a second. */
void adversary_step(struct adversary *a, struct world *w);
void adversary_end(struct adversary *a, struct world *w);
uint64_t adversary_deeds(const struct adversary *a);
