/* SPDX-License-Identifier: Apache-2.0 */
/* test_overlay_via.c - the way back of messages that are nearly as long as max-message-size (RFC
 * 6940 6.1.2, 6.1.3; catalogue VL-1..VL-8, VL-11; T5). */
#include "tests/unit/dht/harness.h"

#include "codec/content.h"
#include "dht/overlay_impl.h"

enum { A = 1, X = 0, Z = 2, Y = 3, PEERS = 10, MAX = 5000, SEEN = 64, ENTRY = 18 };
enum { TID = 77 };

static struct rl_params params = {.node_id_length = 16};

/* Mails of one transaction as they leave, by who sent them. */
struct seen {
    uint64_t transaction_id; /* 0: all of them */
    uint32_t count;
    struct {
        uint16_t from, to, code;
        size_t len;
        uint8_t bytes[8192];
    } mails[SEEN];
};

static unsigned look(struct harness *h, struct harness_mail *m)
{
    struct seen *s = h->tap_context;
    struct slice bytes = msgbuf_slice(m->buf);
    struct fwd f;
    cr_assert_eq(fwd_decode_header(bytes, &params, &f), ERR_OK);
    if (f.transaction_id == s->transaction_id && s->count < SEEN) {
        s->mails[s->count].from = m->from;
        s->mails[s->count].to = m->to;
        s->mails[s->count].code = (uint16_t)(f.payload.data[0] << 8 | f.payload.data[1]);
        s->mails[s->count].len = bytes.len;
        memcpy(s->mails[s->count].bytes, bytes.data, bytes.len);
        s->count++;
    }
    return f.transaction_id == s->transaction_id && s->transaction_id == TID ? 0 : 1;
}

struct fixture {
    struct harness *h;
    struct seen seen;
};

/* Messages of transaction TID are caught on their way, and then made by the tests. */
static struct fixture *make(uint64_t seed)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->h = harness_make(PEERS, seed);
    (void)harness_grow(f->h, 60000);
    harness_run(f->h, 20000);
    params.overlay = overlay_hash_of(&f->h->w->turn, SLICE_LITERAL("harness.example"));
    f->seen.transaction_id = TID;
    f->h->tap = look;
    f->h->tap_context = &f->seen;
    return f;
}

static void end(struct fixture *f)
{
    harness_end(f->h);
    harness_free(f->h);
    free(f);
}

static struct node_id id_of(const struct fixture *f, uint32_t i)
{
    return f->h->peers[i].person->ident.node_id;
}

static struct node_id stranger(unsigned i)
{
    return (struct node_id){{0xee, (uint8_t)(i >> 8), (uint8_t)i}};
}

/* A list of `count` strangers. */
static struct slice strangers(uint8_t *out, size_t cap, unsigned count)
{
    struct wr w = wr_init(out, cap);
    for (unsigned i = 0; i < count; i++) {
        struct node_id id = stranger(i);
        fwd_wr_node(&w, &params, &id);
    }
    cr_assert(wr_ok(&w));
    return wr_slice(&w);
}

static void write_message(struct fixture *f, uint8_t bytes[8192], uint8_t ttl, uint16_t code,
                          struct slice via_list, struct slice destinations, size_t len)
{
    struct fwd h = {.overlay = params.overlay,
                    .configuration_sequence = 7,
                    .ttl = ttl,
                    .fragment = FWD_FRAGMENT_WHOLE,
                    .length = (uint32_t)len,
                    .transaction_id = TID,
                    .via_list = via_list,
                    .destination_list = destinations};
    struct wr w = wr_init(bytes, 8192);
    fwd_wr(&w, &h);
    wr_u16(&w, code);
    cr_assert(wr_ok(&w) && wr_len(&w) <= len);
    memset(bytes + wr_len(&w), 0x5a, len - wr_len(&w));
    f->seen.count = 0;
}

/* A message of `len` bytes reaches `to` over the link from `from`. */
static void arrive(struct fixture *f, uint32_t from, uint32_t to, uint16_t code,
                   struct slice via_list, struct slice destinations, size_t len)
{
    static uint8_t bytes[8192];
    write_message(f, bytes, 20, code, via_list, destinations, len);
    link_on_mail(harness_turn(f->h, to), f->h->peers[to].links, (uint16_t)from, bytes, len);
    harness_end_turn(f->h, to);
}

