/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_message.c - what stands behind the forwarding header: MessageContents, SecurityBlock, and
 * each body of codec/msgs.def.
 *
 * Input: which decoder (0: the one that the contents ask for), Node-ID length, then the bytes.
 * What decodes is written again and must be the same bytes. */
#include "codec/content.h"
#include "codec/msgs.h"
#include "fuzz/fuzz.h"

static uint8_t out[1 << 18];

static struct wr writer(void)
{
    return wr_init(out, sizeof(out));
}

/* ---- bodies: both ways, from the list ---- */

#define MSG(name, rfc, fields)                                                                     \
    static void body_##name(struct slice body, const struct rl_params *p)                          \
    {                                                                                              \
        struct msgs_##name m;                                                                      \
        if (msgs_##name##_decode(body, p, &m) == ERR_OK) {                                         \
            struct wr w = writer();                                                                \
            msgs_##name##_wr(&w, p, &m);                                                           \
            fuzz_same(&w, body);                                                                   \
        }                                                                                          \
    }
#include "codec/msgs.def"

static void body_error(struct slice body, const struct rl_params *p)
{
    struct content_error m;
    (void)p;
    if (content_error_decode(body, &m) == ERR_OK) {
        struct wr w = writer();
        content_wr_error(&w, m.code, m.info);
        fuzz_same(&w, body);
        CHECK(content_err_of(m.code) != ERR_OK && content_error_name(m.code) != NULL);
    }
}

static void body_uri(struct slice body, const struct rl_params *p)
{
    struct ids_uri uri;
    struct node_id id;
    struct slice name;
    if (ids_uri_parse(body, &uri) == ERR_OK) {
        CHECK(uri.destinations_len <= sizeof(uri.destinations));
    }
    if (ids_uri_node(body, p, &id, &name) == ERR_OK) {
        struct wr w = writer();
        ids_uri_wr_node(&w, p, &id, name);
        struct node_id again;
        struct slice same;
        CHECK(wr_ok(&w) && ids_uri_node(wr_slice(&w), p, &again, &same) == ERR_OK);
        CHECK(ids_node_is_equal(&id, &again) && slice_is_equal(name, same));
    }
}

/* ---- all of it ---- */

static void security(struct slice in, const struct rl_params *p)
{
    struct secblock block;
    if (secblock_decode(in, &block) != ERR_OK) {
        return;
    }
    struct secblock_certificate certificate;
    struct rd r = rd_init(block.certificates);
    size_t count = 0;
    while (secblock_certificate_next(&r, &certificate)) {
        count++;
    }
    CHECK(rd_is_done(&r) && count == block.certificate_count);
    struct wr w = writer();
    secblock_wr(&w, block.certificates, &block.signature);
    fuzz_same(&w, in);
    w = writer();
    secblock_wr_message_input(&w, p->overlay, 7, in, &block.signature.identity);
    CHECK(wr_ok(&w) && wr_len(&w) <= 12 + in.len + SECBLOCK_IDENTITY_BYTES_MAX);
}

/* The code of the contents chooses nothing here: each body decoder is met with each body. */
typedef void body(struct slice, const struct rl_params *);
static body *const bodies[] = {
#define MSG(name, rfc, fields) body_##name,
#include "codec/msgs.def"
    body_error,
    body_uri,
    security,
};

static void payload(struct slice in, const struct rl_params *p)
{
    struct content c;
    struct content_extension extension;
    struct slice rest;
    if (content_decode(in, &c, &rest) != ERR_OK) {
        return;
    }
    CHECK(c.bytes.len + rest.len == in.len && content_name(c.code) != NULL);
    CHECK(!(content_is_request(c.code) && content_is_answer(c.code)));
    struct wr w = writer();
    content_wr(&w, c.code, c.body, c.extensions);
    fuzz_same(&w, c.bytes);
    w = writer();
    struct rd r = rd_init(c.extensions);
    while (content_extension_next(&r, &extension)) {
        content_wr_extension(&w, &extension);
    }
    CHECK(rd_is_done(&r));
    fuzz_same(&w, c.extensions);
    security(rest, p);
    for (size_t i = 0; i < ARRAY_COUNT(bodies); i++) {
        bodies[i](c.body, p);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rd r = rd_init(slice_of(data, min_size(size, sizeof(out) / 2)));
    size_t which = rd_u8(&r) % (ARRAY_COUNT(bodies) + 1);
    struct rl_params p = {.overlay = 1, .node_id_length = (uint8_t)(IDS_NODE_MIN + rd_u8(&r) % 5)};
    struct slice in = rd_rest(&r);
    uint8_t *copy = fuzz_copy(in);
    in = slice_of(copy, in.len);
    if (which == 0) {
        payload(in, &p);
    } else {
        bodies[which - 1](in, &p);
    }
    free(copy);
    return 0;
}
