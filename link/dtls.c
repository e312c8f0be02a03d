/* SPDX-License-Identifier: Apache-2.0 */
/* dtls.c - whose a datagram is, handshakes, records; what to send when is link/sr's.
 *
 * In:  datagram -> link of its remote address -> DTLS -> `chunk` -> frames, all before the next
 * event, so that nothing is kept.  Out: link_send copies the message behind the headroom of sr;
 * dtls_flush seals each frame that may leave straight into the buffer of its datagram.
 *
 * No reflector (design.md 6): see announced.h for who is answered at all.  Who is answered gets a
 * flight for a datagram and no repetitions on our own account, until the handshake is done. */
#include "link/dtls.h"
#include "link/link_life.h"
#include "link/trunk.h"

enum {
    RECORD_HEAD = 13, /* type, version, epoch, sequence number, length */
    HANDSHAKE_HEAD = 12,
    CONTENT_HANDSHAKE = 22,
    TYPE_CLIENT_HELLO = 1,
};

/* ---- who is it? ---- */

static struct link *find(const struct link_table *lt, const struct address *remote)
{
    uint32_t index = 0;
    if (!table_find(&lt->by_address, remote, &index)) {
        return NULL;
    }
    return (struct link *)(void *)(lt->pool.objects + (size_t)index * lt->pool.object_size);
}

static struct link *older_of(const struct link_table *lt, const struct link *l)
{
    struct link *older = link_table_get(lt, l->dtls->older);
    return older != NULL && older->state != LINK_STATE_DOWN ? older : NULL;
}

/* A record in the clear that begins a ClientHello. */
static bool is_hello(struct slice d)
{
    return d.len >= RECORD_HEAD + HANDSHAKE_HEAD && d.data[0] == CONTENT_HANDSHAKE &&
           d.data[1] == 0xfe && d.data[3] == 0 && d.data[4] == 0 &&
           d.data[RECORD_HEAD] == TYPE_CLIENT_HELLO;
}

static bool is_encrypted(struct slice d)
{
    return d.len >= RECORD_HEAD && (d.data[3] != 0 || d.data[4] != 0);
}

static void take_address(struct link_table *lt, struct link *l)
{
    uint32_t index = handle_index(link_table_handle(lt, l));
    struct link *older = find(lt, &l->remote);
    if (older != NULL) {
        struct link *oldest = older_of(lt, older);
        l->dtls->older = link_table_handle(lt, older);
        CHECK(oldest == NULL);
        table_remove(&lt->by_address, &l->remote);
    }
    enum err error = table_insert(&lt->by_address, &l->remote, index);
    CHECK(error == ERR_OK); /* it has room for every link */
}

void dtls_leave_address(struct link_table *lt, struct link *l)
{
    if (find(lt, &l->remote) != l) {
        return; /* a newer one has it */
    }
    struct link *older = older_of(lt, l);
    table_remove(&lt->by_address, &l->remote);
    if (older != NULL) {
        uint32_t index = handle_index(link_table_handle(lt, older));
        enum err error = table_insert(&lt->by_address, &l->remote, index);
        CHECK(error == ERR_OK);
    }
}

/* ---- beginning ---- */

static bool open_tls(struct turn *t, struct link_table *lt, struct link *l)
{
    const struct tls_ops *ops = lt->settings.tls;
    l->tls = ops->open_datagram(lt->settings.tls_context, l->dtls->role,
                                lt->settings.datagram_bytes, t->now_us);
    if (l->tls == NULL) {
        link_life_fail(t, lt, l, ERR_NO_MEMORY, METRIC_link_no_buffer, "no memory for DTLS");
        return false;
    }
    enum err error = ops->handshake(l->tls);
    if (error != ERR_MORE && error != ERR_OK) {
        link_life_fail(t, lt, l, error, METRIC_link_handshake_failed, "DTLS does not start");
        return false;
    }
    return true;
}

