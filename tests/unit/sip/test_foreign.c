/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to other domains: RFC 3263 with a name server of ours, what is tried next, who may ask,
 * where nothing is sent. */
#include "tests/unit/sip/phone_world.h"

#include "sip/foreign.h"
#include "sip/resolve.h"

/* One record; `data`: an address, "PRIORITY WEIGHT PORT TARGET", "ORDER PREFERENCE SERVICE
 * REPLACEMENT", or a name.  Records of one name and type stand together. */
struct entry {
    const char *name;
    enum dns_type type;
    const char *data;
    uint32_t ttl_s;
};

static const struct entry *zone;
static size_t zone_count;
static unsigned asked; /* questions so far */
static bool is_silent; /* the name server says nothing from now on */
static bool is_lost;   /* not even the resolver does */
static uint8_t answer[4096];
static size_t answer_len;
static char asked_last[DNS_NAME_CAP];

static void put_name(struct wr *w, const char *text)
{
    while (*text != '\0' && strcmp(text, ".") != 0) {
        size_t len = strcspn(text, ".");
        wr_u8(w, (uint8_t)len);
        wr_bytes(w, slice_of(text, len));
        text += len + (text[len] == '.' ? 1 : 0);
    }
    wr_u8(w, 0);
}

/* The next word of *text. */
static const char *word(const char **text, char out[DNS_NAME_CAP])
{
    *text += strspn(*text, " ");
    size_t len = strcspn(*text, " ");
    snprintf(out, DNS_NAME_CAP, "%.*s", (int)len, *text);
    *text += len;
    return out;
}

static uint16_t number(const char **text)
{
    char digits[DNS_NAME_CAP];
    return (uint16_t)strtoul(word(text, digits), NULL, 10);
}

static void put_data(struct wr *w, const struct entry *e)
{
    char text[DNS_NAME_CAP];
    const char *rest = e->data;
    struct address address;
    switch (e->type) {
    case DNS_A:
    case DNS_AAAA:
        cr_assert_eq(address_parse(slice_text(e->data), 0, &address), ERR_OK);
        wr_bytes(w, slice_of(address.ip, e->type == DNS_A ? 4 : 16));
        return;
    case DNS_SRV:
        wr_u16(w, number(&rest));
        wr_u16(w, number(&rest));
        wr_u16(w, number(&rest));
        put_name(w, word(&rest, text));
        return;
    case DNS_NAPTR:
        wr_u16(w, number(&rest));
        wr_u16(w, number(&rest));
        wr_u8(w, 1);
        wr_u8(w, 's');
        word(&rest, text);
        wr_u8(w, (uint8_t)strlen(text));
        wr_bytes(w, slice_text(text));
        wr_u8(w, 0);
        put_name(w, word(&rest, text));
        return;
    case DNS_CNAME:
        put_name(w, e->data);
        return;
    }
}

static void serve(struct world *w, int at, uint64_t tag, const uint8_t *data, size_t len)
{
    uint8_t *out = answer;
    struct world_instance *x = w->instances[at];
    uint16_t count = 0;
    struct wr m = wr_init(out, sizeof(answer));
    asked++;
    snprintf(asked_last, sizeof(asked_last), "%.*s", (int)(len - 2), (const char *)data + 2);
    if (is_lost) {
        return;
    }
    wr_u8(&m, is_silent ? RESOLVE_SILENT : RESOLVE_ANSWER);
    wr_u8(&m, data[0]);
    for (int i = 0; i < 6; i++) {
        wr_u16(&m, i == 1 ? 0x8180 : i == 2 ? 1 : 0);
    }
    put_name(&m, asked_last);
    wr_u16(&m, data[1]);
    wr_u16(&m, 1);
    for (size_t i = 0; i < zone_count; i++) {
        if (strcmp(zone[i].name, asked_last) == 0 &&
            (zone[i].type == data[1] || zone[i].type == DNS_CNAME)) {
            uint8_t rdata[512];
            struct wr d = wr_init(rdata, sizeof(rdata));
            put_data(&d, &zone[i]);
            put_name(&m, zone[i].name);
            wr_u16(&m, (uint16_t)zone[i].type);
            wr_u16(&m, 1);
            wr_u32(&m, zone[i].ttl_s == 0 ? 300 : zone[i].ttl_s);
            wr_u16(&m, (uint16_t)wr_slice(&d).len);
            wr_bytes(&m, wr_slice(&d));
            count++;
        }
    }
    cr_assert(wr_ok(&m));
    out[RESOLVE_MAIL_HEAD + 7] = (uint8_t)count;
    if (count == 0 && !is_silent) {
        out[0] = RESOLVE_NONE;
    }
    answer_len = wr_slice(&m).len;
    if (tag != 0) { /* 0: a test asks by itself */
        sip_on_dns(&x->turn, x->sip, tag, out, answer_len);
    }
}

#define ZONE(...)                                                                                  \
    do {                                                                                           \
        static const struct entry all[] = {__VA_ARGS__};                                           \
        zone = all;                                                                                \
        zone_count = ARRAY_COUNT(all);                                                             \
    } while (0)

/* A node whose phone alice is registered; servers of other domains are 10.1.0.2, .3, ... */
struct scene {
    struct world *w;
    struct phone *alice, *first, *second;
};

