/* SPDX-License-Identifier: Apache-2.0 */
/* One machine of link/sr at a time: RFC 6940 6.6.2, 6.6.3; RFC 5681, RFC 6298; LK-2, LK-4, LK-5,
 * Two of them over a bad network: tests/model/test_sr_model.c. */
#include "link/sr.h"
#include <criterion/criterion.h>
#include <stdlib.h>

enum { BUFFERS = 600, LARGE = 16, MS = 1000 };

static struct arena arena;
static struct msgbuf_pool pool;
static struct metrics metrics;
static struct rng rng;
static struct turn turn;
static struct sr sr;

static void begin_with(const struct sr_limits *limits)
{
    size_t bytes = (size_t)BUFFERS * (2048 + 256 + 64) + (size_t)LARGE * (18432 + 256 + 64) + 4096;
    arena_init(&arena, calloc(1, bytes), bytes);
    msgbuf_pool_init(&pool, &arena, BUFFERS, LARGE);
    rng_init(&rng, 7);
    memset(&metrics, 0, sizeof(metrics));
    turn = (struct turn){.now_us = 1000000, .rng = &rng, .buffers = &pool, .metrics = &metrics};
    sr_init(&turn, &sr, limits);
}

static void begin(void)
{
    struct sr_limits limits = SR_LIMITS_DEFAULT;
    begin_with(&limits);
}

static void end(void)
{
    sr_fini(&turn, &sr);
    cr_assert_eq(pool.in_use[0] + pool.in_use[1], 0);
    free(arena.base);
}

static uint64_t metric_of(enum metric which)
{
    return metric_read(&metrics, which);
}

/* Queues a message of `len` bytes that begins with `id`. */
static enum err queue_one(uint32_t id, size_t len)
{
    struct msgbuf *buf = msgbuf_acquire(&pool, len);
    cr_assert_not_null(buf);
    memset(msgbuf_data(buf), 0, len);
    memcpy(msgbuf_data(buf), &id, sizeof(id));
    buf->len = (uint32_t)len;
    return sr_queue(&turn, &sr, buf);
}

static void queue(uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        cr_assert_eq(queue_one(first + i, 400), ERR_OK);
    }
}

static uint32_t id_of(struct slice message)
{
    uint32_t id = UINT32_MAX;
    memcpy(&id, message.data, sizeof(id));
    return id;
}

/* What leaves now must be the message `id` under the number `sequence`. */
static void expect_frame(uint32_t sequence, uint32_t id)
{
    struct sr_frame out;
    struct frame frame;
    cr_assert(sr_next(&turn, &sr, &out), "nothing leaves, wanted %u", sequence);
    cr_assert_eq(frame_decode(out.frame, &frame), ERR_OK);
    cr_assert_eq(frame.type, FRAME_DATA);
    cr_assert_eq(frame.sequence, sequence, "number %u, wanted %u", frame.sequence, sequence);
    cr_assert_eq(out.sequence, sequence);
    cr_assert_eq(id_of(frame.message), id, "message %u, wanted %u", id_of(frame.message), id);
}

static void expect_nothing(void)
{
    struct sr_frame out;
    cr_assert(!sr_next(&turn, &sr, &out));
}

static uint32_t drain(void)
{
    struct sr_frame out;
    uint32_t count = 0;
    while (sr_next(&turn, &sr, &out)) {
        count++;
    }
    return count;
}

static void expect_ack(uint32_t sequence, uint32_t received)
{
    uint8_t bytes[FRAME_ACK_BYTES];
    struct frame frame;
    cr_assert(sr_owes_ack(&sr, false));
    sr_put_ack(&sr, bytes);
    cr_assert_eq(frame_decode(slice_of(bytes, sizeof(bytes)), &frame), ERR_OK);
    cr_assert_eq(frame.type, FRAME_ACK);
    cr_assert_eq(frame.sequence, sequence, "ack of %u, wanted %u", frame.sequence, sequence);
    cr_assert_eq(frame.received, received, "bitmap %x, wanted %x", frame.received, received);
}

static enum sr_data receive(uint32_t sequence)
{
    uint32_t id = sequence ^ 0x5a5a0000;
    return sr_on_data(&turn, &sr, sequence, slice_of(&id, sizeof(id)));
}

