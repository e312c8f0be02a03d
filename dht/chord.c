/* SPDX-License-Identifier: Apache-2.0 */
/* chord.c - the object: links and requests come in, and once a turn what changed is made known. */
#include "dht/chord.h"
#include "core/trace.h"

#include "codec/msgs.h"
#include "dht/chord_join.h"
#include "dht/chord_stabilize.h"

void chord_init(struct chord *c, const struct chord_settings *s)
{
    memset(c, 0, sizeof(*c));
    c->s = *s;
    struct wheel_timer *timers[] = {&c->step, &c->update, &c->periodic, &c->tick};
    const enum chord_timer whats[] = {CHORD_TIMER_STEP, CHORD_TIMER_UPDATE, CHORD_TIMER_PERIODIC,
                                      CHORD_TIMER_TICK};
    for (size_t i = 0; i < ARRAY_COUNT(timers); i++) {
        timers[i]->tag = handle_make(HANDLE_CHORD, 0, 0);
        timers[i]->what = (uint32_t)whats[i];
    }
    c->seen_from = s->table->self;
}

void chord_start(struct turn *t, struct chord *c)
{
    CHECK(c->state == CHORD_IDLE);
    c->started_us = t->now_us;
    if (c->s.overlay->found_ring != OVERLAY_FOUND_GIVEN) {
        chord_join_start(t, c);
    }
}

void chord_take_ring(struct turn *t, struct chord *c)
{
    CHECK(c->state == CHORD_IDLE && c->s.overlay->found_ring == OVERLAY_FOUND_GIVEN);
    struct chord_table *ct = c->s.table;
    for (uint32_t i = 0; i < ct->count; i++) {
        struct node_id id = ct->nodes[i].id;
        (void)chord_table_set_state(ct, &id, CHORD_TABLE_PEER);
    }
    chord_become_member(t, c);
    chord_stabilize_calm(t, c);
}

void chord_clear(struct turn *t, struct chord *c)
{
    wheel_cancel(t->wheel, &c->step);
    chord_stabilize_stop(t, c);
    c->s.table->is_member = false;
    c->state = CHORD_LEFT;
}

void chord_will_leave(struct chord *c)
{
    c->is_going = true;
}

void chord_leave(struct turn *t, struct chord *c)
{
    bool was_member = c->state == CHORD_MEMBER;
    chord_stabilize_stop(t, c);
    wheel_cancel(t->wheel, &c->step);
    c->state = CHORD_LEAVING;
    if (was_member) {
        chord_stabilize_send_leaves(t, c);
    }
    if (c->leaves_open == 0) {
        c->state = CHORD_LEFT;
        c->is_left_due = true;
        return;
    }
    wheel_arm(t->wheel, &c->step, t->now_us + 1500000); /* who has not answered by then, has not */
}

void chord_become_member(struct turn *t, struct chord *c)
{
    wheel_cancel(t->wheel, &c->step);
    c->state = CHORD_MEMBER;
    c->was_member = true;
    c->attempts = 0;
    c->s.table->is_member = true;
    c->s.route->way_in = 0;
    c->is_ready_due = true;
    c->has_change = true;
    c->change = (struct topo_change){.became_member = true,
                                     .range_changed = true,
                                     .replicas_changed = true,
                                     .old_from = c->s.table->self,
                                     .new_from = chord_table_range_from(c->s.table)};
    c->seen_version = c->s.table->version;
    c->seen_from = c->change.new_from;
    chord_stabilize_start(t, c);
    chord_stabilize_mark(t, c, CHORD_EVERYBODY); /* CH-14 */
    log_write(t->log, t->now_us, LOG_INFO, "ring_joined", "peers=%u",
              chord_table_peers(c->s.table));
}

/* Links */

static bool enter_node(struct turn *t, struct chord *c, const struct link_event *event,
                       uint64_t host)
{
    if (chord_table_find(c->s.table, &event->node_id) != NULL) {
        /* AT-18: link/ keeps one of two links to a node and says which. */
        chord_table_set_link(c->s.table, &event->node_id, link_find(c->s.links, &event->node_id));
        return true;
    }
    struct chord_table_node n = {.id = event->node_id,
                                 .link = event->link,
                                 .host = host,
                                 .is_local = event->is_local,
                                 .up_since_us = t->now_us};
    return chord_table_add(c->s.table, &n) == ERR_OK;
}

