/* SPDX-License-Identifier: Apache-2.0 */
/* test_overlay_frag.c - overlays whose links carry so little that messages travel in pieces (RFC
 * 6940 6.7; catalogue FR-1, FR-5..FR-7, SG-1): neighbors, transit peers, loss. */
#include "tests/unit/dht/harness.h"

#include "codec/content.h"
#include "codec/fragment.h"
#include "dht/overlay_impl.h"

enum { NOBODY = 1000 };

/* What a link does to the messages on it. */
struct links {
    size_t room;
    unsigned only_from; /* NOBODY: every peer's are cut */
    unsigned lose;      /* each so manieth piece; 0: none */
    unsigned spoil;     /* the same; prime, so that it is not the same piece of each message */
    bool is_odd;        /* 256 bytes and what is left, which fragment_plan does not do */
    uint64_t cut, pieces, answers;
};

static void post(struct harness *h, const struct harness_mail *m, const struct fwd *f,
                 const struct fragment_plan *p, uint32_t index)
{
    struct links *l = h->tap_context;
    struct harness_mail piece = *m;
    struct slice payload;
    l->pieces++;
    if (l->lose != 0 && l->pieces % l->lose == 0) {
        return;
    }
    piece.buf = msgbuf_acquire(&h->w->buffers, f->header_bytes + f->payload.len);
    cr_assert_not_null(piece.buf);
    struct wr w = wr_init(msgbuf_data(piece.buf), msgbuf_tailroom(piece.buf));
    fragment_wr(&w, f, p, index, &payload);
    if (l->is_odd && index == 1) {
        payload = slice_from(f->payload, FRAGMENT_PAYLOAD_MIN);
    }
    wr_bytes(&w, payload);
    fwd_put_length(w.start, (uint32_t)wr_len(&w));
    cr_assert(wr_ok(&w));
    piece.buf->len = (uint32_t)wr_len(&w);
    if (l->spoil != 0 && l->pieces % l->spoil == 0) {
        w.start[wr_len(&w) - 1] ^= 0x10;
    }
    harness_post(h, &piece);
}

static enum err plan(const struct links *l, const struct fwd *f, struct fragment_plan *p)
{
    if (l->is_odd && f->payload.len > FRAGMENT_PAYLOAD_MIN) {
        *p = (struct fragment_plan){.pieces = 2, .piece_bytes = FRAGMENT_PAYLOAD_MIN};
        return ERR_OK;
    }
    return fragment_plan(f, l->room, p);
}

/* Backwards, and one of them twice. */
static unsigned cut(struct harness *h, struct harness_mail *m)
{
    struct links *l = h->tap_context;
    struct rl_params params = {.node_id_length = 16};
    struct fwd f;
    struct fragment_plan p;
    cr_assert_eq(fwd_decode_header(msgbuf_slice(m->buf), &params, &f), ERR_OK);
    if ((l->only_from != NOBODY && l->only_from != m->from) || plan(l, &f, &p) != ERR_OK ||
        p.pieces == 1) {
        return 1;
    }
    l->cut++;
    if (fwd_offset(&f) == 0) {
        l->answers += content_is_answer((uint16_t)(f.payload.data[0] << 8 | f.payload.data[1]));
    }
    for (uint32_t i = p.pieces; i > 0; i--) {
        post(h, m, &f, &p, i - 1);
    }
    post(h, m, &f, &p, p.pieces / 2);
    return 0;
}

static struct links *put_links(struct harness *h, struct links *l)
{
    h->tap = cut;
    h->tap_context = l;
    return l;
}

static uint64_t dropped_for_room(const struct harness *h)
{
    return harness_metric(h, METRIC_dht_drop_fragment_source) +
           harness_metric(h, METRIC_dht_drop_fragment_full) +
           harness_metric(h, METRIC_dht_drop_fragment_evicted);
}

Test(overlay_frag, a_fragmented_ping_is_answered, .timeout = 60)
{
    struct harness *h = harness_make(2, 31);
    (void)harness_grow(h, 30000);
    harness_run(h, 20000); /* certificates are published by now */
    struct links l = {.is_odd = true, .only_from = 0};
    put_links(h, &l);
    cr_assert_eq(overlay_ping_node(harness_turn(h, 0), h->peers[0].overlay,
                                   &h->peers[1].person->ident.node_id, 1),
                 ERR_OK);
    harness_end_turn(h, 0);
    harness_run(h, 100);
    cr_expect_eq(l.cut, 1);
    cr_expect_eq(harness_metric(h, METRIC_dht_reassembled), 1);
    cr_expect_eq(h->peers[0].pongs, 1);
    cr_expect_eq(h->peers[0].last.error, ERR_OK);
    h->tap = NULL;
    harness_end(h);
    harness_free(h);
}

/* Pieces that were passed on come back from a link that has died, two messages one after the other,
 * and are for us by now: each is put together, also the first. */
static void bring_back(struct harness *h, uint32_t at)
{
    struct overlay *o = h->peers[at].overlay;
    handle link = chord_table_find(&o->table, &h->peers[0].person->ident.node_id)->link;
    while (h->queued > 0) {
        struct harness_mail m = h->mails[h->head];
        struct link_event event = {.kind = LINK_UNACKED,
                                   .link = link,
                                   .message = msgbuf_data(m.buf),
                                   .message_len = m.buf->len};
        h->head = (h->head + 1) % HARNESS_MAILS;
        h->queued--;
        overlay_on_link(harness_turn(h, at), o, &event);
        msgbuf_release(&h->w->buffers, m.buf);
    }
}

