/* SPDX-License-Identifier: Apache-2.0 */
/* crypto_boring.c - signatures and hashes are one-line affairs; a certificate is judged in steps:
 * its key, its names, its signer (a chain to a root, or itself where the overlay permits that).
 * Sizes are checked before anything expensive is done with what a stranger sent. */
#include "link/crypto_boring.h"
#include "core/siphash.h"
#include "link/crypto_keys_boring.h"
#include "link/crypto_names_boring.h"

#include <openssl/bio.h>
#include <openssl/bytestring.h>
#include <openssl/digest.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/md5.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

struct crypto_key {
    EVP_PKEY *object;
    enum crypto_algorithm algorithm;
};

enum {
    INTERMEDIATES_CAP = 4,
    ISSUER_EXTENSIONS_CAP = 16,
    ISSUER_EXTENSION_BYTES_CAP = 2048, /* all of them together */
    MAC_BLOCK_BYTES = 64,              /* of SHA-1 and SHA-256 */
    MAC_INNER = 0x36,
    MAC_OUTER = 0x5c,
    RSA_BITS_MIN = 2048,
    RSA_BITS_MAX = 4096
};

/* ---- hashes ---- */

static void hash_sha1(struct slice bytes, uint8_t out[CRYPTO_SHA1_BYTES])
{
    SHA1(bytes.data, bytes.len, out);
}

static void hash_sha256(struct slice bytes, uint8_t out[CRYPTO_SHA256_BYTES])
{
    SHA256(bytes.data, bytes.len, out);
}

static void hash_sha384(struct slice bytes, uint8_t out[CRYPTO_SHA384_BYTES])
{
    SHA384(bytes.data, bytes.len, out);
}

static void hash_sha512(struct slice bytes, uint8_t out[CRYPTO_SHA512_BYTES])
{
    SHA512(bytes.data, bytes.len, out);
}

static void hash_md5(struct slice bytes, uint8_t out[CRYPTO_MD5_BYTES])
{
    MD5(bytes.data, bytes.len, out);
}

/* HMAC by the hash functions themselves (RFC 2104): BoringSSL's HMAC allocates three contexts each
 * time, and each REGISTER and each STUN check asks for one. */
static void pad_key(struct slice key, uint8_t with, uint8_t pad[MAC_BLOCK_BYTES])
{
    memset(pad, with, MAC_BLOCK_BYTES);
    for (size_t i = 0; i < key.len; i++) {
        pad[i] ^= key.data[i];
    }
}

static void mac_sha1(struct slice key, struct slice bytes, uint8_t out[CRYPTO_SHA1_BYTES])
{
    uint8_t pad[MAC_BLOCK_BYTES], hashed[CRYPTO_SHA1_BYTES];
    SHA_CTX context;
    if (key.len > MAC_BLOCK_BYTES) {
        SHA1(key.data, key.len, hashed);
        key = slice_of(hashed, sizeof(hashed));
    }
    pad_key(key, MAC_INNER, pad);
    SHA1_Init(&context);
    SHA1_Update(&context, pad, sizeof(pad));
    SHA1_Update(&context, bytes.data, bytes.len);
    SHA1_Final(out, &context);
    pad_key(key, MAC_OUTER, pad);
    SHA1_Init(&context);
    SHA1_Update(&context, pad, sizeof(pad));
    SHA1_Update(&context, out, CRYPTO_SHA1_BYTES);
    SHA1_Final(out, &context);
    OPENSSL_cleanse(pad, sizeof(pad));
    OPENSSL_cleanse(hashed, sizeof(hashed));
}

static void siphash(const uint8_t key[CRYPTO_SIPHASH_BYTES], struct slice bytes,
                    uint8_t out[CRYPTO_SIPHASH_BYTES])
{
    siphash_128(key, bytes, out); /* BoringSSL's has half of the bits: two passes */
}

