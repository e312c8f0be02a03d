/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_node.c - a whole node, ready and with two phone accounts, among fuzzers: neighbors with good
 * certificates who sign what they like, dials that lead anywhere, phones that know their password
 * and strangers who do not.
 *
 * Input: flags, then a sequence of steps, each one byte and what it needs.
 * Properties: only addresses are dialled that an Attach may make us dial (fuzz/stage.h); no line of
 * the log is broken; with FLAG_DRAIN: once everybody has hung up, nothing is left in a pool. */
#include "codec/content.h"
#include "codec/msgs.h"
#include "codec/sip_parser.h"
#include "codec/sip_write.h"
#include "dht/sign.h"
#include "fuzz/stage_node.h"
#include "sip/ha1.h"
#include <stdio.h>

enum { MESSAGE_BYTES = STAGE_MESSAGE_BYTES, HEARD = 8, TEXT_BYTES = 8192, INPUT_MAX = 8192 };
enum { FLAG_DRAIN = 1, FLAG_NO_SIP = 2 };

enum step {
    STEP_ACCEPT,
    STEP_ANSWER_DIAL,
    STEP_HANDSHAKE,
    STEP_BYTES,
    STEP_PLAIN,
    STEP_FRAME,
    STEP_MESSAGE,
    STEP_ATTACH,
    STEP_STORE,
    STEP_HEAR,
    STEP_ANSWER,
    STEP_SENT,
    STEP_CLOSE,
    STEP_SLEEP,
    STEP_DRY,
    STEP_DATAGRAM,
    STEP_REQUEST,
    STEP_REPLY,
    STEP_STOP,
    STEP_COUNT
};

/* A request of the node's that the far end of `conn` has heard. */
struct heard {
    uint64_t transaction_id;
    uint32_t conn;
    uint16_t code;
};

struct scene {
    struct node *node;
    struct sip_account accounts[2];
    struct limits limits;
    struct rl_params params;
    struct heard heard[HEARD];
    uint32_t heard_next;
    char nonce[64]; /* of the last challenge */
    uint32_t nonce_count;
};

static uint8_t out[TLS_RECORD_BYTES];
static struct sip_parser parser;

/* ---- the node ---- */

static void set_sip(struct stage *s, struct scene *c, struct sip_settings *sip)
{
    memcpy(sip->domain, "a.example", sizeof("a.example"));
    for (uint32_t i = 0; i < 2; i++) {
        struct sip_account *a = &c->accounts[i];
        memcpy(a->user, s->idents[3 + i].ident.user, s->idents[3 + i].ident.user_len);
        memset(a->ha1_md5, 'a', 32);
        memset(a->ha1_sha256, 'b', 64);
        a->digest = i == 0 ? SIP_DIGEST_SHA256_MD5 : SIP_DIGEST_MD5;
        a->ident = &s->idents[3 + i].ident;
    }
    sip->accounts = c->accounts;
    sip->account_count = 2;
    sip->shards = 1;
    sip->self = sip->siblings[0] = s->idents[0].ident.node_id;
    sip->advertised = stage_address(0);
    sip->default_expires_s = 3600;
    sip->min_expires_s = 60;
    sip->max_expires_s = 7200;
    sip->limits = &c->limits;
}

static void build(struct stage *s, struct scene *c, uint8_t flags)
{
    static struct node_settings settings;
    uint8_t hash[CRYPTO_SHA1_BYTES];
    memset(&settings, 0, sizeof(settings));
    stage_node_limits(&c->limits);
    struct overlay_settings *o = &settings.overlay;
    stage_node_config(&o->config);
    o->trust = s->trust;
    o->takes_documents = true;
    o->self = &s->idents[0].ident;
    o->limits = settings.limits = &c->limits;
    o->shards = 1;
    o->siblings[0] = o->self->node_id;
    o->found_ring = OVERLAY_FOUND_NOW;
    o->candidates[0] = o->sip_candidates[0] = stage_address(0);
    o->candidate_count = o->sip_candidate_count = 1;
    o->storage_ack = OVERLAY_ACK_REPLICA;
    if ((flags & FLAG_NO_SIP) == 0) {
        set_sip(s, c, &settings.sip);
    }
    settings.tls = tls_fake_ops();
    settings.tls_context = &s->contexts[0];
    s->crypto.sha1(slice_text(o->config.name), hash);
    struct rd low = rd_init(slice_of(hash + 16, 4));
    c->params = (struct rl_params){.overlay = rd_u32(&low), .node_id_length = 16};
    size_t used = s->arena.used, bytes = node_bytes(&settings);
    c->node = node_init(&s->turn, &s->arena, &settings);
    CHECK(s->arena.used - used <= bytes);
    node_start(&s->turn, c->node);
}

