/* SPDX-License-Identifier: Apache-2.0 */
/* test_offline.c - MESSAGE for a phone that is not there: kept, 202, delivered (usages B.9, B13).
 */
#include "sip/offline.h"
#include "sip/registrar.h"
#include "tests/unit/sip/phone_world.h"
#include <criterion/criterion.h>

static void keep_for(struct world *w, uint32_t seconds)
{
    for (int i = 0; i < w->count; i++) {
        w->instances[i]->sip->settings.offline_s = seconds;
    }
}

static void register_ok(struct world *w, struct phone *p, const char *expires)
{
    const char *text = phone_register(w, p, expires);
    cr_assert(strncmp(text, "SIP/2.0 200", 11) == 0, "%s:\n%s", p->name, text);
}

static void done(struct world *w)
{
    for (int i = 0; i < 4; i++) {
        world_run(w, 20000000);
        for (int k = 0; k < w->phone_count; k++) {
            w->phones[k].first = w->phones[k].count = 0;
        }
    }
    for (int i = 0; i < w->count; i++) {
        cr_assert_eq(w->instances[i]->sip->offline.in_use, 0);
        for (int k = 0; k < OFFLINE_SOURCES; k++) {
            cr_assert_eq(w->instances[i]->sip->senders[k], 0);
        }
    }
    world_expect_empty(w);
    world_free(w);
}

/* Bob goes (`how`: he says so, or his registration ends); Alice, at another node, writes to him. */
static void away_and_back(bool is_said)
{
    char got[PHONE_TEXT], value[PHONE_TEXT];
    struct world *w = world_make();
    int one = world_add_node(w, 1), two = world_add_node(w, 2);
    struct phone *a = world_add_phone(w, "alice", one), *b = world_add_phone(w, "bob", two);
    keep_for(w, 86400);
    register_ok(w, a, "3600");
    register_ok(w, b, "60");
    if (is_said) {
        register_ok(w, b, "0");
    }
    world_run(w, 61000000);
    phone_ask(w, a, "MESSAGE", "sip:bob@example.org", "Content-Type: text/plain\n", "first");
    phone_expect(a, "SIP/2.0 202");
    phone_ask(w, a, "MESSAGE", "sip:bob@example.org", "Content-Type: text/plain\n", "second");
    phone_expect(a, "SIP/2.0 202");
    phone_ask(w, a, "INVITE", "sip:bob@example.org", "", NULL); /* a call is not kept */
    phone_expect(a, "SIP/2.0 100");
    phone_expect(a, "SIP/2.0 480");
    cr_assert_eq(world_metric(w, METRIC_sip_offline), 2);
    register_ok(w, b, "60");
    world_run(w, 190000);
    snprintf(got, sizeof(got), "%s", phone_expect(b, "MESSAGE sip:bob@10."));
    cr_assert(strstr(got, "\r\n\r\nfirst") != NULL, "%s", got);
    cr_assert(strstr(got, "From: <sip:alice@example.org>") != NULL, "%s", got);
    cr_assert_str_eq(value_of(got, "Date", value), "Thu, 01 Jan 1970 00:00:00 GMT");
    phone_answer(w, b, got, "200 OK");
    world_run(w, 200000);
    snprintf(got, sizeof(got), "%s", phone_expect(b, "MESSAGE sip:bob@10."));
    cr_assert(strstr(got, "\r\n\r\nsecond") != NULL, "%s", got);
    phone_answer(w, b, got, "500 Server Internal Error"); /* not now: again, later */
    cr_assert_eq(world_metric(w, METRIC_sip_offline_delivered), 1);
    cr_assert_eq(world_metric(w, METRIC_sip_offline), 1);
    register_ok(w, b, "600");
    world_run(w, 300000);
    snprintf(got, sizeof(got), "%s", phone_expect(b, "MESSAGE sip:bob@10."));
    phone_answer(w, b, got, "405 Method Not Allowed"); /* never */
    cr_assert_eq(world_metric(w, METRIC_sip_offline), 0);
    phone_expect_nothing(b);
    a->first = a->count = 0;
    done(w);
}

Test(offline, said_goodbye)
{
    away_and_back(true);
}

Test(offline, registration_ended)
{
    away_and_back(false);
}

