/* SPDX-License-Identifier: Apache-2.0 */
/* Records of TLS 1.3 that we make and open ourselves, against BoringSSL's own record layer at the
 * other end: RFC 8446 4.6.1, 4.6.3, 5, 6. */
#include "tests/unit/link/bare_pair.h"

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
            wire[at] ^= at == 4 ? 1 : at == 3 ? 0x20 : 0x40;
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
