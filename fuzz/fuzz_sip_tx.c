/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_sip_tx.c - the transactions of one shard (sip/tx, fork, proxy, registrar) driven by bytes:
 * a phone that knows its password, a callee that answers anything, a peer, and an overlay that may
 * be silent, on a clock of the target's.
 *
 * Input: steps of one byte and what each needs (enum step).
 * Properties: the machines take only legal edges (tx_enter), no pool exceeds its cap, and when all
 * are silent for ten minutes nothing is held but registrations. */
#include "codec/sip_write.h"
#include "core/poison.h"
#include "core/wheel.h"
#include "fuzz/fuzz.h"
#include "link/crypto_boring.h"
#include "sip/ha1.h"
#include "sip/registrar.h"
#include "sip/sip_state.h"
#include "tests/unit/sip/fake_overlay.h"
#include <stdio.h>

enum {
    BLOCK = 4 << 20,
    FORWARDED = 8,
    TEXT = 3000,
    STUFFED = 12000,
    NONCE = 49,
    CALLS = 8,
    END_S = 600,
    PEER = 99
};

enum step {
    STEP_REQUEST,    /* of the phone, with its password */
    STEP_AGAIN,      /* the last one once more; or: the next message gets many header fields */
    STEP_ACK_CANCEL, /* of a call */
    STEP_RESPONSE,   /* to something that was forwarded */
    STEP_IN_DIALOG,  /* along the Record-Route of what was forwarded */
    STEP_TIME,
    STEP_OVERLAY, /* silent, failing, or well again */
    STEP_DRY,     /* a pool fails */
    STEP_PEER,    /* a request of another peer */
    STEP_PEER_CLOSES,
    STEP_REGISTER,
    STEP_RAW,
    STEP_COUNT
};

struct forwarded {
    bool is_peers; /* it went over the connection to the peer */
    size_t len;
    uint8_t bytes[STUFFED];
};

static struct scene {
    struct turn turn;
    struct rng rng;
    struct wheel wheel;
    struct msgbuf_pool buffers;
    struct io_outbox out;
    struct metrics metrics;
    struct log log;
    struct overlay overlay;
    struct fake_dht dht;
    struct limits limits;
    struct sip_account accounts[2];
    struct ident idents[2];
    struct sip *sip;
    struct address alice, bob;
    handle peer; /* flow of the peer's connection */
    char nonce[NONCE];
    uint32_t nonce_count, cseq;
    size_t last_len;
    uint8_t last[STUFFED];
    uint8_t more;                          /* of the next message: see stuff() */
    struct forwarded forwarded[FORWARDED]; /* to bob, newest at `next` - 1 */
    uint32_t next;
} sc;

static struct sip_parser parser;

static void no_log(void *context, enum log_level level, const char *line, size_t len)
{
    (void)context, (void)level, (void)line, (void)len;
}

/* ---- what comes out */

static void note_forwarded(struct slice bytes, bool is_peers)
{
    struct forwarded *f = &sc.forwarded[sc.next++ % FORWARDED];
    f->is_peers = is_peers;
    f->len = min_size(bytes.len, sizeof(f->bytes));
    memcpy(f->bytes, bytes.data, f->len);
}

static void note_answer(struct slice bytes)
{
    static const char before[] = "nonce=\"";
    const uint8_t *at = memmem(bytes.data, bytes.len, before, sizeof(before) - 1);
    if (at != NULL && (size_t)(bytes.data + bytes.len - at) >= sizeof(before) - 1 + NONCE) {
        memcpy(sc.nonce, at + sizeof(before) - 1, NONCE - 1);
        sc.nonce_count = 0;
    }
}

