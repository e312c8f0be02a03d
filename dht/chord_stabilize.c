/* SPDX-License-Identifier: Apache-2.0 */
/* chord_stabilize.c - see chord_stabilize.h. */
#include "dht/chord_stabilize.h"

#include "codec/msgs.h"
#include "dht/chord_join.h"

enum {
    LOST_WAIT_US = 2000000, /* before the first try to reach a lost neighbor again, then doubled */
    LOST_TRIES = 4,
    LEFT_WAIT_US = 60000000, /* who left in good order is not called back */
    FINGER_WAIT_US = 10000000,
    FINGERS_AT_ONCE = 2,
    PARTITION_WAIT_US = 30000000,
    ALARM_US = 1200000000,      /* after a failure partitions are looked for often */
    ALARM_START_US = 300000000, /* ... and after we have joined: others may have founded */
    CHECKS_PER_S = 16,          /* partition checks that come to one bootstrap address */
    IDLE_TICK_US = 30000000,    /* when nothing is known to be due */
    EVERYBODY_US = 1000000,
    UPDATES_US = 1000000, /* the first change is told at once, those that follow together */
    CALM_FIRST_S = 4,
    CALM_FACTOR = 3,
    TRIM_AT_ONCE = 8,
    TRIM_AT_ONCE_FULL = 64, /* when there is hardly room for those that we want */
    TRIM_AGE_US = 5000000,
    TRIM_STRANGER_US = 1000000, /* before we are in the ring, of use to nobody, and when full */
    PEER_LIST_CAP = CHORD_TABLE_NEIGHBORS * IDS_NODE_MAX,
    FINGER_LIST_CAP = 48 * IDS_NODE_MAX, /* named in a full Update */
};

/* Lost neighbors (CH-20) */

static void forget_lost(struct chord *c, struct chord_lost *l)
{
    *l = (struct chord_lost){0};
    while (c->lost_end > 0 && c->lost[c->lost_end - 1].until_us == 0) {
        c->lost_end--;
    }
}

static struct chord_lost *find_lost(struct chord *c, const struct node_id *id)
{
    for (size_t i = 0; i < c->lost_end; i++) {
        if (c->lost[i].until_us != 0 && ids_node_is_equal(&c->lost[i].id, id)) {
            return &c->lost[i];
        }
    }
    return NULL;
}

/* Timers */

/* CH-28, with more care while things move: what an Attach that failed has left open is named again
 * by the neighbors' next Updates, after 4 s, 12 s, and so on up to the interval.  The nearest say
 * it until then: their lists reach as far as ours and farther. */
static void arm_periodic(struct turn *t, struct chord *c)
{
    wheel_arm(t->wheel, &c->periodic,
              t->now_us + rng_jitter(t->rng, (uint64_t)c->calm_s * 1000000, 25));
}

void chord_stabilize_excite(struct turn *t, struct chord *c)
{
    if (c->calm_s != CALM_FIRST_S || !wheel_is_armed(&c->periodic)) {
        c->calm_s = CALM_FIRST_S;
        arm_periodic(t, c);
    }
    chord_stabilize_wake(t, c);
}

void chord_stabilize_wake(struct turn *t, struct chord *c)
{
    uint64_t soon_us = t->now_us + CHORD_STABILIZE_TICK_MS * 1000u;
    if (wheel_is_armed(&c->tick) && c->tick.due_us > soon_us) {
        wheel_arm(t->wheel, &c->tick,
                  rng_jitter(t->rng, CHORD_STABILIZE_TICK_MS * 1000u, 20) + t->now_us);
    }
}

static void note_alarm(struct turn *t, struct chord *c, uint64_t for_us)
{
    c->alarm_until_us = max_u64(c->alarm_until_us, t->now_us + for_us);
    c->partition_next_us =
        min_u64(c->partition_next_us, t->now_us + rng_jitter(t->rng, PARTITION_WAIT_US, 50));
}

/* Until the next partition check: soon when something has gone wrong or we are alone, else as rare
 * as periodic Updates; and in a large ring so rare that bootstrap nodes can bear it. */
