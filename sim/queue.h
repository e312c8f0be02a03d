/* SPDX-License-Identifier: Apache-2.0 */
/* queue.h - what is going to happen in a made-up world, ordered by (time, sequence).
 *
 * A calendar: what happens within the next millisecond stands in a small heap, the rest in slots of
 * a millisecond, of four seconds, and far away, from where it comes nearer as time goes on.  So the
 * cost of an event does not grow with how many wait.  Two events of the same time happen in the
 * order in which they were put in, which is what makes a run repeatable.
 *
 * Owner: the world.  Limits: `cap` events; memory is touched as it is used. */
#pragma once
#include "core/arena.h"
#include "core/io.h"

enum queue_what {
    QUEUE_IO,   /* event for node, its bytes in buf */
    QUEUE_WAKE, /* the node's timers are due */
    QUEUE_DISK, /* a sync of its disk ends */
    QUEUE_PHONE /* a datagram for a phone (sim/world_phones), or its time has come */
};

struct queue_event {
    uint64_t at_us;
    uint64_t sequence;
    uint32_t node;
    uint32_t incarnation; /* of the node: what was meant for an earlier one is dropped */
    enum queue_what what;
    uint32_t next; /* the queue's own */
    struct io_event io;
    struct msgbuf *buf; /* one reference, or NULL */
};

enum { QUEUE_SLOT_BITS = 10, QUEUE_LEVEL_BITS = 12, QUEUE_SLOTS = 1 << QUEUE_LEVEL_BITS };

struct queue_entry {
    uint64_t at_us;
    uint64_t sequence;
    uint32_t index;
};

struct queue_level {
    uint32_t first[QUEUE_SLOTS]; /* index + 1 */
    uint64_t occupied[QUEUE_SLOTS / 64];
};

struct queue {
    struct queue_event *events;
    struct queue_entry *heap; /* due in slot `now` or before */
    uint64_t now;             /* at_us >> QUEUE_SLOT_BITS */
    uint32_t cap;
    uint32_t count; /* all events that wait */
    uint32_t in_heap;
    uint32_t never_used;
    uint32_t first_free; /* index + 1 */
    uint32_t far;        /* index + 1 */
    uint64_t sequence;
    struct queue_level levels[2];
};

size_t queue_bytes(uint32_t cap);
void queue_init(struct queue *q, struct arena *arena, uint32_t cap);
/* Takes a copy; a full queue means that the world was made too small: CHECK. */
void queue_put(struct queue *q, const struct queue_event *event);
/* The first one, NULL when empty; good until the next call. */
const struct queue_event *queue_first(struct queue *q);
void queue_take(struct queue *q, struct queue_event *out);
/* One of the next to come, the sooner the smaller `place`; NULL: it is not known yet. */
const struct queue_event *queue_soon(const struct queue *q, uint32_t place);
