/* SPDX-License-Identifier: Apache-2.0 */
/* One request for its registration and one for its call may be under way, and one dialog.  Messages
 * are real SIP, written by codec/sip_write and read by codec/sip_parser like everybody's. */
#include "sim/handset.h"
#include "codec/sip_write.h"
#include "sim/phone_digest.h"
#include "sim/phone_routes.h"
#include <stdio.h>

enum {
    T1_US = 500000,
    T2_US = 4000000,
    GIVE_UP_US = 32000000, /* 64 * T1: timers B, F, H */
    LINE_CAP = 360
};

static const char body[] =
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=sim\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 4000 RTP/AVP 0\r\n";

static void keep_text(char *out, size_t cap, struct slice s)
{
    size_t len = min_size(s.len, cap - 1);
    memcpy(out, s.data, len);
    out[len] = '\0';
}

static void random_hex(struct handset *h, char *out, size_t words)
{
    for (size_t i = 0; i < words; i++) {
        (void)snprintf(out + 16 * i, 17, "%016llx", (unsigned long long)rng_next(&h->rng));
    }
}

void handset_init(struct handset *h, const struct handset_settings *s, uint32_t index,
                  const struct address *local, uint64_t seed)
{
    *h = (struct handset){.s = s, .index = index, .local = *local};
    (void)snprintf(h->user, sizeof(h->user), "p%u@%.30s", index, s->domain);
    (void)snprintf(h->password, sizeof(h->password), "secret%u", index);
    rng_init(&h->rng, seed);
    random_hex(h, h->register_call_id, 2);
    random_hex(h, h->register_tag, 1);
}

bool handset_is_idle(const struct handset *h)
{
    return h->dialog.state == HANDSET_IDLE && !h->call.is_open;
}

/* ---- requests ---- */

/* What a request says beside its credentials. */
struct outgoing {
    enum sip_method method;
    const char *uri, *to, *to_tag, *from_tag, *call_id, *routes;
    uint32_t cseq;
};

static void describe(const struct handset *h, enum sip_method method, char uri[LINE_CAP],
                     struct outgoing *o)
{
    const struct handset_dialog *d = &h->dialog;
    *o = (struct outgoing){.method = method,
                           .uri = uri,
                           .to = d->peer,
                           .to_tag = "",
                           .from_tag = d->local_tag,
                           .call_id = d->call_id,
                           .routes = ""};
    if (method == SIP_METHOD_REGISTER) {
        (void)snprintf(uri, LINE_CAP, "sip:%s", h->s->domain);
        o->to = h->user;
        o->from_tag = h->register_tag;
        o->call_id = h->register_call_id;
    } else if (method == SIP_METHOD_INVITE) {
        (void)snprintf(uri, LINE_CAP, "sip:%s", d->peer);
    } else { /* within the dialog */
        (void)snprintf(uri, LINE_CAP, "%s", d->target);
        o->to_tag = d->remote_tag;
        o->routes = d->routes;
    }
}

static void write_contact(const struct handset *h, struct sip_writer *w)
{
    char local[ADDRESS_TEXT_CAP];
    char line[LINE_CAP];
    (void)snprintf(line, sizeof(line), "<sip:%.*s@%s>", (int)strcspn(h->user, "@"), h->user,
                   address_text(&h->local, local));
    sip_write_header(w, SIP_HDR_CONTACT, slice_text(line));
}

static void write_parties(const struct handset *h, struct sip_writer *w, const struct outgoing *o)
{
    char line[LINE_CAP];
    (void)snprintf(line, sizeof(line), "<sip:%s>;tag=%s", h->user, o->from_tag);
    sip_write_header(w, SIP_HDR_FROM, slice_text(line));
    (void)snprintf(line, sizeof(line), "<sip:%s>%s%s", o->to,
                   o->to_tag[0] == '\0' ? "" : ";tag=", o->to_tag);
    sip_write_header(w, SIP_HDR_TO, slice_text(line));
    sip_write_header(w, SIP_HDR_CALL_ID, slice_text(o->call_id));
}

