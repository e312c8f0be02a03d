/* SPDX-License-Identifier: Apache-2.0 */
/* link_table.c - who may have a link, which of two is kept, and the lists of what is to be done.
 *
 * Strangers (accepted, not yet authenticated) are bounded in number, per address, and in what they
 * may take of the whole table: an eighth of the links and a quarter of the handshakes stay reserved
 * for links that we dial.  When strangers fill their share, the one that has kept us waiting
 * longest goes, so that idle connections cannot lock out somebody who means it. */
#include "link/link_table.h"
#include "core/limits.h"
#include "core/trace.h"
#include "link/dtls.h"
#include "link/link_life.h"
#include "link/trunk.h"

enum { LINK_KIND = HANDLE_LINK };
STATIC_CHECK(sizeof(struct link) <= LIMITS_COST_links);
STATIC_CHECK(sizeof(struct dtls) <= LIMITS_COST_links_datagram);
STATIC_CHECK((int)MSGBUF_HEADROOM >= (int)LINK_HEADROOM); /* of a message that was cut */

#define EDGE(state) (1u << LINK_STATE_##state)
static const unsigned edges[LINK_STATE_COUNT] = {
    [LINK_STATE_DIALLING] = EDGE(HANDSHAKE) | EDGE(DOWN),
    [LINK_STATE_HANDSHAKE] = EDGE(UP) | EDGE(DRAINING) | EDGE(DOWN),
    [LINK_STATE_UP] = EDGE(SUSPECT) | EDGE(DRAINING) | EDGE(DOWN),
    [LINK_STATE_SUSPECT] = EDGE(UP) | EDGE(DRAINING) | EDGE(DOWN),
    [LINK_STATE_DRAINING] = EDGE(UP) | EDGE(DOWN),
    [LINK_STATE_DOWN] = 0,
};

unsigned link_table_edges(enum link_state from)
{
    return edges[from];
}

/* ---- lists ---- */

static void init_list(struct link_node *head)
{
    head->next = head;
    head->prev = head;
}

static void push_node(struct link_node *head, struct link_node *node)
{
    if (node->next != NULL) {
        return;
    }
    node->next = head;
    node->prev = head->prev;
    head->prev->next = node;
    head->prev = node;
}

static void drop_node(struct link_node *node)
{
    if (node->next != NULL) {
        node->prev->next = node->next;
        node->next->prev = node->prev;
        node->next = NULL;
        node->prev = NULL;
    }
}

void link_table_note_ready(struct link_table *lt, struct link *l)
{
    push_node(&lt->ready, &l->ready);
}

void link_table_note_dirty(struct link_table *lt, struct link *l)
{
    push_node(&lt->dirty, &l->dirty);
}

/* ---- the table ---- */

static size_t slots_of(uint32_t cap)
{
    size_t slots = 4; /* as core/table.c counts them */
    while (slots * 3 < (size_t)cap * 4) {
        slots *= 2;
    }
    return slots;
}

size_t link_table_bytes(const struct link_settings *s)
{
    size_t links = s->links;
    return sizeof(struct link_table) + links * (sizeof(struct link) + 16 + 2 * sizeof(uint32_t)) +
           2 * tags_bytes(s->links) + frame_io_flights_bytes(s->links) + LINK_HEADROOM +
           TLS_READ_BYTES + s->links_datagram * (sizeof(struct dtls) + 2 * sizeof(uint32_t)) +
           slots_of(s->links_datagram) * (sizeof(struct address) + sizeof(uint32_t)) +
           announced_bytes(s->announced, s->parked) + 16 * 64; /* alignment */
}

struct link_table *link_table_init(struct arena *arena, const struct link_settings *s)
{
    CHECK(s->links > 0);
    CHECK(s->tls != NULL && s->trust != NULL);
    struct link_table *lt = ARENA_ARRAY(arena, struct link_table, 1);
    lt->settings = *s;
    lt->message_cap = (uint32_t)min_size(s->max_message_bytes, LINK_TABLE_MESSAGE_CAP);
    lt->chunk = ARENA_SCRATCH(arena, uint8_t, LINK_HEADROOM + TLS_READ_BYTES) + LINK_HEADROOM;
    pool_init(&lt->pool, arena, "links", LINK_KIND, s->links, sizeof(struct link));
    /* Its keys are authenticated Node-IDs, at most one for each link: no seed is needed against
     * chosen collisions. */
    tags_init(&lt->by_node, arena, s->links, 0);
    tags_init(&lt->draining, arena, s->links, 0);
    frame_io_flights_init(&lt->flights, arena, s->links);
    pool_init(&lt->datagram_pool, arena, "links_datagram", HANDLE_NONE, s->links_datagram,
              sizeof(struct dtls));
    table_init(&lt->by_address, arena, s->links_datagram, sizeof(struct address), s->secret);
    announced_init(&lt->announced, arena, s->announced, s->parked);
    pace_init(&lt->pace, s->handshakes_per_s, s->handshakes_per_host_s, s->secret);
    lt->settings.datagram_bytes =
        (uint32_t)min_size(s->datagram_bytes, MSGBUF_SMALL_BYTES - TLS_DATAGRAM_OVERHEAD);
    init_list(&lt->ready);
    init_list(&lt->dirty);
    init_list(&lt->handshaking);
    return lt;
}

