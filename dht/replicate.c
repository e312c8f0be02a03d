/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of others and what comes back to ours.  Each message to another holder is an op, found
 * again by the tag of its transaction; an op that covers a set in several messages sends them one
 * after another, so that the bit of the member is set once, at the end. */
#include "dht/replicate.h"
#include "core/buggify.h"

#include "codec/content.h"
#include "codec/msgs.h"
#include "dht/budget.h"
#include "dht/replicate_inside.h"
#include "dht/store_log.h"
#include "dht/store_restore.h"

STATIC_CHECK(sizeof(struct replicate_op) <= LIMITS_COST_replica_requests);
STATIC_CHECK(sizeof(struct replicate_ack) <= LIMITS_COST_replica_acks);

enum {
    RETRY_US = 1000000, /* after a failure, doubled with each further one */
    RETRY_DOUBLINGS = 5,
    NEWER_US = 30000000,
    REFUSED_S = 8, /* before an owner who refused is offered a set again */
};

size_t replicate_bytes(const struct replicate_settings *s)
{
    return sizeof(struct replicate) + budget_pool(s->ops, sizeof(struct replicate_op)) +
           budget_pool(s->acks, sizeof(struct replicate_ack)) + s->max_message_bytes +
           REPLICATE_ANSWER_BYTES + BUDGET_SLACK;
}

struct replicate *replicate_init(struct turn *t, struct arena *arena,
                                 const struct replicate_settings *s)
{
    struct replicate *r = ARENA_ARRAY(arena, struct replicate, 1);
    r->s = *s;
    pool_init(&r->ops, arena, "replica_requests", HANDLE_STORE, s->ops,
              sizeof(struct replicate_op));
    pool_init(&r->acks, arena, "replica_acks", HANDLE_STORE, s->acks, sizeof(struct replicate_ack));
    r->answer = ARENA_SCRATCH(arena, uint8_t, REPLICATE_ANSWER_BYTES);
    r->scratch_bytes = s->max_message_bytes;
    r->scratch = ARENA_SCRATCH(arena, uint8_t, s->max_message_bytes);
    r->timer.tag = handle_make(HANDLE_STORE, 0, 0);
    r->timer.what = STORE_TIMER_REPLICATE;
    wheel_arm(t->wheel, &r->timer, t->now_us + 1000000);
    return r;
}

void replicate_set_message_bytes(struct replicate *r, uint32_t max_message_bytes)
{
    r->scratch_bytes = (uint32_t)min_size(max_message_bytes, r->s.max_message_bytes);
}

bool replicate_next(struct replicate *r, struct replicate_event *event)
{
    for (uint32_t i = 0; r->may_tell && i < STORE_MEMBERS_CAP; i++) {
        struct replicate_member *m = &r->members[i];
        if (m->is_handed_over) {
            m->is_handed_over = false;
            *event = (struct replicate_event){REPLICATE_HANDED_OVER, m->error, m->id};
            return true;
        }
    }
    r->may_tell = false;
    if (r->is_left) {
        r->is_left = false;
        *event = (struct replicate_event){.kind = REPLICATE_LEFT, .error = r->left_error};
        return true;
    }
    return false;
}

/* ops */

struct replicate_op *replicate_inside_op(struct replicate *r, enum replicate_what what,
                                         uint32_t member, const struct store_set *set)
{
    struct replicate_op *op = pool_acquire(&r->ops);
    if (op == NULL) {
        return NULL;
    }
    op->what = what;
    op->member = member;
    op->set = store_set_handle(r->s.store, set);
    if (member < STORE_MEMBERS_CAP) {
        op->to = r->members[member].id;
        r->members[member].under_way++;
    }
    return op;
}

void replicate_inside_op_end(struct replicate *r, struct replicate_op *op)
{
    struct store_set *set = store_set_get(r->s.store, op->set);
    if (set != NULL && (op->what == REPLICATE_COPY || op->was_placed)) {
        set->under_way &= (uint16_t)~replicate_inside_bit(op->member);
    }
    if (set != NULL && op->what == REPLICATE_RETURN) {
        set->is_pushing = false;
    }
    if (op->member < STORE_MEMBERS_CAP) {
        CHECK(r->members[op->member].under_way > 0);
        r->members[op->member].under_way--;
    }
    pool_release(&r->ops, op);
}

