/* SPDX-License-Identifier: Apache-2.0 */
/* attach.c - see attach.h for the picture. */
#include "dht/attach.h"
#include "core/buggify.h"

#include "codec/msgs.h"
#include "core/limits.h"
#include "dht/budget.h"

/* How long the other side may take to dial and shake hands, for each of its candidates. */
enum { AWAIT_US = 8000000, DIAL_US = 4000000 };
/* Who refuses our connection may have room in a moment, and waits for us: it does not know. */
enum { REDIALS = 3, REDIAL_US = 1000000 };

enum exchange_state { ASKED, AWAITING, DIALLING, DONE };

struct exchange {
    struct wheel_timer timer;
    enum exchange_state state;
    enum attach_why why;
    enum err error;
    uint64_t tag;
    handle request;
    struct transact_target target;                        /* ours */
    struct node_id node_id;                               /* zeros until it is known */
    struct attach_policy_dial dials[ATTACH_POLICY_DIALS]; /* ours: where they could be dialled */
    size_t dial_count;
    size_t dialled;
    handle link; /* theirs: being dialled */
    bool wants_update;
    bool has_yielded;  /* ours, AWAITING: they said In_Progress, so their own Attach is to come */
    bool is_retry;     /* ours: not known to be there at all */
    bool has_answered; /* ours: they dial us */
    bool is_unmet;     /* ... and no link came */
    uint8_t redials;   /* theirs */
};
STATIC_CHECK(sizeof(struct exchange) <= LIMITS_COST_attaches);

struct attach {
    struct attach_settings s;
    struct pool exchanges;
    uint32_t done; /* exchanges that have ended, for attach_next: it is asked in each turn */
};

size_t attach_bytes(const struct attach_settings *s)
{
    return sizeof(struct attach) + budget_pool(s->exchanges, sizeof(struct exchange)) +
           BUDGET_SLACK;
}

struct attach *attach_init(struct arena *arena, const struct attach_settings *s)
{
    struct attach *a = ARENA_ARRAY(arena, struct attach, 1);
    a->s = *s;
    pool_init(&a->exchanges, arena, "attaches", HANDLE_ATTACH, s->exchanges,
              sizeof(struct exchange));
    return a;
}

static bool is_ours(const struct exchange *x)
{
    return x->state == ASKED || x->state == AWAITING;
}

static void done(struct turn *t, struct attach *a, struct exchange *x, enum err error)
{
    wheel_cancel(t->wheel, &x->timer);
    if (x->request != 0) {
        transact_cancel(t, a->s.transact, x->request);
        x->request = 0;
    }
    if (error != ERR_OK && x->why != ATTACH_ANSWERED) {
        metric_add(t->metrics, METRIC_attach_failed, 1);
    }
    a->done += x->state != DONE ? 1 : 0;
    x->state = DONE;
    x->error = error;
}

static void await(struct turn *t, struct exchange *x)
{
    x->state = AWAITING;
    wheel_arm(t->wheel, &x->timer, t->now_us + AWAIT_US);
}

static bool is_linked(const struct attach *a, const struct node_id *id)
{
    return chord_table_find(a->s.table, id) != NULL;
}

static bool is_peer(const struct attach *a, const struct node_id *id)
{
    const struct chord_table_node *n = chord_table_find(a->s.table, id);
    return n != NULL && n->state == CHORD_TABLE_PEER;
}

/* Ours towards a Node-ID, or theirs that we are dialling. */
static struct exchange *find(struct attach *a, const struct node_id *id, bool ours)
{
    uint32_t index = 0;
    for (struct exchange *x; (x = pool_next(&a->exchanges, &index)) != NULL;) {
        if (x->state != DONE && is_ours(x) == ours && ids_node_is_equal(&x->node_id, id)) {
            return x;
        }
    }
    return NULL;
}

static struct exchange *acquire(struct turn *t, struct attach *a)
{
    struct exchange *x = buggify(t, BUGGIFY_attach_refused) ? NULL : pool_acquire(&a->exchanges);
    if (x == NULL) {
        metric_add(t->metrics, METRIC_pool_exhausted, 1);
        return NULL;
    }
    x->timer.tag = pool_handle(&a->exchanges, x);
    return x;
}

static void wr_candidates(struct wr *w, const struct attach_policy_ours *ours,
                          enum candidate_link link, uint32_t priority)
{
    for (size_t i = 0; i < ours->candidate_count; i++) {
        msgs_wr_host_candidate(w, &ours->candidates[i], link, priority - (uint32_t)i);
    }
}

