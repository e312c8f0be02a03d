/* SPDX-License-Identifier: Apache-2.0 */
/* stored.c - see stored.h. */
#include "codec/stored.h"

enum { OFFSET_LIFETIME = 4 + 8 };

bool stored_model_named(struct slice name, enum stored_model *out)
{
    static const struct slice names[] = {[STORED_SINGLE] = SLICE_LITERAL("single"),
                                         [STORED_ARRAY] = SLICE_LITERAL("array"),
                                         [STORED_DICTIONARY] = SLICE_LITERAL("dictionary")};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (slice_is_equal(name, names[i])) {
            *out = (enum stored_model)i;
            return true;
        }
    }
    return false;
}

/* The place of a value in its Kind: nothing, an index, a key. */
static void read_place(struct rd *r, enum stored_model model, uint32_t *index, struct slice *key)
{
    *index = model == STORED_ARRAY ? rd_u32(r) : 0;
    *key = model == STORED_DICTIONARY ? rd_opaque16(r) : SLICE_EMPTY;
}

static void write_place(struct wr *w, enum stored_model model, uint32_t index, struct slice key)
{
    if (model == STORED_ARRAY) {
        wr_u32(w, index);
    } else if (model == STORED_DICTIONARY) {
        wr_opaque16(w, key);
    }
}

void stored_rd_value(struct rd *r, enum stored_model model, struct stored_value *out)
{
    out->model = model;
    read_place(r, model, &out->index, &out->key);
    out->exists = rd_bool(r);
    out->bytes = rd_opaque32(r);
}

void stored_wr_value(struct wr *w, const struct stored_value *in)
{
    write_place(w, in->model, in->index, in->key);
    wr_bool(w, in->exists);
    wr_opaque32(w, in->bytes);
}

void stored_rd(struct rd *r, enum stored_model model, struct stored_data *out)
{
    const uint8_t *start = r->at;
    size_t len = rd_u32(r);
    struct rd inner = rd_sub(r, len);
    /* Each field is written, so nothing has to be zeroed before. */
    out->storage_time_ms = rd_u64(&inner);
    out->lifetime_s = rd_u32(&inner);
    stored_rd_value(&inner, model, &out->value);
    secblock_rd_signature(&inner, &out->signature);
    rd_close(r, &inner);
    out->wire = rd_ok(r) ? slice_of(start, 4 + len) : SLICE_EMPTY;
}

bool stored_next(struct rd *values, enum stored_model model, struct stored_data *out)
{
    if (rd_left(values) == 0) {
        return false;
    }
    stored_rd(values, model, out);
    return rd_ok(values);
}

enum err stored_decode(struct slice in, enum stored_model model, struct stored_data *out)
{
    struct rd r = rd_init(in);
    stored_rd(&r, model, out);
    return rd_finish(&r);
}

enum err stored_check(struct slice values, enum stored_model model, uint32_t *count)
{
    struct rd r = rd_init(values);
    struct stored_data d;
    uint32_t found = 0;
    while (stored_next(&r, model, &d)) {
        found++;
    }
    if (count != NULL) {
        *count = found;
    }
    return rd_ok(&r) ? ERR_OK : ERR_MALFORMED;
}

void stored_wr(struct wr *w, const struct stored_data *in)
{
    size_t mark = wr_begin(w, 4);
    wr_u64(w, in->storage_time_ms);
    wr_u32(w, in->lifetime_s);
    stored_wr_value(w, &in->value);
    secblock_wr_signature(w, &in->signature);
    wr_end(w, 4, mark);
}

void stored_wr_copy(struct wr *w, const struct stored_data *in, uint32_t lifetime_s)
{
    stored_wr_aged(w, in->wire, lifetime_s);
}

void stored_wr_aged(struct wr *w, struct slice wire, uint32_t lifetime_s)
{
    CHECK(wire.len >= OFFSET_LIFETIME + 4);
    uint8_t *p = wr_claim(w, wire.len);
    if (p != NULL) {
        memcpy(p, wire.data, wire.len);
        (void)wr_at32(p + OFFSET_LIFETIME, lifetime_s);
    }
}

