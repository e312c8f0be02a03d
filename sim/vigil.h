/* SPDX-License-Identifier: Apache-2.0 */
/* vigil.h - what must hold after each single event, looked at after each single event.
 *
 * The cheap ones of operations.md 3.3: no message has run out of hops, no answer came to a request
 * that had its answer, nothing is stored that the owner of the record did not sign, no table of the
 * node is fuller than its limit.  The first time that one is broken is kept, since what led to it
 * stands right before.  A world of WORLD_TIGHT_NODES or more has no watch: there it would cost more
 * than the events do.
 *
 * Owner: one for each run. */
#pragma once
#include "sim/traffic.h"

enum vigil_rule { VIGIL_LOOPS, VIGIL_ONCE, VIGIL_SIGNED, VIGIL_CAPS, VIGIL_RULES };

struct vigil_first {
    bool is_broken;
    uint32_t node;
    uint64_t at_us;
    uint64_t event; /* so many had been delivered */
};

struct vigil {
    struct traffic *traffic; /* NULL: nobody asks yet */
    uint64_t looked;         /* events after which we have looked */
    uint64_t loops, stores, unasked;
    struct vigil_first first[VIGIL_RULES];
};

/* `traffic` is told what was answered as soon as it is; it may be set later. */
void vigil_begin(struct vigil *v, struct world *w);
/* Looks at node i, whose turn is over. */
void vigil_look(struct vigil *v, struct world *w, uint32_t i);
