/* SPDX-License-Identifier: Apache-2.0 */
/* slices.h - costs that programs with their floor beside them measure in turn, a short slice each,
 * there and back (A B B A), and the ratio of two of them.
 *
 * The rule is the one of bench/rival_slices.py, where it is explained and tested: the ratio of a
 * turn is what its two halves of the one cost by those of the other, that of all the median of the
 * turns.  To change the places of the two gives the inverse. */
#pragma once
#include "core/base.h"

enum { SLICES_CAP = 1024 };

/* Costs in the order of time, two for each turn. */
struct slices {
    const char *name; /* the field of JSON */
    double ns[SLICES_CAP];
    uint32_t count;
};

struct slices_ratio {
    double middle, lower, upper; /* the median, and the quartiles */
};

void slices_add(struct slices *s, double ns);
/* The median of one of them. */
double slices_median(const struct slices *s);
/* Costs of one thing that has two parts, slice by slice. */
struct slices slices_sum(const struct slices *a, const struct slices *b);
struct slices_ratio slices_ratio(const struct slices *over, const struct slices *under);
/* `, "slices": {"NAME": [...], ...}` */
void slices_print_json(const struct slices *const *all, uint32_t count);
