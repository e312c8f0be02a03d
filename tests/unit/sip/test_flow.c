/* SPDX-License-Identifier: Apache-2.0 */
/* test_flow.c - connections: reassembly, keep-alive, deadlines; hostile phones and peers. */
#include "codec/stun_wr.h"
#include "sip/dial.h"
#include "tests/unit/sip/phone_world.h"
#include <criterion/criterion.h>

static void expect_ok(const char *text)
{
    cr_assert(strncmp(text, "SIP/2.0 200", 11) == 0, "%s", text);
}

/* A message fed byte by byte gives the same result (issue section 4). */
Test(flow, byte_by_byte)
{
    struct world *w = world_make();
    world_add_node(w, 1);
    struct phone *p = world_add_tcp_phone(w, "alice", 0);
    char via[256];
    expect_ok(phone_register(w, p, "600"));
    phone_send(w, p,
               "OPTIONS sip:example.org SIP/2.0\nVia: %s\nFrom: <sip:alice@example.org>;tag=1"
               "\nTo: <sip:example.org>\nCall-ID: o\nCSeq: 1 OPTIONS\n",
               phone_via(p, "o", via));
    expect_ok(phone_get(p));
    world_run(w, 1000000);
    char text[PHONE_TEXT], twice[2 * PHONE_TEXT];
    snprintf(text, sizeof(text), "%s", p->last_request);
    for (const char *c = text; *c != 0; c++) {
        phone_expect_nothing(p);
        phone_raw(w, p, c, 1);
    }
    expect_ok(phone_get(p));
    world_run(w, 1000000);
    /* two messages and a half in one read, then the other half, a double CRLF in front */
    int len = snprintf(twice, sizeof(twice), "\r\n\r\n%s%s", text, text);
    phone_raw(w, p, twice, (size_t)len - 40);
    cr_assert_eq(p->pongs, 1, "no pong (RFC 5626 3.5.1)");
    expect_ok(phone_get(p));
    phone_raw(w, p, twice + len - 40, 40);
    world_run(w, 100000);
    cr_assert_not(p->is_closed);
    world_expect_empty(w);
    world_free(w);
}

/* Silent: 5 s; unknown: 30 s; half a message: 30 s; proved: stays. */
Test(flow, deadlines)
{
    struct world *w = world_make();
    world_add_node(w, 1);
    struct phone *silent = world_add_tcp_phone(w, "alice", 0);
    struct phone *unknown = world_add_tcp_phone(w, "bob", 0);
    struct phone *half = world_add_tcp_phone(w, "carol", 0);
    struct phone *good = world_add_tcp_phone(w, "dave", 0);
    expect_ok(phone_register(w, good, "3600"));
    expect_ok(phone_register(w, half, "3600"));
    phone_register_once(w, unknown, "Contact: <sip:a@h>\n", "");
    phone_raw(w, half, "OPTIONS sip:x SIP/2.0\r\nVia: ", 29);
    world_run(w, 4900000);
    cr_assert_not(silent->is_closed);
    world_run(w, 200000);
    cr_assert(silent->is_closed);
    cr_assert_not(unknown->is_closed);
    cr_assert_not(half->is_closed);
    world_run(w, 26000000);
    cr_assert(unknown->is_closed);
    cr_assert(half->is_closed);
    cr_assert_not(good->is_closed);
    cr_assert_eq(w->instances[0]->sip->flows.in_use, 1);
    cr_assert_eq(world_metric(w, METRIC_sip_flows_closed_slow), 3);
    world_run(w, UINT64_C(900000000));
    cr_assert(good->is_closed);
    world_expect_empty(w);
    world_free(w);
}

