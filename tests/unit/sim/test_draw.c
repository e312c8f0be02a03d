/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/draw.h"
#include <criterion/criterion.h>

Test(draw, the_logarithm_is_right)
{
    static const struct {
        uint64_t u, minus_ln; /* 32 bits behind the point */
    } cases[] = {
        {1ULL << 63, 0xb17217f7},             /* ln 2 */
        {1ULL << 62, 0x162e42fef},            /* 2 ln 2 */
        {1, 0x2c5c85fdf4},                    /* 64 ln 2 */
        {0, 0x2c5c85fdf4},                    /* counts as 1 */
        {6786177901268885275ULL, 1ULL << 32}, /* 1/e */
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        int64_t off = (int64_t)(draw_minus_ln(cases[i].u) - cases[i].minus_ln);
        cr_expect(off >= -64 && off <= 64, "case %zu: off by %ld", i, (long)off);
    }
}

Test(draw, means_are_as_asked)
{
    enum { DRAWN = 200000, MEAN_US = 1000000 };
    static const uint64_t percent[DRAW_SHAPES] = {2, 5, 15}; /* the tails are heavy */
    for (int shape = 0; shape < DRAW_SHAPES; shape++) {
        struct rng r;
        uint64_t sum = 0;
        rng_init(&r, 7);
        for (int i = 0; i < DRAWN; i++) {
            sum += draw_us(&r, (enum draw_shape)shape, MEAN_US);
        }
        uint64_t mean = sum / DRAWN;
        uint64_t off = mean > MEAN_US ? mean - MEAN_US : MEAN_US - mean;
        cr_expect(off * 100 <= percent[shape] * MEAN_US, "shape %d: mean %lu", shape,
                  (unsigned long)mean);
    }
}

Test(draw, same_seed_same_draws)
{
    struct rng a;
    struct rng b;
    rng_init(&a, 3);
    rng_init(&b, 3);
    for (int i = 0; i < 1000; i++) {
        enum draw_shape shape = (enum draw_shape)(i % DRAW_SHAPES);
        cr_assert_eq(draw_us(&a, shape, 1000), draw_us(&b, shape, 1000));
    }
}
