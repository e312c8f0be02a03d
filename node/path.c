/* SPDX-License-Identifier: Apache-2.0 */
/* Read this first: every journey through a super-peer, as ordinary calls.
 *
 *   A message in transit
 *     IO_STREAM -> on_stream -> link_on_stream (decrypt, frame) -> path_pump: link_next ->
 *     overlay_on_link (decode the forwarding header, decide, rewrite it) -> link_send (queued with
 * the neighbor) -> node_on_flush: link_flush (one TLS record) -> IO_OP_SEND A lookup for us as
 * above until overlay_on_link finds it LOCAL and queues it -> node_on_flush: overlay_work (verify,
 * decode, access, store, sign) -> link_send on the way back A REGISTER IO_DATAGRAM or IO_STREAM ->
 * sip_on_datagram / sip_on_stream (parse, digest, registrar) -> overlay_store(tag) ... some turns
 * later path_pump: overlay_next -> sip_on_overlay(tag) -> 200 OK with the bindings An INVITE
 *     ... -> sip (100 Trying, proxy, location) -> overlay_fetch(tag) ... sip_on_overlay ->
 *     overlay_appattach(tag) ... the other node gets OVERLAY_APPATTACH_DIAL -> dial -> TLS ->
 *     peer_up at both ends -> sip forwards over that flow; responses come back the same way
 *   A link that dies
 *     IO_CLOSED -> link_on_closed -> path_pump: LINK_UNACKED for each message that was under way,
 * then LINK_DOWN -> overlay_on_link routes them once more and repairs the ring
 *
 * Layers never call each other upward: path_pump carries what one has for the other. */
#include "codec/content.h"
#include "node/node_impl.h"

enum {
    PEER_DEADLINE_US = 10 * 1000 * 1000, /* connect and handshake of one candidate */
    PEER_QUEUE_BYTES = 512 * 1024,       /* a peer that reads slower than this is let go */
    PEER_PRESSED_BYTES = 128 * 1024,     /* one that has so much before it gets nothing new */
    PEER_PATIENCE_US = 1000 * 1000,      /* to authenticate oneself while others are waiting */
    PEER_PER_NODE = 4,
};

/* ---- connections to other peers that carry SIP ---- */

static struct node_conn *record_of(struct node *n, handle conn)
{
    uint32_t index = handle_index(conn);
    CHECK(index < n->conn_cap); /* io.h promises it */
    return index < n->conn_used && n->conns[index].conn == conn ? &n->conns[index] : NULL;
}

void path_record(struct node *n, handle conn, enum node_owner owner, handle user)
{
    CHECK(handle_index(conn) < n->conn_cap);
    for (; n->conn_used <= handle_index(conn); n->conn_used++) {
        n->conns[n->conn_used] = (struct node_conn){0};
    }
    n->conns[handle_index(conn)] = (struct node_conn){.conn = conn, .user = user, .owner = owner};
}

void path_forget(struct node *n, handle conn)
{
    struct node_conn *c = conn == 0 ? NULL : record_of(n, conn);
    if (c != NULL) {
        *c = (struct node_conn){0};
    }
}

static bool is_strange(const struct node_peer *p)
{
    return !p->is_dialled && !p->is_up;
}

/* What was gathered for it is not to be sent, or has been. */
static void peer_drop_gathered(struct turn *t, struct node *n, struct node_peer *p)
{
    struct node_peer **at = &n->gathering;
    if (p->gather == NULL) {
        return;
    }
    while (*at != p) {
        at = &(*at)->next;
    }
    *at = p->next;
    msgbuf_release(t->buffers, p->gather);
    p->gather = NULL;
}

static void peer_free(struct turn *t, struct node *n, struct node_peer *p)
{
    wheel_cancel(t->wheel, &p->deadline);
    peer_drop_gathered(t, n, p);
    if (p->tls != NULL) {
        stream_tls_close(t, n->streams, p->tls, false);
    }
    if (p->flow != 0) {
        sip_flow_closed(t, n->sip, p->flow);
    }
    path_forget(n, p->conn);
    n->peers_strange -= is_strange(p) ? 1 : 0;
    pool_release(&n->peers, p);
}

static struct node_peer *peer_acquire(struct turn *t, struct node *n)
{
    struct node_peer *p = pool_acquire(&n->peers);
    if (p == NULL) {
        metric_add(t->metrics, METRIC_sip_peers_refused, 1);
        return NULL;
    }
    p->deadline.tag = pool_handle(&n->peers, p);
    p->since_us = t->now_us;
    return p;
}

