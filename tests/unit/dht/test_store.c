/* SPDX-License-Identifier: Apache-2.0 */
/* StoreReq, Fetch, Stat, Find against RFC 6940 7 (catalogue T11, T12). */
#include "tests/unit/dht/storage_world.h"

#include "codec/content.h"

#define T0 WORLD_NOW_MS

enum { FETCHED = 16 };

struct fixture {
    struct world *w;
    struct person *alice, *bob;
    struct overlay_resource at; /* alice's */
};

static struct fixture start(void)
{
    struct fixture f = {.w = world_make(3)};
    f.alice = person_make(f.w, "alice@example.org", 1);
    f.bob = person_make(f.w, "bob@example.org", 2);
    f.at = resource_of(f.w, person_user(f.alice));
    return f;
}

static void finish(struct fixture *f)
{
    world_age(f->w);
    free(f->alice);
    free(f->bob);
    world_free(f->w);
}

static struct wish single(const char *text, uint64_t time_ms)
{
    return (struct wish){WORLD_KIND_SINGLE, 0, NULL, text, time_ms, 60};
}

static struct wish entry(uint32_t index, const char *text, uint64_t time_ms)
{
    return (struct wish){WORLD_KIND_ARRAY, index, NULL, text, time_ms, 60};
}

/* Fetches one Kind; values end up in `out`, whose slices borrow from the world's scratch. */
static uint16_t fetch(struct fixture *f, uint32_t kind, uint64_t generation,
                      struct stored_range range, struct stored_data out[FETCHED], size_t *count,
                      struct store_certificates *certificates)
{
    static uint8_t body[512], answer[32 * 1024];
    struct wr w = wr_init(body, sizeof(body));
    wr_opaque8(&w, resource_slice(&f->at));
    size_t mark = wr_begin(&w, 2);
    enum stored_model model = model_of(f->w, kind);
    if (model == STORED_SINGLE) {
        stored_wr_specifier_single(&w, kind, generation);
    } else if (model == STORED_ARRAY) {
        stored_wr_specifier_array(&w, kind, generation, &range, 1);
    } else {
        stored_wr_specifier_dictionary(&w, kind, generation, NULL, 0);
    }
    wr_end(&w, 2, mark);
    struct wr a = wr_init(answer, sizeof(answer));
    struct slice info;
    *count = 0;
    uint16_t error = store_fetch(&f->w->turn, f->w->store, wr_slice(&w), &a, certificates, &info);
    if (error != 0) {
        return error;
    }
    struct msgs_fetch_ans ans;
    cr_assert_eq(msgs_fetch_ans_decode(wr_slice(&a), &f->w->params, &ans), ERR_OK);
    struct rd r = rd_init(ans.kind_responses);
    struct stored_block block;
    cr_assert(stored_block_next(&r, &block));
    struct rd values = rd_init(block.values);
    while (*count < FETCHED && stored_next(&values, model, &out[*count])) {
        (*count)++;
    }
    cr_assert(rd_is_done(&values));
    return 0;
}

static const struct stored_range whole = {0, 0xffffffff};

Test(store, generation_and_storage_time_rules)
{
    struct fixture f = start();
    struct world *w = f.w;
    struct wish first = single("one", T0);
    struct store_put_outcome o = put_own(w, f.alice, &first);
    cr_assert_eq(o.error, 0);
    cr_assert_eq(store_set_get(w->store, o.kinds[0].set)->generation, 1, "ST-9: counter 1");
    o = put_own(w, f.alice, &first);
    cr_assert_eq(o.error, 0, "A-06: same bytes again are no error");
    cr_assert_eq(o.changed, 0);
    cr_assert_eq(o.verified, 0, "and cost no verification");
    cr_assert_eq(store_set_get(w->store, o.kinds[0].set)->generation, 1);
    struct wish other = single("two", T0);
    cr_assert_eq(put_own(w, f.alice, &other).error, CONTENT_ERROR_DATA_TOO_OLD, "equal time");
    other.time_ms = T0 - 1;
    cr_assert_eq(put_own(w, f.alice, &other).error, CONTENT_ERROR_DATA_TOO_OLD, "earlier");
    other.time_ms = T0 + 1;
    o = put_as(w, f.alice, f.alice, &f.at, &other, 0, 1);
    cr_assert_eq(o.error, 0, "counter = current");
    cr_assert_eq(store_set_get(w->store, o.kinds[0].set)->generation, 2);
    const uint64_t wrong[] = {1, 3};
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        struct wish next = single("three", T0 + 2);
        o = put_as(w, f.alice, f.alice, &f.at, &next, 0, wrong[i]);
        cr_assert_eq(o.error, CONTENT_ERROR_GENERATION_COUNTER_TOO_LOW, "ST-6");
        struct msgs_store_ans ans;
        struct stored_response response;
        cr_assert_eq(msgs_store_ans_decode(o.info, &w->params, &ans), ERR_OK);
        struct rd r = rd_init(ans.kind_responses);
        cr_assert(stored_response_next(&r, &w->params, &response));
        cr_assert_eq(response.generation, 2);
        cr_assert_eq(response.replicas.len, 0);
    }
    /* ST-7: a copy brings its counter along, and 0 is none. */
    struct wish copy = single("four", T0 + 9);
    cr_assert_eq(put_as(w, f.alice, f.bob, &f.at, &copy, 1, 0).error,
                 CONTENT_ERROR_INVALID_MESSAGE);
    o = put_as(w, f.alice, f.bob, &f.at, &copy, 1, 17);
    cr_assert_eq(o.error, 0, "bob may carry alice's value as a copy");
    cr_assert_eq(store_set_get(w->store, o.kinds[0].set)->generation, 17);
    finish(&f);
}

