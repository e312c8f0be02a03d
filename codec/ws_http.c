/* SPDX-License-Identifier: Apache-2.0 */
/* ws_http.c - see ws_http.h. */
#include "codec/ws_http.h"
#include "codec/base64.h"

/* ---- the request */

size_t ws_http_end(struct slice bytes, size_t *scanned)
{
    while (*scanned + 4 <= bytes.len) {
        const uint8_t *from = bytes.data + *scanned;
        const uint8_t *cr = memchr(from, '\r', bytes.len - *scanned - 3);
        if (cr == NULL) {
            *scanned = bytes.len - 3;
            return 0;
        }
        if (memcmp(cr, "\r\n\r\n", 4) == 0) {
            return (size_t)(cr - bytes.data) + 4;
        }
        *scanned = (size_t)(cr - bytes.data) + 1;
    }
    return 0;
}

static struct slice trim(struct slice s)
{
    while (s.len > 0 && (s.data[0] == ' ' || s.data[0] == '\t')) {
        s = slice_from(s, 1);
    }
    while (s.len > 0 && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t')) {
        s.len--;
    }
    return s;
}

/* Takes what stands before `end` off *rest; false when it is not there. */
static bool cut(struct slice *rest, uint8_t end, struct slice *out)
{
    const uint8_t *at = rest->len == 0 ? NULL : memchr(rest->data, end, rest->len);
    if (at == NULL) {
        return false;
    }
    *out = slice_of(rest->data, (size_t)(at - rest->data));
    *rest = slice_from(*rest, out->len + 1);
    return true;
}

/* Visible characters; spaces, tabs and what is not ASCII where `is_value`. */
static bool is_clean(struct slice s, bool is_value)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.data[i];
        bool is_odd = c == ' ' || c == '\t' || c >= 0x80;
        if (c == 0x7f || (is_odd && !is_value) || (c < ' ' && c != '\t')) {
            return false;
        }
    }
    return true;
}

/* A line without its CRLF. */
static bool take_line(struct slice *rest, struct slice *line)
{
    if (!cut(rest, '\n', line) || line->len == 0 || line->data[line->len - 1] != '\r') {
        return false;
    }
    line->len--;
    return is_clean(*line, true);
}

/* Is `word` (lower case) in a list of tokens separated by commas? */
static bool has_token(struct slice list, struct slice word)
{
    struct slice one;
    while (cut(&list, ',', &one)) {
        if (slice_is_equal_nocase(trim(one), word)) {
            return true;
        }
    }
    return slice_is_equal_nocase(trim(list), word);
}

/* base64 of 16 bytes: 22 letters, of which the last has four bits of nothing, and "==". */
static bool is_key(struct slice key)
{
    if (key.len != WS_HTTP_KEY_BYTES || key.data[22] != '=' || key.data[23] != '=') {
        return false;
    }
    for (size_t i = 0; i < 22; i++) {
        if (base64_digit(key.data[i]) < 0) {
            return false;
        }
    }
    return (base64_digit(key.data[21]) & 0x0f) == 0;
}

struct seen {
    bool has_host, has_upgrade, has_connection, has_key, has_version;
    bool is_upgrade, is_connection, is_version;
};

/* One header field; false: the request is bad. */
static bool take_field(struct slice name, struct slice value, struct seen *seen,
                       struct ws_http *out)
{
    if (slice_is_equal_nocase(name, SLICE_LITERAL("host"))) {
        bool is_first = !seen->has_host;
        seen->has_host = true;
        out->host = value;
        return is_first && value.len > 0;
    }
    if (slice_is_equal_nocase(name, SLICE_LITERAL("upgrade"))) {
        seen->has_upgrade = true;
        seen->is_upgrade = seen->is_upgrade || has_token(value, SLICE_LITERAL("websocket"));
    } else if (slice_is_equal_nocase(name, SLICE_LITERAL("connection"))) {
        seen->has_connection = true;
        seen->is_connection = seen->is_connection || has_token(value, SLICE_LITERAL("upgrade"));
    } else if (slice_is_equal_nocase(name, SLICE_LITERAL("sec-websocket-key"))) {
        bool is_first = !seen->has_key;
        seen->has_key = true;
        out->key = value;
        return is_first && is_key(value);
    } else if (slice_is_equal_nocase(name, SLICE_LITERAL("sec-websocket-version"))) {
        seen->has_version = true;
        seen->is_version = has_token(value, SLICE_LITERAL("13"));
    } else if (slice_is_equal_nocase(name, SLICE_LITERAL("sec-websocket-protocol"))) {
        out->has_sip = out->has_sip || has_token(value, SLICE_LITERAL("sip"));
    } else if (slice_is_equal_nocase(name, SLICE_LITERAL("origin"))) {
        bool is_first = !out->has_origin;
        out->has_origin = true;
        out->origin = value;
        return is_first;
    } else if (slice_is_equal_nocase(name, SLICE_LITERAL("content-length"))) {
        return slice_is_equal(value, SLICE_LITERAL("0"));
    } else if (slice_is_equal_nocase(name, SLICE_LITERAL("transfer-encoding"))) {
        return false;
    }
    return true;
}

