/* SPDX-License-Identifier: Apache-2.0 */
/* Datagram links between link tables: LK-1, LK-3, LK-5, AT-13..AT-15, AT-18, design.md 6 "No
 * reflector". */
#include "link/dtls.h"
#include "tests/unit/link/link_world.h"
#include <inttypes.h>

#define HELLO SLICE_LITERAL("hello")
enum { SECOND = 1000000 };

static void connect_pair(size_t from, size_t to)
{
    world_announce(to, from);
    world_dial_datagram(from, to, 7);
    world_settle();
}

static void expect_up(size_t at, size_t other)
{
    struct node_id id = node_of(&world.hosts[other]);
    handle link = link_find(world.hosts[at].links, &id);
    cr_assert_neq(link, 0, "host %zu has no link to %zu", at, other);
    uint32_t index = 0;
    struct link_info info = {0};
    while (link_walk(world.hosts[at].links, &index, &info) && info.link != link) {}
    cr_assert(info.is_datagram && info.is_up);
    cr_assert_gt(link_room(world.hosts[at].links, link), 1100);
    cr_assert(address_is_equal(&info.remote, &world.hosts[other].address));
}

Test(dtls, comes_up_and_carries_messages_both_ways)
{
    world_init(1);
    connect_pair(0, 1);
    expect_up(0, 1);
    expect_up(1, 0);
    const struct world_event *up = event_of(&world.hosts[0], LINK_UP, 0);
    cr_assert_eq(up->event.tag, 7);
    cr_assert_str_eq(up->user, "host32@overlay.example.org");
    cr_assert_str_eq(event_of(&world.hosts[1], LINK_UP, 0)->user, "host16@overlay.example.org");
    static uint8_t body[1100];
    for (size_t i = 0; i < 40; i++) {
        memset(body, (int)i, sizeof(body));
        cr_assert_eq(world_send(0, 1, HELLO, slice_of(body, 27 * i)), ERR_OK);
        cr_assert_eq(world_send(1, 0, SLICE_EMPTY, slice_of(body, 1 + i)), ERR_OK);
    }
    world.step_us = 5000;
    world_pass(SECOND);
    cr_assert_eq(count_events(&world.hosts[1], LINK_MESSAGE), 40);
    cr_assert_eq(count_events(&world.hosts[0], LINK_MESSAGE), 40);
    for (size_t i = 0; i < 40; i++) {
        const struct world_event *e = event_of(&world.hosts[1], LINK_MESSAGE, i);
        cr_assert_eq(e->event.message_len, 5 + 27 * i);
        cr_assert_eq(memcmp(e->message, "hello", 5), 0);
        cr_assert(i == 0 || e->message[5] == i);
    }
    cr_assert_leq(world.largest, 1232);
    uint32_t index = 0;
    struct link_info info;
    cr_assert(link_walk(world.hosts[0].links, &index, &info));
    cr_assert_eq(info.unacked_frames, 0);
    cr_assert_eq(info.messages_out, 40);
    world_fini();
}

Test(dtls, what_does_not_fit_a_datagram_is_refused_with_the_room_there_is)
{
    static uint8_t body[2048];
    world_init(2);
    connect_pair(0, 1);
    struct node_id id = node_of(&world.hosts[1]);
    size_t room = link_room(world.hosts[0].links, link_find(world.hosts[0].links, &id));
    cr_assert_eq(world_send(0, 1, SLICE_EMPTY, slice_of(body, DTLS_MESSAGE_MAX + 1)),
                 ERR_TOO_LARGE);
    cr_assert_eq(world_send(0, 1, HELLO, slice_of(body, room - 5)), ERR_OK);
    world_settle();
    cr_assert_eq(event_of(&world.hosts[1], LINK_MESSAGE, 0)->event.message_len, room);
    cr_assert_eq(world.largest, 1232, "to the byte");
    cr_assert_eq(world_send(0, 1, SLICE_EMPTY, slice_of(body, DTLS_MESSAGE_MAX)), ERR_OK);
    world_pass(100000);
    cr_assert_eq(event_of(&world.hosts[1], LINK_MESSAGE, 1)->event.message_len, DTLS_MESSAGE_MAX);
    cr_assert_eq(link_room(world.hosts[0].links, 0), 0);
    world_fini();
}

