/* SPDX-License-Identifier: Apache-2.0 */
/* sr.h - simple reliability of one datagram link (RFC 6940 6.6.2, 6.6.3), windowed, both
 * directions.
 *
 * 6.6.3 leaves the sender's algorithm open; ours is a window with slow start and AIMD, paced, with
 * the timers of RFC 6298 (RFC 8085 3.1; A-32), and it works with peers that stop and wait, that
 * acknowledge each frame by itself, or that set all bits of every bitmap.  (The pause of 10
 * ms after each ACK is a rule of the stop-and-wait algorithm, LK-4e; pacing takes its place.)
 *
 * Each transmission has a sequence number of its own, retransmissions too.  So an ACK names one
 * transmission, every ACK gives a round trip time, and a retransmission that was not needed is
 * recognised as such (its original is acknowledged): the window is then restored and more
 * reordering is tolerated.
 *
 * Owner:   embedded in a link; no TLS, no socket.   Time, buffers, metrics: struct turn.
 * Buffers: a message is queued in a msgbuf that nobody else refers to, with SR_HEADROOM bytes in
 *          front of it: sr keeps its own record of the message there and writes the frame header.
 *          It owns the buffer until the message is acknowledged, given up or given back.
 *          So an idle link costs sizeof(struct sr) and nothing else.
 * Limits:  struct sr_limits; SR_TRANSMISSIONS of a message, SR_AGE_US of its life, SR_SILENCE
 *          timeouts in a row until the link is dead; 64 sequence numbers and SR_SEEN messages
 *          remembered as received.  What exceeds them is given up and counted here
 *          (METRIC_sr_*), or refused: then the caller counts.
 *
 * The turn of a link:
 *   for each frame of each datagram: sr_on_data or sr_on_ack; after sr_on_data, while
 *     sr_owes_ack(sr, true): sr_put_ack, send it;
 *   if sr_next_us(sr) has come: sr_on_time, which tells whether the link is dead;
 *   at the end: while sr_owes_ack(sr, false): sr_put_ack; while sr_next: make a DTLS record of it;
 *     then arm the timer for sr_next_us. */
#pragma once
#include "codec/frame.h"
#include "core/turn.h"
#include "link/rtt.h"
#include "link/sr_window.h"

enum {
    SR_TRANSMISSIONS = 8, /* of one message, those on account of later ACKs included */
    SR_SILENCE = 5,       /* timeouts in a row without an ACK: 6.6.3.1, five transmissions */
    SR_SUSPECT = 3,       /* timeouts in a row until the link leaves the Routing Table */
    /* An ACK speaks for its own frame and the 31 before it, and must not wait for more than this:
     * of a long turn's frames each is spoken for twice, so that a lost ACK is not 32 lost frames.
     */
    SR_ACK_EVERY = 16,
    /* Of those so many must have come.  Otherwise whoever leaves gaps would get an ACK for each
     * frame, and a hundred of them for a datagram full of small ones. */
    SR_ACK_FRAMES = SR_ACK_EVERY / 2,
    /* ACKs taken beyond one for each transmission: copies that the network has made. */
    SR_ACK_SPARE = 256,

    SR_HEADROOM = 128 + FRAME_DATA_HEADER, /* in front of a queued message */

    /* 6.6.3.1's default, until there is a round trip time.  Sent at 0, 500, 1500, 3500, 7500 ms,
     * suspect at 3500, dead at 15500. */
    SR_RTO_FIRST_US = 500 * 1000,
    /* RFC 6298 2.4 asks for 1 s, 6.6.3.1 for milliseconds.  An ACK leaves at the end of the peer's
     * turn (there is no delayed ACK as in TCP), so what must be covered is a turn under load and
     * the time until a busy host lets the peer run: tens of milliseconds.  Sent at 0, 100, 300,
     * 700, 1500 ms, dead at 3100: within one overlay-reliability-timer (3 s), so that what was
     * not acknowledged goes another way about when the originator would ask again. */
    SR_RTO_MIN_US = 100 * 1000,
    /* The originator has given the transaction up by then (TX-1; A-28). */
    SR_AGE_US = 15 * 1000 * 1000,

    SR_SEEN_SETS = 16,
    SR_SEEN_WAYS = 4,
    SR_SEEN = SR_SEEN_SETS * SR_SEEN_WAYS,
};

struct sr_limits {
    uint32_t flight_frames; /* sent and not acknowledged: ceiling of the window; default 256 */
    uint32_t queue_frames;  /* queued or sent and not acknowledged; default 512 */
    uint32_t queue_bytes;   /* the same in bytes of buffers (msgbuf.cap); default 2 MiB */
    /* Nothing more is queued while the oldest message has waited for so long that its originator is
     * about to repeat it: whoever has it goes another way, or says that we are busy.  Below the
     * overlay-reliability-timer; default 1.5 s. */
    uint32_t wait_us;
    /* The same message within this time is a retransmission of the neighbor; must be below
     * the overlay-reliability-timer, at which the originator repeats it; default 1.5 s. */
    uint32_t repeat_us;
};