/* Dials the next candidate of an AppAttach that we answered; gives up after the last. */
static void peer_dial_next(struct turn *t, struct node *n, struct node_peer *p)
{
    while (p->candidate_next < p->candidate_count) {
        const struct address *to = &p->candidates[p->candidate_next++];
        if (io_connect(t->out, to, pool_handle(&n->peers, p)) == ERR_OK) {
            wheel_arm(t->wheel, &p->deadline, t->now_us + PEER_DEADLINE_US);
            return;
        }
    }
    metric_add(t->metrics, METRIC_sip_peer_dials_failed, 1);
    peer_free(t, n, p);
}

static void peer_dial(struct turn *t, struct node *n, const struct overlay_event *event)
{
    struct node_peer *p = n->sip == NULL ? NULL : peer_acquire(t, n);
    if (p == NULL) {
        return;
    }
    p->is_dialled = true;
    p->expect = event->node_id;
    p->candidate_count = event->candidate_count;
    memcpy(p->candidates, event->candidates, sizeof(p->candidates));
    peer_dial_next(t, n, p);
}

/* The connection is there: TLS begins, the one who dialled being the client (AT-13). */
static void peer_begin(struct turn *t, struct node *n, struct node_peer *p, handle conn)
{
    p->conn = conn;
    path_record(n, conn, NODE_OWNER_PEER, pool_handle(&n->peers, p));
    p->tls = stream_tls_open(t, n->streams, p->is_dialled ? TLS_CLIENT : TLS_SERVER, conn,
                             p->is_dialled ? &p->expect : NULL);
    if (p->tls == NULL) {
        io_abort(t->out, conn);
        peer_free(t, n, p);
        return;
    }
    wheel_arm(t->wheel, &p->deadline, t->now_us + PEER_DEADLINE_US);
}

static void peer_end(struct turn *t, struct node *n, struct node_peer *p)
{
    io_abort(t->out, p->conn);
    peer_free(t, n, p);
}

/* Of the strangers, or of those who are up as `node_id`, the one that was first. */
static struct node_peer *first_peer(struct node *n, const struct node_id *node_id, uint32_t *count)
{
    struct node_peer *first = NULL, *p = NULL;
    *count = 0;
    for (uint32_t index = 0; (p = pool_next(&n->peers, &index)) != NULL;) {
        bool is_meant = node_id == NULL
                            ? is_strange(p)
                            : p->is_up && ids_node_is_equal(stream_tls_node_id(p->tls), node_id);
        if (is_meant) {
            first = first == NULL || p->since_us < first->since_us ? p : first;
            *count += 1;
        }
    }
    return first;
}

/* Of those whose certificates name `user`, the one that was first. */
static struct node_peer *first_of_user(struct node *n, struct slice user, uint32_t *count)
{
    struct node_peer *first = NULL, *p = NULL;
    *count = 0;
    for (uint32_t index = 0; (p = pool_next(&n->peers, &index)) != NULL;) {
        if (p->is_up && slice_is_equal(stream_tls_user(p->tls), user)) {
            first = first == NULL || p->since_us < first->since_us ? p : first;
            *count += 1;
        }
    }
    return first;
}

/* Strangers have half of the places; the first of them goes when there is no other left, if it has
 * had its time. */
static bool has_room_for_stranger(struct turn *t, struct node *n)
{
    uint32_t count = 0;
    if (n->peers_strange < n->peers.cap - n->peers.cap / 2) {
        return true;
    }
    struct node_peer *first = first_peer(n, NULL, &count);
    if (first == NULL || t->now_us - first->since_us < PEER_PATIENCE_US) { /* NULL: no place */
        metric_add(t->metrics, METRIC_sip_peers_refused, 1);
        return false;
    }
    metric_add(t->metrics, METRIC_sip_peers_evicted, 1);
    peer_end(t, n, first);
    return true;
}

static void peer_accepted(struct turn *t, struct node *n, const struct io_event *event)
{
    bool is_welcome =
        n->sip != NULL && pace_take(t, &n->pace, &event->remote) && has_room_for_stranger(t, n);
    struct node_peer *p = is_welcome ? peer_acquire(t, n) : NULL;
    if (p == NULL) {
        io_abort(t->out, event->conn);
        return;
    }
    n->peers_strange++;
    peer_begin(t, n, p, event->conn);
}

