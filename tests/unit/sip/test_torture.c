/* SPDX-License-Identifier: Apache-2.0 */
/* test_torture.c - the messages of RFC 4475 and RFC 5118, byte for byte, at a node that is proxy
 * and registrar of example.com: what it answers, what it forwards, and that others are served
 * afterwards.  Most senders have no credentials here, so what is accepted as sound is challenged
 * (401, 407), or refused because From is of another domain (403).  tests/live/torture.py reads the
 * same table. */
#include "codec/sip_edit.h"
#include "tests/unit/codec/sip_fixture.h"
#include "tests/unit/sip/phone_world.h"
#include <criterion/criterion.h>

static const struct torture_answer {
    const char *file;
    const char *section;
    unsigned udp; /* status of the one answer; 0: none */
    unsigned tcp;
    bool is_closed; /* the connection, at once */
    const char *must;
} torture_answers[] = {
#define TORTURE(file, section, udp, tcp, then, must) {file, section, udp, tcp, then, must},
#include "tests/data/torture.def"
#undef TORTURE
};

static const char strange_user[] = "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*";
static const char *const torture_users[WORLD_ACCOUNTS] = {
    "user@example.com",    "j.user@example.com",
    "watson@example.com",  "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com",
    "mundane@example.com", "null-@example.com"};

static struct world *example_com(void)
{
    world_domain = "example.com";
    world_other_users = torture_users;
    world_digest = SIP_DIGEST_MD5;
    struct world *w = world_make();
    world_add_node(w, 1);
    return w;
}

/* The start line of what came, or "". */
static unsigned status_of(struct phone *p)
{
    return p->count == 0 ? 0 : (unsigned)strtoul(phone_get(p) + strlen("SIP/2.0 "), NULL, 10);
}

static void send_file(struct world *w, struct phone *p, const char *file)
{
    char path[64];
    snprintf(path, sizeof(path), "%s.dat", file);
    struct slice bytes = fixture_file(path);
    cr_assert(bytes.len > 0, "%s", path);
    phone_raw(w, p, (const char *)bytes.data, bytes.len);
    world_run(w, 1000);
    fixture_free(bytes);
}

/* Answers over UDP go to the port of the topmost Via (18.2.2), which is another in each message:
 * the phone is wherever they would go. */
static uint16_t via_port(const char *file)
{
    char path[64];
    struct sip_parser parser;
    struct sip_msg_core core;
    struct sip_fault fault;
    snprintf(path, sizeof(path), "%s.dat", file);
    struct slice bytes = fixture_file(path);
    sip_parser_init(&parser, false);
    (void)!sip_parser_datagram(&parser, bytes);
    (void)!sip_msg_check(&parser.msg, &core, &fault);
    uint16_t port = core.via.port == 0 ? 5060 : core.via.port;
    fixture_free(bytes);
    return port;
}

Test(torture, answers_over_udp)
{
    struct world *w = example_com();
    struct phone *p = world_add_phone(w, "user", 0);
    for (size_t i = 0; i < ARRAY_COUNT(torture_answers); i++) {
        const struct torture_answer *a = &torture_answers[i];
        p->address.port = via_port(a->file);
        send_file(w, p, a->file);
        unsigned status = status_of(p);
        cr_expect_eq(status, a->udp, "%s (%s): %u, not %u", a->file, a->section, status, a->udp);
        cr_expect_eq(p->count, 0, "%s: more than one answer", a->file);
        p->first = p->count = 0;
    }
    cr_expect_eq(w->dht.stores, 0);
    world_expect_empty(w);
    world_free(w);
}

Test(torture, answers_over_tcp)
{
    struct world *w = example_com();
    for (size_t i = 0; i < ARRAY_COUNT(torture_answers); i++) {
        const struct torture_answer *a = &torture_answers[i];
        w->phone_count = 0;
        memset(w->phones, 0, sizeof(w->phones));
        struct phone *p = world_add_tcp_phone(w, "user", 0);
        send_file(w, p, a->file);
        unsigned status = status_of(p);
        cr_expect_eq(status, a->tcp, "%s (%s): %u, not %u", a->file, a->section, status, a->tcp);
        cr_expect_eq(p->is_closed, a->is_closed, "%s: connection %s", a->file,
                     p->is_closed ? "closed" : "open");
        world_close_conn(w, (int)handle_index(p->conn), !p->is_closed);
    }
    world_expect_empty(w);
    world_free(w);
}

