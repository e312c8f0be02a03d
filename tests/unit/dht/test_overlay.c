/* SPDX-License-Identifier: Apache-2.0 */
/* test_overlay.c - whole overlays in virtual time: joining, failing, leaving, retransmission, and
 * what hostile bytes do (RFC 6940 6.2.1, 6.3.4, 10; catalogue TX, SG, CH, CU). */
#include "tests/unit/dht/harness.h"

#include "codec/content.h"
#include "dht/overlay_impl.h"
#include "dht/overlay_persist.h"

Test(overlay, ch8_to_ch15_peers_join_until_tables_match_the_oracle, .timeout = 60)
{
    static const uint32_t sizes[] = {1, 2, 3, 8, 32};
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        struct harness *h = harness_make(sizes[i], 11 + i);
        uint64_t took_ms = harness_grow(h, 60000);
        cr_expect_eq(harness_wrong(h), 0, "%u peers: %u wrong after %lu ms", sizes[i],
                     harness_wrong(h), (unsigned long)took_ms);
        cr_expect_lt(took_ms, 15000, "%u peers took %lu ms", sizes[i], (unsigned long)took_ms);
        harness_end(h);
        harness_free(h);
    }
}

Test(overlay, ch18_routing_is_repaired_within_two_seconds_of_a_failure, .timeout = 60)
{
    struct harness *h = harness_make(16, 5);
    (void)harness_grow(h, 30000);
    harness_run(h, 3000);
    for (uint32_t victim = 3; victim < 8; victim += 2) {
        harness_kill(h, victim);
        harness_run(h, 2000);
        cr_expect_eq(harness_wrong(h), 0, "peer %u killed: %u wrong", victim, harness_wrong(h));
    }
    harness_start(h, 3); /* and back, with an empty store and the same Node-ID */
    harness_run(h, 5000);
    cr_expect_eq(harness_wrong(h), 0, "after its return %u wrong", harness_wrong(h));
    harness_end(h);
    harness_free(h);
}

Test(overlay, ch21_the_last_of_two_goes_on_alone, .timeout = 60)
{
    struct harness *h = harness_make(2, 6);
    (void)harness_grow(h, 30000);
    harness_run(h, 1000);
    harness_kill(h, 0);
    harness_run(h, 1000);
    cr_expect(overlay_is_ready(h->peers[1].overlay));
    cr_expect_eq(h->peers[1].lost, 0);
    harness_end(h);
    harness_free(h);
}

/* The file with neighbors of an earlier life is no more to be believed than an Attach of a
 * stranger. */
Test(overlay, what_is_remembered_makes_us_dial_nothing_that_an_attach_may_not)
{
    struct harness *h = harness_make(1, 7);
    harness_start(h, 0);
    struct overlay *o = h->peers[0].overlay;
    struct address a = {.family = 4, .port = 6085, .ip = {127, 0, 0, 1}};
    cr_expect(overlay_persist_bootstrap(o, &a));
    cr_expect_not(overlay_persist_bootstrap(o, &a), "twice");
    a.port = 80;
    cr_expect_not(overlay_persist_bootstrap(o, &a), "a port of the system");
    a = (struct address){.family = 4, .port = 6084, .ip = {224, 0, 0, 1}};
    cr_expect_not(overlay_persist_bootstrap(o, &a), "multicast");
    a = (struct address){.family = 4, .port = 6084, .ip = {169, 254, 169, 254}};
    cr_expect_not(overlay_persist_bootstrap(o, &a), "link-local, and we are not");
    a = (struct address){.family = 4, .port = 6084, .ip = {192, 0, 2, 9}};
    cr_expect(overlay_persist_bootstrap(o, &a));
    harness_end(h);
    harness_free(h);
}

/* All of a machine end together: whoever is still handing over when the others are gone has lost
 * nothing, and does not seek its way back. */
Test(overlay, who_leaves_last_has_not_lost_the_ring, .timeout = 60)
{
    struct harness *h = harness_make(4, 8);
    (void)harness_grow(h, 30000);
    harness_run(h, 1000);
    overlay_leave(harness_turn(h, 0), h->peers[0].overlay);
    harness_end_turn(h, 0);
    for (uint32_t i = 1; i < 4; i++) {
        harness_kill(h, i);
    }
    harness_run(h, 30000);
    cr_expect_eq(h->peers[0].lost, 0, "lost %u times", h->peers[0].lost);
    cr_expect_eq(h->peers[0].left, 1);
    h->has_killed = true;
    harness_unlink(h, 0);
    harness_free(h);
}