static void on_up(struct turn *t, struct chord *c, const struct link_event *event, uint64_t host)
{
    if (!enter_node(t, c, event, host)) {
        metric_add(t->metrics, METRIC_pool_exhausted, 1);
        link_close(t, c->s.links, event->link);
        return;
    }
    chord_stabilize_found_again(c, &event->node_id);
    if (c->state > CHORD_IDLE && c->state < CHORD_MEMBER) {
        chord_stabilize_trim(t, c);
    }
    chord_stabilize_wake(t, c); /* there may be too many links now */
    attach_on_link_up(t, c->s.attach, &event->node_id);
    if (c->state == CHORD_MEMBER && event->is_local) {
        chord_stabilize_update(t, c, &event->node_id, true); /* no Attach comes from a sibling */
    }
    chord_join_on_link_up(t, c, event);
}

/* Our dial met a link that is there already: as good as its coming up. */
static void on_other_kept(struct turn *t, struct chord *c, const struct link_event *event,
                          handle kept)
{
    chord_table_set_link(c->s.table, &event->node_id, kept);
    attach_on_link_up(t, c->s.attach, &event->node_id);
    if (!event->was_up) {
        struct link_event up = *event;
        up.link = kept;
        chord_join_on_link_up(t, c, &up);
    }
}

static void on_down(struct turn *t, struct chord *c, const struct link_event *event)
{
    handle kept = event->error == ERR_EXISTS ? link_find(c->s.links, &event->node_id) : 0;
    const struct chord_table_node *n = chord_table_find(c->s.table, &event->node_id);
    if (kept != 0 && n != NULL) {
        on_other_kept(t, c, event, kept);
        return;
    }
    if (handle_kind(event->tag) == HANDLE_ATTACH && !event->was_up) {
        attach_on_link_failed(t, c->s.attach, event->tag, event->link);
    }
    chord_join_on_link_down(t, c, event);
    if (!event->was_up || n == NULL || n->link != event->link) {
        return; /* the other link to that node lives */
    }
    bool was_peer = n->state == CHORD_TABLE_PEER;
    (void)chord_table_remove(c->s.table, &event->node_id);
    chord_join_forget(c, &event->node_id);
    if (was_peer) {
        c->change.is_failure = true;
        chord_stabilize_lose(t, c, &event->node_id, false);
    }
}

void chord_on_link(struct turn *t, struct chord *c, const struct link_event *event, uint64_t host)
{
    switch (event->kind) {
    case LINK_UP:
        on_up(t, c, event, host);
        break;
    case LINK_DOWN:
        on_down(t, c, event);
        break;
    case LINK_SUSPECT:
        (void)chord_table_set_suspect(c->s.table, &event->node_id, true);
        break;
    case LINK_RESTORED:
        (void)chord_table_set_suspect(c->s.table, &event->node_id, false);
        break;
    case LINK_MESSAGE:
    case LINK_UNACKED:
    case LINK_QUIET:
        UNREACHABLE("overlay.c keeps messages to itself");
    }
}

/* What comes in */

void chord_on_timer(struct turn *t, struct chord *c, struct wheel_timer *timer)
{
    enum chord_timer what = (enum chord_timer)timer->what;
    if (what != CHORD_TIMER_STEP) {
        chord_stabilize_on_timer(t, c, what);
        return;
    }
    if (c->state == CHORD_LEAVING) {
        c->state = CHORD_LEFT;
        c->is_left_due = true;
        return;
    }
    chord_join_on_timer(t, c);
}

void chord_on_result(struct turn *t, struct chord *c, const struct transact_result *result)
{
    if (result->owner == TRANSACT_JOIN) {
        chord_join_on_result(t, c, result);
        return;
    }
    CHECK(result->owner == TRANSACT_STABILIZE);
    if (result->code == CONTENT_LEAVE_REQ) {
        if (c->leaves_open > 0 && --c->leaves_open == 0 && c->state == CHORD_LEAVING) {
            wheel_cancel(t->wheel, &c->step);
            c->state = CHORD_LEFT;
            c->is_left_due = true;
        }
        return;
    }
    if (result->code == CONTENT_PING_REQ) {
        chord_stabilize_on_partition(t, c, result);
    }
}

void chord_on_attached(struct turn *t, struct chord *c, const struct attach_event *event)
{
    if (event->is_unmet) {
        chord_join_note_unmet(t, c, &event->node_id);
    }
    switch (event->why) {
    case ATTACH_TO_JOIN:
        chord_join_on_attached(t, c, event);
        break;
    case ATTACH_NEIGHBOR:
        if (event->error != ERR_OK) {
            chord_stabilize_lose(t, c, &event->node_id, false);
        } else if (c->state == CHORD_MEMBER && event->tag != 0) {
            chord_stabilize_update(t, c, &event->node_id, false); /* CH-31 */
        }
        break;
    case ATTACH_FINGER:
        chord_stabilize_on_finger(t, c, event);
        break;
    case ATTACH_ANSWERED:
        /* AT-16, A-14; a joining node says nothing of itself yet (CH-15) */
        if (event->error == ERR_OK && c->state == CHORD_MEMBER) {
            chord_stabilize_update(t, c, &event->node_id, true);
        }
        break;
    }
}

