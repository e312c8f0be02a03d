/* SPDX-License-Identifier: Apache-2.0 */
/* DTLS over a wire that loses, repeats and reorders; LK-1, AT-13, RFC 6347 4.1.2.6, 4.2.4. */
#include "core/rng.h"
#include "link/tls_boring_impl.h"
#include "tests/unit/link/credentials.h"
#include <malloc.h>
#include <openssl/ssl.h>

enum { DATAGRAM = 1232, WIRE = 256, PLAIN = 4096 };

static struct credential ca, a, b;
static const struct tls_ops *ops;
static uint64_t now_us;

struct side {
    struct tls_boring *context;
    struct tls *tls;
    enum err end;
    size_t sent, sent_bytes, largest;
    uint8_t plain[PLAIN];
    size_t plain_len;
};

struct packet {
    struct side *to;
    size_t len;
    uint8_t bytes[DATAGRAM + 600];
};

static struct packet wire[WIRE];
static size_t wire_count;
static struct rng rng;
static uint32_t lose_percent, repeat_percent;
static bool reorders;

static void open_side(struct side *s, const struct credential *who, enum tls_role role)
{
    ops = tls_boring_ops();
    memset(s, 0, sizeof(*s));
    cr_assert_eq(tls_boring_context_new(credential_der(who), NULL, 0, who->key, &s->context),
                 ERR_OK);
    s->tls = ops->open_datagram(s->context, role, DATAGRAM, now_us);
    cr_assert_not_null(s->tls);
    cr_assert_eq(ops->handshake(s->tls), ERR_MORE);
}

static void free_side(struct side *s)
{
    ops->close(s->tls);
    cr_assert_eq(tls_boring_counters(s->context).open, 0);
    cr_assert_eq(tls_boring_counters(s->context).buffer_bytes, 0);
    tls_boring_context_free(s->context);
}

static void put_packet(struct side *to, const uint8_t *bytes, size_t len)
{
    cr_assert_lt(wire_count, WIRE);
    struct packet *p = &wire[wire_count++];
    p->to = to;
    p->len = len;
    memcpy(p->bytes, bytes, len);
}

/* Who has numbered a record of the epoch with keys: BoringSSL from 0, we from 2^40; so a nonce can
 * never come twice. */
static void check_numbers(const struct side *from, struct slice datagram)
{
    while (datagram.len >= 13) {
        uint64_t number = 0;
        for (size_t i = 3; i < 11; i++) {
            number = number << 8 | datagram.data[i];
        }
        bool is_ours = datagram.data[0] != 22 && from->tls->record != NULL;
        if (number >> 48 != 0) {
            cr_assert_eq(number >> 48, 1);
            cr_assert_eq((number >> 40 & 1) != 0, is_ours);
            cr_assert_lt(number & 0xffffffffff, UINT32_MAX);
        }
        datagram = slice_from(datagram, 13 + ((size_t)datagram.data[11] << 8 | datagram.data[12]));
    }
    cr_assert_eq(datagram.len, 0);
}

static void send_all(struct side *from, struct side *to)
{
    static uint8_t bytes[DATAGRAM];
    size_t len = 0;
    while ((len = ops->pull(from->tls, bytes, sizeof(bytes))) > 0) {
        from->sent++;
        from->sent_bytes += len;
        from->largest = max_size(from->largest, len);
        check_numbers(from, slice_of(bytes, len));
        if (rng_below(&rng, 100) < lose_percent) {
            continue;
        }
        put_packet(to, bytes, len);
        if (rng_below(&rng, 100) < repeat_percent) {
            put_packet(to, bytes, len);
        }
    }
}

static void feed(struct side *s, struct slice datagram)
{
    uint8_t *exact = malloc(datagram.len);
    memcpy(exact, datagram.data, datagram.len);
    size_t len = 0;
    enum err e = ops->feed_datagram(s->tls, now_us, slice_of(exact, datagram.len),
                                    s->plain + s->plain_len, sizeof(s->plain) - s->plain_len, &len);
    free(exact);
    s->plain_len += len;
    if (e != ERR_OK && s->end == ERR_OK) {
        s->end = e;
    }
}

static bool deliver_one(void)
{
    if (wire_count == 0) {
        return false;
    }
    size_t at = reorders ? rng_below(&rng, (uint32_t)wire_count) : 0;
    static struct packet p;
    p = wire[at];
    memmove(&wire[at], &wire[at + 1], (wire_count - at - 1) * sizeof(wire[0]));
    wire_count--;
    feed(p.to, slice_of(p.bytes, p.len));
    return true;
}

