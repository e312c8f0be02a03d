/* SPDX-License-Identifier: Apache-2.0 */
/* test_made.c - every structure of codec/msgs.def made up at random (fuzz/mutate.h) and encoded: it
 * decodes if and only if it keeps what its line demands (NEED), and decodes to the same bytes.
 *
 * The other way round, bytes first, is what the fuzz targets and the vectors do. */
#include "fuzz/mutate.h"

#include <criterion/criterion.h>

enum { SEEDS = 4000 };

static struct {
    unsigned good, bad, left_out;
} count;

#define MSG(name, rfc, fields)                                                                     \
    static void made_##name(unsigned seed, const struct rl_params *p)                              \
    {                                                                                              \
        static uint8_t bytes[MUTATE_OUT], again[MUTATE_OUT];                                       \
        struct mutate g = mutate_begin(seed, p);                                                   \
        struct msgs_##name m, got;                                                                 \
        struct wr w = wr_init(bytes, sizeof(bytes)), v = wr_init(again, sizeof(again));            \
        g.all = true;                                                                              \
        make_##name(&g, &m);                                                                       \
        msgs_##name##_wr(&w, p, &m);                                                               \
        if (!wr_ok(&w) || g.is_cut) { /* longer than its length can say */                         \
            count.left_out++;                                                                      \
            return;                                                                                \
        }                                                                                          \
        enum err e = msgs_##name##_decode(wr_slice(&w), p, &got);                                  \
        cr_assert_eq(e == ERR_OK, g.is_valid, #rfc " of seed %u", seed);                           \
        count.good += e == ERR_OK;                                                                 \
        count.bad += e != ERR_OK;                                                                  \
        if (e == ERR_OK) {                                                                         \
            msgs_##name##_wr(&v, p, &got);                                                         \
            cr_assert(slice_is_equal(wr_slice(&v), wr_slice(&w)), #rfc " of seed %u", seed);       \
        }                                                                                          \
    }
#include "codec/msgs.def"

Test(made, decodes_exactly_when_it_is_good)
{
    for (unsigned seed = 0; seed < SEEDS; seed++) {
        const struct rl_params p = {.overlay = 1, .node_id_length = (uint8_t)(16 + seed % 5)};
#define MSG(name, rfc, fields) made_##name(seed, &p);
#include "codec/msgs.def"
    }
    cr_assert_gt(count.good, 20u * SEEDS, "%u", count.good);
    cr_assert_gt(count.bad, SEEDS, "%u", count.bad);
    cr_assert_lt(count.left_out, 5u * SEEDS, "%u", count.left_out);
}