/* The same as out of a TLS record: with room in front, so that the header is rewritten in place. */
static void arrive_in_record(struct fixture *f, uint8_t ttl, struct slice via_list,
                             struct slice destinations, size_t len)
{
    static uint8_t record[LINK_HEADROOM + 8192];
    struct harness_peer *p = &f->h->peers[X];
    struct node_id a = f->h->peers[A].person->ident.node_id;
    struct link_event event = {.kind = LINK_MESSAGE,
                               .link = link_find(p->links, &a),
                               .node_id = a,
                               .message = record + LINK_HEADROOM,
                               .message_len = len,
                               .headroom = LINK_HEADROOM};
    write_message(f, event.message, ttl, CONTENT_PING_REQ, via_list, destinations, len);
    overlay_receive(harness_turn(f->h, X), p->overlay, &event);
    harness_end_turn(f->h, X);
}

/* The header of what was caught, the only one. */
static struct fwd caught(struct fixture *f, uint32_t from, uint32_t to)
{
    struct fwd h = {0};
    cr_assert_eq(f->seen.count, 1, "%u caught", f->seen.count);
    cr_assert_eq(f->seen.mails[0].from, from);
    cr_assert_eq(f->seen.mails[0].to, to);
    struct slice bytes = slice_of(f->seen.mails[0].bytes, f->seen.mails[0].len);
    cr_assert_eq(fwd_decode(bytes, &params, &h), ERR_OK);
    return h;
}

static struct slice node_list(uint8_t *out, size_t cap, const struct node_id *first,
                              struct slice behind)
{
    struct wr w = wr_init(out, cap);
    fwd_wr_node(&w, &params, first);
    wr_bytes(&w, behind);
    cr_assert(wr_ok(&w));
    return wr_slice(&w);
}

/* A sends X a request for Z of `len` bytes with a Via List of `count` strangers. */
static struct fwd through(struct fixture *f, unsigned count, size_t len)
{
    uint8_t via[4096], to[ENTRY];
    struct node_id z = id_of(f, Z);
    arrive(f, A, X, CONTENT_PING_REQ, strangers(via, sizeof(via), count),
           node_list(to, sizeof(to), &z, SLICE_EMPTY), len);
    return caught(f, X, Z);
}

/* Z answers with the Destination List [X, via_list reversed], `len` bytes. */
static void answer(struct fixture *f, struct slice via_list, size_t len)
{
    uint8_t to[4096], reversed[4096];
    struct node_id x = id_of(f, X);
    struct wr w = wr_init(reversed, sizeof(reversed));
    fwd_wr_reversed(&w, &params, via_list);
    cr_assert(wr_ok(&w));
    arrive(f, Z, X, CONTENT_PING_ANS, SLICE_EMPTY, node_list(to, sizeof(to), &x, wr_slice(&w)),
           len);
}

/* Is it [A, strangers from the last to the first]? */
static bool is_whole_way(const struct fixture *f, struct slice destinations, unsigned count)
{
    uint8_t via[4096], want[4096];
    struct node_id a = id_of(f, A);
    struct wr w = wr_init(want, sizeof(want));
    fwd_wr_node(&w, &params, &a);
    fwd_wr_reversed(&w, &params, strangers(via, sizeof(via), count));
    return slice_is_equal(wr_slice(&w), destinations);
}

static uint64_t count_of(const struct fixture *f, enum metric which)
{
    return harness_metric(f->h, which);
}

Test(overlay_via, vl1_a_long_request_goes_on_with_an_opaque_id, .timeout = 60)
{
    struct fixture *f = make(61);
    uint8_t copy[64];
    struct fwd h = through(f, 5, MAX);
    cr_expect_leq(h.length, MAX);
    cr_expect_eq(h.length, MAX - 5 * ENTRY + VIA_ENTRY_BYTES);
    cr_expect_eq(h.via_count, 1);
    cr_expect_eq(h.via_list.len, VIA_ENTRY_BYTES);
    cr_expect_eq(h.via_list.data[0], FWD_DESTINATION_OPAQUE);
    cr_expect_eq(h.max_response_length, MAX - 6 * ENTRY + VIA_ENTRY_BYTES);
    cr_expect_eq(count_of(f, METRIC_via_shortened), 1);
    cr_assert_leq(h.via_list.len, sizeof(copy));
    memcpy(copy, h.via_list.data, h.via_list.len);
    /* VL-3, VL-5: A gets what it would have got without X's doing so, as long as may be */
    answer(f, slice_of(copy, h.via_list.len), h.max_response_length + ENTRY);
    h = caught(f, X, A);
    cr_expect(is_whole_way(f, h.destination_list, 5));
    cr_expect_eq(h.length, MAX);
    cr_expect_eq(h.payload.data[h.payload.len - 1], 0x5a);
    cr_expect_eq(count_of(f, METRIC_via_restored), 1);
    end(f);
}

