/* SPDX-License-Identifier: Apache-2.0 */
/* Sets in a pool, found by a keyed table; values in a list of their set; bytes in a buddy heap.
 * A value that is over is skipped by everybody and freed by the sweep, or when its set is next
 * written to. */
#include "dht/store.h"

#include "dht/budget.h"
#include "dht/store_inside.h"
#include "dht/store_resources.h"

/* What a pool and an index take for each object: generation and list of the free; a slot, of which
 * there are up to 8/3 of those in use. */
enum { LINE_BYTES = 64, POOL_OVERHEAD = 8, OVERHEAD = POOL_OVERHEAD + 22 };
enum { FOUND_LOOKED_AT = 8 }; /* of those found ahead: some never come to be asked for */

STATIC_CHECK(sizeof(struct store_set) == LINE_BYTES);
STATIC_CHECK(sizeof(struct store_value) <= LINE_BYTES);
STATIC_CHECK(LINE_BYTES + OVERHEAD <= LIMITS_COST_stored_sets);
STATIC_CHECK(LINE_BYTES + POOL_OVERHEAD <= LIMITS_COST_stored_values);
STATIC_CHECK(sizeof(struct store_certificate) + OVERHEAD <= LIMITS_COST_stored_certificates);
STATIC_CHECK(sizeof(struct store_inside_key) == OVERLAY_RESOURCE_BYTES + 4); /* no padding */

size_t store_bytes(const struct store_settings *s)
{
    return sizeof(struct store) + STORE_PLAN_CAP * sizeof(struct store_plan) +
           budget_pool(s->sets, sizeof(struct store_set)) +
           budget_pool(s->values, sizeof(struct store_value)) +
           budget_pool(s->certificates, sizeof(struct store_certificate)) + tags_bytes(s->sets) +
           tags_bytes(s->certificates) + value_heap_bytes(s->bytes) +
           store_log_bytes(s->log_bytes) + BUDGET_SLACK;
}

struct store *store_init(struct turn *t, struct arena *arena, const struct store_settings *s)
{
    struct store *store = ARENA_ARRAY(arena, struct store, 1);
    store->settings = *s;
    store->plan = ARENA_SCRATCH(arena, struct store_plan, STORE_PLAN_CAP);
    struct pool_of sets = {"stored_sets", HANDLE_STORE, s->sets, sizeof(struct store_set)};
    struct pool_of values = {"stored_values", HANDLE_STORE, s->values, sizeof(struct store_value)};
    pool_init_pair(&store->sets, &sets, &store->values, &values, arena);
    pool_init(&store->certificates, arena, "stored_certificates", HANDLE_STORE, s->certificates,
              sizeof(struct store_certificate));
    tags_init(&store->by_key, arena, s->sets, rng_next(t->rng));
    tags_init(&store->by_certificate, arena, s->certificates, rng_next(t->rng));
    value_heap_init(&store->heap, arena, s->bytes);
    store_log_init(&store->log, arena, s->log_bytes);
    return store;
}

static struct store_inside_key key_of(const uint8_t *resource, uint32_t kind)
{
    struct store_inside_key key = {.kind = kind};
    memcpy(key.resource, resource, sizeof(key.resource));
    return key;
}

static uint32_t tag_of(const struct store *s, const uint8_t *resource, uint32_t kind)
{
    struct store_inside_key key = key_of(resource, kind);
    return store_inside_tag(s, &key);
}

/* certificates */

static struct store_certificate *certificate_at(const struct store *s, uint32_t number)
{
    CHECK(number != 0);
    return pool_at(&s->certificates, number - 1);
}

static uint32_t certificate_tag(const struct store *s, const uint8_t *sha256)
{
    return tags_hash(&s->by_certificate, slice_of(sha256, CRYPTO_SHA256_BYTES));
}

static struct store_certificate *certificate_find(const struct store *s, const uint8_t *sha256)
{
    uint32_t tag = certificate_tag(s, sha256);
    uint32_t at = tag;
    uint32_t index = 0;
    while (tags_next(&s->by_certificate, tag, &at, &index)) {
        struct store_certificate *c = pool_at(&s->certificates, index);
        if (memcmp(c->sha256, sha256, sizeof(c->sha256)) == 0) {
            return c;
        }
    }
    return NULL;
}

