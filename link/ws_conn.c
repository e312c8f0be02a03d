/* SPDX-License-Identifier: Apache-2.0 */
/* ws_conn.c - see ws_conn.h.
 *
 * What is looked at is `in` as long as nothing is held, else `held`, to which `in` is appended
 * piece by piece.  A frame is taken when all of it is there: its length is judged before that, so
 * it always fits. */
#include "link/ws_conn.h"

/* Bytes to look at. */
static struct slice view(const struct ws_conn *w)
{
    return w->held != NULL ? slice_from(msgbuf_slice(w->held), w->held_at)
                           : slice_of(w->in, w->in_len);
}

static uint8_t *view_data(const struct ws_conn *w)
{
    return w->held != NULL ? msgbuf_data(w->held) + w->held_at : w->in;
}

static void drop(struct turn *t, struct msgbuf **buf)
{
    if (*buf != NULL) {
        msgbuf_release(t->buffers, *buf);
        *buf = NULL;
    }
}

/* Bytes off the front of the view.  They stay readable until the next call. */
static void take(struct ws_conn *w, size_t len)
{
    if (w->held != NULL) {
        w->held_at += (uint32_t)len;
    } else {
        w->in += len;
        w->in_len -= len;
    }
}

static struct msgbuf *buffer(struct turn *t, const struct ws_conn *w, size_t bytes)
{
    const struct msgbuf_pool *pool = t->buffers;
    bool is_scarce = bytes > MSGBUF_SMALL_BYTES && pool->in_use[1] >= pool->cap[1] / 2;
    struct msgbuf *buf = !w->is_known && is_scarce ? NULL : msgbuf_acquire(t->buffers, bytes);
    if (buf == NULL) {
        metric_add(t->metrics, METRIC_msgbuf_exhausted, 1);
    }
    return buf;
}

