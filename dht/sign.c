/* SPDX-License-Identifier: Apache-2.0 */
/* sign.c - certificates are found by the hash that a SignerIdentity carries anyway, so the usual
 * message costs one table look-up and one signature check.  Order of use is two doubly linked lists
 * of indices: those met once, the end of which is evicted, and those met again, the end of which
 * goes back to the others when it becomes too long. */
#include "dht/sign.h"

#include "dht/budget.h"
#include "dht/verified.h"

STATIC_CHECK(sizeof(struct sign_certificate) <= LIMITS_COST_certificates);

enum { SCRATCH_EXTRA = 1024 }; /* ids, kind, times and the SignerIdentity around what is signed */

/* Within one message the bucket is always the same, so judging again would end as before.  Across
 * messages nothing is remembered: other issuers may come along, and a stranger who changes a byte
 * is new anyway. */
struct refused {
    uint8_t sha256[CRYPTO_SHA256_BYTES];
    enum err error;
    const char *why;
};

/* Order of use, newest first. */
struct order {
    uint32_t newest, oldest; /* index + 1 */
    uint32_t count;
};

enum { FRONT_MAX = 1024 };

struct sign {
    struct sign_certificate *entries;
    struct table by_hash;
    struct verified verified;
    const struct rl_params *params;
    const struct crypto_trust *trust;
    uint32_t cap;
    uint32_t count;
    uint32_t *front; /* found a moment ago, by the first bits of the hash: index + 1 */
    uint32_t front_mask;
    struct order orders[2]; /* by is_kept */
    uint32_t moves;         /* to the front of one of them */
    uint32_t kept_cap;
    uint8_t *ders; /* der_cap bytes for each entry */
    uint32_t der_cap;
    uint32_t scratch_bytes;
    uint8_t *scratch; /* signature inputs */
    /* of the certificate judged last */
    struct crypto_certificate judged;
    const char *why;
    /* budget */
    uint64_t turn_us;
    uint64_t turn_allowed_us;
    bool can_wait;
    uint32_t turn_judged;
    uint32_t message_judged;
    bool is_message_over;
    uint32_t refused_count;
    struct refused refused[SIGN_MESSAGE_JUDGED_CAP];
};

/* Enough for two to share a place rarely. */
static uint32_t front_of(uint32_t certificates)
{
    uint32_t front = 16;
    while (front < 4 * certificates && front < FRONT_MAX) {
        front *= 2;
    }
    return front;
}

size_t sign_bytes(const struct sign_limits *l)
{
    return sizeof(struct sign) +
           (size_t)l->certificates * (sizeof(struct sign_certificate) + l->certificate_bytes) +
           budget_table(l->certificates, CRYPTO_SHA256_BYTES) + verified_bytes(l->values) +
           front_of(l->certificates) * sizeof(uint32_t) + l->max_message_bytes + SCRATCH_EXTRA +
           BUDGET_SLACK;
}

/* So many may be protected: never so many that what came in this turn is evicted in this turn. */
static uint32_t kept_cap_of(uint32_t certificates)
{
    uint32_t others = certificates / 4;
    if (others < 2 * SIGN_MESSAGE_JUDGED_CAP + 4) {
        others = 2 * SIGN_MESSAGE_JUDGED_CAP + 4;
    }
    return certificates > others ? certificates - others : 0;
}

struct sign *sign_init(struct turn *t, struct arena *arena, const struct sign_limits *l,
                       const struct rl_params *params, const struct crypto_trust *trust)
{
    CHECK(l->certificates >= 4);
    struct sign *s = ARENA_ARRAY(arena, struct sign, 1);
    s->entries = ARENA_RAW(arena, struct sign_certificate, l->certificates);
    s->ders = arena_take_raw(arena, l->certificates, l->certificate_bytes, 1);
    s->der_cap = l->certificate_bytes;
    s->front = ARENA_ARRAY(arena, uint32_t, front_of(l->certificates));
    s->front_mask = front_of(l->certificates) - 1;
    table_init(&s->by_hash, arena, l->certificates, CRYPTO_SHA256_BYTES, rng_next(t->rng));
    verified_init(&s->verified, arena, l->values, rng_next(t->rng));
    s->kept_cap = kept_cap_of(l->certificates);
    s->scratch_bytes = l->max_message_bytes + SCRATCH_EXTRA;
    s->scratch = ARENA_SCRATCH(arena, uint8_t, s->scratch_bytes);
    s->cap = l->certificates;
    s->params = params;
    s->trust = trust;
    s->why = "";
    return s;
}

