/* SPDX-License-Identifier: Apache-2.0 */
/* test_registrar.c - REGISTER: digest, contacts, and what the overlay holds afterwards. */
#include "sip/guess.h"
#include "sip/registrar.h"
#include "tests/unit/sip/phone_world.h"
#include <criterion/criterion.h>

static struct world *one_phone(struct phone **p, const char *name)
{
    struct world *w = world_make();
    world_add_node(w, 1);
    *p = world_add_phone(w, name, 0);
    return w;
}

static const struct fake_record *record_of(struct world *w, const char *user)
{
    struct overlay_resource resource;
    overlay_resource_of(&w->instances[0]->turn, slice_text(user), &resource);
    for (size_t i = 0; i < FAKE_RECORDS; i++) {
        const struct fake_record *r = &w->dht.records[i];
        if (r->is_used && r->kind == OVERLAY_KIND_SIP_REGISTRATION &&
            memcmp(&r->resource, &resource, sizeof(resource)) == 0) {
            return r;
        }
    }
    return NULL;
}

/* RFC 7904 A1.1: type 2, 22 bytes, no prefs, one Node-ID of 16 bytes. */
Test(registrar, register_query_unregister)
{
    struct phone *p = NULL;
    struct world *w = one_phone(&p, "alice");
    static const uint8_t head[9] = {0x02, 0x00, 0x16, 0x00, 0x00, 0x00, 0x12, 0x01, 0x10};
    char auth[PHONE_TEXT];
    w->instances[0]->turn.wall_ms = UINT64_C(1795989276000);
    const char *text = phone_register(w, p, "600");
    cr_assert(strncmp(text, "SIP/2.0 200", 11) == 0, "%s", text);
    cr_assert(strstr(text, "\r\nDate: Sun, 29 Nov 2026 21:54:36 GMT\r\n") != NULL, /* step 8 */
              "%s", text);
    cr_assert(strstr(text, "Contact: <sip:alice@10.1.0.1:5060>;expires=600\r\n") != NULL, "%s",
              text);
    const struct fake_record *r = record_of(w, "alice@example.org");
    cr_assert_not_null(r);
    cr_assert(r->exists);
    cr_assert_eq(r->value_len, 25);
    cr_assert_eq(memcmp(r->value, head, sizeof(head)), 0);
    cr_assert_eq(memcmp(r->value + 9, world_node_id(0).bytes, 16), 0);
    cr_assert_eq(memcmp(r->key, w->instances[0]->idents[0].node_id.bytes, 16), 0);
    /* query: no Contact, no Store */
    uint32_t stores = w->dht.stores;
    phone_register_once(w, p, "", "");
    credentials(phone_expect(p, "SIP/2.0 401"), "alice", "secret", "REGISTER", "sip:example.org",
                "00000001", auth);
    phone_register_once(w, p, "", auth);
    world_run(w, 20000); /* the overlay is asked, too */
    cr_assert(strstr(phone_expect(p, "SIP/2.0 200"), "Contact: <sip:alice@") != NULL);
    cr_assert_eq(w->dht.stores, stores);
    /* unregister */
    text = phone_register(w, p, "0");
    cr_assert(strncmp(text, "SIP/2.0 200", 11) == 0, "%s", text);
    cr_assert(strstr(text, "Contact:") == NULL, "%s", text);
    cr_assert_not(record_of(w, "alice@example.org")->exists);
    cr_assert_eq(w->instances[0]->sip->bindings.in_use, 0);
    cr_assert_eq(w->instances[0]->sip->registered, 0);
    world_expect_empty(w);
    world_free(w);
}

