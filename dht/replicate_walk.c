/* SPDX-License-Identifier: Apache-2.0 */
/* The walk visits set after set, again and again as long as a pass found something missing.  What a
 * visit finds depends on the topology as it is now and on the bits of the set, on nothing else. */
#include "dht/replicate_inside.h"

enum {
    VISITS_PER_CALL = 256,
    TICK_BUSY_US = 50000,     /* something is under way */
    TICK_HELD_US = 500000,    /* something is missing, and has to wait */
    TICK_SOON_US = 1000000,   /* a joiner, or who leaves, has a deadline; a large store is swept */
    TICK_IDLE_US = 5000000,   /* what has expired is swept */
    TICK_EMPTY_US = 20000000, /* nothing is stored, and nobody waits for anything */
    PASS_EVERY_US = 20000000, /* also when nothing is known to be missing */
    SEND_PAUSE_US = 500000,
    RETURN_PAUSE_US = 2000000,
    WITNESS_PAUSE_US = 2000000, /* before an owner who has not answered is asked once more */
    /* Those that we placed copies on as the owner may drop them when we no longer are (CH-26). */
    FORGET_PLACED_S = REPLICATE_UNWANTED_S / 2,
    OFFER_WAIT_S = 12, /* so long a new owner has to show that it has what we have */
};

static uint32_t member_find(const struct replicate *r, const struct node_id *id)
{
    for (uint32_t i = 0; i < STORE_MEMBERS_CAP; i++) {
        if (r->members[i].is_used && ids_node_is_equal(&r->members[i].id, id)) {
            return i;
        }
    }
    return REPLICATE_INSIDE_NO_MEMBER;
}

/* members */

static void forget_bit(struct replicate *r, uint32_t member)
{
    uint32_t index = 0;
    struct store_set *set;
    while ((set = store_set_next(r->s.store, &index)) != NULL) {
        set->placed &= (uint16_t)~replicate_inside_bit(member);
        set->under_way &= (uint16_t)~replicate_inside_bit(member);
    }
}

static void member_end(struct turn *t, struct replicate *r, uint32_t index)
{
    replicate_op_cancel(t, r, index);
    forget_bit(r, index);
    r->members[index] = (struct replicate_member){0};
}

/* A free number, if need be that of a peer which we only remember. */
static uint32_t member_new(struct turn *t, struct replicate *r, const struct node_id *id,
                           uint64_t host)
{
    uint32_t found = REPLICATE_INSIDE_NO_MEMBER;
    for (uint32_t i = 0; i < STORE_MEMBERS_CAP; i++) {
        struct replicate_member *m = &r->members[i];
        if (!m->is_used) {
            found = i;
            break;
        }
        if (!m->is_target && !m->is_joiner && !m->is_handed_over) {
            found = i;
        }
    }
    if (found == REPLICATE_INSIDE_NO_MEMBER) {
        return found;
    }
    if (r->members[found].is_used) {
        member_end(t, r, found);
    }
    r->members[found] = (struct replicate_member){.id = *id,
                                                  .at = ids_ring_of_node(id),
                                                  .host = host,
                                                  .is_used = true,
                                                  .since_us = t->now_us};
    return found;
}

static bool is_connected(const struct replicate *r, const struct node_id *id)
{
    return chord_table_find(r->s.topo->table, id) != NULL;
}

/* Whoever was away since we took it in may have come back with nothing. */
static void end_those_away(struct turn *t, struct replicate *r)
{
    for (uint32_t i = 0; i < STORE_MEMBERS_CAP; i++) {
        const struct replicate_member *m = &r->members[i];
        const struct chord_table_node *n =
            m->is_used ? chord_table_find(r->s.topo->table, &m->id) : NULL;
        if (n != NULL && n->up_since_us > m->since_us && !m->is_joiner && !m->is_handed_over) {
            member_end(t, r, i);
        }
    }
}

