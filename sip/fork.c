/* SPDX-License-Identifier: Apache-2.0 */
/* fork.c - see fork.h.
 *
 *   HELD (behind a higher q) -> WAITING
 *   WAITING (for the connection) -> SENT (client transaction) -> OVER (a final result)
 *      \___________________________________________________________/
 *
 * Branches are released with their proxy, so that results that come late find nobody, which is a
 * normal miss. */
#include "sip/fork.h"
#include "sip/challenge.h"
#include "sip/dial.h"
#include "sip/foreign.h"
#include "sip/location.h"
#include "sip/peer_share.h"
#include "sip/registrar.h"
#include "sip/relay.h"
#include "sip/reply.h"
#include "sip/sips.h"
#include "sip/subscribe.h"

#define US_PER_S UINT64_C(1000000)

static const uint8_t edges[FORK_STATE_COUNT] = {
    [FORK_HELD] = 1u << FORK_WAITING | 1u << FORK_OVER,
    [FORK_WAITING] = 1u << FORK_SENT | 1u << FORK_OVER,
    [FORK_SENT] = 1u << FORK_OVER,
};

static void uncount(struct sip *s, const struct proxy *p, struct fork_branch *b)
{
    if (b->is_counted) {
        peer_share_give(s, &b->to.node, p->source);
        b->is_counted = false;
    }
}

static void enter(struct turn *t, struct sip *s, struct fork_branch *b, enum fork_state next)
{
    struct proxy *p = pool_get(&s->proxies, b->proxy);
    CHECK(p != NULL);
    CHECK(edges[b->state] & 1u << next);
    if (b->state == FORK_HELD) {
        p->held--;
    }
    b->state = (uint8_t)next;
    if (next != FORK_SENT) {
        wheel_cancel(t->wheel, &b->timer_c);
    }
    if (next == FORK_OVER) {
        CHECK(p->open > 0);
        p->open--;
        b->is_lost = false;
        uncount(s, p, b);
    }
}

/* RFC 3261 16.7 item 6: 6xx, then the lowest class; within 4xx, what the caller can act upon. */
static unsigned rank(unsigned status)
{
    switch (status) {
    case 401:
    case 407:
    case 415:
    case 420:
    case 484:
        return 40;
    case 503:
        return 95; /* never better than anything that somebody else said */
    case 408:
    case 480:
        return 60; /* the device was not there; another one may have said more */
    default:
        return status >= 600 ? 0 : status < 400 ? 30 : status < 500 ? 50 : 70;
    }
}

static bool is_better(const struct proxy *p, unsigned status)
{
    return p->best_status == 0 || rank(status) < rank(p->best_status);
}

void fork_note(struct turn *t, struct sip *s, struct proxy *p, unsigned status, const char *why)
{
    (void)s;
    CHECK(status >= 300);
    if (!is_better(p, status)) {
        return;
    }
    p->best_status = (uint16_t)status;
    p->why = why;
    if (p->best != NULL) {
        msgbuf_release(t->buffers, p->best);
        p->best = NULL;
    }
}

static void send_on(struct turn *t, struct sip *s, struct fork_branch *b);
static void send_to_peer(struct turn *t, struct sip *s, struct fork_branch *b);

/* Those of the highest q that is left. */
static void send_next_group(struct turn *t, struct sip *s, struct proxy *p)
{
    struct fork_branch *b = NULL;
    uint16_t q = 0;
    for (handle h = p->first; (b = pool_get(&s->branches, h)) != NULL; h = b->next) {
        q = b->state == FORK_HELD && b->q_milli > q ? b->q_milli : q;
    }
    unsigned left = p->held;
    for (handle h = p->first; (b = pool_get(&s->branches, h)) != NULL; h = b->next) {
        left -= b->state == FORK_HELD && b->q_milli == q ? 1u : 0u;
    }
    metric_add(t->metrics, METRIC_sip_forks_next, 1);
    for (handle h = p->first; (b = pool_get(&s->branches, h)) != NULL; h = b->next) {
        if (b->state == FORK_HELD && b->q_milli == q) {
            b->is_last = left == 0;
            enter(t, s, b, FORK_WAITING);
            if (b->is_peer) {
                send_to_peer(t, s, b);
            } else {
                send_on(t, s, b);
            }
        }
    }
}

