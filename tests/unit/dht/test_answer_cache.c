/* SPDX-License-Identifier: Apache-2.0 */
/* test_answer_cache.c - the answer cache (TX-3), what an Attach may make us dial (design.md 6), and
 * the places where messages wait. */
#include "codec/msgs.h"
#include "dht/answer_cache.h"
#include "dht/attach_policy.h"
#include "dht/inbox.h"
#include "dht/parked.h"
#include "tests/unit/dht/storage_world.h"

static struct answer_cache_key payload_key(struct world *w, uint64_t id)
{
    return answer_cache_payload_key(&w->turn, id, slice_of(&id, sizeof(id)));
}

Test(answer_cache, tx3_once_then_pending_then_the_answer_for_15_s)
{
    struct world *w = world_make(1);
    struct answer_cache ac;
    struct node_id signer = {{5}};
    struct slice got;
    answer_cache_init(&w->turn, &ac, &w->arena, 4);
    struct answer_cache_key by_payload = payload_key(w, 9);
    struct answer_cache_key by_signer = answer_cache_signer_key(9, &signer);
    cr_expect_eq(answer_cache_find(&w->turn, &ac, &by_payload, &got), ANSWER_CACHE_MISS);
    answer_cache_begin(&w->turn, &ac, &by_payload, &by_signer);
    cr_expect_eq(answer_cache_find(&w->turn, &ac, &by_payload, &got), ANSWER_CACHE_PENDING);
    cr_expect_eq(answer_cache_find(&w->turn, &ac, &by_signer, &got), ANSWER_CACHE_PENDING);
    answer_cache_keep(&w->turn, &ac, &by_signer, SLICE_LITERAL("yes"));
    cr_expect_eq(answer_cache_find(&w->turn, &ac, &by_payload, &got), ANSWER_CACHE_HIT);
    cr_expect(slice_is_equal(got, SLICE_LITERAL("yes")));
    world_pass(w, 14900);
    cr_expect_eq(answer_cache_find(&w->turn, &ac, &by_signer, &got), ANSWER_CACHE_HIT);
    world_pass(w, 200);
    cr_expect_eq(answer_cache_find(&w->turn, &ac, &by_signer, &got), ANSWER_CACHE_MISS);
    cr_expect_eq(w->buffers.in_use[0], 0);
    world_free(w);
}

Test(answer_cache, the_oldest_gives_way_and_nothing_leaks)
{
    struct world *w = world_make(2);
    struct answer_cache ac;
    struct node_id signer = {{5}};
    struct slice got;
    answer_cache_init(&w->turn, &ac, &w->arena, 4);
    for (uint64_t i = 0; i < 100; i++) {
        /* Some are signed anew: the same transaction, other bytes. */
        struct answer_cache_key by_payload = payload_key(w, i);
        struct answer_cache_key by_signer = answer_cache_signer_key(i - i % 3, &signer);
        answer_cache_begin(&w->turn, &ac, &by_payload, &by_signer);
        answer_cache_keep(&w->turn, &ac, &by_signer, slice_of(&i, sizeof(i)));
        cr_expect_leq(ac.count, 4);
        cr_expect_leq(ac.by_key.count, 8);
    }
    struct answer_cache_key oldest = answer_cache_signer_key(0, &signer);
    cr_expect_eq(answer_cache_find(&w->turn, &ac, &oldest, &got), ANSWER_CACHE_MISS);
    answer_cache_clear(&w->turn, &ac);
    cr_expect_eq(ac.by_key.count, 0);
    cr_expect_eq(w->buffers.in_use[0], 0);
    world_free(w);
}

static struct address v4(uint8_t a, uint8_t b, uint16_t port)
{
    return (struct address){.family = 4, .port = port, .ip = {a, b, 0, 1}};
}

