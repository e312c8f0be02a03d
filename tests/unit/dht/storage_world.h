/* SPDX-License-Identifier: Apache-2.0 */
/* storage_world.h - what the tests of storage stand on: a turn, a store, people who can sign.
 *
 * The cryptography is made up, of the right shape, and notices every changed bit; the real one is
 * tried in tests/vector.  Everything lives in one static arena. */
#pragma once
#include "codec/msgs.h"
#include "codec/stored.h"
#include "dht/access.h"
#include "dht/store.h"
#include "dht/store_fetch.h"
#include "dht/store_put.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct crypto_key {
    uint8_t id[16];
};

/* Four FNV lanes with a finish: no cryptography, but no accident either. */
static inline void fake_hash(struct slice bytes, uint64_t salt, uint8_t *out, size_t len)
{
    uint8_t all[CRYPTO_SHA256_BYTES];
    for (uint64_t lane = 0; lane < 4; lane++) {
        uint64_t h = 0xcbf29ce484222325u ^ (salt * 0x9e3779b97f4a7c15u) ^ (lane << 56);
        for (size_t i = 0; i < bytes.len; i++) {
            h = (h ^ bytes.data[i]) * 0x100000001b3u;
            h ^= h >> 29;
        }
        h *= 0xbf58476d1ce4e5b9u;
        h ^= h >> 31;
        memcpy(all + 8 * lane, &h, sizeof(h));
    }
    memcpy(out, all, len);
}

static inline void fake_sha1(struct slice bytes, uint8_t out[CRYPTO_SHA1_BYTES])
{
    fake_hash(bytes, 1, out, CRYPTO_SHA1_BYTES);
}

static inline void fake_sha256(struct slice bytes, uint8_t out[CRYPTO_SHA256_BYTES])
{
    fake_hash(bytes, 2, out, CRYPTO_SHA256_BYTES);
}

static inline void fake_sha384(struct slice bytes, uint8_t out[CRYPTO_SHA384_BYTES])
{
    fake_hash(bytes, 3, out, 32);
    fake_hash(bytes, 4, out + 32, CRYPTO_SHA384_BYTES - 32);
}

static inline void fake_sha512(struct slice bytes, uint8_t out[CRYPTO_SHA512_BYTES])
{
    fake_hash(bytes, 5, out, 32);
    fake_hash(bytes, 6, out + 32, CRYPTO_SHA512_BYTES - 32);
}

static inline void fake_random(const struct crypto *self, void *out, size_t len)
{
    rng_fill(self->state, out, len);
}

static uint32_t fake_verifications;

static inline void fake_signature(const uint8_t *id, struct slice message, uint8_t *out)
{
    uint8_t hash[CRYPTO_SHA256_BYTES];
    uint64_t salt = 0;
    memcpy(&salt, id, sizeof(salt));
    fake_hash(message, salt | 1, hash, sizeof(hash));
    memcpy(out, hash, sizeof(hash));
    memcpy(out + 32, id, 16);
}

static inline enum err fake_sign(const struct crypto_key *key, struct slice message, uint8_t *out,
                                 size_t *out_len)
{
    fake_signature(key->id, message, out);
    *out_len = 48;
    return ERR_OK;
}

static inline enum crypto_algorithm fake_algorithm(const struct crypto_key *key)
{
    (void)key;
    return CRYPTO_ED25519;
}

static inline enum err fake_verify(struct slice public_key, enum crypto_algorithm algorithm,
                                   struct slice message, struct slice signature)
{
    uint8_t wanted[48];
    fake_verifications++;
    fake_signature(public_key.data, message, wanted);
    bool is_good =
        algorithm == CRYPTO_ED25519 && slice_is_equal(signature, slice_of(wanted, sizeof(wanted)));
    return is_good ? ERR_OK : ERR_BAD_SIGNATURE;
}