bool fork_is_absence(unsigned status)
{
    return status == 0 || status == 404 || status == 408 || status == 430 || status == 480 ||
           (status >= 500 && status < 600);
}

/* A device has said what is to be said: nothing is kept for it. */
static void spare_mailboxes(struct turn *t, struct sip *s, struct proxy *p)
{
    struct fork_branch *b = NULL;
    for (handle h = p->first; (b = pool_get(&s->branches, h)) != NULL; h = b->next) {
        if (b->state == FORK_HELD && b->is_mailbox) {
            enter(t, s, b, FORK_OVER);
        }
    }
}

void fork_settle(struct turn *t, struct sip *s, struct proxy *p)
{
    if (p->held > 0 && (p->is_answered || !fork_is_absence(p->best_status))) {
        spare_mailboxes(t, s, p);
    }
    while (p->state == PROXY_FORKING && p->held > 0 && p->open == p->held && !p->is_answered &&
           !p->is_cancelled) {
        send_next_group(t, s, p);
    }
    if (p->state == PROXY_FORKING && p->open == 0) {
        proxy_settle(t, s, p);
    }
}

static void over(struct turn *t, struct sip *s, struct fork_branch *b, unsigned status,
                 const char *why)
{
    struct proxy *p = pool_get(&s->proxies, b->proxy);
    CHECK(p != NULL);
    enter(t, s, b, FORK_OVER);
    fork_note(t, s, p, status, why);
}

/* ---- sending */

static uint64_t group_s(const struct fork_branch *b)
{
    return (uint64_t)FORK_GROUP_S * (b->steps == 0 ? 1 : b->steps);
}

static bool makes_dialog(const struct proxy *p)
{
    return p->method == SIP_METHOD_INVITE || p->method == SIP_METHOD_SUBSCRIBE ||
           p->method == SIP_METHOD_REFER;
}

static struct msgbuf *write_request(struct turn *t, struct sip *s, const struct proxy *p,
                                    const struct fork_branch *b, const char *branch)
{
    struct sip_rx room;
    const struct sip_rx *rx = sip_state_reread(s, p->request, &p->from, &room);
    const struct registrar_binding *binding = pool_get(&s->bindings, b->binding);
    struct relay how = {.to = &b->to,
                        .branch = branch,
                        .request_uri = slice_of(b->uri, b->uri_len),
                        .pop_routes = p->pop_routes,
                        .drop_routes = !p->is_in_dialog,
                        .is_beyond = p->is_in_dialog && !flow_is_peer(&b->to),
                        .record_route = !p->is_in_dialog && makes_dialog(p),
                        .drop_credentials = !flow_is_peer(&p->from),
                        .max_breadth = p->breadth_each};
    if (binding != NULL && !p->is_in_dialog) {
        how.path = registrar_path(binding);
    }
    return relay_request(t, s, rx, &how);
}

size_t fork_measure(struct turn *t, struct sip *s, struct proxy *p, const struct flow_ref *to)
{
    char branch[TX_BRANCH_CAP];
    const struct fork_branch b = {.to = *to};
    tx_branch_make(t, s, p->loop, branch);
    struct msgbuf *request = write_request(t, s, p, &b, branch);
    size_t len = request == NULL ? SIZE_MAX : msgbuf_slice(request).len;
    if (request != NULL) {
        msgbuf_release(t->buffers, request);
    }
    return len;
}

