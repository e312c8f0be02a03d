/* SPDX-License-Identifier: Apache-2.0 */
/* frame.c - see frame.h.
 *
 * The window is kept relative to the highest sequence number seen.  A late frame is noted in it
 * too, and its own ACK speaks of the numbers below it, as far as 64 bits reach back. */
#include "codec/frame.h"

enum { WINDOW_BITS = 64 };

enum err frame_scan(struct slice in, size_t message_max, struct frame *out, size_t *consumed)
{
    memset(out, 0, sizeof(*out));
    *consumed = 1;
    if (in.len == 0) {
        return ERR_MORE;
    }
    struct rd r = rd_init(in);
    uint8_t type = rd_u8(&r);
    if (type != FRAME_DATA && type != FRAME_ACK) {
        return ERR_MALFORMED;
    }
    out->type = type == FRAME_DATA ? FRAME_DATA : FRAME_ACK;
    *consumed = type == FRAME_DATA ? FRAME_DATA_HEADER : FRAME_ACK_BYTES;
    if (in.len < *consumed) {
        return ERR_MORE;
    }
    out->sequence = rd_u32(&r);
    if (type == FRAME_ACK) {
        out->received = rd_u32(&r);
        return ERR_OK;
    }
    size_t len = rd_u24(&r);
    if (len > message_max) {
        return ERR_TOO_LARGE;
    }
    *consumed = FRAME_DATA_HEADER + len;
    if (in.len < *consumed) {
        return ERR_MORE;
    }
    out->message = rd_bytes(&r, len);
    return ERR_OK;
}

void frame_rd(struct rd *r, struct frame *out)
{
    const uint8_t *start = r->at;
    uint8_t type = rd_u8(r);
    memset(out, 0, sizeof(*out));
    if (type != FRAME_DATA && type != FRAME_ACK) {
        rd_reject_at(r, REJECT_FRAME_TYPE, start);
        return;
    }
    out->sequence = rd_u32(r);
    if (type == FRAME_DATA) {
        out->type = FRAME_DATA;
        out->message = rd_opaque24(r);
    } else {
        out->type = FRAME_ACK;
        out->received = rd_u32(r);
    }
}

enum err frame_decode(struct slice in, struct frame *out)
{
    struct rd r = rd_init(in);
    frame_rd(&r, out);
    return rd_finish(&r);
}

void frame_put_data_header(uint8_t out[FRAME_DATA_HEADER], uint32_t sequence, size_t message_len)
{
    CHECK(out != NULL);
    CHECK(message_len <= FRAME_MESSAGE_MAX);
    /* type, sequence, 24 bits of length */
    out[0] = FRAME_DATA;
    (void)wr_at32(out + 4, (uint32_t)message_len);
    (void)wr_at32(out + 1, sequence);
}

void frame_put_ack(uint8_t out[FRAME_ACK_BYTES], uint32_t sequence, uint32_t received)
{
    CHECK(out != NULL);
    struct wr w = wr_init(out, FRAME_ACK_BYTES);
    wr_u8(&w, FRAME_ACK);
    wr_u32(&w, sequence);
    wr_u32(&w, received);
}

void frame_wr(struct wr *w, const struct frame *in)
{
    wr_u8(w, (uint8_t)in->type);
    wr_u32(w, in->sequence);
    if (in->type == FRAME_DATA) {
        wr_opaque24(w, in->message);
    } else {
        wr_u32(w, in->received);
    }
}

uint32_t frame_window_received(const struct frame_window *window, uint32_t sequence)
{
    uint32_t age = window->top - sequence; /* modulo 2^32; huge when it is above top */
    if (window->seen == 0 || age >= WINDOW_BITS) {
        return 0;
    }
    /* Bit k of the answer is sequence - k, which is bit age + k of `seen`. */
    return (uint32_t)(window->seen >> age) & ~1u;
}

uint32_t frame_window_note(struct frame_window *window, uint32_t sequence)
{
    uint32_t ahead = sequence - window->top;
    if (window->seen == 0) {
        window->seen = 1;
        window->top = sequence;
    } else if (ahead != 0 && ahead <= UINT32_MAX / 2) {
        window->seen = ahead < WINDOW_BITS ? window->seen << ahead | 1 : 1;
        window->top = sequence;
    } else if (window->top - sequence < WINDOW_BITS) {
        window->seen |= (uint64_t)1 << (window->top - sequence);
    }
    return frame_window_received(window, sequence);
}