static void take_output(void)
{
    struct sip_event e;
    while (sip_next(&sc.turn, sc.sip, &e)) {
        if (e.kind == SIP_SEND) {
            note_forwarded(msgbuf_slice(e.buf), true);
            msgbuf_release(&sc.buffers, e.buf);
        } else if (e.conn == PEER) {
            sc.peer = 0;
        }
    }
    for (uint32_t i = 0; i < sc.out.count; i++) {
        struct io_op *op = &sc.out.ops[i];
        if (op->kind == IO_OP_DATAGRAM) {
            struct slice bytes = msgbuf_slice(op->buf);
            if (address_is_equal(&op->remote, &sc.bob)) {
                note_forwarded(bytes, false);
            } else {
                note_answer(bytes);
            }
        }
        if (op->buf != NULL) {
            msgbuf_release(&sc.buffers, op->buf);
        }
    }
    io_outbox_clear(&sc.out);
    CHECK(sc.sip->txs.in_use <= sc.limits.sip_transactions);
    CHECK(sc.sip->proxies.in_use <= sc.limits.sip_proxies);
    CHECK(sc.sip->tx_table.count == sc.sip->txs.in_use);
}

static void datagram(const struct address *from, struct slice bytes)
{
    uint8_t *copy = fuzz_copy(bytes);
    sip_on_datagram(&sc.turn, sc.sip, from, copy, bytes.len);
    free(copy);
    take_output();
}

static void pass(uint64_t us)
{
    uint64_t until = sc.turn.now_us + us;
    for (;;) {
        struct wheel_timer *timer = NULL;
        struct overlay_event event;
        while ((timer = wheel_take(&sc.wheel, sc.turn.now_us)) != NULL) {
            sip_on_timer(&sc.turn, sc.sip, timer);
            take_output();
        }
        while (fake_next(&sc.turn, &sc.overlay, &event)) {
            sip_on_overlay(&sc.turn, sc.sip, &event);
            take_output();
        }
        uint64_t next = min_u64(wheel_next_us(&sc.wheel), fake_due(&sc.overlay));
        if (next > until) {
            break;
        }
        sc.turn.now_us = max_u64(next, sc.turn.now_us + 1);
    }
    sc.turn.now_us = max_u64(until, sc.turn.now_us);
}

/* ---- what goes in */

static void credentials(uint32_t account, const char *method, const char *uri, char *out,
                        size_t cap)
{
    char text[512], ha2[HA1_CAP], answer[HA1_CAP];
    (void)snprintf(text, sizeof(text), "%s:%s", method, uri);
    ha1_hash(sc.turn.crypto, false, slice_text(text), ha2);
    sc.nonce_count++;
    (void)snprintf(text, sizeof(text), "%s:%s:%08x:x:auth:%s", sc.accounts[account].ha1_md5,
                   sc.nonce, sc.nonce_count, ha2);
    ha1_hash(sc.turn.crypto, false, slice_text(text), answer);
    (void)snprintf(out, cap,
                   "%s: Digest username=\"%s\", realm=\"a.example\", nonce=\"%s\", uri=\"%s\", "
                   "response=\"%s\", qop=auth, nc=%08x, cnonce=\"x\"\r\n",
                   strcmp(method, "REGISTER") == 0 ? "Authorization" : "Proxy-Authorization",
                   account == 0 ? "alice" : "bob", sc.nonce, uri, answer, sc.nonce_count);
}

static void from_peer(struct slice bytes)
{
    if (sc.peer != 0) {
        uint8_t *copy = fuzz_copy(bytes);
        sip_on_stream(&sc.turn, sc.sip, sc.peer, copy, bytes.len);
        free(copy);
        take_output();
    }
}

static size_t count_lines(struct slice text)
{
    size_t count = 0;
    for (size_t i = 0; i + 1 < text.len; i++) {
        count += text.data[i] == '\r' && text.data[i + 1] == '\n' ? 1 : 0;
    }
    return count;
}

/* A message with more header fields behind its start line, as `sc.more` says. Its bits: used at
 * all, sort of line (2), how the number is meant, number: so many of one sort that the cap of
 * header fields is just reached, just missed or exceeded, or any number of them.  Only the next
 * message gets them. */
