/* SPDX-License-Identifier: Apache-2.0 */
/* test_trim.c - which links are closed since nobody needs them, against a reference that looks at
 * everybody: all but neighbors and fingers of either end, few of them and late while there is room,
 * many and soon when the table is nearly full. */
#include "dht/chord_stabilize.h"
#include "dht/overlay_impl.h"
#include "tests/unit/dht/harness.h"

enum { ROOM = 64, TABLES = 40, AT_ONCE = 8, AT_ONCE_FULL = 64 };
enum { CROWDED = 3 * ROOM / 8 + 1, FULL = 5 * ROOM / 8 + 1 };

/* Places here differ in their upper halves alone. */
struct reference {
    uint64_t self;
    uint64_t places[ROOM];
    uint32_t count;
};

/* Nobody stands on the way from `from` to `to`, both left out. */
static bool is_empty(const struct reference *r, uint64_t from, uint64_t to)
{
    for (uint32_t i = 0; i < r->count; i++) {
        uint64_t far = r->places[i] - from;
        if (far > 0 && far < to - from) {
            return false;
        }
    }
    return true;
}

static uint32_t rank(const struct reference *r, uint64_t distance, bool is_behind)
{
    uint32_t nearer = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        uint64_t other = is_behind ? r->self - r->places[i] : r->places[i] - r->self;
        nearer += other < distance ? 1 : 0;
    }
    return nearer;
}

static uint64_t power_below(uint64_t distance)
{
    return 1ull << (63 - __builtin_clzll(distance));
}

/* RFC 6940 10.3: the finger for a range is the first one in it.  Where neighbors stand there are no
 * fingers. */
static bool is_needed(const struct reference *r, uint64_t place)
{
    uint64_t ahead = place - r->self;
    uint64_t behind = r->self - place;
    uint64_t start = r->self + power_below(ahead);
    bool is_neighbor = rank(r, ahead, false) < CHORD_TABLE_NEIGHBORS ||
                       rank(r, behind, true) < CHORD_TABLE_NEIGHBORS;
    bool is_beyond = rank(r, power_below(ahead), false) >= CHORD_TABLE_NEIGHBORS;
    return is_neighbor || (is_beyond && is_empty(r, start - 1, place)) ||
           is_empty(r, place + power_below(behind) - 1, r->self);
}

static uint32_t count_useless(const struct reference *r)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        count += is_needed(r, r->places[i]) ? 0 : 1;
    }
    return count;
}

/* How many of so many peers, connected for so long, lose their links at once; and how many could.
 */
static uint32_t trim(struct harness *h, uint32_t peers, uint64_t age_us, uint32_t *useless)
{
    struct overlay *o = h->peers[0].overlay;
    struct turn *t = harness_turn(h, 0);
    struct reference r = {.self = o->table.self.hi, .count = peers};
    for (uint32_t i = 0; i < peers; i++) {
        struct ring_id at = {rng_next(&h->w->rng), o->table.self.lo};
        struct chord_table_node n = {.id = ids_node_of_ring(at),
                                     .link =
                                         handle_make(HANDLE_LINK, 1, 1000 + i), /* of no table */
                                     .host = 100 + i,
                                     .state = CHORD_TABLE_PEER,
                                     .up_since_us = t->now_us - age_us};
        r.places[i] = at.hi;
        cr_assert_eq(chord_table_add(&o->table, &n), ERR_OK);
    }
    *useless = count_useless(&r);
    uint64_t before = harness_metric(h, METRIC_links_trimmed);
    chord_stabilize_trim(t, &o->chord);
    for (uint32_t i = 0; i < peers; i++) {
        struct node_id id = ids_node_of_ring((struct ring_id){r.places[i], o->table.self.lo});
        (void)chord_table_remove(&o->table, &id);
    }
    return (uint32_t)(harness_metric(h, METRIC_links_trimmed) - before);
}

Test(trim, as_many_as_there_is_need_for)
{
    static const struct {
        const char *name;
        uint32_t peers;
        uint64_t age_us;
        uint32_t most;
    } cases[] = {
        {"there is room", CROWDED - 1, 3600000000, 0},
        {"crowded, young", CROWDED, 4900000, 0},
        {"crowded", CROWDED, 5000000, AT_ONCE},
        {"crowded still", FULL - 1, 5000000, AT_ONCE},
        {"not full, young", FULL - 1, 4900000, 0},
        {"full, just up", FULL, 900000, 0},
        {"full", FULL, 1000000, AT_ONCE_FULL},
        {"no room at all", ROOM, 1000000, AT_ONCE_FULL},
    };
    struct harness *h = harness_make(1, 5);
    harness_start(h, 0);
    harness_run(h, 20000);
    cr_assert_eq(h->peers[0].ready, 1);
    cr_assert_eq(h->limits.links, ROOM);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        for (uint32_t k = 0; k < TABLES; k++) {
            uint32_t useless = 0;
            uint32_t trimmed = trim(h, cases[i].peers, cases[i].age_us, &useless);
            uint32_t want = useless < cases[i].most ? useless : cases[i].most;
            cr_assert_eq(trimmed, want, "%s: %u of %u", cases[i].name, trimmed, useless);
            cr_assert(cases[i].peers < FULL || useless > AT_ONCE, "%s: too few", cases[i].name);
        }
    }
    harness_end(h);
    harness_free(h);
}