Test(registrar, wrong_password_and_stale_nonce)
{
    struct phone *p = NULL;
    struct world *w = one_phone(&p, "bob"); /* SHA-256 is offered first */
    char auth[PHONE_TEXT], again[PHONE_TEXT];
    phone_register_once(w, p, "Contact: <sip:bob@10.1.0.1>\n", "");
    const char *text = phone_expect(p, "SIP/2.0 401");
    const char *sha = strstr(text, "algorithm=SHA-256"), *md5 = strstr(text, "algorithm=MD5");
    cr_assert(sha != NULL && md5 != NULL && sha < md5, "%s", text);
    credentials(text, "bob", "wrong", "REGISTER", "sip:example.org", "00000001", auth);
    phone_register_once(w, p, "Contact: <sip:bob@10.1.0.1>\n", auth);
    text = phone_expect(p, "SIP/2.0 401");
    cr_assert(strstr(text, "stale") == NULL, "%s", text);
    cr_assert_eq(w->dht.stores, 0);
    credentials(text, "bob", "secret", "REGISTER", "sip:example.org", "00000001", auth);
    phone_register_once(w, p, "Contact: <sip:bob@10.1.0.1>\n", auth);
    world_run(w, 20000);
    phone_expect(p, "SIP/2.0 200");
    /* the same nonce count again: replayed */
    phone_register_once(w, p, "Contact: <sip:bob@10.1.0.1>\n", auth);
    text = phone_expect(p, "SIP/2.0 401");
    cr_assert(strstr(text, "stale=true") != NULL, "%s", text);
    /* the next count is good, also out of order; after five minutes it is stale */
    credentials(text, "bob", "secret", "REGISTER", "sip:example.org", "00000003", auth);
    credentials(text, "bob", "secret", "REGISTER", "sip:example.org", "00000002", again);
    phone_register_once(w, p, "Contact: <sip:bob@10.1.0.1>\n", auth);
    phone_register_once(w, p, "Contact: <sip:bob@10.1.0.1>\n", again);
    world_run(w, 20000);
    phone_expect(p, "SIP/2.0 200");
    phone_expect(p, "SIP/2.0 200");
    credentials(text, "bob", "secret", "REGISTER", "sip:example.org", "00000004", auth);
    world_run(w, UINT64_C(301000000));
    phone_register_once(w, p, "Contact: <sip:bob@10.1.0.1>\n", auth);
    cr_assert(strstr(phone_expect(p, "SIP/2.0 401"), "stale=true") != NULL);
    world_expect_empty(w);
    world_free(w);
}

/* What is kept of the last REGISTER's digest is of use to no other URI, and no other hash. */
Test(registrar, each_uri_has_its_hash)
{
    static const char *const uris[] = {"sip:example.org", "sip:example.net",
                                       "sip:example.org:5060"};
    struct phone *p = NULL;
    struct world *w = one_phone(&p, "bob");
    char auth[PHONE_TEXT], challenge[PHONE_TEXT];
    for (unsigned i = 0; i < 24; i++) {
        bool is_bad = (i & 1) != 0, is_md5 = i / 6 % 2 != 0;
        unsigned which = i / 2 % 3;
        phone_register_once(w, p, "Contact: <sip:bob@10.1.0.1>\n", "");
        snprintf(challenge, sizeof(challenge), "%s", phone_expect(p, "SIP/2.0 401"));
        char *algorithm = strstr(challenge, "SHA-256");
        cr_assert_not_null(algorithm);
        memcpy(algorithm, is_md5 ? "MD5    " : "SHA-256", strlen("SHA-256"));
        credentials(challenge, "bob", "secret", "REGISTER", uris[which], "00000001", auth);
        if (is_bad) { /* hashed with one, sent with another */
            char *name = strstr(auth, "uri=\"sip:example.");
            memcpy(name + strlen("uri=\"sip:example."), which == 1 ? "org" : "net", 3);
        }
        phone_register_once(w, p, "Contact: <sip:bob@10.1.0.1>\n", auth);
        world_run(w, 20000);
        phone_expect(p, is_bad ? "SIP/2.0 401" : "SIP/2.0 200");
    }
    world_free(w);
}

