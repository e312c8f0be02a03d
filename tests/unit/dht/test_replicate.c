/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 6940 10.4, 10.5, 10.7; CH-6, CH-12, CH-19, CH-25, CH-26, ST-2, ST-3, ST-16, ST-18; design.md
 * 1 and 9. */
#include "tests/unit/dht/replicate_stage.h"

Test(replicate, three_copies_and_refresh)
{
    ring(apart, 6);
    for (uint32_t i = 0; i < 20; i++) {
        struct person *who = user(i);
        struct wish wish = value_at_now("one");
        cr_assert_eq(store_and_wait(who, &wish), 0);
        struct overlay_resource at = resource_of(peers[0].w, person_user(who));
        run(100);
        cr_assert_eq(copies_of(&at, WORLD_KIND_SINGLE), 3, "CH-6");
        wish = value_at_now("two");
        cr_assert_eq(store_and_wait(who, &wish), 0);
        free(who);
    }
    settle(5000);
    cr_assert_eq(stores_sent, 20 * 2 * 2, "two copies of each value, and nothing twice: %u",
                 stores_sent);
    ring_end();
}

/* design.md 1: four peers of one host in a row: copies go on until another host has one, and the
 * answer waits for that one (design.md 9). */
Test(replicate, copies_stand_on_two_hosts)
{
    ring(paired, 8);
    for (uint32_t i = 0; i < 30; i++) {
        struct person *who = user(i);
        struct overlay_resource at = resource_of(peers[0].w, person_user(who));
        struct wish wish = value_at_now("one");
        cr_assert_eq(store_and_wait(who, &wish), 0);
        run(50);
        bool on[2] = {false, false};
        for (int k = 0; k < 8; k++) {
            on[k / 4] |= has_copy(k, &at);
        }
        cr_assert(on[0] && on[1]);
        cr_assert_geq(copies_of(&at, WORLD_KIND_SINGLE), 3);
        free(who);
    }
    settle(2000);
    ring_end();
}

Test(replicate, answer_waits_for_a_replica_or_half_a_second)
{
    ring(apart, 4);
    struct person *who = user(1);
    struct overlay_resource at = resource_of(peers[0].w, person_user(who));
    int owner = owner_of(ring_of(&at));
    for (int i = 0; i < 4; i++) {
        peers[i].is_alive = i == owner; /* the others are mute, and nobody has noticed */
    }
    struct wish wish = value_at_now("one");
    struct call *c = client_store(who, &wish, owner);
    run(480);
    cr_assert_not(c->is_answered);
    run(60);
    cr_assert(c->is_answered);
    cr_assert_eq(c->error, 0);
    cr_assert_eq(metric_read(&peers[owner].w->metrics, METRIC_replica_acks_late), 1);
    struct msgs_store_ans ans;
    struct stored_response response;
    cr_assert_eq(
        msgs_store_ans_decode(slice_of(c->answer, c->answer_len), &peers[0].w->params, &ans),
        ERR_OK);
    struct rd r = rd_init(ans.kind_responses);
    cr_assert(stored_response_next(&r, &peers[0].w->params, &response));
    cr_assert_eq(response.generation, 1);
    cr_assert_eq(response.replicas.len, 32, "ST-10: where it was or will be replicated");
    c->is_used = false;
    free(who);
    ring_end();
}

/* One StoreReq of several Kinds: the copies of one say nothing of the other's. */
Test(replicate, answer_waits_for_a_copy_of_each_kind)
{
    ring(apart, 4);
    struct person *who = user(1);
    struct overlay_resource at = resource_of(peers[0].w, person_user(who));
    int owner = owner_of(ring_of(&at));
    for (int is_lost = 0; is_lost < 2; is_lost++) {
        struct wish one = value_at_now("one");
        struct wish two = one;
        two.kind = WORLD_KIND_ARRAY;
        struct call *c = client_store_both(who, &one, &two);
        for (int i = 0; i < 4; i++) {
            peers[i].is_alive = i == owner;
        }
        step(); /* copies have left, and are still on their way */
        uint32_t lost = 0;
        for (size_t i = 0; i < CALLS; i++) {
            bool is_array = calls[i].is_used && !calls[i].is_client && calls[i].body[25] == 2;
            lost += is_array ? 1 : 0;
            calls[i].to = is_array && is_lost ? -1 : calls[i].to;
        }
        cr_assert_eq(lost, 2);
        for (int i = 0; i < 4; i++) {
            peers[i].is_alive = true;
        }
        run(50);
        cr_expect_eq(c->is_answered, !is_lost, "%s", is_lost ? "one Kind stands alone" : "both");
        run(500);
        cr_assert(c->is_answered);
        cr_expect_eq(c->error, 0);
        cr_expect_eq(metric_read(&peers[owner].w->metrics, METRIC_replica_acks_late),
                     (uint64_t)is_lost);
        c->is_used = false;
    }
    settle(20000);
    cr_expect_eq(copies_of(&at, WORLD_KIND_ARRAY), 3);
    free(who);
    ring_end();
}

