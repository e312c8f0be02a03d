/* SPDX-License-Identifier: Apache-2.0 */
/* test_proxy.c - calls between phones at one node, at sibling shards and at different nodes. */
#include "sip/hop.h"
#include "sip/location.h"
#include "sip/loop.h"
#include "sip/proxy.h"
#include "sip/registrar.h"
#include "sip/sips.h"
#include "tests/unit/sip/phone_world.h"
#include <criterion/criterion.h>

/* INVITE to 200 and ACK; both views of the dialog. */
static void set_up(struct world *w, struct phone *a, struct phone *b, const char *call,
                   struct dialog *da, struct dialog *db)
{
    char invite[PHONE_TEXT], ok[PHONE_TEXT];
    phone_call(w, a, "INVITE", b->name, call);
    world_run(w, 100000);
    phone_expect(a, "SIP/2.0 100");
    snprintf(invite, sizeof(invite), "%s", phone_expect(b, "INVITE sip:"));
    cr_assert(strstr(invite, "Proxy-Authorization") == NULL, "credentials went on:\n%s", invite);
    dialog_callee(db, b, invite);
    phone_answer(w, b, invite, "180 Ringing");
    phone_expect(a, "SIP/2.0 180");
    phone_answer(w, b, invite, "200 OK");
    snprintf(ok, sizeof(ok), "%s", phone_expect(a, "SIP/2.0 200"));
    dialog_caller(da, ok);
    phone_in_dialog(w, a, da, "ACK");
    phone_expect(b, "ACK sip:");
    phone_expect_nothing(a);
    phone_expect_nothing(b);
}

static void hang_up(struct world *w, struct phone *from, struct phone *to, struct dialog *d)
{
    char bye[PHONE_TEXT];
    phone_in_dialog(w, from, d, "BYE");
    world_run(w, 1000);
    snprintf(bye, sizeof(bye), "%s", phone_expect(to, "BYE sip:"));
    cr_assert(strstr(bye, "\r\nRoute:") == NULL, "Route left:\n%s", bye);
    phone_answer(w, to, bye, "200 OK");
    phone_expect(from, "SIP/2.0 200");
    phone_expect_nothing(from);
    phone_expect_nothing(to);
}

static void both_ways(struct world *w, struct phone *a, struct phone *b)
{
    struct dialog da, db;
    char invite[PHONE_TEXT];
    set_up(w, a, b, "one", &da, &db);
    /* re-INVITE from the callee (RFC 3261 14) */
    phone_in_dialog(w, b, &db, "INVITE");
    world_run(w, 1000);
    phone_expect(b, "SIP/2.0 100");
    snprintf(invite, sizeof(invite), "%s", phone_expect(a, "INVITE sip:"));
    phone_answer(w, a, invite, "200 OK");
    phone_expect(b, "SIP/2.0 200");
    phone_in_dialog(w, b, &db, "ACK");
    phone_expect(a, "ACK sip:");
    hang_up(w, a, b, &da);
    set_up(w, a, b, "two", &da, &db);
    hang_up(w, b, a, &db);
    cr_assert_eq(world_metric(w, METRIC_sip_retransmitted), 0);
}

Test(proxy, call_at_one_node)
{
    struct world *w = world_make();
    world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", 0), *b = world_add_phone(w, "bob", 0);
    cr_assert(strncmp(phone_register(w, a, "600"), "SIP/2.0 200", 11) == 0);
    cr_assert(strncmp(phone_register(w, b, "600"), "SIP/2.0 200", 11) == 0);
    both_ways(w, a, b);
    cr_assert_eq(w->dht.appattaches, 0);
    world_expect_empty(w);
    world_free(w);
}

static void register_ok(struct world *w, struct phone *p)
{
    const char *text = phone_register(w, p, "600");
    cr_assert(strncmp(text, "SIP/2.0 200", 11) == 0, "%s:\n%s", p->name, text);
}

/* Those who kept what the overlay knew of `name` have died. */
static void lose_record(struct world *w, const char *name)
{
    struct overlay_resource at;
    char aor[64];
    uint32_t lost = 0;
    snprintf(aor, sizeof(aor), "%s@example.org", name);
    overlay_resource_of(&w->instances[0]->turn, slice_text(aor), &at);
    for (size_t i = 0; i < FAKE_RECORDS; i++) {
        struct fake_record *r = &w->dht.records[i];
        if (r->is_used && r->kind == OVERLAY_KIND_SIP_REGISTRATION &&
            memcmp(&r->resource, &at, sizeof(at)) == 0) {
            r->is_used = false;
            lost++;
        }
    }
    cr_assert_eq(lost, 1);
}

/* The callee's peer does not find that the caller's may speak for it; the caller's stores its
 * record anew, and asks again. */
Test(proxy, a_record_that_was_lost_is_put_back)
{
    struct world *w = world_make();
    int one = world_add_node(w, 1), two = world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", one), *b = world_add_phone(w, "bob", two);
    char invite[PHONE_TEXT];
    register_ok(w, a);
    register_ok(w, b);
    lose_record(w, "alice");
    phone_call(w, a, "INVITE", "bob", "lost");
    world_run(w, 100000);
    phone_expect(a, "SIP/2.0 100");
    snprintf(invite, sizeof(invite), "%s", phone_expect(b, "INVITE sip:"));
    phone_expect_nothing(b);
    cr_expect_eq(world_metric(w, METRIC_sip_records_put_back), 1);
    cr_expect_eq(world_metric(w, METRIC_sip_refused_from), 1);
    phone_answer(w, b, invite, "403 Forbidden"); /* bob's phone itself: that is not asked again */
    phone_expect(a, "SIP/2.0 403");
    phone_expect(b, "ACK sip:");
    world_run(w, 100000);
    phone_expect_nothing(b);
    cr_expect_eq(world_metric(w, METRIC_sip_records_put_back), 1);
    world_free(w);
}

