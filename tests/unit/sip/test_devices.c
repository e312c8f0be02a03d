/* SPDX-License-Identifier: Apache-2.0 */
/* test_devices.c - what contacts say of themselves: Path, flows, GRUUs, capabilities. */
#include "sip/binding.h"
#include "sip/gruu.h"
#include "sip/prefs.h"
#include "tests/unit/sip/phone_world.h"
#include <criterion/criterion.h>

static const char *contact(const struct phone *p, const char *params, const char *lines, char *out)
{
    char address[ADDRESS_TEXT_CAP];
    snprintf(out, PHONE_TEXT, "Contact: <sip:%s@%s>%s\nExpires: 600\n%s", p->name,
             address_text(&p->address, address), params, lines);
    return out;
}

static void register_as(struct world *w, struct phone *p, const char *params, const char *lines,
                        char *answer)
{
    char more[PHONE_TEXT];
    snprintf(answer, PHONE_TEXT, "%s", phone_register_as(w, p, contact(p, params, lines, more)));
    cr_assert(strncmp(answer, "SIP/2.0 200", 11) == 0, "%s:\n%s", p->name, answer);
}

static void done(struct world *w)
{
    for (int i = 0; i < 4; i++) {
        world_run(w, 20000000);
        for (int k = 0; k < w->phone_count; k++) {
            w->phones[k].first = w->phones[k].count = 0;
        }
    }
    world_expect_empty(w);
    world_free(w);
}

/* RFC 3327 5.3: Path is answered, and becomes Route. */
Test(devices, path_becomes_route)
{
    char ok[PHONE_TEXT], value[PHONE_TEXT];
    struct world *w = world_make();
    world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", 0), *b = world_add_phone(w, "bob", 0);
    register_as(w, a, "", "", ok);
    register_as(w, b, "",
                "Supported: path\nPath: <sip:p2.example.net;lr>,<sip:p1.example.net;lr>\n", ok);
    cr_assert(strstr(value_of(ok, "Path", value), "p2.example.net") != NULL, "%s", ok);
    phone_ask(w, a, "MESSAGE", "sip:bob@example.org", "", NULL);
    const char *got = phone_expect(b, "MESSAGE sip:bob@");
    cr_assert_str_eq(value_of(got, "Route", value),
                     "<sip:p2.example.net;lr>, <sip:p1.example.net;lr>", "%s", got);
    char lines[PHONE_TEXT], path[400];
    memset(path, 'a', sizeof(path));
    snprintf(lines, sizeof(lines), "Path: <sip:%.300s;lr>\n", path);
    const char *text = phone_register_as(w, b, contact(b, "", lines, ok));
    cr_assert(strncmp(text, "SIP/2.0 513", 11) == 0, "%s", text);
    done(w);
}

/* A plain phone pays for no features: six cache lines (operations.md: 2.5 KiB a registration, of
 * which its account and certificate take 1.4). */
Test(devices, contact_is_small)
{
    cr_assert_leq(sizeof(struct registrar_binding), 384);
    cr_assert_leq(sizeof(struct binding_long), 784);
}

