/* SPDX-License-Identifier: Apache-2.0 */
/* test_hop.c - the entries by which the requests of a dialog find their way, and who may use them
 * (sip/hop). */
#include "sip/hop.h"
#include "tests/unit/sip/phone_world.h"
#include <criterion/criterion.h>

struct call {
    struct world *w;
    struct phone *a, *b;
    struct dialog da, db;
    char invite[PHONE_TEXT]; /* as b has got it */
};

/* alice at one node calls bob at another, who answers. */
static void set_up(struct call *c)
{
    *c = (struct call){.w = world_make()};
    int one = world_add_node(c->w, 1), two = world_add_node(c->w, 1);
    c->a = world_add_phone(c->w, "alice", one);
    c->b = world_add_phone(c->w, "bob", two);
    cr_assert(strncmp(phone_register(c->w, c->a, "600"), "SIP/2.0 200", 11) == 0);
    cr_assert(strncmp(phone_register(c->w, c->b, "600"), "SIP/2.0 200", 11) == 0);
    phone_call(c->w, c->a, "INVITE", "bob", "one");
    world_run(c->w, 100000);
    phone_expect(c->a, "SIP/2.0 100");
    snprintf(c->invite, sizeof(c->invite), "%s", phone_expect(c->b, "INVITE sip:"));
    dialog_callee(&c->db, c->b, c->invite);
    phone_answer(c->w, c->b, c->invite, "200 OK");
    dialog_caller(&c->da, phone_expect(c->a, "SIP/2.0 200"));
    phone_in_dialog(c->w, c->a, &c->da, "ACK");
    world_run(c->w, 1000);
    phone_expect(c->b, "ACK sip:");
}

static void tear_down(struct call *c)
{
    phone_expect_nothing(c->a);
    phone_expect_nothing(c->b);
    world_expect_empty(c->w);
    world_free(c->w);
}

static unsigned count_of(const char *text, const char *what)
{
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at++) {
        count++;
    }
    return count;
}

/* Every `from` in `text` becomes `to`, which is as long. */
static void replace(char *text, const char *from, const char *to)
{
    cr_assert_eq(strlen(from), strlen(to));
    cr_assert_not_null(strstr(text, from), "%s in %s", from, text);
    for (char *at = text; (at = strstr(at, from)) != NULL; at++) {
        memcpy(at, to, strlen(to));
    }
}

static void expect_through(struct call *c, struct phone *from, struct dialog *d, struct phone *to,
                           const char *method)
{
    char got[PHONE_TEXT], first[32];
    snprintf(first, sizeof(first), "%s sip:", method);
    phone_in_dialog(c->w, from, d, method);
    world_run(c->w, 1000);
    snprintf(got, sizeof(got), "%s", phone_expect(to, first));
    cr_assert(strstr(got, "\r\nRoute:") == NULL, "Route left:\n%s", got);
    phone_answer(c->w, to, got, "200 OK");
    world_run(c->w, 1000);
    phone_expect(from, "SIP/2.0 200");
}

static void expect_refused(struct call *c, struct phone *from, struct dialog *d, struct phone *to)
{
    phone_in_dialog(c->w, from, d, "INFO");
    world_run(c->w, 100000);
    phone_expect(from, "SIP/2.0 4");
    phone_expect_nothing(to);
}

Test(hop, one_entry_for_each_node)
{
    struct call c;
    char lines[PHONE_TEXT];
    set_up(&c);
    lines_of(c.invite, "Record-Route", lines);
    cr_expect_eq(count_of(lines, "<sip:"), 2, "%s", lines);
    cr_expect_not_null(strstr(lines, "@10.0.0.1:5060;lr;s=0;node=1010"), "%s", lines);
    cr_expect_not_null(strstr(lines, "@10.0.0.2:5060;lr;s=0;node=1111"), "%s", lines);
    expect_through(&c, c.a, &c.da, c.b, "INFO");
    expect_through(&c, c.b, &c.db, c.a, "BYE");
    tear_down(&c);
}

/* Two nodes behind two NATs may have the same address; what an entry names is what counts. */
Test(hop, addresses_of_two_nodes_may_be_the_same)
{
    struct call c;
    set_up(&c);
    replace(c.da.routes, "10.0.0.2", "10.0.0.1");
    replace(c.db.routes, "10.0.0.1", "10.0.0.2");
    expect_through(&c, c.a, &c.da, c.b, "INFO");
    expect_through(&c, c.b, &c.db, c.a, "INFO");
    tear_down(&c);
}

/* To name the node is no proof: without its seal nothing gets through, at whichever of the two. */
Test(hop, a_name_without_a_seal)
{
    struct call c;
    set_up(&c);
    for (int i = 0; i < 2; i++) {
        struct dialog d = c.da;
        char *token = strstr(d.routes, "<sip:");
        token = i == 0 ? token : strstr(token + 1, "<sip:");
        token[10] = token[10] == '0' ? '1' : '0';
        expect_refused(&c, c.a, &d, c.b);
    }
    tear_down(&c);
}

