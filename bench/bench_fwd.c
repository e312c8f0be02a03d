/* SPDX-License-Identifier: Apache-2.0 */
/* bench_fwd.c - what a message in transit costs the codec: decode the header, rewrite it for the
 * next hop (RFC 6940 6.3.2, catalogue FW-13).
 *
 * The message of the figure that must hold: 4 node entries in the Via List, a Resource-ID as its
 * destination, a payload behind it.  The next hop's header has a fifth Via entry, which is encoded
 * each time, as dht/ does.  A rewritten message is put back by copying its header over it: that is
 * part of what is measured, since dht/ too copies each header once. */
#include "bench/bench.h"
#include "codec/fwd.h"
#include "core/rng.h"

#include <string.h>

enum { VIAS = 4, HEADROOM = 64, PAYLOAD_BYTES = 300, NODE_BYTES = 16 };
enum { HEADER_BYTES = FWD_FIXED_BYTES + VIAS * (2 + NODE_BYTES) + 3 + NODE_BYTES };

static struct rl_params params = {.overlay = 0x9aa32b8d, .node_id_length = NODE_BYTES};

struct slot {
    uint8_t bytes[BENCH_SLOT_BYTES]; /* the message begins at HEADROOM */
    uint8_t header[HEADER_BYTES];    /* what it was received as */
    struct node_id previous_hop;
    size_t len;
    size_t header_len; /* not a constant to the compiler */
    uint64_t transaction_id;
    uint8_t ttl;
};

static struct slot slots[BENCH_SLOTS];

/* A message with `vias` entries from the back of `s->bytes`, as the peer before us sends it. */
static size_t build(const struct slot *s, struct rng rng, unsigned vias, uint8_t *out, size_t cap)
{
    uint8_t via[(VIAS + 1) * FWD_NODE_BYTES_MAX];
    uint8_t destination[2 + FWD_NODE_BYTES_MAX];
    uint8_t resource[NODE_BYTES];
    struct wr w = wr_init(destination, sizeof(destination));
    rng_fill(&rng, resource, sizeof(resource));
    fwd_wr_resource(&w, slice_of(resource, sizeof(resource)));
    struct fwd h = {.overlay = params.overlay,
                    .configuration_sequence = 22,
                    .ttl = s->ttl,
                    .fragment = FWD_FRAGMENT_WHOLE,
                    .transaction_id = s->transaction_id,
                    .destination_list = wr_slice(&w)};
    w = wr_init(via, sizeof(via));
    for (unsigned i = 0; i < vias; i++) {
        struct node_id id = s->previous_hop;
        if (i < VIAS) {
            rng_fill(&rng, id.bytes, NODE_BYTES);
        }
        fwd_wr_node(&w, &params, &id);
    }
    h.via_list = wr_slice(&w);
    w = wr_init(out, cap);
    fwd_wr(&w, &h);
    uint8_t *payload = wr_claim(&w, PAYLOAD_BYTES);
    bench_require(payload != NULL, "a message fits its slot");
    memset(payload, (int)s->transaction_id, PAYLOAD_BYTES);
    fwd_put_length(out, (uint32_t)wr_len(&w));
    return wr_len(&w);
}

/* Decodes and rewrites; gives what the sum gets. */
static inline uint64_t transit(struct slot *s)
{
    struct fwd h;
    uint8_t via[FWD_NODE_BYTES_MAX];
    uint8_t *start = NULL;
    size_t len = 0;
    if (fwd_decode(slice_of(s->bytes + HEADROOM, s->len), &params, &h) != ERR_OK) {
        return 0;
    }
    struct wr w = wr_init(via, sizeof(via));
    fwd_wr_node(&w, &params, &s->previous_hop);
    struct fwd_rewrite how = {.via_append = wr_slice(&w)};
    if (fwd_rewrite(s->bytes + HEADROOM, HEADROOM, &h, &how, &start, &len) != ERR_OK) {
        return 0;
    }
    bench_keep(&h);
    return h.transaction_id + h.via_count + h.first.id.len + len + start[11];
}

static void *setup(void)
{
    bench_keep(&params); /* not a constant to the compiler, as it is none in the product */
    for (size_t i = 0; i < BENCH_SLOTS; i++) {
        struct slot *s = &slots[i];
        struct rng rng;
        uint8_t next[BENCH_SLOT_BYTES];
        rng_init(&rng, i);
        rng_fill(&rng, s->previous_hop.bytes, NODE_BYTES);
        s->transaction_id = rng_next(&rng);
        s->ttl = (uint8_t)(20 + i % 64);
        s->len = build(s, rng, VIAS, s->bytes + HEADROOM, sizeof(s->bytes) - HEADROOM);
        s->header_len = HEADER_BYTES;
        memcpy(s->header, s->bytes + HEADROOM, HEADER_BYTES);
        /* What the next hop gets is what building it from nothing gives. */
        s->ttl--;
        size_t next_len = build(s, rng, VIAS + 1, next, sizeof(next));
        s->ttl++;
        bench_require(transit(s) != 0, "a header is decoded and rewritten");
        const uint8_t *start = s->bytes + HEADROOM + s->len - next_len;
        bench_require(memcmp(start, next, next_len) == 0, "the next hop's message");
        memcpy(s->bytes + HEADROOM, s->header, HEADER_BYTES);
    }
    return slots;
}

static uint64_t transit_want(const void *state, size_t input)
{
    const struct slot *s = (const struct slot *)state + input;
    return s->transaction_id + VIAS + NODE_BYTES + s->len + 2 + NODE_BYTES + s->ttl - 1;
}

static uint64_t transit_run(void *state, uint64_t iterations)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < iterations; i++) {
        struct slot *s = (struct slot *)state + i % BENCH_SLOTS;
        sum += transit(s);
        memcpy(s->bytes + HEADROOM, s->header, s->header_len);
    }
    return sum;
}

static uint64_t decode_want(const void *state, size_t input)
{
    const struct slot *s = (const struct slot *)state + input;
    return s->transaction_id + VIAS + PAYLOAD_BYTES;
}

static uint64_t decode_run(void *state, uint64_t iterations)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < iterations; i++) {
        const struct slot *s = (const struct slot *)state + i % BENCH_SLOTS;
        struct fwd h;
        if (fwd_decode(slice_of(s->bytes + HEADROOM, s->len), &params, &h) == ERR_OK) {
            bench_keep(&h);
            sum += h.transaction_id + h.via_count + h.payload.len;
        }
    }
    return sum;
}

const struct bench bench_fwd_list[] = {
    {"fwd/transit", HEADER_BYTES, BENCH_SLOTS, setup, transit_run, transit_want},
    {"fwd/decode", HEADER_BYTES, BENCH_SLOTS, setup, decode_run, decode_want},
    {0},
};
