/* SPDX-License-Identifier: Apache-2.0 */
/* Records that no peer of ours sends, and what they may cost us: RFC 8446 4.6.3, 5, 5.4, 5.5, 6.1.
 * They are sealed with the keys that our side opens with; what ours answers BoringSSL judges. */
#include "tests/unit/link/bare_pair.h"
#include <openssl/err.h>

enum { TICKET = 4, ALERT = 21, HANDSHAKE = 22, DATA = 23, KEY_UPDATE = 24, HEAD = 5, OVER = 22 };

static uint8_t forged[17 * TLS_RECORD_BYTES];
static size_t forged_len;

/* A record around `inner`, behind `ahead` others that have not been opened yet. */
static void forge(struct pair *p, struct slice inner, uint64_t ahead)
{
    struct tls_boring_half *h = &p->tls->stream->in;
    uint8_t nonce[TLS_BORING_STREAM_NONCE], *out = forged + forged_len;
    size_t body = inner.len + TLS_BORING_STREAM_TAG, len = 0;
    cr_assert_leq(HEAD + body, sizeof(forged) - forged_len);
    const uint8_t head[HEAD] = {DATA, 3, 3, (uint8_t)(body >> 8), (uint8_t)body};
    memcpy(out, head, HEAD);
    h->number += ahead;
    tls_boring_stream_nonce(h, nonce);
    h->number -= ahead;
    cr_assert_eq(EVP_AEAD_CTX_seal(&h->keys, out + HEAD, &len, body, nonce, sizeof(nonce),
                                   inner.data, inner.len, out, HEAD),
                 1);
    forged_len += HEAD + body;
}

/* What reading says of one such record; the plaintext is counted in *got. */
static enum err take_inner(struct pair *p, struct slice inner, size_t *got)
{
    static uint8_t plain[TLS_READ_BYTES];
    forged_len = 0;
    forge(p, inner, 0);
    enum err e = p->ops->lend(p->tls, slice_of(forged, forged_len));
    for (*got = 0; e == ERR_OK;) {
        size_t len = 0;
        e = p->ops->read(p->tls, plain, sizeof(plain), &len);
        *got += len;
    }
    p->ops->keep(p->tls);
    return e;
}

static enum err take(struct pair *p, uint8_t type, struct slice content)
{
    static uint8_t inner[TLS_READ_BYTES];
    size_t got = 0;
    memcpy(inner, content.data, content.len);
    inner[content.len] = type;
    enum err e = take_inner(p, slice_of(inner, content.len + 1), &got);
    cr_assert_eq(got, e == ERR_MORE && type == DATA ? content.len : 0);
    return e;
}

static enum err take_key_update(struct pair *p, uint8_t request)
{
    const uint8_t message[] = {KEY_UPDATE, 0, 0, 1, request};
    return take(p, HANDSHAKE, slice_of(message, sizeof(message)));
}

/* BoringSSL hears this alert, and nothing else; and that was the connection. */
static void expect_alert(struct pair *p, int description)
{
    uint8_t got[100];
    cr_assert(p->tls->failed);
    carry(p);
    ERR_clear_error();
    int said = SSL_read(p->bare, got, sizeof(got));
    cr_assert_eq(SSL_get_error(p->bare, said), SSL_ERROR_SSL);
    cr_assert_eq(ERR_GET_REASON(ERR_peek_error()), SSL_AD_REASON_OFFSET + description);
    end(p);
}

static void expect_back(struct pair *p)
{
    uint8_t got[100];
    carry(p);
    cr_assert_eq(SSL_read(p->bare, got, sizeof(got)), 4);
    cr_assert_eq(memcmp(got, "back", 4), 0);
}