static void on_event(struct stage *s, const struct io_event *event)
{
    struct scene *c = s->user;
    node_on_event(&s->turn, c->node, event);
}

static void on_timers(struct stage *s)
{
    struct scene *c = s->user;
    node_on_timers(&s->turn, c->node);
}

static void on_flush(struct stage *s)
{
    enum { TURNS = 64 };
    struct scene *c = s->user;
    uint32_t turns = 0;
    struct node_id from;
    struct slice document;
    if (node_next_document(c->node, &from, &document)) { /* they are judged elsewhere */
        node_document_judged(&s->turn, c->node,
                             document.len % 2 == 0 ? 0 : CONTENT_ERROR_FORBIDDEN);
    }
    while (node_on_flush(&s->turn, c->node)) {
        CHECK(turns++ < TURNS); /* work that never gets less */
    }
}

/* ---- RELOAD messages of a neighbor ---- */

struct draft {
    uint64_t transaction_id;
    uint16_t code;
    uint8_t who;
    struct slice destination, via, options, body, extensions;
};

/* Signs `input`; `value` has CRYPTO_SIGNATURE_CAP bytes. */
static struct secblock_signature signature(struct stage *s, uint8_t who, struct slice input,
                                           uint8_t *value)
{
    const struct ident *id = &s->idents[who % STAGE_IDENTS].ident;
    size_t len = 0;
    CHECK(s->crypto.sign(id->key, input, value, &len) == ERR_OK);
    return (struct secblock_signature){.algorithm = (uint16_t)id->algorithm,
                                       .identity = sign_identity(id),
                                       .value = slice_of(value, len)};
}

/* Writes the whole message into `out`; empty when it does not fit. */
static struct slice compose(struct stage *s, const struct draft *d, uint8_t how)
{
    static uint8_t input[TLS_RECORD_BYTES];
    struct scene *c = s->user;
    uint8_t value[CRYPTO_SIGNATURE_CAP];
    const struct ident *id = &s->idents[d->who % STAGE_IDENTS].ident;
    struct wr w = wr_init(out, sizeof(out)), in = wr_init(input, sizeof(input));
    struct fwd h = {.overlay = c->params.overlay,
                    .configuration_sequence = 1,
                    .ttl = (how & 1) != 0 ? 1 : 50,
                    .fragment = FWD_FRAGMENT_WHOLE,
                    .transaction_id = d->transaction_id,
                    .max_response_length = (how & 2) != 0 ? 200 : 0,
                    .via_list = d->via,
                    .destination_list = d->destination,
                    .options = d->options};
    fwd_wr(&w, &h);
    size_t start = wr_len(&w);
    content_wr(&w, d->code, d->body, d->extensions);
    if (!wr_ok(&w)) {
        return SLICE_EMPTY;
    }
    struct secblock_identity identity = sign_identity(id);
    secblock_wr_message_input(&in, c->params.overlay, d->transaction_id,
                              slice_from(wr_slice(&w), start), &identity);
    struct secblock_signature sig = signature(s, d->who, wr_slice(&in), value);
    if ((how & 4) != 0) {
        value[how % 64] ^= 1;
    }
    secblock_wr_x509(&w, &id->certificate, (how & 8) != 0 ? 0 : 1, &sig);
    if (!wr_ok(&w)) {
        return SLICE_EMPTY;
    }
    fwd_put_length(out, (uint32_t)wr_len(&w));
    return wr_slice(&w);
}

static void resource_of(struct stage *s, uint32_t who, bool by_node, uint8_t id[16])
{
    uint8_t hash[CRYPTO_SHA1_BYTES];
    const struct ident *i = &s->idents[who % STAGE_IDENTS].ident;
    s->crypto.sha1(by_node ? slice_of(i->node_id.bytes, 16) : slice_of(i->user, i->user_len), hash);
    memcpy(id, hash, 16);
}

