/* SPDX-License-Identifier: Apache-2.0 */
/* test_topo.c - who holds copies: owner and holder must agree for every resource and every way in
 * which peers may be spread over hosts (RFC 6940 10.4, 10.7.3; design.md 1). */
#include "dht/topo.h"

#include <criterion/criterion.h>

enum { PEERS_CAP = 20, ARENA_BYTES = PEERS_CAP * 8192 };

static uint8_t block[ARENA_BYTES];

struct ring {
    uint32_t count;
    struct chord_table tables[PEERS_CAP];
    struct topo topos[PEERS_CAP];
};

static struct node_id id_of(uint32_t i)
{
    return (struct node_id){{(uint8_t)(10 + 12 * i)}};
}

/* `hosts` peers in turn: peer i stands on host i / per_host. */
static void make(struct ring *r, uint32_t count, uint32_t per_host, uint32_t min_hosts)
{
    struct arena arena;
    memset(block, 0, sizeof(block));
    arena_init(&arena, block, sizeof(block));
    r->count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct node_id self = id_of(i);
        chord_table_init(&r->tables[i], &arena, PEERS_CAP, &self, i / per_host);
        r->tables[i].is_member = true;
        r->topos[i] = (struct topo){.table = &r->tables[i], .min_hosts = min_hosts};
        for (uint32_t k = 0; k < count; k++) {
            struct chord_table_node n = {
                .id = id_of(k), .link = k + 1, .host = k / per_host, .state = CHORD_TABLE_PEER};
            cr_assert(k == i || chord_table_add(&r->tables[i], &n) == ERR_OK);
        }
    }
}

/* The owner's replicas are those who count themselves as such, and they believe the owner. */
static uint32_t check_owner(const struct ring *r, uint32_t owner, struct ring_id k)
{
    struct topo_peer replicas[TOPO_REPLICAS_CAP];
    struct topo_peer who;
    uint32_t named = (uint32_t)topo_replicas(&r->topos[owner], replicas);
    cr_expect(topo_owner(&r->topos[owner], k, &who));
    cr_expect(ids_node_is_equal(&who.id, &r->tables[owner].self_id));
    for (uint32_t n = 0; n < named; n++) {
        uint32_t at = (owner + 1 + n) % r->count;
        cr_expect(ids_node_is_equal(&replicas[n].id, &r->tables[at].self_id));
        cr_expect(topo_is_replica(&r->topos[at], k));
        cr_expect(topo_is_plausible_replica_sender(&r->topos[at], k, &who.id));
    }
    return named;
}

/* How many copies of `k` there are, the owner's included. */
static uint32_t check_agreement(const struct ring *r, struct ring_id k)
{
    uint32_t owners = 0;
    uint32_t holders = 0;
    uint32_t named = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        holders += topo_is_replica(&r->topos[i], k) ? 1 : 0;
        if (topo_is_responsible(&r->topos[i], k)) {
            owners++;
            named = check_owner(r, i, k);
        }
    }
    cr_expect_eq(owners, 1);
    cr_expect_eq(holders, named, "%u hold it, %u are named", holders, named);
    return named + 1;
}

Test(topo, ch6_ch26_owner_and_holders_agree)
{
    static const struct {
        uint32_t count, per_host, min_hosts, copies;
    } cases[] = {
        {1, 1, 2, 1}, {2, 1, 2, 2},  {3, 1, 2, 3}, {5, 1, 2, 3},
        {8, 1, 3, 3}, {20, 1, 2, 3}, {8, 4, 1, 3}, {4, 4, 2, 3}, /* one host: no more to be had */
        {6, 1, 9, 6}, /* more hosts wanted than there are: as many as there are */
    };
    for (size_t c = 0; c < ARRAY_COUNT(cases); c++) {
        struct ring r;
        make(&r, cases[c].count, cases[c].per_host, cases[c].min_hosts);
        for (uint32_t key = 0; key < 256; key += 5) {
            uint32_t copies = check_agreement(&r, (struct ring_id){(uint64_t)key << 56, 0});
            cr_expect_eq(copies, cases[c].copies, "case %zu key %u: %u", c, key, copies);
        }
    }
}

Test(topo, design_1_copies_go_on_until_they_stand_on_two_hosts)
{
    struct ring r;
    make(&r, 8, 4, 2); /* hosts 0 0 0 0 1 1 1 1 */
    struct topo_peer replicas[TOPO_REPLICAS_CAP];
    cr_expect_eq(topo_replicas(&r.topos[0], replicas), 4); /* the fourth is on the other host */
    cr_expect_eq(topo_replicas(&r.topos[2], replicas), 2);
    cr_expect_eq(topo_replicas(&r.topos[3], replicas), 2);
}

Test(topo, st3_a_stranger_is_not_plausible)
{
    struct ring r;
    make(&r, 12, 1, 2);
    struct ring_id k = {10ull << 56, 0}; /* owned by peer 0 */
    struct node_id far = id_of(8);
    cr_expect_not(topo_is_plausible_replica_sender(&r.topos[2], k, &far));
    struct node_id successor = id_of(3);
    cr_expect(topo_is_plausible_replica_sender(&r.topos[2], k, &successor), "CH-12");
    cr_expect(topo_is_plausible_replica_sender(&r.topos[0], k, &far),
              "ST-18: an owner's successor");
}

/* Half of 64 peers had been apart, with an owner of their own that was no neighbor of the true one:
 * what they had acknowledged meanwhile was refused for ever (swarm, seed 6). */
Test(topo, st18_the_owner_takes_it_from_anybody)
{
    struct ring r;
    make(&r, 20, 1, 2);
    struct ring_id k = {10ull << 56, 0}; /* owned by peer 0 */
    for (uint32_t i = 1; i < 20; i++) {
        struct node_id holder = id_of(i);
        cr_expect(topo_is_plausible_replica_sender(&r.topos[0], k, &holder), "peer %u", i);
    }
}
