/* SPDX-License-Identifier: Apache-2.0 */
/* tls_boring_stream_keys.c - the secrets of tls_boring_stream.c: where they come from, and the keys
 * that RFC 8446 7 makes of them. */
#include "codec/ids.h"
#include "link/tls_boring_stream.h"

#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/hkdf.h>
#include <openssl/mem.h>

enum {
    TAG_BYTES = TLS_BORING_STREAM_TAG,
    NONCE_BYTES = TLS_BORING_STREAM_NONCE,
    KEY_BYTES = 16,
    SECRET_BYTES = TLS_BORING_STREAM_SECRET,
    LABEL_CAP = 2 + 1 + 6 + 12 + 1,
};

void tls_boring_stream_keys_note(struct tls *tls, const char *line)
{
    static const char *const labels[] = {"CLIENT_TRAFFIC_SECRET_0 ", "SERVER_TRAFFIC_SECRET_0 "};
    bool is_server = SSL_is_server(tls->ssl) == 1;
    for (size_t i = 0; i < ARRAY_COUNT(labels); i++) {
        const char *digits = strrchr(line, ' ');
        if (strncmp(line, labels[i], strlen(labels[i])) != 0 || digits == NULL) {
            continue;
        }
        if (tls->stream == NULL) {
            tls->stream = OPENSSL_malloc(sizeof(*tls->stream));
            if (tls->stream == NULL) {
                return; /* then BoringSSL goes on */
            }
            memset(tls->stream, 0, sizeof(*tls->stream));
        }
        struct tls_boring_half *h = (i == 1) == is_server ? &tls->stream->out : &tls->stream->in;
        size_t len = 0;
        h->has_secret =
            ids_unhex(slice_text(digits + 1), h->secret, SECRET_BYTES, &len) == ERR_OK &&
            len == SECRET_BYTES;
    }
}

/* RFC 8446 7.1: HKDF-Expand-Label without a context. */
static bool expand(const uint8_t secret[SECRET_BYTES], const char *label, uint8_t *out, size_t len)
{
    uint8_t info[LABEL_CAP] = {(uint8_t)(len >> 8), (uint8_t)len, (uint8_t)(6 + strlen(label))};
    size_t size = strlen(label);
    CHECK(size <= 12);
    memcpy(info + 3, "tls13 ", 6);
    memcpy(info + 9, label, size);
    return HKDF_expand(out, len, EVP_sha256(), secret, SECRET_BYTES, info, 9 + size + 1) == 1;
}

static bool make_keys(struct tls_boring_half *h)
{
    uint8_t key[KEY_BYTES];
    EVP_AEAD_CTX_cleanup(&h->keys);
    EVP_AEAD_CTX_zero(&h->keys);
    bool is_made =
        expand(h->secret, "key", key, sizeof(key)) && expand(h->secret, "iv", h->iv, NONCE_BYTES) &&
        EVP_AEAD_CTX_init(&h->keys, EVP_aead_aes_128_gcm(), key, sizeof(key), TAG_BYTES, NULL) == 1;
    OPENSSL_cleanse(key, sizeof(key));
    return is_made;
}

bool tls_boring_stream_keys_update(struct tls_boring_half *h)
{
    uint8_t next[SECRET_BYTES] = {0};
    if (!expand(h->secret, "traffic upd", next, sizeof(next))) {
        return false;
    }
    memcpy(h->secret, next, sizeof(next));
    OPENSSL_cleanse(next, sizeof(next));
    h->number = 0;
    return make_keys(h);
}

/* TLS_AES_128_GCM_SHA256, upon which two of us agree where processors have instructions for it. */
static bool is_known(const SSL *ssl)
{
    return SSL_version(ssl) == TLS1_3_VERSION &&
           SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(ssl)) == 0x1301;
}

void tls_boring_stream_keys_take_over(struct tls *tls)
{
    struct tls_boring_stream *r = tls->stream;
    if (r == NULL || r->is_up) {
        return;
    }
    /* Had BoringSSL opened or sealed anything with these secrets, a number could come twice or what
     * it holds be lost. */
    bool is_fresh = SSL_get_read_sequence(tls->ssl) == 0 && SSL_get_write_sequence(tls->ssl) == 0 &&
                    SSL_has_pending(tls->ssl) == 0;
    r->is_up = is_fresh && is_known(tls->ssl) && r->in.has_secret && r->out.has_secret &&
               make_keys(&r->in) && make_keys(&r->out);
    r->limit = TLS_BORING_STREAM_LIMIT;
    r->update_at = r->limit;
    if (!r->is_up) {
        tls_boring_stream_keys_free(tls);
        ERR_clear_error();
    }
}

void tls_boring_stream_keys_free(struct tls *tls)
{
    struct tls_boring_stream *r = tls->stream;
    if (r != NULL) {
        tls_boring_drop(tls, &r->rest, r->rest.end - r->rest.start);
        EVP_AEAD_CTX_cleanup(&r->out.keys);
        EVP_AEAD_CTX_cleanup(&r->in.keys);
        OPENSSL_free(r); /* wipes it */
        tls->stream = NULL;
    }
}