/* What a phone says to a kept message, and whether it is asked again (RFC 3261 21.4, 21.6). */
Test(offline, refused_or_not_now)
{
    static const struct {
        const char *answer;
        bool is_kept;
    } cases[] = {
        {"403 Forbidden", false}, {"404 Not Found", false},      {"488 Not Acceptable", false},
        {"603 Decline", false},   {"606 Not Acceptable", false}, {"480 Not now", true},
        {"486 Busy Here", true},  {"503 Not now", true},         {"600 Busy Everywhere", true},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct world *w = world_make();
        world_add_node(w, 1);
        struct phone *a = world_add_phone(w, "alice", 0), *b = world_add_phone(w, "bob", 0);
        keep_for(w, 3600);
        register_ok(w, a, "7200");
        register_ok(w, b, "60");
        register_ok(w, b, "0");
        phone_ask(w, a, "MESSAGE", "sip:bob@example.org", "", "x");
        phone_expect(a, "SIP/2.0 202");
        register_ok(w, b, "7200");
        world_run(w, 300000);
        phone_answer(w, b, phone_expect(b, "MESSAGE"), cases[i].answer);
        world_run(w, 1000000);
        cr_assert_eq(world_metric(w, METRIC_sip_offline), cases[i].is_kept, "%s", cases[i].answer);
        cr_assert_eq(world_metric(w, METRIC_sip_offline_delivered), 0);
        if (cases[i].is_kept) {
            world_run(w, 301000000);
            phone_answer(w, b, phone_expect(b, "MESSAGE"), "200 OK");
        }
        done(w);
    }
}

/* The next look, and what comes of it before the phone is asked again (timer E). */
static void look(struct world *w, struct phone *p)
{
    for (int i = 0; i < 400 && p->count == 0; i++) {
        world_run(w, 400000);
    }
}

/* Bob's phone comes back at another node than the one that keeps his messages. */
Test(offline, handed_over)
{
    char got[PHONE_TEXT];
    struct world *w = world_make();
    for (int i = 0; i < 3; i++) {
        world_add_node(w, 1);
    }
    struct phone *a = world_add_phone(w, "alice", 0), *b = world_add_phone(w, "bob", 1);
    keep_for(w, 86400);
    register_ok(w, a, "7200");
    register_ok(w, b, "60");
    register_ok(w, b, "0");
    world_run(w, 3000000);
    for (int i = 0; i < 3; i++) {
        phone_ask(w, a, "MESSAGE", "sip:bob@example.org", "", i == 0 ? "1" : i == 1 ? "2" : "3");
        phone_expect(a, "SIP/2.0 202");
    }
    uint32_t fetches = w->dht.fetches;
    world_run(w, 600000000); /* nobody: one question in two minutes, for all of them */
    cr_assert_leq(w->dht.fetches - fetches, 2 * 6);
    cr_assert_geq(w->dht.fetches - fetches, 4);
    cr_assert_eq(world_metric(w, METRIC_sip_offline), 3);
    struct phone *c = world_add_phone(w, "bob", 2);
    c->cseq = 300;
    register_ok(w, c, "3600");
    look(w, c);
    snprintf(got, sizeof(got), "%s", phone_expect(c, "MESSAGE sip:bob@10.1.0.3"));
    cr_assert(strstr(got, "From: <sip:alice@example.org>") != NULL, "%s", got);
    cr_assert_eq(got[strlen(got) - 1], '1');
    phone_expect_nothing(c); /* one after the other */
    phone_answer(w, c, got, "200 OK");
    world_run(w, 300000);
    snprintf(got, sizeof(got), "%s", phone_expect(c, "MESSAGE"));
    cr_assert_eq(got[strlen(got) - 1], '2');
    phone_answer(w, c, got, "480 Not now");
    world_run(w, 1000000);
    phone_expect_nothing(c);
    cr_assert_eq(world_metric(w, METRIC_sip_offline), 2);
    look(w, c);
    for (int i = 2; i <= 3; i++) {
        phone_answer(w, c, phone_expect(c, "MESSAGE"), i == 2 ? "200 OK" : "415 Unsupported");
        world_run(w, 300000);
    }
    cr_assert_eq(world_metric(w, METRIC_sip_offline), 0);
    phone_expect_nothing(c);
    phone_expect_nothing(b);
    done(w);
}