Test(overlay_via, vl2_others_keep_their_list, .timeout = 60)
{
    struct fixture *f = make(62);
    uint8_t copy[256];
    struct fwd h = through(f, 5, MAX - 9 * ENTRY);
    cr_expect_eq(h.via_count, 6, "there is room for 8 more");
    cr_expect_eq(h.max_response_length, 0);
    cr_assert_leq(h.via_list.len, sizeof(copy));
    memcpy(copy, h.via_list.data, h.via_list.len);
    answer(f, slice_sub(slice_of(copy, h.via_list.len), 0, h.via_list.len - ENTRY), 500);
    h = through(f, 1, MAX - ENTRY);
    cr_expect_eq(h.via_count, 2, "23 bytes are not worth it, as long as it fits");
    cr_expect_eq(h.length, MAX);
    h = through(f, 1, MAX);
    cr_expect_eq(h.via_count, 1, "now they are");
    cr_expect_eq(count_of(f, METRIC_via_shortened), 1);
    end(f);
}

/* Whoever made it the greatest length leaves no room even for the id. */
Test(overlay_via, what_is_too_long_is_said_so, .timeout = 60)
{
    struct fixture *f = make(63);
    uint8_t to[ENTRY];
    struct node_id z = id_of(f, Z);
    struct slice destinations = node_list(to, sizeof(to), &z, SLICE_EMPTY);
    struct fwd h = through(f, 0, MAX - VIA_ENTRY_BYTES);
    cr_expect_eq(h.length, MAX);
    arrive(f, A, X, CONTENT_PING_REQ, SLICE_EMPTY, destinations, MAX);
    h = caught(f, X, A);
    cr_expect_eq(f->seen.mails[0].code, CONTENT_ERROR);
    struct content c;
    struct content_error e;
    struct slice rest;
    cr_assert_eq(content_decode(h.payload, &c, &rest), ERR_OK);
    cr_assert_eq(content_error_decode(c.body, &e), ERR_OK);
    cr_expect_eq(e.code, CONTENT_ERROR_MESSAGE_TOO_LARGE);
    cr_expect_eq(count_of(f, METRIC_dht_drop_too_large), 1);
    end(f);
}

static void expect_error(const struct fixture *f, const struct fwd *h, uint16_t code)
{
    struct content c;
    struct content_error e;
    struct slice rest;
    cr_expect_eq(f->seen.mails[0].code, CONTENT_ERROR);
    cr_assert_eq(content_decode(h->payload, &c, &rest), ERR_OK);
    cr_assert_eq(content_error_decode(c.body, &e), ERR_OK);
    cr_expect_eq(e.code, code);
}

/* No id is free: the header is long, and rewritten where it came. */
static void say_too_large(struct fixture *f, unsigned count)
{
    uint8_t via[4096], to[ENTRY];
    struct node_id z = id_of(f, Z);
    arrive_in_record(f, 20, strangers(via, sizeof(via), count),
                     node_list(to, sizeof(to), &z, SLICE_EMPTY), MAX);
    struct fwd h = caught(f, X, A);
    expect_error(f, &h, CONTENT_ERROR_MESSAGE_TOO_LARGE);
    cr_expect(is_whole_way(f, h.destination_list, count), "%u", count);
}

Test(overlay_via, what_is_too_long_is_said_to_who_asked, .timeout = 60)
{
    struct fixture *f = make(73);
    struct overlay *o = f->h->peers[X].overlay;
    uint8_t to[ENTRY];
    struct node_id z = id_of(f, Z);
    o->via.cap = 0; /* none is free */
    say_too_large(f, 0);
    say_too_large(f, 1);
    say_too_large(f, 5);
    cr_expect_eq(count_of(f, METRIC_dht_drop_too_large), 3);
    /* shifted, the end of this one would be a compact id and a resource */
    static const uint8_t entry[28] = "\x03\x1a\x19"
                                     "012345678901234"
                                     "\x80\x01\x02\x06\x05"
                                     "abcde";
    arrive_in_record(f, 20, slice_of(entry, sizeof(entry)),
                     node_list(to, sizeof(to), &z, SLICE_EMPTY), MAX);
    struct fwd h = caught(f, X, A);
    expect_error(f, &h, CONTENT_ERROR_MESSAGE_TOO_LARGE);
    cr_expect_eq(h.destination_list.len, ENTRY + sizeof(entry));
    end(f);
}

