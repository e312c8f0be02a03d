/* SPDX-License-Identifier: Apache-2.0 */
/* Fetch and Stat walk the same items and differ in how one is written, which is the `is_stat` of a
 * struct answer.  Absent items are answered too, but only those that were asked for by name or lie
 * below the highest index, and never more than the Kind allows. */
#include "dht/store_fetch.h"

#include "codec/content.h"
#include "codec/msgs.h"
#include "dht/store_inside.h"

enum { RANGES_CAP = 64 };

struct answer {
    struct turn *t;
    struct store *s;
    struct wr *w;
    struct store_certificates *certificates; /* NULL: Stat */
    bool is_stat;
    bool is_certificates; /* values are their signers' certificates: those need not all go along */
    bool is_too_large;
};

/* The stored bytes with what is left of the lifetime (ST-14). */
static void wr_value(const struct turn *t, const struct store *s, const struct store_value *v,
                     struct wr *w)
{
    stored_wr_aged(w, store_inside_wire(s, v), store_inside_remaining_s(t, v));
}

/* 7.4.3.2: the hash is over the value with its four length bytes, as they stand in the StoredData.
 */
static NOINLINE void wr_stat(struct answer *a, enum overlay_data_model model,
                             const struct store_value *v)
{
    struct stored_data d;
    uint8_t hash[CRYPTO_SHA256_BYTES];
    enum err e = stored_decode(store_inside_wire(a->s, v), kind_wire_model(model), &d);
    CHECK(e == ERR_OK); /* it was decoded when it came */
    static const uint8_t no_value[4];
    struct slice hashed = d.value.bytes.len == 0
                              ? slice_of(no_value, sizeof(no_value))
                              : slice_of(d.value.bytes.data - 4, d.value.bytes.len + 4);
    a->t->crypto->sha256(hashed, hash);
    struct stored_meta meta = {.storage_time_ms = v->storage_time_ms,
                               .lifetime_s = store_inside_remaining_s(a->t, v),
                               .model = kind_wire_model(model),
                               .index = v->index,
                               .key = d.value.key,
                               .exists = v->exists,
                               .value_length = (uint32_t)d.value.bytes.len,
                               .hash_algorithm = SECBLOCK_HASH_SHA256,
                               .hash = slice_of(hash, sizeof(hash))};
    stored_wr_meta(a->w, &meta);
}

static inline void wr_item(struct answer *a, enum overlay_data_model model,
                           const struct store_value *v)
{
    if (UNLIKELY(a->is_stat)) {
        wr_stat(a, model, v);
        return;
    }
    if (store_inside_certificate_add(a->s, v, a->certificates) != ERR_OK && !a->is_certificates) {
        a->is_too_large = true;
    }
    wr_value(a->t, a->s, v, a->w);
}

static void wr_absent(struct answer *a, enum overlay_data_model model, uint32_t index,
                      struct slice key)
{
    if (!a->is_stat) {
        stored_wr_synthetic(a->w, kind_wire_model(model), index, key);
        return;
    }
    struct stored_meta meta = {.model = kind_wire_model(model), .index = index, .key = key};
    stored_wr_meta(a->w, &meta);
}

/* The first living value of the set from `number` on. */
static inline const struct store_value *living(const struct answer *a, uint32_t number)
{
    const struct store_value *v = store_inside_value(a->s, number);
    while (v != NULL && !store_inside_is_there(a->t, v)) {
        v = store_inside_value(a->s, v->next);
    }
    return v;
}

static const struct store_value *first_of(const struct answer *a, const struct store_set *set)
{
    return set == NULL ? NULL : living(a, set->first);
}

static void wr_single(struct answer *a, const struct store_set *set)
{
    const struct store_value *v = first_of(a, set);
    if (v == NULL) {
        wr_absent(a, OVERLAY_SINGLE, 0, SLICE_EMPTY);
        return;
    }
    wr_item(a, OVERLAY_SINGLE, v);
}

/* arrays */

static uint16_t read_ranges(struct rd r, struct stored_range *ranges, size_t *count)
{
    *count = 0;
    while (*count < RANGES_CAP && stored_range_next(&r, &ranges[*count])) {
        const struct stored_range *one = &ranges[*count];
        for (size_t i = 0; i < *count; i++) {
            if (one->first <= ranges[i].last && ranges[i].first <= one->last) {
                return CONTENT_ERROR_INVALID_MESSAGE; /* FT-3: they must not overlap */
            }
        }
        if (one->first > one->last) {
            return CONTENT_ERROR_INVALID_MESSAGE;
        }
        (*count)++;
    }
    return rd_is_done(&r) ? 0 : CONTENT_ERROR_INVALID_MESSAGE;
}