/* `file` with credentials of `user` behind its first line; method and URI as they stand there. */
static void send_authorised(struct world *w, struct phone *p, const char *file, const char *user)
{
    char line[PHONE_TEXT], method[128], uri[512], text[2048], ha1[65], ha2[65], answer[65];
    char nonce[256], challenge[PHONE_TEXT];
    uint8_t hash[CRYPTO_MD5_BYTES];
    p->address.port = via_port(file);
    send_file(w, p, file);
    int place = p->first;
    phone_expect(p, "SIP/2.0 40");
    for (size_t i = 0; i <= p->inbox_len[place]; i++) { /* a NUL may be inside */
        char c = p->inbox[place][i];
        challenge[i] = c == 0 && i < p->inbox_len[place] ? ' ' : c;
    }
    param_of(challenge, "nonce", nonce);
    snprintf(line, sizeof(line), "%s.dat", file);
    struct slice bytes = fixture_file(line);
    const char *space = memchr(bytes.data, ' ', bytes.len);
    const char *behind = strchr(space + 1, ' ');
    snprintf(method, sizeof(method), "%.*s", (int)(space - (const char *)bytes.data), bytes.data);
    snprintf(uri, sizeof(uri), "%.*s", (int)(behind - space - 1), space + 1);
    world_ha1(user, "secret", false, ha1);
    snprintf(text, sizeof(text), "%s:%s", method, uri);
    crypto_boring()->md5(slice_text(text), hash);
    ids_hex(slice_of(hash, sizeof(hash)), ha2);
    snprintf(text, sizeof(text), "%s:%s:00000001:0a:auth:%s", ha1, nonce, ha2);
    crypto_boring()->md5(slice_text(text), hash);
    ids_hex(slice_of(hash, sizeof(hash)), answer);
    size_t first = (size_t)((const uint8_t *)memchr(bytes.data, '\n', bytes.len) - bytes.data) + 1;
    int len = snprintf(line, sizeof(line),
                       "%.*s%s: Digest username=\"%.*s\", realm=\"example.com\", nonce=\"%s\", "
                       "uri=\"%s\", response=\"%s\", qop=auth, nc=00000001, cnonce=\"0a\"\r\n",
                       (int)first, (const char *)bytes.data,
                       strcmp(method, "REGISTER") == 0 ? "Authorization" : "Proxy-Authorization",
                       (int)strcspn(user, "@"), user, nonce, uri, answer);
    cr_assert_lt((size_t)len + bytes.len, sizeof(line));
    memcpy(line + len, bytes.data + first, bytes.len - first);
    phone_raw(w, p, line, (size_t)len + bytes.len - first);
    world_run(w, 50000);
    fixture_free(bytes);
}

/* Registers `contact`, or asks what is registered when that is empty (10.3 step 8). */
static const char *enroll(struct world *w, struct phone *p, const char *user, const char *contact)
{
    static char ok[PHONE_TEXT];
    static int number;
    char via[256], branch[32], text[1024], ha1[65], ha2[65], answer[65], nonce[256];
    char auth[PHONE_TEXT] = "";
    uint8_t hash[CRYPTO_MD5_BYTES];
    p->address.port = 5060;
    for (int i = 0; i < 2; i++) {
        snprintf(branch, sizeof(branch), "enroll%d", ++number);
        phone_send(w, p,
                   "REGISTER sip:example.com SIP/2.0\nVia: %s\nFrom: <sip:%s@example.com>;tag=g\n"
                   "To: <sip:%s@example.com>\nCall-ID: enroll\nCSeq: %d REGISTER\n%s%s",
                   phone_via(p, branch, via), user, user, number, contact, auth);
        world_run(w, 20000);
        if (i == 1) {
            break;
        }
        param_of(phone_expect(p, "SIP/2.0 401"), "nonce", nonce);
        world_ha1(user, "secret", false, ha1);
        crypto_boring()->md5(SLICE_LITERAL("REGISTER:sip:example.com"), hash);
        ids_hex(slice_of(hash, sizeof(hash)), ha2);
        snprintf(text, sizeof(text), "%s:%s:00000001:0a:auth:%s", ha1, nonce, ha2);
        crypto_boring()->md5(slice_text(text), hash);
        ids_hex(slice_of(hash, sizeof(hash)), answer);
        snprintf(auth, sizeof(auth),
                 "Authorization: Digest username=\"%s\", realm=\"example.com\", nonce=\"%s\", "
                 "uri=\"sip:example.com\", response=\"%s\", qop=auth, nc=00000001, cnonce=\"0a\"\n",
                 user, nonce, answer);
    }
    snprintf(ok, sizeof(ok), "%s", phone_expect(p, "SIP/2.0 200"));
    return ok;
}

