/* SPDX-License-Identifier: Apache-2.0 */
/* test_sign_flood.c - the verification queue in virtual time: peer 0 is given a processor, on which
 * a message costs 1 us and signatures what dht/sign says, and a neighbor who sends it signatures
 * that are wrong, three times as many as it can look at.  What passes through does not wait, and
 * the ring is kept (design.md 4). */
#include "tests/unit/dht/harness.h"

#include "codec/content.h"
#include "codec/msgs.h"
#include "dht/overlay_impl.h"

enum {
    ARRIVALS = 4096,
    MESSAGE_BYTES = 2048,
    SAMPLES = 8192,
    FORGED_EVERY_US = 20,
    TRANSIT_EVERY_US = 500,
    PING_EVERY_US = 50000,
    MESSAGE_US = 1,
};

struct arrival {
    uint64_t at_us;
    uint16_t from;
    uint16_t len;
    bool is_transit;
    uint8_t bytes[MESSAGE_BYTES];
};

/* What is on its way to peer 0, in order of time. */
struct stage {
    struct harness *h;
    struct arrival arrivals[ARRIVALS];
    uint32_t head, count;
    struct arrival forged[2]; /* one for each lane */
    struct arrival transit;
    bool is_flooding;
    bool has_transit;
    bool is_short; /* so the engine says of each turn */
    uint64_t next_forged_us, next_transit_us, next_ping_us;
    uint32_t sent_pings;
    uint32_t waits_us[SAMPLES]; /* of messages passed on: from arrival to the end of the turn */
    uint32_t waits;
    uint32_t longest_queue;
    uint64_t longest_signatures_us; /* of one turn */
    uint64_t signatures_us;         /* of all */
};

static void put(struct stage *s, const struct arrival *a, uint64_t at_us)
{
    cr_assert_lt(s->count, ARRIVALS);
    uint32_t place = s->count++; /* mails of peers take longer than the flood */
    for (; place > 0 && s->arrivals[(s->head + place - 1) % ARRIVALS].at_us > at_us; place--) {
        s->arrivals[(s->head + place) % ARRIVALS] = s->arrivals[(s->head + place - 1) % ARRIVALS];
    }
    struct arrival *to = &s->arrivals[(s->head + place) % ARRIVALS];
    *to = *a;
    to->at_us = at_us;
}

static unsigned take_mail(struct harness *h, struct harness_mail *m)
{
    struct stage *s = h->tap_context;
    struct arrival a = {.from = m->from, .len = (uint16_t)m->buf->len};
    if (m->to != 0) {
        return 1;
    }
    cr_assert_leq(m->buf->len, MESSAGE_BYTES);
    memcpy(a.bytes, msgbuf_data(m->buf), m->buf->len);
    put(s, &a, m->at_us);
    return 0;
}

/* A request from `from` to or through peer 0, as bytes. */
static void record(struct stage *s, uint16_t from, struct transact_request *request,
                   struct arrival *out)
{
    struct harness *h = s->h;
    uint32_t before = s->count;
    request->transmissions = 1;
    request->link = link_find(h->peers[from].links, &h->peers[0].person->ident.node_id);
    cr_assert_eq(
        transact_request(harness_turn(h, from), h->peers[from].overlay->transact, request, NULL),
        ERR_OK);
    harness_end_turn(h, from);
    cr_assert_eq(s->count, before + 1);
    s->count--;
    *out = s->arrivals[(s->head + s->count) % ARRIVALS];
}

static struct stage *stage_make(struct harness *h)
{
    static struct stage stage;
    struct stage *s = &stage;
    memset(s, 0, sizeof(*s));
    s->h = h;
    h->tap = take_mail;
    h->tap_context = s;
    struct transact_request ping = {
        .target = {.type = TRANSACT_NODE, .node = h->peers[0].person->ident.node_id},
        .code = CONTENT_PING_REQ,
        .body = SLICE_LITERAL("\0\0")};
    record(s, 1, &ping, &s->forged[0]);
    ping.code = CONTENT_LEAVE_REQ;
    record(s, 1, &ping, &s->forged[1]);
    for (size_t i = 0; i < ARRAY_COUNT(s->forged); i++) {
        s->forged[i].bytes[s->forged[i].len - 1] ^= 1; /* the signature stands at the end */
    }
    struct transact_request through = {
        .target = {.type = TRANSACT_NODE, .node = h->peers[3].person->ident.node_id},
        .through = h->peers[0].person->ident.node_id,
        .code = CONTENT_PING_REQ,
        .body = SLICE_LITERAL("\0\0")};
    record(s, 2, &through, &s->transit);
    s->transit.is_transit = true;
    return s;
}

