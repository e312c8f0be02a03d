/* SPDX-License-Identifier: Apache-2.0 */
/* outgoing.c - see outgoing.h. */
#include "dht/outgoing.h"

#include "codec/content.h"
#include "dht/cut.h"

static void hand_to_link(struct turn *t, struct outgoing *og, handle link, struct slice message)
{
    if (cut_send(t, og->links, og->route->params, link, message, SLICE_EMPTY) != ERR_OK) {
        metric_add(t->metrics, METRIC_dht_drop_link, 1);
    }
}

void outgoing_send(struct turn *t, struct outgoing *og, struct msgbuf *buf, handle link,
                   handle avoid)
{
    struct slice message = msgbuf_slice(buf);
    if (link != 0) {
        hand_to_link(t, og, link, message);
        return;
    }
    struct fwd h;
    /* The way back of an answer is made of what others wrote. */
    if (fwd_decode(message, og->route->params, &h) != ERR_OK) {
        metric_add(t->metrics, METRIC_dht_drop_malformed, 1);
        return;
    }
    struct route_from from = {.link = avoid, .is_own = true};
    struct route_decision d;
    route_decide(og->route, &h, &from, &d);
    switch (d.verdict) {
    case ROUTE_LOCAL:
        inbox_push_own(t, og->inbox, buf, &h);
        break;
    case ROUTE_FORWARD:
        hand_to_link(t, og, d.link, message);
        break;
    case ROUTE_DROP:
        metric_add(t->metrics, d.why, 1);
        break;
    }
}

struct msgbuf *outgoing_seal(struct turn *t, const struct outgoing *og, struct sign *sign,
                             const struct ident *who, const struct msgbuf *open, size_t max_bytes)
{
    struct fwd h;
    struct content content;
    struct slice rest;
    enum err e = fwd_decode(msgbuf_slice(open), og->route->params, &h);
    CHECK(e == ERR_OK);
    e = content_decode(h.payload, &content, &rest);
    CHECK(e == ERR_OK);
    struct msgbuf *buf = msgbuf_acquire(t->buffers, open->len + CRYPTO_SIGNATURE_CAP);
    if (buf == NULL) {
        metric_add(t->metrics, METRIC_dht_drop_no_buffer, 1);
        return NULL;
    }
    struct slice head = slice_sub(msgbuf_slice(open), 0, h.header_bytes);
    struct wr w = wr_init(msgbuf_data(buf), min_size(msgbuf_tailroom(buf), max_bytes));
    wr_bytes(&w, head);
    wr_bytes(&w, content.bytes);
    struct sign_sealed sealed = {
        .who = who, .transaction_id = h.transaction_id, .contents_at = head.len};
    if (sign_seal(t, sign, &w, &sealed) != ERR_OK) {
        metric_add(t->metrics, METRIC_dht_drop_too_large, 1);
        msgbuf_release(t->buffers, buf);
        return NULL;
    }
    buf->len = (uint32_t)wr_len(&w);
    fwd_put_length(msgbuf_data(buf), buf->len);
    return buf;
}

bool outgoing_send_again(struct turn *t, struct outgoing *og, struct slice message,
                         handle dead_link)
{
    struct fwd h;
    if (fwd_decode(message, og->route->params, &h) != ERR_OK) {
        metric_add(t->metrics, METRIC_dht_drop_malformed, 1);
        return true;
    }
    struct route_from from = {.link = dead_link, .is_own = true};
    struct route_decision d;
    route_decide(og->route, &h, &from, &d);
    switch (d.verdict) {
    case ROUTE_LOCAL:
        return false;
    case ROUTE_FORWARD:
        metric_add(t->metrics, METRIC_dht_rerouted, 1);
        hand_to_link(t, og, d.link, message);
        break;
    case ROUTE_DROP:
        metric_add(t->metrics, d.why, 1);
        break;
    }
    return true;
}

void outgoing_wr_return(struct wr *w, const struct rl_params *p, const struct node_id *self,
                        const struct node_id *previous_hop, struct slice via_list)
{
    if (via_list.len == 0 || !ids_node_is_equal(self, previous_hop)) {
        fwd_wr_node(w, p, previous_hop);
    }
    fwd_wr_reversed(w, p, via_list);
}

bool outgoing_has_return(const struct rl_params *p, struct slice via_list)
{
    enum { ENTRY_MIN = 2, ROOM = FWD_ENTRIES_MAX - 1 };
    struct rd r = rd_init(via_list);
    struct fwd_destination d;
    uint32_t count = 0;
    if (LIKELY(via_list.len <= ROOM * ENTRY_MIN)) {
        return true;
    }
    while (fwd_next(&r, p, &d)) {
        count++;
    }
    return rd_ok(&r) && count <= ROOM;
}
