/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_frag.c - three messages come in fragments: cut and cut again, in any order, by several
 * neighbors, twice, spoiled, with time going by.
 *
 * Input: flags, the length of each message, then a sequence of steps, each one byte and what it
 * needs.
 * Properties: with room for all, exactly what tests/model/frag_model.h gives is given, and each
 * fragment of a message that nobody spoiled leads to that message or to none; with little room the
 * caps hold and the second half does; 15 s later nothing is left. */
#include "codec/fragment.h"
#include "fuzz/fuzz.h"
#include "tests/model/frag_model.h"
#include "tests/model/frag_stage.h"

enum { MESSAGES = 3, HOPS = 3, PAYLOAD_SMALL = 5200, PAYLOAD_MAX = 19000, STEPS_MAX = 400 };
enum { FLAG_LARGE = 1, FLAG_TIGHT = 2 };

enum step {
    STEP_PIECE, /* of equal ones */
    STEP_RANGE, /* of bytes */
    STEP_SPOIL, /* a range with a changed byte */
    STEP_FIELD, /* a range with whatever it says of itself */
    STEP_SLEEP,
    STEP_COUNT
};

struct sent {
    uint8_t payload[PAYLOAD_MAX];
    size_t len;
    bool is_answer, is_spoiled;
};

struct scene {
    struct frag_stage *stage;
    bool is_tight;
    struct rd in;
    struct sent sent[MESSAGES];
};

static struct scene scene;
static struct frag_model model;
static uint8_t wire[PAYLOAD_MAX + 4096], again[PAYLOAD_MAX + 4096];

/* One for each setting, kept: every input must leave it as it was. */
static struct frag_stage *stage_of(uint8_t flags)
{
    static struct frag_stage *stages[4];
    static const struct frag_settings settings[] = {
        {32, 0, 32 * 8192, 0, 5000, 1000000},
        {20, 0, 20 * 20000, 0, 20000, 1000000}, /* more than there can be */
        {3, 2, 8192, 6144, 5000, 1000000},
        {3, 2, 22000, 20000, 18000, 1000000},
    };
    unsigned which = flags & (FLAG_LARGE | FLAG_TIGHT);
    if (stages[which] == NULL) {
        stages[which] = frag_stage_make(&settings[which]);
    }
    return stages[which];
}

static void check_caps(const struct frag_stage *s)
{
    struct frag_totals t;
    frag_totals(s->frag, &t);
    CHECK(t.messages <= s->settings.messages && t.bytes <= s->settings.bytes);
    CHECK(t.sources <= t.messages && t.sources <= HOPS);
    CHECK(t.messages <= HOPS * s->settings.messages_per_source || !scene.is_tight);
}

static void check_given(const struct frag_message *got, const struct sent *m)
{
    struct slice message = msgbuf_slice(got->buf);
    struct fwd h;
    CHECK(fwd_decode(message, &scene.stage->params, &h) == ERR_OK);
    CHECK(fwd_is_whole(&h) && message.len <= FRAG_MODEL_BYTES);
    CHECK(m->is_spoiled || slice_is_equal(h.payload, slice_of(m->payload, m->len)));
    if (!scene.is_tight) {
        struct node_id hop = frag_stage_hop(model.out_hop);
        CHECK(slice_is_equal(message, slice_of(model.out, model.out_len)));
        CHECK(ids_node_is_equal(&hop, &got->previous_hop));
    }
}

static void push(struct slice fragment, struct sent *m, unsigned hop)
{
    struct frag_stage *s = scene.stage;
    struct fwd h;
    struct frag_message got;
    CHECK(fwd_decode(fragment, &s->params, &h) == ERR_OK);
    bool is_expected =
        !scene.is_tight && frag_model_push(&model, fragment, &h, m->is_answer, hop, s->turn.now_us);
    bool is_given = frag_stage_push(s, fragment, m->is_answer, hop, &got);
    CHECK(scene.is_tight || is_given == is_expected);
    if (is_given) {
        check_given(&got, m);
        msgbuf_release(&s->buffers, got.buf);
    }
    check_caps(s);
    struct frag_totals t;
    frag_totals(s->frag, &t);
    CHECK(scene.is_tight || t.messages == frag_model_count(&model));
}

