/* SPDX-License-Identifier: Apache-2.0 */
/* verify.c - the steps of dht/overlay_serve and dht/store_put that concern proof, one message or
 * value at a time: header, contents, security block, signer, signature. */
#define _XOPEN_SOURCE 700 /* strptime */
#include "cmd/verify.h"
#include "codec/content.h"
#include "codec/fwd.h"
#include "codec/stored.h"
#include "dht/overlay.h"
#include "dht/sign.h"
#include "link/crypto_boring.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { CERTIFICATES = 64, BUFFERS_CAP = 8, INPUT_BYTES = 32 * 1024 };

/* Everything that a known certificate was judged by. */
struct basis {
    uint8_t digest[CRYPTO_SHA256_BYTES];
    char overlay_name[CRYPTO_OVERLAY_CAP + 1];
    struct slice roots[VERIFY_ROOTS_CAP];
    struct crypto_trust trust;
    struct rl_params params;
};

struct verify {
    struct sign *sign; /* NULL: none for these terms yet */
    bool is_spent;     /* it remembers what the next line must not know */
    struct basis basis;
    uint8_t *root_bytes;
    uint8_t *block;       /* of the arena that `sign` lives in */
    uint32_t input_bytes; /* of the longest signature input that it has room for */
    struct rng rng;
    struct metrics metrics;
    struct turn turn;
    uint8_t *held[BUFFERS_CAP]; /* of this call */
    size_t held_count;
    size_t held_bytes;
    uint8_t *terms_bytes; /* roots of verify_terms_of */
};

static void say(struct verify_verdict *out, const char *format, ...) PRINTF_LIKE(2, 3);
static void say(struct verify_verdict *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(out->why, sizeof(out->why), format, args);
    va_end(args);
    out->is_valid = false;
}

struct verify *verify_make(void)
{
    struct verify *v = calloc(1, sizeof(*v));
    if (v == NULL) {
        return NULL;
    }
    v->turn = (struct turn){.rng = &v->rng, .crypto = crypto_boring(), .metrics = &v->metrics};
    uint64_t seed = 0;
    v->turn.crypto->random(v->turn.crypto, &seed, sizeof(seed));
    rng_init(&v->rng, seed);
    return v;
}

void verify_free(struct verify *v)
{
    if (v != NULL) {
        free(v->root_bytes);
        free(v->terms_bytes);
        free(v->block);
        free(v);
    }
}

/* ---- reading the object ---- */

static bool read_hex(struct verify *v, const json_t *o, const char *key, struct slice *out,
                     struct verify_verdict *verdict)
{
    const json_t *value = json_object_get(o, key);
    size_t len = json_string_length(value), got = 0;
    *out = SLICE_EMPTY;
    if (!json_is_string(value)) {
        say(verdict, "%s: missing, or no text of hex digits", key);
        return false;
    }
    if (len / 2 > VERIFY_BYTES_CAP) {
        say(verdict, "%s: more than %d bytes", key, VERIFY_BYTES_CAP);
        return false;
    }
    CHECK(v->held_count < BUFFERS_CAP);
    uint8_t *bytes = malloc(len / 2 + 1);
    if (bytes == NULL) {
        say(verdict, "%s: not enough memory", key);
        return false;
    }
    v->held[v->held_count++] = bytes;
    if (ids_unhex(slice_of(json_string_value(value), len), bytes, len / 2, &got) != ERR_OK) {
        say(verdict, "%s: not an even number of hex digits", key);
        return false;
    }
    *out = slice_of(bytes, got);
    v->held_bytes += got;
    return true;
}

/* A whole number in a range; `fallback` when it is missing. */
static bool read_number(const json_t *o, const char *key, const uint64_t range[2],
                        const uint64_t *fallback, uint64_t *out, struct verify_verdict *verdict)
{
    const json_t *value = json_object_get(o, key);
    if (value == NULL && fallback != NULL) {
        *out = *fallback;
        return true;
    }
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || (uint64_t)number < range[0] ||
        (uint64_t)number > range[1]) {
        say(verdict, "%s: missing, or no number from %llu to %llu", key,
            (unsigned long long)range[0], (unsigned long long)range[1]);
        return false;
    }
    *out = (uint64_t)number;
    return true;
}

/* The overlay that the first reload URI in this certificate names: the text from '@' to '/', or to
 * the end of the name that the length byte in front of it gives. */