/* What a phone says in a peer's words is not passed on. */
Test(proxy, a_phone_does_not_speak_for_its_peer)
{
    struct world *w = world_make();
    int one = world_add_node(w, 1), two = world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", one), *b = world_add_phone(w, "bob", two);
    char invite[PHONE_TEXT];
    register_ok(w, a);
    register_ok(w, b);
    phone_call(w, a, "INVITE", "bob", "forged");
    world_run(w, 100000);
    phone_expect(a, "SIP/2.0 100");
    snprintf(invite, sizeof(invite), "%s", phone_expect(b, "INVITE sip:"));
    phone_answer(w, b, invite, "403 Forbidden\nWarning: 399 b \"" LOCATION_UNPROVED "\"");
    phone_expect(b, "ACK sip:");
    world_run(w, 100000);
    cr_expect(strstr(phone_expect(a, "SIP/2.0 403"), "Warning") == NULL);
    phone_expect_nothing(b);
    cr_expect_eq(world_metric(w, METRIC_sip_records_put_back), 0);
    world_free(w);
}

/* One device is refused by its peer, another has rung: it does not ring again. */
Test(proxy, a_record_is_put_back_and_nobody_rings_twice)
{
    struct world *w = world_make();
    int one = world_add_node(w, 1), two = world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", one), *near = world_add_phone(w, "bob", one),
                 *far = world_add_phone(w, "bob", two);
    char invite[PHONE_TEXT];
    register_ok(w, a);
    register_ok(w, near);
    register_ok(w, far);
    lose_record(w, "alice");
    phone_call(w, a, "INVITE", "bob", "both");
    world_run(w, 100000);
    phone_expect(a, "SIP/2.0 100");
    snprintf(invite, sizeof(invite), "%s", phone_expect(near, "INVITE sip:"));
    phone_answer(w, near, invite, "486 Busy Here");
    phone_expect(near, "ACK sip:");
    world_run(w, 100000);
    cr_expect_eq(world_metric(w, METRIC_sip_refused_from), 1);
    phone_expect(a, "SIP/2.0 4");
    phone_expect_nothing(near);
    phone_expect_nothing(far);
    cr_expect_eq(world_metric(w, METRIC_sip_records_put_back), 1);
    world_free(w);
}

/* A peer that never finds it makes us store it once in a while, not for each call. */
Test(proxy, a_record_is_not_put_back_all_the_time)
{
    struct world *w = world_make();
    int one = world_add_node(w, 1), two = world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", one), *b = world_add_phone(w, "bob", two);
    register_ok(w, a);
    register_ok(w, b);
    w->dht.store_error = ERR_REMOTE;
    lose_record(w, "alice");
    uint32_t stores = w->dht.stores;
    phone_call(w, a, "MESSAGE", "bob", "one");
    world_run(w, 500000);
    phone_expect(a, "SIP/2.0 403");
    cr_expect_eq(w->dht.stores, stores + 1);
    phone_call(w, a, "MESSAGE", "bob", "two");
    world_run(w, 500000);
    phone_expect(a, "SIP/2.0 403");
    phone_expect_nothing(b);
    cr_expect_eq(w->dht.stores, stores + 1);
    cr_expect_eq(world_metric(w, METRIC_sip_records_put_back), 1);
    world_free(w);
}

/* An account's name whose home is `shard` of `shards`, not `other`. */
static const char *name_at(uint16_t shard, uint16_t shards, const char *other, char *out)
{
    for (int i = 0; i < WORLD_ACCOUNTS; i++) {
        snprintf(out, 32, "%.*s", (int)strcspn(world_users[i], "@"), world_users[i]);
        if (sip_home_shard(slice_text(world_users[i]), shards) == shard &&
            strcmp(out, other) != 0) {
            return out;
        }
    }
    cr_assert_fail("no account there");
    return out;
}

/* Every phone sends to the shard that is not its home: everything is steered. */
Test(proxy, call_between_sibling_shards)
{
    struct world *w = world_make();
    char caller[32], callee[32];
    world_add_node(w, 2);
    struct phone *a = world_add_phone(w, name_at(0, 2, "", caller), 1);
    struct phone *b = world_add_phone(w, name_at(1, 2, caller, callee), 0);
    register_ok(w, a);
    register_ok(w, b);
    both_ways(w, a, b);
    cr_assert_eq(w->dht.appattaches, 0);
    world_expect_empty(w);
    world_free(w);
}

Test(proxy, call_between_sibling_shards_over_tcp)
{
    struct world *w = world_make();
    char caller[32], callee[32];
    world_add_node(w, 2);
    struct phone *a = world_add_tcp_phone(w, name_at(0, 2, "", caller), 1);
    struct phone *b = world_add_tcp_phone(w, name_at(1, 2, caller, callee), 0);
    register_ok(w, a);
    register_ok(w, b);
    both_ways(w, a, b);
    world_expect_empty(w);
    world_free(w);
}