static void send_on(struct turn *t, struct sip *s, struct fork_branch *b)
{
    char branch[TX_BRANCH_CAP];
    enum err error = ERR_OK;
    struct proxy *p = pool_get(&s->proxies, b->proxy);
    CHECK(p != NULL);
    tx_branch_make(t, s, p->loop, branch);
    struct msgbuf *request = write_request(t, s, p, b, branch);
    if (request == NULL) {
        over(t, s, b, 513, "The request does not fit");
        return;
    }
    msgbuf_charge(t->buffers, request, p->source);
    if (p->method == SIP_METHOD_ACK) {
        enum err e = flow_send(t, s, &b->to, request);
        (void)e; /* counted; the 2xx will come again */
        msgbuf_release(t->buffers, request);
        enter(t, s, b, FORK_OVER);
        return;
    }
    struct tx *tx =
        tx_client_start(t, s, (enum sip_method)p->method, &b->to, branch, request, &error);
    msgbuf_release(t->buffers, request);
    if (tx == NULL) {
        p->has_lost = p->has_lost || (error == ERR_CLOSED && b->to.kind == SIP_PEER);
        bool is_flow =
            error == ERR_CLOSED && p->is_in_dialog && !flow_is_peer(&b->to) && !b->to.is_foreign;
        over(t, s, b,
             is_flow               ? 430 /* Flow Failed (RFC 5626 5.3.1) */
             : error == ERR_CLOSED ? 480
                                   : 503,
             error == ERR_CLOSED ? "The connection to the callee is gone"
                                 : "Too many calls at once");
        return;
    }
    tx->user = pool_handle(&s->branches, b);
    tx->server = p->tx;
    b->tx = tx_handle(s, tx);
    enter(t, s, b, FORK_SENT);
    if (p->method == SIP_METHOD_INVITE) {
        wheel_arm(t->wheel, &b->timer_c,
                  t->now_us + (b->is_last ? FORK_TIMER_C_S : group_s(b)) * US_PER_S);
    }
}

/* To a peer: at once when there is a connection, else when there will be. */
static void send_to_peer(struct turn *t, struct sip *s, struct fork_branch *b)
{
    struct node_id node = b->to.node;
    struct proxy *p = pool_get(&s->proxies, b->proxy);
    CHECK(p != NULL);
    if (dial_find(s, &node, &b->to)) {
        if (!p->is_in_dialog && flow_is_behind(s, &b->to)) {
            metric_add(t->metrics, METRIC_sip_refused_behind, 1);
            over(t, s, b, 503, "The callee's peer is behind with the calls that it has");
            return;
        }
        bool is_ask = !p->is_in_dialog && p->method != SIP_METHOD_INVITE;
        b->is_counted = is_ask && peer_share_take(t, s, &node, p->source);
        if (is_ask && !b->is_counted) {
            over(t, s, b, 503, "The callee's peer has enough to answer");
            return;
        }
        send_on(t, s, b);
        return;
    }
    enum err e = dial_want(t, s, &node, p->source);
    if (e != ERR_PENDING) {
        p->has_lost = true;
        over(t, s, b, e == ERR_LIMIT || e == ERR_STATE ? 503 : 480,
             "The callee's peer cannot be reached from here now");
    }
}

/* A contact as it may stand in a Request-URI (RFC 3261 16.6 step 2): without headers, and without
 * the parameter `method` (19.1.1, table 1).  0: it is none. */
static uint16_t write_target(struct slice contact, char *out)
{
    struct sip_uri uri;
    if (sip_uri_decode(contact, &uri) != ERR_OK) {
        return 0;
    }
    if (uri.params.len == 0 && !uri.has_headers) {
        memcpy(out, contact.data, contact.len);
        return (uint16_t)contact.len;
    }
    struct slice rest = uri.params;
    size_t len = rest.len > 0 ? (size_t)(rest.data - contact.data)
                              : (size_t)(uri.headers.data - 1 - contact.data);
    memcpy(out, contact.data, len);
    while (rest.len > 0) { /* ";name" or ";name=value" */
        const uint8_t *next = memchr(rest.data + 1, ';', rest.len - 1);
        struct slice one = next == NULL ? rest : slice_of(rest.data, (size_t)(next - rest.data));
        const uint8_t *equals = memchr(one.data, '=', one.len);
        size_t name_end = equals == NULL ? one.len : (size_t)(equals - one.data);
        if (!sip_lex_is_word(slice_between(one, 1, name_end), SLICE_LITERAL("method"))) {
            memcpy(out + len, one.data, one.len);
            len += one.len;
        }
        rest = slice_from(rest, one.len);
    }
    return (uint16_t)len;
}