handle link_table_handle(const struct link_table *lt, const struct link *l)
{
    (void)lt;
    return l->timer.tag; /* pool_handle divides */
}

struct link *link_table_get(const struct link_table *lt, handle h)
{
    return pool_get(&lt->pool, h);
}

void link_table_settle_loan(struct link_table *lt)
{
    if (lt->lender != NULL) {
        lt->settings.tls->keep(lt->lender);
        lt->lender = NULL;
    }
}

static uint32_t index_of(const struct link_table *lt, const struct link *l)
{
    return handle_index(pool_handle(&lt->pool, l));
}

static uint32_t tag_of(const struct tags *tags, const struct node_id *id)
{
    return tags_hash(tags, slice_of(id->bytes, sizeof(id->bytes)));
}

static struct link *look_up(const struct link_table *lt, const struct tags *tags,
                            const struct node_id *id)
{
    uint32_t tag = tag_of(tags, id);
    uint32_t at = tag;
    uint32_t index = 0;
    while (tags_next(tags, tag, &at, &index)) {
        struct link *l =
            (struct link *)(void *)(lt->pool.objects + (size_t)index * lt->pool.object_size);
        if (ids_node_is_equal(&l->node_id, id)) {
            return l;
        }
    }
    return NULL;
}

/* Nobody of this Node-ID stands there yet. */
static void put(struct link_table *lt, struct tags *tags, const struct link *l)
{
    DCHECK(look_up(lt, tags, &l->node_id) == NULL);
    enum err error = tags_insert(tags, tag_of(tags, &l->node_id), index_of(lt, l));
    CHECK(error == ERR_OK);
}

static void take_out(struct link_table *lt, struct tags *tags, const struct link *l)
{
    bool was_there = tags_remove(tags, tag_of(tags, &l->node_id), index_of(lt, l));
    CHECK(was_there);
}

struct link *link_table_find(const struct link_table *lt, const struct node_id *id)
{
    return look_up(lt, &lt->by_node, id);
}

struct link *link_table_draining(const struct link_table *lt, const struct node_id *id)
{
    return look_up(lt, &lt->draining, id);
}

struct link *link_table_add(struct link_table *lt, enum link_state first)
{
    struct link *l = pool_acquire(&lt->pool);
    if (l == NULL) {
        return NULL;
    }
    l->state = first;
    l->timer.tag = pool_handle(&lt->pool, l);
    frame_io_init(&l->frames, &lt->flights);
    return l;
}

void link_table_remove(struct turn *t, struct link_table *lt, struct link *l)
{
    CHECK(l->state == LINK_STATE_DOWN);
    CHECK(l->tls == NULL && l->conn == 0);
    CHECK(lt->reading != l);
    wheel_cancel(t->wheel, &l->timer);
    drop_node(&l->ready);
    drop_node(&l->dirty);
    CHECK(l->handshaking.next == NULL);
    if (l->gather != NULL) {
        msgbuf_release(t->buffers, l->gather);
    }
    if (l->partial != NULL) {
        msgbuf_release(t->buffers, l->partial);
    }
    frame_io_fini(&l->frames, t->buffers);
    if (l->dtls != NULL) {
        dtls_release(t, lt, l);
    }
    if (lt->mail_from == l) {
        lt->mail_from = NULL;
    }
    pool_release(&lt->pool, l);
}

static bool is_serving(enum link_state state)
{
    return state == LINK_STATE_UP || state == LINK_STATE_SUSPECT;
}

/* A gauge is a counter that also goes down. */
static void add_gauge(struct turn *t, enum metric which, int amount)
{
    metric_add(t->metrics, which, (uint64_t)(int64_t)amount);
}

/* Counts and lists of strangers and dials. */
static void leave_handshake(struct turn *t, struct link_table *lt, struct link *l)
{
    if (l->is_dialled) {
        CHECK(lt->dialling_count > 0);
        lt->dialling_count--;
    } else {
        CHECK(lt->handshaking_count > 0);
        lt->handshaking_count--;
        drop_node(&l->handshaking);
    }
    add_gauge(t, METRIC_links_handshaking, -1);
}