/* 5.5, with BoringSSL as the judge of every key. */
Test(tls_boring_stream, takes_new_keys_before_the_old_are_worn)
{
    static struct pair p;
    uint8_t out[100];
    for (int role = 0; role < 2; role++) {
        pair_up(&p, role == 0 ? TLS_CLIENT : TLS_SERVER, false);
        cr_assert_eq(p.tls->stream->update_at, 1 << 23);
        p.tls->stream->limit = p.tls->stream->update_at = 3;
        for (int i = 0; i < 20; i++) {
            size_t len = 0, key_update = TLS_BORING_STREAM_MESSAGE + OVER;
            bool is_new = i > 0 && i % 3 == 0;
            cr_assert_eq(p.ops->seal(p.tls, SLICE_LITERAL("back"), out, sizeof(out), &len), ERR_OK);
            cr_assert_eq(len, is_new ? 0 : 4 + OVER, "%d", i);
            cr_assert_eq(p.ops->waiting(p.tls), is_new ? key_update + 4 + OVER : 0);
            cr_assert_leq(p.tls->stream->out.number, 4);
            if (!is_new) {
                cr_assert_eq(BIO_write(p.to_bare, out, (int)len), (int)len);
            }
            expect_back(&p);
        }
        talk(&p);
        end(&p);
    }
}

/* Somebody who asks and asks and never reads: neither keys nor memory until we have to say
 * something, and then one answer. */
Test(tls_boring_stream, owes_one_answer_to_many_requests)
{
    static struct pair p;
    pair_up(&p, TLS_SERVER, false);
    for (int i = 0; i < 30; i++) {
        cr_assert_eq(take_key_update(&p, 1), ERR_MORE);
        cr_assert_eq(p.ops->waiting(p.tls), 0);
    }
    cr_assert_eq(p.ops->write(p.tls, SLICE_LITERAL("back")), ERR_OK);
    cr_assert_eq(p.ops->waiting(p.tls), TLS_BORING_STREAM_MESSAGE + OVER + 4 + OVER);
    expect_back(&p);
    cr_assert_eq(p.ops->write(p.tls, SLICE_LITERAL("back")), ERR_OK);
    cr_assert_eq(p.ops->waiting(p.tls), 4 + OVER);
    expect_back(&p);
    end(&p);
}

/* Data in between does not make it cheap: of five records one may be an update for ever. */
Test(tls_boring_stream, bounds_key_updates_between_data)
{
    static struct pair p;
    pair_up(&p, TLS_SERVER, false);
    for (int i = 0; i < 200; i++) {
        cr_assert_eq(take_key_update(&p, 0), ERR_MORE);
        for (int k = 0; k < 4; k++) {
            cr_assert_eq(take(&p, DATA, SLICE_LITERAL("d")), ERR_MORE);
        }
    }
    enum err e = ERR_MORE;
    int count = 0;
    for (; count < 100 && e == ERR_MORE; count++) {
        cr_assert_eq(take(&p, DATA, SLICE_LITERAL("d")), ERR_MORE);
        e = take_key_update(&p, 0);
    }
    cr_assert_eq(e, ERR_MALFORMED);
    cr_assert_geq(count, 32);
    expect_alert(&p, SSL_AD_UNEXPECTED_MESSAGE);
}

Test(tls_boring_stream, a_cut_record_holds_its_own_memory)
{
    static struct pair p;
    static uint8_t big[TLS_RECORD_BYTES], plain[TLS_READ_BYTES], inner[TLS_RECORD_BYTES + 1];
    size_t len = 0, whole = TLS_RECORD_BYTES + OVER;
    pair_up(&p, TLS_SERVER, false);
    memset(inner, DATA, sizeof(inner));
    /* in small pieces */
    forged_len = 0;
    forge(&p, slice_of(inner, sizeof(inner)), 0);
    for (size_t at = 0, piece = 3; at + piece < whole;
         at += piece, piece = at == 3 ? 3000 : piece) {
        cr_assert_eq(p.ops->lend(p.tls, slice_of(forged + at, piece)), ERR_OK);
        cr_assert_eq(p.ops->read(p.tls, plain, sizeof(plain), &len), ERR_MORE);
        p.ops->keep(p.tls);
        cr_assert_eq(tls_boring_counters(p.context).buffer_bytes, at == 0 ? HEAD : whole);
    }
    end(&p);
    /* behind many that waited */
    pair_up(&p, TLS_SERVER, false);
    forged_len = 0;
    for (uint64_t i = 0; i < 15; i++) {
        forge(&p, slice_of(inner, sizeof(inner)), i);
    }
    cr_assert_eq(p.ops->feed(p.tls, slice_of(forged, forged_len - 1)), ERR_OK);
    for (int i = 0; i < 14; i++) {
        cr_assert_eq(p.ops->read(p.tls, plain, sizeof(plain), &len), ERR_OK);
        cr_assert_eq(len, sizeof(big));
    }
    cr_assert_eq(p.ops->read(p.tls, plain, sizeof(plain), &len), ERR_MORE);
    cr_assert_eq(tls_boring_counters(p.context).buffer_bytes, whole);
    cr_assert_eq(p.ops->feed(p.tls, slice_of(forged + forged_len - 1, 1)), ERR_OK);
    cr_assert_eq(p.ops->read(p.tls, plain, sizeof(plain), &len), ERR_OK);
    cr_assert_eq(len, sizeof(big));
    end(&p);
}