static struct scene begin(bool has_tls)
{
    struct scene x = {0};
    world_foreign = true;
    world_foreign_tls = has_tls;
    asked = 0;
    is_silent = is_lost = false;
    zone_count = 0;
    x.w = world_make();
    x.w->dns = serve;
    world_add_node(x.w, 1);
    x.alice = world_add_phone(x.w, "alice", 0);
    x.first = world_add_phone(x.w, "first", 0);
    x.second = world_add_phone(x.w, "second", 0);
    cr_assert(strncmp(phone_register(x.w, x.alice, "3600"), "SIP/2.0 200", 11) == 0);
    return x;
}

static void finish(struct scene *x)
{
    world_expect_empty(x->w);
    struct sip *s = x->w->instances[0]->sip;
    cr_expect_eq(s->foreigns.in_use, 0);
    cr_expect_eq(s->foreign_dials.in_use, 0);
    world_free(x->w);
    world_foreign = world_foreign_tls = false;
}

static void forget(struct phone *p)
{
    p->first = p->count = 0;
}

static void ask(struct scene *x, const char *method, const char *uri)
{
    phone_ask(x->w, x->alice, method, uri, "", NULL);
}

/* A call from alice that `first` answers. */
static void call_first(struct scene *x, struct dialog *caller)
{
    char invite[PHONE_TEXT];
    ask(x, "INVITE", "sip:bob@10.1.0.2");
    snprintf(invite, sizeof(invite), "%s", phone_expect(x->first, "INVITE"));
    phone_answer(x->w, x->first, invite, "200 OK");
    phone_expect(x->alice, "SIP/2.0 100");
    dialog_caller(caller, phone_expect(x->alice, "SIP/2.0 200"));
}

/* The whole of a call: naptr, srv, a; then a dialog that goes past the server, not through it. */
Test(foreign, call)
{
    struct scene x = begin(false);
    static struct dialog caller, callee;
    char text[PHONE_TEXT], rr[PHONE_TEXT];
    ZONE({"example.net", DNS_NAPTR, "20 10 SIP+D2T _sip._tcp.example.net", 0},
         {"example.net", DNS_NAPTR, "10 10 SIPS+D2T _sips._tcp.example.net", 0},
         {"example.net", DNS_NAPTR, "15 10 SIP+D2U _sip._udp.example.net", 0},
         {"_sip._udp.example.net", DNS_SRV, "10 0 5060 sip.example.net", 0},
         {"sip.example.net", DNS_A, "10.1.0.2", 0});
    ask(&x, "INVITE", "sip:bob@Example.NET");
    cr_expect_eq(asked, 3, "NAPTR, SRV, A; AAAA not, this node has no IPv6: %u", asked);
    snprintf(text, sizeof(text), "%s", phone_expect(x.first, "INVITE sip:bob@Example.NET SIP/2.0"));
    cr_expect_not_null(strstr(lines_of(text, "Record-Route", rr), "<sip:"));
    cr_expect_null(strstr(text, "Proxy-Authorization"), "our realm's credentials stay here");
    dialog_callee(&callee, x.first, text);
    phone_answer(x.w, x.first, text, "200 OK");
    phone_expect(x.alice, "SIP/2.0 100");
    dialog_caller(&caller, phone_expect(x.alice, "SIP/2.0 200"));
    /* The Contact is that of another host: its requests go there. */
    snprintf(caller.target, sizeof(caller.target), "sip:bob@10.1.0.3:5060");
    phone_in_dialog(x.w, x.alice, &caller, "ACK");
    phone_expect(x.second, "ACK sip:bob@10.1.0.3:5060");
    phone_expect_nothing(x.first);
    phone_in_dialog(x.w, x.second, &callee, "BYE"); /* from wherever it comes */
    phone_answer(x.w, x.alice, phone_expect(x.alice, "BYE"), "200 OK");
    phone_expect(x.second, "SIP/2.0 200");
    phone_in_dialog(x.w, x.alice, &caller, "BYE");
    phone_answer(x.w, x.second, phone_expect(x.second, "BYE sip:bob@10.1.0.3:5060"), "200 OK");
    phone_expect(x.alice, "SIP/2.0 200");
    finish(&x);
}

/* What other proxies have recorded is obeyed. */
Test(foreign, route_of_another_proxy)
{
    struct scene x = begin(false);
    static struct dialog caller;
    call_first(&x, &caller);
    snprintf(caller.target, sizeof(caller.target), "sip:bob@192.0.2.9");
    size_t len = strlen(caller.routes);
    snprintf(caller.routes + len, sizeof(caller.routes) - len, "Route: <sip:10.1.0.3;lr>\n");
    phone_in_dialog(x.w, x.alice, &caller, "BYE");
    const char *bye = phone_expect(x.second, "BYE sip:bob@192.0.2.9");
    cr_expect_not_null(strstr(bye, "Route: <sip:10.1.0.3;lr>"));
    phone_answer(x.w, x.second, bye, "200 OK");
    phone_expect(x.alice, "SIP/2.0 200");
    finish(&x);
}

