/* SPDX-License-Identifier: Apache-2.0 */
/* dht/config_update: who has an older document is told so and given ours; within limits
 * (RFC 6940 6.3.2.1, 6.5.4; catalogue CU-1..CU-4, CU-8, A-10). */
#include "tests/unit/dht/harness.h"

#include "codec/content.h"
#include "codec/fwd.h"
#include "codec/msgs.h"
#include "dht/overlay_impl.h"

enum { CODES_CAP = 512 };

/* Codes and sequences of the messages from one peer to another. */
struct tapped {
    uint16_t codes[CODES_CAP];
    uint16_t sequences[CODES_CAP];
    uint16_t errors[CODES_CAP];
    uint16_t from[CODES_CAP];
    uint32_t count;
};

static unsigned listen(struct harness *h, struct harness_mail *m)
{
    struct tapped *tapped = h->tap_context;
    struct fwd header;
    struct content content;
    struct slice rest;
    struct content_error error = {0};
    const struct rl_params params = {.node_id_length = 16};
    cr_assert_eq(fwd_decode_header(msgbuf_slice(m->buf), &params, &header), ERR_OK);
    cr_assert_eq(content_decode(header.payload, &content, &rest), ERR_OK);
    cr_assert_lt(tapped->count, CODES_CAP);
    if (content.code == CONTENT_ERROR) {
        cr_assert_eq(content_error_decode(content.body, &error), ERR_OK);
    }
    tapped->codes[tapped->count] = content.code;
    tapped->errors[tapped->count] = error.code;
    tapped->sequences[tapped->count] = header.configuration_sequence;
    tapped->from[tapped->count++] = m->from;
    return 1;
}

static uint32_t count(const struct tapped *tapped, uint16_t from, uint16_t code)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < tapped->count; i++) {
        n += tapped->from[i] == from && tapped->codes[i] == code ? 1 : 0;
    }
    return n;
}

static struct tapped tapped;

/* Two peers, the first alone in its ring, whose documents have these sequence numbers. */
static struct harness *make(uint16_t first, uint16_t second, struct slice document)
{
    struct harness *h = harness_make(2, 5);
    memset(&tapped, 0, sizeof(tapped));
    h->tap = listen;
    h->tap_context = &tapped;
    h->peers[0].settings.config.sequence = first;
    h->peers[1].settings.config.sequence = second;
    h->peers[first > second ? 0 : 1].settings.document = document; /* the newer one's */
    harness_start(h, 0);
    harness_start(h, 1);
    return h;
}

/* A request from the second peer, which is not in the ring and so makes none by itself. */
static void ask(struct harness *h)
{
    struct transact_request request = {
        .target = {.type = TRANSACT_NODE, .node = h->peers[0].person->ident.node_id},
        .link = link_find(h->peers[1].links, &h->peers[0].person->ident.node_id),
        .code = CONTENT_PING_REQ,
        .body = SLICE_LITERAL("\0\0"),
        .transmissions = 1};
    cr_assert_neq(request.link, 0);
    cr_assert_eq(
        transact_request(harness_turn(h, 1), h->peers[1].overlay->transact, &request, NULL),
        ERR_OK);
    harness_end_turn(h, 1);
}

/* Lets pass what the first peer says to its new neighbour by itself. */
static void pass(struct harness *h)
{
    harness_run(h, 20000);
    memset(&tapped, 0, sizeof(tapped));
    h->peers[1].documents = 0;
}

static void free_all(struct harness *h)
{
    h->has_killed = true; /* they never made one ring; nobody leaves in order */
    harness_free(h);
}

