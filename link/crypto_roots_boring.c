/* SPDX-License-Identifier: Apache-2.0 */
/* crypto_roots_boring.c - see crypto_roots_boring.h. */
#include "link/crypto_roots_boring.h"
#include "link/crypto_sip_boring.h"

#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

struct crypto_roots {
    X509_STORE *store;
};

enum err crypto_roots_boring_load(struct slice pem, struct crypto_roots **out, size_t *count)
{
    struct crypto_roots *made = OPENSSL_malloc(sizeof(*made));
    BIO *bio = pem.len > INT32_MAX ? NULL : BIO_new_mem_buf(pem.data, (int)pem.len);
    enum err e = ERR_NO_MEMORY;
    *out = NULL;
    *count = 0;
    if (made != NULL) {
        made->store = X509_STORE_new();
        e = bio == NULL || made->store == NULL ? ERR_NO_MEMORY : ERR_OK;
    }
    while (e == ERR_OK && *count < CRYPTO_ROOTS_CAP) {
        ERR_clear_error();
        X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        if (x == NULL) {
            e = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE ? ERR_OK
                                                                             : ERR_MALFORMED;
            break;
        }
        e = X509_STORE_add_cert(made->store, x) == 1 ? ERR_OK : ERR_NO_MEMORY;
        X509_free(x);
        (*count)++;
    }
    e = e == ERR_OK && *count == 0 ? ERR_NOT_FOUND : e;
    BIO_free(bio);
    ERR_clear_error();
    if (e != ERR_OK) {
        crypto_roots_boring_free(made);
        return e;
    }
    *out = made;
    return ERR_OK;
}

void crypto_roots_boring_free(struct crypto_roots *r)
{
    if (r != NULL) {
        X509_STORE_free(r->store);
        OPENSSL_free(r);
    }
}

static X509 *read(struct slice der)
{
    const uint8_t *at = der.data;
    return der.len > INT32_MAX ? NULL : d2i_X509(NULL, &at, (long)der.len);
}

static bool verify(const struct crypto_roots *r, X509 *leaf, STACK_OF(X509) * between,
                   uint64_t wall_ms)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    bool good = ctx != NULL && X509_STORE_CTX_init(ctx, r->store, leaf, between) == 1;
    if (good) {
        X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
        X509_VERIFY_PARAM_set_time(param, (time_t)(wall_ms / 1000));
        good = X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SSL_SERVER) == 1 &&
               X509_verify_cert(ctx) == 1;
    }
    X509_STORE_CTX_free(ctx);
    ERR_clear_error();
    return good;
}

enum err crypto_roots_boring_judge(void *context, const struct slice *chain, size_t count,
                                   struct slice domain, uint64_t wall_ms)
{
    struct crypto_sip names;
    X509 *leaf = count == 0 ? NULL : read(chain[0]);
    STACK_OF(X509) *between = sk_X509_new_null();
    bool good = leaf != NULL && between != NULL;
    for (size_t i = 1; good && i < count; i++) {
        X509 *x = read(chain[i]);
        if (x == NULL || sk_X509_push(between, x) == 0) {
            X509_free(x);
            good = false;
        }
    }
    good = good && verify(context, leaf, between, wall_ms) &&
           crypto_sip_boring(chain[0], &names) == ERR_OK;
    sk_X509_pop_free(between, X509_free);
    X509_free(leaf);
    ERR_clear_error();
    if (!good) {
        return ERR_BAD_CERTIFICATE;
    }
    return crypto_sip_boring_is_for(&names, domain) ? ERR_OK : ERR_FORBIDDEN;
}