/* First call: Fetch and one AppAttach; the second: none (B.10 B1, B2). */
Test(proxy, call_between_nodes)
{
    for (int tcp = 0; tcp < 2; tcp++) {
        struct world *w = world_make();
        int one = world_add_node(w, 1), two = world_add_node(w, 2);
        struct phone *a =
            tcp != 0 ? world_add_tcp_phone(w, "alice", one) : world_add_phone(w, "alice", one);
        struct phone *b = world_add_phone(w, "bob", two);
        register_ok(w, a);
        register_ok(w, b);
        both_ways(w, a, b);
        cr_assert_eq(w->dht.appattaches, 1, "%u AppAttach", w->dht.appattaches);
        world_expect_empty(w);
        world_free(w);
    }
}

/* The connection between the peers dies in mid-dialog: BYE makes a new one. */
Test(proxy, dialog_survives_a_lost_peer_connection)
{
    struct world *w = world_make();
    struct dialog da, db;
    int one = world_add_node(w, 1), two = world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", one), *b = world_add_phone(w, "bob", two);
    register_ok(w, a);
    register_ok(w, b);
    set_up(w, a, b, "cut", &da, &db);
    for (int i = 1; i < WORLD_CONNS; i++) {
        world_close_conn(w, i, true);
    }
    phone_in_dialog(w, b, &db, "BYE");
    world_run(w, 50000);
    char bye[PHONE_TEXT];
    snprintf(bye, sizeof(bye), "%s", phone_expect(a, "BYE sip:"));
    phone_answer(w, a, bye, "200 OK");
    phone_expect(b, "SIP/2.0 200");
    cr_assert_eq(w->dht.appattaches, 2);
    world_expect_empty(w);
    world_free(w);
}

/* RFC 3261 16.7, 9: two devices ring, one answers, the other is CANCELled. */
Test(proxy, fork_and_cancel_the_loser)
{
    struct world *w = world_make();
    struct dialog da;
    char first[PHONE_TEXT], second[PHONE_TEXT], cancel[PHONE_TEXT];
    int one = world_add_node(w, 1), two = world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", one);
    struct phone *b = world_add_phone(w, "bob", one), *c = world_add_phone(w, "bob", two);
    register_ok(w, a);
    register_ok(w, b);
    register_ok(w, c);
    phone_call(w, a, "INVITE", "bob", "fork");
    world_run(w, 100000);
    phone_expect(a, "SIP/2.0 100");
    snprintf(first, sizeof(first), "%s", phone_expect(b, "INVITE sip:"));
    snprintf(second, sizeof(second), "%s", phone_expect(c, "INVITE sip:"));
    phone_answer(w, b, first, "180 Ringing");
    phone_answer(w, c, second, "180 Ringing");
    phone_expect(a, "SIP/2.0 180");
    phone_expect(a, "SIP/2.0 180");
    phone_answer(w, c, second, "200 OK");
    dialog_caller(&da, phone_expect(a, "SIP/2.0 200"));
    snprintf(cancel, sizeof(cancel), "%s", phone_expect(b, "CANCEL sip:"));
    phone_answer(w, b, cancel, "200 OK");
    phone_answer(w, b, first, "487 Request Terminated");
    phone_expect(b, "ACK sip:");
    phone_in_dialog(w, a, &da, "ACK");
    phone_expect(c, "ACK sip:");
    phone_expect_nothing(a);
    hang_up(w, a, c, &da);
    world_expect_empty(w);
    world_free(w);
}

/* The caller gives up while it rings, over two nodes. */
Test(proxy, cancel_by_the_caller)
{
    struct world *w = world_make();
    char invite[PHONE_TEXT], via[PHONE_TEXT], lines[PHONE_TEXT], cancel[PHONE_TEXT];
    int one = world_add_node(w, 1), two = world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", one), *b = world_add_phone(w, "bob", two);
    register_ok(w, a);
    register_ok(w, b);
    phone_call(w, a, "INVITE", "bob", "cancel");
    snprintf(via, sizeof(via), "%s", lines_of(a->last_request, "Via", lines));
    world_run(w, 100000);
    phone_expect(a, "SIP/2.0 100");
    snprintf(invite, sizeof(invite), "%s", phone_expect(b, "INVITE sip:"));
    phone_answer(w, b, invite, "180 Ringing");
    phone_expect(a, "SIP/2.0 180");
    phone_send(w, a,
               "CANCEL sip:bob@example.org SIP/2.0\n%sFrom: <sip:alice@example.org>;"
               "tag=f-cancel\nTo: <sip:bob@example.org>\nCall-ID: cancel\nCSeq: 2 CANCEL\n"
               "Max-Forwards: 70\n",
               via);
    phone_expect(a, "SIP/2.0 200");
    snprintf(cancel, sizeof(cancel), "%s", phone_expect(b, "CANCEL sip:"));
    phone_answer(w, b, cancel, "200 OK");
    phone_answer(w, b, invite, "487 Request Terminated");
    phone_expect(b, "ACK sip:");
    phone_expect(a, "SIP/2.0 487");
    phone_send(w, a,
               "ACK sip:bob@example.org SIP/2.0\n%sFrom: <sip:alice@example.org>;"
               "tag=f-cancel\nTo: <sip:bob@example.org>;tag=t-bob\nCall-ID: cancel\nCSeq: 2 ACK\n"
               "Max-Forwards: 70\n",
               via);
    phone_expect_nothing(a);
    phone_expect_nothing(b);
    world_expect_empty(w);
    world_free(w);
}