static struct slice find_overlay_name(struct slice der)
{
    static const struct slice scheme = SLICE_LITERAL("reload://");
    const uint8_t *uri = memmem(der.data, der.len, scheme.data, scheme.len);
    if (uri == NULL || uri == der.data) {
        return SLICE_EMPTY;
    }
    size_t left = (size_t)(der.data + der.len - uri);
    size_t len = min_size(uri[-1], left);
    const uint8_t *at = memchr(uri, '@', len);
    if (at == NULL) {
        return SLICE_EMPTY;
    }
    at++;
    const uint8_t *end = uri + len;
    const uint8_t *slash = memchr(at, '/', (size_t)(end - at));
    return slice_of(at, (size_t)((slash == NULL ? end : slash) - at));
}

/* ---- the terms ---- */

static bool read_node_id_length(const json_t *o, uint8_t *out, struct verify_verdict *verdict)
{
    static const uint64_t lengths[2] = {IDS_NODE_MIN, IDS_NODE_MAX}, usual = IDS_NODE_MIN;
    uint64_t length = 0;
    bool is_read = read_number(o, "node_id_length", lengths, &usual, &length, verdict);
    *out = (uint8_t)length;
    return is_read;
}

/* Whatever is there is of the right kind: a typing mistake must not become a default. */
static bool check_kinds_of_values(const json_t *o, struct verify_verdict *verdict)
{
    const json_t *name = json_object_get(o, "overlay_name"), *digest = json_object_get(o, "digest");
    const json_t *permitted = json_object_get(o, "self_signed_permitted");
    if (name != NULL && !json_is_string(name)) {
        say(verdict, "overlay_name: wants text");
        return false;
    }
    if (permitted != NULL && !json_is_boolean(permitted)) {
        say(verdict, "self_signed_permitted: wants true or false");
        return false;
    }
    const char *text = digest == NULL ? "sha1" : json_string_value(digest);
    if (text == NULL || (strcmp(text, "sha1") != 0 && strcmp(text, "sha256") != 0)) {
        say(verdict, "digest: neither sha1 nor sha256");
        return false;
    }
    return true;
}

/* `named`: by a certificate, for when the object names no overlay. */
static bool read_basis(const json_t *o, struct slice named, const struct verify_terms *terms,
                       struct basis *out, struct verify_verdict *verdict)
{
    const json_t *name = json_object_get(o, "overlay_name");
    const char *digest = json_string_value(json_object_get(o, "digest"));
    uint8_t node_id_length = 0;
    if (!check_kinds_of_values(o, verdict)) {
        return false;
    }
    struct slice overlay =
        name == NULL ? named : slice_of(json_string_value(name), json_string_length(name));
    if (overlay.len == 0 || overlay.len > CRYPTO_OVERLAY_CAP) {
        say(verdict, "overlay_name: missing or longer than %d characters", CRYPTO_OVERLAY_CAP);
        return false;
    }
    if (!read_node_id_length(o, &node_id_length, verdict)) {
        return false;
    }
    memset(out, 0, sizeof(*out));
    memcpy(out->overlay_name, overlay.data, overlay.len);
    memcpy(out->roots, terms->roots, sizeof(out->roots));
    out->trust = (struct crypto_trust){
        .root_count = terms->root_count,
        .overlay_name = slice_of(NULL, overlay.len),
        .node_id_length = node_id_length,
        .self_signed_permitted = json_is_true(json_object_get(o, "self_signed_permitted")),
        .self_signed_sha256 = digest != NULL && strcmp(digest, "sha256") == 0};
    return true;
}

/* One number for all of it: SHA-256 over the digests of its parts. */
static void fingerprint(const struct crypto *c, uint64_t at_ms, struct basis *b)
{
    uint8_t parts[(VERIFY_ROOTS_CAP + 2) * CRYPTO_SHA256_BYTES];
    struct wr w = wr_init(parts, sizeof(parts));
    uint8_t digest[CRYPTO_SHA256_BYTES];
    for (size_t i = 0; i < b->trust.root_count; i++) {
        c->sha256(b->roots[i], digest);
        wr_bytes(&w, slice_of(digest, sizeof(digest)));
    }
    c->sha256(slice_text(b->overlay_name), digest);
    wr_bytes(&w, slice_of(digest, sizeof(digest)));
    wr_u64(&w, at_ms);
    wr_u8(&w, b->trust.node_id_length);
    wr_u8(&w, b->trust.self_signed_permitted ? 1 : 0);
    wr_u8(&w, b->trust.self_signed_sha256 ? 1 : 0);
    CHECK(wr_ok(&w));
    c->sha256(wr_slice(&w), b->digest);
}

