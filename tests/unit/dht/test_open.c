/* SPDX-License-Identifier: Apache-2.0 */
/* test_open.c - what a peer asks itself is left open, and signed when it has to leave after all
 * (RFC 6940 6.2.1, 6.3.4). */
#include "tests/unit/dht/harness.h"

#include "codec/content.h"
#include "dht/overlay_impl.h"

enum { ASKING = 0, OTHER = 1, LATE = 2 };

static const struct rl_params params = {.node_id_length = 16};

static struct ring_id at(const struct overlay_resource *r)
{
    struct ring_id k;
    cr_assert_eq(ids_ring_of_resource(slice_of(r->bytes, sizeof(r->bytes)), &k), ERR_OK);
    return k;
}

static struct ring_id distance(const struct harness *h, const struct overlay_resource *r,
                               uint32_t peer)
{
    return ids_ring_minus(ids_ring_of_node(&h->peers[peer].person->ident.node_id), at(r));
}

/* A resource that is ASKING's until LATE is there, then LATE's. */
static struct overlay_resource resource_that_moves(struct harness *h)
{
    for (uint32_t number = 0; number < 1000; number++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "mover%u", number);
        struct overlay_resource r = resource_of(h->w, slice_text(name));
        if (ids_ring_is_less(distance(h, &r, LATE), distance(h, &r, ASKING)) &&
            ids_ring_is_less(distance(h, &r, ASKING), distance(h, &r, OTHER))) {
            return r;
        }
    }
    cr_assert(false, "nothing lies between them");
    return (struct overlay_resource){0};
}

static struct harness *ring_of_two(void)
{
    struct harness *h = harness_make(3, 21);
    for (uint32_t i = 0; i < 3; i++) {
        h->peers[i].settings.config.reliability_timer_ms = 20000;
    }
    harness_start(h, ASKING);
    harness_start(h, OTHER);
    harness_run(h, 60000);
    cr_assert_eq(harness_wrong(h), 0);
    return h;
}

static void ping(struct harness *h, const struct overlay_resource *r)
{
    cr_assert(overlay_is_responsible(h->peers[ASKING].overlay, r));
    cr_assert_eq(overlay_ping_resource(harness_turn(h, ASKING), h->peers[ASKING].overlay, r, 1),
                 ERR_OK);
}

Test(open, what_we_ask_ourselves_is_not_signed, .timeout = 60)
{
    struct harness *h = ring_of_two();
    struct overlay_resource r = resource_that_moves(h);
    uint64_t made = harness_metric(h, METRIC_signatures_made);
    uint64_t checked = harness_metric(h, METRIC_signatures_checked);
    uint64_t carried = h->carried;
    ping(h, &r);
    harness_end_turn(h, ASKING);
    cr_expect_eq(h->peers[ASKING].pongs, 1);
    cr_expect_eq(h->peers[ASKING].last.error, ERR_OK);
    cr_expect_eq(harness_metric(h, METRIC_signatures_made), made);
    cr_expect_eq(harness_metric(h, METRIC_signatures_checked), checked);
    cr_expect_eq(h->carried, carried);
    harness_run(h, 60000);
    cr_expect_eq(harness_metric(h, METRIC_requests_repeated), 0);
    harness_end(h);
    harness_free(h);
}

/* The PingReqs that leave ASKING. */
struct watch {
    uint32_t count;
    size_t signature_len;
    bool is_whole;
};

static unsigned watch_pings(struct harness *h, struct harness_mail *m)
{
    struct watch *w = h->tap_context;
    struct fwd f;
    struct content c;
    struct secblock block;
    struct slice rest;
    struct slice bytes = msgbuf_slice(m->buf);
    cr_assert_eq(fwd_decode_header(bytes, &params, &f), ERR_OK);
    cr_assert_eq(content_decode(f.payload, &c, &rest), ERR_OK);
    cr_assert_eq(secblock_decode(rest, &block), ERR_OK);
    if (m->from == ASKING && c.code == CONTENT_PING_REQ) {
        w->count++;
        w->signature_len = block.signature.value.len;
        w->is_whole = f.length == bytes.len && block.certificate_count == 1;
    }
    return 1;
}

/* It is lost on its way to ourselves; when it is sent again, another peer is to get it. */
Test(open, it_is_signed_before_it_leaves, .timeout = 60)
{
    struct harness *h = ring_of_two();
    struct watch w = {0};
    struct overlay_resource r = resource_that_moves(h);
    struct overlay *o = h->peers[ASKING].overlay;
    struct inbox_item item;
    ping(h, &r);
    cr_assert(inbox_pop(harness_turn(h, ASKING), &o->inbox, &item));
    cr_assert(item.is_own);
    msgbuf_release(&h->w->buffers, item.buf);
    harness_start(h, LATE);
    harness_run(h, 15000);
    cr_assert_eq(harness_wrong(h), 0);
    cr_assert(overlay_is_responsible(h->peers[LATE].overlay, &r));
    cr_expect_eq(h->peers[ASKING].pongs, 0);
    h->tap = watch_pings;
    h->tap_context = &w;
    harness_run(h, 6000);
    cr_expect_eq(w.count, 1);
    cr_expect_gt(w.signature_len, 0);
    cr_expect(w.is_whole);
    cr_expect_eq(h->peers[ASKING].pongs, 1);
    cr_expect_eq(h->peers[ASKING].last.error, ERR_OK);
    cr_expect_gt(h->peers[ASKING].last.hops, 0, "it is answered by another");
    cr_expect_eq(harness_metric(h, METRIC_dht_drop_signature), 0);
    harness_end(h);
    harness_free(h);
}
