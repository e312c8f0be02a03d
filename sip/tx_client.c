/* SPDX-License-Identifier: Apache-2.0 */
/* tx_client.c - client transactions (RFC 3261 17.1, RFC 6026 7.2, 8.4).
 *
 * The request is kept until the first final response; an INVITE longer, for the ACK that belongs to
 * a failure.  After a 2xx an INVITE transaction stays ACCEPTED for timer M, so that the callee's
 * retransmissions of it still find their way. */
#include "sip/sip_state.h"

static void complete(struct turn *t, struct tx *tx)
{
    wheel_cancel(t->wheel, &tx->retry);
    tx_enter(t, tx, TX_COMPLETED);
    if (tx->kind == TX_INVITE_CLIENT) {
        tx_arm_end(t, tx, TX_TIMER_D, tx->is_reliable ? 0 : TX_D_MS);
    } else {
        tx_arm_end(t, tx, TX_TIMER_K, tx->is_reliable ? 0 : TX_T4_MS);
        tx_keep(t, tx, NULL);
    }
}

static void accept_2xx(struct turn *t, struct tx *tx)
{
    wheel_cancel(t->wheel, &tx->retry);
    tx_enter(t, tx, TX_ACCEPTED);
    tx_arm_end(t, tx, TX_TIMER_M, TX_64_T1_MS);
    tx_keep(t, tx, NULL);
}

static void proceed(struct turn *t, struct tx *tx)
{
    if (tx->state == TX_PROCEEDING) {
        return;
    }
    tx_enter(t, tx, TX_PROCEEDING);
    if (tx->kind == TX_INVITE_CLIENT) { /* from now on timer C of the proxy decides */
        wheel_cancel(t->wheel, &tx->retry);
        wheel_cancel(t->wheel, &tx->end);
    }
}

static void again(struct turn *t, struct tx *tx)
{
    if (tx->kind == TX_INVITE_CLIENT) {
        tx_arm_retry(t, tx, TX_TIMER_A, tx->interval_ms * 2);
    } else {
        uint32_t next = tx->state == TX_PROCEEDING ? TX_T2_MS : tx->interval_ms * 2;
        tx_arm_retry(t, tx, TX_TIMER_E, next > TX_T2_MS ? TX_T2_MS : next);
    }
}

/* TRYING and PROCEEDING: no final response yet. */
static enum tx_does step_open(struct turn *t, struct tx *tx, enum tx_event event)
{
    switch (event) {
    case TX_EVENT_PROVISIONAL:
        proceed(t, tx);
        return TX_PASS;
    case TX_EVENT_SUCCESS:
        if (tx->kind == TX_INVITE_CLIENT) {
            accept_2xx(t, tx);
        } else {
            complete(t, tx);
        }
        return TX_PASS;
    case TX_EVENT_FAILURE:
        complete(t, tx);
        return TX_PASS;
    case TX_EVENT_RETRY:
        again(t, tx);
        return TX_RESEND;
    case TX_EVENT_TIMEOUT:
        tx_enter(t, tx, TX_DONE);
        return TX_GIVE_UP;
    case TX_EVENT_BROKEN:
        tx_enter(t, tx, TX_DONE);
        return TX_LOST;
    case TX_EVENT_REQUEST:
    case TX_EVENT_ACK:
        break;
    }
    UNREACHABLE("a client transaction gets no request");
}

static enum tx_does step_over(struct turn *t, struct tx *tx, enum tx_event event)
{
    switch (event) {
    case TX_EVENT_SUCCESS:
        return tx->state == TX_ACCEPTED ? TX_PASS : TX_IGNORE;
    case TX_EVENT_TIMEOUT:
        tx_enter(t, tx, TX_DONE);
        return TX_IGNORE;
    case TX_EVENT_PROVISIONAL:
    case TX_EVENT_FAILURE: /* COMPLETED: tx_client_recv sends the ACK again */
    case TX_EVENT_BROKEN:
    case TX_EVENT_RETRY:
        return TX_IGNORE;
    case TX_EVENT_REQUEST:
    case TX_EVENT_ACK:
        break;
    }
    UNREACHABLE("a client transaction gets no request");
}

enum tx_does tx_client_step(struct turn *t, struct tx *tx, enum tx_event event)
{
    CHECK(tx->kind == TX_INVITE_CLIENT || tx->kind == TX_CLIENT);
    switch ((enum tx_state)tx->state) {
    case TX_TRYING:
    case TX_PROCEEDING:
        return step_open(t, tx, event);
    case TX_COMPLETED:
    case TX_ACCEPTED:
        return step_over(t, tx, event);
    case TX_CONFIRMED:
    case TX_DONE:
    case TX_STATE_COUNT:
        break;
    }
    UNREACHABLE("state of a client transaction");
}