static void mac_sha256(struct slice key, struct slice bytes, uint8_t out[CRYPTO_SHA256_BYTES])
{
    uint8_t pad[MAC_BLOCK_BYTES], hashed[CRYPTO_SHA256_BYTES];
    SHA256_CTX context;
    if (key.len > MAC_BLOCK_BYTES) {
        SHA256(key.data, key.len, hashed);
        key = slice_of(hashed, sizeof(hashed));
    }
    pad_key(key, MAC_INNER, pad);
    SHA256_Init(&context);
    SHA256_Update(&context, pad, sizeof(pad));
    SHA256_Update(&context, bytes.data, bytes.len);
    SHA256_Final(out, &context);
    pad_key(key, MAC_OUTER, pad);
    SHA256_Init(&context);
    SHA256_Update(&context, pad, sizeof(pad));
    SHA256_Update(&context, out, CRYPTO_SHA256_BYTES);
    SHA256_Final(out, &context);
    OPENSSL_cleanse(pad, sizeof(pad));
    OPENSSL_cleanse(hashed, sizeof(hashed));
}

static void draw(void *out, size_t len)
{
    int filled = RAND_bytes(out, len);
    CHECK(filled == 1);
}

/* A draw of 12 bytes costs two thirds of one of a kilobyte, so what is short (branches, tags,
 * transaction ids) comes from a stock of the thread, each byte once.  Keys and secrets are longer:
 * they are drawn by themselves, since a stock would be the same in a process forked off. */
static void fill_random(const struct crypto *self, void *out, size_t len)
{
    enum { SHORT_BYTES = 16, STOCK_BYTES = 1024 };
    static _Thread_local uint8_t stock[STOCK_BYTES];
    static _Thread_local size_t left;
    (void)self;
    if (len > SHORT_BYTES) {
        draw(out, len);
        return;
    }
    if (left < len) {
        draw(stock, sizeof(stock));
        left = sizeof(stock);
    }
    left -= len;
    memcpy(out, stock + left, len);
    OPENSSL_cleanse(stock + left, len);
}

/* ---- keys ---- */

/* What signatures a key makes; NONE for types and sizes that are not accepted. */
static enum crypto_algorithm algorithm_of(const EVP_PKEY *key)
{
    switch (EVP_PKEY_id(key)) {
    case EVP_PKEY_ED25519:
        return CRYPTO_ED25519;
    case EVP_PKEY_RSA: {
        int bits = EVP_PKEY_bits(key);
        return bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX ? CRYPTO_RSA_SHA256
                                                            : CRYPTO_ALGORITHM_NONE;
    }
    case EVP_PKEY_EC: {
        int curve = EC_GROUP_get_curve_name(EC_KEY_get0_group(EVP_PKEY_get0_EC_KEY(key)));
        return curve == NID_X9_62_prime256v1 || curve == NID_secp384r1 ? CRYPTO_ECDSA_SHA256
                                                                       : CRYPTO_ALGORITHM_NONE;
    }
    default:
        return CRYPTO_ALGORITHM_NONE;
    }
}

/* Takes over `object`. */
static enum err wrap_key(EVP_PKEY *object, struct crypto_key **key)
{
    enum crypto_algorithm algorithm = algorithm_of(object);
    if (algorithm == CRYPTO_ALGORITHM_NONE) {
        EVP_PKEY_free(object);
        return ERR_UNSUPPORTED;
    }
    struct crypto_key *made = OPENSSL_malloc(sizeof(*made));
    if (made == NULL) {
        EVP_PKEY_free(object);
        return ERR_NO_MEMORY;
    }
    made->object = object;
    made->algorithm = algorithm;
    *key = made;
    return ERR_OK;
}

/* An encrypted key has no password here; without this BoringSSL would ask the terminal. */
static int refuse_password(char *buf, int size, int rwflag, void *context)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    (void)context;
    return 0;
}

enum err crypto_boring_key_load(struct slice text, struct crypto_key **key)
{
    *key = NULL;
    CBS der;
    CBS_init(&der, text.data, text.len);
    EVP_PKEY *object = EVP_parse_private_key(&der);
    if (object != NULL && CBS_len(&der) != 0) {
        EVP_PKEY_free(object);
        object = NULL;
    }
    if (object == NULL && text.len > 0 && text.len < INT32_MAX) {
        BIO *bio = BIO_new_mem_buf(text.data, (int)text.len);
        if (bio != NULL) {
            object = PEM_read_bio_PrivateKey(bio, NULL, refuse_password, NULL);
            BIO_free(bio);
        }
    }
    ERR_clear_error();
    return object == NULL ? ERR_MALFORMED : wrap_key(object, key);
}

