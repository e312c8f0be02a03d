/* SPDX-License-Identifier: Apache-2.0 */
/* phone_world.h - nodes with the real sip/ on a fake overlay, and phones that speak text.
 *
 * Virtual time; a datagram takes no time, an overlay request FAKE_DELAY_US.  Each instance is one
 * shard (= one peer).  Connections between peers are made when AppAttach was answered.  A phone
 * sends to one instance of its node (`entry`), which tests choose to exercise steering. Include in
 * one file of a test program, after criterion. */
#pragma once
#include "link/crypto_boring.h"
#include "sip/ha1.h"
#include "sip/sip_state.h"
#include "tests/unit/sip/fake_overlay.h"
#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Texts stand on the stack here, and no test uses every helper. */
#pragma GCC diagnostic ignored "-Wframe-larger-than="
#pragma GCC diagnostic ignored "-Wunused-function"

enum {
    WORLD_INSTANCES = 8,
    WORLD_PHONES = 8,
    WORLD_ACCOUNTS = 6,
    WORLD_CONNS = 128,
    PHONE_INBOX = 64,
    PHONE_TEXT = 6000
};

static const char *const world_users[WORLD_ACCOUNTS] = {"alice@example.org", "bob@example.org",
                                                        "carol@example.org", "dave@example.org",
                                                        "erin@example.org",  "mallory@example.org"};

/* Another domain and other accounts for the nodes that are added from now on; NULL: the above. */
static const char *world_domain, *const *world_other_users;
static bool world_foreign, world_foreign_tls; /* of the nodes that are added from now on */
static int world_digest = -1;                 /* enum sip_digest of all accounts; -1: they differ */

struct phone {
    char name[32]; /* "alice" */
    struct address address;
    int entry;   /* instance that gets its datagrams or its connection */
    handle conn; /* TCP: its connection; 0 = UDP */
    handle flow;
    bool is_closed;
    bool is_server; /* takes connections to its address */
    bool is_sink;   /* what comes is not kept */
    char inbox[PHONE_INBOX][PHONE_TEXT];
    size_t inbox_len[PHONE_INBOX]; /* there may be a NUL inside */
    int first, count;
    char stream[4 * PHONE_TEXT];
    size_t stream_len;
    int pongs;
    uint32_t cseq;
    uint32_t call;                 /* of its REGISTERs: each number another Call-ID */
    char last_request[PHONE_TEXT]; /* as sent */
};

struct world_conn {
    bool is_used;
    int at;      /* instance */
    int peer;    /* instance at the other end, or -1 */
    int phone;   /* or -1 */
    handle flow; /* of sip at `at` */
    int other;   /* index of the other end's conn */
};

struct world_instance {
    struct turn turn;
    struct rng rng;
    struct wheel wheel;
    struct msgbuf_pool buffers;
    struct io_outbox out;
    struct metrics metrics;
    struct log log;
    struct overlay overlay;
    struct sip *sip;
    int node;
    uint16_t shard;
    bool is_deaf; /* hears nothing from other peers, and dials none */
    struct sip_account accounts[WORLD_ACCOUNTS];
    struct ident idents[WORLD_ACCOUNTS];
    struct limits limits;
    void *memory;
};

struct world {
    uint64_t now_us;
    struct fake_dht dht;
    struct world_instance *instances[WORLD_INSTANCES];
    int count;
    struct phone phones[WORLD_PHONES];
    int phone_count;
    struct world_conn conns[WORLD_CONNS];
    uint32_t datagrams_lost; /* drop so many of the next datagrams to phones */
    const char *body;        /* of the next message that a phone sends */
    /* The control side: a question to the name server, by instance `at`. */
    void (*dns)(struct world *w, int at, uint64_t tag, const uint8_t *data, size_t len);
    FILE *trace; /* WORLD_TRACE=FILE: every message */
};

static struct node_id world_node_id(int instance)
{
    struct node_id id = {0};
    memset(id.bytes, 0x10 + instance, IDS_RING_BYTES);
    return id;
}

static void world_quiet(void *context, enum log_level level, const char *line, size_t len)
{
    (void)context, (void)level, (void)line, (void)len;
}

static void world_ha1(const char *user, const char *password, bool is_sha256, char *hex)
{
    char text[256];
    int len = snprintf(text, sizeof(text), "%.*s:%s:%s", (int)strcspn(user, "@"), user,
                       world_domain == NULL ? "example.org" : world_domain, password);
    ha1_hash(crypto_boring(), is_sha256, slice_of(text, (size_t)len), hex);
}