/* What does not fit into the contact stands beside it, as long as there is room for such. */
Test(devices, much_to_say)
{
    char ok[PHONE_TEXT], more[PHONE_TEXT], much[PHONE_TEXT], value[PHONE_TEXT];
    struct world *w = world_make();
    int node = world_add_node(w, 1);
    const struct pool *longs = &w->instances[node]->sip->longs;
    struct phone *a = world_add_phone(w, "alice", node), *b = world_add_phone(w, "bob", node);
    snprintf(much, sizeof(much), ";audio;+sip.note=\"%0200d\"", 7);
    register_as(w, b, much, "Supported: path\nPath: <sip:p1.example.net;lr>\n", ok);
    cr_assert(strstr(ok, much) != NULL, "%s", ok);
    cr_assert_eq(longs->in_use, 1);
    register_as(w, b, much, "Supported: path\nPath: <sip:p2.example.net;lr>\n", ok);
    cr_assert_eq(longs->in_use, 1); /* the same one */
    register_as(w, a, "", "", ok);
    cr_assert_eq(longs->in_use, 1);
    phone_ask(w, a, "MESSAGE", "sip:bob@example.org", "", NULL);
    cr_assert_str_eq(value_of(phone_expect(b, "MESSAGE sip:bob@"), "Route", value),
                     "<sip:p2.example.net;lr>");
    register_as(w, b, ";audio", "", ok);
    cr_assert_eq(longs->in_use, 0);
    cr_assert(strstr(ok, ";audio") != NULL && strstr(ok, "note") == NULL, "%s", ok);
    /* None is left: what there was stays, somebody new is refused. */
    pool_fail_after(&w->instances[node]->sip->longs, 0);
    const char *text = phone_register_as(w, b, contact(b, much, "", more));
    cr_assert(strncmp(text, "SIP/2.0 503", 11) == 0, "%s", text);
    register_as(w, b, "", "", ok);
    struct phone *c = world_add_phone(w, "carol", node);
    text = phone_register_as(w, c, contact(c, much, "", more));
    cr_assert(strncmp(text, "SIP/2.0 503", 11) == 0, "%s", text);
    cr_assert_eq(world_metric(w, METRIC_sip_bindings_long_refused), 2);
    register_as(w, c, "", "", ok);
    pool_fail_after(&w->instances[node]->sip->longs, UINT32_MAX);
    register_as(w, c, much, "", ok);
    cr_assert_eq(longs->in_use, 1);
    world_run(w, UINT64_C(601000000)); /* it expires, and the block with it */
    cr_assert_eq(longs->in_use, 0);
    done(w);
}

/* RFC 3608 6.3, where the operator wants it. */
Test(devices, service_route)
{
    char ok[PHONE_TEXT], value[PHONE_TEXT];
    struct world *w = world_make();
    world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", 0), *b = world_add_phone(w, "bob", 0);
    register_as(w, a, "", "", ok);
    cr_assert_str_empty(value_of(ok, "Service-Route", value));
    w->instances[0]->sip->settings.service_route = true;
    register_as(w, a, "", "", ok);
    cr_assert_str_eq(value_of(ok, "Service-Route", value), "<sip:10.0.0.1:5060;lr>");
    register_as(w, b, "", "", ok);
    phone_ask(w, a, "MESSAGE", "sip:bob@example.org", "Route: <sip:10.0.0.1:5060;lr>\n", NULL);
    cr_assert_str_empty(value_of(phone_expect(b, "MESSAGE sip:bob@"), "Route", value));
    done(w);
}

/* RFC 3261 8.2.2.3: what a phone requires and we have not. */
Test(devices, require_is_heeded)
{
    char more[PHONE_TEXT], value[PHONE_TEXT];
    struct world *w = world_make();
    world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", 0);
    const char *no = phone_register_as(
        w, a, contact(a, "", "Require: gruu, teleport\nRequire: Path,fly\n", more));
    cr_assert(strncmp(no, "SIP/2.0 420", 11) == 0, "%s", no);
    cr_assert_str_eq(value_of(no, "Unsupported", value), "teleport, fly");
    cr_assert_eq(w->instances[0]->sip->bindings.in_use, 0);
    done(w);
}

/* RFC 3261 16.3, 8.2.2.3: Unsupported lists what is not understood, all of it and nothing else. */
Test(devices, unsupported_is_listed)
{
    static const struct {
        const char *line, *more, *unsupported;
    } cases[] = {
        {"MESSAGE sip:bob@example.org", "Proxy-Require: pref, magic\nProxy-Require: x,PREF\n",
         "magic, x"},
        {"OPTIONS sip:example.org", "Require: path, magic\nRequire: x\n", "path, magic, x"},
    };
    struct world *w = world_make();
    world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", 0);
    for (int i = 0; i < (int)ARRAY_COUNT(cases); i++) {
        char via[256], branch[32], value[PHONE_TEXT];
        snprintf(branch, sizeof(branch), "u%d", i);
        phone_send(w, a,
                   "%s SIP/2.0\nVia: %s\nFrom: <sip:alice@example.org>;tag=1\n"
                   "To: <sip:bob@example.org>\nCall-ID: u\nCSeq: %d %.7s\n%s",
                   cases[i].line, phone_via(a, branch, via), i, cases[i].line, cases[i].more);
        const char *no = phone_expect(a, "SIP/2.0 420");
        cr_expect_str_eq(value_of(no, "Unsupported", value), cases[i].unsupported);
    }
    done(w);
}

/* RFC 5626 6: flows of one device are told apart by all of reg-id; a stream's is confirmed; a proxy
 * in between has to know. */
