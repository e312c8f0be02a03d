/* SPDX-License-Identifier: Apache-2.0 */
/* What strangers and bad peers try: issue "Must hold" 7, catalogue AT-13, AT-14, ID-1 to ID-5,
 * LK-9. */
#include "codec/frame.h"
#include "link/trunk.h"
#include "tests/unit/link/link_world.h"

static const struct address stranger = {.family = 4, .port = 4000, .ip = {192, 0, 2, 1}};

/* A peer made by hand: TLS of its own on the far end of a connection of host `h`. */
struct rogue {
    struct world_conn *conn;
    struct tls_boring *context;
    struct tls *tls;
};

static void rogue_open(struct rogue *r, struct world_host *h, const struct credential *who)
{
    const struct tls_ops *ops = tls_boring_ops();
    r->conn = connect_raw(h, &stranger);
    cr_assert_not_null(r->conn);
    cr_assert_eq(tls_boring_context_new(credential_der(who), NULL, 0, who->key, &r->context),
                 ERR_OK);
    r->tls = ops->open(r->context, TLS_CLIENT);
    ops->handshake(r->tls);
}

static void rogue_push(struct rogue *r, struct world_host *h)
{
    static uint8_t bytes[4096];
    size_t len = 0;
    while ((len = tls_boring_ops()->pull(r->tls, bytes, sizeof(bytes))) > 0) {
        if (r->conn->is_open) {
            link_on_stream(&h->t, h->links, r->conn->link, bytes, len);
            take_events(h);
        }
    }
}

/* What the host has to say, until nothing moves. */
static void rogue_talk(struct rogue *r, struct world_host *h)
{
    for (size_t round = 0; round < 6; round++) {
        rogue_push(r, h);
        link_flush(&h->t, h->links);
        take_events(h);
        for (uint32_t i = 0; i < h->out.count; i++) {
            struct io_op *op = &h->out.ops[i];
            if (op->kind == IO_OP_SEND) {
                enum err ignored = tls_boring_ops()->feed(r->tls, msgbuf_slice(op->buf));
                (void)ignored; /* the host's last word may well be an alert */
                link_on_sent(&h->t, h->links, r->conn->link, op->buf->len);
                msgbuf_release(&h->buffers, op->buf);
            } else if (op->kind == IO_OP_CLOSE || op->kind == IO_OP_ABORT) {
                close_conn(r->conn);
            }
        }
        io_outbox_clear(&h->out);
    }
}

static void rogue_say(struct rogue *r, struct world_host *h, struct slice plain)
{
    cr_assert_eq(tls_boring_ops()->write(r->tls, plain), ERR_OK);
    rogue_talk(r, h);
}

static void rogue_close(struct rogue *r)
{
    tls_boring_ops()->close(r->tls);
    tls_boring_context_free(r->context);
}

/* Each way of not being a peer has a metric of its own; nothing but a handshake is answered. */
Test(trunk, refuses_strangers_by_reason)
{
    world_init(20);
    struct world_host *h = &world.hosts[0];
    static struct credential other_ca, cases[4];
    static const enum metric metrics[] = {METRIC_link_auth_untrusted, METRIC_link_auth_expired,
                                          METRIC_link_auth_expired, METRIC_link_auth_self};
    static const enum err errors[] = {ERR_BAD_CERTIFICATE, ERR_EXPIRED, ERR_EXPIRED, ERR_DUPLICATE};
    credential_root(&other_ca, CRYPTO_ED25519, "root");
    credential_node(&cases[0], &other_ca, CRYPTO_ED25519, 0x55, NOW_MS);
    credential_node(&cases[1], &world.ca, CRYPTO_ED25519, 0x55, NOW_MS - 2ull * DAY_MS);
    credential_node(&cases[2], &world.ca, CRYPTO_ED25519, 0x55, NOW_MS + DAY_MS);
    credential_node(&cases[3], &world.ca, CRYPTO_ED25519, 0x10, NOW_MS); /* our own Node-ID */
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct rogue r;
        uint64_t before = metric_of(h, metrics[i]);
        rogue_open(&r, h, &cases[i]);
        rogue_talk(&r, h);
        cr_assert_eq(metric_of(h, metrics[i]), before + 1, "case %zu", i);
        cr_assert(!r.conn->is_open);
        const struct world_event *e = event_of(h, LINK_DOWN, i);
        cr_assert_eq(e->event.error, errors[i]);
        cr_assert(!e->event.was_up);
        rogue_close(&r);
        credential_free(&cases[i]);
    }
    cr_assert_eq(count_events(h, LINK_UP), 0);
    cr_assert_eq(metric_of(h, METRIC_links_authenticated), 0);
    credential_free(&other_ca);
    world_fini();
}