void sign_begin_turn(struct sign *s, uint64_t allowed_us)
{
    s->turn_judged = 0;
    s->turn_us = 0;
    s->turn_allowed_us = allowed_us;
}

void sign_begin_message(struct sign *s, bool can_wait)
{
    s->can_wait = can_wait;
    s->message_judged = 0;
    s->is_message_over = false;
    s->refused_count = 0;
}

uint32_t sign_judged_in_turn(const struct sign *s)
{
    return s->turn_judged;
}

bool sign_is_message_over(const struct sign *s)
{
    return s->is_message_over;
}

/* What a signature costs, in us: BoringSSL here, the larger of what was measured.  Time stands
 * still within a turn, so it is modelled; whoever sends dearer ones than these has had to make
 * them. */
enum {
    COST_RSA_2048_US = 16,
    COST_RSA_US = 60,
    COST_P256_US = 150,
    COST_P384_US = 800,
    COST_ED25519_US = 61,
    COST_SIGN_RSA_US = 650,
    COST_SIGN_ECDSA_US = 60,
    COST_SIGN_ED25519_US = 32,
    COST_SIGN_MAX_US = COST_SIGN_RSA_US,
    COST_JUDGE_US = 50,        /* parsing and comparing, the issuer's signature apart */
    RSA_2048_SPKI_BYTES = 294, /* DER SubjectPublicKeyInfo of these keys */
    P256_SPKI_BYTES = 91,
};

static uint32_t verify_us(enum crypto_algorithm makes, size_t public_key_len)
{
    switch (makes) {
    case CRYPTO_RSA_SHA256:
        return public_key_len <= RSA_2048_SPKI_BYTES ? COST_RSA_2048_US : COST_RSA_US;
    case CRYPTO_ECDSA_SHA256:
        return public_key_len <= P256_SPKI_BYTES ? COST_P256_US : COST_P384_US;
    case CRYPTO_ED25519:
    case CRYPTO_ALGORITHM_NONE:
        break;
    }
    return COST_ED25519_US;
}

static uint32_t sign_us(enum crypto_algorithm algorithm)
{
    switch (algorithm) {
    case CRYPTO_RSA_SHA256:
        return COST_SIGN_RSA_US;
    case CRYPTO_ECDSA_SHA256:
        return COST_SIGN_ECDSA_US;
    case CRYPTO_ED25519:
    case CRYPTO_ALGORITHM_NONE:
        break;
    }
    return COST_SIGN_ED25519_US;
}

uint64_t sign_turn_us(const struct sign *s)
{
    return s->turn_us;
}

bool sign_fits(const struct sign *s, const struct ident *who)
{
    bool fits_all = s->turn_us + COST_SIGN_MAX_US <= s->turn_allowed_us;
    return fits_all || s->turn_us == 0 ||
           s->turn_us + sign_us(who->algorithm) <= s->turn_allowed_us;
}

/* ---- certificates that are known ---- */

static void unlink_entry(struct sign *s, uint32_t index)
{
    struct sign_certificate *c = &s->entries[index];
    struct order *o = &s->orders[c->is_kept];
    *(c->newer == 0 ? &o->newest : &s->entries[c->newer - 1].older) = c->older;
    *(c->older == 0 ? &o->oldest : &s->entries[c->older - 1].newer) = c->newer;
    o->count--;
}

static void link_newest(struct sign *s, uint32_t index, bool is_kept)
{
    struct sign_certificate *c = &s->entries[index];
    struct order *o = &s->orders[is_kept];
    c->is_kept = is_kept;
    c->moved_at = s->moves++;
    c->newer = 0;
    c->older = o->newest;
    if (o->newest != 0) {
        s->entries[o->newest - 1].newer = index + 1;
    }
    o->newest = index + 1;
    if (o->oldest == 0) {
        o->oldest = index + 1;
    }
    o->count++;
}

