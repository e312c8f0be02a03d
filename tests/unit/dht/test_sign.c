/* SPDX-License-Identifier: Apache-2.0 */
/* dht/sign: which certificate an identity means, and how little a hostile bucket costs
 * (RFC 6940 6.3.4; catalogue SG-3..SG-6, ID-3). */
#include "tests/unit/dht/storage_world.h"

static unsigned judged;     /* certificates looked at */
static size_t handed;       /* candidates for issuers given along */
static unsigned node_ids;   /* that each certificate is said to have */
static struct slice wanted; /* the only one that is acceptable; empty: all */

static enum err counting_certificate(struct slice der, const struct slice *intermediates,
                                     size_t count, const struct crypto_trust *trust, uint64_t at_ms,
                                     struct crypto_certificate *out, const char **why)
{
    judged++;
    handed = count;
    enum err e = fake_certificate(der, intermediates, count, trust, at_ms, out, why);
    out->node_id_count = (uint8_t)node_ids;
    out->node_ids[1][0] = 0x77;
    if (wanted.len > 0 && !slice_is_equal(der, wanted)) {
        *why = "not the one";
        return ERR_BAD_CERTIFICATE;
    }
    return e;
}

enum { PEOPLE = 20 };

struct bench {
    struct world *w;
    struct person *people[PEOPLE];
    uint8_t bucket[PEOPLE * 1100];
    uint8_t hash[CRYPTO_SHA512_BYTES];
    struct secblock_identity who;
    const struct sign_certificate *got;
    struct node_id id;
};

static void make(struct bench *b)
{
    memset(b, 0, sizeof(*b));
    b->w = world_make(7);
    b->w->crypto.certificate = counting_certificate;
    judged = 0;
    node_ids = 1;
    wanted = SLICE_EMPTY;
    for (uint32_t i = 0; i < PEOPLE; i++) {
        b->people[i] = person_make(b->w, "somebody", i);
    }
}

static void end(struct bench *b)
{
    for (uint32_t i = 0; i < PEOPLE; i++) {
        free(b->people[i]);
    }
    world_free(b->w);
}

/* Who is meant: the certificate of `person`, by its hash. */
static void mean(struct bench *b, uint32_t person, uint8_t algorithm)
{
    struct slice der = b->people[person]->ident.certificate;
    size_t len = algorithm == SECBLOCK_HASH_SHA512   ? CRYPTO_SHA512_BYTES
                 : algorithm == SECBLOCK_HASH_SHA384 ? CRYPTO_SHA384_BYTES
                                                     : CRYPTO_SHA256_BYTES;
    if (algorithm == SECBLOCK_HASH_SHA512) {
        b->w->crypto.sha512(der, b->hash);
    } else if (algorithm == SECBLOCK_HASH_SHA384) {
        b->w->crypto.sha384(der, b->hash);
    } else {
        b->w->crypto.sha256(der, b->hash);
    }
    b->who = (struct secblock_identity){.type = SECBLOCK_IDENTITY_CERT_HASH,
                                        .hash_algorithm = algorithm,
                                        .hash = slice_of(b->hash, len)};
}

static enum err look(struct bench *b, uint32_t first, uint32_t count)
{
    struct wr out = wr_init(b->bucket, sizeof(b->bucket));
    struct slice bucket = bucket_of(&out, (const struct person *const *)(b->people + first), count);
    cr_assert(wr_ok(&out));
    return sign_signer(&b->w->turn, b->w->sign, &b->who, bucket, &b->got, &b->id);
}

Test(sign, sha2_identities)
{
    static struct bench b;
    static const uint8_t good[] = {SECBLOCK_HASH_SHA256, SECBLOCK_HASH_SHA384,
                                   SECBLOCK_HASH_SHA512};
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        make(&b);
        mean(&b, 2, good[i]);
        cr_expect_eq(look(&b, 0, 5), ERR_OK);
        cr_expect(ids_node_is_equal(&b.id, &b.people[2]->ident.node_id));
        cr_expect_eq(judged, 1, "the others cost a hash");
        cr_expect_eq(look(&b, 0, 5), ERR_OK);
        cr_expect_eq(judged, 1, "known by now");
        b.who.hash.len--;
        cr_expect_eq(look(&b, 0, 5), ERR_UNAUTHENTICATED);
        b.who.hash.len++;
        b.who.hash_algorithm = SECBLOCK_HASH_SHA1;
        cr_expect_eq(look(&b, 0, 5), ERR_UNAUTHENTICATED);
        b.who.hash_algorithm = SECBLOCK_HASH_NONE;
        cr_expect_eq(look(&b, 0, 5), ERR_UNAUTHENTICATED);
        end(&b);
    }
}

