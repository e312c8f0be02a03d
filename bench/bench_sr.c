/* SPDX-License-Identifier: Apache-2.0 */
/* bench_sr.c - what simple reliability costs a message of a datagram link, without TLS and without
 * the copy into its buffer: sender and receiver apart, one ACK for 16 messages. */
#include "bench/bench.h"
#include "link/sr.h"

#include <stdlib.h>
#include <string.h>

enum { MESSAGE_BYTES = 500, BUFFERS = 64 };

struct stage {
    struct turn turn;
    struct metrics metrics;
    struct rng rng;
    struct msgbuf_pool pool;
    struct sr sr;
    uint32_t sequence; /* of what is received next */
    uint8_t messages[BENCH_SLOTS][MESSAGE_BYTES];
};

static void *setup(void)
{
    struct sr_limits limits = SR_LIMITS_DEFAULT;
    size_t bytes = (size_t)BUFFERS * (MSGBUF_HEADROOM + MSGBUF_SMALL_BYTES + 64) + 4096;
    struct stage *s = calloc(1, sizeof(*s));
    struct arena arena;
    bench_require(s != NULL, "memory");
    arena_init(&arena, calloc(1, bytes), bytes);
    msgbuf_pool_init(&s->pool, &arena, BUFFERS, 0);
    rng_init(&s->rng, 1);
    s->turn =
        (struct turn){.now_us = 1, .rng = &s->rng, .buffers = &s->pool, .metrics = &s->metrics};
    sr_init(&s->turn, &s->sr, &limits);
    for (size_t i = 0; i < BENCH_SLOTS; i++) {
        memset(s->messages[i], (int)i, MESSAGE_BYTES);
    }
    return s;
}

static uint64_t send_want(const void *state, size_t input)
{
    (void)state;
    (void)input;
    return FRAME_DATA_HEADER + MESSAGE_BYTES;
}

static uint64_t transmit(struct stage *s)
{
    struct sr_frame out;
    uint64_t sum = 0;
    while (sr_next(&s->turn, &s->sr, &out)) {
        bench_keep(out.frame.data);
        sum += out.frame.len;
    }
    return sum;
}

static uint64_t send_run(void *state, uint64_t iterations)
{
    struct stage *s = state;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < iterations; i++) {
        struct msgbuf *buf = msgbuf_acquire(&s->pool, MESSAGE_BYTES);
        if (buf == NULL) {
            break;
        }
        buf->len = MESSAGE_BYTES;
        if (sr_queue(&s->turn, &s->sr, buf) != ERR_OK) {
            break;
        }
        sum += transmit(s);
        s->turn.now_us++;
        bool is_time = sr_unacked(&s->sr) == SR_ACK_EVERY || i + 1 == iterations;
        while (is_time && sr_unacked(&s->sr) > 0) {
            uint64_t before = s->sr.sent_count < SR_ACK_EVERY ? s->sr.sent_count : SR_ACK_EVERY;
            uint32_t received = (uint32_t)((uint64_t)1 << before) - 2;
            enum err error = sr_on_ack(&s->turn, &s->sr, s->sr.next_sequence - 1, received);
            bench_require(error == ERR_OK, "something new is acknowledged");
            s->turn.now_us++;
            sum += transmit(s);
        }
    }
    return sum;
}

/* With a window that has grown to what the work sends. */
static void *setup_sender(void)
{
    struct stage *s = setup();
    bench_require(send_run(s, 4096) == send_want(s, 0) * 4096, "what is queued leaves");
    bench_require(s->sr.congestion.bytes >= SR_ACK_EVERY * sr_window_charge(send_want(s, 0)),
                  "the window has grown");
    return s;
}

static uint64_t receive_want(const void *state, size_t input)
{
    (void)state;
    (void)input;
    return 1;
}

static uint64_t receive_run(void *state, uint64_t iterations)
{
    struct stage *s = state;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < iterations; i++) {
        uint8_t *message = s->messages[i % BENCH_SLOTS];
        uint32_t sequence = s->sequence++;
        memcpy(message, &sequence, sizeof(sequence));
        sum += sr_on_data(&s->turn, &s->sr, sequence, slice_of(message, MESSAGE_BYTES)) == SR_FRESH;
        if (sr_owes_ack(&s->sr, true)) {
            uint8_t ack[FRAME_ACK_BYTES];
            sr_put_ack(&s->sr, ack);
            bench_keep(ack);
        }
        s->turn.now_us++;
    }
    return sum;
}

const struct bench bench_sr_list[] = {
    {"sr/send", FRAME_DATA_HEADER + MESSAGE_BYTES, BENCH_SLOTS, setup_sender, send_run, send_want},
    {"sr/receive", FRAME_DATA_HEADER + MESSAGE_BYTES, BENCH_SLOTS, setup, receive_run,
     receive_want},
    {0},
};