static uint64_t partition_wait_us(const struct turn *t, const struct chord *c)
{
    const struct overlay_settings *s = c->s.overlay;
    if (c->s.table->successor_count == 0) {
        return PARTITION_WAIT_US / 6;
    }
    uint64_t addresses = max_u64(s->bootstrap_count, 1);
    uint64_t share_us = chord_table_guess_peers(c->s.table) * (1000000 / CHECKS_PER_S) / addresses;
    uint64_t wait_us = t->now_us < c->alarm_until_us
                           ? PARTITION_WAIT_US
                           : (uint64_t)s->config.chord_update_interval_s * 1000000;
    return max_u64(max_u64(wait_us, PARTITION_WAIT_US), share_us);
}

void chord_stabilize_calm(struct turn *t, struct chord *c)
{
    wheel_cancel(t->wheel, &c->update);
    c->scope = CHORD_NOBODY;
    c->alarm_until_us = 0;
    c->calm_s = c->s.overlay->config.chord_update_interval_s;
    c->partition_next_us = t->now_us + rng_below(t->rng, partition_wait_us(t, c) + 1);
    wheel_arm(t->wheel, &c->periodic,
              t->now_us + rng_below(t->rng, (uint64_t)c->calm_s * 1000000 + 1));
}

static void send_periodic(struct turn *t, struct chord *c)
{
    uint32_t interval_s = c->s.overlay->config.chord_update_interval_s;
    chord_stabilize_mark(t, c, c->calm_s < interval_s ? CHORD_NEAREST : CHORD_NEIGHBORS);
    c->calm_s = CALM_FACTOR * c->calm_s < interval_s ? CALM_FACTOR * c->calm_s : interval_s;
    arm_periodic(t, c);
}

void chord_stabilize_start(struct turn *t, struct chord *c)
{
    chord_stabilize_excite(t, c);
    wheel_arm(t->wheel, &c->tick,
              t->now_us + rng_jitter(t->rng, CHORD_STABILIZE_TICK_MS * 1000u, 20));
    c->partition_next_us = UINT64_MAX;
    note_alarm(t, c, ALARM_START_US);
}

void chord_stabilize_stop(struct turn *t, struct chord *c)
{
    wheel_cancel(t->wheel, &c->periodic);
    wheel_cancel(t->wheel, &c->tick);
    wheel_cancel(t->wheel, &c->update);
    c->scope = CHORD_NOBODY;
}

/* Updates */

static struct slice wr_neighbors(const struct chord *c, bool successors, uint8_t *out)
{
    const struct chord_table *ct = c->s.table;
    uint32_t count = successors ? ct->successor_count : ct->predecessor_count;
    struct wr w = wr_init(out, PEER_LIST_CAP);
    for (uint32_t i = 0; i < count; i++) { /* nearest first */
        ids_wr_node(&w, c->s.params,
                    successors ? &chord_table_successor(ct, i)->id
                               : &chord_table_predecessor(ct, i)->id);
    }
    CHECK(wr_ok(&w));
    return wr_slice(&w);
}

/* All other peers, in numeric order: the array goes clockwise from ourselves, so it begins where
 * numbers wrap. */
static struct slice wr_fingers(const struct chord *c, uint8_t *out)
{
    const struct chord_table *ct = c->s.table;
    uint32_t start = 0;
    while (start < ct->count && !ids_ring_is_less(ct->nodes[start].at, ct->self)) {
        start++;
    }
    struct wr w = wr_init(out, FINGER_LIST_CAP);
    for (uint32_t i = 0; i < ct->count && wr_left(&w) >= IDS_NODE_MAX; i++) {
        const struct chord_table_node *n = &ct->nodes[(start + i) % ct->count];
        if (n->state == CHORD_TABLE_PEER && !n->is_suspect) {
            ids_wr_node(&w, c->s.params, &n->id);
        }
    }
    return wr_slice(&w);
}

static enum err send_update(struct turn *t, struct chord *c, const struct node_id *to, bool is_full)
{
    uint8_t predecessors[PEER_LIST_CAP];
    uint8_t successors[PEER_LIST_CAP];
    uint8_t fingers[FINGER_LIST_CAP];
    uint8_t out[2 * PEER_LIST_CAP + sizeof(fingers) + 64];
    struct msgs_chord_update body = {
        .uptime = (uint32_t)((t->now_us - c->started_us) / 1000000),
        .type = is_full ? MSGS_CHORD_FULL : MSGS_CHORD_NEIGHBORS,
        .predecessors = wr_neighbors(c, false, predecessors),
        .successors = wr_neighbors(c, true, successors),
    };
    if (is_full) {
        body.fingers = wr_fingers(c, fingers);
    }
    struct wr w = wr_init(out, sizeof(out));
    msgs_chord_update_wr(&w, c->s.params, &body);
    CHECK(wr_ok(&w));
    struct transact_request request = {.owner = TRANSACT_NOBODY,
                                       .target = {.type = TRANSACT_NODE, .node = *to},
                                       .code = CONTENT_UPDATE_REQ,
                                       .body = wr_slice(&w),
                                       .transmissions = 3};
    enum err e = transact_request(t, c->s.transact, &request, NULL);
    metric_add(t->metrics, METRIC_updates_sent, e == ERR_OK ? 1 : 0);
    return e;
}

