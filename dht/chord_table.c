/* SPDX-License-Identifier: Apache-2.0 */
/* chord_table.c - the array is sorted by clockwise distance from ourselves, so that successors
 * stand at its front, predecessors at its end, and the next hop towards k is the last one not
 * beyond k. */
#include "dht/chord_table.h"

#include "core/slice.h"

size_t chord_table_bytes(uint32_t nodes)
{
    return (size_t)nodes * sizeof(struct chord_table_node) + _Alignof(struct chord_table_node) +
           (CHORD_TABLE_MEMOS + 1) * sizeof(uint32_t);
}

void chord_table_init(struct chord_table *ct, struct arena *arena, uint32_t nodes,
                      const struct node_id *self, uint64_t self_host)
{
    *ct = (struct chord_table){
        .self = ids_ring_of_node(self), .self_id = *self, .self_host = self_host, .cap = nodes};
    ct->span = (struct ring_id){UINT64_MAX, UINT64_MAX};
    ct->nodes = ARENA_RAW(arena, struct chord_table_node, nodes);
    ct->memos = ARENA_ARRAY(arena, uint32_t, CHORD_TABLE_MEMOS);
    ct->generation = 1;
}

static struct ring_id distance(const struct chord_table *ct, struct ring_id to)
{
    return ids_ring_minus(to, ct->self);
}

