/* SPDX-License-Identifier: Apache-2.0 */
/* proxy.c - what happens to a request (RFC 3261 16.3 to 16.7), from top to bottom.
 *
 * Outside a dialog.  From a phone: digest, its own AOR in From, a live registration here; then the
 * overlay says where the Request-URI's AOR is, one branch for each peer (this one included).  From
 * another peer: its right to speak for From (location.h), then the contacts that are registered
 * here and nothing else: never back into the overlay (no loop, no open relay).
 *
 * How a dialog finds its way.  Caller A at node 1, callee B at node 2.  Each node that forwards the
 * INVITE records two entries, one for each of its sides (sip/hop):
 *
 *   node 1:  <sip:TOKEN-OF-A@node1;lr;s=0>  <sip:ID1.domain;lr;s=0>
 *   node 2:  <sip:ID2.domain;lr;s=1>        <sip:TOKEN-OF-B@node2;lr;s=1>
 *
 * B's BYE has the route set B-token, ID2, ID1, A-token.  B's phone sends it to node 2 (whichever
 * shard; ;s=1 steers).  Node 2 takes off the two that are its own; the next one names peer ID1,
 * whose connection is used, or set up again by AppAttach.  Node 1 takes off its two; nothing is
 * left, so the last token taken off says the flow: A's.  The other direction is the mirror image.
 * With both phones on one shard there is one pair of tokens and no peer entry; siblings are peers
 * of each other. A request counts as inside a dialog only with a To tag and a token that this node
 * has sealed, so nobody else can make us forward anything.  A Route entry of neither, behind our
 * own, is that of a proxy between us and the phone: the request goes along the sealed flow with it,
 * and nowhere else.  ACK for 2xx goes the same way, without a transaction. */
#include "sip/proxy.h"
#include "core/hash.h"
#include "sip/digest.h"
#include "sip/fork.h"
#include "sip/loop.h"
#include "sip/registrar.h"
#include "sip/relay.h"
#include "sip/sips.h"
#include "sip/stateless.h"

/* Whose the state is that a request costs. */
static uint16_t source_of(const struct sip *s, const struct sip_rx *rx, uint32_t account)
{
    uint8_t bytes[CRYPTO_USER_CAP + 1] = {0};
    const struct flow *f = pool_get(&s->flows, rx->from.flow);
    size_t len = sizeof(rx->from.remote.ip);
    if (rx->from.kind == FLOW_SIBLING) {
        return 0; /* it has counted, one process, one trust */
    }
    if (account != REGISTRAR_NONE) {
        memcpy(bytes, &account, sizeof(account));
    } else if (rx->from.kind == SIP_PEER && f != NULL) {
        len = f->user_len;
        memcpy(bytes, f->user, len);
    } else {
        memcpy(bytes, rx->from.remote.ip, len);
    }
    return (uint16_t)(1 + hash_64(slice_of(bytes, len), s->source_seed) % (PROXY_SOURCES - 1));
}

/* NULL: was answered, without state: who sends too much is to cost nothing more (a 503 through the
 * transaction would be kept until the ACK that a flooder does not send). */
static struct proxy *open_proxy(struct turn *t, struct sip *s, const struct sip_rx *rx,
                                struct tx *tx, uint32_t account)
{
    uint16_t source = source_of(s, rx, account);
    if (source != 0 && s->sources[source].proxies >= s->settings.limits->sip_proxies_per_source) {
        metric_add(t->metrics, METRIC_sip_refused_share, 1);
        reply_stranger(t, s, rx, tx, 503, "Too many calls from there at once");
        return NULL;
    }
    struct proxy *p = pool_acquire(&s->proxies);
    struct msgbuf *request = p == NULL ? NULL : sip_state_buffer(t, rx->m->bytes);
    if (request == NULL) {
        if (p != NULL) {
            pool_release(&s->proxies, p);
        }
        metric_add(t->metrics, METRIC_pool_exhausted, 1);
        reply_stranger(t, s, rx, tx, 503, "Too many calls at once");
        return NULL;
    }
    p->request = request;
    s->live = rx;
    s->live_copy = request;
    p->account = account;
    if (account != REGISTRAR_NONE) {
        s->accounts[account].proxies++;
    }
    p->source = source;
    s->sources[source].proxies++;
    p->from = rx->from;
    p->is_sips = rx->core.uri.scheme == SIP_URI_SIPS;
    p->method = (uint8_t)rx->m->method;
    if (tx != NULL) {
        p->tx = tx_handle(s, tx);
        tx->user = pool_handle(&s->proxies, p);
    }
    return p;
}