/* Where a message goes: to the node, to anybody, to a resource, back, or nowhere sensible. */
static struct slice destination(struct stage *s, struct rd *r, uint8_t *bytes, size_t cap)
{
    struct scene *c = s->user;
    struct wr w = wr_init(bytes, cap);
    struct node_id wildcard = ids_node_wildcard(&c->params);
    uint8_t id[16];
    uint8_t what = rd_u8(r), who = rd_u8(r);
    switch (what % 6) {
    case 0:
        fwd_wr_node(&w, &c->params, &s->idents[0].ident.node_id);
        break;
    case 1:
        fwd_wr_node(&w, &c->params, &wildcard);
        break;
    case 2:
        resource_of(s, who, (who & 0x80) != 0, id);
        fwd_wr_resource(&w, slice_of(id, sizeof(id)));
        break;
    case 3:
        fwd_wr_resource(&w, fuzz_take(r, 20));
        break;
    case 4:
        fwd_wr_node(&w, &c->params, &s->idents[who % STAGE_IDENTS].ident.node_id);
        break;
    default:
        return fuzz_take(r, cap);
    }
    return wr_slice(&w);
}

static const uint16_t codes[] = {
#define CONTENT(name, code, text) code,
#include "codec/content.def"
#undef CONTENT
    0,
    0x8001,
    0x7fff,
};

static void message(struct stage *s, struct rd *r, uint32_t conn)
{
    uint8_t list[255];
    struct draft d = {.code = codes[rd_u8(r) % ARRAY_COUNT(codes)]};
    uint8_t how = rd_u8(r);
    d.who = rd_u8(r);
    d.transaction_id = rd_u8(r) % 16 + 1;
    d.destination = destination(s, r, list, sizeof(list));
    if ((how & 0x10) != 0) {
        d.via = fuzz_take(r, 200);
        d.options = fuzz_take(r, 100);
        d.extensions = fuzz_take(r, 100);
    }
    d.body = fuzz_take(r, MESSAGE_BYTES);
    stage_frame(s, conn, compose(s, &d, how));
}

/* An Attach or AppAttach, as a request, or as the answer to `to`. */
static void attach(struct stage *s, struct rd *r, uint32_t conn, const struct heard *to)
{
    struct scene *c = s->user;
    uint8_t list[255], body[600], candidates[300];
    struct draft d = {.transaction_id = rd_u8(r) % 16 + 1};
    uint8_t how = rd_u8(r), count = rd_u8(r) % 6;
    d.who = rd_u8(r);
    d.destination = destination(s, r, list, sizeof(list));
    bool is_app = to == NULL ? (how & 0x20) != 0 : to->code == CONTENT_APP_ATTACH_REQ;
    d.code = is_app ? CONTENT_APP_ATTACH_REQ : CONTENT_ATTACH_REQ;
    if (to != NULL) {
        d.code++;
        d.transaction_id = to->transaction_id;
        struct wr back = wr_init(list, sizeof(list));
        fwd_wr_node(&back, &c->params, &s->idents[0].ident.node_id);
        d.destination = wr_slice(&back);
    }
    struct wr w = wr_init(body, sizeof(body)), cands = wr_init(candidates, sizeof(candidates));
    for (uint8_t i = 0; i < count; i++) {
        struct address a = stage_address(i);
        a.ip[0] = rd_u8(r);
        a.ip[1] = rd_u8(r);
        a.port = rd_u16(r);
        msgs_wr_host_candidate(&cands, &a, CANDIDATE_TLS_TCP_FH_NO_ICE, rd_u8(r));
    }
    struct slice role = to == NULL ? SLICE_LITERAL("passive") : SLICE_LITERAL("active");
    if (is_app) {
        struct msgs_app_attach m = {.ufrag = SLICE_LITERAL("u"),
                                    .password = SLICE_LITERAL("p"),
                                    .application = OVERLAY_APPLICATION_SIP,
                                    .role = role,
                                    .candidates = wr_slice(&cands)};
        msgs_app_attach_wr(&w, &c->params, &m);
    } else {
        struct msgs_attach m = {.ufrag = SLICE_LITERAL("u"),
                                .password = SLICE_LITERAL("p"),
                                .role = role,
                                .candidates = wr_slice(&cands),
                                .send_update = (how & 0x40) != 0};
        msgs_attach_wr(&w, &c->params, &m);
    }
    d.body = wr_slice(&w);
    stage_frame(s, conn, compose(s, &d, how & 0x0f));
}