#define SR_LIMITS_DEFAULT                                                                          \
    ((struct sr_limits){.flight_frames = 256,                                                      \
                        .queue_frames = 512,                                                       \
                        .queue_bytes = 2 * 1024 * 1024,                                            \
                        .wait_us = 1500 * 1000,                                                    \
                        .repeat_us = 1500 * 1000})

struct sr_list {
    struct msgbuf *first;
    struct msgbuf *last;
};

struct sr {
    struct sr_limits limits;
    struct rtt rtt;

    /* receiving */
    struct frame_window window;
    uint64_t owed;        /* bit k: window.top - k has come and is not acknowledged yet */
    uint32_t owed_frames; /* received since the last ACK */
    uint64_t seen_seed;
    uint64_t seen_hash[SR_SEEN_SETS][SR_SEEN_WAYS]; /* 0 = free */
    uint32_t seen_us[SR_SEEN_SETS][SR_SEEN_WAYS];   /* low 32 bits of the time */

    /* sending: a message is in one of these, oldest first */
    struct sr_list waiting; /* never sent */
    struct sr_list lost;    /* to be sent again */
    struct sr_list flight;  /* sent, by the number of the last transmission */
    uint32_t frames;        /* in all three */
    uint32_t bytes;
    uint32_t flight_frames;
    uint32_t flight_again; /* of those, sent more than once */
    uint32_t flight_bytes; /* as charged to the window */
    uint32_t next_sequence;
    uint64_t sent_count; /* transmissions: what was ever sent, across the wrap */

    uint32_t acked_top;  /* highest number acknowledged */
    uint64_t acks_taken; /* not more than sent_count and SR_ACK_SPARE together */
    struct sr_window congestion;
    uint32_t recover;     /* what is lost with a number before this belongs to the last cut */
    uint32_t reorder;     /* later frames acknowledged until one counts as lost */
    uint32_t cut_losses;  /* lost by the last cut and not yet seen to have arrived */
    uint32_t timeouts;    /* in a row, nothing acknowledged in between */
    uint64_t progress_us; /* last ACK of something new */
    uint64_t active_us;   /* last transmission */
    bool is_recovering;
    bool is_limited;        /* window or pace, not want of messages, ended the last sr_next */
    bool is_bitmap_trusted; /* */
};

/* One frame to transmit now; `frame` (header and message) is valid until the next call. */
struct sr_frame {
    struct slice frame;
    uint32_t sequence;
    bool is_again; /* a retransmission */
};

enum sr_data {
    SR_FRESH,  /* pass the message on */
    SR_REPEAT, /* has come before, by number or as a message: acknowledged, not to be passed on */
    SR_STALE,  /* older than what is remembered: neither; the peer sends it again */
};

enum sr_state { SR_UP, SR_SUSPICIOUS, SR_DEAD };

void sr_init(struct turn *t, struct sr *sr, const struct sr_limits *limits);
/* Gives all buffers back to the pool. */
void sr_fini(struct turn *t, struct sr *sr);

/* A data frame has come. */
enum sr_data sr_on_data(struct turn *t, struct sr *sr, uint32_t sequence,
                        struct slice message) MUST_USE;
/* An ACK is owed: for the end of the turn, or (is_urgent) for so many frames that it must not
 * wait. */
bool sr_owes_ack(const struct sr *sr, bool is_urgent);
/* Writes the ACK of the highest number that is owed one.  More may be owed: ask again. */
void sr_put_ack(struct sr *sr, uint8_t out[FRAME_ACK_BYTES]);
/* An ACK has come.  ERR_OK: something new is acknowledged.  ERR_DUPLICATE: nothing new.
 * ERR_NOT_FOUND: a number that was never sent; nothing changed. */
enum err sr_on_ack(struct turn *t, struct sr *sr, uint32_t sequence, uint32_t received) MUST_USE;

/* Queues the message in `buf` and takes it over (also on error it is not the caller's any more).
 * ERR_LIMIT: the queue is full, or too slow.  ERR_CLOSED: the link is dead. */
enum err sr_queue(struct turn *t, struct sr *sr, struct msgbuf *buf) MUST_USE;
/* The next frame that may leave now, false when there is none (now). */
bool sr_next(struct turn *t, struct sr *sr, struct sr_frame *out);

/* When sr_on_time and sr_next want to be called, not later; UINT64_MAX: not before the next input.
 */
uint64_t sr_next_us(const struct sr *sr);
/* Time has passed; harmless when called early. */
void sr_on_time(struct turn *t, struct sr *sr);
/* SR_SUSPICIOUS: take the link out of the Routing Table; SR_UP again when ACKs resume.
 * SR_DEAD: close it (6.6.3.1); stays so. */
enum sr_state sr_state(const struct sr *sr);

/* The link is gone: one message after the other that was not acknowledged, oldest first, as it was
 * queued; NULL at the end.  The buffer is the caller's. */
struct msgbuf *sr_give(struct sr *sr);

/* Does anything wait to be sent, or to be sent again?  If not, sr_next need not be asked. */
static inline bool sr_has_unsent(struct sr *sr)
{
    bool has_unsent = sr->waiting.first != NULL || sr->lost.first != NULL;
    sr->is_limited = sr->is_limited && has_unsent;
    return has_unsent;
}

static inline uint32_t sr_unacked(const struct sr *sr)
{
    return sr->frames;
}