enum err crypto_boring_key_make(enum crypto_algorithm algorithm, struct crypto_key **key)
{
    *key = NULL;
    int type = algorithm == CRYPTO_ED25519        ? EVP_PKEY_ED25519
               : algorithm == CRYPTO_ECDSA_SHA256 ? EVP_PKEY_EC
                                                  : EVP_PKEY_RSA;
    CHECK(algorithm == CRYPTO_ED25519 || algorithm == CRYPTO_ECDSA_SHA256 ||
          algorithm == CRYPTO_RSA_SHA256);
    EVP_PKEY *object = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(type, NULL);
    bool made = context != NULL && EVP_PKEY_keygen_init(context) == 1;
    if (made && type == EVP_PKEY_EC) {
        made = EVP_PKEY_CTX_set_ec_paramgen_curve_nid(context, NID_X9_62_prime256v1) == 1;
    } else if (made && type == EVP_PKEY_RSA) {
        made = EVP_PKEY_CTX_set_rsa_keygen_bits(context, RSA_BITS_MIN) == 1;
    }
    made = made && EVP_PKEY_keygen(context, &object) == 1;
    EVP_PKEY_CTX_free(context);
    ERR_clear_error();
    return made ? wrap_key(object, key) : ERR_NO_MEMORY;
}

void crypto_boring_key_free(struct crypto_key *key)
{
    if (key != NULL) {
        EVP_PKEY_free(key->object);
        OPENSSL_free(key);
    }
}

void *crypto_boring_key_object(const struct crypto_key *key)
{
    return key->object;
}

/* Moves what `cbb` holds to `out` and ends it; `made` tells whether it holds anything good. */
static enum err take_cbb(CBB *cbb, bool made, uint8_t *out, size_t cap, size_t *len)
{
    uint8_t *bytes = NULL;
    size_t bytes_len = 0;
    *len = 0;
    if (!made || !CBB_finish(cbb, &bytes, &bytes_len)) {
        CBB_cleanup(cbb);
        ERR_clear_error();
        return ERR_NO_MEMORY;
    }
    enum err error = ERR_TOO_LARGE;
    if (bytes_len <= cap) {
        memcpy(out, bytes, bytes_len);
        *len = bytes_len;
        error = ERR_OK;
    }
    OPENSSL_cleanse(bytes, bytes_len);
    OPENSSL_free(bytes);
    return error;
}

enum err crypto_boring_key_pem(const struct crypto_key *key, uint8_t *out, size_t cap, size_t *len)
{
    uint8_t der[CRYPTO_BORING_KEY_PEM_CAP - 1024];
    size_t der_len = 0;
    CBB cbb;
    bool made = CBB_init(&cbb, 512) && EVP_marshal_private_key(&cbb, key->object);
    enum err error = take_cbb(&cbb, made, der, sizeof(der), &der_len);
    if (error == ERR_OK) {
        error = crypto_boring_pem_encode(slice_of(der, der_len), "PRIVATE KEY", out, cap, len);
    }
    OPENSSL_cleanse(der, sizeof(der));
    return error;
}

static enum err put_public(const EVP_PKEY *object, uint8_t *out, size_t cap, size_t *len)
{
    CBB cbb;
    bool made = CBB_init(&cbb, 128) && EVP_marshal_public_key(&cbb, object);
    return take_cbb(&cbb, made, out, cap, len);
}

enum err crypto_boring_key_public(const struct crypto_key *key, uint8_t *out, size_t cap,
                                  size_t *len)
{
    return put_public(key->object, out, cap, len);
}

static enum crypto_algorithm algorithm_of_key(const struct crypto_key *key)
{
    return key->algorithm;
}

/* ---- PEM ---- */