/* Adds a node of `shards` instances; returns the index of its first. */
static int world_add_node(struct world *w, uint16_t shards)
{
    int first = w->count;
    for (uint16_t k = 0; k < shards; k++) {
        struct world_instance *x = calloc(1, sizeof(*x));
        int at = w->count++;
        w->instances[at] = x;
        x->node = first;
        x->shard = k;
        limits_default(&x->limits);
        x->limits.sip_transactions = 512;
        x->limits.sip_proxies = x->limits.sip_branches = 256;
        x->limits.sip_lookups = x->limits.sip_registers = 64;
        x->limits.sip_bindings = 64;
        x->limits.sip_bindings_long = 8;
        x->limits.sip_flows = 32;
        x->limits.sip_dials = 16;
        x->limits.sip_events = 256;
        x->limits.sip_foreign = 16;
        x->limits.sip_dns_cache = 16;
        x->limits.sip_dns_cache_per_source = 8;
        x->limits.sip_foreign_dials = 8;
        struct sip_settings s = {.shard = k,
                                 .shards = shards,
                                 .self = world_node_id(at),
                                 .accounts = x->accounts,
                                 .account_count = WORLD_ACCOUNTS,
                                 .default_expires_s = 3600,
                                 .min_expires_s = 60,
                                 .max_expires_s = 7200,
                                 .foreign = world_foreign,
                                 .foreign_tls = world_foreign_tls,
                                 .limits = &x->limits};
        snprintf(s.domain, sizeof(s.domain), "%s",
                 world_domain == NULL ? "example.org" : world_domain);
        const char *const *users = world_other_users == NULL ? world_users : world_other_users;
        memset(s.secret, 0x55 + first, sizeof(s.secret));
        for (uint16_t i = 0; i < shards; i++) {
            s.siblings[i] = world_node_id(first + i);
        }
        char text[ADDRESS_TEXT_CAP];
        snprintf(text, sizeof(text), "10.0.0.%d:5060", first + 1);
        cr_assert_eq(address_parse(slice_text(text), 0, &s.advertised), ERR_OK);
        for (int i = 0; i < WORLD_ACCOUNTS; i++) {
            snprintf(x->accounts[i].user, sizeof(x->accounts[i].user), "%s", users[i]);
            world_ha1(users[i], "secret", false, x->accounts[i].ha1_md5);
            world_ha1(users[i], "secret", true, x->accounts[i].ha1_sha256);
            x->accounts[i].digest = world_digest >= 0 ? (enum sip_digest)world_digest
                                    : i % 2 == 0      ? SIP_DIGEST_MD5
                                                      : SIP_DIGEST_SHA256_MD5;
            memset(x->idents[i].node_id.bytes, 0x80 + first * 8 + i, IDS_RING_BYTES);
            x->accounts[i].ident = &x->idents[i];
        }
        size_t bytes = sip_bytes(&s) + io_outbox_bytes(1024) + (size_t)1024 * 2600 + 64 * 19000;
        x->memory = calloc(1, bytes);
        struct arena arena;
        arena_init(&arena, x->memory, bytes);
        rng_init(&x->rng, (uint64_t)at + 1);
        wheel_init(&x->wheel, w->now_us);
        msgbuf_pool_init(&x->buffers, &arena, 1024, 64);
        io_outbox_init(&x->out, &arena, 1024);
        log_init(&x->log, world_quiet, NULL, LOG_ERROR, 0);
        x->turn = (struct turn){.now_us = w->now_us,
                                .wall_ms = 1,
                                .rng = &x->rng,
                                .crypto = crypto_boring(),
                                .wheel = &x->wheel,
                                .buffers = &x->buffers,
                                .out = &x->out,
                                .metrics = &x->metrics,
                                .log = &x->log};
        x->overlay.dht = &w->dht;
        x->overlay.self = s.self;
        x->sip = sip_init(&x->turn, &arena, &s, &x->overlay);
    }
    return first;
}

static struct world *world_make(void)
{
    struct world *w = calloc(1, sizeof(*w));
    w->now_us = 1000000000;
    w->trace = getenv("WORLD_TRACE") == NULL ? NULL : fopen(getenv("WORLD_TRACE"), "w");
    return w;
}

static void world_free(struct world *w)
{
    for (int i = 0; i < w->count; i++) {
        free(w->instances[i]->memory);
        free(w->instances[i]);
    }
    if (w->trace != NULL) {
        fclose(w->trace);
    }
    free(w);
}

/* A certificate under Kind 0x10: the user is known, registered or not. */
static void world_know(struct world *w, const char *user)
{
    struct overlay_resource resource;
    uint8_t key[16] = {1};
    overlay_resource_of(&w->instances[0]->turn, slice_text(user), &resource);
    fake_put(&w->dht, &resource, OVERLAY_KIND_CERTIFICATE_BY_USER, slice_of(key, 16),
             SLICE_LITERAL("certificate"), true, UINT64_MAX);
}