/* How far the farthest target is; *has_failed: has one of them lost its link? */
static struct ring_id reach(const struct replicate *r, bool *has_failed)
{
    struct ring_id far = {0, 0};
    *has_failed = false;
    for (uint32_t i = 0; i < STORE_MEMBERS_CAP; i++) {
        const struct replicate_member *m = &r->members[i];
        struct ring_id there = ids_ring_minus(m->at, r->s.topo->table->self);
        if (!m->is_target) {
            continue;
        }
        far = ids_ring_is_less(far, there) ? there : far;
        *has_failed |= !is_connected(r, &m->id);
    }
    return far;
}

/* CH-19 holds down who comes in for one that failed, and may soon be no target any more.  Who has
 * come in between is there to stay. */
void replicate_walk_members(struct turn *t, struct replicate *r)
{
    bool has_failed = false;
    struct ring_id far = reach(r, &has_failed);
    end_those_away(t, r);
    struct topo_peer peers[TOPO_REPLICAS_CAP];
    bool was_target[STORE_MEMBERS_CAP];
    size_t count = r->s.topo->table->is_member ? topo_replicas(r->s.topo, peers) : 0;
    for (uint32_t i = 0; i < STORE_MEMBERS_CAP; i++) {
        was_target[i] = r->members[i].is_target;
        r->members[i].is_target = false;
    }
    for (size_t k = 0; k < count; k++) {
        uint32_t i = member_find(r, &peers[k].id);
        if (i == REPLICATE_INSIDE_NO_MEMBER) {
            i = member_new(t, r, &peers[k].id, peers[k].host);
        }
        if (i == REPLICATE_INSIDE_NO_MEMBER) {
            continue; /* more joiners than there is room for: the next change sees to it */
        }
        struct replicate_member *m = &r->members[i];
        m->is_target = true;
        m->host = peers[k].host;
        struct ring_id there = ids_ring_minus(m->at, r->s.topo->table->self);
        if (!was_target[i] && has_failed && ids_ring_is_less(far, there)) {
            m->hold_until_us = t->now_us + (uint64_t)REPLICATE_HOLD_DOWN_S * 1000000;
        }
    }
    for (uint32_t i = 0; i < STORE_MEMBERS_CAP; i++) {
        struct replicate_member *m = &r->members[i];
        bool is_remembered =
            m->is_handed_over || (m->kept_until_us > t->now_us && is_connected(r, &m->id));
        if (m->is_used && !m->is_target && !m->is_joiner && !is_remembered) {
            member_end(t, r, i); /* should it come back, it may come back empty */
        }
    }
}

uint32_t replicate_walk_joiner(struct turn *t, struct replicate *r, const struct node_id *joiner)
{
    uint32_t joiners = 0;
    for (uint32_t i = 0; i < STORE_MEMBERS_CAP; i++) {
        joiners += r->members[i].is_joiner || r->members[i].is_handed_over ? 1 : 0;
    }
    uint32_t index = member_find(r, joiner);
    if (index != REPLICATE_INSIDE_NO_MEMBER && !r->members[index].is_joiner) {
        member_end(t, r, index); /* was here before, and may come back empty */
        index = REPLICATE_INSIDE_NO_MEMBER;
    }
    if (index == REPLICATE_INSIDE_NO_MEMBER && joiners < REPLICATE_JOINERS_CAP) {
        index = member_new(t, r, joiner, 0);
    }
    if (index == REPLICATE_INSIDE_NO_MEMBER) {
        return index;
    }
    struct replicate_member *m = &r->members[index];
    m->is_joiner = m->is_pass_whole = true;
    m->is_missing = false;
    m->deadline_us = t->now_us + (uint64_t)REPLICATE_HAND_OVER_S * 1000000;
    r->walk_at = 0; /* a pass that sees everything begins here */
    replicate_walk_dirty(t, r);
    return index;
}

/* what a set lacks */

/* It refused because its tables were behind: an Update of its own says that they have moved. */
static bool has_changed_its_mind(const struct replicate *r, const struct replicate_member *m)
{
    const struct chord_table_node *n = chord_table_find(r->s.topo->table, &m->id);
    return m->refused_us != 0 && n != NULL && n->updated_us > m->refused_us;
}

static bool is_held(const struct turn *t, const struct replicate *r,
                    const struct replicate_member *m)
{
    return m->hold_until_us > t->now_us ||
           (m->not_before_us > t->now_us && !has_changed_its_mind(r, m));
}