enum err crypto_boring_pem_decode(struct slice text, const char *label, size_t index, uint8_t *out,
                                  size_t cap, size_t *len)
{
    *len = 0;
    if (text.len > 0 && text.data[0] == 0x30) { /* an ASN.1 SEQUENCE, no PEM text begins with '0' */
        if (index > 0 || text.len > cap) {
            return index > 0 ? ERR_NOT_FOUND : ERR_TOO_LARGE;
        }
        memcpy(out, text.data, text.len);
        *len = text.len;
        return ERR_OK;
    }
    BIO *bio =
        text.len > 0 && text.len < INT32_MAX ? BIO_new_mem_buf(text.data, (int)text.len) : NULL;
    enum err error = ERR_NOT_FOUND;
    size_t seen = 0;
    bool done = bio == NULL;
    while (!done) {
        char *name = NULL;
        char *header = NULL;
        uint8_t *bytes = NULL;
        long bytes_len = 0;
        if (PEM_read_bio(bio, &name, &header, &bytes, &bytes_len) != 1) {
            break;
        }
        if (strcmp(name, label) == 0 && seen++ == index) {
            done = true;
            error = (size_t)bytes_len > cap ? ERR_TOO_LARGE : ERR_OK;
            if (error == ERR_OK) {
                memcpy(out, bytes, (size_t)bytes_len);
                *len = (size_t)bytes_len;
            }
        }
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_free(bytes);
    }
    BIO_free(bio);
    ERR_clear_error();
    return error;
}

enum err crypto_boring_period(struct slice der, uint64_t period_ms[2])
{
    const uint8_t *at = der.data;
    X509 *certificate = d2i_X509(NULL, &at, (long)der.len);
    bool is_read = certificate != NULL &&
                   crypto_names_boring_period(certificate, &period_ms[0], &period_ms[1]);
    X509_free(certificate);
    ERR_clear_error();
    return is_read ? ERR_OK : ERR_MALFORMED;
}

enum err crypto_boring_pem_encode(struct slice der, const char *label, uint8_t *out, size_t cap,
                                  size_t *len)
{
    *len = 0;
    enum err error = ERR_NO_MEMORY;
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio != NULL && PEM_write_bio(bio, label, "", der.data, (long)der.len) > 0) {
        const uint8_t *text = NULL;
        size_t text_len = 0;
        if (BIO_mem_contents(bio, &text, &text_len) == 1) {
            error = text_len > cap ? ERR_TOO_LARGE : ERR_OK;
        }
        if (error == ERR_OK) {
            memcpy(out, text, text_len);
            *len = text_len;
        }
    }
    BIO_free(bio);
    ERR_clear_error();
    return error;
}

/* ---- signatures ---- */

/* Signatures are made with SHA-256 alone; SHA-384 and SHA-512 are understood (SG-4). */
static const EVP_MD *digest_of(enum crypto_algorithm algorithm)
{
    switch ((unsigned)algorithm >> 8) {
    case 4:
        return EVP_sha256();
    case 5:
        return EVP_sha384();
    case 6:
        return EVP_sha512();
    default: /* Ed25519 brings its own; anything else has been refused before */
        return NULL;
    }
}

/* Is `algorithm` something that a key of the kind `makes` may have done? */
static bool is_made_by(enum crypto_algorithm algorithm, enum crypto_algorithm makes)
{
    unsigned hash = (unsigned)algorithm >> 8;
    if (algorithm == makes) {
        return makes != CRYPTO_ALGORITHM_NONE;
    }
    return makes != CRYPTO_ED25519 && makes != CRYPTO_ALGORITHM_NONE && (hash == 5 || hash == 6) &&
           ((unsigned)algorithm & 0xff) == ((unsigned)makes & 0xff);
}

static enum err sign_message(const struct crypto_key *key, struct slice message, uint8_t *out,
                             size_t *out_len)
{
    EVP_MD_CTX context;
    EVP_MD_CTX_init(&context);
    size_t len = CRYPTO_SIGNATURE_CAP;
    bool made = EVP_DigestSignInit(&context, NULL, digest_of(key->algorithm), NULL, key->object) &&
                EVP_DigestSign(&context, out, &len, message.data, message.len);
    EVP_MD_CTX_cleanup(&context);
    ERR_clear_error();
    *out_len = made ? len : 0;
    return made ? ERR_OK : ERR_NO_MEMORY;
}