/* ---- receiving ---- */

/* The catalogue's example (1.2), and one ACK for a turn. */
Test(sr, acknowledges_the_highest_once_a_turn)
{
    begin();
    cr_assert(!sr_owes_ack(&sr, false));
    for (uint32_t i = 0; i <= 5; i++) {
        cr_assert_eq(receive(i), SR_FRESH);
    }
    cr_assert(!sr_owes_ack(&sr, true));
    expect_ack(5, 0x3e);
    cr_assert(!sr_owes_ack(&sr, false));
    end();
}

Test(sr, leaves_gaps_in_the_bitmap)
{
    begin();
    cr_assert_eq(receive(0), SR_FRESH);
    cr_assert_eq(receive(2), SR_FRESH);
    expect_ack(2, 0x4);
    cr_assert_eq(receive(1), SR_FRESH); /* late: its own ACK, for peers that read no bitmap */
    expect_ack(1, 0x2);
    cr_assert(!sr_owes_ack(&sr, false));
    end();
}

/* Each frame of a long turn is spoken for twice. */
Test(sr, acknowledges_at_once_after_16_frames)
{
    begin();
    for (uint32_t i = 0; i < 3 * SR_ACK_EVERY; i++) {
        cr_assert(!sr_owes_ack(&sr, true));
        cr_assert_eq(receive(i), SR_FRESH);
        if (i % SR_ACK_EVERY == SR_ACK_EVERY - 1) {
            cr_assert(sr_owes_ack(&sr, true));
            expect_ack(i, i < 31 ? ((uint32_t)1 << (i + 1)) - 2 : 0xfffffffe);
        }
    }
    cr_assert(!sr_owes_ack(&sr, false));
    end();
}

/* Every frame of a turn is spoken for, whatever lies between. */
Test(sr, needs_two_acks_for_frames_far_apart)
{
    begin();
    cr_assert_eq(receive(0), SR_FRESH);
    cr_assert_eq(receive(40), SR_FRESH);
    cr_assert(!sr_owes_ack(&sr, true));
    expect_ack(40, 0);
    expect_ack(0, 0);
    cr_assert(!sr_owes_ack(&sr, false));
    end();
}

/* Gaps do not buy an ACK for each frame. */
Test(sr, acknowledges_no_frame_by_itself_within_a_turn)
{
    begin();
    uint32_t acks = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        cr_assert_eq(receive(i * 33), SR_FRESH);
        for (; sr_owes_ack(&sr, true); acks++) {
            uint8_t bytes[FRAME_ACK_BYTES];
            sr_put_ack(&sr, bytes);
        }
    }
    cr_assert_leq(acks, 1000 / SR_ACK_FRAMES);
    end();
}

/* ACKs that say nothing new are looked at as often as something was sent, and a few times more. */
Test(sr, looks_at_no_more_acks_than_it_has_sent_frames)
{
    begin();
    queue(0, 3);
    cr_assert_eq(drain(), 3);
    for (uint32_t i = 0; i < SR_ACK_SPARE + 2; i++) {
        cr_assert_eq(sr_on_ack(&turn, &sr, 1, 0), i == 0 ? ERR_OK : ERR_DUPLICATE);
        cr_assert_eq(metric_of(METRIC_sr_acks_excess), 0);
    }
    cr_assert_eq(sr_on_ack(&turn, &sr, 2, 0), ERR_OK);
    for (uint32_t i = 0; i < 10; i++) {
        cr_assert_eq(sr_on_ack(&turn, &sr, 0, 0), ERR_DUPLICATE);
    }
    cr_assert_eq(metric_of(METRIC_sr_acks_excess), 10);
    cr_assert_eq(sr_unacked(&sr), 1);
    turn.now_us += 500 * MS; /* it is sent again, and that may be acknowledged */
    sr_on_time(&turn, &sr);
    expect_frame(3, 0);
    cr_assert_eq(sr_on_ack(&turn, &sr, 3, 0), ERR_OK);
    cr_assert_eq(sr_unacked(&sr), 0);
    end();
}

