/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes from a disk are bytes from outside: nothing here may reach a CHECK. */
#include "dht/store_restore.h"

#include "codec/content.h"
#include "codec/msgs.h"
#include "dht/store_inside.h"
#include "dht/store_put.h"
#include "dht/store_resources.h"

enum { GENERIC_CERTIFICATE_BYTES = SIGN_DER_CAP + 8 };

/* 0 when it is over.  Nothing lives longer than we would let it live if it came now, so that a
 * clock that was set back, or a byte that has turned over, does not make it eternal. */
static uint64_t until_us(const struct turn *t, uint64_t wall_ms, uint64_t at_most_s)
{
    if (wall_ms <= t->wall_ms) {
        return 0;
    }
    uint64_t left_ms = min_u64(wall_ms - t->wall_ms, at_most_s * 1000);
    return t->now_us + left_ms * 1000;
}

static enum err take_certificate(struct turn *t, struct store *s, struct slice sha256,
                                 struct slice der)
{
    uint8_t hash[CRYPTO_SHA256_BYTES];
    if (sha256.len != sizeof(hash) || der.len == 0 || der.len > SIGN_DER_CAP) {
        return ERR_MALFORMED;
    }
    t->crypto->sha256(der, hash);
    if (!slice_is_equal(sha256, slice_of(hash, sizeof(hash)))) {
        return ERR_MALFORMED;
    }
    struct store_certificate *c = store_inside_certificate_new(s, hash, der);
    if (c == NULL) {
        return ERR_LIMIT;
    }
    c->is_told = true;
    return ERR_OK;
}

/* What stands behind the first byte of the key of a set or a value. */
struct place {
    struct slice resource;
    struct overlay_kind kind;
    struct slice rest; /* index or dictionary key */
};

static enum err read_place(const struct store *s, struct rd *key, struct place *out)
{
    out->resource = rd_bytes(key, OVERLAY_RESOURCE_BYTES);
    uint32_t kind = rd_u32(key);
    out->rest = rd_rest(key);
    if (!rd_ok(key)) {
        return ERR_MALFORMED;
    }
    return kind_find(s->settings.config, kind, &out->kind) ? ERR_OK : ERR_REMOTE;
}

static enum err take_set(struct turn *t, struct store *s, struct rd *key, struct slice value)
{
    enum { KEEP_LIFETIMES = 2 }; /* the counter outlives the values by one */
    struct place at;
    struct rd r = rd_init(value);
    uint8_t model = rd_u8(&r);
    uint64_t generation = rd_u64(&r);
    uint64_t keep_ms = rd_u64(&r);
    enum err e = read_place(s, key, &at);
    if (rd_finish(&r) != ERR_OK || (e == ERR_OK && at.rest.len > 0)) {
        return ERR_MALFORMED;
    }
    if (e != ERR_OK) {
        return e;
    }
    uint32_t cap_s = s->settings.lifetime_max_s;
    uint64_t most_s = cap_s == 0 ? UINT32_MAX : (uint64_t)cap_s;
    uint64_t keep_until_us = until_us(t, keep_ms, KEEP_LIFETIMES * most_s);
    if (keep_until_us == 0) {
        return ERR_EXPIRED;
    }
    if (model != at.kind.data_model || store_set_find(s, at.resource, at.kind.id) != NULL) {
        return ERR_MALFORMED;
    }
    struct store_set *set = store_inside_set_acquire(t, s, at.resource, &at.kind);
    if (set == NULL) {
        return ERR_LIMIT;
    }
    set->generation = generation;
    set->keep_until_us = keep_until_us;
    return ERR_OK;
}

/* The key must say the same as the value itself. */
static bool is_in_place(const struct place *at, const struct stored_data *d)
{
    struct rd r = rd_init(at->rest);
    switch (d->value.model) {
    case STORED_SINGLE:
        return at->rest.len == 0;
    case STORED_ARRAY:
        return rd_u32(&r) == d->value.index && rd_is_done(&r) &&
               d->value.index < at->kind.max_count;
    case STORED_DICTIONARY:
        return slice_is_equal(at->rest, d->value.key);
    }
    return false;
}

