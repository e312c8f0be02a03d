/* SPDX-License-Identifier: Apache-2.0 */
/* proxy.c - what happens to a request (RFC 3261 16.3 to 16.7), from top to bottom.
 *
 * Outside a dialog.  From a phone: digest, its own AOR in From, a live registration here; then the
 * overlay says where the Request-URI's AOR is, one branch for each peer (this one included).  From
 * another peer: its right to speak for From (location.h), then the contacts that are registered
 * here and nothing else: never back into the overlay (no loop, no open relay).
 *
 * How a dialog finds its way.  Caller A at node 1, callee B at node 2.  Each node that forwards the
 * INVITE records one entry that stands for both its sides (sip/hop):
 *
 *   node 1:  <sip:TOKEN-OF-A@node1;lr;s=0;node=ID1>
 *   node 2:  <sip:TOKEN-OF-B@node2;lr;s=1;node=ID2>
 *
 * B's BYE has the route set B-token, A-token.  B's phone sends it to node 2 (whichever shard; ;s=1
 * steers).  Node 2 takes off the one that is its own; the next one names peer ID1, whose connection
 * is used, or set up again by AppAttach.  Node 1 takes off its own; nothing is left, so the token
 * taken off says the flow: A's.  The other direction is the mirror image.  With both phones on one
 * shard there are two entries without a node, and the last of those taken off says the flow;
 * siblings are peers of each other.
 *
 * A request counts as inside a dialog only with a To tag and a token that this node has sealed, so
 * nobody else can make us forward anything.  A Route entry of neither, behind our own, is that of a
 * proxy between us and the phone: the request goes along the sealed flow with it, and nowhere else.
 * ACK for 2xx goes the same way, without a transaction. */
#include "sip/proxy.h"
#include "core/hash.h"
#include "sip/contacts.h"
#include "sip/digest.h"
#include "sip/foreign.h"
#include "sip/fork.h"
#include "sip/forward.h"
#include "sip/gruu.h"
#include "sip/loop.h"
#include "sip/methods.h"
#include "sip/offline.h"
#include "sip/prefs.h"
#include "sip/publish.h"
#include "sip/registrar.h"
#include "sip/relay.h"
#include "sip/sips.h"
#include "sip/stateless.h"
#include "sip/subscribe.h"
#include "sip/targets.h"

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

/* RFC 5393 5.3.3: 60 where none came, and at most. */
uint8_t proxy_breadth(const struct sip_rx *rx)
{
    uint32_t n = FORK_BREADTH;
    struct slice text = sip_msg_first(rx->m, SIP_HDR_MAX_BREADTH);
    if (text.data == NULL || sip_hdr_number_decode(text, FORK_BREADTH, &n) != ERR_OK) {
        return FORK_BREADTH;
    }
    return (uint8_t)n;
}

/* A part of the room is for requests inside dialogs: calls that stand go on, and end, when there is
 * no room for more (operations: existing dialogs first). */
static bool has_room_for_new(const struct sip *s)
{
    uint32_t percent = s->settings.limits->sip_dialog_share;
    uint32_t kept = percent > 100 ? 100 : percent;
    return (uint64_t)s->proxies.in_use * 100 < (uint64_t)s->proxies.cap * (100 - kept) &&
           (uint64_t)s->branches.in_use * 100 < (uint64_t)s->branches.cap * (100 - kept);
}

/* Where it counts. */
static uint32_t *proxies_of(struct sip *s, const struct proxy *p)
{
    return p->account != REGISTRAR_NONE ? &s->accounts[p->account].proxies
                                        : &s->sources[p->source].proxies;
}

/* A phone's calls are counted in its account, one by one (caller_of): among the sources two share a
 * place, and who shares it with a flooder could not call.  True: the others of `source` have all
 * that they may. */
