/* SPDX-License-Identifier: Apache-2.0 */
/* transcode_storage.h - the second part of transcode.h: values and what carries them. */
#pragma once
#include "tests/vector/transcode_base.h"

/* ---- storage ---- */

static inline bool tc_model(struct transcode *t, uint32_t kind, enum stored_model *model)
{
    char key[16];
    (void)snprintf(key, sizeof(key), "%u", kind);
    const char *name = json_string_value(json_object_get(t->kinds, key));
    if (name == NULL) {
        return false;
    }
    *model = name[0] == 's' ? STORED_SINGLE : name[0] == 'a' ? STORED_ARRAY : STORED_DICTIONARY;
    return true;
}

/* An index or key around `inner`, or `inner` alone. */
static inline json_t *tc_place(enum stored_model model, uint32_t index, struct slice key,
                               json_t *inner)
{
    if (model == STORED_SINGLE) {
        return inner;
    }
    json_t *o = json_object();
    if (model == STORED_ARRAY) {
        tc_int(o, "index", index);
    } else {
        tc_bytes(o, "key", key);
    }
    tc_set(o, "value", inner);
    return o;
}

static inline json_t *tc_value(const struct stored_value *v)
{
    json_t *o = json_object();
    tc_set(o, "exists", json_boolean(v->exists));
    tc_bytes(o, "value", v->bytes);
    return tc_place(v->model, v->index, v->key, o);
}

static inline json_t *tc_bare_value(struct transcode *t, struct slice in, enum stored_model model)
{
    struct rd r = rd_init(in);
    struct stored_value v;
    stored_rd_value(&r, model, &v);
    tc_end(t, &r);
    stored_wr_value(&t->w, &v);
    return tc_value(&v);
}

static inline json_t *tc_DataValue(struct transcode *t, struct slice in)
{
    return tc_bare_value(t, in, STORED_SINGLE);
}

static inline json_t *tc_ArrayEntry(struct transcode *t, struct slice in)
{
    return tc_bare_value(t, in, STORED_ARRAY);
}

static inline json_t *tc_DictionaryEntry(struct transcode *t, struct slice in)
{
    return tc_bare_value(t, in, STORED_DICTIONARY);
}

static inline json_t *tc_metadata(const struct stored_meta *m)
{
    json_t *o = json_object();
    tc_set(o, "exists", json_boolean(m->exists));
    tc_int(o, "value_length", m->value_length);
    tc_int(o, "hash_algorithm", m->hash_algorithm);
    tc_bytes(o, "hash_value", m->hash);
    return tc_place(m->model, m->index, m->key, o);
}

static inline json_t *tc_bare_metadata(struct transcode *t, struct slice in,
                                       enum stored_model model)
{
    struct rd r = rd_init(in);
    struct stored_meta m;
    stored_rd_metadata(&r, model, &m);
    tc_end(t, &r);
    stored_wr_metadata(&t->w, &m);
    return tc_metadata(&m);
}

static inline json_t *tc_MetaData(struct transcode *t, struct slice in)
{
    return tc_bare_metadata(t, in, STORED_SINGLE);
}

static inline json_t *tc_ArrayEntryMeta(struct transcode *t, struct slice in)
{
    return tc_bare_metadata(t, in, STORED_ARRAY);
}

static inline json_t *tc_DictionaryEntryMeta(struct transcode *t, struct slice in)
{
    return tc_bare_metadata(t, in, STORED_DICTIONARY);
}

static inline json_t *tc_data(struct transcode *t, const struct stored_data *d)
{
    json_t *o = json_object();
    tc_u64(o, "storage_time", d->storage_time_ms, 16);
    tc_int(o, "lifetime", d->lifetime_s);
    tc_set(o, "value", tc_value(&d->value));
    tc_set(o, "signature", tc_signature(&d->signature));
    stored_wr(&t->w, d);
    return o;
}

static inline json_t *tc_StoredData(struct transcode *t, struct slice in)
{
    struct stored_data d;
    if (tc_refused(t, stored_decode(in, t->model, &d))) {
        return NULL;
    }
    t->is_bad |= !slice_is_equal(d.wire, in);
    return tc_data(t, &d);
}

static inline json_t *tc_meta(struct transcode *t, const struct stored_meta *m)
{
    json_t *o = json_object();
    tc_u64(o, "storage_time", m->storage_time_ms, 16);
    tc_int(o, "lifetime", m->lifetime_s);
    tc_set(o, "metadata", tc_metadata(m));
    stored_wr_meta(&t->w, m);
    return o;
}

static inline json_t *tc_StoredMetaData(struct transcode *t, struct slice in)
{
    struct stored_meta m;
    return tc_refused(t, stored_meta_decode(in, t->model, &m)) ? NULL : tc_meta(t, &m);
}

