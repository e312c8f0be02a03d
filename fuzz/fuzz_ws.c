/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_ws.c - a phone's WebSocket: handshake and frames, the same however the stream is cut.
 *
 * Input: a byte of flags, a byte that the cuts are drawn from, then the stream.
 *   flags 1  the handshake has been made
 *   flags 2  the stream is a list of frames to be built, each masked: first byte of the header,
 *            length (255: two more bytes, and the payload is filler), payload
 *   flags 4  of a stranger */
#include "codec/ws.h"
#include "fuzz/fuzz.h"
#include "link/crypto_boring.h"
#include "link/ws_conn.h"

enum { SMALL = 8, LARGE = 8, STREAM_CAP = 128 * 1024, ARENA = SMALL * 2600 + LARGE * 19000 + 4096 };

static const char request[] =
    "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: "
    "dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: sip\r\n\r\n";

/* What came of a stream. */
struct outcome {
    uint64_t hash;
    uint32_t messages, sends;
    bool is_over, is_partial;
};

static _Alignas(64) uint8_t memory[ARENA];
static struct msgbuf_pool buffers;
static struct metrics metrics;
static struct turn turn;
static uint8_t stream[STREAM_CAP], work[STREAM_CAP];

static void begin(void)
{
    if (turn.buffers == NULL) {
        struct arena arena;
        arena_init(&arena, memory, sizeof(memory));
        msgbuf_pool_init(&buffers, &arena, SMALL, LARGE);
        turn = (struct turn){.crypto = crypto_boring(), .buffers = &buffers, .metrics = &metrics};
    }
}

static void mix(struct outcome *o, uint8_t kind, const uint8_t *data, size_t len)
{
    o->hash = (o->hash ^ kind) * UINT64_C(0x100000001b3);
    for (size_t i = 0; i < len; i++) {
        o->hash = (o->hash ^ data[i]) * UINT64_C(0x100000001b3);
    }
    o->hash = (o->hash ^ len) * UINT64_C(0x100000001b3);
}

/* What we send is well-formed: an HTTP answer, or one whole control frame without a mask. */
static void check_sent(const uint8_t *data, size_t len)
{
    struct ws_frame f;
    if (len > 9 && memcmp(data, "HTTP/1.1 ", 9) == 0) {
        CHECK(memcmp(data + len - 4, "\r\n\r\n", 4) == 0);
        return;
    }
    CHECK(ws_frame_read(slice_of(data, len), &f) == ERR_OK);
    CHECK(f.is_final && !f.is_masked && ws_is_control(f.opcode));
    CHECK(f.header_len + f.len == len);
}

static void take(struct ws_conn *w, struct outcome *o, size_t len)
{
    struct ws_conn_event event;
    ws_conn_begin(w, work, len);
    while (ws_conn_next(&turn, w, &event)) {
        CHECK(!o->is_over);
        switch (event.kind) {
        case WS_CONN_MESSAGE:
            CHECK(event.len <= WS_CONN_MESSAGE_CAP);
            CHECK(!w->is_text || ws_is_utf8(slice_of(event.data, event.len)));
            o->messages++;
            break;
        case WS_CONN_SEND:
            CHECK(event.len > 0 && event.len <= WS_HTTP_ANSWER_CAP);
            check_sent(event.data, event.len);
            o->sends++;
            break;
        case WS_CONN_END:
            o->is_over = true;
            break;
        }
        mix(o, (uint8_t)event.kind, event.data, event.len);
    }
}

/* The stream in pieces drawn from `seed`; 0: in one. */
static struct outcome run(struct slice in, bool is_open, bool is_known, uint64_t seed)
{
    struct outcome o = {0};
    struct ws_conn w = {.is_known = is_known};
    if (is_open) {
        memcpy(work, request, sizeof(request) - 1);
        take(&w, &o, sizeof(request) - 1);
        CHECK(w.state == WS_CONN_OPEN && o.sends == 1);
    }
    for (size_t at = 0; at < in.len;) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        size_t most = (seed >> 40) % 4 == 0 ? 4096 : 16;
        size_t len = seed == UINT64_C(1442695040888963407) ? in.len : 1 + (seed >> 33) % most;
        len = min_size(len, in.len - at);
        memcpy(work, in.data + at, len);
        take(&w, &o, len);
        at += len;
        seed = len == in.len ? 0 : seed;
    }
    o.is_partial = ws_conn_is_partial(&w) && !o.is_over;
    ws_conn_free(&turn, &w);
    CHECK(buffers.in_use[0] == 0 && buffers.in_use[1] == 0);
    return o;
}

/* Frames of a list, masked as clients do. */
static size_t build(struct rd *r)
{
    static const uint8_t mask[WS_MASK_BYTES] = {0x12, 0x34, 0x56, 0x78};
    struct wr w = wr_init(stream, sizeof(stream));
    while (rd_left(r) > 1) {
        uint8_t head[WS_OUT_HEADER_CAP], first = rd_u8(r);
        size_t len = rd_u8(r);
        bool is_filler = len == UINT8_MAX;
        len = is_filler ? rd_u16(r) % 20000 : min_size(len, rd_left(r));
        size_t head_len = ws_frame_write(WS_TEXT, len, head);
        head[0] = first;
        head[1] |= 0x80;
        if (wr_len(&w) + head_len + sizeof(mask) + len > sizeof(stream)) {
            break;
        }
        wr_bytes(&w, slice_of(head, head_len));
        wr_bytes(&w, slice_of(mask, sizeof(mask)));
        size_t at = wr_len(&w);
        if (is_filler) {
            memset(stream + at, 'f', len);
            wr_claim(&w, len);
        } else {
            wr_bytes(&w, rd_bytes(r, len));
        }
        ws_mask(stream + at, len, mask);
    }
    CHECK(wr_ok(&w));
    return wr_len(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rd r = rd_init(slice_of(data, size));
    uint8_t flags = rd_u8(&r), seed = rd_u8(&r);
    bool is_open = (flags & 1) != 0, is_known = (flags & 4) == 0;
    begin();
    size_t len = 0;
    if ((flags & 2) != 0) {
        len = build(&r);
    } else {
        struct slice rest = rd_rest(&r);
        len = min_size(rest.len, sizeof(stream));
        if (len > 0) {
            memcpy(stream, rest.data, len);
        }
    }
    struct slice in = slice_of(stream, len);
    struct outcome whole = run(in, is_open, is_known, 0);
    struct outcome cut = run(in, is_open, is_known, seed + UINT64_C(1));
    CHECK(whole.hash == cut.hash && whole.messages == cut.messages && whole.sends == cut.sends);
    CHECK(whole.is_over == cut.is_over && whole.is_partial == cut.is_partial);
    return 0;
}
