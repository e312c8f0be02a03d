/* SPDX-License-Identifier: Apache-2.0 */
/* link_life.c - see link_life.h. */
#include "link/link_life.h"
#include "core/hash.h"
#include "link/dtls.h"
#include "link/peer_auth.h"
#include "link/tls_pump.h"
#include "link/trunk.h"

/* ---- the end ---- */

/* Lets go of connection and TLS; `graceful`: the kernel first sends what was queued. */
static void let_go(struct turn *t, struct link_table *lt, struct link *l, bool graceful)
{
    if (l->tls != NULL) {
        lt->lender = lt->lender == l->tls ? NULL : lt->lender;
        lt->settings.tls->close(l->tls);
        l->tls = NULL;
    }
    if (l->conn != 0) {
        if (graceful) {
            io_close(t->out, l->conn);
        } else {
            io_abort(t->out, l->conn);
        }
        l->conn = 0;
    }
    if (l->dtls != NULL) {
        dtls_leave_address(lt, l);
    }
    if (lt->reading == l) {
        lt->reading = NULL;
    }
    l->has_input = false;
    wheel_cancel(t->wheel, &l->timer);
}

static void end(struct turn *t, struct link_table *lt, struct link *l, enum err error)
{
    l->error = error;
    link_table_enter(t, lt, l, LINK_STATE_DOWN);
    link_table_note_ready(lt, l);
}

static void log_end(struct turn *t, const struct link *l, enum err error, const char *why)
{
    char host[ADDRESS_TEXT_CAP];
    char node[IDS_NODE_TEXT_CAP];
    bool is_known = !ids_node_is_invalid(&l->node_id);
    log_write(t->log, t->now_us, l->was_up ? LOG_WARNING : LOG_INFO,
              l->was_up ? "link_lost" : "link_refused", "remote=%s node=%s reason=%s why=\"%s\"",
              address_text(&l->remote, host),
              is_known ? ids_hex(slice_of(l->node_id.bytes, IDS_NODE_MIN), node) : "-",
              err_name(error), why);
}

/* What TLS still has to say.  True: bytes of a connection are on their way. */
static bool say(struct turn *t, struct link_table *lt, struct link *l, bool *is_all)
{
    uint32_t said = 0;
    *is_all = true;
    if (l->dtls != NULL) {
        dtls_say(t, lt, l);
    } else if (l->conn != 0) {
        *is_all = tls_pump(t, lt->settings.tls, l->tls, l->conn, 0, &said) == ERR_OK;
    }
    return said > 0;
}

void link_life_fail(struct turn *t, struct link_table *lt, struct link *l, enum err error,
                    enum metric metric, const char *why)
{
    CHECK(error != ERR_OK);
    if (l->state == LINK_STATE_DOWN) {
        return;
    }
    metric_add(t->metrics, metric, 1);
    log_end(t, l, error, why);
    bool graceful = false;
    if (l->tls != NULL && error != ERR_TIMEOUT) {
        /* An alert may be waiting; whether it arrives does not matter any more.  No connection
         * ends below a datagram link, so it says goodbye. */
        bool is_all = false;
        if (l->dtls != NULL) {
            lt->settings.tls->shutdown(l->tls);
        }
        graceful = say(t, lt, l, &is_all);
    }
    let_go(t, lt, l, graceful);
    l->gives_back = true;
    end(t, lt, l, error);
    link_table_promote(t, lt, &l->node_id);
}

void link_life_close(struct turn *t, struct link_table *lt, struct link *l, enum err error)
{
    if (l->state == LINK_STATE_DOWN) {
        return;
    }
    bool graceful = false;
    if (l->state >= LINK_STATE_UP && l->tls != NULL) {
        if (l->dtls != NULL) {
            dtls_flush(t, lt, l);
        } else {
            trunk_flush(t, lt, l);
        }
        if (l->state == LINK_STATE_DOWN) {
            return; /* flushing has found it dead */
        }
        lt->settings.tls->shutdown(l->tls);
        say(t, lt, l, &graceful);
    }
    let_go(t, lt, l, graceful);
    end(t, lt, l, error);
}

/* ---- the beginning ---- */

void link_life_arm_handshake(struct turn *t, const struct link_table *lt, struct link *l)
{
    l->timer.what = TRUNK_TIMER_HANDSHAKE;
    wheel_arm(t->wheel, &l->timer, t->now_us + lt->settings.handshake_timeout_us);
}

void link_life_authenticate(struct turn *t, struct link_table *lt, struct link *l)
{
    struct peer_auth_verdict verdict;
    struct node_id expect = l->node_id;
    struct peer_auth rules = {.trust = lt->settings.trust,
                              .expect = l->has_expect ? &expect : NULL,
                              .self = &lt->settings.self};
    enum err error = peer_auth_judge(t, &rules, lt->settings.tls, l->tls, &verdict);
    l->node_id = verdict.node_id;
    if (error == ERR_OK && l->dtls != NULL && !l->is_dialled &&
        !announced_is_by(&lt->announced, t->now_us, &l->remote, &l->node_id)) {
        verdict.why = "another node has announced that address"; /* AT-14 */
        verdict.metric = METRIC_link_auth_wrong_node;
        error = ERR_FORBIDDEN;
    }
    if (error != ERR_OK) {
        link_life_fail(t, lt, l, error, verdict.metric, verdict.why);
        return;
    }
    l->not_after_ms = verdict.certificate.not_after_ms;
    l->user_len = verdict.certificate.user_len;
    memcpy(l->user, verdict.certificate.user, sizeof(l->user));
    l->account = msgbuf_account(hash_64(slice_of(l->user, l->user_len), lt->settings.secret));
    l->up_since_us = t->now_us;
    wheel_cancel(t->wheel, &l->timer);
    if (l->conn != 0) {
        io_proved(t->out, l->conn);
    }
    link_table_settle(t, lt, l);
    if (l->state == LINK_STATE_DRAINING) {
        return;
    }
    char host[ADDRESS_TEXT_CAP];
    char node[IDS_NODE_TEXT_CAP];
    log_write(t->log, t->now_us, LOG_INFO, "link_up", "remote=%s node=%s dialled=%d over=%s",
              address_text(&l->remote, host),
              ids_hex(slice_of(l->node_id.bytes, IDS_NODE_MIN), node), (int)l->is_dialled,
              l->dtls != NULL ? "dtls" : "tls");
}

void link_life_on_tls_error(struct turn *t, struct link_table *lt, struct link *l, enum err error)
{
    if (error == ERR_CLOSED) {
        link_life_fail(t, lt, l, ERR_CLOSED, METRIC_link_closed_by_peer, "closed by the peer");
    } else if (l->state != LINK_STATE_HANDSHAKE) {
        link_life_fail(t, lt, l, error, METRIC_link_tls_failed, "TLS record not acceptable");
    } else if (error == ERR_UNAUTHENTICATED) {
        link_life_fail(t, lt, l, error, METRIC_link_auth_no_certificate, "no certificate");
    } else if (error == ERR_MALFORMED) {
        link_life_fail(t, lt, l, error, METRIC_link_handshake_garbage,
                       "not a TLS handshake of ours");
    } else {
        link_life_fail(t, lt, l, error, METRIC_link_handshake_failed, "TLS handshake failed");
    }
}
