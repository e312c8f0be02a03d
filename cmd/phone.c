/* SPDX-License-Identifier: Apache-2.0 */
/* Small on purpose: one request at a time, one dialog at a time.  What it sends is real SIP; what
 * it receives is parsed by codec/sip_parser, like everything in this program. */
#include "cmd/phone.h"
#include "codec/sip_parser.h"
#include "codec/sip_write.h"
#include "sim/phone_digest.h"
#include "sim/phone_routes.h"
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    T1_US = 500000,
    T2_US = 4000000,
    GIVE_UP_US = 32000000, /* 64 * T1: timers B and F */
};

static const char body[] =
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=demo\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 4000 RTP/AVP 0\r\n";

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void random_hex(struct phone *p, char *out, size_t digits)
{
    uint8_t bytes[32];
    p->crypto->random(p->crypto, bytes, digits / 2);
    for (size_t i = 0; i < digits / 2; i++) {
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    }
}

static void keep_text(char *out, size_t cap, struct slice s)
{
    size_t len = min_size(s.len, cap - 1);
    memcpy(out, s.data, len);
    out[len] = '\0';
}

bool phone_open(struct phone *p, const struct crypto *crypto, const char *user,
                const char *password, const struct address *server)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(server->port)};
    struct sockaddr_in mine;
    socklen_t len = sizeof(mine);
    memset(p, 0, sizeof(*p));
    p->crypto = crypto;
    p->server = *server;
    keep_text(p->user, sizeof(p->user), slice_text(user));
    const char *at = strchr(p->user, '@');
    keep_text(p->domain, sizeof(p->domain), slice_text(at == NULL ? "" : at + 1));
    keep_text(p->password, sizeof(p->password), slice_text(password));
    memcpy(&to.sin_addr, server->ip, 4);
    p->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (p->fd < 0 || connect(p->fd, (struct sockaddr *)&to, sizeof(to)) != 0 ||
        getsockname(p->fd, (struct sockaddr *)&mine, &len) != 0) {
        return false;
    }
    p->local = (struct address){.family = 4, .port = ntohs(mine.sin_port)};
    memcpy(p->local.ip, &mine.sin_addr, 4);
    return true;
}

void phone_close(struct phone *p)
{
    if (p->fd >= 0) {
        close(p->fd);
    }
    p->fd = -1;
}

static void transmit(const struct phone *p, const uint8_t *bytes, size_t len)
{
    /* A refused datagram (the node was killed) is what retransmission and time-out are for. */
    (void)!send(p->fd, bytes, len, MSG_NOSIGNAL);
}

/* ---- requests ---- */

static void write_via_and_contact(struct phone *p, struct sip_writer *w, const char *branch)
{
    char local[ADDRESS_TEXT_CAP];
    char line[256];
    snprintf(line, sizeof(line), "SIP/2.0/UDP %s;branch=%s;rport", address_text(&p->local, local),
             branch);
    sip_write_header(w, SIP_HDR_VIA, slice_text(line));
    snprintf(line, sizeof(line), "<sip:%.*s@%s>", (int)strcspn(p->user, "@"), p->user, local);
    sip_write_header(w, SIP_HDR_CONTACT, slice_text(line));
}

/* From and To of a request: inside a dialog the callee's From is its own side too. */
static void write_parties(struct phone *p, struct sip_writer *w, const char *to, const char *to_tag)
{
    char line[320];
    snprintf(line, sizeof(line), "<sip:%s>;tag=%s", p->user, p->local_tag);
    sip_write_header(w, SIP_HDR_FROM, slice_text(line));
    snprintf(line, sizeof(line), "<sip:%s>%s%s", to, to_tag[0] == '\0' ? "" : ";tag=", to_tag);
    sip_write_header(w, SIP_HDR_TO, slice_text(line));
    sip_write_header(w, SIP_HDR_CALL_ID, slice_text(p->call_id));
}

struct outgoing {
    const char *method, *uri, *to, *to_tag, *routes, *credentials; /* whole header lines */
    uint32_t cseq, expires_s;
    bool has_body, has_expires;
};

