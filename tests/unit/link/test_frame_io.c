/* SPDX-License-Identifier: Apache-2.0 */
/* Sequence numbers, ACKs, round trip times: RFC 6940 6.6.2, 6.6.5, RFC 6298; LK-2, LK-3, LK-6,
 * */
#include "link/frame_io.h"
#include <criterion/criterion.h>
#include <stdlib.h>

static struct msgbuf_pool pool;
static struct arena arena;

static void init_pool(uint32_t small)
{
    size_t bytes = (size_t)small * (2048 + 256 + 64) + 4096;
    arena_init(&arena, calloc(1, bytes), bytes);
    msgbuf_pool_init(&pool, &arena, small, 0);
}

static struct frame_io_flights *flights_of_one(void)
{
    static _Alignas(64) uint8_t memory[FRAME_IO_FLIGHTS * sizeof(struct frame_io_flight) + 64];
    static struct frame_io_flights flights;
    struct arena own;
    cr_assert_leq(frame_io_flights_bytes(1), sizeof(memory));
    arena_init(&own, memory, sizeof(memory));
    frame_io_flights_init(&flights, &own, 1);
    return &flights;
}

static void fini_pool(void)
{
    cr_assert_eq(pool.in_use[0], 0);
    free(arena.base);
}

/* One record with `count` data frames whose message is the sequence number, and an ACK between. */
static void send_frames(struct frame_io *f, uint64_t now_us, uint32_t count, uint32_t keep_bytes)
{
    struct msgbuf *buf = msgbuf_acquire(&pool, 2048);
    cr_assert_not_null(buf);
    uint32_t first = f->next_sequence;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t sequence = frame_io_take_sequence(f);
        uint8_t *at = msgbuf_data(buf) + buf->len;
        frame_put_data_header(at, sequence, 4);
        memcpy(at + FRAME_DATA_HEADER, &sequence, 4);
        frame_put_ack(at + FRAME_DATA_HEADER + 4, 0, 0);
        buf->len += FRAME_DATA_HEADER + 4 + FRAME_ACK_BYTES;
    }
    frame_io_on_sent(f, &pool, now_us, first, f->next_sequence - 1, buf, keep_bytes);
}

static uint32_t ack_value(struct frame_io *f, uint32_t *received)
{
    uint8_t bytes[FRAME_ACK_BYTES];
    struct frame frame;
    frame_io_put_ack(f, bytes);
    cr_assert_eq(frame_decode(slice_of(bytes, sizeof(bytes)), &frame), ERR_OK);
    cr_assert_eq(frame.type, FRAME_ACK);
    *received = frame.received;
    return frame.sequence;
}

/* One ACK for a turn, of the highest; one that is urgent after 32 frames. */
Test(frame_io, owes_one_ack_for_many_frames)
{
    struct frame_io f;
    uint32_t received = 0;
    frame_io_init(&f, flights_of_one());
    cr_assert(!frame_io_owes_ack(&f, false));
    for (uint32_t i = 0; i <= 4; i++) {
        frame_io_on_data(&f, i);
    }
    frame_io_on_data(&f, 5);
    cr_assert(frame_io_owes_ack(&f, false));
    cr_assert(!frame_io_owes_ack(&f, true));
    cr_assert_eq(ack_value(&f, &received), 5);
    cr_assert_eq(received, 0x3e); /* the catalogue's example, 1.2 */
    cr_assert(!frame_io_owes_ack(&f, false));
    for (uint32_t i = 6; i < 6 + FRAME_IO_ACK_EVERY; i++) {
        cr_assert(!frame_io_owes_ack(&f, true));
        frame_io_on_data(&f, i);
    }
    cr_assert(frame_io_owes_ack(&f, true));
    cr_assert_eq(ack_value(&f, &received), 5 + FRAME_IO_ACK_EVERY);
    cr_assert_eq(received, 0xfffffffe);
}

/* A peer whose first sequence is 1, or anything, is accepted; numbers wrap. */
Test(frame_io, accepts_any_first_sequence)
{
    static const uint32_t firsts[] = {1, 1000, 0xfffffffe};
    for (size_t i = 0; i < ARRAY_COUNT(firsts); i++) {
        struct frame_io f;
        uint32_t received = 0;
        frame_io_init(&f, flights_of_one());
        for (uint32_t k = 0; k < 4; k++) {
            frame_io_on_data(&f, firsts[i] + k);
            cr_assert_eq(ack_value(&f, &received), firsts[i] + k);
            cr_assert_eq(received, (2u << k) - 2, "%u: %x", k, received);
        }
    }
}