/* Loss, repetition and reordering, in handshake and data: every message comes, and once. */
Test(dtls, a_bad_wire_loses_nothing, .timeout = 120)
{
    for (uint64_t seed = 0; seed < 12; seed++) {
        world_init(seed);
        world.lose_percent = 15;
        world.repeat_percent = 15;
        world.delay_us = 5000;
        world.jitter_us = 20000;
        world.step_us = 2000;
        uint64_t tries = 0;
        while (link_count_up(world.hosts[0].links) == 0 ||
               link_count_up(world.hosts[1].links) == 0) {
            cr_assert_lt(tries++, 4);
            world_announce(1, 0);
            world_dial_datagram(0, 1, 7);
            world_pass(6 * SECOND);
        }
        uint8_t number[300] = {0};
        for (size_t i = 0; i < 100; i++) {
            number[0] = (uint8_t)i;
            cr_assert_eq(world_send(0, 1, slice_of(number, 1), slice_of(number, 200)), ERR_OK);
            world_pass(4000);
        }
        world_pass(8 * SECOND);
        bool seen[100] = {false};
        cr_assert_eq(count_events(&world.hosts[1], LINK_MESSAGE), 100, "seed %d", (int)seed);
        for (size_t i = 0; i < 100; i++) {
            uint8_t which = event_of(&world.hosts[1], LINK_MESSAGE, i)->message[0];
            cr_assert(!seen[which]);
            seen[which] = true;
        }
        world_fini();
    }
}

/* ---- who is answered ---- */

/* A ClientHello of host `from`, taken off the wire. */
static struct slice take_hello(size_t from, size_t to)
{
    world.hosts[to].address.port++; /* nobody there */
    handle link = world_dial_datagram(from, to, 1);
    carry_out(&world.hosts[from]);
    cr_assert_eq(world.wire_count, 1);
    static uint8_t hello[500];
    size_t len = world.wire[0].len;
    cr_assert_leq(len, sizeof(hello));
    memcpy(hello, world.wire[0].bytes, len);
    free(world.wire[0].bytes);
    world.wire_count = 0;
    link_close(&world.hosts[from].t, world.hosts[from].links, link);
    take_events(&world.hosts[from]);
    world.hosts[to].address.port--;
    return slice_of(hello, len);
}

static void throw_at(size_t to, const struct address *from, struct slice bytes)
{
    struct world_host *h = &world.hosts[to];
    h->t.now_us = world.now_us;
    link_on_datagram(&h->t, h->links, from, bytes.data, bytes.len);
    take_events(h);
    carry_out(h);
}

static struct address stranger(uint8_t host, uint16_t port)
{
    return (struct address){.family = 4, .port = port, .ip = {10, 0, 0, host}};
}

Test(dtls, nobody_unknown_is_answered)
{
    world_init(3);
    struct slice hello = take_hello(0, 1);
    struct world_host *h = &world.hosts[1];
    for (uint16_t port = 1; port < 400; port++) {
        struct address from = stranger((uint8_t)(100 + port % 100), port);
        throw_at(1, &from, hello);
        throw_at(1, &from, SLICE_LITERAL("\x17\xfe\xfd\0\0\0\0\0\0\0\0\0\1x"));
        throw_at(1, &from, SLICE_LITERAL(""));
        cr_assert_eq(world.sent_to[from.ip[3]], 0);
    }
    cr_assert_eq(metric_of(h, METRIC_link_datagrams_stray), 2 * 399);
    cr_assert_eq(metric_of(h, METRIC_parked), 8, "no more are parked than there is room for");
    cr_assert_eq(metric_of(h, METRIC_parked_refused_full) + metric_of(h, METRIC_parked_repeated),
                 391);
    cr_assert_eq(h->links != NULL && link_count_up(h->links) == 0, true);
    cr_assert_eq(tls_boring_counters(h->tls).opened, 0, "and nothing is spent on them");
    world_pass(3 * SECOND);
    struct address last = stranger(7, 7);
    throw_at(1, &last, hello);
    cr_assert_eq(metric_of(h, METRIC_parked_expired), 8);
    cr_assert_eq(metric_of(h, METRIC_parked), 9);
    cr_assert_eq(world.wire_count, 0);
    world_fini();
}