static NOINLINE void move_to_front(struct sign *s, uint32_t index)
{
    bool is_kept = s->kept_cap > 0;
    if (s->orders[is_kept].newest == index + 1) {
        return;
    }
    unlink_entry(s, index);
    link_newest(s, index, is_kept);
    if (is_kept && s->orders[is_kept].count > s->kept_cap) {
        uint32_t last = s->orders[is_kept].oldest - 1;
        unlink_entry(s, last);
        link_newest(s, last, false);
    }
}

/* Index + 1 of a certificate that was not found a moment ago, 0: not known. */
static NOINLINE uint32_t find_and_note(struct sign *s, const uint8_t *sha256)
{
    uint32_t index = 0;
    if (!table_find(&s->by_hash, sha256, &index)) {
        return 0;
    }
    s->front[rd_at16(sha256) & s->front_mask] = index + 1;
    return index + 1;
}

/* Who is met again is kept; strangers who are met once displace each other only. */
static inline struct sign_certificate *touch(struct sign *s, const uint8_t *sha256)
{
    uint32_t place = s->front[rd_at16(sha256) & s->front_mask];
    if (UNLIKELY(place == 0 ||
                 memcmp(s->entries[place - 1].sha256, sha256, CRYPTO_SHA256_BYTES) != 0)) {
        place = find_and_note(s, sha256);
        if (place == 0) {
            return NULL;
        }
    }
    struct sign_certificate *c = &s->entries[place - 1];
    /* Among those moved last it is as safe as at the very front, and to move it touches three. */
    if (UNLIKELY(!c->is_kept || s->moves - c->moved_at > s->kept_cap / 2)) {
        move_to_front(s, place - 1);
    }
    return c;
}

const struct sign_certificate *sign_find(struct sign *s, const uint8_t sha256[CRYPTO_SHA256_BYTES])
{
    return touch(s, sha256);
}

void sign_forget(struct sign *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        bool was_there = table_remove(&s->by_hash, s->entries[i].sha256);
        CHECK(was_there);
    }
    s->count = 0;
    memset(s->front, 0, (s->front_mask + 1) * sizeof(*s->front));
    memset(s->orders, 0, sizeof(s->orders));
    verified_clear(&s->verified);
}

static uint32_t claim(struct turn *t, struct sign *s)
{
    if (s->count < s->cap) {
        return s->count++;
    }
    uint32_t index = s->orders[false].oldest - 1;
    bool was_there = table_remove(&s->by_hash, s->entries[index].sha256);
    CHECK(was_there);
    unlink_entry(s, index);
    metric_add(t->metrics, METRIC_certificates_evicted, 1);
    return index;
}

static const struct sign_certificate *enter(struct turn *t, struct sign *s, struct slice der,
                                            const uint8_t *sha256,
                                            const struct crypto_certificate *parsed)
{
    uint32_t index = claim(t, s);
    struct sign_certificate *c = &s->entries[index];
    memset(c, 0, sizeof(*c));
    memcpy(c->sha256, sha256, sizeof(c->sha256));
    c->parsed = *parsed;
    memcpy(c->node_id.bytes, parsed->node_ids[0], sizeof(c->node_id.bytes));
    c->is_of_one_node = parsed->node_id_count == 1;
    c->not_before_ms = parsed->not_before_ms;
    c->not_after_ms = parsed->not_after_ms;
    c->verify_us = verify_us(parsed->algorithm, parsed->public_key_len);
    c->host = sign_host(t, slice_of(parsed->user, parsed->user_len));
    c->der = s->ders + (size_t)index * s->der_cap;
    if (der.len <= s->der_cap) {
        memcpy(c->der, der.data, der.len);
        c->der_len = (uint16_t)der.len;
    }
    enum err e = table_insert(&s->by_hash, sha256, index);
    CHECK(e == ERR_OK);
    link_newest(s, index, false);
    metric_add(t->metrics, METRIC_certificates_judged, 1);
    return c;
}

static bool is_in_time(const struct turn *t, const struct sign_certificate *c)
{
    return c->not_before_ms <= t->wall_ms && t->wall_ms <= c->not_after_ms;
}

static enum err check_period(const struct turn *t, struct sign *s, const struct sign_certificate *c,
                             const struct sign_certificate **out)
{
    if (!is_in_time(t, c)) {
        s->judged = c->parsed;
        s->why = t->wall_ms < c->parsed.not_before_ms ? "not yet valid" : "expired";
        return ERR_EXPIRED; /* ID-3: looked at each time */
    }
    *out = c;
    return ERR_OK;
}