static void certificate_release(struct store *s, struct store_certificate *c)
{
    CHECK(c->values > 0);
    if (--c->values == 0) {
        store_inside_certificate_drop(s, c);
    }
}

void store_inside_certificate_drop(struct store *s, struct store_certificate *c)
{
    CHECK(c->values == 0);
    store_log_remove_certificate(s, c);
    bool was_there = tags_remove(&s->by_certificate, certificate_tag(s, c->sha256),
                                 pool_index(&s->certificates, c));
    CHECK(was_there);
    value_release(&s->heap, c->piece, c->len);
    pool_release(&s->certificates, c);
}

struct store_certificate *store_inside_certificate_new(struct store *s, const uint8_t *sha256,
                                                       struct slice der)
{
    struct store_certificate *c = pool_acquire(&s->certificates);
    if (c == NULL) {
        return NULL;
    }
    c->piece = value_acquire(&s->heap, der.len);
    if (c->piece == VALUE_NONE) {
        pool_release(&s->certificates, c);
        return NULL;
    }
    memcpy(c->sha256, sha256, sizeof(c->sha256));
    c->len = (uint32_t)der.len;
    memcpy(value_at(&s->heap, c->piece), der.data, der.len);
    enum err e = tags_insert(&s->by_certificate, certificate_tag(s, sha256),
                             pool_index(&s->certificates, c));
    CHECK(e == ERR_OK); /* the index is as large as the pool */
    return c;
}

struct store_certificate *store_inside_certificate_hold(struct turn *t, struct store *s,
                                                        const uint8_t *sha256, struct slice der,
                                                        bool is_replacing)
{
    struct store_certificate *c = certificate_find(s, sha256);
    if (c == NULL && der.len > 0) {
        c = store_inside_certificate_new(s, sha256, der);
    }
    if (c == NULL) {
        metric_add(t->metrics, METRIC_stores_full, 1);
        return NULL;
    }
    if (c->values >= s->settings.values_per_signer && !is_replacing) {
        metric_add(t->metrics, METRIC_stores_over_quota, 1);
        return NULL;
    }
    c->values++;
    return c;
}

enum err store_inside_certificate_add(const struct store *s, const struct store_value *v,
                                      struct store_certificates *list)
{
    const uint8_t *der = value_at(&s->heap, v->certificate_piece);
    for (size_t i = 0; i < list->count; i++) {
        if (list->der[i].data == der) {
            return ERR_OK;
        }
    }
    if (list->count == STORE_CERTIFICATES_CAP) {
        return ERR_LIMIT;
    }
    list->der[list->count++] = slice_of(der, v->certificate_len);
    list->bytes += v->certificate_len + 3u; /* GenericCertificate: type, length */
    return ERR_OK;
}

/* values */

void store_inside_value_release(struct store *s, struct store_value *v)
{
    store_inside_forget_ahead(s);
    if (v->certificate != 0) {
        certificate_release(s, certificate_at(s, v->certificate));
    }
    if (v->piece != VALUE_NONE) {
        value_release(&s->heap, v->piece, v->len);
    }
    s->unproved -= v->is_unproved ? 1 : 0;
    pool_release(&s->values, v);
}

struct slice store_inside_key_of(const struct store *s, const struct store_set *set,
                                 const struct store_value *v)
{
    if (set->model != OVERLAY_DICTIONARY) {
        return SLICE_EMPTY;
    }
    struct rd r = rd_init(slice_from(store_inside_wire(s, v), STORE_INSIDE_OFFSET_PLACE));
    return rd_opaque16(&r);
}

uint32_t store_inside_remaining_s(const struct turn *t, const struct store_value *v)
{
    if (!store_inside_is_alive(t, v)) {
        return 0;
    }
    uint64_t left_s = (v->expires_us - t->now_us) / 1000000;
    return (uint32_t)min_u64(max_u64(left_s, 1), UINT32_MAX); /* */
}