/* "FC", user<8>, Node-ID, from, until, key id, filler<16> */
static inline enum err fake_certificate(struct slice der, const struct slice *intermediates,
                                        size_t count, const struct crypto_trust *trust,
                                        uint64_t at_ms, struct crypto_certificate *out,
                                        const char **why)
{
    (void)intermediates, (void)count, (void)trust, (void)at_ms, (void)why;
    struct rd r = rd_init(der);
    memset(out, 0, sizeof(*out));
    uint16_t magic = rd_u16(&r);
    struct slice user = rd_opaque8(&r);
    struct slice node_id = rd_bytes(&r, 16);
    out->not_before_ms = rd_u64(&r);
    out->not_after_ms = rd_u64(&r);
    struct slice id = rd_bytes(&r, 16);
    (void)rd_opaque16(&r);
    if (!rd_is_done(&r) || magic != 0x4643 || user.len > CRYPTO_USER_CAP) {
        return ERR_MALFORMED;
    }
    memcpy(out->user, user.data, user.len);
    out->user_len = (uint16_t)user.len;
    memcpy(out->node_ids[0], node_id.data, 16);
    out->node_id_count = 1;
    out->node_id_length = 16;
    out->algorithm = CRYPTO_ED25519;
    memcpy(out->public_key, id.data, 16);
    out->public_key_len = 16;
    return ERR_OK;
}

enum {
    WORLD_KIND_SINGLE = 0xf0000001,
    WORLD_KIND_ARRAY = 0xf0000002,
    WORLD_KIND_DICTIONARY = 0xf0000003,
    WORLD_WALL_MS = 1700000000,
    WORLD_ARENA_BYTES = 24 << 20,
    WORLD_FILLER = 300, /* certificates about as long as real ones */
};
#define WORLD_NOW_MS ((uint64_t)WORLD_WALL_MS * 1000)

struct person {
    struct ident ident;
    struct crypto_key key;
    uint8_t der[1024];
};

struct world {
    bool is_owner; /* of what is put there, when a copy is */
    uint8_t *block;
    struct arena arena;
    struct rng rng;
    struct wheel wheel;
    struct metrics metrics;
    struct msgbuf_pool buffers;
    struct io_outbox out;
    struct crypto crypto;
    struct crypto_trust trust;
    struct rl_params params;
    struct overlay_config config;
    struct sign *sign;
    struct store *store;
    struct turn turn;
    uint8_t scratch[64 * 1024];
};

static inline struct store_settings world_store_settings(struct world *w)
{
    return (struct store_settings){.config = &w->config,
                                   .params = &w->params,
                                   .sign = w->sign,
                                   .sets = 512,
                                   .values = 1024,
                                   .bytes = 512 * 1024,
                                   .certificates = 256,
                                   .values_per_signer = 64,
                                   .lifetime_max_s = 604800};
}

static inline struct world *world_make(uint64_t seed)
{
    struct world *w = calloc(1, sizeof(*w));
    w->block = calloc(1, WORLD_ARENA_BYTES);
    arena_init(&w->arena, w->block, WORLD_ARENA_BYTES);
    rng_init(&w->rng, seed);
    wheel_init(&w->wheel, 1000000);
    msgbuf_pool_init(&w->buffers, &w->arena, 64, 64);
    io_outbox_init(&w->out, &w->arena, 64);
    w->crypto = (struct crypto){.sha1 = fake_sha1,
                                .sha256 = fake_sha256,
                                .sha384 = fake_sha384,
                                .sha512 = fake_sha512,
                                .random = fake_random,
                                .sign = fake_sign,
                                .key_algorithm = fake_algorithm,
                                .verify = fake_verify,
                                .certificate = fake_certificate,
                                .state = &w->rng};
    w->params = (struct rl_params){.overlay = 7, .node_id_length = 16};
    w->turn = (struct turn){.now_us = 1000000,
                            .wall_ms = WORLD_NOW_MS,
                            .rng = &w->rng,
                            .crypto = &w->crypto,
                            .wheel = &w->wheel,
                            .buffers = &w->buffers,
                            .out = &w->out,
                            .metrics = &w->metrics};
    w->config.max_message_bytes = 5000;
    w->config.node_id_length = 16;
    w->config.replica_min_hosts = 2;
    w->config.kinds[0] = (struct overlay_kind){
        WORLD_KIND_SINGLE, OVERLAY_SINGLE, OVERLAY_USER_MATCH, 1, 100, 0, NULL};
    w->config.kinds[1] =
        (struct overlay_kind){WORLD_KIND_ARRAY, OVERLAY_ARRAY, OVERLAY_USER_MATCH, 8, 100, 0, NULL};
    w->config.kinds[2] = (struct overlay_kind){
        WORLD_KIND_DICTIONARY, OVERLAY_DICTIONARY, OVERLAY_USER_MATCH, 8, 100, 0, NULL};
    w->config.kind_count = 3;
    const struct sign_limits signs = {64, 1536, 256, 8192};
    w->sign = sign_init(&w->turn, &w->arena, &signs, &w->params, &w->trust);
    struct store_settings s = world_store_settings(w);
    size_t before = w->arena.used;
    w->store = store_init(&w->turn, &w->arena, &s);
    cr_assert_leq(w->arena.used - before, store_bytes(&s));
    return w;
}