bool fork_expect(struct turn *t, struct sip *s, struct proxy *p, unsigned count)
{
    if (count > p->breadth) {
        fork_note(t, s, p, 440, "Max-Breadth is less than there are contacts");
        return false;
    }
    p->breadth_each = (uint8_t)(p->breadth / (count == 0 ? 1 : count));
    return true;
}

/* All of a branch but the sending; NULL: no room (noted). */
static struct fork_branch *add(struct turn *t, struct sip *s, struct proxy *p, struct slice uri)
{
    bool is_much = p->source != 0 &&
                   s->sources[p->source].branches >= s->settings.limits->sip_branches_per_source;
    metric_add(t->metrics, METRIC_sip_refused_share, is_much ? 1 : 0);
    struct fork_branch *b = uri.len > FORK_URI_CAP || is_much ? NULL : pool_acquire(&s->branches);
    if (b == NULL) {
        metric_add(t->metrics, METRIC_pool_exhausted, 1);
        fork_note(t, s, p, 503, "Too many calls at once");
        return NULL;
    }
    b->uri_len = uri.len == 0 ? 0 : write_target(uri, b->uri);
    if (uri.len > 0 && b->uri_len == 0) {
        pool_release(&s->branches, b);
        fork_note(t, s, p, 404, "The callee's address is no URI to ask for");
        return NULL;
    }
    handle h = pool_handle(&s->branches, b);
    b->proxy = pool_handle(&s->proxies, p);
    b->next = p->first;
    b->state = FORK_WAITING;
    b->is_last = p->held == 0;
    b->timer_c.tag = h;
    b->timer_c.what = FORK_TIMER_C;
    p->first = h;
    p->open++;
    s->sources[p->source].branches++;
    return b;
}

/* Behind those that were added before it, who have less time from now on. */
static void hold(struct turn *t, struct sip *s, struct proxy *p, struct fork_branch *held)
{
    struct fork_branch *b = NULL;
    held->state = FORK_HELD;
    p->held++;
    for (handle h = p->first; (b = pool_get(&s->branches, h)) != NULL; h = b->next) {
        if (b->state == FORK_SENT && b->is_last) {
            b->is_last = false;
            wheel_arm(t->wheel, &b->timer_c, t->now_us + group_s(b) * US_PER_S);
        } else if (b->state == FORK_WAITING) {
            b->is_last = false;
        }
    }
}

bool fork_add_binding(struct turn *t, struct sip *s, struct proxy *p,
                      const struct registrar_binding *binding, bool is_held)
{
    struct slice uri = registrar_uri(binding);
    char plain[FORK_URI_CAP];
    if (!sips_may_go(p, &binding->flow, &uri, plain)) {
        return false;
    }
    struct fork_branch *b = add(t, s, p, uri);
    if (b != NULL) {
        b->to = binding->flow;
        b->binding = pool_handle(&s->bindings, binding);
        b->q_milli = binding->q_milli;
        if (is_held) {
            hold(t, s, p, b);
            return true;
        }
        send_on(t, s, b);
    }
    return true;
}

void fork_add(struct turn *t, struct sip *s, struct proxy *p, const struct flow_ref *to,
              const struct node_id *node, struct slice uri)
{
    char plain[FORK_URI_CAP];
    if (to != NULL && !sips_may_go(p, to, &uri, plain)) {
        fork_note(t, s, p, 480, SIPS_NOT_ALLOWED);
        return;
    }
    struct fork_branch *b = add(t, s, p, uri);
    if (b == NULL) {
        return;
    }
    if (to != NULL) {
        b->to = *to;
        send_on(t, s, b);
    } else {
        b->to.node = *node;
        send_to_peer(t, s, b);
    }
}