void store_inside_link(struct store *s, struct store_set *set, struct store_value *v)
{
    uint32_t *at = &set->first;
    while (*at != 0) {
        struct store_value *other = store_inside_value(s, *at);
        if (set->model == OVERLAY_ARRAY && other->index > v->index) {
            break;
        }
        at = &other->next;
    }
    v->next = *at;
    *at = store_inside_number(s, v);
    set->count++;
}

void store_inside_take_over(struct store *s, struct store_value *place, struct store_value *v)
{
    struct store_value was = *place;
    *place = *v;
    *v = was;
    store_inside_value_release(s, v);
}

void store_inside_unlink(struct store *s, struct store_set *set, struct store_value *v)
{
    uint32_t *at = &set->first;
    for (;;) {
        struct store_value *other = store_inside_value(s, *at);
        CHECK(other != NULL);
        if (other == v) {
            break;
        }
        at = &other->next;
    }
    *at = v->next;
    set->count--;
}

void store_inside_expire(struct turn *t, struct store *s, struct store_set *set)
{
    uint32_t *at = &set->first;
    set->is_unproved = false;
    while (*at != 0) {
        struct store_value *v = store_inside_value(s, *at);
        if (store_inside_is_alive(t, v)) {
            set->is_unproved |= v->is_unproved;
            at = &v->next;
            continue;
        }
        *at = v->next;
        set->count--;
        store_log_remove_value(s, set, v);
        store_inside_value_release(s, v);
        metric_add(t->metrics, METRIC_values_expired, 1);
    }
    if (set->count == 0) {
        store_resources_emptied(s, set);
    }
}

/* sets */

struct store_set *store_set_get(const struct store *s, handle h)
{
    return pool_get(&s->sets, h);
}

handle store_set_handle(const struct store *s, const struct store_set *set)
{
    return pool_handle(&s->sets, set);
}

struct store_set *store_set_next(const struct store *s, uint32_t *index)
{
    return pool_next(&s->sets, index);
}

struct store_set *store_inside_find(const struct store *s, const struct store_inside_key *key,
                                    uint32_t tag)
{
    uint32_t at = tag;
    uint32_t index = 0;
    while (tags_next(&s->by_key, tag, &at, &index)) {
        struct store_set *set = pool_at(&s->sets, index);
        if (store_inside_is_key_of(set, key)) {
            return set;
        }
    }
    return NULL;
}

struct store_set *store_set_find(struct store *s, struct slice resource, uint32_t kind)
{
    if (resource.len != OVERLAY_RESOURCE_BYTES) {
        return NULL;
    }
    struct store_inside_key key = key_of(resource.data, kind);
    uint32_t until = (uint32_t)min_size(s->found_count, s->found_at + FOUND_LOOKED_AT);
    for (uint32_t at = s->found_at; at < until; at++) { /* by store_ahead; the first */
        const struct store_inside_found *found = &s->found[at];
        if (memcmp(&found->key, &key, sizeof(key)) == 0) {
            s->found_at = at + 1;
            store_ahead_bytes(s, at + 1);
            if (found->set != NULL) {
                return found->set;
            }
            break;
        }
    }
    return store_inside_find(s, &key, store_inside_tag(s, &key));
}

/* Sets that are kept for their counter alone go first when room is needed. */
static bool drop_empty(struct turn *t, struct store *s, struct slice except)
{
    for (uint32_t i = 0; i < STORE_SWEEP_STEP; i++) {
        struct store_set *set = pool_next(&s->sets, &s->sweep_at);
        if (set == NULL) {
            s->sweep_at = 0;
            continue;
        }
        if (slice_is_equal(except, slice_of(set->resource, sizeof(set->resource)))) {
            continue; /* the same request may be about to fill it */
        }
        store_inside_expire(t, s, set);
        if (set->count == 0) {
            store_set_drop(s, set);
            return true;
        }
    }
    return false;
}

