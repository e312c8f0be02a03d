/* SPDX-License-Identifier: Apache-2.0 */
/* Links between tables: up, messages, acknowledgement, silence, glare.  RFC 6940 6.6; LK-1 to LK-9,
 * AT-13, AT-14, AT-18. */
#include "link/link_table.h"
#include "tests/unit/link/link_world.h"

static void make_pair(void)
{
    world_dial(0, 1, true, 42);
    world_settle();
    cr_assert_eq(link_count_up(world.hosts[0].links), 1);
    cr_assert_eq(link_count_up(world.hosts[1].links), 1);
}

Test(link, comes_up_on_both_sides)
{
    for (int expects = 0; expects <= 1; expects++) {
        world_init(1 + (uint64_t)expects);
        struct world_host *a = &world.hosts[0], *b = &world.hosts[1];
        handle link = world_dial(0, 1, expects == 1, 42);
        world_settle();
        cr_assert_eq(a->event_count, 1);
        cr_assert_eq(b->event_count, 1);
        const struct world_event *e = event_of(a, LINK_UP, 0);
        struct node_id b_id = node_of(b), a_id = node_of(a);
        cr_assert_eq(e->event.link, link);
        cr_assert_eq(e->event.tag, 42);
        cr_assert(ids_node_is_equal(&e->event.node_id, &b_id));
        cr_assert_str_eq(e->user, b->credential.user);
        e = event_of(b, LINK_UP, 0);
        cr_assert(ids_node_is_equal(&e->event.node_id, &a_id));
        cr_assert_str_eq(e->user, a->credential.user);
        cr_assert_eq(link_find(a->links, &b_id), link);
        cr_assert_eq(link_find(b->links, &a_id), e->event.link);
        cr_assert_eq(link_find(b->links, &b_id), 0);
        struct link_info info;
        uint32_t index = 0;
        cr_assert(link_walk(b->links, &index, &info));
        cr_assert(info.is_up && !info.is_dialled && !info.is_suspect && !info.is_local);
        cr_assert_eq(info.certificate_not_after_ms, NOW_MS + DAY_MS);
        cr_assert_eq(info.listens.port, 0, "it has not said");
        const struct address at = {.family = 4, .port = 6084, .ip = {192, 0, 2, 1}};
        link_note_listens(b->links, info.link, &at);
        link_note_listens(b->links, info.link + 1, &(struct address){.port = 1}); /* no link */
        index = 0;
        cr_assert(link_walk(b->links, &index, &info));
        cr_assert(address_is_equal(&info.listens, &at));
        cr_assert_eq(conn_of(a, a->conns[0].self)->proved, 1);
        cr_assert_eq(conn_of(b, b->conns[0].self)->proved, 1);
        world_fini();
    }
}

/* Any sizes in any pieces arrive once, in order, unchanged; all is acknowledged in the end. */
Test(link, carries_messages_of_all_sizes_in_any_pieces)
{
    static uint8_t text[5000];
    static const size_t pieces[] = {1, 7, 1500, 20000};
    for (size_t p = 0; p < ARRAY_COUNT(pieces); p++) {
        world_init(100 + p);
        make_pair();
        world.most = pieces[p];
        size_t sent = 0, bytes = 0;
        size_t rounds = pieces[p] == 1 ? 12 : 120;
        for (size_t round = 0; round < rounds; round++) {
            size_t burst = 1 + rng_below(&world.rng, 6);
            for (size_t i = 0; i < burst; i++) {
                size_t len = round % 10 == 0 ? sizeof(text) : rng_below(&world.rng, 900);
                size_t head = len == 0 ? 0 : rng_below(&world.rng, len);
                memset(text, (int)(sent & 0xff), sizeof(text));
                enum err error = world_send(0, 1, slice_of(text, head), slice_of(text, len - head));
                cr_assert_eq(error, ERR_OK);
                sent++;
                bytes += len;
            }
            if (round % 3 == 0) {
                world_settle();
            }
            world.now_us += 5000;
        }
        world_settle();
        size_t got = 0, got_bytes = 0;
        for (size_t i = 0; i < world.hosts[1].event_count; i++) {
            const struct world_event *e = &world.hosts[1].events[i];
            if (e->event.kind == LINK_MESSAGE) {
                for (size_t k = 0; k < e->event.message_len; k++) {
                    cr_assert_eq(e->message[k], got & 0xff);
                }
                got++;
                got_bytes += e->event.message_len;
            }
        }
        cr_assert_eq(got, sent);
        cr_assert_eq(got_bytes, bytes);
        struct link_info info;
        uint32_t index = 0;
        cr_assert(link_walk(world.hosts[0].links, &index, &info));
        cr_assert_eq(info.unacked_frames, 0);
        cr_assert_eq(info.queued_bytes, 0);
        cr_assert_eq(info.messages_out, sent);
        cr_assert_gt(info.rto_us, 0);
        world_pass(20000000);
        cr_assert_eq(count_events(&world.hosts[0], LINK_SUSPECT), 0);
        cr_assert_eq(count_events(&world.hosts[0], LINK_DOWN), 0);
        world_fini();
    }
}