/* 5.4 */
Test(tls_boring_stream, takes_padding_up_to_its_bound)
{
    static struct pair p;
    static uint8_t inner[TLS_RECORD_BYTES + 2];
    size_t got = 0;
    memcpy(inner, (const uint8_t[]){'h', 'i', DATA}, 3);
    pair_up(&p, TLS_SERVER, false);
    cr_assert_eq(take_inner(&p, slice_of(inner, 10), &got), ERR_MORE);
    cr_assert_eq(got, 2);
    cr_assert_eq(take_inner(&p, slice_of(inner, TLS_RECORD_BYTES + 1), &got), ERR_MORE);
    cr_assert_eq(got, 2);
    cr_assert_eq(take_inner(&p, slice_of(inner, TLS_RECORD_BYTES + 2), &got), ERR_MALFORMED);
    expect_alert(&p, SSL_AD_RECORD_OVERFLOW);
    memset(inner, 0, 3);
    for (size_t len = 1; len < 20; len += 9) { /* nothing but padding */
        pair_up(&p, TLS_SERVER, false);
        cr_assert_eq(take_inner(&p, slice_of(inner, len), &got), ERR_MALFORMED);
        expect_alert(&p, SSL_AD_UNEXPECTED_MESSAGE);
    }
}

Test(tls_boring_stream, ends_a_flood_of_empty_records)
{
    static struct pair p;
    pair_up(&p, TLS_SERVER, false);
    for (int i = 0; i < 32; i++) {
        cr_assert_eq(take(&p, DATA, SLICE_LITERAL("")), ERR_MORE);
    }
    cr_assert_eq(take(&p, DATA, SLICE_LITERAL("")), ERR_MALFORMED);
    expect_alert(&p, SSL_AD_UNEXPECTED_MESSAGE);
}

/* 5.1: messages may be cut anywhere, but nothing comes in between, and keys change with a record.
 */
Test(tls_boring_stream, puts_messages_together)
{
    static struct pair p;
    static const uint8_t both[] = {TICKET, 0, 0, 5, 1, 2, 3, 4, 5, KEY_UPDATE, 0, 0, 1, 0};
    const struct slice all = slice_of(both, sizeof(both));
    pair_up(&p, TLS_CLIENT, false);
    for (size_t cut = 1; cut < all.len; cut++) {
        cr_assert_eq(take(&p, HANDSHAKE, slice_sub(all, 0, cut)), ERR_MORE);
        cr_assert_eq(take(&p, HANDSHAKE, slice_from(all, cut)), ERR_MORE, "cut at %zu", cut);
        for (int k = 0; k < 4; k++) {
            cr_assert_eq(take(&p, DATA, SLICE_LITERAL("data")), ERR_MORE);
        }
    }
    for (size_t at = 0; at < all.len; at++) {
        cr_assert_eq(take(&p, HANDSHAKE, slice_sub(all, at, 1)), ERR_MORE);
    }
    cr_assert_eq(take(&p, DATA, SLICE_LITERAL("data")), ERR_MORE);
    end(&p);
    for (size_t cut = 1; cut < all.len; cut++) {
        pair_up(&p, TLS_CLIENT, false);
        cr_assert_eq(take(&p, HANDSHAKE, slice_sub(all, 0, cut)), ERR_MORE);
        bool is_between = cut == 9;
        cr_assert_eq(take(&p, DATA, SLICE_LITERAL("data")), is_between ? ERR_MORE : ERR_MALFORMED);
        if (is_between) {
            end(&p);
        } else {
            expect_alert(&p, SSL_AD_UNEXPECTED_MESSAGE);
        }
    }
    static const uint8_t wrong[][6] = {
        {KEY_UPDATE, 0, 0, 1, 0, TICKET}, {KEY_UPDATE, 0, 0, 2, 0, 0}, {TICKET, 1, 0, 0, 0, 0}};
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        pair_up(&p, TLS_CLIENT, false);
        cr_assert_eq(take(&p, HANDSHAKE, slice_of(wrong[i], 6)), ERR_MALFORMED);
        expect_alert(&p, SSL_AD_UNEXPECTED_MESSAGE);
    }
    pair_up(&p, TLS_SERVER, false); /* who gives tickets gets none */
    cr_assert_eq(take(&p, HANDSHAKE, slice_sub(all, 0, 9)), ERR_MALFORMED);
    expect_alert(&p, SSL_AD_UNEXPECTED_MESSAGE);
    pair_up(&p, TLS_SERVER, false);
    cr_assert_eq(take_key_update(&p, 2), ERR_MALFORMED);
    expect_alert(&p, SSL_AD_ILLEGAL_PARAMETER);
}

