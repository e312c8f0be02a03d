/* SPDX-License-Identifier: Apache-2.0 */
/* loop.c - see loop.h. */
#include "sip/loop.h"

void loop_mark(struct turn *t, const struct sip *s, const struct sip_rx *rx,
               uint8_t mark[TX_LOOP_BYTES])
{
    struct mac m;
    uint8_t hash[MAC_BYTES];
    mac_begin(&m, &s->keys, MAC_LOOP);
    mac_piece(t, &m, rx->m->request_uri);
    mac_piece(t, &m, rx->core.from.tag);
    mac_piece(t, &m, rx->core.to.tag);
    mac_piece(t, &m, rx->core.call_id);
    mac_piece(t, &m, sip_msg_first(rx->m, SIP_HDR_ROUTE));
    mac_piece(t, &m, sip_msg_first(rx->m, SIP_HDR_PROXY_REQUIRE));
    mac_u32(&m, rx->core.cseq.number);
    mac_end(t, &m, hash);
    memcpy(mark, hash, TX_LOOP_BYTES);
}

/* Is it written there at all?  Mostly not, and then the value need not be read. */
static bool is_within(struct slice mark, struct slice text)
{
    const uint8_t *at = text.data;
    size_t left = text.len;
    while (left >= mark.len && (at = memchr(at, mark.data[0], left - mark.len + 1)) != NULL) {
        if (memcmp(at, mark.data, mark.len) == 0) {
            return true;
        }
        at++;
        left = (size_t)(text.data + text.len - at);
    }
    return false;
}

bool loop_is_found(const struct sip *s, const struct sip_rx *rx, const uint8_t mark[TX_LOOP_BYTES])
{
    char hex[2 * TX_LOOP_BYTES + 1];
    struct slice item;
    struct slice text = slice_of(ids_hex(slice_of(mark, TX_LOOP_BYTES), hex), 2 * TX_LOOP_BYTES);
    struct sip_msg_items it = sip_msg_items(rx->m, SIP_HDR_VIA);
    while (sip_msg_items_next(&it, &item) == ERR_OK) {
        struct sip_hdr_via other;
        const struct sip_hdr_via *via = &rx->core.via; /* the first has been read */
        uint16_t shard = 0;
        if (!is_within(text, item)) {
            continue;
        }
        if (item.data != via->text.data) {
            via = sip_hdr_via_within(rx->m->bytes, item, &other) == ERR_OK ? &other : NULL;
        }
        if (via != NULL && tx_branch_read(via->branch, SIP_METHOD_OTHER, &shard, NULL) &&
            shard == s->settings.shard &&
            slice_is_equal(slice_from(via->branch, TX_BRANCH_CAP - 2 * TX_LOOP_BYTES), text)) {
            return true;
        }
    }
    return false;
}