Test(config_update, who_has_an_older_document_gets_ours)
{
    static const char text[] = "<overlay>as it was signed</overlay>";
    struct harness *h = make(7, 6, slice_text(text));
    pass(h);
    ask(h);
    harness_run(h, 1000);
    cr_assert_eq(tapped.count, 4);
    cr_expect_eq(tapped.codes[0], CONTENT_PING_REQ);
    cr_expect_eq(tapped.errors[1], CONTENT_ERROR_CONFIG_TOO_OLD);
    cr_expect_eq(tapped.codes[2], CONTENT_CONFIG_UPDATE_REQ, "directly behind the error");
    cr_expect_eq(tapped.sequences[2], FWD_SEQUENCE_UPDATE, "or it would be refused (CU-3)");
    cr_expect_eq(tapped.codes[3], CONTENT_CONFIG_UPDATE_ANS, "it was judged good");
    cr_expect_eq(h->peers[1].documents, 1);
    cr_expect_eq(h->peers[1].document_len, sizeof(text) - 1);
    cr_expect_eq(memcmp(h->peers[1].document, text, sizeof(text) - 1), 0);
    free_all(h);
}

Test(config_update, once_in_a_while)
{
    struct harness *h = make(7, 6, SLICE_LITERAL("document"));
    pass(h);
    uint64_t before = harness_metric(h, METRIC_config_updates_held_back);
    for (uint32_t s = 0; s < 60; s++) {
        ask(h);
        harness_run(h, 1000);
    }
    uint32_t sent = count(&tapped, 0, CONTENT_CONFIG_UPDATE_REQ);
    uint32_t errors = count(&tapped, 0, CONTENT_ERROR);
    cr_expect_eq(errors, 60);
    cr_expect(sent >= 3 && sent <= 60 / 15, "%u", sent);
    cr_expect_geq(harness_metric(h, METRIC_config_updates_held_back) - before, errors - sent);
    free_all(h);
}

/* CU-2, the other way round: we are told that somebody's document is older than ours. */
Test(config_update, who_says_that_ours_is_newer_gets_it)
{
    struct harness *h = make(6, 7, SLICE_LITERAL("newer"));
    h->peers[0].judgement = CONTENT_ERROR_CONFIG_TOO_OLD; /* as node/ might say */
    harness_run(h, 4000);
    cr_expect_geq(count(&tapped, 1, CONTENT_CONFIG_UPDATE_REQ), 1);
    cr_expect_geq(h->peers[0].documents, 1);
    cr_expect_eq(count(&tapped, 0, CONTENT_CONFIG_UPDATE_ANS), 0);
    cr_expect_eq(h->peers[1].documents, 0);
    free_all(h);
}

/* A-10; and a document that is just not too large leaves no room for what is around it: then
 * nothing is built in vain, which a signature would be the price of. */
Test(config_update, a_document_that_is_too_large_stays)
{
    static uint8_t large[5000];
    memset(large, 'x', sizeof(large));
    struct harness *h = make(7, 6, slice_of(large, 3000));
    size_t around = sizeof(large) - 3000 - h->peers[0].overlay->config_update.room +
                    2 * FWD_NODE_BYTES_MAX; /* the shortest lists: of destinations, of a Via */
    cr_assert(around > 300 && around < 2000, "%zu", around);
    free_all(h);
    const struct {
        size_t len;
        uint32_t sent;
    } cases[] = {{sizeof(large), 0},
                 {sizeof(large) - 1, 0},
                 {sizeof(large) - around + 1, 0},
                 {sizeof(large) - around, 1},
                 {0, 0}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        h = make(7, 6, slice_of(large, cases[i].len));
        pass(h);
        uint64_t signatures = harness_metric(h, METRIC_signatures_made);
        ask(h);
        harness_run(h, 1000);
        cr_expect_eq(tapped.errors[1], CONTENT_ERROR_CONFIG_TOO_OLD);
        cr_expect_eq(count(&tapped, 0, CONTENT_CONFIG_UPDATE_REQ), cases[i].sent, "%zu",
                     cases[i].len);
        cr_expect_eq(harness_metric(h, METRIC_signatures_made) - signatures, 2 + 2 * cases[i].sent,
                     "request and error, Update and its answer");
        free_all(h);
    }
}

static void be_told(struct harness *h, uint32_t number, bool is_back)
{
    struct overlay *o = h->peers[0].overlay;
    struct message m = {.signer = {{(uint8_t)(number >> 8), (uint8_t)number, 1}},
                        .previous_hop = {{7, 7, 7}}};
    if (is_back) {
        config_update_send_back(harness_turn(h, 0), &o->config_update, &m);
    } else {
        config_update_send(harness_turn(h, 0), &o->config_update, &m.signer);
    }
}