/* A bucket as an array: X.509 alone, `count` of them. */
struct candidates {
    struct slice ders[SIGN_BUCKET_CAP];
    size_t count;
};

static const struct candidates no_bucket;

static enum err read_bucket(struct slice list, struct candidates *out)
{
    struct rd r = rd_init(list);
    struct secblock_certificate c;
    uint32_t looked_at = 0;
    out->count = 0;
    while (secblock_certificate_next(&r, &c)) {
        if (++looked_at > SIGN_BUCKET_CAP) {
            return ERR_LIMIT;
        }
        if (c.type == SECBLOCK_CERTIFICATE_X509) {
            out->ders[out->count++] = c.der;
        }
    }
    return ERR_OK;
}

static const struct refused *find_refused(const struct sign *s, const uint8_t *sha256)
{
    for (uint32_t i = 0; i < s->refused_count; i++) {
        if (memcmp(s->refused[i].sha256, sha256, sizeof(s->refused[i].sha256)) == 0) {
            return &s->refused[i];
        }
    }
    return NULL;
}

static enum err refuse(struct turn *t, struct sign *s, const uint8_t *sha256,
                       const struct candidates *bucket, enum err error)
{
    metric_add(t->metrics, METRIC_certificates_refused, 1);
    if (bucket != &no_bucket) { /* with its issuers it may turn out to be good */
        CHECK(s->refused_count < ARRAY_COUNT(s->refused));
        struct refused *r = &s->refused[s->refused_count++];
        memcpy(r->sha256, sha256, sizeof(r->sha256));
        r->error = error;
        r->why = s->why;
    }
    return error;
}

static bool take_budget(struct turn *t, struct sign *s)
{
    if (s->message_judged == SIGN_MESSAGE_JUDGED_CAP) {
        s->is_message_over = true;
        s->why = "too many certificates in one message";
        metric_add(t->metrics, METRIC_certificates_over_budget, 1);
        return false;
    }
    s->message_judged++;
    s->turn_judged++;
    s->turn_us += COST_JUDGE_US + COST_P256_US; /* whoever has signed it */
    return true;
}

/* Judges a certificate that is not known and enters it; `bucket` may hold its issuers. */
static enum err judge(struct turn *t, struct sign *s, struct slice der, const uint8_t *sha256,
                      const struct candidates *bucket, const struct sign_certificate **out)
{
    const struct refused *before = bucket == &no_bucket ? NULL : find_refused(s, sha256);
    memset(&s->judged, 0, sizeof(s->judged));
    s->why = "";
    if (before != NULL) {
        s->why = before->why;
        return before->error;
    }
    if (!take_budget(t, s)) {
        return ERR_LIMIT;
    }
    enum err e = t->crypto->certificate(der, bucket->ders, bucket->count, s->trust, t->wall_ms,
                                        &s->judged, &s->why);
    if (e == ERR_OK && s->judged.node_id_count == 0) {
        s->why = "no Node-ID";
        e = ERR_BAD_CERTIFICATE;
    }
    if (e != ERR_OK) {
        return refuse(t, s, sha256, bucket, e);
    }
    s->why = "";
    return check_period(t, s, enter(t, s, der, sha256, &s->judged), out);
}

static enum err learn(struct turn *t, struct sign *s, struct slice der,
                      const struct candidates *bucket, const struct sign_certificate **out)
{
    uint8_t sha256[CRYPTO_SHA256_BYTES];
    t->crypto->sha256(der, sha256);
    const struct sign_certificate *known = touch(s, sha256);
    return known != NULL ? check_period(t, s, known, out) : judge(t, s, der, sha256, bucket, out);
}

enum err sign_learn(struct turn *t, struct sign *s, struct slice der,
                    const struct sign_certificate **out)
{
    return learn(t, s, der, &no_bucket, out);
}

const char *sign_why(const struct sign *s, const struct crypto_certificate **names)
{
    if (names != NULL) {
        *names = &s->judged;
    }
    return s->why;
}

uint64_t sign_host(struct turn *t, struct slice user)
{
    uint8_t sha256[CRYPTO_SHA256_BYTES];
    uint64_t host = 0;
    t->crypto->sha256(user, sha256);
    memcpy(&host, sha256, sizeof(host));
    return host;
}

