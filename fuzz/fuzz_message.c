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

static bodies_fn *body_of(uint16_t code)
{
    static const struct {
        uint16_t code;
        bodies_fn *body;
    } table[] = {
        {CONTENT_PROBE_REQ, bodies_probe_req},
        {CONTENT_PROBE_ANS, bodies_probe_ans},
        {CONTENT_ATTACH_REQ, bodies_attach},
        {CONTENT_ATTACH_ANS, bodies_attach},
        {CONTENT_STORE_REQ, bodies_store_req},
        {CONTENT_STORE_ANS, bodies_store_ans},
        {CONTENT_FETCH_REQ, bodies_fetch_req},
        {CONTENT_FETCH_ANS, bodies_fetch_ans},
        {CONTENT_FIND_REQ, bodies_find_req},
        {CONTENT_FIND_ANS, bodies_find_ans},
        {CONTENT_JOIN_REQ, bodies_join_req},
        {CONTENT_JOIN_ANS, bodies_join_ans},
        {CONTENT_LEAVE_REQ, bodies_leave_req},
        {CONTENT_UPDATE_REQ, bodies_chord_update},
        {CONTENT_ROUTE_QUERY_REQ, bodies_route_query_req},
        {CONTENT_ROUTE_QUERY_ANS, bodies_route_query_ans},
        {CONTENT_PING_REQ, bodies_ping_req},
        {CONTENT_PING_ANS, bodies_ping_ans},
        {CONTENT_STAT_REQ, bodies_stat_req},
        {CONTENT_STAT_ANS, bodies_stat_ans},
        {CONTENT_APP_ATTACH_REQ, bodies_app_attach},
        {CONTENT_APP_ATTACH_ANS, bodies_app_attach},
        {CONTENT_CONFIG_UPDATE_REQ, bodies_config_update},
        {CONTENT_PATH_TRACK_REQ, bodies_path_track_req},
        {CONTENT_PATH_TRACK_ANS, bodies_path_track_ans},
        {CONTENT_ERROR, bodies_error},
    };
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

FUZZ_COUNTED