Test(tls_boring_stream, refuses_messages_of_no_length)
{
    static struct pair p;
    pair_up(&p, TLS_SERVER, false);
    cr_assert_eq(take(&p, HANDSHAKE, SLICE_LITERAL("")), ERR_MALFORMED);
    expect_alert(&p, SSL_AD_UNEXPECTED_MESSAGE);
    pair_up(&p, TLS_SERVER, false);
    cr_assert_eq(take(&p, ALERT, SLICE_LITERAL("")), ERR_MALFORMED);
    expect_alert(&p, SSL_AD_UNEXPECTED_MESSAGE);
    pair_up(&p, TLS_SERVER, false);
    cr_assert_eq(take(&p, ALERT, SLICE_LITERAL("\1")), ERR_MALFORMED);
    expect_alert(&p, SSL_AD_DECODE_ERROR);
}

/* 6.1: what comes behind close_notify is nothing, and holds nothing. */
Test(tls_boring_stream, forgets_what_comes_behind_goodbye)
{
    static struct pair p;
    static const uint8_t goodbye[] = {1, 0, ALERT}, data[] = {'d', DATA};
    uint8_t plain[100];
    for (int is_fed = 0; is_fed < 2; is_fed++) {
        size_t len = 0;
        pair_up(&p, TLS_SERVER, false);
        forged_len = 0;
        forge(&p, slice_of(goodbye, sizeof(goodbye)), 0);
        forge(&p, slice_of(data, sizeof(data)), 1);
        struct slice all = slice_of(forged, forged_len);
        cr_assert_eq(is_fed ? p.ops->feed(p.tls, all) : p.ops->lend(p.tls, all), ERR_OK);
        cr_assert_eq(p.ops->read(p.tls, plain, sizeof(plain), &len), ERR_CLOSED);
        p.ops->keep(p.tls);
        cr_assert_eq(tls_boring_counters(p.context).buffer_bytes, 0);
        cr_assert_eq(p.ops->feed(p.tls, all), ERR_OK);
        cr_assert_eq(p.ops->read(p.tls, plain, sizeof(plain), &len), ERR_CLOSED);
        cr_assert_eq(tls_boring_counters(p.context).buffer_bytes, 0);
        cr_assert_eq(p.ops->write(p.tls, SLICE_LITERAL("back")), ERR_OK, "our side is still open");
        expect_back(&p);
        end(&p);
    }
}

Test(tls_boring_stream, opens_what_is_lent_byte_by_byte)
{
    static struct pair p;
    uint8_t wire[1000], plain[100];
    size_t len = 0;
    pair_up(&p, TLS_SERVER, false);
    for (int round = 0; round < 3; round++) {
        cr_assert_eq(SSL_write(p.bare, "there", 5), 5);
        int sealed = BIO_read(p.from_bare, wire, sizeof(wire));
        for (int i = 0; i < sealed; i++) {
            uint8_t one = wire[i]; /* gone when the next comes */
            cr_assert_eq(p.ops->lend(p.tls, slice_of(&one, 1)), ERR_OK);
            enum err e = p.ops->read(p.tls, plain, sizeof(plain), &len);
            cr_assert_eq(e, i == sealed - 1 ? ERR_OK : ERR_MORE);
            p.ops->keep(p.tls);
        }
        cr_assert_eq(len, 5);
        cr_assert_eq(tls_boring_counters(p.context).buffer_bytes, 0);
    }
    end(&p);
}

