/* SPDX-License-Identifier: Apache-2.0 */
/* lookup_records.c - see lookup_records.h. */
#include "bench/lookup_records.h"

#include "codec/content.h"
#include "codec/fwd.h"
#include "codec/msgs.h"
#include "codec/stored.h"
#include "core/hash.h"

#include <stdio.h>

enum { NODE_BYTES = 16, USER_CAP = 40, DATA_CAP = 512, LIFETIME_AT = 12, MAGIC = 0x4243 };

/* RFC 3840, as phones send it. */
#define CONTACT_PREFS "(& (sip.audio=TRUE) (sip.video=TRUE) (sip.mobility=\"fixed\"))      "

static const uint8_t signature[LOOKUP_SIGNATURE_BYTES] = {0x5a, 1, 2, 3};

/* ---- cryptography that costs nothing ---- */

static void null_sha1(struct slice bytes, uint8_t out[CRYPTO_SHA1_BYTES])
{
    hash_128(bytes, 1, out);
    memset(out + 16, 0, CRYPTO_SHA1_BYTES - 16);
}

static void null_sha256(struct slice bytes, uint8_t out[CRYPTO_SHA256_BYTES])
{
    hash_128(bytes, 2, out);
    memcpy(out + 16, out, 16);
}

static void null_md5(struct slice bytes, uint8_t out[CRYPTO_MD5_BYTES])
{
    hash_128(bytes, 3, out);
}

static void null_hmac_sha256(struct slice key, struct slice bytes, uint8_t out[CRYPTO_SHA256_BYTES])
{
    hash_128(bytes, hash_64(key, 4), out);
    memcpy(out + 16, out, 16);
}

static void null_siphash(const uint8_t key[CRYPTO_SIPHASH_BYTES], struct slice bytes,
                         uint8_t out[CRYPTO_SIPHASH_BYTES])
{
    hash_128(bytes, hash_64(slice_of(key, CRYPTO_SIPHASH_BYTES), 5), out);
}

static void null_random(const struct crypto *self, void *out, size_t len)
{
    rng_fill(self->state, out, len);
}

static enum err null_sign(const struct crypto_key *key, struct slice message, uint8_t *out,
                          size_t *out_len)
{
    (void)key;
    (void)message;
    memcpy(out, signature, sizeof(signature));
    *out_len = sizeof(signature);
    return ERR_OK;
}

static enum crypto_algorithm null_algorithm(const struct crypto_key *key)
{
    (void)key;
    return CRYPTO_ED25519;
}

static enum err null_verify(struct slice public_key, enum crypto_algorithm algorithm,
                            struct slice message, struct slice value)
{
    (void)public_key;
    (void)message;
    bool fits = algorithm == CRYPTO_ED25519 && value.len == sizeof(signature);
    return fits ? ERR_OK : ERR_BAD_SIGNATURE;
}

/* Magic, Node-ID, user<8>, filler. */
static enum err null_certificate(struct slice der, const struct slice *intermediates, size_t count,
                                 const struct crypto_trust *trust, uint64_t at_ms,
                                 struct crypto_certificate *out, const char **why)
{
    (void)intermediates, (void)count, (void)trust, (void)at_ms, (void)why;
    struct rd r = rd_init(der);
    memset(out, 0, sizeof(*out));
    uint16_t magic = rd_u16(&r);
    struct slice node_id = rd_bytes(&r, NODE_BYTES);
    struct slice user = rd_opaque8(&r);
    if (!rd_ok(&r) || magic != MAGIC || user.len > USER_CAP) {
        return ERR_BAD_CERTIFICATE;
    }
    memcpy(out->node_ids[0], node_id.data, NODE_BYTES);
    memcpy(out->user, user.data, user.len);
    out->user_len = (uint16_t)user.len;
    out->node_id_count = 1;
    out->node_id_length = NODE_BYTES;
    out->not_before_ms = LOOKUP_WALL_MS - 1000;
    out->not_after_ms = UINT64_C(2) * LOOKUP_WALL_MS;
    out->algorithm = CRYPTO_ED25519;
    memcpy(out->public_key, node_id.data, NODE_BYTES);
    out->public_key_len = NODE_BYTES;
    return ERR_OK;
}

void lookup_crypto_init(struct crypto *c, struct rng *rng)
{
    *c = (struct crypto){.sha1 = null_sha1,
                         .sha256 = null_sha256,
                         .md5 = null_md5,
                         .hmac_sha256 = null_hmac_sha256,
                         .siphash = null_siphash,
                         .random = null_random,
                         .sign = null_sign,
                         .key_algorithm = null_algorithm,
                         .verify = null_verify,
                         .certificate = null_certificate,
                         .state = rng};
}

/* ---- people ---- */

