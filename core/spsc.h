/* SPDX-License-Identifier: Apache-2.0 */
/* spsc.h - single-producer single-consumer ring of fixed-size items between two threads.
 *
 * One of the three files in which _Atomic may stand.  The producer publishes with a release store
 * of `tail` that pairs with the consumer's acquire load, the consumer gives slots back with a
 * release store of `head` that pairs with the producer's acquire load.  Each side caches the
 * other's index so that a batch costs one shared cache line. */
#pragma once
#include "core/arena.h"

enum { SPSC_LINE = 64 };

struct spsc {
    _Alignas(SPSC_LINE) _Atomic uint32_t tail; /* producer writes */
    uint32_t head_seen;                        /* producer's copy of head */
    _Alignas(SPSC_LINE) _Atomic uint32_t head; /* consumer writes */
    uint32_t tail_seen;                        /* consumer's copy of tail */
    _Alignas(SPSC_LINE) uint8_t *items;
    uint32_t item_bytes;
    uint32_t mask; /* capacity - 1, a power of two */
};

/* `cap` is rounded up to a power of two. */
void spsc_init(struct spsc *q, struct arena *arena, uint32_t cap, size_t item_bytes);
bool spsc_push(struct spsc *q, const void *item); /* false = full */
bool spsc_pop(struct spsc *q, void *item);        /* false = empty */
bool spsc_is_empty(struct spsc *q);               /* asked by the consumer */
uint32_t spsc_room(struct spsc *q);               /* free slots at least; asked by the producer */