/* Index of the first node whose distance is not less than that of `at`. */
static uint32_t lower_bound(const struct chord_table *ct, struct ring_id at)
{
    struct ring_id wanted = distance(ct, at);
    uint32_t low = 0;
    uint32_t high = ct->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (ids_ring_is_less(distance(ct, ct->nodes[middle].at), wanted)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Is that what lower_bound would say? */
static bool is_place(const struct chord_table *ct, uint32_t index, struct ring_id wanted)
{
    return index <= ct->count &&
           (index == ct->count || !ids_ring_is_less(distance(ct, ct->nodes[index].at), wanted)) &&
           (index == 0 || ids_ring_is_less(distance(ct, ct->nodes[index - 1].at), wanted));
}

/* The same, remembered. */
static HOT uint32_t place_of(const struct chord_table *ct, struct ring_id at)
{
    uint32_t *memo = &ct->memos[(at.hi ^ at.lo) % CHORD_TABLE_MEMOS];
    if (UNLIKELY(!is_place(ct, *memo, distance(ct, at)))) {
        *memo = lower_bound(ct, at);
    }
    return *memo;
}

static bool find(const struct chord_table *ct, const struct node_id *id, uint32_t *index)
{
    uint32_t i = place_of(ct, ids_ring_of_node(id));
    if (i >= ct->count || !ids_node_is_equal(&ct->nodes[i].id, id)) {
        return false;
    }
    *index = i;
    return true;
}

const struct chord_table_node *chord_table_find(const struct chord_table *ct,
                                                const struct node_id *id)
{
    uint32_t i = 0;
    return find(ct, id, &i) ? &ct->nodes[i] : NULL;
}

static bool is_routable(const struct chord_table_node *n)
{
    return n->state == CHORD_TABLE_PEER && !n->is_suspect;
}

/* Without a predecessor it wraps round: the whole ring. */
static void derive_span(struct chord_table *ct)
{
    struct ring_id one = {0, 1};
    ct->span = ids_ring_minus(ids_ring_minus(ct->self, chord_table_range_from(ct)), one);
}

static void derive(struct chord_table *ct)
{
    ct->generation++;
    ct->successor_count = 0;
    ct->predecessor_count = 0;
    for (uint32_t i = 0; i < ct->count && ct->successor_count < CHORD_TABLE_NEIGHBORS; i++) {
        if (is_routable(&ct->nodes[i])) {
            ct->successors[ct->successor_count++] = i;
        }
    }
    for (uint32_t i = ct->count; i > 0 && ct->predecessor_count < CHORD_TABLE_NEIGHBORS; i--) {
        if (is_routable(&ct->nodes[i - 1])) {
            ct->predecessors[ct->predecessor_count++] = i - 1;
        }
    }
    derive_span(ct);
}

/* Before and after a change the neighbors are compared by name, since indices shift. */
struct before {
    struct ring_id successors[CHORD_TABLE_NEIGHBORS];
    struct ring_id predecessors[CHORD_TABLE_NEIGHBORS];
    uint32_t successor_count;
    uint32_t predecessor_count;
};

static void remember(const struct chord_table *ct, struct before *b)
{
    b->successor_count = ct->successor_count;
    b->predecessor_count = ct->predecessor_count;
    for (uint32_t i = 0; i < ct->successor_count; i++) {
        b->successors[i] = ct->nodes[ct->successors[i]].at;
    }
    for (uint32_t i = 0; i < ct->predecessor_count; i++) {
        b->predecessors[i] = ct->nodes[ct->predecessors[i]].at;
    }
}

static bool settle(struct chord_table *ct, const struct before *b)
{
    derive(ct);
    bool is_same =
        b->successor_count == ct->successor_count && b->predecessor_count == ct->predecessor_count;
    for (uint32_t i = 0; is_same && i < ct->successor_count; i++) {
        is_same = ids_ring_is_equal(b->successors[i], ct->nodes[ct->successors[i]].at);
    }
    for (uint32_t i = 0; is_same && i < ct->predecessor_count; i++) {
        is_same = ids_ring_is_equal(b->predecessors[i], ct->nodes[ct->predecessors[i]].at);
    }
    if (!is_same) {
        ct->version++;
    }
    return !is_same;
}

enum err chord_table_add(struct chord_table *ct, const struct chord_table_node *node)
{
    uint32_t i = lower_bound(ct, ids_ring_of_node(&node->id));
    bool is_there =
        i < ct->count && ids_ring_is_equal(ct->nodes[i].at, ids_ring_of_node(&node->id));
    if (is_there || ids_node_is_equal(&node->id, &ct->self_id)) {
        return ERR_EXISTS;
    }
    if (ct->count == ct->cap) {
        return ERR_LIMIT;
    }
    struct before b;
    remember(ct, &b);
    memmove(&ct->nodes[i + 1], &ct->nodes[i], (ct->count - i) * sizeof(ct->nodes[0]));
    ct->nodes[i] = *node;
    ct->nodes[i].at = ids_ring_of_node(&node->id);
    ct->count++;
    (void)settle(ct, &b);
    return ERR_OK;
}

bool chord_table_remove(struct chord_table *ct, const struct node_id *id)
{
    uint32_t i = 0;
    if (!find(ct, id, &i)) {
        return false;
    }
    struct before b;
    remember(ct, &b);
    ct->count--;
    memmove(&ct->nodes[i], &ct->nodes[i + 1], (ct->count - i) * sizeof(ct->nodes[0]));
    return settle(ct, &b);
}

bool chord_table_set_state(struct chord_table *ct, const struct node_id *id,
                           enum chord_table_state state)
{
    uint32_t i = 0;
    if (!find(ct, id, &i) || ct->nodes[i].state == state) {
        return false; /* each Update says it again */
    }
    struct before b;
    remember(ct, &b);
    ct->nodes[i].state = state;
    return settle(ct, &b);
}

bool chord_table_set_suspect(struct chord_table *ct, const struct node_id *id, bool is_suspect)
{
    uint32_t i = 0;
    if (!find(ct, id, &i)) {
        return false;
    }
    struct before b;
    remember(ct, &b);
    ct->nodes[i].is_suspect = is_suspect;
    return settle(ct, &b);
}

void chord_table_set_link(struct chord_table *ct, const struct node_id *id, handle link)
{
    uint32_t i = 0;
    if (find(ct, id, &i)) {
        ct->nodes[i].link = link;
        ct->nodes[i].is_suspect = false;
        derive(ct);
    }
}

void chord_table_note_asked(struct chord_table *ct, const struct node_id *id, uint64_t now_us)
{
    uint32_t i = 0;
    if (find(ct, id, &i)) {
        ct->nodes[i].asked_us = now_us;
    }
}

void chord_table_note_updated(struct chord_table *ct, const struct node_id *id, uint64_t now_us)
{
    uint32_t i = 0;
    if (find(ct, id, &i)) {
        ct->nodes[i].updated_us = now_us;
    }
}

void chord_table_set_names_us(struct chord_table *ct, const struct node_id *id, bool names_us)
{
    uint32_t i = 0;
    if (find(ct, id, &i)) {
        ct->nodes[i].names_us = names_us;
    }
}

void chord_table_set_update_due(struct chord_table *ct, const struct node_id *id, bool is_due)
{
    uint32_t i = 0;
    if (find(ct, id, &i)) {
        ct->nodes[i].update_due = is_due;
    }
}

bool chord_table_is_wanted(const struct chord_table *ct, struct ring_id at)
{
    struct ring_id clockwise = distance(ct, at);
    if (clockwise.hi == 0 && clockwise.lo == 0) {
        return false;
    }
    if (ct->successor_count < CHORD_TABLE_NEIGHBORS) {
        return true;
    }
    struct ring_id last_successor =
        distance(ct, ct->nodes[ct->successors[CHORD_TABLE_NEIGHBORS - 1]].at);
    struct ring_id last_predecessor =
        distance(ct, ct->nodes[ct->predecessors[CHORD_TABLE_NEIGHBORS - 1]].at);
    return ids_ring_is_less(clockwise, last_successor) ||
           ids_ring_is_less(last_predecessor, clockwise);
}

struct ring_id chord_table_range_from(const struct chord_table *ct)
{
    return ct->predecessor_count == 0 ? ct->self : ct->nodes[ct->predecessors[0]].at;
}

static bool is_usable(const struct chord_table_node *n, handle avoid)
{
    return is_routable(n) && (avoid == 0 || n->link != avoid);
}

HOT const struct chord_table_node *chord_table_next_hop(const struct chord_table *ct,
                                                        struct ring_id k, handle avoid)
{
    struct ring_id wanted = distance(ct, k);
    uint32_t beyond = place_of(ct, k);
    if (beyond < ct->count && ids_ring_is_equal(distance(ct, ct->nodes[beyond].at), wanted)) {
        beyond++; /* the interval (own, k] takes in k itself */
    }
    for (uint32_t i = beyond; i > 0; i--) {
        if (is_usable(&ct->nodes[i - 1], avoid)) {
            return &ct->nodes[i - 1];
        }
    }
    for (uint32_t i = beyond; i < ct->count; i++) {
        if (is_usable(&ct->nodes[i], avoid)) {
            return &ct->nodes[i];
        }
    }
    return NULL;
}

const struct chord_table_node *chord_table_nth_hop(const struct chord_table *ct, struct ring_id k,
                                                   uint32_t n)
{
    uint32_t beyond = place_of(ct, k);
    if (beyond < ct->count && ids_ring_is_equal(ct->nodes[beyond].at, k)) {
        beyond++;
    }
    for (uint32_t tried = 0; tried < ct->count; tried++) {
        bool is_before = tried < beyond;
        uint32_t i = is_before ? beyond - 1 - tried : tried;
        if (is_routable(&ct->nodes[i]) && n-- == 0) {
            return &ct->nodes[i];
        }
    }
    return NULL;
}

const struct chord_table_node *chord_table_owner_behind(const struct chord_table *ct,
                                                        struct ring_id k)
{
    const struct chord_table_node *found = NULL;
    for (uint32_t i = 0; i < ct->predecessor_count; i++) {
        const struct chord_table_node *n = &ct->nodes[ct->predecessors[i]];
        if (ids_ring_is_less(distance(ct, n->at), distance(ct, k))) {
            return found;
        }
        found = n;
    }
    bool is_behind = ids_ring_is_less(ids_ring_minus(ct->self, k), distance(ct, k));
    return is_behind ? found : NULL;
}

static struct ring_id power(uint32_t bit)
{
    return bit >= 64 ? (struct ring_id){1ull << (bit - 64), 0} : (struct ring_id){0, 1ull << bit};
}

void chord_table_finger_range(struct ring_id own, uint32_t i, struct ring_id *first,
                              struct ring_id *last)
{
    CHECK(i >= 1);
    CHECK(i <= CHORD_TABLE_FINGERS);
    struct ring_id width = power(CHORD_TABLE_FINGERS - i);
    *first = ids_ring_plus(own, width);
    *last = ids_ring_minus(ids_ring_plus(*first, width), (struct ring_id){0, 1});
}

const struct chord_table_node *chord_table_first_between(const struct chord_table *ct,
                                                         struct ring_id first, struct ring_id last)
{
    for (uint32_t i = lower_bound(ct, first); i < ct->count; i++) {
        if (ids_ring_is_less(distance(ct, last), distance(ct, ct->nodes[i].at))) {
            return NULL;
        }
        if (is_routable(&ct->nodes[i])) {
            return &ct->nodes[i];
        }
    }
    return NULL;
}

uint32_t chord_table_peers(const struct chord_table *ct)
{
    uint32_t peers = 0;
    for (uint32_t i = 0; i < ct->count; i++) {
        peers += is_routable(&ct->nodes[i]) ? 1 : 0;
    }
    return peers;
}

uint64_t chord_table_guess_peers(const struct chord_table *ct)
{
    uint32_t near = ct->successor_count + ct->predecessor_count;
    if (near == 0) {
        return 1;
    }
    const struct chord_table_node *ahead = chord_table_successor(ct, ct->successor_count - 1);
    const struct chord_table_node *behind = chord_table_predecessor(ct, ct->predecessor_count - 1);
    bool sees_all = !ids_ring_is_less(distance(ct, ahead->at), distance(ct, behind->at));
    if (near < 2 * CHORD_TABLE_NEIGHBORS || sees_all) {
        return 1 + (uint64_t)chord_table_peers(ct);
    }
    uint64_t span = ids_ring_minus(ahead->at, behind->at).hi;
    return near * (UINT64_MAX / (span + 1));
}

uint32_t chord_table_hosts(const struct chord_table *ct)
{
    uint64_t seen[1 + 2 * CHORD_TABLE_NEIGHBORS] = {ct->self_host};
    uint32_t count = 1;
    for (uint32_t i = 0; i < ct->successor_count + ct->predecessor_count; i++) {
        uint32_t index =
            i < ct->successor_count ? ct->successors[i] : ct->predecessors[i - ct->successor_count];
        uint64_t host = ct->nodes[index].host;
        uint32_t j = 0;
        while (j < count && seen[j] != host) {
            j++;
        }
        if (j == count) {
            seen[count++] = host;
        }
    }
    return count;
}