static void arm_update(struct turn *t, struct chord *c, uint64_t at_us)
{
    if (!wheel_is_armed(&c->update) || c->update.due_us > at_us) {
        wheel_arm(t->wheel, &c->update, at_us);
    }
}

void chord_stabilize_update(struct turn *t, struct chord *c, const struct node_id *to, bool is_full)
{
    if (send_update(t, c, to, is_full) != ERR_OK) {
        chord_table_set_update_due(c->s.table, to, true);
        arm_update(t, c, t->now_us + CHORD_STABILIZE_UPDATE_MS * 1000u);
    }
}

void chord_stabilize_mark(struct turn *t, struct chord *c, enum chord_scope scope)
{
    if (c->state != CHORD_MEMBER) {
        return;
    }
    c->scope = scope > c->scope ? scope : c->scope;
    arm_update(t, c, max_u64(t->now_us + CHORD_STABILIZE_UPDATE_MS * 1000u, c->updates_next_us));
}

/* Among the `most` nearest on either side? */
static bool is_near_by(const struct chord_table *ct, uint32_t index, uint32_t most)
{
    for (uint32_t i = 0; i < most && i < ct->successor_count; i++) {
        if (ct->successors[i] == index) {
            return true;
        }
    }
    for (uint32_t i = 0; i < most && i < ct->predecessor_count; i++) {
        if (ct->predecessors[i] == index) {
            return true;
        }
    }
    return false;
}

static bool is_neighbor(const struct chord_table *ct, uint32_t index)
{
    return is_near_by(ct, index, CHORD_TABLE_NEIGHBORS);
}

static void mark_due(const struct chord *c, bool everybody)
{
    struct chord_table *ct = c->s.table;
    uint32_t most = c->scope == CHORD_NEAREST ? CHORD_STABILIZE_NEAREST : CHORD_TABLE_NEIGHBORS;
    for (uint32_t i = 0; i < ct->count && c->scope != CHORD_NOBODY; i++) {
        ct->nodes[i].update_due |= everybody || is_near_by(ct, i, most);
    }
}

/* Who gets an Update is marked first and served as far as requests can be had; the rest follow. */
static void send_updates(struct turn *t, struct chord *c)
{
    struct chord_table *ct = c->s.table;
    bool everybody = c->scope == CHORD_EVERYBODY && t->now_us >= c->everybody_next_us;
    if (c->scope > CHORD_NOBODY) {
        c->updates_next_us = t->now_us + UPDATES_US;
    }
    mark_due(c, everybody);
    if (everybody) {
        c->everybody_next_us = t->now_us + EVERYBODY_US;
        c->scope = CHORD_NOBODY;
    } else if (c->scope == CHORD_EVERYBODY) {
        arm_update(t, c, c->everybody_next_us);
    } else {
        c->scope = CHORD_NOBODY;
    }
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < ct->count; i++) {
            bool is_turn = (round == 0) == is_neighbor(ct, i);
            if (!ct->nodes[i].update_due || !is_turn) {
                continue;
            }
            if (send_update(t, c, &ct->nodes[i].id, false) != ERR_OK) {
                arm_update(t, c, t->now_us + CHORD_STABILIZE_UPDATE_MS * 1000u);
                return;
            }
            ct->nodes[i].update_due = false;
        }
    }
}

static bool names(const struct chord *c, struct slice nodes)
{
    for (size_t i = 0; i < msgs_node_count(nodes, c->s.params); i++) {
        struct node_id id = msgs_node_at(nodes, c->s.params, i);
        if (ids_node_is_equal(&id, &c->s.table->self_id)) {
            return true;
        }
    }
    return false;
}