/* TM-1, TM-4: the message must come over the channel of who it speaks of. */
static bool is_from_neighbor(const struct message *m, const struct node_id *named)
{
    return m->is_adjacent && ids_node_is_equal(&m->previous_hop, &m->signer) &&
           ids_node_is_equal(named, &m->signer);
}

static void on_leave(struct turn *t, struct chord *c, const struct message *m)
{
    struct msgs_leave_req body;
    struct msgs_chord_leave data = {0};
    if (msgs_leave_req_decode(m->body, c->s.params, &body) != ERR_OK) {
        transact_error(t, c->s.transact, m, CONTENT_ERROR_INVALID_MESSAGE, SLICE_EMPTY);
        return;
    }
    if (!is_from_neighbor(m, &body.leaving_peer_id)) {
        transact_error(t, c->s.transact, m, CONTENT_ERROR_FORBIDDEN, SLICE_EMPTY);
        return;
    }
    transact_reply(t, c->s.transact, m, SLICE_EMPTY);
    chord_stabilize_lose(t, c, &m->signer, true);
    chord_join_forget(c, &m->signer);
    (void)chord_table_set_state(c->s.table, &m->signer, CHORD_TABLE_ATTACHED);
    if (msgs_chord_leave_decode(body.overlay_specific_data, c->s.params, &data) == ERR_OK) {
        chord_consider_list(t, c, data.successors, NULL); /* one of the two is empty */
        chord_consider_list(t, c, data.predecessors, NULL);
    }
}

/* Where a message to that node, or, if `id` is NULL, to that place, would go from here (TM-6): over
 * a link to the node itself, if there is one, as to a client (FW-6); to ourselves where it would
 * end. */
static struct node_id next_towards(const struct chord *c, const struct node_id *id,
                                   struct ring_id k)
{
    const struct chord_table *ct = c->s.table;
    bool is_anybody = id != NULL && ids_node_is_wildcard(id, c->s.params); /* FW-3 */
    const struct chord_table_node *n = id == NULL ? NULL : chord_table_find(ct, id);
    if (n == NULL && !is_anybody && !chord_table_is_responsible(ct, k)) {
        n = chord_table_next_hop(ct, k, 0);
    }
    return n == NULL ? ct->self_id : n->id;
}

static void on_route_query(struct turn *t, struct chord *c, const struct message *m)
{
    struct msgs_route_query_req body;
    struct ring_id k;
    struct node_id id;
    if (msgs_route_query_req_decode(m->body, c->s.params, &body) != ERR_OK) {
        transact_error(t, c->s.transact, m, CONTENT_ERROR_INVALID_MESSAGE, SLICE_EMPTY);
        return;
    }
    bool is_node = fwd_destination_node(&body.destination, c->s.params, &id) == ERR_OK;
    if (is_node) {
        k = ids_ring_of_node(&id);
    } else if (body.destination.type != FWD_DESTINATION_RESOURCE ||
               ids_ring_of_resource(body.destination.id, &k) != ERR_OK) {
        transact_error(t, c->s.transact, m, CONTENT_ERROR_FORBIDDEN, SLICE_EMPTY); /* TM-6 */
        return;
    }
    struct msgs_route_query_ans answer = {.next_peer = next_towards(c, is_node ? &id : NULL, k)};
    uint8_t out[IDS_NODE_MAX];
    struct wr w = wr_init(out, sizeof(out));
    msgs_route_query_ans_wr(&w, c->s.params, &answer);
    transact_reply(t, c->s.transact, m, wr_slice(&w));
    if (body.send_update && c->state == CHORD_MEMBER) {
        chord_stabilize_update(t, c, &m->signer, true);
    }
}

void chord_on_request(struct turn *t, struct chord *c, const struct message *m)
{
    switch (m->code) {
    case CONTENT_JOIN_REQ:
        chord_join_on_request(t, c, m);
        break;
    case CONTENT_LEAVE_REQ:
        on_leave(t, c, m);
        break;
    case CONTENT_UPDATE_REQ:
        chord_stabilize_on_update(t, c, m);
        break;
    case CONTENT_ROUTE_QUERY_REQ:
        on_route_query(t, c, m);
        break;
    default:
        UNREACHABLE("not a method of the topology");
    }
}

/* Neighbors to be */