Test(devices, outbound_flows)
{
    char ok[PHONE_TEXT], more[PHONE_TEXT], value[PHONE_TEXT];
    struct world *w = world_make();
    world_add_node(w, 1);
    struct phone *a = world_add_tcp_phone(w, "alice", 0);
    const char *one = ";+sip.instance=\"<urn:uuid:1>\";reg-id=1";
    register_as(w, a, one, "Supported: outbound\n", ok);
    cr_assert_str_eq(value_of(ok, "Require", value), "outbound", "%s", ok);
    cr_assert(strstr(ok, "reg-id=1") != NULL, "%s", ok);
    register_as(w, a, ";+sip.instance=\"<urn:uuid:1>\";reg-id=10", "Supported: outbound\n", ok);
    cr_assert_eq(w->instances[0]->sip->bindings.in_use, 2, "reg-id 10 took the place of 1");
    register_as(w, a, one, "Supported: outbound\n", ok);
    cr_assert_eq(w->instances[0]->sip->bindings.in_use, 2);
    const char *far = "Via: SIP/2.0/TCP 10.9.9.9;branch=z9hG4bKfar\nSupported: outbound\n";
    const char *no = phone_register_as(w, a, contact(a, one, far, more));
    cr_assert(strncmp(no, "SIP/2.0 439", 11) == 0, "%s", no);
    far = "Via: SIP/2.0/TCP 10.9.9.9;branch=z9hG4bKfar\nSupported: outbound, path\n"
          "Path: <sip:token@10.1.0.1;lr;ob>\n";
    register_as(w, a, one, far, ok);
    done(w);
}

/* 5626 5.3.1: one device, two flows: one request; over the other where the newer one is gone. */
Test(devices, one_flow_of_a_device)
{
    char ok[PHONE_TEXT];
    struct world *w = world_make();
    world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", 0), *b = world_add_tcp_phone(w, "bob", 0);
    struct phone *c = world_add_tcp_phone(w, "bob", 0);
    register_as(w, a, "", "", ok);
    register_as(w, b, ";+sip.instance=\"<urn:uuid:1>\";reg-id=1", "Supported: outbound\n", ok);
    c->cseq = 50;
    register_as(w, c, ";+sip.instance=\"<urn:uuid:1>\";reg-id=2", "Supported: outbound\n", ok);
    for (int i = 0; i < 2; i++) {
        struct phone *it = i == 0 ? c : b, *other = i == 0 ? b : c;
        phone_ask(w, a, "MESSAGE", "sip:bob@example.org", i == 0 ? "Proxy-Require: pref\n" : "",
                  NULL);
        phone_answer(w, it, phone_expect(it, "MESSAGE sip:"), "200 OK");
        phone_expect(a, "SIP/2.0 200");
        phone_expect_nothing(other);
        world_close_conn(w, (int)handle_index(c->conn), true);
    }
    phone_ask(w, a, "MESSAGE", "sip:bob@example.org", "", NULL);
    phone_answer(w, b, phone_expect(b, "MESSAGE sip:"), "200 OK");
    phone_expect(a, "SIP/2.0 200");
    done(w);
}

static void quoted(const char *text, const char *name, char *out)
{
    const char *at = strstr(text, name);
    cr_assert_not_null(at, "no %s in\n%s", name, text);
    at += strlen(name) + 2;
    snprintf(out, PHONE_TEXT, "%.*s", (int)strcspn(at, "\""), at);
}

/* RFC 5627, RFC 7904 6: from another node, without a Fetch, to one device of two; the public one
 * outlives the registration, the temporary one its Call-ID only. */