/* sip_offline_look_s = 0: as often as can be, but the shard goes on (found by attack). */
Test(offline, looks_without_a_pause, .timeout = 60)
{
    struct world *w = world_make();
    world_add_node(w, 1);
    world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", 0), *b = world_add_phone(w, "bob", 1);
    keep_for(w, 10);
    w->instances[1]->limits.sip_offline_look_s = 0;
    register_ok(w, a, "7200");
    register_ok(w, b, "60");
    register_ok(w, b, "0");
    world_run(w, 3000000);
    phone_ask(w, a, "MESSAGE", "sip:bob@example.org", "", "x");
    phone_expect(a, "SIP/2.0 202");
    uint32_t fetches = w->dht.fetches;
    world_run(w, 12000000);
    cr_assert_eq(world_metric(w, METRIC_sip_offline_expired), 1);
    cr_assert_gt(w->dht.fetches, fetches);
    cr_assert_leq(w->dht.fetches - fetches, 2 * 12);
    done(w);
}

/* Bob's second node has lost him (it was started anew), and keeps what is handed over: for no
 * longer than the first would have. */
Test(offline, moves_with_what_is_left_of_its_time)
{
    enum { LIFE_S = 1000, THERE_S = 500 };
    struct world *w = world_make();
    for (int i = 0; i < 3; i++) {
        world_add_node(w, 1);
    }
    struct phone *a = world_add_phone(w, "alice", 0), *b = world_add_phone(w, "bob", 1);
    struct phone *c = world_add_phone(w, "bob", 2);
    keep_for(w, LIFE_S);
    register_ok(w, a, "7200");
    register_ok(w, b, "60");
    register_ok(w, b, "0");
    world_run(w, 3000000);
    phone_ask(w, a, "MESSAGE", "sip:bob@example.org", "", "x");
    phone_expect(a, "SIP/2.0 202");
    uint64_t since = w->now_us;
    world_run(w, (uint64_t)THERE_S * 1000000);
    c->cseq = 300;
    register_ok(w, c, "3600");
    struct sip *s = w->instances[2]->sip;
    struct registrar_binding *x = NULL;
    uint32_t index = 0;
    while ((x = pool_next(&s->bindings, &index)) != NULL) {
        x->expires_us = w->now_us;
    }
    world_run(w, (uint64_t)150 * 1000000);
    phone_expect_nothing(c);
    cr_assert_eq(w->instances[1]->sip->offline.in_use, 0);
    index = 0;
    const struct offline *kept = pool_next(&s->offline, &index);
    cr_assert(kept != NULL);
    cr_expect_leq(kept->until_us, since + (uint64_t)(LIFE_S + 1) * 1000000);
    cr_expect_geq(kept->until_us, since + (uint64_t)(LIFE_S - 2) * 1000000);
    world_run(w, (uint64_t)(LIFE_S - THERE_S) * 1000000);
    cr_assert_eq(world_metric(w, METRIC_sip_offline_expired), 1);
    done(w);
}

/* What a kept message asks for leaves out whom Bob is forwarded to as well; who calls him a moment
 * later gets both (found by attack). */
Test(offline, a_look_is_not_for_others)
{
    struct world *w = world_make();
    struct overlay_resource resource;
    uint8_t value[128], key[16];
    for (int i = 0; i < 3; i++) {
        world_add_node(w, 1);
    }
    struct phone *a = world_add_phone(w, "alice", 1), *b = world_add_phone(w, "bob", 1);
    struct phone *c = world_add_phone(w, "bob", 2), *d = world_add_phone(w, "carol", 0);
    keep_for(w, 86400);
    register_ok(w, a, "7200");
    register_ok(w, d, "7200");
    register_ok(w, b, "60");
    register_ok(w, b, "0");
    world_run(w, 3000000);
    phone_ask(w, a, "MESSAGE", "sip:bob@example.org", "", "1");
    phone_expect(a, "SIP/2.0 202");
    c->cseq = 300;
    register_ok(w, c, "3600");
    struct wr v = wr_init(value, sizeof(value));
    struct rl_params params = {.node_id_length = 16};
    struct msgs_sip_registration forward = {.type = MSGS_SIP_URI,
                                            .uri = SLICE_LITERAL("carol@example.org")};
    msgs_sip_registration_wr(&v, &params, &forward);
    memset(key, 0x31, sizeof(key));
    overlay_resource_of(&w->instances[0]->turn, SLICE_LITERAL("bob@example.org"), &resource);
    fake_put(&w->dht, &resource, OVERLAY_KIND_SIP_REGISTRATION, slice_of(key, sizeof(key)),
             wr_slice(&v), true, w->now_us + 600000000);
    look(w, c);
    phone_answer(w, c, phone_expect(c, "MESSAGE sip:bob@10.1.0.3"), "200 OK");
    phone_ask(w, a, "MESSAGE", "sip:bob@example.org", "", "2");
    phone_answer(w, c, phone_expect(c, "MESSAGE sip:bob@10.1.0.3"), "200 OK");
    phone_answer(w, d, phone_expect(d, "MESSAGE sip:carol@10.1.0.4"), "200 OK");
    phone_expect(a, "SIP/2.0 200");
    done(w);
}