Test(sr, filters_what_came_before)
{
    begin();
    cr_assert_eq(receive(7), SR_FRESH);
    expect_ack(7, 0);
    cr_assert_eq(receive(7), SR_REPEAT);
    expect_ack(7, 0); /* the first one may have been lost */
    cr_assert_eq(receive(8), SR_FRESH);
    uint32_t id = 7 ^ 0x5a5a0000; /* the message of 7 once more, under a new number (LK-5) */
    cr_assert_eq(sr_on_data(&turn, &sr, 9, slice_of(&id, sizeof(id))), SR_REPEAT);
    expect_ack(9, 0x6);
    cr_assert_eq(metric_of(METRIC_sr_repeats), 2);
    turn.now_us += sr.limits.repeat_us; /* its originator asks again */
    cr_assert_eq(sr_on_data(&turn, &sr, 10, slice_of(&id, sizeof(id))), SR_FRESH);
    cr_assert_eq(sr_on_data(&turn, &sr, 11, slice_of(&id, sizeof(id))), SR_REPEAT);
    end();
}

/* What is remembered is bounded: 64 numbers, SR_SEEN messages. */
Test(sr, refuses_what_is_too_old_to_tell)
{
    begin();
    cr_assert_eq(receive(100), SR_FRESH);
    cr_assert_eq(receive(37), SR_FRESH);
    expect_ack(100, 0);
    expect_ack(37, 0);
    cr_assert_eq(receive(36), SR_STALE);
    cr_assert(!sr_owes_ack(&sr, false));
    cr_assert_eq(metric_of(METRIC_sr_stale), 1);
    for (uint32_t i = 0; i < 100 * SR_SEEN; i++) {
        cr_assert_eq(receive(101 + i), SR_FRESH);
    }
    end();
}

Test(sr, receives_across_the_wrap)
{
    begin();
    cr_assert_eq(receive(0xffffffff), SR_FRESH); /* a peer may begin anywhere */
    cr_assert_eq(receive(0), SR_FRESH);
    expect_ack(0, 0x2);
    cr_assert_eq(receive(0xffffffff), SR_REPEAT);
    cr_assert_eq(receive(0xfffffffe), SR_FRESH);
    end();
}

/* ---- sending: timers ---- */

/* LK-4c, A-29: sent at 0, 500, 1500, 3500, 7500 ms under five numbers. */
Test(sr, follows_the_schedule_of_6_6_3_1)
{
    static const uint64_t at_ms[] = {0, 500, 1500, 3500, 7500};
    begin();
    uint64_t start_us = turn.now_us;
    queue(1, 1);
    for (uint32_t i = 0; i < ARRAY_COUNT(at_ms); i++) {
        cr_assert_eq(turn.now_us - start_us, at_ms[i] * MS);
        sr_on_time(&turn, &sr);
        cr_assert_eq(sr_state(&sr), i >= 3 ? SR_SUSPICIOUS : SR_UP);
        expect_frame(i, 1);
        expect_nothing();
        turn.now_us = sr_next_us(&sr) - 1;
        sr_on_time(&turn, &sr); /* too early */
        expect_nothing();
        turn.now_us++;
    }
    cr_assert_eq(turn.now_us - start_us, 15500 * MS);
    cr_assert_eq(metric_of(METRIC_sr_resent_late), 4);
    sr_on_time(&turn, &sr);
    cr_assert_eq(sr_state(&sr), SR_DEAD);
    expect_nothing();
    cr_assert_eq(sr_next_us(&sr), UINT64_MAX);
    cr_assert_eq(queue_one(2, 10), ERR_CLOSED);
    struct msgbuf *back = sr_give(&sr);
    cr_assert_not_null(back);
    cr_assert_eq(id_of(msgbuf_slice(back)), 1);
    cr_assert_eq(back->len, 400);
    msgbuf_release(&pool, back);
    cr_assert_null(sr_give(&sr));
    end();
}

/* ... and the ACK of any of the five completes the message and restores the link. */
Test(sr, accepts_the_ack_of_any_transmission)
{
    for (uint32_t which = 0; which < 5; which++) {
        begin();
        queue(1, 1);
        for (uint32_t i = 0; i < 5; i++) {
            expect_frame(i, 1);
            turn.now_us = sr_next_us(&sr) - (i == 4);
            sr_on_time(&turn, &sr);
        }
        cr_assert_eq(sr_state(&sr), SR_SUSPICIOUS);
        cr_assert_eq(sr_on_ack(&turn, &sr, which, 0), ERR_OK);
        cr_assert_eq(sr_state(&sr), SR_UP);
        cr_assert_eq(sr_unacked(&sr), 0);
        cr_assert_eq(pool.in_use[0], 0);
        cr_assert_eq(metric_of(METRIC_sr_resent_needlessly), which < 4);
        cr_assert_eq(sr_on_ack(&turn, &sr, 4, 0), ERR_DUPLICATE);
        end();
    }
}

