/* SPDX-License-Identifier: Apache-2.0 */
/* crypto_boring.h - core/crypto.h on BoringSSL: keys, signatures, hashes, certificates.
 *
 * Owner:   keys belong to whoever loaded them; public keys met last are kept by each thread
 *          (crypto_keys_boring), everything else is stateless.
 * Threads: any; a key may be shared, it is never changed.
 * Limits:  RSA 2048 to 4096 bits, P-256 and P-384, Ed25519; four intermediates.
 * RFC 6940 6.3.4, 11.3, 11.3.1. */
#pragma once
#include "core/crypto.h"

enum {
    CRYPTO_BORING_KEY_PEM_CAP = 4096,    /* a private key as PEM text, RSA-4096 included */
    CRYPTO_BORING_CERTIFICATE_CAP = 4096 /* a certificate as DER */
};

/* The table for struct turn. */
const struct crypto *crypto_boring(void);
/* What a thread that has verified signatures calls before it ends. */
void crypto_boring_end_thread(void);

/* A private key from PEM (PKCS#8, RSA or EC, not encrypted) or PKCS#8 DER.  ERR_MALFORMED, or
 * ERR_UNSUPPORTED for another type or size of key. */
enum err crypto_boring_key_load(struct slice text, struct crypto_key **key) MUST_USE;
/* A new key: CRYPTO_ED25519, CRYPTO_ECDSA_SHA256 (P-256) or CRYPTO_RSA_SHA256 (2048 bits). */
enum err crypto_boring_key_make(enum crypto_algorithm algorithm, struct crypto_key **key) MUST_USE;
void crypto_boring_key_free(struct crypto_key *key);
/* PKCS#8 PEM text without a NUL; CRYPTO_BORING_KEY_PEM_CAP is enough. */
enum err crypto_boring_key_pem(const struct crypto_key *key, uint8_t *out, size_t cap,
                               size_t *len) MUST_USE;
/* SubjectPublicKeyInfo as DER; compare it with crypto_certificate.public_key. */
enum err crypto_boring_key_public(const struct crypto_key *key, uint8_t *out, size_t cap,
                                  size_t *len) MUST_USE;

/* The public key of any X.509 certificate (a root, a configuration signer), which is not judged. */
enum err crypto_boring_certificate_key(struct slice der, uint8_t *out, size_t cap, size_t *len,
                                       enum crypto_algorithm *algorithm) MUST_USE;

/* The DER bytes of block number `index` (from 0) with this label ("CERTIFICATE") in PEM text; a
 * text that is DER itself is its own block 0.  ERR_NOT_FOUND when there is none, ERR_TOO_LARGE. */
enum err crypto_boring_pem_decode(struct slice text, const char *label, size_t index, uint8_t *out,
                                  size_t cap, size_t *len) MUST_USE;
/* From when until when the certificate says it is valid, in ms since 1970; ERR_MALFORMED. */
enum err crypto_boring_period(struct slice der, uint64_t period_ms[2]) MUST_USE;
/* The reverse: PEM text without a NUL. */
enum err crypto_boring_pem_encode(struct slice der, const char *label, uint8_t *out, size_t cap,
                                  size_t *len) MUST_USE;

/* The BoringSSL object behind a key, for the other *_boring files: an EVP_PKEY. */
void *crypto_boring_key_object(const struct crypto_key *key);