Test(overlay_via, no_list_is_kept_in_vain, .timeout = 60)
{
    struct fixture *f = make(74);
    uint8_t to[ENTRY];
    struct node_id z = id_of(f, Z);
    arrive(f, A, X, CONTENT_PING_REQ, SLICE_EMPTY, node_list(to, sizeof(to), &z, SLICE_EMPTY), MAX);
    cr_expect_eq(count_of(f, METRIC_dht_drop_too_large), 1);
    cr_expect_eq(via_count(&f->h->w->turn, &f->h->peers[X].overlay->via), 0);
    end(f);
}

/* The answer's Destination List has one entry more than the Via List: 160 is one too many. */
Test(overlay_via, a_way_back_that_is_too_long_is_none, .timeout = 60)
{
    struct fixture *f = make(75);
    uint8_t via[2 * (FWD_ENTRIES_MAX + 1)], to[ENTRY];
    struct node_id z = id_of(f, Z), x = id_of(f, X);
    for (size_t i = 0; i < sizeof(via); i += 2) {
        memcpy(via + i, "\x80\x01", 2);
    }
    for (size_t count = FWD_ENTRIES_MAX - 2; count <= FWD_ENTRIES_MAX + 1; count++) {
        bool has_way = count < FWD_ENTRIES_MAX;
        /* said by whoever sees it, of one that is on its way */
        arrive_in_record(f, 255, slice_of(via, 2 * count),
                         node_list(to, sizeof(to), &z, SLICE_EMPTY), 500);
        cr_expect_eq(f->seen.count, has_way ? 1 : 0, "%zu", count);
        if (has_way) {
            struct fwd h = caught(f, X, A);
            expect_error(f, &h, CONTENT_ERROR_TTL_EXCEEDED);
            cr_expect_eq(h.destination_count, count + 1);
        }
        /* no hop sends it twice: on ours it is one more, and nobody falls over it */
        arrive_in_record(f, 20, slice_of(via, 2 * count),
                         node_list(to, sizeof(to), &x, SLICE_EMPTY), 500);
    }
    end(f);
}

/* Nor is a request passed on to where it could not be answered: who asked is told while that is
 * possible. */
Test(overlay_via, what_could_not_be_answered_is_not_passed_on, .timeout = 60)
{
    struct fixture *f = make(78);
    uint8_t via[2 * FWD_ENTRIES_MAX], to[ENTRY];
    struct node_id z = id_of(f, Z);
    for (size_t i = 0; i < sizeof(via); i += 2) {
        memcpy(via + i, "\x80\x01", 2);
    }
    for (size_t count = FWD_ENTRIES_MAX - 3; count <= FWD_ENTRIES_MAX; count++) {
        uint64_t before = count_of(f, METRIC_dht_drop_too_large);
        arrive_in_record(f, 20, slice_of(via, 2 * count),
                         node_list(to, sizeof(to), &z, SLICE_EMPTY), 600);
        bool is_passed_on = count + 1 < FWD_ENTRIES_MAX;
        cr_expect_eq(count_of(f, METRIC_dht_drop_too_large), before + (is_passed_on ? 0 : 1));
        if (is_passed_on) {
            struct fwd h = caught(f, X, Z);
            cr_expect_eq(h.via_count, count + 1);
        } else if (count < FWD_ENTRIES_MAX) {
            struct fwd h = caught(f, X, A);
            expect_error(f, &h, CONTENT_ERROR_MESSAGE_TOO_LARGE);
            cr_expect_eq(h.destination_count, FWD_ENTRIES_MAX);
        } else {
            cr_expect_eq(f->seen.count, 0, "there is no way back any more");
        }
    }
    end(f);
}

