/* SPDX-License-Identifier: Apache-2.0 */
/* wrapped.c - see wrapped.h. */
#include "node/wrapped.h"
#include "node/node_impl.h"
#include "node/outward.h"

enum { READ_BYTES = 2048 };

static bool is_needed(const struct node_settings *s)
{
    return s->sip.ports[SIP_TLS] != 0 || s->sip.ports[SIP_WS] != 0 || s->sip.ports[SIP_WSS] != 0 ||
           s->sip.foreign_tls;
}

/* A plain WebSocket has a place there that it does not use. */
static struct stream_tls_settings streams_of(const struct node_settings *s)
{
    return (struct stream_tls_settings){
        .tls = s->tls, .tls_context = s->sip_tls_context, .streams = s->limits->sip_wrapped};
}

/* To other domains: as many as all in all. */
static struct stream_tls_settings outward_of(const struct node_settings *s)
{
    struct stream_tls_settings streams = streams_of(s);
    streams.tls_context = s->outward.tls_context;
    streams.streams = s->sip.foreign_tls ? streams.streams : 0;
    return streams;
}

size_t wrapped_bytes(const struct node_settings *s)
{
    struct stream_tls_settings streams = streams_of(s), outward = outward_of(s);
    size_t each = sizeof(struct wrapped) + 2 * sizeof(uint32_t);
    return is_needed(s) ? streams.streams * each + stream_tls_table_bytes(&streams) +
                              stream_tls_table_bytes(&outward) + 256
                        : 0;
}

void wrapped_init(struct node *n, struct arena *arena, uint64_t secret)
{
    struct wrapped_all *all = &n->wrapped;
    const struct limits *l = n->settings.limits;
    pace_init(&all->pace, l->handshakes_per_s, l->handshakes_per_host_s, secret);
    if (is_needed(&n->settings)) {
        struct stream_tls_settings s = streams_of(&n->settings), out = outward_of(&n->settings);
        pool_init(&all->pool, arena, "sip_wrapped", HANDLE_PATH, l->sip_wrapped,
                  sizeof(struct wrapped));
        all->streams = stream_tls_table_init(arena, &s);
        all->outward = out.streams == 0 ? NULL : stream_tls_table_init(arena, &out);
    }
}

void *wrapped_use(struct node *n, void *tls_context)
{
    void *former = n->settings.sip_tls_context;
    n->settings.sip_tls_context = tls_context;
    if (n->wrapped.streams != NULL) {
        former = stream_tls_table_use(n->wrapped.streams, tls_context);
    }
    return former;
}

/* ---- beginning and end */

static void end_tls(struct turn *t, struct node *n, struct wrapped *w, bool graceful)
{
    if (w->tls != NULL) {
        stream_tls_close(t, w->is_outward ? n->wrapped.outward : n->wrapped.streams, w->tls,
                         graceful);
        w->tls = NULL;
    }
}

static void release(struct turn *t, struct node *n, struct wrapped *w)
{
    struct wrapped_all *all = &n->wrapped;
    handle outward = w->outward;
    end_tls(t, n, w, false);
    ws_conn_free(t, &w->web);
    path_forget(n, w->conn);
    pool_release(&all->pool, w);
    metric_set(t->metrics, METRIC_sip_wrapped, all->pool.in_use);
    if (outward != 0) {
        outward_failed(t, n, outward);
    }
}

/* The other side gets what was sent before, an alert or a Close frame perhaps; the flow ends. */
static void finish(struct turn *t, struct node *n, struct wrapped *w)
{
    handle flow = w->flow;
    end_tls(t, n, w, true);
    io_close(t->out, w->conn);
    release(t, n, w);
    if (flow != 0) {
        sip_flow_closed(t, n->sip, flow);
    }
}

static struct wrapped *acquire(struct turn *t, struct node *n)
{
    struct wrapped_all *all = &n->wrapped;
    struct wrapped *w = pool_acquire(&all->pool);
    if (w == NULL) {
        metric_add(t->metrics, METRIC_sip_wrapped_refused, 1);
        return NULL;
    }
    metric_set(t->metrics, METRIC_sip_wrapped, all->pool.in_use);
    return w;
}