void chord_stabilize_on_update(struct turn *t, struct chord *c, const struct message *m)
{
    struct msgs_chord_update body;
    if (msgs_chord_update_decode(m->body, c->s.params, &body) != ERR_OK) {
        transact_error(t, c->s.transact, m, CONTENT_ERROR_INVALID_MESSAGE, SLICE_EMPTY);
        return;
    }
    if (chord_table_find(c->s.table, &m->signer) == NULL) {
        /* Nothing is known here of who is not connected; it will attach first. */
        transact_error(t, c->s.transact, m, CONTENT_ERROR_FORBIDDEN, SLICE_EMPTY);
        return;
    }
    metric_add(t->metrics, METRIC_updates_received, 1);
    transact_reply(t, c->s.transact, m, SLICE_EMPTY); /* */
    if (c->state == CHORD_LEAVING || c->state == CHORD_LEFT) {
        return;
    }
    const struct chord_lost *l = find_lost(c, &m->signer);
    if (l != NULL && l->has_left) {
        return; /* sent before its Leave, come after it */
    }
    (void)chord_table_set_state(c->s.table, &m->signer, CHORD_TABLE_PEER); /* */
    chord_table_set_names_us(c->s.table, &m->signer,
                             names(c, body.predecessors) || names(c, body.successors));
    chord_table_note_updated(c->s.table, &m->signer, t->now_us);
    chord_join_forget(c, &m->signer);
    if (c->state == CHORD_ASKING) {
        c->is_early = true; /* is it the admitting peer's?  Then it is asked for another */
    }
    if (chord_join_is_of_use(c, &m->signer)) {
        chord_consider_list(t, c, body.predecessors, &m->signer);
        chord_consider_list(t, c, body.successors, &m->signer);
        chord_consider_list(t, c, body.fingers, &m->signer);
    }
    chord_join_on_update(t, c, &m->signer, body.predecessors);
}

bool chord_stabilize_is_lost(const struct turn *t, const struct chord *c, const struct node_id *id)
{
    for (size_t i = 0; i < c->lost_end; i++) {
        const struct chord_lost *l = &c->lost[i];
        if (l->until_us > t->now_us && ids_node_is_equal(&l->id, id)) {
            return true;
        }
    }
    return false;
}

void chord_stabilize_lose(struct turn *t, struct chord *c, const struct node_id *id, bool has_left)
{
    struct chord_lost *l = find_lost(c, id);
    if (l == NULL) {
        l = &c->lost[0];
        for (size_t i = 1; i < CHORD_LOST_CAP && i <= c->lost_end; i++) {
            l = c->lost[i].until_us < l->until_us ? &c->lost[i] : l;
        }
        *l = (struct chord_lost){.id = *id};
        uint32_t end = (uint32_t)(l - c->lost) + 1;
        c->lost_end = end > c->lost_end ? end : c->lost_end;
    }
    if (l->has_left && l->until_us > t->now_us) {
        return;
    }
    if (!has_left) {
        note_alarm(t, c, ALARM_US);
    }
    chord_stabilize_wake(t, c);
    uint64_t wait = has_left ? LEFT_WAIT_US : (uint64_t)LOST_WAIT_US << l->tries;
    l->has_left = has_left;
    l->until_us = t->now_us + rng_jitter(t->rng, wait, 25);
    l->tries = l->tries < LOST_TRIES ? l->tries + 1 : l->tries;
}

void chord_stabilize_found_again(struct chord *c, const struct node_id *id)
{
    struct chord_lost *l = find_lost(c, id);
    if (l != NULL) {
        forget_lost(c, l);
    }
}

/* A lost link need not mean a lost peer: it is tried a few times, later and later. */
static void try_lost(struct turn *t, struct chord *c)
{
    for (size_t i = 0; i < c->lost_end; i++) {
        struct chord_lost *l = &c->lost[i];
        if (l->until_us == 0 || l->until_us > t->now_us) {
            continue;
        }
        if (l->has_left || l->tries >= LOST_TRIES) {
            forget_lost(c, l);
            continue;
        }
        struct node_id id = l->id;
        l->tries++;
        chord_consider(t, c, &id, NULL);
        l->until_us = t->now_us + ((uint64_t)LOST_WAIT_US << l->tries);
    }
}

/* Fingers (CH-4, CH-29, CH-30) */

