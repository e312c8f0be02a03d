/* SPDX-License-Identifier: Apache-2.0 */
/* test_route.c - where a message goes next (RFC 6940 6.1, 10.3; catalogue FW-1..FW-9, A-11, A-54),
 * and what the table of connected nodes says of neighbors. */
#include "dht/route.h"

#include <criterion/criterion.h>

enum { ARENA_BYTES = 1 << 16, NODES = 64 };

static uint8_t block[ARENA_BYTES];
static const struct rl_params params = {.overlay = 7, .node_id_length = 16};

/* Node-IDs of these tests differ in their first byte alone. */
static struct node_id id_of(uint8_t first)
{
    return (struct node_id){{first}};
}

struct fixture {
    struct chord_table table;
    struct ident self, account;
    const struct ident *accounts[1];
    struct route route;
};

static void add(struct fixture *f, uint8_t first, enum chord_table_state state)
{
    struct chord_table_node n = {
        .id = id_of(first), .link = 1000u + first, .host = first, .state = state};
    cr_assert_eq(chord_table_add(&f->table, &n), ERR_OK);
}

/* Ourselves 0x40; peers 0x20, 0x60, 0x80, 0xc0; a client or joiner 0x35 and another 0x90. */
static void make(struct fixture *f)
{
    struct arena arena;
    memset(f, 0, sizeof(*f));
    memset(block, 0, sizeof(block));
    arena_init(&arena, block, sizeof(block));
    f->self.node_id = id_of(0x40);
    f->account.node_id = id_of(0x3a);
    f->accounts[0] = &f->account;
    chord_table_init(&f->table, &arena, NODES, &f->self.node_id, 0x40);
    f->table.is_member = true;
    static const uint8_t peers[] = {0x20, 0x60, 0x80, 0xc0};
    for (size_t i = 0; i < ARRAY_COUNT(peers); i++) {
        add(f, peers[i], CHORD_TABLE_PEER);
    }
    add(f, 0x35, CHORD_TABLE_ATTACHED);
    add(f, 0x90, CHORD_TABLE_ATTACHED);
    f->route = (struct route){.params = &params,
                              .table = &f->table,
                              .self = &f->self,
                              .accounts = f->accounts,
                              .account_count = 1};
}

/* "n40 r35": node and resource entries. */
static struct slice list_of(const char *text, uint8_t *out, size_t cap, uint16_t *count)
{
    struct wr w = wr_init(out, cap);
    *count = 0;
    for (const char *p = text; *p != 0; p += p[3] == 0 ? 3 : 4) {
        uint8_t byte = 0;
        size_t len = 0;
        cr_assert_eq(ids_unhex(slice_of(p + 1, 2), &byte, 1, &len), ERR_OK);
        struct node_id id = id_of(byte);
        if (p[0] == 'n') {
            fwd_wr_node(&w, &params, &id);
        } else if (p[0] == 'r') {
            fwd_wr_resource(&w, slice_of(id.bytes, IDS_RING_BYTES));
        } else if (p[0] == 'o') {
            fwd_wr_opaque(&w, slice_of(&byte, 1));
        } else {
            struct node_id wildcard = ids_node_wildcard(&params);
            fwd_wr_node(&w, &params, &wildcard);
        }
        ++*count;
    }
    return wr_slice(&w);
}

static struct route_decision decide(const struct fixture *f, const char *destinations,
                                    struct route_from from)
{
    uint8_t bytes[256];
    struct fwd h = {0};
    struct route_decision d;
    h.destination_list = list_of(destinations, bytes, sizeof(bytes), &h.destination_count);
    route_decide(&f->route, &h, &from, &d);
    return d;
}

/* CH-2, and what is told quickly of it: for each of the neighbors that we may have. */
Test(route, responsible_is_from_the_predecessor_to_ourselves)
{
    static const uint8_t gone[] = {0, 0x20, 0xc0, 0x80, 0x60}; /* the last one leaves us alone */
    struct fixture f;
    make(&f);
    for (size_t i = 0; i < ARRAY_COUNT(gone); i++) {
        struct node_id id = id_of(gone[i]);
        (void)chord_table_remove(&f.table, &id);
        struct ring_id from = chord_table_range_from(&f.table), self = f.table.self;
        for (unsigned k = 0; k < 3 * 256; k++) {
            struct node_id at = id_of((uint8_t)(k / 3));
            struct ring_id place = ids_ring_of_node(&at);
            place = k % 3 == 0   ? ids_ring_minus(place, (struct ring_id){0, 1})
                    : k % 3 == 1 ? place
                                 : ids_ring_plus(place, (struct ring_id){0, 1});
            bool is_ours = ids_ring_is_between(place, from, self);
            uint8_t bytes[IDS_RING_BYTES];
            struct fwd h = {.destination_count = 1, .first.type = FWD_DESTINATION_RESOURCE};
            struct ring_id told;
            ids_ring_bytes(place, bytes);
            h.first.id = slice_of(bytes, sizeof(bytes));
            cr_assert_eq(chord_table_is_responsible(&f.table, place), is_ours, "%zu %u", i, k);
            cr_assert_eq(route_is_for_us(&f.route, &h, &told), is_ours);
            cr_assert(ids_ring_is_equal(told, place));
            h.first.type = FWD_DESTINATION_OPAQUE;
            cr_assert(!route_is_for_us(&f.route, &h, &told));
            h.first.type = FWD_DESTINATION_RESOURCE;
            h.destination_count = 2;
            cr_assert(!route_is_for_us(&f.route, &h, &told));
            h.destination_count = 1;
            h.first.id.len--;
            cr_assert(!route_is_for_us(&f.route, &h, &told));
        }
    }
    f.table.is_member = false;
    cr_assert(!chord_table_is_responsible(&f.table, f.table.self));
}