/* The table is full: the next one is refused, the others live. */
Test(flow, table_is_full)
{
    struct world *w = world_make();
    world_add_node(w, 1);
    struct world_instance *x = w->instances[0];
    struct address from = {.family = 4, .port = 1, .ip = {10, 9, 9, 9}};
    for (unsigned i = 0; i < x->limits.sip_flows; i++) {
        handle conn = world_conn_add(w, 0, -1, 0);
        handle flow = sip_flow_accepted(&x->turn, x->sip, SIP_TCP, conn, &from);
        cr_assert_neq(flow, 0);
        w->conns[handle_index(conn)].flow = flow;
    }
    cr_assert_eq(sip_flow_accepted(&x->turn, x->sip, SIP_TCP, 1, &from), 0);
    cr_assert_eq(world_metric(w, METRIC_sip_flows_refused), 1);
    w->phone_count = 1;
    world_run(w, 6000000);
    cr_assert_eq(x->sip->flows.in_use, 0);
    world_expect_empty(w);
    world_free(w);
}

/* One address has its share; a host of IPv6 is its /64; what ends makes room. */
Test(flow, one_host_has_its_share)
{
    struct world *w = world_make();
    world_add_node(w, 1);
    struct world_instance *x = w->instances[0];
    x->limits.sip_flows_per_host = 3;
    struct address four = {.family = 4, .port = 1, .ip = {10, 9, 9, 9}};
    struct address six = {.family = 6, .port = 1, .ip = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 7}};
    struct address *from[] = {&four, &six};
    for (unsigned k = 0; k < 2; k++) {
        handle first = 0;
        for (unsigned i = 0; i < 4; i++) {
            handle conn = world_conn_add(w, 0, -1, 0);
            from[k]->ip[15] = (uint8_t)i; /* IPv4: not a part of it */
            handle flow = sip_flow_accepted(&x->turn, x->sip, SIP_TLS, conn, from[k]);
            cr_assert_eq(flow != 0, i < 3);
            w->conns[handle_index(conn)].flow = flow;
            first = i == 0 ? flow : first;
        }
        sip_flow_closed(&x->turn, x->sip, first);
        cr_assert_neq(sip_flow_accepted(&x->turn, x->sip, SIP_WS, 77, from[k]), 0);
        cr_assert_eq(sip_flow_accepted(&x->turn, x->sip, SIP_WS, 78, from[k]), 0);
    }
    cr_assert_eq(world_metric(w, METRIC_sip_flows_refused_host), 4);
    cr_assert_eq(world_metric(w, METRIC_sip_flows_refused), 0);
    cr_assert_eq(x->sip->flows.in_use, 6);
    world_free(w);
}

/* Bytes of no sense, in datagrams and streams: counted, never answered with a crash. */
Test(flow, garbage)
{
    static const char *const texts[] = {
        "",
        "\r\n\r\n",
        "garbage",
        "INVITE",
        "INVITE sip:a@b SIP/2.0\r\n\r\n",
        "SIP/2.0 200 OK\r\n\r\n",
        "SIP/2.0 999 X\r\nVia: SIP/2.0/UDP h\r\n\r\n",
        "ACK sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;"
        "tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n",
        "BYE sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n"
        "Route: <sip:ffff@10.0.0.1;lr;s=0>, <sip:@@@>, <sip:00@10.0.0.1;lr;s=77>\r\nFrom: "
        "<sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 BYE\r\n"
        "Content-Length: 0\r\n\r\n",
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK0000aaaaaaaaaaaaaaaaaaaaaaaa-"
        "0123456789abcdef\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: 1\r\n"
        "CSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
        "INVITE sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nFrom: <sip:%@b>;tag=1\r\n"
        "To: x\r\nCall-ID: 1\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
    };
    struct world *w = world_make();
    world_add_node(w, 2);
    struct phone *u = world_add_phone(w, "alice", 0), *tcp = NULL;
    struct rng rng;
    rng_init(&rng, 7);
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        phone_raw(w, u, texts[i], strlen(texts[i]));
        tcp = world_add_tcp_phone(w, "bob", 1);
        phone_raw(w, tcp, texts[i], strlen(texts[i]));
        world_run(w, UINT64_C(40000000));
        w->phone_count--;
        memset(tcp, 0, sizeof(*tcp));
        u->first = u->count = 0;
    }
    for (int i = 0; i < 3000; i++) { /* valid text with bytes changed */
        char text[1024];
        const char *from = texts[6 + rng_below(&rng, 5)];
        size_t len = strlen(from);
        memcpy(text, from, len);
        for (uint64_t k = rng_below(&rng, 6); k-- > 0;) {
            text[rng_below(&rng, len)] = (char)rng_next(&rng);
        }
        phone_raw(w, u, text, len);
        u->first = u->count = 0;
    }
    world_expect_empty(w);
    cr_assert_eq(w->instances[1]->sip->flows.in_use, 0);
    world_free(w);
}