/* The neighbor table covers this and all shorter fingers. */
static bool is_near(const struct chord *c, struct ring_id first)
{
    const struct chord_table *ct = c->s.table;
    if (ct->successor_count < CHORD_TABLE_NEIGHBORS) {
        return true; /* we know the whole ring */
    }
    struct ring_id far = chord_table_successor(ct, CHORD_TABLE_NEIGHBORS - 1)->at;
    return ids_ring_is_less(ids_ring_minus(first, ct->self), ids_ring_minus(far, ct->self));
}

static void schedule_finger(struct turn *t, struct chord *c, uint32_t finger)
{
    uint64_t limit = (uint64_t)c->s.overlay->config.chord_ping_interval_s * 1000000;
    uint8_t *tries = &c->finger_tries[finger - 1];
    uint64_t wait = min_u64((uint64_t)FINGER_WAIT_US << *tries, limit);
    *tries = *tries < 10 ? (uint8_t)(*tries + 1) : *tries;
    c->finger_next_us[finger - 1] = t->now_us + rng_jitter(t->rng, wait, 25);
}

/* When the next one is to be sought. */
static uint64_t seek_fingers(struct turn *t, struct chord *c)
{
    uint64_t next_us = UINT64_MAX;
    uint32_t begun = attach_pending(c->s.attach, ATTACH_FINGER);
    for (uint32_t i = 1; i <= CHORD_TABLE_FINGERS && begun < FINGERS_AT_ONCE; i++) {
        struct ring_id first;
        struct ring_id last;
        chord_table_finger_range(c->s.table->self, i, &first, &last);
        if (is_near(c, first)) {
            return next_us;
        }
        if (chord_table_first_between(c->s.table, first, last) != NULL) {
            continue;
        }
        if (c->finger_next_us[i - 1] > t->now_us) {
            next_us = min_u64(next_us, c->finger_next_us[i - 1]);
            continue;
        }
        struct attach_request request = {.why = ATTACH_FINGER,
                                         .tag = i,
                                         .target = {.type = TRANSACT_RESOURCE, .resource = first},
                                         .transmissions = 2}; /* CH-16 */
        if (attach_begin(t, c->s.attach, &request) == ERR_OK) {
            begun++;
        }
        schedule_finger(t, c, i);
    }
    return begun < FINGERS_AT_ONCE ? next_us : t->now_us;
}

void chord_stabilize_on_finger(struct turn *t, struct chord *c, const struct attach_event *event)
{
    chord_stabilize_wake(t, c); /* for the next one */
    CHECK(event->tag >= 1);
    CHECK(event->tag <= CHORD_TABLE_FINGERS);
    if (event->error == ERR_OK) {
        struct ring_id first;
        struct ring_id last;
        chord_table_finger_range(c->s.table->self, (uint32_t)event->tag, &first, &last);
        if (ids_ring_is_between(ids_ring_of_node(&event->node_id),
                                ids_ring_minus(first, (struct ring_id){0, 1}), last)) {
            c->finger_tries[event->tag - 1] = 0; /* when it is lost, it is sought at once (CH-22) */
            c->finger_next_us[event->tag - 1] = t->now_us + FINGER_WAIT_US;
        }
    }
}

static uint32_t finger_of(struct ring_id from, struct ring_id at)
{
    struct ring_id far = ids_ring_minus(at, from);
    uint32_t leading = far.hi != 0 ? (uint32_t)__builtin_clzll(far.hi)
                                   : 64 + (uint32_t)__builtin_clzll(far.lo | 1);
    return leading + 1;
}

uint32_t chord_stabilize_fingers(const struct chord *c)
{
    uint32_t fingers = 0;
    const struct chord_table_node *next = chord_table_successor(c->s.table, 0);
    uint32_t last_range = next == NULL ? 0 : finger_of(c->s.table->self, next->at);
    for (uint32_t i = 1; i <= last_range; i++) { /* nobody stands in the nearer ones */
        struct ring_id first;
        struct ring_id last;
        chord_table_finger_range(c->s.table->self, i, &first, &last);
        fingers += chord_table_first_between(c->s.table, first, last) != NULL ? 1 : 0;
    }
    return fingers;
}

/* Links that nobody needs: those to peers that were neighbors when the ring was smaller.  Every
 * Node-ID lies in just one finger range of another, and the peer to keep there is the first one, so
 * both ends can tell whether a link is of use to either. */

