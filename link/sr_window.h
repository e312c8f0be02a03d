/* SPDX-License-Identifier: Apache-2.0 */
/* sr_window.h - how much a datagram link may have in flight, and how fast it leaves; for link/sr.
 *
 * Slow start and additive increase, multiplicative decrease in bytes (RFC 5681, RFC 8085 3.1.2),
 * and pacing of what the window allows (RFC 8085 3.1.6), in integers.
 *
 * A frame is charged with its bytes on the wire, and not less than SR_WINDOW_CHARGE_MIN: queues of
 * routers are counted in packets too, and a window that was tried out with small frames must not
 * let as many bytes in large ones go.
 * Owner: embedded in struct sr.   Time: an argument. */
#pragma once
#include "core/base.h"

enum {
    SR_WINDOW_FRAME = 1280,  /* a full frame, in the sense of RFC 5681's SMSS */
    SR_WINDOW_OVERHEAD = 65, /* UDP/IP 28, DTLS 1.2 record with AES-GCM 37; frame header apart */
    SR_WINDOW_CHARGE_MIN = 512,
    SR_WINDOW_FIRST = 3 * SR_WINDOW_FRAME, /* RFC 5681 3.1 for such an SMSS; 7 small frames */
    SR_WINDOW_BURST_FRAMES = 4,            /* may always leave at once, if the window allows */
    SR_WINDOW_BURST_US = 4096,             /* or what is due in this time, whichever is more */
};

struct sr_window {
    uint32_t bytes;
    uint32_t threshold; /* slow start below it */
    uint32_t max;
    uint32_t undo_bytes; /* as it was before the last cut; 0 = nothing to undo */
    uint32_t undo_threshold;
    uint32_t rtt_us;    /* of the last rate; 0 = none yet, not paced */
    uint64_t rate;      /* bytes in 2^20 us */
    uint64_t credit;    /* bytes that may leave at once */
    uint64_t credit_us; /* when that was right */
};

void sr_window_init(struct sr_window *w, uint32_t max_frames);
uint32_t sr_window_charge(size_t frame_len);
/* `acked` bytes have arrived.  may_grow: the window was what held us back, and no loss is being
 * repaired. */
void sr_window_on_ack(struct sr_window *w, uint32_t acked, bool may_grow, uint64_t srtt_us);
/* A frame is lost, others arrive. */
void sr_window_on_loss(struct sr_window *w, uint32_t flight_bytes);
/* Nothing arrives.  is_first: not a timeout after a timeout. */
void sr_window_on_timeout(struct sr_window *w, uint32_t flight_bytes, bool is_first);
/* The last cut was a mistake. */
void sr_window_undo(struct sr_window *w);
/* Nothing was in flight for a while: what the window says is old (RFC 5681 4.1, RFC 7661). */
void sr_window_on_idle(struct sr_window *w, uint64_t idle_us, uint64_t rto_us);

/* Would the pace let a frame of `charge` leave now?  Brings the credit up to date. */
bool sr_window_is_due(struct sr_window *w, uint32_t charge, uint64_t now_us);
void sr_window_spend(struct sr_window *w, uint32_t charge);
/* When a worthwhile part of `charge` bytes, of several frames, may leave. */
uint64_t sr_window_due_us(const struct sr_window *w, uint64_t charge);