static bool send_copy(struct turn *t, struct replicate *r, struct store_set *set, uint32_t member)
{
    struct replicate_member *m = &r->members[member];
    if ((is_held(t, r, m) && !r->is_leaving) || m->under_way >= REPLICATE_PER_MEMBER) {
        return false;
    }
    struct replicate_op *op = replicate_op_new(r, REPLICATE_COPY, member, set);
    if (op == NULL) {
        return false;
    }
    if (!replicate_op_send(t, r, op, 0)) {
        replicate_op_end(r, op);
        m->not_before_us = t->now_us + SEND_PAUSE_US; /* no link, or too much under way */
        return false;
    }
    set->under_way |= replicate_inside_bit(member);
    return true;
}

/* True when `member` has the set; else it is sent if it may be. */
static bool see_to(struct turn *t, struct replicate *r, struct store_set *set, uint32_t member)
{
    if ((set->placed & replicate_inside_bit(member)) != 0) {
        return true;
    }
    if ((set->under_way & replicate_inside_bit(member)) == 0) {
        (void)send_copy(t, r, set, member);
    }
    r->is_missing = true;
    return false;
}

/* Leaving: the set should stand at all targets, which are its owner to be and the next ones. */
static void see_to_leave(struct replicate *r, const struct store_set *set)
{
    for (uint32_t i = 0; i < STORE_MEMBERS_CAP; i++) {
        const struct replicate_member *m = &r->members[i];
        r->is_leave_missing |= m->is_target && (set->placed & replicate_inside_bit(i)) == 0;
    }
}

static void visit_owned(struct turn *t, struct replicate *r, struct store_set *set,
                        struct ring_id at)
{
    struct ring_id from = chord_table_range_from(r->s.topo->table);
    set->is_owned = true;
    set->unwanted_since_s = 0;
    for (uint32_t i = 0; i < STORE_MEMBERS_CAP; i++) {
        struct replicate_member *m = &r->members[i];
        /* Another joiner may have come in between: then nothing of ours is for this one. */
        bool is_due = m->is_joiner && topo_is_responsible(r->s.topo, m->at);
        if (is_due && ids_ring_is_between(at, from, m->at)) {
            m->is_missing |= !see_to(t, r, set, i);
        } else if (m->is_target) {
            (void)see_to(t, r, set, i);
        }
    }
    if (r->is_leaving) {
        see_to_leave(r, set);
    }
}

/* To the owner, who may have it already; on_result goes on. */
static void give_back(struct turn *t, struct replicate *r, struct store_set *set)
{
    r->is_missing = true;
    if (set->is_pushing || r->return_after_us > t->now_us) {
        return;
    }
    struct replicate_op *op =
        replicate_op_new(r, REPLICATE_RETURN, REPLICATE_INSIDE_NO_MEMBER, set);
    if (op == NULL) {
        return;
    }
    if (!replicate_op_send(t, r, op, 0)) {
        replicate_op_end(r, op);
        r->return_after_us = t->now_us + RETURN_PAUSE_US;
        return;
    }
    set->is_pushing = true;
}

/* Is the owner known to have it?  He has sent it to us, or taken it from us; when, is kept. */
static bool is_vouched_for(const struct turn *t, const struct replicate *r, struct store_set *set,
                           const struct topo_peer *owner)
{
    const struct chord_table_node *n = chord_table_find(r->s.topo->table, &owner->id);
    if (replicate_inside_is_vouched_by(set, owner->at) && n != NULL &&
        set->when_s >= n->up_since_us / 1000000) {
        return true;
    }
    uint32_t i = member_find(r, &owner->id);
    if (i == REPLICATE_INSIDE_NO_MEMBER || (set->placed & replicate_inside_bit(i)) == 0) {
        return false;
    }
    replicate_inside_vouch(t, set, owner->at);
    return true;
}

/* ST-18: an owner who is not known to have a set gets it from us, be it that we were the owner or
 * held a copy of what he never had.  A new owner who held a copy himself will say so, by sending
 * it; he has some time for that. */