/* B.10 B5: somebody else's AOR; no credential here; a foreign domain. */
Test(registrar, others_aors)
{
    struct phone *p = NULL;
    struct world *w = one_phone(&p, "alice");
    char auth[PHONE_TEXT], via[256];
    const char *format = "REGISTER sip:example.org SIP/2.0\nVia: %s\nFrom: <sip:%s>;tag=1\n"
                         "To: <sip:%s>\nCall-ID: x\nCSeq: %d REGISTER\n"
                         "Contact: <sip:a@10.1.0.1>\n%s";
    phone_send(w, p, format, phone_via(p, "1", via), "bob@example.org", "bob@example.org", 1, "");
    credentials(phone_expect(p, "SIP/2.0 401"), "alice", "secret", "REGISTER", "sip:example.org",
                "00000001", auth);
    phone_send(w, p, format, phone_via(p, "2", via), "bob@example.org", "bob@example.org", 2, auth);
    phone_expect(p, "SIP/2.0 403");
    /* a third party: right password, From is not To */
    phone_send(w, p, format, phone_via(p, "3", via), "bob@example.org", "alice@example.org", 3, "");
    credentials(phone_expect(p, "SIP/2.0 401"), "alice", "secret", "REGISTER", "sip:example.org",
                "00000001", auth);
    phone_send(w, p, format, phone_via(p, "4", via), "bob@example.org", "alice@example.org", 4,
               auth);
    phone_expect(p, "SIP/2.0 403");
    phone_send(w, p, format, phone_via(p, "5", via), "zoe@example.org", "zoe@example.org", 5, "");
    phone_expect(p, "SIP/2.0 401"); /* as if she had an account: test_strangers */
    phone_send(w, p, format, phone_via(p, "6", via), "a@example.com", "a@example.com", 6, "");
    phone_expect(p, "SIP/2.0 404");
    cr_assert_eq(w->dht.stores, 0);
    world_expect_empty(w);
    world_free(w);
}

/* RFC 3261 10.3 steps 1 and 5: an address of record is not valid for another domain. */
Test(registrar, the_domain_that_is_asked)
{
    static const struct {
        const char *uri, *status;
    } cases[] = {
        {"sip:example.com", "SIP/2.0 404"},
        {"sip:fakeexample.org", "SIP/2.0 404"},
        {"sip:org", "SIP/2.0 404"},
        {"tel:+1", "SIP/2.0 4"},
        {"sip:example.org.", "SIP/2.0 404"},
        {"sip:EXAMPLE.org", "SIP/2.0 401"},
        {"sip:node1.example.org:5070", "SIP/2.0 401"},
        {"sip:192.0.2.1", "SIP/2.0 401"},
        {"sip:LocalHost:5070", "SIP/2.0 401"},
        {"sip:localhost.example.com", "SIP/2.0 404"},
        {"sip:[2001:db8::1]", "SIP/2.0 401"},
    };
    struct phone *p = NULL;
    struct world *w = one_phone(&p, "alice");
    for (int i = 0; i < (int)ARRAY_COUNT(cases); i++) {
        char via[256], branch[32];
        snprintf(branch, sizeof(branch), "d%d", i);
        phone_send(w, p,
                   "REGISTER %s SIP/2.0\nVia: %s\nFrom: <sip:alice@example.org>;tag=1\n"
                   "To: <sip:alice@example.org>\nCall-ID: x\nCSeq: %d REGISTER\n"
                   "Contact: <sip:a@10.1.0.1>\n",
                   cases[i].uri, phone_via(p, branch, via), i);
        const char *text = phone_get(p);
        cr_expect(strncmp(text, cases[i].status, strlen(cases[i].status)) == 0, "%s got %s",
                  cases[i].uri, text);
    }
    world_expect_empty(w);
    world_free(w);
}

/* Registers with digest, whatever the lines; gives the final answer. */
static const char *attempt(struct world *w, struct phone *p, const char *more)
{
    char auth[PHONE_TEXT];
    phone_register_once(w, p, more, "");
    credentials(phone_expect(p, "SIP/2.0 401"), p->name, "secret", "REGISTER", "sip:example.org",
                "00000001", auth);
    phone_register_once(w, p, more, auth);
    world_run(w, 20000);
    return phone_get(p);
}

