/* SPDX-License-Identifier: Apache-2.0 */
/* test_hostile.c - messages that are sound as they come, and would not be as they leave.
 *
 * A forwarded message is longer than it was: by a Via, two Record-Route, Max-Breadth and more. What
 * we send we read again when it is acknowledged, cancelled or merged, so it has to keep to the
 * limits of codec/sip_msg.h that the one that came kept to. */
#include "sip/digest.h"
#include "sip/proxy.h"
#include "sip/relay.h"
#include "tests/unit/sip/phone_world.h"
#include <criterion/criterion.h>

enum { OWN_HEADERS = 9 }; /* of a phone_ask: Via, From, To, Call-ID, CSeq, Max-Forwards, ... */

static const char *fill(int count, char *out)
{
    size_t len = 0;
    for (int i = 0; i < count; i++) {
        len += (size_t)snprintf(out + len, PHONE_TEXT - len, "X: %d\n", i);
    }
    return out;
}

static struct world *two_nodes(struct phone **alice, struct phone **bob)
{
    struct world *w = world_make();
    world_add_node(w, 1);
    world_add_node(w, 1);
    *alice = world_add_phone(w, "alice", 0);
    *bob = world_add_phone(w, "bob", 1);
    cr_assert(strncmp(phone_register(w, *alice, "3600"), "SIP/2.0 200", 11) == 0);
    cr_assert(strncmp(phone_register(w, *bob, "3600"), "SIP/2.0 200", 11) == 0);
    return w;
}

/* From no header too many to all that fit: each is answered, with what the callee says or a 513. */
Test(hostile, as_many_headers_as_are_accepted)
{
    for (int more = 0; more <= 8; more++) {
        struct phone *alice, *bob;
        struct world *w = two_nodes(&alice, &bob);
        char lines[PHONE_TEXT];
        phone_ask(w, alice, "INVITE", "sip:bob@example.org",
                  fill(SIP_MSG_HEADERS_CAP - OWN_HEADERS - more, lines), NULL);
        if (bob->count > 0) {
            phone_answer(w, bob, phone_expect(bob, "INVITE"), "486 Busy Here");
            world_run(w, 1000);
            phone_expect(bob, "ACK");
        }
        phone_expect(alice, "SIP/2.0 100");
        const char *final = phone_get(alice);
        bool is_busy = strncmp(final, "SIP/2.0 486", 11) == 0;
        cr_assert(is_busy || strncmp(final, "SIP/2.0 513", 11) == 0, "%d: %s", more, final);
        cr_assert(is_busy || more < 8, "there was room");
        world_free(w);
    }
}

/* The INVITE `buf` is sent, rings and is cancelled; the CANCEL can be read again, too. */
static void expect_cancel(struct world_instance *x, const struct flow_ref *to, const char *branch,
                          struct msgbuf *buf)
{
    enum err e = ERR_OK;
    struct sip_parser parser;
    struct sip_rx rx = {.m = &parser.msg};
    struct sip_fault fault;
    struct tx *tx = tx_client_start(&x->turn, x->sip, SIP_METHOD_INVITE, to, branch, buf, &e);
    cr_assert_neq(tx, NULL);
    tx_client_step(&x->turn, tx, TX_EVENT_PROVISIONAL);
    tx_client_cancel(&x->turn, x->sip, tx);
    cr_assert_eq(x->out.count, 2);
    sip_parser_init(&parser, false);
    cr_assert_eq(sip_parser_datagram(&parser, msgbuf_slice(x->out.ops[1].buf)), SIP_PARSE_OK);
    cr_assert_eq(sip_msg_check(rx.m, &rx.core, &fault), ERR_OK);
    cr_assert_eq(parser.msg.method, SIP_METHOD_CANCEL);
    cr_assert(slice_is_equal(rx.core.via.branch, slice_of(branch, TX_BRANCH_CAP)));
    for (uint32_t i = 0; i < x->out.count; i++) {
        msgbuf_release(&x->buffers, x->out.ops[i].buf);
    }
    io_outbox_clear(&x->out);
    uint32_t at = 0;
    while ((tx = pool_next(&x->sip->txs, &at)) != NULL) {
        tx_release(&x->turn, x->sip, tx);
    }
}

/* So can what the next hop says to it: over the connection between two peers one line that is too
 * long would end all that waits there. */
