/* SPDX-License-Identifier: Apache-2.0 */
/* ws_http.h - the HTTP request that opens a WebSocket, and its answers (RFC 6455 4.2, RFC 7118 4).
 *
 * The request is looked for as bytes come in, each of them scanned once; it is read when its end
 * is there.
 *
 * Owner:  nobody; slices borrow from the request.
 * Limits: WS_HTTP_CAP bytes, WS_HTTP_LINES header fields.
 * Strict: lines end in CRLF; no folding, no body, no control characters; what frames HTTP
 *         otherwise (Transfer-Encoding, a Content-Length) is refused. */
#pragma once
#include "codec/rw.h"

enum {
    WS_HTTP_CAP = 8192,
    WS_HTTP_LINES = 100,
    WS_HTTP_KEY_BYTES = 24,    /* Sec-WebSocket-Key: base64 of 16 bytes */
    WS_HTTP_ACCEPT_INPUT = 60, /* key and GUID */
    WS_HTTP_ACCEPT_BYTES = 28, /* base64 of a SHA-1 */
    WS_HTTP_HASH_BYTES = 20,
    WS_HTTP_ANSWER_CAP = 256
};

/* Status codes that the handshake can end with. */
enum ws_http_status {
    WS_HTTP_SWITCHING = 101,
    WS_HTTP_BAD = 400,
    WS_HTTP_FORBIDDEN = 403, /* Origin */
    WS_HTTP_METHOD = 405,
    WS_HTTP_UPGRADE = 426, /* not a WebSocket of version 13 */
    WS_HTTP_LARGE = 431
};

struct ws_http {
    struct slice target;
    struct slice host;
    struct slice origin; /* empty: none, no browser */
    struct slice key;
    bool has_origin;
    bool has_sip; /* the subprotocol is offered */
};

/* Where the request ends: its length with the empty line, or 0 while that is not there.  *scanned
 * is 0 at first and belongs to the same growing bytes. */
size_t ws_http_end(struct slice bytes, size_t *scanned);
/* A whole request: WS_HTTP_SWITCHING, or what it is refused with. */
enum ws_http_status ws_http_read(struct slice request, struct ws_http *out) MUST_USE;
/* Is `origin` one of `list` (texts separated by spaces; "*": any; compared without case)? */
bool ws_http_origin_is_listed(struct slice origin, struct slice list);
/* What the SHA-1 is made of (4.2.2). */
void ws_http_accept_input(struct slice key, uint8_t out[WS_HTTP_ACCEPT_INPUT]);
/* 101, with that SHA-1. */
void ws_http_wr_accept(struct wr *w, const uint8_t hash[WS_HTTP_HASH_BYTES]);
/* Any other. */
void ws_http_wr_refuse(struct wr *w, enum ws_http_status status);