/* A link in HANDSHAKE, counted by its side; NULL when a pool is empty. */
static struct link *begin(struct turn *t, struct link_table *lt, const struct address *remote,
                          enum tls_role role)
{
    struct dtls *dtls = pool_acquire(&lt->datagram_pool);
    struct link *l = dtls == NULL ? NULL : link_table_add(lt, LINK_STATE_HANDSHAKE);
    if (l == NULL) {
        if (dtls != NULL) {
            pool_release(&lt->datagram_pool, dtls);
        }
        return NULL;
    }
    l->dtls = dtls;
    dtls->role = role;
    struct sr_limits limits = SR_LIMITS_DEFAULT;
    sr_init(t, &dtls->sr, &limits);
    l->remote = *remote;
    l->opened_us = t->now_us;
    l->is_dialled = role == TLS_CLIENT;
    metric_add(t->metrics, METRIC_links_handshaking, 1);
    take_address(lt, l);
    return l;
}

/* What the handshake has to say leaves; it is a flight if it is anything at all. */
void dtls_say(struct turn *t, struct link_table *lt, struct link *l)
{
    uint8_t bytes[MSGBUF_SMALL_BYTES]; /* there is nothing, mostly: no buffer is touched for that */
    bool is_flight = false;
    size_t len = 0;
    CHECK(lt->settings.datagram_bytes <= sizeof(bytes));
    while ((len = lt->settings.tls->pull(l->tls, bytes, sizeof(bytes))) > 0) {
        is_flight = true;
        struct msgbuf *buf = l->is_dialled ? msgbuf_acquire_reserved(t->buffers, len)
                                           : msgbuf_acquire(t->buffers, len);
        if (buf == NULL) { /* as if it were lost on the way: DTLS says it again */
            metric_add(t->metrics, METRIC_link_datagrams_lost, 1);
            continue;
        }
        enum err error = msgbuf_append(buf, slice_of(bytes, len));
        CHECK(error == ERR_OK);
        l->bytes_out += len;
        if (io_datagram(t->out, t->buffers, IO_LISTEN_OVERLAY_UDP, &l->remote, buf) != ERR_OK) {
            metric_add(t->metrics, METRIC_link_datagrams_lost, 1);
        }
    }
    l->dtls->flights_out += is_flight ? 1 : 0;
}

enum err dtls_dial(struct turn *t, struct link_table *lt, const struct address *remote,
                   const struct node_id *expect, struct link **out)
{
    struct link *old = find(lt, remote);
    *out = NULL;
    if (old != NULL && (old->state == LINK_STATE_HANDSHAKE || older_of(lt, old) != NULL)) {
        bool is_same = old->is_dialled ? ids_node_is_equal(&old->node_id, expect)
                                       : announced_is_by(&lt->announced, t->now_us, remote, expect);
        *out = is_same ? old : NULL;
        return ERR_EXISTS;
    }
    struct link *l = begin(t, lt, remote, TLS_CLIENT);
    if (l == NULL) {
        return ERR_LIMIT;
    }
    lt->dialling_count++;
    l->has_expect = true;
    l->node_id = *expect;
    *out = l;
    if (open_tls(t, lt, l)) {
        dtls_say(t, lt, l);
        dtls_arm(t, lt, l);
    }
    return ERR_OK;
}

/* A ClientHello from an announced address. */
static struct link *accept_hello(struct turn *t, struct link_table *lt,
                                 const struct address *remote)
{
    struct link *l = link_table_admit(t, lt, remote) ? begin(t, lt, remote, TLS_SERVER) : NULL;
    if (l == NULL) {
        metric_add(t->metrics, METRIC_link_refused_datagram, 1);
        return NULL;
    }
    link_table_note_stranger(lt, l);
    metric_add(t->metrics, METRIC_link_accepts, 1);
    return open_tls(t, lt, l) ? l : NULL;
}

/* ---- in ---- */

/* The handshake is through. */
static void come_up(struct turn *t, struct link_table *lt, struct link *l)
{
    struct link *older = older_of(lt, l);
    l->dtls->older = 0;
    l->dtls->heard_us = t->now_us;
    size_t overhead = lt->settings.tls->overhead(l->tls) + FRAME_DATA_HEADER;
    l->dtls->room = (uint32_t)(lt->settings.datagram_bytes - overhead);
    link_life_authenticate(t, lt, l);
    if (older == NULL) {
        return;
    }
    if (l->state == LINK_STATE_DOWN) { /* the address is that of the older one again */
        dtls_leave_address(lt, l);
        take_address(lt, older);
        return;
    }
    /* Whoever holds the address now has no keys of the older one any more. */
    older->gives_back = true;
    link_life_fail(t, lt, older, ERR_EXISTS, METRIC_link_replaced, "its address has a newer link");
}

