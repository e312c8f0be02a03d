/* SPDX-License-Identifier: Apache-2.0 */
/* via.c - an array that is searched: it is asked for messages near the limit alone. */
#include "dht/via.h"

#include "core/limits.h"
#include "dht/budget.h"

STATIC_CHECK(sizeof(struct via_kept) + VIA_LIST_BYTES <= LIMITS_COST_via_lists);
STATIC_CHECK(VIA_ENTRY_BYTES <= 2 + IDS_NODE_MIN); /* it never takes more than what it replaces */

size_t via_bytes(uint32_t cap)
{
    return cap * (sizeof(struct via_kept) + VIA_LIST_BYTES) + BUDGET_SLACK;
}

void via_init(struct via *v, struct arena *arena, uint32_t cap, uint32_t per_source,
              uint64_t keep_us)
{
    CHECK(cap <= UINT16_MAX + 1u);
    *v = (struct via){.cap = cap, .per_source = per_source, .keep_us = keep_us};
    v->kept = ARENA_ARRAY(arena, struct via_kept, cap);
    v->lists = ARENA_RAW(arena, uint8_t, (size_t)cap * VIA_LIST_BYTES);
}

/* 6.1.2: no shorter than the overlay-reliability-timer. */
static bool is_over(const struct turn *t, const struct via *v, const struct via_kept *k)
{
    uint64_t life_us = v->keep_us > VIA_LIFE_US ? v->keep_us : VIA_LIFE_US;
    return k->number == 0 || t->now_us - k->asked_us >= life_us;
}

static uint8_t *place_of(const struct via *v, const struct via_kept *k)
{
    return v->lists + (size_t)(k - v->kept) * VIA_LIST_BYTES;
}

static struct slice list_of(const struct via *v, const struct via_kept *k)
{
    return slice_of(place_of(v, k), k->len);
}

static void wr_id(const struct via *v, const struct via_kept *k, uint8_t id[VIA_ID_BYTES])
{
    struct wr w = wr_init(id, VIA_ID_BYTES);
    wr_u16(&w, (uint16_t)(k - v->kept));
    wr_u64(&w, k->number);
    CHECK(wr_left(&w) == 0);
}

/* What a search of all places brings to light. */
struct search {
    struct via_kept *same;  /* the same list of the same request */
    struct via_kept *free;  /* the first from `next` on */
    struct via_kept *first; /* the oldest of all, */
    struct via_kept *own;   /* and of this neighbor */
    uint32_t own_count;
};

static void older(struct via_kept **oldest, struct via_kept *k)
{
    if (*oldest == NULL || k->asked_us < (*oldest)->asked_us) {
        *oldest = k;
    }
}

static struct search search(const struct turn *t, const struct via *v, uint64_t transaction_id,
                            const struct node_id *from, struct slice list)
{
    struct search s = {0};
    for (uint32_t i = 0; i < v->cap; i++) {
        struct via_kept *k = &v->kept[(v->next + i) % v->cap];
        if (is_over(t, v, k)) {
            s.free = s.free == NULL ? k : s.free;
            continue;
        }
        older(&s.first, k);
        if (ids_node_is_equal(&k->from, from)) {
            s.own_count++;
            older(&s.own, k);
            if (k->transaction_id == transaction_id && slice_is_equal(list_of(v, k), list)) {
                s.same = k;
            }
        }
    }
    return s;
}

struct source {
    struct via_kept *oldest;
    uint32_t count;
};

/* The lists of kept[first]'s neighbor, all of which come no earlier; marked. */
static struct source source_at(const struct via *v, uint32_t first)
{
    struct source s = {0};
    const struct node_id *from = &v->kept[first].from;
    for (uint32_t i = first; i < v->cap; i++) {
        struct via_kept *k = &v->kept[i];
        if (!k->is_counted && ids_node_is_equal(&k->from, from)) {
            k->is_counted = true;
            older(&s.oldest, k);
            s.count++;
        }
    }
    return s;
}

/* The neighbor that holds most, all places being taken: one walk for each neighbor. */
static struct source heaviest(const struct via *v)
{
    struct source most = {0};
    for (uint32_t i = 0; i < v->cap; i++) {
        v->kept[i].is_counted = false;
    }
    for (uint32_t i = 0; i < v->cap; i++) {
        if (!v->kept[i].is_counted) {
            struct source s = source_at(v, i);
            most = s.count > most.count ? s : most;
        }
    }
    return most;
}

/* Who gives way; NULL: nobody. */
static struct via_kept *victim(const struct turn *t, const struct via *v, const struct search *s,
                               bool has_share)
{
    struct via_kept *oldest = has_share ? s->own : s->first;
    if (oldest == NULL) {
        return NULL;
    }
    if (!has_share) {
        struct source most = heaviest(v);
        if (most.count > s->own_count + 1) {
            return most.oldest;
        }
    }
    return t->now_us - oldest->asked_us < v->keep_us ? NULL : oldest;
}

/* A place for one more; NULL: none that may be taken. */
static struct via_kept *place_for(struct turn *t, const struct via *v, const struct search *s)
{
    bool has_share = v->per_source != 0 && s->own_count >= v->per_source;
    if (!has_share && s->free != NULL) {
        return s->free;
    }
    struct via_kept *k = victim(t, v, s, has_share);
    metric_add(t->metrics, k == NULL ? METRIC_via_refused : METRIC_via_evicted, 1);
    return k;
}

bool via_keep(struct turn *t, struct via *v, uint64_t transaction_id, const struct node_id *from,
              struct slice list, uint8_t id[VIA_ID_BYTES])
{
    CHECK(list.len <= VIA_LIST_BYTES);
    struct search s = search(t, v, transaction_id, from, list);
    struct via_kept *k = s.same;
    if (k == NULL) {
        k = place_for(t, v, &s);
        if (k == NULL) {
            return false;
        }
        *k = (struct via_kept){
            .transaction_id = transaction_id, .from = *from, .len = (uint16_t)list.len};
        while (k->number == 0) {
            t->crypto->random(t->crypto, &k->number, sizeof(k->number));
        }
        memcpy(place_of(v, k), list.data, list.len);
        v->next = (uint32_t)(k - v->kept + 1) % v->cap;
    }
    k->asked_us = t->now_us;
    wr_id(v, k, id);
    return true;
}

bool via_find(const struct turn *t, const struct via *v, struct slice id, struct slice *list)
{
    struct rd r = rd_init(id);
    uint16_t place = rd_u16(&r);
    uint64_t number = rd_u64(&r);
    if (!rd_ok(&r) || rd_left(&r) != 0 || place >= v->cap) {
        return false;
    }
    const struct via_kept *k = &v->kept[place];
    if (is_over(t, v, k) || k->number != number) {
        return false;
    }
    *list = list_of(v, k);
    return true;
}

uint32_t via_count(const struct turn *t, const struct via *v)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < v->cap; i++) {
        count += is_over(t, v, &v->kept[i]) ? 0 : 1;
    }
    return count;
}