/* ---- phones */

static struct phone *world_add_phone(struct world *w, const char *name, int entry)
{
    struct phone *p = &w->phones[w->phone_count];
    char text[ADDRESS_TEXT_CAP];
    snprintf(p->name, sizeof(p->name), "%s", name);
    snprintf(text, sizeof(text), "10.1.0.%d:5060", ++w->phone_count);
    cr_assert_eq(address_parse(slice_text(text), 0, &p->address), ERR_OK);
    p->entry = entry;
    return p;
}

static handle world_conn_add(struct world *w, int at, int peer, int phone)
{
    for (int i = 1; i < WORLD_CONNS; i++) {
        if (!w->conns[i].is_used) {
            w->conns[i] =
                (struct world_conn){.is_used = true, .at = at, .peer = peer, .phone = phone};
            return handle_make(HANDLE_CONN, 1, (uint32_t)i);
        }
    }
    cr_assert_fail("no conn");
    return 0;
}

static struct phone *world_add_tcp_phone(struct world *w, const char *name, int entry)
{
    struct phone *p = world_add_phone(w, name, entry);
    struct world_instance *x = w->instances[entry];
    p->conn = world_conn_add(w, entry, -1, w->phone_count - 1);
    x->turn.now_us = w->now_us;
    p->flow = sip_flow_accepted(&x->turn, x->sip, SIP_TCP, p->conn, &p->address);
    cr_assert_neq(p->flow, 0);
    w->conns[handle_index(p->conn)].flow = p->flow;
    return p;
}

static void phone_deliver(struct world *w, struct phone *p, const void *data, size_t len)
{
    if (p->is_sink) {
        return;
    }
    cr_assert_lt(p->count, PHONE_INBOX, "inbox of %s is full", p->name);
    cr_assert_lt(len, (size_t)PHONE_TEXT);
    int place = (p->first + p->count++) % PHONE_INBOX;
    char *to = p->inbox[place];
    p->inbox_len[place] = len;
    memcpy(to, data, len);
    to[len] = 0;
    if (w->trace != NULL) {
        fprintf(w->trace, "--- %.3f to %s:\n%s\n", (double)w->now_us / 1e6 - 1000, p->name, to);
        fflush(w->trace);
    }
}

/* Cuts a phone's stream into messages (all of them without a body but for Content-Length). */
static void phone_stream(struct world *w, struct phone *p, const void *data, size_t len)
{
    cr_assert_lt(p->stream_len + len, sizeof(p->stream));
    memcpy(p->stream + p->stream_len, data, len);
    p->stream_len += len;
    p->stream[p->stream_len] = 0;
    while (strncmp(p->stream, "\r\n", 2) == 0) {
        p->pongs++;
        p->stream_len -= 2;
        memmove(p->stream, p->stream + 2, p->stream_len + 1);
    }
    for (;;) {
        char *end = memmem(p->stream, p->stream_len, "\r\n\r\n", 4); /* a NUL may stand before */
        if (end == NULL) {
            return;
        }
        const char *length = memmem(p->stream, p->stream_len, "Content-Length:", 15);
        size_t total = (size_t)(end - p->stream) + 4 +
                       (length != NULL && length < end ? strtoul(length + 15, NULL, 10) : 0);
        if (p->stream_len < total) {
            return;
        }
        phone_deliver(w, p, p->stream, total);
        memmove(p->stream, p->stream + total, p->stream_len - total + 1);
        p->stream_len -= total;
    }
}

static void world_run(struct world *w, uint64_t us);

/* Sends raw bytes now. */
static void phone_raw(struct world *w, struct phone *p, const char *text, size_t len)
{
    struct world_instance *x = w->instances[p->entry];
    uint8_t *copy = malloc(len + 1);
    memcpy(copy, text, len);
    x->turn.now_us = w->now_us;
    if (p->conn != 0) {
        sip_on_stream(&x->turn, x->sip, p->flow, copy, len);
    } else {
        sip_on_datagram(&x->turn, x->sip, &p->address, copy, len);
    }
    free(copy);
    world_run(w, 0);
}

/* Sends text with \n for line ends; adds Content-Length and the empty line. */
static void PRINTF_LIKE(3, 4) phone_send(struct world *w, struct phone *p, const char *format, ...)
{
    char text[PHONE_TEXT], out[PHONE_TEXT];
    size_t len = 0;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    for (const char *c = text; *c != 0; c++) {
        if (*c == '\n') {
            out[len++] = '\r';
        }
        out[len++] = *c;
    }
    len += (size_t)snprintf(out + len, sizeof(out) - len, "Content-Length: %zu\r\n\r\n%s",
                            w->body == NULL ? 0 : strlen(w->body), w->body == NULL ? "" : w->body);
    w->body = NULL;
    if (strncmp(out, "SIP/2.0", 7) != 0) {
        memcpy(p->last_request, out, len + 1);
    }
    if (w->trace != NULL) {
        fprintf(w->trace, "--- %.3f from %s:\n%s\n", (double)w->now_us / 1e6 - 1000, p->name, out);
        fflush(w->trace);
    }
    phone_raw(w, p, out, len);
}