void fork_add_target(struct turn *t, struct sip *s, struct proxy *p,
                     const struct location_target *target, struct slice uri, bool is_held)
{
    struct fork_branch *b = add(t, s, p, uri);
    if (b == NULL) {
        return;
    }
    b->to.node = target->node;
    b->is_peer = true;
    b->steps = target->steps;
    b->is_mailbox = target->is_mailbox;
    b->q_milli = target->q_milli;
    if (is_held) {
        hold(t, s, p, b);
    } else {
        send_to_peer(t, s, b);
    }
}

/* ---- ending */

/* Somebody else has answered, and this phone has said nothing: it may be switched off, and its
 * branch is not to keep the proxy, one of so many that a caller may have, until timer B.  The
 * transaction stays: what comes late is cancelled, a 2xx goes to the caller (fork_on_response). */
static bool may_go(const struct proxy *p, const struct fork_branch *b, const struct tx *tx)
{
    return p->is_answered && tx->kind == TX_INVITE_CLIENT && tx->state == TX_TRYING &&
           !flow_is_peer(&b->to) && !b->to.is_foreign;
}

/* The branch was cancelled just now: how long it may still keep the proxy.  After 64*T1 (9.1) if it
 * rings; for FORK_SILENT_MS only where nothing has come, or nothing that could come matters to the
 * caller; a peer twice as long, since it waits for its phone.  Not while a peer's connection is
 * made anew: the CANCEL needs the branch. */
static void arm_silence(struct turn *t, const struct proxy *p, struct fork_branch *b,
                        const struct tx *tx)
{
    if (!b->is_lost && tx->kind == TX_INVITE_CLIENT && (p->is_answered || tx->state == TX_TRYING)) {
        uint64_t ms = flow_is_peer(&b->to) ? 2 * FORK_SILENT_MS : FORK_SILENT_MS;
        wheel_arm(t->wheel, &b->timer_c, t->now_us + ms * 1000);
    } else {
        wheel_cancel(t->wheel, &b->timer_c);
    }
}

void fork_cancel(struct turn *t, struct sip *s, struct proxy *p)
{
    struct fork_branch *b = NULL;
    foreign_stop(t, s, p);
    for (handle h = p->first; (b = pool_get(&s->branches, h)) != NULL; h = b->next) {
        struct tx *tx = b->state == FORK_SENT ? tx_get(s, b->tx) : NULL;
        bool is_new = !b->is_cancelled;
        b->is_cancelled = true;
        if (tx != NULL) { /* or its phone would list a missed call */
            tx->is_elsewhere = p->is_answered || p->is_elsewhere;
        }
        if (b->state == FORK_WAITING || b->state == FORK_HELD || (tx != NULL && may_go(p, b, tx))) {
            over(t, s, b, 487, NULL);
            continue;
        }
        if (tx != NULL && tx->kind == TX_INVITE_CLIENT && tx->state == TX_PROCEEDING) {
            tx_client_cancel(t, s, tx); /* TRYING: with its first provisional response (9.1) */
        }
        if (tx != NULL && is_new) {
            arm_silence(t, p, b, tx);
        }
    }
}

void fork_release_all(struct turn *t, struct sip *s, struct proxy *p)
{
    struct fork_branch *b = NULL;
    while ((b = pool_get(&s->branches, p->first)) != NULL) {
        p->first = b->next;
        wheel_cancel(t->wheel, &b->timer_c);
        uncount(s, p, b);
        CHECK(s->sources[p->source].branches > 0);
        s->sources[p->source].branches--;
        pool_release(&s->branches, b);
    }
    p->breadth = p->breadth_in;
}

/* ---- results */

/* How long the caller has heard nothing. */
static void note_post_dial(struct turn *t, struct proxy *p, unsigned status)
{
    if (p->begun_us != 0 && status >= 180 && !p->is_in_dialog) {
        metric_note(t->metrics, HISTOGRAM_sip_post_dial_us, t->now_us - p->begun_us);
        p->begun_us = 0;
    }
}

