/* SPDX-License-Identifier: Apache-2.0 */
/* loop.c - see loop.h. */
#include "sip/loop.h"

enum { PIECE_CAP = 96, TEXT_CAP = 10 * PIECE_CAP };

static void piece(struct turn *t, struct wr *w, struct slice text)
{
    uint8_t hash[CRYPTO_SHA256_BYTES];
    if (text.len > PIECE_CAP - 2) {
        t->crypto->sha256(text, hash);
        text = slice_of(hash, sizeof(hash));
    }
    wr_opaque16(w, text);
}

void loop_mark(struct turn *t, const struct sip *s, const struct sip_rx *rx,
               uint8_t mark[TX_LOOP_BYTES])
{
    uint8_t text[TEXT_CAP], mac[CRYPTO_SHA256_BYTES];
    struct wr w = wr_init(text, sizeof(text));
    piece(t, &w, rx->m->request_uri);
    piece(t, &w, rx->core.from.tag);
    piece(t, &w, rx->core.to.tag);
    piece(t, &w, rx->core.call_id);
    piece(t, &w, sip_msg_first(rx->m, SIP_HDR_ROUTE));
    piece(t, &w, sip_msg_first(rx->m, SIP_HDR_PROXY_REQUIRE));
    wr_u32(&w, rx->core.cseq.number);
    CHECK(wr_ok(&w));
    t->crypto->hmac_sha256(slice_of(s->settings.nonce_secret, sizeof(s->settings.nonce_secret)),
                           wr_slice(&w), mac);
    memcpy(mark, mac, TX_LOOP_BYTES);
}

bool loop_is_found(const struct sip *s, const struct sip_rx *rx, const uint8_t mark[TX_LOOP_BYTES])
{
    char hex[2 * TX_LOOP_BYTES + 1];
    struct slice item;
    struct slice text = slice_of(ids_hex(slice_of(mark, TX_LOOP_BYTES), hex), 2 * TX_LOOP_BYTES);
    struct sip_msg_items it = sip_msg_items(rx->m, SIP_HDR_VIA);
    while (sip_msg_items_next(&it, &item) == ERR_OK) {
        struct sip_hdr_via via;
        uint16_t shard = 0;
        if (sip_hdr_via_decode(item, &via) == ERR_OK &&
            tx_branch_read(via.branch, SIP_METHOD_OTHER, &shard, NULL) &&
            shard == s->settings.shard &&
            slice_is_equal(slice_from(via.branch, TX_BRANCH_CAP - 2 * TX_LOOP_BYTES), text)) {
            return true;
        }
    }
    return false;
}