/* TX-1, TX-3 */

struct loss {
    uint64_t number;
    unsigned every; /* each so manieth mail is lost */
};

static unsigned lose_some(struct harness *h, struct harness_mail *m)
{
    struct loss *l = h->tap_context;
    (void)m;
    return ++l->number % l->every == 0 ? 0 : 1;
}

Test(overlay, tx1_joins_in_spite_of_loss, .timeout = 60)
{
    struct harness *h = harness_make(8, 7);
    struct loss loss = {.every = 9};
    h->tap = lose_some;
    h->tap_context = &loss;
    (void)harness_grow(h, 120000);
    cr_expect_eq(harness_wrong(h), 0, "%u wrong", harness_wrong(h));
    cr_expect_gt(harness_metric(h, METRIC_requests_repeated), 0);
    harness_end(h);
    harness_free(h);
}

static unsigned repeat_all(struct harness *h, struct harness_mail *m)
{
    (void)h, (void)m;
    return 2;
}

Test(overlay, tx3_a_repeated_request_is_answered_but_not_carried_out_again, .timeout = 60)
{
    struct harness *h = harness_make(4, 8);
    h->tap = repeat_all;
    (void)harness_grow(h, 60000);
    harness_run(h, 2000);
    cr_expect_eq(harness_wrong(h), 0);
    cr_expect_eq(harness_metric(h, METRIC_joins_admitted), 3);
    cr_expect_gt(harness_metric(h, METRIC_answers_repeated), 0);
    harness_end(h);
    harness_free(h);
}

struct watch {
    uint16_t from, code;
    uint32_t seen;
    uint64_t at_us[16];
    uint8_t first[2048];
    size_t first_len;
    bool is_same;
    bool lets_pass;
};

static unsigned watch_code(struct harness *h, struct harness_mail *m)
{
    struct watch *w = h->tap_context;
    struct fwd f;
    struct rl_params params = {.node_id_length = 16};
    struct slice bytes = msgbuf_slice(m->buf);
    cr_assert_eq(fwd_decode_header(bytes, &params, &f), ERR_OK);
    if (m->from != w->from || (f.payload.data[0] << 8 | f.payload.data[1]) != w->code) {
        return 1;
    }
    if (w->seen == 0) {
        cr_assert_leq(bytes.len, sizeof(w->first));
        memcpy(w->first, bytes.data, bytes.len);
        w->first_len = bytes.len;
        w->is_same = true;
    }
    w->is_same = w->is_same && slice_is_equal(bytes, slice_of(w->first, w->first_len));
    if (w->seen < ARRAY_COUNT(w->at_us)) {
        w->at_us[w->seen] = h->w->turn.now_us;
    }
    w->seen++;
    return w->lets_pass ? 1 : 0;
}

Test(overlay, tx1_five_identical_transmissions_three_seconds_apart, .timeout = 60)
{
    struct harness *h = harness_make(3, 9);
    (void)harness_grow(h, 30000);
    harness_run(h, 20000); /* certificates are published by now */
    struct watch w = {.from = 1, .code = CONTENT_PING_REQ};
    h->tap = watch_code;
    h->tap_context = &w;
    uint64_t begin = h->w->turn.now_us;
    struct harness_peer *p = &h->peers[1];
    cr_assert_eq(
        overlay_ping_node(harness_turn(h, 1), p->overlay, &h->peers[2].person->ident.node_id, 42),
        ERR_OK);
    cr_expect_eq(p->pongs, 0, "no event comes from inside the call");
    harness_end_turn(h, 1);
    harness_run(h, 14900);
    cr_expect_eq(p->pongs, 0);
    harness_run(h, 200);
    cr_expect_eq(p->pongs, 1);
    cr_expect_eq(p->last.error, ERR_TIMEOUT);
    cr_expect_eq(p->last.tag, 42);
    cr_expect_eq(w.seen, 5);
    cr_expect(w.is_same);
    for (uint32_t i = 0; i < 5; i++) {
        uint64_t late_us = w.at_us[i] - begin - i * 3000000ull;
        cr_expect_leq(late_us, 2000, "transmission %u", i);
    }
    harness_end(h);
    harness_free(h);
}

