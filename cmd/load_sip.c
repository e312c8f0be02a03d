/* SPDX-License-Identifier: Apache-2.0 */
/* load_sip.c - callers (who also register and ask for OPTIONS) and callees, and what they say.
 *
 * A branch is "z9hG4bK", a number of the run, the id of the operation, step and try: a response
 * finds its operation without a table of strings. */
#include "cmd/load_sip.h"
#include "codec/sip_write.h"
#include "sim/phone_routes.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    MESSAGE_CAP = 3000,
    URI_CAP = 320,
    ROUTES_CAP = 1024,
    BINDINGS = 8, /* contacts that a node takes of one account, by default */
    EXPIRES_S = 600,
    REGISTER_TRIES = 3,
    TRIES = 2, /* for a new nonce */
    NONCE_DIGITS = 8,
    ID_DIGITS = 16,
    BYE_CSEQ = 10,
    UNREGISTER_MS = 500,
    STEP_NS = 10 * 1000 * 1000,
};

enum step { STEP_REQUEST, STEP_BYE };

struct load_sip {
    struct load_phones all;
    struct load *load;
    uint32_t callers; /* phones[0 .. callers - 1]; behind them the callees */
    uint32_t next;
    uint32_t nonce; /* of this run */
    char server[ADDRESS_TEXT_CAP];
    uint64_t late; /* answers to what was given up */
};

static const char sdp[] =
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=load\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 4000 RTP/AVP 0\r\n";

/* ---- requests ---- */

struct request {
    const char *method, *uri;
    struct slice to;      /* the whole value */
    struct slice call_id; /* empty: from the operation's id */
    const char *routes;   /* whole lines, as the next two */
    const char *credentials, *more;
    uint32_t cseq;
    bool has_sdp;
    char branch[ID_DIGITS + NONCE_DIGITS + 3];
};

static void set_branch(const struct load_sip *s, struct request *r, uint64_t id, unsigned step,
                       unsigned try)
{
    (void)snprintf(r->branch, sizeof(r->branch), "%08x%016llx%u%u", s->nonce,
                   (unsigned long long)id, step, try % 10);
}

/* False: the kernel did not take it. */
static bool say(struct load_phone *p, const struct request *r)
{
    char out[MESSAGE_CAP];
    const char *from = p->account == NULL ? "load@invalid" : p->account->user;
    char call_id[ID_DIGITS + NONCE_DIGITS + 8];
    int id_len = snprintf(call_id, sizeof(call_id), "%.24s@load", r->branch);
    struct slice id = r->call_id.len > 0 ? r->call_id : slice_of(call_id, (size_t)id_len);
    int len = snprintf(out, sizeof(out),
                       "%s %s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=z9hG4bK%s;rport\r\n%s"
                       "Max-Forwards: 70\r\nFrom: <sip:%s>;tag=%s\r\nTo: %.*s\r\n"
                       "Call-ID: %.*s\r\nCSeq: %u %s\r\n%s%s%sContent-Length: %zu\r\n\r\n%s",
                       r->method, r->uri, p->all->via, p->local, r->branch, r->routes, from,
                       p->token, (int)r->to.len, (const char *)r->to.data, (int)id.len,
                       (const char *)id.data, r->cseq, r->method, r->more, r->credentials,
                       r->has_sdp ? "Content-Type: application/sdp\r\n" : "",
                       r->has_sdp ? sizeof(sdp) - 1 : 0, r->has_sdp ? sdp : "");
    CHECK(len > 0);
    if ((size_t)len >= sizeof(out)) {
        errno = EMSGSIZE;
        return false;
    }
    return load_phone_send(p, out, (size_t)len);
}

static void say_operation(struct load_sip *s, struct load_op *op, struct load_phone *p,
                          const struct request *r)
{
    if (!say(p, r)) {
        bool is_full = errno == EAGAIN || errno == ENOBUFS;
        const char *why = errno == ECONNREFUSED ? "refused"
                          : errno == ENOTCONN   ? "link_down"
                                                : "not_sent";
        load_ops_fail(&s->load->ops, op, is_full ? "send_buffer_full" : why);
    }
}