static void expect_response(const struct sip_rx *rx)
{
    static uint8_t text[MSGBUF_LARGE_BYTES];
    struct sip_parser parser;
    struct sip_writer w;
    struct slice bytes;
    const struct sip_write_reply reply = {.status = 404,
                                          .to_tag = SLICE_LITERAL("0123456789ab"),
                                          .received = SLICE_LITERAL("2001:db8:1:2:3:4:5:6"),
                                          .rport = 65535};
    sip_write_init(&w, text, sizeof(text));
    sip_write_response(&w, rx->m, &rx->core, &reply);
    sip_write_body(&w, SLICE_EMPTY, SLICE_EMPTY);
    cr_assert_eq(sip_write_finish(&w, &bytes), ERR_OK);
    sip_parser_init(&parser, true);
    cr_assert_eq(sip_parser_feed(&parser, bytes), SIP_PARSE_OK);
}

/* Forwards `text`; false: not forwarded.  What is forwarded can be read again, and cancelled. */
static bool is_relayed(struct world *w, const struct phone *from, const char *text, size_t len)
{
    static const uint8_t loop[TX_LOOP_BYTES];
    struct world_instance *x = w->instances[0];
    struct sip_parser parser;
    struct sip_fault fault;
    struct sip_rx rx = {.m = &parser.msg, .from = {.kind = SIP_UDP, .remote = from->address}};
    sip_parser_init(&parser, false);
    cr_assert_eq(sip_parser_datagram(&parser, slice_of(text, len)), SIP_PARSE_OK);
    cr_assert_eq(sip_msg_check(rx.m, &rx.core, &fault), ERR_OK);
    char branch[TX_BRANCH_CAP];
    tx_branch_make(&x->turn, x->sip, loop, branch);
    struct relay how = {.to = &rx.from, .branch = branch, .max_breadth = 60, .record_route = true};
    struct msgbuf *buf = relay_request(&x->turn, x->sip, &rx, &how);
    if (buf == NULL) {
        return false;
    }
    cr_assert_eq(sip_parser_datagram(&parser, msgbuf_slice(buf)), SIP_PARSE_OK);
    cr_assert_eq(sip_msg_check(rx.m, &rx.core, &fault), ERR_OK);
    expect_response(&rx);
    expect_cancel(x, &rx.from, branch, buf);
    msgbuf_release(&x->buffers, buf);
    return true;
}

enum { LONG_VIA, LONG_FROM, LONG_HEAD, LONG_COUNT };

/* A line that is so long, its CRLF included, or a head. */
static size_t write_long(const struct phone *from, char *out, size_t size, unsigned what)
{
    static char fill_a[MSGBUF_LARGE_BYTES];
    char via[256];
    int f = 1, v = 1, x = 1, y = 1;
    memset(fill_a, 'a', sizeof(fill_a) - 1);
    const char *format = "INVITE sip:bob@example.org SIP/2.0\r\nVia: %s;x=%.*s\r\n"
                         "f:<sip:alice@example.org>;tag=1;x=%.*s\r\nt:<sip:bob@example.org>\r\n"
                         "i:long\r\nCSeq: 1 INVITE\r\nOne: %.*s\r\nTwo: %.*s\r\n\r\n";
    phone_via(from, "1", via);
    int rest = snprintf(out, MSGBUF_LARGE_BYTES, format, via, 0, "", 0, "", 0, "", 0, "");
    int wanted = (int)size;
    if (what == LONG_VIA) {
        v = wanted - (int)(strlen("Via: ;x=\r\n") + strlen(via));
    } else if (what == LONG_FROM) {
        f = wanted - (int)strlen("f:<sip:alice@example.org>;tag=1;x=\r\n");
    } else {
        x = 8100;
        y = wanted - rest - x - 2;
    }
    return (size_t)snprintf(out, MSGBUF_LARGE_BYTES, format, via, v, fill_a, f, fill_a, x, fill_a,
                            y, fill_a);
}