Test(devices, gruu_reaches_one_device)
{
    char ok[PHONE_TEXT], pub[PHONE_TEXT], temp[PHONE_TEXT], other[PHONE_TEXT];
    struct world *w = world_make();
    int one = world_add_node(w, 1), two = world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", one);
    struct phone *b = world_add_phone(w, "bob", two), *c = world_add_phone(w, "bob", two);
    register_as(w, a, "", "", ok);
    c->cseq = 50;
    register_as(w, c, ";+sip.instance=\"<urn:uuid:2>\"", "Supported: gruu\n", ok);
    c->cseq = 60;
    b->cseq = 100;
    register_as(w, b, ";+sip.instance=\"<urn:uuid:1>\"", "", ok);
    cr_assert(strstr(ok, "gruu") == NULL, "not asked for:\n%s", ok);
    register_as(w, b, ";+sip.instance=\"<urn:uuid:1>\"", "Supported: gruu\n", ok);
    const char *own = strstr(ok, "uuid:1>");
    cr_assert_not_null(own);
    quoted(own, "pub-gruu", pub);
    quoted(own, "temp-gruu", temp);
    cr_assert(strncmp(pub, "sip:bob@example.org;gr=", 23) == 0, "%s", pub);
    cr_assert(strstr(temp, "bob") == NULL, "%s", temp);
    uint32_t fetches = w->dht.fetches;
    const char *const uris[] = {pub, temp};
    for (int i = 0; i < 2; i++) {
        phone_ask(w, a, "MESSAGE", uris[i], "", NULL);
        const char *got = phone_expect(b, "MESSAGE sip:bob@10.");
        phone_answer(w, b, got, "200 OK");
        phone_expect(a, "SIP/2.0 200");
        phone_expect_nothing(c);
    }
    /* the right of node 1 to speak for alice is looked up, the place of bob never */
    cr_assert_leq(w->dht.fetches - fetches, 1);
    register_as(w, b, ";+sip.instance=\"<urn:uuid:1>\"", "Supported: gruu\n", ok);
    quoted(strstr(ok, "uuid:1>"), "pub-gruu", other);
    cr_assert_str_eq(pub, other);
    quoted(strstr(ok, "uuid:1>"), "temp-gruu", other);
    cr_assert_str_neq(temp, other);
    phone_ask(w, a, "MESSAGE", temp, "", NULL); /* same Call-ID: still good (3.2) */
    phone_answer(w, b, phone_expect(b, "MESSAGE sip:bob@10."), "200 OK");
    phone_expect(a, "SIP/2.0 200");
    b->call = 1; /* another Call-ID: the old one ends (5.1) */
    register_as(w, b, ";+sip.instance=\"<urn:uuid:1>\"", "Supported: gruu\n", ok);
    phone_ask(w, a, "MESSAGE", temp, "", NULL);
    phone_expect(a, "SIP/2.0 404");
    quoted(strstr(ok, "uuid:1>"), "temp-gruu", temp);
    phone_ask(w, a, "MESSAGE", temp, "", NULL);
    phone_answer(w, b, phone_expect(b, "MESSAGE sip:bob@10."), "200 OK");
    phone_expect(a, "SIP/2.0 200");
    phone_ask(w, a, "MESSAGE", pub, "", NULL);
    phone_answer(w, b, phone_expect(b, "MESSAGE sip:bob@10."), "200 OK");
    phone_expect(a, "SIP/2.0 200");
    done(w);
}

/* 5.3: it ends with the last contact of its device, and does not come back with the next, whatever
 * the Call-ID; until then it outlives the flow that it was learnt over. */
Test(devices, temporary_gruu_ends_with_the_last_contact)
{
    static const char *const flows[] = {";+sip.instance=\"<urn:uuid:1>\";reg-id=1",
                                        ";+sip.instance=\"<urn:uuid:1>\";reg-id=2"};
    char ok[PHONE_TEXT], temp[PHONE_TEXT];
    struct world *w = world_make();
    world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", 0);
    struct phone *b = world_add_phone(w, "bob", 0), *c = world_add_phone(w, "bob", 0);
    register_as(w, a, "", "", ok);
    register_as(w, b, flows[0], "Supported: gruu, outbound\n", ok);
    quoted(ok, "temp-gruu", temp);
    c->call = 2; /* flows may have Call-IDs of their own */
    register_as(w, c, flows[1], "Supported: gruu, outbound\n", ok);
    register_as(w, b, ";+sip.instance=\"<urn:uuid:1>\";reg-id=1;expires=0", "", ok);
    phone_ask(w, a, "MESSAGE", temp, "", NULL);
    phone_answer(w, c, phone_expect(c, "MESSAGE sip:bob@10."), "200 OK");
    phone_expect(a, "SIP/2.0 200");
    register_as(w, c, ";+sip.instance=\"<urn:uuid:1>\";reg-id=2;expires=0", "", ok);
    phone_ask(w, a, "MESSAGE", temp, "", NULL);
    phone_expect(a, "SIP/2.0 404");
    register_as(w, b, flows[0], "Supported: gruu, outbound\n", ok);
    phone_ask(w, a, "MESSAGE", temp, "", NULL);
    phone_expect(a, "SIP/2.0 404");
    done(w);
}