Test(foreign, the_next_one)
{
    struct scene x = begin(false);
    ZONE({"_sip._udp.example.net", DNS_SRV, "10 0 5060 a.example.net", 0},
         {"_sip._udp.example.net", DNS_SRV, "20 0 5060 b.example.net", 0},
         {"a.example.net", DNS_A, "10.1.0.2", 0}, {"b.example.net", DNS_A, "10.1.0.3", 0});
    ask(&x, "INVITE", "sip:bob@example.net"); /* says 503 */
    phone_answer(x.w, x.first, phone_expect(x.first, "INVITE"), "503 No");
    phone_expect(x.first, "ACK");
    phone_answer(x.w, x.second, phone_expect(x.second, "INVITE"), "486 Busy");
    phone_expect(x.second, "ACK");
    phone_expect(x.alice, "SIP/2.0 100");
    phone_expect(x.alice, "SIP/2.0 486");
    cr_expect_eq(world_metric(x.w, METRIC_sip_foreign_failovers), 1);
    world_run(x.w, 40000000);
    forget(x.alice);                           /* nobody acknowledges the 486 */
    ask(&x, "MESSAGE", "sip:bob@example.net"); /* says nothing */
    world_run(x.w, 7000000);
    while (x.first->count > 0) {
        phone_expect(x.first, "MESSAGE");
    }
    phone_answer(x.w, x.second, phone_expect(x.second, "MESSAGE"), "200 OK");
    phone_expect(x.alice, "SIP/2.0 200");
    world_run(x.w, 40000000);
    forget(x.first);
    forget(x.second);
    ask(&x, "OPTIONS", "sip:bob@example.net"); /* nobody can */
    phone_answer(x.w, x.first, phone_expect(x.first, "OPTIONS"), "503 No");
    phone_answer(x.w, x.second, phone_expect(x.second, "OPTIONS"), "503 No");
    phone_expect(x.alice, "SIP/2.0 500");
    finish(&x);
}

/* RFC 2782: about as often as their weights say, and none never. */
Test(foreign, weights)
{
    struct scene x = begin(false);
    struct world_instance *at = x.w->instances[0];
    unsigned count[4] = {0};
    static struct resolve r;
    struct resolve_target target;
    struct sip_uri uri;
    ZONE({"_sip._udp.example.net", DNS_SRV, "10 60 5060 a.example.net", 0},
         {"_sip._udp.example.net", DNS_SRV, "10 30 5060 b.example.net", 0},
         {"_sip._udp.example.net", DNS_SRV, "10 10 5060 c.example.net", 0},
         {"_sip._udp.example.net", DNS_SRV, "5 0 5060 d.example.net", 0},
         {"a.example.net", DNS_A, "10.1.0.10", 0}, {"b.example.net", DNS_A, "10.1.0.11", 0},
         {"c.example.net", DNS_A, "10.1.0.12", 0}, {"d.example.net", DNS_A, "10.1.0.13", 0});
    ask(&x, "OPTIONS", "sip:bob@example.net"); /* all answers come into the cache */
    world_run(x.w, 26000000);
    cr_assert_eq(sip_uri_decode(SLICE_LITERAL("sip:example.net"), &uri), ERR_OK);
    for (int i = 0; i < 1000; i++) {
        cr_assert_eq(resolve_begin(at->sip, &r, &uri, 1, 1), ERR_OK);
        cr_assert_eq(resolve_next(&at->turn, at->sip, &r, &target), ERR_OK);
        cr_assert_eq(target.address.ip[3], 13, "the lowest priority comes first");
        unsigned seen = 0;
        for (int k = 0; k < 3; k++) {
            cr_assert_eq(resolve_next(&at->turn, at->sip, &r, &target), ERR_OK);
            seen |= 1u << (target.address.ip[3] - 10);
            count[target.address.ip[3] - 10] += k == 0 ? 1 : 0;
        }
        cr_assert_eq(seen, 7u, "each once");
        cr_assert_eq(resolve_next(&at->turn, at->sip, &r, &target), ERR_NOT_FOUND);
    }
    cr_expect(count[0] > 540 && count[0] < 660, "%u of 600", count[0]);
    cr_expect(count[1] > 240 && count[1] < 360, "%u of 300", count[1]);
    cr_expect(count[2] > 60 && count[2] < 150, "%u of 100", count[2]);
    finish(&x);
}

/* Nobody sends through us but phones of ours. */
Test(foreign, no_relay)
{
    struct scene x = begin(false);
    static struct dialog caller;
    char via[256];
    phone_send(x.w, x.first,
               "INVITE sip:bob@10.1.0.3 SIP/2.0\nVia: %s\nFrom: <sip:eve@example.net>;tag=1\n"
               "To: <sip:bob@10.1.0.3>\nCall-ID: r1\nCSeq: 1 INVITE\nContact: <sip:x@10.1.0.2>\n",
               phone_via(x.first, "r1", via));
    phone_expect(x.first, "SIP/2.0 403");
    phone_send(x.w, x.first,
               "INVITE sip:bob@10.1.0.3 SIP/2.0\nVia: %s\nFrom: <sip:alice@example.org>;tag=1\n"
               "To: <sip:bob@10.1.0.3>\nCall-ID: r2\nCSeq: 1 INVITE\nContact: <sip:x@10.1.0.2>\n",
               phone_via(x.first, "r2", via));
    phone_expect(x.first, "SIP/2.0 407");
    /* The callee learns the route set of a call, and with it the token of its own side. */
    call_first(&x, &caller);
    snprintf(caller.target, sizeof(caller.target), "sip:victim@10.1.0.3");
    phone_in_dialog(x.w, x.first, &caller, "MESSAGE"); /* as alice, but not from her phone */
    phone_expect(x.first, "SIP/2.0 407");
    phone_in_dialog(x.w, x.first, &caller, "ACK");
    snprintf(caller.local, sizeof(caller.local), "<sip:eve@example.net>;tag=1");
    phone_in_dialog(x.w, x.first, &caller, "MESSAGE");
    phone_expect(x.first, "SIP/2.0 403");
    phone_expect_nothing(x.second);
    cr_expect_eq(asked, 0);
    finish(&x);
}