static size_t compose(const struct handset *h, const struct outgoing *o, uint64_t branch,
                      const char *credentials, uint8_t out[HANDSET_MESSAGE_CAP])
{
    struct sip_writer w;
    struct slice message;
    char local[ADDRESS_TEXT_CAP];
    char line[LINE_CAP];
    struct slice name = sip_hdr_method_name(o->method);
    bool has_body = o->method == SIP_METHOD_INVITE;
    sip_write_init(&w, out, HANDSET_MESSAGE_CAP);
    sip_write_request_line(&w, name, slice_text(o->uri));
    (void)snprintf(line, sizeof(line), "SIP/2.0/UDP %s;branch=z9hG4bK%016llx;rport",
                   address_text(&h->local, local), (unsigned long long)branch);
    sip_write_header(&w, SIP_HDR_VIA, slice_text(line));
    write_contact(h, &w);
    sip_write_text(&w, o->routes);
    write_parties(h, &w, o);
    (void)snprintf(line, sizeof(line), "%u %.*s", o->cseq, (int)name.len, (const char *)name.data);
    sip_write_header(&w, SIP_HDR_CSEQ, slice_text(line));
    sip_write_header_u32(&w, SIP_HDR_MAX_FORWARDS, 70);
    if (o->method == SIP_METHOD_REGISTER) {
        sip_write_header_u32(&w, SIP_HDR_EXPIRES, h->expires_s);
    }
    sip_write_text(&w, credentials);
    sip_write_body(&w, has_body ? SLICE_LITERAL("application/sdp") : SLICE_EMPTY,
                   has_body ? slice_text(body) : SLICE_EMPTY);
    CHECK(sip_write_finish(&w, &message) == ERR_OK); /* our own texts: they fit */
    return message.len;
}

static void send_request(struct handset *h, struct handset_request *r, uint64_t now_us,
                         const char *credentials)
{
    struct outgoing o;
    char uri[LINE_CAP];
    describe(h, r->method, uri, &o);
    o.cseq = ++h->cseq;
    r->cseq = h->cseq;
    r->branch = rng_next(&h->rng);
    r->len = (uint16_t)compose(h, &o, r->branch, credentials, r->message);
    r->interval_us = T1_US;
    r->resend_us = now_us + T1_US;
    h->s->send(h->s->context, h, slice_of(r->message, r->len));
}

static void begin(struct handset *h, struct handset_request *r, enum sip_method method,
                  uint64_t now_us)
{
    r->is_open = true;
    r->method = method;
    r->tries = 0;
    r->begun_us = now_us;
    send_request(h, r, now_us, "");
}

void handset_register(struct handset *h, uint64_t now_us, uint32_t expires_s)
{
    h->expires_s = expires_s;
    begin(h, &h->reg, SIP_METHOD_REGISTER, now_us);
}

void handset_forget_register(struct handset *h)
{
    h->reg.is_open = false;
}

void handset_call(struct handset *h, uint64_t now_us, const char *peer)
{
    CHECK(handset_is_idle(h));
    h->dialog = (struct handset_dialog){
        .state = HANDSET_CALLING, .is_caller = true, .since_us = now_us, .answer_us = UINT64_MAX};
    keep_text(h->dialog.peer, sizeof(h->dialog.peer), slice_text(peer));
    random_hex(h, h->dialog.call_id, 2);
    random_hex(h, h->dialog.local_tag, 1);
    begin(h, &h->call, SIP_METHOD_INVITE, now_us);
}

void handset_hang_up(struct handset *h, uint64_t now_us)
{
    CHECK(h->dialog.state == HANDSET_TALKING && h->dialog.is_caller && !h->call.is_open);
    begin(h, &h->call, SIP_METHOD_BYE, now_us);
}

/* ---- responses ---- */

static void learn_target(struct handset_dialog *d, const struct sip_msg *m)
{
    struct sip_hdr_address contact;
    if (sip_hdr_address_decode(sip_msg_first(m, SIP_HDR_CONTACT), &contact) == ERR_OK) {
        keep_text(d->target, sizeof(d->target), contact.uri);
    }
}

static void send_ack(struct handset *h)
{
    uint8_t out[HANDSET_MESSAGE_CAP];
    struct outgoing o;
    char uri[LINE_CAP];
    describe(h, SIP_METHOD_ACK, uri, &o);
    o.cseq = h->call.cseq;
    size_t len = compose(h, &o, rng_next(&h->rng), "", out);
    h->s->send(h->s->context, h, slice_of(out, len));
}