Test(overlay, tm8_ping_reaches_node_and_resource, .timeout = 60)
{
    struct harness *h = harness_make(5, 10);
    (void)harness_grow(h, 30000);
    struct harness_peer *p = &h->peers[4];
    struct overlay_resource r = resource_of(h->w, SLICE_LITERAL("somebody"));
    uint32_t owner = 0;
    while (!overlay_is_responsible(h->peers[owner].overlay, &r)) {
        owner++;
    }
    cr_assert_eq(overlay_ping_resource(harness_turn(h, 4), p->overlay, &r, 1), ERR_OK);
    harness_end_turn(h, 4);
    harness_run(h, 1000);
    cr_expect_eq(p->pongs, 1);
    cr_expect_eq(p->last.error, ERR_OK);
    cr_expect(ids_node_is_equal(&p->last.node_id, &h->peers[owner].person->ident.node_id));
    cr_assert_eq(
        overlay_ping_node(harness_turn(h, 4), p->overlay, &h->peers[4].person->ident.node_id, 2),
        ERR_OK);
    harness_end_turn(h, 4);
    cr_expect_eq(p->pongs, 2, "to ourselves it never leaves the process");
    cr_expect_eq(p->last.hops, 0);
    struct node_id anybody;
    memset(&anybody, 0, sizeof(anybody));
    memset(anybody.bytes, 0xff, IDS_NODE_MIN);
    cr_assert_eq(overlay_ping_node(harness_turn(h, 4), p->overlay, &anybody, 3), ERR_OK);
    harness_end_turn(h, 4);
    cr_expect_eq(p->pongs, 3, "FW-3: the wildcard is we; TX-5: whoever answers may");
    cr_expect_eq(p->last.error, ERR_OK);
    cr_expect(ids_node_is_equal(&p->last.node_id, &h->peers[4].person->ident.node_id));
    harness_end(h);
    harness_free(h);
}

static void ask_one(struct harness *h, uint32_t at, const struct overlay_ask *what)
{
    struct harness_peer *p = &h->peers[at];
    uint32_t before = p->asked;
    cr_assert_eq(overlay_ask(harness_turn(h, at), p->overlay, what, 1), ERR_OK);
    harness_end_turn(h, at);
    harness_run(h, 1000);
    cr_assert_eq(p->asked, before + 1);
}

static void store_one(struct harness *h, uint32_t at, struct person *who, uint64_t tag);

/* Stat tells of the value what it is, Find where it is, and RouteQuery leads to who has it. */
Test(overlay, ft7_ft8_tm6_people_ask, .timeout = 60)
{
    struct harness *h = harness_make(12, 15);
    struct person *alice = person_make(h->w, "alice", 1);
    (void)harness_grow(h, 30000);
    harness_run(h, 2000);
    store_one(h, 1, alice, 1);
    struct harness_peer *p = &h->peers[4];
    struct overlay_ask what = {.what = OVERLAY_ASK_STAT,
                               .resource = resource_of(h->w, SLICE_LITERAL("alice")),
                               .kind = WORLD_KIND_SINGLE};
    uint32_t owner = 0;
    while (!overlay_is_responsible(h->peers[owner].overlay, &what.resource)) {
        owner++;
    }
    const struct node_id *has_it = &h->peers[owner].person->ident.node_id;
    ask_one(h, 4, &what);
    cr_expect_eq(p->last.error, ERR_OK);
    cr_expect(ids_node_is_equal(&p->last.node_id, has_it));
    struct rl_params params = {.node_id_length = IDS_NODE_MIN};
    struct msgs_stat_ans stat;
    struct stored_block block;
    struct stored_meta meta;
    struct slice body = slice_of(p->body, p->body_len);
    cr_assert_eq(msgs_stat_ans_decode(body, &params, &stat), ERR_OK);
    struct rd r = rd_init(stat.kind_responses);
    cr_assert(stored_block_next(&r, &block) && block.kind == WORLD_KIND_SINGLE);
    struct rd values = rd_init(block.values);
    cr_assert(stored_meta_next(&values, STORED_SINGLE, &meta));
    cr_expect(meta.exists && meta.value_length == strlen("here I am"));
    what.what = OVERLAY_ASK_FIND;
    ask_one(h, 4, &what);
    struct msgs_find_ans find;
    struct msgs_find_kind_data found;
    body = slice_of(p->body, p->body_len);
    cr_assert_eq(msgs_find_ans_decode(body, &params, &find), ERR_OK);
    r = rd_init(find.results);
    cr_assert(msgs_find_kind_data_next(&r, &params, &found));
    cr_expect(slice_is_equal(found.closest, slice_of(what.resource.bytes, IDS_RING_BYTES)));
    what.what = OVERLAY_ASK_ROUTE;
    what.at = p->person->ident.node_id;
    uint32_t steps = 0;
    for (bool is_there = false; !is_there; steps++) {
        struct msgs_route_query_ans way;
        cr_assert_lt(steps, 12);
        ask_one(h, 4, &what);
        cr_assert(ids_node_is_equal(&p->last.node_id, &what.at));
        body = slice_of(p->body, p->body_len);
        cr_assert_eq(msgs_route_query_ans_decode(body, &params, &way), ERR_OK);
        is_there = ids_node_is_equal(&way.next_peer, &what.at);
        what.at = way.next_peer;
    }
    cr_expect(ids_node_is_equal(&what.at, has_it));
    what.what = OVERLAY_ASK_STAT;
    what.kind = 77;
    cr_expect_eq(overlay_ask(harness_turn(h, 4), p->overlay, &what, 1), ERR_NOT_FOUND);
    harness_end_turn(h, 4);
    what.what = OVERLAY_ASK_ROUTE;
    memset(what.at.bytes, 0x77, IDS_RING_BYTES); /* nobody */
    cr_assert_eq(overlay_ask(harness_turn(h, 4), p->overlay, &what, 1), ERR_OK);
    harness_end_turn(h, 4);
    harness_run(h, 20000);
    cr_expect_neq(p->last.error, ERR_OK);
    harness_end(h);
    free(alice);
    harness_free(h);
}

