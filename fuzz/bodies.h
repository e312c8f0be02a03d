/* SPDX-License-Identifier: Apache-2.0 */
/* bodies.h - message bodies both ways: bodies_X takes bytes as a structure X, bodies_list_X as a
 * row of them; what decodes is written again and must be the same bytes.
 *
 * Each structure of codec/msgs.def is met alone by the fuzz_body_* target that names it, and bodies
 * behind a header by fuzz_message.  A new line in msgs.def belongs into the list of one
 * fuzz_body_* target: tools/test_fuzz.py asks for it. */
#pragma once
#include "codec/content.h"
#include "codec/msgs.h"
#include "fuzz/mutate.h"

FUZZ_UNCOUNTED

typedef void bodies_fn(struct slice body, const struct rl_params *p);

typedef void bodies_mutate_fn(struct mutate *g, struct slice in, struct wr *w);

struct bodies_pair {
    bodies_fn *one, *list;
    bodies_mutate_fn *mutate; /* NULL: as bytes only */
};
#define BODY(name)                                                                                 \
    {                                                                                              \
        bodies_##name, bodies_list_##name, mutate_##name                                           \
    }
#define ALONE(name)                                                                                \
    {                                                                                              \
        bodies_##name, bodies_##name, NULL                                                         \
    } /* never in a list */

static struct fuzz_block bodies_block;
static uint8_t bodies_out[1 << 18];

static inline struct wr bodies_writer(void)
{
    return wr_init(bodies_out, sizeof(bodies_out));
}

#define MSG(name, rfc, fields)                                                                     \
    static inline void bodies_##name(struct slice body, const struct rl_params *p)                 \
    {                                                                                              \
        struct msgs_##name m;                                                                      \
        if (msgs_##name##_decode(body, p, &m) == ERR_OK) {                                         \
            struct wr w = bodies_writer();                                                         \
            msgs_##name##_wr(&w, p, &m);                                                           \
            fuzz_same(&w, body);                                                                   \
        }                                                                                          \
    }                                                                                              \
    static inline void bodies_list_##name(struct slice list, const struct rl_params *p)            \
    {                                                                                              \
        struct msgs_##name m;                                                                      \
        struct rd r = rd_init(list);                                                               \
        struct wr w = bodies_writer();                                                             \
        while (msgs_##name##_next(&r, p, &m)) {                                                    \
            msgs_##name##_wr(&w, p, &m);                                                           \
        }                                                                                          \
        if (rd_is_done(&r)) {                                                                      \
            fuzz_same(&w, list);                                                                   \
        } else {                                                                                   \
            CHECK(!rd_ok(&r) && r.at >= list.data && r.at <= list.data + list.len);                \
        }                                                                                          \
    }
#include "codec/msgs.def"

static inline void bodies_error(struct slice body, const struct rl_params *p)
{
    struct content_error m;
    (void)p;
    if (content_error_decode(body, &m) == ERR_OK) {
        struct wr w = bodies_writer();
        content_wr_error(&w, m.code, m.info);
        fuzz_same(&w, body);
        CHECK(content_err_of(m.code) != ERR_OK && content_error_name(m.code) != NULL);
    }
}

static inline void bodies_uri(struct slice body, const struct rl_params *p)
{
    struct ids_uri uri;
    struct node_id id;
    struct slice name;
    if (ids_uri_parse(body, &uri) == ERR_OK) {
        CHECK(uri.destinations_len <= sizeof(uri.destinations));
    }
    if (ids_uri_node(body, p, &id, &name) == ERR_OK) {
        struct wr w = bodies_writer();
        ids_uri_wr_node(&w, p, &id, name);
        struct node_id again;
        struct slice same;
        CHECK(wr_ok(&w) && ids_uri_node(wr_slice(&w), p, &again, &same) == ERR_OK);
        CHECK(ids_node_is_equal(&id, &again) && slice_is_equal(name, same));
    }
}

/* What a fuzz_body_* target does.  Input: which structure of the family; Node-ID length and, in the
 * top bit, whether a list of it; the bytes. */
static inline int bodies_one_of(const struct bodies_pair *family, size_t count, const uint8_t *data,
                                size_t size)
{
    struct rd r = rd_init(slice_of(data, min_size(size, sizeof(bodies_out) / 2)));
    const struct bodies_pair *which = &family[rd_u8(&r) % count];
    uint8_t how = rd_u8(&r);
    struct rl_params p = {.overlay = 1, .node_id_length = (uint8_t)(IDS_NODE_MIN + how % 5)};
    struct slice body = rd_rest(&r);
    body.data = fuzz_exact(&bodies_block, body);
    if ((how & 0x80) != 0) {
        which->list(body, &p);
    } else {
        which->one(body, &p);
    }
    return 0;
}

/* LLVMFuzzerCustomMutator of such a target. */
static inline size_t bodies_mutate(const struct bodies_pair *family, size_t count, uint8_t *data,
                                   size_t size, size_t max_size, unsigned seed)
{
    enum { HEAD = 2 };
    static uint8_t out[MUTATE_OUT];
    if (mutate_is_plain(seed, size, HEAD)) {
        return mutate_plain(data, size, max_size);
    }
    const struct bodies_pair *which = &family[data[0] % count];
    struct rl_params p = {.node_id_length = (uint8_t)(IDS_NODE_MIN + data[1] % 5)};
    struct mutate g = mutate_begin(seed, &p);
    struct wr w = wr_init(out, sizeof(out));
    if (which->mutate == NULL) {
        return mutate_plain(data, size, max_size);
    }
    for (uint32_t i = (data[1] & 0x80) != 0 ? mutate_below(&g, 4) : 1; i > 0; i--) {
        which->mutate(&g, slice_of(data + HEAD, size - HEAD), &w);
    }
    return mutate_end(&w, data, size, HEAD, max_size);
}

/* The two functions of a target whose structures stand in `family`. */
#define BODIES_TARGET(family)                                                                      \
    int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)                                   \
    {                                                                                              \
        return bodies_one_of(family, ARRAY_COUNT(family), data, size);                             \
    }                                                                                              \
    size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)     \
    {                                                                                              \
        return bodies_mutate(family, ARRAY_COUNT(family), data, size, max_size, seed);             \
    }

FUZZ_COUNTED