static void peer_connected(struct turn *t, struct node *n, const struct io_event *event)
{
    struct node_peer *p = pool_get(&n->peers, event->tag);
    if (p == NULL) { /* its deadline has passed meanwhile */
        if (event->error == ERR_OK) {
            io_abort(t->out, event->conn);
        }
        return;
    }
    if (event->error != ERR_OK) {
        peer_dial_next(t, n, p);
        return;
    }
    peer_begin(t, n, p, event->conn);
}

static void peer_make_room(struct turn *t, struct node *n, struct node_peer *first)
{
    metric_add(t->metrics, METRIC_sip_peers_evicted, 1);
    peer_end(t, n, first);
}

/* Authenticated: sip/ may use it from now on.  Of too many connections of one node the first ends,
 * and of one user, who may have certificates for many: neither fills the table. */
static bool peer_up(struct turn *t, struct node *n, struct node_peer *p)
{
    uint32_t count = 0;
    wheel_cancel(t->wheel, &p->deadline);
    io_proved(t->out, p->conn);
    struct node_peer *first = first_peer(n, stream_tls_node_id(p->tls), &count);
    if (count >= PEER_PER_NODE) {
        peer_make_room(t, n, first);
    }
    first = first_of_user(n, stream_tls_user(p->tls), &count);
    if (count > 0 && count >= n->settings.limits->sip_peers_per_user) {
        peer_make_room(t, n, first);
    }
    n->peers_strange -= is_strange(p) ? 1 : 0;
    p->is_up = true;
    p->flow = sip_peer_up(t, n->sip, p->conn, stream_tls_node_id(p->tls), stream_tls_user(p->tls),
                          p->is_dialled);
    return p->flow != 0;
}

static void peer_stream(struct turn *t, struct node *n, struct node_peer *p, struct slice received)
{
    size_t len = 0;
    handle self = pool_handle(&n->peers, p);
    enum err e = stream_tls_recv(t, p->tls, received);
    while (e == ERR_OK && stream_tls_is_up(p->tls)) {
        if (p->flow == 0 && !peer_up(t, n, p)) {
            break;
        }
        e = stream_tls_read(t, p->tls, n->plain, TLS_READ_BYTES, &len);
        if (e == ERR_OK) {
            sip_on_stream(t, n->sip, p->flow, n->plain, len);
            path_pump(t, n); /* answers leave before the next read; sip/ may close the flow */
            if (pool_get(&n->peers, self) == NULL) {
                return;
            }
        }
    }
    bool refused = stream_tls_is_up(p->tls) && p->flow == 0;
    if ((e != ERR_OK && e != ERR_MORE) || refused) {
        peer_end(t, n, p);
    }
}

/* So much waits to be read by it. */
static void peer_queued(struct node *n, struct node_peer *p, uint32_t bytes)
{
    bool was_pressed = p->queued_bytes > PEER_PRESSED_BYTES;
    bool is_pressed = bytes > PEER_PRESSED_BYTES;
    p->queued_bytes = bytes;
    if (was_pressed != is_pressed && p->flow != 0) {
        sip_peer_pressed(n->sip, p->flow, is_pressed);
    }
}

/* As records, at once.  False: it has ended, there was too much for it. */
static bool peer_seal(struct turn *t, struct node *n, struct node_peer *p, struct slice plain)
{
    size_t sent = 0;
    enum err e = stream_tls_write(t, p->tls, plain, &sent);
    peer_queued(n, p, p->queued_bytes + (uint32_t)sent);
    if (e != ERR_OK || p->queued_bytes > PEER_QUEUE_BYTES) {
        metric_add(t->metrics, METRIC_sip_peers_too_slow, 1);
        peer_end(t, n, p);
        return false;
    }
    return true;
}

static bool peer_flush(struct turn *t, struct node *n, struct node_peer *p)
{
    if (p->gather != NULL && !peer_seal(t, n, p, msgbuf_slice(p->gather))) {
        return false;
    }
    peer_drop_gathered(t, n, p);
    return true;
}

/* Messages of one turn share a record (design.md 4.1): what costs is the record and the segment. */
static void peer_write(struct turn *t, struct node *n, struct node_peer *p, struct slice plain)
{
    bool has_room = p->gather != NULL && p->gather->len + plain.len <= TLS_RECORD_BYTES;
    if (!has_room && !peer_flush(t, n, p)) {
        return;
    }
    if (p->gather == NULL) {
        struct msgbuf *buf = msgbuf_acquire(t->buffers, TLS_RECORD_BYTES);
        if (buf == NULL || plain.len > TLS_RECORD_BYTES) {
            if (buf != NULL) {
                msgbuf_release(t->buffers, buf);
            }
            (void)peer_seal(t, n, p, plain);
            return;
        }
        p->gather = buf;
        p->next = n->gathering;
        n->gathering = p;
    }
    enum err e = msgbuf_append(p->gather, plain);
    CHECK(e == ERR_OK);
}

