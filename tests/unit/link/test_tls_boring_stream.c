/* SPDX-License-Identifier: Apache-2.0 */
/* Records of TLS 1.3 that we make and open ourselves, against BoringSSL's own record layer at the
 * other end: RFC 8446 4.6.1, 4.6.3, 5, 6. */
#include "link/tls_boring.h"
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
};

static enum ssl_verify_result_t accept_any(SSL *ssl, uint8_t *alert)
{
    (void)ssl;
    (void)alert;
    return ssl_verify_ok;
}

/* Carries what waits on either side; what read said last of what ours got is in `fed`. */
static enum err carry(struct pair *p)
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

static void pair_up(struct pair *p, enum tls_role ours, bool has_tickets)
{
    memset(p, 0, sizeof(*p));
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
    p->bare = SSL_new(p->bare_context);
    p->to_bare = BIO_new(BIO_s_mem());
    p->from_bare = BIO_new(BIO_s_mem());
    SSL_set_bio(p->bare, p->to_bare, p->from_bare);
    if (ours == TLS_CLIENT) {
        SSL_set_accept_state(p->bare);
    } else {
        SSL_set_connect_state(p->bare);
    }
    enum err done = ERR_MORE;
    for (int round = 0; round < 8; round++) {
        done = p->ops->handshake(p->tls);
        cr_assert_eq(carry(p), ERR_OK);
        SSL_do_handshake(p->bare);
        cr_assert_eq(carry(p), ERR_OK);
    }
    cr_assert_eq(done, ERR_OK);
    cr_assert_eq(SSL_in_init(p->bare), 0);
    cr_assert_eq(SSL_version(p->bare), TLS1_3_VERSION);
}

static void end(struct pair *p)
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
static void talk(struct pair *p)
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

Test(tls_boring_stream, understands_boringssl_in_both_roles)
{
    static struct pair p;
    static uint8_t whole[TLS_RECORD_BYTES], got[TLS_READ_BYTES];
    for (int role = 0; role < 2; role++) {
        size_t len = 0, total = 0;
        pair_up(&p, role == 0 ? TLS_CLIENT : TLS_SERVER, false);
        talk(&p);
        talk(&p);
        memset(whole, 0x3c, sizeof(whole));
        cr_assert_eq(SSL_write(p.bare, whole, sizeof(whole)), TLS_RECORD_BYTES);
        cr_assert_eq(carry(&p), ERR_OK);
        cr_assert_eq(p.ops->read(p.tls, got, sizeof(got), &len), ERR_OK);
        cr_assert_eq(len, sizeof(whole));
        cr_assert_eq(memcmp(got, whole, len), 0);
        /* a reader with little room gets it by and by */
        cr_assert_eq(SSL_write(p.bare, whole, sizeof(whole)), TLS_RECORD_BYTES);
        cr_assert_eq(carry(&p), ERR_OK);
        while (p.ops->read(p.tls, got, 1000, &len) == ERR_OK) {
            total += len;
        }
        cr_assert_eq(total, sizeof(whole));
        talk(&p);
        end(&p);
    }
}

/* BoringSSL would hold what has come of a record: then `lend` would have nothing to wait for. */
Test(tls_boring_stream, opens_what_is_lent_in_pieces)
{
    static struct pair p;
    static uint8_t wire[1000];
    uint8_t got[1000];
    pair_up(&p, TLS_SERVER, false);
    for (size_t cut = 1; cut < 90; cut++) {
        size_t len = 0;
        cr_assert_eq(SSL_write(p.bare, "first", 5), 5);
        cr_assert_eq(SSL_write(p.bare, "second", 6), 6);
        int sealed = BIO_read(p.from_bare, wire, sizeof(wire));
        struct slice all = slice_of(wire, (size_t)sealed);
        size_t total = 0;
        cr_assert_eq(p.ops->lend(p.tls, slice_sub(all, 0, cut % all.len)), ERR_OK);
        while (p.ops->read(p.tls, got + total, sizeof(got) - total, &len) == ERR_OK) {
            total += len;
        }
        cr_assert_eq(p.ops->lend(p.tls, slice_from(all, cut % all.len)), ERR_OK);
        while (p.ops->read(p.tls, got + total, sizeof(got) - total, &len) == ERR_OK) {
            total += len;
        }
        cr_assert_eq(total, 11);
        cr_assert_eq(memcmp(got, "firstsecond", 11), 0);
    }
    end(&p);
}