static bool is_up(struct side *s)
{
    uint8_t out[200];
    size_t len = 0;
    struct slice chain[TLS_CHAIN_CAP];
    return ops->peer_chain(s->tls, chain) > 0 &&
           ops->seal_datagram(s->tls, SLICE_LITERAL("x"), out, sizeof(out), &len) == ERR_OK;
}

/* Until both are done or `limit_us` has passed. */
static void shake(struct side *client, struct side *server, uint64_t limit_us)
{
    uint64_t end_us = now_us + limit_us;
    while (now_us < end_us) {
        send_all(client, server);
        send_all(server, client);
        if (deliver_one()) {
            continue;
        }
        if (is_up(client) && is_up(server)) {
            return;
        }
        uint64_t due = min_u64(ops->due_us(client->tls, now_us), ops->due_us(server->tls, now_us));
        if (due == UINT64_MAX) {
            return;
        }
        now_us = max_u64(now_us + 1000, due);
        cr_assert_eq(ops->on_due(client->tls, now_us), ERR_OK);
        cr_assert_eq(ops->on_due(server->tls, now_us), ERR_OK);
    }
}

static void init(enum crypto_algorithm algorithm, uint64_t seed)
{
    credential_root(&ca, algorithm, "root");
    credential_node(&a, &ca, algorithm, 1, NOW_MS);
    credential_node(&b, &ca, algorithm, 2, NOW_MS);
    rng_init(&rng, seed);
    now_us = 0;
    wire_count = 0;
    lose_percent = 0;
    repeat_percent = 0;
    reorders = false;
}

static void fini(void)
{
    credential_free(&ca);
    credential_free(&a);
    credential_free(&b);
}

Test(tls_boring_datagram, both_sides_see_the_others_certificate)
{
    static const enum crypto_algorithm all[] = {CRYPTO_ED25519, CRYPTO_ECDSA_SHA256,
                                                CRYPTO_RSA_SHA256};
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        static struct side client, server;
        struct slice chain[TLS_CHAIN_CAP];
        init(all[i], i);
        open_side(&client, &a, TLS_CLIENT);
        open_side(&server, &b, TLS_SERVER);
        cr_assert_eq(ops->peer_chain(client.tls, chain), 0);
        shake(&client, &server, 1000000);
        cr_assert(is_up(&client) && is_up(&server));
        cr_assert_eq(now_us, 0, "nothing was lost, so nothing was repeated");
        cr_assert_eq(ops->peer_chain(client.tls, chain), 1);
        cr_assert(slice_is_equal(chain[0], credential_der(&b)));
        cr_assert_eq(ops->peer_chain(server.tls, chain), 1);
        cr_assert(slice_is_equal(chain[0], credential_der(&a)));
        cr_assert_leq(max_size(client.largest, server.largest), DATAGRAM);
        cr_assert_leq(ops->overhead(client.tls), TLS_DATAGRAM_OVERHEAD);
        cr_assert_eq(ops->due_us(client.tls, now_us), UINT64_MAX);
        cr_assert_eq(ops->due_us(server.tls, now_us), UINT64_MAX);
        free_side(&client);
        free_side(&server);
        fini();
    }
}

/* Long certificates are cut to the MTU, and put together again in any order. */
Test(tls_boring_datagram, a_flight_larger_than_a_datagram_is_cut)
{
    static struct side client, server;
    init(CRYPTO_RSA_SHA256, 5);
    reorders = true;
    memset(&server, 0, sizeof(server));
    struct slice extra[2] = {credential_der(&ca), credential_der(&a)};
    ops = tls_boring_ops();
    cr_assert_eq(tls_boring_context_new(credential_der(&b), extra, 2, b.key, &server.context),
                 ERR_OK);
    server.tls = ops->open_datagram(server.context, TLS_SERVER, DATAGRAM, 0);
    open_side(&client, &a, TLS_CLIENT);
    shake(&client, &server, 5000000);
    cr_assert(is_up(&client) && is_up(&server));
    cr_assert_leq(server.largest, DATAGRAM);
    cr_assert_gt(server.sent_bytes, 2 * DATAGRAM);
    struct slice chain[TLS_CHAIN_CAP];
    cr_assert_eq(ops->peer_chain(client.tls, chain), 3);
    free_side(&client);
    free_side(&server);
    fini();
}