/* Of a Kind that a StoreReq names and does not change nothing is sent. */
Test(replicate, what_has_not_changed_is_not_sent)
{
    ring(apart, 4);
    struct person *who = user(1);
    struct wish one = value_at_now("one");
    struct wish two = one;
    two.kind = WORLD_KIND_ARRAY;
    stores_sent = 0;
    struct call *c = client_store_both(who, &one, &two);
    run(100);
    cr_assert(c->is_answered && c->error == 0);
    c->is_used = false;
    cr_expect_eq(stores_sent, 4);
    two.time_ms++;
    c = client_store_both(who, &one, &two);
    run(100);
    cr_assert(c->is_answered && c->error == 0);
    c->is_used = false;
    cr_expect_eq(stores_sent, 6, "%u", stores_sent);
    settle(30000);
    cr_expect_eq(stores_sent, 6, "and later: %u", stores_sent);
    free(who);
    ring_end();
}

Test(replicate, alone_answers_at_once_and_fills_newcomers)
{
    ring(apart, 1);
    struct person *who = user(1);
    struct overlay_resource at = resource_of(peers[0].w, person_user(who));
    struct wish wish = value_at_now("one");
    struct call *c = client_store(who, &wish, 0);
    step();
    cr_assert(c->is_answered);
    c->is_used = false;
    for (int i = 1; i < 5; i++) {
        peer_start(i, apart[i], (uint8_t)(i * 32 + 16));
        meet_all();
        settle(3000);
        cr_assert_geq(copies_of(&at, WORLD_KIND_SINGLE), i < 2 ? i + 1 : 3, "T14.1: min(N, 3)");
    }
    free(who);
    settle(100000);
    cr_assert_eq(copies_of(&at, WORLD_KIND_SINGLE), 3, "CH-26: and no more");
    ring_end();
}

Test(replicate, who_may_send_what)
{
    ring(apart, 6);
    struct person *who = user(1);
    struct overlay_resource at = resource_of(peers[0].w, person_user(who));
    int owner = owner_of(ring_of(&at));
    struct wish wish = value_at_now("one");
    struct call *c = client_store(who, &wish, (owner + 1) % 6);
    run(20);
    cr_assert_eq(c->error, CONTENT_ERROR_FORBIDDEN, "ST-2: not responsible");
    c->is_used = false;
    c = client_store(who, &wish, owner);
    c->what.target.resource.lo++;
    run(20);
    cr_assert_eq(c->error, CONTENT_ERROR_FORBIDDEN, "ST-2: other Resource-ID than the Destination");
    c->is_used = false;
    c = client_store(who, &wish, owner);
    c->body[17] = 1; /* replica_number: alice plays owner */
    run(20);
    cr_assert_neq(c->error, 0, "ST-3");
    c->is_used = false;
    c = client_store(who, &wish, (owner + 4) % 6);
    c->body[17] = 1;
    run(20);
    cr_assert_eq(c->error, CONTENT_ERROR_FORBIDDEN, "ST-3: nor a replica there");
    c->is_used = false;
    c = client_store(who, &wish, owner);
    c->body_len--;
    run(20);
    cr_assert_eq(c->error, CONTENT_ERROR_INVALID_MESSAGE);
    c->is_used = false;
    cr_assert_eq(copies_of(&at, WORLD_KIND_SINGLE), 0);
    free(who);
    ring_end();
}

/* ST-18: anybody may bring the owner a copy, with whatever counter: of a set that he has it is his
 * to count (or readers would keep what they had, writers be refused, and copies go nowhere). */