static bool is_of_use(const struct chord *c, const struct chord_table_node *n)
{
    struct ring_id first;
    struct ring_id last;
    struct ring_id own = c->s.table->self;
    chord_table_finger_range(own, finger_of(own, n->at), &first, &last);
    if (!is_near(c, first) && chord_table_first_between(c->s.table, first, last) == n) {
        return true;
    }
    /* Are we the first one in the range where we stand for it? */
    chord_table_finger_range(n->at, finger_of(n->at, own), &first, &last);
    return chord_table_is_responsible(c->s.table, first);
}

static uint32_t room(const struct chord *c)
{
    const struct limits *l = c->s.overlay->limits;
    return c->s.table->cap < l->links ? c->s.table->cap : l->links;
}

/* More links than a table should be filled with. */
static bool is_crowded(const struct chord *c)
{
    return c->s.table->count > 3 * room(c) / 8;
}

/* Near to where link/ refuses whoever dials us.  So it is when all neighbors on one side have died,
 * and everybody named meanwhile was a better one than none. */
static bool is_full(const struct chord *c)
{
    return c->s.table->count > 5 * room(c) / 8;
}

/* Nearest of all who are connected, peers or not yet: neighbors to be. */
static bool is_close(const struct chord_table *ct, uint32_t index)
{
    return index < CHORD_TABLE_NEIGHBORS || index + CHORD_TABLE_NEIGHBORS >= ct->count;
}

void chord_stabilize_trim(struct turn *t, struct chord *c)
{
    const struct chord_table *ct = c->s.table;
    bool is_hasty = c->state != CHORD_MEMBER || is_full(c);
    uint64_t age_us = is_hasty ? TRIM_STRANGER_US : TRIM_AGE_US;
    uint32_t most = is_full(c) ? TRIM_AT_ONCE_FULL : TRIM_AT_ONCE;
    uint32_t trimmed = 0;
    uint32_t start = (uint32_t)rng_below(t->rng, ct->count);
    for (uint32_t k = 0; k < ct->count && trimmed < most && is_crowded(c); k++) {
        uint32_t i = (start + k) % ct->count;
        const struct chord_table_node *n = &ct->nodes[i];
        if (n->is_local || n->names_us || is_neighbor(ct, i) || is_close(ct, i) ||
            n->link == c->s.route->way_in || t->now_us - n->up_since_us < age_us ||
            is_of_use(c, n)) {
            continue;
        }
        link_close(t, c->s.links, n->link);
        metric_add(t->metrics, METRIC_links_trimmed, 1);
        trimmed++;
    }
}

/* The partition check (CH-31, A-09) */

void chord_stabilize_check_partition(struct turn *t, struct chord *c, handle link,
                                     const struct node_id *bootstrap)
{
    struct transact_request request = {
        .owner = TRANSACT_STABILIZE,
        .tag = link,
        .target = {.type = TRANSACT_RESOURCE,
                   .resource = ids_ring_plus(c->s.table->self, (struct ring_id){0, 1})},
        .through = *bootstrap,
        .link = link,
        .code = CONTENT_PING_REQ,
        .any_signer = true,
        .transmissions = 1};
    struct msgs_ping_req body = {0};
    uint8_t out[8];
    struct wr w = wr_init(out, sizeof(out));
    msgs_ping_req_wr(&w, c->s.params, &body);
    request.body = wr_slice(&w);
    if (transact_request(t, c->s.transact, &request, NULL) != ERR_OK) {
        link_close(t, c->s.links, link);
    }
}

void chord_stabilize_on_partition(struct turn *t, struct chord *c,
                                  const struct transact_result *result)
{
    if (c->state != CHORD_MEMBER || result->error != ERR_OK) {
        return;
    }
    const struct node_id *other = &result->answer->signer;
    const struct chord_table_node *n = chord_table_find(c->s.table, other);
    bool is_self = ids_node_is_equal(other, &c->s.table->self_id);
    if (is_self || (n != NULL && n->state == CHORD_TABLE_PEER)) {
        return; /* one ring */
    }
    log_write(t->log, t->now_us, LOG_WARNING, "ring_partition", "peers=%u",
              chord_table_peers(c->s.table));
    struct attach_request request = {.why = ATTACH_NEIGHBOR,
                                     .tag = 1, /* an Update follows, wanted or not */
                                     .target = {.type = TRANSACT_NODE, .node = *other},
                                     .transmissions = 2};
    for (size_t i = 0; i < OVERLAY_BOOTSTRAP_CAP; i++) {
        const struct chord_table_node *b = chord_table_find(c->s.table, &c->bootstrap_ids[i]);
        if (b != NULL && b->link == result->tag && !ids_node_is_equal(&b->id, other)) {
            request.through = b->id;
        }
    }
    if (attach_begin(t, c->s.attach, &request) == ERR_EXISTS) {
        chord_stabilize_update(t, c, other, false);
    }
}

