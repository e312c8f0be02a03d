/* SPDX-License-Identifier: Apache-2.0 */
/* siphash.c - see siphash.h.  Words are little-endian, as the paper has them. */
#include "core/siphash.h"

enum { WORD = 8, MARK_128 = 0xee, MARK_SECOND = 0xdd };

struct state {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static inline void round_one(struct state *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 = rotate(s->v2, 32);
}

static inline uint64_t load(const uint8_t *p)
{
    uint64_t x;
    memcpy(&x, p, sizeof(x));
    return x;
}

static inline void take(struct state *s, uint64_t word)
{
    s->v3 ^= word;
    round_one(s);
    round_one(s);
    s->v0 ^= word;
}

static inline uint64_t finish(struct state *s)
{
    for (unsigned i = 0; i < 4; i++) {
        round_one(s);
    }
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

HOT void siphash_128(const uint8_t key[SIPHASH_BYTES], struct slice bytes,
                     uint8_t out[SIPHASH_BYTES])
{
    uint64_t k0 = load(key), k1 = load(key + WORD), hash[2];
    struct state s = {.v0 = k0 ^ UINT64_C(0x736f6d6570736575),
                      .v1 = k1 ^ UINT64_C(0x646f72616e646f6d) ^ MARK_128,
                      .v2 = k0 ^ UINT64_C(0x6c7967656e657261),
                      .v3 = k1 ^ UINT64_C(0x7465646279746573)};
    size_t whole = bytes.len / WORD * WORD;
    for (size_t i = 0; i < whole; i += WORD) {
        take(&s, load(bytes.data + i));
    }
    uint64_t last = (uint64_t)bytes.len << 56; /* the length, behind what is left */
    for (size_t i = whole; i < bytes.len; i++) {
        last |= (uint64_t)bytes.data[i] << 8 * (i - whole);
    }
    take(&s, last);
    s.v2 ^= MARK_128;
    hash[0] = finish(&s);
    s.v1 ^= MARK_SECOND;
    hash[1] = finish(&s);
    memcpy(out, hash, sizeof(hash));
}