/* A seal opens the one node that has made it: names that are exchanged open neither. */
Test(hop, the_seal_of_another_node)
{
    struct call c;
    char digits[2][33] = {{0}, {0}};
    set_up(&c);
    memset(digits[0], '1', 32);
    for (int i = 0; i < 32; i++) {
        digits[1][i] = i % 2 == 0 ? '1' : '0';
    }
    struct dialog d = c.da;
    replace(d.routes, digits[1], "ffffffffffffffffffffffffffffffff");
    replace(d.routes, digits[0], digits[1]);
    replace(d.routes, "ffffffffffffffffffffffffffffffff", digits[0]);
    phone_in_dialog(c.w, c.a, &d, "ACK");
    expect_refused(&c, c.a, &d, c.b);
    tear_down(&c);
}

/* Who has seen an entry can ask its phone with it, and whose the dialog is the phone knows; it gets
 * to nobody else. */
Test(hop, an_entry_leads_to_its_phone_alone)
{
    struct call c;
    char bye[PHONE_TEXT];
    set_up(&c);
    struct dialog d = c.db; /* straight to alice's node */
    char *second = strstr(strstr(d.routes, "Route:") + 1, "Route:");
    memmove(d.routes, second, strlen(second) + 1);
    struct phone *m = world_add_phone(c.w, "mallory", 0);
    phone_in_dialog(c.w, m, &d, "BYE");
    world_run(c.w, 1000);
    snprintf(bye, sizeof(bye), "%s", phone_expect(c.a, "BYE sip:"));
    phone_answer(c.w, c.a, bye, "481 No such call");
    world_run(c.w, 1000);
    phone_expect(m, "SIP/2.0 481");
    tear_down(&c);
}

static void read_route(struct world *w, const char *route, struct hop *hop)
{
    struct sip *s = w->instances[0]->sip;
    char text[2048];
    int len = snprintf(text, sizeof(text),
                       "BYE sip:x SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nRoute: %s\r\n"
                       "From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: 1\r\n"
                       "CSeq: 1 BYE\r\n\r\n",
                       route);
    cr_assert_eq(sip_parser_datagram(&s->parser, slice_of(text, (size_t)len)), SIP_PARSE_OK);
    struct sip_rx rx = {.m = &s->parser.msg};
    hop_read(&w->instances[0]->turn, s, &rx, hop);
}

/* What names no node is what it was without that: an address, of ours or of somebody else. */
Test(hop, names_that_are_none)
{
    static const char *const none[] = {"",
                                       ";node",
                                       ";node=1010",
                                       ";node=1010101010101010101010101010101",   /* a digit less */
                                       ";node=101010101010101010101010101010101", /* and more */
                                       ";node=1010101010101010101010101010101g",
                                       ";nodes=11111111111111111111111111111111"};
    struct world *w = world_make();
    world_add_node(w, 1);
    struct hop hop;
    char route[256];
    for (size_t i = 0; i < ARRAY_COUNT(none); i++) {
        snprintf(route, sizeof(route), "<sip:00@10.0.0.1:5060;lr;s=0%s>", none[i]);
        read_route(w, route, &hop);
        cr_expect(hop.ours == 1 && !hop.has_token && !hop.has_next, "%s", route);
        snprintf(route, sizeof(route), "<sip:00@10.0.0.9:5060;lr;s=0%s>", none[i]);
        read_route(w, route, &hop);
        cr_expect(hop.ours == 0 && hop.has_next && !hop.is_peer, "%s", route);
    }
    /* the name without a user is a parameter of somebody else's */
    read_route(w, "<sip:10.1.0.9:5060;lr;node=11111111111111111111111111111111>", &hop);
    cr_expect(hop.has_next && !hop.is_peer);
    read_route(w, "<sip:00@10.1.0.9:5060;lr;node=11111111111111111111111111111111>", &hop);
    cr_expect(hop.has_next && hop.is_peer);
    /* entries of nodes of an earlier version */
    read_route(w, "<sip:11111111111111111111111111111111.example.org;lr;s=0>", &hop);
    cr_expect(hop.has_next && hop.is_peer);
    read_route(w, "<sip:10101010101010101010101010101010.example.org;lr;s=0>", &hop);
    cr_expect(hop.ours == 1 && !hop.has_token && !hop.has_next);
    world_free(w);
}

/* Between a phone and a peer one, in any other case one for each side; sips says so. */
Test(hop, the_entry_for_both_is_read_again)
{
    struct world *w = world_make();
    world_add_node(w, 1);
    struct world_instance *x = w->instances[0];
    struct flow_ref phone = {.kind = SIP_UDP, .remote = {.family = 4, .port = 9, .ip = {10}}};
    char out[HOP_URI_CAP], text[HOP_URI_CAP + 1];
    struct hop hop;
    for (int i = 0; i < 2; i++) {
        struct slice route = hop_record_both(&x->turn, x->sip, &phone, i == 1, out);
        snprintf(text, sizeof(text), "%.*s", (int)route.len, (const char *)route.data);
        cr_expect_eq(strncmp(text, i == 1 ? "<sips:" : "<sip:", i == 1 ? 6 : 5), 0, "%s", text);
        read_route(w, text, &hop);
        cr_expect(hop.ours == 1 && hop.has_token && !hop.has_next, "%s", text);
        cr_expect(address_is_equal(&hop.flow.remote, &phone.remote));
    }
    world_free(w);
}