/* The link to Z has gone before Z acknowledged `bytes`, and X is who they are for by now. */
static void give_back(struct fixture *f, uint8_t *bytes, size_t len)
{
    struct link_event event = {
        .kind = LINK_UNACKED, .node_id = id_of(f, Z), .message = bytes, .message_len = len};
    overlay_on_link(harness_turn(f->h, X), f->h->peers[X].overlay, &event);
}

/* What X has passed on with an id of its own is answered by X itself: by the whole list. */
Test(overlay_via, an_id_is_opened_where_the_request_comes_back, .timeout = 60)
{
    struct fixture *f = make(79);
    static uint8_t bytes[8192];
    uint8_t to[ENTRY], copy[64], via[6 * ENTRY], whole[6 * ENTRY];
    struct overlay *o = f->h->peers[X].overlay;
    struct node_id x = id_of(f, X), a = id_of(f, A);
    struct fwd h = through(f, 5, MAX), back;
    cr_assert_eq(h.via_list.len, VIA_ENTRY_BYTES);
    memcpy(copy, h.via_list.data, h.via_list.len);
    struct slice id = slice_of(copy, h.via_list.len);
    write_message(f, bytes, 20, CONTENT_PING_REQ, id, node_list(to, sizeof(to), &x, SLICE_EMPTY),
                  3000);
    give_back(f, bytes, 3000);
    struct inbox_item item;
    struct turn *t = harness_turn(f->h, X);
    cr_assert(inbox_pop(t, &o->inbox, &item));
    cr_assert_eq(fwd_decode(msgbuf_slice(item.buf), &params, &back), ERR_OK);
    struct wr w = wr_init(whole, sizeof(whole));
    wr_bytes(&w, strangers(via, sizeof(via), 5));
    fwd_wr_node(&w, &params, &a);
    cr_expect(slice_is_equal(back.via_list, wr_slice(&w)));
    cr_expect_eq(back.length, 3000 - VIA_ENTRY_BYTES + 6 * ENTRY);
    cr_expect_eq(back.payload.data[back.payload.len - 1], 0x5a);
    msgbuf_release(t->buffers, item.buf);
    harness_end_turn(f->h, X);
    end(f);
}

/* A fragment that comes back is put together with the others, like any that is for us. */
Test(overlay_via, a_fragment_that_comes_back_is_one, .timeout = 60)
{
    struct fixture *f = make(80);
    static uint8_t bytes[8192];
    uint8_t to[ENTRY];
    struct overlay *o = f->h->peers[X].overlay;
    struct node_id x = id_of(f, X);
    write_message(f, bytes, 20, CONTENT_PING_REQ, SLICE_EMPTY,
                  node_list(to, sizeof(to), &x, SLICE_EMPTY), 1000);
    struct fwd h;
    cr_assert_eq(fwd_decode(slice_of(bytes, 1000), &params, &h), ERR_OK);
    h.fragment = FWD_FRAGMENT_ALWAYS; /* the first, and not the last */
    struct wr w = wr_init(bytes, sizeof(bytes));
    fwd_wr(&w, &h);
    uint64_t before = count_of(f, METRIC_dht_fragments);
    give_back(f, bytes, 1000);
    cr_expect_eq(inbox_count(&o->inbox), 0);
    cr_expect_eq(count_of(f, METRIC_dht_fragments), before + 1);
    harness_end_turn(f->h, X);
    end(f);
}

/* Our own messages, whatever they are made of, are dropped where they cannot be read. */
Test(overlay_via, what_cannot_be_read_does_not_leave, .timeout = 60)
{
    struct fixture *f = make(76);
    static uint8_t bytes[8192];
    uint8_t list[2 * (FWD_ENTRIES_MAX + 1)];
    struct turn *t = harness_turn(f->h, X);
    memset(list, 0x80, sizeof(list));
    write_message(f, bytes, 20, CONTENT_PING_ANS, SLICE_EMPTY, slice_of(list, sizeof(list)), 500);
    struct msgbuf *buf = msgbuf_acquire(t->buffers, 500);
    cr_assert_eq(msgbuf_append(buf, slice_of(bytes, 500)), ERR_OK);
    uint64_t before = count_of(f, METRIC_dht_drop_malformed);
    outgoing_send(t, &f->h->peers[X].overlay->out, buf, 0, 0);
    cr_expect_eq(count_of(f, METRIC_dht_drop_malformed), before + 1);
    msgbuf_release(t->buffers, buf);
    harness_end_turn(f->h, X);
    end(f);
}