static void pass_up(struct turn *t, struct sip *s, handle server, const struct flow_ref *from,
                    const struct sip_msg *m)
{
    struct tx *up = tx_get(s, server);
    if (up == NULL) {
        metric_add(t->metrics, METRIC_sip_drop_stray, 1);
        return;
    }
    struct msgbuf *buf = relay_response(t, s, m, from);
    if (buf != NULL) {
        tx_server_respond(t, s, up, m->status, buf);
        msgbuf_release(t->buffers, buf);
    }
}

static void on_provisional(struct turn *t, struct sip *s, struct fork_branch *b, struct tx *tx,
                           const struct sip_msg *m)
{
    struct proxy *p = pool_get(&s->proxies, b->proxy);
    if (tx->kind != TX_INVITE_CLIENT) {
        return; /* RFC 4320 4.1: no provisional for a non-INVITE */
    }
    if (b->is_cancelled) {
        tx_client_cancel(t, s, tx);
        if (!p->is_answered) { /* it is there: 64*T1 as for any that rings */
            wheel_cancel(t->wheel, &b->timer_c);
        }
        return;
    }
    if (b->is_last) {
        wheel_arm(t->wheel, &b->timer_c, t->now_us + FORK_TIMER_C_S * US_PER_S);
    }
    p->is_heard = p->is_heard || m->status > 100;
    if (m->status > 100 && !p->is_answered) {
        note_post_dial(t, p, m->status);
        pass_up(t, s, p->tx, &b->to, m);
    }
}

static void on_success(struct turn *t, struct sip *s, struct fork_branch *b,
                       const struct sip_msg *m)
{
    struct proxy *p = pool_get(&s->proxies, b->proxy);
    if (p->method == SIP_METHOD_INVITE) {
        metric_add(t->metrics, METRIC_sip_calls_answered, p->is_answered ? 0 : 1);
        note_post_dial(t, p, m->status);
    }
    if (!p->is_answered || p->method == SIP_METHOD_INVITE) {
        pass_up(t, s, p->tx, &b->to, m);
    }
    p->is_answered = true;
    enter(t, s, b, FORK_OVER);
    fork_cancel(t, s, p);
    fork_settle(t, s, p);
}

/* A peer of ours says so, not its phone (relay_response): then the phone has not seen the request.
 */
static bool is_unproved(const struct fork_branch *b, const struct sip_msg *m)
{
    return flow_is_peer(&b->to) && relay_is_unproved(m);
}

static void on_failure(struct turn *t, struct sip *s, struct fork_branch *b,
                       const struct sip_msg *m)
{
    struct proxy *p = pool_get(&s->proxies, b->proxy);
    enter(t, s, b, FORK_OVER);
    if (is_unproved(b, m)) {
        p->is_unproved = true;
    } else {
        p->is_heard = true;
    }
    if (m->status == 487 && b->is_late && !b->is_last && !p->is_cancelled) {
        fork_note(t, s, p, 408, "Nobody has answered"); /* the caller has cancelled nothing */
        fork_settle(t, s, p);
        return;
    }
    /* The phone has had it from its node, which has died meanwhile and is back (8.2.2.2). */
    if (m->status == 482 && b->is_anew) {
        fork_note(t, s, p, 480, "The callee's node has lost the call");
        fork_settle(t, s, p);
        return;
    }
    bool is_challenge = (m->status == 401 || m->status == 407) && p->best != NULL &&
                        (p->best_status == 401 || p->best_status == 407);
    if (!p->is_answered && is_challenge) {
        struct msgbuf *both = challenge_merge(t, s, m, p->best);
        if (both != NULL) {
            msgbuf_release(t->buffers, p->best);
            p->best = both;
            p->best_status = m->status;
        }
    } else if (!p->is_answered && is_better(p, m->status)) {
        struct msgbuf *buf = relay_response(t, s, m, &b->to);
        fork_note(t, s, p, m->status, "The callee's answer did not fit");
        p->best = buf;
    }
    if (m->status >= 600) {
        fork_cancel(t, s, p);
    } else if (m->status == 503) {
        foreign_on_failed(t, s, p, pool_handle(&s->branches, b));
    }
    fork_settle(t, s, p);
}