/* What others do to peer 0 in the time until `now`. */
static void others(struct stage *s, uint64_t now)
{
    struct harness *h = s->h;
    for (; s->is_flooding && s->next_forged_us <= now; s->next_forged_us += FORGED_EVERY_US) {
        struct arrival *a = &s->forged[s->next_forged_us / FORGED_EVERY_US % 2];
        if (s->count < ARRIVALS / 2) {
            put(s, a, s->next_forged_us);
        }
    }
    for (; s->has_transit && s->next_transit_us <= now; s->next_transit_us += TRANSIT_EVERY_US) {
        put(s, &s->transit, s->next_transit_us);
    }
    for (; s->next_ping_us <= now; s->next_ping_us += PING_EVERY_US) {
        struct node_id *to = &h->peers[0].person->ident.node_id;
        cr_assert_eq(overlay_ping_node(harness_turn(h, 4), h->peers[4].overlay, to, 1), ERR_OK);
        harness_end_turn(h, 4);
        s->sent_pings++;
    }
    while (h->queued > 0 && h->mails[h->head].at_us <= now) {
        harness_deliver(h);
    }
    for (uint32_t i = 1; i < h->count; i++) {
        if (h->peers[i].is_alive && wheel_next_us(&h->peers[i].wheel) <= now) {
            harness_timers(h, i);
        }
    }
}

/* A turn of peer 0: true when it had something to do. */
static bool turn(struct stage *s)
{
    struct harness *h = s->h;
    struct turn *t = harness_turn(h, 0);
    t->is_short = s->is_short;
    uint64_t begin_us = t->now_us;
    uint64_t arrived_us[ARRIVALS];
    uint32_t passing = 0;
    uint32_t taken = 0;
    struct wheel_timer *timer;
    for (; s->count > 0 && s->arrivals[s->head].at_us <= begin_us; s->count--, taken++) {
        struct arrival *a = &s->arrivals[s->head];
        s->head = (s->head + 1) % ARRIVALS;
        if (a->is_transit) {
            arrived_us[passing++] = a->at_us;
        }
        link_on_mail(t, h->peers[0].links, a->from, a->bytes, a->len);
        harness_pump(h, 0);
    }
    while ((timer = wheel_take(t->wheel, t->now_us)) != NULL) {
        overlay_on_timer(t, h->peers[0].overlay, timer);
        harness_pump(h, 0);
    }
    bool has_work = overlay_work(t, h->peers[0].overlay);
    harness_pump(h, 0);
    link_flush(t, h->peers[0].links);
    uint64_t end_us =
        begin_us + taken * MESSAGE_US + sign_turn_us(h->peers[0].overlay->sign) + MESSAGE_US;
    t->now_us = end_us;
    harness_carry(h, 0);
    s->longest_signatures_us =
        max_u64(s->longest_signatures_us, sign_turn_us(h->peers[0].overlay->sign));
    s->signatures_us += sign_turn_us(h->peers[0].overlay->sign);
    uint32_t waiting = inbox_count(&h->peers[0].overlay->inbox);
    s->longest_queue = waiting > s->longest_queue ? waiting : s->longest_queue;
    for (uint32_t i = 0; i < passing && s->waits < SAMPLES; i++) {
        s->waits_us[s->waits++] = (uint32_t)(end_us - arrived_us[i]);
    }
    return has_work || taken > 0;
}