/* Many messages of one turn leave in few records (design.md 4.1), and cost few ACKs. */
Test(link, gathers_the_messages_of_a_turn)
{
    static uint8_t text[500];
    world_init(5);
    make_pair();
    struct world_host *a = &world.hosts[0];
    for (size_t i = 0; i < 64; i++) {
        cr_assert_eq(world_send(0, 1, SLICE_EMPTY, slice_of(text, sizeof(text))), ERR_OK);
    }
    link_flush(&a->t, a->links);
    cr_assert_leq(a->out.count, 3); /* 64 * 508 bytes in records of 16 KiB */
    world.most = 100000;
    world_settle();
    cr_assert_eq(count_events(&world.hosts[1], LINK_MESSAGE), 64);
    struct link_info info;
    uint32_t index = 0;
    cr_assert(link_walk(a->links, &index, &info));
    cr_assert_eq(info.unacked_frames, 0);
    world_fini();
}

/* A message written where it leaves from is like any other, and one that is not finished is none.
 */
Test(link, carries_messages_that_are_written_in_place)
{
    static uint8_t text[500];
    size_t cap = 0;
    world_init(7);
    make_pair();
    struct world_host *a = &world.hosts[0], *b = &world.hosts[1];
    struct node_id to = node_of(b);
    handle link = link_find(a->links, &to);
    for (size_t i = 0; i < 64; i++) {
        memset(text, (int)i, sizeof(text));
        if (i % 3 == 2) {
            cr_assert_eq(world_send(0, 1, SLICE_EMPTY, slice_of(text, sizeof(text))), ERR_OK);
            continue;
        }
        uint8_t *at = link_claim(&a->t, a->links, link, 700, &cap);
        cr_assert_not_null(at);
        cr_assert_geq(cap, 700);
        memset(at, 0xff, cap); /* all of it may be used */
        if (i % 3 == 1) {      /* thought better of it */
            at = link_claim(&a->t, a->links, link, 700, &cap);
            cr_assert_not_null(at);
        }
        memcpy(at, text, sizeof(text));
        link_commit(&a->t, a->links, link, sizeof(text));
    }
    world.most = 100000;
    world_settle();
    size_t seen = 0;
    for (size_t i = 0; i < b->event_count; i++) {
        const struct world_event *e = &b->events[i];
        if (e->event.kind == LINK_MESSAGE) {
            cr_assert_eq(e->event.message_len, sizeof(text));
            cr_assert_eq(e->message[0], seen);
            cr_assert_eq(e->message[sizeof(text) - 1], seen);
            seen++;
        }
    }
    cr_assert_eq(seen, 64);
    cr_assert_null(link_claim(&a->t, a->links, link, 1 << 20, &cap), "more than a record");
    cr_assert_null(link_claim(&a->t, a->links, 0, 100, &cap), "no link");
    a->buffers.fail_after = 0;
    cr_assert_null(link_claim(&a->t, a->links, link, 100, &cap), "no buffer");
    a->buffers.fail_after = UINT32_MAX;
    a->conns[0].is_silent = true; /* a queue that the kernel does not empty */
    size_t sent = 0;
    while (link_claim(&a->t, a->links, link, 4000, &cap) != NULL) {
        cr_assert_lt(++sent, 200);
        link_commit(&a->t, a->links, link, 4000);
        link_flush(&a->t, a->links);
        carry_out(a);
    }
    cr_assert_gt(sent, 45);
    a->conns[0].is_silent = false;
    link_on_sent(&a->t, a->links, a->conns[0].link, 1u << 20);
    world_settle();
    world_fini();
}