/* ST-18: anybody may bring a copy to its owner, who counts all the same. */
Test(store, counter_of_an_owner_is_his)
{
    struct fixture f = start();
    struct world *w = f.w;
    w->is_owner = true;
    struct wish copy = single("one", T0), none = {.kind = WORLD_KIND_SINGLE};
    struct store_put_outcome o = put_as(w, f.alice, f.bob, &f.at, &copy, 1, 41);
    cr_assert_eq(o.error, 0);
    handle set = o.kinds[0].set;
    cr_assert_eq(store_set_get(w->store, set)->generation, 41, "as its former owner counted");
    const uint64_t others[] = {1, 40, 42, UINT64_MAX - 1, UINT64_MAX};
    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        cr_assert_eq(put_as(w, f.alice, f.bob, &f.at, &copy, 1, others[i]).error, 0);
        cr_assert_eq(put_as(w, f.alice, f.bob, &f.at, &none, 1, others[i]).error, 0);
        cr_assert_eq(store_set_get(w->store, set)->generation, 41, "nothing has changed");
    }
    struct wish newer = single("two", T0 + 1);
    cr_assert_eq(put_as(w, f.alice, f.bob, &f.at, &newer, 1, 7).error, 0);
    cr_assert_eq(store_set_get(w->store, set)->generation, 42, "this has");
    newer.time_ms++;
    cr_assert_eq(put_as(w, f.alice, f.bob, &f.at, &newer, 1, 42).error, 0);
    cr_assert_eq(store_set_get(w->store, set)->generation, 42, "the rest of the same set");
    w->is_owner = false; /* a replica has no choice, and may own it one day */
    cr_assert_eq(put_as(w, f.alice, f.bob, &f.at, &none, 1, UINT64_MAX).error, 0);
    newer.time_ms++;
    cr_assert_eq(put_own(w, f.alice, &newer).error, 0);
    cr_assert_eq(store_set_get(w->store, set)->generation, 1, "0 would be no counter");
    finish(&f);
}

struct refusal {
    const char *what;
    struct wish wish;
    uint8_t replica_number;
    uint16_t expected;
};

Test(store, refusals_leave_nothing_behind)
{
    struct fixture f = start();
    static char large[200];
    memset(large, 'x', sizeof(large) - 1);
    const struct refusal rows[] = {
        {"value beyond max-size (ST-19)", single(large, T0), 0, CONTENT_ERROR_DATA_TOO_LARGE},
        {"index = max-count (A-39)", entry(8, "x", T0), 0, CONTENT_ERROR_DATA_TOO_LARGE},
        {"sparse array attack", entry(0xfffffffe, "x", T0), 0, CONTENT_ERROR_DATA_TOO_LARGE},
        {"a copy cannot append", entry(0xffffffff, "x", T0), 1, CONTENT_ERROR_INVALID_MESSAGE},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct store_put_outcome o = put_as(f.w, f.alice, f.alice, &f.at, &rows[i].wish,
                                            rows[i].replica_number, rows[i].replica_number);
        cr_expect_eq(o.error, rows[i].expected, "%s: %x", rows[i].what, o.error);
        world_is_empty(f.w);
    }
    struct wish good = single("x", T0);
    struct overlay_resource bobs = resource_of(f.w, person_user(f.bob));
    cr_expect_eq(put_as(f.w, f.alice, f.alice, &bobs, &good, 0, 0).error, CONTENT_ERROR_FORBIDDEN,
                 "AC-1: somebody else's AOR");
    cr_expect_eq(put_as(f.w, f.alice, f.alice, &bobs, &good, 1, 1).error, CONTENT_ERROR_FORBIDDEN,
                 "nor as a copy");
    cr_expect_eq(put_as(f.w, f.alice, f.bob, &f.at, &good, 0, 0).error, CONTENT_ERROR_FORBIDDEN,
                 "AC: the request of an original Store is judged too");
    world_is_empty(f.w);
    world_pass(f.w, 2 * 86400000ull);
    cr_expect_eq(put_own(f.w, f.alice, &good).error, CONTENT_ERROR_FORBIDDEN,
                 "ID-3: certificate expired");
    world_is_empty(f.w);
    finish(&f);
}