/* A branch that had its time has answered after all: the others need not ring on. */
static void stop_others(struct turn *t, struct sip *s, const struct fork_branch *b)
{
    struct proxy *p = b == NULL ? NULL : pool_get(&s->proxies, b->proxy);
    if (p == NULL || p->is_answered || p->is_cancelled) {
        return;
    }
    metric_add(t->metrics, METRIC_sip_calls_answered, 1);
    p->is_answered = true;
    fork_cancel(t, s, p);
    fork_settle(t, s, p);
}

void fork_on_response(struct turn *t, struct sip *s, struct tx *tx, const struct sip_msg *m)
{
    if (handle_kind(tx->user) == HANDLE_SIP_EVENT) { /* of a NOTIFY of ours */
        if (m->status >= 200) {
            subscribe_on_answer(t, s, tx->user, m->status);
        }
        return;
    }
    struct fork_branch *b = pool_get(&s->branches, tx->user);
    if (b == NULL || b->state != FORK_SENT) {
        /* Later 2xx of an INVITE whose proxy is gone, and answers to our CANCELs. */
        if (tx->kind == TX_INVITE_CLIENT && m->status >= 200 && m->status < 300) {
            pass_up(t, s, tx->server, &tx->peer, m);
            stop_others(t, s, b);
        } else if (tx->kind == TX_INVITE_CLIENT && tx->state == TX_PROCEEDING) {
            tx_client_cancel(t, s, tx); /* nobody waits for it any more, so it need not ring */
        }
        return;
    }
    if (m->status < 200) {
        on_provisional(t, s, b, tx, m);
    } else if (m->status < 300) {
        on_success(t, s, b, m);
    } else {
        on_failure(t, s, b, m);
    }
}

void fork_on_failed(struct turn *t, struct sip *s, handle branch, enum tx_does how)
{
    if (handle_kind(branch) == HANDLE_SIP_EVENT) {
        subscribe_on_answer(t, s, branch, 0);
        return;
    }
    struct fork_branch *b = pool_get(&s->branches, branch);
    if (b == NULL || b->state != FORK_SENT) {
        return;
    }
    struct proxy *p = pool_get(&s->proxies, b->proxy);
    CHECK(p != NULL);
    if (b->is_late && !b->is_last && !p->is_cancelled) {
        over(t, s, b, 408, "Nobody has answered"); /* the caller has cancelled nothing */
    } else if (b->is_cancelled) {
        over(t, s, b, 487, NULL);
    } else if (how == TX_LOST) {
        p->has_lost = true;
        over(t, s, b, 480, "The connection to the callee is gone");
    } else {
        over(t, s, b, 408, "The callee's device did not answer");
    }
    if (b->state == FORK_OVER) {
        foreign_on_failed(t, s, p, branch);
    }
    fork_settle(t, s, p);
}

void fork_on_timer(struct turn *t, struct sip *s, struct wheel_timer *timer)
{
    struct fork_branch *b = pool_get(&s->branches, timer->tag);
    if (b == NULL || b->state != FORK_SENT) {
        return;
    }
    struct tx *tx = tx_get(s, b->tx);
    struct proxy *p = pool_get(&s->proxies, b->proxy);
    CHECK(p != NULL);
    if (b->is_cancelled && !b->is_late) { /* its transaction goes on alone */
        metric_add(t->metrics, METRIC_sip_forks_silent, 1);
        over(t, s, b, 487, NULL);
        fork_settle(t, s, p);
        return;
    }
    if (tx != NULL && tx->kind == TX_INVITE_CLIENT && tx->state == TX_PROCEEDING) {
        b->is_cancelled = b->is_late =
            true; /* 16.8: it did ring; its 487, or 64*T1, ends the branch */
        tx_client_cancel(t, s, tx);
        return;
    }
    over(t, s, b, 408, "The callee's device did not answer");
    fork_settle(t, s, p);
}