/* What the caller hears, and the Warning that says why (issue section 4). */
Test(proxy, honest_failures)
{
    static const struct {
        const char *callee, *status, *why;
        bool is_silent;
    } cases[] = {
        {"nobody", "SIP/2.0 404", "Nobody by that name", false},
        {"dave", "SIP/2.0 480", "not registered anywhere", false},
        {"carol", "SIP/2.0 504", "did not answer", true},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct world *w = world_make();
        world_add_node(w, 1);
        world_know(w, "dave@example.org");
        struct phone *a = world_add_phone(w, "alice", 0);
        register_ok(w, a);
        w->dht.is_fetch_silent = cases[i].is_silent;
        for (int m = 0; m < 2; m++) {
            phone_call(w, a, m == 0 ? "INVITE" : "MESSAGE", cases[i].callee, m == 0 ? "x" : "y");
            world_run(w, 20000000);
            if (m == 0) {
                phone_expect(a, "SIP/2.0 100");
            }
            const char *text = phone_expect(a, cases[i].status);
            cr_assert(strstr(text, cases[i].why) != NULL, "no reason:\n%s", text);
            a->first = a->count = 0; /* retransmissions: nobody sends the ACK */
        }
        world_expect_empty(w);
        world_free(w);
    }
}

/* The callee's peer is gone: looked up twice, then 480. */
Test(proxy, callee_peer_unreachable)
{
    struct world *w = world_make();
    int one = world_add_node(w, 1), two = world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", one), *b = world_add_phone(w, "bob", two);
    register_ok(w, a);
    register_ok(w, b);
    w->instances[one]->overlay.is_attach_failing = true;
    uint32_t fetches = w->dht.fetches;
    phone_call(w, a, "MESSAGE", "bob", "gone");
    world_run(w, 1000000);
    cr_assert(strstr(phone_expect(a, "SIP/2.0 480"), "Warning: 399") != NULL);
    cr_assert_eq(w->dht.fetches - fetches, 2);
    /* AppAttach is answered, but nobody dials: 10 s each */
    w->instances[one]->overlay.is_attach_failing = false;
    w->instances[two]->is_deaf = true;
    phone_call(w, a, "MESSAGE", "bob", "gone2");
    world_run(w, 25000000);
    phone_expect(a, "SIP/2.0 480");
    w->instances[two]->is_deaf = false;
    world_expect_empty(w);
    world_free(w);
}

/* Who may not call: no account here, another's name, no registration (design.md 6, 8). */
Test(proxy, callers_refused)
{
    struct world *w = world_make();
    char auth[PHONE_TEXT], via[256];
    world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", 0), *z = world_add_phone(w, "zoe", 0);
    const char *format = "MESSAGE sip:bob@example.org SIP/2.0\nVia: %s\nFrom: <sip:%s@example.org>"
                         ";tag=1\nTo: <sip:bob@example.org>\nCall-ID: c%d\nCSeq: 1 MESSAGE\n%s";
    phone_send(w, z, format, phone_via(z, "a", via), "zoe", 1, "");
    phone_expect(z, "SIP/2.0 407"); /* as if she had an account: test_strangers */
    phone_call(w, a, "MESSAGE", "bob", "unregistered");
    cr_assert(strstr(phone_expect(a, "SIP/2.0 403"), "no live registration") != NULL);
    register_ok(w, a);
    phone_send(w, a, format, phone_via(a, "b", via), "bob", 2, "");
    credentials(phone_expect(a, "SIP/2.0 407"), "alice", "secret", "MESSAGE", "sip:bob@example.org",
                "00000001", auth);
    phone_send(w, a, format, phone_via(a, "c", via), "bob", 3, auth);
    cr_assert(strstr(phone_expect(a, "SIP/2.0 403"), "somebody else") != NULL);
    world_expect_empty(w);
    world_free(w);
}

/* MESSAGE (RFC 3428) and OPTIONS. */
Test(proxy, message_and_options)
{
    struct world *w = world_make();
    char text[PHONE_TEXT], via[256];
    int one = world_add_node(w, 1), two = world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", one), *b = world_add_phone(w, "bob", two);
    register_ok(w, a);
    register_ok(w, b);
    phone_call(w, a, "MESSAGE", "bob", "msg");
    world_run(w, 50000);
    snprintf(text, sizeof(text), "%s", phone_expect(b, "MESSAGE sip:bob@"));
    phone_answer(w, b, text, "200 OK");
    phone_expect(a, "SIP/2.0 200");
    phone_send(w, a,
               "OPTIONS sip:example.org SIP/2.0\nVia: %s\nFrom: <sip:alice@example.org>;tag=1"
               "\nTo: <sip:example.org>\nCall-ID: o\nCSeq: 1 OPTIONS\n",
               phone_via(a, "o", via));
    snprintf(text, sizeof(text), "%s", phone_expect(a, "SIP/2.0 200"));
    cr_assert(strstr(text, "\r\nAllow: INVITE, ") != NULL, "%s", text);
    cr_assert(strstr(text, "\r\nSupported: path, outbound, gruu\r\n") != NULL, "%s",
              text); /* 11.2 */
    world_expect_empty(w);
    world_free(w);
}