Test(devices, gruu_refused)
{
    static const char *const bad[] = {
        "sip:alice@example.org;gr",
        "sip:alice@example.org;gr=urn:uuid:1",
        "sip:alice@example.org;gr=AAAA",
        "sip:alice@example.org;gr=AxAQEBAQEBAQEBAQEBAQEBAQEBA~",
        "sip:alice@example.org;gr=ARAQEBAQEB",
    };
    char ok[PHONE_TEXT], more[PHONE_TEXT], pub[PHONE_TEXT], uri[PHONE_TEXT];
    struct world *w = world_make();
    int one = world_add_node(w, 1), two = world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", one), *b = world_add_phone(w, "bob", two);
    register_as(w, a, ";+sip.instance=\"<urn:uuid:1>\"", "Supported: gruu\n", ok);
    register_as(w, b, "", "", ok);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        phone_ask(w, b, "MESSAGE", bad[i], "", NULL);
        phone_expect(b, "SIP/2.0 404");
    }
    /* nobody's device; somebody else's; a token that is not ours (all of node 1) */
    register_as(w, a, ";+sip.instance=\"<urn:uuid:1>\"", "Supported: gruu\n", ok);
    quoted(ok, "pub-gruu", pub);
    snprintf(uri, sizeof(uri), "sip:nobody@example.org%.200s", strchr(pub, ';'));
    phone_ask(w, b, "MESSAGE", uri, "", NULL);
    phone_expect(b, "SIP/2.0 404");
    snprintf(uri, sizeof(uri), "sip:carol@example.org%.200s", strchr(pub, ';'));
    phone_ask(w, b, "MESSAGE", uri, "", NULL);
    phone_expect(b, "SIP/2.0 480");
    quoted(ok, "temp-gruu", uri);
    uri[10] = uri[10] == '0' ? '1' : '0';
    phone_ask(w, b, "MESSAGE", uri, "", NULL);
    phone_expect(b, "SIP/2.0 404");
    /* 5.1: a GRUU is no contact */
    snprintf(more, sizeof(more), "Contact: <%.300s>\nExpires: 600\n", pub);
    const char *no = phone_register_as(w, a, more);
    cr_assert(strncmp(no, "SIP/2.0 403", 11) == 0, "%s", no);
    done(w);
}

/* Inside a dialog, a Request-URI that is a GRUU becomes the contact of now (5.4.1). */
Test(devices, gruu_as_contact_of_a_dialog)
{
    struct dialog db;
    char ok[PHONE_TEXT], pub[PHONE_TEXT], invite[PHONE_TEXT];
    struct world *w = world_make();
    world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", 0), *b = world_add_phone(w, "bob", 0);
    register_as(w, a, ";+sip.instance=\"<urn:uuid:1>\"", "Supported: gruu\n", ok);
    quoted(ok, "pub-gruu", pub);
    register_as(w, b, "", "", ok);
    phone_ask(w, a, "INVITE", "sip:bob@example.org", "", NULL);
    phone_expect(a, "SIP/2.0 100");
    snprintf(invite, sizeof(invite), "%s", phone_expect(b, "INVITE sip:"));
    phone_answer(w, b, invite, "200 OK");
    phone_expect(a, "SIP/2.0 200");
    dialog_callee(&db, b, invite);
    snprintf(db.target, sizeof(db.target), "%.400s", pub);
    phone_in_dialog(w, b, &db, "BYE");
    snprintf(ok, sizeof(ok), "%s", phone_expect(a, "BYE sip:alice@10."));
    phone_answer(w, a, ok, "200 OK");
    phone_expect(b, "SIP/2.0 200");
    done(w);
}

/* ---- preferences */

static const struct sip_msg *parsed(struct sip_parser *parser, const char *lines, char *text)
{
    int len = snprintf(text, PHONE_TEXT,
                       "MESSAGE sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/UDP "
                       "h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:b@b>\r\nCall-ID: "
                       "1\r\nCSeq: 1 MESSAGE\r\n%sContent-Length: 0\r\n\r\n",
                       lines);
    sip_parser_init(parser, false);
    cr_assert_eq(sip_parser_datagram(parser, slice_of(text, (size_t)len)), SIP_PARSE_OK);
    return &parser->msg;
}

