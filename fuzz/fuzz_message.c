/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_message.c - a whole message as a peer receives it: forwarding header, MessageContents with
 * the body that its code says, SecurityBlock, and the input of its signature.
 *
 * Input: Node-ID length, flags, then the message.  What decodes is written again, part by part, and
 * must be the same bytes. */
#include "codec/secblock.h"
#include "fuzz/bodies.h"

FUZZ_UNCOUNTED

enum {
    FLAG_LENGTH = 1, /* the length field is put right */
};

static void ignore(struct slice body, const struct rl_params *p)
{
    (void)body;
    (void)p;
}

#define WITH(code, name)                                                                           \
    {                                                                                              \
        CONTENT_##code, bodies_##name, mutate_##name                                               \
    }
static const struct known {
    uint16_t code;
    bodies_fn *body;
    bodies_mutate_fn *mutate;
} table[] = {
    WITH(PROBE_REQ, probe_req),
    WITH(PROBE_ANS, probe_ans),
    WITH(ATTACH_REQ, attach),
    WITH(ATTACH_ANS, attach),
    WITH(STORE_REQ, store_req),
    WITH(STORE_ANS, store_ans),
    WITH(FETCH_REQ, fetch_req),
    WITH(FETCH_ANS, fetch_ans),
    WITH(FIND_REQ, find_req),
    WITH(FIND_ANS, find_ans),
    WITH(JOIN_REQ, join_req),
    WITH(JOIN_ANS, join_ans),
    WITH(LEAVE_REQ, leave_req),
    WITH(UPDATE_REQ, chord_update),
    WITH(ROUTE_QUERY_REQ, route_query_req),
    WITH(ROUTE_QUERY_ANS, route_query_ans),
    WITH(PING_REQ, ping_req),
    WITH(PING_ANS, ping_ans),
    WITH(STAT_REQ, stat_req),
    WITH(STAT_ANS, stat_ans),
    WITH(APP_ATTACH_REQ, app_attach),
    WITH(APP_ATTACH_ANS, app_attach),
    WITH(CONFIG_UPDATE_REQ, config_update),
    WITH(PATH_TRACK_REQ, path_track_req),
    WITH(PATH_TRACK_ANS, path_track_ans),
    {CONTENT_ERROR, bodies_error, NULL},
};

static bodies_fn *body_of(uint16_t code)
{
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        if (table[i].code == code) {
            return table[i].body;
        }
    }
    return ignore;
}

static void security(struct slice in, const struct fwd *h, struct slice contents)
{
    struct secblock block;
    if (secblock_decode(in, &block) != ERR_OK) {
        return;
    }
    struct wr w = bodies_writer();
    secblock_wr(&w, block.certificates, &block.signature);
    fuzz_same(&w, in);
    w = bodies_writer();
    secblock_wr_message_input(&w, h->overlay, h->transaction_id, contents,
                              &block.signature.identity);
    CHECK(wr_ok(&w) && wr_len(&w) <= 12 + contents.len + in.len);
    CHECK(slice_is_equal(slice_sub(wr_slice(&w), 12, contents.len), contents));
}

