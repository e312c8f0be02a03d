/* SPDX-License-Identifier: Apache-2.0 */
/* chord_join.c - see chord_join.h; the states stand in chord.h. */
#include "dht/chord_join.h"

#include "codec/msgs.h"
#include "dht/chord_stabilize.h"

enum {
    FOUND_AFTER_US = 10000000, /* nobody has answered: found-ring = if-alone */
    SIBLING_PATIENCE_US = 15000000,
    MEET_US = 1000000, /* until the admitting peer's Update; then it is asked for one */
    MEET_TRIES = 5,
    ADMIT_US = 25000000, /* copies come before its second Update: REPLICATE_HAND_OVER_S and some */
    BACKOFF_FIRST_US = 300000,
    EAGER_ATTEMPTS = 5,
    BACKOFF_CAP_US = 5000000,
    UNMET_US = 300000000,
};

static void enter(struct chord *c, enum chord_state next)
{
    static const uint16_t edges[CHORD_STATE_COUNT] = {
        [CHORD_IDLE] = 1u << CHORD_SEEKING | 1u << CHORD_MEMBER,
        [CHORD_SEEKING] = 1u << CHORD_SEEKING | 1u << CHORD_ASKING | 1u << CHORD_MEMBER,
        [CHORD_ASKING] = 1u << CHORD_SEEKING | 1u << CHORD_MEETING,
        [CHORD_MEETING] = 1u << CHORD_SEEKING | 1u << CHORD_JOINING,
        [CHORD_JOINING] = 1u << CHORD_SEEKING | 1u << CHORD_AWAITING,
        [CHORD_AWAITING] = 1u << CHORD_SEEKING | 1u << CHORD_MEMBER,
        [CHORD_MEMBER] = 1u << CHORD_SEEKING | 1u << CHORD_LEAVING,
    };
    CHECK((edges[c->state] & 1u << next) != 0);
    c->state = next;
}

/* A bootstrap address that is ours: announced by us, or we answered there ourselves. */
static bool is_own_address(const struct chord *c, size_t bootstrap)
{
    const struct address *a = &c->s.overlay->bootstrap[bootstrap];
    if (ids_node_is_equal(&c->bootstrap_ids[bootstrap], &c->s.table->self_id)) {
        return true;
    }
    for (size_t i = 0; i < c->s.overlay->candidate_count; i++) {
        if (address_is_equal(a, &c->s.overlay->candidates[i])) {
            return true;
        }
    }
    return false;
}

/* Is there an address to ask that is not ours? */
static bool has_somebody(const struct chord *c)
{
    for (size_t i = 0; i < c->s.overlay->bootstrap_count; i++) {
        if (!is_own_address(c, i)) {
            return true;
        }
    }
    return false;
}

static void found(struct turn *t, struct chord *c)
{
    log_write(t->log, t->now_us, LOG_INFO, "ring_founded", "attempts=%u", c->attempts);
    chord_become_member(t, c);
}

/* A bootstrap node whose link is up; it may have refused us only because its document was another
 * one, or because it was not in the ring itself. */
static const struct chord_table_node *bootstrap_up(const struct chord *c, uint32_t i)
{
    const struct node_id *known = &c->bootstrap_ids[i];
    return ids_node_is_invalid(known) ? NULL : chord_table_find(c->s.table, known);
}

static void ask(struct turn *t, struct chord *c, handle link);

bool chord_join_dial(struct turn *t, struct chord *c)
{
    const struct overlay_settings *s = c->s.overlay;
    for (size_t tried = 0; tried < s->bootstrap_count; tried++) {
        uint32_t i = c->bootstrap_next++ % (uint32_t)s->bootstrap_count;
        const struct chord_table_node *up = bootstrap_up(c, i);
        if (up != NULL && c->state == CHORD_SEEKING && !up->is_suspect && !up->is_local) {
            ask(t, c, up->link);
            return true;
        }
        if (is_own_address(c, i) || up != NULL) {
            continue;
        }
        uint64_t tag = handle_make(HANDLE_CHORD, 1, i);
        if (link_dial(t, c->s.links, &s->bootstrap[i], NULL, tag, &c->dial) == ERR_OK) {
            return true;
        }
        c->dial = 0;
    }
    return false;
}

