/* SPDX-License-Identifier: Apache-2.0 */
/* dht/frag against frag_model.h: random messages, cut, cut again on their way, mixed, repeated,
 * spoiled, by several ways and roles, with passing time.  After each fragment both must have given
 * the same. */
#include "codec/fragment.h"
#include "tests/model/frag_model.h"
#include "tests/model/frag_stage.h"

#include <criterion/criterion.h>

enum {
    MESSAGES = 4,
    PAYLOAD_MAX = 5200,
    HOPS = 3,
    STEPS = 20000,
    MAX_BYTES = 5000,
    QUIET_US = 1000000
};

struct sent {
    uint64_t id;
    bool is_answer;
    uint8_t payload[PAYLOAD_MAX];
    size_t len;
};

struct trial {
    struct frag_stage *s;
    struct frag_model *m;
    struct rng rng;
    struct sent sent[MESSAGES];
    uint64_t given, pushed, original;
    bool may_spoil;
};

static uint64_t below(struct trial *t, uint64_t n)
{
    return rng_below(&t->rng, n);
}

static void renew(struct trial *t, struct sent *m)
{
    m->id = 100 + below(t, 3); /* ids meet now and then */
    m->is_answer = below(t, 2) == 0;
    m->len = 300 + below(t, PAYLOAD_MAX - 300);
    rng_fill(&t->rng, m->payload, m->len);
}

static void push(struct trial *t, struct slice fragment, const struct sent *m)
{
    struct fwd h;
    struct frag_message got;
    unsigned hop = below(t, 4) == 0 ? (unsigned)below(t, HOPS) : 0;
    cr_assert_eq(fwd_decode(fragment, &t->s->params, &h), ERR_OK);
    bool is_expected = frag_model_push(t->m, fragment, &h, m->is_answer, hop, t->s->turn.now_us);
    bool is_given = frag_stage_push(t->s, fragment, m->is_answer, hop, &got);
    cr_assert_eq(is_given, is_expected);
    t->pushed++;
    if (!is_given) {
        return;
    }
    struct node_id from = frag_stage_hop(t->m->out_hop);
    struct slice message = msgbuf_slice(got.buf);
    cr_assert(slice_is_equal(message, slice_of(t->m->out, t->m->out_len)));
    cr_assert(ids_node_is_equal(&got.previous_hop, &from));
    cr_assert_eq(got.link, frag_stage_link(t->m->out_hop));
    cr_assert_eq(fwd_decode(message, &t->s->params, &h), ERR_OK);
    cr_assert(fwd_is_whole(&h));
    t->original += slice_is_equal(h.payload, slice_of(m->payload, m->len));
    t->given++;
    msgbuf_release(&t->s->buffers, got.buf);
}

/* One bit of the payload, or the place of it. */
static void spoil(struct trial *t, uint8_t *bytes, size_t len, size_t payload)
{
    uint8_t *fragment = bytes + 12;
    switch (below(t, 4)) {
    case 0:
        fragment[0] ^= 0x40;
        break;
    case 1:
        fragment[3] = (uint8_t)(fragment[3] + below(t, 3));
        break;
    case 2:
        fragment[1] = (uint8_t)below(t, 256);
        break;
    default:
        bytes[len - 1 - below(t, payload)] ^= 1;
        break;
    }
}

/* The fragment as another hop cuts it, in whatever order. */
static void cut_again(struct trial *t, struct slice fragment, const struct sent *m)
{
    static uint8_t out[2 * PAYLOAD_MAX];
    struct fwd h;
    struct fragment_plan p;
    cr_assert_eq(fwd_decode(fragment, &t->s->params, &h), ERR_OK);
    if (fragment_plan(&h, 400 + below(t, 1000), &p) != ERR_OK) {
        push(t, fragment, m);
        return;
    }
    uint32_t first = (uint32_t)below(t, p.pieces);
    for (uint32_t i = 0; i < p.pieces; i++) {
        struct wr w = wr_init(out, sizeof(out));
        struct slice payload;
        fragment_wr(&w, &h, &p, (first + i) % p.pieces, &payload);
        wr_bytes(&w, payload);
        cr_assert(wr_ok(&w));
        if (below(t, 8) != 0) {
            push(t, wr_slice(&w), m);
        }
    }
}

static void step(struct trial *t)
{
    static uint8_t out[2 * PAYLOAD_MAX];
    struct sent *m = &t->sent[below(t, MESSAGES)];
    if (below(t, 200) == 0) {
        renew(t, m);
    }
    uint64_t ms = below(t, 50) == 0 ? below(t, 9000) : below(t, 20);
    frag_stage_sleep(t->s, ms);
    frag_model_expire(t->m, t->s->turn.now_us);
    struct frag_stage_cut c = {.transaction_id = m->id,
                               .payload = slice_of(m->payload, m->len),
                               .vias = (uint8_t)below(t, 4),
                               .ttl = (uint8_t)below(t, 100)};
    size_t pieces = 1 + below(t, 6);
    c.from = m->len * below(t, pieces) / pieces;
    c.len = min_size(m->len - c.from, m->len / pieces + below(t, 300));
    c.is_last = c.from + c.len == m->len;
    struct slice fragment = frag_stage_wr(t->s, &c, out, sizeof(out));
    if (t->may_spoil && below(t, 30) == 0) {
        spoil(t, out, fragment.len, c.len);
    }
    if (below(t, 3) == 0) {
        cut_again(t, fragment, m);
    } else {
        push(t, fragment, m);
    }
}

static void run(uint64_t seed, bool may_spoil)
{
    struct frag_settings fs = {
        .messages = 64, .bytes = 1 << 20, .max_message_bytes = MAX_BYTES, .quiet_us = QUIET_US};
    struct trial t = {.s = frag_stage_make(&fs), .may_spoil = may_spoil};
    t.m = calloc(1, sizeof(*t.m));
    cr_assert_not_null(t.m);
    t.m->max = MAX_BYTES;
    t.m->quiet_us = QUIET_US;
    rng_init(&t.rng, seed);
    for (size_t i = 0; i < MESSAGES; i++) {
        renew(&t, &t.sent[i]);
    }
    for (uint32_t i = 0; i < STEPS; i++) {
        struct frag_totals totals;
        step(&t);
        frag_totals(t.s->frag, &totals);
        cr_assert_eq(totals.messages, frag_model_count(t.m));
    }
    cr_expect_gt(t.given, STEPS / 100, "%lu of %lu", (unsigned long)t.given,
                 (unsigned long)t.pushed);
    cr_expect_gt(t.original, t.given / 2);
    cr_expect_gt(frag_stage_metric(t.s, METRIC_dht_drop_fragment_overlap), 100);
    cr_expect_gt(frag_stage_metric(t.s, METRIC_dht_drop_fragment_end), 100);
    cr_expect_gt(frag_stage_metric(t.s, METRIC_dht_drop_fragment_repeated), 100);
    cr_expect_gt(frag_stage_metric(t.s, METRIC_dht_drop_fragment_late), 10);
    cr_expect_gt(frag_stage_metric(t.s, METRIC_dht_drop_fragment_large), 10);
    frag_stage_end(t.s);
    free(t.m);
}

Test(frag_model, honest_senders, .timeout = 120)
{
    run(1, false);
}

Test(frag_model, spoilers, .timeout = 120)
{
    run(2, true);
    run(3, true);
}