/* A signed request that is sent again and again under an old sequence neither makes us send much
 * nor keeps our document from those who ask for it. */
Test(config_update, replayed_requests_get_little)
{
    struct harness *h = harness_make(1, 5);
    h->peers[0].settings.document = SLICE_LITERAL("document");
    harness_start(h, 0);
    for (uint32_t i = 0; i < 1000; i++) {
        be_told(h, i, true);
    }
    cr_expect_eq(harness_metric(h, METRIC_config_updates_sent), CONFIG_UPDATE_BACK_AT_ONCE);
    be_told(h, 0, false);
    be_told(h, 0, false);
    be_told(h, 2000, false);
    cr_expect_eq(harness_metric(h, METRIC_config_updates_sent), CONFIG_UPDATE_BACK_AT_ONCE + 2);
    harness_end(h);
    harness_free(h);
}

/* What could not be sent was not said. */
Test(config_update, what_failed_is_tried_again)
{
    struct harness *h = harness_make(1, 5);
    h->limits.requests = 4; /* a quarter is not for us */
    h->peers[0].settings.document = SLICE_LITERAL("document");
    harness_start(h, 0);
    for (uint32_t i = 0; i < 50; i++) {
        be_told(h, i, false);
    }
    cr_expect_eq(harness_metric(h, METRIC_config_updates_sent), 3);
    harness_run(h, 7000); /* they are given up after two transmissions */
    cr_expect_eq(transact_open(h->peers[0].overlay->transact), 0);
    for (uint32_t i = 47; i < 50; i++) {
        be_told(h, i, false);
    }
    cr_expect_eq(harness_metric(h, METRIC_config_updates_sent), 6);
    harness_end(h);
    harness_free(h);
}

/* Nobody above who could judge it: refused at once, and the turn goes on. */
Test(config_update, a_document_that_nobody_takes_is_refused)
{
    struct harness *h = harness_make(2, 5);
    memset(&tapped, 0, sizeof(tapped));
    h->tap = listen;
    h->tap_context = &tapped;
    h->peers[1].settings.takes_documents = false;
    h->peers[0].settings.config.sequence = 7;
    h->peers[1].settings.config.sequence = 6;
    h->peers[0].settings.document = SLICE_LITERAL("document");
    harness_start(h, 0);
    harness_start(h, 1);
    pass(h);
    ask(h);
    harness_run(h, 1000);
    cr_assert_eq(tapped.count, 4);
    cr_expect_eq(tapped.codes[2], CONTENT_CONFIG_UPDATE_REQ);
    cr_expect_eq(tapped.errors[3], CONTENT_ERROR_FORBIDDEN);
    cr_expect_eq(h->peers[1].documents, 0);
    free_all(h);
}

/* CU-8: many nodes at once. */
Test(config_update, not_too_many_in_all)
{
    struct harness *h = harness_make(1, 5);
    h->peers[0].settings.document = SLICE_LITERAL("document");
    harness_start(h, 0);
    struct overlay *o = h->peers[0].overlay;
    struct turn *t = harness_turn(h, 0);
    for (uint32_t i = 0; i < 1000; i++) {
        struct node_id id = {{(uint8_t)(i >> 8), (uint8_t)i, 1}};
        config_update_send(t, &o->config_update, &id);
    }
    uint64_t sent = harness_metric(h, METRIC_config_updates_sent);
    cr_expect(sent >= 1 && sent <= 32, "%llu", (unsigned long long)sent);
    cr_expect_eq(harness_metric(h, METRIC_config_updates_held_back), 1000 - sent);
    cr_expect_leq(transact_open(o->transact), 32);
    harness_end(h);
    harness_free(h);
}

/* ---- in ---- */

