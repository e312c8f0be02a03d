/* SPDX-License-Identifier: Apache-2.0 */
/* test_stateless.c - requests inside a dialog that nothing is kept of (sip/stateless). */
#include "sip/loop.h"
#include "sip/stateless.h"
#include "tests/unit/sip/phone_world.h"
#include <criterion/criterion.h>

struct call {
    struct world *w;
    struct phone *a, *b;
    struct dialog da, db;
};

static void expect_no_state(const struct call *c)
{
    for (int i = 0; i < c->w->count; i++) {
        cr_assert_eq(c->w->instances[i]->sip->txs.in_use, 0);
        cr_assert_eq(c->w->instances[i]->sip->proxies.in_use, 0);
    }
}

enum { AT_ONE_NODE, AT_TWO_NODES, OVER_TCP };

static void set_up(struct call *c, int how)
{
    char text[PHONE_TEXT];
    *c = (struct call){.w = world_make()};
    world_add_node(c->w, 1);
    int other = how == AT_TWO_NODES ? world_add_node(c->w, 1) : 0;
    c->a = world_add_phone(c->w, "alice", 0);
    c->b =
        how == OVER_TCP ? world_add_tcp_phone(c->w, "bob", 0) : world_add_phone(c->w, "bob", other);
    cr_assert(strncmp(phone_register(c->w, c->a, "600"), "SIP/2.0 200", 11) == 0);
    cr_assert(strncmp(phone_register(c->w, c->b, "600"), "SIP/2.0 200", 11) == 0);
    phone_call(c->w, c->a, "INVITE", "bob", "one");
    world_run(c->w, 100000);
    phone_expect(c->a, "SIP/2.0 100");
    snprintf(text, sizeof(text), "%s", phone_expect(c->b, "INVITE sip:"));
    dialog_callee(&c->db, c->b, text);
    phone_answer(c->w, c->b, text, "200 OK");
    snprintf(text, sizeof(text), "%s", phone_expect(c->a, "SIP/2.0 200"));
    dialog_caller(&c->da, text);
    phone_in_dialog(c->w, c->a, &c->da, "ACK");
    world_run(c->w, 1000);
    phone_expect(c->b, "ACK sip:");
    world_run(c->w, UINT64_C(40000000)); /* the INVITE's transactions end */
    expect_no_state(c);
}

static void tear_down(struct call *c)
{
    phone_expect_nothing(c->a);
    phone_expect_nothing(c->b);
    world_expect_empty(c->w);
    world_free(c->w);
}

static uint64_t count(const struct call *c, enum metric which)
{
    return world_metric(c->w, which);
}

/* The topmost Via of a message. */
static void via_of(const char *text, char out[PHONE_TEXT])
{
    value_of(text, "Via", out);
}

static void talk(int how, uint64_t nodes)
{
    struct call c;
    char info[PHONE_TEXT], via[PHONE_TEXT];
    set_up(&c, how);
    cr_assert_eq(count(&c, METRIC_sip_stateless_requests), nodes, "the ACK");
    for (int i = 0; i < 2; i++) { /* either way */
        struct phone *from = i == 0 ? c.a : c.b, *to = i == 0 ? c.b : c.a;
        phone_in_dialog(c.w, from, i == 0 ? &c.da : &c.db, i == 0 ? "INFO" : "BYE");
        world_run(c.w, 1000);
        snprintf(info, sizeof(info), "%s", phone_expect(to, i == 0 ? "INFO sip:" : "BYE sip:"));
        cr_assert(strstr(info, "\r\nRoute:") == NULL, "Route left:\n%s", info);
        cr_assert(strstr(info, nodes == 1 ? "Max-Forwards: 69" : "Max-Forwards: 68") != NULL);
        expect_no_state(&c);
        phone_answer(c.w, to, info, "180 Ringing"); /* a proxy without state says what it hears */
        world_run(c.w, 1000);
        phone_expect(from, "SIP/2.0 180");
        phone_answer(c.w, to, info, "200 OK");
        world_run(c.w, 1000);
        const char *ok = phone_expect(from, "SIP/2.0 200");
        via_of(ok, via);
        cr_assert(strstr(via, "10.0.0.") == NULL, "our Via went on:\n%s", ok);
    }
    cr_assert_eq(count(&c, METRIC_sip_stateless_requests), 3 * nodes);
    cr_assert_eq(count(&c, METRIC_sip_stateless_responses), 4 * nodes);
    cr_assert_eq(count(&c, METRIC_sip_drop_stray), 0);
    tear_down(&c);
}