Test(sr, takes_the_timeout_from_round_trips)
{
    begin();
    queue(1, 1);
    expect_frame(0, 1);
    turn.now_us += 40 * MS;
    cr_assert_eq(sr_on_ack(&turn, &sr, 0, 0), ERR_OK);
    cr_assert_eq(sr.rtt.srtt_us, 40 * MS);
    cr_assert_eq(sr.rtt.rto_us, 120 * MS); /* RFC 6298 2.2 */
    for (uint32_t i = 1; i < 30; i++) {
        queue(i, 1);
        expect_frame(i, i);
        turn.now_us += 40 * MS;
        cr_assert_eq(sr_on_ack(&turn, &sr, i, 0), ERR_OK);
    }
    cr_assert_eq(sr.rtt.rto_us, SR_RTO_MIN_US);
    queue(30, 1);
    expect_frame(30, 30);
    turn.now_us += SR_RTO_MIN_US;
    sr_on_time(&turn, &sr);
    expect_frame(31, 30);
    turn.now_us += 40 * MS; /* of the retransmission: no ambiguity */
    cr_assert_eq(sr_on_ack(&turn, &sr, 31, 0), ERR_OK);
    cr_assert_eq(sr.rtt.srtt_us, 40 * MS);
    end();
}

/* nobody waits for it any more. */
Test(sr, gives_up_what_is_too_old)
{
    begin();
    queue(1, 40);
    uint32_t sent = drain();
    cr_assert_lt(sent, 40);
    turn.now_us += SR_AGE_US;
    expect_nothing();
    cr_assert_eq(metric_of(METRIC_sr_given_up), 40 - sent);
    sr_on_time(&turn, &sr);
    expect_nothing();
    cr_assert_eq(metric_of(METRIC_sr_given_up), 40);
    cr_assert_eq(pool.in_use[0], 0);
    end();
}

/* ---- sending: acknowledgements ---- */

Test(sr, believes_the_bitmap)
{
    begin();
    queue(0, 6);
    cr_assert_eq(drain(), 6);
    cr_assert_eq(sr_on_ack(&turn, &sr, 5, 0x3e), ERR_OK);
    cr_assert_eq(sr_unacked(&sr), 0);
    cr_assert_eq(sr_on_ack(&turn, &sr, 5, 0x3e), ERR_DUPLICATE);
    cr_assert_eq(sr_on_ack(&turn, &sr, 2, 0), ERR_DUPLICATE);
    end();
}

/* A-31; harness 7: an ACK for a number never sent frees nothing. */
Test(sr, believes_no_claim_about_what_was_never_sent)
{
    static const uint32_t lies[] = {0xffffffff, 0x1, 0x40, 0x80000000};
    for (size_t i = 0; i < ARRAY_COUNT(lies); i++) {
        begin();
        queue(0, 6);
        cr_assert_eq(drain(), 6);
        cr_assert_eq(sr_on_ack(&turn, &sr, 6, 0xffffffff), ERR_NOT_FOUND);
        cr_assert_eq(sr_on_ack(&turn, &sr, 0xffffffff, 0), ERR_NOT_FOUND);
        cr_assert_eq(sr_unacked(&sr), 6);
        cr_assert(sr.is_bitmap_trusted);
        cr_assert_eq(sr_on_ack(&turn, &sr, 5, lies[i]), ERR_OK);
        cr_assert_eq(sr_unacked(&sr), 5);
        cr_assert_eq(metric_of(METRIC_sr_bitmap_untrusted), 1);
        cr_assert_eq(sr_on_ack(&turn, &sr, 4, 0x1e), ERR_OK); /* for good */
        cr_assert_eq(sr_unacked(&sr), 4);
        cr_assert_eq(metric_of(METRIC_sr_bitmap_untrusted), 1);
        end();
    }
}