static struct slice stuff(struct slice text)
{
    static const char *const lines[] = {"X: y\r\n", "Via: SIP/2.0/UDP 10.9.0.1;branch=z9hG4bKx\r\n",
                                        "Route: <sip:10.9.0.2;lr>\r\n",
                                        "Record-Route: <sip:10.9.0.3;lr>\r\n"};
    static uint8_t out[STUFFED];
    const uint8_t *end = memmem(text.data, text.len, "\r\n", 2);
    uint8_t more = sc.more;
    sc.more = 0;
    if ((more & 0x80) == 0 || end == NULL) {
        return text;
    }
    const char *line = lines[more >> 5 & 3];
    size_t fields = count_lines(text) - 2; /* less the start line and the empty one */
    size_t count = more & 0x0f;
    size_t cap = SIP_MSG_HEADERS_CAP + 2; /* to 13 below */
    count = (more & 0x10) == 0 ? 6 * (count + 1) : cap - min_size(cap, fields + count);
    size_t first = (size_t)(end + 2 - text.data), len = strlen(line), used = first;
    count = min_size(count, (sizeof(out) - text.len) / len);
    memcpy(out, text.data, first);
    for (size_t i = 0; i < count; i++) {
        memcpy(out + used, line, len);
        used += len;
    }
    memcpy(out + used, text.data + first, text.len - first);
    return slice_of(out, used + text.len - first);
}

static void send_text(const char *text, bool is_peer)
{
    struct slice message = stuff(slice_text(text));
    memcpy(sc.last, message.data, message.len);
    sc.last_len = message.len;
    if (!is_peer) {
        datagram(&sc.alice, message);
    } else {
        from_peer(message);
    }
}

static const char *const methods[] = {"INVITE",  "INVITE",    "MESSAGE",
                                      "OPTIONS", "SUBSCRIBE", "INFO"};
static const char *const callees[] = {"bob", "bob", "carol", "nobody"};

static void request(uint8_t which, uint8_t number, bool is_peer)
{
    char text[TEXT], uri[64], auth[700] = "";
    const char *method = methods[which % ARRAY_COUNT(methods)];
    (void)snprintf(uri, sizeof(uri), "sip:%s@a.example", callees[which / 16 % 4]);
    if (!is_peer) {
        credentials(0, method, uri, auth, sizeof(auth));
    }
    (void)snprintf(
        text, sizeof(text),
        "%s %s SIP/2.0\r\nVia: SIP/2.0/%s 10.0.0.7:5067;branch=z9hG4bKc%u;rport\r\n"
        "From: <sip:alice@a.example>;tag=1\r\nTo: <%s>\r\nCall-ID: c%u\r\nCSeq: %u %s\r\n"
        "Max-Forwards: 70\r\nContact: <sip:alice@10.0.0.7:5067>\r\n%s"
        "Content-Length: 0\r\n\r\n",
        method, uri, is_peer ? "TLS" : "UDP", number % CALLS, uri, number % CALLS,
        1 + (unsigned)(number / 64), method, auth);
    send_text(text, is_peer);
}

static void ack_cancel(uint8_t which, uint8_t number)
{
    char text[TEXT];
    const char *method = (which & 1) != 0 ? "CANCEL" : "ACK";
    (void)snprintf(
        text, sizeof(text),
        "%s sip:bob@a.example SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.7:5067;branch=z9hG4bKc%u;"
        "rport\r\nFrom: <sip:alice@a.example>;tag=1\r\nTo: <sip:bob@a.example>%s\r\n"
        "Call-ID: c%u\r\nCSeq: %u %s\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
        method, number % CALLS, (which & 2) != 0 ? ";tag=x" : "", number % CALLS,
        1 + (unsigned)(number / 64), method);
    send_text(text, (which & 4) != 0);
}

static bool read_forwarded(uint8_t which, struct sip_msg_core *core)
{
    struct sip_fault fault;
    const struct forwarded *f = &sc.forwarded[which % FORWARDED];
    sip_parser_init(&parser, false);
    return f->len > 0 && sip_parser_datagram(&parser, slice_of(f->bytes, f->len)) == SIP_PARSE_OK &&
           parser.event == SIP_EVENT_MESSAGE && parser.msg.is_request &&
           sip_msg_check(&parser.msg, core, &fault) == ERR_OK;
}