/* 16.3: hops, loops, extensions; 8.2.2.3. */
Test(proxy, requests_refused_by_their_form)
{
    static const struct {
        const char *line, *more, *status;
    } cases[] = {
        {"MESSAGE sip:bob@example.org", "Max-Forwards: 0\n", "SIP/2.0 483"},
        {"MESSAGE sip:bob@example.org", "Proxy-Require: magic\n", "SIP/2.0 420 Bad Extension"},
        {"MESSAGE http://example.org/", "", "SIP/2.0 416"},
        {"MESSAGE sip:bob@example.org", "Max-Forwards: x\n", "SIP/2.0 400"},
        {"CANCEL sip:bob@example.org", "", "SIP/2.0 481"},
    };
    struct world *w = world_make();
    world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", 0);
    register_ok(w, a);
    for (int i = 0; i < (int)ARRAY_COUNT(cases); i++) {
        char via[256], branch[32];
        snprintf(branch, sizeof(branch), "f%d", i);
        phone_send(w, a,
                   "%s SIP/2.0\nVia: %s\nFrom: <sip:alice@example.org>;tag=1\n"
                   "To: <sip:bob@example.org>\nCall-ID: f%d\nCSeq: 1 %.*s\n%s",
                   cases[i].line, phone_via(a, branch, via), i, (int)strcspn(cases[i].line, " "),
                   cases[i].line, cases[i].more);
        phone_expect(a, cases[i].status);
    }
    phone_expect_nothing(a);
    world_expect_empty(w);
    world_free(w);
}

/* RFC 3261 18.3: a datagram that ends before its body does gets 400; on a stream nothing tells
 * where the next message would begin. */
Test(proxy, content_length_that_cannot_be)
{
    static const char *const lengths[] = {"7", "-999", "1\r\nContent-Length: 2"};
    struct world *w = world_make();
    world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", 0);
    for (size_t i = 0; i < ARRAY_COUNT(lengths); i++) {
        char via[256], branch[32], text[PHONE_TEXT];
        snprintf(branch, sizeof(branch), "l%zu", i);
        int len =
            snprintf(text, sizeof(text),
                     "MESSAGE sip:bob@example.org SIP/2.0\r\nVia: %s\r\n"
                     "From: <sip:alice@example.org>;tag=1\r\nContent-Length: %s\r\n"
                     "To: <sip:bob@example.org>\r\nCall-ID: l\r\nCSeq: 1 MESSAGE\r\n\r\nhello",
                     phone_via(a, branch, via), lengths[i]);
        phone_raw(w, a, text, (size_t)len);
        phone_expect(a, "SIP/2.0 400");
    }
    cr_expect_eq(world_metric(w, METRIC_sip_drop_malformed), ARRAY_COUNT(lengths));
    phone_expect_nothing(a);
    world_expect_empty(w);
    world_free(w);
}

/* RFC 3261 16.3 item 4, RFC 5393: a request that comes back unchanged. */
Test(proxy, loop_is_found)
{
    struct world *w = world_make();
    char invite[PHONE_TEXT], back[2 * PHONE_TEXT];
    world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", 0), *b = world_add_phone(w, "bob", 0);
    register_ok(w, a);
    register_ok(w, b);
    phone_call(w, a, "MESSAGE", "bob", "loop");
    world_run(w, 20000);
    snprintf(invite, sizeof(invite), "%s", phone_expect(b, "MESSAGE sip:bob@"));
    snprintf(back, sizeof(back),
             "MESSAGE sip:bob@example.org SIP/2.0\r\n"
             "Via: SIP/2.0/UDP 10.1.0.2;rport;branch=z9hG4bKback%s",
             strstr(invite, "\r\n"));
    phone_raw(w, b, back, strlen(back));
    phone_expect(b, "SIP/2.0 482");
    cr_assert_eq(world_metric(w, METRIC_sip_refused_loop), 1);
    world_expect_empty(w);
    world_free(w);
}

/* A REGISTER goes nowhere, so it cannot come back: it has no mark, and a Via that would be that
 * mark is nothing to it.  One with a tag in To is no registration, and is refused for the same Via.
 */
Test(proxy, a_registration_is_not_looked_at_for_loops)
{
    struct world *w = world_make();
    world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", 0);
    struct sip *s = w->instances[0]->sip;
    for (int has_tag = 0; has_tag <= 1; has_tag++) {
        static struct sip_parser parser;
        char branch[TX_BRANCH_CAP + 1], via[256], text[PHONE_TEXT];
        uint8_t mark[TX_LOOP_BYTES];
        struct sip_fault fault;
        struct sip_rx rx = {.m = &parser.msg};
        memset(branch, '0', TX_BRANCH_CAP);
        branch[TX_BRANCH_CAP] = 0;
        for (int round = 0; round < 2; round++) { /* the mark does not depend on the Vias */
            int len = snprintf(text, sizeof(text),
                               "REGISTER sip:example.org SIP/2.0\r\nVia: %s\r\n"
                               "Via: SIP/2.0/UDP 10.0.0.1;branch=%s\r\n"
                               "From: <sip:alice@example.org>;tag=1\r\n"
                               "To: <sip:alice@example.org>%s\r\nCall-ID: l\r\n"
                               "CSeq: 1 REGISTER\r\nMax-Forwards: 70\r\n\r\n",
                               phone_via(a, has_tag ? "two" : "one", via), branch,
                               has_tag ? ";tag=2" : "");
            sip_parser_init(&parser, false);
            cr_assert_eq(sip_parser_datagram(&parser, slice_of(text, (size_t)len)), SIP_PARSE_OK);
            cr_assert_eq(sip_msg_check(rx.m, &rx.core, &fault), ERR_OK, "%s", fault.why);
            loop_mark(s, &rx, mark);
            cr_assert_eq(loop_is_found(s, &rx, mark), round == 1);
            tx_branch_begin(s, mark, branch);
        }
        phone_raw(w, a, text, strlen(text));
        phone_expect(a, has_tag ? "SIP/2.0 482" : "SIP/2.0 401");
        cr_assert_eq(world_metric(w, METRIC_sip_refused_loop), (uint64_t)has_tag);
    }
    world_expect_empty(w);
    world_free(w);
}