static inline void world_free(struct world *w)
{
    free(w->block);
    free(w);
}

static inline void world_pass(struct world *w, uint64_t ms)
{
    w->turn.now_us += ms * 1000;
    w->turn.wall_ms += ms;
}

/* A person by name, with a Node-ID and a key made from `number`. */
static inline struct person *person_make(struct world *w, const char *user, uint32_t number)
{
    struct person *p = calloc(1, sizeof(*p));
    uint8_t filler[WORLD_FILLER] = {0};
    struct wr out = wr_init(p->der, sizeof(p->der));
    uint8_t hash[CRYPTO_SHA256_BYTES];
    fake_hash(slice_of(&number, sizeof(number)), 77, hash, sizeof(hash));
    memcpy(p->key.id, hash + 16, 16);
    memcpy(p->ident.node_id.bytes, hash, 16);
    p->ident.user_len = strlen(user);
    memcpy(p->ident.user, user, p->ident.user_len);
    p->ident.not_before_ms = WORLD_NOW_MS - 1000000;
    p->ident.not_after_ms = WORLD_NOW_MS + 86400000;
    wr_u16(&out, 0x4643);
    wr_opaque8(&out, slice_text(user));
    wr_bytes(&out, slice_of(p->ident.node_id.bytes, 16));
    wr_u64(&out, p->ident.not_before_ms);
    wr_u64(&out, p->ident.not_after_ms);
    wr_bytes(&out, slice_of(p->key.id, 16));
    wr_opaque16(&out, slice_of(filler, sizeof(filler)));
    p->ident.certificate = wr_slice(&out);
    w->crypto.sha256(p->ident.certificate, p->ident.certificate_sha256);
    p->ident.key = &p->key;
    p->ident.algorithm = CRYPTO_ED25519;
    return p;
}

static inline struct slice person_user(const struct person *p)
{
    return slice_of(p->ident.user, p->ident.user_len);
}

static inline struct overlay_resource resource_of(struct world *w, struct slice name)
{
    struct overlay_resource r;
    access_hash(&w->turn, name, r.bytes);
    return r;
}

static inline struct slice resource_slice(const struct overlay_resource *r)
{
    return slice_of(r->bytes, sizeof(r->bytes));
}

static inline enum stored_model model_of(const struct world *w, uint32_t kind)
{
    struct overlay_kind k;
    cr_assert(kind_find(&w->config, kind, &k));
    return k.data_model == OVERLAY_SINGLE  ? STORED_SINGLE
           : k.data_model == OVERLAY_ARRAY ? STORED_ARRAY
                                           : STORED_DICTIONARY;
}

/* One value as somebody wants it stored. */
struct wish {
    uint32_t kind;
    uint32_t index;
    const char *key;
    const char *text; /* NULL: removal */
    uint64_t time_ms;
    uint32_t lifetime_s;
};