/* VL-5: ids are for answers, and for the document of who asked. */
Test(overlay_via, vl5_requests_do_not_use_ids, .timeout = 60)
{
    struct fixture *f = make(77);
    uint8_t id[VIA_ENTRY_BYTES], to[64];
    struct node_id x = id_of(f, X);
    struct fwd h = through(f, 5, MAX);
    memcpy(id, h.via_list.data, sizeof(id));
    struct slice back = node_list(to, sizeof(to), &x, slice_of(id, sizeof(id)));
    arrive(f, Z, X, CONTENT_PING_REQ, SLICE_EMPTY, back, 300);
    cr_expect_eq(f->seen.count, 0);
    cr_expect_eq(count_of(f, METRIC_dht_drop_opaque), 1);
    arrive(f, Z, X, CONTENT_CONFIG_UPDATE_REQ, SLICE_EMPTY, back, 300);
    h = caught(f, X, A);
    cr_expect_eq(h.destination_count, 6);
    end(f);
}

/* A header does not grow beyond measure: fragments must have room for 256 bytes (FR-2). */
Test(overlay_via, a_long_list_is_cut_at_its_end, .timeout = 60)
{
    struct fixture *f = make(64);
    uint8_t copy[2048];
    struct fwd h = through(f, 40, 1500);
    unsigned kept = VIA_LIST_BYTES / ENTRY;
    cr_expect_eq(h.via_count, 41 - kept + 1);
    cr_expect_eq(h.via_list.len, (41 - kept) * ENTRY + VIA_ENTRY_BYTES);
    memcpy(copy, h.via_list.data, h.via_list.len);
    answer(f, slice_of(copy, h.via_list.len), 1500);
    h = caught(f, X, A);
    cr_expect(is_whole_way(f, h.destination_list, 40));
    end(f);
}

static void count_opaque(struct fixture *f, struct slice via_list, const char *what)
{
    uint64_t before = count_of(f, METRIC_dht_drop_opaque);
    answer(f, via_list, 300);
    cr_expect_eq(f->seen.count, 0, "%s", what);
    cr_expect_eq(count_of(f, METRIC_dht_drop_opaque), before + 1, "%s", what);
}

/* VL-5, VL-11: silently */
Test(overlay_via, vl5_ids_that_are_not_ours_or_over_lead_nowhere, .timeout = 60)
{
    struct fixture *f = make(65);
    uint8_t id[VIA_ENTRY_BYTES], forged[VIA_ENTRY_BYTES];
    struct fwd h = through(f, 5, MAX);
    memcpy(id, h.via_list.data, sizeof(id));
    memcpy(forged, id, sizeof(id));
    forged[VIA_ENTRY_BYTES - 1] ^= 1;
    count_opaque(f, slice_of(forged, sizeof(forged)), "forged");
    count_opaque(f, SLICE_LITERAL("\x80\x01"), "compact");
    count_opaque(f, SLICE_LITERAL("\x03\x01\x00"), "empty");
    /* Y does not know what X made */
    uint8_t to[64];
    struct node_id y = id_of(f, Y);
    uint64_t before = count_of(f, METRIC_dht_drop_opaque);
    arrive(f, Z, Y, CONTENT_PING_ANS, SLICE_EMPTY,
           node_list(to, sizeof(to), &y, slice_of(id, sizeof(id))), 300);
    cr_expect_eq(f->seen.count, 0);
    cr_expect_eq(count_of(f, METRIC_dht_drop_opaque), before + 1);
    /* VL-7 */
    harness_run(f->h, 14000);
    answer(f, slice_of(id, sizeof(id)), 300);
    h = caught(f, X, A);
    cr_expect(is_whole_way(f, h.destination_list, 5));
    harness_run(f->h, 1100);
    count_opaque(f, slice_of(id, sizeof(id)), "over");
    end(f);
}

Test(overlay_via, an_answer_that_would_be_too_long_with_its_list_ends_here, .timeout = 60)
{
    struct fixture *f = make(66);
    uint8_t id[VIA_ENTRY_BYTES];
    struct fwd h = through(f, 5, MAX);
    memcpy(id, h.via_list.data, sizeof(id));
    answer(f, slice_of(id, sizeof(id)), h.max_response_length + ENTRY + 1);
    cr_expect_eq(f->seen.count, 0);
    cr_expect_eq(count_of(f, METRIC_dht_drop_too_large), 1);
    end(f);
}

