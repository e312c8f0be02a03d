/* SPDX-License-Identifier: Apache-2.0 */
/* test_forward.c - what comes of several branches (RFC 3261 16.7), Max-Breadth (RFC 5393 5), and
 * who is served first when there is little room. */
#include "sip/proxy.h"
#include "tests/unit/sip/phone_world.h"
#include <criterion/criterion.h>

static void register_ok(struct world *w, struct phone *p)
{
    const char *text = phone_register(w, p, "600");
    cr_assert(strncmp(text, "SIP/2.0 200", 11) == 0, "%s:\n%s", p->name, text);
}

/* Alice calls Bob, who has a phone at each of two nodes. */
static struct world *two_bobs(struct phone **a, struct phone **b, struct phone **c)
{
    struct world *w = world_make();
    int one = world_add_node(w, 1), two = world_add_node(w, 1);
    *a = world_add_phone(w, "alice", one);
    *b = world_add_phone(w, "bob", one);
    *c = world_add_phone(w, "bob", two);
    register_ok(w, *a);
    register_ok(w, *b);
    register_ok(w, *c);
    return w;
}

static void done(struct world *w, struct phone *a)
{
    for (int i = 0; i < 12; i++) { /* unacknowledged finals come again and again */
        world_run(w, 20000000);
        a->first = a->count = 0;
    }
    world_expect_empty(w);
    world_free(w);
}

static int number_of(const char *text, const char *name)
{
    char value[PHONE_TEXT];
    value_of(text, name, value);
    return value[0] == 0 ? -1 : (int)strtoul(value, NULL, 10);
}

/* 16.7 step 7: the challenges of all branches go up together. */
Test(forward, challenges_are_gathered)
{
    struct phone *a, *b, *c;
    char first[PHONE_TEXT], second[PHONE_TEXT], up[PHONE_TEXT], lines[PHONE_TEXT];
    struct world *w = two_bobs(&a, &b, &c);
    phone_ask(w, a, "MESSAGE", "sip:bob@example.org", "", NULL);
    snprintf(first, sizeof(first), "%s", phone_expect(b, "MESSAGE sip:"));
    snprintf(second, sizeof(second), "%s", phone_expect(c, "MESSAGE sip:"));
    phone_answer(w, b, first, "401 Unauthorized\nWWW-Authenticate: Digest realm=\"b\",nonce=\"1\"");
    phone_expect_nothing(a);
    phone_answer(w, c, second,
                 "407 Proxy Authentication Required\nProxy-Authenticate: Digest "
                 "realm=\"c\",nonce=\"2\"");
    snprintf(up, sizeof(up), "%s", phone_expect(a, "SIP/2.0 407"));
    cr_assert(strstr(lines_of(up, "WWW-Authenticate", lines), "realm=\"b\"") != NULL, "%s", up);
    cr_assert(strstr(lines_of(up, "Proxy-Authenticate", lines), "realm=\"c\"") != NULL, "%s", up);
    done(w, a);
}

/* 16.7 step 6: a 503 of one server says nothing of the others. */
Test(forward, unavailable_becomes_500)
{
    struct phone *a, *b, *c;
    char first[PHONE_TEXT], second[PHONE_TEXT], value[PHONE_TEXT];
    struct world *w = two_bobs(&a, &b, &c);
    phone_ask(w, a, "MESSAGE", "sip:bob@example.org", "", NULL);
    snprintf(first, sizeof(first), "%s", phone_expect(b, "MESSAGE sip:"));
    snprintf(second, sizeof(second), "%s", phone_expect(c, "MESSAGE sip:"));
    phone_answer(w, b, first, "503 Service Unavailable\nRetry-After: 100");
    phone_answer(w, c, second, "503 Service Unavailable\nRetry-After: 100");
    const char *up = phone_expect(a, "SIP/2.0 500");
    cr_assert_str_empty(value_of(up, "Retry-After", value));
    done(w, a);
}

/* 16.7 step 5: 6xx ends the others, and goes up when they are over; it beats any 4xx. */
Test(forward, decline_ends_all)
{
    struct phone *a, *b, *c;
    char first[PHONE_TEXT], second[PHONE_TEXT], cancel[PHONE_TEXT];
    struct world *w = two_bobs(&a, &b, &c);
    phone_ask(w, a, "INVITE", "sip:bob@example.org", "", NULL);
    phone_expect(a, "SIP/2.0 100");
    snprintf(first, sizeof(first), "%s", phone_expect(b, "INVITE sip:"));
    snprintf(second, sizeof(second), "%s", phone_expect(c, "INVITE sip:"));
    phone_answer(w, c, second, "180 Ringing");
    phone_expect(a, "SIP/2.0 180");
    phone_answer(w, b, first, "603 Decline");
    phone_expect(b, "ACK sip:");
    phone_expect_nothing(a);
    snprintf(cancel, sizeof(cancel), "%s", phone_expect(c, "CANCEL sip:"));
    phone_answer(w, c, cancel, "200 OK");
    phone_answer(w, c, second, "487 Request Terminated");
    phone_expect(c, "ACK sip:");
    phone_expect(a, "SIP/2.0 603");
    done(w, a);
}

static unsigned said_by(const struct world *w, int instance)
{
    struct sip_status status;
    sip_status(w->instances[instance]->sip, &status);
    return (unsigned)status.responses_out;
}

