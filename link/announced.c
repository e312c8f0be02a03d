/* SPDX-License-Identifier: Apache-2.0 */
/* announced.c - two rings.  All entries of a ring live equally long, so the oldest is the first to
 * go, and walking what is alive is walking from the head. */
#include "link/announced.h"

#include "core/limits.h"

STATIC_CHECK(sizeof(struct announced_entry) <= LIMITS_COST_links_announced);
STATIC_CHECK(sizeof(struct announced_parked) <= LIMITS_COST_links_parked);

size_t announced_bytes(uint32_t cap, uint32_t parked_cap)
{
    return cap * sizeof(struct announced_entry) + parked_cap * sizeof(struct announced_parked) +
           2 * 64;
}

void announced_init(struct announced *a, struct arena *arena, uint32_t cap, uint32_t parked_cap)
{
    *a = (struct announced){.cap = cap, .parked_cap = parked_cap};
    if (cap > 0) {
        a->entries = ARENA_ARRAY(arena, struct announced_entry, cap);
    }
    if (parked_cap > 0) {
        a->parked = ARENA_ARRAY(arena, struct announced_parked, parked_cap);
    }
}

/* ---- announcements ---- */

static struct announced_entry *entry_at(const struct announced *a, uint32_t position)
{
    return &a->entries[(a->head + position) % a->cap];
}

static void drop_oldest(struct announced *a)
{
    a->head = (a->head + 1) % a->cap;
    a->count--;
}

static void forget_old(struct announced *a, uint64_t now_us)
{
    while (a->count > 0 && now_us - entry_at(a, 0)->since_us > ANNOUNCED_US + ANNOUNCED_GRACE_US) {
        drop_oldest(a);
    }
}

static void remove_at(struct announced *a, uint32_t position)
{
    for (uint32_t i = position; i + 1 < a->count; i++) {
        *entry_at(a, i) = *entry_at(a, i + 1);
    }
    a->count--;
}

/* The oldest of a node that has its share, and what it says once more, go. */
static void make_room(struct turn *t, struct announced *a, const struct node_id *id,
                      const struct address *address)
{
    uint32_t of_node = 0;
    for (uint32_t i = a->count; i-- > 0;) {
        const struct announced_entry *e = entry_at(a, i);
        if (!ids_node_is_equal(&e->node_id, id)) {
            continue;
        }
        if (address_is_equal(&e->address, address)) {
            remove_at(a, i);
        } else if (++of_node >= ANNOUNCED_PER_NODE) {
            remove_at(a, i);
            metric_add(t->metrics, METRIC_announced_evicted, 1);
        }
    }
    if (a->count == a->cap) {
        drop_oldest(a);
        metric_add(t->metrics, METRIC_announced_evicted, 1);
    }
}

void announced_add(struct turn *t, struct announced *a, const struct node_id *id,
                   const struct address *address)
{
    if (a->cap == 0) {
        return;
    }
    forget_old(a, t->now_us);
    make_room(t, a, id, address);
    a->count++;
    *entry_at(a, a->count - 1) =
        (struct announced_entry){.address = *address, .node_id = *id, .since_us = t->now_us};
}

bool announced_has(const struct announced *a, uint64_t now_us, const struct address *address)
{
    for (uint32_t i = a->count; i-- > 0;) {
        const struct announced_entry *e = entry_at(a, i);
        if (now_us - e->since_us > ANNOUNCED_US) {
            return false;
        }
        if (address_is_equal(&e->address, address)) {
            return true;
        }
    }
    return false;
}

bool announced_is_by(const struct announced *a, uint64_t now_us, const struct address *address,
                     const struct node_id *id)
{
    for (uint32_t i = a->count; i-- > 0;) {
        const struct announced_entry *e = entry_at(a, i);
        if (now_us - e->since_us > ANNOUNCED_US + ANNOUNCED_GRACE_US) {
            return false;
        }
        if (address_is_equal(&e->address, address) && ids_node_is_equal(&e->node_id, id)) {
            return true;
        }
    }
    return false;
}

/* ---- parked ---- */

static struct announced_parked *parked_at(const struct announced *a, uint32_t position)
{
    return &a->parked[(a->parked_head + position) % a->parked_cap];
}

static void drop_stale(struct turn *t, struct announced *a)
{
    while (a->parked_count > 0) {
        const struct announced_parked *p = parked_at(a, 0);
        bool is_gone = p->remote.family == 0;
        if (!is_gone && t->now_us - p->since_us <= ANNOUNCED_PARKED_US) {
            return;
        }
        if (!is_gone) {
            metric_add(t->metrics, METRIC_parked_expired, 1);
        }
        a->parked_head = (a->parked_head + 1) % a->parked_cap;
        a->parked_count--;
    }
}

void announced_park(struct turn *t, struct announced *a, const struct address *remote,
                    struct slice datagram)
{
    uint32_t of_host = 0;
    drop_stale(t, a);
    if (a->parked_count == a->parked_cap) { /* a flood: do not look through all of them each time */
        metric_add(t->metrics, METRIC_parked_refused_full, 1);
        return;
    }
    for (uint32_t i = 0; i < a->parked_count; i++) {
        struct announced_parked *p = parked_at(a, i);
        if (address_is_equal(&p->remote, remote)) {
            metric_add(t->metrics, METRIC_parked_repeated, 1); /* the first one does as well */
            return;
        }
        of_host += address_is_same_host(&p->remote, remote) ? 1 : 0;
    }
    if (datagram.len > ANNOUNCED_PARKED_BYTES) {
        metric_add(t->metrics, METRIC_parked_refused_size, 1);
    } else if (of_host >= ANNOUNCED_PARKED_PER_HOST) {
        metric_add(t->metrics, METRIC_parked_refused_host, 1);
    } else {
        struct announced_parked *p = parked_at(a, a->parked_count++);
        p->remote = *remote;
        p->len = (uint16_t)datagram.len;
        p->since_us = t->now_us;
        memcpy(p->bytes, datagram.data, datagram.len);
        metric_add(t->metrics, METRIC_parked, 1);
    }
}

struct slice announced_take(struct turn *t, struct announced *a, const struct address *remote,
                            uint8_t out[ANNOUNCED_PARKED_BYTES])
{
    drop_stale(t, a);
    for (uint32_t i = 0; i < a->parked_count; i++) {
        struct announced_parked *p = parked_at(a, i);
        if (address_is_equal(&p->remote, remote)) {
            memcpy(out, p->bytes, p->len);
            p->remote = (struct address){0};
            metric_add(t->metrics, METRIC_parked_replayed, 1);
            return slice_of(out, p->len);
        }
    }
    return SLICE_EMPTY;
}