/* Stores what `user` says about itself, as one of its devices. */
static void put_value(struct world *w, const char *user, uint8_t device, const void *value,
                      size_t len)
{
    struct overlay_resource resource;
    uint8_t key[16];
    memset(key, device, sizeof(key));
    overlay_resource_of(&w->instances[0]->turn, slice_text(user), &resource);
    fake_put(&w->dht, &resource, OVERLAY_KIND_SIP_REGISTRATION, slice_of(key, sizeof(key)),
             slice_of(value, len), true, UINT64_MAX);
}

static void put_forward(struct world *w, const char *user, uint8_t device, const char *to)
{
    uint8_t value[160];
    struct wr v = wr_init(value, sizeof(value));
    struct msgs_sip_registration forward = {.type = MSGS_SIP_URI, .uri = slice_text(to)};
    msgs_sip_registration_wr(&v, NULL, &forward);
    put_value(w, user, device, value, wr_len(&v));
}

/* RFC 7904 4.2 and its tests S3, S10, S11, S12: forwards are followed, each AOR once. */
Test(proxy, forwards_and_hostile_records)
{
    static const uint8_t bad[][12] = {
        {2, 0, 9, 0, 0, 0, 5, 1, 3, 1, 2, 3}, /* a Node-ID of three bytes */
        {2, 0, 200, 0, 0},                    /* a length that lies */
        {3, 0, 1, 7},                         /* a type of the future */
        {0},
    };
    struct world *w = world_make();
    char text[PHONE_TEXT];
    int one = world_add_node(w, 1), two = world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", one), *b = world_add_phone(w, "bob", two);
    register_ok(w, a);
    register_ok(w, b);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        put_value(w, "carol@example.org", (uint8_t)(1 + i), bad[i], sizeof(bad[i]));
    }
    put_forward(w, "carol@example.org", 10, "bob@example.org");
    put_forward(w, "carol@example.org", 11, "carol@example.org");
    put_forward(w, "carol@example.org", 12, "carol@elsewhere.example");
    phone_call(w, a, "MESSAGE", "carol", "forward");
    world_run(w, 50000);
    snprintf(text, sizeof(text), "%s", phone_expect(b, "MESSAGE sip:bob@"));
    phone_expect_nothing(b);
    phone_answer(w, b, text, "200 OK");
    phone_expect(a, "SIP/2.0 200");
    /* a ring of forwards without anybody in it: each AOR is fetched once, then Kind 0x10 */
    put_forward(w, "dave@example.org", 1, "erin@example.org");
    put_forward(w, "erin@example.org", 1, "dave@example.org");
    uint32_t fetches = w->dht.fetches;
    phone_call(w, a, "MESSAGE", "dave", "ring");
    world_run(w, 100000);
    phone_expect(a, "SIP/2.0 404");
    cr_assert_eq(w->dht.fetches - fetches, 3);
    /* a long chain ends at the cap */
    for (int i = 0; i < 20; i++) {
        char from[32], to[32];
        snprintf(from, sizeof(from), "c%d@example.org", i);
        snprintf(to, sizeof(to), "c%d@example.org", i + 1);
        put_forward(w, from, 1, to);
    }
    fetches = w->dht.fetches;
    phone_call(w, a, "MESSAGE", "c0", "chain");
    world_run(w, 200000);
    phone_expect(a, "SIP/2.0 404");
    cr_assert_leq(w->dht.fetches - fetches, LOCATION_AORS + 1);
    world_expect_empty(w);
    world_free(w);
}

/* The phone registers again from another port; the dialog follows its contact (RFC 5626). */
Test(proxy, dialog_follows_a_new_tcp_connection)
{
    struct world *w = world_make();
    struct dialog da, db;
    world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", 0), *b = world_add_tcp_phone(w, "bob", 0);
    register_ok(w, a);
    register_ok(w, b);
    set_up(w, a, b, "move", &da, &db);
    world_close_conn(w, (int)handle_index(b->conn), true);
    cr_assert(b->is_closed);
    b->conn = world_conn_add(w, 0, -1, 1);
    b->flow = sip_flow_accepted(&w->instances[0]->turn, w->instances[0]->sip, SIP_TCP, b->conn,
                                &b->address);
    w->conns[handle_index(b->conn)].flow = b->flow;
    register_ok(w, b);
    snprintf(da.target, sizeof(da.target), "sip:bob@10.1.0.2:5060;transport=tcp");
    phone_in_dialog(w, a, &da, "BYE");
    phone_expect(b, "BYE sip:");
    phone_expect_nothing(b);
    world_expect_empty(w);
    world_free(w);
}