Test(sign, identity_none_and_unknown_types)
{
    static struct bench b;
    make(&b);
    mean(&b, 0, SECBLOCK_HASH_SHA256);
    cr_expect_eq(look(&b, 0, 1), ERR_OK);
    for (unsigned type = 0; type < 256; type++) {
        b.who.type = (uint8_t)type;
        cr_expect_eq(look(&b, 0, 1) == ERR_OK, type == SECBLOCK_IDENTITY_CERT_HASH, "%u", type);
    }
    end(&b);
}

/* SG-6: too many certificates are too many, wherever the right one stands. */
Test(sign, bucket_cap)
{
    static struct bench b;
    make(&b);
    mean(&b, 15, SECBLOCK_HASH_SHA512);
    cr_expect_eq(look(&b, 0, SIGN_BUCKET_CAP + 1), ERR_LIMIT);
    cr_expect_eq(judged, 0);
    cr_expect_eq(look(&b, 0, SIGN_BUCKET_CAP), ERR_OK);
    cr_expect_eq(handed, SIGN_BUCKET_CAP, "its issuers may stand in the bucket");
    end(&b);
}

static void mean_node_id(struct bench *b, uint32_t person, unsigned which)
{
    static uint8_t input[2048];
    struct node_id id = b->people[person]->ident.node_id;
    if (which == 1) {
        memset(&id, 0, sizeof(id));
        id.bytes[0] = 0x77;
    }
    struct wr w = wr_init(input, sizeof(input));
    secblock_wr_identity_input(&w, &b->w->params, SECBLOCK_IDENTITY_CERT_HASH_NODE_ID, &id,
                               b->people[person]->ident.certificate);
    cr_assert(wr_ok(&w));
    b->w->crypto.sha256(wr_slice(&w), b->hash);
    b->who = (struct secblock_identity){.type = SECBLOCK_IDENTITY_CERT_HASH_NODE_ID,
                                        .hash_algorithm = SECBLOCK_HASH_SHA256,
                                        .hash = slice_of(b->hash, CRYPTO_SHA256_BYTES)};
}

/* SG-3: several Node-IDs and cert_hash_node_id go together, and each of them can be meant. */
Test(sign, node_id_identities)
{
    static struct bench b;
    make(&b);
    mean_node_id(&b, 1, 0);
    cr_expect_eq(look(&b, 0, 3), ERR_UNAUTHENTICATED, "it has one Node-ID");
    end(&b);
    for (unsigned which = 0; which < 2; which++) {
        make(&b);
        node_ids = 2;
        mean_node_id(&b, 1, which);
        cr_expect_eq(look(&b, 0, 3), ERR_OK);
        cr_expect_eq(b.id.bytes[0] == 0x77, which == 1);
        mean(&b, 1, SECBLOCK_HASH_SHA256);
        cr_expect_eq(look(&b, 0, 3), ERR_UNAUTHENTICATED, "it has several, known or not");
        cr_expect_eq(look(&b, 3, 3), ERR_UNAUTHENTICATED);
        end(&b);
    }
}

/* SG-6: at most SIGN_JUDGED_CAP are judged for one signature; those known already are free, and so
 * are those refused before in the same message. */
Test(sign, strangers_in_the_bucket_cost_little)
{
    static struct bench b;
    make(&b);
    node_ids = 2;
    mean_node_id(&b, 15, 0);
    cr_expect_eq(look(&b, 0, 16), ERR_LIMIT);
    cr_expect_eq(judged, SIGN_JUDGED_CAP);
    cr_expect_eq(look(&b, 12, 4), ERR_OK);
    cr_expect_eq(judged, 2 * SIGN_JUDGED_CAP);
    cr_expect_eq(look(&b, 8, 8), ERR_OK, "the right one is known: 8 to 11 are judged");
    cr_expect_eq(judged, 3 * SIGN_JUDGED_CAP);
    sign_begin_message(b.w->sign, false);
    wanted = b.people[19]->ident.certificate;
    mean_node_id(&b, 18, 0);
    for (int i = 0; i < 50; i++) {
        cr_expect_eq(look(&b, 15, 4), ERR_UNAUTHENTICATED);
        cr_expect_eq(judged, 3 * SIGN_JUDGED_CAP + 3, "16 to 18, once");
    }
    sign_begin_message(b.w->sign, false);
    cr_expect_eq(look(&b, 15, 4), ERR_UNAUTHENTICATED);
    cr_expect_eq(judged, 3 * SIGN_JUDGED_CAP + 6, "another message may bring their issuers");
    mean_node_id(&b, 19, 0);
    cr_expect_eq(look(&b, 16, 4), ERR_OK);
    cr_expect_eq(judged, 3 * SIGN_JUDGED_CAP + 7);
    end(&b);
}

