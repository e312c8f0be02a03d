/* SPDX-License-Identifier: Apache-2.0 */
/* test_replicate_leave.c - who leaves in good order while others die: what it holds for an owner
 * stands elsewhere before it goes (ST-18, CH-33), and asking for that costs little. */
#include "tests/unit/dht/replicate_stage.h"

enum { USERS = 12 };

/* Dead, and nobody has noticed yet. */
static void die_silently(int i)
{
    peers[i].is_alive = false;
}

static void drop_copy(int i, const struct overlay_resource *at)
{
    struct store_set *set =
        store_set_find(peers[i].w->store, resource_slice(at), WORLD_KIND_SINGLE);
    if (set != NULL) {
        store_set_drop(peers[i].w->store, set);
    }
}

static void run_until_left(int i, uint32_t ms)
{
    for (uint32_t k = 0; k < ms / STEP_MS && peers[i].left == 0; k++) {
        step();
    }
}

/* The owner is dead without a word when the last one that holds a copy of its leaves: the owner's
 * word that he has it is no reason to go, and the next owner gets it. */
Test(replicate_leave, the_last_copy_does_not_leave_on_a_dead_owners_word)
{
    struct overlay_resource at;
    struct person *who = put_one(7, &at);
    settle(25000);
    int owner = owner_of(ring_of(&at));
    int leaver = (owner + 1) % 7;
    drop_copy((owner + 2) % 7, &at);
    die_silently(owner);
    replicate_leave(&peers[leaver].w->turn, peers[leaver].replicate);
    run_until_left(leaver, 2000);
    cr_assert_eq(peers[leaver].left, 0, "it waits for the owner's answer");
    kill_peer(owner); /* noticed */
    cr_assert_eq(owner_of(ring_of(&at)), leaver);
    run_until_left(leaver, 10000);
    cr_assert_eq(peers[leaver].left, 1);
    cr_assert_eq(peers[leaver].event_error, ERR_OK);
    kill_peer(leaver);
    cr_assert(has_copy(owner_of(ring_of(&at)), &at), "the next owner has it");
    free(who);
    ring_end();
}

/* What was on its way to him does not keep the next owner waiting: he is noticed to be dead before
 * it has timed out. */
Test(replicate_leave, what_goes_to_the_dead_goes_to_the_next_owner)
{
    struct overlay_resource at;
    struct person *who = put_one(7, &at);
    settle(25000);
    int owner = owner_of(ring_of(&at));
    int next = (owner + 1) % 7;
    int leaver = (owner + 2) % 7;
    drop_copy(next, &at);
    die_silently(owner);
    replicate_leave(&peers[leaver].w->turn, peers[leaver].replicate);
    run_until_left(leaver, 500);
    kill_peer(owner);
    cr_assert_eq(owner_of(ring_of(&at)), next);
    run_until_left(leaver, 1000);
    cr_assert_eq(peers[leaver].left, 1);
    cr_assert_eq(peers[leaver].event_error, ERR_OK);
    cr_assert(has_copy(next, &at));
    free(who);
    ring_end();
}

/* One question to each owner, however much is held; where all live, leaving takes no time. */
Test(replicate_leave, owners_are_asked_once_each)
{
    struct overlay_resource at[USERS];
    uint32_t held = 0;
    ring(apart, 7);
    for (uint32_t i = 0; i < USERS; i++) {
        struct person *who = user(i);
        at[i] = resource_of(peers[0].w, person_user(who));
        struct wish wish = value_at_now("one");
        cr_assert_eq(store_and_wait(who, &wish), 0);
        free(who);
    }
    settle(25000);
    int leaver = 3;
    for (uint32_t i = 0; i < USERS; i++) {
        held += has_copy(leaver, &at[i]) && owner_of(ring_of(&at[i])) != leaver ? 1 : 0;
    }
    cr_assert_gt(held, 2);
    uint32_t before = stores_sent;
    replicate_leave(&peers[leaver].w->turn, peers[leaver].replicate);
    run_until_left(leaver, 1500);
    cr_assert_eq(peers[leaver].left, 1);
    cr_assert_eq(peers[leaver].event_error, ERR_OK);
    cr_assert_gt(stores_sent, before);
    cr_assert_leq(stores_sent - before, 2, "its two predecessors own what it holds");
    ring_end();
}

/* An owner who never answers, and whom all take for alive, holds nobody up for ever. */
Test(replicate_leave, an_owner_who_is_silent_for_ever)
{
    struct overlay_resource at;
    struct person *who = put_one(7, &at);
    settle(25000);
    int owner = owner_of(ring_of(&at));
    int leaver = (owner + 1) % 7;
    die_silently(owner);
    uint32_t before = stores_sent;
    replicate_leave(&peers[leaver].w->turn, peers[leaver].replicate);
    run_until_left(leaver, REPLICATE_LEAVE_S * 1000 - 1000);
    cr_assert_eq(peers[leaver].left, 0);
    run_until_left(leaver, 3000);
    cr_assert_eq(peers[leaver].left, 1);
    cr_assert_eq(peers[leaver].event_error, ERR_TIMEOUT);
    cr_assert_leq(stores_sent - before, REPLICATE_LEAVE_S / 2 + 1);
    free(who);
    ring_end();
}