static const char *phone_get(struct phone *p)
{
    static char none[] = "(nothing)";
    if (p->count == 0) {
        return none;
    }
    const char *text = p->inbox[p->first];
    p->first = (p->first + 1) % PHONE_INBOX;
    p->count--;
    return text;
}

/* The next message must begin so. */
static const char *phone_expect(struct phone *p, const char *begin)
{
    const char *text = phone_get(p);
    cr_assert(strncmp(text, begin, strlen(begin)) == 0, "%s expected \"%s\" and got:\n%s", p->name,
              begin, text);
    return text;
}

static void phone_expect_nothing(const struct phone *p)
{
    cr_assert_eq(p->count, 0, "%s got:\n%s", p->name, p->inbox[p->first]);
}

/* Lines of header `name` ("Via") of `text`, one after another with CRLF, as they stand. */
static const char *lines_of(const char *text, const char *name, char *out)
{
    size_t len = strlen(name);
    char *to = out;
    for (const char *line = strstr(text, "\r\n"); line != NULL && line[2] != '\r';
         line = strstr(line + 2, "\r\n")) {
        if (strncmp(line + 2, name, len) == 0 && line[2 + len] == ':') {
            size_t n = (size_t)(strstr(line + 2, "\r\n") - line);
            memcpy(to, line + 2, n - 2);
            memcpy(to + n - 2, "\n", 1);
            to += n - 1;
        }
    }
    *to = 0;
    return out;
}

/* Value of the first header `name`, or "". */
static const char *value_of(const char *text, const char *name, char *out)
{
    char lines[PHONE_TEXT];
    lines_of(text, name, lines);
    out[0] = 0;
    if (lines[0] != 0) {
        const char *value = lines + strlen(name) + 1;
        value += strspn(value, " ");
        snprintf(out, PHONE_TEXT, "%.*s", (int)strcspn(value, "\n"), value);
    }
    return out;
}

/* `name="value"` or name=value inside a header. */
static const char *param_of(const char *text, const char *name, char *out)
{
    const char *at = strstr(text, name);
    out[0] = 0;
    if (at != NULL) {
        at += strlen(name) + 1;
        at += *at == '"';
        snprintf(out, 256, "%.*s", (int)strcspn(at, "\",;> \r\n"), at);
    }
    return out;
}

/* The response of RFC 7616 3.4.1 in `hex` (65 bytes): `method_uri` is "REGISTER:sip:example.org",
 * `sent` "nonce:nc:cnonce:auth". */
static void digest_response(bool is_sha256, const char *ha1, const char *method_uri,
                            const char *sent, char *hex)
{
    char text[1024], ha2[65];
    uint8_t hash[CRYPTO_SHA256_BYTES];
    size_t size = is_sha256 ? CRYPTO_SHA256_BYTES : CRYPTO_MD5_BYTES;
    void (*digest)(struct slice, uint8_t *) =
        is_sha256 ? crypto_boring()->sha256 : crypto_boring()->md5;
    digest(slice_text(method_uri), hash);
    ids_hex(slice_of(hash, size), ha2);
    snprintf(text, sizeof(text), "%s:%s:%s", ha1, sent, ha2);
    digest(slice_text(text), hash);
    ids_hex(slice_of(hash, size), hex);
}

/* Answers a challenge: the credentials' header line. */
static const char *credentials(const char *challenge_text, const char *user, const char *password,
                               const char *method, const char *uri, const char *nc, char *out)
{
    char value[PHONE_TEXT], nonce[256], algorithm[256], text[512], sent[512], ha1[65], response[65];
    bool is_proxy = strstr(challenge_text, "Proxy-Authenticate") != NULL;
    value_of(challenge_text, is_proxy ? "Proxy-Authenticate" : "WWW-Authenticate", value);
    param_of(value, "nonce", nonce);
    param_of(value, "algorithm", algorithm);
    bool is_sha256 = strcmp(algorithm, "SHA-256") == 0;
    world_ha1(user, password, is_sha256, ha1);
    snprintf(text, sizeof(text), "%s:%s", method, uri);
    snprintf(sent, sizeof(sent), "%s:%s:0a4f:auth", nonce, nc);
    digest_response(is_sha256, ha1, text, sent, response);
    snprintf(out, PHONE_TEXT,
             "%s: Digest username=\"%s\", realm=\"example.org\", nonce=\"%s\", uri=\"%s\", "
             "response=\"%s\", algorithm=%s, cnonce=\"0a4f\", qop=auth, nc=%s\n",
             is_proxy ? "Proxy-Authorization" : "Authorization", user, nonce, uri, response,
             algorithm, nc);
    return out;
}

