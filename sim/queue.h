/* SPDX-License-Identifier: Apache-2.0 */
/* queue.h - what is going to happen in a made-up world, ordered by (time, sequence).
 *
 * A binary heap of fixed capacity.  Two events of the same time happen in the order in which they
 * were put in, which is what makes a run repeatable. */
#pragma once
#include "core/io.h"

enum queue_what {
    QUEUE_IO,   /* event for node, its bytes in buf */
    QUEUE_WAKE, /* the node's timers are due */
    QUEUE_DISK, /* a sync of its disk ends */
};

struct queue_event {
    uint64_t at_us;
    uint64_t sequence;
    uint32_t node;
    uint32_t incarnation; /* of the node: what was meant for an earlier one is dropped */
    enum queue_what what;
    struct io_event io;
    struct msgbuf *buf; /* one reference, or NULL */
};

struct queue {
    struct queue_event *heap;
    uint32_t cap;
    uint32_t count;
    uint64_t sequence;
};

void queue_init(struct queue *q, struct arena *arena, uint32_t cap);
/* Takes a copy; a full queue means that the world was made too small: CHECK. */
void queue_put(struct queue *q, const struct queue_event *event);
const struct queue_event *queue_first(const struct queue *q); /* NULL when empty */
void queue_take(struct queue *q, struct queue_event *out);
