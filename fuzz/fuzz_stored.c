/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_stored.c - stored values and the lists around them, in all three data models.
 *
 * Input: model, which structure, Node-ID length, then its bytes.  What decodes is written again and
 * must be the same bytes. */
#include "codec/msgs.h"
#include "fuzz/mutate.h"

FUZZ_UNCOUNTED

static uint8_t out[1 << 18];
static uint8_t made[MUTATE_OUT];
static struct fuzz_block block;

static struct wr writer(void)
{
    return wr_init(out, sizeof(out));
}

static void one_value(const struct stored_data *d)
{
    static const uint8_t resource[16] = {1, 2, 3};
    struct wr w = writer();
    stored_wr(&w, d);
    fuzz_same(&w, d->wire);
    w = writer();
    stored_wr_copy(&w, d, d->lifetime_s);
    fuzz_same(&w, d->wire);
    w = writer();
    stored_wr_signature_input(&w, slice_of(resource, sizeof(resource)), 1, d);
    CHECK(wr_ok(&w) && wr_len(&w) <= sizeof(resource) + d->wire.len + 16);
    if (stored_is_synthetic(d)) {
        w = writer();
        stored_wr_synthetic(&w, d->value.model, d->value.index, d->value.key);
        CHECK(wr_ok(&w));
    }
}

static void values(struct slice in, enum stored_model model)
{
    struct rd r = rd_init(in);
    struct stored_data d;
    uint32_t count = 0, checked = 0;
    while (stored_next(&r, model, &d)) {
        one_value(&d);
        count++;
    }
    enum err e = stored_check(in, model, &checked);
    CHECK((e == ERR_OK) == rd_is_done(&r));
    CHECK(e != ERR_OK || checked == count);
    if (stored_decode(in, model, &d) == ERR_OK) {
        CHECK(slice_is_equal(d.wire, in) && count == 1);
    }
}

static void blocks(struct slice in, enum stored_model model)
{
    struct rd r = rd_init(in);
    struct stored_block b;
    struct wr w = writer();
    while (stored_block_next(&r, &b)) {
        stored_wr_block(&w, &b);
    }
    if (rd_is_done(&r)) {
        fuzz_same(&w, in);
    }
    for (r = rd_init(in); stored_block_next(&r, &b);) {
        values(b.values, model);
    }
}

static void responses(struct slice in, const struct rl_params *p)
{
    struct rd r = rd_init(in);
    struct stored_response s;
    struct wr w = writer();
    while (stored_response_next(&r, p, &s)) {
        stored_wr_response(&w, &s);
        for (size_t i = 0; i < msgs_node_count(s.replicas, p); i++) {
            struct node_id id = msgs_node_at(s.replicas, p, i);
            CHECK(memcmp(id.bytes, s.replicas.data + i * p->node_id_length, p->node_id_length) ==
                  0);
        }
    }
    if (rd_is_done(&r)) {
        fuzz_same(&w, in);
    }
}

static void one_specifier(const struct stored_specifier *s, enum stored_model model)
{
    enum { ITEMS = 64 };
    struct stored_range ranges[ITEMS];
    struct slice keys[ITEMS];
    size_t count = 0;
    struct rd items = stored_specifier_items(s, model);
    struct wr w = writer();
    if (model == STORED_ARRAY) {
        while (count < ITEMS && stored_range_next(&items, &ranges[count])) {
            count++;
        }
        stored_wr_specifier_array(&w, s->kind, s->generation, ranges, count);
    } else if (model == STORED_DICTIONARY) {
        while (count < ITEMS && stored_key_next(&items, &keys[count])) {
            count++;
        }
        stored_wr_specifier_dictionary(&w, s->kind, s->generation, keys, count);
    } else {
        stored_wr_specifier_single(&w, s->kind, s->generation);
    }
    struct rd again = rd_init(wr_slice(&w));
    struct stored_specifier t;
    CHECK(count == ITEMS ||
          (wr_ok(&w) && stored_specifier_next(&again, &t) && rd_is_done(&again) &&
           t.kind == s->kind && t.generation == s->generation && slice_is_equal(t.what, s->what)));
}

static void specifiers(struct slice in, enum stored_model model)
{
    struct rd r = rd_init(in);
    struct stored_specifier s;
    while (stored_specifier_next(&r, &s)) {
        if (stored_specifier_check(&s, model) == ERR_OK) {
            one_specifier(&s, model);
        }
    }
}

static void metas(struct slice in, enum stored_model model)
{
    struct rd r = rd_init(in);
    struct stored_meta m;
    struct wr w = writer();
    while (stored_meta_next(&r, model, &m)) {
        stored_wr_meta(&w, &m);
    }
    if (rd_is_done(&r)) {
        fuzz_same(&w, in);
    }
    if (stored_meta_decode(in, model, &m) == ERR_OK) {
        w = writer();
        stored_wr_meta(&w, &m);
        fuzz_same(&w, in);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rd r = rd_init(slice_of(data, min_size(size, sizeof(out) / 2)));
    enum stored_model model = (enum stored_model)(rd_u8(&r) % 3);
    uint8_t which = rd_u8(&r) % 5;
    struct rl_params p = {.node_id_length = (uint8_t)(IDS_NODE_MIN + rd_u8(&r) % 5)};
    struct slice in = rd_rest(&r);
    in.data = fuzz_exact(&block, in);
    switch (which) {
    case 0:
        values(in, model);
        break;
    case 1:
        blocks(in, model);
        break;
    case 2:
        responses(in, &p);
        break;
    case 3:
        specifiers(in, model);
        break;
    default:
        metas(in, model);
        break;
    }
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    enum { HEAD = 3 };
    if (mutate_is_plain(seed, size, HEAD)) {
        return mutate_plain(data, size, max_size);
    }
    enum stored_model model = (enum stored_model)(data[0] % 3);
    struct rl_params p = {.node_id_length = (uint8_t)(IDS_NODE_MIN + data[2] % 5)};
    struct mutate g = mutate_begin(seed, &p);
    struct wr w = wr_init(made, sizeof(made));
    struct stored_block b;
    struct stored_response s;
    struct stored_specifier specifier;
    g.all = data[1] % 5 != 0;
    switch (data[1] % 5) {
    case 0:
        mutate_stored(&g, model, slice_of(data + HEAD, size - HEAD), &w);
        break;
    case 1:
        make_store_block(&g, &b);
        stored_wr_block(&w, &b);
        break;
    case 2:
        make_response(&g, &s);
        stored_wr_response(&w, &s);
        break;
    case 3:
        make_specifier(&g, &specifier);
        stored_wr_specifier(&w, &specifier);
        break;
    default:
        mutate_wr_values(&g, &w, model == STORED_SINGLE ? 2 : model == STORED_ARRAY ? 3 : 1, true);
        break;
    }
    return mutate_end(&w, data, size, HEAD, max_size);
}

FUZZ_COUNTED
