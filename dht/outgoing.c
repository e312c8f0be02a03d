/* SPDX-License-Identifier: Apache-2.0 */
/* outgoing.c - see outgoing.h. */
#include "dht/outgoing.h"

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