Test(tls_boring_datagram, finishes_over_a_bad_wire)
{
    uint64_t longest_us = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        static struct side client, server;
        init(CRYPTO_ED25519, seed);
        lose_percent = 10 + 5 * (uint32_t)(seed % 4);
        repeat_percent = 20;
        reorders = true;
        open_side(&client, &a, TLS_CLIENT);
        open_side(&server, &b, TLS_SERVER);
        shake(&client, &server, 100000000);
        cr_assert(is_up(&client) && is_up(&server), "seed %d", (int)seed);
        cr_assert_eq(client.end, ERR_OK);
        cr_assert_eq(server.end, ERR_OK);
        longest_us = max_u64(longest_us, now_us);
        free_side(&client);
        free_side(&server);
        fini();
    }
    cr_assert_gt(longest_us, 499000, "timers have run");
}

/* Nobody answers: 0.5, 1, 2 s ... and an end. */
Test(tls_boring_datagram, gives_up_on_silence)
{
    static struct side client;
    init(CRYPTO_ED25519, 1);
    open_side(&client, &a, TLS_CLIENT);
    enum err e = ERR_OK;
    uint64_t wait_us = 500000;
    while (e == ERR_OK) {
        uint8_t bytes[DATAGRAM];
        cr_assert_gt(ops->pull(client.tls, bytes, sizeof(bytes)), 0);
        cr_assert_eq(ops->pull(client.tls, bytes, sizeof(bytes)), 0);
        cr_assert_eq(ops->due_us(client.tls, now_us), now_us + wait_us);
        cr_assert_eq(ops->on_due(client.tls, now_us + wait_us - 20000), ERR_OK);
        cr_assert_eq(ops->pull(client.tls, bytes, sizeof(bytes)), 0, "too early");
        now_us += wait_us;
        wait_us = min_u64(2 * wait_us, 60000000);
        e = ops->on_due(client.tls, now_us);
        cr_assert_lt(now_us, 1000000000);
    }
    cr_assert_eq(e, ERR_TIMEOUT);
    cr_assert_eq(ops->on_due(client.tls, now_us), ERR_IO);
    free_side(&client);
    fini();
}

static size_t seal(struct side *from, struct slice plain, uint8_t out[DATAGRAM + 600])
{
    size_t len = 0;
    cr_assert_eq(ops->seal_datagram(from->tls, plain, out, DATAGRAM + 600, &len), ERR_OK);
    cr_assert_leq(len, plain.len + TLS_DATAGRAM_OVERHEAD);
    if (from->tls->record != NULL) { /* a block cipher fills up */
        cr_assert_eq(len, plain.len + ops->overhead(from->tls));
    }
    check_numbers(from, slice_of(out, len));
    return len;
}

Test(tls_boring_datagram, records_come_once_and_unchanged)
{
    static struct side client, server;
    static uint8_t plain[DATAGRAM + 300], records[3][DATAGRAM + 600];
    size_t lens[3];
    init(CRYPTO_ED25519, 2);
    open_side(&client, &a, TLS_CLIENT);
    open_side(&server, &b, TLS_SERVER);
    shake(&client, &server, 1000000);
    server.plain_len = 0; /* what is_up has sent was never carried */
    for (size_t i = 0; i < sizeof(plain); i++) {
        plain[i] = (uint8_t)(i * 31);
    }
    static const size_t sizes[3] = {1, 500, sizeof(plain)}; /* the last is larger than the MTU */
    for (size_t i = 0; i < 3; i++) {
        lens[i] = seal(&client, slice_of(plain, sizes[i]), records[i]);
    }
    static const size_t order[] = {2, 0, 1};
    for (size_t i = 0; i < 3; i++) {
        server.plain_len = 0;
        feed(&server, slice_of(records[order[i]], lens[order[i]]));
        cr_assert_eq(server.plain_len, sizes[order[i]]);
        cr_assert_eq(memcmp(server.plain, plain, server.plain_len), 0);
    }
    server.plain_len = 0;
    for (size_t i = 0; i < 3; i++) { /* replayed, RFC 6347 4.1.2.6 */
        feed(&server, slice_of(records[i], lens[i]));
    }
    feed(&client, slice_of(records[1], lens[1])); /* turned round */
    for (size_t i = 0; i < 2000; i += 7) {        /* damaged */
        static uint8_t bad[DATAGRAM + 600];
        size_t len = seal(&client, slice_of(plain, 500), bad);
        bad[i % len] ^= 0x10;
        feed(&server, slice_of(bad, len));
        feed(&server, slice_of(bad, i % len));
    }
    cr_assert_eq(server.plain_len, 0);
    cr_assert_eq(client.plain_len, 0);
    cr_assert_eq(server.end, ERR_OK, "a stranger on the wire cannot end it");
    feed(&server, slice_of(records[0], seal(&client, SLICE_LITERAL("more"), records[0])));
    cr_assert_eq(server.plain_len, 4);
    ops->shutdown(client.tls);
    send_all(&client, &server);
    cr_assert(deliver_one());
    cr_assert_eq(server.end, ERR_CLOSED);
    free_side(&client);
    free_side(&server);
    fini();
}