/* AT-14, ID-5: the right CA with the wrong Node-ID. */
Test(trunk, closes_when_somebody_else_answers)
{
    world_init(21);
    struct world_host *a = &world.hosts[0];
    struct node_id expect = node_of(&world.hosts[2]);
    handle link = 0;
    enum err error = link_dial(&a->t, a->links, &world.hosts[1].address, &expect, 77, &link);
    cr_assert_eq(error, ERR_OK);
    world_settle();
    const struct world_event *e = event_of(a, LINK_DOWN, 0);
    cr_assert_eq(e->event.error, ERR_FORBIDDEN);
    cr_assert_eq(e->event.tag, 77);
    struct node_id found = node_of(&world.hosts[1]);
    cr_assert(ids_node_is_equal(&e->event.node_id, &found), "who it was instead");
    cr_assert_eq(metric_of(a, METRIC_link_auth_wrong_node), 1);
    cr_assert_eq(link_count_up(world.hosts[1].links), 0);
    world_fini();
}

Test(trunk, garbage_instead_of_a_handshake)
{
    static const struct slice cases[] = {
        SLICE_LITERAL("GET / HTTP/1.1\r\n\r\n"),
        SLICE_LITERAL("\x16\x03\x03\x7f\xff a record longer than records may be"),
        SLICE_LITERAL("\x16\x03\x03\x00\x08\x02\0\0\x04xxxx"),     /* a ServerHello, to a server */
        SLICE_LITERAL("\x16\x03\x03\x00\x08\x01\xff\xff\xffxxxx"), /* a huge ClientHello */
        SLICE_LITERAL("\x15\x03\x03\x00\x02\x02\x28"),             /* handshake_failure */
        SLICE_LITERAL("\x16\x03\x01\x02\x00 and no more"),
    };
    world_init(22);
    struct world_host *h = &world.hosts[0];
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct world_conn *c = connect_raw(h, &stranger);
        send_bytes(&(struct world_conn){.far = c}, cases[i]);
        world_settle();
        world_pass(i == 5 ? 5100000 : 0);
        cr_assert(!c->is_open, "case %zu", i);
    }
    cr_assert_eq(metric_of(h, METRIC_link_handshake_garbage), 4);
    cr_assert_eq(metric_of(h, METRIC_link_handshake_failed), 1);
    cr_assert_eq(metric_of(h, METRIC_link_handshake_timeout), 1);
    cr_assert_eq(count_events(h, LINK_DOWN), ARRAY_COUNT(cases));
    world_fini();
}

/* An idle connection costs a slot for handshake_timeout_us, and no TLS. */
Test(trunk, idle_connections_time_out)
{
    world_init(23);
    struct world_host *h = &world.hosts[0];
    struct world_conn *c = connect_raw(h, &stranger);
    cr_assert_eq(tls_boring_counters(h->tls).opened, 0);
    world_pass(4900000);
    cr_assert(c->is_open);
    world_pass(200000);
    cr_assert(!c->is_open);
    cr_assert_eq(event_of(h, LINK_DOWN, 0)->event.error, ERR_TIMEOUT);
    cr_assert_eq(metric_of(h, METRIC_link_handshake_timeout), 1);
    /* And so does a dial that nobody answers. */
    struct world_host *b = &world.hosts[1];
    world_dial(1, 0, true, 9);
    carry_out(b);
    b->conns[0].is_silent = true;
    h->conns[0].is_silent = true;
    free(h->conns[0].bytes);
    h->conns[0].bytes = NULL;
    h->conns[0].len = 0;
    world_pass(5100000);
    cr_assert_eq(event_of(b, LINK_DOWN, 0)->event.error, ERR_TIMEOUT);
    cr_assert_eq(event_of(b, LINK_DOWN, 0)->event.tag, 9);
    world_fini();
}