static bool is_source_full(const struct sip *s, uint16_t source, uint32_t account)
{
    return account == REGISTRAR_NONE && source != 0 &&
           s->sources[source].proxies >= s->settings.limits->sip_proxies_per_source;
}

/* NULL: was answered, without state: who sends too much is to cost nothing more (a 503 through the
 * transaction would be kept until the ACK that a flooder does not send). */
static struct proxy *open_proxy(struct turn *t, struct sip *s, const struct sip_rx *rx,
                                struct tx *tx, uint32_t account)
{
    uint16_t source = source_of(s, rx, account);
    bool is_large = rx->m->bytes.len > MSGBUF_SMALL_BYTES;
    if (is_source_full(s, source, account) ||
        (source != 0 && !msgbuf_has_share(t->buffers, source, is_large))) {
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
    msgbuf_charge(t->buffers, request, source);
    p->request = request;
    s->live = rx;
    s->live_copy = request;
    p->account = account;
    p->source = source;
    *proxies_of(s, p) += 1;
    p->from = rx->from;
    p->is_sips = rx->core.uri.scheme == SIP_URI_SIPS;
    p->method = (uint8_t)rx->m->method;
    p->breadth_in = p->breadth = p->breadth_each = proxy_breadth(rx);
    p->begun_us = p->method == SIP_METHOD_INVITE ? t->now_us : 0;
    if (tx != NULL) {
        tx->source = source;
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
    CHECK(*proxies_of(s, p) > 0);
    *proxies_of(s, p) -= 1;
    if (p->kept != 0) {
        offline_on_answer(t, s, p->kept, p->is_answered ? 200 : p->best_status);
    }
    foreign_release(t, s, p);
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

void proxy_answer(struct turn *t, struct sip *s, struct proxy *p, unsigned status, const char *why)
{
    struct sip_rx room;
    struct tx *tx = tx_get(s, p->tx);
    p->is_answered = true;
    if (tx == NULL) {
        return;
    }
    const struct sip_rx *rx = sip_state_reread(s, p->request, &p->from, &room);
    reply_send(t, s, rx, tx, status, why);
}

static void located(struct turn *t, struct sip *s, struct proxy *p, struct location *l)
{
    CHECK(l->is_done);
    if (l->status == 0 && !p->is_cancelled) {
        p->is_cached = l->is_cached;
        p->is_fresh = l->is_fresh;
        targets_located(t, s, p, l);
    } else {
        uint32_t account = registrar_find(s, slice_of(p->aor, p->aor_len));
        p->state = PROXY_FORKING;
        if (!p->is_cancelled && l->status != 404 && l->status != 480 && account != REGISTRAR_NONE &&
            registrar_is_live(t, s, account)) {
            /* the overlay is silent, but we know better */
            if (fork_expect(t, s, p, s->accounts[account].count)) {
                targets_bindings(t, s, p, account, 0);
            }
        } else {
            fork_note(t, s, p, p->is_cancelled ? 487 : l->status, l->why);
        }
        fork_settle(t, s, p);
    }
    location_release(s, l);
}

static void locate(struct turn *t, struct sip *s, struct proxy *p)
{
    if (p->is_gruu) { /* it says itself where it leads: no Fetch */
        targets_gruu(t, s, p);
        return;
    }
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
    bool is_full = p->best_status == 503; /* a flood does not ask the overlay for each refusal */
    /* Whoever has kept the caller's record may have died with it.  The callee's peer asks again. */
    bool is_put_back = p->is_unproved && p->best_status == 403 && p->account != REGISTRAR_NONE &&
                       !p->is_refetched && registrar_put_back(t, s, p->account) &&
                       !p->is_heard; /* nobody's phone rings twice */
    bool is_stale = p->has_lost || is_put_back ||
                    (p->is_cached && (p->best_status == 404 || p->best_status == 480)) ||
                    (p->is_cached && is_full && !p->is_fresh);
    if (is_stale && !p->is_answered && !p->is_cancelled && !p->is_refetched && p->aor_len > 0 &&
        !p->is_gruu && !flow_is_peer(&p->from)) {
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
    if (p->has_mailbox && !p->is_answered && !p->is_cancelled && fork_is_absence(p->best_status)) {
        targets_keep(t, s, p);
    }
    if (!p->is_answered && tx != NULL) {
        if (p->best_status == 408 && p->method != SIP_METHOD_INVITE && p->best == NULL) {
            tx_server_forget(t, s, tx); /* RFC 4320 4.2: silence, not 408 */
        } else if (p->best != NULL && p->best_status == 503) {
            /* 16.7 step 6: whoever else we could ask may well be able */
            proxy_answer(t, s, p, 500, "The callee's server cannot take the request now");
        } else if (p->best != NULL) {
            tx_server_respond(t, s, tx, p->best_status, p->best);
        } else {
            unsigned status = p->is_cancelled ? 487 : p->best_status == 0 ? 480 : p->best_status;
            proxy_answer(t, s, p, status, p->is_cancelled ? NULL : p->why);
        }
    }
    close_proxy(t, s, p);
}

/* ---- outside a dialog */

void proxy_send_kept(struct turn *t, struct sip *s, handle message, struct offline *x)
{
    struct proxy *p = pool_acquire(&s->proxies);
    struct msgbuf *request = p == NULL ? NULL : offline_request(t, s, x);
    if (request == NULL) {
        if (p != NULL) {
            pool_release(&s->proxies, p);
        }
        metric_add(t->metrics, METRIC_pool_exhausted, 1);
        return; /* with the next registration */
    }
    p->request = request;
    p->from = x->from;
    p->account = REGISTRAR_NONE;
    p->method = SIP_METHOD_MESSAGE;
    p->state = PROXY_FORKING;
    p->breadth = p->breadth_in = p->breadth_each = FORK_BREADTH;
    p->kept = message;
    struct sip_rx room;
    p->is_sips = sip_state_reread(s, request, &x->from, &room)->core.uri.scheme == SIP_URI_SIPS;
    *proxies_of(s, p) += 1;
    x->proxy = pool_handle(&s->proxies, p);
    if (!registrar_is_live(t, s, x->account)) { /* at another node, perhaps */
        struct slice aor = slice_text(s->settings.accounts[x->account].user);
        p->aor_len = (uint8_t)aor.len;
        memcpy(p->aor, aor.data, aor.len);
        p->is_refetched = true;
        locate(t, s, p);
        return;
    }
    if (fork_expect(t, s, p, s->accounts[x->account].count)) {
        targets_bindings(t, s, p, x->account, 0);
    }
    fork_settle(t, s, p);
}

/* A message that was kept for the callee at another node of hers is handed over by the peer that
 * her own record names, whoever has written it: that node has her key, and could say what it wants
 * anyway.  False: the answer is not there yet. */
static bool may_hand_over(struct turn *t, struct sip *s, struct proxy *p, unsigned *status)
{
    struct slice aor = slice_of(p->aor, p->aor_len);
    if (*status != 403 || p->method != SIP_METHOD_MESSAGE || p->is_handed || p->is_cancelled ||
        p->is_gruu || registrar_find(s, aor) == REGISTRAR_NONE) {
        return true;
    }
    p->is_handed = true;
    struct location *l =
        location_start(t, s, aor, &p->from.node, true, pool_handle(&s->proxies, p));
    if (l != NULL && !l->is_done) {
        return false;
    }
    if (l != NULL) {
        *status = l->status;
        location_release(s, l);
    }
    return true;
}

/* The request may go on: 100 at once, then look for the callee. */
static void go_on(struct turn *t, struct sip *s, struct proxy *p)
{
    if (p->is_gruu) {
        targets_gruu(t, s, p);
    } else if (flow_is_peer(&p->from)) {
        p->state = PROXY_FORKING;
        struct slice aor = slice_of(p->aor, p->aor_len);
        uint32_t account = registrar_find(s, aor);
        if (account == REGISTRAR_NONE || fork_expect(t, s, p, s->accounts[account].count)) {
            targets_aor(t, s, p, aor, 0);
        }
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
    if (!may_hand_over(t, s, p, &status)) {
        return;
    }
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
    if (sip_state_aor(s, &rx->core.from_uri, false, from, &len) == ERR_OK) {
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
    enum digest_result result = digest_check(t, s, rx, SIP_HDR_PROXY_AUTHORIZATION, account);
    if (result != DIGEST_OK) {
        digest_answer(t, s, rx, tx, account, result, others);
        return REGISTRAR_NONE;
    }
    flow_prove(t, s, &rx->from, account);
    tx->source = source_of(s, rx, account);
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
    struct gruu gruu;
    enum err e = sip_state_aor(s, &rx->core.uri, true, aor, len);
    gruu_read(s, &rx->core.uri, &gruu);
    if (!sips_may_come(t, s, rx, tx)) {
        return false;
    }
    if (e == ERR_UNSUPPORTED) {
        reply_send(t, s, rx, tx, 416, "Only sip URIs are served here");
    } else if (e != ERR_OK ||
               (!flow_is_peer(&rx->from) && hop_is_sent_elsewhere(s, &rx->core.uri))) {
        reply_send(t, s, rx, tx, 404, "This domain is not served here");
    } else if (*len > SIP_ACCOUNT_USER_CAP) {
        reply_send(t, s, rx, tx, 404, "Nobody by that name in this overlay");
    } else if (gruu.kind == GRUU_BAD) {
        reply_send(t, s, rx, tx, 404, "A GRUU that leads nowhere"); /* 5627 5.4.1 */
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
    if (sip_state_aor(s, &rx->core.from_uri, false, from, &len) == ERR_OK) {
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

/* 100 to an INVITE, or the promise of one: from a peer nothing is sent again, and what the phone
 * says comes within milliseconds (RFC 3261 17.2.1: a 100 unless something else is said in 200). */
static void acknowledge(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx)
{
    if (rx->m->method == SIP_METHOD_INVITE && flow_is_peer(&rx->from)) {
        tx_arm_retry(t, tx, TX_TIMER_TRYING, TX_TRYING_MS);
    } else if (rx->m->method == SIP_METHOD_INVITE) {
        reply_send(t, s, rx, tx, 100, NULL);
    }
}

void proxy_say_trying(struct turn *t, struct sip *s, struct tx *tx)
{
    struct sip_rx room;
    const struct proxy *p = pool_get(&s->proxies, tx->user);
    CHECK(p != NULL); /* it answers before it goes */
    const struct sip_rx *rx = sip_state_reread(s, p->request, &p->from, &room);
    reply_send(t, s, rx, tx, 100, NULL);
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
    if (!has_room_for_new(s)) {
        metric_add(t->metrics, METRIC_sip_refused_for_dialogs, 1);
        reply_stranger(t, s, rx, tx, 503, "Calls that stand come first");
        return;
    }
    tx->source = is_peer ? source_of(s, rx, REGISTRAR_NONE) : 0; /* of a phone: caller_of */
    uint32_t account = is_peer ? REGISTRAR_NONE : caller_of(t, s, rx, tx);
    if (account != REGISTRAR_NONE && forward_now(t, s, account) != NULL) {
        reply_send(t, s, rx, tx, 403, "The account is forwarded: it cannot call from here");
        return;
    }
    bool is_foreign = !is_peer && foreign_is_wanted(s, &rx->core.uri);
    if ((!is_peer && account == REGISTRAR_NONE) ||
        !(is_foreign ? sips_may_come(t, s, rx, tx) : read_callee(t, s, rx, tx, aor, &len))) {
        return;
    }
    struct proxy *p = open_proxy(t, s, rx, tx, account);
    if (p == NULL) {
        return;
    }
    struct gruu gruu;
    gruu_read(s, &rx->core.uri, &gruu);
    p->is_gruu = gruu.kind != GRUU_NONE && !is_foreign;
    p->aor_len = (uint8_t)len;
    memcpy(p->aor, aor, len);
    memcpy(p->loop, mark, TX_LOOP_BYTES);
    acknowledge(t, s, rx, tx);
    if (is_peer) {
        ask_right(t, s, rx, p);
    } else if (is_foreign) {
        foreign_begin(t, s, p, &rx->core.uri, NULL);
    } else {
        locate(t, s, p);
    }
}

/* ---- inside a dialog */

static void route_dialog(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                         const struct hop *hop, const uint8_t mark[TX_LOOP_BYTES])
{
    bool is_foreign = hop->flow.is_foreign && !(hop->has_next && hop->is_peer);
    bool may = !is_foreign || foreign_is_from_phone(t, s, rx);
    if (!may && (tx == NULL || caller_of(t, s, rx, tx) == REGISTRAR_NONE)) {
        metric_add(t->metrics, METRIC_sip_acks_absorbed, tx == NULL ? 1 : 0);
        return; /* whoever has seen the token is not therefore a phone of ours */
    }
    const struct sip_uri *next = !hop->has_next ? &rx->core.uri : hop->has_uri ? &hop->next : NULL;
    if (is_foreign && (next == NULL || !foreign_is_wanted(s, next))) {
        metric_add(t->metrics, METRIC_sip_acks_absorbed, tx == NULL ? 1 : 0);
        if (tx != NULL) {
            reply_send(t, s, rx, tx, 404, "That leads to no other domain");
        }
        return;
    }
    struct proxy *p = sips_may_come(t, s, rx, tx) ? open_proxy(t, s, rx, tx, REGISTRAR_NONE) : NULL;
    if (p == NULL) {
        return;
    }
    p->is_in_dialog = true;
    p->pop_routes = (uint16_t)hop->ours; /* of a head: SIP_MSG_HEAD_CAP */
    p->state = PROXY_FORKING;
    memcpy(p->loop, mark, TX_LOOP_BYTES);
    acknowledge(t, s, rx, tx);
    if (is_foreign) {
        foreign_begin(t, s, p, next, &hop->flow);
        return;
    }
    if (hop->has_next && hop->is_peer) {
        fork_add(t, s, p, NULL, &hop->node, SLICE_EMPTY);
    } else { /* what is left of Route is for a proxy on that flow, which recorded itself */
        struct slice contact = SLICE_EMPTY;
        struct flow_ref flow = contacts_flow_now(t, s, rx, &hop->flow, &contact);
        fork_add(t, s, p, &flow, NULL, contact);
    }
    fork_settle(t, s, p);
}

/* ---- requests to us, CANCEL, ACK */

/* Reason: SIP;cause=200 (RFC 3326 2): somebody else has answered. */
static bool is_answered_elsewhere(const struct sip_msg *m)
{
    struct slice item;
    struct sip_lex_param cause;
    struct sip_msg_items it = sip_msg_items(m, SIP_HDR_REASON);
    while (sip_msg_items_next(&it, &item) == ERR_OK) {
        const uint8_t *at = memchr(item.data, ';', item.len);
        size_t len = at == NULL ? item.len : (size_t)(at - item.data);
        if (slice_is_equal_nocase(sip_lex_trim(slice_sub(item, 0, len)), SLICE_LITERAL("SIP")) &&
            sip_lex_param_find(slice_from(item, len), SLICE_LITERAL("cause"), &cause) &&
            slice_is_equal(cause.value, SLICE_LITERAL("200"))) {
            return true;
        }
    }
    return false;
}

static void on_cancel(struct turn *t, struct sip *s, const struct sip_rx *rx)
{
    uint8_t key[TX_KEY_BYTES], own[TX_KEY_BYTES];
    tx_server_key(t, s, rx, SIP_METHOD_INVITE, key);
    tx_server_key(t, s, rx, SIP_METHOD_CANCEL, own);
    struct tx *invite = tx_find(s, key), *tx = tx_find(s, own);
    if (tx != NULL) {
        tx_server_recv(t, s, tx, &rx->from, false);
        return;
    }
    if (invite == NULL || invite->kind != TX_INVITE_SERVER) {
        reply_stranger(t, s, rx, NULL, 481, "No such INVITE");
        return;
    }
    struct flow_ref to = tx_server_return(&rx->core, &rx->from);
    handle proxy = invite->user;
    bool is_open = invite->state == TX_PROCEEDING; /* if not, it may have to make room below */
    uint16_t source = invite->source;              /* its 200 counts as the INVITE does */
    tx = tx_acquire(t, s, TX_SERVER, SIP_METHOD_CANCEL, &to, own); /* NULL: answered statelessly */
    if (tx != NULL) {
        tx->source = source;
    }
    reply_send(t, s, rx, tx, 200, NULL);
    struct proxy *p = is_open ? pool_get(&s->proxies, proxy) : NULL;
    if (p == NULL || p->is_cancelled) {
        return;
    }
    p->is_cancelled = true;
    /* Of a phone's word nothing is known, and a caller could hide a missed call with it. */
    p->is_elsewhere = flow_is_peer(&rx->from) && is_answered_elsewhere(rx->m);
    if (p->state == PROXY_FORKING) {
        fork_cancel(t, s, p);
        fork_settle(t, s, p);
    } else { /* nothing went out yet: the look-up finds the proxy cancelled */
        proxy_answer(t, s, p, 487, NULL);
    }
}

static void forget(struct turn *t, struct sip *s, struct tx *tx)
{
    if (tx != NULL) {
        tx_server_forget(t, s, tx);
    }
}

/* For this node itself, whatever it says. */
static bool is_registration(const struct sip_rx *rx)
{
    return rx->m->method == SIP_METHOD_REGISTER && !rx->core.to.has_tag;
}

bool proxy_is_sound(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx,
                    uint8_t mark[TX_LOOP_BYTES])
{
    static const char *const known[] = {"pref", NULL}; /* RFC 3841 13.1 */
    if (rx->core.has_max_forwards && rx->core.max_forwards == 0 &&
        rx->m->method != SIP_METHOD_REGISTER) {
        metric_add(t->metrics, METRIC_sip_refused_loop, 1);
        reply_stranger(t, s, rx, tx, 483, "Too many hops");
        return false;
    }
    if (is_registration(rx)) {
        memset(mark, 0, TX_LOOP_BYTES); /* it is for us and goes nowhere: nothing can loop */
    } else {
        loop_mark(s, rx, mark);
    }
    if (!is_registration(rx) && loop_is_found(s, rx, mark)) {
        metric_add(t->metrics, METRIC_sip_refused_loop, 1);
        reply_stranger(t, s, rx, tx, 482, "The request has been here before");
        return false;
    }
    if (rx->m->method == SIP_METHOD_ACK ||
        methods_require(t, s, rx, NULL, SIP_HDR_PROXY_REQUIRE, known)) {
        return true;
    }
    forget(t, s, tx);
    return false;
}

/* Phones publish, and each for itself. */
static void on_publish(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx)
{
    char aor[SIP_STATE_AOR_CAP];
    size_t len = 0;
    if (!s->settings.presence) {
        methods_say(t, s, rx, 405);
        forget(t, s, tx);
        return;
    }
    if (flow_is_peer(&rx->from) || s->is_draining) {
        reply_stranger(t, s, rx, tx, s->is_draining ? 503 : 403, "Phones publish where they are");
        return;
    }
    uint32_t account = caller_of(t, s, rx, tx);
    if (account == REGISTRAR_NONE || !read_callee(t, s, rx, tx, aor, &len)) {
        return;
    }
    if (!slice_is_equal(slice_of(aor, len), slice_text(s->settings.accounts[account].user))) {
        reply_send(t, s, rx, tx, 403, "Only the account itself publishes for its address");
        return;
    }
    publish_on_request(t, s, rx, tx, account);
}

/* Over a connection that we have made to another domain comes what belongs to its calls.  Anything
 * else, a registration too, which would bind a phone to that connection, is not taken. */
static void refuse_uninvited(struct turn *t, struct sip *s, const struct sip_rx *rx, struct tx *tx)
{
    metric_add(t->metrics, METRIC_sip_foreign_uninvited, 1);
    if (rx->m->method != SIP_METHOD_ACK) {
        reply_stranger(t, s, rx, tx, 403, "Nothing from other domains but within calls to them");
    }
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
    if (rx->from.is_foreign && !(rx->core.to.has_tag && hop.has_token)) {
        refuse_uninvited(t, s, rx, tx);
        return;
    }
    if (rx->core.to.has_tag && subscribe_on_refresh(t, s, rx, tx)) {
        return;
    }
    if (rx->core.to.has_tag && hop.has_token) {
        route_dialog(t, s, rx, tx, &hop, mark);
    } else if (is_ack) {
        metric_add(t->metrics, METRIC_sip_acks_absorbed, 1);
    } else if (rx->m->method == SIP_METHOD_REGISTER) {
        registrar_on_request(t, s, rx, tx);
    } else if (rx->m->method == SIP_METHOD_PUBLISH) {
        on_publish(t, s, rx, tx);
    } else if (rx->core.to.has_tag) {
        reply_stranger(t, s, rx, tx, 481, "No Route entry of this node's making");
    } else {
        route_new(t, s, rx, tx, mark);
    }
}

/* More comes in than the processor can serve, so some of it will be lost unread: what stands inside
 * dialogs must not be.  A refusal costs a tenth of a call.  Registrations may: they are few, and a
 * phone that lost its own would miss calls for long. */
static bool is_overrun(const struct turn *t, const struct sip *s, const struct sip_rx *rx)
{
    uint64_t patience_us = (uint64_t)s->settings.limits->sip_overrun_ms * 1000;
    return UNLIKELY(t->full_since_us != 0) && patience_us != 0 &&
           t->now_us - t->full_since_us >= patience_us && !rx->core.to.has_tag &&
           rx->m->method != SIP_METHOD_REGISTER;
}

void proxy_on_request(struct turn *t, struct sip *s, const struct sip_rx *rx)
{
    uint8_t key[TX_KEY_BYTES];
    bool is_ack = rx->m->method == SIP_METHOD_ACK;
    if (rx->m->method == SIP_METHOD_CANCEL) {
        on_cancel(t, s, rx);
        return;
    }
    if (methods_is_asked(s, rx)) {
        methods_answer(t, s, rx);
        return;
    }
    if (!is_ack && stateless_request(t, s, rx)) {
        return;
    }
    tx_server_key(t, s, rx, is_ack ? SIP_METHOD_INVITE : rx->m->method, key);
    struct tx *tx = tx_find(s, key);
    if (tx != NULL && !(is_ack && tx->state == TX_ACCEPTED)) {
        tx_server_recv(t, s, tx, &rx->from, is_ack);
        return;
    }
    if (is_ack) {
        if (!stateless_request(t, s, rx)) {
            dispatch(t, s, rx, NULL);
            s->live_copy = NULL;
        }
        return;
    }
    if (is_overrun(t, s, rx)) {
        metric_add(t->metrics, METRIC_sip_refused_overrun, 1);
        reply_send(t, s, rx, NULL, 503, "More comes in than can be served");
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