Test(tls_boring_stream, follows_a_key_update_and_answers_it)
{
    static struct pair p;
    for (int role = 0; role < 2; role++) {
        pair_up(&p, role == 0 ? TLS_CLIENT : TLS_SERVER, false);
        talk(&p);
        cr_assert_eq(SSL_key_update(p.bare, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        talk(&p);
        cr_assert_eq(SSL_key_update(p.bare, SSL_KEY_UPDATE_REQUESTED), 1);
        talk(&p);
        talk(&p);
        end(&p);
    }
}

/* Updates that nothing comes between are a waste of our time (as in BoringSSL, 32 in a row). */
Test(tls_boring_stream, ends_a_flood_of_key_updates)
{
    static struct pair p;
    uint8_t got[100];
    size_t len = 0;
    enum err e = ERR_OK;
    pair_up(&p, TLS_SERVER, false);
    for (int i = 0; i < 40 && e != ERR_MALFORMED; i++) {
        cr_assert_eq(SSL_key_update(p.bare, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        cr_assert_eq(SSL_do_handshake(p.bare), 1);
        SSL_write(p.bare, "", 0);
        carry(&p);
        e = p.ops->read(p.tls, got, sizeof(got), &len);
        cr_assert(e == ERR_MORE || i >= 30);
    }
    cr_assert_eq(e, ERR_MALFORMED);
    end(&p);
}

Test(tls_boring_stream, skips_tickets)
{
    static struct pair p;
    pair_up(&p, TLS_CLIENT, true);
    talk(&p);
    talk(&p);
    end(&p);
}

Test(tls_boring_stream, says_goodbye_and_hears_it)
{
    static struct pair p;
    uint8_t got[100];
    size_t len = 0;
    pair_up(&p, TLS_SERVER, false);
    p.ops->shutdown(p.tls);
    cr_assert_eq(p.ops->write(p.tls, SLICE_LITERAL("more")), ERR_IO);
    carry(&p);
    int said = SSL_read(p.bare, got, sizeof(got));
    cr_assert_eq(SSL_get_error(p.bare, said), SSL_ERROR_ZERO_RETURN);
    end(&p);

    pair_up(&p, TLS_CLIENT, false);
    SSL_shutdown(p.bare);
    cr_assert_eq(carry(&p), ERR_OK);
    cr_assert_eq(p.ops->read(p.tls, got, sizeof(got), &len), ERR_CLOSED);
    cr_assert_eq(p.ops->read(p.tls, got, sizeof(got), &len), ERR_CLOSED);
    end(&p);
}

/* What is not authentic ends the connection, whichever byte it is, and the other side hears why;
 * nor does a record come twice. */
Test(tls_boring_stream, damaged_and_repeated_records_end_it)
{
    static struct pair p;
    static uint8_t wire[1000];
    uint8_t got[1000];
    for (size_t at = 0; at < 30; at++) {
        size_t len = 0;
        pair_up(&p, TLS_SERVER, false);
        cr_assert_eq(SSL_write(p.bare, "a message", 9), 9);
        int sealed = BIO_read(p.from_bare, wire, sizeof(wire));
        cr_assert_gt(sealed, 30);
        struct slice record = slice_of(wire, (size_t)sealed);
        bool is_repeated = at == 29;
        if (is_repeated) {
            cr_assert_eq(p.ops->feed(p.tls, record), ERR_OK);
            cr_assert_eq(p.ops->read(p.tls, got, sizeof(got), &len), ERR_OK);
        } else {
            wire[at] ^= at == 4 ? 1 : 0x40;
        }
        cr_assert_eq(p.ops->feed(p.tls, record), ERR_OK);
        bool is_longer = at == 3 || (at == 4 && (wire[4] & 1) != 0); /* the rest is yet to come */
        cr_assert_eq(p.ops->read(p.tls, got, sizeof(got), &len),
                     is_longer ? ERR_MORE : ERR_MALFORMED, "byte %zu", at);
        if (!is_longer) {
            cr_assert_eq(p.ops->read(p.tls, got, sizeof(got), &len), ERR_IO);
            carry(&p);
            int said = SSL_read(p.bare, got, sizeof(got));
            cr_assert_eq(SSL_get_error(p.bare, said), SSL_ERROR_SSL, "an alert");
        }
        end(&p);
    }
}