/* T5 4: a request comes by twice, so that one id of ours is in the list of another. */
Test(overlay_via, a_request_that_comes_round_finds_back, .timeout = 60)
{
    struct fixture *f = make(67);
    uint8_t via[256], to[64], copy[64];
    struct node_id x = id_of(f, X), y = id_of(f, Y), z = id_of(f, Z);
    struct fwd h = through(f, 5, MAX);
    struct wr w = wr_init(via, sizeof(via));
    wr_bytes(&w, h.via_list);
    fwd_wr_node(&w, &params, &x);
    for (unsigned i = 0; i < 3; i++) {
        struct node_id id = stranger(100 + i);
        fwd_wr_node(&w, &params, &id);
    }
    arrive(f, Y, X, CONTENT_PING_REQ, wr_slice(&w), node_list(to, sizeof(to), &z, SLICE_EMPTY),
           MAX);
    h = caught(f, X, Z);
    cr_expect_eq(h.via_list.len, VIA_ENTRY_BYTES);
    memcpy(copy, h.via_list.data, h.via_list.len);
    answer(f, slice_of(copy, VIA_ENTRY_BYTES), 300);
    h = caught(f, X, Y);
    cr_expect_eq(h.destination_count, 6);
    struct node_id first;
    cr_assert_eq(fwd_destination_node(&h.first, &params, &first), ERR_OK);
    cr_expect(ids_node_is_equal(&first, &y));
    /* Y and the three have taken themselves off */
    struct slice rest = slice_from(h.destination_list, 4 * ENTRY);
    uint8_t last[64];
    memcpy(last, rest.data, rest.len);
    arrive(f, Y, X, CONTENT_PING_ANS, SLICE_EMPTY, slice_of(last, rest.len), 300);
    h = caught(f, X, A);
    cr_expect(is_whole_way(f, h.destination_list, 5));
    end(f);
}

/* One way for a whole request over 9 peers, two of which keep a list; the answer is whole. */
static void ping_along(struct fixture *f, size_t padding)
{
    static uint8_t body[MAX];
    uint8_t list[PEERS * ENTRY];
    struct wr w = wr_init(list, sizeof(list));
    for (uint32_t i = 1; i < PEERS; i++) {
        struct node_id id = id_of(f, i);
        fwd_wr_node(&w, &params, &id);
    }
    struct wr b = wr_init(body, sizeof(body));
    wr_u16(&b, (uint16_t)padding);
    (void)wr_claim(&b, padding);
    struct transact_request what = {.owner = TRANSACT_PING,
                                    .tag = 5,
                                    .target = {.type = TRANSACT_NODE, .node = id_of(f, PEERS - 1)},
                                    .destinations = wr_slice(&w),
                                    .code = CONTENT_PING_REQ,
                                    .body = wr_slice(&b)};
    struct harness_peer *p = &f->h->peers[0];
    cr_assert_eq(transact_request(harness_turn(f->h, 0), p->overlay->transact, &what, NULL),
                 ERR_OK);
    harness_end_turn(f->h, 0);
    harness_run(f->h, 1000);
    cr_expect_eq(p->pongs, 1);
    cr_expect_eq(p->last.error, ERR_OK);
    cr_expect_eq(p->last.tag, 5);
}

Test(overlay_via, a_long_way_there_and_back, .timeout = 60)
{
    struct fixture *f = make(68);
    f->seen.transaction_id = 0;
    ping_along(f, 4300);
    cr_expect_geq(count_of(f, METRIC_via_shortened), 2);
    cr_expect_eq(count_of(f, METRIC_via_shortened), count_of(f, METRIC_via_restored));
    cr_expect_eq(count_of(f, METRIC_requests_repeated), 0);
    end(f);
}