Test(hostile, as_long_as_is_accepted)
{
    static char text[MSGBUF_LARGE_BYTES];
    struct phone *alice, *bob;
    struct world *w = two_nodes(&alice, &bob);
    unsigned relayed[LONG_COUNT] = {0}, refused[LONG_COUNT] = {0};
    for (unsigned what = 0; what < LONG_COUNT; what++) {
        size_t most = what == LONG_HEAD ? SIP_MSG_HEAD_CAP : SIP_MSG_LINE_CAP;
        for (size_t less = 1; less <= 1536; less++) {
            size_t len = write_long(alice, text, most - less, what);
            *(is_relayed(w, alice, text, len) ? &relayed[what] : &refused[what]) += 1;
        }
        cr_assert_gt(relayed[what], 100);
        cr_assert_gt(refused[what], 10);
    }
    world_free(w);
}

/* Three devices of one callee challenge (RFC 3261 16.7 step 7), each as long-winded as it may be.
 */
Test(hostile, challenges_of_long_answers)
{
    struct world *w = world_make();
    world_add_node(w, 1);
    struct phone *alice = world_add_phone(w, "alice", 0), *bobs[3];
    cr_assert(strncmp(phone_register(w, alice, "3600"), "SIP/2.0 200", 11) == 0);
    for (int i = 0; i < 3; i++) {
        bobs[i] = world_add_phone(w, "bob", 0);
        bobs[i]->cseq = 10 * (unsigned)i;
        cr_assert(strncmp(phone_register(w, bobs[i], "3600"), "SIP/2.0 200", 11) == 0);
    }
    phone_ask(w, alice, "MESSAGE", "sip:bob@example.org", "", NULL);
    for (int i = 0; i < 3; i++) {
        char vias[PHONE_TEXT], from[PHONE_TEXT], to[PHONE_TEXT], id[PHONE_TEXT], cseq[PHONE_TEXT],
            lines[PHONE_TEXT];
        const char *request = phone_expect(bobs[i], "MESSAGE");
        lines_of(request, "Via", vias);
        for (char *next = vias; (next = strstr(next, "\nVia: ")) != NULL;) {
            memcpy(next, ",     ", 6); /* all on one line: taking ours off leaves the header */
        }
        fill(SIP_MSG_HEADERS_CAP - 8, lines);
        value_of(request, "From", from);
        value_of(request, "To", to);
        value_of(request, "Call-ID", id);
        value_of(request, "CSeq", cseq);
        phone_send(w, bobs[i],
                   "SIP/2.0 401 No\n%sFrom: %s\nTo: %s;tag=%d\nCall-ID: %s\nCSeq: %s\n"
                   "WWW-Authenticate: Digest realm=\"%d\", nonce=\"1\"\n"
                   "WWW-Authenticate: Digest realm=\"%d\", nonce=\"2\"\n%s",
                   vias, from, to, i, id, cseq, i, i, lines);
        world_run(w, 1000);
    }
    world_run(w, 1000000);
    phone_expect(alice, "SIP/2.0 401");
    world_expect_empty(w);
    world_free(w);
}

/* An address of record may hold what a URI may not: it is escaped where it becomes one. */
Test(hostile, forward_to_an_odd_name)
{
    static const char *const names[] = {"o#neil@example.org", "a@b@example.org", "a b@example.org",
                                        "a\r\nX: y@example.org"};
    static const char *const uris[] = {"o%23neil@example.org", "a%40b@example.org",
                                       "a%20b@example.org", "a%0d%0aX:%20y@example.org"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        struct phone *alice, *bob;
        struct world *w = two_nodes(&alice, &bob);
        struct sip *s = w->instances[0]->sip;
        struct node_id there = world_node_id(1);
        struct overlay_resource at;
        uint8_t key[16] = {9}, list[64], value[128];
        struct wr l = wr_init(list, sizeof(list)), v = wr_init(value, sizeof(value));
        fwd_wr_node(&l, &s->params, &there);
        struct msgs_sip_registration route = {.type = MSGS_SIP_ROUTE,
                                              .destination_list = wr_slice(&l)};
        msgs_sip_registration_wr(&v, &s->params, &route);
        overlay_resource_of(&w->instances[0]->turn, slice_text(names[i]), &at);
        fake_put(&w->dht, &at, OVERLAY_KIND_SIP_REGISTRATION, slice_of(key, 16), wr_slice(&v), true,
                 UINT64_MAX);
        v = wr_init(value, sizeof(value));
        struct msgs_sip_registration forward = {.type = MSGS_SIP_URI, .uri = slice_text(uris[i])};
        msgs_sip_registration_wr(&v, &s->params, &forward);
        overlay_resource_of(&w->instances[0]->turn, slice_text("carol@example.org"), &at);
        fake_put(&w->dht, &at, OVERLAY_KIND_SIP_REGISTRATION, slice_of(key, 16), wr_slice(&v), true,
                 UINT64_MAX);
        phone_ask(w, alice, "INVITE", "sip:carol@example.org", "", NULL);
        phone_expect(alice, "SIP/2.0 100");
        bool has_control = names[i][1] == '\r'; /* asks nobody: it is nobody's name */
        cr_expect_eq(w->dht.appattaches, has_control ? 0 : 1, "%s", names[i]);
        phone_expect(alice, "SIP/2.0 404"); /* it is what node 2 says of that name */
        world_free(w);
    }
}