Test(link, refuses_what_it_cannot_send)
{
    static uint8_t text[6000];
    world_init(6);
    make_pair();
    struct world_host *a = &world.hosts[0];
    cr_assert_eq(world_send(0, 1, slice_of(text, 2500), slice_of(text, 2501)), ERR_TOO_LARGE);
    cr_assert_eq(world_send(0, 2, SLICE_EMPTY, slice_of(text, 1)), ERR_CLOSED);
    /* A queue that the kernel does not empty. */
    a->conns[0].is_silent = true; /* no IO_SENT */
    size_t sent = 0;
    enum err error = ERR_OK;
    while ((error = world_send(0, 1, SLICE_EMPTY, slice_of(text, 5000))) == ERR_OK) {
        cr_assert_lt(++sent, 60);
        carry_out(a);
    }
    cr_assert_eq(error, ERR_LIMIT);
    cr_assert_gt(sent, 45);
    cr_assert_eq(metric_of(a, METRIC_link_queue_full), 1);
    /* No buffer: refused, not lost silently, and it works again afterwards. */
    a->conns[0].is_silent = false;
    link_on_sent(&a->t, a->links, a->conns[0].link, 1u << 20);
    a->buffers.fail_after = 0;
    cr_assert_eq(world_send(0, 1, SLICE_EMPTY, slice_of(text, 100)), ERR_LIMIT);
    cr_assert_eq(metric_of(a, METRIC_link_send_failed), 1);
    a->buffers.fail_after = UINT32_MAX;
    cr_assert_eq(world_send(0, 1, SLICE_EMPTY, slice_of(text, 100)), ERR_OK);
    world_settle();
    world_fini();
}

/* Sealed, but no buffer for the ciphertext: it leaves later, in order. */
Test(link, survives_a_shortage_of_buffers)
{
    static uint8_t text[300];
    for (uint32_t after = 0; after < 40; after++) {
        world_init(200 + after);
        make_pair();
        struct world_host *a = &world.hosts[0], *b = &world.hosts[1];
        size_t sent = 0;
        a->buffers.fail_after = after;
        b->buffers.fail_after = after;
        for (size_t i = 0; i < 30; i++) {
            text[0] = (uint8_t)sent;
            sent += world_send(0, 1, SLICE_EMPTY, slice_of(text, sizeof(text))) == ERR_OK;
            if (i % 2 == 0) {
                world_settle();
            }
        }
        a->buffers.fail_after = UINT32_MAX;
        b->buffers.fail_after = UINT32_MAX;
        world_settle();
        world_pass(500000);
        world_send(0, 1, SLICE_EMPTY, slice_of(text, 1));
        world_settle();
        if (count_events(b, LINK_DOWN) == 0) { /* a cut frame without a buffer ends the link */
            cr_assert_eq(count_events(b, LINK_MESSAGE), sent + 1);
            for (size_t i = 0; i < sent; i++) {
                cr_assert_eq(event_of(b, LINK_MESSAGE, i)->message[0], i);
            }
        }
        world_fini();
    }
}