static void response(uint8_t which, uint8_t status, uint8_t how)
{
    static const uint16_t statuses[] = {100, 180, 183, 200, 202, 302, 401, 407, 408, 481,
                                        486, 487, 491, 500, 503, 504, 600, 603, 699};
    static uint8_t text[TEXT];
    struct sip_write_reply what = {.status = statuses[status % ARRAY_COUNT(statuses)],
                                   .record_route = true};
    struct sip_msg_core core;
    struct sip_writer w;
    struct slice bytes;
    if (!read_forwarded(which, &core)) {
        return;
    }
    what.to_tag = (how & 1) != 0 ? SLICE_LITERAL("r1") : SLICE_LITERAL("r2");
    sip_write_init(&w, text, sizeof(text));
    sip_write_response(&w, &parser.msg, &core, &what);
    sip_write_text(&w, (how & 2) != 0 ? "Contact: <sip:bob@10.0.0.8:5068>\r\n" : "");
    sip_write_body(&w, SLICE_EMPTY, SLICE_EMPTY);
    if (sip_write_finish(&w, &bytes) != ERR_OK) {
        return;
    }
    bytes = stuff(bytes);
    if (sc.forwarded[which % FORWARDED].is_peers) {
        from_peer(bytes);
    } else {
        datagram(&sc.bob, bytes);
    }
}

/* A request of either side, with the recorded entries in either order. */
static void in_dialog(uint8_t which, uint8_t how)
{
    static const char *const later[] = {"BYE", "ACK", "INVITE", "INFO"};
    char text[TEXT];
    struct sip_msg_core core;
    struct slice routes[4], item;
    size_t count = 0, len;
    if (!read_forwarded(which, &core)) {
        return;
    }
    struct sip_msg_items it = sip_msg_items(&parser.msg, SIP_HDR_RECORD_ROUTE);
    while (count < ARRAY_COUNT(routes) && sip_msg_items_next(&it, &item) == ERR_OK) {
        routes[count++] = item;
    }
    const char *method = later[how % ARRAY_COUNT(later)];
    bool is_callee = (how & 4) != 0;
    len = (size_t)snprintf(
        text, sizeof(text),
        "%s sip:%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKd%u;rport\r\n"
        "From: <sip:%s@a.example>;tag=1\r\nTo: <sip:%s@a.example>;tag=2\r\nCall-ID: d%u\r\n"
        "CSeq: %u %s\r\nMax-Forwards: 70\r\n",
        method, is_callee ? "alice@10.0.0.7:5067" : "bob@10.0.0.8:5068",
        is_callee ? "10.0.0.8:5068" : "10.0.0.7:5067", how, is_callee ? "bob" : "alice",
        is_callee ? "alice" : "bob", how, 2 + (unsigned)how, method);
    for (size_t i = 0; i < count && len < sizeof(text); i++) {
        struct slice one = routes[is_callee ? i : count - 1 - i];
        len += (size_t)snprintf(text + len, sizeof(text) - len, "Route: %.*s\r\n", (int)one.len,
                                (const char *)one.data);
    }
    if (len < sizeof(text) - 30) {
        (void)snprintf(text + len, sizeof(text) - len, "Content-Length: 0\r\n\r\n");
        datagram(is_callee ? &sc.bob : &sc.alice, stuff(slice_text(text)));
    }
}

static void send_register(uint32_t account, uint8_t number, uint32_t expires)
{
    char text[TEXT], auth[700];
    const char *name = account == 0 ? "alice" : "bob";
    unsigned host = account == 0 ? 7 : 8;
    credentials(account, "REGISTER", "sip:a.example", auth, sizeof(auth));
    (void)snprintf(
        text, sizeof(text),
        "REGISTER sip:a.example SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.%u:506%u;branch=z9hG4bKr"
        "%u;rport\r\nFrom: <sip:%s@a.example>;tag=1\r\nTo: <sip:%s@a.example>\r\n"
        "Call-ID: r\r\nCSeq: %u REGISTER\r\nContact: <sip:%s@10.0.0.%u:506%u;x=%u>\r\n"
        "Expires: %u\r\n%sContent-Length: 0\r\n\r\n",
        host, host, sc.cseq, name, name, sc.cseq, name, host, host, number % 4, expires, auth);
    sc.cseq++;
    datagram(account == 0 ? &sc.alice : &sc.bob, stuff(slice_text(text)));
}

/* ---- the scene */

static struct pool *pool_of(uint8_t which)
{
    struct pool *const pools[] = {&sc.sip->txs,     &sc.sip->proxies,   &sc.sip->branches,
                                  &sc.sip->lookups, &sc.sip->registers, &sc.sip->dials};
    return pools[which % ARRAY_COUNT(pools)];
}

