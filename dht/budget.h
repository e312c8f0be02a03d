/* SPDX-License-Identifier: Apache-2.0 */
/* budget.h - what the pools and tables of core take from an arena, for the _bytes functions here.
 */
#pragma once
#include "core/pool.h"
#include "core/table.h"

enum { BUDGET_SLACK = 256 }; /* alignment of a handful of arrays */

static inline size_t budget_table(size_t cap, size_t key_bytes)
{
    size_t slots = 8;
    while (slots < cap + cap / 3 + 1) {
        slots *= 2;
    }
    return slots * (key_bytes + sizeof(uint32_t)) + BUDGET_SLACK;
}

static inline size_t budget_pool(size_t cap, size_t object_size)
{
    enum { ALIGNMENT = 16 }; /* as in core/pool.c */
    size_t stride = (object_size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return cap * (stride + 2 * sizeof(uint32_t)) + BUDGET_SLACK;
}