static bool is_to_be_offered(const struct turn *t, const struct replicate *r, struct store_set *set,
                             struct ring_id at)
{
    struct topo_peer owner;
    if (!topo_owner(r->s.topo, at, &owner)) {
        return false;
    }
    if (is_vouched_for(t, r, set, &owner)) {
        if (set->is_owned) { /* from now on others may drop it (FORGET_PLACED_S) */
            replicate_inside_vouch(t, set, owner.at);
        }
        set->is_owned = false;
        return false;
    }
    if (set->vouched_by != 0 || set->when_s == 0) {
        set->vouched_by = 0;
        bool is_at_once = set->is_owned || r->is_leaving;
        set->when_s = replicate_inside_seconds(t) + (is_at_once ? 0 : OFFER_WAIT_S);
    }
    return true;
}

/* Leaving: what an owner is known to have is as good as he is.  Who has died without a word shows
 * it by not answering; one set, which he has, is question enough for all that he owns.  Then he is
 * neighbor no more, and somebody else is the owner, perhaps ourselves. */
static void ask_witness(struct turn *t, struct replicate *r, struct store_set *set,
                        struct ring_id at)
{
    struct topo_peer owner;
    if (!topo_owner(r->s.topo, at, &owner)) {
        return;
    }
    struct replicate_witness *w = replicate_inside_witness(r, owner.at);
    if (w != NULL && w->has_answered) {
        return;
    }
    r->is_leave_missing = true;
    if (w == NULL && r->witness_count < REPLICATE_INSIDE_WITNESSES) {
        w = &r->witnesses[r->witness_count++];
        *w = (struct replicate_witness){.at = owner.at};
    }
    if (w != NULL && (w->asked_us == 0 || w->asked_us + WITNESS_PAUSE_US <= t->now_us)) {
        give_back(t, r, set);
        w->asked_us = set->is_pushing ? t->now_us : w->asked_us;
    }
}

static void visit_other(struct turn *t, struct replicate *r, struct store_set *set,
                        struct ring_id at)
{
    uint32_t now_s = replicate_inside_seconds(t);
    bool is_due = is_to_be_offered(t, r, set, at);
    bool is_wanted = topo_is_replica(r->s.topo, at);
    if (set->vouched_by != 0 && now_s - set->when_s >= FORGET_PLACED_S) {
        set->placed = 0;
    }
    if (is_wanted) {
        set->unwanted_since_s = 0;
    } else if (set->unwanted_since_s == 0) {
        set->unwanted_since_s = now_s;
    }
    bool is_unwanted = !is_wanted && now_s - set->unwanted_since_s >= REPLICATE_UNWANTED_S;
    r->is_missing |= is_due;
    bool is_to_go = set->is_owned || is_unwanted || is_due;
    if (!is_to_go && r->is_leaving) {
        ask_witness(t, r, set, at);
    }
    if (!is_to_go) {
        return;
    }
    r->is_leave_missing |= r->is_leaving;
    if (set->vouched_by != 0 || set->when_s <= now_s) {
        give_back(t, r, set);
    }
}

/* Nothing of it goes anywhere before it is proved; whoever must have it waits. */
static void wait_for_proof(struct replicate *r, struct ring_id at)
{
    struct ring_id from = chord_table_range_from(r->s.topo->table);
    r->is_missing = true;
    r->is_leave_missing |= r->is_leaving && topo_is_responsible(r->s.topo, at);
    for (uint32_t i = 0; i < STORE_MEMBERS_CAP; i++) {
        struct replicate_member *m = &r->members[i];
        m->is_missing |= m->is_joiner && ids_ring_is_between(at, from, m->at);
    }
}

static void visit(struct turn *t, struct replicate *r, struct store_set *set)
{
    struct ring_id at = {0, 0};
    enum err e = ids_ring_of_resource(slice_of(set->resource, sizeof(set->resource)), &at);
    CHECK(e == ERR_OK);
    if (set->is_unproved) {
        wait_for_proof(r, at);
        return;
    }
    if (!store_set_is_alive(t, r->s.store, set)) {
        return; /* the sweep takes it */
    }
    if (topo_is_responsible(r->s.topo, at)) {
        visit_owned(t, r, set, at);
    } else {
        visit_other(t, r, set, at);
    }
}