/* RFC 3841 7.2.4, with its figure 1; the values of RFC 3840 9. */
Test(prefs, judge)
{
    static const struct {
        const char *lines, *params;
        enum prefs_verdict verdict;
        int rank; /* -1: whatever */
    } cases[] = {
        {"", "", PREFS_KEEP, 1000},
        {"", ";methods=\"INVITE,MESSAGE\"", PREFS_KEEP, 1000},
        {"", ";methods=\"INVITE,BYE\"", PREFS_DROP_IMPLICIT, -1},
        {"Accept-Contact: *;audio;require\r\n", "", PREFS_KEEP, 1000},    /* immune */
        {"Accept-Contact: *;audio;require\r\n", ";video", PREFS_KEEP, 0}, /* says nothing */
        {"Accept-Contact: *;audio;require;explicit\r\n", ";video", PREFS_DROP, -1},
        {"Accept-Contact: *;audio;require\r\n", ";audio=\"FALSE\"", PREFS_DROP, -1},
        {"Accept-Contact: *;audio\r\n", ";audio=\"FALSE\"", PREFS_KEEP, 0},
        {"Accept-Contact: *;audio;video\r\n", ";audio", PREFS_KEEP, 500},
        {"Accept-Contact: *;audio;video;explicit\r\n", ";audio", PREFS_KEEP, 0},
        {"a: *;audio, *;video;explicit\r\n", ";audio", PREFS_KEEP, 500},
        {"Accept-Contact: *;methods=\"INVITE,MESSAGE\";require\r\n", ";methods=\"message\"",
         PREFS_KEEP, 1000},
        {"Accept-Contact: *;mobility=\"!fixed\";require\r\n", ";mobility=\"fixed\"", PREFS_DROP,
         -1},
        {"Accept-Contact: *;mobility=\"!fixed\";require\r\n", ";mobility=\"mobile\"", PREFS_KEEP,
         1000},
        {"Accept-Contact: *;description=\"<PC>\";require\r\n", ";description=\"<pc>\"", PREFS_DROP,
         -1},
        {"Accept-Contact: *;+x.n=\"#>=4\";require\r\n", ";+x.n=\"#3.5\"", PREFS_DROP, -1},
        {"Accept-Contact: *;+x.n=\"#>=4\";require\r\n", ";+X.N=\"#1:4\"", PREFS_KEEP, 1000},
        {"Accept-Contact: *;+x.n=\"#-1\";require\r\n", ";+x.n=\"#<=0\"", PREFS_KEEP, 1000},
        {"Reject-Contact: *;actor=\"msg-taker\";video\r\n", ";actor=\"msg-taker\"", PREFS_KEEP, -1},
        {"Reject-Contact: *;actor=\"msg-taker\";video\r\n", ";video;actor=\"msg-taker\"",
         PREFS_DROP, -1},
        {"j: *;automata\r\n", ";automata", PREFS_DROP, -1},
        {"Accept-Contact: *;q=0.5;foo=bar;require\r\n", ";audio", PREFS_KEEP, 0}, /* no feature */
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct sip_parser parser;
        char text[PHONE_TEXT];
        uint16_t rank = 0;
        const struct sip_msg *m = parsed(&parser, cases[i].lines, text);
        enum prefs_verdict v = prefs_judge(m, slice_text(cases[i].params), &rank);
        cr_expect_eq(v, cases[i].verdict, "case %zu: %d", i, (int)v);
        cr_expect(cases[i].rank < 0 || rank == cases[i].rank, "case %zu: rank %u", i, rank);
    }
}