static void say_options(struct load_sip *s, struct load_op *op, uint64_t id, struct load_phone *p)
{
    char uri[URI_CAP];
    char to[URI_CAP];
    (void)snprintf(uri, sizeof(uri), "sip:%s", s->server);
    int len = snprintf(to, sizeof(to), "<sip:%s>", s->server);
    struct request r = {.method = "OPTIONS",
                        .uri = uri,
                        .to = slice_of(to, (size_t)len),
                        .routes = "",
                        .credentials = "",
                        .more = "",
                        .cseq = 1};
    set_branch(s, &r, id, STEP_REQUEST, op->tries);
    say_operation(s, op, p, &r);
}

static void say_register(struct load_sip *s, struct load_op *op, uint64_t id, struct load_phone *p)
{
    char uri[URI_CAP];
    char to[URI_CAP];
    char more[URI_CAP + CRYPTO_USER_CAP];
    char credentials[LOAD_DIGEST_LINE_CAP] = "";
    (void)snprintf(uri, sizeof(uri), "sip:%s", s->all.target->domain);
    int len = snprintf(to, sizeof(to), "<sip:%s>", p->account->user);
    (void)snprintf(more, sizeof(more), "Contact: <sip:%s@%s%s>;expires=%u\r\n", p->name, p->local,
                   p->all->params, op->number);
    if (p->digest.is_known) {
        (void)load_digest_line(&p->digest, s->all.crypto, p->name, "REGISTER", uri, credentials);
    }
    struct request r = {.method = "REGISTER",
                        .uri = uri,
                        .to = slice_of(to, (size_t)len),
                        .call_id = slice_text(p->token),
                        .routes = "",
                        .credentials = credentials,
                        .more = more,
                        .cseq = ++p->cseq};
    set_branch(s, &r, id, STEP_REQUEST, op->tries);
    say_operation(s, op, p, &r);
}

static void callee_uri(const struct load_sip *s, const struct load_op *op, char uri[URI_CAP])
{
    (void)snprintf(uri, URI_CAP, "sip:%s", s->all.phones[op->number].account->user);
}

static void say_invite(struct load_sip *s, struct load_op *op, uint64_t id, struct load_phone *p)
{
    char uri[URI_CAP];
    char to[URI_CAP + 2];
    char more[URI_CAP];
    char credentials[LOAD_DIGEST_LINE_CAP] = "";
    callee_uri(s, op, uri);
    int len = snprintf(to, sizeof(to), "<%s>", uri);
    (void)snprintf(more, sizeof(more), "Contact: <sip:%s@%s%s>\r\n", p->name, p->local,
                   p->all->params);
    if (p->digest.is_known) {
        (void)load_digest_line(&p->digest, s->all.crypto, p->name, "INVITE", uri, credentials);
    }
    struct request r = {.method = "INVITE",
                        .uri = uri,
                        .to = slice_of(to, (size_t)len),
                        .routes = "",
                        .credentials = credentials,
                        .more = more,
                        .cseq = 1u + op->tries,
                        .has_sdp = true};
    set_branch(s, &r, id, STEP_REQUEST, op->tries);
    say_operation(s, op, p, &r);
}

static void say_first(struct load_sip *s, struct load_op *op, uint64_t id)
{
    struct load_phone *p = &s->all.phones[op->who];
    if (op->kind == LOAD_OPTIONS) {
        say_options(s, op, id, p);
    } else if (op->kind == LOAD_REGISTER) {
        say_register(s, op, id, p);
    } else {
        say_invite(s, op, id, p);
    }
}

static bool begin_with(struct load_sip *s, enum load_kind kind, uint64_t intended_ns, uint32_t who,
                       uint32_t number)
{
    uint64_t id = 0;
    struct load_op *op = load_ops_begin(&s->load->ops, kind, intended_ns, s->load->now_ns, &id);
    if (op == NULL) {
        return false;
    }
    op->who = (uint16_t)who;
    op->number = number;
    say_first(s, op, id);
    return true;
}

static bool begin(void *state, enum load_kind kind, uint64_t intended_ns)
{
    struct load_sip *s = state;
    uint32_t number = EXPIRES_S;
    if (kind == LOAD_INVITE) {
        number = s->callers + s->next % (s->all.count - s->callers);
    }
    return begin_with(s, kind, intended_ns, s->next++ % s->callers, number);
}

static void turn(void *state)
{
    (void)state; /* everything is sent at once */
}

