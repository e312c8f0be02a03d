/* SPDX-License-Identifier: Apache-2.0 */
/* slices.c - see slices.h. */
#include "bench/slices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void slices_add(struct slices *s, double ns)
{
    CHECK(s->count < SLICES_CAP);
    s->ns[s->count++] = ns;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Where a share of sorted values lies below. */
static double quantile(const double *sorted, uint32_t count, double share)
{
    double at = share * (count - 1);
    uint32_t i = (uint32_t)at;
    return i + 1 < count ? sorted[i] + (at - i) * (sorted[i + 1] - sorted[i]) : sorted[i];
}

double slices_median(const struct slices *s)
{
    double ns[SLICES_CAP];
    CHECK(s->count > 0);
    memcpy(ns, s->ns, s->count * sizeof(ns[0]));
    qsort(ns, s->count, sizeof(ns[0]), by_size);
    return quantile(ns, s->count, 0.5);
}

struct slices slices_sum(const struct slices *a, const struct slices *b)
{
    struct slices sum = *a;
    CHECK(a->count == b->count);
    for (uint32_t i = 0; i < sum.count; i++) {
        sum.ns[i] += b->ns[i];
    }
    return sum;
}

/* By Newton; both are larger than 0. */
static double geometric_mean(double a, double b)
{
    enum { STEPS = 64 };
    double mean = (a + b) / 2;
    for (int i = 0; i < STEPS; i++) {
        mean = (mean + a * b / mean) / 2;
    }
    return mean;
}

struct slices_ratio slices_ratio(const struct slices *over, const struct slices *under)
{
    double turns[SLICES_CAP / 2];
    uint32_t count = over->count / 2;
    CHECK(count > 0 && over->count % 2 == 0 && over->count == under->count);
    for (uint32_t i = 0; i < count; i++) {
        const double *a = over->ns + 2 * (size_t)i, *b = under->ns + 2 * (size_t)i;
        turns[i] = (a[0] + a[1]) / (b[0] + b[1]);
    }
    qsort(turns, count, sizeof(turns[0]), by_size);
    return (struct slices_ratio){geometric_mean(turns[(count - 1) / 2], turns[count / 2]),
                                 quantile(turns, count, 0.25), quantile(turns, count, 0.75)};
}

void slices_print_json(const struct slices *const *all, uint32_t count)
{
    printf(", \"slices\": {");
    for (uint32_t i = 0; i < count; i++) {
        printf("%s\"%s\": [", i == 0 ? "" : ", ", all[i]->name);
        for (uint32_t k = 0; k < all[i]->count; k++) {
            printf("%s%.2f", k == 0 ? "" : ", ", all[i]->ns[k]);
        }
        printf("]");
    }
    printf("}");
}
