/* SPDX-License-Identifier: Apache-2.0 */
/* test_replicate_return.c - copies that were refused, and peers that came back with nothing: what
 * is tried again, and when (ST-18, CH-19, CH-25). */
#include "tests/unit/dht/replicate_stage.h"

enum { FIRST_BYTES = 3 };

/* A peer that nobody is, `steps` before `at` on the ring. */
static struct chord_table_node phantom(const struct node_id *at, uint8_t steps)
{
    struct chord_table_node n = {.id = *at, .host = 900u + steps, .state = CHORD_TABLE_PEER};
    n.id.bytes[0]--;
    memset(n.id.bytes + 1, 0xff, 15);
    n.id.bytes[FIRST_BYTES] = (uint8_t)(0xff - steps);
    n.link = handle_make(HANDLE_LINK, 2, steps);
    return n;
}

static void put_phantoms(int i, uint32_t count)
{
    for (uint32_t k = 1; k <= count; k++) {
        struct chord_table_node n = phantom(&peers[i].who->ident.node_id, (uint8_t)k);
        cr_assert_eq(chord_table_add(&peers[i].table, &n), ERR_OK);
    }
}

static void take_phantoms(int i, uint32_t count)
{
    for (uint32_t k = 1; k <= count; k++) {
        struct chord_table_node n = phantom(&peers[i].who->ident.node_id, (uint8_t)k);
        (void)chord_table_remove(&peers[i].table, &n.id);
    }
}

static uint64_t refused(int i)
{
    return metric_read(&peers[i].w->metrics, METRIC_replicas_refused);
}

/* Who is taken for the owner may not know yet that he is: his refusal decides nothing. */
Test(replicate_return, st18_what_was_refused_is_offered_again)
{
    ring(apart, 6);
    struct person *who = user(7);
    struct overlay_resource at = resource_of(peers[0].w, person_user(who));
    int owner = owner_of(ring_of(&at));
    int holder = (owner + 2) % 6;
    put_phantoms(owner, 1);
    cr_assert_not(topo_is_responsible(&peers[owner].topo, ring_of(&at)));
    struct wish wish = value_at_now("kept");
    struct store_put_outcome o = put_as(peers[holder].w, who, peers[owner].who, &at, &wish, 1, 9);
    cr_assert_eq(o.error, 0);
    tell(holder, false);
    run(16000);
    cr_assert_eq(metric_read(&peers[owner].w->metrics, METRIC_stores_forbidden), 1);
    cr_assert(has_copy(holder, &at));
    cr_assert_not(has_copy(owner, &at));
    take_phantoms(owner, 1);
    run(12000);
    cr_assert(has_copy(owner, &at), "offered again after 8 s");
    settle(20000);
    cr_assert_eq(copies_of(&at, WORLD_KIND_SINGLE), 3);
    free(who);
    ring_end();
}

/* After five refusals the next try is 16 s away, but an Update says that the tables have moved. */
Test(replicate_return, an_update_ends_the_wait_after_a_refusal)
{
    ring(apart, 6);
    struct person *who = user(7);
    struct overlay_resource at = resource_of(peers[0].w, person_user(who));
    int owner = owner_of(ring_of(&at));
    int holder = (owner + 1) % 6;
    put_phantoms(holder, 3);
    cr_assert_not(topo_is_replica(&peers[holder].topo, ring_of(&at)));
    struct wish wish = value_at_now("one");
    cr_assert_eq(store_and_wait(who, &wish), 0);
    run(8500);
    cr_assert_geq(refused(owner), 3);
    take_phantoms(holder, 3);
    run(2000);
    cr_assert_not(has_copy(holder, &at), "it waits");
    chord_table_note_updated(&peers[owner].table, &peers[holder].who->ident.node_id,
                             peers[owner].w->turn.now_us);
    run(1000);
    cr_assert(has_copy(holder, &at), "not any more");
    free(who);
    settle(20000);
    ring_end();
}

/* A link that is younger than what we remember of a peer leads to another life of it. */
Test(replicate_return, who_was_away_is_filled_again)
{
    struct overlay_resource at;
    struct person *who = put_one(6, &at);
    int owner = owner_of(ring_of(&at));
    int holder = (owner + 1) % 6;
    settle(5000);
    for (int is_new = 0; is_new < 2; is_new++) {
        struct store_set *set =
            store_set_find(peers[holder].w->store, resource_slice(&at), WORLD_KIND_SINGLE);
        struct chord_table_node n =
            *chord_table_find(&peers[owner].table, &peers[holder].who->ident.node_id);
        if (set != NULL) {
            store_set_drop(peers[holder].w->store, set);
        }
        n.up_since_us = is_new ? peers[owner].w->turn.now_us : n.up_since_us;
        (void)chord_table_remove(&peers[owner].table, &n.id);
        cr_assert_eq(chord_table_add(&peers[owner].table, &n), ERR_OK);
        tell(owner, false);
        run(3000);
        cr_assert_eq(has_copy(holder, &at), is_new == 1, "the link is %s", is_new ? "new" : "old");
    }
    free(who);
    settle(20000);
    ring_end();
}

/* An owner that was away for a moment: who stood in for him placed a copy farther on, which is
 * dropped there when it is wanted no more (CH-26).  It is placed anew when he is gone for good. */
Test(replicate_return, ch26_a_copy_that_was_dropped_is_not_taken_to_be_there)
{
    struct overlay_resource at;
    struct person *who = put_one(7, &at);
    settle(25000);
    int owner = owner_of(ring_of(&at));
    int third = (owner + 3) % 7;
    cr_assert_not(has_copy(third, &at));
    kill_peer(owner);
    run(3000);
    cr_assert(has_copy(third, &at));
    peers[owner].is_alive = true;
    meet_all();
    run(100000);
    cr_assert_not(has_copy(third, &at));
    cr_assert_eq(copies_of(&at, WORLD_KIND_SINGLE), 3);
    kill_peer(owner);
    run(3000);
    cr_assert_eq(copies_of(&at, WORLD_KIND_SINGLE), 3, "%d", copies_of(&at, WORLD_KIND_SINGLE));
    free(who);
    ring_end();
}

/* Who leaves has 10 s: it asks again each second, not with each answer. */
Test(replicate_return, who_leaves_offers_what_was_refused_once_a_second)
{
    ring(apart, 6);
    struct person *who = user(7);
    struct overlay_resource at = resource_of(peers[0].w, person_user(who));
    int owner = owner_of(ring_of(&at));
    int holder = (owner + 2) % 6;
    put_phantoms(owner, 1);
    struct wish wish = value_at_now("kept");
    struct store_put_outcome o = put_as(peers[holder].w, who, peers[owner].who, &at, &wish, 1, 9);
    cr_assert_eq(o.error, 0);
    replicate_leave(&peers[holder].w->turn, peers[holder].replicate);
    run(5000);
    cr_assert_eq(peers[holder].left, 0);
    uint64_t refusals = metric_read(&peers[owner].w->metrics, METRIC_stores_forbidden);
    cr_assert_geq(refusals, 3);
    cr_assert_leq(refusals, 6);
    take_phantoms(owner, 1);
    run(1500);
    cr_assert_eq(peers[holder].left, 1);
    cr_assert_eq(peers[holder].event_error, ERR_OK);
    cr_assert(has_copy(owner, &at));
    free(who);
    ring_end();
}