/* ---- answers ---- */

/* "z9hG4bK" + number of the run + id + step + try */
static bool read_branch(const struct load_sip *s, struct slice branch, uint64_t *id, unsigned *step)
{
    enum { MAGIC = 7 };
    uint8_t bytes[(NONCE_DIGITS + ID_DIGITS) / 2];
    size_t len = 0;
    if (branch.len != MAGIC + NONCE_DIGITS + ID_DIGITS + 2 ||
        ids_unhex(slice_sub(branch, MAGIC, NONCE_DIGITS + ID_DIGITS), bytes, sizeof(bytes), &len) !=
            ERR_OK ||
        rd_at32(bytes) != s->nonce) {
        return false;
    }
    *id = rd_at64(bytes + 4);
    *step = branch.data[MAGIC + NONCE_DIGITS + ID_DIGITS] - (unsigned)'0';
    return true;
}

static void fail_status(struct load_sip *s, struct load_op *op, const char *what, unsigned status)
{
    char name[LOAD_OPS_ERROR_CAP];
    (void)snprintf(name, sizeof(name), "%s_%u", what, status);
    load_ops_fail(&s->load->ops, op, name);
}

/* ACK, or BYE, after the 200 to an INVITE. */
static bool say_in_dialog(struct load_sip *s, struct load_phone *p, const struct sip_msg *m,
                          const struct sip_msg_core *core, uint64_t id, bool is_bye)
{
    char routes[ROUTES_CAP];
    char uri[URI_CAP];
    struct sip_hdr_address contact;
    if (sip_hdr_address_decode(sip_msg_first(m, SIP_HDR_CONTACT), &contact) != ERR_OK ||
        contact.uri.len >= sizeof(uri)) {
        errno = EINVAL;
        return false;
    }
    memcpy(uri, contact.uri.data, contact.uri.len);
    uri[contact.uri.len] = '\0';
    phone_routes_read(m, true, routes, sizeof(routes));
    struct request r = {.method = is_bye ? "BYE" : "ACK",
                        .uri = uri,
                        .to = sip_msg_first(m, SIP_HDR_TO),
                        .call_id = core->call_id,
                        .routes = routes,
                        .credentials = "",
                        .more = "",
                        .cseq = is_bye ? BYE_CSEQ : core->cseq.number};
    set_branch(s, &r, id, is_bye ? STEP_BYE : 2, 0);
    return say(p, &r);
}

/* The ACK of a refusal: the INVITE's own branch (RFC 3261 17.1.1.3). */
static void say_hop_ack(const struct load_sip *s, struct load_phone *p, const struct load_op *op,
                        const struct sip_msg *m, const struct sip_msg_core *core)
{
    char uri[URI_CAP];
    struct request r = {.method = "ACK",
                        .uri = uri,
                        .to = sip_msg_first(m, SIP_HDR_TO),
                        .call_id = core->call_id,
                        .routes = "",
                        .credentials = "",
                        .more = "",
                        .cseq = core->cseq.number};
    callee_uri(s, op, uri);
    (void)snprintf(r.branch, sizeof(r.branch), "%.*s", (int)core->via.branch.len - 7,
                   (const char *)core->via.branch.data + 7);
    (void)!say(p, &r); /* lost or not: the INVITE is over */
}

/* A challenge: once more with the new nonce; true when it was. */
static bool again(struct load_sip *s, struct load_op *op, uint64_t id, struct load_phone *p,
                  const struct sip_msg *m)
{
    if ((m->status != 401 && m->status != 407) || p->account == NULL || op->tries >= TRIES ||
        !load_digest_learn(&p->digest, s->all.crypto, p->name, p->account->password, m)) {
        return false;
    }
    op->tries++;
    say_first(s, op, id);
    return true;
}

static void on_invite_final(struct load_sip *s, struct load_op *op, uint64_t id,
                            struct load_phone *p, const struct sip_msg *m,
                            const struct sip_msg_core *core)
{
    if (m->status >= 300) {
        say_hop_ack(s, p, op, m, core);
        if (!again(s, op, id, p, m)) {
            fail_status(s, op, "status", m->status);
        }
        return;
    }
    op->step = STEP_BYE;
    op->answered_ns = s->load->now_ns;
    if (!say_in_dialog(s, p, m, core, id, false) || !say_in_dialog(s, p, m, core, id, true)) {
        load_ops_fail(&s->load->ops, op, "not_sent");
    }
}