/* One account holds so many requests open, no more; others go on. */
Test(proxy, calls_of_one_account_are_capped)
{
    struct world *w = world_make();
    world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", 0), *b = world_add_phone(w, "bob", 0);
    struct phone *c = world_add_phone(w, "carol", 0);
    register_ok(w, a);
    register_ok(w, b);
    register_ok(w, c);
    w->instances[0]->limits.sip_proxies_per_account = 2;
    for (int i = 0; i < 3; i++) {
        char call[8];
        snprintf(call, sizeof(call), "cap%d", i);
        phone_call(w, a, "INVITE", "bob", call);
        phone_expect(a, i < 2 ? "SIP/2.0 100" : "SIP/2.0 503");
    }
    phone_call(w, c, "INVITE", "bob", "other");
    phone_expect(c, "SIP/2.0 100");
    for (int i = 0; i < 10; i++) {
        world_run(w, 10000000);
        a->first = a->count = b->first = b->count = c->first = c->count = 0;
    }
    world_expect_empty(w);
    cr_assert_eq(w->instances[0]->sip->accounts[0].proxies, 0);
    world_free(w);
}

/* An account that shares its place among the sources with one who floods, as one of 1,023 does, can
 * call all the same. */
Test(proxy, calls_of_an_account_are_counted_apart)
{
    enum { HELD = 1000 };
    struct world *w = world_make();
    world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", 0), *b = world_add_phone(w, "bob", 0);
    struct proxy_source *sources = w->instances[0]->sip->sources;
    register_ok(w, a);
    register_ok(w, b);
    w->instances[0]->limits.sip_proxies_per_source = HELD;
    for (int i = 0; i < PROXY_SOURCES; i++) {
        sources[i].proxies += HELD;
    }
    phone_call(w, a, "INVITE", "bob", "apart");
    phone_expect(a, "SIP/2.0 100");
    cr_expect_eq(w->instances[0]->sip->accounts[0].proxies, 1);
    for (int i = 0; i < 10; i++) {
        world_run(w, 10000000);
        a->first = a->count = b->first = b->count = 0;
    }
    for (int i = 0; i < PROXY_SOURCES; i++) {
        cr_assert_eq(sources[i].proxies, HELD);
        sources[i].proxies = 0;
    }
    world_expect_empty(w);
    world_free(w);
}

/* The peers of one user hold so many requests open, no more; the phones here go on. */
Test(proxy, calls_of_one_peer_are_capped)
{
    struct world *w = world_make();
    int one = world_add_node(w, 1), two = world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", one), *b = world_add_phone(w, "bob", two);
    struct phone *c = world_add_phone(w, "carol", two);
    register_ok(w, a);
    register_ok(w, b);
    register_ok(w, c);
    w->instances[two]->limits.sip_proxies_per_source = 2;
    for (int i = 0; i < 3; i++) {
        char call[8];
        snprintf(call, sizeof(call), "cap%d", i);
        phone_call(w, a, "INVITE", "bob", call);
        world_run(w, 100000);
        phone_expect(a, "SIP/2.0 100");
        if (i == 2) { /* of another server: 500 (RFC 3261 16.7 step 6) */
            phone_expect(a, "SIP/2.0 500");
        }
    }
    cr_assert_geq(world_metric(w, METRIC_sip_refused_share), 1);
    phone_call(w, c, "INVITE", "bob", "other");
    phone_expect(c, "SIP/2.0 100");
    cr_assert_eq(w->instances[two]->sip->proxies.in_use, 3);
    for (int i = 0; i < 12; i++) {
        world_run(w, 20000000);
        a->first = a->count = b->first = b->count = c->first = c->count = 0;
    }
    for (int i = 0; i < PROXY_SOURCES; i++) {
        cr_assert_eq(w->instances[two]->sip->sources[i].proxies, 0);
        cr_assert_eq(w->instances[two]->sip->sources[i].branches, 0);
    }
    world_free(w);
}

/* A token opens the way to a phone's address for as long as a dialog may last, no longer. */
Test(proxy, a_flow_token_expires)
{
    struct world *w = world_make();
    struct dialog da, db;
    world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", 0), *b = world_add_phone(w, "bob", 0);
    char message[PHONE_TEXT];
    register_ok(w, a);
    register_ok(w, b);
    set_up(w, a, b, "long", &da, &db);
    for (uint32_t hour = 0; hour < HOP_TOKEN_S / 3600 - 1; hour++) {
        world_run(w, UINT64_C(3600000000));
    }
    phone_in_dialog(w, a, &da, "INFO");
    snprintf(message, sizeof(message), "%s", phone_expect(b, "INFO sip:"));
    phone_answer(w, b, message, "200 OK");
    phone_expect(a, "SIP/2.0 200");
    world_run(w, UINT64_C(2) * 3600000000);
    phone_in_dialog(w, a, &da, "INFO");
    phone_expect(a, "SIP/2.0 481");
    phone_expect_nothing(b);
    world_free(w);
}

/* RFC 3261 26.2.2, RFC 5630: sips over TLS at each hop, or not at all; Record-Route says sips too.
 */