static void run(struct stage *s, uint64_t us)
{
    struct harness *h = s->h;
    uint64_t end_us = h->w->turn.now_us + us;
    s->next_forged_us = s->next_transit_us = s->next_ping_us = h->w->turn.now_us;
    s->waits = 0;
    while (h->w->turn.now_us < end_us) {
        uint64_t now = h->w->turn.now_us;
        others(s, now);
        if (!turn(s)) {
            h->w->turn.now_us = now + 10;
        }
        h->w->turn.wall_ms += h->w->turn.now_us / 1000 - now / 1000;
    }
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t p99(struct stage *s)
{
    cr_assert_gt(s->waits, 100);
    qsort(s->waits_us, s->waits, sizeof(s->waits_us[0]), by_size);
    return s->waits_us[s->waits * 99 / 100];
}

Test(sign_flood, forwarding_and_the_ring_go_on, .timeout = 120)
{
    struct harness *h = harness_make(5, 21);
    (void)harness_grow(h, 30000);
    harness_run(h, 20000);
    struct stage *s = stage_make(h);
    uint64_t forged = harness_metric(h, METRIC_dht_drop_signature);
    uint64_t full = harness_metric(h, METRIC_dht_drop_queue_full);
    s->is_flooding = s->has_transit = true;
    run(s, 500000);
    uint32_t worst = p99(s);
    /* the signature that it comes upon, and its own turn */
    cr_expect_leq(worst, h->limits.verify_us_per_turn + 10, "p99 %u us", worst);
    cr_expect_gt(harness_metric(h, METRIC_dht_drop_signature) - forged, 5000, "it is busy");
    cr_expect_gt(harness_metric(h, METRIC_dht_drop_queue_full) - full, 5000, "and full");
    cr_expect_geq(s->longest_queue, h->limits.verify_queue - h->limits.verify_queue / 8);
    run(s, 20000);
    cr_expect_geq(h->peers[4].pongs + 1, s->sent_pings, "%u of %u", h->peers[4].pongs,
                  s->sent_pings);
    cr_expect_eq(h->peers[4].failed, 0);
    /* The ring heals beneath it. */
    harness_kill(h, 2);
    s->has_transit = false;
    run(s, 2000000);
    cr_expect_eq(harness_wrong(h), 0, "%u wrong", harness_wrong(h));
    cr_expect_eq(harness_metric(h, METRIC_dht_drop_queue_old), 0, "nobody waits for 3 s");
    /* And when it is over, what was left is worked off. */
    s->is_flooding = false;
    run(s, 200000);
    cr_expect_eq(inbox_count(&h->peers[0].overlay->inbox), 0);
    cr_expect_eq(h->peers[4].failed, 0);
    harness_end(h);
    harness_free(h);
}

/* Requests that are answered cost two signatures, for each of which there is a turn: what passes
 * through waits for one at most. */
Test(sign_flood, an_answer_is_signed_in_a_turn_of_its_own, .timeout = 120)
{
    struct harness *h = harness_make(5, 21);
    (void)harness_grow(h, 30000);
    harness_run(h, 20000);
    struct stage *s = stage_make(h);
    s->forged[0].bytes[s->forged[0].len - 1] ^= 1; /* the Ping, right again */
    s->forged[1] = s->forged[0];
    s->is_flooding = s->has_transit = true;
    run(s, 10000); /* from then on messages pass through */
    uint64_t answers = harness_metric(h, METRIC_answers_sent);
    uint64_t checked = harness_metric(h, METRIC_signatures_checked);
    uint64_t made = harness_metric(h, METRIC_signatures_made);
    s->longest_signatures_us = 0;
    run(s, 500000);
    uint32_t worst = p99(s);
    cr_expect_leq(worst, h->limits.verify_us_per_turn + 10, "p99 %u us", worst);
    cr_expect_leq(s->longest_signatures_us, h->limits.verify_us_per_turn);
    answers = harness_metric(h, METRIC_answers_sent) - answers;
    cr_expect_gt(answers, 4000, "%lu of about 5,000 that there is time for",
                 (unsigned long)answers);
    /* nothing is checked again because it had to wait; others ping too */
    cr_expect_leq(harness_metric(h, METRIC_signatures_checked) - checked, answers + 40, "%lu %lu",
                  (unsigned long)(harness_metric(h, METRIC_signatures_checked) - checked),
                  (unsigned long)answers);
    cr_expect_leq(harness_metric(h, METRIC_signatures_made) - made, answers + 40);
    /* More may be there than the turns have taken: a sixteenth of the time is for signatures. */
    s->is_short = true;
    cr_expect(h->w->turn.wants_short);
    s->signatures_us = 0;
    run(s, 500000);
    cr_expect_lt(s->signatures_us, 500000 / 14, "%lu us", (unsigned long)s->signatures_us);
    cr_expect_gt(s->signatures_us, 500000 / 20, "%lu us", (unsigned long)s->signatures_us);
    /* Nothing passes through: both in one turn, whatever there may be. */
    s->has_transit = false;
    run(s, 20000);
    s->longest_signatures_us = 0;
    run(s, 20000);
    cr_expect_gt(s->longest_signatures_us, 1000);
    cr_expect_not(h->w->turn.wants_short);
    s->is_short = false;
    s->is_flooding = false;
    run(s, 200000);
    cr_expect_eq(inbox_count(&h->peers[0].overlay->inbox), 0);
    harness_end(h);
    harness_free(h);
}

/* A Store of eight values, about 0.5 ms of signatures, while a turn allows 0.1. */

static void store_many(struct harness *h, uint32_t from, struct person *who,
                       const struct overlay_resource *at)
{
    static uint8_t values[8192];
    static uint8_t body[8192];
    static const char *const keys[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    struct wr w = wr_init(values, sizeof(values));
    size_t mark = stored_block_begin(&w, WORLD_KIND_DICTIONARY, 0);
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        uint8_t signature[CRYPTO_SIGNATURE_CAP];
        struct stored_data d = {.storage_time_ms = WORLD_NOW_MS,
                                .lifetime_s = 600,
                                .value = {.model = STORED_DICTIONARY,
                                          .exists = true,
                                          .key = slice_text(keys[i]),
                                          .bytes = SLICE_LITERAL("x")}};
        cr_assert_eq(sign_make_value(harness_turn(h, from), h->peers[from].overlay->sign,
                                     &who->ident, resource_slice(at), WORLD_KIND_DICTIONARY, &d,
                                     signature),
                     ERR_OK);
        stored_wr(&w, &d);
    }
    stored_block_end(&w, mark);
    struct msgs_store_req req = {.resource = resource_slice(at), .kind_data = wr_slice(&w)};
    struct wr b = wr_init(body, sizeof(body));
    msgs_store_req_wr(&b, &h->w->params, &req);
    cr_assert(wr_ok(&b));
    struct ring_id ring;
    cr_assert_eq(ids_ring_of_resource(resource_slice(at), &ring), ERR_OK);
    struct transact_request request = {.signer = &who->ident,
                                       .target = {.type = TRANSACT_RESOURCE, .resource = ring},
                                       .code = CONTENT_STORE_REQ,
                                       .body = wr_slice(&b)};
    cr_assert_eq(
        transact_request(harness_turn(h, from), h->peers[from].overlay->transact, &request, NULL),
        ERR_OK);
    harness_end_turn(h, from);
}

Test(sign_flood, a_long_store_is_spread_over_turns, .timeout = 60)
{
    struct harness *h = harness_make(2, 22);
    (void)harness_grow(h, 30000);
    harness_run(h, 20000);
    struct person *alice = NULL;
    struct overlay_resource at;
    for (uint32_t i = 0; alice == NULL; i++) { /* whose record peer 0 keeps */
        char user[16];
        (void)snprintf(user, sizeof(user), "alice%u", i);
        alice = person_make(h->w, user, 9000 + i);
        at = resource_of(h->w, person_user(alice));
        if (!overlay_is_responsible(h->peers[0].overlay, &at)) {
            free(alice);
            alice = NULL;
        }
    }
    h->limits.verify_us_idle = 100;
    uint64_t answered = harness_metric(h, METRIC_requests_answered);
    uint64_t repeated = harness_metric(h, METRIC_requests_repeated);
    uint64_t postponed = harness_metric(h, METRIC_dht_verify_postponed);
    uint64_t stores = harness_metric(h, METRIC_stores_done);
    uint64_t known = harness_metric(h, METRIC_values_known);
    uint64_t checked = harness_metric(h, METRIC_signatures_checked);
    store_many(h, 1, alice, &at);
    harness_run(h, 1000);
    cr_expect_eq(harness_metric(h, METRIC_requests_answered) - answered, 2, "and its copy");
    cr_expect_eq(harness_metric(h, METRIC_requests_repeated), repeated);
    cr_expect_eq(harness_metric(h, METRIC_stores_done) - stores, 2);
    cr_expect_geq(harness_metric(h, METRIC_dht_verify_postponed) - postponed, 6);
    cr_expect_gt(harness_metric(h, METRIC_values_known), known);
    /* at both: two messages (request, answer of the copy), and each value once */
    cr_expect_eq(harness_metric(h, METRIC_signatures_checked) - checked, 2 * (2 + 8));
    struct overlay_status status;
    overlay_status(h->peers[0].overlay, &status);
    cr_expect_geq(status.values_owned, 8);
    harness_end(h);
    free(alice);
    harness_free(h);
}
