/* SPDX-License-Identifier: Apache-2.0 */
/* TLS over memory: both certificates demanded, any splitting of the bytes, hostile bytes; LK-1,
 * AT-13. */
#include "link/tls_boring.h"
#include "tests/unit/link/credentials.h"
#include <openssl/ssl.h>

static struct credential ca, a, b;
static const struct tls_ops *ops;

struct side {
    struct tls_boring *context;
    struct tls *tls;
    enum err fed;  /* of the last feed */
    enum err done; /* of the last handshake */
};

static void make_side(struct side *s, const struct credential *who, enum tls_role role)
{
    ops = tls_boring_ops();
    memset(s, 0, sizeof(*s));
    cr_assert_eq(tls_boring_context_new(credential_der(who), NULL, 0, who->key, &s->context),
                 ERR_OK);
    s->tls = ops->open(s->context, role);
    cr_assert_not_null(s->tls);
    s->done = ops->handshake(s->tls);
    cr_assert_eq(s->done, ERR_MORE);
}

static void free_side(struct side *s)
{
    ops->close(s->tls);
    cr_assert_eq(tls_boring_counters(s->context).open, 0);
    cr_assert_eq(tls_boring_counters(s->context).buffer_bytes, 0);
    tls_boring_context_free(s->context);
}

/* Carries what waits, in pieces of 1 to `most` bytes; returns how much. */
static size_t carry(struct side *from, struct side *to, size_t most)
{
    size_t total = 0;
    for (;;) {
        size_t want = 1 + (total * 7 + 3) % most;
        uint8_t *exact = malloc(want);
        size_t len = ops->pull(from->tls, exact, want);
        if (len > 0) {
            to->fed = ops->feed(to->tls, slice_of(exact, len));
        }
        free(exact);
        total += len;
        if (len == 0) {
            return total;
        }
    }
}

static void shake(struct side *client, struct side *server, size_t most)
{
    while (carry(client, server, most) + carry(server, client, most) > 0) {
        client->done = ops->handshake(client->tls);
        server->done = ops->handshake(server->tls);
    }
}

static void init(enum crypto_algorithm algorithm)
{
    credential_root(&ca, algorithm, "root");
    credential_node(&a, &ca, algorithm, 1, NOW_MS);
    credential_node(&b, &ca, algorithm, 2, NOW_MS);
}

static void fini(void)
{
    credential_free(&ca);
    credential_free(&a);
    credential_free(&b);
}

Test(tls_boring, both_sides_see_the_others_certificate)
{
    static const enum crypto_algorithm all[] = {CRYPTO_ED25519, CRYPTO_ECDSA_SHA256,
                                                CRYPTO_RSA_SHA256};
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        static struct side client, server;
        struct slice chain[TLS_CHAIN_CAP];
        init(all[i]);
        make_side(&client, &a, TLS_CLIENT);
        make_side(&server, &b, TLS_SERVER);
        cr_assert_eq(ops->peer_chain(client.tls, chain), 0);
        cr_assert_eq(ops->write(client.tls, SLICE_LITERAL("early")), ERR_STATE);
        shake(&client, &server, i == 0 ? 1 : 700);
        cr_assert_eq(client.done, ERR_OK);
        cr_assert_eq(server.done, ERR_OK);
        cr_assert_eq(ops->peer_chain(client.tls, chain), 1);
        cr_assert(slice_is_equal(chain[0], credential_der(&b)));
        cr_assert_eq(ops->peer_chain(server.tls, chain), 1);
        cr_assert(slice_is_equal(chain[0], credential_der(&a)));
        free_side(&client);
        free_side(&server);
        fini();
    }
}

Test(tls_boring, a_chain_travels_with_its_certificate)
{
    static struct side client, server;
    struct slice chain[TLS_CHAIN_CAP];
    init(CRYPTO_ED25519);
    make_side(&server, &b, TLS_SERVER);
    memset(&client, 0, sizeof(client));
    struct slice extra = credential_der(&ca);
    cr_assert_eq(tls_boring_context_new(credential_der(&a), &extra, 1, a.key, &client.context),
                 ERR_OK);
    client.tls = ops->open(client.context, TLS_CLIENT);
    ops->handshake(client.tls);
    shake(&client, &server, 5000);
    cr_assert_eq(ops->peer_chain(server.tls, chain), 2);
    cr_assert(slice_is_equal(chain[1], extra));
    free_side(&client);
    free_side(&server);
    struct tls_boring *none = NULL;
    cr_assert_eq(tls_boring_context_new(credential_der(&a), NULL, 0, b.key, &none),
                 ERR_BAD_CERTIFICATE);
    cr_assert_null(none);
    fini();
}