struct tx *tx_client_start(struct turn *t, struct sip *s, enum sip_method method,
                           const struct flow_ref *peer, const char *branch, struct msgbuf *request,
                           enum err *error)
{
    uint8_t key[TX_KEY_BYTES];
    uint16_t shard = 0;
    CHECK(tx_branch_read(slice_of(branch, TX_BRANCH_CAP), method, &shard, key));
    bool is_invite = method == SIP_METHOD_INVITE;
    *error = ERR_LIMIT;
    struct tx *tx = tx_acquire(t, s, is_invite ? TX_INVITE_CLIENT : TX_CLIENT, method, peer, key);
    if (tx == NULL) {
        return NULL;
    }
    *error = flow_send(t, s, peer, request);
    if (*error == ERR_CLOSED) {
        tx_release(t, s, tx);
        return NULL;
    }
    *error = ERR_OK; /* a full outbox is a lost packet */
    tx_keep(t, tx, request);
    tx_asked(t, s, tx);
    if (!tx->is_reliable) {
        tx_arm_retry(t, tx, is_invite ? TX_TIMER_A : TX_TIMER_E, TX_T1_MS);
    }
    tx_arm_end(t, tx, is_invite ? TX_TIMER_B : TX_TIMER_F, TX_64_T1_MS);
    return tx;
}

/* ACK or CANCEL for the INVITE in tx->message, as a new buffer; NULL when there is no room. */
static struct msgbuf *hop_request(struct turn *t, struct sip *s, const struct tx *tx,
                                  enum sip_method method, struct slice to)
{
    struct sip_rx room;
    struct sip_writer w;
    struct slice text;
    CHECK(tx->message != NULL);
    const struct sip_rx *invite = sip_state_reread(s, tx->message, &tx->peer, &room);
    sip_write_init(&w, s->scratch, sizeof(s->scratch));
    sip_write_hop_request(&w, invite->m, method, to,
                          method == SIP_METHOD_CANCEL && tx->is_elsewhere
                              ? SLICE_LITERAL("SIP;cause=200;text=\"Call completed elsewhere\"")
                              : SLICE_EMPTY);
    if (sip_write_finish(&w, &text) != ERR_OK) {
        metric_add(t->metrics, METRIC_sip_drop_full, 1);
        return NULL;
    }
    return sip_state_buffer(t, text);
}

static void send_ack(struct turn *t, struct sip *s, struct tx *tx, const struct sip_msg *response)
{
    struct msgbuf *ack = hop_request(t, s, tx, SIP_METHOD_ACK, sip_msg_first(response, SIP_HDR_TO));
    if (ack != NULL) {
        enum err e = flow_send(t, s, &tx->peer, ack); /* lost: the response comes again */
        (void)e;
        msgbuf_release(t->buffers, ack);
    }
}

enum tx_does tx_client_recv(struct turn *t, struct sip *s, struct tx *tx, const struct sip_msg *m)
{
    CHECK(!m->is_request);
    enum tx_event event = m->status < 200   ? TX_EVENT_PROVISIONAL
                          : m->status < 300 ? TX_EVENT_SUCCESS
                                            : TX_EVENT_FAILURE;
    enum tx_does does = tx_client_step(t, tx, event);
    tx_heard(t, s, tx, true);
    if (does == TX_PASS) {
        tx->status = m->status;
    }
    if (tx->kind == TX_INVITE_CLIENT && tx->state == TX_COMPLETED && event == TX_EVENT_FAILURE) {
        send_ack(t, s, tx, m);
    }
    tx_settle(t, s, tx);
    return does;
}

static void send_cancel(struct turn *t, struct sip *s, struct tx *tx)
{
    char branch[TX_BRANCH_CAP]; /* the INVITE's (9.1) */
    struct sip_rx room;
    const struct sip_rx *invite = sip_state_reread(s, tx->message, &tx->peer, &room);
    CHECK(invite->core.via.branch.len == TX_BRANCH_CAP);
    memcpy(branch, invite->core.via.branch.data, TX_BRANCH_CAP);
    struct msgbuf *cancel = hop_request(t, s, tx, SIP_METHOD_CANCEL, SLICE_EMPTY);
    if (cancel == NULL) {
        return;
    }
    msgbuf_charge(t->buffers, cancel, tx->message->account); /* who pays for the INVITE */
    enum err error = ERR_OK;
    (void)tx_client_start(t, s, SIP_METHOD_CANCEL, &tx->peer, branch, cancel, &error);
    msgbuf_release(t->buffers, cancel);
}

void tx_client_cancel(struct turn *t, struct sip *s, struct tx *tx)
{
    CHECK(tx->kind == TX_INVITE_CLIENT);
    CHECK(tx->state == TX_PROCEEDING);
    if (tx->is_cancelled) {
        return;
    }
    tx->is_cancelled = true;
    /* RFC 3261 9.1: without a final response within 64*T1 the INVITE counts as cancelled. */
    tx_arm_end(t, tx, TX_TIMER_B, TX_64_T1_MS);
    send_cancel(t, s, tx);
}

void tx_client_again(struct turn *t, struct sip *s, struct tx *tx, const struct flow_ref *peer)
{
    CHECK(tx->state <= TX_PROCEEDING);
    CHECK(tx->message != NULL);
    tx_move(t, s, tx, peer);
    tx_asked(t, s, tx);
    metric_add(t->metrics, METRIC_sip_sent_anew, 1);
    enum err e = flow_send(t, s, peer, tx->message);
    (void)e; /* counted; the end timer, or timer C, decides */
    /* Its end stays where it was, however often its peer closes. */
    if (tx->is_cancelled) {
        send_cancel(t, s, tx);
    }
}