static void payload(const struct fwd *h, const struct rl_params *p)
{
    struct content c;
    struct content_extension extension;
    struct slice rest;
    if (content_decode(h->payload, &c, &rest) != ERR_OK) {
        return;
    }
    CHECK(c.bytes.len + rest.len == h->payload.len && content_name(c.code) != NULL);
    CHECK(!(content_is_request(c.code) && content_is_answer(c.code)));
    struct wr w = bodies_writer();
    content_wr(&w, c.code, c.body, c.extensions);
    fuzz_same(&w, c.bytes);
    w = bodies_writer();
    struct rd r = rd_init(c.extensions);
    while (content_extension_next(&r, &extension)) {
        content_wr_extension(&w, &extension);
    }
    CHECK(rd_is_done(&r));
    fuzz_same(&w, c.extensions);
    body_of(c.code)(c.body, p);
    security(rest, h, c.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rd r = rd_init(slice_of(data, min_size(size, sizeof(bodies_out) / 2)));
    struct rl_params p = {.node_id_length = (uint8_t)(IDS_NODE_MIN + rd_u8(&r) % 5)};
    uint8_t flags = rd_u8(&r);
    struct slice message = rd_rest(&r);
    uint8_t *copy = fuzz_exact(&bodies_block, message);
    message.data = copy;
    if ((flags & FLAG_LENGTH) != 0 && message.len >= FWD_FIXED_BYTES) {
        fwd_put_length(copy, (uint32_t)message.len);
    }
    struct rd overlay = rd_init(slice_sub(message, 4, 4));
    p.overlay = rd_u32(&overlay);
    struct fwd h;
    if (fwd_decode(message, &p, &h) == ERR_OK) {
        struct wr w = bodies_writer();
        fwd_wr(&w, &h);
        fuzz_same(&w, slice_sub(message, 0, h.header_bytes));
        payload(&h, &p);
    }
    return 0;
}

/* Another body behind the same header, or one that the code asks for. */
static void mutate_contents(struct mutate *g, struct slice payload, struct wr *w)
{
    static uint8_t body[MUTATE_OUT];
    struct content c;
    struct slice rest = SLICE_EMPTY;
    const struct known *known = &table[mutate_below(g, ARRAY_COUNT(table))];
    if (content_decode(payload, &c, &rest) != ERR_OK) {
        c = (struct content){.code = known->code};
    }
    for (size_t i = 0; i < ARRAY_COUNT(table) && mutate_below(g, 64) != 0; i++) {
        known = table[i].code == c.code ? &table[i] : known;
    }
    struct wr b = wr_init(body, sizeof(body));
    if (known->mutate != NULL) {
        known->mutate(g, c.body, &b);
    }
    struct slice extensions = c.extensions;
    uint8_t bytes[256];
    struct wr e = wr_init(bytes, sizeof(bytes));
    if (mutate_below(g, 4) == 0) {
        struct content_extension extension = {.type = (uint16_t)(1 + mutate_below(g, 4)),
                                              .critical = mutate_below(g, 2) != 0,
                                              .contents = mutate_bytes(g, mutate_below(g, 60))};
        content_wr_extension(&e, &extension);
        extensions = wr_slice(&e);
    }
    content_wr(w, known->code, wr_slice(&b), extensions);
    if (rest.len == 0) {
        mutate_secblock(g, rest, w);
    } else {
        wr_bytes(w, rest);
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    enum { HEAD = 2 };
    static uint8_t out[2 * MUTATE_OUT];
    static uint8_t payload_out[2 * MUTATE_OUT];
    if (mutate_is_plain(seed, size, HEAD)) {
        return mutate_plain(data, size, max_size);
    }
    struct rl_params p = {.node_id_length = (uint8_t)(IDS_NODE_MIN + data[0] % 5)};
    struct mutate g = mutate_begin(seed, &p);
    struct slice in = slice_of(data + HEAD, size - HEAD);
    struct wr w = wr_init(out, sizeof(out)), rest = wr_init(payload_out, sizeof(payload_out));
    struct fwd h;
    struct content c;
    struct slice block = SLICE_EMPTY;
    bool is_good = fwd_decode_header(in, &p, &h) == ERR_OK;
    uint32_t what = is_good ? mutate_below(&g, 4) : 0;
    if (what == 1 && content_decode(h.payload, &c, &block) == ERR_OK) {
        wr_bytes(&rest, c.bytes);
        mutate_secblock(&g, block, &rest);
    } else if (what == 2) {
        wr_bytes(&rest, h.payload);
    } else {
        mutate_contents(&g, is_good ? h.payload : SLICE_EMPTY, &rest);
    }
    if (what == 2 || !is_good) {
        mutate_fwd(&g, in, wr_len(&rest), &w);
    } else {
        h.length = (uint32_t)(h.header_bytes + wr_len(&rest));
        fwd_wr(&w, &h);
    }
    wr_bytes(&w, wr_slice(&rest));
    return mutate_end(&w, data, size, HEAD, max_size);
}

FUZZ_COUNTED