Test(frame_io, an_ack_proves_everything_before_it)
{
    struct frame_io f;
    init_pool(8);
    frame_io_init(&f, flights_of_one());
    cr_assert_eq(frame_io_oldest_us(&f), UINT64_MAX);
    send_frames(&f, 1000, 3, 65536);  /* 0 1 2 */
    send_frames(&f, 5000, 2, 65536);  /* 3 4 */
    send_frames(&f, 90000, 1, 65536); /* 5 */
    cr_assert_eq(frame_io_unacked(&f), 6);
    cr_assert_eq(frame_io_oldest_us(&f), 1000);
    cr_assert_eq(frame_io_on_ack(&f, &pool, 2000, 6), ERR_NOT_FOUND); /* never sent */
    cr_assert_eq(frame_io_on_ack(&f, &pool, 2000, 0xffffffff), ERR_NOT_FOUND);
    cr_assert_eq(frame_io_unacked(&f), 6);
    cr_assert_eq(frame_io_on_ack(&f, &pool, 3000, 1), ERR_OK);
    cr_assert_eq(f.rtt.srtt_us, 2000);
    cr_assert_eq(frame_io_on_ack(&f, &pool, 4000, 0), ERR_DUPLICATE);
    cr_assert_eq(frame_io_on_ack(&f, &pool, 4000, 1), ERR_DUPLICATE);
    cr_assert_eq(frame_io_oldest_us(&f), 1000);
    cr_assert_eq(frame_io_on_ack(&f, &pool, 6000, 3), ERR_OK);
    cr_assert_eq(frame_io_oldest_us(&f), 5000);
    cr_assert_eq(pool.in_use[0], 2);
    cr_assert_eq(frame_io_on_ack(&f, &pool, 100000, 5), ERR_OK);
    cr_assert_eq(frame_io_oldest_us(&f), UINT64_MAX);
    cr_assert_eq(frame_io_unacked(&f), 0);
    cr_assert_eq(frame_io_on_ack(&f, &pool, 100000, 5), ERR_DUPLICATE);
    frame_io_fini(&f, &pool);
    fini_pool();
}

/* RFC 6298 2: srtt, rttvar, RTO never below 1 s (6.6.5). */
Test(frame_io, computes_rto)
{
    struct frame_io f;
    init_pool(4);
    frame_io_init(&f, flights_of_one());
    cr_assert_eq(f.rtt.rto_us, 1000000);
    send_frames(&f, 0, 1, 65536);
    cr_assert_eq(frame_io_on_ack(&f, &pool, 40000, 0), ERR_OK);
    cr_assert_eq(f.rtt.srtt_us, 40000);
    cr_assert_eq(f.rtt.rttvar_us, 20000);
    cr_assert_eq(f.rtt.rto_us, 1000000);
    send_frames(&f, 100000, 1, 65536);
    cr_assert_eq(frame_io_on_ack(&f, &pool, 900000 + 100000, 1), ERR_OK);
    cr_assert_eq(f.rtt.rttvar_us, 15000 + 860000 / 4);
    cr_assert_eq(f.rtt.srtt_us, 35000 + 900000 / 8);
    cr_assert_eq(f.rtt.rto_us, max_u64(1000000, f.rtt.srtt_us + 4 * f.rtt.rttvar_us));
    send_frames(&f, 2000000, 1, 65536);
    cr_assert_eq(frame_io_on_ack(&f, &pool, 900000000, 2), ERR_OK);
    cr_assert_eq(f.rtt.rto_us, RTT_RTO_MAX_US);
    frame_io_fini(&f, &pool);
    fini_pool();
}

Test(frame_io, gives_back_what_was_not_acknowledged)
{
    struct frame_io f;
    init_pool(8);
    frame_io_init(&f, flights_of_one());
    f.next_sequence = f.first_unacked = 0xfffffffd; /* across the wrap */
    send_frames(&f, 0, 4, 65536);
    send_frames(&f, 1, 2, 65536);
    cr_assert_eq(frame_io_on_ack(&f, &pool, 10, 0xfffffffe), ERR_OK);
    uint8_t *message = NULL;
    size_t len = 0;
    for (uint32_t expected = 0xffffffff; expected != 3; expected++) {
        cr_assert(frame_io_give(&f, &pool, &message, &len));
        cr_assert_eq(len, 4);
        cr_assert_eq(memcmp(message, &expected, 4), 0);
    }
    cr_assert(!frame_io_give(&f, &pool, &message, &len));
    frame_io_fini(&f, &pool);
    fini_pool();
}

/* More records than flights, and a bound on what is kept. */
Test(frame_io, keeps_a_bounded_amount)
{
    struct frame_io f;
    init_pool(FRAME_IO_FLIGHTS + 4);
    frame_io_init(&f, flights_of_one());
    for (uint32_t i = 0; i < 3 * FRAME_IO_FLIGHTS; i++) {
        send_frames(&f, i, 1, 6 * 2304);
        cr_assert_leq(f.kept_bytes, 6 * 2304);
    }
    cr_assert_eq(pool.in_use[0], 6);
    cr_assert_eq(frame_io_unacked(&f), 3 * FRAME_IO_FLIGHTS);
    cr_assert_eq(frame_io_on_ack(&f, &pool, 100, 2 * FRAME_IO_FLIGHTS), ERR_OK);
    cr_assert_eq(frame_io_oldest_us(&f), FRAME_IO_FLIGHTS - 1, "the newest stands for the rest");
    cr_assert_eq(frame_io_on_ack(&f, &pool, 100, 3 * FRAME_IO_FLIGHTS - 1), ERR_OK);
    cr_assert_eq(frame_io_oldest_us(&f), UINT64_MAX);
    frame_io_fini(&f, &pool);
    fini_pool();
}
