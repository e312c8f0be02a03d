/* SPDX-License-Identifier: Apache-2.0 */
/* draw.h - how long something lasts, drawn from a seed: integers only, so that every machine and
 * every compiler draws the same. */
#pragma once
#include "core/rng.h"

enum draw_shape {
    DRAW_EXPONENTIAL,
    DRAW_WEIBULL, /* shape 1/2: many short lives, a few long ones */
    DRAW_PARETO,  /* shifted, shape 2: heavier still */
    DRAW_SHAPES
};

/* -ln(u / 2^64), 32 bits behind the point; u = 0 counts as 1. */
uint64_t draw_minus_ln(uint64_t u);
/* At most a thousand times the mean. */
uint64_t draw_us(struct rng *r, enum draw_shape shape, uint64_t mean_us);