void lookup_person_make(struct lookup_person *p, uint32_t number)
{
    struct ident *id = &p->ident;
    *id = (struct ident){0};
    hash_128(slice_of(&number, sizeof(number)), 77, id->node_id.bytes);
    int len = snprintf(id->user, sizeof(id->user), "user%u@" LOOKUP_OVERLAY, number);
    id->user_len = (size_t)len;
    memset(p->der, (int)number, sizeof(p->der));
    struct wr w = wr_init(p->der, sizeof(p->der));
    wr_u16(&w, MAGIC);
    wr_bytes(&w, slice_of(id->node_id.bytes, NODE_BYTES));
    wr_opaque8(&w, slice_of(id->user, id->user_len));
    CHECK(wr_ok(&w));
    memcpy(p->der + sizeof(p->der) - sizeof(number), &number, sizeof(number));
    id->certificate = slice_of(p->der, sizeof(p->der));
    null_sha256(id->certificate, id->certificate_sha256);
    id->algorithm = CRYPTO_ED25519;
    id->not_before_ms = LOOKUP_WALL_MS - 1000;
    id->not_after_ms = UINT64_C(2) * LOOKUP_WALL_MS;
}

static void resource_of(const struct ident *id, uint8_t out[OVERLAY_RESOURCE_BYTES])
{
    uint8_t sha1[CRYPTO_SHA1_BYTES];
    null_sha1(slice_of(id->user, id->user_len), sha1);
    memcpy(out, sha1, OVERLAY_RESOURCE_BYTES);
}

static struct secblock_signature signature_of(const struct ident *id)
{
    return (struct secblock_signature){
        .algorithm = CRYPTO_ED25519,
        .identity = {.type = SECBLOCK_IDENTITY_CERT_HASH,
                     .hash_algorithm = SECBLOCK_HASH_SHA256,
                     .hash = slice_of(id->certificate_sha256, CRYPTO_SHA256_BYTES)},
        .value = slice_of(signature, sizeof(signature))};
}

static void wr_data(struct wr *w, const struct rl_params *params, uint32_t number,
                    const struct ident *id)
{
    uint8_t list[FWD_NODE_BYTES_MAX];
    uint8_t value[DATA_CAP];
    struct wr l = wr_init(list, sizeof(list));
    fwd_wr_node(&l, params, &id->node_id);
    struct msgs_sip_registration registration = {.type = MSGS_SIP_ROUTE,
                                                 .contact_prefs = SLICE_LITERAL(CONTACT_PREFS),
                                                 .destination_list = wr_slice(&l)};
    struct wr v = wr_init(value, sizeof(value));
    msgs_sip_registration_wr(&v, params, &registration);
    struct stored_data d = {.storage_time_ms = LOOKUP_WALL_MS + number,
                            .lifetime_s = LOOKUP_LIFETIME_S,
                            .value = {.model = STORED_DICTIONARY,
                                      .exists = true,
                                      .key = slice_of(id->node_id.bytes, NODE_BYTES),
                                      .bytes = wr_slice(&v)},
                            .signature = signature_of(id)};
    stored_wr(w, &d);
}

/* ---- requests ---- */

static void begin(struct wr *w, const struct lookup_route *r, const uint8_t *resource)
{
    uint8_t destination[FWD_NODE_BYTES_MAX + 2];
    uint8_t via[FWD_NODE_BYTES_MAX];
    struct wr d = wr_init(destination, sizeof(destination));
    struct wr v = wr_init(via, sizeof(via));
    fwd_wr_resource(&d, slice_of(resource, OVERLAY_RESOURCE_BYTES));
    if (r->via != NULL) {
        fwd_wr_node(&v, r->params, r->via);
    }
    struct fwd h = {.overlay = r->params->overlay,
                    .configuration_sequence = 7,
                    .ttl = 28,
                    .fragment = FWD_FRAGMENT_WHOLE,
                    .transaction_id = r->transaction_id,
                    .via_list = wr_slice(&v),
                    .destination_list = wr_slice(&d)};
    fwd_wr(w, &h);
}

static size_t finish(struct wr *w, const struct lookup_route *r)
{
    struct secblock_signature s = signature_of(&r->sender->ident);
    secblock_wr_x509(w, &r->sender->ident.certificate, 1, &s);
    CHECK(wr_ok(w));
    fwd_put_length(w->start, (uint32_t)wr_len(w));
    return wr_len(w);
}