/* RFC 3261 10.3, step by step. */
Test(registrar, contacts)
{
    static const struct {
        const char *more, *status, *has;
        uint32_t bindings;
    } steps[] = {
        {"Contact: <sip:a@10.1.0.1>;expires=30\n", "SIP/2.0 423", "Min-Expires: 60", 0},
        {"Contact: <sip:a@10.1.0.1>;expires=99999\n", "SIP/2.0 200", ";expires=7200", 1},
        {"Contact: <sip:a@10.1.0.1>;q=0.5, <sip:b@10.1.0.1>\n", "SIP/2.0 200", ";q=0.500", 2},
        {"Contact: <sip:A@10.1.0.1>\nExpires: 100\n", "SIP/2.0 200", ";expires=100", 3},
        {"Contact: <sip:A@10.1.0.1>\nExpires: 0\n", "SIP/2.0 200", "<sip:b@", 2},
        {"Contact: *\n", "SIP/2.0 400", "Expires: 0", 2},
        {"Contact: <mailto:a@example.org>\n", "SIP/2.0 400", "Contact", 2},
        {"Contact: <sip:1@h>,<sip:2@h>,<sip:3@h>,<sip:4@h>,<sip:5@h>,<sip:6@h>,<sip:7@h>\n",
         "SIP/2.0 403", "Too many", 2},
        {"Contact: *\nExpires: 0\n", "SIP/2.0 200", "Call-ID", 0},
    };
    struct phone *p = NULL;
    struct world *w = one_phone(&p, "alice");
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        const char *text = attempt(w, p, steps[i].more);
        cr_assert(strncmp(text, steps[i].status, 11) == 0, "step %zu: %s", i, text);
        cr_assert(strstr(text, steps[i].has) != NULL, "step %zu: %s", i, text);
        cr_assert_eq(w->instances[0]->sip->bindings.in_use, steps[i].bindings, "step %zu: %u", i,
                     w->instances[0]->sip->bindings.in_use);
    }
    /* step 7: an old CSeq of the same Call-ID changes nothing */
    attempt(w, p, "Contact: <sip:a@10.1.0.1>\n");
    p->cseq -= 2;
    char branch_moves_on[8] = "";
    (void)branch_moves_on;
    world_run(w, UINT64_C(40000000)); /* its transactions are over */
    cr_assert(strncmp(attempt(w, p, "Contact: <sip:a@10.1.0.1>\n"), "SIP/2.0 400", 11) == 0);
    world_expect_empty(w);
    world_free(w);
}

/* B.4: what the overlay says is what the phone hears; nothing is bound. */
Test(registrar, overlay_refuses)
{
    static const struct {
        enum err error;
        uint16_t reload_error;
        const char *status;
    } cases[] = {
        {ERR_REMOTE, 2, "SIP/2.0 403"},
        {ERR_TIMEOUT, 0, "SIP/2.0 504"},
        {ERR_REMOTE, 8, "SIP/2.0 413"},
        {ERR_REMOTE, 12, "SIP/2.0 500"},
    };
    struct phone *p = NULL;
    struct world *w = one_phone(&p, "alice");
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        w->dht.store_error = cases[i].error;
        w->dht.store_reload_error = cases[i].reload_error;
        const char *text = phone_register(w, p, "600");
        if (cases[i].error == ERR_TIMEOUT) {
            cr_assert_str_eq(text, "(nothing)");
            world_run(w, 16000000);
            text = phone_get(p);
        }
        cr_assert(strncmp(text, cases[i].status, 11) == 0, "%s", text);
        cr_assert(strstr(text, "Warning: 399") != NULL, "%s", text);
    }
    w->instances[0]->overlay.is_down = true;
    const char *text = phone_register(w, p, "600");
    cr_assert(strncmp(text, "SIP/2.0 503", 11) == 0, "%s", text);
    cr_assert(strstr(text, "Retry-After:") != NULL, "%s", text);
    cr_assert_eq(w->instances[0]->sip->bindings.in_use, 0);
    world_expect_empty(w);
    world_free(w);
}

/* Refresh before half life; the record ends with the longest contact; expiry drops the binding. */
Test(registrar, refresh_and_expiry)
{
    struct phone *p = NULL;
    struct world *w = one_phone(&p, "alice");
    phone_register(w, p, "1000");
    uint64_t until = record_of(w, "alice@example.org")->until_us;
    uint32_t stores = w->dht.stores;
    world_run(w, UINT64_C(501000000));
    cr_assert_eq(w->dht.stores, stores + 1, "%u", w->dht.stores);
    uint64_t again = record_of(w, "alice@example.org")->until_us;
    cr_assert_leq(again - until, 2000000);
    struct sip_binding_info info;
    uint32_t index = 0;
    struct turn *t = &w->instances[0]->turn;
    cr_assert(sip_walk_bindings(t, w->instances[0]->sip, &index, &info));
    cr_assert(info.is_stored);
    cr_assert_str_eq(info.aor, "alice@example.org");
    cr_assert_not(sip_walk_bindings(t, w->instances[0]->sip, &index, &info));
    world_run(w, UINT64_C(600000000));
    cr_assert_eq(w->instances[0]->sip->bindings.in_use, 0);
    cr_assert_eq(w->instances[0]->sip->registered, 0);
    world_expect_empty(w);
    cr_assert_eq(w->instances[0]->wheel.armed, 0);
    world_free(w);
}