static void on_final(struct load_sip *s, struct load_op *op, uint64_t id, struct load_phone *p,
                     const struct sip_msg *m)
{
    bool is_bye = op->step == STEP_BYE;
    if (op->kind == LOAD_REGISTER) {
        p->last_status = m->status;
        p->is_registered = m->status < 300 ? op->number > 0 : p->is_registered;
    }
    if (m->status < 300) {
        load_ops_done(&s->load->ops, op, is_bye ? op->answered_ns : s->load->now_ns);
    } else if (is_bye || !again(s, op, id, p, m)) {
        fail_status(s, op, is_bye ? "bye_status" : "status", m->status);
    }
}

static void on_response(struct load_sip *s, struct load_phone *p, const struct sip_msg *m,
                        const struct sip_msg_core *core)
{
    uint64_t id = 0;
    unsigned step = 0;
    if (!read_branch(s, core->via.branch, &id, &step) || m->status < 200) {
        return;
    }
    struct load_op *op = load_ops_find(&s->load->ops, id);
    if (op == NULL || p != &s->all.phones[op->who] || step != op->step) {
        s->late++;
        return;
    }
    if (op->kind == LOAD_INVITE && op->step == STEP_REQUEST) {
        on_invite_final(s, op, id, p, m, core);
    } else {
        on_final(s, op, id, p, m);
    }
}

/* ---- the callee ---- */

static void respond(struct load_phone *p, const struct sip_msg *m, const struct sip_msg_core *core,
                    unsigned status)
{
    uint8_t out[MESSAGE_CAP];
    char contact[URI_CAP];
    struct sip_writer w;
    struct slice message;
    bool is_invite = core->cseq.method == SIP_METHOD_INVITE;
    struct sip_write_reply reply = {
        .status = status, .to_tag = slice_text(p->token), .record_route = is_invite};
    sip_write_init(&w, out, sizeof(out));
    sip_write_response(&w, m, core, &reply);
    bool has_sdp = is_invite && status == 200;
    if (has_sdp) {
        (void)snprintf(contact, sizeof(contact), "<sip:%s@%s%s>", p->name, p->local,
                       p->all->params);
        sip_write_header(&w, SIP_HDR_CONTACT, slice_text(contact));
    }
    sip_write_body(&w, has_sdp ? SLICE_LITERAL("application/sdp") : SLICE_EMPTY,
                   has_sdp ? slice_text(sdp) : SLICE_EMPTY);
    if (sip_write_finish(&w, &message) == ERR_OK) {
        (void)!load_phone_send(p, message.data, message.len); /* lost: the caller's time-out */
    }
}

static void on_message(struct load_phone *p, const struct sip_msg *m,
                       const struct sip_msg_core *core)
{
    struct load_sip *s = p->all->user;
    if (!m->is_request) {
        on_response(s, p, m, core);
    } else if (m->method == SIP_METHOD_INVITE) {
        respond(p, m, core, 180);
        respond(p, m, core, 200);
    } else if (m->method != SIP_METHOD_ACK) {
        bool is_known = m->method == SIP_METHOD_BYE || m->method == SIP_METHOD_OPTIONS ||
                        m->method == SIP_METHOD_CANCEL;
        respond(p, m, core, is_known ? 200 : 501);
    }
}

/* ---- before and after ---- */

/* Callers have accounts of the first half, callees one each of the second; without calls all
 * accounts are the callers'. */
static enum err assign(struct load_sip *s, uint32_t callees, char *why)
{
    const struct load_target *t = s->all.target;
    const uint32_t *mix = s->load->s->mix;
    uint32_t for_callers = t->account_count - callees;
    bool needs_account = mix[LOAD_REGISTER] + mix[LOAD_INVITE] > 0;
    if (!needs_account) {
        return ERR_OK;
    }
    if (for_callers == 0 || (mix[LOAD_INVITE] > 0 && callees == 0)) {
        return say_why(why, ERR_CONFIG,
                       "too few accounts: %u: give --demo FILE, or --account "
                       "U@D:PASSWORD (for calls: twice)",
                       t->account_count);
    }
    if (mix[LOAD_REGISTER] > 0 && s->callers > for_callers * BINDINGS) {
        return say_why(why, ERR_CONFIG,
                       "too many phones: --connections %u: %u accounts register at most %u; give "
                       "more accounts or fewer phones",
                       s->callers, for_callers, for_callers * BINDINGS);
    }
    for (uint32_t i = 0; i < s->callers; i++) {
        load_phone_assign(&s->all.phones[i], &t->accounts[i % for_callers]);
    }
    for (uint32_t i = 0; i < callees; i++) {
        load_phone_assign(&s->all.phones[s->callers + i], &t->accounts[for_callers + i]);
    }
    return ERR_OK;
}

