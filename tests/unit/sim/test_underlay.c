/* SPDX-License-Identifier: Apache-2.0 */
/* test_underlay.c - delays of the three kinds, and lines of datagrams. */
#include "sim/underlay.h"
#include <criterion/criterion.h>
#include <stdlib.h>

enum { NODES = 50 };

static void *make(struct underlay *u, const struct underlay_settings *s)
{
    struct arena arena;
    size_t bytes = underlay_bytes(s, NODES);
    void *block = malloc(bytes);
    arena_init(&arena, block, bytes);
    underlay_init(u, &arena, s, NODES, 5);
    return block;
}

Test(underlay, pairs_and_constant)
{
    struct underlay u;
    struct underlay_settings s = {.kind = UNDERLAY_PAIRS, .delay_us = 1000};
    void *block = make(&u, &s);
    bool differs = false;
    for (uint32_t i = 1; i < NODES; i++) {
        uint64_t there = underlay_delay_us(&u, 0, 0, i, 100);
        cr_assert_eq(there, underlay_delay_us(&u, 7, i, 0, 9000), "both ways, any time, any size");
        cr_assert(there >= 1000 && there <= 2000);
        differs |= there != underlay_delay_us(&u, 0, 0, 1, 100);
    }
    cr_assert(differs);
    free(block);
    s.kind = UNDERLAY_CONSTANT;
    s.jitter_us = 10;
    block = make(&u, &s);
    for (uint32_t i = 0; i < 100; i++) {
        uint64_t delay = underlay_delay_us(&u, i, 0, 1, 100);
        cr_assert(delay >= 1000 && delay <= 1010);
    }
    free(block);
}

/* wait + size / rate + delay + distance + size / rate + delay, and up to a tenth. */
Test(underlay, coordinates)
{
    struct underlay u;
    struct underlay_settings s = {.kind = UNDERLAY_COORDINATES,
                                  .extent_us = 100000,
                                  .access_bytes_per_s = 1000000,
                                  .access_delay_us = 300};
    void *block = make(&u, &s);
    u.places[0] = (struct underlay_place){.x_us = 0, .y_us = 0};
    u.places[1] = (struct underlay_place){.x_us = 30000, .y_us = 40000};
    uint64_t one = underlay_delay_us(&u, 0, 0, 1, 1000);
    uint64_t least = 1000 + 300 + 50000 + 1000 + 300;
    cr_assert(one >= least && one <= least + least / 10, "%lu", (unsigned long)one);
    uint64_t two = underlay_delay_us(&u, 0, 0, 1, 1000); /* waits for the first */
    cr_assert(two >= least + 1000 && two <= least + 1000 + (least + 1000) / 10);
    uint64_t later = underlay_delay_us(&u, 1000000, 0, 1, 1000);
    cr_assert(later >= least && later <= least + least / 10);
    free(block);
}

Test(underlay, lines_lose_and_double)
{
    struct underlay u;
    struct underlay_settings s = {.kind = UNDERLAY_CONSTANT,
                                  .delay_us = 1000,
                                  .line = {.loss_ppm = 100000, .duplicate_ppm = 100000}};
    void *block = make(&u, &s);
    uint32_t lost = 0;
    uint32_t doubled = 0;
    for (uint32_t i = 0; i < 10000; i++) {
        struct narrow_fate fate = underlay_datagram(&u, i * 1000, 0, 1, 100);
        lost += fate.copies == 0 ? 1 : 0;
        doubled += fate.copies == 2 ? 1 : 0;
        cr_assert(fate.copies == 0 || fate.arrives_us[0] == i * 1000 + 1000);
    }
    cr_assert(lost > 800 && lost < 1200 && doubled > 700 && doubled < 1100);
    free(block);
}