void chord_consider(struct turn *t, struct chord *c, const struct node_id *id,
                    const struct node_id *informer)
{
    enum { ASK_AGAIN_US = 5000000 };
    const struct chord_table_node *n = chord_table_find(c->s.table, id);
    if ((n != NULL && n->state == CHORD_TABLE_PEER) || /* nearly all that Updates name */
        !chord_table_is_wanted(c->s.table, ids_ring_of_node(id)) ||
        chord_stabilize_is_lost(t, c, id)) {
        return;
    }
    if (n != NULL) {
        bool is_asked = n->asked_us != 0 && t->now_us - n->asked_us < ASK_AGAIN_US;
        if (is_asked) {
            return;
        }
        chord_table_note_asked(c->s.table, id, t->now_us);
        informer = NULL;
    }
    bool is_blind = informer == NULL && n == NULL;
    struct attach_request request = {.why = ATTACH_NEIGHBOR,
                                     .target = {.type = TRANSACT_NODE, .node = *id},
                                     .transmissions = is_blind ? 1 : 2,
                                     .is_retry = is_blind};
    if (informer != NULL && !ids_node_is_equal(informer, id)) {
        request.through = *informer;
    }
    (void)!attach_begin(t, c->s.attach, &request); /* full: the next Update names it again */
}

void chord_consider_list(struct turn *t, struct chord *c, struct slice nodes,
                         const struct node_id *informer)
{
    enum { LIST_CAP = 2 * CHORD_TABLE_FINGERS }; /* what one message may make us look at */
    size_t count = min_size(msgs_node_count(nodes, c->s.params), LIST_CAP);
    for (size_t i = 0; i < count; i++) {
        struct node_id id = msgs_node_at(nodes, c->s.params, i);
        chord_consider(t, c, &id, informer);
    }
}

/* Once a turn */

static void go_lost(struct turn *t, struct chord *c)
{
    c->is_lost_due = true;
    c->has_change = false;
    chord_stabilize_stop(t, c);
    log_write(t->log, t->now_us, LOG_WARNING, "ring_lost", "neighbors=0");
    chord_join_again(t, c);
}

static void note_change(struct turn *t, struct chord *c)
{
    enum { CROWD_US = 30000000 };
    struct ring_id from = chord_table_range_from(c->s.table);
    bool range_changed = !ids_ring_is_equal(from, c->seen_from);
    metric_add(t->metrics, METRIC_ring_changes, 1);
    trace_note(t->now_us, TRACE_ring_changed, range_changed ? 1 : 0, 0);
    if (!c->has_change) {
        c->change.old_from = c->seen_from;
    }
    c->change.range_changed |= range_changed;
    c->change.replicas_changed = true;
    c->change.new_from = from;
    c->has_change = true;
    c->seen_from = from;
    chord_stabilize_mark(t, c, range_changed ? CHORD_EVERYBODY : CHORD_NEIGHBORS); /* */
    chord_stabilize_excite(t, c);
    uint32_t neighbors = c->s.table->successor_count;
    if (neighbors >= 2) {
        c->crowded_us = t->now_us;
    } else if (neighbors == 0 && !c->is_going && c->crowded_us != 0 &&
               t->now_us - c->crowded_us < CROWD_US) {
        go_lost(t, c); /* CH-21; where there was but one other, we are the ring now */
    }
}

void chord_settle(struct turn *t, struct chord *c)
{
    if (c->state == CHORD_MEMBER && c->seen_version != c->s.table->version) {
        note_change(t, c);
    }
    c->seen_version = c->s.table->version;
    chord_join_step(t, c);
}

bool chord_next(struct chord *c, struct chord_event *event)
{
    *event = (struct chord_event){0};
    if (c->is_lost_due) {
        c->is_lost_due = false;
        event->kind = CHORD_EVENT_LOST;
        return true;
    }
    if (c->has_change) {
        event->kind = CHORD_EVENT_CHANGED;
        event->change = c->change;
        c->has_change = false;
        c->change = (struct topo_change){0};
        return true;
    }
    if (c->is_ready_due) {
        c->is_ready_due = false;
        event->kind = CHORD_EVENT_READY;
        return true;
    }
    for (size_t i = 0; i < CHORD_JOINERS_CAP; i++) {
        if (c->joiners[i].is_used && !c->joiners[i].is_told) {
            c->joiners[i].is_told = true;
            event->kind = CHORD_EVENT_HAND_OVER;
            event->node_id = c->joiners[i].id;
            return true;
        }
    }
    event->kind = CHORD_EVENT_LEFT;
    bool is_left = c->is_left_due;
    c->is_left_due = false;
    return is_left;
}

void chord_handed_over(struct turn *t, struct chord *c, const struct node_id *joiner)
{
    chord_join_handed_over(t, c, joiner);
}

uint32_t chord_fingers(const struct chord *c)
{
    return chord_stabilize_fingers(c);
}