/* ---- peers: B.10 B8 */

/* A made-up peer with a connection to instance 0: its conn's other end is nobody's sip. */
static struct phone *evil_peer(struct world *w, const char *user, uint8_t id)
{
    struct world_instance *x = w->instances[0];
    struct phone *p = world_add_phone(w, "evil", 0);
    struct node_id node = {0};
    memset(node.bytes, id, IDS_RING_BYTES);
    p->conn = world_conn_add(w, 0, -1, w->phone_count - 1);
    p->flow = sip_peer_up(&x->turn, x->sip, p->conn, &node, slice_text(user), false);
    cr_assert_neq(p->flow, 0);
    w->conns[handle_index(p->conn)].flow = p->flow;
    return p;
}

static void peer_message(struct world *w, struct phone *p, const char *from, const char *to,
                         const char *id)
{
    char via[256];
    phone_send(w, p,
               "MESSAGE sip:%s@example.org SIP/2.0\nVia: %s\nFrom: <sip:%s@example.org>;"
               "tag=1\nTo: <sip:%s@example.org>\nCall-ID: %s\nCSeq: 1 MESSAGE\n",
               to, phone_via(p, id, via), from, to, id);
    world_run(w, 20000);
}

Test(flow, a_peer_must_have_the_right_to_speak)
{
    struct world *w = world_make();
    int one = world_add_node(w, 1), two = world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", two), *b = world_add_phone(w, "bob", one);
    expect_ok(phone_register(w, a, "600")); /* alice is at node two ... */
    expect_ok(phone_register(w, b, "600"));
    struct phone *evil = evil_peer(w, "mallory@example.org", 0x77);
    peer_message(w, evil, "alice", "bob", "1"); /* ... not at evil's peer */
    cr_assert(strstr(phone_expect(evil, "SIP/2.0 403"), "may not speak") != NULL);
    phone_expect_nothing(b);
    cr_assert_eq(world_metric(w, METRIC_sip_refused_from), 1);
    peer_message(w, evil, "mallory", "bob", "2"); /* its own name is its own */
    char text[PHONE_TEXT];
    snprintf(text, sizeof(text), "%s", phone_expect(b, "MESSAGE sip:bob@"));
    phone_answer(w, b, text, "200 OK");
    phone_expect(evil, "SIP/2.0 200");
    /* never back into the overlay: alice is known elsewhere, carol here but not registered */
    uint32_t fetches = w->dht.fetches;
    peer_message(w, evil, "mallory", "carol", "3");
    phone_expect(evil, "SIP/2.0 480");
    peer_message(w, evil, "mallory", "zoe", "4");
    phone_expect(evil, "SIP/2.0 404");
    cr_assert_eq(w->dht.fetches, fetches);
    /* a peer may not register, nor send what claims to be inside a dialog */
    char via[256];
    phone_send(w, evil,
               "REGISTER sip:example.org SIP/2.0\nVia: %s\nFrom: <sip:mallory@example.org>"
               ";tag=1\nTo: <sip:mallory@example.org>\nCall-ID: 5\nCSeq: 1 REGISTER\n",
               phone_via(evil, "5", via));
    phone_expect(evil, "SIP/2.0 403");
    phone_send(w, evil,
               "BYE sip:bob@10.1.0.2 SIP/2.0\nVia: %s\nRoute: <sip:1010@10.0.0.1;lr;s=0>\n"
               "From: <sip:mallory@example.org>;tag=1\nTo: <sip:bob@example.org>;tag=2\n"
               "Call-ID: 6\nCSeq: 1 BYE\n",
               phone_via(evil, "6", via));
    phone_expect(evil, "SIP/2.0 481");
    phone_expect_nothing(b);
    /* silence of the overlay is 504, not consent; absence is not remembered */
    w->dht.is_fetch_silent = true;
    peer_message(w, evil, "alice", "bob", "7");
    world_run(w, 16000000);
    phone_expect(evil, "SIP/2.0 504");
    world_expect_empty(w);
    world_free(w);
}