Test(overlay_frag, pieces_that_come_back_are_put_together, .timeout = 60)
{
    struct harness *h = harness_make(2, 31);
    (void)harness_grow(h, 30000);
    harness_run(h, 20000);
    struct links l = {.is_odd = true, .only_from = 0};
    put_links(h, &l);
    struct overlay_resource r;
    uint32_t tries = 0;
    do {
        char name[16];
        (void)snprintf(name, sizeof(name), "name%u", tries++);
        r = resource_of(h->w, slice_text(name));
    } while (!overlay_is_responsible(h->peers[1].overlay, &r));
    cr_assert_eq(h->queued, 0);
    uint64_t judged = harness_metric(h, METRIC_signatures_checked);
    for (uint32_t i = 1; i <= 2; i++) {
        cr_assert_eq(overlay_ping_resource(harness_turn(h, 0), h->peers[0].overlay, &r, i), ERR_OK);
        harness_end_turn(h, 0);
    }
    cr_assert_eq(l.cut, 2);
    bring_back(h, 1);
    cr_expect_eq(harness_metric(h, METRIC_dht_reassembled), 2);
    h->tap = NULL;
    harness_end_turn(h, 1);
    cr_expect_eq(harness_metric(h, METRIC_signatures_checked), judged + 2);
    harness_run(h, 20000);
    harness_end(h);
    harness_free(h);
}

Test(overlay_frag, a_fragmented_answer_is_taken, .timeout = 60)
{
    struct harness *h = harness_make(2, 32);
    struct person *alice = person_make(h->w, "alice", 1);
    (void)harness_grow(h, 30000);
    harness_run(h, 20000);
    struct overlay_resource r = resource_of(h->w, SLICE_LITERAL("alice"));
    struct overlay_store what = {.resource = r,
                                 .kind = WORLD_KIND_SINGLE,
                                 .signer = &alice->ident,
                                 .exists = true,
                                 .value = SLICE_LITERAL("in pieces"),
                                 .lifetime_s = 3600};
    cr_assert_eq(overlay_store(harness_turn(h, 0), h->peers[0].overlay, &what, 1), ERR_OK);
    harness_end_turn(h, 0);
    harness_run(h, 2000);
    cr_assert_eq(h->peers[0].last.error, ERR_OK);
    uint32_t owner = overlay_is_responsible(h->peers[0].overlay, &r) ? 0 : 1;
    struct links l = {.room = 620, .only_from = owner};
    put_links(h, &l);
    struct harness_peer *reader = &h->peers[1 - owner];
    cr_assert_eq(
        overlay_fetch(harness_turn(h, 1 - owner), reader->overlay, &r, WORLD_KIND_SINGLE, 2),
        ERR_OK);
    harness_end_turn(h, 1 - owner);
    harness_run(h, 100);
    cr_expect_eq(l.cut, 1);
    cr_expect_eq(l.answers, 1);
    cr_expect_eq(reader->values, 1);
    h->tap = NULL;
    harness_end(h);
    free(alice);
    harness_free(h);
}

/* Everything that everybody says is cut to the smallest pieces that there may be. */
Test(overlay_frag, fr1_a_ring_grows_and_stores_in_pieces, .timeout = 60)
{
    struct harness *h = harness_make(8, 33);
    struct person *alice = person_make(h->w, "alice", 1);
    struct links l = {.room = 480, .only_from = NOBODY, .lose = 97};
    put_links(h, &l);
    (void)harness_grow(h, 120000);
    cr_expect_eq(harness_wrong(h), 0, "%u wrong", harness_wrong(h));
    harness_run(h, 20000);
    l.lose = 0;
    for (uint32_t i = 0; i < h->count; i++) {
        struct overlay_store what = {.resource = resource_of(h->w, person_user(alice)),
                                     .kind = WORLD_KIND_SINGLE,
                                     .signer = &alice->ident,
                                     .exists = true,
                                     .value = SLICE_LITERAL("in pieces"),
                                     .lifetime_s = 3600};
        cr_assert_eq(overlay_store(harness_turn(h, i), h->peers[i].overlay, &what, i), ERR_OK);
        harness_end_turn(h, i);
        harness_run(h, 1000);
        cr_expect_eq(h->peers[i].last.error, ERR_OK);
        struct harness_peer *p = &h->peers[(i + 3) % h->count];
        uint32_t values = p->values;
        cr_assert_eq(overlay_fetch(harness_turn(h, (i + 3) % h->count), p->overlay, &what.resource,
                                   WORLD_KIND_SINGLE, 100 + i),
                     ERR_OK);
        harness_end_turn(h, (i + 3) % h->count);
        harness_run(h, 1000);
        cr_expect_eq(p->values, values + 1);
        h->w->turn.wall_ms += 1000; /* the next Store is newer */
    }
    cr_expect_gt(l.cut, 100);
    cr_expect_gt(harness_metric(h, METRIC_dht_reassembled), 100);
    cr_expect_gt(harness_metric(h, METRIC_dht_forwarded), 0);
    cr_expect_eq(dropped_for_room(h), 0);
    h->tap = NULL;
    harness_end(h);
    free(alice);
    harness_free(h);
}

Test(overlay_frag, sg1_a_spoiled_fragment_is_noticed, .timeout = 60)
{
    struct harness *h = harness_make(4, 34);
    struct links l = {.room = 480, .only_from = NOBODY, .spoil = 23};
    put_links(h, &l);
    (void)harness_grow(h, 120000);
    cr_expect_eq(harness_wrong(h), 0, "%u wrong", harness_wrong(h));
    cr_expect_gt(harness_metric(h, METRIC_dht_drop_signature) +
                     harness_metric(h, METRIC_dht_drop_fragment_overlap) +
                     harness_metric(h, METRIC_dht_drop_contents) +
                     harness_metric(h, METRIC_dht_drop_certificate),
                 0);
    h->tap = NULL;
    harness_end(h);
    harness_free(h);
}
