/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/crypto_fake.h"
#include "core/hash.h"

/* Layout of a certificate: mark, issuer's seal over all that follows, key, Node-ID, validity, user
 * name with its length, zeros, an end.  Mark and end make it an X.509 certificate to whoever reads
 * a capture: all the rest is its serial number (RFC 5280 4.1). */
enum {
    DER_HEAD_BYTES = 12,
    DER_END_BYTES = 65,
    AT_SEAL = DER_HEAD_BYTES + 8,
    AT_KEY = AT_SEAL + 16,
    AT_NODE_ID = AT_KEY + CRYPTO_FAKE_KEY_BYTES,
    AT_NOT_BEFORE = AT_NODE_ID + 16,
    AT_NOT_AFTER = AT_NOT_BEFORE + 8,
    AT_USER_LEN = AT_NOT_AFTER + 8,
    AT_USER = AT_USER_LEN + 1,
    SIGNATURE_BYTES = 64,
};
STATIC_CHECK(AT_USER + CRYPTO_USER_CAP <= CRYPTO_FAKE_CERTIFICATE_BYTES - DER_END_BYTES);

/* The lengths of Certificate, TBSCertificate and serialNumber, and a mark. */
STATIC_CHECK(CRYPTO_FAKE_CERTIFICATE_BYTES == 0x18c + 4);
static const uint8_t mark[AT_SEAL] = {
    0x30, 0x82, 0x01, 0x8c, 0x30, 0x82, 0x01, 0x7e, 0x02, 0x82,
    0x01, 0x43, 'S',  'I',  'M',  'C',  'E',  'R',  'T',  '2',
};

/* Ed25519; issuer: nobody; a year; subject: nobody; an empty key; Ed25519; an empty signature. */
static const uint8_t der_end[] = "\x30\x05\x06\x03\x2b\x65\x70"
                                 "\x30\x00"
                                 "\x30\x1e\x17\x0d"
                                 "260101000000Z"
                                 "\x17\x0d"
                                 "270101000000Z"
                                 "\x30\x00"
                                 "\x30\x0a\x30\x05\x06\x03\x2b\x65\x70\x03\x01\x00"
                                 "\x30\x05\x06\x03\x2b\x65\x70"
                                 "\x03\x01";
STATIC_CHECK(sizeof(der_end) == DER_END_BYTES); /* its last byte is the 0 of the text */

/* Fills `out` with a digest of any length: XXH3-128 of the bytes, and what is longer comes from
 * those 16: a message is read once, and no bit of it changes without all of the digest. */
static void digest(struct slice bytes, uint64_t seed, uint8_t *out, size_t len)
{
    uint8_t first[16];
    hash_128(bytes, seed, first);
    memcpy(out, first, min_size(sizeof(first), len));
    for (size_t done = sizeof(first); done < len; done += sizeof(first)) {
        uint8_t more[16];
        hash_128(slice_of(first, sizeof(first)), seed + done, more);
        memcpy(out + done, more, min_size(sizeof(more), len - done));
    }
}

static void fake_sha1(struct slice bytes, uint8_t out[CRYPTO_SHA1_BYTES])
{
    digest(bytes, 0x100, out, CRYPTO_SHA1_BYTES);
}

static void fake_sha256(struct slice bytes, uint8_t out[CRYPTO_SHA256_BYTES])
{
    digest(bytes, 0x200, out, CRYPTO_SHA256_BYTES);
}

static void fake_sha384(struct slice bytes, uint8_t out[CRYPTO_SHA384_BYTES])
{
    digest(bytes, 0x300, out, 32);
    digest(bytes, 0x301, out + 32, CRYPTO_SHA384_BYTES - 32);
}

static void fake_sha512(struct slice bytes, uint8_t out[CRYPTO_SHA512_BYTES])
{
    digest(bytes, 0x400, out, 32);
    digest(bytes, 0x401, out + 32, CRYPTO_SHA512_BYTES - 32);
}

static void fake_md5(struct slice bytes, uint8_t out[CRYPTO_MD5_BYTES])
{
    digest(bytes, 0x300, out, CRYPTO_MD5_BYTES);
}

static void fake_hmac_sha1(struct slice key, struct slice bytes, uint8_t out[CRYPTO_SHA1_BYTES])
{
    digest(bytes, hash_64(key, 1), out, CRYPTO_SHA1_BYTES);
}

static void fake_hmac_sha256(struct slice key, struct slice bytes, uint8_t out[CRYPTO_SHA256_BYTES])
{
    digest(bytes, hash_64(key, 0), out, CRYPTO_SHA256_BYTES);
}

static void fake_siphash(const uint8_t key[CRYPTO_SIPHASH_BYTES], struct slice bytes,
                         uint8_t out[CRYPTO_SIPHASH_BYTES])
{
    digest(bytes, hash_64(slice_of(key, CRYPTO_SIPHASH_BYTES), 2), out, CRYPTO_SIPHASH_BYTES);
}

static void fake_random(const struct crypto *self, void *out, size_t len)
{
    rng_fill(self->state, out, len);
}

static void signature_of(struct slice public_key, struct slice message, uint8_t *out)
{
    digest(message, hash_64(public_key, 0), out, SIGNATURE_BYTES);
}

