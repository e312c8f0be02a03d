/* SPDX-License-Identifier: Apache-2.0 */
/* ident.h - who signs: a private key, its certificate, and the names in it (RFC 6940 11.3).
 *
 * A peer has one, and each phone account has one on every node where it may register.  Loaded once
 * at start (cmd/keystore, sim/world), immutable afterwards, shared by reference. */
#pragma once
#include "codec/ids.h"
#include "core/crypto.h"

struct ident {
    struct node_id node_id;
    char user[CRYPTO_USER_CAP + 1];
    size_t user_len;
    struct slice certificate; /* DER */
    uint8_t certificate_sha256[CRYPTO_SHA256_BYTES];
    const struct slice *intermediates; /* usually none */
    size_t intermediate_count;
    const struct crypto_key *key;
    enum crypto_algorithm algorithm;
    uint64_t not_before_ms;
    uint64_t not_after_ms;
};