/* Carol is registered at the peer. */
static void put_carol(void)
{
    uint8_t list[FWD_NODE_BYTES_MAX], value[64];
    struct overlay_resource resource;
    struct node_id id = {0};
    struct wr w = wr_init(list, sizeof(list)), v = wr_init(value, sizeof(value));
    memset(id.bytes, 0x33, IDS_RING_BYTES);
    fwd_wr_node(&w, &sc.sip->params, &id);
    struct msgs_sip_registration route = {.type = MSGS_SIP_ROUTE, .destination_list = wr_slice(&w)};
    msgs_sip_registration_wr(&v, &sc.sip->params, &route);
    CHECK(wr_ok(&v));
    overlay_resource_of(&sc.turn, SLICE_LITERAL("carol@a.example"), &resource);
    fake_put(&sc.dht, &resource, OVERLAY_KIND_SIP_REGISTRATION,
             ids_node_slice(&id, &sc.sip->params), wr_slice(&v), true, UINT64_MAX);
}

static void peer_up(void)
{
    struct node_id id = {0};
    memset(id.bytes, 0x33, IDS_RING_BYTES);
    sc.peer = sip_peer_up(&sc.turn, sc.sip, PEER, &id, SLICE_LITERAL("alice@a.example"), false);
    take_output();
}

static void set_account(uint32_t i, const char *user, const char *name)
{
    char text[64];
    struct sip_account *a = &sc.accounts[i];
    memcpy(a->user, user, strlen(user));
    (void)snprintf(text, sizeof(text), "%s:a.example:p", name);
    ha1_hash(sc.turn.crypto, false, slice_text(text), a->ha1_md5);
    a->digest = SIP_DIGEST_MD5;
    a->ident = &sc.idents[i];
    memset(sc.idents[i].node_id.bytes, 0x80 + (int)i, IDS_RING_BYTES);
}

static void build(void)
{
    static uint8_t *block;
    static struct sip_settings s;
    static struct arena arena;
    block = block == NULL ? calloc(1, BLOCK) : block;
    CHECK(block != NULL);
    poison_lift(block, arena.used);
    memset(block, 0, arena.used);
    memset(&sc, 0, sizeof(sc));
    memset(&s, 0, sizeof(s));
    arena_init(&arena, block, BLOCK);
    limits_default(&sc.limits);
    sc.limits.sip_transactions = 24;
    sc.limits.sip_retained = 8;
    sc.limits.sip_proxies = sc.limits.sip_branches = 12;
    sc.limits.sip_proxies_per_account = sc.limits.sip_proxies_per_source = 8;
    sc.limits.sip_lookups = sc.limits.sip_registers = sc.limits.sip_dials = 4;
    sc.limits.sip_bindings = 8;
    sc.limits.sip_bindings_per_account = 3;
    sc.limits.sip_subscriptions = sc.limits.sip_publications = 8;
    sc.limits.sip_offline = 4;
    sc.limits.sip_flows = 4;
    sc.limits.sip_events = 64;
    sc.limits.sip_guesses = 16;
    rng_init(&sc.rng, 4711);
    wheel_init(&sc.wheel, 1000000000);
    msgbuf_pool_init(&sc.buffers, &arena, 192, 16);
    io_outbox_init(&sc.out, &arena, 512);
    log_init(&sc.log, no_log, NULL, LOG_ERROR, 0);
    sc.turn = (struct turn){.now_us = 1000000000,
                            .wall_ms = 1,
                            .rng = &sc.rng,
                            .crypto = crypto_boring(),
                            .wheel = &sc.wheel,
                            .buffers = &sc.buffers,
                            .out = &sc.out,
                            .metrics = &sc.metrics,
                            .log = &sc.log};
    set_account(0, "alice@a.example", "alice");
    set_account(1, "bob@a.example", "bob");
    CHECK(address_parse(SLICE_LITERAL("10.0.0.7:5067"), 0, &sc.alice) == ERR_OK);
    CHECK(address_parse(SLICE_LITERAL("10.0.0.8:5068"), 0, &sc.bob) == ERR_OK);
    memcpy(s.domain, "a.example", sizeof("a.example"));
    s.accounts = sc.accounts;
    s.account_count = 2;
    s.shards = 1;
    memset(s.self.bytes, 0x11, IDS_RING_BYTES);
    s.siblings[0] = s.self;
    CHECK(address_parse(SLICE_LITERAL("10.0.0.1:5060"), 0, &s.advertised) == ERR_OK);
    s.default_expires_s = 3600;
    s.min_expires_s = 60;
    s.max_expires_s = 7200;
    s.limits = &sc.limits;
    sc.overlay.dht = &sc.dht;
    sc.overlay.self = s.self;
    sc.sip = sip_init(&sc.turn, &arena, &s, &sc.overlay);
    for (uint32_t i = 0; i < 2; i++) { /* the first for the nonce */
        send_register(i, 0, 3600);
        send_register(i, 0, 3600);
        pass(20000);
    }
    CHECK(sc.sip->bindings.in_use == 2);
    put_carol();
    peer_up();
}