/* LK-6, LK-8, design.md 5: suspect after one RTO, restored by ACKs, down after retain_us. */
Test(link, silence_makes_suspect_then_down)
{
    world_init(7);
    make_pair();
    struct world_host *a = &world.hosts[0], *b = &world.hosts[1];
    world_pass(30000000);
    cr_assert_eq(count_events(a, LINK_SUSPECT), 0, "an idle link is not suspect");
    b->conns[0].is_silent = true; /* what a sends is lost */
    cr_assert_eq(world_send(0, 1, SLICE_EMPTY, SLICE_LITERAL("one")), ERR_OK);
    world_settle();
    cr_assert_eq(world_send(0, 1, SLICE_LITERAL("t"), SLICE_LITERAL("wo")), ERR_OK);
    world_settle();
    uint64_t start_us = world.now_us;
    world_pass(900000);
    cr_assert_eq(count_events(a, LINK_SUSPECT), 0);
    world_pass(200000);
    cr_assert_eq(count_events(a, LINK_SUSPECT), 1);
    cr_assert_eq(metric_of(a, METRIC_link_suspect), 1);
    struct node_id b_id = node_of(b);
    cr_assert_neq(link_find(a->links, &b_id), 0, "still in the Connection Table");
    world_pass(7800000);
    cr_assert_eq(count_events(a, LINK_DOWN), 0);
    world_pass(400000);
    cr_assert_eq(count_events(a, LINK_DOWN), 1);
    cr_assert_leq(world.now_us - start_us, 9400000);
    const struct world_event *down = event_of(a, LINK_DOWN, 0);
    cr_assert_eq(down->event.error, ERR_TIMEOUT);
    cr_assert(down->event.was_up);
    cr_assert_eq(count_events(a, LINK_UNACKED), 2);
    cr_assert_eq(event_of(a, LINK_UNACKED, 0)->event.message_len, 3);
    cr_assert_eq(memcmp(event_of(a, LINK_UNACKED, 1)->message, "two", 3), 0);
    cr_assert_eq(metric_of(a, METRIC_link_silent), 1);
    cr_assert_eq(link_find(a->links, &b_id), 0);
    world_fini();
}

Test(link, acknowledgements_restore_a_suspect_link)
{
    world_init(8);
    make_pair();
    struct world_host *a = &world.hosts[0], *b = &world.hosts[1];
    cr_assert_eq(world_send(0, 1, SLICE_EMPTY, SLICE_LITERAL("one")), ERR_OK);
    carry_out(a);
    /* The bytes are under way for two seconds. */
    uint8_t *held = b->conns[0].bytes;
    size_t held_len = b->conns[0].len;
    b->conns[0].bytes = NULL;
    b->conns[0].len = 0;
    world_pass(2000000);
    cr_assert_eq(count_events(a, LINK_SUSPECT), 1);
    b->conns[0].bytes = held;
    b->conns[0].len = held_len;
    world_settle();
    cr_assert_eq(count_events(a, LINK_RESTORED), 1);
    cr_assert_eq(a->events[a->event_count - 1].event.kind, LINK_RESTORED);
    world_pass(20000000);
    cr_assert_eq(count_events(a, LINK_DOWN), 0);
    cr_assert_eq(count_events(a, LINK_SUSPECT), 1);
    world_fini();
}

/* A closed connection gives back what was not acknowledged, flushed or not. */
Test(link, gives_back_messages_when_the_connection_dies)
{
    static uint8_t text[4000];
    world_init(9);
    make_pair();
    struct world_host *a = &world.hosts[0];
    for (uint8_t i = 0; i < 10; i++) {
        text[0] = i;
        cr_assert_eq(world_send(0, 1, SLICE_EMPTY, slice_of(text, i == 3 ? 4000 : 40)), ERR_OK);
        if (i % 4 == 1) {
            link_flush(&a->t, a->links);
        }
    }
    link_on_closed(&a->t, a->links, a->conns[0].link, ERR_IO);
    take_events(a);
    cr_assert_eq(count_events(a, LINK_UNACKED), 10);
    for (uint8_t i = 0; i < 10; i++) {
        cr_assert_eq(event_of(a, LINK_UNACKED, i)->message[0], i);
    }
    cr_assert_eq(event_of(a, LINK_UNACKED, 3)->event.message_len, 4000);
    cr_assert_eq(event_of(a, LINK_DOWN, 0)->event.error, ERR_IO);
    cr_assert_eq(metric_of(a, METRIC_link_unacked), 10);
    world_fini();
}