void path_flush(struct turn *t, struct node *n)
{
    while (n->gathering != NULL) {
        (void)peer_flush(t, n, n->gathering);
    }
}

void path_on_deadline(struct turn *t, struct node *n, struct wheel_timer *timer)
{
    struct node_peer *p = pool_get(&n->peers, timer->tag);
    CHECK(p != NULL);
    if (p->conn != 0) {
        io_abort(t->out, p->conn);
    }
    metric_add(t->metrics, METRIC_sip_peer_handshakes_timed_out, 1);
    peer_free(t, n, p);
}

/* ---- io events ---- */

/* Is there a link whose near end is where we say that we are?  One step a connection, and the first
 * that is up ends the search, so it is short wherever there are many. */
static bool holds_announced(const struct node *n)
{
    for (uint32_t i = 0; i < n->conn_used; i++) {
        const struct node_conn *c = &n->conns[i];
        if (c->owner == NODE_OWNER_LINK && c->place == n->home.place &&
            link_is_up(n->links, c->user)) {
            return true;
        }
    }
    return false;
}

/* Anybody's TCP connection comes here: what it proves is that the address is ours. */
static void record_link(struct node *n, const struct io_event *event, handle user)
{
    path_record(n, event->conn, NODE_OWNER_LINK, user);
    n->conns[handle_index(event->conn)].place = home_place(&n->home, &event->local);
    n->home.is_proved |= home_is_at(&n->home, &event->local);
}

static uint32_t place_of(const struct node *n, handle link)
{
    for (uint32_t i = 0; i < n->conn_used; i++) {
        const struct node_conn *c = &n->conns[i];
        if (c->owner == NODE_OWNER_LINK && c->user == link) {
            return c->place;
        }
    }
    return 0;
}

/* Addresses are looked at only where it matters, so not where all links begin at what is announced,
 * nor behind a NAT, where none ever does. */
static bool may_be_elsewhere(const struct node *n)
{
    return n->home.last > 1 && n->home.is_proved;
}

/* There is a link whose near end is at `place`, with a peer of the overlay at the other end. */
static void place_is_proved(struct turn *t, struct node *n, uint32_t place)
{
    const struct address *at = home_elsewhere(&n->home, place);
    if (at != NULL && home_has_moved(&n->home, at, false) &&
        home_has_moved(&n->home, at, holds_announced(n))) {
        home_move(t, &n->home, n->overlay, at);
    }
}

/* Links have ended.  The last of those at the announced address may have been among them, dead for
 * long; what came up elsewhere meanwhile said nothing then, and may be all that there is. */
static void links_have_ended(struct turn *t, struct node *n)
{
    uint32_t before = n->home.place;
    bool is_lost = may_be_elsewhere(n) && !holds_announced(n);
    for (uint32_t i = 0; is_lost && n->home.place == before && i < n->conn_used; i++) {
        const struct node_conn *c = &n->conns[i];
        if (c->owner == NODE_OWNER_LINK && c->place != before && link_is_up(n->links, c->user)) {
            place_is_proved(t, n, c->place);
        }
    }
}

static void on_accepted(struct turn *t, struct node *n, const struct io_event *event)
{
    handle user = 0;
    switch ((enum io_listener)io_listener_first(event->listener)) {
    case IO_LISTEN_OVERLAY:
        if (link_on_accepted(t, n->links, event->conn, &event->remote, &user) == ERR_OK) {
            record_link(n, event, user);
        }
        return;
    case IO_LISTEN_OVERLAY_SIP:
        peer_accepted(t, n, event);
        return;
    case IO_LISTEN_SIP_TCP:
        user =
            n->sip == NULL ? 0 : sip_flow_accepted(t, n->sip, SIP_TCP, event->conn, &event->remote);
        if (user == 0) {
            io_abort(t->out, event->conn);
            return;
        }
        path_record(n, event->conn, NODE_OWNER_PHONE, user);
        return;
    case IO_LISTEN_SIP_TLS:
    case IO_LISTEN_SIP_WS:
    case IO_LISTEN_SIP_WSS:
        wrapped_accepted(t, n, event);
        return;
    case IO_LISTEN_OVERLAY_UDP:
    case IO_LISTEN_SIP_UDP:
    case IO_LISTEN_SIP6_UDP: /* the second address's stand for the first's */
    case IO_LISTEN_SIP6_TCP:
    case IO_LISTEN_SIP6_TLS:
    case IO_LISTEN_SIP6_WS:
    case IO_LISTEN_SIP6_WSS:
    case IO_LISTENER_COUNT:
        break;
    }
    UNREACHABLE("nothing is accepted there");
}

