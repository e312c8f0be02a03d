/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/load_schedule.h"

#define NS_PER_S 1e9
#define LN_2 0.69314718055994530942

/* -ln(u) for u = k / 2^53, 0 < k < 2^53: by halving, then the series of artanh, whose error here is
 * below 1e-6.  libm is not linked for one logarithm. */
static double minus_ln(uint64_t k)
{
    int shift = __builtin_clzll(k) - 11;      /* k << shift lies in [2^52, 2^53) */
    double m = (double)(k << shift) / 0x1p52; /* 1 <= m < 2 */
    double z = (m - 1) / (m + 1);             /* below 1/3 */
    double z2 = z * z;
    double ln_m = 2 * z * (1 + z2 * (1 / 3.0 + z2 * (1 / 5.0 + z2 * (1 / 7.0 + z2 / 9.0))));
    return LN_2 * (1 + shift) - ln_m;
}

static double gap(struct load_schedule *s)
{
    if (s->kind == LOAD_SCHEDULE_CONSTANT) {
        return s->gap_ns;
    }
    uint64_t k = rng_next(&s->rng) >> 11;
    return s->gap_ns * minus_ln(k == 0 ? 1 : k);
}

void load_schedule_init(struct load_schedule *s, enum load_schedule_kind kind, uint64_t rate,
                        uint64_t begin_ns, uint64_t seed)
{
    CHECK(rate > 0);
    *s = (struct load_schedule){
        .kind = kind, .gap_ns = NS_PER_S / (double)rate, .begin_ns = begin_ns};
    rng_init(&s->rng, seed);
    s->ahead = kind == LOAD_SCHEDULE_CONSTANT ? 0 : gap(s);
}

uint64_t load_schedule_next(const struct load_schedule *s)
{
    return s->begin_ns + (uint64_t)s->ahead;
}

void load_schedule_take(struct load_schedule *s)
{
    s->ahead += gap(s);
}