static enum err verify_message(struct slice public_key, enum crypto_algorithm algorithm,
                               struct slice message, struct slice signature)
{
    EVP_PKEY *object = crypto_keys_boring_find(public_key);
    bool good = object != NULL && is_made_by(algorithm, algorithm_of(object)) &&
                signature.len <= CRYPTO_SIGNATURE_CAP;
    if (good) {
        EVP_MD_CTX context;
        EVP_MD_CTX_init(&context);
        good = EVP_DigestVerifyInit(&context, NULL, digest_of(algorithm), NULL, object) &&
               EVP_DigestVerify(&context, signature.data, signature.len, message.data, message.len);
        EVP_MD_CTX_cleanup(&context);
    }
    ERR_clear_error();
    return good ? ERR_OK : ERR_BAD_SIGNATURE;
}

void crypto_boring_end_thread(void)
{
    crypto_keys_boring_forget();
}

/* ---- certificates ---- */

static X509 *parse_certificate(struct slice der)
{
    if (der.len == 0 || der.len > CRYPTO_BORING_CERTIFICATE_CAP) {
        return NULL;
    }
    const uint8_t *at = der.data;
    X509 *made = d2i_X509(NULL, &at, (long)der.len);
    if (made != NULL && at != der.data + der.len) { /* bytes behind it: not what was hashed */
        X509_free(made);
        made = NULL;
    }
    return made;
}

/* SHA-2 only, for links, messages and values alike (SG-4). */
static bool is_good_signature_type(const X509 *certificate)
{
    switch (X509_get_signature_nid(certificate)) {
    case NID_sha256WithRSAEncryption:
    case NID_sha384WithRSAEncryption:
    case NID_sha512WithRSAEncryption:
    case NID_ecdsa_with_SHA256:
    case NID_ecdsa_with_SHA384:
    case NID_ecdsa_with_SHA512:
    case NID_ED25519:
        return true;
    default:
        return false;
    }
}

static bool push_certificate(STACK_OF(X509) * stack, X509 *one)
{
    if (sk_X509_push(stack, one) == 0) {
        X509_free(one);
        return false;
    }
    return true;
}

/* The subject as it stands, without parsing the whole: 6 elements into the certificate. */
static bool read_subject(struct slice der, struct slice *subject)
{
    CBS in, certificate, body, name;
    CBS_init(&in, der.data, der.len);
    bool is_good = CBS_get_asn1(&in, &certificate, CBS_ASN1_SEQUENCE) &&
                   CBS_get_asn1(&certificate, &body, CBS_ASN1_SEQUENCE) &&
                   CBS_get_optional_asn1(&body, NULL, NULL, /* version */
                                         CBS_ASN1_CONSTRUCTED | CBS_ASN1_CONTEXT_SPECIFIC) &&
                   CBS_get_asn1(&body, NULL, CBS_ASN1_INTEGER) &&  /* serial number */
                   CBS_get_asn1(&body, NULL, CBS_ASN1_SEQUENCE) && /* algorithm */
                   CBS_get_asn1(&body, NULL, CBS_ASN1_SEQUENCE) && /* issuer */
                   CBS_get_asn1(&body, NULL, CBS_ASN1_SEQUENCE) && /* validity */
                   CBS_get_asn1_element(&body, &name, CBS_ASN1_SEQUENCE);
    *subject = is_good ? slice_of(CBS_data(&name), CBS_len(&name)) : SLICE_EMPTY;
    return is_good;
}

/* The one of `ders` whose subject is the issuer of `leaf`, parsed; NULL when there is none. */
static X509 *find_issuer(const X509 *leaf, const struct slice *ders, size_t count)
{
    const uint8_t *name = NULL;
    size_t name_len = 0;
    struct slice subject;
    if (X509_NAME_get0_der(X509_get_issuer_name(leaf), &name, &name_len) != 1) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        if (read_subject(ders[i], &subject) && slice_is_equal(subject, slice_of(name, name_len))) {
            return parse_certificate(ders[i]);
        }
    }
    return NULL;
}

/* May it stand between a leaf and a root?  In RELOAD only leaves have names (RFC 6940 11.3), so an
 * authority needs neither a subjectAltName nor NameConstraints.  BoringSSL compares each of the one
 * with each of the other before it looks at any signature, so a stranger could make us compare for
 * milliseconds; and whoever constrains names must not be believed without that comparison.  Hence
 * such a certificate is none of the chain. */