/* All that it needs, or nothing. */
static struct store_value *hold(struct turn *t, struct store *s, const uint8_t *sha256,
                                struct slice wire)
{
    struct store_value *v = pool_acquire(&s->values);
    if (v == NULL) {
        return NULL;
    }
    struct store_certificate *c = store_inside_certificate_hold(t, s, sha256, SLICE_EMPTY, false);
    v->len = (uint32_t)wire.len;
    v->piece = c == NULL ? VALUE_NONE : value_acquire(&s->heap, wire.len);
    if (c != NULL) {
        v->certificate = pool_index(&s->certificates, c) + 1;
        v->certificate_piece = c->piece;
        v->certificate_len = (uint16_t)c->len;
    }
    if (v->piece == VALUE_NONE) {
        store_inside_value_release(s, v);
        return NULL;
    }
    memcpy(value_at(&s->heap, v->piece), wire.data, wire.len);
    return v;
}

static enum err take_value(struct turn *t, struct store *s, struct rd *key, struct slice value)
{
    struct place at;
    struct stored_data d;
    struct rd r = rd_init(value);
    uint64_t expires_ms = rd_u64(&r);
    struct slice sha256 = rd_bytes(&r, CRYPTO_SHA256_BYTES);
    struct slice wire = rd_rest(&r);
    enum err e = read_place(s, key, &at);
    if (e != ERR_OK) {
        return e;
    }
    if (!rd_ok(&r) || stored_decode(wire, kind_wire_model(at.kind.data_model), &d) != ERR_OK ||
        !is_in_place(&at, &d)) {
        return ERR_MALFORMED;
    }
    uint64_t expires_us = until_us(t, expires_ms, d.lifetime_s);
    struct store_set *set = store_set_find(s, at.resource, at.kind.id);
    if (expires_us == 0) {
        return ERR_EXPIRED;
    }
    if (set == NULL || set->model != at.kind.data_model) {
        return ERR_MALFORMED; /* a value whose counter is not there */
    }
    struct store_value *v = set->count < at.kind.max_count ? hold(t, s, sha256.data, wire) : NULL;
    if (v == NULL) {
        return ERR_LIMIT;
    }
    v->index = d.value.index;
    v->exists = d.value.exists;
    v->storage_time_ms = d.storage_time_ms;
    v->expires_us = expires_us;
    v->stamp = ++s->stamp;
    v->is_unproved = true;
    s->unproved++;
    set->is_unproved = true;
    store_inside_link(s, set, v);
    store_resources_filled(s, set);
    return ERR_OK;
}

static enum metric metric_of(enum err e)
{
    if (e == ERR_OK) {
        return METRIC_restored;
    }
    if (e == ERR_EXPIRED) {
        return METRIC_restored_expired;
    }
    return e == ERR_LIMIT ? METRIC_restored_full : METRIC_restored_malformed;
}

enum err store_restore(struct turn *t, struct store *s, struct slice key, struct slice value)
{
    struct rd r = rd_init(key);
    uint8_t type = rd_u8(&r);
    enum err e = ERR_MALFORMED;
    if (type == STORE_LOG_CERTIFICATE) {
        e = take_certificate(t, s, rd_rest(&r), value);
    } else if (type == STORE_LOG_SET) {
        e = take_set(t, s, &r, value);
    } else if (type == STORE_LOG_VALUE) {
        e = take_value(t, s, &r, value);
    }
    if (type == STORE_LOG_VALUE || e != ERR_OK) {
        metric_add(t->metrics, metric_of(e), 1);
    }
    if (e != ERR_OK) {
        store_log_remove_key(s, key);
    }
    return e;
}

void store_restore_end(struct turn *t, struct store *s)
{
    uint32_t index = 0;
    struct store_certificate *c;
    while ((c = pool_next(&s->certificates, &index)) != NULL) {
        if (c->values == 0) {
            store_inside_certificate_drop(s, c);
        }
    }
    metric_set(t->metrics, METRIC_restored_unproved, s->unproved);
}