Test(stateless, request_and_response_leave_nothing_behind)
{
    talk(AT_ONE_NODE, 1);
}

Test(stateless, nor_at_two_nodes)
{
    talk(AT_TWO_NODES, 2);
}

/* What is lost behind the second node comes again from the phone at the first. */
Test(stateless, repetitions_go_all_the_way)
{
    struct call c;
    char sent[PHONE_TEXT];
    set_up(&c, AT_TWO_NODES);
    c.w->datagrams_lost = 1;
    phone_in_dialog(c.w, c.a, &c.da, "INFO");
    snprintf(sent, sizeof(sent), "%s", c.a->last_request);
    world_run(c.w, 500000);
    phone_expect_nothing(c.b);
    phone_raw(c.w, c.a, sent, strlen(sent));
    world_run(c.w, 1000);
    phone_expect(c.b, "INFO sip:");
    tear_down(&c);
}

/* RFC 3261 16.11: the same branch for what is the same request, another one for another. */
Test(stateless, a_retransmission_has_the_same_branch)
{
    struct call c;
    char one[PHONE_TEXT], two[PHONE_TEXT], other[PHONE_TEXT], sent[PHONE_TEXT];
    set_up(&c, AT_ONE_NODE);
    phone_in_dialog(c.w, c.a, &c.da, "INFO");
    snprintf(sent, sizeof(sent), "%s", c.a->last_request);
    via_of(phone_expect(c.b, "INFO sip:"), one);
    world_run(c.w, 500000);
    phone_raw(c.w, c.a, sent, strlen(sent));
    via_of(phone_expect(c.b, "INFO sip:"), two);
    phone_in_dialog(c.w, c.a, &c.da, "INFO");
    via_of(phone_expect(c.b, "INFO sip:"), other);
    cr_assert_str_eq(one, two);
    cr_assert_str_neq(one, other);
    tear_down(&c);
}

/* A response that nobody was asked for goes nowhere, least of all to an address in it. */
Test(stateless, a_forged_response_is_dropped)
{
    static const char *const places[] = {"10.1.0.1:5060", ";received=10.1.0.1", "in-INFO", "one"};
    struct call c;
    char info[PHONE_TEXT], forged[PHONE_TEXT], vias[PHONE_TEXT];
    set_up(&c, AT_ONE_NODE);
    phone_in_dialog(c.w, c.a, &c.da, "INFO");
    snprintf(info, sizeof(info), "%s", phone_expect(c.b, "INFO sip:"));
    lines_of(info, "Via", vias);
    for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
        snprintf(forged, sizeof(forged), "%s", info);
        bool is_changed = false;
        for (char *at = forged; (at = strstr(at, places[i])) != NULL; at++) {
            char *last = at + strlen(places[i]) - 1;
            *last = *last == '1' ? '2' : *last == '0' ? '1' : 'x';
            is_changed = true;
        }
        if (!is_changed) {
            continue;
        }
        uint64_t before = count(&c, METRIC_sip_drop_stray);
        phone_answer(c.w, c.b, forged, "200 OK");
        cr_assert_eq(count(&c, METRIC_sip_drop_stray), before + 1, "%s", places[i]);
        phone_expect_nothing(c.a);
    }
    phone_answer(c.w, c.b, info, "200 OK");
    phone_expect(c.a, "SIP/2.0 200");
    tear_down(&c);
}

