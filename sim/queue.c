/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/queue.h"

void queue_init(struct queue *q, struct arena *arena, uint32_t cap)
{
    *q = (struct queue){.heap = ARENA_ARRAY(arena, struct queue_event, cap), .cap = cap};
}

static bool is_before(const struct queue_event *a, const struct queue_event *b)
{
    return a->at_us < b->at_us || (a->at_us == b->at_us && a->sequence < b->sequence);
}

void queue_put(struct queue *q, const struct queue_event *event)
{
    CHECK(q->count < q->cap);
    struct queue_event e = *event;
    e.sequence = q->sequence++;
    uint32_t at = q->count++;
    while (at > 0 && is_before(&e, &q->heap[(at - 1) / 2])) {
        q->heap[at] = q->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    q->heap[at] = e;
}

const struct queue_event *queue_first(const struct queue *q)
{
    return q->count == 0 ? NULL : &q->heap[0];
}

void queue_take(struct queue *q, struct queue_event *out)
{
    CHECK(q->count > 0);
    *out = q->heap[0];
    struct queue_event last = q->heap[--q->count];
    uint32_t at = 0;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= q->count) {
            break;
        }
        if (child + 1 < q->count && is_before(&q->heap[child + 1], &q->heap[child])) {
            child++;
        }
        if (!is_before(&q->heap[child], &last)) {
            break;
        }
        q->heap[at] = q->heap[child];
        at = child;
    }
    q->heap[at] = last;
}
