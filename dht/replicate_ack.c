/* SPDX-License-Identifier: Apache-2.0 */
/* StoreAns: each leaves when a copy stands on another host, or the disk has what was stored, or
 * neither will be waited for any longer (design.md 9).  See replicate_inside.h. */
#include "codec/content.h"
#include "dht/replicate_inside.h"
#include "dht/store_log.h"

static void finish(struct turn *t, struct replicate *r, struct replicate_ack *a)
{
    if (a->deferred != 0) {
        enum err e =
            transact_answer_later(t, r->s.transact, a->deferred, msgbuf_slice(a->body), NULL, 0);
        (void)e; /* it may have been forgotten meanwhile: whoever asked has asked again or left */
    }
    wheel_cancel(t->wheel, &a->timer);
    msgbuf_release(t->buffers, a->body);
    pool_release(&r->acks, a);
}

static bool needs_disk(const struct replicate *r, uint64_t sequence)
{
    return r->is_promised && sequence > r->durable;
}

/* The copy stands, or will not be waited for. */
static void note_copied(struct turn *t, struct replicate *r, struct replicate_ack *a)
{
    a->is_copied = true;
    if (needs_disk(r, a->sequence)) {
        return;
    }
    metric_add(t->metrics, METRIC_persist_acks_undurable, a->sequence > r->durable ? 1 : 0);
    finish(t, r, a);
}

static void go_without(struct turn *t, struct replicate *r, struct replicate_ack *a)
{
    metric_add(t->metrics, METRIC_replica_acks_late, 1);
    note_copied(t, r, a);
}

void replicate_ack_durable(struct turn *t, struct replicate *r)
{
    uint32_t index = 0;
    struct replicate_ack *a;
    while ((a = pool_next(&r->acks, &index)) != NULL) {
        if (a->is_copied) {
            note_copied(t, r, a);
        }
    }
}

void replicate_ack_on_timer(struct turn *t, struct replicate *r, const struct wheel_timer *timer)
{
    struct replicate_ack *a = pool_get(&r->acks, timer->tag);
    if (a != NULL && !a->is_copied) {
        go_without(t, r, a);
    }
}

void replicate_ack_clear(struct turn *t, struct replicate *r)
{
    uint32_t index = 0;
    struct replicate_ack *a;
    while ((a = pool_next(&r->acks, &index)) != NULL) {
        a->deferred = needs_disk(r, a->sequence) ? 0 : a->deferred; /* it is not said, then */
        finish(t, r, a);
    }
}

void replicate_ack_result(struct turn *t, struct replicate *r, const struct replicate_op *op,
                          bool is_ok, uint64_t host)
{
    struct replicate_ack *a = pool_get(&r->acks, op->ack);
    if (a == NULL) {
        return;
    }
    CHECK(a->waiting > 0);
    a->waiting--;
    if (a->is_copied) {
        return; /* it waits for the disk alone */
    }
    bool is_elsewhere = host != r->s.topo->table->self_host;
    if (is_ok && (is_elsewhere || !a->needs_other_host)) {
        a->kinds &= (uint16_t)~op->kinds;
    }
    if (a->kinds == 0) {
        note_copied(t, r, a);
    } else if (a->waiting == 0) {
        go_without(t, r, a);
    }
}

/* Sends the values of this put, of one of its Kinds, to every target; how many messages are on
 * their way. */
static uint32_t send_fresh(struct turn *t, struct replicate *r, const struct store_put_outcome *out,
                           uint32_t kind_at, struct replicate_ack *a)
{
    struct store_set *set = store_set_get(r->s.store, out->kinds[kind_at].set);
    uint16_t kind_bit = (uint16_t)(1u << kind_at);
    uint32_t sent = 0;
    uint16_t placed = set->placed;
    struct store_stamps stamps = store_set_stamps(r->s.store, set);
    set->placed = 0;
    for (uint32_t i = 0; i < STORE_MEMBERS_CAP; i++) {
        if (!r->members[i].is_target) {
            continue;
        }
        struct replicate_op *op = replicate_op_new(r, REPLICATE_FRESH, i, set);
        if (op == NULL) {
            break; /* the walk will do it */
        }
        /* Who has the rest, or needs none since this is all there is, has everything then. */
        op->was_placed = (placed & replicate_inside_bit(i)) != 0 || stamps.oldest >= out->stamp;
        op->since = out->stamp;
        op->ack = a == NULL ? 0 : pool_handle(&r->acks, a);
        op->kinds = kind_bit;
        if (!replicate_op_send(t, r, op, 0)) {
            replicate_op_end(r, op);
            continue;
        }
        set->under_way |= op->was_placed ? replicate_inside_bit(i) : 0;
        sent++;
    }
    if (a != NULL && sent > 0) {
        a->kinds |= kind_bit;
    }
    return sent;
}