Test(tls_boring, records_arrive_whole_in_any_pieces)
{
    static uint8_t sent[TLS_RECORD_BYTES], got[2 * TLS_RECORD_BYTES];
    static struct side client, server;
    init(CRYPTO_ED25519);
    make_side(&client, &a, TLS_CLIENT);
    make_side(&server, &b, TLS_SERVER);
    shake(&client, &server, 4000);
    for (size_t i = 0; i < sizeof(sent); i++) {
        sent[i] = (uint8_t)(i * 31);
    }
    static const size_t sizes[] = {1, 9, 500, 4096, TLS_RECORD_BYTES};
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        struct side *from = i % 2 == 0 ? &client : &server, *to = i % 2 == 0 ? &server : &client;
        size_t len = 0, total = 0;
        cr_assert_eq(ops->write(from->tls, slice_of(sent, sizes[i])), ERR_OK);
        cr_assert_eq(ops->write(from->tls, slice_of(sent, sizes[i])), ERR_OK);
        cr_assert_gt(carry(from, to, 1 + sizes[i] / 3), 2 * sizes[i]);
        cr_assert_eq(to->fed, ERR_OK);
        while (ops->read(to->tls, got + total, sizeof(got) - total, &len) == ERR_OK) {
            total += len;
            if (total == sizeof(got)) {
                break;
            }
        }
        cr_assert_eq(total, 2 * sizes[i]);
        cr_assert_eq(memcmp(got, sent, sizes[i]), 0);
        cr_assert_eq(memcmp(got + sizes[i], sent, sizes[i]), 0);
        cr_assert_eq(ops->read(to->tls, got, sizeof(got), &len), ERR_MORE);
    }
    cr_assert_eq(tls_boring_counters(client.context).buffer_bytes, 0);
    size_t len = 0;
    ops->shutdown(client.tls);
    cr_assert_gt(carry(&client, &server, 4000), 0);
    cr_assert_eq(ops->read(server.tls, got, sizeof(got), &len), ERR_CLOSED);
    free_side(&client);
    free_side(&server);
    fini();
}

/* Bytes that are lent are read in place or kept when their owner wants them back; what is sealed
 * goes where the caller says, in order, and waits for pull where there is no room. */