/* The ACK of a refusal belongs to the INVITE's own transaction (17.1.1.3): no route set yet. */
static void send_hop_ack(struct handset *h, const struct sip_msg_core *core)
{
    uint8_t out[HANDSET_MESSAGE_CAP];
    struct outgoing o;
    char uri[LINE_CAP];
    char tag[HANDSET_TAG_CAP];
    describe(h, SIP_METHOD_INVITE, uri, &o);
    keep_text(tag, sizeof(tag), core->to.tag);
    o.method = SIP_METHOD_ACK;
    o.to_tag = tag;
    o.cseq = h->call.cseq;
    size_t len = compose(h, &o, h->call.branch, "", out);
    h->s->send(h->s->context, h, slice_of(out, len));
}

static void end_call(struct handset *h, uint16_t status)
{
    h->call.is_open = false;
    h->dialog.final = status;
    h->dialog.state = status < 300 ? HANDSET_TALKING : HANDSET_IDLE;
    h->news.answered = status;
}

static void finish(struct handset *h, struct handset_request *r, uint16_t status)
{
    if (r->method == SIP_METHOD_INVITE) {
        end_call(h, status);
        return;
    }
    r->is_open = false;
    if (r->method == SIP_METHOD_REGISTER) {
        h->news.registered = status;
        h->news.expires_s = h->expires_s;
    } else {
        h->dialog.state = HANDSET_IDLE;
        h->news.ended = status;
    }
}

/* False: there is nothing to answer it with. */
static bool answer_challenge(struct handset *h, struct handset_request *r, const struct sip_msg *m,
                             uint64_t now_us)
{
    enum { CREDENTIALS_CAP = 640 };
    char line[CREDENTIALS_CAP];
    char uri[LINE_CAP];
    struct outgoing o;
    struct slice name = sip_hdr_method_name(r->method);
    char method[16];
    struct crypto crypto = h->s->crypto;
    crypto.state = &h->rng;
    keep_text(method, sizeof(method), name);
    describe(h, r->method, uri, &o);
    struct phone_digest digest = {
        .crypto = &crypto, .user = h->user, .password = h->password, .method = method, .uri = uri};
    if (r->tries++ > 1 || !phone_digest_answer(&digest, m, line, sizeof(line))) {
        return false;
    }
    send_request(h, r, now_us, line);
    return true;
}

static void on_final(struct handset *h, struct handset_request *r, const struct sip_msg *m,
                     const struct sip_msg_core *core, uint64_t now_us)
{
    if (r->method == SIP_METHOD_INVITE && m->status >= 300) {
        send_hop_ack(h, core);
    }
    if ((m->status == 401 || m->status == 407) && answer_challenge(h, r, m, now_us)) {
        return;
    }
    if (r->method == SIP_METHOD_INVITE && m->status < 300) {
        phone_routes_read(m, true, h->dialog.routes, sizeof(h->dialog.routes));
        learn_target(&h->dialog, m);
        keep_text(h->dialog.remote_tag, sizeof(h->dialog.remote_tag), core->to.tag);
        send_ack(h);
    }
    finish(h, r, m->status);
}

/* A final answer to an INVITE that has had one: the same again is acknowledged again. */
static void on_answer_again(struct handset *h, const struct sip_msg *m,
                            const struct sip_msg_core *core)
{
    bool is_same =
        m->status == h->dialog.final &&
        (m->status >= 300 || slice_is_equal(core->to.tag, slice_text(h->dialog.remote_tag)));
    h->news.again += is_same ? 0 : 1;
    if (m->status >= 300) {
        send_hop_ack(h, core);
    } else if (is_same && h->dialog.state == HANDSET_TALKING) {
        send_ack(h);
    }
}

static bool is_of(const struct handset_request *r, const struct sip_msg_core *core)
{
    char branch[32];
    (void)snprintf(branch, sizeof(branch), "z9hG4bK%016llx", (unsigned long long)r->branch);
    return core->cseq.number == r->cseq && slice_is_equal(core->via.branch, slice_text(branch));
}

static void on_response(struct handset *h, const struct sip_msg *m, const struct sip_msg_core *core,
                        uint64_t now_us)
{
    struct handset_request *r = core->cseq.method == SIP_METHOD_REGISTER ? &h->reg : &h->call;
    if (!is_of(r, core) || core->cseq.method != r->method) {
        return;
    }
    if (!r->is_open) {
        if (r->method == SIP_METHOD_INVITE && m->status >= 200) {
            on_answer_again(h, m, core);
        }
    } else if (m->status >= 200) {
        on_final(h, r, m, core, now_us);
    } else if (r->method == SIP_METHOD_INVITE) {
        r->resend_us = UINT64_MAX;
        h->news.rang = h->news.rang || m->status == 180;
    } else {
        r->interval_us = T2_US;
    }
}