static size_t compose(struct phone *p, const struct outgoing *o, const char *branch, uint8_t *out)
{
    struct sip_writer w;
    struct slice message;
    char line[64];
    sip_write_init(&w, out, PHONE_MESSAGE_CAP);
    sip_write_request_line(&w, slice_text(o->method), slice_text(o->uri));
    write_via_and_contact(p, &w, branch);
    sip_write_text(&w, o->routes);
    write_parties(p, &w, o->to, o->to_tag);
    snprintf(line, sizeof(line), "%u %s", o->cseq, o->method);
    sip_write_header(&w, SIP_HDR_CSEQ, slice_text(line));
    sip_write_header_u32(&w, SIP_HDR_MAX_FORWARDS, 70);
    if (o->has_expires) {
        sip_write_header_u32(&w, SIP_HDR_EXPIRES, o->expires_s);
    }
    sip_write_text(&w, o->credentials);
    sip_write_body(&w, o->has_body ? SLICE_LITERAL("application/sdp") : SLICE_EMPTY,
                   o->has_body ? slice_text(body) : SLICE_EMPTY);
    CHECK(sip_write_finish(&w, &message) == ERR_OK); /* our own texts: they fit */
    return message.len;
}

static void describe(struct phone *p, struct outgoing *o, char *uri, size_t cap)
{
    *o = (struct outgoing){.method = p->method,
                           .uri = uri,
                           .to = p->target,
                           .to_tag = "",
                           .routes = "",
                           .credentials = "",
                           .cseq = p->request.cseq};
    if (strcmp(p->method, "REGISTER") == 0) {
        snprintf(uri, cap, "sip:%s", p->domain);
        o->to = p->user;
        o->has_expires = true;
        o->expires_s = p->expires_s;
    } else if (strcmp(p->method, "INVITE") == 0) {
        snprintf(uri, cap, "sip:%s", p->target);
        o->has_body = true;
    } else {
        snprintf(uri, cap, "%s", p->remote_target);
        o->to_tag = p->remote_tag;
        o->routes = p->routes;
    }
}

static void send_request(struct phone *p, const char *credentials)
{
    struct phone_request *r = &p->request;
    struct outgoing o;
    char uri[256];
    r->cseq = ++p->cseq;
    snprintf(r->branch, sizeof(r->branch), "z9hG4bK");
    random_hex(p, r->branch + 7, 24);
    describe(p, &o, uri, sizeof(uri));
    o.credentials = credentials;
    r->message_len = compose(p, &o, r->branch, r->message);
    r->interval_us = T1_US;
    r->resend_us = now_us() + T1_US;
    transmit(p, r->message, r->message_len);
}

static void begin(struct phone *p, const char *method)
{
    memset(&p->request, 0, sizeof(p->request));
    p->request.step = PHONE_WAITS;
    p->request.begun_us = now_us();
    snprintf(p->method, sizeof(p->method), "%s", method);
    send_request(p, "");
}

void phone_register(struct phone *p, uint32_t expires_s)
{
    p->expires_s = expires_s;
    random_hex(p, p->call_id, 32);
    random_hex(p, p->local_tag, 16);
    begin(p, "REGISTER");
}

void phone_call(struct phone *p, const char *target)
{
    keep_text(p->target, sizeof(p->target), slice_text(target));
    random_hex(p, p->call_id, 32);
    random_hex(p, p->local_tag, 16);
    p->in_call = false;
    p->is_caller = true;
    begin(p, "INVITE");
}

void phone_hangup(struct phone *p)
{
    begin(p, "BYE");
}

static void finish(struct phone *p, uint16_t status, struct slice why)
{
    struct phone_request *r = &p->request;
    r->status = status;
    r->took_us = now_us() - r->begun_us;
    r->step = status < 300 ? PHONE_DONE : PHONE_FAILED;
    keep_text(r->why, sizeof(r->why), why);
}

/* ---- responses ---- */

static void learn_target(struct phone *p, const struct sip_msg *m)
{
    struct sip_hdr_address contact;
    if (sip_hdr_address_decode(sip_msg_first(m, SIP_HDR_CONTACT), &contact) == ERR_OK) {
        keep_text(p->remote_target, sizeof(p->remote_target), contact.uri);
    }
}

static void send_ack(struct phone *p)
{
    uint8_t out[PHONE_MESSAGE_CAP];
    char branch[40] = "z9hG4bK";
    struct outgoing o = {.method = "ACK",
                         .uri = p->remote_target,
                         .to = p->target,
                         .to_tag = p->remote_tag,
                         .routes = p->routes,
                         .credentials = "",
                         .cseq = p->request.cseq};
    random_hex(p, branch + 7, 24);
    transmit(p, out, compose(p, &o, branch, out));
}