/* 7.4.1.1: who sends an original Store must be one who may write there, even when nothing would
 * change. */
Test(store, a_stranger_is_refused_though_nothing_would_change)
{
    struct fixture f = start();
    const struct wish rows[] = {single("x", T0),
                                entry(0xffffffff, "x", T0),
                                {WORLD_KIND_DICTIONARY, 0, "key", "x", T0, 60}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct wish older = rows[i];
        older.time_ms--;
        cr_assert_eq(put_own(f.w, f.alice, &rows[i]).error, 0);
        cr_expect_eq(put_as(f.w, f.alice, f.bob, &f.at, &rows[i], 0, 0).error,
                     CONTENT_ERROR_FORBIDDEN, "row %zu: the same value", i);
        cr_expect_eq(put_as(f.w, f.alice, f.bob, &f.at, &older, 0, 0).error,
                     CONTENT_ERROR_FORBIDDEN, "row %zu: an older one", i);
        cr_expect_eq(put_own(f.w, f.alice, &rows[i]).error, 0, "row %zu: A-06", i);
        if (rows[i].index == 0) {
            cr_expect_eq(put_as(f.w, f.alice, f.bob, &f.at, &rows[i], 1, 1).error, 0,
                         "row %zu: a copy comes from anybody", i);
        }
    }
    finish(&f);
}

static uint32_t resources_of(struct fixture *f)
{
    struct store_totals totals;
    store_totals(f->w->store, &totals);
    return totals.resources;
}

/* 6.4.2.5.1, num_resources: a Resource-ID counts once, whatever stands there, and as long. */
Test(store, resources_are_counted_once)
{
    struct fixture f = start();
    struct wish one = single("x", T0), two = entry(0, "x", T0), three = entry(1, "y", T0);
    two.lifetime_s = three.lifetime_s = 600;
    cr_expect_eq(resources_of(&f), 0);
    cr_assert_eq(put_own(f.w, f.alice, &one).error, 0);
    cr_assert_eq(put_own(f.w, f.alice, &two).error, 0);
    cr_assert_eq(put_own(f.w, f.alice, &three).error, 0);
    cr_expect_eq(resources_of(&f), 1, "two Kinds, three values");
    cr_assert_eq(put_own(f.w, f.bob, &one).error, 0);
    cr_expect_eq(resources_of(&f), 2);
    one.time_ms++;
    cr_assert_eq(put_own(f.w, f.alice, &one).error, 0);
    cr_expect_eq(resources_of(&f), 2, "one value in another's place");
    world_pass(f.w, 61000);
    (void)store_sweep(&f.w->turn, f.w->store);
    cr_expect_eq(resources_of(&f), 1, "bob's counter stands alone, alice has the array");
    one.time_ms++;
    cr_assert_eq(put_own(f.w, f.bob, &one).error, 0);
    cr_assert_eq(put_own(f.w, f.alice, &one).error, 0);
    cr_expect_eq(resources_of(&f), 2);
    store_set_drop(f.w->store, store_set_find(f.w->store, resource_slice(&f.at), WORLD_KIND_ARRAY));
    cr_expect_eq(resources_of(&f), 2, "the other Kind stands for it");
    store_set_drop(f.w->store,
                   store_set_find(f.w->store, resource_slice(&f.at), WORLD_KIND_SINGLE));
    cr_expect_eq(resources_of(&f), 1);
    finish(&f);
}

/* Every byte of a good request turned once: none is stored unless it is outside the signature. */
Test(store, altered_values_are_refused)
{
    struct fixture f = start();
    struct wr out = wr_init(f.w->scratch, sizeof(f.w->scratch));
    struct wish wish = {WORLD_KIND_DICTIONARY, 0, "key", "value", T0, 60};
    const struct person *people[] = {f.alice};
    struct store_put put = {.resource = resource_slice(&f.at),
                            .signer_user = person_user(f.alice),
                            .signer = f.alice->ident.node_id};
    put.bucket = bucket_of(&out, people, 1);
    uint8_t *start_of = out.at;
    size_t mark = stored_block_begin(&out, wish.kind, 0);
    wr_wish(f.w, &out, &wish, &f.at, f.alice);
    stored_block_end(&out, mark);
    put.kind_data = slice_of(start_of, (size_t)(out.at - start_of));
    for (size_t i = 0; i < put.kind_data.len; i++) {
        struct store_put_outcome o;
        bool is_unsigned = i >= 4 + 8 + 4 + 12 && i < 4 + 8 + 4 + 16; /* lifetime */
        start_of[i] ^= 0x10;
        world_put(f.w, &put, &o);
        start_of[i] ^= 0x10;
        if (is_unsigned) {
            cr_assert_eq(o.error, 0);
            world_pass(f.w, 86400000ull);
            world_age(f.w);
            f.w->turn.wall_ms = T0;
        } else {
            cr_assert_neq(o.error, 0, "byte %zu", i);
            world_is_empty(f.w);
        }
    }
    /* Cut anywhere: malformed, never a crash. */
    struct slice all = put.kind_data;
    for (size_t len = 1; len < all.len; len++) {
        struct store_put_outcome o;
        put.kind_data = slice_of(all.data, len);
        world_put(f.w, &put, &o);
        cr_assert_eq(o.error, CONTENT_ERROR_INVALID_MESSAGE);
    }
    world_is_empty(f.w);
    finish(&f);
}

