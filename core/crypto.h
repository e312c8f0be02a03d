/* SPDX-License-Identifier: Apache-2.0 */
/* crypto.h - the cryptography that protocol code may ask for, as a table of functions.
 *
 * link/crypto_boring fills it with BoringSSL, sim/crypto_fake with something cheap of the same
 * sizes that still notices every changed bit.  Nothing here keeps state that protocol code can
 * see; keys are opaque pointers owned by whoever loaded them (cmd/keystore, sim/world). */
#pragma once
#include "core/err.h"
#include "core/slice.h"

enum {
    CRYPTO_SHA1_BYTES = 20,
    CRYPTO_SHA256_BYTES = 32,
    CRYPTO_SHA384_BYTES = 48,
    CRYPTO_SHA512_BYTES = 64,
    CRYPTO_MD5_BYTES = 16,
    CRYPTO_SIPHASH_BYTES = 16,  /* key and result */
    CRYPTO_SIGNATURE_CAP = 512, /* RSA-4096 is the largest accepted */
    CRYPTO_USER_CAP = 128,      /* longest user name (rfc822Name) accepted */
    CRYPTO_NODE_IDS_CAP = 4,    /* most Node-IDs accepted in one certificate */
    CRYPTO_OVERLAY_CAP = 128,
    CRYPTO_PUBLIC_KEY_CAP = 600, /* DER SubjectPublicKeyInfo */
};

/* TLS 1.2 registry order as in RFC 6940 6.3.4: hash << 8 | signature. */
enum crypto_algorithm {
    CRYPTO_ALGORITHM_NONE = 0x0000,
    CRYPTO_RSA_SHA256 = 0x0401,
    CRYPTO_ECDSA_SHA256 = 0x0403,
    CRYPTO_ED25519 = 0x0807,
};

struct crypto_key; /* a private key */

/* What the overlay wants to know of a certificate (RFC 6940 11.3; catalogue ID-1..ID-6). */
struct crypto_certificate {
    uint8_t node_ids[CRYPTO_NODE_IDS_CAP][20]; /* zero padded */
    uint8_t node_id_count;
    uint8_t node_id_length;
    uint16_t user_len;
    char user[CRYPTO_USER_CAP + 1];
    uint64_t not_before_ms;
    uint64_t not_after_ms;
    enum crypto_algorithm algorithm; /* that its key makes */
    uint16_t public_key_len;
    uint8_t public_key[CRYPTO_PUBLIC_KEY_CAP];
};

/* What certificates are judged by; built from the overlay configuration document. */
struct crypto_trust {
    const struct slice *roots; /* DER root certificates */
    size_t root_count;
    struct slice overlay_name; /* instance-name */
    uint8_t node_id_length;
    bool self_signed_permitted;
    bool self_signed_sha256;  /* digest of self-signed-permitted; else SHA-1 */
    const uint8_t *bad_nodes; /* Node-IDs that nobody may have (ID-3), 20 bytes each */
    size_t bad_node_count;
};

struct crypto {
    void (*sha1)(struct slice bytes, uint8_t out[CRYPTO_SHA1_BYTES]);
    void (*sha256)(struct slice bytes, uint8_t out[CRYPTO_SHA256_BYTES]);
    void (*sha384)(struct slice bytes, uint8_t out[CRYPTO_SHA384_BYTES]);
    void (*sha512)(struct slice bytes, uint8_t out[CRYPTO_SHA512_BYTES]);
    void (*md5)(struct slice bytes, uint8_t out[CRYPTO_MD5_BYTES]);
    void (*hmac_sha1)(struct slice key, struct slice bytes, uint8_t out[CRYPTO_SHA1_BYTES]);
    void (*hmac_sha256)(struct slice key, struct slice bytes, uint8_t out[CRYPTO_SHA256_BYTES]);
    /* SipHash-2-4 under two keys made from `key`, 64 bits each: a keyed hash of short texts that
     * strangers choose, for what this node alone compares. */
    void (*siphash)(const uint8_t key[CRYPTO_SIPHASH_BYTES], struct slice bytes,
                    uint8_t out[CRYPTO_SIPHASH_BYTES]);
    /* Unguessable bytes.  `self` is this table: the simulator's draws from the world's seed. */
    void (*random)(const struct crypto *self, void *out, size_t len);
    /* Signs `message`; at most CRYPTO_SIGNATURE_CAP bytes into `out`. */
    enum err (*sign)(const struct crypto_key *key, struct slice message, uint8_t *out,
                     size_t *out_len);
    enum crypto_algorithm (*key_algorithm)(const struct crypto_key *key);
    /* ERR_BAD_SIGNATURE unless `signature` is `algorithm` over `message` by `public_key` (DER), and
     * the key is of the kind that makes such signatures: the algorithm is the sender's word. */
    enum err (*verify)(struct slice public_key, enum crypto_algorithm algorithm,
                       struct slice message, struct slice signature);
    /* Parses and judges a DER certificate: chain to a root (or self-signed where permitted, RFC
     * 6940 11.3.1), names, key size; `intermediates` may help: those are looked at whose subject is
     * the issuer that is missing.  The validity *period*, in which all of the chain are valid, is
     * given back for the caller to check each time it relies on the certificate (ID-3); at_ms is
     * used for the chain.
     * ERR_BAD_CERTIFICATE, ERR_EXPIRED or ERR_MALFORMED; *why (may be NULL) gets a static text for
     * people, and `out` the names as far as they could be read. */
    enum err (*certificate)(struct slice der, const struct slice *intermediates,
                            size_t intermediate_count, const struct crypto_trust *trust,
                            uint64_t at_ms, struct crypto_certificate *out, const char **why);
    void *state; /* the implementation's own */
};
