/* SPDX-License-Identifier: Apache-2.0 */
/* mac.c - see mac.h. */
#include "sip/mac.h"

void mac_init(const struct turn *t, struct mac_keys *keys, const uint8_t secret[MAC_SECRET_BYTES])
{
    for (uint8_t use = 0; use < MAC_USES; use++) {
        uint8_t key[CRYPTO_SHA256_BYTES];
        t->crypto->hmac_sha256(slice_of(secret, MAC_SECRET_BYTES), slice_of(&use, 1), key);
        memcpy(keys->key[use], key, MAC_BYTES);
    }
}

void mac_begin(struct mac *m, const struct mac_keys *keys, enum mac_use use)
{
    CHECK(use < MAC_USES);
    m->key = keys->key[use];
    m->w = wr_init(m->text, sizeof(m->text));
}

void mac_piece(const struct turn *t, struct mac *m, struct slice piece)
{
    uint8_t hash[CRYPTO_SHA256_BYTES];
    if (piece.len > MAC_PIECE_CAP) {
        t->crypto->sha256(piece, hash);
        wr_u16(&m->w, UINT16_MAX); /* no length: unlike a short piece that reads as this hash */
        wr_bytes(&m->w, slice_of(hash, sizeof(hash)));
        return;
    }
    wr_opaque16(&m->w, piece);
}

void mac_u32(struct mac *m, uint32_t number)
{
    wr_u32(&m->w, number);
}

void mac_end(const struct turn *t, struct mac *m, uint8_t out[MAC_BYTES])
{
    CHECK(wr_ok(&m->w)); /* MAC_PIECES of them at most */
    t->crypto->siphash(m->key, wr_slice(&m->w), out);
}

void mac_of(const struct turn *t, const struct mac_keys *keys, enum mac_use use, struct slice bytes,
            uint8_t out[MAC_BYTES])
{
    CHECK(use < MAC_USES);
    t->crypto->siphash(keys->key[use], bytes, out);
}