/* The route set of `d` as a strict router has it: the next hop in the Request-URI, the target
 * last. */
static void make_strict(struct dialog *d)
{
    char target[PHONE_TEXT], routes[PHONE_TEXT];
    size_t first = strcspn(d->routes, "\n") + 1;
    snprintf(target, sizeof(target), "%s", d->target);
    const char *uri = strchr(d->routes, '<') + 1;
    snprintf(d->target, sizeof(d->target), "%.*s", (int)strcspn(uri, ">"), uri);
    snprintf(routes, sizeof(routes), "%s", d->routes + first);
    snprintf(d->routes, sizeof(d->routes), "%.4000sRoute: <%.1000s>\n", routes, target);
}

/* RFC 3261 16.4: a phone that is a strict router sends within a dialog to what we have recorded. */
Test(hop, a_strict_router_before_us)
{
    struct call c;
    char target[2][PHONE_TEXT];
    set_up(&c);
    snprintf(target[0], PHONE_TEXT, "INFO %.4000s SIP/2.0\r\n", c.da.target);
    snprintf(target[1], PHONE_TEXT, "INFO %.4000s SIP/2.0\r\n", c.db.target);
    make_strict(&c.da);
    make_strict(&c.db);
    for (int i = 0; i < 2; i++) {
        struct phone *from = i == 0 ? c.a : c.b, *to = i == 0 ? c.b : c.a;
        char got[PHONE_TEXT];
        phone_in_dialog(c.w, from, i == 0 ? &c.da : &c.db, "INFO");
        world_run(c.w, 1000);
        snprintf(got, sizeof(got), "%s", phone_expect(to, target[i]));
        cr_expect_null(strstr(got, "\r\nRoute:"), "%s", got);
        phone_answer(c.w, to, got, "200 OK");
        world_run(c.w, 1000);
        phone_expect(from, "SIP/2.0 200");
    }
    expect_through(&c, c.a, &c.da, c.b, "BYE");
    tear_down(&c);
}

/* It leads nowhere that the entries themselves do not lead to. */
Test(hop, a_strict_router_needs_a_seal)
{
    struct call c;
    set_up(&c);
    make_strict(&c.da);
    c.da.target[5] = c.da.target[5] == '0' ? '1' : '0'; /* "sip:TOKEN" */
    expect_refused(&c, c.a, &c.da, c.b);
    tear_down(&c);
}

/* 16.6 item 6: a strict router between us and the phone. */
Test(hop, a_strict_router_behind_us)
{
    struct call c;
    char got[PHONE_TEXT], value[PHONE_TEXT], target[PHONE_TEXT];
    set_up(&c);
    size_t len = strlen(c.da.routes);
    snprintf(c.da.routes + len, sizeof(c.da.routes) - len,
             "Route: <sip:10.1.0.77:5070;x=y>, <sip:10.1.0.78;lr>\n");
    snprintf(target, sizeof(target), "Route: <sip:10.1.0.78;lr>\nRoute: <%.4000s>\n", c.da.target);
    phone_in_dialog(c.w, c.a, &c.da, "INFO");
    world_run(c.w, 1000);
    snprintf(got, sizeof(got), "%s", phone_expect(c.b, "INFO sip:10.1.0.77:5070;x=y SIP/2.0\r\n"));
    lines_of(got, "Route", value);
    cr_expect_str_eq(value, target, "%s", got);
    phone_answer(c.w, c.b, got, "200 OK");
    world_run(c.w, 1000);
    phone_expect(c.a, "SIP/2.0 200");
    tear_down(&c);
}

/* RFC 3261 16.5: what a maddr names is the only target; this node forwards to none but peers and
 * phones. */
Test(hop, maddr_of_somebody_else)
{
    static const struct {
        const char *uri;
        bool is_ours;
    } cases[] = {
        {"sip:bob@example.org;maddr=192.0.2.7", false},
        {"sip:bob@example.org;maddr=proxy.example.com", false},
        {"sip:bob@example.org;maddr=10.0.0.2", false}, /* the node that bob is at */
        {"sip:bob@example.org;maddr", false},
        {"sip:bob@example.org;maddr=10.0.0.1", true},
        {"sip:bob@example.org;maddr=Example.ORG", true},
    };
    struct call c;
    set_up(&c);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        phone_ask(c.w, c.a, "MESSAGE", cases[i].uri, "", NULL);
        if (cases[i].is_ours) {
            char got[PHONE_TEXT];
            snprintf(got, sizeof(got), "%s", phone_expect(c.b, "MESSAGE sip:bob@"));
            phone_answer(c.w, c.b, got, "200 OK");
            world_run(c.w, 1000);
        }
        phone_expect(c.a, cases[i].is_ours ? "SIP/2.0 200" : "SIP/2.0 404");
    }
    expect_through(&c, c.a, &c.da, c.b, "BYE");
    tear_down(&c);
}