/* A record that could not be sealed is not there. */
Test(tls_boring_stream, nothing_waits_of_a_record_that_cannot_be_sealed)
{
    static struct pair p;
    static const uint8_t key[32];
    pair_up(&p, TLS_SERVER, false);
    EVP_AEAD_CTX *keys = &p.tls->stream->out.keys;
    EVP_AEAD_CTX_cleanup(keys); /* one that asks for a longer nonce */
    cr_assert_eq(EVP_AEAD_CTX_init(keys, EVP_aead_xchacha20_poly1305(), key, sizeof(key),
                                   TLS_BORING_STREAM_TAG, NULL),
                 1);
    cr_assert_eq(p.ops->write(p.tls, SLICE_LITERAL("back")), ERR_IO);
    cr_assert_eq(p.ops->waiting(p.tls), 0);
    cr_assert_eq(tls_boring_counters(p.context).buffer_bytes, 0);
    end(&p);
}

/* ---- when it begins, and when not ---- */

Test(tls_boring_stream, reading_does_not_go_on_with_the_handshake)
{
    static struct pair p;
    uint8_t plain[100];
    size_t len = 0;
    pair_open(&p, TLS_CLIENT, false);
    cr_assert_eq(p.ops->read(p.tls, plain, sizeof(plain), &len), ERR_MORE);
    cr_assert_eq(p.ops->waiting(p.tls), 0);
    end(&p);
}

/* Data right behind the last message of the handshake, in one piece with it. */
Test(tls_boring_stream, loses_nothing_that_comes_with_the_end_of_the_handshake)
{
    static struct pair p;
    static uint8_t wire[WIRE];
    uint8_t plain[100];
    size_t len = 0;
    pair_open(&p, TLS_SERVER, false);
    SSL_do_handshake(p.bare);
    cr_assert_eq(carry(&p), ERR_OK);
    cr_assert_eq(SSL_do_handshake(p.bare), 1);
    cr_assert_eq(SSL_write(p.bare, "there", 5), 5);
    int all = BIO_read(p.from_bare, wire, sizeof(wire));
    cr_assert_eq(p.ops->feed(p.tls, slice_of(wire, (size_t)all)), ERR_OK);
    cr_assert(tls_boring_stream_is_up(p.tls));
    cr_assert_eq(p.ops->read(p.tls, plain, sizeof(plain), &len), ERR_OK);
    cr_assert_eq(len, 5);
    talk(&p);
    end(&p);
}

/* BoringSSL has already sealed something: it goes on, else a number would come twice. */
Test(tls_boring_stream, does_not_take_over_what_has_begun)
{
    static struct pair p;
    static uint8_t wire[WIRE];
    uint8_t plain[100];
    pair_open(&p, TLS_CLIENT, false);
    for (int round = 0; round < 3; round++) {
        SSL_do_handshake(p.tls->ssl);
        size_t len = p.ops->pull(p.tls, wire, sizeof(wire));
        cr_assert_eq(BIO_write(p.to_bare, wire, (int)len), (int)len);
        SSL_do_handshake(p.bare);
        int back = BIO_read(p.from_bare, wire, sizeof(wire));
        cr_assert(tls_boring_push(p.tls, &p.tls->in, wire, back > 0 ? (size_t)back : 0));
    }
    cr_assert_eq(SSL_write(p.tls->ssl, "first", 5), 5);
    cr_assert_eq(p.ops->handshake(p.tls), ERR_OK);
    cr_assert_not(tls_boring_stream_is_up(p.tls));
    carry(&p);
    cr_assert_eq(SSL_read(p.bare, plain, sizeof(plain)), 5);
    talk(&p);
    end(&p);
}

Test(tls_boring_stream, leaves_tls_1_2_to_boringssl)
{
    static struct pair p;
    for (int role = 0; role < 2; role++) {
        p.is_old = true;
        pair_up(&p, role == 0 ? TLS_CLIENT : TLS_SERVER, false);
        talk(&p);
        talk(&p);
        end(&p);
    }
}