Test(route, fw1_to_fw9_first_entry_decides)
{
    enum { LOCAL = 1, DROP = 2 }; /* else: the Node-ID's first byte to forward to */
    static const struct {
        const char *destinations;
        unsigned wanted;
        enum metric why;
        unsigned strip;
    } cases[] = {
        {"r30", LOCAL, 0, 0},                           /* FW-1, (20, 40] is ours */
        {"r40", LOCAL, 0, 0},                           /* own position */
        {"r30 n60", DROP, METRIC_dht_drop_not_sole, 0}, /* FW-1 */
        {"n40", LOCAL, 0, 0},                           /* FW-2 */
        {"n40 n60", 0x60, 0, 18},                       /* FW-2: strip, decide again */
        {"n40 n3a", LOCAL, 0, 18},                      /* an account that lives here */
        {"w00", LOCAL, 0, 0},                           /* FW-3 */
        {"w00 n60", LOCAL, 0, 0},                       /* FW-3, A-60 */
        {"n31", DROP, METRIC_dht_drop_nobody, 0},       /* FW-4 */
        {"n35", 0x35, 0, 0},                            /* FW-4: connected, so delivered */
        {"r35", LOCAL, 0, 0},                           /* but not what is stored there */
        {"n90", 0x90, 0, 0},                            /* FW-6, FW-8 */
        {"r90", 0x80, 0, 0},                            /* clients serve no resources */
        {"r80", 0x80, 0, 0},                            /* FW-7: the interval takes k in */
        {"r7f", 0x60, 0, 0},                            /* FW-7 */
        {"r41", 0x60, 0, 0},                            /* FW-7: none in (own, k] */
        {"nff", 0xc0, 0, 0},                            /* FW-7 */
        {"r10", 0xc0, 0, 0},                            /* past the top of the ring */
        {"n20", 0x20, 0, 0},                            /* direct */
        {"o01", DROP, METRIC_dht_drop_opaque, 0},       /* VL-5 */
        {"n60 n80", 0x60, 0, 0},                        /* source route */
    };
    struct fixture f;
    make(&f);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct route_decision d = decide(&f, cases[i].destinations, (struct route_from){0});
        unsigned got = d.verdict == ROUTE_LOCAL  ? LOCAL
                       : d.verdict == ROUTE_DROP ? DROP
                                                 : d.next_hop.bytes[0];
        cr_expect_eq(got, cases[i].wanted, "%s: %x", cases[i].destinations, got);
        cr_expect_eq(d.strip_bytes, cases[i].strip, "%s", cases[i].destinations);
        if (got == DROP) {
            cr_expect_eq(d.why, cases[i].why, "%s", cases[i].destinations);
        }
    }
}

Test(route, a_message_never_goes_straight_back)
{
    struct fixture f;
    make(&f);
    struct route_decision d = decide(&f, "r7f", (struct route_from){.link = 1000 + 0x60});
    cr_expect_eq(d.verdict, ROUTE_FORWARD);
    cr_expect_eq(d.next_hop.bytes[0], 0x80, "next best");
    d = decide(&f, "r7f", (struct route_from){.link = 1000 + 0x60, .may_wait = true});
    cr_expect_eq(d.verdict, ROUTE_DROP, "rather nowhere, for a moment");
    cr_expect_eq(d.why, METRIC_dht_drop_no_route);
    d = decide(&f, "r7f", (struct route_from){.link = 1000 + 0x80, .may_wait = true});
    cr_expect_eq(d.next_hop.bytes[0], 0x60, "from elsewhere: no reason to wait");
}

/* chordial sim swarm, seeds 2 and 3: three peers beyond the goal whose tables differed sent a
 * message round and round until its ttl was used up. */