/* Callers register where that is what is measured, else one of each account; callees all. */
static bool is_registering(const struct load_sip *s, uint32_t index)
{
    const struct load_phone *p = &s->all.phones[index];
    if (p->account == NULL) {
        return false;
    }
    if (index >= s->callers || s->load->s->mix[LOAD_REGISTER] > 0) {
        return true;
    }
    for (uint32_t i = 0; i < index; i++) {
        if (s->all.phones[i].account == p->account) {
            return false;
        }
    }
    return true;
}

static void await(struct load_sip *s, uint64_t wait_ns)
{
    uint64_t until_ns = s->load->now_ns + wait_ns;
    while (s->load->ops.outstanding > 0 && s->load->now_ns < until_ns && *s->load->s->stop == 0) {
        load_step(s->load, STEP_NS);
    }
    load_ops_expire(&s->load->ops, UINT64_MAX);
}

/* One after the other; a datagram may be lost. */
static enum err register_all(struct load_sip *s, char *why)
{
    for (uint32_t i = 0; i < s->all.count; i++) {
        struct load_phone *p = &s->all.phones[i];
        for (uint32_t try = 0; is_registering(s, i) && try < REGISTER_TRIES; try++) {
            if (p->is_registered || *s->load->s->stop != 0) {
                break;
            }
            bool begun = begin_with(s, LOAD_REGISTER, s->load->now_ns, i, EXPIRES_S);
            CHECK(begun); /* nothing else is outstanding */
            await(s, s->load->s->timeout_ms * 1000000);
        }
        if (is_registering(s, i) && !p->is_registered) {
            return say_why(why, ERR_REMOTE,
                           "cannot register: %s at %s: %s %u; is the password right, and that node "
                           "its registrar?",
                           p->account->user, s->server,
                           p->last_status == 0 ? "no answer" : "status", p->last_status);
        }
    }
    load_ops_reset(&s->load->ops);
    return ERR_OK;
}

enum err load_sip_open(struct load *l, const struct load_target *target, struct load_sip **out,
                       char *why)
{
    struct load_sip *s = calloc(1, sizeof(*s));
    *out = s;
    if (s == NULL) {
        return say_why(why, ERR_NO_MEMORY, "no memory: phones: free some");
    }
    uint32_t callees = 0;
    s->load = l;
    s->callers = (uint32_t)l->s->connections;
    s->nonce = (uint32_t)rng_next(&l->rng);
    if (l->s->mix[LOAD_INVITE] > 0) {
        callees = (uint32_t)min_size(s->callers, target->account_count / 2);
    }
    s->all.user = s;
    s->all.on_message = on_message;
    address_text(&target->sip, s->server);
    enum err e = load_phone_open(&s->all, l, target, s->callers, callees, why);
    if (e == ERR_OK) {
        e = assign(s, callees, why);
    }
    if (e == ERR_OK) {
        e = register_all(s, why);
    }
    load_add(l, &(struct load_driver){.state = s, .begin = begin, .turn = turn},
             1u << LOAD_OPTIONS | 1u << LOAD_REGISTER | 1u << LOAD_INVITE);
    return e;
}

void load_sip_close(struct load_sip *s)
{
    if (s == NULL) {
        return;
    }
    for (uint32_t i = 0; i < s->all.count && *s->load->s->stop == 0; i++) {
        if (s->all.phones[i].is_registered) {
            (void)begin_with(s, LOAD_REGISTER, s->load->now_ns, i, 0);
        }
    }
    await(s, UNREGISTER_MS * UINT64_C(1000000));
    load_phone_close(&s->all);
    free(s);
}
