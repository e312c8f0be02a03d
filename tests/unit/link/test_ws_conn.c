/* SPDX-License-Identifier: Apache-2.0 */
/* A WebSocket's server end: the same messages however the bytes are cut, bounds, buffers given
 * back. */
#include "link/crypto_boring.h"
#include "link/ws_conn.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#define REQUEST                                                                                    \
    "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                   \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"                 \
    "Sec-WebSocket-Protocol: sip\r\n\r\n"

enum { SMALL = 8, LARGE = 4, STREAM_CAP = 128 * 1024 };

static struct {
    struct turn t;
    struct msgbuf_pool buffers;
    struct metrics metrics;
    void *memory;
    struct ws_conn w;
    /* what came out, as one text: messages behind 'M', sends behind 'S', the end is 'E' */
    uint8_t out[STREAM_CAP];
    size_t out_len;
} x;

static uint8_t stream[STREAM_CAP];
static size_t stream_len;

static void begin(void)
{
    size_t bytes = SMALL * 2600 + LARGE * 19000 + 4096;
    struct arena arena;
    memset(&x, 0, sizeof(x));
    x.memory = calloc(1, bytes);
    arena_init(&arena, x.memory, bytes);
    msgbuf_pool_init(&x.buffers, &arena, SMALL, LARGE);
    x.t = (struct turn){.crypto = crypto_boring(), .buffers = &x.buffers, .metrics = &x.metrics};
    x.w.is_known = true;
    stream_len = 0;
}

static void finish(void)
{
    ws_conn_free(&x.t, &x.w);
    cr_assert_eq(x.buffers.in_use[0], 0);
    cr_assert_eq(x.buffers.in_use[1], 0);
    free(x.memory);
}

static void note(char what, const void *data, size_t len)
{
    cr_assert_leq(x.out_len + len + 1, sizeof(x.out));
    x.out[x.out_len++] = (uint8_t)what;
    if (len > 0) {
        memcpy(x.out + x.out_len, data, len);
        x.out_len += len;
    }
}

static void feed(const void *data, size_t len)
{
    struct ws_conn_event event;
    uint8_t *copy = malloc(len + 1);
    memcpy(copy, data, len);
    ws_conn_begin(&x.w, copy, len);
    while (ws_conn_next(&x.t, &x.w, &event)) {
        bool is_message = event.kind == WS_CONN_MESSAGE;
        note(is_message ? 'M' : event.kind == WS_CONN_SEND ? 'S' : 'E', event.data, event.len);
    }
    free(copy);
}

static void put(const void *data, size_t len)
{
    cr_assert_leq(stream_len + len, sizeof(stream));
    memcpy(stream + stream_len, data, len);
    stream_len += len;
}

static void put_frame(uint8_t first, const void *payload, size_t len)
{
    uint8_t head[WS_OUT_HEADER_CAP], mask[] = {1, 2, 3, 4};
    size_t head_len = ws_frame_write(WS_TEXT, len, head);
    head[0] = first;
    head[1] |= 0x80;
    put(head, head_len);
    put(mask, sizeof(mask));
    put(payload, len);
    ws_mask(stream + stream_len - len, len, mask);
}

static void open_it(void)
{
    feed(REQUEST, strlen(REQUEST));
    cr_assert_eq(x.w.state, WS_CONN_OPEN);
    cr_assert_not(ws_conn_is_partial(&x.w));
    x.out_len = 0;
}

static bool says(const char *text)
{
    return slice_is_equal(slice_of(x.out, x.out_len), slice_text(text));
}

