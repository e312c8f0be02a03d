/* SPDX-License-Identifier: Apache-2.0 */
/* A buddy allocator whose state is one byte a unit; free pieces are chained through themselves. */
#include "dht/value.h"

#include "core/base.h"

#define FREE_BIT 0x80u

struct link_words {
    uint32_t next;
    uint32_t prev;
};

static struct link_words *words(const struct value_heap *h, uint32_t piece)
{
    return (struct link_words *)(void *)value_at(h, piece);
}

static unsigned order_of(size_t len)
{
    unsigned order = 0;
    while (((size_t)VALUE_BYTES_MIN << order) < len) {
        order++;
    }
    return order;
}

static void put_free(struct value_heap *h, uint32_t unit, unsigned order)
{
    uint32_t piece = unit + 1;
    h->orders[unit] = (uint8_t)(FREE_BIT | (order + 1));
    *words(h, piece) = (struct link_words){h->first[order], VALUE_NONE};
    if (h->first[order] != VALUE_NONE) {
        words(h, h->first[order])->prev = piece;
    }
    h->first[order] = piece;
}

static void take_free(struct value_heap *h, uint32_t unit, unsigned order)
{
    uint32_t piece = unit + 1;
    CHECK(h->orders[unit] == (FREE_BIT | (order + 1)));
    struct link_words links = *words(h, piece);
    if (links.prev != VALUE_NONE) {
        words(h, links.prev)->next = links.next;
    } else {
        CHECK(h->first[order] == piece);
        h->first[order] = links.next;
    }
    if (links.next != VALUE_NONE) {
        words(h, links.next)->prev = links.prev;
    }
    h->orders[unit] = 0;
}

static uint32_t units_of(uint32_t cap)
{
    return cap / VALUE_BYTES_MIN;
}

size_t value_heap_bytes(uint32_t cap)
{
    return ((size_t)units_of(cap) + 2) * (VALUE_BYTES_MIN + 1);
}

void value_heap_init(struct value_heap *h, struct arena *arena, uint32_t cap)
{
    memset(h, 0, sizeof(*h));
    h->units = units_of(cap);
    h->bytes = arena_take_raw(arena, h->units, VALUE_BYTES_MIN, VALUE_BYTES_MIN);
    h->orders = ARENA_ARRAY(arena, uint8_t, h->units);
    /* The region as the largest aligned pieces that fill it. */
    uint32_t unit = 0;
    while (unit < h->units) {
        unsigned order = VALUE_ORDERS - 1;
        while ((unit & ((1u << order) - 1)) != 0 || (1u << order) > h->units - unit) {
            order--;
        }
        put_free(h, unit, order);
        unit += 1u << order;
    }
    h->free_units = h->units;
}

uint32_t value_acquire(struct value_heap *h, size_t len)
{
    CHECK(len > 0);
    unsigned wanted = order_of(len);
    unsigned order = wanted;
    while (order < VALUE_ORDERS && h->first[order] == VALUE_NONE) {
        order++;
    }
    if (order >= VALUE_ORDERS) {
        return VALUE_NONE;
    }
    uint32_t unit = h->first[order] - 1;
    take_free(h, unit, order);
    while (order > wanted) {
        order--;
        put_free(h, unit + (1u << order), order);
    }
    h->orders[unit] = (uint8_t)(wanted + 1);
    h->free_units -= 1u << wanted;
    h->used_bytes += (uint32_t)len;
    return unit + 1;
}

void value_release(struct value_heap *h, uint32_t piece, size_t len)
{
    CHECK(piece != VALUE_NONE && piece <= h->units);
    uint32_t unit = piece - 1;
    unsigned order = order_of(len);
    CHECK(h->orders[unit] == order + 1);
    h->orders[unit] = 0;
    h->free_units += 1u << order;
    h->used_bytes -= (uint32_t)len;
    while (order + 1 < VALUE_ORDERS) {
        uint32_t buddy = unit ^ (1u << order);
        if (buddy >= h->units || h->orders[buddy] != (FREE_BIT | (order + 1))) {
            break;
        }
        take_free(h, buddy, order);
        unit &= ~(1u << order);
        order++;
    }
    put_free(h, unit, order);
}

uint8_t *value_at(const struct value_heap *h, uint32_t piece)
{
    CHECK(piece != VALUE_NONE && piece <= h->units);
    return h->bytes + (size_t)(piece - 1) * VALUE_BYTES_MIN;
}