/* The ACK of a refusal belongs to the INVITE's own transaction (17.1.1.3). */
static void send_hop_ack(struct phone *p, const struct sip_msg_core *core)
{
    static struct sip_parser invite; /* too large for a frame */
    uint8_t out[PHONE_MESSAGE_CAP];
    struct sip_writer w;
    struct slice message;
    sip_parser_init(&invite, false);
    enum sip_parse parsed =
        sip_parser_datagram(&invite, slice_of(p->request.message, p->request.message_len));
    CHECK(parsed == SIP_PARSE_OK);
    sip_write_init(&w, out, sizeof(out));
    char to[256];
    snprintf(to, sizeof(to), "<%.*s>%s%.*s", (int)core->to.uri.len, (const char *)core->to.uri.data,
             core->to.has_tag ? ";tag=" : "", (int)core->to.tag.len,
             (const char *)core->to.tag.data);
    sip_write_hop_request(&w, &invite.msg, SIP_METHOD_ACK, slice_text(to), SLICE_EMPTY);
    if (sip_write_finish(&w, &message) == ERR_OK) {
        transmit(p, message.data, message.len);
    }
}

static void on_challenge(struct phone *p, const struct sip_msg *m)
{
    char line[1024];
    char uri[256];
    struct outgoing o;
    describe(p, &o, uri, sizeof(uri));
    struct phone_digest digest = {.crypto = p->crypto,
                                  .user = p->user,
                                  .password = p->password,
                                  .method = p->method,
                                  .uri = uri};
    if (p->request.tries++ > 1 || !phone_digest_answer(&digest, m, line, sizeof(line))) {
        finish(p, m->status, SLICE_LITERAL("no credentials that the server takes"));
        return;
    }
    send_request(p, line);
}

static void on_final(struct phone *p, const struct sip_msg *m, const struct sip_msg_core *core)
{
    bool is_invite = strcmp(p->method, "INVITE") == 0;
    if (is_invite && m->status >= 300) {
        send_hop_ack(p, core);
    }
    if (m->status == 401 || m->status == 407) {
        on_challenge(p, m);
        return;
    }
    if (is_invite && m->status < 300) {
        phone_routes_read(m, true, p->routes, sizeof(p->routes));
        learn_target(p, m);
        keep_text(p->remote_tag, sizeof(p->remote_tag), core->to.tag);
        p->in_call = true;
        send_ack(p);
    }
    if (strcmp(p->method, "BYE") == 0) {
        p->in_call = false;
    }
    struct slice warning = sip_msg_named(m, SLICE_LITERAL("Warning"));
    finish(p, m->status, warning.len > 0 ? warning : m->reason);
}

static void on_response(struct phone *p, const struct sip_msg *m, const struct sip_msg_core *core)
{
    bool is_ours = slice_is_equal(core->via.branch, slice_text(p->request.branch));
    if (!is_ours) {
        return;
    }
    if (p->request.step != PHONE_WAITS) {
        if (p->in_call && m->status / 100 == 2 && core->cseq.method == SIP_METHOD_INVITE) {
            send_ack(p); /* a 2xx again: our ACK was lost */
        }
        return;
    }
    if (m->status >= 200) {
        on_final(p, m, core);
    } else if (core->cseq.method == SIP_METHOD_INVITE) {
        p->request.resend_us = UINT64_MAX; /* somebody works on it (17.1.1.2) */
    } else {
        p->request.interval_us = T2_US;
    }
}

/* ---- requests of the other side ---- */

static size_t respond(struct phone *p, const struct sip_msg *m, const struct sip_msg_core *core,
                      unsigned status, uint8_t *out)
{
    struct sip_writer w;
    struct slice message;
    struct sip_write_reply reply = {.status = status,
                                    .to_tag = slice_text(p->local_tag),
                                    .record_route = core->cseq.method == SIP_METHOD_INVITE};
    sip_write_init(&w, out, PHONE_MESSAGE_CAP);
    sip_write_response(&w, m, core, &reply);
    bool has_sdp = core->cseq.method == SIP_METHOD_INVITE && status == 200;
    if (has_sdp) {
        char local[ADDRESS_TEXT_CAP];
        char line[256];
        snprintf(line, sizeof(line), "<sip:%.*s@%s>", (int)strcspn(p->user, "@"), p->user,
                 address_text(&p->local, local));
        sip_write_header(&w, SIP_HDR_CONTACT, slice_text(line));
    }
    sip_write_body(&w, has_sdp ? SLICE_LITERAL("application/sdp") : SLICE_EMPTY,
                   has_sdp ? slice_text(body) : SLICE_EMPTY);
    if (sip_write_finish(&w, &message) != ERR_OK) {
        return 0;
    }
    transmit(p, message.data, message.len);
    return message.len;
}

