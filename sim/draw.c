/* SPDX-License-Identifier: Apache-2.0 */
/* All three by inversion of a uniform u in (0, 1): exponential -ln u; Weibull of shape 1/2 its
 * square, over two for the mean; Pareto of shape 2, shifted to begin at nothing, 1/sqrt(u) - 1. */
#include "sim/draw.h"

enum { POINT = 32, LONGEST = 1000 };
#define LN_2 0xb17217f8ULL /* 32 bits behind the point */

typedef unsigned __int128 u128;

/* The logarithm to base 2 digit by digit: squaring doubles it. */
uint64_t draw_minus_ln(uint64_t u)
{
    uint64_t at = u == 0 ? 1 : u;
    unsigned zeros = (unsigned)__builtin_clzll(at);
    uint64_t x = at << zeros; /* in [1, 2), 63 bits behind the point */
    uint64_t log = (uint64_t)(63 - zeros) << POINT;
    for (unsigned bit = POINT; bit-- > 0;) {
        u128 square = (u128)x * x >> 63;
        bool is_two = square >> 64 != 0;
        x = (uint64_t)(is_two ? square >> 1 : square);
        log |= is_two ? 1ULL << bit : 0;
    }
    uint64_t minus = (64ULL << POINT) - log;
    return (uint64_t)((u128)minus * LN_2 >> POINT);
}

static uint32_t root_of(uint64_t n)
{
    uint64_t root = 0;
    for (uint64_t bit = 1ULL << 31; bit != 0; bit >>= 1) {
        uint64_t next = root | bit;
        root = next * next <= n ? next : root;
    }
    return (uint32_t)root;
}

/* In means, 32 bits behind the point. */
static u128 drawn(struct rng *r, enum draw_shape shape)
{
    uint64_t u = rng_next(r);
    u128 e = 0;
    switch (shape) {
    case DRAW_EXPONENTIAL:
        return draw_minus_ln(u);
    case DRAW_WEIBULL:
        e = draw_minus_ln(u);
        return (e * e >> POINT) / 2;
    case DRAW_PARETO:
        return ((u128)1 << (2 * POINT)) / ((u128)root_of(u) + 1) - (1ULL << POINT) + 1;
    case DRAW_SHAPES:
        break;
    }
    UNREACHABLE("shape");
}

uint64_t draw_us(struct rng *r, enum draw_shape shape, uint64_t mean_us)
{
    u128 means = drawn(r, shape);
    u128 cap = (u128)LONGEST << POINT;
    return (uint64_t)((means < cap ? means : cap) * mean_us >> POINT);
}