Test(attach_policy, design_6_what_may_be_dialled)
{
    struct address global = v4(8, 8, 6084);
    struct address loopback = v4(127, 0, 6084);
    const struct {
        struct address candidate;
        bool we_are_on_loopback, is_dialled;
    } cases[] = {
        {v4(9, 9, 6084), false, true},     {v4(9, 9, 1023), false, false},
        {v4(9, 9, 1024), false, true},     {v4(127, 0, 6084), false, false},
        {v4(127, 0, 6084), true, true},    {v4(10, 0, 6084), false, false},
        {v4(10, 0, 6084), true, false},    {v4(192, 168, 6084), true, false},
        {v4(169, 254, 6084), true, false}, {v4(224, 0, 6084), true, false},
        {v4(0, 0, 6084), true, false},     {v4(255, 255, 6084), true, false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        uint8_t bytes[64];
        struct attach_policy_dial out[ATTACH_POLICY_DIALS];
        struct attach_policy_ours ours = {
            .candidates = cases[i].we_are_on_loopback ? &loopback : &global,
            .candidate_count = 1,
            .trunks = i % 2 == 0,
            .datagrams = i % 2 == 1,
        };
        size_t count = 99;
        struct wr w = wr_init(bytes, sizeof(bytes));
        msgs_wr_host_candidate(
            &w, &cases[i].candidate,
            i % 2 == 0 ? CANDIDATE_TLS_TCP_FH_NO_ICE : CANDIDATE_DTLS_UDP_SR_NO_ICE, 1);
        cr_assert_eq(attach_policy_pick(wr_slice(&w), &ours, out, &count), ERR_OK);
        cr_expect_eq(count, cases[i].is_dialled ? 1 : 0, "case %zu", i);
    }
}

Test(attach_policy, the_four_best_are_looked_at)
{
    uint8_t bytes[512];
    struct attach_policy_dial out[ATTACH_POLICY_DIALS];
    struct address self = v4(8, 8, 6084);
    struct attach_policy_ours ours = {
        .candidates = &self, .candidate_count = 1, .trunks = true, .datagrams = true};
    size_t count = 0;
    struct wr w = wr_init(bytes, sizeof(bytes));
    for (uint16_t i = 0; i < 8; i++) {
        struct address a = v4(9, 9, (uint16_t)(5000 + i));
        msgs_wr_host_candidate(&w, &a, CANDIDATE_TLS_TCP_FH_NO_ICE, (uint32_t)(i * 37 % 8));
    }
    cr_assert_eq(attach_policy_pick(wr_slice(&w), &ours, out, &count), ERR_OK);
    cr_assert_eq(count, 4);
    for (uint32_t k = 0; k < 4; k++) { /* priorities 7, 6, 5, 4: i * 37 % 8 == i * 5 % 8 */
        cr_expect_eq((uint32_t)(out[k].address.port - 5000) * 37 % 8, 7 - k);
    }
    w = wr_init(bytes, sizeof(bytes));
    msgs_wr_host_candidate(&w, &self, CANDIDATE_DTLS_UDP_SR, 1);
    cr_expect_eq(attach_policy_pick(wr_slice(&w), &ours, out, &count), ERR_MALFORMED, "AT-4");
}

/* AT-12; what the overlay does not permit is passed over. */
Test(attach_policy, trunks_come_first)
{
    uint8_t bytes[512];
    struct attach_policy_dial out[ATTACH_POLICY_DIALS];
    struct address self = v4(8, 8, 6084);
    struct wr w = wr_init(bytes, sizeof(bytes));
    for (uint16_t i = 0; i < 6; i++) {
        struct address a = v4(9, 9, (uint16_t)(5000 + i));
        enum candidate_link link =
            i % 2 == 0 ? CANDIDATE_DTLS_UDP_SR_NO_ICE : CANDIDATE_TLS_TCP_FH_NO_ICE;
        msgs_wr_host_candidate(&w, &a, link, 100u - i);
    }
    for (unsigned permitted = 0; permitted < 4; permitted++) {
        struct attach_policy_ours ours = {.candidates = &self,
                                          .candidate_count = 1,
                                          .trunks = (permitted & 1) != 0,
                                          .datagrams = (permitted & 2) != 0};
        static const uint16_t expected[4][5] = {
            {0}, {3, 5001, 5003, 5005}, {3, 5000, 5002, 5004}, {4, 5001, 5003, 5000, 5002}};
        size_t count = 0;
        cr_assert_eq(attach_policy_pick(wr_slice(&w), &ours, out, &count), ERR_OK);
        cr_assert_eq(count, expected[permitted][0]);
        for (size_t k = 0; k < count; k++) {
            cr_expect_eq(out[k].address.port, expected[permitted][k + 1]);
            cr_expect_eq(out[k].is_datagram, out[k].address.port % 2 == 0);
        }
    }
}

Test(attach_policy, design_6_eight_a_minute_for_each)
{
    struct world *w = world_make(3);
    struct attach_policy ap;
    struct node_id a = {{1}}, b = {{2}};
    attach_policy_init(&ap, &w->arena, 2, 8);
    for (unsigned i = 0; i < 8; i++) {
        cr_expect(attach_policy_take(&w->turn, &ap, &a));
    }
    cr_expect_not(attach_policy_take(&w->turn, &ap, &a));
    cr_expect(attach_policy_take(&w->turn, &ap, &b));
    world_pass(w, 61000);
    cr_expect(attach_policy_take(&w->turn, &ap, &a));
    struct node_id c = {{3}};
    cr_expect(attach_policy_take(&w->turn, &ap, &c), "the one seen longest ago gave way");
    cr_expect_eq(ap.count, 2);
    world_free(w);
}

static struct slice message_of(uint16_t code, uint8_t *out, size_t cap, struct fwd *h)
{
    static const struct rl_params params = {.overlay = 7, .node_id_length = 16};
    struct node_id id = {{1}};
    uint8_t list[32];
    struct wr lw = wr_init(list, sizeof(list));
    fwd_wr_node(&lw, &params, &id);
    struct fwd fresh = {
        .overlay = 7, .ttl = 9, .fragment = FWD_FRAGMENT_WHOLE, .destination_list = wr_slice(&lw)};
    struct wr w = wr_init(out, cap);
    fwd_wr(&w, &fresh);
    content_wr(&w, code, SLICE_EMPTY, SLICE_EMPTY);
    fwd_put_length(out, (uint32_t)wr_len(&w));
    cr_assert_eq(fwd_decode(wr_slice(&w), &params, h), ERR_OK);
    return wr_slice(&w);
}

Test(inbox, lanes_caps_and_age)
{
    struct world *w = world_make(4);
    struct inbox in;
    struct fwd h;
    uint8_t bytes[256];
    struct node_id from = {{9}};
    static const struct route_decision here = {.verdict = ROUTE_LOCAL};
    struct inbox_item item;
    inbox_init(&in, &w->arena, 16); /* 12 for the second lane, 5 for the first */
    for (unsigned i = 0; i < 20; i++) {
        struct slice m = message_of(CONTENT_FETCH_REQ, bytes, sizeof(bytes), &h);
        inbox_push(&w->turn, &in, m, &h, &here, 1, &from);
    }
    cr_expect_eq(inbox_count(&in), 12);
    cr_expect_eq(metric_read(&w->metrics, METRIC_dht_drop_queue_full), 8);
    struct slice m = message_of(CONTENT_UPDATE_REQ, bytes, sizeof(bytes), &h);
    inbox_push(&w->turn, &in, m, &h, &here, 1, &from);
    cr_expect_eq(inbox_count(&in), 13, "the topology has room of its own");
    cr_assert(inbox_pop(&w->turn, &in, &item));
    cr_expect_eq(item.buf->len, m.len);
    cr_expect_eq(msgbuf_data(item.buf)[h.header_bytes + 1], CONTENT_UPDATE_REQ, "first lane first");
    msgbuf_release(&w->buffers, item.buf);
    world_pass(w, 3000);
    cr_expect_not(inbox_pop(&w->turn, &in, &item), "they have been sent again by now");
    cr_expect_eq(metric_read(&w->metrics, METRIC_dht_drop_queue_old), 12);
    cr_expect_eq(w->buffers.in_use[0], 0);
    world_free(w);
}

Test(parked, a_few_for_a_while)
{
    struct world *w = world_make(5);
    static struct parked p;
    struct node_id from = {{9}};
    struct parked_item item;
    parked_init(&p);
    unsigned taken = 0;
    for (unsigned i = 0; i < 100; i++) {
        taken += parked_push(&w->turn, &p, SLICE_LITERAL("x"), 1 + i % 5, &from, 0) ? 1 : 0;
    }
    cr_expect_eq(taken, PARKED_CAP);
    cr_expect(wheel_is_armed(&p.timer));
    uint32_t left = p.count, seen = 0;
    while (parked_take(&p, &left, &item)) {
        cr_expect_eq(item.tries, 1);
        if (seen++ == 0) { /* waits once more */
            cr_expect(
                parked_push(&w->turn, &p, msgbuf_slice(item.buf), item.link, &from, item.tries));
        }
        msgbuf_release(&w->buffers, item.buf);
    }
    cr_expect_eq(seen, PARKED_CAP);
    cr_expect_eq(p.count, 1);
    cr_expect_not(parked_push(&w->turn, &p, SLICE_LITERAL("x"), 1, &from, PARKED_TRIES));
    parked_clear(&w->turn, &p);
    cr_expect_eq(w->buffers.in_use[0], 0);
    world_free(w);
}
