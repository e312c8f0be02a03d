/* SPDX-License-Identifier: Apache-2.0 */
/* bench_content.c - MessageContents: the short one of a Ping, and a whole message as its receiver
 * decodes it, from the forwarding header to the SecurityBlock; no body, no signature. */
#include "bench/bench.h"
#include "bench/bench_sample.h"
#include "codec/content.h"

enum { MESSAGE_BYTES_MAX = 1536 };

struct slot {
    uint8_t bytes[MESSAGE_BYTES_MAX];
    size_t len;
};

static struct slot pings[BENCH_SLOTS];
static struct slot messages[BENCH_SLOTS];

static uint64_t ping_want(const void *state, size_t input)
{
    (void)state;
    return CONTENT_PING_REQ + 2 + input;
}

static uint64_t ping_run(void *state, uint64_t iterations)
{
    const struct slot *slots = state;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < iterations; i++) {
        const struct slot *s = &slots[i % BENCH_SLOTS];
        struct content c;
        struct slice rest;
        if (content_decode(slice_of(s->bytes, s->len), &c, &rest) == ERR_OK) {
            bench_keep(&c);
            sum += c.code + c.body.len + rest.len;
        }
    }
    return sum;
}

static void *ping_setup(void)
{
    static const uint8_t behind[BENCH_SLOTS];
    for (size_t i = 0; i < BENCH_SLOTS; i++) {
        struct wr w = wr_init(pings[i].bytes, sizeof(pings[i].bytes));
        size_t mark = content_begin(&w, CONTENT_PING_REQ);
        wr_u16(&w, 0);
        content_end(&w, mark);
        wr_bytes(&w, slice_of(behind, i));
        pings[i].len = wr_len(&w);
    }
    bench_require(ping_run(pings, 1) == ping_want(NULL, 0), "a ping");
    return pings;
}

/* 0 when something is wrong. */
static inline uint64_t message_sum(struct slice in)
{
    struct rd r = rd_init(in);
    struct fwd h;
    struct content c;
    struct secblock s;
    fwd_rd_message(&r, &bench_sample_params, &h);
    content_rd(&r, &c);
    secblock_rd(&r, &s);
    if (rd_finish(&r) != ERR_OK) {
        return 0;
    }
    bench_keep(&h);
    bench_keep(&c);
    bench_keep(&s);
    return h.transaction_id + h.destination_count + c.bytes.len + s.certificate_count +
           s.signature.value.len;
}

static uint64_t message_want(const void *state, size_t input)
{
    (void)state;
    return bench_sample_time(input, 0) + 4 + BENCH_SAMPLE_CONTENTS + 1 + 64;
}

static uint64_t message_run(void *state, uint64_t iterations)
{
    const struct slot *slots = state;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < iterations; i++) {
        const struct slot *s = &slots[i % BENCH_SLOTS];
        sum += message_sum(slice_of(s->bytes, s->len));
    }
    return sum;
}

static void *message_setup(void)
{
    for (size_t i = 0; i < BENCH_SLOTS; i++) {
        struct wr w = wr_init(messages[i].bytes, sizeof(messages[i].bytes));
        bench_sample_message(&w, i);
        messages[i].len = wr_len(&w);
        bench_require(message_sum(wr_slice(&w)) == message_want(NULL, i), "a whole message");
    }
    return messages;
}

const struct bench bench_content_list[] = {
    {"content/ping", 12, BENCH_SLOTS, ping_setup, ping_run, ping_want},
    {"content/message", 1141, BENCH_SLOTS, message_setup, message_run, message_want},
    {0},
};