/* A phone that comes again while the record is fresh costs no Store; one that would leave before
 * the record ends, or leaves, does. */
Test(registrar, fresh_record_costs_no_store)
{
    struct phone *p = NULL;
    struct world *w = one_phone(&p, "alice");
    phone_register(w, p, "1000");
    uint32_t stores = w->dht.stores;
    uint64_t until = record_of(w, "alice@example.org")->until_us;
    for (int i = 0; i < 4; i++) {
        world_run(w, UINT64_C(50000000));
        const char *text = phone_register(w, p, "1000");
        cr_assert(strncmp(text, "SIP/2.0 200", 11) == 0, "%s", text);
        cr_assert(strstr(text, ";expires=1000\r\n") != NULL, "%s", text);
    }
    cr_assert_eq(w->dht.stores, stores);
    cr_assert_eq(record_of(w, "alice@example.org")->until_us, until);
    /* the record follows the contact in time: stored again by half of its life, for all of it */
    world_run(w, UINT64_C(301000000));
    cr_assert_eq(w->dht.stores, stores + 1);
    cr_assert_gt(record_of(w, "alice@example.org")->until_us, until);
    /* shorter than the record: a Store */
    phone_register(w, p, "100");
    cr_assert_eq(w->dht.stores, stores + 2);
    until = record_of(w, "alice@example.org")->until_us;
    cr_assert_leq(until, w->instances[0]->turn.now_us + UINT64_C(100000000));
    /* the overlay is away: a fresh record needs no answer of it, a new one does */
    w->instances[0]->overlay.is_down = true;
    const char *text = phone_register(w, p, "100");
    cr_assert(strncmp(text, "SIP/2.0 200", 11) == 0, "%s", text);
    text = phone_register(w, p, "0");
    cr_assert(strncmp(text, "SIP/2.0 503", 11) == 0, "%s", text);
    w->instances[0]->overlay.is_down = false;
    phone_register(w, p, "0");
    cr_assert_not(record_of(w, "alice@example.org")->exists);
    world_expect_empty(w);
    world_free(w);
}

/* A fresh record is stored again when it would say something else, and only then. */
Test(registrar, what_a_device_says_anew_is_stored)
{
    static const struct {
        const char *contact;
        uint32_t stores;
    } steps[] = {
        {"<sip:alice@10.1.0.1>;audio", 1},
        {"<sip:alice@10.1.0.1>;audio", 0},
        {"<sip:alice@10.1.0.1>;video", 1},
        {"<sip:alice@10.1.0.1>;video", 0},
        {"<sip:alice@10.1.0.1>;video;q=0.5", 1},
        {"<sip:alice@10.1.0.1>;video;q=0.5", 0},
        {"<sip:alice@10.1.0.1>;audio", 1},
        {"<sip:alice@10.1.0.1>;audio", 0},
        {"<sip:alice@10.1.0.1:5070>", 1}, /* a second one, which says nothing of itself */
        {"<sip:alice@10.1.0.1>;audio", 0},
        {"<sip:alice@10.1.0.1:5070>;expires=0", 1},
        {"<sip:alice@10.1.0.1>;audio", 0},
        {"<sip:alice@10.1.0.1>", 1},
        {"<sip:alice@10.1.0.1>", 0},
    };
    struct phone *p = NULL;
    struct world *w = one_phone(&p, "alice");
    char lines[256];
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        uint32_t stores = w->dht.stores;
        snprintf(lines, sizeof(lines), "Contact: %s\nExpires: 1000\n", steps[i].contact);
        const char *text = phone_register_as(w, p, lines);
        cr_assert(strncmp(text, "SIP/2.0 200", 11) == 0, "%s", text);
        cr_expect_eq(w->dht.stores - stores, steps[i].stores, "step %zu: %u", i,
                     w->dht.stores - stores);
    }
    world_free(w);
}

