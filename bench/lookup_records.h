/* SPDX-License-Identifier: Apache-2.0 */
/* lookup_records.h - registrations of made-up users: their names, certificates and stored values,
 * the requests that store and fetch them, and whether an answer is the right one.
 *
 * Everything about user `number` follows from the number, so that a million of them take no memory
 * beside the store that is measured.  A value is a SIP-REGISTRATION of 235 bytes as dht/ stores it,
 * a certificate has 400 (those of `chordial ca` have 375 with Ed25519).  Cryptography costs nothing
 * here: signatures are constant, certificates a plain record. */
#pragma once
#include "core/crypto.h"
#include "core/rng.h"
#include "dht/overlay.h"

enum {
    LOOKUP_CERTIFICATE_BYTES = 400,
    LOOKUP_SIGNATURE_BYTES = 64,
    LOOKUP_MESSAGE_CAP = 2048,
    LOOKUP_LIFETIME_S = 86400,
};
#define LOOKUP_WALL_MS 1700000000000u
#define LOOKUP_OVERLAY "voice.example"

/* Fills `c`; hashes are XXH3 under their names, signing and verifying cost nothing. */
void lookup_crypto_init(struct crypto *c, struct rng *rng);

struct lookup_person {
    struct ident ident;
    uint8_t der[LOOKUP_CERTIFICATE_BYTES];
};
/* User `number`; peers and clients have numbers too, from LOOKUP_PEER_FIRST on. */
enum { LOOKUP_PEER_FIRST = 0x70000000 };
void lookup_person_make(struct lookup_person *p, uint32_t number);

struct lookup_route {
    const struct rl_params *params;
    const struct lookup_person *sender; /* who signs the request */
    const struct node_id *via;          /* who had it before it came to us; NULL: nobody */
    uint64_t transaction_id;
};

/* The request that stores the value of user `number`, sent by himself. */
size_t lookup_store_req(const struct lookup_route *r, uint32_t number, uint8_t *out);
/* The request for it. */
size_t lookup_fetch_req(const struct lookup_route *r, uint32_t number, uint8_t *out);

/* Is `message` the answer with the value of user `number` and his certificate, for that request?
 * NULL: yes; else what is wrong. */
const char *lookup_check_fetch(const struct rl_params *params, struct slice message,
                               uint64_t transaction_id, uint32_t number);
const char *lookup_check_store(const struct rl_params *params, struct slice message,
                               uint64_t transaction_id);