/* Makes room for signature inputs of `need` bytes. */
static struct sign_limits limits_of(uint32_t input_bytes)
{
    return (struct sign_limits){.certificates = CERTIFICATES, .max_message_bytes = input_bytes};
}

static bool make_room(struct verify *v, size_t need)
{
    CHECK(need <= UINT32_MAX / 2);
    uint32_t bytes = INPUT_BYTES;
    while (bytes < need) {
        bytes *= 2;
    }
    v->sign = NULL;
    free(v->block);
    const struct sign_limits limits = limits_of(bytes);
    v->block = malloc(sign_bytes(&limits));
    v->input_bytes = v->block == NULL ? 0 : bytes;
    return v->block != NULL;
}

/* A fresh judge that remembers nothing. */
static bool begin(struct verify *v, const struct basis *b)
{
    size_t len = 0;
    for (size_t i = 0; i < b->trust.root_count; i++) {
        len += b->roots[i].len;
    }
    uint8_t *roots = malloc(len + 1);
    if (roots == NULL) {
        return false;
    }
    struct basis made = *b; /* which may be our own */
    uint8_t *at = roots;
    for (size_t i = 0; i < b->trust.root_count; i++) {
        memcpy(at, b->roots[i].data, b->roots[i].len);
        made.roots[i] = slice_of(at, b->roots[i].len);
        at += b->roots[i].len;
    }
    free(v->root_bytes);
    v->root_bytes = roots;
    v->basis = made;
    v->is_spent = false;
    v->basis.trust.roots = v->basis.roots;
    v->basis.trust.overlay_name = slice_text(v->basis.overlay_name);
    v->basis.params =
        (struct rl_params){.overlay = overlay_hash_of(&v->turn, v->basis.trust.overlay_name),
                           .node_id_length = v->basis.trust.node_id_length};
    struct arena arena;
    const struct sign_limits limits = limits_of(v->input_bytes);
    arena_init(&arena, v->block, sign_bytes(&limits));
    v->sign = sign_init(&v->turn, &arena, &limits, &v->basis.params, &v->basis.trust);
    return true;
}

/* Makes a judge for these terms ready, or goes on with the one that there is.  `named`: the overlay
 * as a certificate names it. */
static bool agree(struct verify *v, const json_t *o, struct slice named,
                  const struct verify_terms *terms, struct verify_verdict *verdict)
{
    struct basis b;
    if (!read_basis(o, named, terms, &b, verdict)) {
        return false;
    }
    fingerprint(v->turn.crypto, terms->at_ms, &b);
    v->turn.wall_ms = terms->at_ms;
    if ((v->block == NULL || v->held_bytes > v->input_bytes) && !make_room(v, v->held_bytes)) {
        say(verdict, "not enough memory");
        return false;
    }
    bool is_same =
        v->sign != NULL && !v->is_spent && memcmp(v->basis.digest, b.digest, sizeof(b.digest)) == 0;
    if (!is_same && !begin(v, &b)) {
        say(verdict, "not enough memory");
        return false;
    }
    sign_begin_message(v->sign, false);
    return true;
}

/* ---- judging ---- */

/* Lines know nothing of each other.  What the judge remembers may only save work: so a certificate
 * must stand in this bucket, and of buckets with more than one, where one may help another, nothing
 * is remembered. */
static bool is_at_hand(struct verify *v, struct slice bucket,
                       const struct sign_certificate *certificate)
{
    struct rd r = rd_init(bucket);
    struct secblock_certificate c;
    bool is_found = false;
    while (!is_found && secblock_certificate_next(&r, &c)) {
        uint8_t sha256[CRYPTO_SHA256_BYTES];
        v->turn.crypto->sha256(c.der, sha256);
        is_found = memcmp(sha256, certificate->sha256, sizeof(sha256)) == 0;
    }
    return is_found;
}

static enum err find_signer(struct verify *v, const struct secblock_identity *identity,
                            struct slice bucket, const struct sign_certificate **certificate,
                            struct node_id *signer)
{
    enum err e = sign_signer(&v->turn, v->sign, identity, bucket, certificate, signer);
    return e == ERR_OK && !is_at_hand(v, bucket, *certificate) ? ERR_UNAUTHENTICATED : e;
}