/* False: nothing authentic was in it. */
static bool feed(struct turn *t, struct link_table *lt, struct link *l, struct slice datagram)
{
    const struct tls_ops *ops = lt->settings.tls;
    size_t len = 0;
    /* Nothing but a ClientHello comes while a message is being read. */
    size_t cap = lt->reading == NULL ? TLS_RECORD_BYTES : 0;
    l->bytes_in += datagram.len;
    l->dtls->datagrams_in++;
    enum err error = ops->feed_datagram(l->tls, t->now_us, datagram, lt->chunk, cap, &len);
    if (error == ERR_OK && l->state == LINK_STATE_HANDSHAKE) {
        error = ops->handshake(l->tls);
        if (error == ERR_OK) {
            come_up(t, lt, l);
        }
        error = error == ERR_MORE ? ERR_OK : error;
    }
    if (error == ERR_OK && l->state == LINK_STATE_HANDSHAKE && l->dtls->is_held) {
        l->dtls->is_held = false;
        error = ops->on_due(l->tls, t->now_us);
    }
    if (error != ERR_OK) {
        link_life_on_tls_error(t, lt, l, error);
        return true;
    }
    if (l->state == LINK_STATE_DOWN) {
        return true;
    }
    dtls_say(t, lt, l);
    if (len > 0) {
        l->dtls->heard_us = t->now_us;
        lt->reading = l;
        lt->chunk_at = 0;
        lt->chunk_len = len;
        l->has_input = true;
        link_table_note_ready(lt, l);
    }
    if (l->state == LINK_STATE_HANDSHAKE) {
        dtls_arm(t, lt, l);
    } else {
        link_table_note_dirty(lt, l); /* ACKs, and what an ACK lets leave */
    }
    return len > 0;
}

/* Both have dialled, and the ClientHellos have crossed.  As with other links the one of the larger
 * Node-ID is kept (AT-18); over one pair of addresses that has to be settled before there are keys.
 */
static void cross(struct turn *t, struct link_table *lt, struct link *l, struct slice hello)
{
    bool is_ours_larger =
        memcmp(lt->settings.self.bytes, l->node_id.bytes, sizeof(l->node_id.bytes)) > 0;
    if (is_ours_larger || l->dtls->datagrams_in > 0) { /* or they have answered ours */
        metric_add(t->metrics, METRIC_link_hello_crossed, 1);
        return;
    }
    metric_add(t->metrics, METRIC_link_hello_yielded, 1);
    lt->settings.tls->close(l->tls);
    l->tls = NULL;
    l->dtls->role = TLS_SERVER;
    l->dtls->flights_out = 0;
    l->is_dialled = false; /* the tag and whom we expect stay */
    lt->dialling_count--;
    link_table_note_stranger(lt, l);
    if (open_tls(t, lt, l)) {
        feed(t, lt, l, hello);
    }
}

static void on_stranger(struct turn *t, struct link_table *lt, const struct address *remote,
                        struct slice datagram, bool is_announced)
{
    if (!is_announced) {
        announced_park(t, &lt->announced, remote, datagram);
        return;
    }
    struct link *l = accept_hello(t, lt, remote);
    if (l != NULL) {
        feed(t, lt, l, datagram);
    }
}

