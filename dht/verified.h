/* SPDX-License-Identifier: Apache-2.0 */
/* verified.h - values whose signature was verified before, by a hash over all that was looked at:
 * what is signed, the signature and the signer's certificate.
 *
 * Whoever stores, copies or fetches such a value again pays for a hash instead of a signature.  A
 * hit says no more than that: the certificate's period and the policy are looked at anew.
 *
 * Limits: `cap` hashes in sets of VERIFIED_WAYS, a new one takes the place of any of its set.  The
 *         values of one signer only fall into a quarter of the sets, so that he cannot displace
 *         all of the others'. */
#pragma once
#include "core/arena.h"
#include "core/crypto.h"

enum { VERIFIED_WAYS = 4, VERIFIED_SHARES = 4 };

struct verified {
    uint8_t (*hashes)[CRYPTO_SHA256_BYTES]; /* all zeros: none, since nobody can make that hash */
    uint32_t sets;                          /* of one share; 0: nothing is remembered */
    uint64_t seed;                          /* so that nobody can choose whom to displace */
};

size_t verified_bytes(uint32_t cap);
void verified_init(struct verified *v, struct arena *arena, uint32_t cap, uint64_t seed);
/* `signer`: SHA-256 of the signer's certificate. */
bool verified_has(const struct verified *v, const uint8_t hash[CRYPTO_SHA256_BYTES],
                  const uint8_t signer[CRYPTO_SHA256_BYTES]);
void verified_add(struct verified *v, const uint8_t hash[CRYPTO_SHA256_BYTES],
                  const uint8_t signer[CRYPTO_SHA256_BYTES]);
void verified_clear(struct verified *v);
