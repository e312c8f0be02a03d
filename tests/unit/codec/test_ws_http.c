/* SPDX-License-Identifier: Apache-2.0 */
/* The handshake of RFC 6455 4.2 and RFC 7118 4: its example, each line wrong in turn, any cut. */
#include "codec/ws_http.h"
#include <criterion/criterion.h>
#include <stdio.h>

/* RFC 7118 4.2, with a whole key. */
#define REQUEST                                                                                    \
    "GET / HTTP/1.1\r\nHost: sip-ws.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"  \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://www.example.com\r\n"            \
    "Sec-WebSocket-Protocol: sip\r\nSec-WebSocket-Version: 13\r\n\r\n"

static enum ws_http_status judge(const char *text)
{
    struct ws_http out;
    return ws_http_read(slice_text(text), &out);
}

/* REQUEST with `old` replaced. */
static enum ws_http_status with(const char *old, const char *other)
{
    char text[2048];
    const char *at = strstr(REQUEST, old);
    cr_assert_not_null(at, "%s", old);
    snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - REQUEST), REQUEST, other, at + strlen(old));
    return judge(text);
}

Test(ws_http, the_example)
{
    struct ws_http out;
    cr_assert_eq(ws_http_read(SLICE_LITERAL(REQUEST), &out), WS_HTTP_SWITCHING);
    cr_assert(slice_is_equal(out.target, SLICE_LITERAL("/")));
    cr_assert(slice_is_equal(out.host, SLICE_LITERAL("sip-ws.example.com")));
    cr_assert(slice_is_equal(out.origin, SLICE_LITERAL("http://www.example.com")));
    cr_assert(slice_is_equal(out.key, SLICE_LITERAL("dGhlIHNhbXBsZSBub25jZQ==")));
    cr_assert(out.has_origin && out.has_sip);
}

Test(ws_http, what_may_differ)
{
    cr_assert_eq(with("Upgrade: websocket", "UPGRADE:WebSocket"), WS_HTTP_SWITCHING);
    cr_assert_eq(with("Upgrade: websocket", "Upgrade: h2c, websocket"), WS_HTTP_SWITCHING);
    cr_assert_eq(with("Connection: Upgrade", "Connection: keep-alive, upgrade"), WS_HTTP_SWITCHING);
    cr_assert_eq(with("Protocol: sip", "Protocol: chat, sip"), WS_HTTP_SWITCHING);
    cr_assert_eq(with("Protocol: sip", "Protocol: chat\r\nSec-WebSocket-Protocol: SIP"),
                 WS_HTTP_SWITCHING);
    cr_assert_eq(with("Origin: http://www.example.com\r\n", ""), WS_HTTP_SWITCHING);
    cr_assert_eq(with("Origin", "X-Name: \xc3\xa4 b\tc\r\nContent-Length: 0\r\nOrigin"),
                 WS_HTTP_SWITCHING);
}

Test(ws_http, what_is_refused)
{
    static const struct {
        const char *old, *other;
        enum ws_http_status want;
    } rows[] = {
        {"GET / HTTP/1.1", "POST / HTTP/1.1", WS_HTTP_METHOD},
        {"GET / HTTP/1.1", "GET / HTTP/1.0", WS_HTTP_BAD},
        {"GET / HTTP/1.1", "GET  HTTP/1.1", WS_HTTP_BAD},
        {"GET / HTTP/1.1", "GET /a b HTTP/1.1", WS_HTTP_BAD},
        {"GET / HTTP/1.1", "GET /\x01 HTTP/1.1", WS_HTTP_BAD},
        {"GET / HTTP/1.1", "GET", WS_HTTP_BAD},
        {"Host: sip-ws.example.com\r\n", "", WS_HTTP_BAD},
        {"Host: sip-ws.example.com", "Host:", WS_HTTP_BAD},
        {"Host: ", "Host: a\r\nHost: ", WS_HTTP_BAD},
        {"Host: ", "Host : ", WS_HTTP_BAD},
        {"Host: ", ": x\r\nHost: ", WS_HTTP_BAD},
        {"Host: ", "X: folded\r\n y\r\nHost: ", WS_HTTP_BAD},
        {"Host: ", "X: a\rb\r\nHost: ", WS_HTTP_BAD},
        {"Host: ", "X: a\nHost: ", WS_HTTP_BAD},
        {"Upgrade: websocket", "Upgrade: h2c", WS_HTTP_UPGRADE},
        {"Upgrade: websocket\r\n", "", WS_HTTP_UPGRADE},
        {"Connection: Upgrade", "Connection: close", WS_HTTP_UPGRADE},
        {"Version: 13", "Version: 8", WS_HTTP_UPGRADE},
        {"Version: 13", "Version: 130", WS_HTTP_UPGRADE},
        {"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", WS_HTTP_BAD},
        {"ZQ==", "ZQ=", WS_HTTP_BAD},
        {"ZQ==", "Z===", WS_HTTP_BAD},
        {"ZQ==", "ZR==", WS_HTTP_BAD}, /* bits behind the sixteenth byte */
        {"dGhl", "dG*l", WS_HTTP_BAD},
        {"Origin", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin", WS_HTTP_BAD},
        {"Origin", "Origin: http://a\r\nOrigin", WS_HTTP_BAD},
        {"Origin", "Content-Length: 1\r\nOrigin", WS_HTTP_BAD},
        {"Origin", "Transfer-Encoding: chunked\r\nOrigin", WS_HTTP_BAD},
        {"Protocol: sip", "Protocol: sips", WS_HTTP_BAD},
        {"Sec-WebSocket-Protocol: sip\r\n", "", WS_HTTP_BAD},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        enum ws_http_status got = with(rows[i].old, rows[i].other);
        cr_assert_eq(got, rows[i].want, "%s -> %s: %u", rows[i].old, rows[i].other, got);
    }
}

Test(ws_http, too_many_lines)
{
    char text[WS_HTTP_CAP];
    size_t len = (size_t)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n");
    for (int i = 0; i <= WS_HTTP_LINES; i++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "X: %d\r\n", i);
    }
    snprintf(text + len, sizeof(text) - len, "\r\n");
    cr_assert_eq(judge(text), WS_HTTP_BAD);
}