/* The phone is at one node, at another one messages are kept: they are, if it is not there. */
Test(offline, either_a_phone_or_a_mailbox)
{
    static const struct {
        int sender; /* her node: a third one, or the mailbox itself */
        const char *phone, *answer;
        unsigned kept;
    } all[] = {{0, "200 OK", "SIP/2.0 200", 0},          {1, "200 OK", "SIP/2.0 200", 0},
               {0, "480 Gone", "SIP/2.0 202", 1},        {1, "480 Gone", "SIP/2.0 202", 1},
               {0, "415 Unsupported", "SIP/2.0 415", 0}, {1, "415 Unsupported", "SIP/2.0 415", 0}};
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        struct world *w = world_make();
        for (int k = 0; k < 3; k++) {
            world_add_node(w, 1);
        }
        struct phone *a = world_add_phone(w, "alice", all[i].sender);
        struct phone *b = world_add_phone(w, "bob", 1), *c = world_add_phone(w, "bob", 2);
        keep_for(w, 600);
        register_ok(w, a, "7200");
        register_ok(w, b, "60");
        register_ok(w, b, "0");
        c->cseq = 300;
        register_ok(w, c, "3600");
        world_run(w, 3000000);
        phone_ask(w, a, "MESSAGE", "sip:bob@example.org", "", "x");
        phone_answer(w, c, phone_expect(c, "MESSAGE"), all[i].phone);
        world_run(w, 100000);
        phone_expect(a, all[i].answer);
        phone_expect_nothing(a);
        phone_expect_nothing(c);
        cr_expect_eq(world_metric(w, METRIC_sip_offline), all[i].kept, "%zu", i);
        if (all[i].kept > 0) {
            look(w, c);
            phone_answer(w, c, phone_expect(c, "MESSAGE"), "200 OK");
        }
        world_run(w, 250000000);
        phone_expect_nothing(c);
        done(w);
    }
}

/* RFC 3261 26.2.2: what came for a sips URI is not handed over in clear, however long it was kept
 * (found by attack). */
Test(offline, sips_stays_sips)
{
    char got[PHONE_TEXT];
    struct world *w = world_make();
    world_add_node(w, 1);
    struct phone *a = world_add_tcp_phone(w, "alice", 0), *b = world_add_phone(w, "bob", 0);
    keep_for(w, 600);
    register_ok(w, a, "7200");
    register_ok(w, b, "60");
    register_ok(w, b, "0");
    struct sip *s = w->instances[0]->sip;
    struct flow *f = pool_get(&s->flows, a->flow);
    f->ref.kind = SIP_TLS; /* as far as what it is allowed goes */
    phone_ask(w, a, "MESSAGE", "sips:bob@example.org", "", "secret");
    phone_expect(a, "SIP/2.0 202");
    f->ref.kind = SIP_TCP;
    phone_ask(w, a, "MESSAGE", "sip:bob@example.org", "", "open");
    phone_expect(a, "SIP/2.0 202");
    register_ok(w, b, "600");
    world_run(w, 500000);
    snprintf(got, sizeof(got), "%s", phone_expect(b, "MESSAGE sip:"));
    cr_expect(strstr(got, "\r\n\r\nopen") != NULL, "%s", got);
    phone_answer(w, b, got, "200 OK");
    phone_expect_nothing(b);
    cr_assert_eq(world_metric(w, METRIC_sip_offline), 1);
    world_run(w, 700000000); /* until it is given up */
    phone_expect_nothing(b);
    done(w);
}