Test(prefs, predicates)
{
    static const struct {
        const char *params, *predicate;
    } written[] = {
        {";audio;methods=\"INVITE,BYE\"",
         "(&(sip.audio=TRUE)(|(sip.methods=INVITE)(sip.methods=BYE)))"},
        {";+x.n=\"#>=4\";+y=\"#1:7\";+z=\"#2\"", "(&(x.n>=4)(&(y>=1)(y<=7))(z=2))"},
        {";mobility=\"!fixed\";+sip.instance=\"<urn:uuid:1>\"", "(&(!(sip.mobility=fixed)))"},
    };
    static const struct {
        const char *predicate, *lines;
        bool is_possible;
    } cases[] = {
        {"", "Accept-Contact: *;audio;require\r\n", true},
        {"(sip.schemes=SIPS)", "", false}, /* RFC 7904 5.1: only SIP is offered */
        {"(sip.schemes=SIP)", "", true},
        {"(|(&(sip.audio=FALSE))(&(sip.audio=TRUE)))", "Accept-Contact: *;audio;require\r\n", true},
        {"(&(sip.audio=FALSE))", "Accept-Contact: *;audio;require\r\n", false},
        {"(&(sip.audio=FALSE))", "Accept-Contact: *;audio\r\n", true},
        {"(&(sip.video=TRUE))", "Accept-Contact: *;audio;require\r\n", true},
        {"(& (x>=4) (sip.audio=TRUE))", "Accept-Contact: *;+x=\"#3\";require\r\n", false},
        {"(&(x=4))", "Accept-Contact: *;+x=\"#>=4\";require\r\n", true},
        {"(!(sip.audio=TRUE))", "Accept-Contact: *;audio;require\r\n", true}, /* doubt is yes */
        {"((((((((((x=1))))))))))", "Accept-Contact: *;audio;require\r\n", true},
        {"(&(&(&(&(&(&(&(&(&(sip.audio=FALSE))))))))))", "a: *;audio;require\r\n", true},
        {"(&(sip.audio=FALSE)", "Accept-Contact: *;audio;require\r\n", true}, /* broken */
        {"(=)", "a: *;audio;require\r\n", true},
        {"(&", "a: *;audio;require\r\n", true},
        {"(a=)", "a: *;+a;require\r\n", false},
        {"x", "a: *;audio;require\r\n", true},
    };
    for (size_t i = 0; i < ARRAY_COUNT(written); i++) {
        uint8_t out[PREFS_PREDICATE_CAP];
        struct sip_writer w;
        struct slice text;
        sip_write_init(&w, out, sizeof(out));
        cr_assert(prefs_write(&w, slice_text(written[i].params)));
        cr_assert_eq(sip_write_finish(&w, &text), ERR_OK);
        cr_expect(slice_is_equal(text, slice_text(written[i].predicate)), "%.*s", (int)text.len,
                  (const char *)text.data);
    }
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct sip_parser parser;
        char text[PHONE_TEXT];
        const struct sip_msg *m = parsed(&parser, cases[i].lines, text);
        cr_expect_eq(prefs_is_possible(m, slice_text(cases[i].predicate)), cases[i].is_possible,
                     "case %zu", i);
    }
}

/* `count` times `each`, between `before` and `after`. */
static const char *repeated(const char *before, const char *each, unsigned count, const char *after,
                            char *out)
{
    size_t len = (size_t)snprintf(out, PHONE_TEXT, "%s", before);
    for (unsigned i = 0; i < count; i++) {
        len += (size_t)snprintf(out + len, PHONE_TEXT - len, "%s", each);
    }
    snprintf(out + len, PHONE_TEXT - len, "%s", after);
    return out;
}

/* What one message may cost: all of its preferences are read for each term of each record, and for
 * each contact.  Beyond the limits nothing is a restriction. */