/* Once a second, or when there is something to do */

static uint64_t next_lost_us(const struct chord *c)
{
    uint64_t next_us = UINT64_MAX;
    for (size_t i = 0; i < c->lost_end; i++) {
        next_us = c->lost[i].until_us == 0 ? next_us : min_u64(next_us, c->lost[i].until_us);
    }
    return next_us;
}

static void tick(struct turn *t, struct chord *c)
{
    try_lost(t, c);
    uint64_t next_us = seek_fingers(t, c);
    chord_stabilize_trim(t, c);
    if (t->now_us >= c->partition_next_us && c->dial == 0) {
        (void)chord_join_dial(t, c);
        c->partition_next_us = t->now_us + rng_jitter(t->rng, partition_wait_us(t, c), 50);
    }
    next_us = min_u64(next_us, min_u64(c->partition_next_us, next_lost_us(c)));
    next_us = is_crowded(c) ? t->now_us : min_u64(next_us, t->now_us + IDLE_TICK_US);
    wheel_arm(
        t->wheel, &c->tick,
        max_u64(next_us, t->now_us + rng_jitter(t->rng, CHORD_STABILIZE_TICK_MS * 1000u, 20)));
}

void chord_stabilize_on_timer(struct turn *t, struct chord *c, enum chord_timer what)
{
    switch (what) {
    case CHORD_TIMER_UPDATE:
        send_updates(t, c);
        break;
    case CHORD_TIMER_PERIODIC:
        send_periodic(t, c);
        break;
    case CHORD_TIMER_TICK:
        tick(t, c);
        break;
    case CHORD_TIMER_STEP:
        UNREACHABLE("chord.c keeps this one");
    }
}

/* Leaving (CH-33) */

static void send_leave(struct turn *t, struct chord *c, const struct chord_table_node *to,
                       bool is_predecessor)
{
    uint8_t list[PEER_LIST_CAP];
    uint8_t data_bytes[PEER_LIST_CAP + 8];
    uint8_t out[PEER_LIST_CAP + 64];
    struct slice peers = wr_neighbors(c, is_predecessor, list);
    struct msgs_chord_leave data = {.type = MSGS_CHORD_FROM_PREDECESSOR, .predecessors = peers};
    if (is_predecessor) {
        data = (struct msgs_chord_leave){.type = MSGS_CHORD_FROM_SUCCESSOR, .successors = peers};
    }
    struct wr w = wr_init(data_bytes, sizeof(data_bytes));
    msgs_chord_leave_wr(&w, c->s.params, &data);
    struct msgs_leave_req body = {.leaving_peer_id = c->s.table->self_id,
                                  .overlay_specific_data = wr_slice(&w)};
    struct wr all = wr_init(out, sizeof(out));
    msgs_leave_req_wr(&all, c->s.params, &body);
    CHECK(wr_ok(&all));
    struct transact_request request = {.owner = TRANSACT_STABILIZE,
                                       .target = {.type = TRANSACT_NODE, .node = to->id},
                                       .link = to->link,
                                       .code = CONTENT_LEAVE_REQ,
                                       .body = wr_slice(&all),
                                       .transmissions = 1};
    if (transact_request(t, c->s.transact, &request, NULL) == ERR_OK) {
        c->leaves_open++;
    }
}

void chord_stabilize_send_leaves(struct turn *t, struct chord *c)
{
    const struct chord_table *ct = c->s.table;
    for (uint32_t i = 0; i < ct->count; i++) {
        bool is_predecessor = false;
        for (uint32_t j = 0; j < ct->predecessor_count; j++) {
            is_predecessor |= ct->predecessors[j] == i;
        }
        send_leave(t, c, &ct->nodes[i], is_predecessor);
    }
}