static void set_first_draining(struct link_table *lt, const struct link *before,
                               const struct link *first)
{
    if (before != NULL) {
        take_out(lt, &lt->draining, before);
    }
    if (first != NULL) {
        put(lt, &lt->draining, first);
    }
}

static void enter_draining(struct link_table *lt, struct link *l)
{
    l->next_draining = link_table_draining(lt, &l->node_id);
    set_first_draining(lt, l->next_draining, l);
}

static void leave_draining(struct link_table *lt, struct link *l)
{
    struct link *before = link_table_draining(lt, &l->node_id);
    if (before == l) {
        set_first_draining(lt, l, l->next_draining);
    } else {
        while (before->next_draining != l) {
            before = before->next_draining;
        }
        before->next_draining = l->next_draining;
    }
    l->next_draining = NULL;
}

void link_table_enter(struct turn *t, struct link_table *lt, struct link *l, enum link_state next)
{
    enum link_state from = l->state;
    CHECK((edges[from] & 1u << next) != 0);
    trace_note(t->now_us, TRACE_link_state, link_table_handle(lt, l), (uint64_t)from << 8 | next);
    l->state = next;
    bool was_early = from == LINK_STATE_DIALLING || from == LINK_STATE_HANDSHAKE;
    if (was_early && next != LINK_STATE_HANDSHAKE) {
        leave_handshake(t, lt, l);
    }
    if (is_serving(from) && !is_serving(next)) {
        if (link_table_find(lt, &l->node_id) == l) {
            take_out(lt, &lt->by_node, l);
        }
        CHECK(lt->up_count > 0);
        lt->up_count--;
        add_gauge(t, METRIC_links_up, -1);
    }
    if (from == LINK_STATE_DRAINING) {
        leave_draining(lt, l);
    } else if (next == LINK_STATE_DRAINING) {
        enter_draining(lt, l);
    }
    if (!is_serving(from) && is_serving(next)) {
        put(lt, &lt->by_node, l);
        l->was_up = true;
        lt->up_count++;
        add_gauge(t, METRIC_links_up, 1);
        metric_add(t->metrics, METRIC_links_authenticated, 1);
        link_table_note_ready(lt, l);
    }
}

/* ---- admission ---- */

static struct link *stranger_of(struct link_node *node)
{
    return CONTAINER_OF(node, struct link, handshaking);
}

/* Who goes first when there is no room: whoever has not said a word, then by age. */
static bool is_less_earnest(const struct link *a, const struct link *b)
{
    return b == NULL || (a->tls == NULL && b->tls != NULL);
}

/* Counts the strangers of that address (NULL: of any), and picks the one to go first. */
static uint32_t count_strangers(struct link_table *lt, const struct address *host,
                                struct link **candidate)
{
    uint32_t count = 0;
    *candidate = NULL;
    for (struct link_node *n = lt->handshaking.next; n != &lt->handshaking; n = n->next) {
        struct link *l = stranger_of(n);
        if (host != NULL && !address_is_same_host(&l->remote, host)) {
            continue;
        }
        *candidate = is_less_earnest(l, *candidate) ? l : *candidate;
        count++;
    }
    return count;
}

void link_table_note_stranger(struct link_table *lt, struct link *l)
{
    lt->handshaking_count++;
    l->handshaking.next = &lt->handshaking; /* at the end: the list is in order of age */
    l->handshaking.prev = lt->handshaking.prev;
    lt->handshaking.prev->next = &l->handshaking;
    lt->handshaking.prev = &l->handshaking;
}

static bool evict(struct turn *t, struct link_table *lt, struct link *candidate)
{
    if (candidate == NULL) {
        return false;
    }
    uint64_t patience_us =
        candidate->tls == NULL ? LINK_TABLE_PATIENCE_IDLE_US : LINK_TABLE_PATIENCE_US;
    if (t->now_us - candidate->opened_us < patience_us) {
        return false;
    }
    link_life_fail(t, lt, candidate, ERR_LIMIT, METRIC_link_evicted, "made room for another");
    return true;
}

bool link_table_admit(struct turn *t, struct link_table *lt, const struct address *remote)
{
    const struct link_settings *s = &lt->settings;
    uint32_t strangers_cap = s->handshaking - s->handshaking / 4;
    uint32_t links_cap = s->links - s->links / 8;
    struct link *candidate = NULL;
    if (s->handshaking_per_host > 0 &&
        count_strangers(lt, remote, &candidate) >= s->handshaking_per_host &&
        !evict(t, lt, candidate)) {
        metric_add(t->metrics, METRIC_link_refused_host, 1);
        return false;
    }
    if (lt->handshaking_count >= strangers_cap) {
        count_strangers(lt, NULL, &candidate);
        if (!evict(t, lt, candidate)) {
            metric_add(t->metrics, METRIC_link_refused_handshaking, 1);
            return false;
        }
    }
    if (lt->pool.in_use >= links_cap) {
        metric_add(t->metrics, METRIC_link_refused_full, 1);
        return false;
    }
    return true;
}