/* ---- requests of the other side ---- */

static void respond(struct handset *h, const struct sip_msg *m, const struct sip_msg_core *core,
                    unsigned status)
{
    uint8_t out[HANDSET_MESSAGE_CAP];
    struct sip_writer w;
    struct slice message;
    bool is_invite = core->cseq.method == SIP_METHOD_INVITE;
    bool has_body = is_invite && status == 200;
    struct sip_write_reply reply = {.status = status,
                                    .to_tag = slice_text(h->dialog.local_tag),
                                    .record_route = is_invite && status < 300};
    sip_write_init(&w, out, sizeof(out));
    sip_write_response(&w, m, core, &reply);
    if (is_invite && status < 300) {
        write_contact(h, &w);
    }
    sip_write_body(&w, has_body ? SLICE_LITERAL("application/sdp") : SLICE_EMPTY,
                   has_body ? slice_text(body) : SLICE_EMPTY);
    if (sip_write_finish(&w, &message) == ERR_OK) {
        h->s->send(h->s->context, h, message);
    }
}

static bool read_message(struct handset *h, struct slice bytes, struct sip_msg_core *core)
{
    struct sip_fault fault;
    sip_parser_init(h->s->parser, false);
    return sip_parser_datagram(h->s->parser, bytes) == SIP_PARSE_OK &&
           h->s->parser->event == SIP_EVENT_MESSAGE &&
           sip_msg_check(&h->s->parser->msg, core, &fault) == ERR_OK;
}

/* Answers the INVITE that was kept. */
static void answer_kept(struct handset *h, unsigned status)
{
    struct sip_msg_core core;
    struct slice kept = slice_of(h->dialog.invite, h->dialog.invite_len);
    CHECK(read_message(h, kept, &core)); /* it was sound when it came */
    respond(h, &h->s->parser->msg, &core, status);
}

static void take_call(struct handset *h, const struct sip_msg *m, const struct sip_msg_core *core,
                      uint64_t now_us)
{
    struct handset_dialog *d = &h->dialog;
    *d = (struct handset_dialog){.state = HANDSET_RINGING,
                                 .since_us = now_us,
                                 .answer_us = now_us + h->s->ring_us,
                                 .interval_us = T1_US,
                                 .invite_len = (uint16_t)m->bytes.len};
    memcpy(d->invite, m->bytes.data, m->bytes.len);
    keep_text(d->call_id, sizeof(d->call_id), core->call_id);
    keep_text(d->remote_tag, sizeof(d->remote_tag), core->from.tag);
    keep_text(d->branch, sizeof(d->branch), core->via.branch);
    random_hex(h, d->local_tag, 1);
    h->news.took = true;
    respond(h, m, core, 180);
}

static void on_invite(struct handset *h, const struct sip_msg *m, const struct sip_msg_core *core,
                      uint64_t now_us)
{
    struct handset_dialog *d = &h->dialog;
    bool is_same_call = !d->is_caller && slice_is_equal(core->call_id, slice_text(d->call_id));
    bool is_same = is_same_call && slice_is_equal(core->via.branch, slice_text(d->branch));
    if (is_same && d->state != HANDSET_IDLE) {
        respond(h, m, core, d->state == HANDSET_RINGING ? 180 : 200); /* retransmitted */
    } else if (is_same_call) {
        respond(h, m, core, 482); /* it came by two ways: a merged request (8.2.2.2) */
    } else if (!handset_is_idle(h)) {
        respond(h, m, core, 486);
    } else if (m->bytes.len > sizeof(d->invite)) {
        respond(h, m, core, 513);
    } else {
        take_call(h, m, core, now_us);
    }
}

/* One that comes again, its 200 having been lost, gets it again (17.2.2). */
static void on_bye(struct handset *h, const struct sip_msg *m, const struct sip_msg_core *core)
{
    struct handset_dialog *d = &h->dialog;
    bool is_ours = !d->is_caller && slice_is_equal(core->call_id, slice_text(d->call_id));
    respond(h, m, core, is_ours ? 200 : 481);
    if (is_ours && d->state != HANDSET_IDLE) {
        d->state = HANDSET_IDLE;
        h->news.was_ended = true;
    }
}

