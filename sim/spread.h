/* SPDX-License-Identifier: Apache-2.0 */
/* spread.h - how numbers are spread: mean, percentiles, most.
 *
 * Numbers below 64 are counted one by one, larger ones in 32 steps for each power of two, so that a
 * percentile is at most 3 % too large.  Integers only.  Owner: a plain value. */
#pragma once
#include "core/base.h"

enum { SPREAD_EXACT = 64, SPREAD_STEP_BITS = 5, SPREAD_BUCKETS = SPREAD_EXACT + 58 * 32 };

struct spread {
    uint64_t count;
    uint64_t total;
    uint64_t max;
    uint32_t buckets[SPREAD_BUCKETS];
};

void spread_add(struct spread *s, uint64_t number);
void spread_merge(struct spread *s, const struct spread *other);
/* The number that `per_mille` of all do not exceed; 0 when there are none. */
uint64_t spread_at(const struct spread *s, uint32_t per_mille);