Test(dtls, one_host_cannot_fill_the_parking)
{
    world_init(4);
    struct slice hello = take_hello(0, 1);
    struct world_host *h = &world.hosts[1];
    for (uint16_t port = 1; port <= 20; port++) {
        struct address from = stranger(100, port);
        throw_at(1, &from, hello);
    }
    cr_assert_eq(metric_of(h, METRIC_parked), ANNOUNCED_PARKED_PER_HOST);
    cr_assert_eq(metric_of(h, METRIC_parked_refused_host), 16);
    struct address again = stranger(100, 1), other = stranger(101, 1);
    throw_at(1, &again, hello);
    cr_assert_eq(metric_of(h, METRIC_parked_repeated), 1);
    throw_at(1, &other, hello);
    cr_assert_eq(metric_of(h, METRIC_parked), ANNOUNCED_PARKED_PER_HOST + 1);
    static uint8_t large[ANNOUNCED_PARKED_BYTES + 1];
    memcpy(large, hello.data, hello.len);
    struct address big = stranger(102, 1);
    throw_at(1, &big, slice_of(large, sizeof(large)));
    cr_assert_eq(metric_of(h, METRIC_parked_refused_size), 1);
    world_fini();
}

/* AT-15: the ClientHello is faster than the AttachAns. */
Test(dtls, an_early_hello_is_answered_once_its_address_is_announced)
{
    world_init(5);
    world_dial_datagram(0, 1, 7);
    world_settle();
    cr_assert_eq(metric_of(&world.hosts[1], METRIC_parked), 1);
    cr_assert_eq(world.sent_to[0], 0);
    world_pass(300000);
    world_announce(1, 2); /* somebody else's */
    world_settle();
    cr_assert_eq(world.sent_to[0], 0);
    world_announce(1, 0);
    world_settle();
    cr_assert_eq(metric_of(&world.hosts[1], METRIC_parked_replayed), 1);
    expect_up(0, 1);
    expect_up(1, 0);
    cr_assert_lt(world.now_us, 400000, "without waiting for a repetition");
    world_fini();
}

Test(dtls, an_announcement_ends)
{
    world_init(6);
    world_announce(1, 0);
    world_pass(ANNOUNCED_US + 1000);
    world_dial_datagram(0, 1, 7);
    world_pass(6 * SECOND);
    cr_assert_eq(world.sent_to[0], 0);
    cr_assert_eq(event_of(&world.hosts[0], LINK_DOWN, 0)->event.error, ERR_TIMEOUT);
    cr_assert_gt(metric_of(&world.hosts[1], METRIC_parked_expired), 0);
    world_fini();
}

/* Somebody lets us believe that a third is to be met at an address: that one gets a flight for each
 * datagram that comes in his name, and nothing by itself. */
Test(dtls, an_announced_address_gets_a_flight_for_a_datagram)
{
    world_init(7);
    struct slice hello = take_hello(0, 1);
    struct world_host *h = &world.hosts[1];
    struct address victim = stranger(200, 6084);
    struct node_id liar = node_of(&world.hosts[2]);
    link_announce(&h->t, h->links, &liar, &victim, 1);
    throw_at(1, &victim, hello);
    size_t flight = world.sent_to[200], bytes = world.bytes_to[200];
    cr_assert(flight >= 1 && flight <= 2);
    world_pass(3 * SECOND);
    cr_assert_eq(world.sent_to[200], flight, "nothing is sent again on our own account");
    cr_assert_geq(metric_of(h, METRIC_link_flights_held), 1);
    throw_at(1, &victim, hello);
    world_pass(SECOND);
    cr_assert_eq(world.sent_to[200], 2 * flight);
    cr_log_info("ClientHello %zu bytes, flight %zu bytes in %zu datagrams", hello.len, bytes,
                flight);
    world_pass(3 * SECOND);
    cr_assert_eq(world.sent_to[200], 2 * flight);
    cr_assert_eq(metric_of(h, METRIC_link_handshake_timeout), 1);
    world_fini();
}

/* ---- who it is ---- */