/* A Store of one value with a good signature, at a place that its signer may own. */
static void store(struct stage *s, struct rd *r, uint32_t conn)
{
    static const uint32_t kinds[] = {OVERLAY_KIND_SIP_REGISTRATION,
                                     OVERLAY_KIND_CERTIFICATE_BY_NODE,
                                     OVERLAY_KIND_CERTIFICATE_BY_USER, 0x77, 0x4711};
    static const enum stored_model models[] = {STORED_DICTIONARY, STORED_ARRAY, STORED_ARRAY,
                                               STORED_SINGLE, STORED_SINGLE};
    static uint8_t body[4096], blocks[4000], input[4096];
    struct scene *c = s->user;
    uint8_t list[64], place[16], value[CRYPTO_SIGNATURE_CAP];
    struct draft d = {.code = CONTENT_STORE_REQ, .transaction_id = rd_u8(r) % 16 + 1};
    uint8_t how = rd_u8(r), which = rd_u8(r) % ARRAY_COUNT(kinds), owner = rd_u8(r);
    d.who = rd_u8(r);
    const struct ident *id = &s->idents[owner % STAGE_IDENTS].ident;
    resource_of(s, owner, (owner & 0x80) != 0, place);
    struct stored_data data = {
        .storage_time_ms = s->turn.wall_ms + (how & 0x10 ? rd_u8(r) : 0),
        .lifetime_s = rd_u16(r),
        .value = {.model = models[which], .exists = (how & 0x20) == 0, .index = rd_u8(r)},
    };
    data.value.index = data.value.index == 255 ? STORED_INDEX_APPEND : data.value.index;
    data.value.key = (how & 0x40) != 0 ? fuzz_take(r, 40) : slice_of(id->node_id.bytes, 16);
    data.value.bytes = (how & 0x80) != 0 ? id->certificate : fuzz_take(r, 1200);
    data.signature.identity = sign_identity(id);
    data.signature.algorithm = (uint16_t)id->algorithm;
    struct wr in = wr_init(input, sizeof(input));
    stored_wr_signature_input(&in, slice_of(place, 16), kinds[which], &data);
    data.signature = signature(s, owner, wr_slice(&in), value);
    struct wr w = wr_init(blocks, sizeof(blocks));
    size_t mark = stored_block_begin(&w, kinds[which], rd_u8(r) % 4);
    for (uint8_t n = rd_u8(r) % 3; n < 3; n++) {
        stored_wr(&w, &data);
    }
    stored_block_end(&w, mark);
    struct msgs_store_req m = {
        .resource = slice_of(place, 16), .replica_number = rd_u8(r) % 4, .kind_data = wr_slice(&w)};
    struct wr b = wr_init(body, sizeof(body)), to = wr_init(list, sizeof(list));
    msgs_store_req_wr(&b, &c->params, &m);
    fwd_wr_resource(&to, slice_of(place, 16));
    d.body = wr_slice(&b);
    d.destination = wr_slice(&to);
    stage_frame(s, conn, compose(s, &d, how & 0x0f));
}

/* The far end of `conn` reads what the node has sent: it remembers requests and acknowledges. */
static void hear(struct stage *s, uint32_t conn, uint8_t how)
{
    static uint8_t bytes[TLS_RECORD_BYTES];
    struct scene *c = s->user;
    struct frame frame;
    struct fwd h;
    while (s->conns[conn].is_open && stage_heard(&s->conns[conn], bytes, sizeof(bytes), &frame)) {
        if (frame.type != FRAME_DATA) {
            continue;
        }
        CHECK(fwd_decode(frame.message, &c->params, &h) == ERR_OK);
        struct rd r = rd_init(h.payload);
        uint16_t code = rd_u16(&r);
        if (content_is_request(code)) {
            c->heard[c->heard_next++ % HEARD] = (struct heard){h.transaction_id, conn, code};
        }
        if ((how & 1) == 0) {
            stage_ack(s, conn, frame.sequence);
        }
    }
}