/* One range; *left bounds how many absent items may still be made up. */
static void wr_range(struct answer *a, const struct store_set *set, struct stored_range range,
                     uint32_t highest, uint32_t *left)
{
    /* 0xffffffff is the last element, wherever that is. */
    uint32_t next = range.first == STORED_INDEX_APPEND ? highest : range.first;
    uint32_t last = range.last > highest ? highest : range.last;
    for (const struct store_value *v = first_of(a, set); v != NULL; v = living(a, v->next)) {
        if (v->index < next || v->index > last) {
            continue;
        }
        while (next<v->index && * left> 0) {
            wr_absent(a, OVERLAY_ARRAY, next++, SLICE_EMPTY);
            (*left)--;
        }
        wr_item(a, OVERLAY_ARRAY, v);
        next = v->index + 1;
    }
    while (next <= last && *left > 0) { /* the range ends in a gap */
        wr_absent(a, OVERLAY_ARRAY, next++, SLICE_EMPTY);
        (*left)--;
    }
}

static uint16_t wr_array(struct answer *a, const struct store_set *set,
                         const struct overlay_kind *kind, struct rd items)
{
    struct stored_range ranges[RANGES_CAP];
    size_t count = 0;
    uint16_t error = read_ranges(items, ranges, &count);
    if (error != 0) {
        return error;
    }
    uint32_t highest = 0;
    const struct store_value *v = first_of(a, set);
    bool is_empty = v == NULL;
    for (; v != NULL; v = living(a, v->next)) {
        highest = v->index;
    }
    uint32_t left = kind->max_count;
    for (size_t i = 0; i < count; i++) {
        if (is_empty) {
            uint32_t first = ranges[i].first == STORED_INDEX_APPEND ? 0 : ranges[i].first;
            wr_absent(a, OVERLAY_ARRAY, first, SLICE_EMPTY);
        } else {
            wr_range(a, set, ranges[i], highest, &left);
        }
    }
    return 0;
}

/* dictionaries */

static void wr_all(struct answer *a, const struct store_set *set)
{
    for (const struct store_value *v = first_of(a, set); v != NULL; v = living(a, v->next)) {
        wr_item(a, OVERLAY_DICTIONARY, v);
    }
}

static void wr_dictionary(struct answer *a, const struct store_set *set, struct rd r)
{
    struct slice key;
    if (rd_left(&r) == 0) {
        wr_all(a, set); /* no keys: everything (7.4.2.1) */
        return;
    }
    while (stored_key_next(&r, &key)) {
        const struct store_value *v = first_of(a, set);
        while (v != NULL && !slice_is_equal(key, store_inside_key_of(a->s, set, v))) {
            v = living(a, v->next);
        }
        if (v != NULL) {
            wr_item(a, OVERLAY_DICTIONARY, v);
        } else {
            wr_absent(a, OVERLAY_DICTIONARY, 0, key);
        }
    }
}

/* requests */

/* FT-2: all unknown Kinds are named. */
static uint16_t list_unknown(struct store *s, struct slice specifiers, struct slice *info)
{
    struct wr w = wr_init(s->info, sizeof(s->info));
    struct rd r = rd_init(specifiers);
    struct stored_specifier what;
    struct overlay_kind kind;
    size_t mark = wr_begin(&w, 1);
    while (stored_specifier_next(&r, &what)) {
        if (!kind_find(s->settings.config, what.kind, &kind) && wr_len(&w) < 4 * 63) {
            wr_u32(&w, what.kind);
        }
    }
    wr_end(&w, 1, mark);
    *info = wr_slice(&w);
    return CONTENT_ERROR_UNKNOWN_KIND;
}

