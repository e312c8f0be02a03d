/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/ready.h"
#include "dht/chord_table.h"
#include "link/link.h"
#include "sim/net.h"

static void sift(struct ready_node *a, size_t at, size_t count)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count) {
            return;
        }
        if (child + 1 < count && ids_ring_is_less(a[child].at, a[child + 1].at)) {
            child++;
        }
        if (!ids_ring_is_less(a[at].at, a[child].at)) {
            return;
        }
        struct ready_node kept = a[at];
        a[at] = a[child];
        a[child] = kept;
        at = child;
    }
}

uint32_t ready_order(const struct world *w, struct ready_node *order)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < world_settings_of(w)->nodes; i++) {
        if (world_is_alive(w, i)) {
            order[count++] = (struct ready_node){ids_ring_of_node(&world_ident(w, i)->node_id), i};
        }
    }
    for (size_t at = count / 2; at-- > 0;) {
        sift(order, at, count);
    }
    for (size_t left = count; left-- > 1;) {
        struct ready_node kept = order[0];
        order[0] = order[left];
        order[left] = kept;
        sift(order, 0, left);
    }
    return count;
}

uint32_t ready_owner(const struct ready_node *order, uint32_t count, struct ring_id at)
{
    uint32_t low = 0;
    uint32_t high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (ids_ring_is_less(order[middle].at, at)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == count ? 0 : low;
}

struct making {
    struct world *world;
    const struct ready_node *order;
    uint32_t count;
    struct ready_counts counts;
};

static void dial(struct making *m, uint32_t from, uint32_t to)
{
    uint32_t i = m->order[from].index;
    const struct node_id *far = &world_ident(m->world, m->order[to].index)->node_id;
    struct address remote = net_address(m->order[to].index);
    struct link_table *links = node_links(world_node(m->world, i));
    handle link = 0;
    if (from == to || link_find(links, far) != 0) {
        return;
    }
    struct turn *t = world_begin_turn(m->world, i);
    enum err e = link_dial(t, links, &remote, far, 0, &link);
    world_end_turn(m->world, i);
    world_run_until(m->world, world_now_us(m->world));
    bool is_up = e == ERR_OK && link_find(links, far) != 0;
    m->counts.links += is_up ? 1 : 0;
    m->counts.refused += is_up ? 0 : 1;
}

static void dial_fingers(struct making *m, uint32_t from)
{
    struct ring_id own = m->order[from].at;
    uint32_t far = (from + CHORD_TABLE_NEIGHBORS) % m->count;
    for (uint32_t i = 1; i <= CHORD_TABLE_FINGERS; i++) {
        struct ring_id first;
        struct ring_id last;
        chord_table_finger_range(own, i, &first, &last);
        if (ids_ring_is_less(ids_ring_minus(first, own), ids_ring_minus(m->order[far].at, own))) {
            return; /* neighbors cover this one and all shorter ones */
        }
        uint32_t to = ready_owner(m->order, m->count, first);
        if (!ids_ring_is_less(ids_ring_minus(last, own), ids_ring_minus(m->order[to].at, own))) {
            dial(m, from, to);
        }
    }
}

struct ready_counts ready_ring(struct world *w, struct ready_node *order, uint32_t nodes)
{
    CHECK(world_settings_of(w)->is_ready);
    world_set_instant(w, true);
    for (uint32_t i = 0; i < nodes; i++) {
        world_start(w, i);
    }
    struct making m = {.world = w, .order = order};
    m.count = ready_order(w, order);
    for (uint32_t k = 0; k < m.count; k++) {
        for (uint32_t s = 1; s <= CHORD_TABLE_NEIGHBORS && s < m.count; s++) {
            dial(&m, k, (k + s) % m.count);
        }
    }
    /* Who is the finger of many may have no room for all of them, but has it for neighbors. */
    for (uint32_t k = 0; k < m.count && m.count > CHORD_TABLE_NEIGHBORS; k++) {
        dial_fingers(&m, k);
    }
    for (uint32_t k = 0; k < m.count; k++) {
        uint32_t i = order[k].index;
        struct turn *t = world_begin_turn(w, i);
        overlay_take_ring(t, node_overlay(world_node(w, i)));
        world_end_turn(w, i);
    }
    world_set_instant(w, false);
    return m.counts;
}