static void close_proxy(struct turn *t, struct sip *s, struct proxy *p)
{
    struct tx *tx = tx_get(s, p->tx);
    if (tx != NULL && tx->state <= TX_PROCEEDING) {
        tx_server_forget(t, s, tx); /* a final response that there was no room for */
    }
    if (p->account != REGISTRAR_NONE) {
        CHECK(s->accounts[p->account].proxies > 0);
        s->accounts[p->account].proxies--;
    }
    CHECK(s->sources[p->source].proxies > 0);
    s->sources[p->source].proxies--;
    fork_release_all(t, s, p);
    if (s->live_copy == p->request) {
        s->live_copy = NULL;
    }
    msgbuf_release(t->buffers, p->request);
    if (p->best != NULL) {
        msgbuf_release(t->buffers, p->best);
    }
    pool_release(&s->proxies, p);
}

/* A final answer of our own to a forwarded request. */
static void answer(struct turn *t, struct sip *s, struct proxy *p, unsigned status, const char *why)
{
    struct sip_rx rx;
    struct tx *tx = tx_get(s, p->tx);
    p->is_answered = true;
    if (tx == NULL) {
        return;
    }
    sip_state_reread(s, p->request, &p->from, &rx);
    reply_send(t, s, &rx, tx, status, why);
}

/* ---- targets */

/* The contacts registered here, for AOR `account`. */
static void fork_to_bindings(struct turn *t, struct sip *s, struct proxy *p, uint32_t account)
{
    handle at = 0;
    const struct registrar_binding *b = NULL;
    while ((b = registrar_next(t, s, account, &at)) != NULL) {
        fork_add(t, s, p, &b->flow, NULL, slice_of(b->uri, b->uri_len));
    }
}

static void fork_to_aor(struct turn *t, struct sip *s, struct proxy *p, struct slice aor)
{
    uint32_t account = registrar_find(s, aor);
    if (account == REGISTRAR_NONE) {
        fork_note(t, s, p, 404, "Nobody by that name is served here");
    } else if (!registrar_is_live(t, s, account)) {
        fork_note(t, s, p, 480, "Known, but not registered here now");
    } else {
        fork_to_bindings(t, s, p, account);
    }
}

static void fork_to_targets(struct turn *t, struct sip *s, struct proxy *p,
                            const struct location *l)
{
    p->state = PROXY_FORKING;
    for (unsigned i = 0; i < l->target_count; i++) {
        char uri[FORK_URI_CAP];
        struct slice text = SLICE_EMPTY, aor = location_aor(l, l->targets[i].aor);
        if (ids_node_is_equal(&l->targets[i].node, &s->settings.self)) {
            fork_to_aor(t, s, p, aor);
            continue;
        }
        if (l->targets[i].aor != 0) { /* forwarded to another AOR: that is what the peer serves */
            struct slice scheme = p->is_sips ? SLICE_LITERAL("sips:") : SLICE_LITERAL("sip:");
            memcpy(uri, scheme.data, scheme.len);
            memcpy(uri + scheme.len, aor.data, aor.len);
            text = slice_of(uri, scheme.len + aor.len);
        }
        fork_add(t, s, p, NULL, &l->targets[i].node, text);
    }
    fork_settle(t, s, p);
}

static void located(struct turn *t, struct sip *s, struct proxy *p, struct location *l)
{
    CHECK(l->is_done);
    if (l->status == 0 && !p->is_cancelled) {
        p->is_cached = l->is_cached;
        fork_to_targets(t, s, p, l);
    } else {
        uint32_t account = registrar_find(s, slice_of(p->aor, p->aor_len));
        p->state = PROXY_FORKING;
        if (!p->is_cancelled && l->status != 404 && l->status != 480 && account != REGISTRAR_NONE &&
            registrar_is_live(t, s, account)) {
            fork_to_bindings(t, s, p, account); /* the overlay is silent, but we know better */
        } else {
            fork_note(t, s, p, p->is_cancelled ? 487 : l->status, l->why);
        }
        fork_settle(t, s, p);
    }
    location_release(s, l);
}

static void locate(struct turn *t, struct sip *s, struct proxy *p)
{
    p->state = PROXY_LOCATING;
    struct location *l = location_start(t, s, slice_of(p->aor, p->aor_len), NULL, !p->is_refetched,
                                        pool_handle(&s->proxies, p));
    if (l == NULL) {
        p->state = PROXY_FORKING;
        fork_note(t, s, p, 503, "Too many calls at once");
        fork_settle(t, s, p);
    } else if (l->is_done) {
        located(t, s, p, l);
    }
}