/* The body of AttachReq and AttachAns. */
static struct slice wr_body(const struct attach *a, bool is_request, uint8_t *out, size_t cap)
{
    uint8_t list[512];
    struct wr candidates = wr_init(list, sizeof(list));
    if (a->s.ours.trunks) {
        wr_candidates(&candidates, &a->s.ours, CANDIDATE_TLS_TCP_FH_NO_ICE, 0x7effffff);
    }
    if (a->s.ours.datagrams) { /* the same port number */
        wr_candidates(&candidates, &a->s.ours, CANDIDATE_DTLS_UDP_SR_NO_ICE, 0x6effffff);
    }
    CHECK(wr_ok(&candidates));
    /* ufrag and password have no meaning without ICE, yet may not be empty for some decoders. */
    struct msgs_attach body = {.ufrag = SLICE_LITERAL("none"),
                               .password = SLICE_LITERAL("none"),
                               .role =
                                   is_request ? SLICE_LITERAL("passive") : SLICE_LITERAL("active"),
                               .candidates = wr_slice(&candidates),
                               .send_update = is_request};
    struct wr w = wr_init(out, cap);
    msgs_attach_wr(&w, a->s.params, &body);
    CHECK(wr_ok(&w));
    return wr_slice(&w);
}

enum err attach_begin(struct turn *t, struct attach *a, const struct attach_request *what)
{
    bool is_node = what->target.type == TRANSACT_NODE;
    if (is_node && (is_peer(a, &what->target.node) || find(a, &what->target.node, true) != NULL ||
                    find(a, &what->target.node, false) != NULL)) {
        return ERR_EXISTS;
    }
    /* Neighbors and fingers are many, the way into the ring is one. */
    bool is_last = a->exchanges.cap - a->exchanges.in_use <= (a->s.exchanges + 7) / 8;
    if (is_last && what->why != ATTACH_TO_JOIN) {
        metric_add(t->metrics, METRIC_pool_exhausted, 1);
        return ERR_LIMIT;
    }
    struct exchange *x = acquire(t, a);
    if (x == NULL) {
        return ERR_LIMIT;
    }
    x->state = ASKED;
    x->why = what->why;
    x->tag = what->tag;
    x->target = what->target;
    x->is_retry = what->is_retry;
    if (is_node) {
        x->node_id = what->target.node;
    }
    uint8_t body[1024];
    struct transact_request request = {.owner = TRANSACT_ATTACH,
                                       .tag = x->timer.tag,
                                       .target = what->target,
                                       .through = what->through,
                                       .link = what->link,
                                       .code = CONTENT_ATTACH_REQ,
                                       .body = wr_body(a, true, body, sizeof(body)),
                                       .transmissions = what->transmissions};
    enum err e = transact_request(t, a->s.transact, &request, &x->request);
    if (e != ERR_OK) {
        pool_release(&a->exchanges, x);
    }
    return e;
}

uint32_t attach_pending(const struct attach *a, enum attach_why why)
{
    uint32_t pending = 0;
    uint32_t index = 0;
    for (const struct exchange *x; (x = pool_next(&a->exchanges, &index)) != NULL;) {
        pending += x->why == why && x->state != DONE ? 1 : 0;
    }
    return pending;
}

bool attach_next(struct turn *t, struct attach *a, struct attach_event *event)
{
    (void)t;
    uint32_t index = 0;
    for (struct exchange *x; a->done > 0 && (x = pool_next(&a->exchanges, &index)) != NULL;) {
        if (x->state == DONE) {
            a->done--;
            *event = (struct attach_event){.why = x->why,
                                           .tag = x->tag,
                                           .error = x->error,
                                           .node_id = x->node_id,
                                           .is_unmet = x->is_unmet};
            pool_release(&a->exchanges, x);
            return true;
        }
    }
    return false;
}

void attach_clear(struct turn *t, struct attach *a)
{
    uint32_t index = 0;
    for (struct exchange *x; (x = pool_next(&a->exchanges, &index)) != NULL;) {
        done(t, a, x, ERR_CLOSED);
        pool_release(&a->exchanges, x);
    }
    a->done = 0;
}

/* Theirs */

