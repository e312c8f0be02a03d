/* SPDX-License-Identifier: Apache-2.0 */
/* test_places.c - addresses that change, and what each kind of NAT lets in. */
#include "sim/places.h"
#include <criterion/criterion.h>
#include <stdlib.h>

enum { NODES = 4, OPEN = 0, OTHER = 1, BEHIND = 2, BEHIND_TOO = 3, PORT = 6084, LIFE_US = 1000 };

static void *make(struct places *p, enum places_nat nat)
{
    struct arena arena;
    struct places_settings s = {.nat = nat, .first = BEHIND, .mapping_us = LIFE_US};
    size_t bytes = places_bytes(&s, NODES);
    void *block = malloc(bytes);
    arena_init(&arena, block, bytes);
    places_init(p, &arena, &s, NODES, PORT);
    return block;
}

Test(places, a_node_that_moves)
{
    struct places p;
    void *block = make(&p, PLACES_OPEN);
    struct address before = places_address(&p, OTHER);
    uint32_t node = NODES;
    cr_assert(places_find(&p, &before, &node));
    cr_assert_eq(node, OTHER);
    for (int i = 0; i < 15; i++) {
        places_move(&p, OTHER);
        struct address now = places_address(&p, OTHER);
        cr_expect_not(address_is_equal(&now, &before));
        cr_expect(places_find(&p, &now, &node) && node == OTHER);
        node = NODES;
        cr_expect_not(places_find(&p, &before, &node), "nobody is there any more");
        cr_expect_eq(node, OTHER, "... but it is known whose it was");
    }
    places_move(&p, OTHER);
    cr_expect(places_find(&p, &before, &node), "sixteen addresses in turn");
    struct address foreign = {.family = 4, .port = PORT, .ip = {10, 0, 0, NODES}};
    node = NODES;
    cr_expect_not(places_find(&p, &foreign, &node));
    foreign.ip[0] = 11;
    foreign.ip[3] = 0;
    cr_expect_not(places_find(&p, &foreign, &node));
    cr_expect_eq(node, NODES);
    free(block);
}

/* One datagram from the node behind the NAT to `OPEN`; who may answer? */
struct answers {
    bool before, same, other_port, other_host, late;
};

static struct answers try(enum places_nat nat)
{
    struct places p;
    void *block = make(&p, nat);
    struct answers out;
    struct address open = places_address(&p, OPEN);
    struct address other = places_address(&p, OTHER);
    struct address home = places_address(&p, BEHIND);
    struct address open_port = open;
    open_port.port = 7777;
    out.before = places_datagram_in(&p, 0, BEHIND, &home, &open);
    struct address seen = places_datagram_out(&p, 10, BEHIND, &open);
    cr_expect_eq(seen.port == PORT, nat != PLACES_SYMMETRIC);
    out.same = places_datagram_in(&p, 20, BEHIND, &seen, &open);
    out.other_port = places_datagram_in(&p, 20, BEHIND, &seen, &open_port);
    out.other_host = places_datagram_in(&p, 20, BEHIND, &seen, &other);
    out.late = places_datagram_in(&p, 20 + LIFE_US, BEHIND, &seen, &open);
    cr_expect(!places_datagram_in(&p, 20, BEHIND_TOO, &home, &open) || nat == PLACES_FORWARDED,
              "a mapping is of one node");
    cr_expect(places_datagram_in(&p, 20, OPEN, &open, &home));
    cr_expect_eq(places_admits_stream(&p, BEHIND), nat == PLACES_FORWARDED);
    cr_expect(places_admits_stream(&p, OPEN));
    cr_expect_eq(p.streams_refused, nat == PLACES_FORWARDED ? 0 : 1);
    free(block);
    return out;
}

static void expect(enum places_nat nat, struct answers want)
{
    struct answers got = try(nat);
    cr_expect_eq(got.before, want.before, "NAT %d", (int)nat);
    cr_expect_eq(got.same, want.same, "NAT %d", (int)nat);
    cr_expect_eq(got.other_port, want.other_port, "NAT %d", (int)nat);
    cr_expect_eq(got.other_host, want.other_host, "NAT %d", (int)nat);
    cr_expect_eq(got.late, want.late, "NAT %d", (int)nat);
}

Test(places, what_nats_let_in)
{
    expect(PLACES_FORWARDED, (struct answers){true, true, true, true, true});
    expect(PLACES_FULL_CONE, (struct answers){false, true, true, true, false});
    expect(PLACES_RESTRICTED, (struct answers){false, true, true, false, false});
    expect(PLACES_PORT_RESTRICTED, (struct answers){false, true, false, false, false});
    expect(PLACES_SYMMETRIC, (struct answers){false, true, false, false, false});
}

/* Each remote sees a port of its own, and only it may use that one; the oldest mapping goes. */
Test(places, a_symmetric_nat)
{
    struct places p;
    void *block = make(&p, PLACES_SYMMETRIC);
    struct address open = places_address(&p, OPEN);
    struct address other = places_address(&p, OTHER);
    struct address to_open = places_datagram_out(&p, 1, BEHIND, &open);
    struct address to_other = places_datagram_out(&p, 2, BEHIND, &other);
    cr_expect_neq(to_open.port, to_other.port);
    struct address again = places_datagram_out(&p, 3, BEHIND, &open);
    cr_expect(address_is_equal(&again, &to_open));
    cr_expect_not(places_datagram_in(&p, 4, BEHIND, &to_other, &open));
    cr_expect(places_datagram_in(&p, 4, BEHIND, &to_other, &other));
    struct address home = places_address(&p, BEHIND);
    cr_expect_not(places_datagram_in(&p, 4, BEHIND, &home, &open), "nobody uses that port");
    for (uint16_t i = 0; i < PLACES_MAPPINGS - 1; i++) {
        struct address many = open;
        many.port = (uint16_t)(100 + i);
        (void)places_datagram_out(&p, 10 + i, BEHIND, &many);
    }
    cr_expect_not(places_datagram_in(&p, 100, BEHIND, &to_other, &other), "it was the oldest");
    cr_expect(places_datagram_in(&p, 100, BEHIND, &to_open, &open));
    free(block);
}