Test(link, closing_sends_what_is_queued)
{
    world_init(10);
    make_pair();
    struct world_host *a = &world.hosts[0], *b = &world.hosts[1];
    cr_assert_eq(world_send(0, 1, SLICE_EMPTY, SLICE_LITERAL("last words")), ERR_OK);
    struct node_id b_id = node_of(b);
    handle link = link_find(a->links, &b_id);
    link_close(&a->t, a->links, link);
    cr_assert_eq(link_send(&a->t, a->links, link, SLICE_EMPTY, SLICE_LITERAL("x")), ERR_CLOSED);
    world_settle();
    cr_assert_eq(event_of(a, LINK_DOWN, 0)->event.error, ERR_CLOSED);
    cr_assert_eq(count_events(a, LINK_UNACKED), 0);
    cr_assert_eq(memcmp(event_of(b, LINK_MESSAGE, 0)->message, "last words", 10), 0);
    cr_assert_eq(event_of(b, LINK_DOWN, 0)->event.error, ERR_CLOSED);
    cr_assert_eq(metric_of(b, METRIC_link_closed_by_peer), 1);
    link_close(&a->t, a->links, link); /* a handle that is over */
    world_fini();
}

Test(link, dials_that_fail_say_so)
{
    world_init(11);
    struct world_host *a = &world.hosts[0];
    world.hosts[1].refuses = true;
    world_dial(0, 1, true, 5);
    world_settle();
    const struct world_event *e = event_of(a, LINK_DOWN, 0);
    cr_assert_eq(e->event.error, ERR_REFUSED);
    cr_assert_eq(e->event.tag, 5);
    cr_assert(!e->event.was_up);
    cr_assert_eq(metric_of(a, METRIC_link_dial_failed), 1);
    /* Closed while dialling: the connection that comes late is aborted. */
    world.hosts[1].refuses = false;
    handle link = world_dial(0, 1, true, 6);
    link_close(&a->t, a->links, link);
    world_settle();
    cr_assert_eq(event_of(a, LINK_DOWN, 1)->event.tag, 6);
    cr_assert(!a->conns[0].is_open);
    /* The table is bounded. */
    handle out = 0;
    for (size_t i = 0; i < 8; i++) {
        cr_assert_eq(link_dial(&a->t, a->links, &world.hosts[1].address, NULL, i, &out), ERR_OK);
    }
    cr_assert_eq(link_dial(&a->t, a->links, &world.hosts[1].address, NULL, 9, &out), ERR_LIMIT);
    cr_assert_eq(metric_of(a, METRIC_link_dial_refused), 1);
    world_settle();
    world_pass(20000000);
    cr_assert_eq(link_count_up(a->links), 1);
    cr_assert_eq(link_count_up(world.hosts[1].links), 1);
    world_fini();
}

/* Many dials of one side, in any order and without a word of traffic: one link is left. */
Test(link, idle_duplicates_leave_one_link)
{
    for (uint64_t seed = 0; seed < 30; seed++) {
        world_init(500 + seed);
        world.most = 100 + seed * 70;
        struct world_host *a = &world.hosts[0], *b = &world.hosts[1];
        size_t dials = 2 + seed % 4;
        for (size_t i = 0; i < dials; i++) {
            world_dial(0, 1, true, i);
        }
        for (size_t i = 0; i < 200; i++) {
            struct world_host *h = &world.hosts[i % 2];
            carry_out(h);
            size_t k = rng_below(&world.rng, dials);
            if (h->conns[k].is_open) {
                deliver_piece(h, &h->conns[k]);
            }
        }
        world_settle();
        world_pass(20000000);
        cr_assert_eq(link_count_up(a->links), 1, "seed %d", (int)seed);
        cr_assert_eq(link_count_up(b->links), 1);
        cr_assert_eq(metric_of(a, METRIC_links_handshaking), 0);
        struct link_info info;
        uint32_t index = 0;
        cr_assert(link_walk(b->links, &index, &info) && info.is_up);
        cr_assert(!link_walk(b->links, &index, &info));
        cr_assert_eq(world_send(0, 1, SLICE_EMPTY, SLICE_LITERAL("x")), ERR_OK);
        cr_assert_eq(world_send(1, 0, SLICE_EMPTY, SLICE_LITERAL("y")), ERR_OK);
        world_settle();
        cr_assert_eq(count_events(a, LINK_MESSAGE), 1);
        cr_assert_eq(count_events(b, LINK_MESSAGE), 1);
        world_fini();
    }
}

