/* SPDX-License-Identifier: Apache-2.0 */
/* test_proxy.c - calls between phones at one node, at sibling shards and at different nodes. */
#include <criterion/criterion.h>
#include "tests/unit/sip/phone_world.h"

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