/* Somebody in the ring whom we know already: after a lost ring, or among siblings. */
static const struct chord_table_node *any_peer(struct turn *t, const struct chord *c)
{
    uint32_t peers = chord_table_peers(c->s.table);
    uint64_t wanted = rng_below(t->rng, peers);
    for (uint32_t i = 0; i < c->s.table->count; i++) {
        const struct chord_table_node *n = &c->s.table->nodes[i];
        if (n->state == CHORD_TABLE_PEER && !n->is_suspect && wanted-- == 0) {
            return n;
        }
    }
    return NULL;
}

/* CH-8: to Resource-ID own + 1, over that link. */
static void ask(struct turn *t, struct chord *c, handle link)
{
    struct ring_id next = ids_ring_plus(c->s.table->self, (struct ring_id){0, 1});
    struct attach_request request = {.why = ATTACH_TO_JOIN,
                                     .tag = c->attempts,
                                     .target = {.type = TRANSACT_RESOURCE, .resource = next},
                                     .link = link,
                                     .transmissions = 1}; /* then by another way in */
    if (attach_begin(t, c->s.attach, &request) != ERR_OK) {
        chord_join_again(t, c);
        return;
    }
    wheel_cancel(t->wheel, &c->step);
    c->s.route->way_in = link;
    c->is_early = false;
    enter(c, CHORD_ASKING);
}

static void wait_a_little(struct turn *t, struct chord *c)
{
    uint64_t wait = BACKOFF_FIRST_US;
    for (uint32_t i = EAGER_ATTEMPTS; i < c->attempts && wait < BACKOFF_CAP_US; i++) {
        wait *= 2; /* at first without: others join at the same place, nobody is up yet */
    }
    wheel_arm(t->wheel, &c->step,
              t->now_us + rng_jitter(t->rng, min_u64(wait, BACKOFF_CAP_US), 30));
}

/* May this peer found a ring of its own, now that nobody has answered? */
static bool may_found(const struct turn *t, const struct chord *c)
{
    if (c->s.overlay->shard != 0) {
        return false;
    }
    bool is_patient_enough = t->now_us - c->seeking_since_us >= FOUND_AFTER_US;
    switch (c->s.overlay->found_ring) {
    case OVERLAY_FOUND_NOW:
        return !c->was_member || is_patient_enough;
    case OVERLAY_FOUND_IF_ALONE:
        return !has_somebody(c) || is_patient_enough;
    case OVERLAY_FOUND_NO:
    case OVERLAY_FOUND_GIVEN:
        /* It has been in the ring and all others are gone: what it holds is served again, and the
         * partition check joins the parts when they come back. */
        return c->was_member && is_patient_enough;
    }
    UNREACHABLE("found_ring");
}

static void seek(struct turn *t, struct chord *c)
{
    CHECK(c->state == CHORD_SEEKING);
    const struct chord_table_node *peer = any_peer(t, c);
    if (peer != NULL) {
        ask(t, c, peer->link);
        return;
    }
    if (may_found(t, c)) {
        found(t, c);
        return;
    }
    bool is_sibling = c->s.overlay->shard != 0;
    bool may_dial = !is_sibling || t->now_us - c->seeking_since_us >= SIBLING_PATIENCE_US;
    if (may_dial) {
        c->attempts++;
        if (c->dial == 0) {
            (void)chord_join_dial(t, c);
        }
    }
    if (c->state == CHORD_SEEKING) {
        wait_a_little(t, c);
    }
}

void chord_join_start(struct turn *t, struct chord *c)
{
    enter(c, CHORD_SEEKING);
    c->seeking_since_us = t->now_us;
    seek(t, c);
}

