/* SPDX-License-Identifier: Apache-2.0 */
/* test_owner_first.c - a request for a resource whose owner is a neighbor of ours goes by way of
 * it, and as the topology routes it when that leads nowhere (RFC 6940 6.2.1, 10.3; catalogue FW-7,
 * FW-10, TX-1, A-17). */
#include "tests/unit/dht/harness.h"

#include "codec/content.h"
#include "dht/overlay_impl.h"

enum { ASKING = 4, SEEN_CAP = 16 };

/* A PingReq on its way. */
struct seen {
    uint32_t from, to;
    uint8_t ttl;
    uint16_t destination_count, via_count;
    struct fwd_destination first;
    uint8_t bytes[2048];
    size_t len, header_bytes;
};

struct watch {
    struct seen seen[SEEN_CAP];
    uint32_t count;
    uint32_t lost; /* so many of the first do not arrive */
};

static const struct rl_params params = {.node_id_length = 16};

static unsigned watch_pings(struct harness *h, struct harness_mail *m)
{
    struct watch *w = h->tap_context;
    struct fwd f;
    struct slice bytes = msgbuf_slice(m->buf);
    cr_assert_eq(fwd_decode_header(bytes, &params, &f), ERR_OK);
    if ((f.payload.data[0] << 8 | f.payload.data[1]) != CONTENT_PING_REQ) {
        return 1;
    }
    cr_assert_lt(w->count, SEEN_CAP);
    struct seen *s = &w->seen[w->count++];
    *s = (struct seen){.from = m->from,
                       .to = m->to,
                       .ttl = f.ttl,
                       .destination_count = f.destination_count,
                       .via_count = f.via_count,
                       .len = bytes.len,
                       .header_bytes = f.header_bytes};
    cr_assert_leq(bytes.len, sizeof(s->bytes));
    memcpy(s->bytes, bytes.data, bytes.len);
    struct rd r = rd_init(
        slice_of(s->bytes + (f.destination_list.data - bytes.data), f.destination_list.len));
    cr_assert(fwd_next(&r, &params, &s->first));
    return w->count <= w->lost ? 0 : 1;
}

/* A resource, and who owns it: not ASKING, nor the peer after it. */
static uint32_t far_owner(struct harness *h, struct overlay_resource *r)
{
    for (uint32_t number = 0; number < 1000; number++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "somebody%u", number);
        *r = resource_of(h->w, slice_text(name));
        uint32_t owner = 0;
        while (!overlay_is_responsible(h->peers[owner].overlay, r)) {
            owner++;
        }
        const struct chord_table_node *next =
            chord_table_successor(&h->peers[ASKING].overlay->table, 0);
        if (owner != ASKING &&
            !ids_node_is_equal(&next->id, &h->peers[owner].person->ident.node_id)) {
            return owner;
        }
    }
    cr_assert(false, "all resources are near");
    return 0;
}

static void ping(struct harness *h, const struct overlay_resource *r)
{
    struct harness_peer *p = &h->peers[ASKING];
    cr_assert_eq(overlay_ping_resource(harness_turn(h, ASKING), p->overlay, r, 1), ERR_OK);
    harness_end_turn(h, ASKING);
}

static bool names(const struct harness *h, const struct seen *s, uint32_t owner)
{
    struct node_id id;
    return fwd_destination_node(&s->first, &params, &id) == ERR_OK &&
           ids_node_is_equal(&id, &h->peers[owner].person->ident.node_id);
}

static struct harness *ring(uint32_t peers, struct watch *w)
{
    struct harness *h = harness_make(peers, 21);
    (void)harness_grow(h, 60000);
    harness_run(h, 20000);
    cr_assert_eq(harness_wrong(h), 0);
    h->tap = watch_pings;
    h->tap_context = w;
    return h;
}

Test(owner_first, fw10_a_neighbor_is_asked_without_a_detour, .timeout = 60)
{
    struct watch w = {0};
    struct overlay_resource r;
    struct harness *h = ring(12, &w);
    uint32_t owner = far_owner(h, &r);
    ping(h, &r);
    harness_run(h, 1000);
    cr_expect_eq(h->peers[ASKING].pongs, 1);
    cr_expect_eq(h->peers[ASKING].last.error, ERR_OK);
    cr_expect_eq(h->peers[ASKING].last.hops, 1);
    cr_assert_eq(w.count, 1, "it passed through somebody");
    cr_expect_eq(w.seen[0].to, owner);
    cr_expect_eq(w.seen[0].destination_count, 2);
    cr_expect(names(h, &w.seen[0], owner));
    harness_end(h);
    harness_free(h);
}