/* RFC 5681 3.2: three later ones. */
Test(sr, sends_again_what_was_overtaken)
{
    begin();
    queue(0, 7);
    cr_assert_eq(drain(), 7);
    turn.now_us += 10 * MS;
    cr_assert_eq(sr_on_ack(&turn, &sr, 3, 0x4), ERR_OK); /* 1 and 3 */
    uint32_t before = sr.congestion.bytes;
    expect_frame(7, 0);
    expect_nothing(); /* 2 was overtaken by one only, and the window is cut */
    cr_assert_lt(before, SR_WINDOW_FIRST);
    cr_assert_eq(metric_of(METRIC_sr_window_cut), 1);
    turn.now_us += 10 * MS;
    cr_assert_eq(sr_on_ack(&turn, &sr, 6, 0xe), ERR_OK); /* 3 to 6 */
    expect_frame(8, 2);
    cr_assert_eq(metric_of(METRIC_sr_window_cut), 1); /* the same loss */
    cr_assert_eq(metric_of(METRIC_sr_resent_gap), 2);
    cr_assert_eq(sr_on_ack(&turn, &sr, 8, 0x2), ERR_OK);
    cr_assert_eq(sr_unacked(&sr), 0);
    end();
}

/* The original arrives after all: the window is as before, and more reordering is tolerated. */
Test(sr, takes_back_a_cut_that_was_a_mistake)
{
    begin();
    queue(0, 7);
    cr_assert_eq(drain(), 7);
    turn.now_us += 10 * MS;
    uint32_t before = sr.congestion.bytes;
    cr_assert_eq(sr_on_ack(&turn, &sr, 5, 0x1e), ERR_OK); /* all but 0 and 6 */
    cr_assert_lt(sr.congestion.bytes, before);
    expect_frame(7, 0);
    cr_assert_eq(sr_on_ack(&turn, &sr, 0, 0), ERR_OK);
    cr_assert_geq(sr.congestion.bytes, before);
    cr_assert_eq(sr.reorder, 6);
    turn.now_us = sr_next_us(&sr); /* 6 */
    sr_on_time(&turn, &sr);
    expect_frame(8, 6);
    cr_assert_eq(metric_of(METRIC_sr_resent_late), 1);
    cr_assert_eq(sr.reorder, 3);
    cr_assert_eq(metric_of(METRIC_sr_resent_needlessly), 1);
    end();
}

/* A second loss, when the first is repaired, is a new one. */
Test(sr, cuts_again_for_a_new_loss)
{
    begin();
    for (uint32_t round = 1; round <= 3; round++) {
        queue(100 * round, 5);
        cr_assert_eq(drain(), 5);
        turn.now_us += 10 * MS;
        cr_assert_eq(sr_on_ack(&turn, &sr, sr.next_sequence - 1, 0xe), ERR_OK); /* not the first */
        expect_frame(sr.next_sequence, 100 * round);
        cr_assert_eq(metric_of(METRIC_sr_window_cut), round);
        cr_assert_eq(sr_on_ack(&turn, &sr, sr.next_sequence - 1, 0), ERR_OK);
        cr_assert(sr.is_recovering);
        for (uint32_t i = 5; i < 60; i++) {
            turn.now_us += 10 * MS;
            queue(100 * round + i, 1);
            expect_frame(sr.next_sequence, 100 * round + i);
            cr_assert_eq(sr_on_ack(&turn, &sr, sr.next_sequence - 1, 0), ERR_OK);
        }
        cr_assert(!sr.is_recovering); /* its numbers may wrap */
    }
    end();
}

/* What a timeout calls back goes before what is lost afterwards. */
Test(sr, loses_again_what_was_called_back)
{
    static const uint32_t want[] = {6, 0, 1, 2, 4}; /* 3 and 5 arrive */
    begin();
    queue(0, 7);
    cr_assert_eq(drain(), 7);
    turn.now_us = sr_next_us(&sr);
    sr_on_time(&turn, &sr);
    sr.congestion.bytes = 6 * SR_WINDOW_CHARGE_MIN;
    cr_assert_eq(drain(), 6);                             /* 7 to 12 */
    cr_assert_eq(sr_on_ack(&turn, &sr, 12, 0x4), ERR_OK); /* 10 and 12 */
    for (size_t i = 0; i < ARRAY_COUNT(want); i++) {
        struct msgbuf *buf = sr_give(&sr);
        cr_assert_not_null(buf);
        cr_assert_eq(id_of(msgbuf_slice(buf)), want[i], "%u", id_of(msgbuf_slice(buf)));
        msgbuf_release(&pool, buf);
    }
    cr_assert_eq(sr_unacked(&sr), 0);
    end();
}