static const char *bindings(struct world *w, struct phone *p, const char *user)
{
    return enroll(w, p, user, "");
}

/* 3.1.1.8: the octets behind the REGISTER are noise. */
Test(torture, registers_and_ignores_what_follows)
{
    struct world *w = example_com();
    struct phone *p = world_add_phone(w, "j.user", 0);
    send_authorised(w, p, "rfc4475/dblreq", "j.user@example.com");
    phone_expect(p, "SIP/2.0 200");
    phone_expect_nothing(p);
    cr_expect(strstr(bindings(w, p, "j.user"), "Contact: <sip:j.user@host.example.com>;") != NULL);
    cr_expect_eq(world_metric(w, METRIC_sip_requests_out), 0);
    world_expect_empty(w);
    world_free(w);
}

/* 3.3.12 to 3.3.14: parameters of the header and of the URI, and a header within the URI. */
Test(torture, contacts_are_kept_as_they_were_meant)
{
    struct world *w = example_com();
    struct phone *p = world_add_phone(w, "watson", 0);
    send_authorised(w, p, "rfc4475/cparam01", "watson@example.com");
    phone_expect(p, "SIP/2.0 200");
    const char *got = bindings(w, p, "watson");
    cr_expect(strstr(got, "Contact: <sip:+19725552222@gw1.example.net>;") != NULL, "%s", got);
    cr_expect(strstr(got, "unknownparam") == NULL, "%s", got);
    world_run(w, UINT64_C(40) * 1000000); /* both messages have the same branch */
    send_authorised(w, p, "rfc4475/cparam02", "watson@example.com");
    phone_expect(p, "SIP/2.0 200");
    got = bindings(w, p, "watson");
    cr_expect(strstr(got, "<sip:+19725552222@gw1.example.net;unknownparam>") != NULL, "%s", got);
    send_authorised(w, p, "rfc4475/regescrt", "user@example.com");
    phone_expect(p, "SIP/2.0 200");
    got = bindings(w, p, "user");
    cr_expect(strstr(got, "<sip:user@example.com?Route=%3Csip:sip.example.com%3E>") != NULL, "%s",
              got);
    world_expect_empty(w);
    world_free(w);
}

/* The request that `p` got begins so. */
static struct slice received(struct phone *p, const char *begin)
{
    cr_assert_eq(p->count, 1, "%s got %d messages", p->name, p->count);
    struct slice got = slice_of(p->inbox[p->first], p->inbox_len[p->first]);
    cr_assert(got.len > strlen(begin) && memcmp(got.data, begin, strlen(begin)) == 0,
              "not \"%s\" but:\n%.300s", begin, p->inbox[p->first]);
    p->first = p->count = 0;
    return got;
}

/* Does `line` (CRLF at both ends) stand in it? */
static bool has_line(struct slice text, struct slice line)
{
    return memmem(text.data, text.len, line.data, line.len) != NULL;
}

/* 3.1.1.2: "If this unusual URI has been defined at a proxy, the proxy will forward this request
 * normally. Otherwise, a proxy will generate a 404." */