/* A request of a kind that nothing in the peer sends, to peer 0; the answer's body is in
 * peers[at].body. */
static void ask_raw(struct harness *h, uint32_t at, uint16_t code, struct slice body)
{
    struct harness_peer *p = &h->peers[at];
    uint32_t before = p->asked;
    struct transact_request request = {
        .owner = TRANSACT_ASK,
        .target = {.type = TRANSACT_NODE, .node = h->peers[0].person->ident.node_id},
        .code = code,
        .body = body};
    cr_assert_eq(transact_request(harness_turn(h, at), p->overlay->transact, &request, NULL),
                 ERR_OK);
    harness_end_turn(h, at);
    harness_run(h, 1000);
    cr_assert_eq(p->asked, before + 1);
    cr_assert_eq(p->last.error, ERR_OK);
}

/* What was asked for and is known, in that order; what stands at one Resource-ID counts once. */
Test(overlay, tm7_probe_answers_in_the_order_asked, .timeout = 60)
{
    struct harness *h = harness_make(2, 16);
    struct rl_params params = {.node_id_length = IDS_NODE_MIN};
    static const uint8_t wanted[] = {MSGS_PROBE_UPTIME, 77, MSGS_PROBE_NUM_RESOURCES,
                                     MSGS_PROBE_RESPONSIBLE_SET};
    struct msgs_probe_req req = {.requested_info = slice_of(wanted, sizeof(wanted))};
    struct person *alice = person_make(h->w, "alice", 1);
    uint8_t body[16];
    struct wr w = wr_init(body, sizeof(body));
    (void)harness_grow(h, 30000);
    harness_run(h, 2000);
    struct store_totals totals;
    store_totals(h->peers[0].overlay->store, &totals);
    uint32_t before = totals.resources;
    store_one(h, 1, alice, 1);
    struct overlay_store more = {.resource = resource_of(h->w, SLICE_LITERAL("alice")),
                                 .kind = WORLD_KIND_ARRAY,
                                 .exists = true,
                                 .value = SLICE_LITERAL("there, too"),
                                 .lifetime_s = 600,
                                 .signer = &alice->ident};
    cr_assert_eq(overlay_store(harness_turn(h, 1), h->peers[1].overlay, &more, 2), ERR_OK);
    harness_end_turn(h, 1);
    harness_run(h, 3000);
    msgs_probe_req_wr(&w, &params, &req);
    ask_raw(h, 1, CONTENT_PROBE_REQ, wr_slice(&w));
    struct msgs_probe_ans ans;
    struct msgs_probe_information info;
    struct slice answer = slice_of(h->peers[1].body, h->peers[1].body_len);
    cr_assert_eq(msgs_probe_ans_decode(answer, &params, &ans), ERR_OK);
    struct rd r = rd_init(ans.probe_info);
    cr_assert(msgs_probe_information_next(&r, &params, &info));
    cr_expect(info.type == MSGS_PROBE_UPTIME && info.uptime >= 5 && info.uptime < 60);
    cr_assert(msgs_probe_information_next(&r, &params, &info));
    cr_expect_eq(info.type, MSGS_PROBE_NUM_RESOURCES);
    cr_expect_eq(info.num_resources, before + 1, "%u", info.num_resources);
    cr_assert(msgs_probe_information_next(&r, &params, &info));
    cr_expect_eq(info.type, MSGS_PROBE_RESPONSIBLE_SET);
    cr_expect(info.responsible_ppb > 0 && info.responsible_ppb < 1000000000);
    cr_expect(rd_is_done(&r));
    harness_end(h);
    free(alice);
    harness_free(h);
}

