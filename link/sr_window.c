/* SPDX-License-Identifier: Apache-2.0 */
/* sr_window.c - see sr_window.h. */
#include "link/sr_window.h"

enum {
    WINDOW_MIN = 2 * SR_WINDOW_FRAME,
    BURST_MIN = SR_WINDOW_BURST_FRAMES * SR_WINDOW_FRAME,
    RATE_BITS = 20,
    ELAPSED_MAX_US = 1 << 24, /* both together within 64 bits: */
};
static const uint64_t rate_max = (uint64_t)1 << 39;

void sr_window_init(struct sr_window *w, uint32_t max_frames)
{
    CHECK(max_frames > 0 && max_frames <= UINT16_MAX);
    *w = (struct sr_window){.bytes = SR_WINDOW_FIRST, .max = max_frames * SR_WINDOW_FRAME};
    w->threshold = w->max;
}

HOT uint32_t sr_window_charge(size_t frame_len)
{
    size_t wire = frame_len + SR_WINDOW_OVERHEAD;
    return (uint32_t)max_size(wire, SR_WINDOW_CHARGE_MIN);
}

static bool is_slow_start(const struct sr_window *w)
{
    return w->bytes < w->threshold;
}

static uint64_t burst(const struct sr_window *w)
{
    return max_u64(BURST_MIN, w->rate * SR_WINDOW_BURST_US >> RATE_BITS);
}

/* Twice what the window says in slow start, so that it can grow; else a quarter more, so that it is
 * the window and not the pace that decides. */
static void set_rate(struct sr_window *w)
{
    if (w->rtt_us != 0) {
        uint64_t rate = ((uint64_t)w->bytes << RATE_BITS) / w->rtt_us;
        rate += is_slow_start(w) ? rate : rate / 4;
        w->rate = min_u64(max_u64(1, rate), rate_max);
    }
}

void sr_window_on_ack(struct sr_window *w, uint32_t acked, bool may_grow, uint64_t srtt_us)
{
    if (may_grow && is_slow_start(w)) {
        w->bytes += (uint32_t)min_u64(acked, w->threshold - w->bytes);
    } else if (may_grow) {
        uint64_t more = (uint64_t)SR_WINDOW_FRAME * acked / w->bytes;
        w->bytes += (uint32_t)max_u64(1, more);
    }
    w->bytes = w->bytes < w->max ? w->bytes : w->max;
    w->rtt_us = (uint32_t)min_u64(max_u64(1, srtt_us), UINT32_MAX);
    set_rate(w);
}

static void keep_for_undo(struct sr_window *w)
{
    w->undo_bytes = w->bytes;
    w->undo_threshold = w->threshold;
}

void sr_window_on_loss(struct sr_window *w, uint32_t flight_bytes)
{
    keep_for_undo(w);
    w->threshold = flight_bytes / 2 > WINDOW_MIN ? flight_bytes / 2 : WINDOW_MIN;
    w->bytes = w->threshold;
    set_rate(w);
}

void sr_window_on_timeout(struct sr_window *w, uint32_t flight_bytes, bool is_first)
{
    if (is_first) { /* RFC 5681 3.1: not again for the same frame */
        keep_for_undo(w);
        w->threshold = flight_bytes / 2 > WINDOW_MIN ? flight_bytes / 2 : WINDOW_MIN;
    }
    w->bytes = SR_WINDOW_FRAME;
    set_rate(w);
}

void sr_window_undo(struct sr_window *w)
{
    if (w->undo_bytes != 0) {
        w->bytes = w->undo_bytes > w->bytes ? w->undo_bytes : w->bytes;
        w->threshold = w->undo_threshold > w->threshold ? w->undo_threshold : w->threshold;
        w->undo_bytes = 0;
        set_rate(w);
    }
}

void sr_window_on_idle(struct sr_window *w, uint64_t idle_us, uint64_t rto_us)
{
    uint32_t before = w->bytes;
    for (; idle_us >= rto_us && w->bytes > SR_WINDOW_FIRST; idle_us -= rto_us) {
        w->bytes = w->bytes / 2 > SR_WINDOW_FIRST ? w->bytes / 2 : SR_WINDOW_FIRST;
    }
    if (w->bytes != before) {
        uint32_t known = before / 4 * 3;
        w->threshold = known > w->threshold ? known : w->threshold;
        set_rate(w);
    }
}

HOT bool sr_window_is_due(struct sr_window *w, uint32_t charge, uint64_t now_us)
{
    if (w->rate == 0) {
        return true;
    }
    if (now_us > w->credit_us) {
        uint64_t more = min_u64(now_us - w->credit_us, ELAPSED_MAX_US) * w->rate >> RATE_BITS;
        if (more > 0) { /* else the little that is due is not forgotten */
            w->credit = min_u64(w->credit + more, burst(w));
            w->credit_us = now_us;
        }
    }
    return w->credit >= min_u64(charge, BURST_MIN / 2); /* a frame may exceed every burst */
}

HOT void sr_window_spend(struct sr_window *w, uint32_t charge)
{
    w->credit -= min_u64(w->credit, charge);
}

uint64_t sr_window_due_us(const struct sr_window *w, uint64_t charge)
{
    /* Half a burst, so that a fast link is not woken for each frame. */
    uint64_t want = min_u64(charge, burst(w) / 2);
    if (w->rate == 0 || w->credit >= want) {
        return w->credit_us;
    }
    return w->credit_us + (((want - w->credit) << RATE_BITS) + w->rate - 1) / w->rate;
}
