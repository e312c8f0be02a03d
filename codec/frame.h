/* SPDX-License-Identifier: Apache-2.0 */
/* frame.h - the framing header of overlay links, and the bitmap of its ACKs (RFC 6940 6.6.2).
 *
 * data: 0x80, sequence u32, message u24-length + bytes.
 * ack:  0x81, ack_sequence u32, received u32.
 * Sequence numbers count transmissions of one direction of one connection, modulo 2^32; the
 * first is 0, a peer that starts elsewhere is accepted.
 *
 * Owner: plain values; struct frame_window is embedded in the link that receives. */
#pragma once
#include "codec/rw.h"
#include "core/err.h"

enum frame_type { FRAME_DATA = 0x80, FRAME_ACK = 0x81 };
enum { FRAME_DATA_HEADER = 8, FRAME_ACK_BYTES = 9, FRAME_MESSAGE_MAX = 0xffffff };

struct frame {
    enum frame_type type;
    uint32_t sequence;    /* data: of this transmission; ack: the one acknowledged */
    uint32_t received;    /* ack: bit k = sequence - k was received too */
    struct slice message; /* data: borrowed */
};

/* Takes the first frame from the bytes of a stream.
 * ERR_OK: `consumed` bytes belong to it.  ERR_MORE: it is not complete; `consumed` is how many
 * bytes there must be before it is worth asking again.  ERR_MALFORMED: not a frame, the stream
 * cannot be followed any more, close the link.  ERR_TOO_LARGE: a message of more than
 * `message_max` bytes is announced (told before its bytes have come; Error_Message_Too_Large). */
enum err frame_scan(struct slice in, size_t message_max, struct frame *out,
                    size_t *consumed) MUST_USE;

/* Reads one whole frame and leaves `r` behind it.  Refused: FRAME_TYPE, SHORT. */
void frame_rd(struct rd *r, struct frame *out);
/* One frame that fills `in` exactly. */
enum err frame_decode(struct slice in, struct frame *out) MUST_USE;

/* The 8 bytes in front of a message of `message_len` bytes (at most FRAME_MESSAGE_MAX: CHECK), for
 * writing into its headroom. */
void frame_put_data_header(uint8_t out[FRAME_DATA_HEADER], uint32_t sequence, size_t message_len);
void frame_put_ack(uint8_t out[FRAME_ACK_BYTES], uint32_t sequence, uint32_t received);

/* Either kind of frame, as frame_decode gave it. */
void frame_wr(struct wr *w, const struct frame *in);

/* Which of the last 64 sequence numbers have come. */
struct frame_window {
    uint64_t seen; /* bit k = top - k; bit 0 is set once anything has come */
    uint32_t top;  /* highest sequence received, modulo 2^32 */
};

/* Notes that `sequence` has come and gives the `received` bitmap that acknowledges it: bits 1 to
 * 31, those that are known to have come before it.  All zero is a valid start state. */
uint32_t frame_window_note(struct frame_window *window, uint32_t sequence);

/* The bitmap to send with an ACK of `sequence` (6.6.2), from what has come so far. */
uint32_t frame_window_received(const struct frame_window *window, uint32_t sequence);
