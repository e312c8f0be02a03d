/* SPDX-License-Identifier: Apache-2.0 */
/* outward.c - see outward.h. */
#include "node/outward.h"
#include "node/node_impl.h"

#define US_PER_S UINT64_C(1000000)

size_t outward_bytes(const struct node_settings *s)
{
    size_t each = sizeof(struct outward) + 2 * sizeof(uint32_t);
    return s->sip.foreign ? s->limits->sip_foreign_dials * each + 256 : 0;
}

void outward_init(struct node *n, struct arena *arena)
{
    if (n->settings.sip.foreign) {
        pool_init(&n->outward, arena, "sip_foreign_dials", HANDLE_OUTWARD,
                  n->settings.limits->sip_foreign_dials, sizeof(struct outward));
    }
}

/* Forgets it; the flow, where `conn` is one. */
static handle tell(struct turn *t, struct node *n, struct outward *x, handle conn)
{
    handle tag = x->tag;
    wheel_cancel(t->wheel, &x->deadline);
    pool_release(&n->outward, x);
    return sip_dialled(t, n->sip, tag, conn);
}

void outward_dial(struct turn *t, struct node *n, handle tag, struct msgbuf *buf)
{
    struct outward *x = pool_acquire(&n->outward);
    struct slice bytes = msgbuf_slice(buf);
    CHECK(bytes.len == sizeof(x->dial)); /* sip/ wrote it */
    if (x == NULL) {
        metric_add(t->metrics, METRIC_pool_exhausted, 1);
        msgbuf_release(t->buffers, buf);
        (void)sip_dialled(t, n->sip, tag, 0);
        return;
    }
    memcpy(&x->dial, bytes.data, sizeof(x->dial));
    msgbuf_release(t->buffers, buf);
    x->tag = tag;
    x->deadline.tag = pool_handle(&n->outward, x);
    if (io_connect(t->out, &x->dial.to, x->deadline.tag) != ERR_OK) {
        (void)tell(t, n, x, 0);
        return;
    }
    wheel_arm(t->wheel, &x->deadline, t->now_us + OUTWARD_DEADLINE_S * US_PER_S);
}

void outward_connected(struct turn *t, struct node *n, const struct io_event *event)
{
    struct outward *x = pool_get(&n->outward, event->tag);
    if (x == NULL) { /* too late */
        if (event->error == ERR_OK) {
            io_abort(t->out, event->conn);
        }
        return;
    }
    if (event->error != ERR_OK) {
        (void)tell(t, n, x, 0);
        return;
    }
    io_proved(t->out, event->conn); /* we wanted it */
    if (x->dial.kind == SIP_TLS) {
        x->conn = event->conn;
        if (!wrapped_outward(t, n, event->conn, event->tag, x->dial.domain)) {
            io_abort(t->out, event->conn);
            (void)tell(t, n, x, 0);
        }
        return;
    }
    handle flow = tell(t, n, x, event->conn);
    if (flow == 0) {
        io_abort(t->out, event->conn);
    } else {
        path_record(n, event->conn, NODE_OWNER_PHONE, flow);
    }
}

handle outward_up(struct turn *t, struct node *n, handle who, const struct stream_tls *tls)
{
    struct slice chain[TLS_CHAIN_CAP];
    struct outward *x = pool_get(&n->outward, who);
    const struct outward_trust *trust = &n->settings.outward;
    CHECK(x != NULL && trust->judge != NULL);
    size_t count = stream_tls_chain(tls, chain);
    if (trust->judge(trust->context, chain, count, slice_text(x->dial.domain), t->wall_ms) !=
        ERR_OK) {
        metric_add(t->metrics, METRIC_sip_foreign_tls_refused, 1);
        return 0; /* its connection is closed, and outward_failed tells so */
    }
    return tell(t, n, x, x->conn);
}

void outward_failed(struct turn *t, struct node *n, handle who)
{
    struct outward *x = pool_get(&n->outward, who);
    if (x != NULL) {
        (void)tell(t, n, x, 0);
    }
}

void outward_on_timer(struct turn *t, struct node *n, struct wheel_timer *timer)
{
    struct outward *x = pool_get(&n->outward, timer->tag);
    CHECK(x != NULL); /* cancelled with it */
    handle conn = x->conn;
    (void)tell(t, n, x, 0);
    if (conn != 0) {
        wrapped_give_up(t, n, conn);
    }
}