/* The whole life of one, cut at each place, and byte by byte. */
Test(ws_conn, the_same_however_it_is_cut)
{
    static uint8_t once[STREAM_CAP];
    size_t once_len = 0, total = 0;
    for (size_t piece = 0; piece == 0 || piece < total; piece++) {
        begin();
        put(REQUEST, strlen(REQUEST));
        put_frame(0x81, "one", 3);
        put_frame(0x82, "\xff\x00", 2);
        put_frame(0x89, "ping", 4);
        put_frame(0x01, "tw", 2);
        put_frame(0x8a, "pong", 4);
        put_frame(0x00, "", 0);
        put_frame(0x89, "", 0);
        put_frame(0x80, "o", 1);
        put_frame(0x88, "\x03\xe8", 2);
        put_frame(0x81, "nobody reads this", 17);
        total = stream_len;
        size_t step = piece == 0 ? total : piece == 1 ? 1 : total;
        if (piece > 1) {
            feed(stream, piece);
            feed(stream + piece, total - piece);
        }
        for (size_t at = 0; piece <= 1 && at < total; at += step) {
            feed(stream + at, step);
        }
        if (piece == 0) {
            once_len = x.out_len;
            memcpy(once, x.out, once_len);
            cr_assert_eq(x.out[0], 'S');
            cr_assert_not_null(memmem(x.out, x.out_len, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", 28));
            const char rest[] = "MoneM\xff\0S\x8a\x04pingS\x8a\0MtwoS\x88\x02\x03\xe8"
                                "E";
            cr_assert_eq(memcmp(x.out + x.out_len - sizeof(rest) + 1, rest, sizeof(rest) - 1), 0);
        }
        cr_assert(slice_is_equal(slice_of(x.out, x.out_len), slice_of(once, once_len)),
                  "cut at %zu", piece);
        cr_assert_eq(metric_read(&x.metrics, METRIC_sip_ws_up), 1);
        cr_assert_eq(metric_read(&x.metrics, METRIC_sip_ws_failed), 0);
        finish();
    }
}

/* The largest message, in one frame and in many; one byte more ends it. */
Test(ws_conn, messages_have_a_bound)
{
    static uint8_t text[WS_CONN_MESSAGE_CAP + 1];
    memset(text, 'x', sizeof(text));
    for (size_t extra = 0; extra < 2; extra++) {
        begin();
        open_it();
        put_frame(0x81, text, WS_CONN_MESSAGE_CAP + extra);
        for (size_t at = 0; at < stream_len; at += 1000) {
            feed(stream + at, min_size(1000, stream_len - at));
        }
        cr_assert_eq(x.out[0], extra == 0 ? 'M' : 'S');
        cr_assert(extra == 0 ? x.out_len == WS_CONN_MESSAGE_CAP + 1
                             : says("S\x88\x02\x03\xf1"
                                    "E"));
        finish();
        begin();
        open_it();
        put_frame(0x01, text, 9000);
        put_frame(0x00, text, WS_CONN_MESSAGE_CAP - 9000 - 1);
        put_frame(0x80, text, 1 + extra);
        feed(stream, stream_len);
        cr_assert(extra == 0 ? x.out_len == WS_CONN_MESSAGE_CAP + 1
                             : says("S\x88\x02\x03\xf1"
                                    "E"));
        finish();
    }
}

/* Many messages in one piece, of which the last is incomplete, over and over. */
Test(ws_conn, a_long_stream_keeps_no_buffer)
{
    static uint8_t text[3000];
    begin();
    open_it();
    for (size_t i = 0; i < 30; i++) {
        memset(text, 'a' + (int)(i % 26), sizeof(text));
        put_frame(0x81, text, 100 * i + 1);
    }
    size_t messages = 0;
    for (size_t at = 0; at < stream_len; at += 16000) {
        feed(stream + at, min_size(16000, stream_len - at));
        for (size_t i = 0; i < x.out_len; i++) {
            messages += x.out[i] == 'M' ? 1 : 0;
        }
        x.out_len = 0;
        cr_assert_leq(x.buffers.in_use[0] + x.buffers.in_use[1], 1);
    }
    cr_assert_eq(messages, 30);
    finish();
}

/* No room for a piece: the stream is lost, nothing else.  Strangers meet that sooner. */
Test(ws_conn, without_buffers)
{
    begin();
    open_it();
    put_frame(0x81, "abc", 3);
    x.buffers.fail_after = 0;
    feed(stream, stream_len); /* whole: none is needed */
    cr_assert(says("Mabc"));
    x.out_len = 0;
    feed(stream, 4);
    cr_assert(says("E"));
    cr_assert_eq(metric_read(&x.metrics, METRIC_sip_ws_failed), 1);
    feed(stream, stream_len); /* it is over, whatever comes */
    cr_assert(says("E"));
    x.buffers.fail_after = UINT32_MAX;
    cr_assert_null(ws_conn_wrap(&x.t, &x.w, SLICE_LITERAL("x")));
    finish();
    begin();
    x.w.is_known = false;
    open_it();
    struct msgbuf *held[2] = {msgbuf_acquire(&x.buffers, MSGBUF_LARGE_BYTES),
                              msgbuf_acquire(&x.buffers, MSGBUF_LARGE_BYTES)};
    static uint8_t text[5000];
    memset(text, 'x', sizeof(text));
    put_frame(0x81, text, sizeof(text));
    feed(stream, 4000); /* half of the large buffers are in use */
    cr_assert(says("E"));
    msgbuf_release(&x.buffers, held[0]);
    msgbuf_release(&x.buffers, held[1]);
    finish();
}

Test(ws_conn, handshakes)
{
    begin();
    x.w.origins = SLICE_LITERAL("https://a.example");
    char text[1024];
    snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nOrigin: https://b.example\r\n%s",
             strstr(REQUEST, "Host"));
    feed(text, strlen(text));
    cr_assert_eq(memcmp(x.out, "SHTTP/1.1 403 ", 14), 0);
    cr_assert_eq(x.out[x.out_len - 1], 'E');
    finish();
    begin(); /* a program, no browser: it says no Origin */
    x.w.origins = SLICE_LITERAL("https://a.example");
    open_it();
    finish();
    begin(); /* endless */
    memset(stream, 'x', WS_HTTP_CAP);
    for (size_t at = 0; at < WS_HTTP_CAP; at += 512) {
        feed(stream + at, 512);
    }
    cr_assert_eq(memcmp(x.out, "SHTTP/1.1 431 ", 14), 0);
    cr_assert_eq(metric_read(&x.metrics, METRIC_sip_ws_refused), 1);
    finish();
}

Test(ws_conn, what_is_sent)
{
    begin();
    cr_assert_null(ws_conn_wrap(&x.t, &x.w, SLICE_LITERAL("x"))); /* no handshake yet */
    uint8_t bye[WS_CONN_BYE_CAP];
    open_it();
    struct msgbuf *text = ws_conn_wrap(&x.t, &x.w, SLICE_LITERAL("abc"));
    struct msgbuf *binary = ws_conn_wrap(&x.t, &x.w, SLICE_LITERAL("\xff"));
    cr_assert(slice_is_equal(msgbuf_slice(text), SLICE_LITERAL("\x81\x03"
                                                               "abc")));
    cr_assert(slice_is_equal(msgbuf_slice(binary), SLICE_LITERAL("\x82\x01\xff")));
    msgbuf_release(&x.buffers, text);
    msgbuf_release(&x.buffers, binary);
    cr_assert_eq(ws_conn_goodbye(&x.w, WS_STATUS_GOING, bye), 4);
    cr_assert_eq(memcmp(bye, "\x88\x02\x03\xe9", 4), 0);
    cr_assert_eq(ws_conn_goodbye(&x.w, WS_STATUS_GOING, bye), 0); /* said once */
    finish();
}
