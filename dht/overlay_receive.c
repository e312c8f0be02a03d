/* SPDX-License-Identifier: Apache-2.0 */
/* overlay_receive.c - a message comes in over a link: look at its forwarding header, then pass it
 * on with a new header and the same bytes behind it, or queue it for verification, or drop it (RFC
 * 6940 6.1; catalogue RX-1..RX-9, FW-13, FW-14, TL-1..TL-5).  No cryptography happens here.
 *
 * A fragment is passed on like any message (FR-1); one that is for us goes to dht/frag, and what
 * becomes whole there arrives once more. */
#include "dht/cut.h"
#include "dht/overlay_impl.h"

/* Compiled into the way that each message takes: arrive. */
#define INLINE static inline __attribute__((always_inline))

enum { WAIT_TRIES = 3 }; /* so often for the tables to agree, then past who disagrees */
enum { LINK_SURE = MSGBUF_LARGE_BYTES - 1024 }; /* so much every link of records takes */
enum { VIA_ROOM = 8 * (2 + IDS_NODE_MIN) };     /* left free below max-message-size */

struct arrival {
    const struct link_event *event;
    struct fwd h;
    uint16_t code;    /* 0 where a fragment does not tell */
    uint32_t tries;   /* how often it was parked */
    bool is_restored; /* an opaque id of ours has got its list again */
};

static void drop(struct turn *t, enum metric why)
{
    metric_add(t->metrics, why, 1);
}

/* only requests are told; never too many, since this is the one thing that we sign for people
 * who have proved nothing (TL-5). */
static void tell(struct turn *t, struct overlay *o, const struct arrival *a, uint16_t error_code)
{
    if (!content_is_request(a->code)) {
        return;
    }
    if (!bucket_take(&o->transit_errors, 1, t->now_us)) {
        metric_add(t->metrics, METRIC_errors_held_back, 1);
        return;
    }
    struct message m = {.transaction_id = a->h.transaction_id,
                        .code = CONTENT_PING_REQ, /* whatever it was, it is not in the cache */
                        .to = o->s.self,
                        .link = a->event->link,
                        .previous_hop = a->event->node_id,
                        .via_list = a->h.via_list,
                        .options = a->h.options};
    transact_error(t, o->transact, &m, error_code, SLICE_EMPTY);
}

static enum metric metric_of(enum err e)
{
    if (e == ERR_UNSUPPORTED) {
        return METRIC_dht_drop_version;
    }
    return e == ERR_WRONG_OVERLAY ? METRIC_dht_drop_overlay : METRIC_dht_drop_malformed;
}

/* May the link say no to its length?  Whoever asked is then told by the header as it came. */
static bool may_be_refused(const struct overlay *o, const struct arrival *a,
                           const struct fwd_rewrite *how, handle link)
{
    size_t grown = how->via_append.len, shrunk = (size_t)how->strip_bytes + how->via_drop_bytes;
    size_t sure = min_size(o->s.config.max_message_bytes, LINK_SURE);
    return a->h.length + grown > sure + shrunk || link_room(o->links, link) != 0;
}

/* Where the header may be rewritten: in place, where there is room in front of the message (what
 * stood there has been passed on) and it `may_go`, else in a copy of it.  NULL: too long for that.
 */
static uint8_t *header_of(const struct overlay *o, const struct arrival *a, bool may_go)
{
    if (LIKELY(may_go && a->event->headroom >= OVERLAY_IMPL_HEADROOM)) {
        return a->event->message;
    }
    if (a->h.header_bytes > o->scratch_bytes - OVERLAY_IMPL_HEADROOM) {
        return NULL;
    }
    uint8_t *header = o->scratch + OVERLAY_IMPL_HEADROOM;
    memcpy(header, a->event->message, a->h.header_bytes);
    return header;
}

/* VL-2: the node that we have it from.  Answers need no way back.  `entry` has FWD_NODE_BYTES_MAX.
 * Room is left for some more peers, who may be able to do nothing but append.  Returns the
 * max_response_length that goes on. */
static uint32_t add_way_back(struct turn *t, struct overlay *o, const struct arrival *a,
                             struct fwd_rewrite *how, uint8_t *entry)
{
    if (content_is_answer(a->code)) {
        return a->h.max_response_length;
    }
    struct wr w = wr_init(entry, FWD_NODE_BYTES_MAX);
    fwd_wr_node(&w, &o->params, &a->event->node_id);
    how->via_append = wr_slice(&w);
    size_t len = a->h.length - how->strip_bytes + wr_len(&w);
    if (UNLIKELY(len + VIA_ROOM > o->s.config.max_message_bytes ||
                 a->h.via_list.len + wr_len(&w) > VIA_LIST_BYTES)) {
        struct overlay_via_long what = {
            .h = &a->h, .from = &a->event->node_id, .code = a->code, .len = len};
        return overlay_via_shorten(t, o, &what, how, entry);
    }
    return a->h.max_response_length;
}