static inline struct stored_data wish_data(const struct world *w, const struct wish *wish)
{
    struct stored_data d = {.storage_time_ms = wish->time_ms, .lifetime_s = wish->lifetime_s};
    d.value.model = model_of(w, wish->kind);
    d.value.exists = wish->text != NULL;
    d.value.bytes = wish->text == NULL ? SLICE_EMPTY : slice_text(wish->text);
    d.value.index = wish->index;
    d.value.key = wish->key == NULL ? SLICE_EMPTY : slice_text(wish->key);
    return d;
}

static inline void wr_wish(struct world *w, struct wr *out, const struct wish *wish,
                           const struct overlay_resource *at, const struct person *signer)
{
    uint8_t signature[CRYPTO_SIGNATURE_CAP];
    struct stored_data d = wish_data(w, wish);
    cr_assert_eq(sign_make_value(&w->turn, w->sign, &signer->ident, resource_slice(at), wish->kind,
                                 &d, signature),
                 ERR_OK);
    stored_wr(out, &d);
}

/* Certificates of `people` as a bucket. */
static inline struct slice bucket_of(struct wr *out, const struct person *const *people,
                                     size_t count)
{
    uint8_t *start = out->at;
    for (size_t i = 0; i < count; i++) {
        secblock_wr_certificate(out, SECBLOCK_CERTIFICATE_X509, people[i]->ident.certificate);
    }
    return slice_of(start, (size_t)(out->at - start));
}

/* store_put as the whole of a message. */
static inline void world_put(struct world *w, const struct store_put *put,
                             struct store_put_outcome *outcome)
{
    sign_begin_message(w->sign, false);
    store_put(&w->turn, w->store, put, outcome);
}

/* Puts one value, signed and sent by the same person. */
static inline struct store_put_outcome put_as(struct world *w, const struct person *signer,
                                              const struct person *sender,
                                              const struct overlay_resource *at,
                                              const struct wish *wish, uint8_t replica_number,
                                              uint64_t generation)
{
    struct wr out = wr_init(w->scratch, sizeof(w->scratch));
    const struct person *people[] = {signer, sender};
    struct store_put put = {.resource = resource_slice(at),
                            .replica_number = replica_number,
                            .is_owner = w->is_owner,
                            .signer_user = person_user(sender),
                            .signer = sender->ident.node_id};
    put.bucket = bucket_of(&out, people, 2);
    uint8_t *start = out.at;
    size_t mark = stored_block_begin(&out, wish->kind, generation);
    if (wish->lifetime_s > 0) { /* else the Kind alone */
        wr_wish(w, &out, wish, at, signer);
    }
    stored_block_end(&out, mark);
    put.kind_data = slice_of(start, (size_t)(out.at - start));
    cr_assert(wr_ok(&out));
    struct store_put_outcome outcome;
    world_put(w, &put, &outcome);
    return outcome;
}

static inline struct store_put_outcome put_own(struct world *w, const struct person *who,
                                               const struct wish *wish)
{
    struct overlay_resource at = resource_of(w, person_user(who));
    return put_as(w, who, who, &at, wish, 0, 0);
}

static inline void world_is_empty(struct world *w)
{
    struct store_totals totals;
    store_totals(w->store, &totals);
    cr_assert_eq(totals.sets, 0);
    cr_assert_eq(totals.values, 0);
    cr_assert_eq(totals.certificates, 0);
    cr_assert_eq(totals.resources, 0);
    cr_assert_eq(totals.stored_bytes, 0);
    cr_assert_eq(w->buffers.in_use[0], 0);
    cr_assert_eq(w->buffers.in_use[1], 0);
}

/* Lets everything age out and sweeps. */
static inline void world_age(struct world *w)
{
    world_pass(w, 3 * 604800 * (uint64_t)1000);
    for (int i = 0; i < 20; i++) {
        (void)store_sweep(&w->turn, w->store);
    }
    world_is_empty(w);
}