/* Whatever a message holds, it gets SIGN_MESSAGE_JUDGED_CAP judgements; what is known is free. */
Test(sign, a_message_has_a_budget)
{
    static struct bench b;
    const struct sign_certificate *c = NULL;
    make(&b);
    sign_begin_turn(b.w->sign, UINT64_MAX);
    wanted = b.people[0]->ident.certificate;
    cr_assert_eq(sign_learn(&b.w->turn, b.w->sign, wanted, &c), ERR_OK);
    sign_begin_message(b.w->sign, false);
    for (uint32_t i = 0; i < 3 * SIGN_MESSAGE_JUDGED_CAP; i++) {
        struct slice der = b.people[1 + i % (PEOPLE - 1)]->ident.certificate;
        cr_expect_eq(sign_is_message_over(b.w->sign), i > SIGN_MESSAGE_JUDGED_CAP);
        cr_expect_eq(sign_learn(&b.w->turn, b.w->sign, der, &c),
                     i < SIGN_MESSAGE_JUDGED_CAP ? ERR_BAD_CERTIFICATE : ERR_LIMIT, "%u", i);
    }
    cr_expect_eq(judged, 1 + SIGN_MESSAGE_JUDGED_CAP);
    cr_expect_eq(metric_read(&b.w->metrics, METRIC_certificates_over_budget),
                 2 * SIGN_MESSAGE_JUDGED_CAP);
    cr_expect_eq(sign_learn(&b.w->turn, b.w->sign, wanted, &c), ERR_OK);
    mean(&b, 1, SECBLOCK_HASH_SHA256);
    cr_expect_eq(look(&b, 1, 1), ERR_LIMIT);
    cr_expect_str_eq(sign_why(b.w->sign, NULL), "too many certificates in one message");
    mean_node_id(&b, 1, 0);
    cr_expect_eq(look(&b, 1, 4), ERR_LIMIT);
    cr_expect_eq(judged, 1 + SIGN_MESSAGE_JUDGED_CAP);
    sign_begin_message(b.w->sign, false);
    cr_expect_not(sign_is_message_over(b.w->sign));
    cr_expect_eq(look(&b, 1, 4), ERR_UNAUTHENTICATED);
    cr_expect_eq(sign_judged_in_turn(b.w->sign), judged);
    sign_begin_turn(b.w->sign, UINT64_MAX);
    cr_expect_eq(sign_judged_in_turn(b.w->sign), 0);
    end(&b);
}

/* However many strangers come by once, whom we deal with stays known. */
Test(sign, strangers_do_not_displace_whom_we_deal_with)
{
    enum { STRANGERS = 200 };
    static struct bench b;
    const struct sign_certificate *c = NULL;
    make(&b);
    for (uint32_t i = 0; i < 8; i++) {
        for (uint32_t twice = 0; twice < 2; twice++) {
            struct slice der = b.people[i]->ident.certificate;
            cr_assert_eq(sign_learn(&b.w->turn, b.w->sign, der, &c), ERR_OK);
        }
    }
    for (uint32_t i = 0; i < STRANGERS; i++) {
        struct person *p = person_make(b.w, "stranger", 5000 + i);
        sign_begin_message(b.w->sign, false);
        cr_assert_eq(sign_learn(&b.w->turn, b.w->sign, p->ident.certificate, &c), ERR_OK);
        free(p);
    }
    for (uint32_t i = 0; i < 8; i++) {
        cr_expect_not_null(sign_find(b.w->sign, b.people[i]->ident.certificate_sha256), "%u", i);
    }
    end(&b);
}

