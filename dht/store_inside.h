/* SPDX-License-Identifier: Apache-2.0 */
/* store_inside.h - what store.c, store_put.c and store_fetch.c share. Nobody else includes it.
 *
 * Owner: the store. */
#pragma once
#include "dht/store.h"
#include "dht/store_log.h"

enum {
    /* In StoredData: length, storage_time, lifetime, then array index, or dictionary key. */
    STORE_INSIDE_OFFSET_PLACE = 16,
    STORE_INSIDE_INFO_CAP = 1024,
};

struct store_inside_key {
    uint8_t resource[OVERLAY_RESOURCE_BYTES];
    uint32_t kind;
};

/* One cache line, from which all that a Fetch copies can be asked for at once.  Values and
 * certificates name each other by their index in the pool + 1, 0 = none. */
struct store_value {
    uint32_t next;
    uint32_t certificate;
    uint64_t storage_time_ms;
    uint64_t expires_us;
    uint64_t stamp;
    uint32_t piece; /* in the heap: StoredData as received, its array index resolved */
    uint32_t len;
    uint32_t index;
    uint32_t certificate_piece; /* as in the certificate */
    uint16_t certificate_len;
    bool exists;
    bool is_unproved;
};

struct store_certificate {
    uint8_t sha256[CRYPTO_SHA256_BYTES];
    uint32_t piece;
    uint32_t len;
    uint32_t values; /* that need it */
    bool is_told;    /* to whoever keeps what is stored */
};

/* One value of a StoreReq on its way in. */
struct store_plan {
    struct stored_data data;
    uint8_t certificate_sha256[CRYPTO_SHA256_BYTES];
    uint32_t kind_at; /* in outcome.kinds */
    uint32_t index;   /* resolved */
    uint32_t lifetime_s;
    uint32_t replaced; /* value + 1 */
    uint32_t value;    /* reserved: value + 1 */
};

/* What a request that is expected asks for (store_ahead). */
struct store_inside_found {
    struct store_inside_key key;
    struct store_set *set;           /* NULL: none, as far as is known */
    const struct store_value *value; /* its first; for fetching ahead only */
};

struct store {
    struct store_settings settings;
    struct store_inside_found found[STORE_AHEAD];
    uint32_t found_at; /* the one that is likely asked for next */
    uint32_t found_count;
    struct pool sets;
    struct pool values;
    struct pool certificates;
    struct tags by_key;         /* struct store_inside_key to the set's index */
    struct tags by_certificate; /* SHA-256 to the certificate's index */
    struct value_heap heap;
    struct store_log log;
    uint32_t resources; /* dht/store_resources's */
    uint32_t unproved;  /* values */
    uint32_t prove_at;  /* the next set that is looked at for them */
    uint64_t stamp;
    uint32_t sweep_at;
    uint32_t plan_count;
    struct store_plan *plan; /* STORE_PLAN_CAP */
    uint8_t info[STORE_INSIDE_INFO_CAP];
};

struct store_set *store_inside_set_acquire(struct turn *t, struct store *s, struct slice resource,
                                           const struct overlay_kind *kind);
/* NULL for 0. */
static inline struct store_value *store_inside_value(const struct store *s, uint32_t number)
{
    return number == 0 ? NULL : pool_at(&s->values, number - 1);
}
static inline uint32_t store_inside_number(const struct store *s, const struct store_value *v)
{
    return pool_index(&s->values, v) + 1;
}
void store_inside_value_release(struct store *s, struct store_value *v);
/* NULL: no room.  Nothing needs it yet. */
struct store_certificate *store_inside_certificate_new(struct store *s, const uint8_t *sha256,
                                                       struct slice der);
void store_inside_certificate_drop(struct store *s, struct store_certificate *c);
static inline bool store_inside_is_alive(const struct turn *t, const struct store_value *v)
{
    return v->expires_us > t->now_us;
}
/* Alive, and proved in this life: only such a value is shown to anybody. */
static inline bool store_inside_is_there(const struct turn *t, const struct store_value *v)
{
    return v->expires_us > t->now_us && !v->is_unproved;
}
static inline struct slice store_inside_wire(const struct store *s, const struct store_value *v)
{
    return slice_of(value_at(&s->heap, v->piece), v->len);
}
/* Sets that were found ahead may be gone. */
static inline void store_inside_forget_ahead(struct store *s)
{
    s->found_count = 0;
}
static inline uint32_t store_inside_tag(const struct store *s, const struct store_inside_key *key)
{
    STATIC_CHECK(sizeof(*key) == 20);
    return tags_hash_of_20(&s->by_key, key);
}
/* The set with this key, whose tag is known; NULL: none. */
struct store_set *store_inside_find(const struct store *s, const struct store_inside_key *key,
                                    uint32_t tag);
/* Has the processor fetch what found[at] will copy. */
void store_ahead_bytes(const struct store *s, uint32_t at);
static inline bool store_inside_is_key_of(const struct store_set *set,
                                          const struct store_inside_key *key)
{
    return set->kind == key->kind &&
           memcmp(set->resource, key->resource, sizeof(set->resource)) == 0;
}
/* Puts `v` into the list of its set. */
void store_inside_link(struct store *s, struct store_set *set, struct store_value *v);
void store_inside_unlink(struct store *s, struct store_set *set, struct store_value *v);
/* Values that are in no set: what is `v` comes to stand in `place`, which is released as it was.  A
 * set and its only value are made together, so that they lie beside each other (pool_init_pair):
 * they shall go on to when the value is stored again. */
void store_inside_take_over(struct store *s, struct store_value *place, struct store_value *v);
/* Takes out what is over. */
void store_inside_expire(struct turn *t, struct store *s, struct store_set *set);
/* The certificate with one more user; NULL: no room, or its signer has too many values, which
 * one that is about to lose another may not mind. */
struct store_certificate *store_inside_certificate_hold(struct turn *t, struct store *s,
                                                        const uint8_t *sha256, struct slice der,
                                                        bool is_replacing);
/* ERR_LIMIT when one more kind of certificate does not fit. */
enum err store_inside_certificate_add(const struct store *s, const struct store_value *v,
                                      struct store_certificates *list) MUST_USE;
/* Dictionary key of a stored value. */
struct slice store_inside_key_of(const struct store *s, const struct store_set *set,
                                 const struct store_value *v);
uint32_t store_inside_remaining_s(const struct turn *t, const struct store_value *v);