size_t lookup_store_req(const struct lookup_route *r, uint32_t number, uint8_t *out)
{
    uint8_t resource[OVERLAY_RESOURCE_BYTES];
    struct wr w = wr_init(out, LOOKUP_MESSAGE_CAP);
    resource_of(&r->sender->ident, resource);
    begin(&w, r, resource);
    size_t contents = content_begin(&w, CONTENT_STORE_REQ);
    wr_opaque8(&w, slice_of(resource, sizeof(resource)));
    wr_u8(&w, 0);
    size_t list = wr_begin(&w, 4);
    size_t block = stored_block_begin(&w, OVERLAY_KIND_SIP_REGISTRATION, 0);
    wr_data(&w, r->params, number, &r->sender->ident);
    stored_block_end(&w, block);
    wr_end(&w, 4, list);
    content_end(&w, contents);
    return finish(&w, r);
}

size_t lookup_fetch_req(const struct lookup_route *r, uint32_t number, uint8_t *out)
{
    uint8_t resource[OVERLAY_RESOURCE_BYTES];
    struct lookup_person callee;
    struct wr w = wr_init(out, LOOKUP_MESSAGE_CAP);
    lookup_person_make(&callee, number);
    resource_of(&callee.ident, resource);
    begin(&w, r, resource);
    size_t contents = content_begin(&w, CONTENT_FETCH_REQ);
    wr_opaque8(&w, slice_of(resource, sizeof(resource)));
    size_t list = wr_begin(&w, 2);
    stored_wr_specifier_dictionary(&w, OVERLAY_KIND_SIP_REGISTRATION, 0, NULL, 0);
    wr_end(&w, 2, list);
    content_end(&w, contents);
    return finish(&w, r);
}

/* ---- answers ---- */

/* Reads what all answers have in common; NULL and the body, or what is wrong. */
static const char *open_answer(const struct rl_params *params, struct slice message,
                               uint64_t transaction_id, uint16_t code, struct content *content,
                               struct secblock *security)
{
    struct fwd h;
    struct slice rest;
    if (fwd_decode(message, params, &h) != ERR_OK ||
        content_decode(h.payload, content, &rest) != ERR_OK ||
        secblock_decode(rest, security) != ERR_OK) {
        return "an answer that cannot be read";
    }
    if (content->code != code) {
        return content->code == CONTENT_ERROR ? "an error" : "an answer to another request";
    }
    if (h.transaction_id != transaction_id) {
        return "an answer with another transaction id";
    }
    bool is_signed = security->signature.algorithm == CRYPTO_ED25519 &&
                     slice_is_equal(security->signature.value, slice_of(signature, 64));
    return is_signed ? NULL : "an answer that is not signed";
}

static bool has_certificate(const struct secblock *security, struct slice der)
{
    struct rd r = rd_init(security->certificates);
    struct secblock_certificate c;
    while (secblock_certificate_next(&r, &c)) {
        if (slice_is_equal(c.der, der)) {
            return true;
        }
    }
    return false;
}

const char *lookup_check_fetch(const struct rl_params *params, struct slice message,
                               uint64_t transaction_id, uint32_t number)
{
    struct content content;
    struct secblock security;
    struct msgs_fetch_ans ans;
    struct stored_block block;
    struct stored_data d;
    uint8_t expected[DATA_CAP];
    const char *wrong =
        open_answer(params, message, transaction_id, CONTENT_FETCH_ANS, &content, &security);
    if (wrong != NULL) {
        return wrong;
    }
    struct lookup_person who;
    struct wr w = wr_init(expected, sizeof(expected));
    lookup_person_make(&who, number);
    wr_data(&w, params, number, &who.ident);
    if (msgs_fetch_ans_decode(content.body, params, &ans) != ERR_OK) {
        return "a FetchAns that cannot be read";
    }
    struct rd blocks = rd_init(ans.kind_responses);
    if (!stored_block_next(&blocks, &block) || block.kind != OVERLAY_KIND_SIP_REGISTRATION ||
        block.generation == 0 || rd_left(&blocks) != 0) {
        return "a FetchAns with another Kind";
    }
    if (stored_decode(block.values, STORED_DICTIONARY, &d) != ERR_OK) {
        return "a FetchAns without its one value";
    }
    bool is_same = d.wire.len == wr_len(&w) && memcmp(d.wire.data, expected, LIFETIME_AT) == 0 &&
                   memcmp(d.wire.data + LIFETIME_AT + 4, expected + LIFETIME_AT + 4,
                          d.wire.len - LIFETIME_AT - 4) == 0;
    if (!is_same || d.lifetime_s == 0 || d.lifetime_s > LOOKUP_LIFETIME_S) {
        return "a FetchAns with another value";
    }
    return has_certificate(&security, who.ident.certificate) ? NULL
                                                             : "a FetchAns without the certificate";
}

const char *lookup_check_store(const struct rl_params *params, struct slice message,
                               uint64_t transaction_id)
{
    struct content content;
    struct secblock security;
    return open_answer(params, message, transaction_id, CONTENT_STORE_ANS, &content, &security);
}
