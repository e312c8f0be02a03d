/* SPDX-License-Identifier: Apache-2.0 */
/* mac.h - short keyed hashes of what a message holds: keys of transactions, loop marks, tags, flow
 * tokens and nonces.
 *
 * SipHash-2-4 (of 16 bytes), each use with a key of its own that is derived from the node's
 * secret, so that what is given to everybody (a nonce) opens nothing else.  All shards of a node
 * have the same keys.  A few hundred bytes cost some 0.1 us, a tenth of HMAC-SHA256: every message
 * needs several. */
#pragma once
#include "codec/rw.h"
#include "core/turn.h"

enum mac_use {
    MAC_TRANSACTION,
    MAC_LOOP,
    MAC_TAG,
    MAC_TOKEN,
    MAC_NONCE,
    MAC_STATELESS,
    MAC_DECOY,
    MAC_LOCATION,
    MAC_USES
};

enum {
    MAC_BYTES = 16,
    MAC_SECRET_BYTES = 32,
    MAC_PIECE_CAP = 128, /* a longer piece goes in as its hash: nothing is cut */
    MAC_PIECES = 8,
    MAC_TEXT_CAP = MAC_PIECES * (MAC_PIECE_CAP + 2),
};

struct mac_keys {
    uint8_t key[MAC_USES][MAC_BYTES];
};

/* What is gathered for one hash; at most MAC_PIECES pieces and numbers. */
struct mac {
    const uint8_t *key;
    struct wr w;
    uint8_t text[MAC_TEXT_CAP];
};

void mac_init(const struct turn *t, struct mac_keys *keys, const uint8_t secret[MAC_SECRET_BYTES]);
void mac_begin(struct mac *m, const struct mac_keys *keys, enum mac_use use);
/* With its length, so that no two lists of pieces read alike. */
void mac_piece(const struct turn *t, struct mac *m, struct slice piece);
void mac_u32(struct mac *m, uint32_t number);
void mac_end(const struct turn *t, struct mac *m, uint8_t out[MAC_BYTES]);
/* One piece by itself. */
void mac_of(const struct turn *t, const struct mac_keys *keys, enum mac_use use, struct slice bytes,
            uint8_t out[MAC_BYTES]);