static const char *phone_via(const struct phone *p, const char *branch, char *out)
{
    char address[ADDRESS_TEXT_CAP];
    snprintf(out, 256, "SIP/2.0/%s %s;rport;branch=z9hG4bK%s", p->conn != 0 ? "TCP" : "UDP",
             address_text(&p->address, address), branch);
    return out;
}

/* One REGISTER; `more` holds Contact and other lines. */
static void phone_register_once(struct world *w, struct phone *p, const char *more,
                                const char *authorization)
{
    char via[256], branch[64], address[ADDRESS_TEXT_CAP];
    p->cseq++;
    snprintf(branch, sizeof(branch), "reg-%s-%u", p->name, p->cseq);
    phone_send(w, p,
               "REGISTER sip:example.org SIP/2.0\nVia: %s\nFrom: <sip:%s@example.org>;tag=r\n"
               "To: <sip:%s@example.org>\nCall-ID: reg-%s%u\nCSeq: %u REGISTER\n"
               "Max-Forwards: 70\n%s%s",
               phone_via(p, branch, via), p->name, p->name, address_text(&p->address, address),
               p->call, p->cseq, more, authorization);
}

/* REGISTER with these lines (Contact, Expires, ...) and digest: the answer. */
static const char *phone_register_as(struct world *w, struct phone *p, const char *lines)
{
    char auth[PHONE_TEXT];
    phone_register_once(w, p, lines, "");
    const char *challenge = phone_expect(p, "SIP/2.0 401");
    credentials(challenge, p->name, "secret", "REGISTER", "sip:example.org", "00000001", auth);
    phone_register_once(w, p, lines, auth);
    world_run(w, 20000);
    return phone_get(p);
}

/* The same with the phone's address as Contact. */
static const char *phone_register(struct world *w, struct phone *p, const char *expires)
{
    char lines[256], address[ADDRESS_TEXT_CAP];
    snprintf(lines, sizeof(lines), "Contact: <sip:%s@%s%s>\nExpires: %s\n", p->name,
             address_text(&p->address, address), p->conn != 0 ? ";transport=tcp" : "", expires);
    return phone_register_as(w, p, lines);
}

/* A request outside a dialog to `uri`, with these lines and this body (NULL: none), and digest
 * once it was challenged. */
static void phone_request(struct world *w, struct phone *p, const char *method, const char *uri,
                          const char *call, const char *lines, const char *body)
{
    char via[256], branch[128], auth[PHONE_TEXT] = "", address[ADDRESS_TEXT_CAP], to[PHONE_TEXT];
    const char *tcp = p->conn != 0 ? ";transport=tcp" : "";
    address_text(&p->address, address);
    for (int cseq = 1; cseq <= 2; cseq++) {
        snprintf(branch, sizeof(branch), "%s-%s-%d", method, call, cseq);
        w->body = body;
        phone_send(w, p,
                   "%s %s SIP/2.0\nVia: %s\nFrom: <sip:%s@example.org>;tag=f-%s\nTo: <%s>\n"
                   "Call-ID: %s\nCSeq: %d %s\nMax-Forwards: 70\nContact: <sip:%s@%s%s>\n%s%s",
                   method, uri, phone_via(p, branch, via), p->name, call, uri, call, cseq, method,
                   p->name, address, tcp, lines, auth);
        if (cseq == 2) {
            return;
        }
        const char *challenge = phone_expect(p, "SIP/2.0 407");
        credentials(challenge, p->name, "secret", method, uri, "00000001", auth);
        if (strcmp(method, "INVITE") == 0) {
            value_of(challenge, "To", to);
            phone_send(w, p,
                       "ACK %s SIP/2.0\nVia: %s\nFrom: <sip:%s@example.org>;tag=f-%s\nTo: %s\n"
                       "Call-ID: %s\nCSeq: 1 ACK\nMax-Forwards: 70\n",
                       uri, via, p->name, call, to, call);
        }
    }
}

/* An INVITE (or MESSAGE, OPTIONS) to `to`; leaves the answers in the inbox. */
static void phone_call(struct world *w, struct phone *p, const char *method, const char *to,
                       const char *call)
{
    char uri[128];
    snprintf(uri, sizeof(uri), "sip:%s@example.org", to);
    phone_request(w, p, method, uri, call, "", NULL);
}