/* AT-18: both dial at once; both keep the link of the larger Node-ID, and no message is lost. */
Test(link, glare_keeps_the_link_of_the_larger_node_id)
{
    for (uint64_t seed = 0; seed < 24; seed++) {
        world_init(300 + seed);
        world.most = 100 + seed * 90;
        struct world_host *a = &world.hosts[0], *b = &world.hosts[1];
        world_dial(0, 1, true, 1);
        if (seed % 3 == 0) {
            carry_out(a);
        }
        handle kept = world_dial(1, 0, true, 2);
        size_t sent[2] = {0, 0};
        for (size_t i = 0; i < 400; i++) {
            sent[0] += world_send(0, 1, SLICE_EMPTY, SLICE_LITERAL("ab")) == ERR_OK;
            sent[1] += world_send(1, 0, SLICE_EMPTY, SLICE_LITERAL("ba")) == ERR_OK;
            struct world_host *h = &world.hosts[i % 2];
            carry_out(h);
            for (size_t k = 0; k < WORLD_CONNS; k++) {
                if (h->conns[k].is_open && rng_below(&world.rng, 2) == 0) {
                    deliver_piece(h, &h->conns[k]);
                }
            }
        }
        world_settle();
        cr_assert_gt(sent[0] + sent[1], 0);
        struct node_id a_id = node_of(a), b_id = node_of(b);
        cr_assert_eq(link_find(b->links, &a_id), kept, "the larger one dialled it");
        world_pass(15000000);
        cr_assert_eq(link_find(b->links, &a_id), kept);
        cr_assert_neq(link_find(a->links, &b_id), 0);
        cr_assert_eq(link_count_up(a->links), 1);
        cr_assert_eq(link_count_up(b->links), 1);
        cr_assert_eq(count_events(b, LINK_MESSAGE), sent[0], "seed %d", (int)seed);
        cr_assert_eq(count_events(a, LINK_MESSAGE), sent[1]);
        cr_assert_eq(count_events(a, LINK_UNACKED) + count_events(b, LINK_UNACKED), 0);
        cr_assert_eq(event_of(a, LINK_DOWN, 0)->event.error, ERR_EXISTS);
        cr_assert_eq(count_events(a, LINK_DOWN), 1);
        cr_assert_eq(count_events(b, LINK_DOWN), 1);
        uint32_t index = 0;
        struct link_info info;
        cr_assert(link_walk(a->links, &index, &info));
        cr_assert(!link_walk(a->links, &index, &info), "the other one is closed");
        world_fini();
    }
}

/* Two dials from one side: one link remains on both sides, whatever the order of events. */
Test(link, two_dials_of_one_side_leave_one_link)
{
    for (uint64_t seed = 0; seed < 24; seed++) {
        world_init(400 + seed);
        world.most = 100 + seed * 90;
        struct world_host *a = &world.hosts[0], *b = &world.hosts[1];
        size_t first = seed % 2;
        world_dial(first, 1 - first, true, 1);
        world_dial(first, 1 - first, false, 2);
        size_t sent[2] = {0, 0};
        for (size_t i = 0; i < 400; i++) {
            sent[0] += world_send(0, 1, SLICE_EMPTY, SLICE_LITERAL("ab")) == ERR_OK;
            sent[1] += world_send(1, 0, SLICE_EMPTY, SLICE_LITERAL("ba")) == ERR_OK;
            struct world_host *h = &world.hosts[i % 2];
            carry_out(h);
            size_t k = rng_below(&world.rng, 2);
            if (h->conns[k].is_open) {
                deliver_piece(h, &h->conns[k]);
            }
        }
        world_settle();
        world_pass(20000000);
        cr_assert_eq(link_count_up(a->links), 1);
        cr_assert_eq(link_count_up(b->links), 1);
        cr_assert_eq(count_events(b, LINK_MESSAGE), sent[0]);
        cr_assert_eq(count_events(a, LINK_MESSAGE), sent[1]);
        cr_assert_eq(world_send(0, 1, SLICE_EMPTY, SLICE_LITERAL("x")), ERR_OK);
        world_settle();
        cr_assert_eq(count_events(b, LINK_MESSAGE), sent[0] + 1);
        world_fini();
    }
}