static void on_connected(struct turn *t, struct node *n, const struct io_event *event)
{
    if (handle_kind(event->tag) == HANDLE_PATH) {
        peer_connected(t, n, event);
        return;
    }
    if (handle_kind(event->tag) == HANDLE_OUTWARD) {
        outward_connected(t, n, event);
        return;
    }
    if (event->error == ERR_OK) {
        record_link(n, event, event->tag);
    }
    link_on_connected(t, n->links, event->tag, event->conn, event->error);
}

static void on_stream(struct turn *t, struct node *n, const struct io_event *event)
{
    struct node_conn *c = record_of(n, event->conn);
    if (c == NULL) {
        return; /* we have aborted it in this turn */
    }
    switch (c->owner) {
    case NODE_OWNER_LINK:
        link_on_stream(t, n->links, c->user, event->data, event->data_len);
        return;
    case NODE_OWNER_PEER:
        peer_stream(t, n, pool_get(&n->peers, c->user), slice_of(event->data, event->data_len));
        return;
    case NODE_OWNER_PHONE:
        sip_on_stream(t, n->sip, c->user, event->data, event->data_len);
        return;
    case NODE_OWNER_WRAPPED:
        wrapped_stream(t, n, c->user, event->data, event->data_len);
        return;
    case NODE_OWNER_NONE:
        break;
    }
    UNREACHABLE("a record without an owner");
}

static void on_sent(struct turn *t, struct node *n, const struct io_event *event)
{
    struct node_conn *c = record_of(n, event->conn);
    if (c == NULL) {
        return;
    }
    if (c->owner == NODE_OWNER_LINK) {
        link_on_sent(t, n->links, c->user, event->data_len);
    } else if (c->owner == NODE_OWNER_PEER) {
        struct node_peer *p = pool_get(&n->peers, c->user);
        peer_queued(n, p, p->queued_bytes - (uint32_t)min_size(p->queued_bytes, event->data_len));
    }
}

static void on_closed(struct turn *t, struct node *n, const struct io_event *event)
{
    struct node_conn *c = record_of(n, event->conn);
    if (c == NULL) {
        return;
    }
    struct node_conn was = *c;
    *c = (struct node_conn){0};
    if (was.owner == NODE_OWNER_LINK) {
        link_on_closed(t, n->links, was.user, event->error);
    } else if (was.owner == NODE_OWNER_PEER) {
        struct node_peer *p = pool_get(&n->peers, was.user);
        p->conn = 0;
        peer_free(t, n, p);
    } else if (was.owner == NODE_OWNER_WRAPPED) {
        wrapped_gone(t, n, was.user);
    } else {
        sip_flow_closed(t, n->sip, was.user);
    }
}

static void on_persist(struct turn *t, struct node *n, const struct io_event *event)
{
    struct persist_news news;
    CHECK(event->data_len == sizeof(news)); /* of our own process */
    memcpy(&news, event->data, sizeof(news));
    persist_on_news(t, n, &news);
}

static void on_mail(struct turn *t, struct node *n, const struct io_event *event)
{
    switch ((enum io_mail)event->mail) {
    case IO_MAIL_LINK:
        link_on_mail(t, n->links, event->shard, event->data, event->data_len);
        return;
    case IO_MAIL_SIP:
    case IO_MAIL_SIP_SEND:
    case IO_MAIL_SIP_PEER:
        if (n->sip != NULL) {
            sip_on_mail(t, n->sip, event->shard, event->mail, event->tag, event->data,
                        event->data_len);
        }
        return;
    case IO_MAIL_DNS:
        if (n->sip != NULL) {
            sip_on_dns(t, n->sip, event->tag, event->data, event->data_len);
        }
        return;
    case IO_MAIL_PERSIST:
        on_persist(t, n, event);
        return;
    case IO_MAIL_CONTROL:
        return; /* cmd/ has looked at it before it came here */
    }
}