Test(dtls, the_wrong_node_is_refused_by_either_side)
{
    world_init(8);
    /* The dialler expects host 2 at the address of host 1. */
    struct node_id other = node_of(&world.hosts[2]);
    handle link = 0;
    world_announce(1, 0);
    cr_assert_eq(link_dial_datagram(&world.hosts[0].t, world.hosts[0].links,
                                    &world.hosts[1].address, &other, 3, &link),
                 ERR_OK);
    world_settle();
    const struct world_event *down = event_of(&world.hosts[0], LINK_DOWN, 0);
    cr_assert_eq(down->event.error, ERR_FORBIDDEN);
    cr_assert_eq(down->event.tag, 3);
    cr_assert_eq(metric_of(&world.hosts[0], METRIC_link_auth_wrong_node), 1);
    world_pass(6 * SECOND);
    cr_assert_eq(count_events(&world.hosts[1], LINK_UP), count_events(&world.hosts[1], LINK_DOWN));
    /* Host 2 has announced the address that host 3 dials from. */
    struct world_host *h = &world.hosts[1];
    link_announce(&h->t, h->links, &other, &world.hosts[3].address, 1);
    world_dial_datagram(3, 1, 4);
    world_pass(SECOND);
    cr_assert_eq(metric_of(h, METRIC_link_auth_wrong_node), 1);
    struct node_id third = node_of(&world.hosts[3]);
    cr_assert_eq(link_find(h->links, &third), 0);
    /* Both may: then host 3 is welcome. */
    world_pass(20 * SECOND);
    link_announce(&h->t, h->links, &third, &world.hosts[3].address, 1);
    link_announce(&h->t, h->links, &other, &world.hosts[3].address, 1);
    world_dial_datagram(3, 1, 5);
    world_settle();
    expect_up(1, 3);
    world_fini();
}

Test(dtls, expired_certificates_end_links_and_begin_none)
{
    world_init(9);
    connect_pair(0, 1);
    expect_up(0, 1);
    cr_assert_eq(world_send(0, 1, HELLO, HELLO), ERR_OK);
    world.step_us = 60 * SECOND;
    world_pass(86400ull * SECOND); /* noticed when it is quiet, or something is sent */
    cr_assert_eq(metric_of(&world.hosts[0], METRIC_link_certificate_expired), 1);
    cr_assert_eq(event_of(&world.hosts[0], LINK_DOWN, 0)->event.error, ERR_EXPIRED);
    world.step_us = 100000;
    world_announce(1, 2);
    world_dial_datagram(2, 1, 7);
    world_pass(SECOND);
    cr_assert_geq(metric_of(&world.hosts[1], METRIC_link_auth_expired) +
                      metric_of(&world.hosts[2], METRIC_link_auth_expired),
                  1);
    world_fini();
}

/* ---- two dials, two lives ---- */

static void expect_one_link(size_t a, size_t b)
{
    expect_up(a, b);
    expect_up(b, a);
    cr_assert_eq(link_count_up(world.hosts[a].links), 1);
    cr_assert_eq(link_count_up(world.hosts[b].links), 1);
    cr_assert_eq(count_events(&world.hosts[a], LINK_UP), 1);
    cr_assert_eq(count_events(&world.hosts[b], LINK_UP), 1);
    cr_assert_eq(world_send(a, b, HELLO, HELLO), ERR_OK);
    cr_assert_eq(world_send(b, a, HELLO, HELLO), ERR_OK);
    world_pass(100000);
    cr_assert_eq(count_events(&world.hosts[a], LINK_MESSAGE), 1);
    cr_assert_eq(count_events(&world.hosts[b], LINK_MESSAGE), 1);
}

Test(dtls, of_two_dials_that_cross_that_of_the_larger_goes_on)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        world_init(seed);
        world.delay_us = 1000 * seed;
        world.step_us = 1000;
        world_announce(0, 1);
        world_announce(1, 0);
        world_dial_datagram(0, 1, 7);
        world_pass(1000 * (seed % 4));
        world_dial_datagram(1, 0, 8);
        world_pass(3 * SECOND);
        cr_assert_eq(event_of(&world.hosts[0], LINK_UP, 0)->event.tag, 7);
        cr_assert_eq(event_of(&world.hosts[1], LINK_UP, 0)->event.tag, 8);
        expect_one_link(0, 1);
        world_fini();
    }
}

Test(dtls, a_second_dial_joins_the_first)
{
    world_init(11);
    world.delay_us = 10000;
    world_announce(1, 0);
    handle first = world_dial_datagram(0, 1, 7);
    cr_assert_eq(world_dial_datagram(0, 1, 8), first);
    struct node_id other = node_of(&world.hosts[2]);
    handle link = 0;
    cr_assert_eq(link_dial_datagram(&world.hosts[0].t, world.hosts[0].links,
                                    &world.hosts[1].address, &other, 9, &link),
                 ERR_EXISTS);
    world.step_us = 5000;
    world_pass(SECOND);
    cr_assert_eq(event_of(&world.hosts[0], LINK_UP, 0)->event.tag, 8);
    expect_one_link(0, 1);
    world_fini();
}