void proxy_settle(struct turn *t, struct sip *s, struct proxy *p)
{
    CHECK(p->open == 0);
    bool is_stale =
        p->has_lost ||
        (p->is_cached && (p->best_status == 404 || p->best_status == 480 || p->best_status == 503));
    if (is_stale && !p->is_answered && !p->is_cancelled && !p->is_refetched && p->aor_len > 0 &&
        !flow_is_peer(&p->from)) {
        p->is_refetched = true; /* the record may have moved: look once more, past the cache */
        p->has_lost = false;
        p->best_status = 0;
        if (p->best != NULL) {
            msgbuf_release(t->buffers, p->best);
            p->best = NULL;
        }
        fork_release_all(t, s, p);
        locate(t, s, p);
        return;
    }
    struct tx *tx = tx_get(s, p->tx);
    if (!p->is_answered && tx != NULL) {
        if (p->best_status == 408 && p->method != SIP_METHOD_INVITE && p->best == NULL) {
            tx_server_forget(t, s, tx); /* RFC 4320 4.2: silence, not 408 */
        } else if (p->best != NULL) {
            tx_server_respond(t, s, tx, p->best_status, p->best);
        } else {
            unsigned status = p->is_cancelled ? 487 : p->best_status == 0 ? 480 : p->best_status;
            answer(t, s, p, status, p->is_cancelled ? NULL : p->why);
        }
    }
    close_proxy(t, s, p);
}

/* ---- outside a dialog */

/* The request may go on: 100 at once, then look for the callee. */
static void go_on(struct turn *t, struct sip *s, struct proxy *p)
{
    if (flow_is_peer(&p->from)) {
        p->state = PROXY_FORKING;
        fork_to_aor(t, s, p, slice_of(p->aor, p->aor_len));
        fork_settle(t, s, p);
    } else {
        locate(t, s, p);
    }
}

void proxy_on_fetched(struct turn *t, struct sip *s, const struct overlay_event *event)
{
    struct location *l = location_on_fetched(t, s, event);
    if (l == NULL) {
        return;
    }
    struct proxy *p = pool_get(&s->proxies, l->owner);
    if (p == NULL) {
        location_release(s, l);
        return;
    }
    if (l->purpose == LOCATION_CALLEE) {
        CHECK(p->state == PROXY_LOCATING);
        located(t, s, p, l);
        return;
    }
    CHECK(p->state == PROXY_ASKING);
    unsigned status = l->status;
    const char *why = l->why;
    location_release(s, l);
    if (status == 0 && !p->is_cancelled) {
        go_on(t, s, p);
        return;
    }
    metric_add(t->metrics, METRIC_sip_refused_from, status == 403 ? 1 : 0);
    p->state = PROXY_FORKING;
    fork_note(t, s, p, status == 0 ? 487 : status, why);
    fork_settle(t, s, p);
}

/* From a phone: the account it is of, or REGISTRAR_NONE: was answered. */
static uint32_t caller_of(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx)
{
    static const char others[] = "From names somebody else";
    char from[SIP_STATE_AOR_CAP];
    size_t len = 0;
    uint32_t account = REGISTRAR_NONE;
    if (sip_state_aor_text(s, rx->core.from.uri, false, from, &len) == ERR_OK) {
        account = registrar_find(s, slice_of(from, len));
    } else {
        len = 0; /* it may have been written before the refusal */
    }
    if (account == REGISTRAR_NONE && len > 0) {
        digest_deny(t, s, rx, tx, slice_of(from, len), others);
        return REGISTRAR_NONE;
    }
    if (account == REGISTRAR_NONE) {
        metric_add(t->metrics, METRIC_sip_refused_auth, 1);
        reply_stranger(t, s, rx, tx, 403, "From is of no domain that is served here");
        return REGISTRAR_NONE;
    }
    const struct sip_account *who = &s->settings.accounts[account];
    enum digest_result result = digest_check(t, s, rx, SIP_HDR_PROXY_AUTHORIZATION, account);
    if (result == DIGEST_OTHER) {
        metric_add(t->metrics, METRIC_sip_refused_auth, 1);
        reply_stranger(t, s, rx, tx, 403, others);
        return REGISTRAR_NONE;
    }
    if (result == DIGEST_LATER) {
        digest_refuse(t, s, rx, tx);
        return REGISTRAR_NONE;
    }
    if (result != DIGEST_OK) {
        metric_add(t->metrics, METRIC_sip_refused_auth, result == DIGEST_WRONG ? 1 : 0);
        digest_challenge(t, s, rx, tx, who, result == DIGEST_STALE);
        return REGISTRAR_NONE;
    }
    flow_prove(t, s, &rx->from, account);
    if (!registrar_is_live(t, s, account)) {
        reply_send(t, s, rx, tx, 403, "The From account has no live registration here");
        return REGISTRAR_NONE;
    }
    if (s->accounts[account].proxies >= s->settings.limits->sip_proxies_per_account) {
        reply_stranger(t, s, rx, tx, 503, "Too many calls of this account at once");
        return REGISTRAR_NONE;
    }
    return account;
}

