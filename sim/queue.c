/* SPDX-License-Identifier: Apache-2.0 */
/* A time is a slot number; its digits to the base QUEUE_SLOTS say in which level it waits: the
 * highest in which it differs from now. */
#include "sim/queue.h"

enum { LEVEL_MASK = QUEUE_SLOTS - 1 };

size_t queue_bytes(uint32_t cap)
{
    return cap * (sizeof(struct queue_event) + sizeof(struct queue_entry)) + 256;
}

void queue_init(struct queue *q, struct arena *arena, uint32_t cap)
{
    memset(q, 0, sizeof(*q));
    q->events = ARENA_RAW(arena, struct queue_event, cap);
    q->heap = ARENA_RAW(arena, struct queue_entry, cap);
    q->cap = cap;
}

/* ---- the heap ---- */

static bool is_before(const struct queue_entry *a, const struct queue_entry *b)
{
    return a->at_us < b->at_us || (a->at_us == b->at_us && a->sequence < b->sequence);
}

static void heap_put(struct queue *q, uint32_t index)
{
    const struct queue_event *event = &q->events[index];
    struct queue_entry e = {event->at_us, event->sequence, index};
    uint32_t at = q->in_heap++;
    while (at > 0 && is_before(&e, &q->heap[(at - 1) / 2])) {
        q->heap[at] = q->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    q->heap[at] = e;
}

static uint32_t heap_take(struct queue *q)
{
    uint32_t index = q->heap[0].index;
    struct queue_entry last = q->heap[--q->in_heap];
    uint32_t at = 0;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= q->in_heap) {
            break;
        }
        if (child + 1 < q->in_heap && is_before(&q->heap[child + 1], &q->heap[child])) {
            child++;
        }
        if (!is_before(&q->heap[child], &last)) {
            break;
        }
        q->heap[at] = q->heap[child];
        at = child;
    }
    q->heap[at] = last;
    return index;
}

/* ---- the calendar ---- */

static void push(struct queue *q, uint32_t *list, uint32_t index)
{
    q->events[index].next = *list;
    *list = index + 1;
}

static void place(struct queue *q, uint32_t index)
{
    uint64_t slot = q->events[index].at_us >> QUEUE_SLOT_BITS;
    if (slot <= q->now) {
        heap_put(q, index);
        return;
    }
    for (uint32_t level = 0; level < ARRAY_COUNT(q->levels); level++) {
        uint32_t shift = level * QUEUE_LEVEL_BITS;
        if (slot >> shift >> QUEUE_LEVEL_BITS == q->now >> shift >> QUEUE_LEVEL_BITS) {
            uint32_t digit = (uint32_t)(slot >> shift) & LEVEL_MASK;
            push(q, &q->levels[level].first[digit], index);
            q->levels[level].occupied[digit / 64] |= UINT64_C(1) << digit % 64;
            return;
        }
    }
    push(q, &q->far, index);
}

/* All of a list, placed anew as seen from now. */
static void place_list(struct queue *q, uint32_t *list)
{
    uint32_t at = *list;
    *list = 0;
    while (at != 0) {
        uint32_t index = at - 1;
        at = q->events[index].next;
        place(q, index);
    }
}

/* The first slot of a level that is not empty, or QUEUE_SLOTS: those behind now are. */
static uint32_t first_slot(const struct queue *q, uint32_t level)
{
    const struct queue_level *l = &q->levels[level];
    uint32_t digit = (uint32_t)(q->now >> level * QUEUE_LEVEL_BITS) & LEVEL_MASK;
    for (uint32_t i = digit / 64; i < QUEUE_SLOTS / 64; i++) {
        if (l->occupied[i] != 0) {
            return i * 64 + (uint32_t)__builtin_ctzll(l->occupied[i]);
        }
    }
    return QUEUE_SLOTS;
}

static void enter(struct queue *q, uint32_t level, uint32_t digit)
{
    uint32_t shift = level * QUEUE_LEVEL_BITS;
    struct queue_level *l = &q->levels[level];
    q->now = (q->now >> shift >> QUEUE_LEVEL_BITS << QUEUE_LEVEL_BITS | digit) << shift;
    l->occupied[digit / 64] &= ~(UINT64_C(1) << digit % 64);
    place_list(q, &l->first[digit]);
}

/* Time goes on to where something waits. */
static void advance(struct queue *q)
{
    while (q->in_heap == 0) {
        uint32_t near = first_slot(q, 0);
        uint32_t later = near < QUEUE_SLOTS ? QUEUE_SLOTS : first_slot(q, 1);
        if (near < QUEUE_SLOTS) {
            enter(q, 0, near);
        } else if (later < QUEUE_SLOTS) {
            enter(q, 1, later);
        } else {
            uint64_t first = UINT64_MAX;
            for (uint32_t at = q->far; at != 0; at = q->events[at - 1].next) {
                first = min_u64(first, q->events[at - 1].at_us);
            }
            q->now = first >> QUEUE_SLOT_BITS;
            place_list(q, &q->far);
        }
    }
}

/* ---- what is asked ---- */

void queue_put(struct queue *q, const struct queue_event *event)
{
    CHECK(q->count < q->cap);
    uint32_t index = 0;
    if (q->first_free != 0) {
        index = q->first_free - 1;
        q->first_free = q->events[index].next;
    } else {
        index = q->never_used++;
    }
    q->count++;
    q->events[index] = *event;
    q->events[index].sequence = q->sequence++;
    place(q, index);
}

const struct queue_event *queue_first(struct queue *q)
{
    if (q->count == 0) {
        return NULL;
    }
    advance(q);
    return &q->events[q->heap[0].index];
}

void queue_take(struct queue *q, struct queue_event *out)
{
    CHECK(q->count > 0);
    advance(q);
    uint32_t index = heap_take(q);
    *out = q->events[index];
    push(q, &q->first_free, index);
    q->count--;
}

const struct queue_event *queue_soon(const struct queue *q, uint32_t place)
{
    return place < q->in_heap ? &q->events[q->heap[place].index] : NULL;
}
