/* SPDX-License-Identifier: Apache-2.0 */
/* limits.c - see limits.h; everything here is made from limits.def. */
#include "core/limits.h"

struct description {
    const char *name;
    const char *help;
    uint32_t value;
};

static const struct description descriptions[LIMIT_COUNT] = {
#define LIMIT(name, value, help) {#name, help, value},
#include "core/limits.def"
};

static uint32_t *field(struct limits *l, enum limit which)
{
    switch (which) {
#define LIMIT(name, value, help)                                                                   \
    case LIMIT_##name:                                                                             \
        return &l->name;
#include "core/limits.def"
    case LIMIT_COUNT:
        break;
    }
    UNREACHABLE("limit");
}

void limits_default(struct limits *l)
{
    for (unsigned i = 0; i < LIMIT_COUNT; i++) {
        *field(l, (enum limit)i) = descriptions[i].value;
    }
}

enum err limits_set(struct limits *l, struct slice name, uint64_t value)
{
    if (value > UINT32_MAX) {
        return ERR_TOO_LARGE;
    }
    for (unsigned i = 0; i < LIMIT_COUNT; i++) {
        if (slice_is_equal(name, slice_text(descriptions[i].name))) {
            *field(l, (enum limit)i) = (uint32_t)value;
            return ERR_OK;
        }
    }
    return ERR_NOT_FOUND;
}

static const uint64_t costs[LIMIT_COUNT] = {
#define COST(name, cost, what) [LIMIT_##name] = (cost),
#include "core/limits.def"
};

static const uint32_t leasts[LIMIT_COUNT] = {
#define LEAST(name, least) [LIMIT_##name] = (least),
#include "core/limits.def"
};

struct limits_range limits_range(enum limit which)
{
    CHECK((unsigned)which < LIMIT_COUNT);
    return (struct limits_range){.least = leasts[which],
                                 .most = costs[which] > 1 ? LIMITS_OBJECTS_MOST : UINT32_MAX};
}

uint32_t limits_get(const struct limits *l, enum limit which)
{
    struct limits copy = *l;
    return *field(&copy, which);
}

const char *limits_name(enum limit which)
{
    CHECK((unsigned)which < LIMIT_COUNT);
    return descriptions[which].name;
}

const char *limits_help(enum limit which)
{
    CHECK((unsigned)which < LIMIT_COUNT);
    return descriptions[which].help;
}

/* The budget is one sum over the COST lines of limits.def: every pool is a limit times what one of
 * its objects takes.  Pools are sized from the same struct limits, so nothing can take more. */
uint64_t limits_budget(const struct limits *l, struct limits_line *lines, size_t cap, size_t *count)
{
    const struct limits_line all[] = {
#define COST(limit, cost, what) {#limit, what, l->limit, (cost), (uint64_t)l->limit * (cost)},
#include "core/limits.def"
    };
    uint64_t sum = 0;
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        sum += all[i].bytes;
        if (i < cap) {
            lines[i] = all[i];
        }
    }
    *count = ARRAY_COUNT(all);
    return sum;
}