/* The callee's AOR from the Request-URI; false: was answered. */
static bool read_callee(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                        char *aor, size_t *len)
{
    enum err e = sip_state_aor(s, &rx->core.uri, true, aor, len);
    if (!sips_may_come(t, s, rx, tx)) {
        return false;
    }
    if (e == ERR_UNSUPPORTED) {
        reply_send(t, s, rx, tx, 416, "Only sip URIs are served here");
    } else if (e != ERR_OK) {
        reply_send(t, s, rx, tx, 404, "This domain is not served here");
    } else if (*len > SIP_ACCOUNT_USER_CAP) {
        reply_send(t, s, rx, tx, 404, "Nobody by that name in this overlay");
    } else {
        return true;
    }
    return false;
}

/* Asks whether the peer may speak for From; PROXY_ASKING until then. */
static void ask_right(struct turn *t, struct sip *s, const struct sip_rx *rx, struct proxy *p)
{
    char from[SIP_STATE_AOR_CAP];
    size_t len = 0;
    const struct flow *f = pool_get(&s->flows, rx->from.flow);
    if (rx->from.kind == FLOW_SIBLING) {
        go_on(t, s, p); /* one process, one trust: the sibling has asked the phone itself */
        return;
    }
    CHECK(f != NULL);
    struct location *l = NULL;
    if (sip_state_aor_text(s, rx->core.from.uri, false, from, &len) == ERR_OK) {
        if (slice_is_equal(slice_of(from, len), slice_of(f->user, f->user_len))) {
            go_on(t, s, p);
            return;
        }
        l = location_start(t, s, slice_of(from, len), &rx->from.node, true,
                           pool_handle(&s->proxies, p));
    }
    p->state = PROXY_ASKING;
    if (l != NULL && !l->is_done) {
        return;
    }
    unsigned status = l == NULL ? len == 0 ? 403 : 503 : l->status;
    const char *why = l == NULL ? "From cannot be judged" : l->why;
    if (l != NULL) {
        location_release(s, l);
    }
    if (status == 0) {
        go_on(t, s, p);
        return;
    }
    metric_add(t->metrics, METRIC_sip_refused_from, status == 403 ? 1 : 0);
    p->state = PROXY_FORKING;
    fork_note(t, s, p, status, why);
    fork_settle(t, s, p);
}

static void route_new(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                      const uint8_t mark[TX_LOOP_BYTES])
{
    char aor[SIP_STATE_AOR_CAP];
    size_t len = 0;
    bool is_peer = flow_is_peer(&rx->from);
    if (s->is_draining) {
        reply_stranger(t, s, rx, tx, 503, "This node is about to stop");
        return;
    }
    uint32_t account = is_peer ? REGISTRAR_NONE : caller_of(t, s, rx, tx);
    if ((!is_peer && account == REGISTRAR_NONE) || !read_callee(t, s, rx, tx, aor, &len)) {
        return;
    }
    struct proxy *p = open_proxy(t, s, rx, tx, account);
    if (p == NULL) {
        return;
    }
    p->aor_len = (uint8_t)len;
    memcpy(p->aor, aor, len);
    memcpy(p->loop, mark, TX_LOOP_BYTES);
    if (rx->m->method == SIP_METHOD_INVITE) {
        reply_send(t, s, rx, tx, 100, NULL);
    }
    if (is_peer) {
        ask_right(t, s, rx, p);
    } else {
        locate(t, s, p);
    }
}

/* ---- inside a dialog */