static void say_signer(struct verify *v, enum err e, struct verify_verdict *out)
{
    const char *why = sign_why(v->sign, NULL);
    if (*why != '\0') {
        say(out, "the signer's certificate: %s", why);
    } else if (e == ERR_LIMIT) {
        say(out, "too many certificates");
    } else {
        say(out, "no certificate at hand is the signer's");
    }
}

struct parts {
    struct fwd header;
    struct content content;
    struct secblock block;
};

static bool take_apart(struct slice message, const struct rl_params *params, struct parts *parts,
                       struct verify_verdict *out)
{
    struct slice rest;
    enum err e = fwd_decode(message, params, &parts->header);
    if (e != ERR_OK) {
        say(out, "forwarding header: %s", err_text(e));
        return false;
    }
    if (!fwd_is_whole(&parts->header)) {
        say(out, "a fragment: only whole messages are signed");
        return false;
    }
    if (content_decode(parts->header.payload, &parts->content, &rest) != ERR_OK) {
        say(out, "message contents: malformed");
        return false;
    }
    if (secblock_decode(rest, &parts->block) != ERR_OK) {
        say(out, "security block: malformed");
        return false;
    }
    return true;
}

/* Which overlay a message is of, where the object does not say: the one that a certificate of its
 * security block names and its header has the hash of; or else, to have something to compare with,
 * the first named.  Nowhere else in a message does a URI count: its body may be about others. */
static bool find_overlay(struct verify *v, const json_t *o, struct slice message,
                         struct slice *named, struct verify_verdict *out)
{
    struct parts parts;
    struct secblock_certificate c;
    struct rl_params params = {.node_id_length = 0};
    struct rd start = rd_init(message);
    *named = SLICE_EMPTY;
    if (json_object_get(o, "overlay_name") != NULL) {
        return true;
    }
    (void)rd_u32(&start);
    params.overlay = rd_u32(&start); /* whichever it is, here */
    if (!read_node_id_length(o, &params.node_id_length, out) ||
        !take_apart(message, &params, &parts, out)) {
        return false;
    }
    struct rd r = rd_init(parts.block.certificates);
    while (secblock_certificate_next(&r, &c)) {
        struct slice name = find_overlay_name(c.der);
        if (name.len > 0 && overlay_hash_of(&v->turn, name) == params.overlay) {
            *named = name;
            return true;
        }
        *named = named->len == 0 ? name : *named;
    }
    return true;
}

static void judge_message(struct verify *v, const json_t *o, const struct verify_terms *terms,
                          struct verify_verdict *out)
{
    struct slice message, named;
    struct parts parts;
    if (!read_hex(v, o, "hex", &message, out) || !find_overlay(v, o, message, &named, out) ||
        !agree(v, o, named, terms, out) || !take_apart(message, &v->basis.params, &parts, out)) {
        return;
    }
    const struct secblock block = parts.block;
    const struct sign_certificate *certificate = NULL;
    if (block.certificate_count > 1 && !begin(v, &v->basis)) {
        say(out, "not enough memory");
        return;
    }
    enum err e =
        find_signer(v, &block.signature.identity, block.certificates, &certificate, &out->signer);
    v->is_spent = block.certificate_count > 1;
    if (e != ERR_OK) {
        say_signer(v, e, out);
        return;
    }
    e = sign_verify_message(&v->turn, v->sign, parts.header.transaction_id, parts.content.bytes,
                            certificate, &block.signature);
    if (e != ERR_OK) {
        say(out, "%s", err_text(e));
        return;
    }
    out->is_valid = true;
}

static bool read_model(const json_t *o, enum stored_model *out, struct verify_verdict *verdict)
{
    const json_t *name = json_object_get(o, "data_model");
    if (!json_is_string(name) ||
        !stored_model_named(slice_of(json_string_value(name), json_string_length(name)), out)) {
        say(verdict, "data_model: none of single, array, dictionary");
        return false;
    }
    return true;
}

/* The certificate as the bucket of a StoreReq would hold it. */
static bool read_bucket(struct verify *v, const json_t *o, struct slice *der, struct slice *bucket,
                        struct verify_verdict *verdict)
{
    if (!read_hex(v, o, "certificate", der, verdict)) {
        return false;
    }
    if (der->len > CRYPTO_BORING_CERTIFICATE_CAP) {
        say(verdict, "certificate: more than %d bytes", CRYPTO_BORING_CERTIFICATE_CAP);
        return false;
    }
    uint8_t *bytes = malloc(der->len + 8);
    if (bytes == NULL) {
        say(verdict, "not enough memory");
        return false;
    }
    CHECK(v->held_count < BUFFERS_CAP);
    v->held[v->held_count++] = bytes;
    struct wr w = wr_init(bytes, der->len + 8);
    secblock_wr_certificate(&w, SECBLOCK_CERTIFICATE_X509, *der);
    CHECK(wr_ok(&w));
    *bucket = wr_slice(&w);
    return true;
}