/* SG-4: SHA-2 alone.  The length of the digest, 0 for any other algorithm. */
static size_t hash(const struct turn *t, uint8_t algorithm, struct slice bytes,
                   uint8_t out[CRYPTO_SHA512_BYTES])
{
    switch (algorithm) {
    case SECBLOCK_HASH_SHA256:
        t->crypto->sha256(bytes, out);
        return CRYPTO_SHA256_BYTES;
    case SECBLOCK_HASH_SHA384:
        t->crypto->sha384(bytes, out);
        return CRYPTO_SHA384_BYTES;
    case SECBLOCK_HASH_SHA512:
        t->crypto->sha512(bytes, out);
        return CRYPTO_SHA512_BYTES;
    default:
        return 0;
    }
}

static bool is_hash_of(const struct turn *t, const struct secblock_identity *identity,
                       struct slice bytes)
{
    uint8_t digest[CRYPTO_SHA512_BYTES];
    size_t len = hash(t, identity->hash_algorithm, bytes, digest);
    return len > 0 && slice_is_equal(identity->hash, slice_of(digest, len));
}

/* Is this the certificate that the identity names?  With cert_hash_node_id each of its Node-IDs is
 * tried; SG-3: the type must fit the number of Node-IDs. */
static bool is_named(struct turn *t, struct sign *s, const struct secblock_identity *identity,
                     const struct crypto_certificate *parsed, struct slice der,
                     struct node_id *node_id)
{
    bool has_one = parsed->node_id_count == 1;
    if (has_one != (identity->type == SECBLOCK_IDENTITY_CERT_HASH)) {
        return false;
    }
    for (size_t i = 0; i < parsed->node_id_count; i++) {
        struct wr w = wr_init(s->scratch, s->scratch_bytes);
        memcpy(node_id->bytes, parsed->node_ids[i], sizeof(node_id->bytes));
        secblock_wr_identity_input(&w, s->params, (enum secblock_identity_type)identity->type,
                                   node_id, der);
        if (wr_ok(&w) && is_hash_of(t, identity, wr_slice(&w))) {
            return true;
        }
    }
    return false;
}

/* cert_hash: the certificate in the bucket whose hash the identity names.  It alone is judged, so
 * that a bucket full of strangers costs hashes and no more. */
static enum err signer_by_hash(struct turn *t, struct sign *s,
                               const struct secblock_identity *identity,
                               const struct candidates *bucket,
                               const struct sign_certificate **certificate, struct node_id *node_id)
{
    for (size_t i = 0; i < bucket->count; i++) {
        if (!is_hash_of(t, identity, bucket->ders[i])) {
            continue;
        }
        enum err e = learn(t, s, bucket->ders[i], bucket, certificate);
        if (e != ERR_OK) {
            return e;
        }
        const struct crypto_certificate *parsed = &(*certificate)->parsed;
        return is_named(t, s, identity, parsed, bucket->ders[i], node_id) ? ERR_OK
                                                                          : ERR_UNAUTHENTICATED;
    }
    return ERR_UNAUTHENTICATED;
}

/* cert_hash_node_id: which one is meant shows only when its Node-IDs have been read, so those that
 * we do not know are judged one after the other; not many. */
static enum err signer_by_node_id(struct turn *t, struct sign *s,
                                  const struct secblock_identity *identity,
                                  const struct candidates *bucket,
                                  const struct sign_certificate **certificate,
                                  struct node_id *node_id)
{
    uint32_t before = s->message_judged;
    for (size_t i = 0; i < bucket->count; i++) {
        uint8_t sha256[CRYPTO_SHA256_BYTES];
        t->crypto->sha256(bucket->ders[i], sha256);
        const struct sign_certificate *known = touch(s, sha256);
        if (known == NULL && s->message_judged - before == SIGN_JUDGED_CAP &&
            find_refused(s, sha256) == NULL) {
            return ERR_LIMIT;
        }
        enum err e = known != NULL ? check_period(t, s, known, certificate)
                                   : judge(t, s, bucket->ders[i], sha256, bucket, certificate);
        if (e == ERR_LIMIT) {
            return e;
        }
        if (e == ERR_OK &&
            is_named(t, s, identity, &(*certificate)->parsed, bucket->ders[i], node_id)) {
            return ERR_OK;
        }
    }
    return ERR_UNAUTHENTICATED;
}