/* Our own requests leave room for the entry of the first who passes them on. */
Test(overlay_via, requests_are_made_with_room_for_an_entry, .timeout = 60)
{
    struct fixture *f = make(72);
    static uint8_t body[MAX];
    f->seen.transaction_id = 0;
    enum err last = ERR_OK;
    uint64_t longest = 0;
    struct harness_peer *p = &f->h->peers[0];
    for (size_t padding = 4000; padding < MAX && last == ERR_OK; padding++) {
        struct wr b = wr_init(body, sizeof(body));
        wr_u16(&b, (uint16_t)padding);
        (void)wr_claim(&b, padding);
        struct transact_request what = {.owner = TRANSACT_PING,
                                        .target = {.type = TRANSACT_NODE, .node = id_of(f, 1)},
                                        .code = CONTENT_PING_REQ,
                                        .body = wr_slice(&b)};
        handle request = 0;
        struct link_info before, after;
        uint32_t at = 0;
        cr_assert(link_walk(p->links, &at, &before) && at == 1);
        last = transact_request(harness_turn(f->h, 0), p->overlay->transact, &what, &request);
        at = 0;
        cr_assert(link_walk(p->links, &at, &after));
        longest = last == ERR_OK ? after.bytes_out - before.bytes_out : longest;
        transact_cancel(harness_turn(f->h, 0), p->overlay->transact, request);
        harness_end_turn(f->h, 0);
        harness_run(f->h, 1);
    }
    cr_expect_eq(last, ERR_TOO_LARGE);
    cr_expect_eq(longest, MAX - ENTRY, "%lu", (unsigned long)longest);
    end(f);
}

/* Peer 4 of another make: what it passes on bears an id of its own, 16 bytes or compact, for the
 * list behind; it knows what that stands for when the answer comes.  To us it is bytes. */
struct foreign {
    uint8_t id[32];
    size_t id_len;
    uint8_t kept[256];
    size_t kept_len;
    uint32_t hidden, restored;
};

static void replace(struct harness_mail *m, const struct fwd *h, struct slice via,
                    struct slice destinations)
{
    static uint8_t bytes[8192];
    struct fwd changed = *h;
    changed.via_list = via;
    changed.destination_list = destinations;
    struct wr w = wr_init(bytes, sizeof(bytes));
    fwd_wr(&w, &changed);
    wr_bytes(&w, h->payload);
    cr_assert(wr_ok(&w));
    fwd_put_length(bytes, (uint32_t)wr_len(&w));
    m->buf->len = 0;
    cr_assert_eq(msgbuf_append(m->buf, wr_slice(&w)), ERR_OK);
}

static unsigned play_foreign(struct harness *h, struct harness_mail *m)
{
    struct foreign *o = h->tap_context;
    struct fwd f;
    cr_assert_eq(fwd_decode_header(msgbuf_slice(m->buf), &params, &f), ERR_OK);
    uint8_t list[512];
    struct wr w = wr_init(list, sizeof(list));
    if (m->from == 4 && f.via_count > 0) {
        memcpy(o->kept, f.via_list.data, f.via_list.len);
        o->kept_len = f.via_list.len;
        replace(m, &f, slice_of(o->id, o->id_len), f.destination_list);
        o->hidden++;
    } else if (m->to == 4 && f.destination_count == 2 && o->kept_len > 0 &&
               slice_is_equal(slice_from(f.destination_list, ENTRY), slice_of(o->id, o->id_len))) {
        wr_bytes(&w, f.first.wire);
        fwd_wr_reversed(&w, &params, slice_of(o->kept, o->kept_len));
        replace(m, &f, f.via_list, wr_slice(&w));
        o->restored++;
    }
    return 1;
}

static void meet_foreign(uint64_t seed, const uint8_t *id, size_t id_len, size_t padding)
{
    struct fixture *f = make(seed);
    struct foreign o = {.id_len = id_len};
    memcpy(o.id, id, id_len);
    f->h->tap = play_foreign;
    f->h->tap_context = &o;
    ping_along(f, padding);
    cr_expect_eq(o.hidden, 1);
    cr_expect_eq(o.restored, 1);
    cr_expect_eq(count_of(f, METRIC_dht_drop_opaque), 0);
    cr_expect_eq(count_of(f, METRIC_via_shortened), count_of(f, METRIC_via_restored));
    end(f);
}

Test(overlay_via, ids_of_others_come_through_as_they_are, .timeout = 60)
{
    static const uint8_t long_id[] = "\x03\x11\x10"
                                     "0123456789abcdef";
    meet_foreign(69, long_id, sizeof(long_id) - 1, 100);
    meet_foreign(70, (const uint8_t *)"\x80\x07", 2, 100);
    /* an id like ours in its length, in a list that is kept further on */
    static const uint8_t same_length[] = "\x03\x0b\x0a"
                                         "0123456789";
    meet_foreign(71, same_length, sizeof(same_length) - 1, 4300);
}