Test(route, past_its_goal_a_message_goes_to_whom_we_know_behind_us)
{
    uint8_t via[64];
    struct fixture f;
    make(&f);
    struct node_id c0 = id_of(0xc0);
    struct wr w = wr_init(via, sizeof(via));
    fwd_wr_node(&w, &params, &c0);
    const struct slice been = wr_slice(&w);
    struct route_from from = {.link = 1000 + 0xc0};
    struct route_decision d = decide(&f, "r10", from);
    cr_expect_eq(d.verdict, ROUTE_FORWARD, "it comes from the peer of FW-7");
    cr_expect_eq(d.next_hop.bytes[0], 0x20);
    from = (struct route_from){.link = 1000 + 0x60, .via_list = &been};
    cr_expect_eq(decide(&f, "r10", from).next_hop.bytes[0], 0x20, "it was there already");
    from.via_list = NULL;
    cr_expect_eq(decide(&f, "r10", from).next_hop.bytes[0], 0xc0, "FW-7");
    from = (struct route_from){.link = 1000 + 0x20, .via_list = &been};
    cr_expect_eq(decide(&f, "r10", from).next_hop.bytes[0], 0xc0, "not straight back");
}

/* Seed 11: the goal lay behind all eight predecessors, so nobody of them was tried, and three peers
 * sent a message round until its ttl was used up. */
Test(route, past_its_goal_by_more_than_our_predecessors)
{
    struct fixture f;
    struct arena arena;
    memset(&f, 0, sizeof(f));
    arena_init(&arena, block, sizeof(block));
    f.self.node_id = id_of(0x64);
    chord_table_init(&f.table, &arena, NODES, &f.self.node_id, 0x64);
    f.table.is_member = true;
    for (uint8_t first = 0x54; first < 0x64; first += 2) {
        add(&f, first, CHORD_TABLE_PEER);
    }
    add(&f, 0x33, CHORD_TABLE_PEER);
    add(&f, 0x39, CHORD_TABLE_PEER);
    add(&f, 0x70, CHORD_TABLE_PEER);
    f.route = (struct route){.params = &params, .table = &f.table, .self = &f.self};
    struct route_from from = {.link = 1000 + 0x39};
    cr_expect_eq(decide(&f, "r3a", from).next_hop.bytes[0], 0x54, "on our side, nearest to it");
    from.link = 1000 + 0x54;
    cr_expect_eq(decide(&f, "r3a", from).next_hop.bytes[0], 0x39, "FW-7");
    from.link = 1000 + 0x62;
    cr_expect_eq(decide(&f, "r68", from).next_hop.bytes[0], 0x70, "ahead of us: FW-7");
}

Test(chord_table, other_first_hops_by_nearness)
{
    struct fixture f;
    make(&f);
    static const uint8_t wanted[] = {0x80, 0x60, 0xc0, 0x20};
    struct node_id k = id_of(0x90);
    for (uint32_t n = 0; n < ARRAY_COUNT(wanted); n++) {
        const struct chord_table_node *hop = chord_table_nth_hop(&f.table, ids_ring_of_node(&k), n);
        cr_assert(hop != NULL);
        cr_expect_eq(hop->id.bytes[0], wanted[n]);
    }
    cr_expect(chord_table_nth_hop(&f.table, ids_ring_of_node(&k), 4) == NULL);
}

Test(route, fw15_who_is_not_in_the_ring_passes_nothing_on)
{
    struct fixture f;
    make(&f);
    f.table.is_member = false;
    struct route_decision d = decide(&f, "r30", (struct route_from){.link = 1});
    cr_expect_eq(d.why, METRIC_dht_drop_not_member);
    f.route.way_in = 77;
    d = decide(&f, "r30", (struct route_from){.is_own = true});
    cr_expect_eq(d.verdict, ROUTE_FORWARD);
    cr_expect_eq(d.link, 77, "our own leave by the way in");
}

Test(route, lk6_a_suspect_is_not_routed_through)
{
    struct fixture f;
    make(&f);
    struct node_id suspect = id_of(0x80);
    cr_expect(chord_table_set_suspect(&f.table, &suspect, true));
    cr_expect_eq(decide(&f, "r81", (struct route_from){0}).next_hop.bytes[0], 0x60);
    cr_expect(chord_table_set_suspect(&f.table, &suspect, false));
    cr_expect_eq(decide(&f, "r81", (struct route_from){0}).next_hop.bytes[0], 0x80);
}