static void step(struct rd *r)
{
    enum step what = (enum step)(rd_u8(r) % STEP_COUNT);
    uint8_t a = rd_u8(r);
    switch (what) {
    case STEP_REQUEST:
        request(a, rd_u8(r), false);
        break;
    case STEP_AGAIN:
        if ((a & 0x80) != 0) {
            sc.more = a;
        } else {
            datagram(&sc.alice, slice_of(sc.last, sc.last_len));
        }
        break;
    case STEP_ACK_CANCEL:
        ack_cancel(a, rd_u8(r));
        break;
    case STEP_RESPONSE:
        response(a, rd_u8(r), a >> 4);
        break;
    case STEP_IN_DIALOG:
        in_dialog(a, rd_u8(r));
        break;
    case STEP_TIME:
        pass((uint64_t)a * a * 1000); /* up to a minute */
        break;
    case STEP_OVERLAY:
        sc.dht.is_fetch_silent = (a & 1) != 0;
        sc.dht.store_error = (a & 2) != 0 ? ERR_TIMEOUT : ERR_OK;
        sc.overlay.is_attach_failing = (a & 4) != 0;
        sc.overlay.is_down = (a & 8) != 0;
        break;
    case STEP_DRY:
        pool_fail_after(pool_of(a), a < 64 ? UINT32_MAX : a % 16);
        sc.buffers.fail_after = a < 200 ? UINT32_MAX : a % 8;
        break;
    case STEP_PEER:
        request(a, rd_u8(r), true);
        break;
    case STEP_PEER_CLOSES:
        if (sc.peer == 0) {
            peer_up();
        } else {
            handle gone = sc.peer;
            sc.peer = 0;
            sip_flow_closed(&sc.turn, sc.sip, gone);
            take_output();
        }
        break;
    case STEP_REGISTER:
        send_register(a & 1, a >> 4, (a & 2) != 0 ? 0 : 600);
        break;
    case STEP_RAW:
        datagram((a & 1) != 0 ? &sc.alice : &sc.bob, fuzz_take(r, 1500));
        break;
    case STEP_COUNT:
        break;
    }
}

/* Everybody is silent now. */
static void end(void)
{
    for (uint8_t i = 0; i < 6; i++) {
        pool_fail_after(pool_of(i), UINT32_MAX);
    }
    sc.buffers.fail_after = UINT32_MAX;
    sc.dht.is_fetch_silent = false;
    sc.dht.store_error = ERR_OK;
    sc.overlay.is_attach_failing = sc.overlay.is_down = false;
    pass((uint64_t)END_S * 1000000);
    if (sc.peer != 0) {
        sip_flow_closed(&sc.turn, sc.sip, sc.peer);
        take_output();
    }
    const struct sip *s = sc.sip;
    CHECK(s->txs.in_use == 0 && s->proxies.in_use == 0 && s->branches.in_use == 0);
    CHECK(s->lookups.in_use == 0 && s->registers.in_use == 0 && sip_is_idle(s));
    CHECK(s->tx_oldest == 0 && s->tx_newest == 0 && s->tx_retained == 0);
    CHECK(sc.buffers.in_use[0] == 0 && sc.buffers.in_use[1] == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rd r = rd_init(slice_of(data, min_size(size, 2048)));
    build();
    while (rd_left(&r) > 1) {
        step(&r);
    }
    end();
    return 0;
}