static void answer(struct stage *s, struct rd *r)
{
    struct scene *c = s->user;
    const struct heard *to = &c->heard[rd_u8(r) % HEARD];
    uint8_t list[64], how = rd_u8(r);
    if (to->transaction_id == 0) {
        return;
    }
    bool is_attach = to->code == CONTENT_ATTACH_REQ || to->code == CONTENT_APP_ATTACH_REQ;
    if (is_attach && (how & 0x10) == 0) {
        attach(s, r, to->conn, to);
        return;
    }
    struct draft d = {.transaction_id = to->transaction_id,
                      .code = (how & 0x20) != 0 ? CONTENT_ERROR : (uint16_t)(to->code + 1),
                      .who = rd_u8(r)};
    struct wr w = wr_init(list, sizeof(list));
    fwd_wr_node(&w, &c->params, &s->idents[0].ident.node_id);
    d.destination = wr_slice(&w);
    d.body = fuzz_take(r, MESSAGE_BYTES);
    stage_frame(s, to->conn, compose(s, &d, how & 0x0f));
}

/* ---- SIP ---- */

/* Sends `text` on a connection, or as a datagram. */
static void say(struct stage *s, uint8_t way, struct slice text)
{
    uint32_t conn = way % STAGE_CONNS;
    if ((way & 0x80) == 0) {
        stage_datagram(s, way % 16, text);
    } else if (s->conns[conn].far != NULL) {
        stage_say(s, conn, text);
    } else {
        stage_stream(s, conn, text);
    }
}

/* 48 hex digits: what stands behind the word may also be a stranger's text that came back. */
static bool is_nonce(const uint8_t *at, const uint8_t *end)
{
    size_t len = 0;
    while (len < 48 && at + len < end && strchr("0123456789abcdef", at[len]) != NULL &&
           at[len] != 0) {
        len++;
    }
    return len == 48;
}

/* Credentials for the last challenge heard, right ones. */
static void authorize(struct stage *s, const char *method, const struct sip_account *a, char *line,
                      size_t cap)
{
    struct scene *c = s->user;
    static const char field[] = "nonce=\"";
    char text[512], ha2[65], response[65];
    bool is_sha256 = a->digest == SIP_DIGEST_SHA256_MD5;
    const uint8_t *at = memmem(s->tail, s->tail_len, field, sizeof(field) - 1);
    if (at != NULL && is_nonce(at + sizeof(field) - 1, s->tail + s->tail_len)) {
        memcpy(c->nonce, at + sizeof(field) - 1, 48);
    }
    c->nonce_count++;
    snprintf(text, sizeof(text), "%s:sip:a.example", method);
    ha1_hash(&s->crypto, is_sha256, slice_text(text), ha2);
    snprintf(text, sizeof(text), "%s:%s:%08x:x:auth:%s", is_sha256 ? a->ha1_sha256 : a->ha1_md5,
             c->nonce, c->nonce_count, ha2);
    ha1_hash(&s->crypto, is_sha256, slice_text(text), response);
    snprintf(line, cap,
             "%s: Digest username=\"%s\", realm=\"a.example\", nonce=\"%s\", uri=\"sip:a.example\","
             " response=\"%s\", algorithm=%s, cnonce=\"x\", qop=auth, nc=%08x\r\n",
             strcmp(method, "REGISTER") == 0 ? "Authorization" : "Proxy-Authorization", a->user,
             c->nonce, response, is_sha256 ? "SHA-256" : "MD5", c->nonce_count);
}