void chord_join_again(struct turn *t, struct chord *c)
{
    if (c->state == CHORD_MEMBER) {
        c->seeking_since_us = t->now_us;
        c->attempts = 0;
    }
    transact_cancel(t, c->s.transact, c->join_request);
    c->join_request = 0;
    c->was_admitted = false;
    c->s.table->is_member = false;
    c->s.route->way_in = 0;
    c->attempts++;
    if (c->dial != 0) {
        link_close(t, c->s.links, c->dial);
        c->dial = 0;
    }
    enter(c, CHORD_SEEKING);
    /* A bootstrap node is dialled by all others, ring or no ring; with all its links taken it could
     * not be dialled by those that will be its neighbors. */
    chord_stabilize_trim(t, c);
    wait_a_little(t, c);
}

void chord_join_on_timer(struct turn *t, struct chord *c)
{
    if (c->state == CHORD_SEEKING) {
        seek(t, c);
        return;
    }
    if (c->state == CHORD_MEETING && ++c->meet_tries < MEET_TRIES) {
        const struct chord_table_node *n = chord_table_find(c->s.table, &c->admitting);
        if (n != NULL && n->state == CHORD_TABLE_ATTACHED) {
            chord_consider(t, c, &c->admitting, NULL);
        }
        wheel_arm(t->wheel, &c->step, t->now_us + MEET_US);
        return;
    }
    if (c->state == CHORD_MEETING || c->state == CHORD_AWAITING) {
        chord_join_again(t, c);
    }
}

/* One that did not come may have been unlucky, or be an enemy. */
static bool is_out_of_reach(const struct turn *t, const struct chord *c)
{
    for (size_t i = 0; i < CHORD_UNMET_CAP; i++) {
        if (c->unmet[i].until_us <= t->now_us) {
            return false;
        }
    }
    return !c->is_dialled;
}

void chord_join_note_unmet(struct turn *t, struct chord *c, const struct node_id *id)
{
    bool was_out_of_reach = is_out_of_reach(t, c);
    struct chord_unmet *at = &c->unmet[0]; /* the same one again, else the oldest */
    for (size_t i = 1; i < CHORD_UNMET_CAP && !ids_node_is_equal(&at->node_id, id); i++) {
        struct chord_unmet *other = &c->unmet[i];
        bool is_same = ids_node_is_equal(&other->node_id, id);
        at = is_same || other->until_us < at->until_us ? other : at;
    }
    *at = (struct chord_unmet){.node_id = *id, .until_us = t->now_us + UNMET_US};
    if (!was_out_of_reach && is_out_of_reach(t, c)) {
        log_write(t->log, t->now_us, LOG_WARNING, "not_dialled", "answered=%u",
                  (unsigned)CHORD_UNMET_CAP);
    }
}

void chord_join_on_link_up(struct turn *t, struct chord *c, const struct link_event *event)
{
    c->is_dialled |= event->tag == 0 && !event->is_local;
    if (event->tag == 0 || handle_kind(event->tag) != HANDLE_CHORD) {
        return;
    }
    uint32_t bootstrap = handle_index(event->tag);
    CHECK(bootstrap < OVERLAY_BOOTSTRAP_CAP);
    c->bootstrap_ids[bootstrap] = event->node_id;
    c->dial = 0;
    if (c->state == CHORD_SEEKING) {
        ask(t, c, event->link);
    } else if (c->state == CHORD_MEMBER) {
        chord_stabilize_check_partition(t, c, event->link, &event->node_id);
    }
}

void chord_join_on_link_down(struct turn *t, struct chord *c, const struct link_event *event)
{
    if (c->dial != 0 && c->dial == event->link) {
        c->dial = 0;
        if (event->error == ERR_DUPLICATE && handle_kind(event->tag) == HANDLE_CHORD) {
            c->bootstrap_ids[handle_index(event->tag)] = c->s.table->self_id;
        }
        bool is_round_over = c->bootstrap_next % c->s.overlay->bootstrap_count == 0;
        if (c->state == CHORD_SEEKING && !event->was_up && !is_round_over) {
            (void)chord_join_dial(t, c); /* the next address, without waiting */
        }
    }
    if (event->link == c->s.route->way_in &&
        (c->state == CHORD_ASKING || c->state == CHORD_MEETING)) {
        c->s.route->way_in = 0;
        if (c->state == CHORD_ASKING) {
            chord_join_again(t, c);
        }
    }
    if (ids_node_is_equal(&event->node_id, &c->admitting) && event->was_up &&
        (c->state == CHORD_MEETING || c->state == CHORD_JOINING || c->state == CHORD_AWAITING)) {
        chord_join_again(t, c);
    }
}