static inline json_t *tc_values(struct transcode *t, struct slice *inout, enum stored_model model,
                                bool is_stat)
{
    json_t *list = json_array();
    struct wr outer = tc_open(t, inout->len);
    struct rd r = rd_init(*inout);
    struct stored_data d;
    struct stored_meta m;
    while (is_stat ? stored_meta_next(&r, model, &m) : stored_next(&r, model, &d)) {
        json_array_append_new(list, is_stat ? tc_meta(t, &m) : tc_data(t, &d));
    }
    tc_end(t, &r);
    *inout = tc_close(t, outer);
    return list;
}

static inline json_t *tc_blocks(struct transcode *t, struct slice *inout, bool is_store,
                                bool is_stat)
{
    json_t *list = json_array();
    struct wr outer = tc_open(t, inout->len);
    struct rd r = rd_init(*inout);
    struct stored_block b;
    while (stored_block_next(&r, &b)) {
        json_t *o = json_object();
        enum stored_model model = STORED_SINGLE;
        tc_int(o, "kind", b.kind);
        tc_u64(o, is_store ? "generation_counter" : "generation", b.generation, 16);
        if (tc_model(t, b.kind, &model)) {
            tc_set(o, "values", tc_values(t, &b.values, model, is_stat));
        } else {
            tc_bytes(o, "unknown", b.values);
        }
        json_array_append_new(list, o);
        stored_wr_block(&t->w, &b);
    }
    tc_end(t, &r);
    *inout = tc_close(t, outer);
    return list;
}

static inline json_t *tc_one_block(struct transcode *t, struct slice in, bool is_store,
                                   bool is_stat)
{
    json_t *o = tc_only(t, tc_blocks(t, &in, is_store, is_stat));
    wr_bytes(&t->w, in);
    return o;
}

static inline json_t *tc_StoreKindData(struct transcode *t, struct slice in)
{
    return tc_one_block(t, in, true, false);
}

static inline json_t *tc_FetchKindResponse(struct transcode *t, struct slice in)
{
    return tc_one_block(t, in, false, false);
}

static inline json_t *tc_StatKindResponse(struct transcode *t, struct slice in)
{
    return tc_one_block(t, in, false, true);
}

static inline json_t *tc_StoreReq(struct transcode *t, struct slice in)
{
    struct msgs_store_req m;
    json_t *o = json_object();
    if (!tc_refused(t, msgs_store_req_decode(in, &t->params, &m))) {
        tc_bytes(o, "resource", m.resource);
        tc_int(o, "replica_number", m.replica_number);
        tc_set(o, "kind_data", tc_blocks(t, &m.kind_data, true, false));
        msgs_store_req_wr(&t->w, &t->params, &m);
    }
    return o;
}

static inline json_t *tc_responses(struct transcode *t, struct slice *inout)
{
    json_t *list = json_array();
    struct wr outer = tc_open(t, inout->len);
    struct rd r = rd_init(*inout);
    struct stored_response s;
    while (stored_response_next(&r, &t->params, &s)) {
        json_t *o = json_object();
        tc_int(o, "kind", s.kind);
        tc_u64(o, "generation_counter", s.generation, 16);
        tc_set(o, "replicas", tc_nodes(t, s.replicas));
        json_array_append_new(list, o);
        stored_wr_response(&t->w, &s);
    }
    tc_end(t, &r);
    *inout = tc_close(t, outer);
    return list;
}

static inline json_t *tc_StoreKindResponse(struct transcode *t, struct slice in)
{
    json_t *o = tc_only(t, tc_responses(t, &in));
    wr_bytes(&t->w, in);
    return o;
}

static inline json_t *tc_StoreAns(struct transcode *t, struct slice in)
{
    struct msgs_store_ans m;
    json_t *o = json_object();
    if (!tc_refused(t, msgs_store_ans_decode(in, &t->params, &m))) {
        tc_set(o, "kind_responses", tc_responses(t, &m.kind_responses));
        msgs_store_ans_wr(&t->w, &t->params, &m);
    }
    return o;
}

enum { TC_ITEMS = 512 };

static inline void tc_array_specifier(struct transcode *t, const struct stored_specifier *s,
                                      json_t *o)
{
    struct stored_range ranges[TC_ITEMS];
    size_t count = 0;
    json_t *list = json_array();
    struct rd items = stored_specifier_items(s, STORED_ARRAY);
    while (count < TC_ITEMS && stored_range_next(&items, &ranges[count])) {
        json_t *range = json_object();
        tc_int(range, "first", ranges[count].first);
        tc_int(range, "last", ranges[count].last);
        json_array_append_new(list, range);
        count++;
    }
    tc_set(o, "indices", list);
    stored_wr_specifier_array(&t->w, s->kind, s->generation, ranges, count);
}