/* SG-5: no signature at all; ST-13: removal with bytes. */
Test(store, unsigned_and_odd_values)
{
    struct fixture f = start();
    struct wr out = wr_init(f.w->scratch, sizeof(f.w->scratch));
    struct store_put_outcome o;
    struct store_put put = {.resource = resource_slice(&f.at),
                            .signer_user = person_user(f.alice),
                            .signer = f.alice->ident.node_id};
    size_t mark = stored_block_begin(&out, WORLD_KIND_SINGLE, 0);
    stored_wr_synthetic(&out, STORED_SINGLE, 0, SLICE_EMPTY);
    stored_block_end(&out, mark);
    put.kind_data = wr_slice(&out);
    world_put(f.w, &put, &o);
    cr_assert_eq(o.error, CONTENT_ERROR_FORBIDDEN);

    out = wr_init(f.w->scratch, sizeof(f.w->scratch));
    mark = stored_block_begin(&out, WORLD_KIND_SINGLE, 0);
    struct wish wish = single("abc", T0);
    size_t at = wr_len(&out);
    wr_wish(f.w, &out, &wish, &f.at, f.alice);
    out.start[at + 16] = 0; /* exists = false, bytes still there */
    stored_block_end(&out, mark);
    put.kind_data = wr_slice(&out);
    world_put(f.w, &put, &o);
    cr_assert_eq(o.error, CONTENT_ERROR_INVALID_MESSAGE);
    world_is_empty(f.w);
    finish(&f);
}

/* ST-1: two Kinds, the second bad: nothing of the first is stored. ST-5: all unknown Kinds named.
 */
Test(store, several_kinds_are_one_transaction)
{
    struct fixture f = start();
    struct store_put_outcome o;
    const struct person *people[] = {f.alice};
    static uint8_t bucket[2048];
    struct wr b = wr_init(bucket, sizeof(bucket));
    struct store_put put = {.resource = resource_slice(&f.at),
                            .signer_user = person_user(f.alice),
                            .signer = f.alice->ident.node_id,
                            .bucket = bucket_of(&b, people, 1)};
    struct wish good = single("abc", T0);
    struct wish bad = entry(9, "abc", T0);
    const struct wish *rows[][2] = {{&good, &bad}, {&good, &good}};
    const uint16_t expected[] = {CONTENT_ERROR_DATA_TOO_LARGE, CONTENT_ERROR_INVALID_MESSAGE};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct wr out = wr_init(f.w->scratch, sizeof(f.w->scratch));
        for (size_t k = 0; k < 2; k++) {
            size_t mark = stored_block_begin(&out, rows[i][k]->kind, 0);
            wr_wish(f.w, &out, rows[i][k], &f.at, f.alice);
            stored_block_end(&out, mark);
        }
        put.kind_data = wr_slice(&out);
        world_put(f.w, &put, &o);
        cr_assert_eq(o.error, expected[i]);
        world_is_empty(f.w);
    }
    struct wr out = wr_init(f.w->scratch, sizeof(f.w->scratch));
    const uint32_t kinds[] = {0xf0000077, WORLD_KIND_SINGLE, 0xf0000078};
    for (size_t k = 0; k < 3; k++) {
        stored_block_end(&out, stored_block_begin(&out, kinds[k], 0));
    }
    put.kind_data = wr_slice(&out);
    world_put(f.w, &put, &o);
    cr_assert_eq(o.error, CONTENT_ERROR_UNKNOWN_KIND);
    static const uint8_t named[] = {8, 0xf0, 0, 0, 0x77, 0xf0, 0, 0, 0x78};
    cr_assert(slice_is_equal(o.info, slice_of(named, sizeof(named))));
    world_is_empty(f.w);
    finish(&f);
}