void chord_join_on_attached(struct turn *t, struct chord *c, const struct attach_event *event)
{
    if (c->state != CHORD_ASKING || event->tag != c->attempts) {
        return; /* of an earlier attempt */
    }
    if (event->error != ERR_OK) {
        chord_join_again(t, c);
        return;
    }
    c->admitting = event->node_id;
    enter(c, CHORD_MEETING);
    c->meet_tries = 0;
    wheel_arm(t->wheel, &c->step, t->now_us + MEET_US);
    const struct chord_table_node *n = chord_table_find(c->s.table, &c->admitting);
    if (c->is_early && n != NULL && n->state == CHORD_TABLE_PEER) {
        /* Its link was up, and its Update here, before the answer had come round by the way in. */
        (void)chord_table_set_state(c->s.table, &c->admitting, CHORD_TABLE_ATTACHED);
        chord_consider(t, c, &c->admitting, NULL);
    }
}

static void send_join(struct turn *t, struct chord *c)
{
    struct msgs_join_req body = {.joining_peer_id = c->s.table->self_id};
    uint8_t out[64];
    struct wr w = wr_init(out, sizeof(out));
    msgs_join_req_wr(&w, c->s.params, &body);
    struct transact_request request = {.owner = TRANSACT_JOIN,
                                       .target = {.type = TRANSACT_NODE, .node = c->admitting},
                                       .code = CONTENT_JOIN_REQ,
                                       .body = wr_slice(&w),
                                       .transmissions = 2};
    wheel_cancel(t->wheel, &c->step);
    enter(c, CHORD_JOINING);
    if (transact_request(t, c->s.transact, &request, &c->join_request) != ERR_OK) {
        chord_join_again(t, c);
    }
}

void chord_join_on_result(struct turn *t, struct chord *c, const struct transact_result *result)
{
    c->join_request = 0;
    if (c->state != CHORD_JOINING) {
        return;
    }
    if (result->error != ERR_OK) {
        chord_join_again(t, c);
        return;
    }
    enter(c, CHORD_AWAITING);
    /* From here on copies are accepted, and what is already sent to us is not turned away.
     */
    c->s.table->is_member = true;
    wheel_arm(t->wheel, &c->step, t->now_us + ADMIT_US);
}

bool chord_join_is_of_use(const struct chord *c, const struct node_id *from)
{
    return c->state == CHORD_MEMBER || (c->state >= CHORD_MEETING && c->state <= CHORD_AWAITING &&
                                        ids_node_is_equal(from, &c->admitting));
}

void chord_join_on_update(struct turn *t, struct chord *c, const struct node_id *from,
                          struct slice predecessors)
{
    if (c->state != CHORD_AWAITING || !ids_node_is_equal(from, &c->admitting)) {
        return;
    }
    struct ring_id self = c->s.table->self;
    bool is_passed_by = false; /* somebody else is its predecessor, between us */
    size_t count = msgs_node_count(predecessors, c->s.params);
    for (size_t i = 0; i < count; i++) {
        struct node_id id = msgs_node_at(predecessors, c->s.params, i);
        if (ids_node_is_equal(&id, &c->s.table->self_id)) {
            c->was_admitted = true; /* CH-13 */
            return;
        }
        is_passed_by |= ids_ring_is_between(ids_ring_of_node(&id), self, ids_ring_of_node(from));
    }
    if (is_passed_by && !c->was_admitted) {
        chord_join_again(t, c); /* that one joined faster, and is the one to admit us */
    }
}