static uint16_t answer_kind(struct answer *a, struct slice resource,
                            const struct stored_specifier *what)
{
    struct overlay_kind kind;
    if (!kind_find(a->s->settings.config, what->kind, &kind)) {
        return CONTENT_ERROR_UNKNOWN_KIND;
    }
    enum stored_model model = kind_wire_model(kind.data_model);
    struct rd items = rd_init(SLICE_EMPTY);
    if (model == STORED_SINGLE || !stored_specifier_is_empty_list(what)) {
        items = stored_specifier_items(what, model);
        if (!rd_is_done(&items) && stored_specifier_check(what, model) != ERR_OK) {
            return CONTENT_ERROR_INVALID_MESSAGE;
        }
    }
    const struct store_set *set = store_set_find(a->s, resource, what->kind);
    a->is_certificates = what->kind == OVERLAY_KIND_CERTIFICATE_BY_NODE ||
                         what->kind == OVERLAY_KIND_CERTIFICATE_BY_USER;
    uint64_t generation = set == NULL ? 0 : set->generation;
    size_t mark = stored_block_begin(a->w, what->kind, generation);
    uint16_t error = 0;
    if (generation == 0 || generation != what->generation) { /* FT-1 */
        switch (kind.data_model) {
        case OVERLAY_SINGLE:
            wr_single(a, set);
            break;
        case OVERLAY_ARRAY:
            error = wr_array(a, set, &kind, items);
            break;
        case OVERLAY_DICTIONARY:
            wr_dictionary(a, set, items);
            break;
        }
    }
    stored_block_end(a->w, mark);
    return error;
}

/* What nearly all ask for: all that there is of one Kind, without keys or ranges. */
static inline bool read_usual(struct slice body, struct stored_specifier *what)
{
    enum { SPECIFIER_AT = 1 + OVERLAY_RESOURCE_BYTES + 2, WHAT_AT = SPECIFIER_AT + 4 + 8 + 2 };
    const uint8_t *p = body.data;
    bool is_usual = body.len == WHAT_AT + 2 && p[0] == OVERLAY_RESOURCE_BYTES &&
                    rd_at16(p + SPECIFIER_AT - 2) == WHAT_AT + 2 - SPECIFIER_AT &&
                    rd_at16(p + WHAT_AT - 2) == 2;
    if (is_usual) {
        what->kind = rd_at32(p + SPECIFIER_AT);
        what->generation = rd_at64(p + SPECIFIER_AT + 4);
        what->what = slice_of(p + WHAT_AT, 2);
    }
    return is_usual;
}

/* An answer for each specifier, one after the other; the first error, but an unknown Kind before
 * any other. */
static uint16_t answer_all(struct answer *a, struct slice resource, struct slice specifiers)
{
    uint16_t error = 0;
    uint32_t count = 0;
    struct rd r = rd_init(specifiers);
    struct stored_specifier what;
    while (count <= STORE_KINDS_CAP && stored_specifier_next(&r, &what)) {
        uint16_t one = answer_kind(a, resource, &what);
        error = error == 0 || one == CONTENT_ERROR_UNKNOWN_KIND ? one : error;
        count++;
    }
    return rd_ok(&r) && count <= STORE_KINDS_CAP ? error : CONTENT_ERROR_INVALID_MESSAGE;
}

static uint16_t answer_request(struct answer *a, struct slice body, struct slice *info)
{
    struct slice specifiers = SLICE_EMPTY;
    struct stored_specifier usual;
    uint16_t error;
    *info = SLICE_EMPTY;
    size_t mark = wr_begin(a->w, 4);
    if (LIKELY(read_usual(body, &usual))) {
        specifiers = slice_from(body, 1 + OVERLAY_RESOURCE_BYTES + 2);
        error = answer_kind(a, slice_of(body.data + 1, OVERLAY_RESOURCE_BYTES), &usual);
    } else {
        /* FetchReq and StatReq, whose specifiers are looked into once, by answer_all */
        struct rd whole = rd_init(body);
        struct slice resource = rd_opaque8(&whole);
        specifiers = rd_opaque16(&whole);
        bool is_right = rd_finish(&whole) == ERR_OK && resource.len == OVERLAY_RESOURCE_BYTES;
        error = is_right ? answer_all(a, resource, specifiers) : CONTENT_ERROR_INVALID_MESSAGE;
    }
    wr_end(a->w, 4, mark);
    if (UNLIKELY(error != 0)) {
        return error == CONTENT_ERROR_UNKNOWN_KIND ? list_unknown(a->s, specifiers, info) : error;
    }
    return wr_ok(a->w) && !a->is_too_large ? 0 : CONTENT_ERROR_RESPONSE_TOO_LARGE; /* FT-10 */
}

uint16_t store_fetch(struct turn *t, struct store *s, struct slice body, struct wr *w,
                     struct store_certificates *certificates, struct slice *info)
{
    certificates->count = 0; /* the array behind it need not be zeroed */
    certificates->bytes = 0;
    struct answer a = {.t = t, .s = s, .w = w, .certificates = certificates};
    return answer_request(&a, body, info);
}