Test(store, arrays_append_and_gaps)
{
    struct fixture f = start();
    struct stored_data got[FETCHED];
    struct store_certificates certificates;
    size_t count = 0;
    cr_assert_eq(fetch(&f, WORLD_KIND_ARRAY, 0, whole, got, &count, &certificates), 0);
    cr_assert_eq(count, 1, "A-07: whole array absent, one synthetic");
    struct wish third = entry(2, "X", T0);
    cr_assert_eq(put_own(f.w, f.alice, &third).error, 0);
    cr_assert_eq(fetch(&f, WORLD_KIND_ARRAY, 0, whole, got, &count, &certificates), 0);
    cr_assert_eq(count, 3, "[_, _, X]");
    cr_assert(stored_is_synthetic(&got[0]));
    cr_assert(stored_is_synthetic(&got[1]));
    cr_assert_eq(got[1].value.index, 1);
    cr_assert_eq(got[2].value.index, 2);
    cr_assert_eq(certificates.count, 1);

    struct wish appended = entry(0xffffffff, "Y", T0);
    struct store_put_outcome o = put_own(f.w, f.alice, &appended);
    cr_assert_eq(o.changed, 1);
    o = put_own(f.w, f.alice, &appended);
    cr_assert_eq(o.error, 0);
    cr_assert_eq(o.changed, 0, "an append that came twice is one");
    cr_assert_eq(fetch(&f, WORLD_KIND_ARRAY, 0, (struct stored_range){3, 0xfffffffe}, got, &count,
                       &certificates),
                 0);
    cr_assert_eq(count, 1, "bounded by what is there");
    cr_assert_eq(got[0].value.index, 3, "ST-11: real index");
    const struct sign_certificate *c;
    struct node_id who;
    cr_assert_eq(
        sign_signer(&f.w->turn, f.w->sign, &got[0].signature.identity, SLICE_EMPTY, &c, &who),
        ERR_OK);
    cr_assert_eq(sign_verify_value(&f.w->turn, f.w->sign, c, resource_slice(&f.at),
                                   WORLD_KIND_ARRAY, &got[0]),
                 ERR_OK, "ST-12: signed over index 0");
    cr_assert_eq(fetch(&f, WORLD_KIND_ARRAY, 0, (struct stored_range){0xffffffff, 0xffffffff}, got,
                       &count, &certificates),
                 0);
    cr_assert_eq(count, 1);
    cr_assert_eq(got[0].value.index, 3, "FT-3: the last element");
    for (uint32_t i = 4; i < 8; i++) {
        struct wish more = entry(0xffffffff, "Z", T0 + i);
        cr_assert_eq(put_own(f.w, f.alice, &more).error, 0);
    }
    struct wish full = entry(0xffffffff, "Z", T0 + 20);
    cr_assert_eq(put_own(f.w, f.alice, &full).error, CONTENT_ERROR_DATA_TOO_LARGE,
                 "append to a full array");
    cr_assert_eq(
        fetch(&f, WORLD_KIND_ARRAY, 0, (struct stored_range){2, 1}, got, &count, &certificates),
        CONTENT_ERROR_INVALID_MESSAGE, "first > last");
    finish(&f);
}

Test(store, dictionaries_tombstones_and_generations)
{
    struct fixture f = start();
    struct stored_data got[FETCHED];
    struct store_certificates certificates;
    size_t count = 0;
    static char keys[8][8];
    for (size_t i = 0; i < 8; i++) {
        (void)snprintf(keys[i], sizeof(keys[i]), "k%zu", i);
        struct wish wish = {WORLD_KIND_DICTIONARY, 0, keys[i], "v", T0, 60};
        cr_assert_eq(put_own(f.w, f.alice, &wish).error, 0);
    }
    struct wish ninth = {WORLD_KIND_DICTIONARY, 0, "k9", "v", T0, 60};
    cr_assert_eq(put_own(f.w, f.alice, &ninth).error, CONTENT_ERROR_DATA_TOO_LARGE);
    cr_assert_eq(fetch(&f, WORLD_KIND_DICTIONARY, 0, whole, got, &count, &certificates), 0);
    cr_assert_eq(count, 8, "wildcard");
    cr_assert_eq(certificates.count, 1, "one certificate, once");
    cr_assert_eq(fetch(&f, WORLD_KIND_DICTIONARY, 8, whole, got, &count, &certificates), 0);
    cr_assert_eq(count, 0, "FT-1: generation is current");
    struct wish gone = {WORLD_KIND_DICTIONARY, 0, "k3", NULL, T0 + 1, 120};
    cr_assert_eq(put_own(f.w, f.alice, &gone).error, 0);
    cr_assert_eq(fetch(&f, WORLD_KIND_DICTIONARY, 8, whole, got, &count, &certificates), 0);
    cr_assert_eq(count, 8);
    size_t tombstones = 0;
    for (size_t i = 0; i < count; i++) {
        tombstones += !got[i].value.exists;
        cr_assert_neq(got[i].signature.value.len, 0, "FT-4: signed as long as it lives");
    }
    cr_assert_eq(tombstones, 1);
    world_pass(f.w, 30000);
    cr_assert_eq(fetch(&f, WORLD_KIND_DICTIONARY, 0, whole, got, &count, &certificates), 0);
    cr_assert_eq(got[0].lifetime_s, 30, "A-37: what is left of it");
    world_pass(f.w, 31000);
    cr_assert_eq(fetch(&f, WORLD_KIND_DICTIONARY, 0, whole, got, &count, &certificates), 0);
    cr_assert_eq(count, 1, "the tombstone outlives what it hides");
    struct store_set *set =
        store_set_find(f.w->store, resource_slice(&f.at), WORLD_KIND_DICTIONARY);
    world_pass(f.w, 61000);
    (void)store_sweep(&f.w->turn, f.w->store);
    cr_assert_eq(set->count, 0);
    cr_assert_eq(set->generation, 9, "A-38: the counter stays for a while");
    finish(&f);
}