/* A request by somebody, with any lines of the fuzzer's between ours. */
static void request(struct stage *s, struct rd *r)
{
    static const char *const methods[] = {"REGISTER", "INVITE",  "ACK",     "BYE",
                                          "CANCEL",   "OPTIONS", "MESSAGE", "SUBSCRIBE",
                                          "PRACK",    "PUBLISH", "NOTIFY",  "REFER"};
    static char text[TEXT_BYTES];
    struct scene *c = s->user;
    char line[1024] = "";
    uint8_t way = rd_u8(r), how = rd_u8(r), who = rd_u8(r), call = rd_u8(r) % 8;
    const char *method = methods[rd_u8(r) % ARRAY_COUNT(methods)];
    uint8_t branch = rd_u8(r) % 8, cseq = rd_u8(r) % 8;
    const char *from = s->idents[who % STAGE_IDENTS].ident.user;
    const char *to = s->idents[who / 16 % STAGE_IDENTS].ident.user;
    bool is_register = strcmp(method, "REGISTER") == 0;
    struct slice uri = (how & 1) != 0 ? fuzz_take(r, 200) : SLICE_EMPTY;
    struct slice extra = (how & 2) != 0 ? fuzz_take(r, 600) : SLICE_EMPTY;
    struct slice body = (how & 4) != 0 ? fuzz_take(r, 600) : SLICE_EMPTY;
    if ((how & 8) != 0) {
        authorize(s, method, &c->accounts[who & 1], line, sizeof(line));
    }
    const char *name = is_register ? "a.example" : to;
    int len = snprintf(
        text, sizeof(text),
        "%s %.*s%s%s SIP/2.0\r\nVia: SIP/2.0/%s 10.0.0.%d:%d;rport;branch=z9hG4bK%d\r\n"
        "From: <sip:%s>;tag=%d\r\nTo: <sip:%s>%s\r\nCall-ID: c%d\r\nCSeq: %d %s\r\n"
        "Max-Forwards: %d\r\n%s%s%s%.*sContent-Length: %zu\r\n\r\n%.*s",
        method, (int)uri.len, uri.len == 0 ? "" : (const char *)uri.data,
        uri.len == 0 ? "sip:" : "", uri.len == 0 ? name : "", (way & 0x80) != 0 ? "TCP" : "UDP",
        way % 16, 5060 + way % 16, branch, from, call, is_register ? from : to,
        (how & 16) != 0 ? ";tag=t" : "", call, cseq, method, (how & 32) != 0 ? 1 : 70, line,
        is_register || (how & 64) != 0 ? "Contact: <sip:x@10.0.0.9:5069>;expires=90\r\n" : "",
        (how & 128) != 0 ? "Supported: path, gruu, outbound\r\n" : "", (int)extra.len,
        extra.len == 0 ? "" : (const char *)extra.data, body.len, (int)body.len,
        body.len == 0 ? "" : (const char *)body.data);
    say(s, way, slice_of(text, min_size((size_t)len, sizeof(text) - 1)));
}

/* A response to what the node sent last, if that was a request. */
static void reply(struct stage *s, struct rd *r)
{
    static const uint16_t statuses[] = {100, 180, 183, 200, 302, 401, 407, 408, 481,
                                        486, 487, 491, 500, 503, 600, 603, 699};
    static uint8_t text[TEXT_BYTES], heard[STAGE_TAIL];
    uint8_t way = rd_u8(r), how = rd_u8(r);
    struct sip_write_reply what = {.status = statuses[rd_u8(r) % ARRAY_COUNT(statuses)]};
    struct sip_msg_core core;
    struct sip_fault fault;
    struct sip_writer w;
    struct slice bytes;
    memcpy(heard, s->tail, s->tail_len);
    sip_parser_init(&parser, false);
    if (sip_parser_datagram(&parser, slice_of(heard, s->tail_len)) != SIP_PARSE_OK ||
        parser.event != SIP_EVENT_MESSAGE || !parser.msg.is_request ||
        sip_msg_check(&parser.msg, &core, &fault) != ERR_OK) {
        return;
    }
    what.to_tag = (how & 1) != 0 ? SLICE_LITERAL("r1") : SLICE_LITERAL("r2");
    sip_write_init(&w, text, sizeof(text));
    sip_write_response(&w, &parser.msg, &core, &what);
    sip_write_text(&w, (how & 2) != 0 ? "Contact: <sip:y@10.0.0.8:5068>\r\n" : "");
    sip_write_body(&w, SLICE_EMPTY, (how & 4) != 0 ? fuzz_take(r, 200) : SLICE_EMPTY);
    if (sip_write_finish(&w, &bytes) == ERR_OK) {
        say(s, way, bytes);
    }
}

/* ---- the play ---- */