/* proof */

static uint16_t judge(struct turn *t, struct store *s, const struct store_set *set,
                      const struct store_value *v, struct store_put_judged *out)
{
    struct overlay_kind kind;
    struct stored_data d;
    uint8_t bucket[GENERIC_CERTIFICATE_BYTES];
    struct wr w = wr_init(bucket, sizeof(bucket));
    secblock_wr_certificate(&w, SECBLOCK_CERTIFICATE_X509,
                            slice_of(value_at(&s->heap, v->certificate_piece), v->certificate_len));
    *out = (struct store_put_judged){0};
    if (!wr_ok(&w) || !kind_find(s->settings.config, set->kind, &kind) ||
        stored_decode(store_inside_wire(s, v), kind_wire_model(set->model), &d) != ERR_OK) {
        return CONTENT_ERROR_INVALID_MESSAGE;
    }
    struct store_put put = {.resource = slice_of(set->resource, sizeof(set->resource)),
                            .replica_number = 1,
                            .bucket = wr_slice(&w)};
    return store_put_judge(t, s, &put, &kind, &d, out);
}

static void drop(struct turn *t, struct store *s, struct store_set *set, struct store_value *v)
{
    metric_add(t->metrics, METRIC_restored_refused, 1);
    log_write(t->log, t->now_us, LOG_WARNING, "restored_refused", "kind=%u", set->kind);
    store_log_remove_value(s, set, v);
    store_inside_unlink(s, set, v);
    if (set->count == 0) {
        store_resources_emptied(s, set);
    }
    store_inside_value_release(s, v);
}

bool store_restore_prove(struct turn *t, struct store *s, struct store_set *set)
{
    for (uint32_t at = set->is_unproved ? set->first : 0; at != 0;) {
        struct store_value *v = store_inside_value(s, at);
        struct store_put_judged judged;
        at = v->next;
        if (!v->is_unproved) {
            continue;
        }
        uint16_t error = judge(t, s, set, v, &judged);
        if (error != 0 && judged.is_unfinished) {
            return false;
        }
        if (error != 0) {
            drop(t, s, set, v);
            continue;
        }
        v->is_unproved = false;
        v->expires_us = min_u64(v->expires_us, t->now_us + (uint64_t)judged.lifetime_s * 1000000);
        v->stamp = ++s->stamp; /* copies that are under way have gone without it */
        s->unproved--;
        metric_add(t->metrics, METRIC_restored_proved, 1);
    }
    set->is_unproved = false;
    metric_set(t->metrics, METRIC_restored_unproved, s->unproved);
    return true;
}

bool store_restore_prove_asked(struct turn *t, struct store *s, struct slice body)
{
    struct msgs_fetch_req req;
    struct stored_specifier what;
    if (msgs_fetch_req_decode(body, s->settings.params, &req) != ERR_OK) {
        return true; /* whoever answers says so */
    }
    struct rd specifiers = rd_init(req.specifiers);
    while (stored_specifier_next(&specifiers, &what)) {
        struct store_set *set = store_set_find(s, req.resource, what.kind);
        if (set != NULL && !store_restore_prove(t, s, set)) {
            return false;
        }
    }
    return true;
}

bool store_restore_step(struct turn *t, struct store *s)
{
    for (uint32_t looked = 0; s->unproved > 0 && looked <= s->sets.in_use; looked++) {
        uint32_t at = s->prove_at;
        struct store_set *set = pool_next(&s->sets, &s->prove_at);
        if (set == NULL) {
            s->prove_at = 0;
        } else if (set->is_unproved) {
            store_inside_expire(t, s, set);
            bool is_done = store_restore_prove(t, s, set);
            s->prove_at = is_done ? s->prove_at : at;
            return is_done;
        }
    }
    return false;
}

uint32_t store_restore_left(const struct store *s)
{
    return s->unproved;
}