/* A set and its only value are made together and lie beside each other; a value that is stored
 * again stays where it is, and what it replaces leaves nothing behind. */
Test(store, value_stored_again_stays_beside_its_set)
{
    struct fixture f = start();
    struct stored_data got[FETCHED];
    struct store_certificates certificates;
    struct store_totals before, after;
    size_t count = 0;
    struct wish wish = single("one", T0);
    cr_assert_eq(put_own(f.w, f.alice, &wish).error, 0);
    struct store_set *set = store_set_find(f.w->store, resource_slice(&f.at), WORLD_KIND_SINGLE);
    cr_assert_not_null(set);
    uint32_t place = set->first;
    cr_assert_eq(place, handle_index(store_set_handle(f.w->store, set)) + 1);
    store_totals(f.w->store, &before);
    for (uint64_t i = 1; i <= 5; i++) {
        static const char *const texts[] = {"two", "six"};
        wish.text = texts[i % 2];
        wish.time_ms = T0 + i;
        cr_assert_eq(put_own(f.w, f.alice, &wish).error, 0);
        cr_expect_eq(set->first, place);
        cr_expect_eq(set->count, 1);
        cr_assert_eq(fetch(&f, WORLD_KIND_SINGLE, 0, whole, got, &count, &certificates), 0);
        cr_assert_eq(count, 1);
        cr_expect(slice_is_equal(got[0].value.bytes, slice_text(wish.text)));
        cr_expect_eq(got[0].storage_time_ms, T0 + i);
        cr_expect_eq(certificates.count, 1);
    }
    store_totals(f.w->store, &after);
    cr_expect_eq(after.values, before.values);
    cr_expect_eq(after.certificates, before.certificates);
    cr_expect_eq(after.stored_bytes, before.stored_bytes);
    finish(&f);
}

/* 1.15: the 28 golden bytes. */
Test(store, absent_single_is_the_golden_synthetic)
{
    struct fixture f = start();
    struct stored_data got[FETCHED];
    struct store_certificates certificates;
    size_t count = 0;
    static const uint8_t golden[28] = {0, 0, 0, 0x18, [23] = 3};
    cr_assert_eq(fetch(&f, WORLD_KIND_SINGLE, 0, whole, got, &count, &certificates), 0);
    cr_assert_eq(count, 1);
    cr_assert(slice_is_equal(got[0].wire, slice_of(golden, sizeof(golden))) ||
              stored_is_synthetic(&got[0]));
    cr_assert_eq(got[0].wire.len, 28);
    finish(&f);
}

Test(store, stat_and_find)
{
    struct fixture f = start();
    struct wish wish = single("abc", T0);
    cr_assert_eq(put_own(f.w, f.alice, &wish).error, 0);
    struct wish bobs = single("abcd", T0);
    cr_assert_eq(put_own(f.w, f.bob, &bobs).error, 0);
    static uint8_t body[256], answer[1024];
    struct wr w = wr_init(body, sizeof(body));
    struct wr a = wr_init(answer, sizeof(answer));
    struct slice info;
    wr_opaque8(&w, resource_slice(&f.at));
    size_t mark = wr_begin(&w, 2);
    stored_wr_specifier_single(&w, WORLD_KIND_SINGLE, 0);
    wr_end(&w, 2, mark);
    cr_assert_eq(store_fetch_stat(&f.w->turn, f.w->store, wr_slice(&w), &a, &info), 0);
    struct msgs_fetch_ans ans;
    struct stored_block block;
    struct stored_meta meta;
    cr_assert_eq(msgs_fetch_ans_decode(wr_slice(&a), &f.w->params, &ans), ERR_OK);
    struct rd r = rd_init(ans.kind_responses);
    cr_assert(stored_block_next(&r, &block));
    struct rd values = rd_init(block.values);
    cr_assert(stored_meta_next(&values, STORED_SINGLE, &meta));
    cr_assert(meta.exists);
    cr_assert_eq(meta.value_length, 3);
    uint8_t hash[32];
    f.w->crypto.sha256(SLICE_LITERAL("\0\0\0\3abc"), hash);
    cr_assert(slice_is_equal(meta.hash, slice_of(hash, 32)), "FT-7: the length is hashed too");

    /* FT-8: the walk R(n+1) = nearest(R(n) + 1) sees both and comes back to the first. */
    struct overlay_resource at = f.at;
    uint32_t seen = 0;
    for (int i = 0; i < 2; i++) {
        for (size_t k = 16; k-- > 0 && ++at.bytes[k] == 0;) {}
        w = wr_init(body, sizeof(body));
        a = wr_init(answer, sizeof(answer));
        wr_opaque8(&w, resource_slice(&at));
        mark = wr_begin(&w, 1);
        wr_u32(&w, WORLD_KIND_SINGLE);
        wr_u32(&w, 0xf0000099);
        wr_end(&w, 1, mark);
        cr_assert_eq(store_fetch_find(&f.w->turn, f.w->store, wr_slice(&w), &a, &info), 0);
        struct msgs_find_ans found;
        struct msgs_find_kind_data one;
        cr_assert_eq(msgs_find_ans_decode(wr_slice(&a), &f.w->params, &found), ERR_OK);
        r = rd_init(found.results);
        cr_assert(msgs_find_kind_data_next(&r, &f.w->params, &one));
        memcpy(at.bytes, one.closest.data, 16);
        seen += memcmp(at.bytes, f.at.bytes, 16) == 0 ? 1 : 16;
        cr_assert(msgs_find_kind_data_next(&r, &f.w->params, &one));
        static const uint8_t zero[16];
        cr_assert(slice_is_equal(one.closest, slice_of(zero, 16)), "unknown Kind: 0");
    }
    cr_assert_eq(seen, 17);
    finish(&f);
}

