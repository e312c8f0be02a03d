/* SPDX-License-Identifier: Apache-2.0 */
/* crypto_fake.h - cryptography for made-up worlds: the same sizes, a thousand times cheaper, and
 * every changed bit is still noticed.
 *
 * Nothing is secret here: who knows a public key can sign for it.  Hashes are XXH3 under their real
 * names and lengths; certificates are a plain record of about the size of an Ed25519 certificate.
 * Deterministic: random numbers come from the rng given to crypto_fake_init. */
#pragma once
#include "core/crypto.h"
#include "core/rng.h"

enum { CRYPTO_FAKE_CERTIFICATE_BYTES = 400, CRYPTO_FAKE_KEY_BYTES = 32 };

struct crypto_fake_key {
    uint8_t public_key[CRYPTO_FAKE_KEY_BYTES];
};

/* Fills `c`; `rng` must outlive it. */
void crypto_fake_init(struct crypto *c, struct rng *rng);
/* A key pair; give it to `sign` as (const struct crypto_key *). */
void crypto_fake_key_make(struct crypto_fake_key *key, struct rng *rng);

struct crypto_fake_names {
    struct slice user;
    const uint8_t *node_id; /* 16 bytes */
    uint64_t not_before_ms;
    uint64_t not_after_ms;
};

/* A certificate for `key` that `root` (the trust's root certificate, any bytes) has issued. */
void crypto_fake_issue(struct slice root, const struct crypto_fake_key *key,
                       const struct crypto_fake_names *names,
                       uint8_t out[CRYPTO_FAKE_CERTIFICATE_BYTES]);