/* Whoever is not known yet, or is not named by the usual hash. */
static NOINLINE enum err signer_in_bucket(struct turn *t, struct sign *s,
                                          const struct secblock_identity *identity,
                                          struct slice bucket,
                                          const struct sign_certificate **certificate,
                                          struct node_id *node_id)
{
    struct candidates read;
    enum err e = read_bucket(bucket, &read);
    if (e != ERR_OK) {
        return e;
    }
    switch (identity->type) {
    case SECBLOCK_IDENTITY_CERT_HASH:
        return signer_by_hash(t, s, identity, &read, certificate, node_id);
    case SECBLOCK_IDENTITY_CERT_HASH_NODE_ID:
        return signer_by_node_id(t, s, identity, &read, certificate, node_id);
    default:
        return ERR_UNAUTHENTICATED; /* SG-5 */
    }
}

enum err sign_signer(struct turn *t, struct sign *s, const struct secblock_identity *identity,
                     struct slice bucket, const struct sign_certificate **certificate,
                     struct node_id *node_id)
{
    STATIC_CHECK((int)SECBLOCK_USUAL_HASH == (int)CRYPTO_SHA256_BYTES);
    const struct sign_certificate *known = NULL;
    *certificate = NULL;
    s->why = "";
    if (LIKELY(secblock_identity_is_usual(identity) &&
               identity->hash_algorithm == SECBLOCK_HASH_SHA256)) {
        known = touch(s, identity->hash.data);
    }
    if (UNLIKELY(known == NULL)) {
        return signer_in_bucket(t, s, identity, bucket, certificate, node_id);
    }
    if (UNLIKELY(!known->is_of_one_node)) {
        return ERR_UNAUTHENTICATED; /* SG-3 */
    }
    *node_id = known->node_id;
    metric_add(t->metrics, METRIC_certificates_known, 1);
    return check_period(t, s, known, certificate);
}

enum err sign_verify(struct turn *t, struct sign *s, const struct sign_certificate *certificate,
                     const struct secblock_signature *signature, struct slice input)
{
    metric_add(t->metrics, METRIC_signatures_checked, 1);
    s->turn_us += certificate->verify_us;
    return t->crypto->verify(
        slice_of(certificate->parsed.public_key, certificate->parsed.public_key_len),
        (enum crypto_algorithm)signature->algorithm, input, signature->value);
}

enum err sign_verify_value(struct turn *t, struct sign *s,
                           const struct sign_certificate *certificate, struct slice resource,
                           uint32_t kind, const struct stored_data *value)
{
    struct wr w = wr_init(s->scratch, s->scratch_bytes);
    uint8_t hash[CRYPTO_SHA256_BYTES];
    stored_wr_signature_input(&w, resource, kind, value);
    struct slice input = wr_slice(&w);
    wr_u16(&w, value->signature.algorithm);
    wr_opaque16(&w, value->signature.value);
    wr_bytes(&w, slice_of(certificate->sha256, sizeof(certificate->sha256)));
    if (!wr_ok(&w)) {
        return ERR_TOO_LARGE;
    }
    t->crypto->sha256(wr_slice(&w), hash);
    if (verified_has(&s->verified, hash, certificate->sha256)) {
        metric_add(t->metrics, METRIC_values_known, 1);
        return ERR_OK;
    }
    if (s->can_wait && s->turn_us > 0 && s->turn_us >= s->turn_allowed_us) {
        return ERR_MORE;
    }
    enum err e = sign_verify(t, s, certificate, &value->signature, input);
    if (e == ERR_OK) {
        verified_add(&s->verified, hash, certificate->sha256);
    }
    return e;
}

enum err sign_verify_message(struct turn *t, struct sign *s, uint64_t transaction_id,
                             struct slice contents, const struct sign_certificate *certificate,
                             const struct secblock_signature *signature)
{
    enum { AROUND = SECBLOCK_INPUT_FRONT + SECBLOCK_USUAL_IDENTITY };
    const struct secblock_identity *signer = &signature->identity;
    if (LIKELY(secblock_identity_is_usual(signer) && s->scratch_bytes - AROUND >= contents.len)) {
        uint8_t *p = wr_at32(s->scratch, s->params->overlay);
        p = wr_at64(p, transaction_id);
        p = wr_at_bytes(p, contents);
        (void)secblock_put_usual_identity(p, signer->hash_algorithm, signer->hash.data);
        return sign_verify(t, s, certificate, signature,
                           slice_of(s->scratch, AROUND + contents.len));
    }
    struct wr w = wr_init(s->scratch, s->scratch_bytes);
    secblock_wr_message_input(&w, s->params->overlay, transaction_id, contents, signer);
    if (!wr_ok(&w)) {
        return ERR_TOO_LARGE;
    }
    return sign_verify(t, s, certificate, signature, wr_slice(&w));
}

