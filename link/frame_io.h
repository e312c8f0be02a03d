/* SPDX-License-Identifier: Apache-2.0 */
/* frame_io.h - sequence numbers, acknowledgements and round trip times of one framed byte stream.
 *
 * On a stream (TLS over TCP) bytes come in order or not at all, so an ACK of N proves everything up
 * to N, whatever its bitmap says (some implementations always send all ones, A-31).
 *
 * Owner:  embedded in a link.   Time: an argument.
 * Limits: FRAME_IO_FLIGHTS records remembered one by one, further ones are counted to the newest;
 * the bytes kept for giving back are bounded by the caller. RFC 6940 6.6.2, 6.6.5; RFC 6298. */
#pragma once
#include "codec/frame.h"
#include "core/msgbuf.h"
#include "link/rtt.h"

enum {
    FRAME_IO_FLIGHTS = 16,
    FRAME_IO_ACK_EVERY = 32, /* an ACK covers its own frame and the 31 before it */
    FRAME_IO_RTO_MIN_US = 1000000,
};

/* Frames that left together. */
struct frame_io_flight {
    struct frame_io_flight *next; /* later than this one, or free */
    uint64_t sent_us;
    struct msgbuf *kept; /* the frames themselves, NULL when they are not kept */
    uint32_t first;
    uint32_t last;
    bool is_sampled; /* no (further) round trip time from this one */
};

/* Those of all streams of one table stand together, so that a quiet stream costs none. */
struct frame_io_flights {
    struct frame_io_flight *flights; /* FRAME_IO_FLIGHTS for each stream */
    struct frame_io_flight *first_free;
    uint32_t never_used;
    uint32_t cap;
};

struct frame_io {
    struct frame_window window;
    uint32_t received_since_ack;
    uint32_t next_sequence;
    uint32_t first_unacked;
    uint32_t flight_count;
    uint32_t kept_bytes;  /* storage of the buffers kept */
    uint32_t give_offset; /* frame_io_give: where it stands in the oldest buffer */
    struct rtt rtt;
    struct frame_io_flights *flights;
    struct frame_io_flight *oldest, *newest; /* NULL where flight_count is 0 */
};

size_t frame_io_flights_bytes(uint32_t streams);
void frame_io_flights_init(struct frame_io_flights *all, struct arena *arena, uint32_t streams);

void frame_io_init(struct frame_io *f, struct frame_io_flights *all);
/* Gives back all buffers. */
void frame_io_fini(struct frame_io *f, struct msgbuf_pool *pool);

/* A data frame has come. */
void frame_io_on_data(struct frame_io *f, uint32_t sequence);
/* An ACK is owed: for the end of the turn, or (is_urgent) for so many frames that it should not
 * wait. */
bool frame_io_owes_ack(const struct frame_io *f, bool is_urgent);
/* Writes the ACK of the highest sequence and forgets the debt. */
void frame_io_put_ack(struct frame_io *f, uint8_t out[FRAME_ACK_BYTES]);

/* The number for the next data frame. */
uint32_t frame_io_take_sequence(struct frame_io *f);
/* Frames first..last have left.  Takes over `frames`, the bytes they left in, and keeps it while
 * kept_bytes stays within `keep_bytes`; false when it was released instead. */
bool frame_io_on_sent(struct frame_io *f, struct msgbuf_pool *pool, uint64_t now_us, uint32_t first,
                      uint32_t last, struct msgbuf *frames, uint32_t keep_bytes);
/* ERR_OK: something new is acknowledged.  ERR_DUPLICATE: nothing new.  ERR_NOT_FOUND: a number that
 * was never sent; nothing changed. */
enum err frame_io_on_ack(struct frame_io *f, struct msgbuf_pool *pool, uint64_t now_us,
                         uint32_t sequence) MUST_USE;

static inline uint32_t frame_io_unacked(const struct frame_io *f)
{
    return f->next_sequence - f->first_unacked;
}
/* When the oldest frame without ACK was sent; UINT64_MAX when there is none. */
uint64_t frame_io_oldest_us(const struct frame_io *f);

/* The connection is gone: gives back one unacknowledged message after the other, as far as they
 * were kept.  `message` is valid until the next call or frame_io_fini. */
bool frame_io_give(struct frame_io *f, struct msgbuf_pool *pool, uint8_t **message, size_t *len);