/* Appends to *buf, which is replaced by a larger one if need be. */
static enum err append(struct turn *t, struct ws_conn *w, struct msgbuf **buf, uint32_t from,
                       struct slice bytes)
{
    struct slice had = *buf == NULL ? SLICE_EMPTY : slice_from(msgbuf_slice(*buf), from);
    if (*buf != NULL && from == 0 && msgbuf_append(*buf, bytes) == ERR_OK) {
        return ERR_OK;
    }
    struct msgbuf *made = buffer(t, w, had.len + bytes.len);
    if (made == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err e = msgbuf_append(made, had);
    e = e == ERR_OK ? msgbuf_append(made, bytes) : e;
    CHECK(e == ERR_OK); /* it was made for them */
    drop(t, buf);
    *buf = made;
    return ERR_OK;
}

/* More of `in` into `held`.  False when there is no more, or no room for it. */
static bool top_up(struct turn *t, struct ws_conn *w, enum err *error)
{
    size_t left = w->held == NULL ? 0 : w->held->len - w->held_at;
    size_t piece = min_size(w->in_len, MSGBUF_LARGE_BYTES - left);
    *error = ERR_OK;
    if (piece == 0) {
        return false;
    }
    *error = append(t, w, &w->held, w->held_at, slice_of(w->in, piece));
    if (*error != ERR_OK) {
        return false;
    }
    w->held_at = 0;
    w->in += piece;
    w->in_len -= piece;
    return true;
}

/* END, once. */
static bool end(struct ws_conn *w, struct ws_conn_event *event)
{
    bool is_news = !w->is_ended;
    w->state = WS_CONN_OVER;
    w->is_ended = true;
    w->in_len = 0;
    *event = (struct ws_conn_event){.kind = WS_CONN_END};
    return is_news;
}

static bool send(struct ws_conn *w, struct ws_conn_event *event, size_t len)
{
    *event = (struct ws_conn_event){.kind = WS_CONN_SEND, .data = w->out, .len = len};
    return true;
}

/* A Close frame, and nothing more is read; the next call ends it. */
static bool say_close(struct turn *t, struct ws_conn *w, struct ws_conn_event *event,
                      enum ws_status status, enum err error)
{
    size_t len = ws_conn_goodbye(w, status, w->out);
    metric_add(t->metrics, METRIC_sip_ws_failed, error == ERR_CLOSED ? 0 : 1);
    w->in_len = 0;
    return send(w, event, len);
}

/* ---- the handshake */

static bool refuse(struct turn *t, struct ws_conn *w, struct ws_conn_event *event,
                   enum ws_http_status status)
{
    struct wr out = wr_init(w->out, sizeof(w->out));
    ws_http_wr_refuse(&out, status);
    CHECK(wr_ok(&out));
    metric_add(t->metrics, METRIC_sip_ws_refused, 1);
    w->state = WS_CONN_OVER;
    w->in_len = 0;
    return send(w, event, wr_len(&out));
}

static bool shake(struct turn *t, struct ws_conn *w, struct ws_conn_event *event)
{
    struct ws_http http;
    size_t len = ws_http_end(slice_sub(view(w), 0, WS_HTTP_CAP), &w->scanned);
    if (len == 0) {
        return view(w).len >= WS_HTTP_CAP && refuse(t, w, event, WS_HTTP_LARGE);
    }
    enum ws_http_status status = ws_http_read(slice_sub(view(w), 0, len), &http);
    if (status == WS_HTTP_SWITCHING && http.has_origin && w->origins.len > 0 &&
        !ws_http_origin_is_listed(http.origin, w->origins)) {
        status = WS_HTTP_FORBIDDEN; /* 4.2.2: scripts of other sites do not get in */
    }
    if (status != WS_HTTP_SWITCHING) {
        return refuse(t, w, event, status);
    }
    uint8_t input[WS_HTTP_ACCEPT_INPUT], hash[CRYPTO_SHA1_BYTES];
    struct wr out = wr_init(w->out, sizeof(w->out));
    ws_http_accept_input(http.key, input);
    t->crypto->sha1(slice_of(input, sizeof(input)), hash);
    ws_http_wr_accept(&out, hash);
    CHECK(wr_ok(&out));
    take(w, len);
    w->state = WS_CONN_OPEN;
    metric_add(t->metrics, METRIC_sip_ws_up, 1);
    return send(w, event, wr_len(&out));
}

/* ---- frames */

/* Ping, Pong, Close.  False: nothing comes of it. */
static bool control(struct turn *t, struct ws_conn *w, const struct ws_frame *f, uint8_t *data,
                    struct ws_conn_event *event)
{
    enum ws_status status = WS_STATUS_NONE;
    struct slice payload = slice_of(data, (size_t)f->len);
    if (f->opcode == WS_PONG) {
        return false;
    }
    if (f->opcode == WS_PING) {
        size_t header = ws_frame_write(WS_PONG, payload.len, w->out);
        memcpy(w->out + header, payload.data, payload.len);
        metric_add(t->metrics, METRIC_sip_keepalives, 1);
        return send(w, event, header + payload.len);
    }
    if (!ws_close_read(payload, &status)) {
        return say_close(t, w, event, WS_STATUS_PROTOCOL, ERR_MALFORMED);
    }
    return say_close(t, w, event, status == WS_STATUS_NONE ? WS_STATUS_NORMAL : status, ERR_CLOSED);
}

static bool whole(struct turn *t, struct ws_conn *w, uint8_t *data, size_t len,
                  struct ws_conn_event *event)
{
    w->has_message = false;
    w->fragments = 0;
    if (w->is_text && !ws_is_utf8(slice_of(data, len))) {
        return say_close(t, w, event, WS_STATUS_BAD_TEXT, ERR_MALFORMED); /* 8.1 */
    }
    *event = (struct ws_conn_event){.kind = WS_CONN_MESSAGE, .data = data, .len = len};
    return true;
}

/* A data frame.  False: the message goes on. */
static bool data_frame(struct turn *t, struct ws_conn *w, const struct ws_frame *f, uint8_t *data,
                       struct ws_conn_event *event)
{
    if (f->opcode != WS_CONTINUATION) {
        w->is_text = f->opcode == WS_TEXT;
        if (f->is_final) {
            return whole(t, w, data, (size_t)f->len, event);
        }
    }
    w->has_message = true;
    if (++w->fragments > WS_CONN_FRAGMENTS) {
        return say_close(t, w, event, WS_STATUS_POLICY, ERR_LIMIT);
    }
    if (append(t, w, &w->message, 0, slice_of(data, (size_t)f->len)) != ERR_OK) {
        return say_close(t, w, event, WS_STATUS_FULL, ERR_NO_MEMORY);
    }
    if (!f->is_final) {
        return false;
    }
    w->is_given = true;
    return whole(t, w, msgbuf_data(w->message), w->message->len, event);
}

/* What a header alone says against a frame; 0 = nothing. */
static enum ws_status judge(const struct ws_conn *w, const struct ws_frame *f)
{
    size_t so_far = w->message == NULL ? 0 : w->message->len;
    if (!f->is_masked) {
        return WS_STATUS_PROTOCOL; /* 5.1 */
    }
    if (ws_is_control(f->opcode)) {
        return (enum ws_status)0;
    }
    if ((f->opcode == WS_CONTINUATION) != w->has_message) {
        return WS_STATUS_PROTOCOL; /* 5.4 */
    }
    return f->len > WS_CONN_MESSAGE_CAP - min_size(so_far, WS_CONN_MESSAGE_CAP) ? WS_STATUS_TOO_BIG
                                                                                : (enum ws_status)0;
}

/* Frames of the view until something comes of one.  False: more bytes are needed. */
static bool frames(struct turn *t, struct ws_conn *w, struct ws_conn_event *event)
{
    for (;;) {
        struct ws_frame f;
        struct slice bytes = view(w);
        enum err e = ws_frame_read(bytes, &f);
        if (e == ERR_MORE) {
            return false;
        }
        enum ws_status wrong = e == ERR_OK ? judge(w, &f) : WS_STATUS_PROTOCOL;
        if (wrong != 0) {
            return say_close(t, w, event, wrong, ERR_MALFORMED);
        }
        if (bytes.len - f.header_len < f.len) {
            return false;
        }
        uint8_t *data = view_data(w) + f.header_len;
        ws_mask(data, (size_t)f.len, f.mask);
        take(w, f.header_len + (size_t)f.len);
        bool has_event = ws_is_control(f.opcode) ? control(t, w, &f, data, event)
                                                 : data_frame(t, w, &f, data, event);
        if (has_event) {
            return true;
        }
    }
}

/* ---- */

void ws_conn_begin(struct ws_conn *w, uint8_t *data, size_t len)
{
    CHECK(w->in_len == 0);
    w->in = data;
    w->in_len = w->state == WS_CONN_OVER ? 0 : len;
}

/* What was given out is done with. */
static void tidy(struct turn *t, struct ws_conn *w)
{
    if (w->is_given) {
        drop(t, &w->message);
        w->is_given = false;
    }
    if (w->held != NULL && w->held_at == w->held->len) {
        drop(t, &w->held);
        w->held_at = 0;
    }
}

bool ws_conn_next(struct turn *t, struct ws_conn *w, struct ws_conn_event *event)
{
    enum err error = ERR_OK;
    tidy(t, w);
    if (w->state == WS_CONN_OVER) {
        return end(w, event);
    }
    while (view(w).len > 0 || w->in_len > 0) {
        bool has_event = w->state == WS_CONN_HANDSHAKE ? shake(t, w, event) : frames(t, w, event);
        if (has_event) {
            return true;
        }
        tidy(t, w);
        if (!top_up(t, w, &error)) {
            break;
        }
    }
    if (error == ERR_OK) {
        return false;
    }
    metric_add(t->metrics, METRIC_sip_ws_failed, 1);
    return end(w, event); /* no room for the rest of a frame: the stream is lost */
}

bool ws_conn_is_partial(const struct ws_conn *w)
{
    return w->held != NULL || w->has_message;
}

struct msgbuf *ws_conn_wrap(struct turn *t, const struct ws_conn *w, struct slice message)
{
    uint8_t header[WS_OUT_HEADER_CAP];
    /* RFC 7118 5: both are understood; a text frame must be a text. */
    enum ws_opcode opcode = ws_is_utf8(message) ? WS_TEXT : WS_BINARY;
    size_t len = ws_frame_write(opcode, message.len, header);
    struct msgbuf *buf =
        w->state == WS_CONN_OPEN ? msgbuf_acquire(t->buffers, len + message.len) : NULL;
    if (buf == NULL) {
        return NULL;
    }
    enum err e = msgbuf_append(buf, slice_of(header, len));
    e = e == ERR_OK ? msgbuf_append(buf, message) : e;
    CHECK(e == ERR_OK); /* it was made for them */
    return buf;
}

size_t ws_conn_goodbye(struct ws_conn *w, enum ws_status status, uint8_t out[WS_CONN_BYE_CAP])
{
    size_t len = 0;
    if (w->state == WS_CONN_OPEN) {
        len = ws_frame_write(WS_CLOSE, 2, out);
        ws_close_write(status, out + len);
        len += 2;
    }
    w->state = WS_CONN_OVER;
    return len;
}

void ws_conn_free(struct turn *t, struct ws_conn *w)
{
    drop(t, &w->held);
    drop(t, &w->message);
}