/* ---- glare ----
 *
 * The rule gives both sides the same answer when each has dialled.  Two links dialled by the same
 * side may be authenticated in another order on the other; then each side keeps one and drains the
 * other until the dialler closes the one that it does not want, and the acceptor, if it had kept
 * just that, goes over to the one that it was draining.  No message is lost meanwhile. */

/* Which side has the larger Node-ID keeps the link that it dialled; of two from the same side, or
 * when the old one does not answer, the new one is the one that works. */
static bool is_newer_kept(const struct link_table *lt, const struct link *old,
                          const struct link *newer)
{
    if (old->is_local) {
        return false;
    }
    if (old->dtls != NULL && newer->dtls != NULL &&
        address_is_equal(&old->remote, &newer->remote)) {
        return true; /* whoever has that address has no keys of the old one any more */
    }
    if (old->is_dialled == newer->is_dialled || old->state == LINK_STATE_SUSPECT) {
        return true;
    }
    bool is_ours_larger =
        memcmp(lt->settings.self.bytes, newer->node_id.bytes, sizeof(newer->node_id.bytes)) > 0;
    return newer->is_dialled == is_ours_larger;
}

static void drain(struct turn *t, struct link_table *lt, struct link *l)
{
    metric_add(t->metrics, METRIC_link_glare, 1);
    l->error = ERR_EXISTS;
    l->owes_down = true;
    link_table_enter(t, lt, l, LINK_STATE_DRAINING);
    link_table_arm_drain(t, lt, l);
    link_table_note_ready(lt, l);
}

void link_table_arm_drain(struct turn *t, struct link_table *lt, struct link *l)
{
    l->drain_bytes_in = l->bytes_in;
    l->timer.what = TRUNK_TIMER_DRAIN;
    /* The dialler closes first; by then the acceptor must not have given up the other one. */
    uint64_t wait_us = l->is_dialled ? TRUNK_DRAIN_US : TRUNK_DRAIN_ACCEPTED_US;
    l->down_at_us = t->now_us + wait_us;
    if (l->dtls != NULL) {
        dtls_arm(t, lt, l); /* what is under way is still sent again */
    } else {
        wheel_arm(t->wheel, &l->timer, l->down_at_us);
    }
}

void link_table_promote(struct turn *t, struct link_table *lt, const struct node_id *id)
{
    if (ids_node_is_invalid(id) || link_table_find(lt, id) != NULL) {
        return;
    }
    struct link *l = link_table_draining(lt, id);
    if (l == NULL) {
        return;
    }
    l->told_up = l->told_up && !l->told_down; /* LINK_UP is due again after a LINK_DOWN */
    l->told_down = false;
    l->told_suspect = false;
    l->owes_down = false;
    wheel_cancel(t->wheel, &l->timer);
    link_table_enter(t, lt, l, LINK_STATE_UP);
    if (l->dtls != NULL) {
        dtls_arm(t, lt, l);
    } else {
        trunk_arm_silence(t, l);
    }
}

/* Who dials again and again, and keeps what it dialled before busy, would fill the table with one
 * certificate: the oldest of its draining links ends when there are too many. */
static void thin_out(struct turn *t, struct link_table *lt, const struct node_id *id)
{
    struct link *oldest = NULL;
    uint32_t count = 0;
    for (struct link *l = link_table_draining(lt, id); l != NULL; l = l->next_draining) {
        oldest = oldest == NULL || l->opened_us < oldest->opened_us ? l : oldest;
        count++;
    }
    if (count > LINK_TABLE_DRAINING_PER_NODE) {
        oldest->gives_back = true;
        link_life_close(t, lt, oldest, ERR_EXISTS);
    }
}

static void settle(struct turn *t, struct link_table *lt, struct link *l)
{
    struct link *old = link_table_find(lt, &l->node_id);
    if (old != NULL && !is_newer_kept(lt, old, l)) {
        drain(t, lt, l);
        return;
    }
    link_table_note_ready(lt, l); /* in front of the old one: LINK_UP comes before LINK_DOWN */
    if (old != NULL) {
        drain(t, lt, old);
    }
    link_table_enter(t, lt, l, LINK_STATE_UP);
}

void link_table_settle(struct turn *t, struct link_table *lt, struct link *l)
{
    settle(t, lt, l);
    thin_out(t, lt, &l->node_id);
}