/* FT-3, FT-10, FT-2 and bodies cut anywhere. */
Test(store, hostile_fetches)
{
    struct fixture f = start();
    struct wish wish = single("abc", T0);
    cr_assert_eq(put_own(f.w, f.alice, &wish).error, 0);
    static uint8_t body[2048], answer[4096];
    struct store_certificates certificates;
    struct slice info;
    struct wr w = wr_init(body, sizeof(body));
    wr_opaque8(&w, resource_slice(&f.at));
    size_t mark = wr_begin(&w, 2);
    stored_wr_specifier_single(&w, WORLD_KIND_SINGLE, 0);
    const struct stored_range overlap[] = {{0, 5}, {5, 6}};
    size_t before_ranges = wr_len(&w);
    stored_wr_specifier_array(&w, WORLD_KIND_ARRAY, 0, overlap, 2);
    wr_end(&w, 2, mark);
    struct wr a = wr_init(answer, sizeof(answer));
    cr_assert_eq(store_fetch(&f.w->turn, f.w->store, wr_slice(&w), &a, &certificates, &info),
                 CONTENT_ERROR_INVALID_MESSAGE, "overlapping ranges");
    struct slice all = wr_slice(&w);
    for (size_t len = 0; len < all.len; len++) {
        a = wr_init(answer, sizeof(answer));
        uint16_t error =
            store_fetch(&f.w->turn, f.w->store, slice_of(all.data, len), &a, &certificates, &info);
        cr_assert_eq(error, CONTENT_ERROR_INVALID_MESSAGE);
    }
    w = wr_init(body, sizeof(body));
    (void)wr_claim(&w, before_ranges);
    wr_end(&w, 2, mark);
    a = wr_init(answer, 60);
    cr_assert_eq(store_fetch(&f.w->turn, f.w->store, wr_slice(&w), &a, &certificates, &info),
                 CONTENT_ERROR_RESPONSE_TOO_LARGE);
    w = wr_init(body, sizeof(body));
    wr_opaque8(&w, resource_slice(&f.at));
    mark = wr_begin(&w, 2);
    stored_wr_specifier_single(&w, 0xf0000042, 0);
    wr_end(&w, 2, mark);
    a = wr_init(answer, sizeof(answer));
    cr_assert_eq(store_fetch(&f.w->turn, f.w->store, wr_slice(&w), &a, &certificates, &info),
                 CONTENT_ERROR_UNKNOWN_KIND);
    static const uint8_t named[] = {4, 0xf0, 0, 0, 0x42};
    cr_assert(slice_is_equal(info, slice_of(named, sizeof(named))));
    finish(&f);
}

/* A body with one specifier of an empty list, 7.4.2.1; `kind` need not be right for that. */
static struct slice empty_list(const struct fixture *f, uint32_t kind, bool is_twice)
{
    static uint8_t body[128];
    struct wr w = wr_init(body, sizeof(body));
    wr_opaque8(&w, resource_slice(&f->at));
    size_t mark = wr_begin(&w, 2);
    for (int i = 0; i < (is_twice ? 2 : 1); i++) {
        stored_wr_specifier_dictionary(&w, kind, 0, NULL, 0);
    }
    wr_end(&w, 2, mark);
    return wr_slice(&w);
}

/* One Kind and an empty list is read by itself: it is answered as one among several is, and only
 * what looks exactly so is read so (7.4.2, FT-2, FT-3). */
