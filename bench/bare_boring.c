/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/bare_boring.h"

#include "bench/ring.h"
#include <openssl/evp.h>
#include <stdlib.h>

enum { MESSAGE_CAP = 4096 };

struct bare {
    struct crypto_key *key;
    const EVP_MD *hash;
    uint8_t message[MESSAGE_CAP];
    uint8_t signature[CRYPTO_SIGNATURE_CAP];
};

struct bare *bare_boring_open(enum crypto_algorithm algorithm)
{
    struct bare *b = calloc(1, sizeof(*b));
    ring_require(b != NULL && crypto_boring_key_make(algorithm, &b->key) == ERR_OK, "a key");
    b->hash = algorithm == CRYPTO_ED25519 ? NULL : EVP_sha256();
    return b;
}

void bare_boring_close(struct bare *b)
{
    crypto_boring_key_free(b->key);
    free(b);
}

static size_t sign_one(struct bare *b, EVP_PKEY *key, size_t len)
{
    EVP_MD_CTX context;
    size_t signature_len = sizeof(b->signature);
    EVP_MD_CTX_init(&context);
    int made = EVP_DigestSignInit(&context, NULL, b->hash, NULL, key) &&
               EVP_DigestSign(&context, b->signature, &signature_len, b->message, len);
    EVP_MD_CTX_cleanup(&context);
    ring_require(made == 1, "a signature");
    return signature_len;
}

static void verify_one(struct bare *b, EVP_PKEY *key, size_t signature_len, size_t len)
{
    EVP_MD_CTX context;
    EVP_MD_CTX_init(&context);
    int good = EVP_DigestVerifyInit(&context, NULL, b->hash, NULL, key) &&
               EVP_DigestVerify(&context, b->signature, signature_len, b->message, len);
    EVP_MD_CTX_cleanup(&context);
    ring_require(good == 1, "a signature that verifies");
}

double bare_boring_pair_ns(struct bare *v, struct bare *s, uint32_t count, size_t len)
{
    EVP_PKEY *verify = crypto_boring_key_object(v->key);
    EVP_PKEY *sign = crypto_boring_key_object(s->key);
    ring_require(len <= MESSAGE_CAP, "a message that fits");
    size_t signature_len = sign_one(v, verify, len);
    uint64_t before = ring_cpu_ns();
    for (uint32_t i = 0; i < count; i++) {
        verify_one(v, verify, signature_len, len);
        s->message[i % 4] ^= (uint8_t)i;
        (void)sign_one(s, sign, len);
    }
    return (double)(ring_cpu_ns() - before) / count;
}
