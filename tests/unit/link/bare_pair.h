/* SPDX-License-Identifier: Apache-2.0 */
/* bare_pair.h - BoringSSL with its own record layer at one end, one of our connections at the
 * other. */
#pragma once
#include "link/tls_boring_stream.h"
#include "tests/unit/link/credentials.h"
#include <openssl/mem.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>

enum { WIRE = 64 * 1024 };

static struct credential ca, a, b;

/* BoringSSL as it comes, and one of ours. */
struct pair {
    SSL_CTX *bare_context;
    SSL *bare;
    BIO *to_bare, *from_bare;
    struct tls_boring *context;
    struct tls *tls;
    const struct tls_ops *ops;
    bool is_old; /* BoringSSL speaks 1.2; to be set before */
};

static inline enum ssl_verify_result_t accept_any(SSL *ssl, uint8_t *alert)
{
    (void)ssl;
    (void)alert;
    return ssl_verify_ok;
}

/* Carries what waits on either side; what read said last of what ours got is in `fed`. */
static inline enum err carry(struct pair *p)
{
    static uint8_t wire[WIRE];
    enum err fed = ERR_OK;
    for (int len = 1; len > 0;) {
        len = BIO_read(p->from_bare, wire, 700);
        if (len > 0 && fed == ERR_OK) {
            fed = p->ops->feed(p->tls, slice_of(wire, (size_t)len));
        }
    }
    size_t back = p->ops->pull(p->tls, wire, sizeof(wire));
    if (back > 0) {
        cr_assert_eq(BIO_write(p->to_bare, wire, (int)back), (int)back);
    }
    return fed;
}

/* Neither has said anything yet. */
static inline void pair_open(struct pair *p, enum tls_role ours, bool has_tickets)
{
    bool is_old = p->is_old;
    memset(p, 0, sizeof(*p));
    p->is_old = is_old;
    p->ops = tls_boring_ops();
    credential_root(&ca, CRYPTO_ED25519, "root");
    credential_node(&a, &ca, CRYPTO_ECDSA_SHA256, 1, NOW_MS);
    credential_node(&b, &ca, CRYPTO_ECDSA_SHA256, 2, NOW_MS);
    cr_assert_eq(tls_boring_context_new(credential_der(&a), NULL, 0, a.key, &p->context), ERR_OK);
    p->tls = p->ops->open(p->context, ours);
    p->bare_context = SSL_CTX_new(TLS_with_buffers_method());
    CRYPTO_BUFFER *chain[] = {CRYPTO_BUFFER_new(b.certificate, b.certificate_len, NULL)};
    cr_assert_eq(
        SSL_CTX_set_chain_and_key(p->bare_context, chain, 1, crypto_boring_key_object(b.key), NULL),
        1);
    CRYPTO_BUFFER_free(chain[0]);
    SSL_CTX_set_custom_verify(p->bare_context, SSL_VERIFY_PEER, accept_any);
    SSL_CTX_set_session_id_context(p->bare_context, (const uint8_t *)"test", 4);
    if (!has_tickets) {
        SSL_CTX_set_options(p->bare_context, SSL_OP_NO_TICKET);
    }
    if (p->is_old) {
        cr_assert_eq(SSL_CTX_set_max_proto_version(p->bare_context, TLS1_2_VERSION), 1);
    }
    p->bare = SSL_new(p->bare_context);
    p->to_bare = BIO_new(BIO_s_mem());
    p->from_bare = BIO_new(BIO_s_mem());
    SSL_set_bio(p->bare, p->to_bare, p->from_bare);
    if (ours == TLS_CLIENT) {
        SSL_set_accept_state(p->bare);
    } else {
        SSL_set_connect_state(p->bare);
    }
}

static inline void pair_up(struct pair *p, enum tls_role ours, bool has_tickets)
{
    pair_open(p, ours, has_tickets);
    enum err done = ERR_MORE;
    for (int round = 0; round < 8; round++) {
        done = p->ops->handshake(p->tls);
        cr_assert_eq(carry(p), ERR_OK);
        SSL_do_handshake(p->bare);
        cr_assert_eq(carry(p), ERR_OK);
    }
    cr_assert_eq(done, ERR_OK);
    cr_assert_eq(SSL_in_init(p->bare), 0);
    cr_assert_eq(SSL_version(p->bare), p->is_old ? TLS1_2_VERSION : TLS1_3_VERSION);
    cr_assert_eq(tls_boring_stream_is_up(p->tls), !p->is_old);
}

static inline void end(struct pair *p)
{
    p->ops->close(p->tls);
    cr_assert_eq(tls_boring_counters(p->context).buffer_bytes, 0);
    tls_boring_context_free(p->context);
    SSL_free(p->bare);
    SSL_CTX_free(p->bare_context);
    credential_free(&ca);
    credential_free(&a);
    credential_free(&b);
}

/* One message each way. */
static inline void talk(struct pair *p)
{
    uint8_t got[100];
    size_t len = 0;
    cr_assert_eq(SSL_write(p->bare, "there", 5), 5);
    cr_assert_eq(carry(p), ERR_OK);
    cr_assert_eq(p->ops->read(p->tls, got, sizeof(got), &len), ERR_OK);
    cr_assert_eq(len, 5);
    cr_assert_eq(memcmp(got, "there", 5), 0);
    cr_assert_eq(p->ops->read(p->tls, got, sizeof(got), &len), ERR_MORE);
    cr_assert_eq(p->ops->write(p->tls, SLICE_LITERAL("back")), ERR_OK);
    cr_assert_eq(carry(p), ERR_OK);
    cr_assert_eq(SSL_read(p->bare, got, sizeof(got)), 4);
    cr_assert_eq(memcmp(got, "back", 4), 0);
}