/* A kept message is one header longer, and read again when it is delivered. */
Test(hostile, kept_with_as_many_headers_as_are_accepted)
{
    for (int more = 0; more < 3; more++) {
        struct world *w = world_make();
        char lines[PHONE_TEXT];
        world_add_node(w, 1);
        struct sip *s = w->instances[0]->sip;
        s->settings.offline_s = 3600;
        struct phone *alice = world_add_phone(w, "alice", 0), *bob = world_add_phone(w, "bob", 0);
        cr_assert(strncmp(phone_register(w, alice, "3600"), "SIP/2.0 200", 11) == 0);
        cr_assert(strncmp(phone_register(w, bob, "60"), "SIP/2.0 200", 11) == 0);
        cr_assert(strncmp(phone_register(w, bob, "0"), "SIP/2.0 200", 11) == 0);
        world_run(w, 10 * 1000000);
        phone_ask(w, alice, "MESSAGE", "sip:bob@example.org",
                  fill(SIP_MSG_HEADERS_CAP - OWN_HEADERS - more, lines), NULL);
        const char *answer = phone_get(alice);
        bool is_kept = strncmp(answer, "SIP/2.0 202", 11) == 0;
        cr_assert(is_kept || strncmp(answer, "SIP/2.0 480", 11) == 0, "%s", answer);
        cr_assert(is_kept == (more > 0), "%d: %s", more, answer);
        cr_assert(strncmp(phone_register(w, bob, "3600"), "SIP/2.0 200", 11) == 0);
        world_run(w, 1000000);
        world_free(w);
    }
}

/* sip:x@example.org;gr=G of a device of the peer whose Node-ID is all `byte`. */
static const char *gruu_of(const struct world *w, uint8_t byte, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t list[64];
    struct node_id node = {0};
    struct wr l = wr_init(list, sizeof(list));
    memset(node.bytes, byte, IDS_RING_BYTES);
    fwd_wr_node(&l, &w->instances[0]->sip->params, &node);
    cr_assert_eq(wr_len(&l) % 3, 0);
    size_t len = (size_t)snprintf(out, PHONE_TEXT, "sip:x@example.org;gr=");
    for (size_t i = 0; i < wr_len(&l); i += 3) {
        uint32_t n = (uint32_t)list[i] << 16 | (uint32_t)list[i + 1] << 8 | list[i + 2];
        for (int k = 18; k >= 0; k -= 6) {
            out[len++] = digits[n >> k & 63];
        }
    }
    out[len] = 0;
    return out;
}

/* A GRUU names a peer: one account asks for many that there are not.  The next account's call to a
 * peer that is not connected yet goes through. */