/* Others arrive, this one does not (too large for the path, say): it is given up, not the link. */
Test(sr, gives_up_what_never_arrives)
{
    begin();
    queue(0, 1);
    cr_assert_eq(drain(), 1);
    uint32_t id = 1;
    for (uint32_t sent = 1; sent <= SR_TRANSMISSIONS; sent++) {
        cr_assert_eq(metric_of(METRIC_sr_given_up), 0);
        for (uint32_t i = 0; i < 3; i++) {
            queue(id++, 1);
            cr_assert_eq(drain(), 1);
            turn.now_us += MS;
            uint32_t last = sr.next_sequence - 1;
            cr_assert_eq(sr_on_ack(&turn, &sr, last, 0), ERR_OK);
            while (drain() > 0) { /* the retransmission */
            }
            if (sr.next_sequence - 1 != last) {
                break; /* at the end of a flight one later frame is enough */
            }
        }
    }
    cr_assert_eq(metric_of(METRIC_sr_given_up), 1);
    cr_assert_eq(sr_unacked(&sr), 0);
    cr_assert_eq(sr_state(&sr), SR_UP);
    end();
}

Test(sr, needs_no_three_later_ones_at_the_end)
{
    begin();
    queue(0, 2);
    cr_assert_eq(drain(), 2);
    turn.now_us += 10 * MS;
    cr_assert_eq(sr_on_ack(&turn, &sr, 1, 0), ERR_OK);
    expect_frame(2, 0);
    end();
}

Test(sr, sends_across_the_wrap)
{
    begin();
    sr.next_sequence = 0xfffffffd;
    sr.acked_top = 0xfffffffc;
    sr.sent_count = 0xfffffffd;
    queue(0, 7);
    cr_assert_eq(drain(), 7); /* 0xfffffffd to 3 */
    cr_assert_eq(sr_on_ack(&turn, &sr, 4, 0), ERR_NOT_FOUND);
    cr_assert_eq(sr_on_ack(&turn, &sr, 1, 0x16), ERR_OK); /* 0, 0xffffffff, 0xfffffffd and 1 */
    cr_assert_eq(sr_unacked(&sr), 3);
    expect_frame(4, 1);
    cr_assert_eq(sr_on_ack(&turn, &sr, 4, 0xfffffffe), ERR_OK);
    cr_assert_eq(sr_unacked(&sr), 0);
    cr_assert(sr.is_bitmap_trusted);
    end();
}

/* ---- window, pace, limits ---- */

/* RFC 5681 3.1: the first window, then one more for each that arrives. */
Test(sr, starts_slowly)
{
    begin();
    for (uint32_t i = 0; i < 100; i++) {
        cr_assert_eq(queue_one(i, 1200), ERR_OK);
    }
    cr_assert_eq(drain(), 3);
    turn.now_us += MS;
    cr_assert_eq(sr_on_ack(&turn, &sr, 2, 0x6), ERR_OK);
    cr_assert_eq(drain(), 6);
    end();
}

Test(sr, does_not_grow_a_window_that_is_not_used)
{
    begin();
    for (uint32_t i = 0; i < 1000; i++) {
        queue(i, 1);
        expect_frame(i, i);
        turn.now_us += MS;
        cr_assert_eq(sr_on_ack(&turn, &sr, i, 0), ERR_OK);
    }
    cr_assert_eq(sr.congestion.bytes, SR_WINDOW_FIRST);
    end();
}