/* RFC 5626: the same instance over a new connection replaces its old contact. */
Test(registrar, instance_replaces)
{
    struct phone *p = NULL;
    struct world *w = one_phone(&p, "alice");
    attempt(w, p, "Contact: <sip:a@10.1.0.1:1>;+sip.instance=\"<urn:uuid:1>\";reg-id=1\n");
    attempt(w, p, "Contact: <sip:a@10.1.0.1:2>;+sip.instance=\"<urn:uuid:1>\";reg-id=1\n");
    cr_assert_eq(w->instances[0]->sip->bindings.in_use, 1);
    attempt(w, p, "Contact: <sip:a@10.1.0.1:2>;+sip.instance=\"<urn:uuid:2>\";reg-id=1\n");
    cr_assert_eq(w->instances[0]->sip->bindings.in_use, 2);
    world_expect_empty(w);
    world_free(w);
}

/* RFC 3261 26.3.2.4: whatever a stranger asks, the answer costs no transaction. */
Test(registrar, strangers_cost_no_transaction)
{
    static const char *const methods[] = {"REGISTER", "INVITE",  "CANCEL",    "OPTIONS",
                                          "PUBLISH",  "MESSAGE", "SUBSCRIBE", "BYE"};
    static const char *const uris[] = {"sip:example.org", "sip:bob@example.org"};
    struct phone *p = NULL;
    struct world *w = one_phone(&p, "mallory");
    for (size_t i = 0; i < ARRAY_COUNT(methods) * ARRAY_COUNT(uris); i++) {
        const char *method = methods[i / 2];
        char via[256], branch[16];
        snprintf(branch, sizeof(branch), "s%zu", i);
        phone_send(w, p,
                   "%s %s SIP/2.0\nVia: %s\nFrom: <sip:alice@example.org>;tag=1\n"
                   "To: <sip:alice@example.org>\nCall-ID: s%zu\nCSeq: 1 %s\n"
                   "Max-Forwards: 70\n",
                   method, uris[i % 2], phone_via(p, branch, via), i, method);
        phone_expect(p, "SIP/2.0 ");
        cr_assert_eq(w->instances[0]->sip->txs.in_use, 0, "%s %s", method, uris[i % 2]);
    }
    world_expect_empty(w);
    world_free(w);
}

/* Both are sealed with one secret: what everybody is given must not open a way to a flow. */
Test(registrar, a_nonce_is_no_flow_token)
{
    char via[256], value[PHONE_TEXT], nonce[256];
    struct world *w = world_make();
    w->now_us = 4000000; /* both begin with the second */
    world_add_node(w, 1);
    struct phone *p = world_add_phone(w, "mallory", 0);
    phone_send(w, p,
               "REGISTER sip:example.org SIP/2.0\nVia: %s\nFrom: <sip:alice@example.org>;tag=1\n"
               "To: <sip:alice@example.org>\nCall-ID: n\nCSeq: 1 REGISTER\nMax-Forwards: 70\n",
               phone_via(p, "n1", via));
    param_of(value_of(phone_expect(p, "SIP/2.0 401"), "WWW-Authenticate", value), "nonce", nonce);
    phone_send(w, p,
               "MESSAGE sip:x@10.9.9.9 SIP/2.0\nVia: %s\nFrom: <sip:alice@example.org>;tag=1\n"
               "To: <sip:bob@example.org>;tag=2\nCall-ID: n\nCSeq: 2 MESSAGE\nMax-Forwards: 70\n"
               "Route: <sip:%.32s@10.0.0.1:5060;lr>\n",
               phone_via(p, "n2", via), nonce);
    phone_expect(p, "SIP/2.0 481");
    cr_assert_eq(world_metric(w, METRIC_sip_requests_out), 0);
    world_expect_empty(w);
    world_free(w);
}

/* ---- guessing passwords (sip/guess) */

