/* SPDX-License-Identifier: Apache-2.0 */
/* tx_server.c - server transactions (RFC 3261 17.2, RFC 6026 7.1, 8.5).
 *
 * The last response is kept and sent again for every retransmission of the request, and by timer G
 * until the ACK comes.  After a 2xx to an INVITE the transaction is ACCEPTED for timer L: it
 * absorbs retransmissions of the INVITE, and lets further 2xx through. */
#include "sip/dial.h"
#include "sip/sip_state.h"

enum { SIP_PORT = 5060 };

static void complete(struct turn *t, struct tx *tx)
{
    tx_enter(t, tx, TX_COMPLETED);
    if (tx->kind == TX_INVITE_SERVER) {
        if (!tx->is_reliable) {
            tx_arm_retry(t, tx, TX_TIMER_G, TX_T1_MS);
        } else {
            wheel_cancel(t->wheel, &tx->retry);
        }
        tx_arm_end(t, tx, TX_TIMER_H, TX_64_T1_MS);
    } else {
        tx_arm_end(t, tx, TX_TIMER_J, tx->is_reliable ? 0 : TX_64_T1_MS);
    }
}

static enum tx_does step_open(struct turn *t, struct tx *tx, enum tx_event event)
{
    switch (event) {
    case TX_EVENT_PROVISIONAL:
        if (tx->state == TX_TRYING) {
            tx_enter(t, tx, TX_PROCEEDING);
        }
        wheel_cancel(t->wheel, &tx->retry); /* a 100 that has not left yet says less */
        return TX_PASS;
    case TX_EVENT_SUCCESS:
        if (tx->kind == TX_INVITE_SERVER) {
            wheel_cancel(t->wheel, &tx->retry);
            tx_enter(t, tx, TX_ACCEPTED);
            tx_arm_end(t, tx, TX_TIMER_L, TX_64_T1_MS);
        } else {
            complete(t, tx);
        }
        return TX_PASS;
    case TX_EVENT_FAILURE:
        complete(t, tx);
        return TX_PASS;
    case TX_EVENT_REQUEST:
        return TX_RESEND;
    case TX_EVENT_ACK:
        return TX_IGNORE;
    case TX_EVENT_BROKEN: /* the user has nothing to say any more */
        tx_enter(t, tx, TX_DONE);
        return TX_IGNORE;
    case TX_EVENT_RETRY:
        CHECK(tx->kind == TX_INVITE_SERVER);
        return TX_SAY_TRYING;
    case TX_EVENT_TIMEOUT:
        break;
    }
    UNREACHABLE("no end is set before the final response");
}

static enum tx_does step_over(struct turn *t, struct tx *tx, enum tx_event event)
{
    switch (event) {
    case TX_EVENT_PROVISIONAL:
    case TX_EVENT_FAILURE:
    case TX_EVENT_BROKEN:
        return TX_IGNORE;
    case TX_EVENT_SUCCESS: /* RFC 6026 7.1: each 2xx of a forked INVITE passes */
        return tx->state == TX_ACCEPTED ? TX_PASS : TX_IGNORE;
    case TX_EVENT_REQUEST:
        return tx->state == TX_COMPLETED ? TX_RESEND : TX_IGNORE;
    case TX_EVENT_ACK:
        if (tx->kind == TX_INVITE_SERVER && tx->state == TX_COMPLETED) {
            wheel_cancel(t->wheel, &tx->retry);
            tx_enter(t, tx, TX_CONFIRMED);
            tx_arm_end(t, tx, TX_TIMER_I, tx->is_reliable ? 0 : TX_T4_MS);
        }
        return TX_IGNORE;
    case TX_EVENT_RETRY: {
        uint32_t next = tx->interval_ms * 2;
        tx_arm_retry(t, tx, TX_TIMER_G, next > TX_T2_MS ? TX_T2_MS : next);
        return TX_RESEND;
    }
    case TX_EVENT_TIMEOUT:
        tx_enter(t, tx, TX_DONE);
        return TX_IGNORE;
    }
    UNREACHABLE("event");
}

enum tx_does tx_server_step(struct turn *t, struct tx *tx, enum tx_event event)
{
    CHECK(tx->kind == TX_INVITE_SERVER || tx->kind == TX_SERVER);
    switch ((enum tx_state)tx->state) {
    case TX_TRYING:
    case TX_PROCEEDING:
        return step_open(t, tx, event);
    case TX_COMPLETED:
    case TX_CONFIRMED:
    case TX_ACCEPTED:
        return step_over(t, tx, event);
    case TX_DONE:
    case TX_STATE_COUNT:
        break;
    }
    UNREACHABLE("state of a server transaction");
}

/* Responses go where the request came from last, when that is the same peer over a new connection
 * (18.2.2): who sends it again has lost the first.  Nobody else takes them away by a branch that it
 * has seen. */
static void follow(struct turn *t, struct sip *s, struct tx *tx, const struct flow_ref *from)
{
    if (from->kind == SIP_PEER && tx->peer.kind == SIP_PEER && from->flow != tx->peer.flow &&
        ids_node_is_equal(&from->node, &tx->peer.node)) {
        tx_move(t, s, tx, from);
    }
}