/* design.md 7: caps on strangers, a reserve for links that we dial, and the idle make room. */
Test(trunk, strangers_are_bounded)
{
    world_init(24);
    struct world_host *h = &world.hosts[0];
    h->settings.handshaking = 8; /* 6 of them for strangers */
    h->settings.handshaking_per_host = 4;
    world_open_table(h);
    struct address other = stranger;
    other.ip[3] = 2;
    for (size_t i = 0; i < 4; i++) {
        cr_assert_not_null(connect_raw(h, &stranger));
    }
    cr_assert_null(connect_raw(h, &stranger));
    cr_assert_eq(metric_of(h, METRIC_link_refused_host), 1);
    cr_assert_not_null(connect_raw(h, &other));
    cr_assert_not_null(connect_raw(h, &other));
    cr_assert_null(connect_raw(h, &other));
    cr_assert_eq(metric_of(h, METRIC_link_refused_handshaking), 1);
    /* We may still dial, and whoever means it gets in, at the cost of the oldest idle one. */
    world_dial(0, 1, true, 1);
    world_settle();
    cr_assert_eq(link_count_up(h->links), 1);
    world_pass(300000);
    world_dial(2, 0, true, 2);
    world_settle();
    cr_assert_eq(link_count_up(h->links), 2);
    cr_assert_eq(metric_of(h, METRIC_link_evicted), 1);
    cr_assert_eq(event_of(h, LINK_DOWN, 0)->event.error, ERR_LIMIT);
    cr_assert_not_null(connect_raw(h, &stranger), "4 of that address again");
    cr_assert_not_null(connect_raw(h, &stranger), "in exchange for the oldest");
    cr_assert_eq(metric_of(h, METRIC_link_evicted), 2);
    world_pass(6000000);
    cr_assert_eq(metric_of(h, METRIC_links_handshaking), 0);
    world_fini();
}

/* The idle go first; a slow handshake is given two seconds. */
Test(trunk, the_idle_make_room_before_the_slow)
{
    world_init(29);
    struct world_host *h = &world.hosts[0];
    h->settings.handshaking = 4; /* 3 for strangers */
    world_open_table(h);
    static struct credential peer;
    credential_node(&peer, &world.ca, CRYPTO_ED25519, 0x66, NOW_MS);
    struct rogue r[3];
    for (size_t i = 0; i < ARRAY_COUNT(r); i++) {
        rogue_open(&r[i], h, &peer);
        if (i != 1) {
            rogue_push(&r[i], h);
        }
    }
    world_settle();
    world_pass(1000000);
    cr_assert_not_null(connect_raw(h, &stranger));
    world_settle();
    cr_assert(r[0].conn->is_open && !r[1].conn->is_open && r[2].conn->is_open);
    cr_assert_null(connect_raw(h, &stranger), "the new one has only just come");
    world_pass(200000);
    cr_assert_null(connect_raw(h, &stranger));
    world_pass(900000);
    cr_assert_not_null(connect_raw(h, &stranger));
    world_settle();
    cr_assert(r[0].conn->is_open && r[2].conn->is_open);
    for (size_t i = 0; i < ARRAY_COUNT(r); i++) {
        rogue_close(&r[i]);
    }
    credential_free(&peer);
    world_fini();
}

/* An eighth of the table is never given to accepted links. */
Test(trunk, some_links_are_kept_for_dialling)
{
    world_init(25);
    struct world_host *h = &world.hosts[0];
    h->settings.links = 8;
    h->settings.handshaking = 100;
    world_open_table(h);
    for (size_t i = 0; i < 7; i++) {
        cr_assert_not_null(connect_raw(h, &stranger));
    }
    cr_assert_null(connect_raw(h, &stranger));
    cr_assert_eq(metric_of(h, METRIC_link_refused_full), 1);
    world_dial(0, 1, true, 1);
    world_settle();
    cr_assert_eq(link_count_up(h->links), 1);
    world_fini();
}