static struct node_id way_to(struct harness *h, const struct node_id *id)
{
    struct rl_params params = {.node_id_length = IDS_NODE_MIN};
    uint8_t body[64];
    struct wr w = wr_init(body, sizeof(body));
    struct msgs_route_query_req req = {
        .destination = {.type = FWD_DESTINATION_NODE, .id = slice_of(id->bytes, IDS_NODE_MIN)}};
    struct msgs_route_query_ans ans;
    msgs_route_query_req_wr(&w, &params, &req);
    ask_raw(h, 1, CONTENT_ROUTE_QUERY_REQ, wr_slice(&w));
    cr_assert_eq(msgs_route_query_ans_decode(slice_of(h->peers[1].body, h->peers[1].body_len),
                                             &params, &ans),
                 ERR_OK);
    return ans.next_peer;
}

/* TM-6: what FW-6 and FW-3 would do; a node that is linked and no peer is a client. */
Test(overlay, tm6_the_way_to_a_client_is_its_link, .timeout = 60)
{
    struct harness *h = harness_make(4, 17);
    (void)harness_grow(h, 30000);
    harness_run(h, 2000);
    for (uint32_t i = 2; i < 4; i++) {
        const struct node_id *client = &h->peers[i].person->ident.node_id;
        (void)chord_table_set_state(&h->peers[0].overlay->table, client, CHORD_TABLE_ATTACHED);
        struct node_id way = way_to(h, client);
        cr_expect(ids_node_is_equal(&way, client), "peer %u", i);
    }
    struct node_id anybody;
    memset(&anybody, 0, sizeof(anybody));
    memset(anybody.bytes, 0xff, IDS_NODE_MIN);
    struct node_id way = way_to(h, &anybody);
    cr_expect(ids_node_is_equal(&way, &h->peers[0].person->ident.node_id));
    way = way_to(h, &way);
    cr_expect(ids_node_is_equal(&way, &h->peers[0].person->ident.node_id));
    harness_end(h);
    harness_free(h);
}

Test(overlay, aa2_appattach_makes_the_other_side_dial, .timeout = 60)
{
    struct harness *h = harness_make(3, 13);
    (void)harness_grow(h, 30000);
    struct harness_peer *p = &h->peers[0];
    const struct node_id *target = &h->peers[2].person->ident.node_id;
    cr_assert_eq(
        overlay_appattach(harness_turn(h, 0), p->overlay, target, OVERLAY_APPLICATION_SIP, 5),
        ERR_OK);
    harness_end_turn(h, 0);
    harness_run(h, 500);
    cr_expect_eq(p->appattached, 1);
    cr_expect_eq(p->last.error, ERR_OK);
    cr_expect_eq(h->peers[2].dials, 1);
    cr_expect_eq(h->peers[2].last.candidate_count, 1);
    cr_expect_eq(h->peers[2].last.candidates[0].port, 6184);
    cr_assert_eq(overlay_appattach(harness_turn(h, 0), p->overlay, target, 4711, 6), ERR_OK);
    harness_end_turn(h, 0);
    harness_run(h, 500);
    cr_expect_eq(p->last.reload_error, CONTENT_ERROR_NOT_FOUND);
    cr_expect_eq(h->peers[2].dials, 1);
    for (uint64_t i = 0; i < 10; i++) { /* 8 a minute, one of which is used up */
        cr_assert_eq(overlay_appattach(harness_turn(h, 0), p->overlay, target,
                                       OVERLAY_APPLICATION_SIP, 7 + i),
                     ERR_OK);
        harness_end_turn(h, 0);
        harness_run(h, 100);
    }
    cr_expect_eq(h->peers[2].dials, 8);
    cr_expect_eq(p->last.reload_error, CONTENT_ERROR_FORBIDDEN);
    harness_end(h);
    harness_free(h);
}

