/* SPDX-License-Identifier: Apache-2.0 */
/* rng.c - xoshiro256** (Blackman, Vigna), state spread from the seed by splitmix64. */
#include "core/rng.h"
#include <string.h>

static uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

void rng_init(struct rng *r, uint64_t seed)
{
    for (size_t i = 0; i < ARRAY_COUNT(r->state); i++) {
        seed += 0x9e3779b97f4a7c15u;
        uint64_t z = seed;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        r->state[i] = z ^ z >> 31;
    }
}

uint64_t rng_next(struct rng *r)
{
    uint64_t *s = r->state;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t rng_below(struct rng *r, uint64_t bound)
{
    if (bound == 0) {
        return 0;
    }
    /* Numbers below `skip` would make the low remainders likelier: draw again. */
    uint64_t skip = -bound % bound;
    uint64_t drawn = rng_next(r);
    while (drawn < skip) {
        drawn = rng_next(r);
    }
    return drawn % bound;
}

void rng_fill(struct rng *r, void *out, size_t len)
{
    uint8_t *at = out;
    while (len > 0) {
        uint64_t drawn = rng_next(r);
        size_t now = min_size(len, sizeof(drawn));
        memcpy(at, &drawn,
               now); /* byte order of the machine: seeds are not portable to big-endian */
        at += now;
        len -= now;
    }
}

uint64_t rng_jitter(struct rng *r, uint64_t base, unsigned percent)
{
    CHECK(percent <= 100);
    uint64_t spread = base / 100 * percent + base % 100 * percent / 100;
    return base - spread + rng_below(r, 2 * spread + 1);
}