static bool is_plain_issuer(const X509 *issuer)
{
    int count = X509_get_ext_count(issuer);
    int bytes = 0;
    if (count > ISSUER_EXTENSIONS_CAP ||
        X509_get_ext_by_NID(issuer, NID_subject_alt_name, -1) >= 0 ||
        X509_get_ext_by_NID(issuer, NID_name_constraints, -1) >= 0) {
        return false;
    }
    for (int i = 0; i < count; i++) {
        bytes += ASN1_STRING_length(X509_EXTENSION_get_data(X509_get_ext(issuer, i)));
    }
    return bytes <= ISSUER_EXTENSION_BYTES_CAP;
}

/* What may stand between `leaf` and a root: at most INTERMEDIATES_CAP are parsed, however many a
 * stranger has sent. */
static bool add_issuers(X509 *leaf, const struct slice *ders, size_t count, STACK_OF(X509) * stack)
{
    X509 *at = leaf;
    for (size_t depth = 0; depth < INTERMEDIATES_CAP; depth++) {
        X509 *issuer = find_issuer(at, ders, count);
        if (issuer == NULL) {
            return true;
        }
        if (!is_plain_issuer(issuer)) {
            X509_free(issuer);
            return true;
        }
        if (!push_certificate(stack, issuer)) {
            return false;
        }
        at = issuer;
    }
    return true;
}

static bool add_root(struct slice der, STACK_OF(X509) * stack)
{
    X509 *root = parse_certificate(der);
    return root == NULL || push_certificate(stack, root); /* without it no chain is found */
}

static enum err chain_error(int code, const char **why)
{
    if (code == X509_V_ERR_CERT_HAS_EXPIRED || code == X509_V_ERR_CERT_NOT_YET_VALID) {
        *why = code == X509_V_ERR_CERT_HAS_EXPIRED ? "expired" : "not yet valid";
        return ERR_EXPIRED;
    }
    *why = X509_verify_cert_error_string(code);
    return ERR_BAD_CERTIFICATE;
}

/* Everything between the certificate and its root: a CA by its own BasicConstraints, signed with a
 * hash that is still good. */
static enum err judge_issuers(X509_STORE_CTX *context, const char **why)
{
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(context);
    size_t count = chain == NULL ? 0 : sk_X509_num(chain);
    for (size_t i = 1; i < count; i++) {
        X509 *issuer = sk_X509_value(chain, i);
        if (X509_check_ca(issuer) != 1) {
            *why = "an issuer is no certification authority";
            return ERR_BAD_CERTIFICATE;
        }
        if (i + 1 < count && !is_good_signature_type(issuer)) {
            *why = "an issuer is signed with an unaccepted algorithm";
            return ERR_BAD_CERTIFICATE;
        }
    }
    if (count < 2) {
        *why = "it is a root itself";
        return ERR_BAD_CERTIFICATE;
    }
    return ERR_OK;
}

/* Nobody is valid for longer than his issuers: whoever remembers the certificate looks at its
 * period alone (ID-3). */
static bool clip_period(X509_STORE_CTX *context, struct crypto_certificate *out)
{
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(context);
    for (size_t i = 1; i < sk_X509_num(chain); i++) {
        uint64_t not_before_ms = 0;
        uint64_t not_after_ms = 0;
        if (!crypto_names_boring_period(sk_X509_value(chain, i), &not_before_ms, &not_after_ms)) {
            return false;
        }
        out->not_before_ms = max_u64(out->not_before_ms, not_before_ms);
        out->not_after_ms = min_u64(out->not_after_ms, not_after_ms);
    }
    return true;
}

static enum err judge_by_root(X509 *leaf, STACK_OF(X509) * others, struct slice root,
                              uint64_t at_ms, struct crypto_certificate *out, const char **why)
{
    enum err error = ERR_NO_MEMORY;
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    STACK_OF(X509) *roots = sk_X509_new_null();
    *why = "no memory";
    if (store == NULL || context == NULL || roots == NULL || !add_root(root, roots) ||
        !X509_STORE_CTX_init(context, store, leaf, others)) {
        goto out;
    }
    X509_STORE_CTX_trusted_stack(context, roots);
    X509_STORE_CTX_set_time(context, 0, (time_t)(at_ms / 1000));
    X509_STORE_CTX_set_depth(context, INTERMEDIATES_CAP + 1); /* it counts the leaf too */
    if (X509_verify_cert(context) != 1) {
        error = chain_error(X509_STORE_CTX_get_error(context), why);
    } else {
        error = judge_issuers(context, why);
    }
    if (error == ERR_OK && !clip_period(context, out)) {
        *why = "an issuer without a validity period";
        error = ERR_BAD_CERTIFICATE;
    }
out:
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    sk_X509_pop_free(roots, X509_free);
    return error;
}