/* An authenticated peer that does not keep to the framing (6.6.2) or the size (LK-9). */
Test(trunk, bad_frames_close_the_link)
{
    static const struct {
        const char *bytes;
        size_t len;
        enum metric metric;
        enum err error;
    } cases[] = {
        {"\x00garbage", 8, METRIC_link_frame_garbage, ERR_MALFORMED},
        {"\x82\0\0\0\0", 5, METRIC_link_frame_garbage, ERR_MALFORMED},
        {"\x80\0\0\0\0\x00\x13\x89", 8, METRIC_link_message_too_large, ERR_TOO_LARGE}, /* 5001 */
        {"\x80\0\0\0\0\xff\xff\xff", 8, METRIC_link_message_too_large, ERR_TOO_LARGE},
    };
    world_init(26);
    struct world_host *h = &world.hosts[0];
    static struct credential peer;
    credential_node(&peer, &world.ca, CRYPTO_ED25519, 0x66, NOW_MS);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        for (size_t split = 0; split < cases[i].len; split++) {
            struct rogue r;
            uint64_t before = metric_of(h, cases[i].metric);
            rogue_open(&r, h, &peer);
            rogue_talk(&r, h);
            cr_assert_eq(link_count_up(h->links), 1);
            if (split > 0) {
                rogue_say(&r, h, slice_of(cases[i].bytes, split));
            }
            if (r.conn->is_open) {
                rogue_say(&r, h, slice_of(cases[i].bytes + split, cases[i].len - split));
            }
            cr_assert(!r.conn->is_open);
            cr_assert_eq(metric_of(h, cases[i].metric), before + 1);
            cr_assert_eq(h->events[h->event_count - 1].event.kind, LINK_DOWN);
            cr_assert_eq(h->events[h->event_count - 1].event.error, cases[i].error);
            rogue_close(&r);
            forget_events(h);
        }
    }
    credential_free(&peer);
    world_fini();
}

/* Sequence numbers as they like, ACKs of frames never sent, no message in a frame: all harmless. */
Test(trunk, odd_but_legal_frames)
{
    world_init(27);
    struct world_host *h = &world.hosts[0];
    static struct credential peer;
    credential_node(&peer, &world.ca, CRYPTO_ED25519, 0x66, NOW_MS);
    struct rogue r;
    rogue_open(&r, h, &peer);
    rogue_talk(&r, h);
    static const char odd[] = "\x80\0\0\0\x01\0\0\x02hi"       /* begins with 1 */
                              "\x81\0\0\0\x63\xff\xff\xff\xff" /* ACK of 99 */
                              "\x80\0\0\0\x02\0\0\0"           /* empty */
                              "\x80\xff\xff\xff\xff\0\0\x01x"; /* far away */
    rogue_say(&r, h, slice_of(odd, sizeof(odd) - 1));
    cr_assert_eq(count_events(h, LINK_MESSAGE), 3);
    cr_assert_eq(metric_of(h, METRIC_link_ack_unknown), 1);
    cr_assert_eq(event_of(h, LINK_MESSAGE, 1)->event.message_len, 0);
    uint8_t got[64];
    size_t len = 0;
    cr_assert_eq(tls_boring_ops()->read(r.tls, got, sizeof(got), &len), ERR_OK);
    cr_assert_eq(len, FRAME_ACK_BYTES);
    cr_assert_eq(got[0], FRAME_ACK);
    /* 70 frames in one turn: two ACKs on the way and one at the end. */
    for (uint8_t i = 0; i < 70; i++) {
        uint8_t frame[FRAME_DATA_HEADER];
        frame_put_data_header(frame, 3u + i, 0);
        cr_assert_eq(tls_boring_ops()->write(r.tls, slice_of(frame, sizeof(frame))), ERR_OK);
    }
    static uint8_t all[8192];
    len = tls_boring_ops()->pull(r.tls, all, sizeof(all));
    link_on_stream(&h->t, h->links, r.conn->link, all, len);
    take_events(h);
    rogue_talk(&r, h);
    cr_assert_eq(tls_boring_ops()->read(r.tls, got, sizeof(got), &len), ERR_OK);
    cr_assert_eq(len, 3 * FRAME_ACK_BYTES);
    cr_assert_eq(got[2 * FRAME_ACK_BYTES + 4], 72);
    rogue_close(&r);
    credential_free(&peer);
    world_fini();
}