void dtls_on_datagram(struct turn *t, struct link_table *lt, const struct address *remote,
                      struct slice datagram)
{
    struct link *l = find(lt, remote);
    bool hello = is_hello(datagram);
    bool is_shaking = l != NULL && l->state == LINK_STATE_HANDSHAKE;
    if (l == NULL || (hello && !is_shaking)) {
        bool is_announced = announced_has(&lt->announced, t->now_us, remote);
        if (!hello) {
            metric_add(t->metrics, METRIC_link_datagrams_stray, 1);
        } else if (l != NULL && older_of(lt, l) != NULL) {
            metric_add(t->metrics, METRIC_link_refused_datagram, 1);
        } else {
            on_stranger(t, lt, remote, datagram, is_announced);
        }
        return;
    }
    if (hello && l->dtls->role == TLS_CLIENT) {
        cross(t, lt, l, datagram);
        return;
    }
    struct link *older = is_shaking && is_encrypted(datagram) ? older_of(lt, l) : NULL;
    if (older == NULL || !feed(t, lt, older, datagram)) {
        feed(t, lt, l, datagram);
    }
}

void dtls_replay(struct turn *t, struct link_table *lt, const struct address *remote)
{
    uint8_t bytes[ANNOUNCED_PARKED_BYTES];
    struct slice hello = announced_take(t, &lt->announced, remote, bytes);
    if (hello.len > 0) {
        dtls_on_datagram(t, lt, remote, hello);
    }
}

/* What sr thinks of the link.  False: it is down. */
static bool follow_sr(struct turn *t, struct link_table *lt, struct link *l)
{
    enum sr_state state = sr_state(&l->dtls->sr);
    if (state == SR_DEAD) {
        link_life_fail(t, lt, l, ERR_TIMEOUT, METRIC_link_silent, "no acknowledgement");
        return false;
    }
    if (state == SR_SUSPICIOUS && l->state == LINK_STATE_UP) {
        metric_add(t->metrics, METRIC_link_suspect, 1);
        link_table_enter(t, lt, l, LINK_STATE_SUSPECT);
        link_table_note_ready(lt, l);
    } else if (state == SR_UP && l->state == LINK_STATE_SUSPECT) {
        link_table_enter(t, lt, l, LINK_STATE_UP);
        link_table_note_ready(lt, l);
    }
    return true;
}

static bool put_datagram(struct turn *t, struct link_table *lt, struct link *l, struct msgbuf *buf,
                         struct slice frame);

/* An ACK leaves by itself.  False: no buffer, or the link is down. */
static bool put_ack(struct turn *t, struct link_table *lt, struct link *l)
{
    struct msgbuf *buf =
        msgbuf_acquire_reserved(t->buffers, FRAME_ACK_BYTES + TLS_DATAGRAM_OVERHEAD);
    if (buf == NULL) {
        metric_add(t->metrics, METRIC_link_datagrams_lost, 1);
        return false; /* the debt stays */
    }
    uint8_t ack[FRAME_ACK_BYTES];
    sr_put_ack(&l->dtls->sr, ack);
    return put_datagram(t, lt, l, buf, slice_of(ack, sizeof(ack)));
}

/* One frame has come; true when it is a message to be passed on. */
static bool on_frame(struct turn *t, struct link_table *lt, struct link *l,
                     const struct frame *frame)
{
    struct sr *sr = &l->dtls->sr;
    if (frame->type == FRAME_ACK) {
        if (sr_on_ack(t, sr, frame->sequence, frame->received) == ERR_NOT_FOUND) {
            metric_add(t->metrics, METRIC_link_ack_unknown, 1);
        }
        follow_sr(t, lt, l);
        return false;
    }
    enum sr_data data = sr_on_data(t, sr, frame->sequence, frame->message);
    while (sr_owes_ack(sr, true) && put_ack(t, lt, l)) {}
    if (data != SR_FRESH || l->state == LINK_STATE_DOWN) {
        return false;
    }
    l->messages_in++;
    metric_add(t->metrics, METRIC_link_messages_in, 1);
    return true;
}

HOT bool dtls_read(struct turn *t, struct link_table *lt, struct link *l, uint8_t **message,
                   size_t *len)
{
    while (lt->reading == l) {
        struct frame frame;
        size_t consumed = 0;
        uint8_t *start = lt->chunk + lt->chunk_at;
        struct slice rest = slice_of(start, lt->chunk_len - lt->chunk_at);
        if (rest.len == 0) {
            lt->reading = NULL;
            break;
        }
        if (frame_scan(rest, lt->message_cap, &frame, &consumed) != ERR_OK) {
            metric_add(t->metrics, METRIC_link_datagram_garbage, 1); /* the next one is whole */
            lt->reading = NULL;
            break;
        }
        lt->chunk_at += consumed;
        if (on_frame(t, lt, l, &frame)) {
            *message = start + FRAME_DATA_HEADER;
            *len = frame.message.len;
            return true;
        }
    }
    l->has_input = false;
    return false;
}