struct store_set *store_inside_set_acquire(struct turn *t, struct store *s, struct slice resource,
                                           const struct overlay_kind *kind)
{
    CHECK(resource.len == OVERLAY_RESOURCE_BYTES);
    struct store_set *set = pool_acquire(&s->sets);
    if (set == NULL && drop_empty(t, s, resource)) {
        set = pool_acquire(&s->sets);
    }
    if (set == NULL) {
        metric_add(t->metrics, METRIC_stores_full, 1);
        return NULL;
    }
    memcpy(set->resource, resource.data, sizeof(set->resource));
    set->kind = kind->id;
    set->model = kind->data_model;
    enum err e =
        tags_insert(&s->by_key, tag_of(s, set->resource, set->kind), pool_index(&s->sets, set));
    CHECK(e == ERR_OK);
    return set;
}

void store_set_drop(struct store *s, struct store_set *set)
{
    store_inside_forget_ahead(s);
    store_log_remove_set(s, set);
    store_resources_emptied(s, set);
    uint32_t at = set->first;
    while (at != 0) {
        struct store_value *v = store_inside_value(s, at);
        at = v->next;
        store_inside_value_release(s, v);
    }
    bool was_there =
        tags_remove(&s->by_key, tag_of(s, set->resource, set->kind), pool_index(&s->sets, set));
    CHECK(was_there);
    pool_release(&s->sets, set);
}

bool store_set_is_alive(const struct turn *t, const struct store *s, const struct store_set *set)
{
    for (uint32_t at = set->first; at != 0;) {
        const struct store_value *v = store_inside_value(s, at);
        if (store_inside_is_there(t, v)) {
            return true;
        }
        at = v->next;
    }
    return false;
}

uint64_t store_stamp(const struct store *s)
{
    return s->stamp;
}

struct store_stamps store_set_stamps(const struct store *s, const struct store_set *set)
{
    struct store_stamps stamps = {UINT64_MAX, 0};
    for (uint32_t at = set->first; at != 0;) {
        const struct store_value *v = store_inside_value(s, at);
        stamps.oldest = min_u64(stamps.oldest, v->stamp);
        stamps.newest = max_u64(stamps.newest, v->stamp);
        at = v->next;
    }
    return stamps;
}

bool store_sweep(struct turn *t, struct store *s)
{
    for (uint32_t i = 0; i < STORE_SWEEP_STEP; i++) {
        struct store_set *set = pool_next(&s->sets, &s->sweep_at);
        if (set == NULL) {
            s->sweep_at = 0;
            return true;
        }
        store_inside_expire(t, s, set);
        if (set->count == 0 && set->keep_until_us <= t->now_us) {
            store_set_drop(s, set);
        }
    }
    return false;
}

void store_totals(const struct store *s, struct store_totals *out)
{
    *out = (struct store_totals){.sets = s->sets.in_use,
                                 .values = s->values.in_use,
                                 .certificates = s->certificates.in_use,
                                 .resources = s->resources,
                                 .stored_bytes = s->heap.used_bytes};
}

bool store_walk(const struct turn *t, const struct store *s, uint32_t *index,
                struct overlay_stored *out)
{
    /* The position is that of a value; its set is known to the value's list only, hence two steps:
     * 24 bits the set, 8 bits how many of its values were passed. */
    for (;;) {
        uint32_t at = *index >> 8;
        uint32_t skip = *index & 0xff;
        const struct store_set *set = pool_next(&s->sets, &at);
        if (set == NULL) {
            return false;
        }
        const struct store_value *v = store_inside_value(s, set->first);
        for (uint32_t i = 0; v != NULL && (i < skip || !store_inside_is_there(t, v)); i++) {
            skip += i >= skip ? 1 : 0; /* one that is over */
            v = store_inside_value(s, v->next);
        }
        if (v == NULL || skip >= 0xff) {
            *index = at << 8;
            continue;
        }
        *index = (*index & ~0xffu) | (skip + 1);
        memcpy(out->resource.bytes, set->resource, sizeof(out->resource.bytes));
        out->kind = set->kind;
        out->key = store_inside_key_of(s, set, v);
        out->storage_time_ms = v->storage_time_ms;
        out->wire = store_inside_wire(s, v);
        out->exists = v->exists;
        out->is_owned = false;
        return true;
    }
}