Test(foreign, off)
{
    struct scene x = begin(false);
    world_foreign = false;
    int plain = world_add_node(x.w, 1);
    struct phone *bob = world_add_phone(x.w, "bob", plain);
    phone_register(x.w, bob, "3600");
    phone_ask(x.w, bob, "OPTIONS", "sip:x@10.1.0.2", "", NULL);
    phone_expect(bob, "SIP/2.0 404");
    world_know(x.w, "carol@example.org"); /* our own domain is never looked for elsewhere */
    ask(&x, "OPTIONS", "sip:carol@example.org");
    phone_expect(x.alice, "SIP/2.0 480");
    ask(&x, "OPTIONS", "sip:carol@10.0.0.1");
    phone_expect(x.alice, "SIP/2.0 480");
    cr_expect_eq(asked, 0);
    finish(&x);
}

/* Numbers, ports and maddr (RFC 3263 4.1, 4.2), and what is never dialled. */
Test(foreign, targets)
{
    struct scene x = begin(false);
    static const struct {
        const char *uri, *status;
    } cases[] = {
        {"sip:b@127.0.0.1", "SIP/2.0 403"},
        {"sip:b@224.0.1.75", "SIP/2.0 403"},
        {"sip:b@169.254.1.1", "SIP/2.0 403"},
        {"sip:b@10.1.0.2:1023", "SIP/2.0 403"},
        {"sip:b@h.example;maddr=239.1.1.1", "SIP/2.0 403"},
        {"sip:b@10.1.0.2;transport=sctp", "SIP/2.0 503"},
        {"sip:b@10.1.0.2;transport=tls", "SIP/2.0 503"},
        {"sip:b@nobody.example", "SIP/2.0 404"},
        {"sip:b@alias.example", "SIP/2.0 504"},
        {"sip:b@loop.example:5060", "SIP/2.0 403"},
        {"sip:b@10.0.0.1:6085;transport=tcp", "SIP/2.0 403"}, /* our side for peers */
        {"sip:b@closed.example", "SIP/2.0 404"},
        {"sip:b@x_y.example:5062;maddr=nobody.example", "SIP/2.0 404"},
    };
    ZONE({"loop.example", DNS_A, "10.0.0.1", 0}, /* that is us */
         {"alias.example", DNS_CNAME, "alias.example", 0},
         {"_sip._udp.closed.example", DNS_SRV, "0 0 0 .", 0},
         {"closed.example", DNS_A, "10.1.0.2", 0}, {"srv.example", DNS_A, "10.1.0.3", 0});
    struct sip_settings *settings = &x.w->instances[0]->sip->settings;
    settings->inner[1] = settings->advertised;
    settings->inner[1].port = 6085;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        ask(&x, "OPTIONS", cases[i].uri);
        const char *got = phone_get(x.alice);
        cr_expect(strncmp(got, cases[i].status, 11) == 0, "%s: %s", cases[i].uri, got);
    }
    phone_expect_nothing(x.first);
    /* IPv4 in disguise, which the kernel would see through and comparing with our own does not. */
    cr_assert_eq(address_parse(SLICE_LITERAL("2001:db8::1"), 5060, &settings->second), ERR_OK);
    ask(&x, "OPTIONS", "sip:b@[::ffff:192.0.2.9]");
    phone_expect(x.alice, "SIP/2.0 403");
    settings->second = (struct address){0};
    ask(&x, "OPTIONS", "sip:b@somewhere.example:5060;maddr=10.1.0.2");
    phone_answer(x.w, x.first, phone_expect(x.first, "OPTIONS sip:b@somewhere.example:5060;maddr"),
                 "200 OK");
    phone_expect(x.alice, "SIP/2.0 200");
    unsigned before = asked;
    ask(&x, "OPTIONS", "sip:b@srv.example:5060"); /* with a port: neither NAPTR nor SRV */
    cr_expect_eq(asked, before + 1);
    phone_answer(x.w, x.second, phone_expect(x.second, "OPTIONS"), "200 OK");
    phone_expect(x.alice, "SIP/2.0 200");
    finish(&x);
}

