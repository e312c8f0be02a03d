/* SPDX-License-Identifier: Apache-2.0 */
#include "dht/verified.h"

#include "core/hash.h"
#include "core/limits.h"
#include "dht/budget.h"

STATIC_CHECK((size_t)CRYPTO_SHA256_BYTES <= LIMITS_COST_values_verified);

size_t verified_bytes(uint32_t cap)
{
    return (size_t)cap * CRYPTO_SHA256_BYTES + BUDGET_SLACK;
}

void verified_init(struct verified *v, struct arena *arena, uint32_t cap, uint64_t seed)
{
    *v = (struct verified){.sets = cap / (VERIFIED_WAYS * VERIFIED_SHARES), .seed = seed};
    if (v->sets > 0) {
        v->hashes = arena_take(arena, (size_t)v->sets * VERIFIED_WAYS * VERIFIED_SHARES,
                               CRYPTO_SHA256_BYTES, CRYPTO_SHA256_BYTES);
    }
}

/* The first of the VERIFIED_WAYS places where `hash` may stand. */
static size_t set_of(const struct verified *v, const uint8_t *hash, const uint8_t *signer)
{
    uint64_t share = hash_64(slice_of(signer, CRYPTO_SHA256_BYTES), v->seed) % VERIFIED_SHARES;
    uint64_t set = hash_64(slice_of(hash, CRYPTO_SHA256_BYTES), v->seed) % v->sets;
    return (size_t)(share * v->sets + set) * VERIFIED_WAYS;
}

bool verified_has(const struct verified *v, const uint8_t hash[CRYPTO_SHA256_BYTES],
                  const uint8_t signer[CRYPTO_SHA256_BYTES])
{
    if (v->sets == 0) {
        return false;
    }
    size_t at = set_of(v, hash, signer);
    for (size_t i = at; i < at + VERIFIED_WAYS; i++) {
        if (memcmp(v->hashes[i], hash, CRYPTO_SHA256_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

void verified_add(struct verified *v, const uint8_t hash[CRYPTO_SHA256_BYTES],
                  const uint8_t signer[CRYPTO_SHA256_BYTES])
{
    static const uint8_t none[CRYPTO_SHA256_BYTES];
    if (v->sets == 0) {
        return;
    }
    size_t at = set_of(v, hash, signer);
    size_t place = at + hash[CRYPTO_SHA256_BYTES - 1] % VERIFIED_WAYS;
    for (size_t i = at; i < at + VERIFIED_WAYS; i++) {
        if (memcmp(v->hashes[i], none, sizeof(none)) == 0) {
            place = i;
            break;
        }
    }
    memcpy(v->hashes[place], hash, CRYPTO_SHA256_BYTES);
}

void verified_clear(struct verified *v)
{
    size_t count = (size_t)VERIFIED_SHARES * v->sets * VERIFIED_WAYS;
    if (count > 0) {
        memset(v->hashes, 0, count * sizeof(v->hashes[0]));
    }
}