Test(prefs, limits)
{
    enum { LEAVES = 48, VALUES = 32 };
    static const char audio[] = "\r\nAccept-Contact: *;audio;require\r\n";
    char lines[PHONE_TEXT], text[PHONE_TEXT], predicate[PHONE_TEXT], params[PHONE_TEXT];
    struct sip_parser parser;
    uint16_t rank = 0;
    const struct sip_msg *m = parsed(&parser, audio + 2, text);
    repeated("(&", "(x=1)", LEAVES - 1, "(sip.audio=FALSE))", predicate);
    cr_expect(!prefs_is_possible(m, slice_text(predicate)));
    repeated("(&", "(x=1)", LEAVES, "(sip.audio=FALSE))", predicate);
    cr_expect(prefs_is_possible(m, slice_text(predicate)));

    repeated("Accept-Contact: *;x=", "y", PREFS_BYTES - 40, audio, lines);
    m = parsed(&parser, lines, text);
    cr_expect(!prefs_is_possible(m, SLICE_LITERAL("(sip.audio=FALSE)")));
    cr_expect_eq(prefs_judge(m, SLICE_LITERAL(";audio=\"FALSE\""), &rank), PREFS_DROP);
    repeated("Accept-Contact: *;x=", "y", PREFS_BYTES, audio, lines);
    m = parsed(&parser, lines, text);
    cr_expect(prefs_is_possible(m, SLICE_LITERAL("(sip.audio=FALSE)")));
    cr_expect_eq(prefs_judge(m, SLICE_LITERAL(";audio=\"FALSE\""), &rank), PREFS_KEEP);

    repeated("", "Accept-Contact: *;x=y\r\n", PREFS_ITEMS - 1, audio + 2, lines);
    m = parsed(&parser, lines, text);
    cr_expect(!prefs_is_possible(m, SLICE_LITERAL("(sip.audio=FALSE)")));
    cr_expect_eq(prefs_judge(m, SLICE_LITERAL(";audio=\"FALSE\""), &rank), PREFS_DROP);
    repeated("", "Accept-Contact: *;x=y\r\n", PREFS_ITEMS, audio + 2, lines);
    m = parsed(&parser, lines, text);
    cr_expect(prefs_is_possible(m, SLICE_LITERAL("(sip.audio=FALSE)")));
    cr_expect_eq(prefs_judge(m, SLICE_LITERAL(";audio=\"FALSE\""), &rank), PREFS_KEEP);

    repeated("Accept-Contact: *;require;methods=\"", "A,", VALUES - 1, "B\"\r\n", lines);
    m = parsed(&parser, lines, text);
    repeated(";methods=\"", "C,", VALUES - 1, "D\"", params);
    cr_expect_eq(prefs_judge(m, slice_text(params), &rank), PREFS_DROP);
    repeated(";methods=\"", "C,", VALUES, "D\"", params);
    cr_expect_eq(prefs_judge(m, slice_text(params), &rank), PREFS_KEEP);
}

/* Two devices of Bob at one node: who is asked, and in which order. */
Test(devices, caller_preferences)
{
    char ok[PHONE_TEXT];
    struct world *w = world_make();
    int one = world_add_node(w, 1), two = world_add_node(w, 1);
    struct phone *a = world_add_phone(w, "alice", one);
    struct phone *b = world_add_phone(w, "bob", two), *c = world_add_phone(w, "bob", two);
    register_as(w, a, "", "", ok);
    register_as(w, b, ";audio;methods=\"INVITE,MESSAGE\";q=0.5", "", ok);
    cr_assert(strstr(ok, ";audio;methods=\"INVITE,MESSAGE\"") != NULL, "%s", ok);
    c->cseq = 50;
    register_as(w, c, ";audio=\"FALSE\";text;methods=\"MESSAGE\"", "", ok);
    const char *const lines[] = {"Accept-Contact: *;audio;require\n",
                                 "Reject-Contact: *;audio;text\n",
                                 "Request-Disposition: no-fork\n"};
    for (int i = 0; i < 3; i++) {
        phone_ask(w, a, "MESSAGE", "sip:bob@example.org", lines[i], NULL);
        if (i == 1) { /* nobody has both features TRUE: nobody is rejected */
            phone_answer(w, b, phone_expect(b, "MESSAGE sip:"), "200 OK");
            phone_answer(w, c, phone_expect(c, "MESSAGE sip:"), "200 OK");
        } else {
            struct phone *it = i == 0 ? b : c; /* no-fork: q 1.0 comes before 0.5 */
            phone_answer(w, it, phone_expect(it, "MESSAGE sip:"), "200 OK");
        }
        phone_expect(a, "SIP/2.0 200");
        phone_expect_nothing(b);
        phone_expect_nothing(c);
    }
    phone_ask(w, a, "INVITE", "sip:bob@example.org", "", NULL); /* only b takes that (7.2.2.1) */
    phone_expect(a, "SIP/2.0 100");
    snprintf(ok, sizeof(ok), "%s", phone_expect(b, "INVITE sip:"));
    phone_expect_nothing(c);
    phone_answer(w, b, ok, "486 Busy Here");
    phone_expect(b, "ACK sip:");
    phone_expect(a, "SIP/2.0 486");
    /* nobody at all has it: 480, found out from the record alone, without asking the node */
    uint64_t asked = metric_read(&w->instances[two]->metrics, METRIC_sip_requests_in);
    world_run(w, 3000000); /* past the cache */
    a->first = a->count = 0;
    phone_ask(w, a, "MESSAGE", "sip:bob@example.org",
              "Accept-Contact: *;methods=\"PING\";require\n", NULL);
    phone_expect(a, "SIP/2.0 480");
    cr_assert_eq(metric_read(&w->instances[two]->metrics, METRIC_sip_requests_in), asked);
    done(w);
}