Test(store, the_usual_fetch_is_answered_as_any)
{
    struct fixture f = start();
    struct store_certificates certificates;
    struct slice info;
    static uint8_t one[4096], two[4096];
    struct wish wish = {WORLD_KIND_DICTIONARY, 0, "k", "v", T0, 60};
    cr_assert_eq(put_own(f.w, f.alice, &wish).error, 0);
    static const struct {
        uint32_t kind;
        uint16_t error;
    } kinds[] = {{WORLD_KIND_DICTIONARY, 0},
                 {WORLD_KIND_ARRAY, 0},
                 {WORLD_KIND_SINGLE, CONTENT_ERROR_INVALID_MESSAGE},
                 {0xf0000042, CONTENT_ERROR_UNKNOWN_KIND}};
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        struct wr a = wr_init(one, sizeof(one));
        struct wr b = wr_init(two, sizeof(two));
        struct slice body = empty_list(&f, kinds[i].kind, false);
        cr_assert_eq(store_fetch(&f.w->turn, f.w->store, body, &a, &certificates, &info),
                     kinds[i].error);
        cr_assert_eq(info.len, kinds[i].error == CONTENT_ERROR_UNKNOWN_KIND ? 5 : 0);
        body = empty_list(&f, kinds[i].kind, true);
        cr_assert_eq(store_fetch(&f.w->turn, f.w->store, body, &b, &certificates, &info),
                     kinds[i].error);
        size_t len = wr_len(&a) - 4;
        cr_assert(kinds[i].error != 0 || wr_len(&b) == 4 + 2 * len);
        cr_assert(kinds[i].error != 0 || memcmp(one + 4, two + 4, len) == 0);
    }
    struct slice body = empty_list(&f, WORLD_KIND_DICTIONARY, false);
    static uint8_t wrong[128];
    const size_t lengths[] = {0, 1 + OVERLAY_RESOURCE_BYTES + 1, body.len - 3, body.len - 1};
    for (size_t i = 0; i < ARRAY_COUNT(lengths); i++) {
        for (int by = -1; by <= 1; by += 2) {
            struct wr a = wr_init(one, sizeof(one));
            memcpy(wrong, body.data, body.len);
            wrong[lengths[i]] = (uint8_t)(wrong[lengths[i]] + by);
            cr_assert_eq(store_fetch(&f.w->turn, f.w->store, slice_of(wrong, body.len), &a,
                                     &certificates, &info),
                         CONTENT_ERROR_INVALID_MESSAGE, "a length at %zu, %d off", lengths[i], by);
        }
    }
    finish(&f);
}

/* Every pool of the store runs out in turn; it refuses, stays whole, and a refresh still works. */
Test(store, flood_of_resources_hits_the_caps)
{
    struct fixture f = start();
    struct wish wish = single("abc", T0);
    cr_assert_eq(put_own(f.w, f.alice, &wish).error, 0);
    uint32_t refused = 0;
    for (uint32_t i = 0; i < 700; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "flood%u@example.org", i);
        struct person *p = person_make(f.w, name, 100 + i);
        uint16_t error = put_own(f.w, p, &wish).error;
        cr_assert(error == 0 || error == CONTENT_ERROR_DATA_TOO_LARGE);
        refused += error != 0;
        free(p);
    }
    cr_assert_gt(refused, 300);
    struct store_totals totals;
    store_totals(f.w->store, &totals);
    cr_assert_leq(totals.certificates, 256);
    cr_assert_eq(totals.values, totals.sets);
    cr_assert_gt(metric_read(&f.w->metrics, METRIC_stores_full), 0);
    wish.time_ms++;
    cr_assert_eq(put_own(f.w, f.alice, &wish).error, 0, "alice refreshes in a full store");
    finish(&f);
}

Test(store, quota_of_one_signer)
{
    struct fixture f = start();
    f.w->config.kinds[1].max_count = 1000;
    uint32_t stored = 0;
    for (uint32_t i = 0; i < 100; i++) {
        struct wish wish = entry(0xffffffff, "x", T0 + i);
        stored += put_own(f.w, f.alice, &wish).error == 0;
    }
    cr_assert_eq(stored, 64);
    struct wish refresh = entry(5, "y", T0 + 1000);
    cr_assert_eq(put_own(f.w, f.alice, &refresh).error, 0, "what is there may be renewed");
    struct wish bobs = entry(0xffffffff, "x", T0);
    cr_assert_eq(put_own(f.w, f.bob, &bobs).error, 0);
    finish(&f);
}

/* store_walk gives each living value once. */
Test(store, walk)
{
    struct fixture f = start();
    for (uint32_t i = 0; i < 5; i++) {
        struct wish wish = entry(i, "x", T0);
        wish.lifetime_s = i == 2 ? 1 : 60;
        cr_assert_eq(put_own(f.w, f.alice, &wish).error, 0);
    }
    struct wish bobs = single("x", T0);
    cr_assert_eq(put_own(f.w, f.bob, &bobs).error, 0);
    world_pass(f.w, 2000);
    struct overlay_stored one;
    uint32_t index = 0, count = 0;
    while (store_walk(&f.w->turn, f.w->store, &index, &one)) {
        count++;
    }
    cr_assert_eq(count, 5);
    finish(&f);
}
