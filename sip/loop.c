/* SPDX-License-Identifier: Apache-2.0 */
/* loop.c - see loop.h. */
#include "sip/loop.h"
#include "core/hash.h"

/* The seed of each piece is the hash of those before it.  No MAC: who could foresee a mark, or make
 * two requests of one, could only have requests refused that it sends or passes on itself. */
void loop_mark(const struct sip *s, const struct sip_rx *rx, uint8_t mark[TX_LOOP_BYTES])
{
    const struct slice pieces[] = {
        rx->m->request_uri,
        rx->core.from.tag,
        rx->core.to.tag,
        rx->core.call_id,
        sip_msg_first(rx->m, SIP_HDR_ROUTE),
        sip_msg_first(rx->m, SIP_HDR_PROXY_REQUIRE),
    };
    uint64_t hash = rd_at64(s->keys.key[MAC_LOOP]) + rx->core.cseq.number;
    for (size_t i = 0; i < ARRAY_COUNT(pieces); i++) {
        hash = hash_64(pieces[i], hash);
    }
    STATIC_CHECK(TX_LOOP_BYTES == sizeof(hash));
    (void)wr_at64(mark, hash);
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