static void try_slowly(bool is_slow)
{
    char invite[PHONE_TEXT];
    struct world *w = world_make();
    int one = world_add_node(w, 1), two = world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", one), *b = world_add_phone(w, "bob", two);
    register_ok(w, a);
    register_ok(w, b);
    unsigned before = said_by(w, two), trying = is_slow ? 1 : 0;
    phone_ask(w, a, "INVITE", "sip:bob@example.org", "", NULL);
    phone_expect(a, "SIP/2.0 100"); /* a phone repeats itself: at once */
    snprintf(invite, sizeof(invite), "%s", phone_expect(b, "INVITE sip:"));
    world_run(w, 50000); /* phone_ask has waited for 100 ms */
    cr_assert_eq(said_by(w, two), before);
    world_run(w, is_slow ? 100000 : 0);
    cr_assert_eq(said_by(w, two), before + trying);
    phone_answer(w, b, invite, "180 Ringing");
    phone_expect(a, "SIP/2.0 180");
    world_run(w, 300000);
    cr_assert_eq(said_by(w, two), before + trying + 1);
    phone_answer(w, b, invite, "486 Busy Here");
    phone_expect(b, "ACK sip:");
    phone_expect(a, "SIP/2.0 486");
    phone_expect_nothing(a);
    done(w, a);
}

/* RFC 3261 17.2.1: a peer hears 100 when nothing else has come for 200 ms; else it is spared. */
Test(forward, trying_waits_for_peers)
{
    try_slowly(false);
    try_slowly(true);
}

/* RFC 5393 5.3.3: there is one in every request, and the branches share what came. */
Test(forward, breadth_is_shared)
{
    struct phone *a, *b, *c;
    char first[PHONE_TEXT], second[PHONE_TEXT];
    struct world *w = two_bobs(&a, &b, &c);
    phone_ask(w, a, "MESSAGE", "sip:bob@example.org", "", NULL);
    snprintf(first, sizeof(first), "%s", phone_expect(b, "MESSAGE sip:"));
    snprintf(second, sizeof(second), "%s", phone_expect(c, "MESSAGE sip:"));
    cr_assert_eq(number_of(first, "Max-Breadth"), 30);
    cr_assert_eq(number_of(second, "Max-Breadth"), 30);
    phone_answer(w, b, first, "200 OK");
    phone_answer(w, c, second, "200 OK");
    phone_expect(a, "SIP/2.0 200");
    phone_ask(w, a, "MESSAGE", "sip:bob@example.org", "Max-Breadth: 5\n", NULL);
    cr_assert_eq(number_of(phone_expect(b, "MESSAGE sip:"), "Max-Breadth"), 2);
    cr_assert_eq(number_of(phone_expect(c, "MESSAGE sip:"), "Max-Breadth"), 2);
    phone_ask(w, a, "MESSAGE", "sip:alice@example.org", "Max-Breadth: 4000000000\n", NULL);
    cr_assert_eq(number_of(phone_expect(a, "MESSAGE sip:"), "Max-Breadth"), 60);
    done(w, a);
}

Test(forward, breadth_that_does_not_suffice)
{
    struct phone *a, *b, *c;
    struct world *w = two_bobs(&a, &b, &c);
    for (int i = 0; i < 2; i++) {
        phone_ask(w, a, "MESSAGE", "sip:bob@example.org",
                  i == 0 ? "Max-Breadth: 1\n" : "Max-Breadth: 0\n", NULL);
        phone_expect(a, "SIP/2.0 440");
    }
    phone_expect_nothing(b);
    phone_expect_nothing(c);
    done(w, a);
}

/* The last eighth is for dialogs that stand: a new call gets 503, with a time to come back that
 * differs from call to call (RFC 3261 20.33), while a BYE still goes through. */
Test(forward, dialogs_come_first)
{
    struct world *w = world_make();
    struct dialog da;
    char invite[PHONE_TEXT], seen[32] = {0};
    world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", 0), *b = world_add_phone(w, "bob", 0);
    register_ok(w, a);
    register_ok(w, b);
    phone_ask(w, a, "INVITE", "sip:bob@example.org", "", NULL);
    phone_expect(a, "SIP/2.0 100");
    snprintf(invite, sizeof(invite), "%s", phone_expect(b, "INVITE sip:"));
    phone_answer(w, b, invite, "200 OK");
    dialog_caller(&da, phone_expect(a, "SIP/2.0 200"));
    phone_in_dialog(w, a, &da, "ACK");
    phone_expect(b, "ACK sip:");
    w->instances[0]->limits.sip_dialog_share = 100;
    for (int i = 0; i < 24; i++) {
        char via[256], branch[32];
        snprintf(branch, sizeof(branch), "flood-%d", i);
        phone_send(w, a,
                   "INVITE sip:bob@example.org SIP/2.0\nVia: %s\nFrom: "
                   "<sip:alice@example.org>;tag=f\nTo: <sip:bob@example.org>\nCall-ID: flood-%d\n"
                   "CSeq: 1 INVITE\nMax-Forwards: 70\n",
                   phone_via(a, branch, via), i);
        int after = number_of(phone_expect(a, "SIP/2.0 503"), "Retry-After");
        cr_assert(after >= 5 && after <= 15, "%d", after);
        seen[after] = 1;
    }
    int kinds = 0;
    for (size_t i = 0; i < sizeof(seen); i++) {
        kinds += seen[i];
    }
    cr_assert_gt(kinds, 3, "%d different times", kinds);
    cr_assert_eq(world_metric(w, METRIC_sip_refused_for_dialogs), 24);
    phone_in_dialog(w, a, &da, "BYE");
    snprintf(invite, sizeof(invite), "%s", phone_expect(b, "BYE sip:"));
    phone_answer(w, b, invite, "200 OK");
    phone_expect(a, "SIP/2.0 200");
    done(w, a);
}