/* Glare: both sides dialled; closing either leaves the other in use. */
Test(flow, two_connections_to_one_peer)
{
    struct world *w = world_make();
    char text[PHONE_TEXT];
    int one = world_add_node(w, 1), two = world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", one), *b = world_add_phone(w, "bob", two);
    expect_ok(phone_register(w, a, "600"));
    expect_ok(phone_register(w, b, "600"));
    world_join_peers(w, one, two);
    world_join_peers(w, two, one);
    for (int i = 0; i < 2; i++) {
        char call[16];
        snprintf(call, sizeof(call), "g%d", i);
        phone_call(w, a, "MESSAGE", "bob", call);
        world_run(w, 20000);
        snprintf(text, sizeof(text), "%s", phone_expect(b, "MESSAGE sip:bob@"));
        phone_answer(w, b, text, "200 OK");
        phone_expect(a, "SIP/2.0 200");
        for (int k = 1; i == 0 && k < WORLD_CONNS; k++) { /* close the one that was used */
            const struct world_conn *c = &w->conns[k];
            struct flow_ref used;
            struct node_id node = world_node_id(two);
            cr_assert(dial_find(w->instances[one]->sip, &node, &used));
            if (c->is_used && c->at == one && c->flow == used.flow) {
                world_close_conn(w, k, true);
                break;
            }
        }
    }
    cr_assert_eq(w->dht.appattaches, 0);
    world_expect_empty(w);
    world_free(w);
}

/* Draining: new calls 503, registrations kept. */
Test(flow, drain)
{
    struct world *w = world_make();
    world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", 0);
    char via[256];
    expect_ok(phone_register(w, a, "600"));
    sip_drain(&w->instances[0]->turn, w->instances[0]->sip);
    phone_send(w, a,
               "MESSAGE sip:bob@example.org SIP/2.0\nVia: %s\nFrom: <sip:alice@example.org>;"
               "tag=1\nTo: <sip:bob@example.org>\nCall-ID: d\nCSeq: 1 MESSAGE\n",
               phone_via(a, "d", via));
    cr_assert(strstr(phone_expect(a, "SIP/2.0 503"), "Retry-After") != NULL);
    struct sip_status status;
    sip_status(w->instances[0]->sip, &status);
    cr_assert_eq(status.bindings, 1);
    cr_assert_eq(status.accounts_registered, 1);
    world_expect_empty(w);
    world_free(w);
}

/* STUN on the SIP port (RFC 5626 8): a Binding request is answered with where it came from, what
 * must be understood and is not gets 420, all else nothing. */
