/* SPDX-License-Identifier: Apache-2.0 */
/* frag_stage.h - a turn, buffers and one struct frag, for whoever throws fragments at it: tests,
 * golden vectors and fuzz/.  Without a test framework. */
#pragma once
#include "core/limits.h"
#include "dht/frag.h"

#include <stdlib.h>
#include <string.h>

enum { FRAG_STAGE_BUFFERS = 2 };

struct frag_stage {
    struct turn turn;
    struct metrics metrics;
    struct msgbuf_pool buffers;
    struct wheel wheel;
    struct rng rng;
    struct rl_params params;
    struct frag_settings settings;
    struct frag *frag;
    uint8_t *block;
};

static inline struct frag_stage *frag_stage_make(const struct frag_settings *settings)
{
    struct frag_stage *s = calloc(1, sizeof(*s));
    size_t buffers =
        FRAG_STAGE_BUFFERS * (size_t)(LIMITS_COST_msgbuf_small + LIMITS_COST_msgbuf_large);
    size_t bytes = frag_bytes(settings) + buffers + 4096;
    CHECK(s != NULL);
    s->block = malloc(bytes);
    CHECK(s->block != NULL);
    s->settings = *settings;
    s->params = (struct rl_params){.overlay = 0x01020304, .node_id_length = 16};
    rng_init(&s->rng, 1);
    s->turn = (struct turn){.now_us = 1000000,
                            .rng = &s->rng,
                            .wheel = &s->wheel,
                            .buffers = &s->buffers,
                            .metrics = &s->metrics};
    wheel_init(&s->wheel, s->turn.now_us);
    struct arena arena;
    arena_init(&arena, s->block, bytes);
    msgbuf_pool_init(&s->buffers, &arena, FRAG_STAGE_BUFFERS, FRAG_STAGE_BUFFERS);
    size_t used = arena.used;
    s->frag = frag_init(&s->turn, &arena, settings);
    CHECK(arena.used - used <= frag_bytes(settings));
    return s;
}

static inline struct node_id frag_stage_hop(unsigned hop)
{
    struct node_id id = {.bytes = {0xab}};
    memcpy(id.bytes + 1, &hop, sizeof(hop));
    return id;
}

static inline handle frag_stage_link(unsigned hop)
{
    return handle_make(HANDLE_LINK, 1, hop);
}

/* What a test or the fuzzer cuts: `payload` is the whole of it, from..from+len of it goes along. */
struct frag_stage_cut {
    uint64_t transaction_id;
    struct slice payload;
    size_t from, len;
    bool is_last;
    uint8_t vias; /* entries of the Via List */
    uint8_t ttl;
};

/* The fragment as it stands on the wire. */
static inline struct slice frag_stage_wr(const struct frag_stage *s, const struct frag_stage_cut *c,
                                         uint8_t *out, size_t cap)
{
    uint8_t list[UINT8_MAX * FWD_NODE_BYTES_MAX], destination[FWD_NODE_BYTES_MAX];
    struct wr v = wr_init(list, sizeof(list)), d = wr_init(destination, sizeof(destination));
    struct node_id id = {.bytes = {c->ttl}};
    for (unsigned i = 0; i < c->vias; i++) {
        id.bytes[1] = (uint8_t)i;
        fwd_wr_node(&v, &s->params, &id);
    }
    fwd_wr_node(&d, &s->params, &id);
    struct fwd h = {.overlay = s->params.overlay,
                    .ttl = c->ttl,
                    .fragment = (c->is_last ? FWD_FRAGMENT_LAST : 0) | (uint32_t)c->from,
                    .transaction_id = c->transaction_id,
                    .via_list = wr_slice(&v),
                    .destination_list = wr_slice(&d)};
    struct wr w = wr_init(out, cap);
    fwd_wr(&w, &h);
    wr_bytes(&w, slice_sub(c->payload, c->from, c->len));
    CHECK(wr_ok(&w));
    fwd_put_length(out, (uint32_t)wr_len(&w));
    return wr_slice(&w);
}

/* Hands the fragment over, in a block of exactly its size; true when that made a message whole. */
static inline bool frag_stage_push(struct frag_stage *s, struct slice fragment, bool is_answer,
                                   unsigned hop, struct frag_message *out)
{
    struct node_id id = frag_stage_hop(hop);
    struct fwd h;
    uint8_t *copy = malloc(fragment.len);
    CHECK(copy != NULL);
    memcpy(copy, fragment.data, fragment.len);
    struct frag_arrival a = {.message = slice_of(copy, fragment.len),
                             .h = &h,
                             .is_answer = is_answer,
                             .link = frag_stage_link(hop),
                             .previous_hop = &id};
    enum err e = fwd_decode(a.message, &s->params, &h);
    CHECK(e == ERR_OK);
    frag_push(&s->turn, s->frag, &a);
    free(copy);
    return frag_next(s->frag, out);
}

static inline void frag_stage_sleep(struct frag_stage *s, uint64_t ms)
{
    struct wheel_timer *timer = NULL;
    s->turn.now_us += ms * 1000;
    while ((timer = wheel_take(&s->wheel, s->turn.now_us)) != NULL) {
        frag_on_timer(&s->turn, s->frag, timer);
    }
}

static inline uint64_t frag_stage_metric(const struct frag_stage *s, enum metric which)
{
    return metric_read(&s->metrics, which);
}

static inline bool frag_stage_is_empty(const struct frag_stage *s)
{
    struct frag_totals t;
    frag_totals(s->frag, &t);
    return t.messages == 0 && t.sources == 0 && t.bytes == 0 && s->wheel.armed == 0 &&
           s->buffers.in_use[0] == 0 && s->buffers.in_use[1] == 0;
}

/* After 15 s nothing is left, whatever has happened (FR-5). */
static inline void frag_stage_end(struct frag_stage *s)
{
    frag_stage_sleep(s, FRAG_LIFE_US / 1000);
    CHECK(frag_stage_is_empty(s));
    free(s->block);
    free(s);
}