/* The client's Finished has come, the answer is lost: the flight comes again. */
Test(tls_boring_datagram, a_lost_last_flight_is_sent_again)
{
    static struct side client, server;
    init(CRYPTO_ED25519, 3);
    open_side(&client, &a, TLS_CLIENT);
    open_side(&server, &b, TLS_SERVER);
    while (!is_up(&server)) {
        send_all(&client, &server);
        deliver_one();
        if (!is_up(&server)) {
            send_all(&server, &client);
            deliver_one();
        }
    }
    uint8_t lost[DATAGRAM];
    cr_assert_gt(ops->pull(server.tls, lost, sizeof(lost)), 0);
    cr_assert_eq(ops->pull(server.tls, lost, sizeof(lost)), 0);
    cr_assert(!is_up(&client));
    shake(&client, &server, 5000000);
    cr_assert(is_up(&client));
    cr_assert_geq(now_us, 500000);
    cr_assert_not_null(server.tls->record, "BoringSSL has repeated it after the keys were taken");
    client.plain_len = 0;
    uint8_t record[DATAGRAM + 600];
    feed(&client, slice_of(record, seal(&server, SLICE_LITERAL("data"), record)));
    cr_assert_eq(client.plain_len, 4);
    free_side(&client);
    free_side(&server);
    fini();
}

/* `count` records each way: the last first, one damaged and one repeated on the way. */
static void carry(struct side *from, struct side *to, size_t count)
{
    static uint8_t records[64][DATAGRAM + 600], bad[DATAGRAM + 600];
    static uint8_t plain[DATAGRAM];
    size_t lens[64];
    for (size_t i = 0; i < count; i++) {
        memset(plain, (int)i + 1, 900);
        lens[i] = seal(from, slice_of(plain, 900 - i), records[i]);
    }
    memcpy(bad, records[0], lens[0]);
    bad[lens[0] - 1] ^= 1;
    feed(to, slice_of(bad, lens[0]));
    for (size_t i = count; i-- > 0;) {
        to->plain_len = 0;
        feed(to, slice_of(records[i], lens[i]));
        feed(to, slice_of(records[i], lens[i]));
        cr_assert_eq(to->plain_len, 900 - i);
        memset(plain, (int)i + 1, 900);
        cr_assert_eq(memcmp(to->plain, plain, to->plain_len), 0);
    }
}

/* Our records against BoringSSL's own, in each suite; and a suite that stays BoringSSL's. */
Test(tls_boring_datagram, every_suite_with_either_record_layer)
{
    static const struct {
        const char *name;
        bool is_known;
    } suites[] = {{"ECDHE-ECDSA-AES128-GCM-SHA256", true},
                  {"ECDHE-ECDSA-AES256-GCM-SHA384", true},
                  {"ECDHE-ECDSA-CHACHA20-POLY1305", true},
                  {"ECDHE-ECDSA-AES128-SHA", false}};
    for (size_t i = 0; i < 4 * ARRAY_COUNT(suites); i++) {
        static struct side client, server;
        bool is_left[2] = {(i & 1) != 0, (i & 2) != 0};
        init(CRYPTO_ED25519, i);
        open_side(&client, &a, TLS_CLIENT);
        open_side(&server, &b, TLS_SERVER);
        cr_assert_eq(SSL_set_strict_cipher_list(server.tls->ssl, suites[i / 4].name), 1);
        client.tls->is_left = is_left[0];
        server.tls->is_left = is_left[1];
        shake(&client, &server, 1000000);
        cr_assert(is_up(&client) && is_up(&server));
        cr_assert_eq(client.tls->record != NULL, suites[i / 4].is_known && !is_left[0]);
        cr_assert_eq(server.tls->record != NULL, suites[i / 4].is_known && !is_left[1]);
        carry(&client, &server, 40);
        carry(&server, &client, 40);
        struct side *first = i % 3 == 0 ? &server : &client;
        struct side *second = first == &server ? &client : &server;
        ops->shutdown(first->tls);
        send_all(first, second);
        cr_assert(deliver_one());
        cr_assert_eq(second->end, ERR_CLOSED);
        uint8_t out[DATAGRAM];
        size_t len = 0;
        cr_assert_neq(ops->seal_datagram(first->tls, SLICE_LITERAL("x"), out, sizeof(out), &len),
                      ERR_OK);
        free_side(&client);
        free_side(&server);
        fini();
    }
}