Test(flow, stun_keep_alive)
{
    static const uint8_t id[STUN_TRANSACTION_BYTES] = {1, 2, 3};
    static const struct {
        enum stun_class class;
        uint16_t type; /* of an attribute; 0 = none */
        bool has_fingerprint;
        uint16_t want; /* 0 = no answer, 1 = success, else the error */
    } rows[] = {{STUN_CLASS_REQUEST, 0, false, 1},       {STUN_CLASS_REQUEST, 0, true, 1},
                {STUN_CLASS_REQUEST, 0x8123, false, 1}, /* may be ignored */
                {STUN_CLASS_REQUEST, 0x7123, true, 420}, {STUN_CLASS_INDICATION, 0, false, 0},
                {STUN_CLASS_SUCCESS, 0, false, 0}};
    struct world *w = world_make();
    world_add_node(w, 1);
    struct world_instance *x = w->instances[0];
    struct address remotes[2] = {{.family = 4, .port = 4711, .ip = {10, 9, 8, 7}},
                                 {.family = 6, .port = 4711, .ip = {0x20, 1, 0xd, 0xb8}}};
    for (size_t i = 0; i < 2 * ARRAY_COUNT(rows); i++) {
        const struct address *remote = &remotes[i % 2];
        uint8_t bytes[128];
        struct wr out = wr_init(bytes, sizeof(bytes));
        size_t start = stun_wr_begin(&out, rows[i / 2].class, STUN_METHOD_BINDING, id);
        if (rows[i / 2].type != 0) {
            stun_wr_bytes(&out, start, rows[i / 2].type, SLICE_LITERAL("abcd"));
        }
        if (rows[i / 2].has_fingerprint) {
            stun_wr_fingerprint(&out, start);
        }
        sip_on_datagram(&x->turn, x->sip, remote, bytes, wr_len(&out));
        cr_assert_eq(x->out.count, rows[i / 2].want == 0 ? 0 : 1, "row %zu", i);
        if (x->out.count == 1) {
            struct stun m;
            const struct io_op *op = &x->out.ops[0];
            cr_assert(op->kind == IO_OP_DATAGRAM && address_is_equal(&op->remote, remote));
            cr_assert_eq(stun_decode(msgbuf_slice(op->buf), &m), ERR_OK);
            cr_assert_eq(memcmp(m.transaction, id, sizeof(id)), 0);
            cr_assert_eq(stun_has(&m, STUN_HAS_FINGERPRINT), rows[i / 2].has_fingerprint);
            if (rows[i / 2].want == 1) {
                cr_assert_eq(m.class, STUN_CLASS_SUCCESS);
                cr_assert(address_is_equal(&m.xor_mapped_address, remote));
            } else {
                cr_assert(m.class == STUN_CLASS_ERROR && m.error_code.code == rows[i / 2].want);
            }
            msgbuf_release(&x->buffers, op->buf);
            io_outbox_clear(&x->out);
        }
    }
    uint8_t noise[] = {1, 1, 0, 0, 'x'};
    sip_on_datagram(&x->turn, x->sip, &remotes[0], noise, sizeof(noise));
    cr_assert_eq(x->out.count, 0);
    cr_assert_eq(world_metric(w, METRIC_sip_stun_answered), 8);
    cr_assert_eq(world_metric(w, METRIC_sip_stun_dropped), 5);
    world_free(w);
}

/* A WebSocket: each message is one, without Content-Length; keep-alives; silence and slowness meet
 * the same deadlines as elsewhere. */
Test(flow, web)
{
    struct world *w = world_make();
    world_add_node(w, 1);
    struct phone *p = world_add_tcp_phone(w, "alice", 0);
    struct world_instance *x = w->instances[0];
    struct flow *f = pool_get(&x->sip->flows, p->flow);
    f->ref.kind = SIP_WS;
    char ping[] = "\r\n\r\n", junk[] = "junk";
    char options[] = "OPTIONS sip:example.org SIP/2.0\r\nVia: SIP/2.0/WS a.invalid;branch=z9hG4bK1"
                     "\r\nFrom: <sip:alice@example.org>;tag=1\r\nTo: <sip:example.org>\r\n"
                     "Call-ID: o\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n\r\n";
    sip_on_web(&x->turn, x->sip, p->flow, (uint8_t *)ping, 4);
    sip_on_web(&x->turn, x->sip, p->flow, (uint8_t *)junk, 4);
    world_run(w, 0);
    cr_assert_eq(p->pongs, 1);
    phone_expect_nothing(p);
    cr_assert_not(f->has_message);
    sip_on_web(&x->turn, x->sip, p->flow, (uint8_t *)options, strlen(options));
    world_run(w, 0);
    const char *answer = phone_get(p);
    expect_ok(answer);
    cr_assert_not_null(strstr(answer, ";received=10.1.0.1"));
    cr_assert(f->has_message);
    cr_assert_not(sip_flow_touch(&x->turn, x->sip, p->flow, true)); /* a stranger still */
    flow_prove(&x->turn, x->sip, &f->ref, 0);
    cr_assert(sip_flow_touch(&x->turn, x->sip, p->flow, true));
    world_run(w, 29000000);
    cr_assert_not(p->is_closed);
    world_run(w, 2000000); /* half a message for 30 s */
    cr_assert(p->is_closed);
    cr_assert_not(sip_flow_touch(&x->turn, x->sip, p->flow, true));
    world_expect_empty(w);
    world_free(w);
}