/* ---- out ---- */

/* Seals `frame` into `buf`, which it takes over, and sends it.  False: the link is down. */
static HOT bool put_datagram(struct turn *t, struct link_table *lt, struct link *l,
                             struct msgbuf *buf, struct slice frame)
{
    size_t len = 0;
    enum err error = lt->settings.tls->seal_datagram(l->tls, frame, msgbuf_data(buf),
                                                     msgbuf_tailroom(buf), &len);
    if (error != ERR_OK) {
        msgbuf_release(t->buffers, buf);
        link_life_on_tls_error(t, lt, l, error);
        return false;
    }
    buf->len = (uint32_t)len;
    l->bytes_out += len;
    if (io_datagram(t->out, t->buffers, IO_LISTEN_OVERLAY_UDP, &l->remote, buf) != ERR_OK) {
        metric_add(t->metrics, METRIC_link_datagrams_lost, 1);
    }
    return true;
}

HOT enum err dtls_send(struct turn *t, struct link_table *lt, struct link *l, struct slice head,
                       struct slice body)
{
    if (head.len + body.len > DTLS_MESSAGE_MAX) {
        return ERR_TOO_LARGE; /* whoever is above cuts it, link_room tells how */
    }
    STATIC_CHECK((int)SR_HEADROOM <= (int)MSGBUF_HEADROOM);
    struct msgbuf *buf = msgbuf_acquire_for(t->buffers, l->account, head.len + body.len);
    if (buf == NULL) {
        metric_add(t->metrics, METRIC_link_send_failed, 1);
        return ERR_LIMIT;
    }
    enum err error = msgbuf_append(buf, head);
    CHECK(error == ERR_OK);
    error = msgbuf_append(buf, body);
    CHECK(error == ERR_OK);
    error = sr_queue(t, &l->dtls->sr, buf);
    if (error != ERR_OK) {
        metric_add(t->metrics, METRIC_link_queue_full, 1);
        return error;
    }
    l->messages_out++;
    metric_add(t->metrics, METRIC_link_messages_out, 1);
    link_table_note_dirty(lt, l);
    return ERR_OK;
}

HOT void dtls_fetch_ahead(const struct link_table *lt, const struct link *l)
{
    __builtin_prefetch(&l->dtls->sr.window);
    __builtin_prefetch(&l->dtls->sr.waiting);
    __builtin_prefetch(&l->dtls->sr.congestion);
    if (l->tls != NULL && lt->settings.tls->seal_ahead != NULL) {
        lt->settings.tls->seal_ahead(l->tls);
    }
}

HOT bool dtls_flush(struct turn *t, struct link_table *lt, struct link *l)
{
    if (l->tls == NULL || l->state < LINK_STATE_UP || l->state == LINK_STATE_DOWN) {
        return true;
    }
    if (t->wall_ms > l->not_after_ms) { /* ID-7 */
        link_life_fail(t, lt, l, ERR_EXPIRED, METRIC_link_certificate_expired,
                       "certificate expired");
        return true;
    }
    struct sr *sr = &l->dtls->sr;
    bool is_paid = true;
    while (is_paid && sr_owes_ack(sr, false)) {
        is_paid = put_ack(t, lt, l);
    }
    struct sr_frame frame;
    bool is_first = true;
    while (l->state != LINK_STATE_DOWN && sr_has_unsent(sr)) {
        /* First the buffer: what sr_next gives counts as sent.  One of each turn comes out of the
         * reserve, if need be: what waits may be upkeep, but most of it is load. */
        struct msgbuf *buf = is_first ? msgbuf_acquire_reserved(t->buffers, MSGBUF_SMALL_BYTES)
                                      : msgbuf_acquire(t->buffers, MSGBUF_SMALL_BYTES);
        is_first = false;
        if (buf == NULL || !sr_next(t, sr, &frame)) {
            if (buf != NULL) {
                msgbuf_release(t->buffers, buf);
            }
            break;
        }
        put_datagram(t, lt, l, buf, frame.frame);
    }
    if (l->state != LINK_STATE_DOWN) {
        dtls_arm(t, lt, l);
    }
    return is_paid || l->state == LINK_STATE_DOWN;
}