static void step(struct stage *s, struct rd *r)
{
    struct scene *c = s->user;
    enum step what = (enum step)(rd_u8(r) % STEP_COUNT);
    uint8_t byte = rd_u8(r);
    uint32_t i = byte % STAGE_CONNS;
    switch (what) {
    case STEP_ACCEPT:
        byte %= 3;
        stage_accept(s,
                     byte == 0 ? IO_LISTEN_OVERLAY
                               : (byte == 1 ? IO_LISTEN_OVERLAY_SIP : IO_LISTEN_SIP_TCP),
                     rd_u8(r));
        break;
    case STEP_ANSWER_DIAL:
        stage_answer_dial(s, (byte & 3) != 0);
        break;
    case STEP_HANDSHAKE:
        stage_handshake(s, i, rd_u8(r));
        break;
    case STEP_BYTES:
        stage_stream(s, i, fuzz_take(r, 4096));
        break;
    case STEP_PLAIN:
        stage_say(s, i, fuzz_take(r, 4096));
        break;
    case STEP_FRAME:
        stage_frame(s, i, fuzz_take(r, MESSAGE_BYTES));
        break;
    case STEP_MESSAGE:
        message(s, r, i);
        break;
    case STEP_ATTACH:
        attach(s, r, i, NULL);
        break;
    case STEP_STORE:
        store(s, r, i);
        break;
    case STEP_HEAR:
        hear(s, i, byte >> 7);
        break;
    case STEP_ANSWER:
        answer(s, r);
        break;
    case STEP_SENT:
        stage_sent(s, i);
        break;
    case STEP_CLOSE:
        stage_close(s, i, ERR_CLOSED);
        break;
    case STEP_SLEEP:
        stage_sleep(s, (uint64_t)byte * rd_u8(r) * 1000);
        break;
    case STEP_DRY:
        s->buffers.fail_after = byte % 2 == 0 ? UINT32_MAX : byte / 2 % 16;
        break;
    case STEP_DATAGRAM:
        stage_datagram(s, byte, fuzz_take(r, 2000));
        break;
    case STEP_REQUEST:
        request(s, r);
        break;
    case STEP_REPLY:
        reply(s, r);
        break;
    case STEP_STOP:
        node_stop(&s->turn, c->node, (uint64_t)byte * 100000);
        stage_event(s, NULL);
        break;
    case STEP_COUNT:
        break;
    }
}

static uint64_t answers_made(const struct stage *s)
{
    return metric_read(&s->metrics, METRIC_answers_sent) +
           metric_read(&s->metrics, METRIC_errors_sent);
}

/* All have gone.  After ten minutes nothing of theirs is left. */
static void drain(struct stage *s)
{
    struct scene *c = s->user;
    s->buffers.fail_after = UINT32_MAX;
    for (uint32_t i = 0; i < 10 && !node_is_stopped(c->node); i++) {
        stage_hang_up(s);
        stage_sleep(s, 60000000);
    }
    if (node_is_stopped(c->node)) {
        return; /* the process would end here, with what its transactions hold */
    }
    stage_hang_up(s);
    CHECK(s->tls.connections.in_use == 0 && s->tls.chunks_open == 0);
    /* Cached answers go when the cache is next looked at. */
    uint64_t cached = min_u64(c->limits.answers_cached, answers_made(s));
    CHECK(s->buffers.in_use[0] + s->buffers.in_use[1] <= cached);
    CHECK(link_count_up(node_links(c->node)) == 0);
    CHECK(node_sip(c->node) == NULL || sip_is_idle(node_sip(c->node)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct scene scene;
    struct rd r = rd_init(slice_of(data, min_size(size, INPUT_MAX)));
    uint8_t flags = rd_u8(&r);
    struct stage *s = stage_init();
    memset(&scene, 0, sizeof(scene));
    memset(scene.nonce, '0', 48);
    s->user = &scene;
    s->on_event = on_event;
    s->on_timers = on_timers;
    s->on_flush = on_flush;
    build(s, &scene, flags);
    stage_event(s, NULL);
    while (rd_left(&r) > 0 && !node_is_stopped(scene.node)) {
        step(s, &r);
    }
    if ((flags & FLAG_DRAIN) != 0) {
        drain(s);
    }
    return 0;
}