void stored_wr_synthetic(struct wr *w, enum stored_model model, uint32_t index, struct slice key)
{
    struct stored_data d = {
        .value = {.model = model, .index = index, .key = key},
        .signature = {.identity = {.type = SECBLOCK_IDENTITY_NONE}},
    };
    stored_wr(w, &d);
}

bool stored_is_synthetic(const struct stored_data *d)
{
    bool is_unsigned = d->signature.algorithm == 0 && d->signature.value.len == 0 &&
                       d->signature.identity.type == SECBLOCK_IDENTITY_NONE;
    bool is_empty = !d->value.exists && d->value.bytes.len == 0;
    return is_unsigned && is_empty && d->storage_time_ms == 0 && d->lifetime_s == 0;
}

void stored_wr_signature_input(struct wr *w, struct slice resource, uint32_t kind,
                               const struct stored_data *d)
{
    struct stored_value value = d->value;
    value.index = 0; /* 7.1: always, so that an appended value keeps its signature */
    wr_bytes(w, resource);
    wr_u32(w, kind);
    wr_u64(w, d->storage_time_ms);
    stored_wr_value(w, &value);
    secblock_wr_identity(w, &d->signature.identity);
}

void stored_rd_block(struct rd *r, struct stored_block *out)
{
    out->kind = rd_u32(r);
    out->generation = rd_u64(r);
    out->values = rd_opaque32(r);
}

bool stored_block_next(struct rd *blocks, struct stored_block *out)
{
    if (rd_left(blocks) == 0) {
        return false;
    }
    stored_rd_block(blocks, out);
    return rd_ok(blocks);
}

size_t stored_block_begin(struct wr *w, uint32_t kind, uint64_t generation)
{
    uint8_t *p = wr_claim(w, 16); /* the last four are the length, put in by wr_end */
    if (p != NULL) {
        p = wr_at32(p, kind);
        (void)wr_at64(p, generation);
    }
    return wr_len(w) - 4;
}

void stored_block_end(struct wr *w, size_t mark)
{
    wr_end(w, 4, mark);
}

void stored_wr_block(struct wr *w, const struct stored_block *in)
{
    size_t mark = stored_block_begin(w, in->kind, in->generation);
    wr_bytes(w, in->values);
    stored_block_end(w, mark);
}

void stored_rd_response(struct rd *r, const struct rl_params *p, struct stored_response *out)
{
    out->kind = rd_u32(r);
    out->generation = rd_u64(r);
    out->replicas = rd_opaque16(r);
    size_t odd = out->replicas.len % p->node_id_length;
    if (odd != 0) {
        rd_reject_at(r, REJECT_NODE_LIST, r->at - odd);
    }
}

bool stored_response_next(struct rd *responses, const struct rl_params *p,
                          struct stored_response *out)
{
    if (rd_left(responses) == 0) {
        return false;
    }
    stored_rd_response(responses, p, out);
    return rd_ok(responses);
}

void stored_wr_response(struct wr *w, const struct stored_response *in)
{
    wr_u32(w, in->kind);
    wr_u64(w, in->generation);
    wr_opaque16(w, in->replicas);
}

void stored_rd_specifier(struct rd *r, struct stored_specifier *out)
{
    out->kind = rd_u32(r);
    out->generation = rd_u64(r);
    out->what = rd_opaque16(r);
}

bool stored_specifier_next(struct rd *specifiers, struct stored_specifier *out)
{
    if (rd_left(specifiers) == 0) {
        return false;
    }
    stored_rd_specifier(specifiers, out);
    return rd_ok(specifiers);
}

struct rd stored_specifier_items(const struct stored_specifier *s, enum stored_model model)
{
    struct rd r = rd_init(s->what);
    if (model == STORED_SINGLE) {
        return r; /* has no list inside; anything in it is a fault that the check finds */
    }
    size_t len = rd_u16(&r);
    struct rd items = rd_sub(&r, len);
    if (!rd_is_done(&r)) {
        rd_reject(&items, REJECT_INNER_LENGTH);
    }
    return items;
}

bool stored_range_next(struct rd *items, struct stored_range *out)
{
    if (rd_left(items) == 0) {
        return false;
    }
    out->first = rd_u32(items);
    out->last = rd_u32(items);
    return rd_ok(items);
}