static enum sip_flow_kind kind_of(uint16_t listener)
{
    switch (io_listener_first(listener)) {
    case IO_LISTEN_SIP_TLS:
        return SIP_TLS;
    case IO_LISTEN_SIP_WS:
        return SIP_WS;
    default:
        return SIP_WSS;
    }
}

void wrapped_accepted(struct turn *t, struct node *n, const struct io_event *event)
{
    enum sip_flow_kind kind = kind_of(event->listener);
    bool has_tls = kind != SIP_WS;
    bool is_welcome =
        n->wrapped.streams != NULL && (!has_tls || pace_take(t, &n->wrapped.pace, &event->remote));
    struct wrapped *w = is_welcome ? acquire(t, n) : NULL;
    if (w == NULL) {
        io_abort(t->out, event->conn);
        return;
    }
    w->conn = event->conn;
    w->is_web = kind != SIP_TLS;
    w->is_up = !has_tls;
    w->web.origins = slice_text(n->settings.sip_ws_origins);
    path_record(n, event->conn, NODE_OWNER_WRAPPED, pool_handle(&n->wrapped.pool, w));
    w->flow = sip_flow_accepted(t, n->sip, kind, event->conn, &event->remote);
    if (w->flow != 0 && has_tls) {
        w->tls = stream_tls_open(t, n->wrapped.streams, TLS_SERVER, event->conn, NULL);
    }
    if (w->flow == 0 || (has_tls && w->tls == NULL)) {
        handle flow = w->flow;
        io_abort(t->out, event->conn);
        release(t, n, w);
        if (flow != 0) {
            sip_flow_closed(t, n->sip, flow);
        }
    }
}

bool wrapped_outward(struct turn *t, struct node *n, handle conn, handle who, const char *host)
{
    struct wrapped *w = n->wrapped.outward == NULL ? NULL : acquire(t, n);
    if (w == NULL) {
        return false;
    }
    w->conn = conn;
    w->is_outward = true;
    path_record(n, conn, NODE_OWNER_WRAPPED, pool_handle(&n->wrapped.pool, w));
    w->tls = stream_tls_open_to(t, n->wrapped.outward, conn, host);
    if (w->tls == NULL) {
        release(t, n, w);
        return false;
    }
    w->outward = who;
    return true;
}

void wrapped_give_up(struct turn *t, struct node *n, handle conn)
{
    uint32_t index = 0;
    struct wrapped *w = NULL;
    while ((w = pool_next(&n->wrapped.pool, &index)) != NULL && w->conn != conn) {}
    if (w != NULL) {
        io_abort(t->out, conn);
        release(t, n, w);
    }
}

void wrapped_gone(struct turn *t, struct node *n, handle who)
{
    struct wrapped *w = pool_get(&n->wrapped.pool, who);
    CHECK(w != NULL);
    handle flow = w->flow;
    release(t, n, w);
    if (flow != 0) {
        sip_flow_closed(t, n->sip, flow);
    }
}

/* ---- the way out */

/* Bytes for the connection, in TLS if there is.  False: it is over. */
static bool write_bytes(struct turn *t, struct node *n, struct wrapped *w, struct msgbuf *buf)
{
    enum err e = ERR_OK;
    if (w->tls != NULL) {
        size_t sent = 0; /* core/os has the cap on what waits: conn_queue_bytes */
        e = stream_tls_write(t, w->tls, msgbuf_slice(buf), &sent);
        msgbuf_release(t->buffers, buf);
    } else {
        e = io_send(t->out, t->buffers, w->conn, buf);
    }
    if (e != ERR_OK) { /* bytes cannot be left out of a stream */
        metric_add(t->metrics, METRIC_sip_sends_refused, 1);
        finish(t, n, w);
    }
    return e == ERR_OK;
}

static bool write_slice(struct turn *t, struct node *n, struct wrapped *w, struct slice bytes)
{
    struct msgbuf *buf = msgbuf_acquire(t->buffers, bytes.len);
    if (buf == NULL) {
        metric_add(t->metrics, METRIC_sip_sends_refused, 1);
        finish(t, n, w);
        return false;
    }
    enum err e = msgbuf_append(buf, bytes);
    CHECK(e == ERR_OK); /* it was made for them */
    return write_bytes(t, n, w, buf);
}

