/* SPDX-License-Identifier: Apache-2.0 */
/* The store against a list: random StoreReq of three data models, by several people, as original or
 * as copy, with passing time; after each step a Fetch must tell what the list tells.  The list
 * knows the rules of RFC 6940 7 and nothing of sets, heaps, plans or sweeps. */
#include "codec/content.h"
#include "tests/unit/dht/storage_world.h"

enum { PEOPLE = 4, KINDS = 3, PLACES = 10, STEPS = 6000, TEXTS = 6, MAX_COUNT = 8 };

struct entry {
    bool is_there;
    bool exists;
    uint64_t time_ms;
    uint64_t expires_us;
    const char *text;
};

struct list {
    uint64_t generation;
    uint64_t kept_us; /* the counter is forgotten some time after this */
    struct entry entries[PLACES];
};

static const uint32_t kinds[KINDS] = {WORLD_KIND_SINGLE, WORLD_KIND_ARRAY, WORLD_KIND_DICTIONARY};
static const char *const texts[TEXTS] = {
    "a", "bb", "ccc", "four", "something longer than the others, to fill more of the heap", NULL};
static const char *const keys[PLACES] = {"k0", "k1", "k2", "k3", "k4",
                                         "k5", "k6", "k7", "k8", "k9"};

struct model {
    struct world *w;
    struct person *people[PEOPLE];
    struct overlay_resource at[PEOPLE];
    struct list lists[PEOPLE][KINDS];
};

/* One random Store. */
struct attempt {
    int who, kind;
    uint32_t place;
    struct wish wish;
    uint8_t replica_number;
    uint64_t generation;
};

static bool is_alive(const struct model *m, const struct entry *e)
{
    return e->is_there && e->expires_us > m->w->turn.now_us;
}

static uint32_t count_alive(const struct model *m, const struct list *l)
{
    uint32_t count = 0;
    for (int i = 0; i < PLACES; i++) {
        count += is_alive(m, &l->entries[i]);
    }
    return count;
}

/* What the RFC says of it. */
static uint16_t expect(const struct model *m, const struct attempt *a)
{
    const struct list *l = &m->lists[a->who][a->kind];
    const struct entry *e = &l->entries[a->place];
    if (a->replica_number == 0 && a->generation != 0 && a->generation != l->generation) {
        return CONTENT_ERROR_GENERATION_COUNTER_TOO_LOW;
    }
    if (is_alive(m, e)) {
        bool is_same = e->time_ms == a->wish.time_ms && e->text == a->wish.text;
        return is_same || a->wish.time_ms > e->time_ms ? 0 : CONTENT_ERROR_DATA_TOO_OLD;
    }
    uint32_t max_count = a->kind == 0 ? 1 : MAX_COUNT;
    bool is_beyond = a->kind == 1 && a->place >= max_count;
    return is_beyond || count_alive(m, l) >= max_count ? CONTENT_ERROR_DATA_TOO_LARGE : 0;
}

static void apply(struct model *m, const struct attempt *a)
{
    struct list *l = &m->lists[a->who][a->kind];
    struct entry *e = &l->entries[a->place];
    bool is_same = is_alive(m, e) && e->time_ms == a->wish.time_ms;
    uint64_t lifetime_us = (uint64_t)a->wish.lifetime_s * 1000000;
    if (!is_same) {
        *e = (struct entry){true, a->wish.text != NULL, a->wish.time_ms,
                            m->w->turn.now_us + lifetime_us, a->wish.text};
        l->kept_us = max_u64(l->kept_us, e->expires_us + lifetime_us);
    }
    if (a->replica_number != 0) {
        l->generation = a->generation;
    } else {
        l->generation += is_same ? 0 : 1;
    }
}

/* Says ahead that this will be fetched, among others, as overlay_work does; what the store
 * remembers of it must not outlive what it is about. */
static void announce(struct model *m, struct slice body)
{
    uint8_t payload[128];
    struct wr w = wr_init(payload, sizeof(payload));
    wr_u16(&w, CONTENT_FETCH_REQ);
    wr_opaque32(&w, body);
    struct slice part = slice_sub(wr_slice(&w), 0, rng_below(&m->w->rng, wr_len(&w)));
    const struct slice payloads[] = {part, wr_slice(&w), wr_slice(&w), part};
    size_t from = rng_below(&m->w->rng, 2);
    store_ahead(m->w->store, payloads + from, rng_below(&m->w->rng, 5 - from));
}

static struct slice fetch(struct model *m, int who, int kind)
{
    static uint8_t answer[16384];
    uint8_t body[64];
    struct wr q = wr_init(body, sizeof(body));
    const struct stored_range all = {0, 0xffffffff};
    wr_opaque8(&q, resource_slice(&m->at[who]));
    size_t mark = wr_begin(&q, 2);
    if (kind == 0) {
        stored_wr_specifier_single(&q, kinds[kind], 0);
    } else if (kind == 1) {
        stored_wr_specifier_array(&q, kinds[kind], 0, &all, 1);
    } else {
        stored_wr_specifier_dictionary(&q, kinds[kind], 0, NULL, 0);
    }
    wr_end(&q, 2, mark);
    announce(m, wr_slice(&q));
    struct wr a = wr_init(answer, sizeof(answer));
    struct store_certificates certificates;
    struct slice info;
    cr_assert_eq(store_fetch(&m->w->turn, m->w->store, wr_slice(&q), &a, &certificates, &info), 0);
    return wr_slice(&a);
}

