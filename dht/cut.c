/* SPDX-License-Identifier: Apache-2.0 */
/* cut.c - see cut.h. */
#include "dht/cut.h"

#include "codec/fragment.h"

enum { HEADER_CAP = 2048 }; /* a header that leaves room for payload is shorter than a datagram */

static enum err send_pieces(struct turn *t, struct link_table *links, handle link,
                            const struct fwd *h, const struct fragment_plan *plan)
{
    uint8_t header[HEADER_CAP];
    enum err e = ERR_OK;
    for (uint32_t i = 0; e == ERR_OK && i < plan->pieces; i++) {
        struct slice payload;
        struct wr w = wr_init(header, sizeof(header));
        fragment_wr(&w, h, plan, i, &payload);
        CHECK(wr_ok(&w));
        e = link_send(t, links, link, wr_slice(&w), payload);
    }
    metric_add(t->metrics, METRIC_dht_cut, 1);
    return e;
}

static enum err cut(struct turn *t, struct link_table *links, const struct rl_params *params,
                    handle link, struct slice message, size_t room)
{
    struct fwd h;
    struct fragment_plan plan;
    /* Our own entry may have been one too many for the Via List. */
    if (fwd_decode(message, params, &h) != ERR_OK || fragment_plan(&h, room, &plan) != ERR_OK ||
        h.header_bytes > HEADER_CAP) {
        metric_add(t->metrics, METRIC_dht_uncut, 1);
        return link_send(t, links, link, message, SLICE_EMPTY);
    }
    return send_pieces(t, links, link, &h, &plan);
}

HOT enum err cut_send(struct turn *t, struct link_table *links, const struct rl_params *params,
                      handle link, struct slice head, struct slice body)
{
    size_t room = link_room(links, link);
    if (LIKELY(room == 0 || head.len + body.len <= room)) {
        return link_send(t, links, link, head, body);
    }
    struct msgbuf *whole = msgbuf_acquire(t->buffers, head.len + body.len);
    if (whole == NULL) {
        return ERR_LIMIT;
    }
    enum err e = msgbuf_append(whole, head);
    CHECK(e == ERR_OK);
    e = msgbuf_append(whole, body);
    CHECK(e == ERR_OK);
    e = cut(t, links, params, link, msgbuf_slice(whole), room);
    msgbuf_release(t->buffers, whole);
    return e;
}