static bool take_fields(struct slice rest, struct seen *seen, struct ws_http *out)
{
    struct slice line, name;
    for (unsigned count = 0; take_line(&rest, &line); count++) {
        if (line.len == 0) {
            return rest.len == 0;
        }
        if (count == WS_HTTP_LINES || !cut(&line, ':', &name) || name.len == 0 ||
            !is_clean(name, false) || !take_field(name, trim(line), seen, out)) {
            return false;
        }
    }
    return false;
}

/* "GET target HTTP/1.1" */
static enum ws_http_status take_first(struct slice line, struct ws_http *out)
{
    struct slice method;
    if (!cut(&line, ' ', &method) || !cut(&line, ' ', &out->target) || out->target.len == 0 ||
        !is_clean(out->target, false)) {
        return WS_HTTP_BAD;
    }
    if (!slice_is_equal(line, SLICE_LITERAL("HTTP/1.1"))) {
        return WS_HTTP_BAD; /* 4.2.1: 1.1 or higher, and a higher one is spoken otherwise */
    }
    return slice_is_equal(method, SLICE_LITERAL("GET")) ? WS_HTTP_SWITCHING : WS_HTTP_METHOD;
}

enum ws_http_status ws_http_read(struct slice request, struct ws_http *out)
{
    struct seen seen = {0};
    struct slice line;
    memset(out, 0, sizeof(*out));
    if (!take_line(&request, &line)) {
        return WS_HTTP_BAD;
    }
    enum ws_http_status status = take_first(line, out);
    if (status != WS_HTTP_SWITCHING) {
        return status;
    }
    if (!take_fields(request, &seen, out) || !seen.has_host) {
        return WS_HTTP_BAD;
    }
    if (!seen.is_upgrade || !seen.is_connection || !seen.is_version) {
        return WS_HTTP_UPGRADE;
    }
    /* Without "sip" among the subprotocols nothing could be said (RFC 7118 4.1). */
    return seen.has_key && out->has_sip ? WS_HTTP_SWITCHING : WS_HTTP_BAD;
}

bool ws_http_origin_is_listed(struct slice origin, struct slice list)
{
    while (list.len > 0) {
        struct slice one;
        if (!cut(&list, ' ', &one)) {
            one = list;
            list = SLICE_EMPTY;
        }
        bool is_any = slice_is_equal(one, SLICE_LITERAL("*"));
        if (is_any || (one.len > 0 && slice_is_equal_nocase(one, origin))) {
            return true;
        }
    }
    return false;
}

/* ---- answers */

void ws_http_accept_input(struct slice key, uint8_t out[WS_HTTP_ACCEPT_INPUT])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    struct wr w = wr_init(out, WS_HTTP_ACCEPT_INPUT);
    STATIC_CHECK(WS_HTTP_KEY_BYTES + sizeof(guid) - 1 == WS_HTTP_ACCEPT_INPUT);
    wr_bytes(&w, slice_sub(key, 0, WS_HTTP_KEY_BYTES));
    wr_bytes(&w, slice_of(guid, sizeof(guid) - 1));
}

static void wr_base64(struct wr *w, struct slice hash)
{
    for (size_t i = 0; i < hash.len; i += 3) {
        char four[4];
        base64_four(slice_from(hash, i), '=', four);
        wr_bytes(w, slice_of(four, sizeof(four)));
    }
}

void ws_http_wr_accept(struct wr *w, const uint8_t hash[WS_HTTP_HASH_BYTES])
{
    wr_bytes(w, SLICE_LITERAL("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                              "Connection: Upgrade\r\nSec-WebSocket-Protocol: sip\r\n"
                              "Sec-WebSocket-Accept: "));
    wr_base64(w, slice_of(hash, WS_HTTP_HASH_BYTES));
    wr_bytes(w, SLICE_LITERAL("\r\n\r\n"));
}

static const char *reason(enum ws_http_status status)
{
    switch (status) {
    case WS_HTTP_FORBIDDEN:
        return "403 Forbidden";
    case WS_HTTP_METHOD:
        return "405 Method Not Allowed\r\nAllow: GET";
    case WS_HTTP_UPGRADE:
        return "426 Upgrade Required\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13";
    case WS_HTTP_LARGE:
        return "431 Request Header Fields Too Large";
    case WS_HTTP_BAD:
    case WS_HTTP_SWITCHING:
        break;
    }
    return "400 Bad Request";
}

void ws_http_wr_refuse(struct wr *w, enum ws_http_status status)
{
    wr_bytes(w, SLICE_LITERAL("HTTP/1.1 "));
    wr_bytes(w, slice_text(reason(status)));
    wr_bytes(w, SLICE_LITERAL("\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"));
}