/* Storage through the whole stack */

static void store_one(struct harness *h, uint32_t at, struct person *who, uint64_t tag)
{
    struct overlay_store what = {.resource = resource_of(h->w, person_user(who)),
                                 .kind = WORLD_KIND_SINGLE,
                                 .signer = &who->ident,
                                 .exists = true,
                                 .value = SLICE_LITERAL("here I am"),
                                 .lifetime_s = 3600};
    cr_assert_eq(overlay_store(harness_turn(h, at), h->peers[at].overlay, &what, tag), ERR_OK);
    harness_end_turn(h, at);
    harness_run(h, 1000);
}

Test(overlay, ch6_a_value_outlives_its_owner, .timeout = 60)
{
    struct harness *h = harness_make(6, 14);
    struct person *alice = person_make(h->w, "alice", 1);
    (void)harness_grow(h, 30000);
    harness_run(h, 2000);
    store_one(h, 1, alice, 1);
    cr_assert_eq(h->peers[1].stored, 1);
    cr_assert_eq(h->peers[1].last.error, ERR_OK);
    struct overlay_resource r = resource_of(h->w, SLICE_LITERAL("alice"));
    uint32_t owner = 0;
    while (!overlay_is_responsible(h->peers[owner].overlay, &r)) {
        owner++;
    }
    uint32_t reader = owner == 2 ? 3 : 2;
    harness_kill(h, owner);
    cr_assert_eq(
        overlay_fetch(harness_turn(h, reader), h->peers[reader].overlay, &r, WORLD_KIND_SINGLE, 2),
        ERR_OK);
    harness_end_turn(h, reader);
    harness_run(h, 4000);
    cr_expect_eq(h->peers[reader].fetched, 1);
    cr_expect_eq(h->peers[reader].values, 1, "error %s", err_text(h->peers[reader].last.error));
    harness_end(h);
    free(alice);
    harness_free(h);
}

/* Hostile bytes */

static unsigned spoil_one(struct harness *h, struct harness_mail *m)
{
    struct loss *l = h->tap_context;
    if (++l->number % l->every == 0) {
        uint8_t *bytes = msgbuf_data(m->buf);
        bytes[rng_below(&h->w->rng, m->buf->len)] ^= (uint8_t)(1u << rng_below(&h->w->rng, 8));
    }
    return 1;
}

Test(overlay, sg1_a_changed_bit_is_noticed_and_survived, .timeout = 60)
{
    struct harness *h = harness_make(6, 15);
    struct loss loss = {.every = 7};
    h->tap = spoil_one;
    h->tap_context = &loss;
    (void)harness_grow(h, 120000);
    cr_expect_eq(harness_wrong(h), 0, "%u wrong", harness_wrong(h));
    cr_expect_gt(harness_metric(h, METRIC_dht_drop_signature), 0);
    harness_end(h);
    harness_free(h);
}

Test(overlay, rx_garbage_is_dropped_and_counted_once, .timeout = 60)
{
    struct harness *h = harness_make(2, 16);
    (void)harness_grow(h, 30000);
    harness_run(h, 20000);
    struct harness_peer *p = &h->peers[0];
    struct rng rng;
    rng_init(&rng, 99);
    uint64_t before = harness_metric(h, METRIC_dht_received);
    uint64_t dropped = harness_metric(h, METRIC_dht_drop_malformed) +
                       harness_metric(h, METRIC_dht_drop_version) +
                       harness_metric(h, METRIC_dht_drop_overlay);
    for (uint32_t i = 0; i < 2000; i++) {
        uint8_t bytes[512];
        size_t len = rng_below(&rng, sizeof(bytes));
        rng_fill(&rng, bytes, len);
        if (i % 2 == 0 && len >= 4) { /* begins well */
            memcpy(bytes, "\xd2\x45\x4c\x4f", 4);
        }
        link_on_mail(harness_turn(h, 0), p->links, 1, bytes, len);
        harness_end_turn(h, 0);
    }
    uint64_t received = harness_metric(h, METRIC_dht_received) - before;
    dropped = harness_metric(h, METRIC_dht_drop_malformed) +
              harness_metric(h, METRIC_dht_drop_version) +
              harness_metric(h, METRIC_dht_drop_overlay) - dropped;
    cr_expect_eq(received, dropped);
    cr_expect_gt(received, 1000);
    harness_end(h);
    harness_free(h);
}