/* Any request in a call of its own, and time for its answers, which stay in the inbox. */
static void phone_ask(struct world *w, struct phone *p, const char *method, const char *uri,
                      const char *lines, const char *body)
{
    static unsigned unique;
    char call[32];
    snprintf(call, sizeof(call), "ask-%u", unique++);
    phone_request(w, p, method, uri, call, lines, body);
    world_run(w, 100000);
}

/* Answers `request`: "180 Ringing", "200 OK".  A To tag is added for all but 100. */
static void phone_answer(struct world *w, struct phone *p, const char *request, const char *status)
{
    char via[PHONE_TEXT], rr[PHONE_TEXT], from[PHONE_TEXT], to[PHONE_TEXT], id[PHONE_TEXT],
        cseq[PHONE_TEXT], address[ADDRESS_TEXT_CAP], copy[PHONE_TEXT];
    snprintf(copy, sizeof(copy), "%s", request);
    value_of(copy, "To", to);
    phone_send(w, p,
               "SIP/2.0 %s\n%s%sFrom: %s\nTo: %s%s%s\nCall-ID: %s\nCSeq: %s\n"
               "Contact: <sip:%s@%s>\n",
               status, lines_of(copy, "Via", via), lines_of(copy, "Record-Route", rr),
               value_of(copy, "From", from), to, strstr(to, "tag=") == NULL ? ";tag=t-" : "",
               strstr(to, "tag=") == NULL ? p->name : "", value_of(copy, "Call-ID", id),
               value_of(copy, "CSeq", cseq), p->name, address_text(&p->address, address));
}

/* What one side knows of a dialog. */
struct dialog {
    char routes[PHONE_TEXT]; /* Route lines */
    char target[PHONE_TEXT];
    char local[PHONE_TEXT], remote[PHONE_TEXT]; /* From and To of own requests */
    char call_id[PHONE_TEXT];
    uint32_t cseq;
};

static void dialog_routes(const char *text, bool is_reversed, char *out)
{
    char lines[PHONE_TEXT], *line[16];
    int count = 0;
    lines_of(text, "Record-Route", lines);
    for (char *c = lines; *c != 0 && count < 16; c = strchr(c, '\n') + 1) {
        line[count++] = c;
    }
    size_t len = 0;
    out[0] = 0;
    for (int i = 0; i < count; i++) {
        const char *from = strchr(line[is_reversed ? count - 1 - i : i], ':') + 1;
        len += (size_t)snprintf(out + len, PHONE_TEXT - len, "Route:%.*s\n",
                                (int)strcspn(from, "\n"), from);
    }
}

static void uri_of(const char *text, const char *name, char *out)
{
    char value[PHONE_TEXT];
    value_of(text, name, value);
    const char *at = strchr(value, '<');
    snprintf(out, PHONE_TEXT, "%.*s", (int)strcspn(at + 1, ">"), at + 1);
}

/* The caller's view, from the 2xx. */
static void dialog_caller(struct dialog *d, const char *ok)
{
    dialog_routes(ok, true, d->routes);
    uri_of(ok, "Contact", d->target);
    value_of(ok, "From", d->local);
    value_of(ok, "To", d->remote);
    value_of(ok, "Call-ID", d->call_id);
    d->cseq = 2;
}

/* The callee's view, from the INVITE, and its own tag. */
static void dialog_callee(struct dialog *d, const struct phone *p, const char *invite)
{
    char to[PHONE_TEXT];
    dialog_routes(invite, false, d->routes);
    uri_of(invite, "Contact", d->target);
    snprintf(d->local, sizeof(d->local), "%.5000s;tag=t-%s", value_of(invite, "To", to), p->name);
    value_of(invite, "From", d->remote);
    value_of(invite, "Call-ID", d->call_id);
    d->cseq = 100;
}

static void phone_in_dialog(struct world *w, struct phone *p, struct dialog *d, const char *method)
{
    char via[256], branch[128];
    static unsigned unique;
    bool is_ack = strcmp(method, "ACK") == 0;
    d->cseq += is_ack ? 0 : 1;
    snprintf(branch, sizeof(branch), "in-%s-%u", method, unique++);
    phone_send(w, p,
               "%s %s SIP/2.0\nVia: %s\nFrom: %s\nTo: %s\nCall-ID: %.200s\nCSeq: %u %s\n"
               "Max-Forwards: 70\n%s%s%s>\n",
               method, d->target, phone_via(p, branch, via), d->local, d->remote, d->call_id,
               d->cseq, method, d->routes, "Contact: <sip:x@x.invalid", "");
}