/* passes */

static void joiner_done(struct replicate *r, struct replicate_member *m, uint64_t now_us,
                        enum err error)
{
    r->may_tell = true;
    m->is_joiner = false;
    m->kept_until_us = now_us + (uint64_t)REPLICATE_UNWANTED_S * 1000000;
    m->is_handed_over = true;
    m->error = error;
}

static void leave_done(struct replicate *r, enum err error)
{
    r->is_leaving = false;
    r->is_left = true;
    r->left_error = error;
}

static void end_pass(struct turn *t, struct replicate *r)
{
    for (uint32_t i = 0; i < STORE_MEMBERS_CAP; i++) {
        struct replicate_member *m = &r->members[i];
        if (m->is_joiner && m->is_pass_whole && !m->is_missing) {
            joiner_done(r, m, t->now_us, ERR_OK);
        }
        m->is_pass_whole = m->is_joiner;
        m->is_missing = false;
    }
    if (r->is_leaving && r->is_leave_pass && !r->is_leave_missing) {
        leave_done(r, ERR_OK);
    }
    r->is_leave_pass = r->is_leaving;
    r->is_leave_missing = false;
    r->is_dirty = r->is_missing || r->is_again || r->is_leaving;
    r->is_missing = r->is_again = false;
    r->walk_at = 0;
    r->next_pass_us = t->now_us + PASS_EVERY_US;
}

static void check_deadlines(struct turn *t, struct replicate *r)
{
    for (uint32_t i = 0; i < STORE_MEMBERS_CAP; i++) {
        struct replicate_member *m = &r->members[i];
        if (m->is_joiner && m->deadline_us <= t->now_us) {
            joiner_done(r, m, t->now_us, ERR_TIMEOUT);
        }
    }
    if (r->is_leaving && r->leave_deadline_us <= t->now_us) {
        leave_done(r, ERR_TIMEOUT);
    }
}

static bool is_waited_for(const struct replicate *r)
{
    for (uint32_t i = 0; i < STORE_MEMBERS_CAP; i++) {
        if (r->members[i].is_joiner) {
            return true;
        }
    }
    return r->is_leaving;
}

static uint64_t idle_us(const struct turn *t, const struct replicate *r)
{
    struct store_totals totals;
    if (is_waited_for(r) || r->is_sweeping) {
        return TICK_SOON_US;
    }
    store_totals(r->s.store, &totals);
    uint64_t pass_us = r->next_pass_us > t->now_us ? r->next_pass_us - t->now_us : 0;
    return totals.sets == 0 ? TICK_EMPTY_US : max_u64(min_u64(pass_us, TICK_IDLE_US), TICK_SOON_US);
}

void replicate_walk(struct turn *t, struct replicate *r)
{
    bool may_walk = r->s.topo->table->is_member;
    r->is_dirty |= r->next_pass_us <= t->now_us;
    for (uint32_t i = 0; may_walk && r->is_dirty && i < VISITS_PER_CALL; i++) {
        struct store_set *set = store_set_next(r->s.store, &r->walk_at);
        if (set == NULL) {
            end_pass(t, r);
            break; /* the next pass begins at another time, else it could go round and round */
        }
        visit(t, r, set);
    }
    check_deadlines(t, r);
    bool is_busy = may_walk && r->is_dirty;
    uint32_t missing_us = r->ops.in_use > 0 ? TICK_BUSY_US : TICK_HELD_US;
    uint64_t due_us = t->now_us + (is_busy ? missing_us : idle_us(t, r));
    if (!wheel_is_armed(&r->timer) || due_us < r->timer.due_us) {
        wheel_arm(t->wheel, &r->timer, due_us);
    }
}

void replicate_walk_dirty(struct turn *t, struct replicate *r)
{
    r->is_again = true;
    r->is_dirty = true;
    uint64_t due_us = t->now_us + 1000;
    if (!wheel_is_armed(&r->timer) || due_us < r->timer.due_us) {
        wheel_arm(t->wheel, &r->timer, due_us);
    }
}