Test(hostile, dials_to_nobody)
{
    struct phone *alice, *bob;
    struct world *w = two_nodes(&alice, &bob);
    struct sip *s = w->instances[0]->sip;
    char uri[PHONE_TEXT];
    w->instances[0]->limits.sip_dials_per_source = 4;
    struct phone *carol = world_add_phone(w, "carol", 0);
    cr_assert(strncmp(phone_register(w, carol, "3600"), "SIP/2.0 200", 11) == 0);
    unsigned refused = 0;
    for (uint8_t i = 0; i < 20; i++) {
        phone_ask(w, alice, "MESSAGE", gruu_of(w, (uint8_t)(0x80 + i), uri), "", NULL);
        refused += alice->count > 0;
        alice->count = 0;
    }
    cr_assert_eq(refused, 16);
    cr_assert_eq(s->dials.in_use, 4);
    phone_ask(w, carol, "MESSAGE", "sip:bob@example.org", "", NULL);
    phone_answer(w, bob, phone_expect(bob, "MESSAGE"), "200 OK");
    phone_expect(carol, "SIP/2.0 200");
    world_run(w, UINT64_C(30) * 1000000);
    alice->first = alice->count = 0;
    cr_assert_eq(s->dials.in_use, 1, "the one to bob's node");
    phone_ask(w, alice, "MESSAGE", gruu_of(w, 0x70, uri), "", NULL);
    cr_assert_eq(s->dials.in_use, 2, "its share is free again");
    alice->is_sink = true;
    world_expect_empty(w);
    for (size_t i = 0; i < PROXY_SOURCES; i++) {
        cr_assert_eq(s->sources[i].dials, 0);
    }
    world_free(w);
}

/* The place of a challenge's nonce in the table of those that were used. */
static uint32_t place_of(const char *challenge)
{
    char nonce[256];
    uint8_t bytes[64];
    size_t len = 0;
    uint32_t number = 0;
    param_of(challenge, "nonce", nonce);
    cr_assert_eq(ids_unhex(slice_text(nonce), bytes, sizeof(bytes), &len), ERR_OK);
    memcpy(&number, bytes + 4, sizeof(number));
    return number % DIGEST_SEEN;
}

/* A REGISTER of `p` with the nonce of a challenge that fell on `place` (UINT32_MAX: on any); the
 * credentials that it had, and when the challenge was made: at `at_us`. */
static uint32_t use_nonce(struct world *w, struct phone *p, uint32_t place, uint64_t at_us,
                          char *challenge, char *auth)
{
    char contact[64], address[ADDRESS_TEXT_CAP];
    uint32_t met = 0;
    snprintf(contact, sizeof(contact), "Contact: <sip:%s@%s>\n", p->name,
             address_text(&p->address, address));
    w->now_us = at_us;
    do {
        phone_register_once(w, p, contact, "");
        snprintf(challenge, PHONE_TEXT, "%s", phone_expect(p, "SIP/2.0 401"));
        met = place_of(challenge);
    } while (place != UINT32_MAX && met != place);
    credentials(challenge, p->name, "secret", "REGISTER", "sip:example.org", "00000001", auth);
    return met;
}

static void play(struct world *w, struct phone *p, const char *auth, const char *expected)
{
    char contact[64], address[ADDRESS_TEXT_CAP];
    snprintf(contact, sizeof(contact), "Contact: <sip:%s@%s>\n", p->name,
             address_text(&p->address, address));
    phone_register_once(w, p, contact, auth);
    world_run(w, 20000);
    phone_expect(p, expected);
}

/* A place has lost an old nonce, a young one, and one that was made between the two and used last:
 * the young one must not come in again. */
Test(hostile, youngest_nonce_that_was_pushed_out)
{
    enum { S = 1000000 };
    static char auth[4][PHONE_TEXT], challenge[PHONE_TEXT];
    struct world *w = world_make();
    world_add_node(w, 1);
    struct phone *alice = world_add_phone(w, "alice", 0), *m = world_add_phone(w, "mallory", 0);
    uint64_t begin = w->now_us;
    uint32_t place = use_nonce(w, m, UINT32_MAX, begin, challenge, auth[0]);
    (void)use_nonce(w, m, place, begin + 10 * (uint64_t)S, challenge, auth[2]);
    (void)use_nonce(w, alice, place, begin + 20 * (uint64_t)S, challenge, auth[1]);
    (void)use_nonce(w, m, place, begin + 30 * (uint64_t)S, challenge, auth[3]);
    play(w, m, auth[0], "SIP/2.0 200");
    play(w, alice, auth[1], "SIP/2.0 200");
    play(w, m, auth[2], "SIP/2.0 200");
    play(w, m, auth[3], "SIP/2.0 200");
    snprintf(m->name, sizeof(m->name), "alice");
    m->cseq += 1000;
    play(w, m, auth[1], "SIP/2.0 401");
    world_free(w);
}

/* Somebody with an account of his own pushes the nonce of another out of the table, to play what he
 * has heard again, with his Contact. */