Test(torture, the_unusual_request_is_forwarded)
{
    struct world *w = example_com();
    struct phone *a = world_add_phone(w, "mundane", 0), *b = world_add_phone(w, "strange", 0);
    enroll(w, a, "mundane", "Contact: <sip:m@10.1.0.1>\n");
    send_authorised(w, a, "rfc4475/intmeth", "mundane@example.com");
    /* an account without a record in the overlay is nobody; then with one, and a contact */
    phone_expect(a, "SIP/2.0 404");
    enroll(w, b, strange_user,
           "Contact: <sip:b@10.1.0.2;method=INVITE;x-y=1?Route=%3Csip:evil%3E>\n");
    world_run(w, UINT64_C(70) * 1000000); /* the transaction of before, and what was cached */
    send_authorised(w, a, "rfc4475/intmeth", "mundane@example.com");
    struct slice got =
        received(b, "!interesting-Method0123456789_*+`.%indeed'~ sip:b@10.1.0.2;x-y=1 SIP/2.0\r\n");
    cr_expect(has_line(got, SLICE_LITERAL("\r\nMax-Forwards: 254\r\n")));
    cr_expect(
        has_line(got, SLICE_LITERAL("\r\nextensionHeader-!.%*+_`'~: "
                                    "\xef\xbb\xbf\xe5\xa4\xa7\xe5\x81\x9c\xe9\x9b\xbb\r\n")) ||
        has_line(got, SLICE_LITERAL("\r\nextensionHeader-!.%*+_`'~:"
                                    "\xef\xbb\xbf\xe5\xa4\xa7\xe5\x81\x9c\xe9\x9b\xbb\r\n")));
    cr_expect(
        has_line(got, SLICE_LITERAL("\r\nTo: \"BEL:\\\x07 NUL:\\\0 DEL:\\\x7f\" <sip:1_unus")));
    cr_expect(has_line(got, SLICE_LITERAL("\r\nCall-ID: intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"]["
                                          "?}{\r\nCSeq: 139122385 !interesting-Method")));
    cr_expect(!has_line(got, SLICE_LITERAL("Proxy-Authorization")));
    world_expect_empty(w);
    world_free(w);
}

/* 3.1.1.4: the name with an escaped NUL is another one than what stands before it. */
Test(torture, a_nul_does_not_end_a_name)
{
    struct world *w = example_com();
    struct phone *p = world_add_phone(w, "null-", 0);
    char challenge[PHONE_TEXT];
    send_file(w, p, "rfc4475/escnull");
    snprintf(challenge, sizeof(challenge), "%s", phone_expect(p, "SIP/2.0 401"));
    enroll(w, p, "null-", "Contact: <sip:n@10.1.0.1>\n");
    p->address.port = 5060;
    send_authorised(w, p, "rfc4475/escnull", "null-@example.com");
    phone_expect(p, "SIP/2.0 40"); /* 401 or 403, never 200 */
    cr_expect_eq(w->instances[0]->sip->bindings.in_use, 1);
    world_expect_empty(w);
    world_free(w);
}

/* Every request that a proxy may forward, with the changes of a proxy: all other header fields and
 * the body are the same bytes (16.6), and the result is again a sound message. */
Test(torture, forwarding_changes_nothing_else)
{
    static uint8_t out[65536];
    unsigned forwarded = 0;
    for (size_t i = 0; i < ARRAY_COUNT(torture_answers); i++) {
        char path[64];
        struct sip_parser p, again;
        struct sip_msg_core core;
        struct sip_fault fault;
        struct sip_edit edit;
        size_t len = 0;
        snprintf(path, sizeof(path), "%s.dat", torture_answers[i].file);
        struct slice bytes = fixture_file(path);
        sip_parser_init(&p, false);
        sip_parser_init(&again, false);
        if (sip_parser_datagram(&p, bytes) != SIP_PARSE_OK ||
            sip_msg_check(&p.msg, &core, &fault) != ERR_OK || !p.msg.is_request ||
            core.max_forwards == 0) {
            fixture_free(bytes);
            continue;
        }
        forwarded++;
        sip_edit_init(&edit, &p.msg);
        sip_edit_push(&edit, SIP_HDR_VIA, SLICE_LITERAL("SIP/2.0/UDP us;branch=z9hG4bKus"));
        sip_edit_max_forwards(&edit, (uint8_t)(core.max_forwards - 1));
        cr_assert_eq(sip_edit_emit(&edit, out, sizeof(out), &len), ERR_OK, "%s", path);
        struct slice got = slice_of(out, len);
        cr_assert_eq(sip_parser_datagram(&again, got), SIP_PARSE_OK, "%s", path);
        cr_assert_eq(sip_msg_check(&again.msg, &core, &fault), ERR_OK, "%s", path);
        cr_expect(slice_is_equal(again.msg.body, p.msg.body), "%s", path);
        for (unsigned h = 0; h < p.msg.header_count; h++) {
            const struct sip_msg_header *x = &p.msg.headers[h];
            struct slice whole = slice_between(p.msg.bytes, x->start, x->end);
            cr_expect(x->id == SIP_HDR_MAX_FORWARDS || has_line(got, whole), "%s: %.*s", path,
                      (int)whole.len, (const char *)whole.data);
        }
        cr_expect(slice_is_equal(again.msg.request_uri, p.msg.request_uri), "%s", path);
        fixture_free(bytes);
    }
    cr_expect_geq(forwarded, 30, "only %u", forwarded);
}