void wrapped_send(struct turn *t, struct node *n, handle who, struct slice message)
{
    struct wrapped *w = pool_get(&n->wrapped.pool, who);
    CHECK(w != NULL);
    if (!w->is_web) {
        (void)write_slice(t, n, w, message);
        return;
    }
    struct msgbuf *frame = ws_conn_wrap(t, &w->web, message);
    if (frame == NULL) {
        metric_add(t->metrics, METRIC_sip_sends_refused, 1);
        return; /* a message is lost, the stream is not */
    }
    (void)write_bytes(t, n, w, frame);
}

void wrapped_close(struct turn *t, struct node *n, handle who)
{
    struct wrapped *w = pool_get(&n->wrapped.pool, who);
    uint8_t goodbye[WS_CONN_BYE_CAP];
    CHECK(w != NULL);
    w->flow = 0; /* it must not hear of it again */
    size_t len = w->is_web ? ws_conn_goodbye(&w->web, WS_STATUS_GOING, goodbye) : 0;
    if (len == 0 || write_slice(t, n, w, slice_of(goodbye, len))) {
        finish(t, n, w);
    }
}

/* ---- the way in */

/* Plaintext of a WebSocket.  False: the connection is over. */
static bool read_web(struct turn *t, struct node *n, struct wrapped *w, uint8_t *data, size_t len)
{
    struct ws_conn_event event;
    handle self = pool_handle(&n->wrapped.pool, w);
    w->web.is_known = sip_flow_touch(t, n->sip, w->flow, ws_conn_is_partial(&w->web));
    ws_conn_begin(&w->web, data, len);
    while (ws_conn_next(t, &w->web, &event)) {
        switch (event.kind) {
        case WS_CONN_MESSAGE:
            sip_on_web(t, n->sip, w->flow, event.data, event.len);
            path_pump(t, n); /* answers leave before the next is read; sip/ may close the flow */
            if (pool_get(&n->wrapped.pool, self) == NULL) {
                return false;
            }
            break;
        case WS_CONN_SEND:
            if (!write_slice(t, n, w, slice_of(event.data, event.len))) {
                return false;
            }
            break;
        case WS_CONN_END:
            finish(t, n, w);
            return false;
        }
    }
    (void)sip_flow_touch(t, n->sip, w->flow, ws_conn_is_partial(&w->web));
    return true;
}

static bool read_plain(struct turn *t, struct node *n, struct wrapped *w, uint8_t *data, size_t len)
{
    handle self = pool_handle(&n->wrapped.pool, w);
    if (w->is_web) {
        return read_web(t, n, w, data, len);
    }
    sip_on_stream(t, n->sip, w->flow, data, len);
    path_pump(t, n);
    return pool_get(&n->wrapped.pool, self) != NULL;
}

void wrapped_stream(struct turn *t, struct node *n, handle who, uint8_t *data, size_t len)
{
    uint8_t plain[READ_BYTES];
    size_t got = 0;
    struct wrapped *w = pool_get(&n->wrapped.pool, who);
    CHECK(w != NULL);
    if (w->tls == NULL) {
        (void)read_plain(t, n, w, data, len);
        return;
    }
    enum err e = stream_tls_recv(t, w->tls, slice_of(data, len));
    if (e == ERR_OK && !w->is_up && stream_tls_is_up(w->tls)) {
        w->is_up = true;
        metric_add(t->metrics, METRIC_sip_tls_up, 1);
        if (w->is_outward) {
            w->flow = outward_up(t, n, w->outward, w->tls);
            w->outward = w->flow == 0 ? w->outward : 0;
            e = w->flow == 0 ? ERR_BAD_CERTIFICATE : ERR_OK;
            path_pump(t, n); /* what has waited for it leaves */
            if (pool_get(&n->wrapped.pool, who) == NULL) {
                return;
            }
        }
    }
    while (e == ERR_OK && w->is_up) {
        e = stream_tls_read(t, w->tls, plain, sizeof(plain), &got);
        if (e == ERR_OK && !read_plain(t, n, w, plain, got)) {
            return;
        }
    }
    if (e != ERR_OK && e != ERR_MORE) {
        finish(t, n, w);
    }
}
