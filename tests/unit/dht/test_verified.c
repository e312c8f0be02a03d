/* SPDX-License-Identifier: Apache-2.0 */
/* dht/verified: nothing is known that was not added, and one signer displaces a quarter at most. */
#include "dht/verified.h"
#include <criterion/criterion.h>
#include <stdlib.h>

enum { MEMORY = 1 << 20 };

static uint8_t *memory;

static void setup(struct verified *v, uint32_t cap)
{
    struct arena arena;
    memory = calloc(1, MEMORY);
    arena_init(&arena, memory, MEMORY);
    verified_init(v, &arena, cap, 42);
    cr_assert_leq(arena.used, verified_bytes(cap));
}

/* Something that looks like a digest of `number`. */
static const uint8_t *digest(uint64_t number)
{
    static uint8_t out[2][CRYPTO_SHA256_BYTES];
    static unsigned which;
    uint8_t *at = out[which++ % 2];
    for (size_t i = 0; i < CRYPTO_SHA256_BYTES; i += 8) {
        number = (number + 1) * 0x9e3779b97f4a7c15ULL;
        number ^= number >> 29;
        memcpy(at + i, &number, 8);
    }
    return at;
}

static uint32_t count(const struct verified *v, uint64_t from, uint64_t to, uint64_t signer)
{
    uint32_t known = 0;
    for (uint64_t i = from; i < to; i++) {
        known += verified_has(v, digest(i), digest(signer)) ? 1 : 0;
    }
    return known;
}

Test(verified, what_was_added_is_known)
{
    struct verified v;
    setup(&v, 1024);
    for (uint64_t i = 0; i < 64; i++) {
        cr_assert_not(verified_has(&v, digest(i), digest(7777)));
        verified_add(&v, digest(i), digest(7777));
        cr_assert(verified_has(&v, digest(i), digest(7777)));
    }
    cr_expect_geq(count(&v, 0, 64, 7777), 60);
    cr_expect_eq(count(&v, 64, 1000, 7777), 0);
    free(memory);
}

Test(verified, one_signer_has_a_quarter)
{
    struct verified v;
    setup(&v, 1024);
    for (uint64_t signer = 0; signer < 64; signer++) {
        verified_add(&v, digest(100000 + signer), digest(200000 + signer));
    }
    for (uint64_t i = 0; i < 20000; i++) {
        verified_add(&v, digest(i), digest(7777));
    }
    uint32_t left = 0;
    for (uint64_t signer = 0; signer < 64; signer++) {
        left += verified_has(&v, digest(100000 + signer), digest(200000 + signer)) ? 1 : 0;
    }
    cr_expect(left >= 32 && left < 64, "%u of 64", left);
    uint32_t own = count(&v, 0, 20000, 7777);
    cr_expect(own > 128 && own <= 256, "%u", own);
    free(memory);
}

Test(verified, none_at_all)
{
    struct verified v;
    setup(&v, 0);
    verified_add(&v, digest(1), digest(2));
    cr_expect_not(verified_has(&v, digest(1), digest(2)));
    free(memory);
}