/* RFC 6347 4.1.2.6: what is older than 64 records counts as a replay. */
Test(tls_boring_datagram, the_window_has_64_records)
{
    static struct side client, server;
    static uint8_t records[130][DATAGRAM + 600];
    size_t lens[130];
    init(CRYPTO_ED25519, 7);
    open_side(&client, &a, TLS_CLIENT);
    open_side(&server, &b, TLS_SERVER);
    shake(&client, &server, 1000000);
    cr_assert_not_null(server.tls->record);
    for (size_t i = 0; i < 130; i++) {
        lens[i] = seal(&client, SLICE_LITERAL("123"), records[i]);
    }
    static const struct {
        size_t record, plain;
    } steps[] = {{0, 3},  {100, 3}, {0, 0},   {36, 0},  {37, 3},  {37, 0}, {99, 3},
                 {99, 0}, {101, 3}, {37, 0},  {38, 3},  {129, 3}, {65, 0}, {66, 3},
                 {99, 0}, {100, 0}, {101, 0}, {102, 3}, {129, 0}};
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        server.plain_len = 0;
        feed(&server, slice_of(records[steps[i].record], lens[steps[i].record]));
        cr_assert_eq(server.plain_len, steps[i].plain, "step %zu", i);
    }
    free_side(&client);
    free_side(&server);
    fini();
}

/* Several records in a datagram, one of them BoringSSL's, and something cut off at the end. */
Test(tls_boring_datagram, records_of_both_kinds_in_one_datagram)
{
    static struct side client, server;
    static uint8_t bytes[4 * DATAGRAM], alert[DATAGRAM];
    init(CRYPTO_ED25519, 8);
    open_side(&client, &a, TLS_CLIENT);
    open_side(&server, &b, TLS_SERVER);
    shake(&client, &server, 1000000);
    size_t len = seal(&client, SLICE_LITERAL("one"), bytes);
    memcpy(bytes + len, "\x16\xfe\xfd\0\1\0\0\0\0\0\7\0\3abc", 16); /* no handshake */
    len += 16;
    len += seal(&client, SLICE_LITERAL("two"), bytes + len);
    memcpy(bytes + len, "\x17\xfe\xfd\0\0\0\0\0\0\0\7\0\3abc", 16); /* without keys */
    len += 16;
    len += seal(&client, SLICE_LITERAL("three"), bytes + len);
    size_t whole = len;
    len += seal(&client, SLICE_LITERAL("four"), bytes + len) - 1;
    server.plain_len = 0;
    feed(&server, slice_of(bytes, len));
    cr_assert_eq(server.plain_len, 11);
    cr_assert_eq(memcmp(server.plain, "onetwothree", 11), 0);
    cr_assert_eq(server.end, ERR_OK);
    feed(&server, slice_of(bytes, whole));
    cr_assert_eq(server.plain_len, 11);
    ops->shutdown(client.tls);
    cr_assert_gt((len = ops->pull(client.tls, alert, sizeof(alert))), 0);
    feed(&server, slice_of(alert, len));
    cr_assert_eq(server.end, ERR_CLOSED);
    free_side(&client);
    free_side(&server);
    fini();
}