/* A flipped byte of ciphertext ends the link, and only the link. */
Test(trunk, damaged_records_close_the_link)
{
    world_init(28);
    world_dial(0, 1, true, 1);
    world_settle();
    struct world_host *a = &world.hosts[0], *b = &world.hosts[1];
    cr_assert_eq(world_send(0, 1, SLICE_EMPTY, SLICE_LITERAL("precious")), ERR_OK);
    carry_out(a);
    b->conns[0].bytes[b->conns[0].len / 2] ^= 1;
    world_settle();
    cr_assert_eq(metric_of(b, METRIC_link_tls_failed), 1);
    cr_assert_eq(count_events(b, LINK_MESSAGE), 0);
    cr_assert_eq(count_events(a, LINK_DOWN), 1);
    cr_assert_eq(count_events(a, LINK_UNACKED), 1);
    world_fini();
}

/* Who sends, and takes nothing: not a buffer for each ACK that is owed. */
Test(trunk, acks_do_not_pile_up_before_who_does_not_read)
{
    world_init(5);
    world_dial(0, 1, true, 1);
    world_settle();
    struct world_host *to = &world.hosts[1];
    for (size_t i = 0; i < WORLD_CONNS; i++) {
        to->conns[i].is_full = true;
    }
    uint32_t index = 0;
    struct link_info info;
    for (size_t i = 0; i < 1500; i++) {
        cr_assert_eq(world_send(0, 1, SLICE_LITERAL("hello"), SLICE_EMPTY), ERR_OK);
        world_settle();
    }
    cr_assert_eq(count_events(to, LINK_MESSAGE), 1500);
    cr_assert(link_walk(to->links, &index, &info));
    cr_assert_leq(info.queued_bytes, TRUNK_ACK_BACKLOG + 100, "%u bytes", info.queued_bytes);
    cr_assert_gt(info.queued_bytes, TRUNK_ACK_BACKLOG);
    index = 0;
    cr_assert(link_walk(world.hosts[0].links, &index, &info));
    cr_assert_gt(info.unacked_frames, 500);
    /* It takes some: then it is told of everything. */
    link_on_sent(&to->t, to->links, event_of(to, LINK_UP, 0)->event.link, 1000);
    world_settle();
    index = 0;
    cr_assert(link_walk(world.hosts[0].links, &index, &info));
    cr_assert_eq(info.unacked_frames, 0, "%u", info.unacked_frames);
    world_fini();
}

/* A ClientHello costs us a hundred times what it costs: so many in a second, so many of one. */
static uint64_t begin_handshakes(struct world_host *h, const struct address *from, size_t count)
{
    uint64_t before = metric_of(h, METRIC_link_handshake_garbage);
    for (size_t i = 0; i < count; i++) {
        uint8_t garbage[] = "GET / HTTP/1.0 and so on";
        struct world_conn *c = connect_raw(h, from);
        cr_assert_not_null(c);
        h->t.now_us = world.now_us;
        link_on_stream(&h->t, h->links, c->link, garbage, sizeof(garbage));
        take_events(h);
        world_settle();
    }
    return metric_of(h, METRIC_link_handshake_garbage) - before;
}

Test(trunk, handshakes_of_strangers_have_a_pace)
{
    world_init(6);
    struct world_host *h = &world.hosts[1];
    pace_init(&h->links->pace, 20, 4, 5);
    world_pass(1000000);
    cr_assert_eq(begin_handshakes(h, &stranger, 30), 4 * PACE_HOST_BURST_S);
    cr_assert_eq(metric_of(h, METRIC_handshakes_paced_host), 30 - 4 * PACE_HOST_BURST_S);
    struct address other = stranger;
    uint64_t begun = 0;
    for (size_t i = 0; i < 20; i++) {
        other.ip[3]++;
        begun += begin_handshakes(h, &other, 2);
    }
    cr_assert_eq(begun + 4 * PACE_HOST_BURST_S, 20, "%zu in all", (size_t)begun);
    cr_assert_gt(metric_of(h, METRIC_handshakes_paced), 0);
    world_dial(1, 0, true, 9); /* what we begin ourselves is not counted */
    world_settle();
    cr_assert_eq(link_count_up(h->links), 1);
    world_pass(1000000);
    cr_assert_eq(begin_handshakes(h, &stranger, 30), 4);
    other.ip[3]++;
    cr_assert_eq(begin_handshakes(h, &other, 2), 2);
    world_fini();
}
