/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that wait for a disk (design.md 9). */
#include "tests/unit/dht/replicate_stage.h"

static void durable(int i, bool is_promised)
{
    struct peer *p = &peers[i];
    replicate_on_durable(&p->w->turn, p->replicate, store_log_sequence(p->w->store), is_promised);
}

/* storage-ack = disk: an answer waits for the owner's disk and for a copy, and the answer to a copy
 * for the disk that it came to. */
Test(replicate_disk, answer_waits_for_the_disks_too)
{
    ack_of_all = OVERLAY_ACK_DISK;
    ring(apart, 4);
    for (int i = 0; i < 4; i++) {
        durable(i, true);
    }
    struct person *who = user(1);
    struct wish wish = value_at_now("one");
    struct overlay_resource at = resource_of(peers[0].w, person_user(who));
    int owner = owner_of(ring_of(&at));
    struct call *c = client_store(who, &wish, -1);
    run(100);
    cr_assert_eq(copies_of(&at, WORLD_KIND_SINGLE), 3, "copies go at once");
    durable(owner, true);
    run(50);
    cr_assert_not(c->is_answered, "no copy is on a disk");
    for (int i = 0; i < 4; i++) {
        if (i != owner) {
            durable(i, true);
        }
    }
    run(50);
    cr_assert(c->is_answered && c->error == 0);
    c->is_used = false;
    /* The copies are quick, the owner's disk is not: not even half a second helps. */
    wish = value_at_now("two");
    c = client_store(who, &wish, -1);
    for (int k = 0; k < 200; k++) {
        step();
        for (int i = 0; i < 4; i++) {
            if (i != owner) {
                durable(i, true);
            }
        }
    }
    cr_assert_not(c->is_answered);
    durable(owner, true);
    run(20);
    cr_assert(c->is_answered && c->error == 0);
    c->is_used = false;
    free(who);
    ring_end();
}

/* The same value again, while the first is not on the disk yet, is no proof that it is. */
Test(replicate_disk, a_repeated_store_waits_as_well)
{
    ack_of_all = OVERLAY_ACK_DISK;
    ring(apart, 1);
    durable(0, true);
    struct person *who = user(1);
    struct wish wish = value_at_now("one");
    struct call *first = client_store(who, &wish, 0);
    run(50);
    struct call *again = client_store(who, &wish, 0);
    run(1000);
    cr_assert_not(first->is_answered);
    cr_assert_not(again->is_answered);
    durable(0, true);
    run(20);
    cr_assert(first->is_answered && again->is_answered && first->error + again->error == 0);
    first->is_used = again->is_used = false;
    free(who);
    ring_end();
}

/* The disk is late or has failed: answers leave, counted; and none is held back from then on. */
Test(replicate_disk, without_the_promise_nobody_waits)
{
    ack_of_all = OVERLAY_ACK_DISK;
    ring(apart, 1);
    durable(0, true);
    struct metrics *m = &peers[0].w->metrics;
    struct person *who = user(1);
    struct wish wish = value_at_now("one");
    struct call *c = client_store(who, &wish, 0);
    run(50);
    cr_assert_not(c->is_answered);
    replicate_on_durable(&peers[0].w->turn, peers[0].replicate, 0, false);
    run(20);
    cr_assert(c->is_answered && c->error == 0);
    c->is_used = false;
    cr_assert_eq(metric_read(m, METRIC_persist_acks_undurable), 1);
    wish = value_at_now("two");
    cr_assert_eq(store_and_wait(who, &wish), 0);
    free(who);
    ring_end();
}

/* More Stores than can be remembered: the others are told that they may come again, never that they
 * are safe. */
Test(replicate_disk, too_many_that_wait_for_the_disk_are_refused)
{
    ack_of_all = OVERLAY_ACK_DISK;
    ring(apart, 1);
    durable(0, true);
    struct call *open[24];
    struct person *who[24];
    uint32_t refused = 0;
    for (uint32_t i = 0; i < 24; i++) {
        who[i] = user(i);
        struct wish wish = value_at_now("x");
        open[i] = client_store(who[i], &wish, 0);
    }
    run(50);
    for (uint32_t i = 0; i < 24; i++) {
        cr_assert(!open[i]->is_answered || open[i]->error == CONTENT_ERROR_REQUEST_TIMEOUT);
        refused += open[i]->is_answered;
    }
    cr_assert_eq(refused, 24 - 16, "%u", refused);
    durable(0, true);
    run(20);
    for (uint32_t i = 0; i < 24; i++) {
        cr_assert(open[i]->is_answered);
        open[i]->is_used = false;
        free(who[i]);
    }
    ring_end();
}