static void judge_value(struct verify *v, const json_t *o, const struct verify_terms *terms,
                        struct verify_verdict *out)
{
    static const uint64_t kinds[2] = {0, UINT32_MAX};
    enum stored_model model = STORED_SINGLE;
    struct slice value, resource, der, bucket;
    uint64_t kind = 0;
    if (!read_hex(v, o, "hex", &value, out) || !read_hex(v, o, "resource", &resource, out) ||
        !read_bucket(v, o, &der, &bucket, out) || !read_model(o, &model, out) ||
        !read_number(o, "kind", kinds, NULL, &kind, out) ||
        !agree(v, o, find_overlay_name(der), terms, out)) {
        return;
    }
    struct stored_data data;
    if (stored_decode(value, model, &data) != ERR_OK) {
        say(out, "StoredData: malformed");
        return;
    }
    const struct sign_certificate *certificate = NULL;
    enum err e = find_signer(v, &data.signature.identity, bucket, &certificate, &out->signer);
    if (e != ERR_OK) {
        say_signer(v, e, out);
        return;
    }
    e = sign_verify_value(&v->turn, v->sign, certificate, resource, (uint32_t)kind, &data);
    if (e != ERR_OK) {
        say(out, "%s", err_text(e));
        return;
    }
    out->is_valid = true;
}

static void judge_certificate(struct verify *v, const json_t *o, const struct verify_terms *terms,
                              struct verify_verdict *out)
{
    struct slice der;
    if (!read_hex(v, o, "hex", &der, out) || !agree(v, o, find_overlay_name(der), terms, out)) {
        return;
    }
    const struct sign_certificate *certificate = NULL;
    enum err e = sign_learn(&v->turn, v->sign, der, &certificate);
    if (e == ERR_OK) {
        out->is_valid = true;
        out->names = certificate->parsed;
        return;
    }
    const struct crypto_certificate *names = NULL;
    say(out, "%s", sign_why(v->sign, &names));
    out->names = *names;
}

/* A root is trusted by being named, not by what it says. */
static void judge_root(struct verify *v, const json_t *o, const struct verify_terms *terms,
                       struct verify_verdict *out)
{
    struct slice der;
    if (!read_hex(v, o, "hex", &der, out)) {
        return;
    }
    for (size_t i = 0; i < terms->root_count && !out->is_valid; i++) {
        out->is_valid = slice_is_equal(terms->roots[i], der);
    }
    if (!out->is_valid) {
        say(out, "not among the root certificates of trust");
    }
}

void verify_judge(struct verify *v, const json_t *o, const struct verify_terms *terms,
                  struct verify_verdict *out)
{
    const char *type = json_string_value(json_object_get(o, "type"));
    memset(out, 0, sizeof(*out));
    CHECK(terms->root_count <= VERIFY_ROOTS_CAP);
    if (type == NULL) {
        say(out, "type: missing");
    } else if (strcmp(type, "Message") == 0) {
        judge_message(v, o, terms, out);
    } else if (strcmp(type, "StoredData") == 0) {
        judge_value(v, o, terms, out);
    } else if (strcmp(type, "Certificate") == 0) {
        out->is_certificate = true;
        judge_certificate(v, o, terms, out);
    } else if (strcmp(type, "RootCertificate") == 0) {
        out->is_certificate = true;
        judge_root(v, o, terms, out);
    } else {
        say(out, "type: none of Message, StoredData, Certificate, RootCertificate");
    }
    while (v->held_count > 0) {
        free(v->held[--v->held_count]);
    }
    v->held_bytes = 0;
}

/* ---- trust and time of a line ---- */

/* Does `text` begin as `shape` is, any digit in the place of a 0? */
static bool has_shape(const char *text, const char *shape)
{
    for (; *shape != '\0'; text++, shape++) {
        bool is_right = *shape == '0' ? *text >= '0' && *text <= '9' : *text == *shape;
        if (!is_right) {
            return false;
        }
    }
    return true;
}