struct flow_ref proxy_flow_now(struct turn *t, struct sip *s, const struct sip_rx *rx,
                               const struct flow_ref *flow)
{
    char aor[SIP_STATE_AOR_CAP];
    size_t len = 0;
    handle at = 0;
    const struct registrar_binding *b = NULL;
    if (sip_state_aor_text(s, rx->core.to.uri, false, aor, &len) != ERR_OK) {
        return *flow;
    }
    uint32_t account = registrar_find(s, slice_of(aor, len));
    while (account != REGISTRAR_NONE && (b = registrar_next(t, s, account, &at)) != NULL) {
        struct sip_uri uri;
        if (sip_uri_decode(slice_of(b->uri, b->uri_len), &uri) == ERR_OK &&
            sip_uri_is_equal(&uri, &rx->core.uri)) {
            return b->flow;
        }
    }
    return *flow;
}

static void route_dialog(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                         const struct hop *hop, const uint8_t mark[TX_LOOP_BYTES])
{
    struct proxy *p = sips_may_come(t, s, rx, tx) ? open_proxy(t, s, rx, tx, REGISTRAR_NONE) : NULL;
    if (p == NULL) {
        return;
    }
    p->is_in_dialog = true;
    p->pop_routes = (uint8_t)hop->ours;
    p->state = PROXY_FORKING;
    memcpy(p->loop, mark, TX_LOOP_BYTES);
    if (rx->m->method == SIP_METHOD_INVITE) {
        reply_send(t, s, rx, tx, 100, NULL);
    }
    if (hop->has_next && hop->is_peer) {
        fork_add(t, s, p, NULL, &hop->node, SLICE_EMPTY);
    } else { /* what is left of Route is for a proxy on that flow, which recorded itself */
        struct flow_ref flow = proxy_flow_now(t, s, rx, &hop->flow);
        fork_add(t, s, p, &flow, NULL, SLICE_EMPTY);
    }
    fork_settle(t, s, p);
}

/* ---- requests to us, CANCEL, ACK */

static void on_cancel(struct turn *t, struct sip *s, const struct sip_rx *rx)
{
    uint8_t key[TX_KEY_BYTES], own[TX_KEY_BYTES];
    tx_server_key(t, s, rx, SIP_METHOD_INVITE, key);
    tx_server_key(t, s, rx, SIP_METHOD_CANCEL, own);
    struct tx *invite = tx_find(s, key), *tx = tx_find(s, own);
    if (tx != NULL) {
        tx_server_recv(t, s, tx, false);
        return;
    }
    if (invite == NULL || invite->kind != TX_INVITE_SERVER) {
        reply_stranger(t, s, rx, NULL, 481, "No such INVITE");
        return;
    }
    struct flow_ref to = tx_server_return(&rx->core, &rx->from);
    handle proxy = invite->user;
    bool is_open = invite->state == TX_PROCEEDING; /* if not, it may have to make room below */
    tx = tx_acquire(t, s, TX_SERVER, SIP_METHOD_CANCEL, &to, own); /* NULL: answered statelessly */
    reply_send(t, s, rx, tx, 200, NULL);
    struct proxy *p = is_open ? pool_get(&s->proxies, proxy) : NULL;
    if (p == NULL || p->is_cancelled) {
        return;
    }
    p->is_cancelled = true;
    if (p->state == PROXY_FORKING) {
        fork_cancel(t, s, p);
        fork_settle(t, s, p);
    } else { /* nothing went out yet: the look-up finds the proxy cancelled */
        answer(t, s, p, 487, NULL);
    }
}

/* 200 to OPTIONS, or 405: what we take (RFC 3261 11.2, 21.4.6).  Anybody may ask, so nothing is
 * kept: asked again, it is said again (8.2.7). */
static void say_methods(struct turn *t, struct sip *s, const struct sip_rx *rx, unsigned status)
{
    struct sip_writer w;
    reply_begin(t, s, rx, status, &w);
    sip_write_header(&w, SIP_HDR_ALLOW,
                     SLICE_LITERAL("INVITE, ACK, CANCEL, BYE, REGISTER, OPTIONS, MESSAGE"));
    sip_write_header(&w, SIP_HDR_ACCEPT, SLICE_LITERAL("application/sdp"));
    reply_finish(t, s, rx, NULL, status, &w);
}

static void forget(struct turn *t, struct sip *s, struct tx *tx)
{
    if (tx != NULL) {
        tx_server_forget(t, s, tx);
    }
}

/* 420, statelessly: what the request requires of us and we do not know. */
static void refuse_extensions(struct turn *t, struct sip *s, const struct sip_rx *rx,
                              enum sip_hdr_id id)
{
    struct sip_writer w;
    reply_begin(t, s, rx, 420, &w);
    sip_write_header(&w, SIP_HDR_UNSUPPORTED, sip_msg_first(rx->m, id));
    reply_finish(t, s, rx, NULL, 420, &w);
}