static inline void tc_dictionary_specifier(struct transcode *t, const struct stored_specifier *s,
                                           json_t *o)
{
    struct slice keys[TC_ITEMS];
    size_t count = 0;
    json_t *list = json_array();
    struct rd items = stored_specifier_items(s, STORED_DICTIONARY);
    while (count < TC_ITEMS && stored_key_next(&items, &keys[count])) {
        json_array_append_new(list, tc_hex(keys[count]));
        count++;
    }
    tc_set(o, "keys", list);
    stored_wr_specifier_dictionary(&t->w, s->kind, s->generation, keys, count);
}

static inline json_t *tc_specifier(struct transcode *t, const struct stored_specifier *s)
{
    json_t *o = json_object();
    enum stored_model model = STORED_SINGLE;
    tc_int(o, "kind", s->kind);
    tc_u64(o, "generation", s->generation, 16);
    if (!tc_model(t, s->kind, &model)) {
        tc_bytes(o, "unknown", s->what);
        wr_u32(&t->w, s->kind);
        wr_u64(&t->w, s->generation);
        wr_opaque16(&t->w, s->what);
    } else if (tc_refused(t, stored_specifier_check(s, model))) {
        return o;
    } else if (model == STORED_SINGLE) {
        stored_wr_specifier_single(&t->w, s->kind, s->generation);
    } else if (model == STORED_ARRAY) {
        tc_array_specifier(t, s, o);
    } else {
        tc_dictionary_specifier(t, s, o);
    }
    return o;
}

static inline json_t *tc_specifiers(struct transcode *t, struct slice *inout)
{
    json_t *list = json_array();
    struct wr outer = tc_open(t, inout->len);
    struct rd r = rd_init(*inout);
    struct stored_specifier s;
    while (stored_specifier_next(&r, &s)) {
        json_array_append_new(list, tc_specifier(t, &s));
    }
    tc_end(t, &r);
    *inout = tc_close(t, outer);
    return list;
}

static inline json_t *tc_StoredDataSpecifier(struct transcode *t, struct slice in)
{
    json_t *o = tc_only(t, tc_specifiers(t, &in));
    wr_bytes(&t->w, in);
    return o;
}

static inline json_t *tc_FetchReq(struct transcode *t, struct slice in) /* and StatReq */
{
    struct msgs_fetch_req m;
    json_t *o = json_object();
    if (!tc_refused(t, msgs_fetch_req_decode(in, &t->params, &m))) {
        tc_bytes(o, "resource", m.resource);
        tc_set(o, "specifiers", tc_specifiers(t, &m.specifiers));
        msgs_fetch_req_wr(&t->w, &t->params, &m);
    }
    return o;
}

static inline json_t *tc_fetched(struct transcode *t, struct slice in, bool is_stat)
{
    struct msgs_fetch_ans m;
    json_t *o = json_object();
    if (!tc_refused(t, msgs_fetch_ans_decode(in, &t->params, &m))) {
        tc_set(o, "kind_responses", tc_blocks(t, &m.kind_responses, false, is_stat));
        msgs_fetch_ans_wr(&t->w, &t->params, &m);
    }
    return o;
}

static inline json_t *tc_FetchAns(struct transcode *t, struct slice in)
{
    return tc_fetched(t, in, false);
}

static inline json_t *tc_StatAns(struct transcode *t, struct slice in)
{
    return tc_fetched(t, in, true);
}

static inline json_t *tc_FindReq(struct transcode *t, struct slice in)
{
    struct msgs_find_req m;
    json_t *o = json_object();
    if (!tc_refused(t, msgs_find_req_decode(in, &t->params, &m))) {
        tc_bytes(o, "resource", m.resource);
        tc_set(o, "kinds", tc_kinds(t, &m.kinds));
        msgs_find_req_wr(&t->w, &t->params, &m);
    }
    return o;
}

static inline json_t *tc_finds(struct transcode *t, struct slice *inout)
{
    json_t *list = json_array();
    struct wr outer = tc_open(t, inout->len);
    struct rd r = rd_init(*inout);
    struct msgs_find f;
    while (msgs_find_next(&r, &f)) {
        json_t *o = json_object();
        tc_int(o, "kind", f.kind);
        tc_bytes(o, "closest", f.closest);
        json_array_append_new(list, o);
        msgs_find_wr(&t->w, &f);
    }
    tc_end(t, &r);
    *inout = tc_close(t, outer);
    return list;
}

static inline json_t *tc_FindKindData(struct transcode *t, struct slice in)
{
    json_t *o = tc_only(t, tc_finds(t, &in));
    wr_bytes(&t->w, in);
    return o;
}

static inline json_t *tc_FindAns(struct transcode *t, struct slice in)
{
    struct msgs_find_ans m;
    json_t *o = json_object();
    if (!tc_refused(t, msgs_find_ans_decode(in, &t->params, &m))) {
        tc_set(o, "results", tc_finds(t, &m.results));
        msgs_find_ans_wr(&t->w, &t->params, &m);
    }
    return o;
}