struct secblock_identity sign_identity(const struct ident *who)
{
    return (struct secblock_identity){
        .type = SECBLOCK_IDENTITY_CERT_HASH,
        .hash_algorithm = SECBLOCK_HASH_SHA256,
        .hash = slice_of(who->certificate_sha256, sizeof(who->certificate_sha256))};
}

/* Signs `input`; `out` (CRYPTO_SIGNATURE_CAP bytes) receives the signature value. */
static enum err make(struct turn *t, struct sign *s, const struct ident *who, struct slice input,
                     uint8_t *out, size_t *out_len)
{
    metric_add(t->metrics, METRIC_signatures_made, 1);
    s->turn_us += sign_us(who->algorithm);
    return t->crypto->sign(who->key, input, out, out_len);
}

enum err sign_make_value(struct turn *t, struct sign *s, const struct ident *who,
                         struct slice resource, uint32_t kind, struct stored_data *value,
                         uint8_t *out)
{
    value->signature.algorithm = (uint16_t)who->algorithm;
    value->signature.identity = sign_identity(who);
    struct wr w = wr_init(s->scratch, s->scratch_bytes);
    stored_wr_signature_input(&w, resource, kind, value);
    if (!wr_ok(&w)) {
        return ERR_TOO_LARGE;
    }
    size_t len = 0;
    enum err e = make(t, s, who, wr_slice(&w), out, &len);
    value->signature.value = slice_of(out, e == ERR_OK ? len : 0);
    return e;
}

/* The same DER?  Others differ in their last bytes already, which are the signature's. */
static inline bool is_same_der(struct slice a, struct slice b)
{
    enum { END = 8 };
    if (a.len != b.len ||
        (a.len >= END && memcmp(a.data + a.len - END, b.data + b.len - END, END) != 0)) {
        return false;
    }
    return slice_is_equal(a, b);
}

static struct secblock_signature unsigned_of(const struct ident *who)
{
    return (struct secblock_signature){.algorithm = (uint16_t)who->algorithm,
                                       .identity = sign_identity(who)};
}

/* The SecurityBlock: the signer's certificate, its intermediates, then the others, of which one
 * that is his was there already. */
static inline enum err wr_block(struct wr *w, const struct sign_sealed *what,
                                const struct secblock_signature *signature)
{
    const struct ident *who = what->who;
    size_t mark = wr_begin(w, 2);
    size_t count = 1;
    secblock_wr_der(w, who->certificate);
    for (size_t i = 0; i < who->intermediate_count && count < SIGN_BUCKET_CAP; i++, count++) {
        secblock_wr_der(w, who->intermediates[i]);
    }
    for (size_t i = 0; i < what->certificate_count && count < SIGN_BUCKET_CAP; i++) {
        if (!is_same_der(what->certificates[i], who->certificate)) {
            secblock_wr_der(w, what->certificates[i]);
            count++;
        }
    }
    wr_end(w, 2, mark);
    secblock_wr_signature(w, signature);
    return wr_ok(w) ? ERR_OK : ERR_TOO_LARGE;
}

enum err sign_leave_open(struct wr *w, const struct sign_sealed *what)
{
    struct secblock_signature signature = unsigned_of(what->who);
    return wr_block(w, what, &signature);
}

/* The certificates of a SecurityBlock as they mostly are: the signer's and some of the others. */
struct sealed_list {
    size_t bytes;
    uint32_t taken; /* of the others: bit i, unless that one is his */
};
STATIC_CHECK(SIGN_BUCKET_CAP <= 32);

/* False where wr_block has to look at limits: with intermediates, with many others, with more than
 * the list's length can say. */