bool proxy_is_sound(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                    uint8_t mark[TX_LOOP_BYTES])
{
    struct sip_fault fault;
    if (rx->core.has_max_forwards && rx->core.max_forwards == 0 &&
        rx->m->method != SIP_METHOD_REGISTER) {
        metric_add(t->metrics, METRIC_sip_refused_loop, 1);
        reply_stranger(t, s, rx, tx, 483, "Too many hops");
        return false;
    }
    loop_mark(t, s, rx, mark);
    if (loop_is_found(s, rx, mark)) {
        metric_add(t->metrics, METRIC_sip_refused_loop, 1);
        reply_stranger(t, s, rx, tx, 482, "The request has been here before");
        return false;
    }
    if (sip_msg_check_extensions(rx->m, &fault) != ERR_OK) {
        refuse_extensions(t, s, rx, SIP_HDR_PROXY_REQUIRE);
        forget(t, s, tx);
        return false;
    }
    return true;
}

static void dispatch(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx)
{
    struct hop hop;
    uint8_t mark[TX_LOOP_BYTES];
    bool is_ack = rx->m->method == SIP_METHOD_ACK;
    if (!proxy_is_sound(t, s, rx, tx, mark)) {
        metric_add(t->metrics, METRIC_sip_acks_absorbed, is_ack ? 1 : 0);
        return;
    }
    hop_read(t, s, rx, &hop);
    if (rx->core.to.has_tag && hop.has_token) {
        route_dialog(t, s, rx, tx, &hop, mark);
    } else if (is_ack) {
        metric_add(t->metrics, METRIC_sip_acks_absorbed, 1);
    } else if (rx->m->method == SIP_METHOD_REGISTER) {
        registrar_on_request(t, s, rx, tx);
    } else if (rx->m->method == SIP_METHOD_PUBLISH) {
        say_methods(t, s, rx, 405);
        forget(t, s, tx);
    } else if (rx->core.to.has_tag) {
        reply_stranger(t, s, rx, tx, 481, "No Route entry of this node's making");
    } else {
        route_new(t, s, rx, tx, mark);
    }
}

/* OPTIONS that asks this node what it takes. */
static bool is_for_us(const struct sip *s, const struct sip_rx *rx)
{
    return rx->m->method == SIP_METHOD_OPTIONS && !rx->core.uri.has_user && !rx->core.to.has_tag &&
           hop_is_us(s, &rx->core.uri);
}

/* As a user agent server without state: no loop, no Max-Forwards to look at (11, 8.2.7, 16.3). */
static void answer_options(struct turn *t, struct sip *s, const struct sip_rx *rx)
{
    if (sip_msg_has(rx->m, SIP_HDR_REQUIRE)) { /* 8.2.2.3: nothing is supported */
        refuse_extensions(t, s, rx, SIP_HDR_REQUIRE);
        return;
    }
    say_methods(t, s, rx, 200);
}

void proxy_on_request(struct turn *t, struct sip *s, const struct sip_rx *rx)
{
    uint8_t key[TX_KEY_BYTES];
    bool is_ack = rx->m->method == SIP_METHOD_ACK;
    if (rx->m->method == SIP_METHOD_CANCEL) {
        on_cancel(t, s, rx);
        return;
    }
    if (is_for_us(s, rx)) {
        answer_options(t, s, rx);
        return;
    }
    if (!is_ack && stateless_request(t, s, rx)) {
        return;
    }
    tx_server_key(t, s, rx, is_ack ? SIP_METHOD_INVITE : rx->m->method, key);
    struct tx *tx = tx_find(s, key);
    if (tx != NULL && !(is_ack && tx->state == TX_ACCEPTED)) {
        tx_server_recv(t, s, tx, is_ack);
        return;
    }
    if (is_ack) {
        if (!stateless_request(t, s, rx)) {
            dispatch(t, s, rx, NULL);
            s->live_copy = NULL;
        }
        return;
    }
    struct flow_ref to = tx_server_return(&rx->core, &rx->from);
    tx = tx_acquire(t, s, rx->m->method == SIP_METHOD_INVITE ? TX_INVITE_SERVER : TX_SERVER,
                    rx->m->method, &to, key);
    if (tx == NULL) {
        reply_send(t, s, rx, NULL, 503, "Too many transactions at once");
        return;
    }
    dispatch(t, s, rx, tx);
    s->live_copy = NULL;
}