bool stored_key_next(struct rd *items, struct slice *key)
{
    if (rd_left(items) == 0) {
        return false;
    }
    *key = rd_opaque16(items);
    return rd_ok(items);
}

enum err stored_specifier_check(const struct stored_specifier *s, enum stored_model model)
{
    struct rd items = stored_specifier_items(s, model);
    struct stored_range range;
    struct slice key;
    switch (model) {
    case STORED_SINGLE:
        break;
    case STORED_ARRAY:
        while (stored_range_next(&items, &range)) {}
        break;
    case STORED_DICTIONARY:
        while (stored_key_next(&items, &key)) {}
        break;
    }
    return rd_is_done(&items) ? ERR_OK : ERR_MALFORMED;
}

void stored_wr_specifier(struct wr *w, const struct stored_specifier *in)
{
    wr_u32(w, in->kind);
    wr_u64(w, in->generation);
    wr_opaque16(w, in->what);
}

void stored_wr_specifier_single(struct wr *w, uint32_t kind, uint64_t generation)
{
    wr_u32(w, kind);
    wr_u64(w, generation);
    wr_u16(w, 0);
}

void stored_wr_specifier_array(struct wr *w, uint32_t kind, uint64_t generation,
                               const struct stored_range *ranges, size_t count)
{
    wr_u32(w, kind);
    wr_u64(w, generation);
    size_t outer = wr_begin(w, 2);
    size_t mark = wr_begin(w, 2);
    for (size_t i = 0; i < count; i++) {
        wr_u32(w, ranges[i].first);
        wr_u32(w, ranges[i].last);
    }
    wr_end(w, 2, mark);
    wr_end(w, 2, outer);
}

void stored_wr_specifier_dictionary(struct wr *w, uint32_t kind, uint64_t generation,
                                    const struct slice *keys, size_t count)
{
    wr_u32(w, kind);
    wr_u64(w, generation);
    size_t outer = wr_begin(w, 2);
    size_t mark = wr_begin(w, 2);
    for (size_t i = 0; i < count; i++) {
        wr_opaque16(w, keys[i]);
    }
    wr_end(w, 2, mark);
    wr_end(w, 2, outer);
}

void stored_rd_metadata(struct rd *r, enum stored_model model, struct stored_meta *out)
{
    out->model = model;
    read_place(r, model, &out->index, &out->key);
    out->exists = rd_bool(r);
    out->value_length = rd_u32(r);
    out->hash_algorithm = rd_u8(r);
    out->hash = rd_opaque8(r);
}

void stored_wr_metadata(struct wr *w, const struct stored_meta *in)
{
    write_place(w, in->model, in->index, in->key);
    wr_bool(w, in->exists);
    wr_u32(w, in->value_length);
    wr_u8(w, in->hash_algorithm);
    wr_opaque8(w, in->hash);
}

void stored_rd_meta(struct rd *r, enum stored_model model, struct stored_meta *out)
{
    memset(out, 0, sizeof(*out));
    size_t len = rd_u32(r); /* of the structure, whatever its name says */
    struct rd inner = rd_sub(r, len);
    out->storage_time_ms = rd_u64(&inner);
    out->lifetime_s = rd_u32(&inner);
    stored_rd_metadata(&inner, model, out);
    rd_close(r, &inner);
}

bool stored_meta_next(struct rd *values, enum stored_model model, struct stored_meta *out)
{
    if (rd_left(values) == 0) {
        return false;
    }
    stored_rd_meta(values, model, out);
    return rd_ok(values);
}

enum err stored_meta_decode(struct slice in, enum stored_model model, struct stored_meta *out)
{
    struct rd r = rd_init(in);
    stored_rd_meta(&r, model, out);
    return rd_finish(&r);
}

void stored_wr_meta(struct wr *w, const struct stored_meta *in)
{
    size_t mark = wr_begin(w, 4);
    wr_u64(w, in->storage_time_ms);
    wr_u32(w, in->lifetime_s);
    stored_wr_metadata(w, in);
    wr_end(w, 4, mark);
}