Test(sr, spreads_what_the_window_allows)
{
    begin();
    queue(0, 1);
    expect_frame(0, 0);
    turn.now_us += 100 * MS;
    cr_assert_eq(sr_on_ack(&turn, &sr, 0, 0), ERR_OK);
    sr.congestion.bytes = 100 * SR_WINDOW_FRAME;
    sr.congestion.threshold = 50 * SR_WINDOW_FRAME;
    cr_assert_eq(queue_one(1, 1200), ERR_OK);
    expect_frame(1, 1);
    cr_assert_eq(sr_on_ack(&turn, &sr, 1, 0), ERR_OK); /* sets the rate */
    for (uint32_t i = 2; i < 102; i++) {
        cr_assert_eq(queue_one(i, 1200), ERR_OK);
    }
    uint32_t most = 0;
    uint64_t start_us = turn.now_us;
    for (uint32_t sent = 0; sent < 90;) {
        uint32_t now = drain();
        sent += now;
        most = now > most ? now : most;
        cr_assert_gt(sr_next_us(&sr), turn.now_us);
        turn.now_us = sr_next_us(&sr);
    }
    cr_assert_leq(most, 6);
    cr_assert_geq(turn.now_us - start_us,
                  60 * MS); /* 90 frames of 100 in 100 ms, a quarter faster */
    end();
}

/* Frames larger than the first window, the pace and a burst allow leave one by one. */
Test(sr, sends_frames_of_any_size)
{
    begin();
    for (uint32_t i = 0; i < 10; i++) {
        cr_assert_eq(queue_one(i, 16000), ERR_OK);
    }
    for (uint32_t i = 0; i < 10; i++) {
        while (drain() == 0) {
            cr_assert_gt(sr_next_us(&sr), turn.now_us);
            cr_assert_lt(sr_next_us(&sr), turn.now_us + 200 * MS);
            turn.now_us = sr_next_us(&sr);
        }
        turn.now_us += 20 * MS;
        cr_assert_eq(sr_on_ack(&turn, &sr, sr.next_sequence - 1, 0x7e & ~(UINT32_MAX << i)),
                     ERR_OK);
        if (sr_unacked(&sr) == 0) {
            break;
        }
    }
    cr_assert_eq(sr_unacked(&sr), 0);
    end();
}

Test(sr, forgets_the_window_when_idle)
{
    begin();
    queue(0, 1);
    expect_frame(0, 0);
    turn.now_us += MS;
    cr_assert_eq(sr_on_ack(&turn, &sr, 0, 0), ERR_OK);
    sr.congestion.bytes = 16 * SR_WINDOW_FIRST;
    sr.congestion.threshold = 2 * SR_WINDOW_FIRST;
    turn.now_us += 2 * SR_RTO_MIN_US;
    queue(1, 1);
    expect_frame(1, 1);
    cr_assert_eq(sr.congestion.bytes, 4 * SR_WINDOW_FIRST);
    cr_assert_eq(sr.congestion.threshold, 12 * SR_WINDOW_FIRST); /* it is found again fast */
    end();
}

Test(sr, bounds_its_queue)
{
    struct sr_limits limits = {
        .flight_frames = 8, .queue_frames = 20, .queue_bytes = 15 * 2304, .wait_us = 5000};
    begin_with(&limits);
    for (uint32_t i = 0; i < 15; i++) {
        cr_assert_eq(queue_one(i, 10), ERR_OK);
    }
    cr_assert_eq(queue_one(15, 10), ERR_LIMIT);
    cr_assert_eq(pool.in_use[0], 15);
    end();
    limits.queue_bytes = UINT32_MAX;
    begin_with(&limits);
    for (uint32_t i = 0; i < 20; i++) {
        cr_assert_eq(queue_one(i, 10), ERR_OK);
    }
    cr_assert_eq(queue_one(20, 10), ERR_LIMIT);
    sr.congestion.bytes = 100 * SR_WINDOW_FRAME;
    cr_assert_eq(drain(), 8); /* the flight is bounded, however large the window */
    end();
}

/* Nobody is told that a message is on its way when the way takes longer than they wait. */
Test(sr, refuses_when_the_queue_is_slow)
{
    begin();
    queue(0, 20);
    drain();
    turn.now_us += sr.limits.wait_us - 1;
    cr_assert_eq(queue_one(20, 400), ERR_OK);
    turn.now_us++;
    cr_assert_eq(queue_one(21, 400), ERR_LIMIT);
    end();
}

