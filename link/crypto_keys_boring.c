/* SPDX-License-Identifier: Apache-2.0 */
#include "link/crypto_keys_boring.h"

#include "core/hash.h"
#include <openssl/bytestring.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <stdlib.h>

struct slot {
    EVP_PKEY *key; /* NULL: empty */
    size_t len;
    uint8_t spki[CRYPTO_PUBLIC_KEY_CAP];
};

struct keys {
    uint64_t seed;
    EVP_PKEY *odd; /* one that is too long to be kept, until the next call */
    struct slot slots[CRYPTO_KEYS_BORING_CAP];
};

static _Thread_local struct keys *own;

static struct keys *keys_of_thread(void)
{
    if (LIKELY(own != NULL)) {
        return own;
    }
    struct keys *k = calloc(1, sizeof(*k));
    if (k == NULL) {
        return NULL;
    }
    (void)RAND_bytes((uint8_t *)&k->seed, sizeof(k->seed));
    own = k;
    return k;
}

static EVP_PKEY *parse(struct slice spki)
{
    CBS der;
    CBS_init(&der, spki.data, spki.len);
    EVP_PKEY *key = EVP_parse_public_key(&der);
    if (key != NULL && CBS_len(&der) != 0) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    ERR_clear_error();
    return key;
}

EVP_PKEY *crypto_keys_boring_find(struct slice spki)
{
    struct keys *k = keys_of_thread();
    if (k == NULL) {
        return NULL;
    }
    struct slot *s = &k->slots[hash_64(spki, k->seed) % CRYPTO_KEYS_BORING_CAP];
    if (s->key != NULL && slice_is_equal(spki, slice_of(s->spki, s->len))) {
        return s->key;
    }
    EVP_PKEY *key = parse(spki);
    if (key == NULL) {
        return NULL;
    }
    if (spki.len > sizeof(s->spki)) {
        EVP_PKEY_free(k->odd);
        k->odd = key;
        return key;
    }
    EVP_PKEY_free(s->key);
    s->key = key;
    s->len = spki.len;
    memcpy(s->spki, spki.data, spki.len);
    return key;
}

size_t crypto_keys_boring_count(void)
{
    size_t count = 0;
    for (size_t i = 0; own != NULL && i < CRYPTO_KEYS_BORING_CAP; i++) {
        count += own->slots[i].key != NULL ? 1 : 0;
    }
    return count;
}

void crypto_keys_boring_forget(void)
{
    if (own == NULL) {
        return;
    }
    for (size_t i = 0; i < CRYPTO_KEYS_BORING_CAP; i++) {
        EVP_PKEY_free(own->slots[i].key);
    }
    EVP_PKEY_free(own->odd);
    free(own);
    own = NULL;
}