/* One certificate does not fill the table: of links to the same node few are drained at once. */
Test(link, many_dials_of_one_node_hold_few_links)
{
    world_init(450);
    struct link_info info;
    for (size_t dials = 0; dials < 12; dials++) {
        uint32_t index = 0, links = 0;
        world_dial(0, 1, true, dials);
        world_settle();
        while (link_walk(world.hosts[1].links, &index, &info)) {
            links++;
        }
        cr_assert_leq(links, 1 + LINK_TABLE_DRAINING_PER_NODE, "after %zu dials", dials);
        cr_assert_eq(link_count_up(world.hosts[1].links), 1);
        cr_assert_eq(world_send(0, 1, SLICE_EMPTY, SLICE_LITERAL("x")), ERR_OK);
        world_settle();
    }
    cr_assert_eq(count_events(&world.hosts[1], LINK_MESSAGE), 12);
    world_pass(20000000);
    world_fini();
}

/* The same with the worst order: each side keeps the one that the other drains. */
Test(link, a_drained_link_steps_in_for_the_one_that_was_kept)
{
    world_init(14);
    world.most = 100000;
    struct world_host *a = &world.hosts[0], *b = &world.hosts[1];
    struct node_id a_id = node_of(a), b_id = node_of(b);
    handle first = world_dial(0, 1, true, 1), second = world_dial(0, 1, true, 2);
    carry_out(a);
    for (size_t round = 0; round < 3; round++) {
        for (size_t k = 0; k < 2; k++) {
            while (b->conns[1 - k].len > 0) {
                deliver_piece(b, &b->conns[1 - k]);
            }
        }
        carry_out(b);
        for (size_t k = 0; k < 2; k++) {
            while (a->conns[k].len > 0) {
                deliver_piece(a, &a->conns[k]);
            }
        }
        carry_out(a);
    }
    cr_assert_eq(link_find(a->links, &b_id), second);
    handle of_b = link_find(b->links, &a_id);
    cr_assert_eq(of_b, b->conns[0].link, "b keeps what a drains");
    cr_assert_eq(count_events(a, LINK_DOWN), 1);
    cr_assert_eq(event_of(a, LINK_DOWN, 0)->event.link, first);
    cr_assert_eq(event_of(b, LINK_DOWN, 0)->event.link, b->conns[1].link);
    cr_assert_eq(world_send(0, 1, SLICE_EMPTY, SLICE_LITERAL("over the second")), ERR_OK);
    cr_assert_eq(world_send(1, 0, SLICE_EMPTY, SLICE_LITERAL("over the first")), ERR_OK);
    world_settle();
    cr_assert_eq(event_of(b, LINK_MESSAGE, 0)->event.link, of_b, "told as of the kept one");
    cr_assert_eq(event_of(a, LINK_MESSAGE, 0)->event.link, second);
    world_pass(5000000);
    cr_assert_eq(link_find(a->links, &b_id), second);
    cr_assert_eq(link_find(b->links, &a_id), b->conns[1].link);
    cr_assert_eq(count_events(b, LINK_UP), 3, "the drained one is up again");
    cr_assert_eq(world_send(1, 0, SLICE_EMPTY, SLICE_LITERAL("over the second")), ERR_OK);
    world_settle();
    cr_assert_eq(count_events(a, LINK_MESSAGE), 2);
    cr_assert_eq(count_events(a, LINK_UP), 2);
    world_fini();
}