/* `a` calls `b`, who answers at once; *d: the dialog as the caller sees it. */
static void phone_talk(struct world *w, struct phone *a, struct phone *b, const char *call,
                       struct dialog *d)
{
    char invite[PHONE_TEXT];
    phone_call(w, a, "INVITE", b->name, call);
    world_run(w, 100000);
    phone_expect(a, "SIP/2.0 100");
    snprintf(invite, sizeof(invite), "%s", phone_expect(b, "INVITE sip:"));
    phone_answer(w, b, invite, "200 OK");
    dialog_caller(d, phone_expect(a, "SIP/2.0 200"));
    phone_in_dialog(w, a, d, "ACK");
    phone_expect(b, "ACK ");
}

/* ... and the caller ends it. */
static void phone_hang_up(struct world *w, struct phone *a, struct phone *b, struct dialog *d)
{
    char bye[PHONE_TEXT];
    phone_in_dialog(w, a, d, "BYE");
    snprintf(bye, sizeof(bye), "%s", phone_expect(b, "BYE "));
    phone_answer(w, b, bye, "200 OK");
    phone_expect(a, "SIP/2.0 200");
}

/* ---- running */

static void world_join_peers(struct world *w, int dialler, int answerer)
{
    struct world_instance *a = w->instances[dialler], *b = w->instances[answerer];
    handle ca = world_conn_add(w, dialler, answerer, -1);
    handle cb = world_conn_add(w, answerer, dialler, -1);
    struct node_id ida = world_node_id(dialler), idb = world_node_id(answerer);
    char user[32];
    w->conns[handle_index(ca)].other = (int)handle_index(cb);
    w->conns[handle_index(cb)].other = (int)handle_index(ca);
    a->turn.now_us = b->turn.now_us = w->now_us;
    snprintf(user, sizeof(user), "node%d@example.org", b->node);
    w->conns[handle_index(ca)].flow =
        sip_peer_up(&a->turn, a->sip, ca, &idb, slice_text(user), true);
    snprintf(user, sizeof(user), "node%d@example.org", a->node);
    w->conns[handle_index(cb)].flow =
        sip_peer_up(&b->turn, b->sip, cb, &ida, slice_text(user), false);
}

static void world_close_conn(struct world *w, int index, bool tell_both)
{
    struct world_conn *c = &w->conns[index];
    if (!c->is_used) {
        return;
    }
    c->is_used = false;
    struct world_instance *x = w->instances[c->at];
    if (tell_both) {
        x->turn.now_us = w->now_us;
        sip_flow_closed(&x->turn, x->sip, c->flow);
    }
    if (c->phone >= 0) {
        w->phones[c->phone].is_closed = true;
    } else {
        world_close_conn(w, c->other, true);
    }
}

static void world_datagram(struct world *w, const struct io_op *op)
{
    for (int k = 0; k < w->phone_count; k++) {
        struct phone *p = &w->phones[k];
        if (!address_is_equal(&p->address, &op->remote) || p->conn != 0) {
            continue;
        }
        if (w->datagrams_lost > 0) {
            w->datagrams_lost--;
        } else {
            phone_deliver(w, p, msgbuf_data(op->buf), op->buf->len);
        }
    }
}

/* A server of another domain that listens there, or nobody. */
static void world_dial(struct world *w, int at, handle tag, struct msgbuf *buf)
{
    struct world_instance *x = w->instances[at];
    struct sip_dial dial;
    handle conn = 0;
    memcpy(&dial, msgbuf_data(buf), sizeof(dial));
    for (int k = 0; k < w->phone_count && conn == 0; k++) {
        struct phone *p = &w->phones[k];
        if (p->is_server && address_is_equal(&p->address, &dial.to)) {
            conn = p->conn = world_conn_add(w, at, -1, k);
        }
    }
    handle flow = sip_dialled(&x->turn, x->sip, tag, conn);
    if (conn != 0) {
        w->conns[handle_index(conn)].flow = flow;
        w->phones[w->conns[handle_index(conn)].phone].flow = flow;
    }
}