/* A peer that was killed comes again from the same address: its old link is not over for us. */
Test(dtls, a_restarted_peer_replaces_its_old_link)
{
    for (uint64_t dialled_by = 0; dialled_by < 2; dialled_by++) {
        world_init(12);
        connect_pair(dialled_by, 1 - dialled_by);
        expect_up(1, 0);
        world_pass(ANNOUNCED_US + SECOND);
        struct world_host *dead = &world.hosts[0];
        uint32_t index = 0;
        struct link_info info;
        while (link_walk(dead->links, &index, &info)) {
            link_close(&dead->t, dead->links, info.link);
        }
        take_events(dead);
        for (uint32_t i = 0; i < dead->out.count; i++) { /* killed: it has said no goodbye */
            msgbuf_release(&dead->buffers, dead->out.ops[i].buf);
        }
        io_outbox_clear(&dead->out);
        forget_events(dead);
        cr_assert_eq(world_send(1, 0, HELLO, HELLO), ERR_OK); /* into the void */
        world_settle();
        world_dial_datagram(0, 1, 9);
        world_settle();
        cr_assert_eq(count_events(dead, LINK_UP), 0, "not before it is announced");
        world_announce(1, 0);
        world_settle();
        expect_up(0, 1);
        expect_up(1, 0);
        struct world_host *h = &world.hosts[1];
        cr_assert_eq(metric_of(h, METRIC_link_replaced), 1);
        cr_assert_eq(count_events(h, LINK_UP), 2);
        cr_assert_eq(event_of(h, LINK_DOWN, 0)->event.error, ERR_EXISTS);
        cr_assert_eq(count_events(h, LINK_UNACKED), 1, "what was under way is given back");
        cr_assert_eq(world_send(1, 0, HELLO, SLICE_LITERAL("again")), ERR_OK);
        world_settle();
        cr_assert_eq(count_events(dead, LINK_MESSAGE), 1);
        world_fini();
    }
}

/* Somebody begins a handshake in the name of a peer that is up, and does not end it. */
Test(dtls, a_forged_hello_does_not_disturb_a_link)
{
    world_init(13);
    struct slice hello = take_hello(0, 1);
    connect_pair(0, 1);
    throw_at(1, &world.hosts[0].address, hello);
    for (size_t i = 0; i < 20; i++) {
        uint8_t number = (uint8_t)i; /* the same again would be a repetition */
        cr_assert_eq(world_send(0, 1, HELLO, slice_of(&number, 1)), ERR_OK);
        cr_assert_eq(world_send(1, 0, HELLO, slice_of(&number, 1)), ERR_OK);
        world_pass(500000);
    }
    cr_assert_eq(count_events(&world.hosts[0], LINK_MESSAGE), 20);
    cr_assert_eq(count_events(&world.hosts[1], LINK_MESSAGE), 20);
    cr_assert_eq(count_events(&world.hosts[1], LINK_SUSPECT), 0);
    expect_up(0, 1);
    expect_up(1, 0);
    cr_assert_eq(metric_of(&world.hosts[1], METRIC_links_handshaking), 0);
    world_fini();
}

/* ---- ends ---- */

Test(dtls, silence_makes_suspect_then_ends_and_gives_back)
{
    world_init(14);
    connect_pair(0, 1);
    cr_assert_eq(world_send(0, 1, HELLO, HELLO), ERR_OK);
    world_settle();
    world.step_us = 10000;
    world.lose_percent = 100;
    cr_assert_eq(world_send(0, 1, HELLO, SLICE_LITERAL("lost")), ERR_OK);
    world_pass(20 * SECOND);
    struct world_host *h = &world.hosts[0];
    cr_assert_eq(count_events(h, LINK_SUSPECT), 1);
    cr_assert_eq(count_events(h, LINK_UNACKED), 1);
    cr_assert_eq(memcmp(event_of(h, LINK_UNACKED, 0)->message, "hellolost", 9), 0);
    cr_assert_eq(event_of(h, LINK_DOWN, 0)->event.error, ERR_TIMEOUT);
    world.lose_percent = 0;
    world_fini();
}