/* Each byte is scanned once, and the end is found however the bytes come. */
Test(ws_http, the_end_is_found_in_pieces)
{
    struct slice whole = SLICE_LITERAL(REQUEST "behind");
    size_t scanned = 0, want = strlen(REQUEST);
    for (size_t len = 0; len < want; len++) {
        cr_assert_eq(ws_http_end(slice_sub(whole, 0, len), &scanned), 0, "%zu", len);
        cr_assert_leq(scanned, len);
        cr_assert_geq(scanned + 4, len); /* all but what may be the front of the end */
    }
    cr_assert_eq(ws_http_end(whole, &scanned), want);
}

Test(ws_http, origins)
{
    struct slice list = SLICE_LITERAL("https://a.example https://b.example:8443");
    cr_assert(ws_http_origin_is_listed(SLICE_LITERAL("https://A.example"), list));
    cr_assert(ws_http_origin_is_listed(SLICE_LITERAL("https://b.example:8443"), list));
    cr_assert_not(ws_http_origin_is_listed(SLICE_LITERAL("http://a.example"), list));
    cr_assert_not(ws_http_origin_is_listed(SLICE_LITERAL("https://b.example"), list));
    cr_assert_not(ws_http_origin_is_listed(SLICE_LITERAL("https://a.example.evil"), list));
    cr_assert_not(ws_http_origin_is_listed(SLICE_LITERAL("null"), list));
    cr_assert_not(ws_http_origin_is_listed(SLICE_EMPTY, list));
    cr_assert(ws_http_origin_is_listed(SLICE_LITERAL("null"), SLICE_LITERAL("*")));
}

/* 1.3: the key of the example gives this Accept. */
Test(ws_http, the_answer)
{
    static const uint8_t hash[] = {0xb3, 0x7a, 0x4f, 0x2c, 0xc0, 0x62, 0x4f, 0x16, 0x90, 0xf6,
                                   0x46, 0x06, 0xcf, 0x38, 0x59, 0x45, 0xb2, 0xbe, 0xc4, 0xea};
    uint8_t input[WS_HTTP_ACCEPT_INPUT], out[WS_HTTP_ANSWER_CAP];
    ws_http_accept_input(SLICE_LITERAL("dGhlIHNhbXBsZSBub25jZQ=="), input);
    cr_assert_eq(memcmp(input, "dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11",
                        sizeof(input)),
                 0);
    struct wr w = wr_init(out, sizeof(out));
    ws_http_wr_accept(&w, hash);
    cr_assert(wr_ok(&w));
    cr_assert(slice_is_equal(wr_slice(&w),
                             SLICE_LITERAL("HTTP/1.1 101 Switching Protocols\r\n"
                                           "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                                           "Sec-WebSocket-Protocol: sip\r\n"
                                           "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
                                           "\r\n\r\n")));
    static const enum ws_http_status all[] = {WS_HTTP_BAD, WS_HTTP_FORBIDDEN, WS_HTTP_METHOD,
                                              WS_HTTP_UPGRADE, WS_HTTP_LARGE};
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        char start[16];
        w = wr_init(out, sizeof(out));
        ws_http_wr_refuse(&w, all[i]);
        cr_assert(wr_ok(&w));
        snprintf(start, sizeof(start), "HTTP/1.1 %u ", all[i]);
        cr_assert_eq(memcmp(out, start, strlen(start)), 0);
    }
}