static bool world_output(struct world *w, int at)
{
    struct world_instance *x = w->instances[at];
    struct sip_event e;
    bool any = false;
    while (sip_next(&x->turn, x->sip, &e)) {
        any = true;
        if (e.kind == SIP_DIAL) {
            world_dial(w, at, e.conn, e.buf);
            msgbuf_release(&x->buffers, e.buf);
            continue;
        }
        struct world_conn *c = &w->conns[handle_index(e.conn)];
        if (e.kind == SIP_CLOSE) {
            world_close_conn(w, (int)handle_index(e.conn), false);
            continue;
        }
        if (c->is_used && c->phone >= 0) {
            phone_stream(w, &w->phones[c->phone], msgbuf_data(e.buf), e.buf->len);
        } else if (c->is_used) {
            struct world_conn *o = &w->conns[c->other];
            struct world_instance *y = w->instances[o->at];
            uint8_t copy[MSGBUF_LARGE_BYTES];
            size_t len = e.buf->len;
            memcpy(copy, msgbuf_data(e.buf), len);
            y->turn.now_us = w->now_us;
            if (!y->is_deaf) {
                sip_on_stream(&y->turn, y->sip, o->flow, copy, len);
            }
        }
        msgbuf_release(&x->buffers, e.buf);
    }
    for (uint32_t i = 0; i < x->out.count; i++) {
        struct io_op op = x->out.ops[i];
        any = true;
        if (op.kind == IO_OP_DATAGRAM) {
            world_datagram(w, &op);
        } else if (op.kind == IO_OP_MAIL && op.shard == IO_SHARD_CONTROL) {
            w->dns(w, at, op.tag, msgbuf_data(op.buf), op.buf->len);
        } else if (op.kind == IO_OP_MAIL) {
            struct world_instance *y = w->instances[x->node + op.shard];
            uint8_t copy[MSGBUF_LARGE_BYTES];
            size_t len = op.buf->len;
            memcpy(copy, msgbuf_data(op.buf), len);
            y->turn.now_us = w->now_us;
            sip_on_mail(&y->turn, y->sip, x->shard, op.mail, op.tag, copy, len);
        }
        if (op.buf != NULL) {
            msgbuf_release(&x->buffers, op.buf);
        }
    }
    io_outbox_clear(&x->out);
    return any;
}

static bool world_overlay(struct world *w, int at)
{
    struct world_instance *x = w->instances[at];
    struct overlay_event e;
    bool any = false;
    x->turn.now_us = w->now_us;
    while (fake_next(&x->turn, &x->overlay, &e)) {
        any = true;
        sip_on_overlay(&x->turn, x->sip, &e);
        for (int i = 0; e.kind == OVERLAY_APPATTACHED && e.error == ERR_OK && i < w->count; i++) {
            struct node_id id = world_node_id(i);
            if (ids_node_is_equal(&id, &e.node_id) && !w->instances[i]->is_deaf) {
                world_join_peers(w, i, at); /* the answerer dials */
            }
        }
    }
    return any;
}

static void world_settle(struct world *w)
{
    for (bool any = true; any;) {
        any = false;
        for (int i = 0; i < w->count; i++) {
            struct world_instance *x = w->instances[i];
            struct wheel_timer *timer = NULL;
            x->turn.now_us = w->now_us;
            while ((timer = wheel_take(&x->wheel, w->now_us)) != NULL) {
                sip_on_timer(&x->turn, x->sip, timer);
                any = true;
            }
            any = world_overlay(w, i) || any;
            any = world_output(w, i) || any;
        }
    }
}

/* Lets `us` pass. */
static void world_run(struct world *w, uint64_t us)
{
    uint64_t until = w->now_us + us;
    for (;;) {
        world_settle(w);
        uint64_t next = UINT64_MAX;
        for (int i = 0; i < w->count; i++) {
            next = min_u64(next, wheel_next_us(&w->instances[i]->wheel));
            next = min_u64(next, fake_due(&w->instances[i]->overlay));
        }
        if (next > until) {
            break;
        }
        w->now_us = next > w->now_us ? next : w->now_us + 1000;
        if (w->now_us > until) {
            break;
        }
    }
    w->now_us = until;
    world_settle(w);
}

static uint64_t world_metric(const struct world *w, enum metric which)
{
    uint64_t sum = 0;
    for (int i = 0; i < w->count; i++) {
        sum += metric_read(&w->instances[i]->metrics, which);
    }
    return sum;
}

/* Long after the last message nothing is held but bindings and connections. */
static void world_expect_empty(struct world *w)
{
    world_run(w, UINT64_C(300) * 1000000);
    for (int i = 0; i < w->count; i++) {
        struct sip *s = w->instances[i]->sip;
        cr_assert_eq(s->txs.in_use, 0, "transactions left at %d: %u", i, s->txs.in_use);
        cr_assert_eq(s->tx_table.count, 0);
        cr_assert_eq(s->proxies.in_use, 0, "proxies left at %d", i);
        cr_assert_eq(s->branches.in_use, 0, "branches left at %d", i);
        cr_assert_eq(s->lookups.in_use, 0, "lookups left at %d", i);
        cr_assert_eq(s->registers.in_use, 0, "registers left at %d", i);
        cr_assert_eq(s->event_count, 0);
        cr_assert_eq(w->instances[i]->buffers.in_use[0], 0, "buffers left at %d", i);
        cr_assert_eq(w->instances[i]->buffers.in_use[1], 0, "large buffers left at %d", i);
        cr_assert(sip_is_idle(s));
    }
}
