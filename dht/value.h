/* SPDX-License-Identifier: Apache-2.0 */
/* value.h - memory for stored values: contiguous pieces of one region, buddy system.
 *
 * Pieces are powers of two from VALUE_BYTES_MIN on; a piece is named by its number, never by a
 * pointer.  No piece is ever moved.
 * Owner:  the store.  Limits: `cap` bytes in all; full is a normal result. */
#pragma once
#include "core/arena.h"
#include "core/slice.h"

enum {
    VALUE_BYTES_MIN = 64,
    VALUE_ORDERS = 12, /* largest piece: 128 KiB */
    VALUE_NONE = 0,
};

struct value_heap {
    uint8_t *bytes;
    uint8_t *orders; /* of each unit: order + 1 where a piece starts, bit 7 = free; else 0 */
    uint32_t units;  /* of VALUE_BYTES_MIN bytes */
    uint32_t free_units;
    uint32_t used_bytes;          /* asked for, not rounded */
    uint32_t first[VALUE_ORDERS]; /* free pieces of each order: number, VALUE_NONE = none */
};

size_t value_heap_bytes(uint32_t cap);
void value_heap_init(struct value_heap *h, struct arena *arena, uint32_t cap);
/* The number of a piece of at least `len` bytes (len > 0), VALUE_NONE when there is none. */
uint32_t value_acquire(struct value_heap *h, size_t len);
void value_release(struct value_heap *h, uint32_t piece, size_t len);
uint8_t *value_at(const struct value_heap *h, uint32_t piece);