Test(overlay, cu1_another_configuration_sequence_is_refused, .timeout = 60)
{
    struct harness *h = harness_make(2, 17);
    h->peers[1].settings.config.sequence = 8;
    (void)harness_grow(h, 4000);
    cr_expect_not(overlay_is_ready(h->peers[1].overlay));
    cr_expect_gt(harness_metric(h, METRIC_errors_sent), 0);
    cr_expect_eq(h->peers[0].ready, 1);
    harness_end(h);
    harness_free(h);
}

Test(overlay, id3_an_expired_certificate_proves_nothing, .timeout = 60)
{
    struct harness *h = harness_make(2, 18);
    (void)harness_grow(h, 30000);
    harness_run(h, 20000);
    h->w->turn.wall_ms += 2ull * 86400000; /* behind not_after of everybody */
    cr_assert_eq(overlay_ping_node(harness_turn(h, 0), h->peers[0].overlay,
                                   &h->peers[1].person->ident.node_id, 1),
                 ERR_OK);
    harness_end_turn(h, 0);
    harness_run(h, 16000);
    cr_expect_eq(h->peers[0].last.error, ERR_TIMEOUT);
    cr_expect_gt(harness_metric(h, METRIC_dht_drop_certificate), 0);
    harness_free(h);
}

/* A turn judges so many strangers; the others wait for the next, and nobody is lost. */
Test(overlay, strangers_wait_for_the_next_turn, .timeout = 60)
{
    enum { STRANGERS = 40 };
    static struct person *strangers[STRANGERS];
    struct harness *h = harness_make(2, 5);
    harness_start(h, 0);
    harness_start(h, 1);
    harness_run(h, 20000);
    for (uint32_t i = 0; i < STRANGERS; i++) {
        struct transact_request ping = {
            .target = {.type = TRANSACT_NODE, .node = h->peers[0].person->ident.node_id},
            .link = link_find(h->peers[1].links, &h->peers[0].person->ident.node_id),
            .code = CONTENT_PING_REQ,
            .body = SLICE_LITERAL("\0\0"),
            .transmissions = 1};
        strangers[i] = person_make(h->w, "stranger", 5000 + i);
        ping.signer = &strangers[i]->ident;
        cr_assert_eq(
            transact_request(harness_turn(h, 1), h->peers[1].overlay->transact, &ping, NULL),
            ERR_OK);
        harness_end_turn(h, 1);
    }
    cr_assert_eq(h->queued, STRANGERS);
    struct overlay *o = h->peers[0].overlay;
    struct turn *t = harness_turn(h, 0);
    static uint8_t bytes[8192];
    for (; h->queued > 0; h->queued--, h->head = (h->head + 1) % HARNESS_MAILS) {
        struct harness_mail *m = &h->mails[h->head];
        memcpy(bytes, msgbuf_data(m->buf), m->buf->len);
        link_on_mail(t, h->peers[0].links, 1, bytes, m->buf->len);
        harness_pump(h, 0);
        msgbuf_release(&h->w->buffers, m->buf);
    }
    uint32_t cap = h->limits.judged_per_turn;
    h->limits.verify_us_idle = UINT32_MAX; /* they are counted here, not weighed */
    uint64_t before = harness_metric(h, METRIC_certificates_judged);
    uint64_t paused = harness_metric(h, METRIC_dht_verify_paused);
    cr_assert_eq(inbox_count(&o->inbox), STRANGERS);
    cr_expect(overlay_work(t, o), "some wait");
    cr_expect_eq(harness_metric(h, METRIC_certificates_judged) - before, cap);
    cr_expect_eq(inbox_count(&o->inbox), STRANGERS - cap);
    cr_expect_eq(harness_metric(h, METRIC_dht_verify_paused) - paused, 1);
    harness_end_turn(h, 0);
    cr_expect_eq(harness_metric(h, METRIC_certificates_judged) - before, STRANGERS);
    cr_expect_eq(h->queued, STRANGERS, "each is answered");
    harness_run(h, 1000);
    h->has_killed = true; /* they never made one ring */
    harness_free(h);
    for (uint32_t i = 0; i < STRANGERS; i++) {
        free(strangers[i]);
    }
}