static enum err fake_sign(const struct crypto_key *key, struct slice message, uint8_t *out,
                          size_t *out_len)
{
    const struct crypto_fake_key *k = (const struct crypto_fake_key *)(const void *)key;
    signature_of(slice_of(k->public_key, sizeof(k->public_key)), message, out);
    *out_len = SIGNATURE_BYTES;
    return ERR_OK;
}

static enum crypto_algorithm fake_algorithm(const struct crypto_key *key)
{
    (void)key;
    return CRYPTO_ED25519;
}

static enum err fake_verify(struct slice public_key, enum crypto_algorithm algorithm,
                            struct slice message, struct slice signature)
{
    uint8_t expected[SIGNATURE_BYTES];
    signature_of(public_key, message, expected);
    bool fits = algorithm == CRYPTO_ED25519 &&
                slice_is_equal(signature, slice_of(expected, sizeof(expected)));
    return fits ? ERR_OK : ERR_BAD_SIGNATURE;
}

static void seal(struct slice root, const uint8_t *certificate, uint8_t out[16])
{
    struct slice rest = slice_of(certificate + AT_KEY, CRYPTO_FAKE_CERTIFICATE_BYTES - AT_KEY);
    digest(rest, hash_64(root, 0), out, 16);
}

static bool is_issued(struct slice der, const struct crypto_trust *trust)
{
    uint8_t expected[16];
    for (size_t i = 0; i < trust->root_count; i++) {
        seal(trust->roots[i], der.data, expected);
        if (memcmp(expected, der.data + AT_SEAL, sizeof(expected)) == 0) {
            return true;
        }
    }
    return false;
}

static enum err refuse(const char **why, const char *text)
{
    if (why != NULL) {
        *why = text;
    }
    return ERR_BAD_CERTIFICATE;
}

static enum err fake_certificate(struct slice der, const struct slice *intermediates,
                                 size_t intermediate_count, const struct crypto_trust *trust,
                                 uint64_t at_ms, struct crypto_certificate *out, const char **why)
{
    (void)intermediates;
    (void)intermediate_count;
    (void)at_ms;
    if (der.len != CRYPTO_FAKE_CERTIFICATE_BYTES || memcmp(der.data, mark, sizeof(mark)) != 0) {
        return refuse(why, "not a simulated certificate");
    }
    if (!is_issued(der, trust)) {
        return refuse(why, "not issued by a root of this overlay");
    }
    for (size_t i = 0; i < trust->bad_node_count; i++) {
        if (memcmp(trust->bad_nodes + 20 * i, der.data + AT_NODE_ID, 16) == 0) {
            return refuse(why, "a Node-ID that the overlay excludes");
        }
    }
    memset(out, 0, sizeof(*out));
    out->node_id_count = 1;
    out->node_id_length = 16;
    memcpy(out->node_ids[0], der.data + AT_NODE_ID, 16);
    memcpy(&out->not_before_ms, der.data + AT_NOT_BEFORE, 8);
    memcpy(&out->not_after_ms, der.data + AT_NOT_AFTER, 8);
    out->user_len = der.data[AT_USER_LEN];
    memcpy(out->user, der.data + AT_USER, min_size(out->user_len, CRYPTO_USER_CAP));
    out->algorithm = CRYPTO_ED25519;
    out->public_key_len = CRYPTO_FAKE_KEY_BYTES;
    memcpy(out->public_key, der.data + AT_KEY, CRYPTO_FAKE_KEY_BYTES);
    return ERR_OK;
}

void crypto_fake_init(struct crypto *c, struct rng *rng)
{
    *c = (struct crypto){
        .sha1 = fake_sha1,
        .sha256 = fake_sha256,
        .sha384 = fake_sha384,
        .sha512 = fake_sha512,
        .md5 = fake_md5,
        .hmac_sha1 = fake_hmac_sha1,
        .hmac_sha256 = fake_hmac_sha256,
        .siphash = fake_siphash,
        .random = fake_random,
        .sign = fake_sign,
        .key_algorithm = fake_algorithm,
        .verify = fake_verify,
        .certificate = fake_certificate,
        .state = rng,
    };
}

void crypto_fake_key_make(struct crypto_fake_key *key, struct rng *rng)
{
    rng_fill(rng, key->public_key, sizeof(key->public_key));
}

void crypto_fake_issue(struct slice root, const struct crypto_fake_key *key,
                       const struct crypto_fake_names *names,
                       uint8_t out[CRYPTO_FAKE_CERTIFICATE_BYTES])
{
    CHECK(names->user.len <= CRYPTO_USER_CAP);
    memset(out, 0, CRYPTO_FAKE_CERTIFICATE_BYTES);
    memcpy(out, mark, sizeof(mark));
    memcpy(out + AT_KEY, key->public_key, CRYPTO_FAKE_KEY_BYTES);
    memcpy(out + AT_NODE_ID, names->node_id, 16);
    memcpy(out + AT_NOT_BEFORE, &names->not_before_ms, 8);
    memcpy(out + AT_NOT_AFTER, &names->not_after_ms, 8);
    out[AT_USER_LEN] = (uint8_t)names->user.len;
    memcpy(out + AT_USER, names->user.data, names->user.len);
    memcpy(out + CRYPTO_FAKE_CERTIFICATE_BYTES - DER_END_BYTES, der_end, DER_END_BYTES);
    seal(root, out, out + AT_SEAL);
}