Test(owner_first, tx1_a_retransmission_goes_as_the_topology_says, .timeout = 60)
{
    struct watch w = {.lost = 1};
    struct overlay_resource r;
    struct harness *h = ring(12, &w);
    uint32_t owner = far_owner(h, &r);
    ping(h, &r);
    harness_run(h, 2900);
    cr_expect_eq(w.count, 1);
    harness_run(h, 1000);
    cr_expect_eq(h->peers[ASKING].pongs, 1);
    cr_expect_eq(h->peers[ASKING].last.error, ERR_OK);
    cr_expect_eq(h->peers[ASKING].last.hops, 2);
    cr_assert_eq(w.count, 3, "first transmission, second, and the peer before the owner");
    const struct seen *first = &w.seen[0];
    const struct seen *second = &w.seen[1];
    cr_expect_eq(first->to, owner);
    cr_expect_eq(second->from, ASKING);
    cr_expect_neq(second->to, owner);
    cr_expect_eq(second->destination_count, 1);
    cr_expect_eq(second->first.type, FWD_DESTINATION_RESOURCE);
    cr_expect_eq(second->ttl, first->ttl, "A-17: we pass nothing on");
    cr_expect(
        slice_is_equal(
            slice_of(first->bytes + first->header_bytes, first->len - first->header_bytes),
            slice_of(second->bytes + second->header_bytes, second->len - second->header_bytes)),
        "behind the header nothing changes");
    cr_expect_eq(w.seen[2].to, owner);
    harness_end(h);
    harness_free(h);
}

Test(owner_first, a_link_that_ends_sends_it_on_at_once, .timeout = 60)
{
    struct watch w = {.lost = 1};
    struct overlay_resource r;
    struct harness *h = ring(12, &w);
    uint32_t owner = far_owner(h, &r);
    struct harness_peer *p = &h->peers[ASKING];
    ping(h, &r);
    cr_assert_eq(w.count, 1);
    uint8_t message[2048];
    memcpy(message, w.seen[0].bytes, w.seen[0].len);
    struct link_event back = {.kind = LINK_UNACKED,
                              .link = link_find(p->links, &h->peers[owner].person->ident.node_id),
                              .node_id = h->peers[owner].person->ident.node_id,
                              .message = message,
                              .message_len = w.seen[0].len};
    message[w.seen[0].len - 1] ^= 1; /* not ours: goes where it says */
    overlay_on_link(harness_turn(h, ASKING), p->overlay, &back);
    harness_end_turn(h, ASKING);
    cr_assert_eq(w.count, 2);
    cr_expect_eq(w.seen[1].destination_count, 2);
    message[w.seen[0].len - 1] ^= 1;
    overlay_on_link(harness_turn(h, ASKING), p->overlay, &back);
    harness_end_turn(h, ASKING);
    cr_assert_eq(w.count, 3);
    cr_expect_eq(w.seen[2].destination_count, 1);
    cr_expect_neq(w.seen[2].to, owner);
    harness_run(h, 1000);
    cr_expect_eq(p->pongs, 1);
    cr_expect_eq(p->last.error, ERR_OK);
    harness_end(h);
    harness_free(h);
}

Test(owner_first, who_is_no_neighbor_is_not_named, .timeout = 60)
{
    struct watch w = {0};
    struct overlay_resource r;
    struct topo_peer known;
    struct harness *h = ring(32, &w);
    struct overlay *o = h->peers[ASKING].overlay;
    uint32_t number = 0;
    struct ring_id k;
    do {
        char name[32];
        cr_assert_lt(number, 1000);
        (void)snprintf(name, sizeof(name), "stranger%u", number++);
        r = resource_of(h->w, slice_text(name));
        cr_assert_eq(ids_ring_of_resource(slice_of(r.bytes, sizeof(r.bytes)), &k), ERR_OK);
    } while (topo_owner(&o->topo, k, &known));
    ping(h, &r);
    harness_run(h, 1000);
    cr_expect_eq(h->peers[ASKING].last.error, ERR_OK);
    cr_assert_geq(w.count, 2);
    for (uint32_t i = 0; i < w.count; i++) {
        cr_expect_eq(w.seen[i].destination_count, 1);
    }
    harness_end(h);
    harness_free(h);
}