/* A ConfigUpdate of the second peer with this document. */
static void offer(struct harness *h, struct slice document)
{
    uint8_t body[1024];
    const struct rl_params params = {.node_id_length = 16};
    struct msgs_config_update update = {.type = MSGS_CONFIG, .config_data = document};
    struct wr w = wr_init(body, sizeof(body));
    msgs_config_update_wr(&w, &params, &update);
    struct transact_request request = {
        .target = {.type = TRANSACT_NODE, .node = h->peers[0].person->ident.node_id},
        .link = link_find(h->peers[1].links, &h->peers[0].person->ident.node_id),
        .code = CONTENT_CONFIG_UPDATE_REQ,
        .body = wr_slice(&w),
        .transmissions = 1};
    cr_assert_eq(
        transact_request(harness_turn(h, 1), h->peers[1].overlay->transact, &request, NULL),
        ERR_OK);
    harness_end_turn(h, 1);
    harness_run(h, 100);
}

static uint16_t last_error(uint16_t from)
{
    for (uint32_t i = tapped.count; i > 0; i--) {
        if (tapped.from[i - 1] == from) {
            return tapped.errors[i - 1];
        }
    }
    return 0;
}

/* CU-4, CU-8: one's own again costs nothing; of one node a document in a while is judged. */
Test(config_update, what_comes_is_paced)
{
    struct harness *h = make(7, 6, SLICE_LITERAL("ours"));
    pass(h);
    h->peers[0].documents = 0;
    h->peers[0].judgement = CONTENT_ERROR_FORBIDDEN;
    for (uint32_t i = 0; i < 20; i++) {
        offer(h, SLICE_LITERAL("ours"));
        cr_expect_eq(last_error(0), CONTENT_ERROR_CONFIG_TOO_OLD, "it is not newer");
    }
    cr_expect_eq(h->peers[0].documents, 0, "and nobody needs to judge it");
    cr_expect_eq(harness_metric(h, METRIC_config_updates_known), 20);
    for (uint32_t i = 0; i < 30; i++) {
        offer(h, SLICE_LITERAL("another"));
    }
    cr_expect_eq(last_error(0), CONTENT_ERROR_IN_PROGRESS);
    cr_expect_eq(h->peers[0].documents, 1, "%u", h->peers[0].documents);
    cr_expect_eq(harness_metric(h, METRIC_config_updates_paced), 29);
    cr_expect_eq(harness_metric(h, METRIC_config_updates_refused), 1);
    harness_run(h, CONFIG_UPDATE_JUDGE_PERIOD_US / 1000);
    offer(h, SLICE_LITERAL("another"));
    cr_expect_eq(h->peers[0].documents, 2, "later it may come again");
    cr_expect_eq(last_error(0), CONTENT_ERROR_FORBIDDEN);
    free_all(h);
}

/* Many nodes, each with a document: a bucket for all of them, and one at a time. */
Test(config_update, judgements_are_few)
{
    struct harness *h = harness_make(1, 5);
    uint8_t body[64];
    const struct rl_params params = {.node_id_length = 16};
    struct msgs_config_update update = {.type = MSGS_CONFIG, .config_data = SLICE_LITERAL("x")};
    struct wr w = wr_init(body, sizeof(body));
    msgs_config_update_wr(&w, &params, &update);
    harness_start(h, 0);
    struct overlay *o = h->peers[0].overlay;
    struct turn *t = harness_turn(h, 0);
    uint32_t judged = 0;
    for (uint32_t i = 0; i < 100; i++) {
        struct overlay_event event;
        struct message m = {.code = CONTENT_CONFIG_UPDATE_REQ,
                            .to = h->peers[0].settings.self,
                            .is_own = true,
                            .signer = {{(uint8_t)(i + 1), 1}},
                            .previous_hop = h->peers[0].settings.self->node_id,
                            .body = wr_slice(&w)};
        if (config_update_on_request(t, &o->config_update, &m, &event)) {
            judged++;
            cr_expect_eq(config_update_on_request(t, &o->config_update, &m, &event), false);
            overlay_config_judged(t, o, event.tag, CONTENT_ERROR_FORBIDDEN);
        }
    }
    cr_expect_eq(judged, CONFIG_UPDATE_JUDGE_AT_ONCE);
    harness_end(h);
    harness_free(h);
}