Test(foreign, cache)
{
    struct scene x = begin(false);
    ZONE({"a.example", DNS_A, "10.1.0.2", 60}, {"b.example", DNS_A, "10.1.0.2", UINT32_MAX});
    for (int i = 0; i < 3; i++) {
        ask(&x, "OPTIONS", "sip:b@a.example:5060");
        phone_answer(x.w, x.first, phone_expect(x.first, "OPTIONS"), "200 OK");
        phone_expect(x.alice, "SIP/2.0 200");
    }
    cr_expect_eq(asked, 1);
    cr_expect_eq(world_metric(x.w, METRIC_sip_dns_cached), 2);
    world_run(x.w, 61000000);
    ask(&x, "OPTIONS", "sip:b@a.example:5060");
    phone_answer(x.w, x.first, phone_expect(x.first, "OPTIONS"), "200 OK");
    cr_expect_eq(asked, 2, "its time is over");
    forget(x.alice);
    for (int i = 0; i < 2; i++) { /* a time of more than 31 bits is none (RFC 2181 8) */
        ask(&x, "OPTIONS", "sip:b@b.example:5060");
        phone_answer(x.w, x.first, phone_expect(x.first, "OPTIONS"), "200 OK");
        forget(x.alice);
    }
    cr_expect_eq(asked, 4);
    for (int i = 0; i < 12; i++) { /* one account has eight places, and no more */
        char uri[64];
        snprintf(uri, sizeof(uri), "sip:b@n%d.example:5060", i);
        ask(&x, "OPTIONS", uri);
        forget(x.alice);
    }
    uint32_t used = 0;
    const struct sip *s = x.w->instances[0]->sip;
    for (uint32_t i = 0; i < s->settings.limits->sip_dns_cache; i++) {
        used += s->resolved[i].until_us > x.w->now_us ? 1 : 0;
    }
    cr_expect_eq(used, 8);
    cr_expect_gt(world_metric(x.w, METRIC_sip_dns_evicted), 0);
    unsigned before = asked;
    ask(&x, "OPTIONS", "sip:b@n11.example:5060");
    phone_expect(x.alice, "SIP/2.0 404");
    cr_expect_eq(asked, before, "that there is nothing is remembered too");
    finish(&x);
}

Test(foreign, silence)
{
    struct scene x = begin(false);
    is_silent = true;
    ask(&x, "OPTIONS", "sip:b@example.net");
    phone_expect(x.alice, "SIP/2.0 504");
    cr_expect_eq(asked, 1, "what depends on the answer is not asked");
    ask(&x, "OPTIONS", "sip:b@example.net");
    phone_expect(x.alice, "SIP/2.0 504");
    cr_expect_eq(asked, 2, "silence is not remembered");
    is_lost = true;
    ask(&x, "INVITE", "sip:b@example.net");
    world_run(x.w, 16000000);
    phone_expect(x.alice, "SIP/2.0 100");
    phone_expect(x.alice, "SIP/2.0 504");
    finish(&x);
}

static void cancel(struct scene *x)
{
    char head[PHONE_TEXT], request[PHONE_TEXT];
    snprintf(request, sizeof(request), "%s", x->alice->last_request);
    char via[PHONE_TEXT], from[PHONE_TEXT], to[PHONE_TEXT], id[PHONE_TEXT];
    snprintf(head, sizeof(head), "%.*s", (int)strcspn(request + 7, " "), request + 7);
    phone_send(x->w, x->alice,
               "CANCEL %s SIP/2.0\n%sFrom: %s\nTo: %s\nCall-ID: %s\n"
               "CSeq: 2 CANCEL\nMax-Forwards: 70\n",
               head, lines_of(request, "Via", via), value_of(request, "From", from),
               value_of(request, "To", to), value_of(request, "Call-ID", id));
}

Test(foreign, cancelled)
{
    struct scene x = begin(false);
    is_lost = true;
    ask(&x, "INVITE", "sip:b@example.net");
    phone_expect(x.alice, "SIP/2.0 100");
    cancel(&x);
    phone_expect(x.alice, "SIP/2.0 200");
    phone_expect(x.alice, "SIP/2.0 487");
    cr_expect_eq(x.w->instances[0]->sip->foreigns.in_use, 0);
    ask(&x, "INVITE", "sip:b@10.1.0.2");
    while (strncmp(phone_get(x.alice), "SIP/2.0 100", 11) != 0) {}
    phone_answer(x.w, x.first, phone_expect(x.first, "INVITE"), "180 Ringing");
    phone_expect(x.alice, "SIP/2.0 180");
    cancel(&x);
    phone_expect(x.first, "CANCEL");
    finish(&x);
}

Test(foreign, connections)
{
    struct scene x = begin(true);
    x.second->is_server = true;
    ZONE({"_sip._tcp.example.net", DNS_SRV, "10 0 5060 a.example.net", 0},
         {"_sip._tcp.example.net", DNS_SRV, "20 0 5060 b.example.net", 0},
         {"example.com", DNS_NAPTR, "1 1 SIP+D2U _sip._udp.example.com", 0},
         {"example.com", DNS_NAPTR, "2 1 SIPS+D2T _sips._tcp.example.com", 0},
         {"_sips._tcp.example.com", DNS_SRV, "10 0 5060 b.example.net", 0},
         {"a.example.net", DNS_A, "10.1.0.2", 0}, {"b.example.net", DNS_A, "10.1.0.3", 0});
    for (int i = 0; i < 2; i++) {
        ask(&x, "OPTIONS", "sip:b@example.net;transport=tcp");
        const char *options = phone_expect(x.second, "OPTIONS");
        cr_expect_not_null(strstr(options, "Via: SIP/2.0/TCP 10.0.0.1:5060"));
        phone_answer(x.w, x.second, options, "200 OK");
        phone_expect(x.alice, "SIP/2.0 200");
    }
    /* The first refuses each time, the second is there after the first time. */
    cr_expect_eq(world_metric(x.w, METRIC_sip_foreign_dials), 3);
    cr_expect_eq(world_metric(x.w, METRIC_sip_foreign_dials_failed), 2);
    ask(&x, "OPTIONS", "sip:b@example.com;transport=tls"); /* TLS: a connection of its own */
    cr_expect_eq(world_metric(x.w, METRIC_sip_foreign_dials), 4);
    const char *options = phone_expect(x.second, "OPTIONS");
    cr_expect_not_null(strstr(options, "Via: SIP/2.0/TLS"));
    phone_answer(x.w, x.second, options, "200 OK");
    phone_expect(x.alice, "SIP/2.0 200");
    /* It closes under a request: that counts as refused by all. */
    ask(&x, "OPTIONS", "sip:b@example.net;transport=tcp");
    phone_expect(x.second, "OPTIONS");
    finish(&x);
}