Test(chord_table, ch2_ch3_neighbors_follow_each_change_at_once)
{
    struct fixture f;
    make(&f);
    cr_expect_eq(f.table.successor_count, 4);
    cr_expect_eq(chord_table_successor(&f.table, 0)->id.bytes[0], 0x60);
    cr_expect_eq(chord_table_predecessor(&f.table, 0)->id.bytes[0], 0x20);
    cr_expect_null(chord_table_successor(&f.table, 4));
    uint64_t version = f.table.version;
    struct node_id joiner = id_of(0x35);
    cr_expect(chord_table_set_state(&f.table, &joiner, CHORD_TABLE_PEER));
    cr_expect_eq(chord_table_predecessor(&f.table, 0)->id.bytes[0], 0x35);
    cr_expect_eq(f.table.version, version + 1);
    cr_expect_not(chord_table_is_responsible(&f.table, (struct ring_id){0x30ull << 56, 0}));
    cr_expect(chord_table_remove(&f.table, &joiner));
    cr_expect(chord_table_is_responsible(&f.table, (struct ring_id){0x30ull << 56, 0}));
    for (unsigned i = 1; i < 8; i++) { /* 0x41..0x47: closer successors push others out */
        add(&f, (uint8_t)(0x40 + i), CHORD_TABLE_PEER);
    }
    cr_expect_eq(f.table.successor_count, CHORD_TABLE_NEIGHBORS);
    cr_expect_eq(chord_table_successor(&f.table, 7)->id.bytes[0], 0x60);
    cr_expect(chord_table_is_wanted(&f.table, (struct ring_id){0x48ull << 56, 0}));
    cr_expect_not(chord_table_is_wanted(&f.table, f.table.self));
}

Test(chord_table, a_full_table_refuses)
{
    struct fixture f;
    make(&f);
    struct node_id id = {{0}};
    enum err e = ERR_OK;
    for (unsigned i = 0; i < NODES && e == ERR_OK; i++) {
        id.bytes[1] = (uint8_t)(i + 1);
        struct chord_table_node n = {.id = id, .link = i + 1};
        e = chord_table_add(&f.table, &n);
    }
    cr_expect_eq(e, ERR_LIMIT);
    cr_expect_eq(f.table.count, NODES);
}

/* What is remembered of places on the ring is never older than the table. */
Test(chord_table, places_are_remembered_until_the_table_changes)
{
    struct fixture f;
    make(&f);
    for (int round = 0; round < 2; round++) {
        struct node_id id = id_of(0x90);
        cr_assert_eq(chord_table_find(&f.table, &id)->link, 1000 + 0x90);
        struct ring_id k = ids_ring_of_node(&id);
        cr_assert_eq(chord_table_next_hop(&f.table, k, 0)->link, 1000 + 0x80);
    }
    struct node_id gone = id_of(0x80), last = id_of(0x90);
    struct ring_id k = ids_ring_of_node(&last);
    chord_table_set_suspect(&f.table, &gone, true);
    cr_assert_eq(chord_table_next_hop(&f.table, k, 0)->link, 1000 + 0x60);
    chord_table_set_suspect(&f.table, &gone, false);
    cr_assert_eq(chord_table_next_hop(&f.table, k, 0)->link, 1000 + 0x80);
    chord_table_remove(&f.table, &gone);
    cr_assert_null(chord_table_find(&f.table, &gone));
    cr_assert_eq(chord_table_next_hop(&f.table, k, 0)->link, 1000 + 0x60);
    cr_assert_eq(chord_table_find(&f.table, &last)->link, 1000 + 0x90);
    add(&f, 0x80, CHORD_TABLE_PEER);
    cr_assert_eq(chord_table_next_hop(&f.table, k, 0)->link, 1000 + 0x80);
    chord_table_set_link(&f.table, &last, 5);
    cr_assert_eq(chord_table_find(&f.table, &last)->link, 5);
}

/* The partition check waits in proportion to it.  With 16 peers the eighth behind is the eighth
 * ahead, no distance is left between them, and all of them waited for ever (swarm, seed 28). */
Test(table, ch31_the_ring_is_guessed_as_large_as_it_is)
{
    for (uint32_t peers = 1; peers <= 60; peers++) {
        struct fixture f;
        struct arena arena;
        arena_init(&arena, block, sizeof(block));
        f.self.node_id = id_of(3);
        chord_table_init(&f.table, &arena, NODES, &f.self.node_id, 1);
        for (uint32_t i = 1; i < peers; i++) {
            add(&f, (uint8_t)(3 + i * 256 / peers), CHORD_TABLE_PEER);
        }
        uint64_t guess = chord_table_guess_peers(&f.table);
        if (peers <= 16) {
            cr_expect_eq(guess, peers, "%u: %lu", peers, (unsigned long)guess);
        } else {
            cr_expect(guess >= peers / 2 && guess <= 2 * peers, "%u: %lu", peers,
                      (unsigned long)guess);
        }
    }
}