/* Whoever gets it has to have a way back to say anything, one entry longer than the Via List. */
static bool has_no_return(const struct overlay *o, const struct arrival *a,
                          const struct fwd_rewrite *how)
{
    struct slice kept = slice_sub(a->h.via_list, 0, a->h.via_list.len - how->via_drop_bytes);
    struct rd r = rd_init(kept);
    struct fwd_destination d;
    uint32_t count = 1; /* the one that is appended */
    if (LIKELY(a->h.via_count < FWD_ENTRIES_MAX - 1 || how->via_append.len == 0)) {
        return false;
    }
    while (fwd_next(&r, &o->params, &d)) {
        count++;
    }
    return count > FWD_ENTRIES_MAX - 1;
}

static void too_large(struct turn *t, struct overlay *o, const struct arrival *a)
{
    drop(t, METRIC_dht_drop_too_large);
    tell(t, o, a, CONTENT_ERROR_MESSAGE_TOO_LARGE);
}

static NOINLINE void pass_on(struct turn *t, struct overlay *o, const struct arrival *a,
                             const struct route_decision *d)
{
    const struct fwd *h = &a->h;
    if ((h->option_flags & FWD_OPTION_FORWARD_CRITICAL) != 0) {
        drop(t, METRIC_dht_drop_option);
        tell(t, o, a, CONTENT_ERROR_UNSUPPORTED_FORWARDING_OPTION);
        return;
    }
    if (h->ttl == 0) {
        drop(t, METRIC_dht_drop_ttl);
        tell(t, o, a, CONTENT_ERROR_TTL_EXCEEDED);
        return;
    }
    uint8_t via[FWD_NODE_BYTES_MAX];
    struct fwd_rewrite how = {.strip_bytes = d->strip_bytes};
    uint32_t max_response_length = add_way_back(t, o, a, &how, via);
    if (UNLIKELY(has_no_return(o, a, &how))) {
        too_large(t, o, a);
        return;
    }
    uint8_t *header = header_of(o, a, !may_be_refused(o, a, &how, d->link));
    size_t len = 0;
    if (header == NULL ||
        fwd_rewrite(header, OVERLAY_IMPL_HEADROOM, h, &how, &header, &len) != ERR_OK) {
        too_large(t, o, a);
        return;
    }
    if (UNLIKELY(max_response_length != h->max_response_length)) {
        fwd_put_max_response_length(header, max_response_length);
    }
    struct slice head = slice_of(header, len - h->payload.len);
    enum err e = cut_send(t, o->links, &o->params, d->link, head, h->payload);
    if (e == ERR_TOO_LARGE) {
        too_large(t, o, a); /* may_be_refused: the header is still there */
        return;
    }
    if (e != ERR_OK) {
        drop(t, METRIC_dht_drop_link);
        return;
    }
    o->passed_on_us = t->now_us;
    o->has_passed_on = true;
    metric_add(t->metrics, METRIC_dht_forwarded, 1);
}

static NOINLINE void keep_fragment(struct turn *t, struct overlay *o, const struct arrival *a)
{
    struct frag_arrival fragment = {.message = slice_of(a->event->message, a->event->message_len),
                                    .h = &a->h,
                                    .is_answer =
                                        transact_is_expected(o->transact, a->h.transaction_id),
                                    .link = a->event->link,
                                    .previous_hop = &a->event->node_id};
    frag_push(t, o->frag, &fragment);
}

INLINE void queue(struct turn *t, struct overlay *o, const struct arrival *a,
                  const struct ident *to, bool to_resource, struct ring_id resource)
{
    struct slice message = slice_of(a->event->message, a->event->message_len);
    struct inbox_kept *kept =
        inbox_copy(t, &o->inbox, message, &a->h, a->event->link, &a->event->node_id);
    if (LIKELY(kept != NULL)) {
        inbox_kept_decided(kept, to, to_resource, resource, o->table.generation);
    }
}

INLINE void keep(struct turn *t, struct overlay *o, const struct arrival *a,
                 const struct route_decision *d)
{
    if (UNLIKELY(!fwd_is_whole(&a->h))) {
        keep_fragment(t, o, a);
        return;
    }
    if (content_is_answer(a->code) && !transact_is_expected(o->transact, a->h.transaction_id)) {
        drop(t, METRIC_dht_drop_unexpected); /* RX-9, before it costs a signature */
        return;
    }
    queue(t, o, a, d->to, d->to_resource, d->resource);
}