/* RFC 3261 18.1.1: by TCP, though UDP was found; and by UDP if no connection can be had. */
Test(foreign, too_long_for_udp)
{
    struct scene x = begin(false);
    static char longest[1200];
    char lines[1300];
    memset(longest, 'x', sizeof(longest) - 1);
    snprintf(lines, sizeof(lines), "Subject: %s\n", longest);
    x.second->is_server = true;
    ZONE({"_sip._udp.example.net", DNS_SRV, "10 0 5060 b.example.net", 0},
         {"b.example.net", DNS_A, "10.1.0.3", 0});
    phone_ask(x.w, x.alice, "INFO", "sip:b@example.net", lines, NULL);
    const char *info = phone_expect(x.second, "INFO");
    cr_expect_not_null(strstr(info, "Via: SIP/2.0/TCP 10.0.0.1:5060"), "%s", info);
    phone_answer(x.w, x.second, info, "200 OK");
    phone_expect(x.alice, "SIP/2.0 200");
    cr_expect_eq(world_metric(x.w, METRIC_sip_foreign_dials), 1);
    cr_expect_eq(world_metric(x.w, METRIC_sip_foreign_too_long), 1);
    /* 1,300 bytes as they leave are the limit */
    ZONE({"_sip._udp.example.com", DNS_SRV, "10 0 5060 a.example.com", 0},
         {"a.example.com", DNS_A, "10.1.0.2", 0});
    ask(&x, "INFO", "sip:b@example.com");
    info = phone_expect(x.first, "INFO");
    cr_expect_not_null(strstr(info, "Via: SIP/2.0/UDP"), "%s", info);
    size_t spare = FOREIGN_DATAGRAM_CAP - strlen(info) - 40; /* numbers of more digits */
    phone_answer(x.w, x.first, info, "200 OK");
    phone_expect(x.alice, "SIP/2.0 200");
    snprintf(lines, sizeof(lines), "Subject: %.*s\n", (int)spare, longest);
    phone_ask(x.w, x.alice, "INFO", "sip:b@example.com", lines, NULL);
    info = phone_expect(x.first, "INFO");
    cr_expect_leq(strlen(info), FOREIGN_DATAGRAM_CAP);
    cr_expect_not_null(strstr(info, "Via: SIP/2.0/UDP"), "%s", info);
    phone_answer(x.w, x.first, info, "200 OK");
    phone_expect(x.alice, "SIP/2.0 200");
    /* it takes no connections */
    snprintf(lines, sizeof(lines), "Subject: %s\n", longest);
    phone_ask(x.w, x.alice, "INFO", "sip:b@example.com", lines, NULL);
    info = phone_expect(x.first, "INFO");
    cr_expect_not_null(strstr(info, "Via: SIP/2.0/UDP 10.0.0.1:5060"), "%s", info);
    phone_answer(x.w, x.first, info, "200 OK");
    phone_expect(x.alice, "SIP/2.0 200");
    cr_expect_eq(world_metric(x.w, METRIC_sip_foreign_dials_failed), 1);
    finish(&x);
}

/* sips: over TLS or not at all, whatever the name server would like. */
Test(foreign, sips)
{
    struct scene x = begin(false);
    struct world_instance *at = x.w->instances[0];
    static struct resolve r;
    struct resolve_target target;
    struct sip_uri uri;
    ZONE({"example.com", DNS_NAPTR, "1 1 SIP+D2U _sip._udp.example.com", 0},
         {"example.com", DNS_NAPTR, "2 1 SIPS+D2T _sips._tcp.example.com", 0},
         {"_sips._tcp.example.com", DNS_SRV, "10 0 5070 b.example.com", 0},
         {"b.example.com", DNS_A, "10.1.0.3", 0});
    static const char *const never[] = {"sips:b@example.com", "sips:b@10.1.0.3;transport=udp"};
    for (size_t i = 0; i < ARRAY_COUNT(never); i++) {
        cr_assert_eq(sip_uri_decode(slice_text(never[i]), &uri), ERR_OK);
        cr_expect_eq(resolve_begin(at->sip, &r, &uri, 1, 1), ERR_UNSUPPORTED);
    }
    ask(&x, "OPTIONS", "sip:b@example.com;transport=tls");
    phone_expect(x.alice, "SIP/2.0 503");
    at->sip->settings.foreign_tls = true;
    cr_assert_eq(sip_uri_decode(SLICE_LITERAL("sips:b@example.com"), &uri), ERR_OK);
    cr_assert_eq(resolve_begin(at->sip, &r, &uri, 0, 1), ERR_OK);
    for (int i = 0; i < 3; i++) { /* NAPTR, SRV, A */
        cr_assert_eq(resolve_next(&at->turn, at->sip, &r, &target), ERR_PENDING);
        world_run(x.w, 0);
        cr_assert(resolve_on_answer(&at->turn, at->sip, &r, slice_of(answer, answer_len)));
    }
    cr_assert_eq(resolve_next(&at->turn, at->sip, &r, &target), ERR_OK);
    cr_expect_eq(target.kind, SIP_TLS);
    cr_expect_eq(target.address.port, 5070);
    cr_expect_eq(target.address.ip[3], 3);
    cr_expect_eq(resolve_next(&at->turn, at->sip, &r, &target), ERR_NOT_FOUND);
    finish(&x);
}