/* A challenge, and an answer to it from the same address; the status of what comes back. */
static unsigned try_password(struct world *w, struct phone *p, const char *password)
{
    char more[128], address[ADDRESS_TEXT_CAP], auth[PHONE_TEXT];
    snprintf(more, sizeof(more), "Contact: <sip:%s@%s>\n", p->name,
             address_text(&p->address, address));
    phone_register_once(w, p, more, "");
    credentials(phone_expect(p, "SIP/2.0 401"), p->name, password, "REGISTER", "sip:example.org",
                "00000001", auth);
    phone_register_once(w, p, more, auth);
    world_run(w, 20000);
    return (unsigned)strtoul(phone_get(p) + strlen("SIP/2.0 "), NULL, 10);
}

Test(registrar, an_address_has_a_few_guesses)
{
    struct phone *bad = NULL;
    struct world *w = one_phone(&bad, "alice");
    struct phone *good = world_add_phone(w, "alice", 0), *bob = world_add_phone(w, "bob", 0);
    for (uint32_t i = 0; i < GUESS_PAIR; i++) {
        cr_assert_eq(try_password(w, bad, "wrong"), 401);
    }
    cr_assert_eq(try_password(w, bad, "wrong"), 503);
    cr_assert_eq(try_password(w, bad, "secret"), 503, "not even looked at");
    cr_assert_eq(world_metric(w, METRIC_sip_guesses), GUESS_PAIR);
    cr_assert_eq(world_metric(w, METRIC_sip_guesses_refused), 2);
    cr_assert_eq(w->dht.stores, 0);
    /* Neither the account nor the others suffer. */
    cr_assert_eq(try_password(w, good, "secret"), 200);
    cr_assert_eq(try_password(w, bob, "secret"), 200);
    world_run(w, UINT64_C(1000000) * (GUESS_PAIR_S + 1));
    cr_assert_eq(try_password(w, bad, "wrong"), 401, "one more");
    cr_assert_eq(try_password(w, bad, "wrong"), 503);
    world_free(w);
}

Test(registrar, an_address_has_some_guesses_whatever_the_accounts)
{
    struct phone *p = NULL;
    struct world *w = one_phone(&p, "alice");
    uint32_t looked_at = 0;
    for (uint32_t i = 0; i < 20 * WORLD_ACCOUNTS; i++) {
        snprintf(p->name, sizeof(p->name), "%.*s", (int)strcspn(world_users[i % 6], "@"),
                 world_users[i % 6]);
        looked_at += try_password(w, p, "wrong") == 401;
        if (i % 6 == 5) {
            world_run(w, UINT64_C(1000000)); /* the pairs may not be what stops it */
        }
    }
    cr_assert_leq(looked_at, GUESS_PAIR * WORLD_ACCOUNTS + 20 * 6 / GUESS_PAIR_S + 1);
    cr_assert_geq(looked_at, 40);
    world_free(w);
}

/* Thousands guess: each once.  Who knows the password gets in all the same. */
Test(registrar, nobody_is_locked_out_by_many_who_guess)
{
    struct phone *p = NULL;
    struct world *w = one_phone(&p, "alice");
    for (uint32_t i = 0; i <= GUESS_ACCOUNT; i++) {
        p->address.ip[2] = (uint8_t)(1 + i / 4);
        p->address.ip[3] = (uint8_t)i;
        cr_assert_eq(try_password(w, p, "wrong"), 401);
    }
    p->address.ip[3] = 200;
    cr_assert_eq(try_password(w, p, "wrong"), 401);
    cr_assert_eq(try_password(w, p, "wrong"), 503, "one guess each by now");
    p->address.ip[3] = 201;
    cr_assert_eq(try_password(w, p, "secret"), 200);
    world_free(w);
}

/* A neighbor behind the same NAT. */
Test(registrar, the_flow_of_a_binding_is_not_kept_waiting)
{
    struct phone *alice = NULL;
    struct world *w = one_phone(&alice, "alice");
    struct phone *bad = world_add_phone(w, "alice", 0);
    cr_assert_eq(try_password(w, alice, "secret"), 200);
    bad->address = alice->address;
    bad->address.port = 6000;
    struct address own = alice->address;
    for (uint32_t i = 0; i < 2 * GUESS_PAIR; i++) {
        alice->address = bad->address; /* answers go to whoever has the address */
        alice->cseq += 100;
        try_password(w, alice, "wrong");
    }
    cr_assert_eq(try_password(w, alice, "secret"), 503);
    alice->address = own;
    cr_assert_eq(try_password(w, alice, "secret"), 200);
    world_free(w);
}