static void on_invite(struct phone *p, const struct sip_msg *m, const struct sip_msg_core *core)
{
    uint8_t out[PHONE_MESSAGE_CAP];
    bool is_again = p->in_call && slice_is_equal(core->call_id, slice_text(p->call_id));
    if (p->in_call && !is_again) {
        (void)respond(p, m, core, 486, out);
        return;
    }
    if (!is_again) {
        keep_text(p->call_id, sizeof(p->call_id), core->call_id);
        random_hex(p, p->local_tag, 16);
        keep_text(p->remote_tag, sizeof(p->remote_tag), core->from.tag);
        struct slice from = core->from.uri; /* "sip:alice@demo.example" */
        keep_text(p->target, sizeof(p->target), slice_from(from, 4));
        phone_routes_read(m, false, p->routes, sizeof(p->routes));
        learn_target(p, m);
        p->in_call = true;
        p->is_caller = false;
        p->calls_taken++;
        (void)respond(p, m, core, 180, out);
    }
    p->answer_len = respond(p, m, core, 200, p->answer);
    p->answer_resend_us = now_us() + T1_US;
}

static void on_request(struct phone *p, const struct sip_msg *m, const struct sip_msg_core *core)
{
    uint8_t out[PHONE_MESSAGE_CAP];
    if (m->method == SIP_METHOD_INVITE) {
        on_invite(p, m, core);
    } else if (m->method == SIP_METHOD_ACK) {
        p->answer_len = 0;
    } else if (m->method == SIP_METHOD_BYE) {
        bool is_ours = p->in_call && slice_is_equal(core->call_id, slice_text(p->call_id));
        (void)respond(p, m, core, is_ours ? 200 : 481, out);
        p->in_call = p->in_call && !is_ours;
    } else {
        (void)respond(p, m, core, m->method == SIP_METHOD_OPTIONS ? 200 : 501, out);
    }
}

/* ---- polling ---- */

static void receive(struct phone *p)
{
    static uint8_t bytes[65536];
    struct sip_msg_core core;
    struct sip_fault fault;
    static struct sip_parser parser;
    ssize_t len;
    while ((len = recv(p->fd, bytes, sizeof(bytes), 0)) > 0) {
        sip_parser_init(&parser, false);
        if (sip_parser_datagram(&parser, slice_of(bytes, (size_t)len)) != SIP_PARSE_OK ||
            parser.event != SIP_EVENT_MESSAGE ||
            sip_msg_check(&parser.msg, &core, &fault) != ERR_OK) {
            continue;
        }
        if (parser.msg.is_request) {
            on_request(p, &parser.msg, &core);
        } else {
            on_response(p, &parser.msg, &core);
        }
    }
}

static void retransmit(struct phone *p)
{
    struct phone_request *r = &p->request;
    uint64_t now = now_us();
    if (r->step == PHONE_WAITS && now - r->begun_us >= GIVE_UP_US) {
        finish(p, 408, SLICE_LITERAL("nobody answered"));
    } else if (r->step == PHONE_WAITS && now >= r->resend_us) {
        transmit(p, r->message, r->message_len);
        r->interval_us = min_u64(2 * r->interval_us, T2_US);
        r->resend_us = now + r->interval_us;
    }
    if (p->answer_len > 0 && now >= p->answer_resend_us) {
        transmit(p, p->answer, p->answer_len);
        p->answer_resend_us = now + T1_US;
    }
}

void phone_poll(struct phone *const *phones, size_t count, struct phone *waiting, int timeout_ms)
{
    struct pollfd fds[32];
    uint64_t until = now_us() + (uint64_t)timeout_ms * 1000;
    CHECK(count <= ARRAY_COUNT(fds));
    for (;;) {
        for (size_t i = 0; i < count; i++) {
            receive(phones[i]);
            retransmit(phones[i]);
            fds[i] = (struct pollfd){.fd = phones[i]->fd, .events = POLLIN};
        }
        uint64_t now = now_us();
        if (now >= until || (waiting != NULL && waiting->request.step != PHONE_WAITS)) {
            return;
        }
        (void)poll(fds, (nfds_t)count, (int)min_u64(20, (until - now) / 1000 + 1));
    }
}