/* ---- another one is ours ---- */

static struct overlay_change change_of(const struct harness *h, uint32_t i, uint16_t sequence,
                                       struct slice document)
{
    struct overlay_change c = {.config = h->peers[i].settings.config,
                               .trust = h->peers[i].settings.trust,
                               .document = document};
    c.config.sequence = sequence;
    return c;
}

static void take(struct harness *h, uint32_t i, const struct overlay_change *c)
{
    overlay_set_config(harness_turn(h, i), h->peers[i].overlay, c);
    harness_end_turn(h, i);
}

/* Siblings in one process get it from above, all at once; who is further away: tests/scenario. */
Test(config_update, siblings_are_not_told)
{
    struct harness *h = harness_make(3, 5);
    memset(&tapped, 0, sizeof(tapped));
    for (uint32_t i = 0; i < 3; i++) {
        harness_start(h, i);
        harness_run(h, 10000);
    }
    h->tap = listen;
    h->tap_context = &tapped;
    for (uint32_t i = 0; i < 3; i++) {
        struct overlay_change c = change_of(h, i, 8, SLICE_LITERAL("document 8"));
        take(h, i, &c);
    }
    harness_run(h, 30000);
    cr_expect_gt(tapped.count, 0);
    for (uint32_t i = 0; i < 3; i++) {
        struct overlay_status status;
        overlay_status(h->peers[i].overlay, &status);
        cr_expect_eq(status.configuration_sequence, 8);
        cr_expect_eq(count(&tapped, (uint16_t)i, CONTENT_CONFIG_UPDATE_REQ), 0);
        cr_expect_eq(h->peers[i].overlay->config_update.spread_left, 0, "nobody is left");
    }
    for (uint32_t i = 0; i < tapped.count; i++) {
        cr_expect_eq(tapped.sequences[i], 8);
        cr_expect_eq(tapped.errors[i], 0);
    }
    free_all(h);
}

/* What takes effect at once, and what waits for a restart. */
Test(config_update, takes_effect)
{
    struct harness *h = harness_make(2, 5);
    harness_start(h, 0);
    harness_start(h, 1);
    harness_run(h, 10000);
    struct overlay *o = h->peers[0].overlay;
    uint32_t before = o->s.config.max_message_bytes;
    struct overlay_change c = change_of(h, 0, 8, SLICE_LITERAL("document 8"));
    c.config.initial_ttl = 9;
    c.config.chord_update_interval_s = 77;
    c.config.replica_min_hosts = 5;
    c.config.max_message_bytes = before + 1000;
    c.config.links = OVERLAY_LINKS_DATAGRAM;
    struct address bootstrap = {.family = 4, .port = 1234, .ip = {192, 0, 2, 7}};
    c.bootstrap = &bootstrap;
    c.bootstrap_count = 1;
    take(h, 0, &c);
    cr_expect_eq(o->s.config.sequence, 8);
    cr_expect_eq(o->s.config.initial_ttl, 9);
    cr_expect_eq(o->ttl_before, 30, "who is older may send so many (A-18)");
    cr_expect_eq(o->s.config.chord_update_interval_s, 77);
    cr_expect_eq(o->topo.min_hosts, 5);
    cr_expect_eq(o->s.config.max_message_bytes, before, "memory was taken for so much");
    cr_expect_eq(o->s.config.links, h->peers[0].settings.config.links, "sockets are not opened");
    cr_expect_eq(o->s.bootstrap_count, 1);
    cr_expect_eq(o->s.bootstrap[0].port, 1234);
    cr_expect_gt(sign_count(o->sign), 0);
    c = change_of(h, 0, 9, SLICE_LITERAL("document 9"));
    c.config.max_message_bytes = before - 1000;
    c.trust.bad_nodes = h->peers[1].person->ident.node_id.bytes;
    c.trust.bad_node_count = 1;
    c.is_trust_other = true;
    take(h, 0, &c);
    cr_expect_eq(o->s.config.max_message_bytes, before - 1000);
    cr_expect_eq(sign_count(o->sign), 0, "judged anew");
    free_all(h);
}