/* Forged addresses neither guess nor use up anybody's patience. */
Test(registrar, a_nonce_is_for_who_asked)
{
    struct phone *p = NULL;
    struct world *w = one_phone(&p, "alice");
    struct phone *victim = world_add_phone(w, "alice", 0);
    char auth[PHONE_TEXT];
    const char *contact = "Contact: <sip:alice@10.1.0.1>\n";
    victim->address.ip[1] = 77;
    for (uint32_t i = 0; i < 2 * GUESS_PAIR; i++) {
        phone_register_once(w, p, contact, "");
        credentials(phone_expect(p, "SIP/2.0 401"), "alice", i % 2 == 0 ? "wrong" : "secret",
                    "REGISTER", "sip:example.org", "00000001", auth);
        phone_register_once(w, victim, contact, auth);
        cr_assert(strstr(phone_expect(victim, "SIP/2.0 401"), "stale=true") != NULL);
    }
    cr_assert_eq(world_metric(w, METRIC_sip_guesses), 0);
    cr_assert_eq(w->dht.stores, 0);
    cr_assert_eq(try_password(w, victim, "secret"), 200);
    world_free(w);
}

/* One account does not keep all places for waiting REGISTERs. */
Test(registrar, registers_of_one_account_are_capped)
{
    struct phone *p = NULL;
    struct world *w = one_phone(&p, "alice");
    char auth[PHONE_TEXT], nc[9];
    const char *contact = "Contact: <sip:alice@10.1.0.1>\n";
    w->instances[0]->limits.sip_registers_per_account = 3;
    phone_register_once(w, p, contact, "");
    char challenge[PHONE_TEXT];
    snprintf(challenge, sizeof(challenge), "%s", phone_expect(p, "SIP/2.0 401"));
    for (uint32_t i = 1; i <= 4; i++) {
        snprintf(nc, sizeof(nc), "%08x", i);
        credentials(challenge, "alice", "secret", "REGISTER", "sip:example.org", nc, auth);
        phone_register_once(w, p, contact, auth);
    }
    phone_expect(p, "SIP/2.0 503");
    phone_expect_nothing(p);
    world_run(w, 20000);
    cr_assert_eq(w->instances[0]->sip->accounts[0].waiting, 0);
    phone_expect(p, "SIP/2.0 200");
    world_free(w);
}

/* A REGISTER that a proxy on the phone's own host has brought: what is for the contact goes back to
 * the proxy, not to the port that the contact names. */
Test(registrar, a_proxy_between_is_the_way_back)
{
    for (int proxied = 0; proxied < 2; proxied++) {
        struct phone *p = NULL;
        struct world *w = one_phone(&p, "alice");
        char auth[PHONE_TEXT] = "", address[ADDRESS_TEXT_CAP];
        handle at = 0;
        for (int i = 0; i < 2; i++) {
            phone_send(w, p,
                       "REGISTER sip:example.org SIP/2.0\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%d\n"
                       "%sFrom: <sip:alice@example.org>;tag=1\nTo: <sip:alice@example.org>\n"
                       "Call-ID: x\nCSeq: %d REGISTER\nContact: <sip:alice@10.1.0.1:7777>\n%s",
                       address_text(&p->address, address), i,
                       proxied != 0 ? "Via: SIP/2.0/UDP 10.1.0.1:7777;branch=z9hG4bKp\n" : "",
                       i + 1, auth);
            world_run(w, 20000);
            if (i == 0) {
                credentials(phone_expect(p, "SIP/2.0 401"), "alice", "secret", "REGISTER",
                            "sip:example.org", "00000001", auth);
            }
        }
        phone_expect(p, "SIP/2.0 200");
        struct world_instance *x = w->instances[0];
        uint32_t account = registrar_find(x->sip, SLICE_LITERAL("alice@example.org"));
        const struct registrar_binding *b = registrar_next(&x->turn, x->sip, account, &at);
        cr_assert_not_null(b);
        cr_expect_eq(b->flow.remote.port, proxied != 0 ? p->address.port : 7777);
        world_free(w);
    }
}