Test(link, siblings_exchange_mail)
{
    world_init(12);
    struct world_host *a = &world.hosts[0], *b = &world.hosts[1];
    struct node_id a_id = node_of(a), b_id = node_of(b);
    link_add_sibling(&a->t, a->links, 1, &b_id, SLICE_LITERAL("host"));
    link_add_sibling(&a->t, a->links, 1, &b_id, SLICE_LITERAL("host")); /* no second one */
    link_add_sibling(&b->t, b->links, 0, &a_id, SLICE_LITERAL("host"));
    take_events(a);
    take_events(b);
    cr_assert_eq(a->event_count, 1);
    const struct world_event *e = event_of(a, LINK_UP, 0);
    cr_assert(e->event.is_local && e->event.error == ERR_OK);
    cr_assert_str_eq(e->user, "host");
    cr_assert_eq(world_send(0, 1, SLICE_LITERAL("he"), SLICE_LITERAL("llo")), ERR_OK);
    cr_assert_eq(world_send(0, 1, SLICE_EMPTY, SLICE_LITERAL("again")), ERR_OK);
    world_settle();
    cr_assert_eq(count_events(b, LINK_MESSAGE), 2);
    e = event_of(b, LINK_MESSAGE, 0);
    cr_assert_eq(memcmp(e->message, "hello", 5), 0);
    cr_assert(ids_node_is_equal(&e->event.node_id, &a_id));
    cr_assert_eq(e->event.link, link_find(b->links, &a_id));
    /* A TLS link to a sibling is the one that is drained. */
    world_dial(0, 1, true, 3);
    world_settle();
    e = event_of(a, LINK_DOWN, 0);
    cr_assert(e->event.error == ERR_EXISTS && e->event.tag == 3 && !e->event.was_up);
    cr_assert_eq(event_of(b, LINK_DOWN, 0)->event.error, ERR_EXISTS);
    world_pass(5000000);
    cr_assert_eq(link_count_up(a->links), 1);
    /* Mail of nobody, and a sibling that leaves. */
    uint8_t mail[4] = "hi";
    link_on_mail(&a->t, a->links, 3, mail, 2);
    cr_assert_eq(metric_of(a, METRIC_link_mail_dropped), 1);
    link_remove_sibling(&a->t, a->links, 1);
    link_remove_sibling(&a->t, a->links, 1);
    take_events(a);
    e = event_of(a, LINK_DOWN, 1);
    cr_assert(e->event.is_local && e->event.error == ERR_CLOSED && e->event.was_up);
    cr_assert_eq(link_find(a->links, &b_id), 0);
    link_add_sibling(&a->t, a->links, 1, &b_id, SLICE_EMPTY);
    take_events(a);
    cr_assert_eq(count_events(a, LINK_UP), 2);
    world_fini();
}

/* ID-7: a link does not outlive its peer's certificate. */
Test(link, ends_with_the_certificate)
{
    world_init(13);
    make_pair();
    struct world_host *a = &world.hosts[0];
    world.now_us = (uint64_t)DAY_MS * 1000;
    world_pass(100000);
    cr_assert_eq(world_send(0, 1, SLICE_EMPTY, SLICE_LITERAL("late")), ERR_OK);
    world_settle();
    cr_assert_eq(event_of(a, LINK_DOWN, 0)->event.error, ERR_EXPIRED);
    cr_assert_eq(metric_of(a, METRIC_link_certificate_expired), 1);
    cr_assert_eq(count_events(a, LINK_UNACKED), 1);
    world_fini();
}

/* style.md 2.8: the edges are as the picture says; DOWN is the end. */
Test(link, states_have_these_edges)
{
    static const char *picture[LINK_STATE_COUNT] = {"HN", "UGN", "SGN", "UGN", "UN", ""};
    static const char letters[] = "DHUSGN";
    for (size_t from = 0; from < LINK_STATE_COUNT; from++) {
        unsigned edges = 0;
        for (const char *c = picture[from]; *c != '\0'; c++) {
            edges |= 1u << (strchr(letters, *c) - letters);
        }
        cr_assert_eq(link_table_edges((enum link_state)from), edges);
    }
}