/* strptime knows no month that is shorter than 31 days. */
static bool has_day(const struct tm *tm)
{
    struct tm noon = {
        .tm_year = tm->tm_year, .tm_mon = tm->tm_mon, .tm_mday = tm->tm_mday, .tm_hour = 12};
    (void)timegm(&noon);
    return noon.tm_mon == tm->tm_mon && noon.tm_mday == tm->tm_mday;
}

bool verify_time(const char *text, uint64_t *out_ms)
{
    struct tm tm = {0};
    const char *at =
        has_shape(text, "0000-00-00T00:00:00") ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
    int64_t offset_s = 0, ms = 0;
    if (at == NULL || !has_day(&tm)) {
        return false;
    }
    if (*at == '.') {
        int64_t unit = 100;
        if (at[1] < '0' || at[1] > '9') {
            return false;
        }
        for (at++; *at >= '0' && *at <= '9'; at++) {
            ms += unit * (*at - '0');
            unit /= 10;
        }
    }
    if (*at == '+' || *at == '-') {
        struct tm zone = {0};
        const char *end = has_shape(at + 1, "00:00") ? strptime(at + 1, "%H:%M", &zone) : NULL;
        offset_s = (zone.tm_hour * 3600 + zone.tm_min * 60) * (*at == '+' ? 1 : -1);
        at = end == NULL ? "?" : end;
    } else if (*at == 'Z' || *at == 'z') {
        at++;
    } else {
        return false;
    }
    int64_t s = (int64_t)timegm(&tm) - offset_s;
    *out_ms = s < 0 ? 0 : (uint64_t)s * 1000 + (uint64_t)ms;
    return *at == '\0' && s >= 0;
}

static bool read_at(const json_t *at, uint64_t *out_ms)
{
    /* Below: seconds until the year 5138; above: milliseconds from 1973 on. */
    static const double milliseconds_from = 1e11, end_of_time = 1e15;
    struct timespec now;
    if (at == NULL) {
        (void)clock_gettime(CLOCK_REALTIME, &now);
        *out_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
        return true;
    }
    if (json_is_string(at)) {
        return verify_time(json_string_value(at), out_ms);
    }
    double number = json_number_value(at);
    if (!json_is_number(at) || !(number >= 0 && number < end_of_time)) {
        return false;
    }
    *out_ms = (uint64_t)(number < milliseconds_from ? number * 1000 : number);
    return true;
}

bool verify_is_certificate(struct slice bytes)
{
    uint8_t key[CRYPTO_PUBLIC_KEY_CAP];
    size_t len = 0;
    enum crypto_algorithm algorithm = CRYPTO_ALGORITHM_NONE;
    return crypto_boring_certificate_key(bytes, key, sizeof(key), &len, &algorithm) !=
           ERR_MALFORMED;
}

bool verify_terms_of(struct verify *v, const json_t *o, struct verify_terms *out, char *why)
{
    const json_t *trust = json_object_get(o, "trust");
    size_t count = json_array_size(trust), cap = 0, used = 0;
    memset(out, 0, sizeof(*out));
    if ((trust != NULL && !json_is_array(trust)) || count > VERIFY_ROOTS_CAP) {
        (void)snprintf(why, VERIFY_WHY_CAP,
                       "trust: no list of at most %d root certificates as hex DER",
                       VERIFY_ROOTS_CAP);
        return false;
    }
    if (!read_at(json_object_get(o, "at"), &out->at_ms)) {
        (void)snprintf(why, VERIFY_WHY_CAP,
                       "at: neither a time as RFC 3339 has it nor a number of "
                       "seconds or milliseconds since 1970");
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        cap += json_string_length(json_array_get(trust, i)) / 2;
    }
    free(v->terms_bytes);
    v->terms_bytes = malloc(cap + 1);
    if (v->terms_bytes == NULL) {
        (void)snprintf(why, VERIFY_WHY_CAP, "not enough memory");
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *root = json_array_get(trust, i);
        struct slice text = slice_of(json_string_value(root), json_string_length(root));
        size_t len = 0;
        if (!json_is_string(root) ||
            ids_unhex(text, v->terms_bytes + used, cap - used, &len) != ERR_OK) {
            (void)snprintf(why, VERIFY_WHY_CAP, "trust: root certificate %zu is no hex", i + 1);
            return false;
        }
        out->roots[out->root_count++] = slice_of(v->terms_bytes + used, len);
        if (!verify_is_certificate(slice_of(v->terms_bytes + used, len))) {
            (void)snprintf(why, VERIFY_WHY_CAP, "trust: root %zu is not a certificate", i + 1);
            return false;
        }
        used += len;
    }
    return true;
}