/* Off by default, and then as honest as before: 480. */
Test(offline, not_wanted)
{
    struct world *w = world_make();
    world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", 0), *b = world_add_phone(w, "bob", 0);
    register_ok(w, a, "600");
    register_ok(w, b, "60");
    register_ok(w, b, "0");
    world_run(w, 3000000);
    phone_ask(w, a, "MESSAGE", "sip:bob@example.org", "", "x");
    const char *no = phone_get(a);
    cr_assert(strncmp(no, "SIP/2.0 404", 11) == 0 || strncmp(no, "SIP/2.0 480", 11) == 0, "%s", no);
    done(w);
}

/* Shares, the table, the size, and how long. */
Test(offline, caps)
{
    char big[3600];
    struct world *w = world_make();
    world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", 0), *c = world_add_phone(w, "carol", 0);
    struct phone *b = world_add_phone(w, "bob", 0);
    struct limits *l = &w->instances[0]->limits;
    keep_for(w, 3600);
    register_ok(w, a, "3600");
    register_ok(w, c, "3600");
    register_ok(w, b, "60");
    register_ok(w, b, "0");
    l->sip_offline_per_source = 2;
    for (int i = 0; i < 3; i++) {
        phone_ask(w, a, "MESSAGE", "sip:bob@example.org", "Expires: 120\n", "x");
        phone_expect(a, i < 2 ? "SIP/2.0 202" : "SIP/2.0 480");
    }
    l->sip_offline_per_account = 3;
    for (int i = 0; i < 2; i++) {
        phone_ask(w, c, "MESSAGE", "sip:bob@example.org", "", "x");
        phone_expect(c, i < 1 ? "SIP/2.0 202" : "SIP/2.0 480");
    }
    cr_assert_geq(world_metric(w, METRIC_sip_offline_refused), 2);
    world_run(w, 121000000); /* the two of 120 s are over */
    cr_assert_eq(world_metric(w, METRIC_sip_offline_expired), 2);
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = 0;
    phone_ask(w, a, "MESSAGE", "sip:bob@example.org", "", big);
    phone_expect(a, "SIP/2.0 480");
    phone_ask(w, a, "MESSAGE", "sip:bob@example.org", "Expires: 0\n", "now or never");
    phone_expect(a, "SIP/2.0 480");
    pool_fail_after(&w->instances[0]->sip->offline, 0);
    phone_ask(w, a, "MESSAGE", "sip:bob@example.org", "", "x");
    phone_expect(a, "SIP/2.0 480");
    world_run(w, UINT64_C(3600) * 1000000);
    cr_assert_eq(world_metric(w, METRIC_sip_offline_expired), 3);
    done(w);
}

Test(offline, date_is_right)
{
    static const struct {
        uint64_t wall_ms;
        const char *date;
    } cases[] = {
        {UINT64_C(0), "Thu, 01 Jan 1970 00:00:00 GMT"},
        {UINT64_C(951782400000), "Tue, 29 Feb 2000 00:00:00 GMT"},
        {UINT64_C(1735689599000), "Tue, 31 Dec 2024 23:59:59 GMT"},
        {UINT64_C(1795989276000), "Sun, 29 Nov 2026 21:54:36 GMT"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char value[PHONE_TEXT];
        struct world *w = world_make();
        world_add_node(w, 1);
        struct phone *b = world_add_phone(w, "bob", 0);
        keep_for(w, 60);
        register_ok(w, b, "600");
        register_ok(w, b, "0");
        register_ok(w, b, "60");
        w->instances[0]->turn.wall_ms = cases[i].wall_ms;
        struct registrar_binding *x = NULL;
        uint32_t index = 0;
        struct sip *s = w->instances[0]->sip;
        struct phone *a = world_add_phone(w, "alice", 0);
        register_ok(w, a, "600");
        while ((x = pool_next(&s->bindings, &index)) != NULL) { /* gone, unnoticed as yet */
            x->expires_us = x->account == 1 ? w->now_us : x->expires_us;
        }
        phone_ask(w, a, "MESSAGE", "sip:bob@example.org", "", "x");
        phone_expect(a, "SIP/2.0 202");
        index = 0;
        const struct offline *kept = pool_next(&s->offline, &index);
        char text[OFFLINE_CAP + 1];
        memcpy(text, kept->message, kept->len);
        text[kept->len] = 0;
        cr_expect_str_eq(value_of(text, "Date", value), cases[i].date);
        world_run(w, 61000000);
        done(w);
    }
}