uint16_t store_fetch_stat(struct turn *t, struct store *s, struct slice body, struct wr *w,
                          struct slice *info)
{
    struct answer a = {.t = t, .s = s, .w = w, .is_stat = true};
    return answer_request(&a, body, info);
}

/* Find */

struct closest {
    uint32_t kind;
    bool is_any;
    struct ring_id distance; /* clockwise from the target */
    uint8_t resource[OVERLAY_RESOURCE_BYTES];
};

static uint16_t read_find(struct slice kinds, struct closest *out, size_t *count)
{
    struct rd r = rd_init(kinds);
    uint32_t kind = 0;
    *count = 0;
    while (msgs_kind_next(&r, &kind)) {
        for (size_t i = 0; i < *count; i++) {
            if (out[i].kind == kind) {
                return CONTENT_ERROR_INVALID_MESSAGE; /* FT-8 */
            }
        }
        if (*count == STORE_KINDS_CAP) {
            return CONTENT_ERROR_INVALID_MESSAGE;
        }
        out[(*count)++] = (struct closest){.kind = kind};
    }
    return rd_ok(&r) ? 0 : CONTENT_ERROR_INVALID_MESSAGE;
}

/* the first Resource-ID at or after the target, going round. */
static void consider(const struct store_set *set, struct ring_id target, struct closest *c)
{
    struct ring_id at = {0, 0};
    enum err e = ids_ring_of_resource(slice_of(set->resource, sizeof(set->resource)), &at);
    CHECK(e == ERR_OK);
    struct ring_id distance = ids_ring_minus(at, target);
    if (!c->is_any || ids_ring_is_less(distance, c->distance)) {
        c->is_any = true;
        c->distance = distance;
        memcpy(c->resource, set->resource, sizeof(c->resource));
    }
}

uint16_t store_fetch_find(struct turn *t, struct store *s, struct slice body, struct wr *w,
                          struct slice *info)
{
    struct msgs_find_req req;
    struct closest closest[STORE_KINDS_CAP];
    struct ring_id target;
    size_t count = 0;
    *info = SLICE_EMPTY;
    if (msgs_find_req_decode(body, s->settings.params, &req) != ERR_OK ||
        ids_ring_of_resource(req.resource, &target) != ERR_OK ||
        read_find(req.kinds, closest, &count) != 0) {
        return CONTENT_ERROR_INVALID_MESSAGE;
    }
    uint32_t index = 0;
    const struct store_set *set;
    while ((set = store_set_next(s, &index)) != NULL) {
        for (size_t i = 0; i < count; i++) {
            if (closest[i].kind == set->kind && store_set_is_alive(t, s, set)) {
                consider(set, target, &closest[i]);
            }
        }
    }
    size_t mark = wr_begin(w, 2);
    for (size_t i = 0; i < count; i++) {
        struct msgs_find_kind_data found = {
            closest[i].kind, slice_of(closest[i].resource, sizeof(closest[i].resource))};
        msgs_find_kind_data_wr(w, s->settings.params, &found);
    }
    wr_end(w, 2, mark);
    return wr_ok(w) ? 0 : CONTENT_ERROR_RESPONSE_TOO_LARGE;
}

/* copies for other holders */

void store_fetch_copy(struct turn *t, const struct store *s, const struct store_set *set,
                      struct store_fetch_part *part, struct wr *w,
                      struct store_certificates *certificates)
{
    size_t start = wr_len(w);
    size_t mark = stored_block_begin(w, set->kind, set->generation);
    uint32_t position = 0;
    uint32_t written = 0;
    uint32_t more = 0;
    for (uint32_t next = set->first; next != 0;) {
        const struct store_value *v = store_inside_value(s, next);
        next = v->next;
        if (!store_inside_is_there(t, v) || v->stamp < part->since || position++ < part->from) {
            continue;
        }
        struct store_certificates with = *certificates;
        bool fits = store_inside_certificate_add(s, v, &with) == ERR_OK &&
                    wr_len(w) - start + v->len + with.bytes <= part->budget;
        if (!fits && written > 0) {
            more = position - 1;
            break;
        }
        *certificates = with;
        wr_value(t, s, v, w);
        written++;
    }
    stored_block_end(w, mark);
    part->from = more;
}