void tx_server_recv(struct turn *t, struct sip *s, struct tx *tx, const struct flow_ref *from,
                    bool is_ack)
{
    follow(t, s, tx, from);
    enum tx_does does = tx_server_step(t, tx, is_ack ? TX_EVENT_ACK : TX_EVENT_REQUEST);
    if (!is_ack) {
        metric_add(t->metrics, METRIC_sip_duplicates, 1);
    }
    if (does == TX_RESEND && tx->message != NULL) {
        enum err e = flow_send(t, s, &tx->peer, tx->message); /* counted; it will be asked again */
        (void)e;
    }
    tx_settle(t, s, tx);
}

/* A response may wait 32 s for its ACK, and as long for a retransmission of what it answers.  Whose
 * responses hold their share of the buffers, to those nothing is said twice. */
static bool may_keep(struct turn *t, const struct tx *tx, struct msgbuf *response)
{
    if (tx->source == 0 || response->account != 0) {
        return true;
    }
    if (!msgbuf_has_share(t->buffers, tx->source, response->is_large != 0)) {
        metric_add(t->metrics, METRIC_sip_not_retained, 1);
        return false;
    }
    msgbuf_charge(t->buffers, response, tx->source);
    return true;
}

/* The peer that sent the request has no connection to us any more: one is opened (18.2.2).  It does
 * the same when it has noticed, and then asks again; a 2xx comes again from the callee. */
static void await_way(struct turn *t, struct sip *s, struct tx *tx)
{
    if (!tx->is_unsent && dial_want(t, s, &tx->peer.node, tx->source) == ERR_PENDING) {
        tx->is_unsent = true;
        s->tx_unsent++;
    }
}

void tx_server_on_dialled(struct turn *t, struct sip *s, const struct node_id *node, enum err error)
{
    uint32_t index = 0;
    struct tx *tx = NULL;
    while (s->tx_unsent > 0 && (tx = pool_next(&s->txs, &index)) != NULL) {
        if (!tx->is_unsent || !ids_node_is_equal(&tx->peer.node, node)) {
            continue;
        }
        tx->is_unsent = false;
        s->tx_unsent--;
        if (error == ERR_OK && tx->message != NULL) {
            enum err e = flow_send(t, s, &tx->peer, tx->message);
            (void)e; /* counted; it may be asked for */
        }
    }
}

void tx_server_respond(struct turn *t, struct sip *s, struct tx *tx, unsigned status,
                       struct msgbuf *response)
{
    enum tx_event event = status < 200   ? TX_EVENT_PROVISIONAL
                          : status < 300 ? TX_EVENT_SUCCESS
                                         : TX_EVENT_FAILURE;
    if (tx_server_step(t, tx, event) != TX_PASS) {
        return;
    }
    tx->status = (uint16_t)status;
    s->responses_out++;
    metric_add(t->metrics, METRIC_sip_responses_out, 1);
    enum err e = flow_send(t, s, &tx->peer, response); /* lost: sent again when asked */
    if (e == ERR_CLOSED && tx->peer.kind == SIP_PEER) {
        await_way(t, s, tx);
    }
    bool is_kept = tx->state != TX_ACCEPTED && may_keep(t, tx, response);
    tx_keep(t, tx, is_kept ? response : NULL);
    tx_settle(t, s, tx);
}

void tx_server_forget(struct turn *t, struct sip *s, struct tx *tx)
{
    CHECK(tx->state == TX_TRYING || tx->state == TX_PROCEEDING);
    (void)tx_server_step(t, tx, TX_EVENT_BROKEN);
    tx_release(t, s, tx);
}

void tx_server_key(struct turn *t, const struct sip *s, const struct sip_rx *rx,
                   enum sip_method method, uint8_t key[TX_KEY_BYTES])
{
    const struct sip_msg_core *core = &rx->core;
    struct mac m;
    mac_begin(&m, &s->keys, MAC_TRANSACTION);
    mac_u32(&m, method);
    if (method == SIP_METHOD_OTHER) {
        mac_piece(t, &m, rx->m->method_text);
    }
    mac_piece(t, &m, core->via.sent_by);
    if (core->via.has_magic) {
        mac_piece(t, &m, core->via.branch);
    } else { /* RFC 2543: 17.2.3's second rule, To tags apart */
        mac_piece(t, &m, rx->m->request_uri);
        mac_piece(t, &m, core->from.tag);
        mac_piece(t, &m, core->call_id);
        mac_u32(&m, core->cseq.number);
        mac_piece(t, &m, core->via.text);
    }
    STATIC_CHECK((int)MAC_BYTES == (int)TX_KEY_BYTES);
    mac_end(t, &m, key);
    key[0] = 'S';
}

struct flow_ref tx_server_return(const struct sip_msg_core *core, const struct flow_ref *from)
{
    struct flow_ref to = *from;
    struct address via;
    if (from->kind != SIP_UDP || core->via.has_rport) {
        return to;
    }
    /* No rport: the port of sent-by, but only where the sender knows its own address. */
    if (address_parse(core->via.host, SIP_PORT, &via) == ERR_OK &&
        address_is_same_host(&via, &from->remote)) {
        to.remote.port = core->via.port == 0 ? SIP_PORT : core->via.port;
    }
    return to;
}