/* Oldest first, each as it was queued. */
Test(sr, gives_back_in_order)
{
    begin();
    queue(0, 20);
    cr_assert_eq(drain(), 7);
    cr_assert_eq(sr_on_ack(&turn, &sr, 4, 0x8), ERR_OK); /* 0 is lost; 1 and 4 are there */
    static const uint32_t want[] = {0, 2, 3, 5, 6, 7};
    for (size_t i = 0; i < ARRAY_COUNT(want); i++) {
        struct msgbuf *buf = sr_give(&sr);
        cr_assert_not_null(buf);
        cr_assert_eq(id_of(msgbuf_slice(buf)), want[i], "%u", id_of(msgbuf_slice(buf)));
        msgbuf_release(&pool, buf);
    }
    end();
}

static uint32_t length_of(const struct sr_list *list)
{
    uint32_t length = 0;
    for (const struct msgbuf *buf = list->first; buf != NULL; buf = buf->next) {
        length++;
    }
    return length;
}

/* Whatever the peer says: what is counted is what is there, and nothing stays behind. */
Test(sr, survives_any_peer)
{
    struct sr_limits limits = {.flight_frames = 64,
                               .queue_frames = 100,
                               .queue_bytes = 90 * 2304,
                               .wait_us = 1500 * MS,
                               .repeat_us = 100 * MS};
    for (uint32_t life = 0; life < 200; life++) {
        begin_with(&limits);
        rng_init(&rng, life);
        sr.next_sequence = (uint32_t)rng_next(&rng);
        sr.acked_top = sr.next_sequence - 1;
        sr.sent_count = rng_below(&rng, 3) * 1000;
        sr.is_bitmap_trusted = life % 2 == 0;
        for (uint32_t step = 0; step < 1000; step++) {
            uint32_t near = sr.next_sequence - (uint32_t)rng_below(&rng, 100) + 10;
            uint32_t any = rng_below(&rng, 50) == 0 ? (uint32_t)rng_next(&rng) : near;
            uint32_t bits = (uint32_t)(rng_next(&rng) & rng_next(&rng)) & ~1u;
            struct sr_frame out;
            switch (rng_below(&rng, 6)) {
            case 0:
                if (queue_one(step, 10 + rng_below(&rng, 1400)) != ERR_OK) {
                    turn.now_us += 10 * MS;
                }
                break;
            case 1:
                while (rng_below(&rng, 4) > 0 && sr_next(&turn, &sr, &out)) {}
                break;
            case 2:
                if (sr_on_ack(&turn, &sr, any, rng_below(&rng, 2) == 0 ? bits : 0) != ERR_OK) {
                    turn.now_us += 1;
                }
                break;
            case 3:
                if (receive(any) == SR_STALE) {
                    turn.now_us += 1;
                }
                break;
            case 4:
                while (sr_owes_ack(&sr, rng_below(&rng, 2) == 0)) {
                    uint8_t bytes[FRAME_ACK_BYTES];
                    sr_put_ack(&sr, bytes);
                }
                break;
            default:
                turn.now_us += rng_below(&rng, rng_below(&rng, 8) == 0 ? 2000 * MS : 20 * MS);
                sr_on_time(&turn, &sr);
                drain();
                cr_assert_gt(sr_next_us(&sr), turn.now_us, "the timer does not rest");
            }
            /* As long as a message waits for something, a timer runs. */
            bool is_waiting = sr.frames > 0 && sr_state(&sr) != SR_DEAD;
            cr_assert_eq(sr_next_us(&sr) != UINT64_MAX, is_waiting);
            uint32_t flying = length_of(&sr.flight);
            cr_assert_eq(flying, sr.flight_frames);
            cr_assert_eq(flying + length_of(&sr.lost) + length_of(&sr.waiting), sr.frames);
            cr_assert_eq(pool.in_use[0], sr.frames);
            cr_assert_leq(sr.frames, 90);
            cr_assert_leq(flying, 64);
            cr_assert_geq(sr.congestion.bytes, SR_WINDOW_FRAME);
            cr_assert_leq(sr.congestion.bytes, 64 * SR_WINDOW_FRAME);
        }
        end();
    }
}

/* It counts for each idle link. */
Test(sr, is_small)
{
    cr_assert_leq(sizeof(struct sr), 1280);
}
