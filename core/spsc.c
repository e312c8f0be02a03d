/* SPDX-License-Identifier: Apache-2.0 */
/* spsc.c - see spsc.h.  Indices run freely and wrap at 2^32; the mask picks the slot. */
#include "core/spsc.h"
#include <stdatomic.h>
#include <string.h>

void spsc_init(struct spsc *q, struct arena *arena, uint32_t cap, size_t item_bytes)
{
    CHECK(cap > 0);
    CHECK(cap <= UINT32_MAX / 4);
    CHECK(item_bytes > 0);
    CHECK(item_bytes <= UINT16_MAX);
    uint32_t slots = 1;
    while (slots < cap) {
        slots *= 2;
    }
    atomic_init(&q->tail, 0);
    atomic_init(&q->head, 0);
    q->head_seen = 0;
    q->tail_seen = 0;
    q->item_bytes = (uint32_t)item_bytes;
    q->mask = slots - 1;
    q->items = arena_take(arena, slots, item_bytes, SPSC_LINE);
}

bool spsc_push(struct spsc *q, const void *item)
{
    /* relaxed: only this side writes tail */
    uint32_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
    if (tail - q->head_seen > q->mask) {
        /* acquire: pairs with the release of head in spsc_pop; the slot has been read */
        q->head_seen = atomic_load_explicit(&q->head, memory_order_acquire);
        if (tail - q->head_seen > q->mask) {
            return false;
        }
    }
    memcpy(q->items + (size_t)(tail & q->mask) * q->item_bytes, item, q->item_bytes);
    /* release: pairs with the acquire of tail in spsc_pop; the slot has been written */
    atomic_store_explicit(&q->tail, tail + 1, memory_order_release);
    return true;
}

bool spsc_pop(struct spsc *q, void *item)
{
    /* relaxed: only this side writes head */
    uint32_t head = atomic_load_explicit(&q->head, memory_order_relaxed);
    if (head == q->tail_seen) {
        /* acquire: pairs with the release of tail in spsc_push */
        q->tail_seen = atomic_load_explicit(&q->tail, memory_order_acquire);
        if (head == q->tail_seen) {
            return false;
        }
    }
    memcpy(item, q->items + (size_t)(head & q->mask) * q->item_bytes, q->item_bytes);
    /* release: pairs with the acquire of head in spsc_push */
    atomic_store_explicit(&q->head, head + 1, memory_order_release);
    return true;
}

bool spsc_is_empty(struct spsc *q)
{
    uint32_t head = atomic_load_explicit(&q->head, memory_order_relaxed); /* own index */
    /* acquire: pairs with the release of tail in spsc_push */
    return head == atomic_load_explicit(&q->tail, memory_order_acquire);
}

uint32_t spsc_room(struct spsc *q)
{
    /* relaxed: only this side writes tail */
    uint32_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
    /* acquire: pairs with the release of head in spsc_pop; those slots have been read */
    q->head_seen = atomic_load_explicit(&q->head, memory_order_acquire);
    return q->mask + 1 - (tail - q->head_seen);
}