/* RETURN goes to the owner if we know him, else to wherever the Resource-ID is routed. */
static struct transact_target target_of(const struct replicate *r, struct replicate_op *op,
                                        const struct store_set *set)
{
    struct transact_target target = {.type = TRANSACT_NODE, .node = op->to};
    struct topo_peer owner;
    if (op->what != REPLICATE_RETURN) {
        return target;
    }
    enum err e =
        ids_ring_of_resource(slice_of(set->resource, sizeof(set->resource)), &target.resource);
    CHECK(e == ERR_OK);
    if (topo_owner(r->s.topo, target.resource, &owner) &&
        !ids_node_is_equal(&owner.id, &r->s.self->node_id)) {
        target.node = op->to = owner.id;
    } else {
        target.type = TRANSACT_RESOURCE;
    }
    return target;
}

/* 1 or 2 as RFC 6940 10.4 has it; more only where copies go beyond two. */
static uint8_t replica_number(const struct replicate *r, uint32_t member)
{
    uint8_t number = 1;
    for (uint32_t i = 0; i < STORE_MEMBERS_CAP && member < STORE_MEMBERS_CAP; i++) {
        const struct replicate_member *m = &r->members[i];
        struct ring_id self = r->s.topo->table->self;
        if (m->is_target && ids_ring_is_less(ids_ring_minus(m->at, self),
                                             ids_ring_minus(r->members[member].at, self))) {
            number++;
        }
    }
    return number;
}

bool replicate_inside_send(struct turn *t, struct replicate *r, struct replicate_op *op,
                           uint32_t from)
{
    const struct store_set *set = store_set_get(r->s.store, op->set);
    size_t overhead = REPLICATE_INSIDE_OVERHEAD + r->s.self->certificate.len;
    size_t budget = r->scratch_bytes > overhead ? r->scratch_bytes - overhead : 0;
    struct store_certificates certificates = {0};
    struct wr w = wr_init(r->scratch, r->scratch_bytes);
    wr_opaque8(&w, slice_of(set->resource, sizeof(set->resource)));
    wr_u8(&w, replica_number(r, op->member));
    size_t mark = wr_begin(&w, 4);
    struct store_fetch_part part = {op->since, from, budget};
    op->stamp = store_stamp(r->s.store);
    store_fetch_copy(t, r->s.store, set, &part, &w, &certificates);
    op->from = part.from;
    wr_end(&w, 4, mark);
    struct transact_request request = {.owner = TRANSACT_REPLICATE,
                                       .tag = pool_handle(&r->ops, op),
                                       .target = target_of(r, op, set),
                                       .code = CONTENT_STORE_REQ,
                                       .body = wr_slice(&w),
                                       .certificates = certificates.der,
                                       .certificate_count = certificates.count};
    if (!wr_ok(&w) || transact_request(t, r->s.transact, &request, &op->request) != ERR_OK) {
        metric_add(t->metrics, METRIC_replicas_failed, 1);
        return false;
    }
    metric_add(t->metrics, METRIC_replicas_sent, 1);
    return true;
}

/* answers that wait */

static void ack_end(struct turn *t, struct replicate *r, struct replicate_ack *a)
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
static void ack_copied(struct turn *t, struct replicate *r, struct replicate_ack *a)
{
    a->is_copied = true;
    if (needs_disk(r, a->sequence)) {
        return;
    }
    metric_add(t->metrics, METRIC_persist_acks_undurable, a->sequence > r->durable ? 1 : 0);
    ack_end(t, r, a);
}

static void ack_late(struct turn *t, struct replicate *r, struct replicate_ack *a)
{
    metric_add(t->metrics, METRIC_replica_acks_late, 1);
    ack_copied(t, r, a);
}

void replicate_on_durable(struct turn *t, struct replicate *r, uint64_t sequence, bool is_promised)
{
    uint32_t index = 0;
    struct replicate_ack *a;
    r->durable = max_u64(r->durable, sequence);
    r->is_promised = is_promised && r->s.ack == OVERLAY_ACK_DISK;
    while ((a = pool_next(&r->acks, &index)) != NULL) {
        if (a->is_copied) {
            ack_copied(t, r, a);
        }
    }
}

/* `op` has ended; it may be released already. */
static void ack_result(struct turn *t, struct replicate *r, const struct replicate_op *op,
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
        ack_copied(t, r, a);
    } else if (a->waiting == 0) {
        ack_late(t, r, a);
    }
}