void chord_join_step(struct turn *t, struct chord *c)
{
    if (c->state == CHORD_SEEKING && c->attempts == 0 && chord_table_peers(c->s.table) > 0) {
        seek(t, c); /* the sibling has just said that it is in the ring */
        return;
    }
    bool is_joining = c->state == CHORD_MEETING || c->state == CHORD_AWAITING;
    bool has_met = is_joining && attach_pending(c->s.attach, ATTACH_NEIGHBOR) == 0;
    if (c->state == CHORD_MEETING && has_met) {
        const struct chord_table_node *n = chord_table_find(c->s.table, &c->admitting);
        if (n == NULL || n->state != CHORD_TABLE_PEER) {
            return;
        }
        if (is_out_of_reach(t, c)) {
            chord_join_again(t, c);
        } else {
            send_join(t, c);
        }
    } else if (c->state == CHORD_AWAITING && c->was_admitted && has_met) {
        chord_become_member(t, c); /* CH-15 */
    }
}

/* As admitting peer */

static struct chord_joiner *find_joiner(struct chord *c, const struct node_id *id, bool or_free)
{
    struct chord_joiner *unused = NULL;
    for (size_t i = 0; i < CHORD_JOINERS_CAP; i++) {
        struct chord_joiner *j = &c->joiners[i];
        if (j->is_used && ids_node_is_equal(&j->id, id)) {
            return j;
        }
        unused = j->is_used ? unused : j;
    }
    return or_free ? unused : NULL;
}

static bool may_join(const struct chord *c, const struct message *m, const struct node_id *joining)
{
    const struct chord_table_node *first = chord_table_predecessor(c->s.table, 0);
    bool is_ours = chord_table_is_responsible(c->s.table, ids_ring_of_node(joining)) ||
                   (first != NULL && ids_node_is_equal(&first->id, joining));
    return c->state == CHORD_MEMBER && is_ours && m->is_adjacent &&
           ids_node_is_equal(&m->previous_hop, &m->signer) &&
           ids_node_is_equal(joining, &m->signer) && chord_table_find(c->s.table, joining) != NULL;
}

void chord_join_on_request(struct turn *t, struct chord *c, const struct message *m)
{
    struct msgs_join_req body;
    if (msgs_join_req_decode(m->body, c->s.params, &body) != ERR_OK) {
        transact_error(t, c->s.transact, m, CONTENT_ERROR_INVALID_MESSAGE, SLICE_EMPTY);
        return;
    }
    if (!may_join(c, m, &body.joining_peer_id)) {
        transact_error(t, c->s.transact, m, CONTENT_ERROR_FORBIDDEN, SLICE_EMPTY); /* TM-1, A-05 */
        return;
    }
    struct chord_joiner *j = find_joiner(c, &body.joining_peer_id, true);
    if (j == NULL) {
        transact_error(t, c->s.transact, m, CONTENT_ERROR_IN_PROGRESS, SLICE_EMPTY);
        return;
    }
    struct msgs_join_ans answer = {0};
    uint8_t out[16];
    struct wr w = wr_init(out, sizeof(out));
    msgs_join_ans_wr(&w, c->s.params, &answer);
    if (transact_reply(t, c->s.transact, m, wr_slice(&w)) == ERR_OK) {
        *j = (struct chord_joiner){.id = body.joining_peer_id, .is_used = true};
    }
}

void chord_join_forget(struct chord *c, const struct node_id *joiner)
{
    struct chord_joiner *j = find_joiner(c, joiner, false);
    if (j != NULL) {
        j->is_used = false;
    }
}

void chord_join_handed_over(struct turn *t, struct chord *c, const struct node_id *joiner)
{
    struct chord_joiner *j = find_joiner(c, joiner, false);
    if (j == NULL || c->state != CHORD_MEMBER) {
        return; /* it is gone */
    }
    j->is_used = false;
    (void)chord_table_set_state(c->s.table, joiner, CHORD_TABLE_PEER);
    chord_stabilize_update(t, c, joiner, false); /* CH-13; the others follow (CH-14) */
    metric_add(t->metrics, METRIC_joins_admitted, 1);
}