Test(tls_boring, lends_and_seals_without_queues)
{
    static uint8_t got[TLS_RECORD_BYTES], sealed[3 * TLS_RECORD_BYTES], sent[TLS_RECORD_BYTES];
    static struct side client, server;
    init(CRYPTO_ED25519);
    make_side(&client, &a, TLS_CLIENT);
    make_side(&server, &b, TLS_SERVER);
    shake(&client, &server, 4000);
    memset(sent, 0x5a, sizeof(sent));
    size_t first = 0, second = 0, none = 1, len = 0;
    cr_assert_eq(
        ops->seal(client.tls, slice_of(sent, sizeof(sent)), sealed, sizeof(sealed), &first),
        ERR_OK);
    cr_assert_gt(first, sizeof(sent));
    cr_assert_eq(ops->waiting(client.tls), 0);
    cr_assert_eq(tls_boring_counters(client.context).buffer_bytes, 0);
    cr_assert_eq(
        ops->seal(client.tls, slice_of(sent, 500), sealed + first, sizeof(sealed) - first, &second),
        ERR_OK);
    /* The first record and the beginning of the second are lent, and taken back in between. */
    for (size_t cut = 1; cut < 40; cut += 7) {
        size_t total = 0;
        uint8_t *exact = malloc(first + cut);
        memcpy(exact, sealed, first + cut);
        cr_assert_eq(ops->lend(server.tls, slice_of(exact, first + cut)), ERR_OK);
        if (cut % 2 == 0) {
            ops->keep(server.tls);
            free(exact);
            exact = NULL;
        }
        while (ops->read(server.tls, got, sizeof(got), &len) == ERR_OK) {
            total += len;
        }
        cr_assert_eq(total, sizeof(sent));
        cr_assert_eq(memcmp(got, sent, sizeof(got)), 0);
        ops->keep(server.tls); /* all is read but what waits for the rest of its record */
        cr_assert_leq(tls_boring_counters(server.context).buffer_bytes, first + cut);
        free(exact);
        cr_assert_eq(ops->lend(server.tls, slice_of(sealed + first + cut, second - cut)), ERR_OK);
        cr_assert_eq(ops->read(server.tls, got, sizeof(got), &len), ERR_OK);
        cr_assert_eq(len, 500);
        cr_assert_eq(ops->read(server.tls, got, sizeof(got), &len), ERR_MORE);
        /* For the next round. */
        first = second = 0;
        cr_assert_eq(
            ops->seal(client.tls, slice_of(sent, sizeof(sent)), sealed, sizeof(sealed), &first),
            ERR_OK);
        cr_assert_eq(ops->seal(client.tls, slice_of(sent, 500), sealed + first,
                               sizeof(sealed) - first, &second),
                     ERR_OK);
    }
    cr_assert_eq(ops->feed(server.tls, slice_of(sealed, first + second)), ERR_OK);
    while (ops->read(server.tls, got, sizeof(got), &len) == ERR_OK) {}
    /* No room: it waits, and what is sealed later does not overtake it. */
    cr_assert_eq(ops->seal(client.tls, SLICE_LITERAL("one"), sealed, 10, &none), ERR_OK);
    cr_assert_eq(none, 0);
    cr_assert_gt(ops->waiting(client.tls), 3);
    cr_assert_eq(ops->seal(client.tls, SLICE_LITERAL("two"), sealed, sizeof(sealed), &none),
                 ERR_OK);
    cr_assert_eq(none, 0);
    len = ops->pull(client.tls, sealed, sizeof(sealed));
    cr_assert_eq(ops->waiting(client.tls), 0);
    cr_assert_eq(ops->lend(server.tls, slice_of(sealed, len)), ERR_OK);
    cr_assert_eq(ops->read(server.tls, got, sizeof(got), &len), ERR_OK);
    cr_assert_eq(memcmp(got, "one", 3), 0);
    cr_assert_eq(ops->read(server.tls, got, sizeof(got), &len), ERR_OK);
    cr_assert_eq(memcmp(got, "two", 3), 0);
    free_side(&client);
    free_side(&server);
    fini();
}

/* A client that has no certificate is told so and gets nowhere. */
Test(tls_boring, demands_a_certificate_of_the_client)
{
    static const uint16_t versions[] = {TLS1_2_VERSION, TLS1_3_VERSION, TLS1_1_VERSION};
    for (size_t i = 0; i < ARRAY_COUNT(versions); i++) {
        static struct side server;
        init(CRYPTO_ECDSA_SHA256);
        make_side(&server, &b, TLS_SERVER);
        SSL_CTX *context = SSL_CTX_new(TLS_method());
        SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
        SSL_CTX_set_max_proto_version(context, versions[i]);
        SSL *bare = SSL_new(context);
        BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
        SSL_set_bio(bare, in, out);
        SSL_set_connect_state(bare);
        for (int round = 0; round < 6; round++) {
            static uint8_t bytes[8192];
            SSL_do_handshake(bare);
            int len = BIO_read(out, bytes, sizeof(bytes));
            if (len > 0 && server.fed == ERR_OK) {
                server.fed = ops->feed(server.tls, slice_of(bytes, (size_t)len));
            }
            size_t back = ops->pull(server.tls, bytes, sizeof(bytes));
            BIO_write(in, bytes, (int)back);
        }
        enum err expected = versions[i] == TLS1_1_VERSION ? ERR_MALFORMED : ERR_UNAUTHENTICATED;
        cr_assert_eq(server.fed, expected, "%d", (int)server.fed);
        cr_assert_eq(ops->feed(server.tls, SLICE_LITERAL("more")), ERR_IO);
        cr_assert_eq(ops->write(server.tls, SLICE_LITERAL("more")), ERR_IO);
        SSL_free(bare);
        SSL_CTX_free(context);
        free_side(&server);
        fini();
    }
}