void path_on_event(struct turn *t, struct node *n, const struct io_event *event)
{
    switch (event->kind) {
    case IO_ACCEPTED:
        on_accepted(t, n, event);
        return;
    case IO_CONNECTED:
        on_connected(t, n, event);
        return;
    case IO_STREAM:
        on_stream(t, n, event);
        return;
    case IO_SENT:
        on_sent(t, n, event);
        return;
    case IO_CLOSED:
        on_closed(t, n, event);
        return;
    case IO_DATAGRAM:
        if (event->listener == IO_LISTEN_OVERLAY_UDP) {
            link_on_datagram(t, n->links, &event->remote, event->data, event->data_len);
        } else if (n->sip != NULL && io_listener_is_sip(event->listener)) {
            sip_on_datagram(t, n->sip, &event->remote, event->data, event->data_len);
        }
        return;
    case IO_MAIL:
        on_mail(t, n, event);
        return;
    }
}

/* ---- between the layers ---- */

static void overlay_event(struct turn *t, struct node *n, const struct overlay_event *event)
{
    switch (event->kind) {
    case OVERLAY_LEFT:
        n->phase = NODE_STOPPED;
        return;
    case OVERLAY_APPATTACH_DIAL:
        peer_dial(t, n, event);
        return;
    case OVERLAY_CONFIG_RECEIVED:
        node_impl_on_document(t, n, event);
        return;
    case OVERLAY_STORED:
    case OVERLAY_FETCHED:
    case OVERLAY_PONG:
    case OVERLAY_ASKED:
    case OVERLAY_APPATTACHED:
        if (answer_on_overlay(n, event)) {
            return;
        }
        break;
    case OVERLAY_READY:
    case OVERLAY_LOST:
        break;
    }
    if (n->sip != NULL) {
        sip_on_overlay(t, n->sip, event);
    }
}

static void sip_output(struct turn *t, struct node *n, const struct sip_event *event)
{
    if (event->kind == SIP_DIAL) {
        outward_dial(t, n, event->conn, event->buf);
        return;
    }
    struct node_conn *c = record_of(n, event->conn);
    struct node_peer *p =
        c != NULL && c->owner == NODE_OWNER_PEER ? pool_get(&n->peers, c->user) : NULL;
    bool is_wrapped = c != NULL && c->owner == NODE_OWNER_WRAPPED;
    if (event->kind == SIP_SEND) {
        if (p != NULL) {
            peer_write(t, n, p, msgbuf_slice(event->buf));
        } else if (is_wrapped) {
            wrapped_send(t, n, c->user, msgbuf_slice(event->buf));
        }
        if (p != NULL || is_wrapped || c == NULL) {
            msgbuf_release(t->buffers, event->buf);
        } else if (io_send(t->out, t->buffers, event->conn, event->buf) != ERR_OK) {
            metric_add(t->metrics, METRIC_sip_sends_refused, 1);
        }
        return;
    }
    if (c == NULL) {
        return;
    }
    if (p != NULL) { /* sip/ has closed the flow: it must not hear of it again */
        p->flow = 0;
        if (!peer_flush(t, n, p)) {
            return; /* it has ended */
        }
        stream_tls_close(t, n->streams, p->tls, true);
        p->tls = NULL;
        io_close(t->out, p->conn);
        peer_free(t, n, p);
        return;
    }
    if (is_wrapped) {
        wrapped_close(t, n, c->user);
        return;
    }
    io_close(t->out, event->conn);
    path_forget(n, event->conn);
}

void path_pump(struct turn *t, struct node *n)
{
    struct link_event link;
    struct overlay_event overlay;
    struct sip_event sip;
    bool moved = true;
    bool has_ended = false;
    while (moved) {
        moved = false;
        while (link_next(t, n->links, &link)) {
            if (link.kind == LINK_UP && !link.is_local && may_be_elsewhere(n)) {
                place_is_proved(t, n, place_of(n, link.link));
            }
            has_ended |= link.kind == LINK_DOWN && link.was_up;
            overlay_on_link(t, n->overlay, &link);
            moved = true;
        }
        while (overlay_next(t, n->overlay, &overlay)) {
            overlay_event(t, n, &overlay);
            moved = true;
        }
        while (n->sip != NULL && sip_next(t, n->sip, &sip)) {
            sip_output(t, n, &sip);
            moved = true;
        }
    }
    if (has_ended) {
        links_have_ended(t, n);
    }
    persist_pump(t, n);
}