Test(proxy, sips)
{
    struct world *w = world_make();
    world_add_node(w, 1);
    struct phone *a = world_add_tcp_phone(w, "alice", 0), *b = world_add_tcp_phone(w, "bob", 0);
    struct sip *s = w->instances[0]->sip;
    cr_assert(strncmp(phone_register(w, a, "600"), "SIP/2.0 200", 11) == 0);
    /* a sips Contact is registered over TLS */
    struct flow *f = pool_get(&s->flows, b->flow);
    phone_register_once(w, b, "Contact: <sips:bob@10.1.0.2:5061>\n", "");
    const char *challenge = phone_get(b);
    cr_assert(strncmp(challenge, "SIP/2.0 401", 11) == 0, "%s", challenge);
    for (unsigned kind = SIP_TCP; kind <= SIP_PEER; kind++) {
        struct flow_ref ref = {.kind = (uint8_t)kind};
        bool is_secure = kind == SIP_TLS || kind == SIP_WSS || kind == SIP_PEER;
        cr_assert_eq(flow_is_secure(&ref), is_secure, "%u", kind);
    }
    /* what goes where */
    struct proxy p = {.is_sips = true};
    char plain[FORK_URI_CAP];
    struct slice sips = SLICE_LITERAL("SIPS:b@h;x=1"), sip = SLICE_LITERAL("sip:b@h");
    struct flow_ref tcp = f->ref, tls = f->ref;
    tls.kind = SIP_TLS;
    struct slice uri = sips;
    cr_assert(sips_may_go(&p, &tls, &uri, plain) && slice_is_equal(uri, sips));
    cr_assert_not(sips_may_go(&p, &tcp, &uri, plain));
    uri = sip;
    cr_assert_not(sips_may_go(&p, &tls, &uri, plain));
    uri = SLICE_EMPTY; /* inside a dialog */
    cr_assert(sips_may_go(&p, &tls, &uri, plain));
    cr_assert_not(sips_may_go(&p, &tcp, &uri, plain));
    p.is_sips = false;
    uri = sips;
    cr_assert(sips_may_go(&p, &tls, &uri, plain));
    cr_assert(slice_is_equal(uri, SLICE_LITERAL("sip:b@h;x=1")));
    uri = sip;
    cr_assert(sips_may_go(&p, &tcp, &uri, plain) && slice_is_equal(uri, sip));
    /* a token of each kind and family opens its flow again, and its URI says how to come */
    static const char *const says[] = {"", ";transport=tcp", ";transport=tls", ";transport=ws",
                                       ";transport=ws"};
    s->settings.second = (struct address){.family = 6, .port = 5060, .ip = {0xfd}};
    memcpy(s->advertised[1][SIP_UDP], "[fd00::]:5060", 14);
    for (unsigned kind = SIP_UDP; kind < SIP_PEER; kind++) {
        struct turn *t = &w->instances[0]->turn;
        char out[HOP_URI_CAP], text[2048];
        struct flow_ref side = {.kind = (uint8_t)kind, .flow = kind == SIP_UDP ? 0 : a->flow};
        side.remote = (struct address){.family = kind == SIP_UDP ? 6 : 4, .port = 9, .ip = {0xfd}};
        struct slice route = hop_record(t, s, &side, false, out);
        int len = snprintf(text, sizeof(text),
                           "BYE sip:x SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nRoute: %.*s"
                           "\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: 1\r\n"
                           "CSeq: 1 BYE\r\n\r\n",
                           (int)route.len, (const char *)route.data);
        cr_assert_not_null(strstr(text, says[kind]));
        cr_assert_eq(sip_parser_datagram(&s->parser, slice_of(text, (size_t)len)), SIP_PARSE_OK);
        struct sip_rx rx = {.m = &s->parser.msg};
        struct hop hop;
        hop_read(t, s, &rx, &hop);
        cr_assert(hop.has_token && hop.ours == 1 && hop.flow.kind == kind, "%u: %s", kind, text);
        cr_assert_eq(hop.flow.flow, side.flow);
        cr_assert_eq(hop.flow.remote.family, side.remote.family);
        cr_assert(kind != SIP_UDP || address_is_equal(&hop.flow.remote, &side.remote));
        route = hop_record(t, s, &side, true, out);
        cr_assert_eq(memcmp(route.data, "<sips:", 6), 0);
    }
    world_free(w);
}

/* A proxy between the caller's phone and its node has recorded itself: the callee's BYE passes it,
 * along the flow of the sealed token (3261 16.12). */
Test(proxy, a_proxy_in_front_stays_in_the_dialog)
{
    struct world *w = world_make();
    struct dialog da, db;
    char bye[PHONE_TEXT];
    int one = world_add_node(w, 1), two = world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", one), *b = world_add_phone(w, "bob", two);
    register_ok(w, a);
    register_ok(w, b);
    set_up(w, a, b, "one", &da, &db);
    size_t len = strlen(db.routes);
    snprintf(db.routes + len, sizeof(db.routes) - len, "Route: <sip:10.1.0.77:5070;lr;ftag=1>\n");
    phone_in_dialog(w, b, &db, "BYE");
    world_run(w, 1000);
    snprintf(bye, sizeof(bye), "%s", phone_expect(a, "BYE sip:"));
    cr_expect(strstr(bye, "\r\nRoute: <sip:10.1.0.77:5070;lr;ftag=1>\r\n") != NULL, "%s", bye);
    phone_answer(w, a, bye, "200 OK");
    phone_expect(b, "SIP/2.0 200");
    world_expect_empty(w);
    world_free(w);
}
