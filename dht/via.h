/* SPDX-License-Identifier: Apache-2.0 */
/* via.h - Via Lists kept here, with an opaque id of ours in their place, so that a message that is
 * passed on does not outgrow max-message-size on its way (RFC 6940 6.1.2, 6.1.3: list compression;
 * catalogue VL-1, VL-5..VL-8, VL-11, A-12).
 *
 * Usually a Via List travels with its message and nothing is kept.  Where the message has become
 * nearly as long as the overlay permits, the end of the list, down to the neighbor that we have the
 * message from, is kept instead, and 13 bytes stand for it.  An answer whose Destination List
 * names that id gets the entries back, from the last to the first.  Ids are of a place and a random
 * number that belongs to this use of it: nobody guesses one, and one that is over leads nowhere.
 *
 * Repetitions of a request from the same neighbor find what is kept, so that they cost nothing.
 *
 * Owner:  one for each overlay.
 * Limits: `cap` lists of at most VIA_LIST_BYTES, `per_source` of them for one neighbor (0: any
 *         number), for VIA_LIFE_US after the request came last, or keep_us if that is longer.
 *         Before keep_us, the overlay-reliability-timer, nothing gives way (VL-7): a newcomer is
 *         refused, and its list goes on as it is.  After it the oldest does, of the neighbor that
 *         has its share or else of all.  But where all places are taken, the oldest of the neighbor
 *         that has most of them goes at any time, if the newcomer's has fewer even then: some few
 *         cannot keep the others out.
 */
#pragma once
#include "codec/fwd.h"
#include "core/turn.h"

enum {
    VIA_LIST_BYTES = 512, /* more is left in the message, in front of the id */
    VIA_ID_BYTES = 10,
    VIA_ENTRY_BYTES = 3 + VIA_ID_BYTES, /* as it stands in a list */
    VIA_LIFE_US = 15000000,             /* a request is given up by then, mostly */
};

struct via_kept {
    uint64_t number; /* random; 0: never used */
    uint64_t transaction_id;
    uint64_t asked_us; /* when the request came last */
    struct node_id from;
    uint16_t len;    /* of its list */
    bool is_counted; /* while the heaviest neighbor is looked for */
};

struct via {
    struct via_kept *kept;
    uint8_t *lists; /* apart from them: a search does not touch these */
    uint32_t cap, per_source;
    uint32_t next; /* places are used by turns (VL-6) */
    uint64_t keep_us;
};

size_t via_bytes(uint32_t cap);
void via_init(struct via *v, struct arena *arena, uint32_t cap, uint32_t per_source,
              uint64_t keep_us);

/* Keeps `list`, at most VIA_LIST_BYTES of entries in the order of a Via List, of a request that has
 * come from the neighbor `from`.  False, counted: no place. */
bool via_keep(struct turn *t, struct via *v, uint64_t transaction_id, const struct node_id *from,
              struct slice list, uint8_t id[VIA_ID_BYTES]);
/* The list that `id` stands for; false when it is not ours, or over. */
bool via_find(const struct turn *t, const struct via *v, struct slice id, struct slice *list);
/* Lists kept at the moment. */
uint32_t via_count(const struct turn *t, const struct via *v);
