/* SPDX-License-Identifier: Apache-2.0 */
/* metric.c - names, kinds and help texts, made from metric.def. */
#include "core/metric.h"

struct description {
    const char *name;
    const char *kind;
    const char *help;
};

static const struct description descriptions[METRIC_COUNT] = {
#define METRIC(name, kind, help) {#name, #kind, help},
#include "core/metric.def"
#undef METRIC
};

const char *metric_name(enum metric which)
{
    CHECK((unsigned)which < METRIC_COUNT);
    return descriptions[which].name;
}

const char *metric_kind(enum metric which)
{
    CHECK((unsigned)which < METRIC_COUNT);
    return descriptions[which].kind;
}

const char *metric_help(enum metric which)
{
    CHECK((unsigned)which < METRIC_COUNT);
    return descriptions[which].help;
}