/* How far up the chain is a certificate whose issuer is called like this root?  0: the leaf;
 * ISSUER_NOWHERE: there is none. */
enum { ISSUER_NOWHERE = INTERMEDIATES_CAP + 1 };

static size_t height_of(struct slice root, X509 *leaf, const STACK_OF(X509) * others)
{
    struct slice subject;
    size_t height = ISSUER_NOWHERE;
    const uint8_t *at = read_subject(root, &subject) ? subject.data : NULL;
    X509_NAME *name = at == NULL ? NULL : d2i_X509_NAME(NULL, &at, (long)subject.len);
    for (size_t i = 0; name != NULL && height == ISSUER_NOWHERE && i <= sk_X509_num(others); i++) {
        X509 *below = i == 0 ? leaf : sk_X509_value(others, i - 1);
        height = X509_NAME_cmp(name, X509_get_issuer_name(below)) == 0 ? i : height;
    }
    X509_NAME_free(name);
    return height;
}

/* Only roots are tried that the chain asks for by name, and of those with several names the ones
 * next to the leaf: a stranger does not make us try all that we have.  One after the other, since
 * BoringSSL goes by names, and a root that renews its key keeps its name. */
static enum err judge_by_roots(X509 *leaf, STACK_OF(X509) * others,
                               const struct crypto_trust *trust, uint64_t at_ms,
                               struct crypto_certificate *out, const char **why)
{
    enum err error = ERR_BAD_CERTIFICATE;
    size_t height = ISSUER_NOWHERE;
    *why = trust->root_count == 0
               ? "no root certificates"
               : X509_verify_cert_error_string(X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
    for (size_t i = 0; i < trust->root_count; i++) {
        height = min_size(height, height_of(trust->roots[i], leaf, others));
    }
    for (size_t i = 0; height != ISSUER_NOWHERE && i < trust->root_count; i++) {
        const char *reason = NULL;
        if (height_of(trust->roots[i], leaf, others) != height) {
            continue;
        }
        enum err found = judge_by_root(leaf, others, trust->roots[i], at_ms, out, &reason);
        if (found == ERR_OK) {
            return ERR_OK;
        }
        if (error != ERR_EXPIRED) { /* the root that signed it knows best */
            error = found;
            *why = reason;
        }
    }
    return error;
}

static enum err judge_chain(X509 *leaf, const struct slice *intermediates, size_t count,
                            const struct crypto_trust *trust, uint64_t at_ms,
                            struct crypto_certificate *out, const char **why)
{
    enum err error = ERR_NO_MEMORY;
    STACK_OF(X509) *others = sk_X509_new_null();
    *why = "no memory";
    if (others != NULL && add_issuers(leaf, intermediates, count, others)) {
        error = judge_by_roots(leaf, others, trust, at_ms, out, why);
    }
    sk_X509_pop_free(others, X509_free);
    return error;
}

static bool is_self_signed(X509 *leaf, EVP_PKEY *key)
{
    return X509_NAME_cmp(X509_get_subject_name(leaf), X509_get_issuer_name(leaf)) == 0 &&
           X509_verify(leaf, key) == 1;
}

/* 11.3.1: each Node-ID is the beginning of digest(SPKI), or, where there are several, of
 * digest(index from 1 || SPKI). */
static bool is_own_node_id(const struct crypto_certificate *c, unsigned which, bool sha256)
{
    uint8_t input[4 + CRYPTO_PUBLIC_KEY_CAP] = {0, 0, 0, (uint8_t)(which + 1)};
    uint8_t digest[CRYPTO_SHA256_BYTES];
    memcpy(input + 4, c->public_key, c->public_key_len);
    size_t skip = c->node_id_count == 1 ? 4 : 0;
    struct slice bytes = slice_of(input + skip, 4 - skip + c->public_key_len);
    if (sha256) {
        hash_sha256(bytes, digest);
    } else {
        hash_sha1(bytes, digest);
    }
    return memcmp(digest, c->node_ids[which], c->node_id_length) == 0;
}

static enum err judge_self_signed(const struct crypto_certificate *c,
                                  const struct crypto_trust *trust, uint64_t at_ms,
                                  const char **why)
{
    for (unsigned i = 0; i < c->node_id_count; i++) {
        if (!is_own_node_id(c, i, trust->self_signed_sha256)) {
            *why = "the Node-ID is not the digest of the key";
            return ERR_BAD_CERTIFICATE;
        }
    }
    if (at_ms < c->not_before_ms || at_ms > c->not_after_ms) {
        *why = at_ms < c->not_before_ms ? "not yet valid" : "expired";
        return ERR_EXPIRED;
    }
    return ERR_OK;
}

static enum err judge_key(EVP_PKEY *key, struct crypto_certificate *out, const char **why)
{
    out->algorithm = key == NULL ? CRYPTO_ALGORITHM_NONE : algorithm_of(key);
    size_t len = 0;
    if (out->algorithm == CRYPTO_ALGORITHM_NONE ||
        put_public(key, out->public_key, sizeof(out->public_key), &len) != ERR_OK) {
        *why = "unaccepted type or size of key";
        return ERR_BAD_CERTIFICATE;
    }
    out->public_key_len = (uint16_t)len;
    return ERR_OK;
}

static enum err judge_certificate(struct slice der, const struct slice *intermediates,
                                  size_t intermediate_count, const struct crypto_trust *trust,
                                  uint64_t at_ms, struct crypto_certificate *out, const char **why)
{
    const char *reason = "not a certificate";
    memset(out, 0, sizeof(*out));
    X509 *leaf = parse_certificate(der);
    EVP_PKEY *key = leaf == NULL ? NULL : X509_get_pubkey(leaf);
    enum err error = leaf == NULL ? ERR_MALFORMED : judge_key(key, out, &reason);
    if (error == ERR_OK && !is_good_signature_type(leaf)) {
        reason = "signed with an unaccepted algorithm";
        error = ERR_BAD_CERTIFICATE;
    }
    if (error == ERR_OK) {
        error = crypto_names_boring(leaf, trust, out, &reason);
    }
    if (error == ERR_OK && trust->self_signed_permitted && is_self_signed(leaf, key)) {
        error = judge_self_signed(out, trust, at_ms, &reason);
    } else if (error == ERR_OK) {
        error = judge_chain(leaf, intermediates, intermediate_count, trust, at_ms, out, &reason);
    }
    EVP_PKEY_free(key);
    X509_free(leaf);
    ERR_clear_error();
    if (why != NULL) {
        *why = error == ERR_OK ? "ok" : reason;
    }
    return error;
}

enum err crypto_boring_certificate_key(struct slice der, uint8_t *out, size_t cap, size_t *len,
                                       enum crypto_algorithm *algorithm)
{
    *len = 0;
    *algorithm = CRYPTO_ALGORITHM_NONE;
    X509 *certificate = parse_certificate(der);
    EVP_PKEY *key = certificate == NULL ? NULL : X509_get_pubkey(certificate);
    enum err error = ERR_MALFORMED;
    if (key != NULL) {
        *algorithm = algorithm_of(key);
        error =
            *algorithm == CRYPTO_ALGORITHM_NONE ? ERR_UNSUPPORTED : put_public(key, out, cap, len);
    }
    EVP_PKEY_free(key);
    X509_free(certificate);
    ERR_clear_error();
    return error;
}

const struct crypto *crypto_boring(void)
{
    static const struct crypto table = {
        .sha1 = hash_sha1,
        .sha256 = hash_sha256,
        .sha384 = hash_sha384,
        .sha512 = hash_sha512,
        .md5 = hash_md5,
        .hmac_sha1 = mac_sha1,
        .hmac_sha256 = mac_sha256,
        .siphash = siphash,
        .random = fill_random,
        .sign = sign_message,
        .key_algorithm = algorithm_of_key,
        .verify = verify_message,
        .certificate = judge_certificate,
    };
    return &table;
}
