/* SPDX-License-Identifier: Apache-2.0 */
/* limits.h - every cap of the program under one name, and what they cost in memory.
 *
 * The list is core/limits.def.  A shard has one struct limits, constant after start. */
#pragma once
#include "core/err.h"
#include "core/slice.h"

struct limits {
#define LIMIT(name, value, help) uint32_t name;
#include "core/limits.def"
};

enum limit {
#define LIMIT(name, value, help) LIMIT_##name,
#include "core/limits.def"
    LIMIT_COUNT
};

/* What one unit takes; the owner of the pool checks its struct against it. */
enum limits_cost {
#define COST(name, bytes, what) LIMITS_COST_##name = (bytes),
#include "core/limits.def"
};

struct limits_line {
    const char *name; /* of the limit */
    const char *what; /* one of which takes `each` bytes */
    uint64_t count;
    uint64_t each;
    uint64_t bytes;
};

/* Objects of a pool at most: what modules compute from a count (twice as many, four times as many)
 * fits 32 bits. */
enum { LIMITS_OBJECTS_MOST = 1 << 26 };

/* What a configuration may say. */
struct limits_range {
    uint32_t least;
    uint32_t most;
};

void limits_default(struct limits *l);
/* ERR_NOT_FOUND for an unknown name, ERR_TOO_LARGE for a value beyond 32 bits. */
enum err limits_set(struct limits *l, struct slice name, uint64_t value) MUST_USE;
struct limits_range limits_range(enum limit which); /* limits_set does not ask for it */
uint32_t limits_get(const struct limits *l, enum limit which);
const char *limits_name(enum limit which);
const char *limits_help(enum limit which);
/* The sum of what all pools of one shard take.  Writes at most `cap` lines and how many there are
 * in all to *count; `lines` may be NULL when cap is 0. */
uint64_t limits_budget(const struct limits *l, struct limits_line *lines, size_t cap,
                       size_t *count);