Test(tls_boring_datagram, demands_a_certificate_of_the_client_and_dtls_1_2)
{
    static const uint16_t versions[] = {DTLS1_2_VERSION, DTLS1_VERSION};
    for (size_t i = 0; i < ARRAY_COUNT(versions); i++) {
        static struct side server;
        init(CRYPTO_ECDSA_SHA256, 4);
        open_side(&server, &b, TLS_SERVER);
        SSL_CTX *context = SSL_CTX_new(DTLS_method());
        SSL_CTX_set_min_proto_version(context, DTLS1_VERSION);
        SSL_CTX_set_max_proto_version(context, versions[i]);
        SSL *bare = SSL_new(context);
        BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
        BIO_set_mem_eof_return(in, -1);
        SSL_set_options(bare, SSL_OP_NO_QUERY_MTU);
        SSL_set_mtu(bare, DATAGRAM);
        SSL_set_bio(bare, in, out);
        SSL_set_connect_state(bare);
        for (int round = 0; round < 6; round++) {
            static uint8_t bytes[8192];
            SSL_do_handshake(bare);
            int len = BIO_read(out, bytes, sizeof(bytes));
            if (len > 0) {
                feed(&server, slice_of(bytes, (size_t)len));
            }
            size_t back = ops->pull(server.tls, bytes, sizeof(bytes));
            if (back > 0) {
                BIO_write(in, bytes, (int)back);
            }
        }
        enum err expected = versions[i] == DTLS1_VERSION ? ERR_MALFORMED : ERR_UNAUTHENTICATED;
        cr_assert_eq(server.end, expected, "%d", (int)server.end);
        SSL_free(bare);
        SSL_CTX_free(context);
        free_side(&server);
        fini();
    }
}

Test(tls_boring_datagram, garbage_never_comes_up)
{
    for (size_t seed = 0; seed < 300; seed++) {
        static struct side server;
        static uint8_t junk[DATAGRAM];
        init(CRYPTO_ED25519, seed);
        open_side(&server, &b, TLS_SERVER);
        size_t len = 1 + rng_below(&rng, sizeof(junk) - 1);
        for (size_t i = 0; i < len; i++) {
            junk[i] = (uint8_t)rng_next(&rng);
        }
        static const uint8_t head[13] = {22, 0xfe, 0xfd};
        if (seed % 2 == 0 && len > 30) {
            memcpy(junk, head, sizeof(head));
            junk[11] = (uint8_t)((len - 13) >> 8);
            junk[12] = (uint8_t)(len - 13);
            junk[13] = 1;
        }
        feed(&server, slice_of(junk, len));
        cr_assert(!is_up(&server));
        cr_assert_eq(server.plain_len, 0);
        free_side(&server);
        fini();
    }
}

/* What an idle connection keeps of the heap, both ends together: well below 24 KiB for one. */
Test(tls_boring_datagram, an_idle_connection_is_small)
{
    enum { PAIRS = 16, MOST = 10 * 1024 };
    static struct side clients[PAIRS], servers[PAIRS];
    init(CRYPTO_ED25519, 6);
    struct tls_boring *contexts[2] = {NULL, NULL};
    size_t before = 0;
    for (size_t i = 0; i < PAIRS; i++) {
        open_side(&clients[i], &a, TLS_CLIENT);
        open_side(&servers[i], &b, TLS_SERVER);
        if (i == 0) { /* one context each, and what is made once is made */
            contexts[0] = clients[0].context;
            contexts[1] = servers[0].context;
        } else {
            struct side *both[2] = {&clients[i], &servers[i]};
            for (size_t k = 0; k < 2; k++) {
                ops->close(both[k]->tls);
                tls_boring_context_free(both[k]->context);
                both[k]->context = contexts[k];
                both[k]->tls = ops->open_datagram(contexts[k], k == 0 ? TLS_CLIENT : TLS_SERVER,
                                                  DATAGRAM, now_us);
                cr_assert_eq(ops->handshake(both[k]->tls), ERR_MORE);
            }
        }
        shake(&clients[i], &servers[i], 1000000);
        cr_assert(is_up(&clients[i]) && is_up(&servers[i]));
        if (i == 0) {
            before = mallinfo2().uordblks;
        }
    }
    size_t each = (mallinfo2().uordblks - before) / (2 * (PAIRS - 1));
    cr_log_info("heap of one idle connection: %zu bytes", each);
    cr_assert_leq(each, MOST, "%zu bytes", each);
    for (size_t i = PAIRS; i-- > 0;) {
        ops->close(clients[i].tls);
        ops->close(servers[i].tls);
    }
    tls_boring_context_free(contexts[0]);
    tls_boring_context_free(contexts[1]);
    fini();
}