Test(dtls, an_idle_link_asks_to_be_tried)
{
    world_init(19);
    connect_pair(0, 1);
    world_pass(29 * SECOND);
    cr_assert_eq(count_events(&world.hosts[0], LINK_QUIET), 0);
    cr_assert_eq(world_send(1, 0, HELLO, HELLO), ERR_OK);
    world_pass(29 * SECOND);
    cr_assert_eq(count_events(&world.hosts[0], LINK_QUIET), 0, "host 0 has heard something");
    world_pass(2 * SECOND);
    cr_assert_eq(count_events(&world.hosts[0], LINK_QUIET), 1);
    world_pass(60 * SECOND);
    cr_assert_eq(count_events(&world.hosts[0], LINK_QUIET), 3, "once in 30 s, no more");
    expect_up(0, 1);
    world_fini();
}

/* What is due moves on with each frame; the timer need not. */
Test(dtls, a_busy_link_leaves_its_timer_alone)
{
    world_init(22);
    connect_pair(0, 1);
    const struct link *l = NULL;
    uint32_t index = 0;
    cr_assert_not_null(l = pool_next(&world.hosts[0].links->pool, &index));
    world.step_us = 1000;
    uint64_t due_us = 0;
    size_t moves = 0;
    for (size_t i = 0; i < 400; i++) {
        uint8_t body[2] = {(uint8_t)(i >> 8), (uint8_t)i};
        cr_assert_eq(world_send(0, 1, HELLO, slice_of(body, sizeof(body))), ERR_OK);
        world_pass(1000);
        moves += l->timer.due_us != due_us ? 1 : 0;
        due_us = l->timer.due_us;
        cr_assert(wheel_is_armed(&l->timer));
        cr_assert_leq(due_us, world.now_us + 500 * 1000, "no later than what is in flight");
    }
    cr_assert_leq(moves, 12, "%zu", moves);
    world_pass(SECOND);
    cr_assert_eq(count_events(&world.hosts[1], LINK_MESSAGE), 400);
    world_fini();
}

Test(dtls, a_suspect_link_recovers)
{
    world_init(15);
    connect_pair(0, 1);
    cr_assert_eq(world_send(0, 1, HELLO, HELLO), ERR_OK);
    world_settle();
    world.step_us = 10000;
    world.lose_percent = 100;
    cr_assert_eq(world_send(0, 1, HELLO, SLICE_LITERAL("late")), ERR_OK);
    struct world_host *h = &world.hosts[0];
    for (size_t i = 0; i < 400 && count_events(h, LINK_SUSPECT) == 0; i++) {
        world_pass(10000);
    }
    cr_assert_eq(count_events(h, LINK_SUSPECT), 1);
    world.lose_percent = 0;
    world_pass(4 * SECOND);
    cr_assert_eq(count_events(h, LINK_RESTORED), 1);
    cr_assert_eq(count_events(h, LINK_DOWN), 0);
    cr_assert_eq(count_events(&world.hosts[1], LINK_MESSAGE), 2);
    world_fini();
}

Test(dtls, closing_says_goodbye)
{
    world_init(16);
    connect_pair(0, 1);
    struct node_id id = node_of(&world.hosts[1]);
    cr_assert_eq(world_send(0, 1, HELLO, SLICE_LITERAL("last")), ERR_OK);
    link_close(&world.hosts[0].t, world.hosts[0].links, link_find(world.hosts[0].links, &id));
    take_events(&world.hosts[0]);
    world_settle();
    cr_assert_eq(count_events(&world.hosts[1], LINK_MESSAGE), 1);
    cr_assert_eq(event_of(&world.hosts[1], LINK_DOWN, 0)->event.error, ERR_CLOSED);
    cr_assert_eq(metric_of(&world.hosts[1], METRIC_link_closed_by_peer), 1);
    connect_pair(0, 1); /* the address is free again */
    expect_up(0, 1);
    world_fini();
}