/* Towards a connection the transaction stays: only one side repeats what is lost. */
Test(stateless, not_towards_a_connection)
{
    struct call c;
    char info[PHONE_TEXT];
    set_up(&c, OVER_TCP);
    phone_in_dialog(c.w, c.a, &c.da, "INFO");
    snprintf(info, sizeof(info), "%s", phone_expect(c.b, "INFO sip:"));
    cr_assert_eq(c.w->instances[0]->sip->txs.in_use, 2);
    phone_answer(c.w, c.b, info, "200 OK");
    phone_expect(c.a, "SIP/2.0 200");
    cr_assert_eq(count(&c, METRIC_sip_stateless_requests), 1, "the ACK");
    tear_down(&c);
}

Test(stateless, a_token_that_nobody_has_sealed)
{
    struct call c;
    set_up(&c, AT_ONE_NODE);
    for (char *token = c.da.routes; (token = strstr(token, "sip:")) != NULL;) {
        token += 6;
        *token = *token == '0' ? '1' : '0';
    }
    phone_in_dialog(c.w, c.a, &c.da, "INFO");
    world_run(c.w, 100000);
    phone_expect_nothing(c.b);
    cr_assert(c.a->count == 1);
    phone_expect(c.a, "SIP/2.0 4");
    tear_down(&c);
}

static void mark_of(struct world *w, const char *const piece[7], uint8_t mark[TX_LOOP_BYTES])
{
    char text[PHONE_TEXT];
    struct sip_fault fault;
    struct sip_parser parser;
    struct sip_rx rx = {.m = &parser.msg};
    int len =
        snprintf(text, sizeof(text),
                 "MESSAGE sip:%s@example.org SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\n"
                 "From: <sip:a@example.org>;tag=%s\r\nTo: <sip:b@example.org>;tag=%s\r\n"
                 "Call-ID: %s\r\nCSeq: %s MESSAGE\r\nMax-Forwards: 9\r\n"
                 "Route: <sip:r%s;lr>\r\nProxy-Require: %s\r\n\r\n",
                 piece[0], piece[1], piece[2], piece[3], piece[4], piece[5], piece[6]);
    sip_parser_init(&parser, false);
    cr_assert_eq(sip_parser_datagram(&parser, slice_of(text, (size_t)len)), SIP_PARSE_OK);
    cr_assert_eq(sip_msg_check(rx.m, &rx.core, &fault), ERR_OK, "%s", fault.why);
    loop_mark(w->instances[0]->sip, &rx, mark);
}

/* 16.3 item 4: what decides on the way, all of it and each for itself; and of no two nodes alike.
 */
Test(stateless, loop_mark_of_each_piece)
{
    static const char *const one[7] = {"bob", "12", "3", "call", "7", "r", "pref"};
    struct world *w = world_make();
    uint8_t mark[TX_LOOP_BYTES], other[TX_LOOP_BYTES];
    world_add_node(w, 1);
    mark_of(w, one, mark);
    mark_of(w, one, other);
    cr_expect_eq(memcmp(mark, other, sizeof(mark)), 0);
    for (size_t i = 0; i < 7; i++) {
        const char *changed[7];
        memcpy(changed, one, sizeof(changed));
        changed[i] = "9";
        mark_of(w, changed, other);
        cr_expect_neq(memcmp(mark, other, sizeof(mark)), 0, "piece %zu", i);
    }
    static const char *const moved[7] = {"bob", "1", "23", "call", "7", "r", "pref"};
    mark_of(w, moved, other);
    cr_expect_neq(memcmp(mark, other, sizeof(mark)), 0);
    struct sip *s = w->instances[0]->sip;
    s->keys.key[MAC_LOOP][0] ^= 1;
    mark_of(w, one, other);
    cr_expect_neq(memcmp(mark, other, sizeof(mark)), 0);
    world_free(w);
}