/* Has this put changed anything of that Kind? */
static bool is_fresh(const struct replicate *r, const struct store_put_outcome *out,
                     uint32_t kind_at)
{
    const struct store_set *set = store_set_get(r->s.store, out->kinds[kind_at].set);
    return set != NULL && out->changed > 0 &&
           store_set_stamps(r->s.store, set).newest == out->stamp;
}

static size_t list_replicas(const struct replicate *r, uint8_t *out)
{
    struct topo_peer peers[TOPO_REPLICAS_CAP];
    uint8_t length = r->s.params->node_id_length;
    size_t count = topo_replicas(r->s.topo, peers);
    for (size_t i = 0; i < count; i++) {
        memcpy(out + i * length, peers[i].id.bytes, length);
    }
    return count * length;
}

/* Keeps the answer; NULL when there is no room and it has to leave now. */
static struct replicate_ack *keep(struct turn *t, struct replicate *r, const struct message *m,
                                  struct slice body)
{
    struct replicate_ack *a = pool_acquire(&r->acks);
    if (a == NULL) {
        return NULL;
    }
    a->body = msgbuf_acquire(t->buffers, body.len);
    if (a->body == NULL) {
        pool_release(&r->acks, a);
        return NULL;
    }
    enum err e = msgbuf_append(a->body, body);
    CHECK(e == ERR_OK);
    a->deferred = transact_defer(t, r->s.transact, m);
    a->needs_other_host = chord_table_hosts(r->s.topo->table) > 1;
    a->timer.tag = pool_handle(&r->acks, a);
    a->timer.what = STORE_TIMER_REPLICATE_ACK;
    wheel_arm(t->wheel, &a->timer, t->now_us + REPLICATE_ACK_MS * 1000);
    return a;
}

static void drop(struct turn *t, struct replicate *r, struct replicate_ack *a)
{
    wheel_cancel(t->wheel, &a->timer);
    msgbuf_release(t->buffers, a->body);
    pool_release(&r->acks, a);
}

/* It could be kept until the disk has it, or it must not be said. */
static void answer_undurable(struct turn *t, struct replicate *r, const struct message *m)
{
    metric_add(t->metrics, METRIC_persist_acks_refused, 1);
    transact_error(t, r->s.transact, m, CONTENT_ERROR_REQUEST_TIMEOUT, SLICE_EMPTY);
}

void replicate_ack_copy(struct turn *t, struct replicate *r, const struct message *m,
                        struct slice body)
{
    uint64_t sequence = store_log_sequence(r->s.store);
    if (!needs_disk(r, sequence)) {
        transact_reply(t, r->s.transact, m, body);
        return;
    }
    struct replicate_ack *a = keep(t, r, m, body);
    if (a == NULL || a->deferred == 0) {
        if (a != NULL) {
            drop(t, r, a);
        }
        answer_undurable(t, r, m);
        return;
    }
    a->sequence = sequence;
    a->is_copied = true;
}

void replicate_ack_original(struct turn *t, struct replicate *r, const struct message *m,
                            const struct store_put_outcome *out)
{
    uint8_t nodes[TOPO_REPLICAS_CAP * IDS_NODE_MAX];
    struct wr w = wr_init(r->answer, REPLICATE_ANSWER_BYTES);
    size_t len = list_replicas(r, nodes);
    store_put_wr_answer(r->s.store, out, slice_of(nodes, len), &w);
    CHECK(wr_ok(&w));
    uint64_t sequence = store_log_sequence(r->s.store); /* also of what was there already */
    bool waits_for_disk = needs_disk(r, sequence);
    bool waits = r->s.ack != OVERLAY_ACK_MEMORY && out->changed > 0 && len > 0;
    struct replicate_ack *a = waits || waits_for_disk ? keep(t, r, m, wr_slice(&w)) : NULL;
    uint32_t sent = 0;
    for (uint32_t i = 0; i < out->kind_count; i++) {
        if (is_fresh(r, out, i)) {
            store_set_get(r->s.store, out->kinds[i].set)->is_owned = true;
            sent += send_fresh(t, r, out, i, a);
        }
    }
    if (out->changed > 0) {
        replicate_walk_dirty(t, r); /* joiners, and whoever could not be sent to */
    }
    if (a != NULL && a->deferred != 0 && (sent > 0 || waits_for_disk)) {
        a->waiting = sent;
        a->is_copied = sent == 0;
        a->sequence = waits_for_disk ? sequence : 0;
        return;
    }
    if (waits_for_disk) {
        answer_undurable(t, r, m);
    } else {
        transact_reply(t, r->s.transact, m, wr_slice(&w));
    }
    if (a != NULL) { /* nobody to wait for, or nothing to answer with later: reports go to no one */
        drop(t, r, a);
    }
}