static void dial_next(struct turn *t, struct attach *a, struct exchange *x)
{
    while (x->dialled < x->dial_count) {
        const struct attach_policy_dial *d = &x->dials[x->dialled++];
        enum err e = d->is_datagram ? link_dial_datagram(t, a->s.links, &d->address, &x->node_id,
                                                         x->timer.tag, &x->link)
                                    : link_dial(t, a->s.links, &d->address, &x->node_id,
                                                x->timer.tag, &x->link);
        if (e == ERR_OK) {
            metric_add(t->metrics, METRIC_attach_dials, 1);
            x->state = DIALLING;
            wheel_arm(t->wheel, &x->timer, t->now_us + DIAL_US);
            return;
        }
    }
    if (x->dial_count > 0 && x->redials < REDIALS) {
        x->redials++;
        x->dialled = 0;
        x->link = 0;
        x->state = DIALLING;
        wheel_arm(t->wheel, &x->timer, t->now_us + REDIAL_US);
        return;
    }
    done(t, a, x, ERR_UNREACHABLE_PEER);
}

/* An Update is due to somebody: said as an exchange that has ended. */
static void note_update_wanted(struct turn *t, struct attach *a, const struct node_id *id)
{
    struct exchange *x = acquire(t, a);
    if (x != NULL) {
        x->why = ATTACH_ANSWERED;
        x->node_id = *id;
        x->state = DONE;
        a->done++;
    }
}

static void refuse(struct turn *t, struct attach *a, const struct message *m, uint16_t error_code)
{
    metric_add(t->metrics, METRIC_attach_refused, 1);
    transact_error(t, a->s.transact, m, error_code, SLICE_EMPTY);
}

static void say_yes(struct turn *t, struct attach *a, const struct message *m)
{
    uint8_t body[1024];
    if (transact_reply(t, a->s.transact, m, wr_body(a, false, body, sizeof(body))) != ERR_OK) {
        metric_add(t->metrics, METRIC_attach_refused, 1);
    }
}

/* AT-5: both ask at once.  True when theirs is to be refused with In_Progress.  The tie-break holds
 * where both address each other; who asks for a Resource-ID (joining, it may not be reachable at
 * all) or is asked on the off-chance is served, and link/ keeps one of two links in the worst case.
 */
static bool loses_glare(struct turn *t, struct attach *a, const struct message *m)
{
    struct exchange *x = find(a, &m->signer, true);
    if (x == NULL) {
        return false;
    }
    if (x->state == AWAITING) {
        return !x->has_yielded;
    }
    if (!m->to_resource && !x->is_retry &&
        ids_ring_is_less(ids_ring_of_node(&m->signer), ids_ring_of_node(&a->s.self->node_id))) {
        return true; /* the larger goes on with its own */
    }
    transact_cancel(t, a->s.transact, x->request);
    x->request = 0;
    await(t, x); /* for the link that we are about to dial */
    return false;
}

static void answer_new(struct turn *t, struct attach *a, const struct message *m,
                       const struct msgs_attach *body)
{
    struct attach_policy_dial dials[ATTACH_POLICY_DIALS];
    size_t count = 0;
    if (attach_policy_pick(body->candidates, &a->s.ours, dials, &count) != ERR_OK) {
        refuse(t, a, m, CONTENT_ERROR_INVALID_MESSAGE);
        return;
    }
    if (count == 0 || !attach_policy_take(t, a->s.policy, &m->signer)) {
        refuse(t, a, m, CONTENT_ERROR_FORBIDDEN);
        return;
    }
    struct exchange *x = acquire(t, a);
    if (x == NULL) {
        refuse(t, a, m, CONTENT_ERROR_IN_PROGRESS);
        return;
    }
    x->why = ATTACH_ANSWERED;
    x->node_id = m->signer;
    x->wants_update = body->send_update;
    memcpy(x->dials, dials, sizeof(dials));
    x->dial_count = count;
    say_yes(t, a, m);
    dial_next(t, a, x);
}

void attach_on_request(struct turn *t, struct attach *a, const struct message *m)
{
    struct msgs_attach body;
    if (msgs_attach_decode(m->body, a->s.params, &body) != ERR_OK || body.candidates.len == 0 ||
        !slice_is_equal(body.role, SLICE_LITERAL("passive"))) {
        refuse(t, a, m, CONTENT_ERROR_INVALID_MESSAGE);
        return;
    }
    bool is_self = ids_node_is_equal(&m->signer, &a->s.self->node_id);
    if (is_self || is_linked(a, &m->signer)) {
        say_yes(t, a, m); /* the link is there: siblings, bootstrap links, ourselves */
        if (body.send_update && !is_self) {
            note_update_wanted(t, a, &m->signer);
        }
        return;
    }
    struct exchange *theirs = find(a, &m->signer, false);
    if (theirs != NULL) {
        theirs->wants_update |= body.send_update;
        say_yes(t, a, m); /* asked once more while we dial already */
        return;
    }
    if (loses_glare(t, a, m)) {
        refuse(t, a, m, CONTENT_ERROR_IN_PROGRESS);
        return;
    }
    answer_new(t, a, m, &body);
}

