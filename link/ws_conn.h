/* SPDX-License-Identifier: Apache-2.0 */
/* ws_conn.h - the server's end of a WebSocket (RFC 6455, RFC 7118): bytes of a stream in, whole
 * messages out.
 *
 *     ws_conn_begin(&w, data, len);
 *     while (ws_conn_next(t, &w, &event)) ...MESSAGE, SEND, END
 *
 * Handshake, unmasking, fragments, Ping, Pong and Close are dealt with here; what is to be sent for
 * that comes out as SEND.  Bytes are unmasked where they lie; what is incomplete is copied into a
 * buffer, which starts small and is replaced by a large one once.
 *
 * Owner:  embedded in node/wrapped's record.  Time: none; sip/flow has the deadlines.
 * Limits: WS_CONN_MESSAGE_CAP bytes and WS_CONN_FRAGMENTS frames for a message; two buffers, which
 *         strangers do not get while large ones are scarce. */
#pragma once
#include "codec/ws.h"
#include "codec/ws_http.h"
#include "core/turn.h"

enum {
    WS_CONN_MESSAGE_CAP = 16 * 1024,
    WS_CONN_FRAGMENTS = 256,
    WS_CONN_BYE_CAP = WS_OUT_HEADER_CAP + 2
};

enum ws_conn_state { WS_CONN_HANDSHAKE, WS_CONN_OPEN, WS_CONN_OVER };

struct ws_conn {
    enum ws_conn_state state;
    bool is_known;        /* set by the owner: no stranger */
    bool is_ended;        /* END has been given out */
    bool has_message;     /* the first frame of a message has come */
    bool is_text;         /* of that message */
    bool is_given;        /* `message` has been given out */
    uint16_t fragments;   /* of that message */
    struct slice origins; /* that browsers may come from, separated by spaces; empty: any */
    uint8_t *in;          /* received and not yet looked at; borrowed until the next begin */
    size_t in_len;
    struct msgbuf *held; /* the beginning of something */
    uint32_t held_at;    /* its bytes before this are done with */
    size_t scanned;      /* of the handshake */
    struct msgbuf *message;
    uint8_t out[WS_HTTP_ANSWER_CAP];
};

enum ws_conn_kind {
    WS_CONN_MESSAGE, /* data, len: valid, and writable, until the next call */
    WS_CONN_SEND,    /* the same, to be sent as it is */
    WS_CONN_END      /* close the connection once all is sent */
};

struct ws_conn_event {
    enum ws_conn_kind kind;
    uint8_t *data;
    size_t len;
};

/* *w is zero, with `origins` set.  Received bytes, once those before have led to false. */
void ws_conn_begin(struct ws_conn *w, uint8_t *data, size_t len);
bool ws_conn_next(struct turn *t, struct ws_conn *w, struct ws_conn_event *event);
/* Is something incomplete waiting for the rest? */
bool ws_conn_is_partial(const struct ws_conn *w);
/* A frame with `message` in it, in a buffer of its own; NULL when there is none, or it is over. */
struct msgbuf *ws_conn_wrap(struct turn *t, const struct ws_conn *w, struct slice message);
/* A Close frame of ours into `out`; 0 when the handshake is not done, or it was said already. */
size_t ws_conn_goodbye(struct ws_conn *w, enum ws_status status, uint8_t out[WS_CONN_BYE_CAP]);
/* Gives back the buffers. */
void ws_conn_free(struct turn *t, struct ws_conn *w);