/* A replayed datagram is dropped by DTLS, a frame that is none by us; the link stays. */
Test(dtls, replays_and_junk_leave_a_link_alone)
{
    world_init(17);
    connect_pair(0, 1);
    world_send(0, 1, HELLO, HELLO);
    carry_out(&world.hosts[0]);
    cr_assert_eq(world.wire_count, 1);
    uint8_t kept[200];
    size_t len = world.wire[0].len;
    memcpy(kept, world.wire[0].bytes, len);
    world_settle();
    for (size_t i = 0; i < 50; i++) {
        throw_at(1, &world.hosts[0].address, slice_of(kept, len));
        uint8_t bad[200];
        memcpy(bad, kept, len);
        bad[(i * 7) % len] ^= 1;
        throw_at(1, &world.hosts[0].address, slice_of(bad, len));
        throw_at(1, &world.hosts[0].address, slice_of(bad, i));
    }
    world_settle();
    cr_assert_eq(count_events(&world.hosts[1], LINK_MESSAGE), 1);
    expect_up(1, 0);
    cr_assert_eq(world_send(0, 1, HELLO, SLICE_LITERAL("more")), ERR_OK);
    world_pass(100000);
    cr_assert_eq(count_events(&world.hosts[1], LINK_MESSAGE), 2);
    world_fini();
}

Test(dtls, tables_are_bounded)
{
    world_init(18);
    struct world_host *h = &world.hosts[0];
    h->settings.links_datagram = 3;
    world_open_table(h);
    struct node_id id = node_of(&world.hosts[1]);
    handle link = 0;
    for (uint16_t i = 0; i < 5; i++) {
        struct address to = stranger(100, (uint16_t)(2000 + i));
        enum err e = link_dial_datagram(&h->t, h->links, &to, &id, i, &link);
        cr_assert_eq(e, i < 3 ? ERR_OK : ERR_LIMIT);
    }
    cr_assert_eq(metric_of(h, METRIC_link_dial_refused), 2);
    for (uint8_t i = 0; i < 30; i++) {
        struct address from = stranger(i, 5000);
        link_announce(&h->t, h->links, &id, &from, 1);
    }
    cr_assert_eq(metric_of(h, METRIC_announced_evicted), 30 - ANNOUNCED_PER_NODE);
    struct node_id many = id;
    for (uint8_t i = 0; i < 30; i++) {
        struct address from = stranger(i, 5001);
        many.bytes[5] = i;
        link_announce(&h->t, h->links, &many, &from, 1);
    }
    cr_assert_eq(metric_of(h, METRIC_announced_evicted), 60 - 16);
    world_pass(6 * SECOND);
    cr_assert_eq(count_events(h, LINK_DOWN), 3);
    world_fini();
}

/* design.md 7: without buffers for load the link refuses load, and acknowledges what comes. */
Test(dtls, acknowledges_out_of_the_reserve)
{
    enum { HELD = 1024 };
    static struct msgbuf *held[HELD];
    size_t count = 0;
    world_init(1);
    connect_pair(0, 1);
    struct msgbuf_pool *pool = &world.hosts[1].buffers;
    msgbuf_pool_reserve(pool, 16, 4);
    while (count < HELD && (held[count] = msgbuf_acquire(pool, 1)) != NULL) {
        count++;
    }
    cr_assert_eq(world_send(1, 0, HELLO, SLICE_EMPTY), ERR_LIMIT);
    for (size_t i = 0; i < 10; i++) {
        cr_assert_eq(world_send(0, 1, HELLO, slice_of("0123456789", i)), ERR_OK);
    }
    world.step_us = 5000;
    world_pass(10 * SECOND);
    cr_assert_eq(count_events(&world.hosts[1], LINK_MESSAGE), 10);
    uint32_t index = 0;
    struct link_info info;
    cr_assert(link_walk(world.hosts[0].links, &index, &info));
    cr_assert_eq(info.unacked_frames, 0);
    cr_assert_gt(pool->from_reserve, 0);
    while (count > 0) {
        msgbuf_release(pool, held[--count]);
    }
}