static bool park(struct turn *t, struct overlay *o, const struct arrival *a)
{
    struct slice message = slice_of(a->event->message, a->event->message_len);
    return parked_push(t, &o->parked, message, a->event->link, &a->event->node_id, a->tries);
}

/* Nowhere to go at this moment: that may pass. */
static void wait_or_drop(struct turn *t, struct overlay *o, const struct arrival *a,
                         enum metric why)
{
    bool may_pass = why == METRIC_dht_drop_no_route ||
                    (why == METRIC_dht_drop_not_member && o->phase == OVERLAY_IMPL_RUNNING);
    if (may_pass && content_is_request(a->code) && park(t, o, a)) {
        return;
    }
    drop(t, why);
}

static void place(struct turn *t, struct overlay *o, const struct arrival *a);

/* VL-5: where an id of ours stands first, or behind ourselves, its list is put in, and the message
 * is looked at anew.  Once: what comes first then is the neighbor that the request came from. */
static NOINLINE void on_opaque(struct turn *t, struct overlay *o, const struct arrival *a,
                               uint16_t own_bytes)
{
    struct rd r = rd_init(slice_from(a->h.destination_list, own_bytes));
    struct fwd_destination d;
    struct slice list;
    /* Answers, and the document for who asked by a configuration of before (CU-1). */
    bool may_return = !content_is_request(a->code) || a->code == CONTENT_CONFIG_UPDATE_REQ;
    if (a->is_restored || !may_return || !fwd_next(&r, &o->params, &d) ||
        d.type != FWD_DESTINATION_OPAQUE || !via_find(t, &o->via, d.id, &list)) {
        drop(t, METRIC_dht_drop_opaque);
        return;
    }
    struct slice message = slice_of(a->event->message, a->event->message_len);
    struct msgbuf *buf =
        overlay_via_restore(t, o, message, &a->h, (uint16_t)(own_bytes + d.wire.len), list);
    if (buf == NULL) {
        return;
    }
    struct link_event event = *a->event;
    struct arrival again = {.event = &event, .code = a->code, .is_restored = true};
    event.message = msgbuf_data(buf);
    event.message_len = buf->len;
    event.headroom = buf->start;
    if (fwd_decode(msgbuf_slice(buf), &o->params, &again.h) != ERR_OK) {
        drop(t, METRIC_dht_drop_malformed);
    } else {
        metric_add(t->metrics, METRIC_via_restored, 1);
        place(t, o, &again);
    }
    msgbuf_release(t->buffers, buf);
}

INLINE void place_inline(struct turn *t, struct overlay *o, const struct arrival *a)
{
    struct route_decision d;
    struct route_from from = {.link = a->event->link, .via_list = &a->h.via_list};
    from.may_wait = a->tries < WAIT_TRIES && content_is_request(a->code);
    route_decide(&o->route, &a->h, &from, &d);
    if (from.may_wait && d.verdict == ROUTE_DROP && d.why == METRIC_dht_drop_no_route) {
        if (park(t, o, a)) {
            return;
        }
        from.may_wait = false;
        route_decide(&o->route, &a->h, &from, &d);
    }
    switch (d.verdict) {
    case ROUTE_LOCAL:
        keep(t, o, a, &d);
        break;
    case ROUTE_FORWARD:
        pass_on(t, o, a, &d);
        break;
    case ROUTE_DROP:
        if (UNLIKELY(d.why == METRIC_dht_drop_opaque)) {
            on_opaque(t, o, a, d.strip_bytes);
            break;
        }
        wait_or_drop(t, o, a, d.why);
        break;
    }
}

static void place(struct turn *t, struct overlay *o, const struct arrival *a)
{
    place_inline(t, o, a);
}

static void receive_back(struct turn *t, struct overlay *o, const struct link_event *unacked)
{
    struct slice message = slice_of(unacked->message, unacked->message_len);
    struct link_event event = *unacked;
    struct arrival a = {.event = &event};
    struct route_from from = {.link = unacked->link, .is_own = true};
    struct route_decision d;
    event.node_id = o->s.self->node_id;
    if (fwd_decode(message, &o->params, &a.h) != ERR_OK) {
        drop(t, METRIC_dht_drop_malformed);
        return;
    }
    /* What has gone on with an id of ours has its whole way back again: the answer is made here. */
    struct msgbuf *buf = overlay_via_open(t, o, message, &a.h);
    if (buf != NULL) {
        event.message = msgbuf_data(buf);
        event.message_len = buf->len;
    }
    if (buf == NULL || fwd_decode(msgbuf_slice(buf), &o->params, &a.h) == ERR_OK) {
        a.code = inbox_code(&a.h);
        route_decide(&o->route, &a.h, &from, &d);
        if (d.verdict == ROUTE_LOCAL) {
            keep(t, o, &a, &d);
        }
    }
    if (buf != NULL) {
        msgbuf_release(t->buffers, buf);
    }
}