/* As it is, or as another hop cuts it. */
static void send(struct slice fragment, struct sent *m)
{
    uint8_t how = rd_u8(&scene.in);
    unsigned hop = how % HOPS;
    struct fwd h;
    struct fragment_plan p;
    CHECK(fwd_decode(fragment, &scene.stage->params, &h) == ERR_OK);
    if ((how & 0x80) == 0 || fragment_plan(&h, 400 + 8 * (size_t)rd_u8(&scene.in), &p) != ERR_OK ||
        p.pieces == 1) {
        push(fragment, m, hop);
        return;
    }
    uint32_t first = how / HOPS % p.pieces;
    for (uint32_t i = 0; i < p.pieces; i++) {
        struct wr w = wr_init(again, sizeof(again));
        struct slice payload;
        fragment_wr(&w, &h, &p, (first + i) % p.pieces, &payload);
        wr_bytes(&w, payload);
        CHECK(wr_ok(&w));
        push(wr_slice(&w), m, (how & 0x40) == 0 ? hop : (hop + i) % HOPS);
    }
}

static void piece(struct frag_stage_cut *c)
{
    struct fwd h = {.fragment = FWD_FRAGMENT_WHOLE,
                    .header_bytes = 38 + FWD_NODE_BYTES_MAX * (c->vias + 1u),
                    .payload = c->payload};
    struct fragment_plan p;
    uint32_t index = rd_u8(&scene.in);
    if (fragment_plan(&h, 400 + 8 * (size_t)rd_u8(&scene.in), &p) != ERR_OK) {
        return; /* all of it, which is large */
    }
    index %= p.pieces;
    c->from = index * p.piece_bytes + min_size(index, p.longer);
    c->len = p.piece_bytes + (index < p.longer ? 1 : 0);
}

static void step(void)
{
    uint8_t what = rd_u8(&scene.in), which = rd_u8(&scene.in);
    enum step s = (enum step)(what % STEP_COUNT);
    struct sent *m = &scene.sent[which % MESSAGES];
    if (s == STEP_SLEEP) {
        frag_stage_sleep(scene.stage, which * 100ull);
        frag_model_expire(&model, scene.stage->turn.now_us);
        return;
    }
    struct frag_stage_cut c = {.transaction_id = which % MESSAGES,
                               .payload = slice_of(m->payload, m->len),
                               .len = m->len,
                               .vias = which / MESSAGES % 8,
                               .ttl = what};
    if (s == STEP_PIECE) {
        piece(&c);
    } else {
        c.from = min_size(rd_u16(&scene.in), m->len);
        c.len = min_size(rd_u16(&scene.in), m->len - c.from);
    }
    c.is_last = c.from + c.len == m->len;
    struct slice fragment = frag_stage_wr(scene.stage, &c, wire, sizeof(wire));
    if (s == STEP_SPOIL && c.len > 0) {
        wire[fragment.len - 1 - rd_u16(&scene.in) % c.len] ^= rd_u8(&scene.in);
        m->is_spoiled = true;
    } else if (s == STEP_FIELD) {
        struct wr w = wr_init(wire + 12, sizeof(uint32_t));
        wr_u32(&w, FWD_FRAGMENT_ALWAYS | rd_u32(&scene.in));
        m->is_spoiled = true;
    }
    send(fragment, m);
}

static void begin(const uint8_t *data, size_t size)
{
    scene.in = rd_init(slice_of(data, size));
    uint8_t flags = rd_u8(&scene.in);
    scene.stage = stage_of(flags);
    scene.is_tight = (flags & FLAG_TIGHT) != 0;
    for (size_t i = 0; i < FRAG_MODEL_MESSAGES; i++) {
        model.messages[i].is_used = false;
    }
    model.max = min_size(scene.stage->settings.max_message_bytes, MSGBUF_LARGE_BYTES);
    model.quiet_us = scene.stage->settings.quiet_us;
    for (size_t i = 0; i < MESSAGES; i++) {
        struct sent *m = &scene.sent[i];
        m->len = rd_u16(&scene.in) % ((flags & FLAG_LARGE) != 0 ? PAYLOAD_MAX : PAYLOAD_SMALL);
        m->is_answer = (flags >> 2 >> i & 1) != 0;
        m->is_spoiled = false;
    }
}

/* Different everywhere, the same in each run. */
static void fill(void)
{
    static bool is_filled;
    for (size_t i = 0; i < MESSAGES && !is_filled; i++) {
        for (size_t k = 0; k < PAYLOAD_MAX; k++) {
            scene.sent[i].payload[k] = (uint8_t)(k * 31 + k / 256 + 85 * i);
        }
    }
    is_filled = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fill();
    begin(data, size);
    for (uint32_t i = 0; i < STEPS_MAX && rd_ok(&scene.in) && rd_left(&scene.in) > 0; i++) {
        step();
    }
    frag_stage_sleep(scene.stage, FRAG_LIFE_US / 1000);
    CHECK(frag_stage_is_empty(scene.stage));
    return 0;
}