Test(tls_boring, garbage_ends_a_handshake_or_a_connection)
{
    static uint8_t junk[4000];
    static struct side client, server;
    size_t len = 0;
    init(CRYPTO_ED25519);
    for (size_t i = 0; i < sizeof(junk); i++) {
        junk[i] = (uint8_t)(i * 89 + 7);
    }
    make_side(&server, &b, TLS_SERVER);
    cr_assert_eq(ops->feed(server.tls, slice_of(junk, sizeof(junk))), ERR_MALFORMED);
    free_side(&server);
    make_side(&server, &b, TLS_SERVER);
    cr_assert_eq(ops->feed(server.tls, SLICE_LITERAL("GET / HTTP/1.1\r\n\r\n")), ERR_MALFORMED);
    free_side(&server);

    make_side(&client, &a, TLS_CLIENT);
    make_side(&server, &b, TLS_SERVER);
    shake(&client, &server, 4000);
    cr_assert_eq(ops->feed(server.tls, slice_of(junk, sizeof(junk))), ERR_OK);
    uint8_t out[100];
    cr_assert_eq(ops->read(server.tls, out, sizeof(out), &len), ERR_MALFORMED);
    cr_assert_eq(ops->read(server.tls, out, sizeof(out), &len), ERR_IO);
    cr_assert_gt(carry(&server, &client, 4000), 0, "an alert");
    cr_assert_eq(ops->read(client.tls, out, sizeof(out), &len), ERR_IO);
    free_side(&client);
    free_side(&server);
    fini();
}

/* Every bit of a flight matters or is caught: no crash, no success with a changed byte. */
Test(tls_boring, damaged_flights_never_succeed_unnoticed)
{
    init(CRYPTO_ED25519);
    for (size_t at = 0; at < 1400; at += 37) {
        static struct side client, server;
        static uint8_t flight[4096];
        make_side(&client, &a, TLS_CLIENT);
        make_side(&server, &b, TLS_SERVER);
        carry(&client, &server, 4096);
        size_t len = ops->pull(server.tls, flight, sizeof(flight));
        flight[at % len] ^= 0x20;
        enum err fed = ops->feed(client.tls, slice_of(flight, len));
        cr_assert(fed != ERR_OK || ops->handshake(client.tls) == ERR_MORE, "byte %zu", at % len);
        free_side(&client);
        free_side(&server);
    }
    fini();
}

/* What is fed and never read, or written and never pulled, is bounded. */
Test(tls_boring, queues_are_bounded)
{
    static uint8_t plain[TLS_RECORD_BYTES];
    static struct side client, server;
    init(CRYPTO_ED25519);
    make_side(&client, &a, TLS_CLIENT);
    make_side(&server, &b, TLS_SERVER);
    shake(&client, &server, 4000);
    enum err error = ERR_OK;
    size_t written = 0;
    while ((error = ops->write(client.tls, slice_of(plain, sizeof(plain)))) == ERR_OK) {
        written += sizeof(plain);
        cr_assert_leq(written, TLS_BORING_BUFFER_CAP);
    }
    cr_assert_eq(error, ERR_IO);
    cr_assert_leq(tls_boring_counters(client.context).buffer_peak, TLS_BORING_BUFFER_CAP + 8192);
    for (size_t fed = 0; server.fed == ERR_OK; fed += sizeof(plain)) {
        cr_assert_leq(fed, TLS_BORING_BUFFER_CAP);
        server.fed = ops->feed(server.tls, slice_of(plain, sizeof(plain)));
    }
    cr_assert_eq(server.fed, ERR_IO);
    free_side(&client);
    free_side(&server);
    fini();
}

static void note_line(void *user, const char *line)
{
    size_t *count = user;
    *count += strncmp(line, "CLIENT_", 7) == 0 || strncmp(line, "SERVER_", 7) == 0 ||
              strncmp(line, "EXPORTER_", 9) == 0;
}

Test(tls_boring, hands_out_the_key_log)
{
    static struct side client, server;
    size_t lines = 0;
    init(CRYPTO_ED25519);
    make_side(&client, &a, TLS_CLIENT);
    make_side(&server, &b, TLS_SERVER);
    tls_boring_keylog(server.context, note_line, &lines);
    shake(&client, &server, 4000);
    cr_assert_geq(lines, 4);
    free_side(&client);
    free_side(&server);
    fini();
}