void replicate_inside_cancel(struct turn *t, struct replicate *r, uint32_t member)
{
    uint32_t index = 0;
    struct replicate_op *op;
    while ((op = pool_next(&r->ops, &index)) != NULL) {
        if (op->member != member) {
            continue;
        }
        transact_cancel(t, r->s.transact, op->request);
        struct replicate_op ended = *op;
        replicate_inside_op_end(r, op);
        ack_result(t, r, &ended, false, 0);
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
        struct replicate_op *op = replicate_inside_op(r, REPLICATE_FRESH, i, set);
        if (op == NULL) {
            break; /* the walk will do it */
        }
        /* Who has the rest, or needs none since this is all there is, has everything then. */
        op->was_placed = (placed & replicate_inside_bit(i)) != 0 || stamps.oldest >= out->stamp;
        op->since = out->stamp;
        op->ack = a == NULL ? 0 : pool_handle(&r->acks, a);
        op->kinds = kind_bit;
        if (!replicate_inside_send(t, r, op, 0)) {
            replicate_inside_op_end(r, op);
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
static struct replicate_ack *ack_new(struct turn *t, struct replicate *r, const struct message *m,
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

/* Do all values in this FetchReq consist of their signers' certificates? */
static bool is_about_certificates(const struct replicate *r, const struct message *m)
{
    struct msgs_fetch_req req;
    struct stored_specifier what;
    if (msgs_fetch_req_decode(m->body, r->s.params, &req) != ERR_OK) {
        return false;
    }
    struct rd specifiers = rd_init(req.specifiers);
    bool is_all = true;
    while (stored_specifier_next(&specifiers, &what)) {
        is_all &= what.kind == OVERLAY_KIND_CERTIFICATE_BY_NODE ||
                  what.kind == OVERLAY_KIND_CERTIFICATE_BY_USER;
    }
    return is_all;
}

/* Signers' certificates go along (SG-2).  Where the values are these certificates, and both
 * together are too much, the values alone will do: store_client learns them from there. */
static void answer_fetch(struct turn *t, struct replicate *r, const struct message *m,
                         struct slice body, const struct store_certificates *certificates)
{
    enum err e = transact_answer(t, r->s.transact, m, body, certificates->der, certificates->count);
    if (e == ERR_TOO_LARGE && certificates->count > 0 && is_about_certificates(r, m)) {
        e = transact_answer(t, r->s.transact, m, body, NULL, 0);
    }
    if (e == ERR_TOO_LARGE) {
        transact_error(t, r->s.transact, m, CONTENT_ERROR_RESPONSE_TOO_LARGE, SLICE_EMPTY);
    }
}

static void ack_drop(struct turn *t, struct replicate *r, struct replicate_ack *a)
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

/* A copy was stored for somebody else. */
static void answer_copy(struct turn *t, struct replicate *r, const struct message *m,
                        struct slice body)
{
    uint64_t sequence = store_log_sequence(r->s.store);
    if (!needs_disk(r, sequence)) {
        transact_reply(t, r->s.transact, m, body);
        return;
    }
    struct replicate_ack *a = ack_new(t, r, m, body);
    if (a == NULL || a->deferred == 0) {
        if (a != NULL) {
            ack_drop(t, r, a);
        }
        answer_undurable(t, r, m);
        return;
    }
    a->sequence = sequence;
    a->is_copied = true;
}

/* An original Store was carried out: copies leave first, the answer when one stands (design.md 9).
 */
static void answer_original(struct turn *t, struct replicate *r, const struct message *m,
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
    struct replicate_ack *a = waits || waits_for_disk ? ack_new(t, r, m, wr_slice(&w)) : NULL;
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
        ack_drop(t, r, a);
    }
}

/* requests */

/* ST-2, ST-3 */
static bool may_send_here(const struct replicate *r, const struct message *m,
                          const struct msgs_store_req *req, struct ring_id at)
{
    if (req->replica_number == 0) {
        bool is_addressed = !m->to_resource || ids_ring_is_equal(m->resource, at);
        return is_addressed && topo_is_responsible(r->s.topo, at);
    }
    if (!r->s.topo->table->is_member) { /* on our way in: the admitting peer fills us (CH-12) */
        return chord_table_find(r->s.topo->table, &m->signer) != NULL;
    }
    return (topo_is_replica(r->s.topo, at) || topo_is_responsible(r->s.topo, at)) &&
           topo_is_plausible_replica_sender(r->s.topo, at, &m->signer);
}

/* Somebody's copies have come, changed or not. */
static void note_copies(const struct turn *t, struct replicate *r, const struct message *m,
                        const struct store_put_outcome *out, struct ring_id at)
{
    struct topo_peer owner;
    bool is_owner = topo_owner(r->s.topo, at, &owner) && ids_node_is_equal(&owner.id, &m->signer);
    for (uint32_t i = 0; i < out->kind_count; i++) {
        struct store_set *set = store_set_get(r->s.store, out->kinds[i].set);
        if (set != NULL && out->changed > 0) {
            set->placed = 0; /* should we own it: the others have not seen this yet */
        }
        if (set != NULL && is_owner) {
            replicate_inside_vouch(t, set, owner.at);
        }
    }
}

bool replicate_on_store(struct turn *t, struct replicate *r, const struct message *m)
{
    struct msgs_store_req req;
    struct ring_id at;
    if (msgs_store_req_decode(m->body, r->s.params, &req) != ERR_OK ||
        ids_ring_of_resource(req.resource, &at) != ERR_OK) {
        metric_add(t->metrics, METRIC_stores_malformed, 1);
        transact_error(t, r->s.transact, m, CONTENT_ERROR_INVALID_MESSAGE, SLICE_EMPTY);
        return true;
    }
    bool is_copy = req.replica_number != 0;
    if (!may_send_here(r, m, &req, at) || (is_copy && buggify(t, BUGGIFY_replica_refused))) {
        metric_add(t->metrics, METRIC_stores_forbidden, 1);
        transact_error(t, r->s.transact, m, CONTENT_ERROR_FORBIDDEN, SLICE_EMPTY);
        return true;
    }
    struct store_put put = {
        .resource = req.resource,
        .replica_number = req.replica_number,
        .is_owner = topo_is_responsible(r->s.topo, at),
        .kind_data = req.kind_data,
        .bucket = m->certificates,
        .signer_user = slice_of(m->certificate->parsed.user, m->certificate->parsed.user_len),
        .signer = m->signer};
    struct store_put_outcome out;
    store_put(t, r->s.store, &put, &out);
    if (out.is_unfinished) {
        return false;
    }
    if (out.error != 0) {
        transact_error(t, r->s.transact, m, out.error, out.info);
        return true;
    }
    if (req.replica_number == 0) {
        answer_original(t, r, m, &out);
        return true;
    }
    uint8_t body[STORE_KINDS_CAP * 16 + 2];
    struct wr w = wr_init(body, sizeof(body));
    store_put_wr_answer(r->s.store, &out, SLICE_EMPTY, &w);
    CHECK(wr_ok(&w));
    note_copies(t, r, m, &out, at);
    if (out.changed > 0 && topo_is_responsible(r->s.topo, at)) {
        replicate_walk_dirty(t, r);
    }
    answer_copy(t, r, m, wr_slice(&w));
    return true;
}

/* The usual case: values and certificates are copied once, into what the link gathers.  False:
 * something is in the way, and nothing has happened. */
static bool answer_in_place(struct turn *t, struct replicate *r, const struct message *m)
{
    struct store_certificates certificates;
    struct transact_draft draft;
    struct slice info;
    bool is_answered = transact_begin_draft(t, r->s.transact, m, &draft) &&
                       store_fetch(t, r->s.store, m->body, &draft.w, &certificates, &info) == 0 &&
                       transact_send_draft(t, r->s.transact, m, &draft, certificates.der,
                                           certificates.count) == ERR_OK;
    metric_add(t->metrics, METRIC_fetches_answered, is_answered ? 1 : 0);
    return is_answered;
}

static void answer_by_copy(struct turn *t, struct replicate *r, const struct message *m)
{
    struct store_certificates certificates = {0};
    struct slice info = SLICE_EMPTY;
    struct wr w = wr_init(r->scratch, r->scratch_bytes);
    uint16_t error = m->code == CONTENT_STAT_REQ
                         ? store_fetch_stat(t, r->s.store, m->body, &w, &info)
                         : store_fetch(t, r->s.store, m->body, &w, &certificates, &info);
    if (error != 0) {
        metric_add(t->metrics, METRIC_fetches_refused, 1);
        transact_error(t, r->s.transact, m, error, info);
        return;
    }
    metric_add(t->metrics, METRIC_fetches_answered, 1);
    answer_fetch(t, r, m, wr_slice(&w), &certificates);
}

bool replicate_on_fetch(struct turn *t, struct replicate *r, const struct message *m)
{
    if (UNLIKELY(store_restore_left(r->s.store) > 0) &&
        !store_restore_prove_asked(t, r->s.store, m->body)) {
        return false;
    }
    if (m->code != CONTENT_FETCH_REQ || !answer_in_place(t, r, m)) {
        answer_by_copy(t, r, m);
    }
    return true;
}

void replicate_on_find(struct turn *t, struct replicate *r, const struct message *m)
{
    struct msgs_find_req req;
    struct ring_id at;
    struct slice info = SLICE_EMPTY;
    struct wr w = wr_init(r->scratch, r->scratch_bytes);
    uint16_t error = store_fetch_find(t, r->s.store, m->body, &w, &info);
    if (error == 0 && msgs_find_req_decode(m->body, r->s.params, &req) == ERR_OK &&
        ids_ring_of_resource(req.resource, &at) == ERR_OK && !topo_is_responsible(r->s.topo, at)) {
        error = CONTENT_ERROR_NOT_FOUND; /* FT-8 */
    }
    if (error != 0) {
        metric_add(t->metrics, METRIC_fetches_refused, 1);
        transact_error(t, r->s.transact, m, error, info);
        return;
    }
    metric_add(t->metrics, METRIC_fetches_answered, 1);
    transact_reply(t, r->s.transact, m, wr_slice(&w));
}

/* results */

/* ST-16: somebody has newer values than we: fetch that set from him. */
static void fetch_newer(struct turn *t, struct replicate *r, const struct node_id *from,
                        uint32_t member, const struct store_set *set)
{
    static const struct stored_range all = {0, STORED_INDEX_APPEND};
    struct replicate_op *op = replicate_inside_op(r, REPLICATE_NEWER, member, set);
    if (op == NULL) {
        return;
    }
    op->to = *from;
    uint8_t body[64];
    struct wr w = wr_init(body, sizeof(body));
    wr_opaque8(&w, slice_of(set->resource, sizeof(set->resource)));
    size_t mark = wr_begin(&w, 2);
    switch (set->model) {
    case OVERLAY_SINGLE:
        stored_wr_specifier_single(&w, set->kind, 0);
        break;
    case OVERLAY_ARRAY:
        stored_wr_specifier_array(&w, set->kind, 0, &all, 1);
        break;
    case OVERLAY_DICTIONARY:
        stored_wr_specifier_dictionary(&w, set->kind, 0, NULL, 0);
        break;
    }
    wr_end(&w, 2, mark);
    CHECK(wr_ok(&w));
    struct transact_request request = {.owner = TRANSACT_REPLICATE,
                                       .tag = pool_handle(&r->ops, op),
                                       .target = {.type = TRANSACT_NODE, .node = *from},
                                       .code = CONTENT_FETCH_REQ,
                                       .body = wr_slice(&w)};
    if (transact_request(t, r->s.transact, &request, &op->request) != ERR_OK) {
        replicate_inside_op_end(r, op);
        return;
    }
    metric_add(t->metrics, METRIC_replicas_newer, 1);
}

static void on_newer(struct turn *t, struct replicate *r, const struct replicate_op *op,
                     const struct transact_result *result)
{
    struct store_set *set = store_set_get(r->s.store, op->set);
    struct msgs_fetch_ans ans;
    if (set == NULL || result->answer == NULL || result->error != ERR_OK ||
        msgs_fetch_ans_decode(result->answer->body, r->s.params, &ans) != ERR_OK) {
        return;
    }
    uint8_t resource[OVERLAY_RESOURCE_BYTES];
    memcpy(resource, set->resource, sizeof(resource));
    struct store_put put = {.resource = slice_of(resource, sizeof(resource)),
                            .replica_number = 1,
                            .kind_data = ans.kind_responses,
                            .bucket = result->answer->certificates,
                            .signer = result->answer->signer,
                            .only_newer = true};
    struct store_put_outcome out;
    store_put(t, r->s.store, &put, &out);
    set = store_set_get(r->s.store, op->set);
    if (set != NULL && out.changed > 0) {
        set->placed = 0;
        replicate_walk_dirty(t, r);
    } else if (op->member < STORE_MEMBERS_CAP) {
        /* It says it has newer values, and shows none: leave it alone for a while. */
        r->members[op->member].not_before_us = t->now_us + NEWER_US;
    }
}

static bool is_elsewhere_newer(uint16_t error)
{
    return error == CONTENT_ERROR_DATA_TOO_OLD || error == CONTENT_ERROR_GENERATION_COUNTER_TOO_LOW;
}

static void on_failed(struct turn *t, struct replicate *r, const struct replicate_op *op,
                      const struct transact_result *result)
{
    bool is_refused = result->reload_error == CONTENT_ERROR_FORBIDDEN;
    const struct store_set *set = store_set_get(r->s.store, op->set);
    metric_add(t->metrics, is_refused ? METRIC_replicas_refused : METRIC_replicas_failed, 1);
    if (op->member >= STORE_MEMBERS_CAP) {
        return;
    }
    if (is_elsewhere_newer(result->reload_error) && set != NULL) {
        fetch_newer(t, r, &op->to, op->member, set);
        return;
    }
    struct replicate_member *m = &r->members[op->member];
    m->refused_us = is_refused ? t->now_us : 0;
    if (m->not_before_us <= t->now_us) { /* of several under way the first to fail counts */
        uint32_t doublings = m->failures < RETRY_DOUBLINGS ? m->failures : RETRY_DOUBLINGS;
        m->not_before_us = t->now_us + ((uint64_t)RETRY_US << doublings);
        m->failures++;
    }
}

struct replicate_witness *replicate_inside_witness(struct replicate *r, struct ring_id at)
{
    for (uint32_t i = 0; i < r->witness_count; i++) {
        if (ids_ring_is_equal(r->witnesses[i].at, at)) {
            return &r->witnesses[i];
        }
    }
    return NULL;
}

static void on_returned(struct turn *t, struct replicate *r, struct replicate_op *op,
                        const struct transact_result *result)
{
    struct store_set *set = store_set_get(r->s.store, op->set);
    struct ring_id at = {0, 0};
    if (set == NULL) {
        return;
    }
    enum err e = ids_ring_of_resource(slice_of(set->resource, sizeof(set->resource)), &at);
    CHECK(e == ERR_OK);
    /* He has it, or something newer.  Silence is no decision, nor is a refusal: the one that we
     * take for the owner may know better, or not yet. */
    if (result->error != ERR_OK && !is_elsewhere_newer(result->reload_error)) {
        set->vouched_by = 0;
        set->when_s = replicate_inside_seconds(t) + (r->is_leaving ? 1 : REFUSED_S);
        r->return_after_us = result->answer == NULL ? t->now_us + RETRY_US : r->return_after_us;
        return;
    }
    if (topo_is_responsible(r->s.topo, at)) {
        return;
    }
    struct ring_id owner = ids_ring_of_node(&result->answer->signer);
    struct replicate_witness *w = replicate_inside_witness(r, owner);
    if (w != NULL) {
        w->has_answered = true;
    }
    set->is_owned = false;
    replicate_inside_vouch(t, set, owner);
    if (!topo_is_replica(r->s.topo, at) && set->unwanted_since_s != 0 &&
        replicate_inside_seconds(t) - set->unwanted_since_s >= REPLICATE_UNWANTED_S) {
        metric_add(t->metrics, METRIC_replicas_dropped, 1);
        store_set_drop(r->s.store, set);
    }
}

static void on_placed(struct replicate *r, const struct replicate_op *op)
{
    struct store_set *set = store_set_get(r->s.store, op->set);
    bool is_whole = op->what == REPLICATE_COPY || op->was_placed;
    r->members[op->member].failures = 0;
    /* What was stored after the message had been written is not in it. */
    if (set != NULL && is_whole && store_set_stamps(r->s.store, set).newest <= op->stamp) {
        set->placed |= replicate_inside_bit(op->member);
    }
}

void replicate_on_result(struct turn *t, struct replicate *r, const struct transact_result *result)
{
    struct replicate_op *op = pool_get(&r->ops, result->tag);
    if (op == NULL) {
        return;
    }
    bool is_ok = result->error == ERR_OK;
    bool is_store = op->what != REPLICATE_NEWER;
    uint64_t stamp = op->stamp;
    if (is_ok && is_store && op->from != 0 && store_set_get(r->s.store, op->set) != NULL &&
        replicate_inside_send(t, r, op, op->from)) {
        op->stamp = stamp; /* of the first message */
        return;
    }
    is_ok = is_ok && (!is_store || op->from == 0);
    uint64_t host = op->member < STORE_MEMBERS_CAP ? r->members[op->member].host : 0;
    struct replicate_op ended = *op;
    replicate_inside_op_end(r, op);
    if (ended.what == REPLICATE_NEWER) {
        on_newer(t, r, &ended, result);
    } else if (ended.what == REPLICATE_RETURN) {
        on_returned(t, r, &ended, result);
    } else if (is_ok) {
        on_placed(r, &ended);
    } else {
        on_failed(t, r, &ended, result);
    }
    ack_result(t, r, &ended, is_ok, host);
    replicate_walk(t, r);
}

/* the rest */

void replicate_on_timer(struct turn *t, struct replicate *r, struct wheel_timer *timer)
{
    if (timer->what == STORE_TIMER_REPLICATE_ACK) {
        struct replicate_ack *a = pool_get(&r->acks, timer->tag);
        if (a != NULL && !a->is_copied) {
            ack_late(t, r, a);
        }
        return;
    }
    r->is_sweeping = !store_sweep(t, r->s.store);
    replicate_walk(t, r);
}

/* What is on its way to who owns the set no more, perhaps since he is dead: whoever leaves does not
 * wait for the end of that. */
static void cancel_returns(struct turn *t, struct replicate *r)
{
    static const struct node_id nobody;
    uint32_t index = 0;
    struct replicate_op *op;
    while ((op = pool_next(&r->ops, &index)) != NULL) {
        const struct store_set *set = store_set_get(r->s.store, op->set);
        struct ring_id at = {0, 0};
        struct topo_peer owner;
        if (op->what != REPLICATE_RETURN || set == NULL || ids_node_is_equal(&op->to, &nobody) ||
            ids_ring_of_resource(slice_of(set->resource, sizeof(set->resource)), &at) != ERR_OK ||
            (topo_owner(r->s.topo, at, &owner) && ids_node_is_equal(&owner.id, &op->to))) {
            continue;
        }
        transact_cancel(t, r->s.transact, op->request);
        replicate_inside_op_end(r, op);
    }
}

/* What waits to be offered is offered now. */
static void hurry(const struct turn *t, struct replicate *r)
{
    uint32_t now_s = replicate_inside_seconds(t);
    uint32_t index = 0;
    struct store_set *set;
    while ((set = store_set_next(r->s.store, &index)) != NULL) {
        set->when_s = set->vouched_by == 0 && set->when_s > now_s ? now_s : set->when_s;
    }
}

void replicate_on_change(struct turn *t, struct replicate *r, const struct topo_change *change)
{
    (void)change;
    r->witness_count = 0;
    if (r->is_leaving) {
        cancel_returns(t, r);
        r->return_after_us = 0;
    }
    replicate_walk_members(t, r);
    replicate_walk_dirty(t, r);
}

enum err replicate_hand_over(struct turn *t, struct replicate *r, const struct node_id *joiner)
{
    uint32_t index = replicate_walk_joiner(t, r, joiner);
    if (index == REPLICATE_INSIDE_NO_MEMBER) {
        return ERR_LIMIT;
    }
    replicate_walk(t, r);
    return ERR_OK;
}

void replicate_leave(struct turn *t, struct replicate *r)
{
    r->is_leaving = true;
    r->is_leave_pass = true;
    r->is_leave_missing = false;
    r->witness_count = 0;
    r->leave_deadline_us = t->now_us + (uint64_t)REPLICATE_LEAVE_S * 1000000;
    hurry(t, r);
    r->walk_at = 0;
    replicate_walk_dirty(t, r);
    if (!r->s.topo->table->is_member) {
        r->is_leaving = false;
        r->is_left = true;
        r->left_error = ERR_OK;
        return;
    }
    replicate_walk(t, r);
}

bool replicate_is_settled(const struct replicate *r)
{
    return !r->is_dirty && r->ops.in_use == 0 && r->acks.in_use == 0;
}

void replicate_clear(struct turn *t, struct replicate *r)
{
    uint32_t index = 0;
    struct replicate_op *op;
    while ((op = pool_next(&r->ops, &index)) != NULL) {
        transact_cancel(t, r->s.transact, op->request);
        replicate_inside_op_end(r, op);
    }
    index = 0;
    struct replicate_ack *a;
    while ((a = pool_next(&r->acks, &index)) != NULL) {
        a->deferred = needs_disk(r, a->sequence) ? 0 : a->deferred; /* it is not said, then */
        ack_end(t, r, a);
    }
    wheel_cancel(t->wheel, &r->timer);
}