/* One account does not take all places. */
Test(foreign, share)
{
    struct scene x = begin(false);
    is_lost = true;
    x.w->instances[0]->sip->settings.limits = &x.w->instances[0]->limits;
    x.w->instances[0]->limits.sip_foreign_per_source = 2;
    for (int i = 0; i < 2; i++) {
        ask(&x, "OPTIONS", "sip:b@example.net");
        phone_expect_nothing(x.alice);
    }
    ask(&x, "OPTIONS", "sip:b@example.net");
    phone_expect(x.alice, "SIP/2.0 503");
    cr_expect_eq(world_metric(x.w, METRIC_sip_refused_share), 1);
    finish(&x);
}

/* A call of alice's to `uri`, answered by `who`, whose Contact is `target`. */
static void talk(struct scene *x, const char *uri, struct phone *who, const char *target,
                 struct dialog *caller)
{
    char invite[PHONE_TEXT];
    ask(x, "INVITE", uri);
    snprintf(invite, sizeof(invite), "%s", phone_expect(who, "INVITE"));
    phone_answer(x->w, who, invite, "200 OK");
    phone_expect(x->alice, "SIP/2.0 100");
    dialog_caller(caller, phone_expect(x->alice, "SIP/2.0 200"));
    snprintf(caller->target, sizeof(caller->target), "%s", target);
    phone_in_dialog(x->w, x->alice, caller, "ACK");
    phone_expect(who, "ACK");
}

static void bye(struct scene *x, struct phone *who, struct dialog *caller)
{
    phone_in_dialog(x->w, x->alice, caller, "BYE");
    phone_answer(x->w, who, phone_expect(who, "BYE"), "200 OK");
    phone_expect(x->alice, "SIP/2.0 200");
}

/* Inside a dialog a number is reached over a connection on which the domain of that dialog has been
 * proved, never another's; and a maddr makes no number of a name. */
Test(foreign, number_in_a_dialog)
{
    struct scene x = begin(true);
    static struct dialog good, evil;
    static const char number[] = "sip:bob@10.1.0.3:5060;transport=tls";
    x.second->is_server = true;
    ZONE({"_sips._tcp.good.example", DNS_SRV, "10 0 5060 b.example", 0},
         {"_sips._tcp.evil.example", DNS_SRV, "10 0 5060 b.example", 0},
         {"b.example", DNS_A, "10.1.0.3", 0});
    talk(&x, "sip:bob@good.example.;transport=tls", x.second, number, &good);
    handle conn = x.second->conn;
    bye(&x, x.second, &good);
    cr_expect_eq(world_metric(x.w, METRIC_sip_foreign_dials), 1, "the same domain and address");

    talk(&x, "sip:bob@evil.example;transport=tls", x.second, number, &evil);
    cr_expect_eq(world_metric(x.w, METRIC_sip_foreign_dials), 2);
    snprintf(evil.target, sizeof(evil.target),
             "sip:bob@good.example:5060;transport=tls;maddr=10.1.0.3");
    bye(&x, x.second, &evil); /* over good's own */
    cr_expect_eq(world_metric(x.w, METRIC_sip_foreign_dials), 2);
    world_close_conn(x.w, (int)handle_index(conn), true);
    x.second->is_closed = false;
    bye(&x, x.second, &evil);
    cr_expect_eq(world_metric(x.w, METRIC_sip_foreign_dials), 3, "evil's does not do for good");
    uint32_t index = 0;
    struct sip *s = x.w->instances[0]->sip;
    struct flow *f = NULL;
    unsigned named = 0;
    uint8_t hash[CRYPTO_SHA256_BYTES];
    x.w->instances[0]->turn.crypto->sha256(SLICE_LITERAL("good.example"), hash);
    while ((f = pool_next(&s->flows, &index)) != NULL) { /* good's ends again, evil's stays */
        if (memcmp(f->domain, hash, sizeof(f->domain)) == 0) {
            named++;
            world_close_conn(x.w, (int)handle_index(f->conn), true);
        }
    }
    cr_expect_eq(named, 1);
    x.second->is_closed = false;
    bye(&x, x.second, &good);
    cr_expect_eq(world_metric(x.w, METRIC_sip_foreign_dials), 4, "nor for a number of good's");
    finish(&x);
}

/* Over a connection of ours to another domain comes nothing but what is of a call; and what a token
 * of such a call opens is the way to other domains only. */