Test(replicate, st18_an_owner_counts_by_himself)
{
    ring(apart, 6);
    struct person *who = user(1);
    struct overlay_resource at = resource_of(peers[0].w, person_user(who));
    struct wish wish = value_at_now("one");
    const uint64_t others[] = {7, UINT64_MAX - 1, UINT64_MAX};
    cr_assert_eq(store_and_wait(who, &wish), 0);
    settle(2000);
    int owner = owner_of(ring_of(&at));
    const struct store_set *set =
        store_set_find(peers[owner].w->store, resource_slice(&at), WORLD_KIND_SINGLE);
    uint64_t generation = set->generation;
    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        struct call *c = client_store(who, &wish, owner);
        struct wr out = wr_init(c->body, sizeof(c->body));
        wr_opaque8(&out, resource_slice(&at));
        wr_u8(&out, 1); /* replica_number */
        size_t all = wr_begin(&out, 4);
        stored_block_end(&out, stored_block_begin(&out, WORLD_KIND_SINGLE, others[i]));
        wr_end(&out, 4, all);
        c->body_len = wr_len(&out);
        run(20);
        cr_assert(c->is_answered);
        cr_assert_eq(c->error, 0, "no reason to refuse it");
        c->is_used = false;
        cr_assert_eq(set->generation, generation, "after %zu", i);
    }
    wish = value_at_now("two");
    cr_assert_eq(store_and_wait(who, &wish), 0);
    cr_assert_eq(set->generation, generation + 1);
    settle(2000);
    cr_assert_eq(copies_of(&at, WORLD_KIND_SINGLE), 3);
    free(who);
    ring_end();
}

/* Must hold 4: readable at once from the new owner, three copies within 60 s, not before 30 s for
 * those who are new to it (CH-19). */
Test(replicate, copies_come_back_after_a_failure)
{
    enum { USERS = 40 };
    struct person *people[USERS];
    struct overlay_resource at[USERS];
    ring(apart, 7);
    for (uint32_t i = 0; i < USERS; i++) {
        people[i] = user(i);
        at[i] = resource_of(peers[0].w, person_user(people[i]));
        struct wish wish = value_at_now("one");
        cr_assert_eq(store_and_wait(people[i], &wish), 0);
    }
    settle(2000);
    for (int dead = 6; dead >= 5; dead--) {
        kill_peer(dead);
        for (uint32_t i = 0; i < USERS; i++) {
            cr_assert(has_copy(owner_of(ring_of(&at[i])), &at[i]), "readable at once");
        }
        run(55000);
        for (uint32_t i = 0; i < USERS; i++) {
            cr_assert_geq(copies_of(&at[i], WORLD_KIND_SINGLE), 3, "%u of user %u after %d",
                          copies_of(&at[i], WORLD_KIND_SINGLE), i, dead);
        }
        settle(20000);
    }
    for (uint32_t i = 0; i < USERS; i++) {
        free(people[i]);
    }
    ring_end();
}

/* CH-12: everything that the joiner will own is there before the event; CH-13, CH-25 afterwards. */
Test(replicate, join_hand_over)
{
    enum { USERS = 60 };
    struct person *people[USERS];
    struct overlay_resource at[USERS];
    ring(apart, 5);
    for (uint32_t i = 0; i < USERS; i++) {
        people[i] = user(i);
        at[i] = resource_of(peers[0].w, person_user(people[i]));
        struct wish wish = value_at_now("one");
        cr_assert_eq(store_and_wait(people[i], &wish), 0);
    }
    peer_start(5, "h5", 0xf0);
    struct peer *joiner = &peers[5];
    joiner->table.is_member = false;
    int admitting = owner_of(ids_ring_of_node(&joiner->who->ident.node_id));
    meet(5, admitting);
    cr_assert_eq(replicate_hand_over(&peers[admitting].w->turn, peers[admitting].replicate,
                                     &joiner->who->ident.node_id),
                 ERR_OK);
    for (int i = 0; i < 500 && peers[admitting].handed_over == 0; i++) {
        step();
    }
    cr_assert_eq(peers[admitting].handed_over, 1);
    cr_assert_eq(peers[admitting].event_error, ERR_OK);
    joiner->table.is_member = true;
    meet_all();
    uint32_t its = 0;
    for (uint32_t i = 0; i < USERS; i++) {
        its += owner_of(ring_of(&at[i])) == 5;
        cr_assert(has_copy(owner_of(ring_of(&at[i])), &at[i]), "no look-up fails");
    }
    cr_assert_gt(its, 5);
    settle(100000);
    for (uint32_t i = 0; i < USERS; i++) {
        cr_assert_eq(copies_of(&at[i], WORLD_KIND_SINGLE), 3);
        free(people[i]);
    }
    ring_end();
}