static uint32_t place_of(int kind, const struct stored_value *value)
{
    uint32_t place = kind == 1 ? value->index : 0;
    for (uint32_t i = 0; kind == 2 && i < PLACES; i++) {
        place = slice_is_equal(value->key, slice_text(keys[i])) ? i : place;
    }
    cr_assert_lt(place, PLACES);
    return place;
}

/* Every value of the answer is in the list as it stands there, and none is missing. */
static void compare(struct model *m, int who, int kind)
{
    const struct list *l = &m->lists[who][kind];
    struct msgs_fetch_ans ans;
    struct stored_block block;
    struct stored_data d;
    uint32_t found = 0;
    cr_assert_eq(msgs_fetch_ans_decode(fetch(m, who, kind), &m->w->params, &ans), ERR_OK);
    struct rd r = rd_init(ans.kind_responses);
    cr_assert(stored_block_next(&r, &block));
    cr_assert(count_alive(m, l) == 0 || block.generation == l->generation);
    struct rd values = rd_init(block.values);
    while (stored_next(&values, model_of(m->w, kinds[kind]), &d)) {
        const struct entry *e = &l->entries[place_of(kind, &d.value)];
        if (stored_is_synthetic(&d)) {
            cr_assert_not(is_alive(m, e));
            continue;
        }
        found++;
        cr_assert(is_alive(m, e));
        cr_assert_eq(d.value.exists, e->exists);
        cr_assert_eq(d.storage_time_ms, e->time_ms);
        struct slice text = e->text == NULL ? SLICE_EMPTY : slice_text(e->text);
        cr_assert(slice_is_equal(d.value.bytes, text));
        uint64_t left_s = (e->expires_us - m->w->turn.now_us) / 1000000;
        cr_assert_eq(d.lifetime_s, max_u64(left_s, 1));
    }
    cr_assert(rd_ok(&values));
    cr_assert_eq(found, count_alive(m, l));
}

/* The store may forget a counter, but not too early. */
static void forget_counters(struct model *m)
{
    for (int who = 0; who < PEOPLE; who++) {
        for (int kind = 0; kind < KINDS; kind++) {
            struct list *l = &m->lists[who][kind];
            struct slice at = resource_slice(&m->at[who]);
            if (store_set_find(m->w->store, at, kinds[kind]) == NULL && l->generation != 0) {
                cr_assert_eq(count_alive(m, l), 0);
                cr_assert_leq(l->kept_us, m->w->turn.now_us, "A-38");
                *l = (struct list){0};
            }
        }
    }
}

static struct attempt choose(struct model *m)
{
    struct rng *rng = &m->w->rng;
    struct attempt a = {.who = (int)rng_below(rng, PEOPLE), .kind = (int)rng_below(rng, KINDS)};
    const struct list *l = &m->lists[a.who][a.kind];
    a.place = a.kind == 0 ? 0 : (uint32_t)rng_below(rng, PLACES);
    a.replica_number = rng_below(rng, 4) == 0;
    a.generation = a.replica_number != 0 ? 1 + rng_below(rng, 50) : 0;
    if (a.replica_number == 0 && rng_below(rng, 3) == 0) {
        a.generation = l->generation + rng_below(rng, 3);
    }
    a.wish = (struct wish){kinds[a.kind],
                           a.kind == 1 ? a.place : 0,
                           a.kind == 2 ? keys[a.place] : NULL,
                           texts[rng_below(rng, TEXTS)],
                           WORLD_NOW_MS + rng_below(rng, 400) * 100,
                           1 + (uint32_t)rng_below(rng, 300)};
    const struct entry *e = &l->entries[a.place];
    if (is_alive(m, e) && rng_below(rng, 4) == 0) {
        a.wish.time_ms = e->time_ms; /* the same again, or a clash */
        a.wish.text = rng_below(rng, 2) == 0 ? e->text : a.wish.text;
    }
    return a;
}

static uint16_t step(struct model *m)
{
    struct attempt a = choose(m);
    uint16_t expected = expect(m, &a);
    struct person *who = m->people[a.who];
    struct store_put_outcome o =
        put_as(m->w, who, who, &m->at[a.who], &a.wish, a.replica_number, a.generation);
    cr_assert_eq(o.error, expected, "kind %d place %u: %x, not %x", a.kind, a.place, o.error,
                 expected);
    if (o.error == 0) {
        apply(m, &a);
    }
    compare(m, a.who, a.kind);
    if (rng_below(&m->w->rng, 8) == 0) {
        world_pass(m->w, rng_below(&m->w->rng, 60000));
        m->w->turn.wall_ms = WORLD_NOW_MS; /* certificates are not what this is about */
        (void)store_sweep(&m->w->turn, m->w->store);
        forget_counters(m);
    }
    return o.error;
}

Test(store_model, random_against_a_list)
{
    static struct model m;
    m.w = world_make(20);
    uint32_t seen[16] = {0};
    for (int i = 0; i < PEOPLE; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "person%d@example.org", i);
        m.people[i] = person_make(m.w, name, (uint32_t)i);
        m.at[i] = resource_of(m.w, person_user(m.people[i]));
    }
    for (int i = 0; i < STEPS; i++) {
        seen[step(&m) & 0xf]++;
    }
    cr_assert_gt(seen[0], STEPS / 4);
    cr_assert_gt(seen[CONTENT_ERROR_GENERATION_COUNTER_TOO_LOW], 100);
    cr_assert_gt(seen[CONTENT_ERROR_DATA_TOO_LARGE], 100);
    cr_assert_gt(seen[CONTENT_ERROR_DATA_TOO_OLD], 100);
    world_age(m.w);
    for (int i = 0; i < PEOPLE; i++) {
        free(m.people[i]);
    }
    world_free(m.w);
}