/* design.md 7: what neighbors that acknowledge nothing keep busy is a share of the buffers. */
Test(dtls, neighbors_that_acknowledge_nothing_leave_buffers_to_others)
{
    world_init(1);
    struct msgbuf_pool *pool = &world.hosts[0].buffers;
    msgbuf_pool_reserve(pool, 64, 4);
    size_t accepted[WORLD_HOSTS] = {0};
    for (size_t to = 1; to < WORLD_HOSTS; to++) {
        connect_pair(0, to);
    }
    world.lose_percent = 100;
    for (size_t to = 1; to < WORLD_HOSTS; to++) {
        for (size_t i = 0; i < 600; i++) {
            accepted[to] += world_send(0, to, HELLO, SLICE_LITERAL("lost")) == ERR_OK;
        }
        cr_assert_gt(accepted[to], 100, "to %zu: %zu", to, accepted[to]);
    }
    cr_assert_lt(pool->in_use[0] + pool->reserved[0] + 100, pool->cap[0]);
    cr_assert_gt(pool->over_share, 0);
    world_pass(20 * SECOND);
    cr_assert_eq(count_events(&world.hosts[0], LINK_DOWN), 3);
    cr_assert_eq(pool->in_use[0], 0);
    world_fini();
}

/* Small frames with gaps between them: not an ACK, and a buffer of the reserve, for each. */
Test(dtls, a_datagram_full_of_gaps_is_not_answered_frame_by_frame)
{
    enum { FRAMES = 100, EACH = FRAME_DATA_HEADER + 1 };
    world_init(1);
    connect_pair(0, 1);
    struct world_host *h = &world.hosts[0];
    uint32_t index = 0;
    struct link *l = pool_next(&h->links->pool, &index);
    uint8_t plain[FRAMES * EACH], sealed[1500];
    for (uint32_t i = 0; i < FRAMES; i++) {
        frame_put_data_header(plain + (size_t)i * EACH, 40 * i, 1);
        plain[i * EACH + FRAME_DATA_HEADER] = (uint8_t)i;
    }
    size_t len = 0;
    cr_assert_eq(h->links->settings.tls->seal_datagram(l->tls, slice_of(plain, sizeof(plain)),
                                                       sealed, sizeof(sealed), &len),
                 ERR_OK);
    size_t before = world.sent_to[0];
    put_datagram(&h->address, &world.hosts[1].address, slice_of(sealed, len));
    world_settle();
    cr_assert_eq(count_events(&world.hosts[1], LINK_MESSAGE), FRAMES);
    cr_assert_leq(world.sent_to[0] - before, FRAMES / SR_ACK_FRAMES + 2, "%zu datagrams",
                  world.sent_to[0] - before);
    world_fini();
}

/* What was accepted while there were buffers leaves without emptying the reserve. */
Test(dtls, a_window_takes_one_buffer_of_the_reserve_in_a_turn)
{
    enum { HELD = 1024 };
    static struct msgbuf *held[HELD];
    size_t count = 0;
    world_init(1);
    connect_pair(0, 1);
    struct world_host *h = &world.hosts[0];
    msgbuf_pool_reserve(&h->buffers, 16, 4);
    for (size_t i = 0; i < 7; i++) { /* the first window */
        cr_assert_eq(world_send(0, 1, HELLO, slice_of("0123456789", i)), ERR_OK);
    }
    while (count < HELD && (held[count] = msgbuf_acquire(&h->buffers, 1)) != NULL) {
        count++;
    }
    uint64_t before = h->buffers.from_reserve;
    link_flush(&h->t, h->links);
    cr_assert_eq(h->buffers.from_reserve - before, 1, "%" PRIu64, h->buffers.from_reserve - before);
    world.step_us = 5000;
    world_pass(SECOND);
    cr_assert_eq(count_events(&world.hosts[1], LINK_MESSAGE), 7);
    while (count > 0) {
        msgbuf_release(&h->buffers, held[--count]);
    }
    world_fini();
}

/* Links that we want are upkeep; those of others come up when there are buffers again. */
Test(dtls, dials_out_of_the_reserve)
{
    enum { HELD = 1024 };
    static struct msgbuf *held[HELD];
    size_t count = 0;
    world_init(1);
    struct msgbuf_pool *pool = &world.hosts[0].buffers;
    msgbuf_pool_reserve(pool, 16, 4);
    while (count < HELD && (held[count] = msgbuf_acquire(pool, 1)) != NULL) {
        count++;
    }
    connect_pair(0, 1);
    expect_up(0, 1);
    world_announce(0, 2);
    world_dial_datagram(2, 0, 8);
    world_settle();
    cr_assert_eq(link_count_up(world.hosts[0].links), 1);
    while (count > 0) {
        msgbuf_release(pool, held[--count]);
    }
    world_pass(2 * SECOND);
    cr_assert_eq(link_count_up(world.hosts[0].links), 2);
    world_fini();
}