/* Ours */

/* Where they could be dialled, of the links that `ours` has. */
static size_t pick_theirs(const struct attach *a, const struct message *answer,
                          const struct attach_policy_ours *ours,
                          struct attach_policy_dial out[ATTACH_POLICY_DIALS])
{
    struct msgs_attach body;
    size_t count = 0;
    bool is_good = msgs_attach_decode(answer->body, a->s.params, &body) == ERR_OK &&
                   attach_policy_pick(body.candidates, ours, out, &count) == ERR_OK;
    return is_good ? count : 0;
}

/* They dial us from one of their candidates (design.md 6, "No reflector"). */
static void announce(struct turn *t, struct attach *a, const struct message *answer)
{
    struct attach_policy_ours ours = a->s.ours;
    struct attach_policy_dial from[ATTACH_POLICY_DIALS];
    ours.trunks = false;
    size_t count = ours.datagrams ? pick_theirs(a, answer, &ours, from) : 0;
    for (size_t i = 0; i < count; i++) {
        link_announce(t, a->s.links, &answer->signer, &from[i].address, 1);
    }
}

/* Ours, and the link is there: their first candidate for a trunk is where to find them after a
 * restart, since bootstrap nodes are dialled so. */
static void note_listens(struct attach *a, const struct exchange *x)
{
    for (size_t i = 0; i < x->dial_count; i++) {
        if (!x->dials[i].is_datagram) {
            link_note_listens(a->s.links, link_find(a->s.links, &x->node_id), &x->dials[i].address);
            return;
        }
    }
}

void attach_on_result(struct turn *t, struct attach *a, const struct transact_result *result)
{
    struct exchange *x = pool_get(&a->exchanges, result->tag);
    if (x == NULL || x->state != ASKED) {
        return;
    }
    x->request = 0;
    bool is_in_progress =
        result->error != ERR_OK && result->reload_error == CONTENT_ERROR_IN_PROGRESS;
    if (result->error != ERR_OK && !is_in_progress) {
        done(t, a, x, result->error);
        return;
    }
    x->has_yielded = is_in_progress;
    x->node_id = result->answer->signer;
    if (result->error == ERR_OK) {
        x->has_answered = true;
        x->dial_count = pick_theirs(a, result->answer, &a->s.ours, x->dials);
    }
    if (is_linked(a, &x->node_id)) {
        note_listens(a, x);
    }
    if (is_linked(a, &x->node_id) || ids_node_is_equal(&x->node_id, &a->s.self->node_id)) {
        done(t, a, x, ERR_OK);
        return;
    }
    await(t, x);
    if (result->error == ERR_OK) {
        announce(t, a, result->answer);
    }
}

void attach_on_timer(struct turn *t, struct attach *a, struct wheel_timer *timer)
{
    struct exchange *x = pool_get(&a->exchanges, timer->tag);
    CHECK(x != NULL);
    switch (x->state) {
    case DIALLING:
        if (x->link != 0) {
            link_close(t, a->s.links, x->link); /* its end is of no interest: the tag moves on */
            x->redials = REDIALS;               /* silence is no refusal */
        }
        dial_next(t, a, x);
        break;
    case AWAITING:
        x->is_unmet = x->has_answered;
        done(t, a, x, ERR_TIMEOUT);
        break;
    case ASKED:
    case DONE:
        UNREACHABLE("no timer runs in this state");
    }
}

void attach_on_link_up(struct turn *t, struct attach *a, const struct node_id *id)
{
    uint32_t index = 0;
    for (struct exchange *x; (x = pool_next(&a->exchanges, &index)) != NULL;) {
        if (x->state == DONE || !ids_node_is_equal(&x->node_id, id)) {
            continue;
        }
        if (x->state == AWAITING) {
            note_listens(a, x);
        }
        if (x->state != DIALLING || x->wants_update) {
            done(t, a, x, ERR_OK);
            continue;
        }
        wheel_cancel(t->wheel, &x->timer);
        pool_release(&a->exchanges, x);
    }
}

void attach_on_link_failed(struct turn *t, struct attach *a, uint64_t tag, handle link)
{
    struct exchange *x = pool_get(&a->exchanges, tag);
    if (x != NULL && x->state == DIALLING && x->link == link) {
        dial_next(t, a, x);
    }
}