Test(replicate, hand_over_of_nothing_and_to_nobody)
{
    ring(apart, 2);
    peer_start(2, "h2", 0xf0);
    int admitting = 0;
    struct node_id id = peers[2].who->ident.node_id;
    cr_assert_eq(replicate_hand_over(&peers[0].w->turn, peers[0].replicate, &id), ERR_OK);
    run(100);
    cr_assert_eq(peers[admitting].handed_over, 1, "nothing to give: at once");
    struct wish wish = value_at_now("one");
    for (uint32_t i = 0; i < 10; i++) {
        struct person *who = user(i);
        cr_assert_eq(store_and_wait(who, &wish), 0);
        free(who);
    }
    peers[2].is_alive = false;
    cr_assert_eq(replicate_hand_over(&peers[0].w->turn, peers[0].replicate, &id), ERR_OK);
    run(21000);
    cr_assert_eq(peers[0].handed_over, 2);
    cr_assert_eq(peers[0].event_error, ERR_TIMEOUT, "a joiner that is silent");
    for (uint32_t i = 0; i < REPLICATE_JOINERS_CAP + 1; i++) {
        struct node_id stranger = {{0xf1, (uint8_t)i}};
        cr_assert_eq(replicate_hand_over(&peers[0].w->turn, peers[0].replicate, &stranger),
                     i < REPLICATE_JOINERS_CAP ? ERR_OK : ERR_LIMIT);
    }
    ring_end();
}

/* design.md 1: the range is stored on another host before the peer goes, though its hold-down runs.
 */
Test(replicate, leave_hand_over)
{
    ring(paired, 8);
    struct overlay_resource at[30];
    for (uint32_t i = 0; i < 30; i++) {
        struct person *who = user(i);
        at[i] = resource_of(peers[0].w, person_user(who));
        struct wish wish = value_at_now("one");
        cr_assert_eq(store_and_wait(who, &wish), 0);
        free(who);
    }
    for (int gone = 4; gone < 7; gone++) {
        replicate_leave(&peers[gone].w->turn, peers[gone].replicate);
        for (int i = 0; i < 1200 && peers[gone].left == 0; i++) {
            step();
        }
        cr_assert_eq(peers[gone].left, 1);
        cr_assert_eq(peers[gone].event_error, ERR_OK);
        kill_peer(gone);
        for (uint32_t i = 0; i < 30; i++) {
            cr_assert(has_copy(owner_of(ring_of(&at[i])), &at[i]), "%d", gone);
        }
    }
    ring_end();
}

/* ST-18 and ST-16: two halves that stored on their own meet again; the newer value wins everywhere.
 */
Test(replicate, halves_meet_again)
{
    ring(apart, 4);
    struct person *who = user(7);
    struct overlay_resource at = resource_of(peers[0].w, person_user(who));
    int owner = owner_of(ring_of(&at));
    struct wish wish = value_at_now("old");
    cr_assert_eq(store_and_wait(who, &wish), 0);
    settle(1000);
    /* One replica learns of a newer value by itself, as after a split. */
    struct replicate *r = peers[owner].replicate;
    (void)r;
    int other = (owner + 1) % 4;
    struct wish newer = value_at_now("newer");
    newer.time_ms += 5;
    struct store_put_outcome o = put_as(peers[other].w, who, peers[owner].who, &at, &newer, 1, 9);
    cr_assert_eq(o.error, 0);
    struct wish middle = value_at_now("middle");
    middle.time_ms = newer.time_ms - 1;
    cr_assert_eq(store_and_wait(who, &middle), 0);
    settle(20000);
    for (int i = 0; i < 4; i++) {
        struct overlay_stored one;
        uint32_t index = 0;
        while (store_walk(&peers[i].w->turn, peers[i].w->store, &index, &one)) {
            cr_assert_eq(one.storage_time_ms, newer.time_ms, "peer %d", i);
        }
    }
    cr_assert_geq(copies_of(&at, WORLD_KIND_SINGLE), 3);
    cr_assert_geq(metric_read(&peers[owner].w->metrics, METRIC_replicas_newer), 1);
    free(who);
    ring_end();
}

/* Many values of one set need several messages of at most max-message-size (checked on sending). */
Test(replicate, large_sets_are_cut)
{
    ring(apart, 4);
    peers[0].w->config.kinds[1].max_count = 60;
    struct person *who = user(3);
    struct overlay_resource at = resource_of(peers[0].w, person_user(who));
    int owner = owner_of(ring_of(&at));
    for (int i = 0; i < 4; i++) {
        peers[i].w->config.kinds[1].max_count = 60;
    }
    for (uint32_t i = 0; i < 40; i++) {
        struct wish wish = {
            WORLD_KIND_ARRAY,         i,   NULL, "some bytes that make it longer than it was",
            peers[0].w->turn.wall_ms, 3600};
        cr_assert_eq(put_as(peers[owner].w, who, who, &at, &wish, 0, 0).error, 0);
    }
    tell(owner, false);
    settle(5000);
    for (int i = 0; i < 4; i++) {
        struct store_set *set =
            store_set_find(peers[i].w->store, resource_slice(&at), WORLD_KIND_ARRAY);
        if (set != NULL) {
            cr_assert_eq(set->count, 40);
        }
    }
    cr_assert_eq(copies_of(&at, WORLD_KIND_ARRAY), 3);
    free(who);
    ring_end();
}