/* The Destination List without what we take off its front (FW-2): naming us twice there is not
 * going round in circles. */
static struct slice behind_ourselves(const struct overlay *o, const struct fwd *h)
{
    struct rd r = rd_init(h->destination_list);
    struct fwd_destination d;
    struct slice self = ids_node_slice(&o->s.self->node_id, &o->params);
    size_t own = 0;
    while (fwd_next(&r, &o->params, &d) && d.type == FWD_DESTINATION_NODE &&
           slice_is_equal(d.id, self)) {
        own += d.wire.len;
    }
    return slice_from(h->destination_list, own);
}

/* Others may not have the document that made initial-ttl smaller, for a while. */
static bool is_of_before(const struct turn *t, const struct overlay *o, uint8_t ttl)
{
    return ttl <= o->ttl_before && t->now_us < o->ttl_before_until_us;
}

HOT static void arrive(struct turn *t, struct overlay *o, const struct link_event *event)
{
    struct arrival a; /* too large to be zeroed for each message */
    a.event = event;
    a.tries = 0;
    a.is_restored = false;
    enum err e = fwd_decode(slice_of(event->message, event->message_len), &o->params, &a.h);
    if (e != ERR_OK) {
        drop(t, metric_of(e));
        return;
    }
    a.code = inbox_code(&a.h);
    if (a.h.ttl > o->s.config.initial_ttl && !is_of_before(t, o, a.h.ttl)) {
        drop(t, METRIC_dht_drop_ttl); /* RX-6 */
        tell(t, o, &a, CONTENT_ERROR_TTL_EXCEEDED);
        return;
    }
    if (content_is_request(a.code) && a.h.destination_count > 1 &&
        fwd_has_duplicate(behind_ourselves(o, &a.h), &o->params)) {
        drop(t, METRIC_dht_drop_duplicate); /* TL-4 */
        tell(t, o, &a, CONTENT_ERROR_INVALID_MESSAGE);
        return;
    }
    struct ring_id resource;
    if (content_is_request(a.code) && route_is_for_us(&o->route, &a.h, &resource)) {
        queue(t, o, &a, o->route.self, true, resource); /* it is whole, since it has a code */
        return;
    }
    place_inline(t, o, &a);
}

static NOINLINE void arrive_again(struct turn *t, struct overlay *o,
                                  const struct frag_message *whole)
{
    struct link_event event = {.kind = LINK_MESSAGE,
                               .link = whole->link,
                               .node_id = whole->previous_hop,
                               .message = msgbuf_data(whole->buf),
                               .message_len = whole->buf->len};
    arrive(t, o, &event);
    msgbuf_release(t->buffers, whole->buf);
}

/* What the last fragment has made whole, wherever that came from: frag_push has room for one. */
static inline void arrive_whole(struct turn *t, struct overlay *o)
{
    struct frag_message whole;
    while (UNLIKELY(frag_next(o->frag, &whole))) {
        arrive_again(t, o, &whole);
    }
}

HOT void overlay_receive(struct turn *t, struct overlay *o, const struct link_event *event)
{
    metric_add(t->metrics, METRIC_dht_received, 1);
    arrive(t, o, event);
    arrive_whole(t, o);
}

/* What could not be passed on may be for us by now. */
void overlay_receive_unacked(struct turn *t, struct overlay *o, const struct link_event *event)
{
    struct slice message = slice_of(event->message, event->message_len);
    if (!transact_on_unacked(t, o->transact, message, event->link) &&
        !outgoing_send_again(t, &o->out, message, event->link)) {
        receive_back(t, o, event);
        arrive_whole(t, o);
    }
}

void overlay_receive_parked(struct turn *t, struct overlay *o)
{
    uint32_t left = o->parked.count;
    struct parked_item item;
    while (parked_take(&o->parked, &left, &item)) {
        struct link_event event = {.kind = LINK_MESSAGE,
                                   .link = item.link,
                                   .node_id = item.previous_hop,
                                   .message = msgbuf_data(item.buf),
                                   .message_len = item.buf->len};
        struct arrival a = {.event = &event, .tries = item.tries};
        enum err e = fwd_decode(msgbuf_slice(item.buf), &o->params, &a.h);
        CHECK(e == ERR_OK); /* it was before */
        a.code = inbox_code(&a.h);
        place(t, o, &a);
        msgbuf_release(t->buffers, item.buf);
        arrive_whole(t, o);
    }
}