/* A certificate alone may be refused for want of an issuer that stands in the bucket. */
Test(sign, refused_alone_is_not_refused_in_company)
{
    static struct bench b;
    const struct sign_certificate *c = NULL;
    make(&b);
    wanted = b.people[1]->ident.certificate;
    cr_expect_eq(sign_learn(&b.w->turn, b.w->sign, b.people[0]->ident.certificate, &c),
                 ERR_BAD_CERTIFICATE);
    wanted = SLICE_EMPTY;
    mean(&b, 0, SECBLOCK_HASH_SHA256);
    cr_expect_eq(look(&b, 0, 2), ERR_OK);
    cr_expect_eq(judged, 2);
    end(&b);
}

Test(sign, says_why)
{
    static struct bench b;
    const struct crypto_certificate *names = NULL;
    make(&b);
    cr_expect_str_eq(sign_why(b.w->sign, NULL), "");
    wanted = b.people[1]->ident.certificate;
    mean(&b, 0, SECBLOCK_HASH_SHA256);
    cr_expect_eq(look(&b, 0, 1), ERR_BAD_CERTIFICATE);
    cr_expect_str_eq(sign_why(b.w->sign, &names), "not the one");
    cr_expect_str_eq(names->user, "somebody");
    mean(&b, 1, SECBLOCK_HASH_SHA256);
    cr_expect_eq(look(&b, 0, 2), ERR_OK);
    cr_expect_str_eq(sign_why(b.w->sign, NULL), "");
    b.w->turn.wall_ms += 2 * (uint64_t)86400000;
    cr_expect_eq(look(&b, 0, 2), ERR_EXPIRED);
    cr_expect_str_eq(sign_why(b.w->sign, NULL), "expired");
    b.w->turn.wall_ms = 5;
    cr_expect_eq(look(&b, 0, 2), ERR_EXPIRED);
    cr_expect_str_eq(sign_why(b.w->sign, NULL), "not yet valid");
    end(&b);
}

/* What sign_seal shall write for a message of `p` that has `contents` and whose other certificates
 * are `p`'s own and `other`'s, as written field by field. */
static void wr_expected(struct world *w, struct wr *out, const struct person *p,
                        const struct person *other, struct slice contents)
{
    uint8_t input[256], value[CRYPTO_SIGNATURE_CAP];
    const struct slice ders[] = {p->ident.certificate, other->ident.certificate};
    struct secblock_signature signature = {.algorithm = (uint16_t)p->ident.algorithm,
                                           .identity = sign_identity(&p->ident)};
    struct wr i = wr_init(input, sizeof(input));
    secblock_wr_message_input(&i, w->params.overlay, 77, contents, &signature.identity);
    size_t len = 0;
    enum err e = w->crypto.sign(p->ident.key, wr_slice(&i), value, &len);
    cr_assert(e == ERR_OK && wr_ok(&i));
    signature.value = slice_of(value, len);
    secblock_wr_x509(out, ders, ARRAY_COUNT(ders), &signature);
}

/* SG-1: with room for the longest signature or for this one alone, the same bytes; with less, none.
 * The header in front is as it was. */
Test(sign, seals_whatever_room_there_is)
{
    enum { FRONT = 20, CONTENTS = 12, AT = FRONT + CONTENTS };
    static struct bench b;
    static uint8_t whole[8192], out[8192];
    make(&b);
    struct wr e = wr_init(whole, sizeof(whole));
    const struct slice contents = SLICE_LITERAL("\x00\x17\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00");
    memset(wr_claim(&e, FRONT), 0x55, FRONT);
    wr_bytes(&e, contents);
    wr_expected(b.w, &e, b.people[0], b.people[1], contents);
    cr_assert(wr_ok(&e));
    const struct slice others[] = {b.people[0]->ident.certificate, b.people[1]->ident.certificate};
    const struct sign_sealed what = {.who = &b.people[0]->ident,
                                     .transaction_id = 77,
                                     .contents_at = FRONT,
                                     .certificates = others,
                                     .certificate_count = ARRAY_COUNT(others)};
    for (size_t cap = AT; cap < wr_len(&e) + 2 * CRYPTO_SIGNATURE_CAP; cap++) {
        struct wr w = wr_init(out, cap);
        memcpy(wr_claim(&w, AT), whole, AT);
        enum err error = sign_seal(&b.w->turn, b.w->sign, &w, &what);
        cr_assert_eq(error, cap < wr_len(&e) ? ERR_TOO_LARGE : ERR_OK, "%zu", cap);
        cr_assert(error != ERR_OK || slice_is_equal(wr_slice(&w), wr_slice(&e)), "%zu", cap);
        cr_assert_eq(memcmp(out, whole, FRONT), 0, "%zu", cap);
    }
    end(&b);
}