static inline bool choose_list(const struct sign_sealed *what, struct sealed_list *out)
{
    const struct ident *who = what->who;
    out->bytes = 3 + who->certificate.len;
    out->taken = 0;
    if (UNLIKELY(what->certificate_count >= SIGN_BUCKET_CAP || who->intermediate_count > 0)) {
        return false;
    }
    for (uint32_t i = 0; i < what->certificate_count; i++) {
        if (!is_same_der(what->certificates[i], who->certificate)) {
            out->bytes += 3 + what->certificates[i].len;
            out->taken |= 1u << i;
        }
    }
    return out->bytes <= UINT16_MAX;
}

static inline uint8_t *put_der(uint8_t *p, struct slice der)
{
    *p++ = SECBLOCK_CERTIFICATE_X509;
    p = wr_at16(p, (uint16_t)der.len);
    return wr_at_bytes(p, der);
}

/* Usually there is room for the longest signature there may be: then all of the block is asked for
 * once, and the value is made where it leaves from, behind the input. */
static inline enum err seal_with_room(struct turn *t, struct sign *s, struct wr *w,
                                      const struct sign_sealed *what,
                                      const struct sealed_list *list, struct slice input)
{
    const struct ident *who = what->who;
    uint8_t *value = w->at + 2 + list->bytes + 2 + SECBLOCK_USUAL_IDENTITY + 2;
    size_t len = 0;
    enum err e = make(t, s, who, input, value, &len);
    if (UNLIKELY(e != ERR_OK)) {
        return e;
    }
    uint8_t *p = wr_at16(w->at, (uint16_t)list->bytes);
    p = put_der(p, who->certificate);
    for (uint32_t left = list->taken; left != 0; left &= left - 1) {
        p = put_der(p, what->certificates[__builtin_ctz(left)]);
    }
    p = wr_at16(p, (uint16_t)who->algorithm);
    p = secblock_put_usual_identity(p, SECBLOCK_HASH_SHA256, who->certificate_sha256);
    (void)wr_at16(p, (uint16_t)len);
    w->at = value + len;
    return ERR_OK;
}

static NOINLINE enum err seal_tightly(struct turn *t, struct sign *s, struct wr *w,
                                      const struct sign_sealed *what, struct slice input)
{
    struct secblock_signature signature = unsigned_of(what->who);
    uint8_t value[CRYPTO_SIGNATURE_CAP];
    size_t len = 0;
    enum err e = make(t, s, what->who, input, value, &len);
    if (e != ERR_OK) {
        return e;
    }
    signature.value = slice_of(value, len);
    return wr_block(w, what, &signature);
}

enum err sign_seal(struct turn *t, struct sign *s, struct wr *w, const struct sign_sealed *what)
{
    enum { SIGNATURE_CAP = 2 + SECBLOCK_USUAL_IDENTITY + 2 + CRYPTO_SIGNATURE_CAP };
    struct secblock_identity identity = sign_identity(what->who);
    struct {
        uint64_t a;
        uint32_t b;
    } lent;
    STATIC_CHECK(sizeof(lent.a) + sizeof(lent.b) == SECBLOCK_INPUT_FRONT);
    if (UNLIKELY(!wr_ok(w) || what->contents_at < SECBLOCK_INPUT_FRONT ||
                 what->contents_at > wr_len(w))) {
        return ERR_TOO_LARGE;
    }
    uint8_t *front = w->start + what->contents_at - SECBLOCK_INPUT_FRONT;
    memcpy(&lent.a, front, sizeof(lent.a));
    memcpy(&lent.b, front + sizeof(lent.a), sizeof(lent.b));
    struct slice input = secblock_put_message_input(w, what->contents_at, s->params->overlay,
                                                    what->transaction_id, &identity);
    if (UNLIKELY(!wr_ok(w))) {
        return ERR_TOO_LARGE;
    }
    struct sealed_list list;
    bool has_room = choose_list(what, &list) && wr_left(w) >= 2 + list.bytes + SIGNATURE_CAP;
    enum err e = LIKELY(has_room) ? seal_with_room(t, s, w, what, &list, input)
                                  : seal_tightly(t, s, w, what, input);
    memcpy(front, &lent.a, sizeof(lent.a));
    memcpy(front + sizeof(lent.a), &lent.b, sizeof(lent.b));
    return e;
}

uint32_t sign_count(const struct sign *s)
{
    return s->count;
}