Test(foreign, uninvited)
{
    struct scene x = begin(false);
    static struct dialog caller;
    char via[256];
    x.second->is_server = true;
    talk(&x, "sip:bob@10.1.0.3;transport=tcp", x.second, "sip:bob@10.1.0.3;transport=tcp", &caller);
    static const char *const methods[] = {"REGISTER", "MESSAGE", "ACK"};
    for (size_t i = 0; i < ARRAY_COUNT(methods); i++) {
        phone_send(x.w, x.second,
                   "%s sip:example.org SIP/2.0\nVia: %s\nFrom: <sip:first@example.org>;tag=1\n"
                   "To: <sip:first@example.org>\nCall-ID: u%zu\nCSeq: 1 %s\nMax-Forwards: 70\n"
                   "Contact: <sip:first@10.1.0.3>\n",
                   methods[i], phone_via(x.second, methods[i], via), i, methods[i]);
        if (i < 2) {
            phone_expect(x.second, "SIP/2.0 403");
        }
    }
    phone_expect_nothing(x.second);
    cr_expect_eq(world_metric(x.w, METRIC_sip_foreign_uninvited), 3);
    static const char *const targets[] = {"sip:carol@example.org", "tel:+1555", "sip:x@10.0.0.1"};
    for (size_t i = 0; i < ARRAY_COUNT(targets); i++) {
        snprintf(caller.target, sizeof(caller.target), "%s", targets[i]);
        phone_in_dialog(x.w, x.alice, &caller, "MESSAGE");
        phone_expect(x.alice, "SIP/2.0 404");
    }
    cr_expect_eq(asked, 0);
    finish(&x);
}

/* Nor are the places of phones' connections for other domains. */
Test(foreign, flows)
{
    struct scene x = begin(false);
    struct world_instance *at = x.w->instances[0];
    at->sip->settings.limits = &at->limits;
    at->limits.sip_foreign_flows_per_source = 1;
    x.first->is_server = x.second->is_server = true;
    ask(&x, "OPTIONS", "sip:b@10.1.0.2;transport=tcp");
    phone_answer(x.w, x.first, phone_expect(x.first, "OPTIONS"), "200 OK");
    phone_expect(x.alice, "SIP/2.0 200");
    ask(&x, "OPTIONS", "sip:b@10.1.0.3;transport=tcp");
    cr_expect(x.first->is_closed);
    cr_expect_eq(world_metric(x.w, METRIC_sip_foreign_evicted), 1);
    cr_expect_eq(at->sip->flows.in_use, 1);
    phone_expect(x.second, "OPTIONS"); /* which is not answered yet */
    ask(&x, "INVITE", "sip:b@10.1.0.2;transport=tcp");
    phone_expect(x.alice, "SIP/2.0 100");
    phone_expect(x.alice, "SIP/2.0 504");
    cr_expect_eq(world_metric(x.w, METRIC_sip_flows_refused), 1);
    cr_expect_eq(at->sip->flows.in_use, 1);
    at->limits.sip_foreign_flows_per_source = 2;
    at->limits.sip_foreign_flows = 1;
    ask(&x, "INVITE", "sip:b@10.1.0.2;transport=tcp");
    world_run(x.w, 100000);
    cr_expect_eq(at->sip->flows.in_use, 1, "nor of all together");
    finish(&x);
}

/* An answer that comes when its question was given up says nothing of the next one. */
Test(foreign, late_answer)
{
    struct scene x = begin(false);
    struct world_instance *at = x.w->instances[0];
    static struct resolve r;
    static uint8_t late[sizeof(answer)];
    struct resolve_target target;
    struct sip_uri uri;
    ZONE({"_sip._udp.example.net", DNS_SRV, "1 0 5060 none.example.net", 0},
         {"_sip._udp.example.net", DNS_SRV, "2 0 5060 b.example.net", 0},
         {"b.example.net", DNS_A, "10.1.0.2", 0});
    cr_assert_eq(sip_uri_decode(SLICE_LITERAL("sip:example.net;transport=udp"), &uri), ERR_OK);
    cr_assert_eq(resolve_begin(at->sip, &r, &uri, 0, 1), ERR_OK);
    cr_assert_eq(resolve_next(&at->turn, at->sip, &r, &target), ERR_PENDING);
    world_run(x.w, 0);
    cr_assert(resolve_on_answer(&at->turn, at->sip, &r, slice_of(answer, answer_len)));
    cr_assert_eq(resolve_next(&at->turn, at->sip, &r, &target), ERR_PENDING);
    world_run(x.w, 0);
    cr_assert_eq(answer[0], RESOLVE_NONE);
    memcpy(late, answer, answer_len);
    size_t late_len = answer_len;
    resolve_give_up(&r);
    cr_assert_eq(resolve_next(&at->turn, at->sip, &r, &target), ERR_PENDING);
    world_run(x.w, 0);
    cr_assert_str_eq(asked_last, "b.example.net");
    cr_expect_not(resolve_on_answer(&at->turn, at->sip, &r, slice_of(late, late_len)));
    cr_expect_not(resolve_on_answer(&at->turn, at->sip, &r, slice_of(late, 1)));
    cr_assert(resolve_on_answer(&at->turn, at->sip, &r, slice_of(answer, answer_len)));
    cr_assert_eq(resolve_next(&at->turn, at->sip, &r, &target), ERR_OK);
    cr_expect_eq(target.address.ip[3], 2);
    finish(&x);
}