/* The connection to a peer ended before the final response, or another that was asked for has come,
 * or not.  The callee's phone may ring by now, and would refuse the same request of a new branch as
 * merged (RFC 3261 8.2.2.2, 482).  So the transaction goes on, against 17.1.4 and 16.9: our peer
 * knows its branch, whatever the connection, and sends its last response again; if nothing came
 * there, it is a request like any other.  Timers B, F and C run on meanwhile. */
static void on_way_lost(struct turn *t, struct sip *s, struct fork_branch *b, struct tx *tx)
{
    struct node_id node = b->to.node;
    const struct proxy *p = pool_get(&s->proxies, b->proxy);
    CHECK(p != NULL && tx != NULL);
    b->is_lost = !dial_find(s, &node, &b->to);
    if (!b->is_lost) {
        tx_client_again(t, s, tx, &b->to);
        b->is_anew = true;
        if (b->is_cancelled && !b->is_late && !wheel_is_armed(&b->timer_c)) {
            arm_silence(t, p, b, tx);
        }
        return;
    }
    if (b->is_cancelled) {
        wheel_cancel(t->wheel, &b->timer_c);
    }
    if (b->again < FORK_AGAIN && dial_want(t, s, &node, p->source) == ERR_PENDING) {
        b->again++;
        return;
    }
    enum tx_does does = tx_client_step(t, tx, TX_EVENT_BROKEN);
    CHECK(does == TX_LOST);
    tx_release(t, s, tx);
    fork_on_failed(t, s, pool_handle(&s->branches, b), does);
}

void fork_on_dialled(struct turn *t, struct sip *s, const struct node_id *node, enum err error)
{
    uint32_t index = 0;
    struct fork_branch *b = NULL;
    while ((b = pool_next(&s->branches, &index)) != NULL) {
        if ((b->state != FORK_WAITING && !b->is_lost) || !ids_node_is_equal(&b->to.node, node)) {
            continue;
        }
        if (b->is_lost) {
            on_way_lost(t, s, b, tx_get(s, b->tx));
            continue;
        }
        struct proxy *p = pool_get(&s->proxies, b->proxy);
        CHECK(p != NULL);
        if (error == ERR_OK) {
            send_to_peer(t, s, b);
        } else {
            p->has_lost = true;
            over(t, s, b, 480, "The callee's peer could not be reached");
        }
        fork_settle(t, s, p);
    }
    tx_server_on_dialled(t, s, node, error);
    subscribe_on_dialled(t, s, node, error);
}

static void on_tx_broken(struct turn *t, struct sip *s, struct tx *tx)
{
    handle branch = tx->user;
    struct fork_branch *b =
        handle_kind(branch) == HANDLE_SIP_EVENT ? NULL : pool_get(&s->branches, branch);
    if (b != NULL && b->state == FORK_SENT && tx->state <= TX_PROCEEDING &&
        b->to.kind == SIP_PEER) {
        on_way_lost(t, s, b, tx);
        return;
    }
    enum tx_does does = tx_client_step(t, tx, TX_EVENT_BROKEN);
    if (tx->state == TX_DONE) {
        tx_release(t, s, tx);
    }
    if (does == TX_LOST) {
        fork_on_failed(t, s, branch, does);
    }
}

/* CANCELs first: they are sent anew with their INVITE, whose branch they share. */
void fork_on_flow_closed(struct turn *t, struct sip *s, handle flow)
{
    static const uint8_t kinds[] = {TX_CLIENT, TX_INVITE_CLIENT};
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        uint32_t index = 0;
        struct tx *tx = NULL;
        while ((tx = pool_next(&s->txs, &index)) != NULL) {
            if (tx->peer.flow == flow && tx->kind == kinds[i]) {
                on_tx_broken(t, s, tx);
            }
        }
    }
}