Test(hostile, nonce_that_was_pushed_out)
{
    struct world *w = world_make();
    world_add_node(w, 1);
    struct phone *alice = world_add_phone(w, "alice", 0),
                 *mallory = world_add_phone(w, "mallory", 0);
    char auth[PHONE_TEXT], own[PHONE_TEXT], more[PHONE_TEXT];
    static const char contact[] = "Contact: <sip:alice@10.1.0.1>\n";
    phone_register_once(w, alice, contact, "");
    const char *challenge = phone_expect(alice, "SIP/2.0 401");
    uint32_t place = place_of(challenge);
    credentials(challenge, "alice", "secret", "REGISTER", "sip:example.org", "00000001", auth);
    phone_register_once(w, alice, contact, auth);
    world_run(w, 20000);
    phone_expect(alice, "SIP/2.0 200");
    for (bool is_met = false; !is_met;) {
        phone_register_once(w, mallory, "Contact: <sip:m@10.1.0.2>\n", "");
        challenge = phone_expect(mallory, "SIP/2.0 401");
        is_met = place_of(challenge) == place;
        w->now_us += 100;
    }
    credentials(challenge, "mallory", "secret", "REGISTER", "sip:example.org", "00000001", own);
    phone_register_once(w, mallory, "Contact: <sip:m@10.1.0.2>\n", own);
    world_run(w, 20000);
    phone_expect(mallory, "SIP/2.0 200");
    snprintf(more, sizeof(more), "Contact: <sip:evil@10.1.0.2>\n");
    snprintf(mallory->name, sizeof(mallory->name), "alice");
    mallory->cseq += 1000;
    phone_register_once(w, mallory, more, auth);
    world_run(w, 20000);
    challenge = phone_expect(mallory, "SIP/2.0 401");
    cr_assert(strstr(challenge, "stale=true") != NULL, "%s", challenge);
    /* who knows the password gets in with the next nonce */
    credentials(challenge, "alice", "secret", "REGISTER", "sip:example.org", "00000001", auth);
    phone_register_once(w, alice, contact, auth);
    world_run(w, 20000);
    phone_expect(alice, "SIP/2.0 200");
    world_free(w);
}

/* RFC 3325 5: whose identity somebody asserts beside From reaches no phone, in requests and
 * responses, outside and inside of dialogs: nobody here has proved it. */
Test(hostile, asserted_identities_are_dropped)
{
    struct phone *a = NULL, *b = NULL;
    struct world *w = two_nodes(&a, &b);
    static const char says[] = "P-Asserted-Identity: \"x, y\" <sip:dave@example.org>, <tel:+1>\n"
                               "remote-party-id: <sip:dave@example.org>;party=calling\n"
                               "P-asserted-identity: <sip:erin@example.org>\nPrivacy: id\n";
    struct dialog d;
    char got[PHONE_TEXT], answer[PHONE_TEXT];
    snprintf(answer, sizeof(answer), "200 OK\n%.*s", (int)sizeof(says) - 2, says);
    phone_request(w, a, "INVITE", "sip:bob@example.org", "assert", says, NULL);
    world_run(w, 100000);
    phone_expect(a, "SIP/2.0 100");
    for (int i = 0; i < 2; i++) {
        snprintf(got, sizeof(got), "%s", phone_expect(b, i == 0 ? "INVITE sip:" : "INFO sip:"));
        cr_expect_null(strstr(got, "dave"), "%s", got);
        cr_expect_null(strstr(got, "erin"), "%s", got);
        cr_expect_not_null(strstr(got, "\r\nPrivacy: id\r\n"), "%s", got);
        phone_answer(w, b, got, answer);
        world_run(w, 1000);
        const char *ok = phone_expect(a, "SIP/2.0 200");
        cr_expect_null(strstr(ok, "dave"), "%s", ok);
        cr_expect_null(strstr(ok, "erin"), "%s", ok);
        if (i == 0) {
            dialog_caller(&d, ok);
            phone_in_dialog(w, a, &d, "ACK");
            phone_expect(b, "ACK sip:");
            snprintf(d.routes + strlen(d.routes), sizeof(d.routes) - strlen(d.routes), "%s", says);
            phone_in_dialog(w, a, &d, "INFO");
            world_run(w, 1000);
        }
    }
    world_free(w);
}