struct msgbuf *dtls_give(struct link *l)
{
    return sr_give(&l->dtls->sr);
}

void dtls_release(struct turn *t, struct link_table *lt, struct link *l)
{
    sr_fini(t, &l->dtls->sr);
    pool_release(&lt->datagram_pool, l->dtls);
    l->dtls = NULL;
}

/* ---- time ---- */

static uint64_t due_us(struct turn *t, struct link_table *lt, struct link *l)
{
    if (l->state != LINK_STATE_HANDSHAKE) {
        uint64_t other_us =
            l->state == LINK_STATE_DRAINING ? l->down_at_us : l->dtls->heard_us + DTLS_QUIET_US;
        return min_u64(sr_next_us(&l->dtls->sr), other_us);
    }
    uint64_t end_us = l->opened_us + lt->settings.handshake_timeout_us;
    uint64_t again_us = l->dtls->is_held ? UINT64_MAX : lt->settings.tls->due_us(l->tls, t->now_us);
    return min_u64(end_us, again_us);
}

void dtls_arm(struct turn *t, struct link_table *lt, struct link *l)
{
    uint64_t at_us = due_us(t, lt, l);
    /* Once it is up a link does not mind being asked too early, and what is due moves on with each
     * frame: the timer stays where it is, and is set anew when it has run. */
    bool is_soon =
        l->state != LINK_STATE_HANDSHAKE && wheel_is_armed(&l->timer) && l->timer.due_us <= at_us;
    if (is_soon) {
        return;
    }
    if (at_us == UINT64_MAX) {
        wheel_cancel(t->wheel, &l->timer);
    } else {
        wheel_arm(t->wheel, &l->timer, at_us);
    }
}

static void on_handshake_timer(struct turn *t, struct link_table *lt, struct link *l)
{
    struct dtls *d = l->dtls;
    if (t->now_us - l->opened_us >= lt->settings.handshake_timeout_us) {
        link_life_fail(t, lt, l, ERR_TIMEOUT,
                       d->role == TLS_CLIENT ? METRIC_link_dial_failed
                                             : METRIC_link_handshake_timeout,
                       "not authenticated in time");
        return;
    }
    if (d->role == TLS_SERVER && d->flights_out >= d->datagrams_in) {
        d->is_held = true;
        metric_add(t->metrics, METRIC_link_flights_held, 1);
    } else if (lt->settings.tls->on_due(l->tls, t->now_us) == ERR_OK) {
        dtls_say(t, lt, l);
    } else {
        link_life_fail(t, lt, l, ERR_TIMEOUT, METRIC_link_handshake_timeout, "no answer");
        return;
    }
    dtls_arm(t, lt, l);
}

void dtls_on_timer(struct turn *t, struct link_table *lt, struct link *l)
{
    if (l->state == LINK_STATE_HANDSHAKE) {
        on_handshake_timer(t, lt, l);
        return;
    }
    CHECK(l->state != LINK_STATE_DOWN);
    sr_on_time(t, &l->dtls->sr);
    if (!follow_sr(t, lt, l)) {
        return;
    }
    if (l->state == LINK_STATE_DRAINING && t->now_us >= l->down_at_us) {
        if (!l->is_dialled && l->bytes_in != l->drain_bytes_in) {
            link_table_arm_drain(t, lt, l); /* still used from the other side, which closes it */
            return;
        }
        l->gives_back = true;
        link_life_close(t, lt, l, ERR_EXISTS);
        return;
    }
    if (l->state != LINK_STATE_DRAINING && t->now_us - l->dtls->heard_us >= DTLS_QUIET_US) {
        l->dtls->heard_us = t->now_us; /* not again at once */
        l->owes_quiet = true;
        link_table_note_ready(lt, l);
    }
    link_table_note_dirty(lt, l); /* the flush sends, and arms the timer anew */
}