static void on_cancel(struct handset *h, const struct sip_msg *m, const struct sip_msg_core *core)
{
    struct handset_dialog *d = &h->dialog;
    bool is_ours =
        d->state == HANDSET_RINGING && slice_is_equal(core->via.branch, slice_text(d->branch));
    respond(h, m, core, is_ours ? 200 : 481);
    if (is_ours) {
        d->state = HANDSET_IDLE;
        h->news.was_ended = true;
        answer_kept(h, 487);
    }
}

static void on_request(struct handset *h, const struct sip_msg *m, const struct sip_msg_core *core,
                       uint64_t now_us)
{
    struct handset_dialog *d = &h->dialog;
    if (m->method == SIP_METHOD_INVITE) {
        on_invite(h, m, core, now_us);
    } else if (m->method == SIP_METHOD_ACK) {
        if (!d->is_caller && slice_is_equal(core->call_id, slice_text(d->call_id))) {
            d->is_acked = true;
            d->answer_us = UINT64_MAX;
        }
    } else if (m->method == SIP_METHOD_BYE) {
        on_bye(h, m, core);
    } else if (m->method == SIP_METHOD_CANCEL) {
        on_cancel(h, m, core);
    } else {
        respond(h, m, core, m->method == SIP_METHOD_OPTIONS ? 200 : 501);
    }
}

void handset_receive(struct handset *h, uint64_t now_us, struct slice datagram)
{
    struct sip_msg_core core;
    if (!read_message(h, datagram, &core)) {
        return;
    }
    const struct sip_msg *m = &h->s->parser->msg;
    if (m->is_request) {
        on_request(h, m, &core, now_us);
    } else {
        on_response(h, m, &core, now_us);
    }
}

/* ---- time ---- */

/* Nothing was heard for 32 s; or somebody works on it and never ends. */
static uint64_t ends_us(const struct handset *h, const struct handset_request *r)
{
    return r->begun_us + (r->resend_us == UINT64_MAX ? h->s->patience_us : GIVE_UP_US);
}

/* A callee that is not told of the end waits for the ACK as 13.3.1.4 says, and then for long. */
static uint64_t callee_ends_us(const struct handset *h)
{
    const struct handset_dialog *d = &h->dialog;
    bool is_waiting = d->state == HANDSET_RINGING || d->state == HANDSET_TALKING;
    if (!is_waiting || d->is_caller) {
        return UINT64_MAX;
    }
    return d->since_us + (d->is_acked ? h->s->patience_us : h->s->ring_us + GIVE_UP_US);
}

uint64_t handset_due_us(const struct handset *h)
{
    const struct handset_request *both[2] = {&h->reg, &h->call};
    bool has_answer = h->dialog.state != HANDSET_IDLE && !h->dialog.is_caller;
    uint64_t due = min_u64(callee_ends_us(h), has_answer ? h->dialog.answer_us : UINT64_MAX);
    for (size_t i = 0; i < ARRAY_COUNT(both); i++) {
        if (both[i]->is_open) {
            due = min_u64(due, min_u64(both[i]->resend_us, ends_us(h, both[i])));
        }
    }
    return due;
}

static void request_on_time(struct handset *h, struct handset_request *r, uint64_t now_us)
{
    if (!r->is_open) {
        return;
    }
    if (now_us >= ends_us(h, r)) {
        finish(h, r, 408);
    } else if (now_us >= r->resend_us) {
        h->s->send(h->s->context, h, slice_of(r->message, r->len));
        bool is_invite = r->method == SIP_METHOD_INVITE; /* 17.1.1.2: doubles without a bound */
        r->interval_us = is_invite ? 2 * r->interval_us : min_u64(2 * r->interval_us, T2_US);
        r->resend_us = now_us + r->interval_us;
    }
}

static void callee_on_time(struct handset *h, uint64_t now_us)
{
    struct handset_dialog *d = &h->dialog;
    if (d->is_caller || d->state == HANDSET_IDLE) {
        return;
    }
    if (now_us >= callee_ends_us(h)) {
        d->state = HANDSET_IDLE;
        h->news.was_ended = true;
    } else if (now_us >= d->answer_us) {
        d->state = HANDSET_TALKING;
        d->answer_us = now_us + d->interval_us;
        d->interval_us = min_u64(2 * d->interval_us, T2_US);
        answer_kept(h, 200);
    }
}

void handset_on_time(struct handset *h, uint64_t now_us)
{
    request_on_time(h, &h->reg, now_us);
    request_on_time(h, &h->call, now_us);
    callee_on_time(h, now_us);
}
