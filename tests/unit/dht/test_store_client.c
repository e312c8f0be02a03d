/* SPDX-License-Identifier: Apache-2.0 */
/* store_client and cert_usage against one real store, with transact replaced by a row of requests
 * that the test answers as it likes.  RFC 6940 7.4.2.2 (FT-5), 7 (retry after 0x9), 8 (US-1). */
#include "tests/unit/dht/storage_world.h"

#include "codec/content.h"
#include "dht/cert_usage.h"
#include "dht/store_client.h"
#include "dht/store_parts.h"

enum { REQUESTS = 16, BODY_CAP = 16000 };

struct sent {
    struct transact_request what;
    struct node_id route[3]; /* of what.destinations */
    size_t route_len;
    uint8_t body[BODY_CAP];
};

struct transact {
    struct sent sent[REQUESTS];
    size_t count;
    enum err refuse;
};

static struct transact link_end;

enum err transact_request(struct turn *t, struct transact *tr, const struct transact_request *what,
                          handle *request)
{
    (void)t, (void)request;
    if (tr->refuse != ERR_OK) {
        return tr->refuse;
    }
    cr_assert_lt(tr->count, REQUESTS);
    struct sent *s = &tr->sent[tr->count++];
    s->what = *what;
    memcpy(s->body, what->body.data, what->body.len);
    s->what.body = slice_of(s->body, what->body.len);
    const struct rl_params params = {.node_id_length = 16};
    struct rd r = rd_init(what->destinations);
    struct fwd_destination d;
    for (s->route_len = 0; fwd_next(&r, &params, &d); s->route_len++) {
        cr_assert_lt(s->route_len, ARRAY_COUNT(s->route));
        cr_assert_eq(fwd_destination_node(&d, &params, &s->route[s->route_len]), ERR_OK);
    }
    return ERR_OK;
}

struct fixture {
    struct world *w;
    struct person *alice, *bob, *owner;
    struct store_client *client;
    uint8_t answer[BODY_CAP], bucket[BODY_CAP];
    struct message message;
    struct overlay_resource at;
    size_t room; /* for an answer; 0: any */
    uint32_t served, too_large;
};

static struct fixture *start(void)
{
    struct fixture *f = calloc(1, sizeof(*f));
    memset(&link_end, 0, sizeof(link_end));
    f->w = world_make(9);
    f->alice = person_make(f->w, "alice@example.org", 1);
    f->bob = person_make(f->w, "bob@example.org", 2);
    f->owner = person_make(f->w, "host@example.org", 3);
    f->at = resource_of(f->w, person_user(f->alice));
    struct store_client_settings s = {.params = &f->w->params,
                                      .config = &f->w->config,
                                      .sign = f->w->sign,
                                      .transact = &link_end,
                                      .ops = 4};
    size_t before = f->w->arena.used;
    f->client = store_client_init(&f->w->arena, &s);
    cr_assert_leq(f->w->arena.used - before, store_client_bytes(&s));
    return f;
}

static void finish(struct fixture *f)
{
    cr_assert_eq(store_client_open(f->client), 0);
    world_age(f->w);
    free(f->alice);
    free(f->bob);
    free(f->owner);
    world_free(f->w);
    free(f);
}

/* The request that was sent first; good until the next call. */
static struct sent *pop(void)
{
    cr_assert_gt(link_end.count, 0);
    static struct sent first;
    first = link_end.sent[0];
    link_end.count--;
    memmove(&link_end.sent[0], &link_end.sent[1], link_end.count * sizeof(first));
    first.what.body.data = first.body;
    return &first;
}

static struct transact_result result_of(struct fixture *f, const struct sent *s, uint16_t error,
                                        struct slice body, struct slice bucket)
{
    f->message =
        (struct message){.body = body, .certificates = bucket, .signer = f->owner->ident.node_id};
    return (struct transact_result){.owner = s->what.owner,
                                    .tag = s->what.tag,
                                    .error = error != 0 ? ERR_STALE : ERR_OK,
                                    .reload_error = error,
                                    .code = s->what.code,
                                    .hops = 3,
                                    .answer = &f->message};
}

/* The owner does what is asked, honestly. */
static struct transact_result serve(struct fixture *f, struct sent *s)
{
    struct wr a = wr_init(f->answer, f->room != 0 ? f->room : sizeof(f->answer));
    struct wr b = wr_init(f->bucket, sizeof(f->bucket));
    struct slice info;
    uint16_t error;
    s->what.body.data = s->body;
    f->served++;
    if (s->what.code == CONTENT_STORE_REQ) {
        struct msgs_store_req req;
        cr_assert_eq(msgs_store_req_decode(s->what.body, &f->w->params, &req), ERR_OK);
        secblock_wr_certificate(&b, SECBLOCK_CERTIFICATE_X509, s->what.signer->certificate);
        struct store_put put = {.resource = req.resource,
                                .replica_number = req.replica_number,
                                .kind_data = req.kind_data,
                                .bucket = wr_slice(&b),
                                .signer_user =
                                    slice_of(s->what.signer->user, s->what.signer->user_len),
                                .signer = s->what.signer->node_id};
        struct store_put_outcome o;
        world_put(f->w, &put, &o);
        store_put_wr_answer(f->w->store, &o, SLICE_EMPTY, &a);
        return result_of(f, s, o.error, o.error != 0 ? o.info : wr_slice(&a), SLICE_EMPTY);
    }
    struct store_certificates certificates = {0};
    error = s->what.code == CONTENT_STAT_REQ
                ? store_fetch_stat(&f->w->turn, f->w->store, s->what.body, &a, &info)
                : store_fetch(&f->w->turn, f->w->store, s->what.body, &a, &certificates, &info);
    f->too_large += error == CONTENT_ERROR_RESPONSE_TOO_LARGE ? 1 : 0;
    for (size_t i = 0; i < certificates.count; i++) {
        secblock_wr_certificate(&b, SECBLOCK_CERTIFICATE_X509, certificates.der[i]);
    }
    return result_of(f, s, error, wr_slice(&a), wr_slice(&b));
}

static bool answer(struct fixture *f, struct store_client_done *done)
{
    struct sent *s = pop();
    struct transact_result result = serve(f, s);
    return store_client_on_result(&f->w->turn, f->client, &result, done);
}

static struct overlay_store what_of(const struct fixture *f, const char *text)
{
    return (struct overlay_store){.resource = f->at,
                                  .kind = WORLD_KIND_SINGLE,
                                  .signer = &f->alice->ident,
                                  .exists = true,
                                  .value = slice_text(text),
                                  .lifetime_s = 100};
}

Test(store_client, stores_and_fetches)
{
    struct fixture *f = start();
    struct store_client_done done;
    struct overlay_store what = what_of(f, "hello");
    cr_assert_eq(store_client_store(&f->w->turn, f->client, &what, STORE_CLIENT_OVERLAY, 77),
                 ERR_OK);
    cr_assert_eq(link_end.sent[0].what.owner, TRANSACT_STORE);
    cr_assert_eq(link_end.sent[0].what.signer, &f->alice->ident);
    cr_assert(answer(f, &done));
    cr_assert_eq(done.error, ERR_OK);
    cr_assert_eq(done.tag, 77);
    cr_assert_eq(done.hops, 3);
    uint32_t checked = 0;
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(store_client_fetch(&f->w->turn, f->client, &f->at, WORLD_KIND_SINGLE,
                                        STORE_CLIENT_OVERLAY, 78),
                     ERR_OK);
        checked = fake_verifications;
        cr_assert(answer(f, &done));
        cr_assert_eq(done.error, ERR_OK);
        cr_assert_eq(done.value_count, 1);
        cr_assert(slice_is_equal(done.values[0].value, SLICE_LITERAL("hello")));
        cr_assert(slice_is_equal(done.values[0].signer_user, person_user(f->alice)));
    }
    cr_assert_eq(fake_verifications, checked, "a value seen before is not verified again");
    what.exists = false;
    what.value = SLICE_EMPTY;
    cr_assert_eq(store_client_store(&f->w->turn, f->client, &what, STORE_CLIENT_OVERLAY, 79),
                 ERR_OK);
    cr_assert(answer(f, &done));
    cr_assert_eq(done.error, ERR_OK, "same millisecond, and yet later");
    cr_assert_eq(store_client_fetch(&f->w->turn, f->client, &f->at, WORLD_KIND_SINGLE,
                                    STORE_CLIENT_OVERLAY, 80),
                 ERR_OK);
    cr_assert(answer(f, &done));
    cr_assert_eq(done.value_count, 0, "removed");
    cr_assert_eq(done.error, ERR_OK);
    finish(f);
}

/* A value from a clock that is ahead: 0x9, Fetch, Store again, once. */
Test(store_client, second_try_after_too_old)
{
    struct fixture *f = start();
    struct store_client_done done;
    struct wish ahead = {WORLD_KIND_SINGLE, 0, NULL, "ahead", WORLD_NOW_MS + 500000, 600};
    cr_assert_eq(put_own(f->w, f->alice, &ahead).error, 0);
    struct overlay_store what = what_of(f, "now");
    cr_assert_eq(store_client_store(&f->w->turn, f->client, &what, STORE_CLIENT_OVERLAY, 5),
                 ERR_OK);
    cr_assert_not(answer(f, &done), "0x9: it looks");
    cr_assert_eq(link_end.sent[0].what.owner, TRANSACT_FETCH);
    cr_assert_not(answer(f, &done), "and stores again");
    cr_assert(answer(f, &done));
    cr_assert_eq(done.error, ERR_OK);
    cr_assert_eq(done.tag, 5);
    cr_assert_not(done.is_fetch);
    cr_assert_eq(store_client_fetch(&f->w->turn, f->client, &f->at, WORLD_KIND_SINGLE,
                                    STORE_CLIENT_OVERLAY, 6),
                 ERR_OK);
    cr_assert(answer(f, &done));
    cr_assert_eq(done.values[0].storage_time_ms, WORLD_NOW_MS + 500001);
    /* An owner that always says 0x9 gets two Stores and no more. */
    cr_assert_eq(store_client_store(&f->w->turn, f->client, &what, STORE_CLIENT_OVERLAY, 7),
                 ERR_OK);
    struct sent *s = pop();
    struct transact_result result =
        result_of(f, s, CONTENT_ERROR_DATA_TOO_OLD, SLICE_EMPTY, SLICE_EMPTY);
    cr_assert_not(store_client_on_result(&f->w->turn, f->client, &result, &done));
    cr_assert_not(answer(f, &done));
    s = pop();
    result = result_of(f, s, CONTENT_ERROR_DATA_TOO_OLD, SLICE_EMPTY, SLICE_EMPTY);
    cr_assert(store_client_on_result(&f->w->turn, f->client, &result, &done));
    cr_assert_eq(done.error, ERR_REMOTE);
    cr_assert_eq(done.reload_error, CONTENT_ERROR_DATA_TOO_OLD);
    finish(f);
}

/* FT-5: what did not prove itself is not given out; the rest is. */
Test(store_client, forged_values_are_dropped)
{
    struct fixture *f = start();
    struct store_client_done done;
    struct world *w = f->w;
    const struct person *people[] = {f->alice, f->bob};
    for (int variant = 0; variant < 5; variant++) {
        cr_assert_eq(store_client_fetch(&w->turn, f->client, &f->at, WORLD_KIND_DICTIONARY,
                                        STORE_CLIENT_OVERLAY, 1),
                     ERR_OK);
        struct sent *s = pop();
        struct wr a = wr_init(f->answer, sizeof(f->answer));
        struct wr b = wr_init(f->bucket, sizeof(f->bucket));
        struct wish good = {WORLD_KIND_DICTIONARY, 0, "good", "g", WORLD_NOW_MS, 60};
        struct wish odd = {WORLD_KIND_DICTIONARY, 0, "odd", "o", WORLD_NOW_MS, 60};
        struct overlay_resource other = resource_of(w, person_user(f->bob));
        size_t list = wr_begin(&a, 4);
        size_t block = stored_block_begin(&a, WORLD_KIND_DICTIONARY, 4);
        size_t before = wr_len(&a);
        switch (variant) {
        case 0: /* somebody else's signature, who may not write here */
            wr_wish(w, &a, &odd, &f->at, f->bob);
            break;
        case 1: /* moved here from another Resource-ID */
            wr_wish(w, &a, &odd, &other, f->alice);
            break;
        case 2: /* one bit */
            wr_wish(w, &a, &odd, &f->at, f->alice);
            a.start[before + 4 + 8 + 4 + 2] ^= 1;
            break;
        case 3: /* later storage_time than signed */
            wr_wish(w, &a, &odd, &f->at, f->alice);
            a.start[before + 4] ^= 1;
            break;
        default: /* nothing odd, but a signer whose certificate is nowhere */
        {
            struct person *carol = person_make(w, "alice@example.org", 55);
            wr_wish(w, &a, &odd, &f->at, carol);
            free(carol);
        }
        }
        wr_wish(w, &a, &good, &f->at, f->alice);
        stored_wr_synthetic(&a, STORED_DICTIONARY, 0, SLICE_LITERAL("absent"));
        stored_block_end(&a, block);
        wr_end(&a, 4, list);
        struct transact_result result = result_of(f, s, 0, wr_slice(&a), bucket_of(&b, people, 2));
        cr_assert(store_client_on_result(&w->turn, f->client, &result, &done));
        cr_assert_eq(done.error, ERR_OK);
        cr_assert_eq(done.value_count, 1, "variant %d", variant);
        cr_assert(slice_is_equal(done.values[0].key, SLICE_LITERAL("good")));
        cr_assert_eq(done.dropped, 1);
    }
    cr_assert_eq(metric_read(&w->metrics, METRIC_fetch_values_dropped), 5);
    /* Cut bodies are an error, not a crash. */
    for (size_t len = 0; len < 60; len++) {
        cr_assert_eq(store_client_fetch(&w->turn, f->client, &f->at, WORLD_KIND_DICTIONARY,
                                        STORE_CLIENT_OVERLAY, 1),
                     ERR_OK);
        struct sent *s = pop();
        struct transact_result result = result_of(f, s, 0, slice_of(f->answer, len), SLICE_EMPTY);
        cr_assert(store_client_on_result(&w->turn, f->client, &result, &done));
        cr_assert_eq(done.value_count, 0);
        cr_assert_neq(done.error, ERR_OK);
    }
    finish(f);
}

static unsigned judged;

static enum err refusing_certificate(struct slice der, const struct slice *intermediates,
                                     size_t count, const struct crypto_trust *trust, uint64_t at_ms,
                                     struct crypto_certificate *out, const char **why)
{
    (void)der, (void)intermediates, (void)count, (void)trust, (void)at_ms, (void)out;
    judged++;
    *why = "no";
    return ERR_BAD_CERTIFICATE;
}

/* As many values as go into an answer, by nobody in particular: with each the whole bucket may be
 * meant.  With certificates as values, each of them is another stranger. */
static size_t wr_forged(struct fixture *f, uint32_t kind, struct wr *a)
{
    uint8_t hash[CRYPTO_SHA256_BYTES] = {1};
    size_t count = 0;
    size_t list = wr_begin(a, 4);
    size_t block = stored_block_begin(a, kind, 4);
    for (; count < 118; count++) {
        uint8_t body[4] = {0xff, (uint8_t)count, 1, 2};
        struct stored_data d = {
            .storage_time_ms = WORLD_NOW_MS,
            .lifetime_s = 9,
            .value = {.model = model_of(f->w, kind),
                      .index = (uint32_t)count,
                      .exists = true,
                      .bytes = slice_of(body, sizeof(body))},
            .signature = {.algorithm = CRYPTO_ED25519,
                          .identity = {.type = SECBLOCK_IDENTITY_CERT_HASH_NODE_ID,
                                       .hash_algorithm = SECBLOCK_HASH_SHA256,
                                       .hash = slice_of(hash, sizeof(hash))}}};
        stored_wr(a, &d);
    }
    stored_block_end(a, block);
    wr_end(a, 4, list);
    cr_assert(wr_ok(a));
    return count;
}

/* An owner who answers with rubbish gets a bounded number of judgements out of us. */
Test(store_client, forged_values_cost_little)
{
    enum { STRANGERS = 6 };
    static const uint32_t kinds[] = {WORLD_KIND_DICTIONARY, OVERLAY_KIND_CERTIFICATE_BY_USER};
    struct fixture *f = start();
    struct world *w = f->w;
    struct store_client_done done;
    struct person *strangers[STRANGERS];
    for (uint32_t i = 0; i < STRANGERS; i++) {
        strangers[i] = person_make(w, "stranger", 200 + i);
    }
    w->config.kinds[w->config.kind_count++] = (struct overlay_kind){
        OVERLAY_KIND_CERTIFICATE_BY_USER, OVERLAY_ARRAY, OVERLAY_USER_MATCH, 8, 1000, 0, NULL};
    w->crypto.certificate = refusing_certificate;
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        cr_assert_eq(
            store_client_fetch(&w->turn, f->client, &f->at, kinds[i], STORE_CLIENT_OVERLAY, 1),
            ERR_OK);
        struct sent *s = pop();
        struct wr a = wr_init(f->answer, sizeof(f->answer));
        struct wr b = wr_init(f->bucket, sizeof(f->bucket));
        cr_assert_eq(wr_forged(f, kinds[i], &a), 118);
        struct slice bucket = bucket_of(&b, (const struct person *const *)strangers, STRANGERS);
        struct transact_result result = result_of(f, s, 0, wr_slice(&a), bucket);
        judged = 0;
        uint32_t verified = fake_verifications;
        sign_begin_message(w->sign, false);
        cr_assert(store_client_on_result(&w->turn, f->client, &result, &done));
        cr_expect_eq(done.error, ERR_OK);
        cr_expect_eq(done.value_count, 0);
        cr_expect(done.dropped > 0 && done.dropped <= 33, "%u", done.dropped);
        cr_expect_eq(judged, i == 0 ? STRANGERS : SIGN_MESSAGE_JUDGED_CAP, "%zu: %u", i, judged);
        cr_expect_eq(fake_verifications, verified);
    }
    for (uint32_t i = 0; i < STRANGERS; i++) {
        free(strangers[i]);
    }
    finish(f);
}

/* The same when we look for what stands in the way of a Store. */
Test(store_client, forged_values_in_the_way_cost_little)
{
    struct fixture *f = start();
    struct world *w = f->w;
    struct store_client_done done;
    const struct person *strangers[] = {f->bob};
    struct overlay_store what = what_of(f, "x");
    what.kind = WORLD_KIND_DICTIONARY;
    cr_assert_eq(store_client_store(&w->turn, f->client, &what, STORE_CLIENT_OVERLAY, 5), ERR_OK);
    struct sent *s = pop();
    struct transact_result result =
        result_of(f, s, CONTENT_ERROR_DATA_TOO_OLD, SLICE_EMPTY, SLICE_EMPTY);
    cr_assert_not(store_client_on_result(&w->turn, f->client, &result, &done));
    s = pop();
    struct wr a = wr_init(f->answer, sizeof(f->answer));
    struct wr b = wr_init(f->bucket, sizeof(f->bucket));
    (void)wr_forged(f, WORLD_KIND_DICTIONARY, &a);
    result = result_of(f, s, 0, wr_slice(&a), bucket_of(&b, strangers, 1));
    w->crypto.certificate = refusing_certificate;
    judged = 0;
    sign_begin_message(w->sign, false);
    cr_assert(store_client_on_result(&w->turn, f->client, &result, &done));
    cr_expect_eq(done.reload_error, CONTENT_ERROR_DATA_TOO_OLD);
    cr_expect_eq(judged, 1);
    finish(f);
}

Test(store_client, limits_and_failures)
{
    struct fixture *f = start();
    struct store_client_done done;
    static char large[200];
    memset(large, 'x', sizeof(large) - 1);
    struct overlay_store what = what_of(f, large);
    struct turn *t = &f->w->turn;
    cr_assert_eq(store_client_store(t, f->client, &what, STORE_CLIENT_OVERLAY, 1), ERR_TOO_LARGE);
    what = what_of(f, "x");
    what.kind = 0xf0000077;
    cr_assert_eq(store_client_store(t, f->client, &what, STORE_CLIENT_OVERLAY, 1), ERR_UNSUPPORTED);
    what = what_of(f, "x");
    link_end.refuse = ERR_LIMIT;
    cr_assert_eq(store_client_store(t, f->client, &what, STORE_CLIENT_OVERLAY, 1), ERR_LIMIT);
    cr_assert_eq(f->w->buffers.in_use[0] + f->w->buffers.in_use[1], 0);
    link_end.refuse = ERR_OK;
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(store_client_store(t, f->client, &what, STORE_CLIENT_OVERLAY, 1),
                     i < 4 ? ERR_OK : ERR_LIMIT);
    }
    for (int i = 0; i < 4; i++) {
        struct sent *s = pop();
        struct transact_result result = {
            .tag = s->what.tag, .owner = s->what.owner, .error = ERR_TIMEOUT};
        cr_assert(store_client_on_result(t, f->client, &result, &done));
        cr_assert_eq(done.error, ERR_TIMEOUT);
        cr_assert_not(store_client_on_result(t, f->client, &result, &done), "only once");
    }
    cr_assert_eq(store_client_store(t, f->client, &what, STORE_CLIENT_OVERLAY, 1), ERR_OK);
    store_client_clear(t, f->client);
    finish(f);
}

/* In parts */

enum { PARTS_VALUES = 40, PARTS_ROOM = 1200 };

/* Array elements (every third is missing) or dictionary keys, each with its own text. */
static void fill(struct fixture *f, uint32_t kind)
{
    char key[16];
    char text[48];
    for (size_t i = 0; i < f->w->config.kind_count; i++) {
        f->w->config.kinds[i].max_count = 2 * PARTS_VALUES;
    }
    for (uint32_t i = 0; i < PARTS_VALUES; i++) {
        (void)snprintf(key, sizeof(key), "key%u", i);
        (void)snprintf(text, sizeof(text), "value %u and something to make it longer", i);
        struct wish wish = {kind, i + i / 2, key, text, WORLD_NOW_MS + i, 600};
        cr_assert_eq(put_own(f->w, f->alice, &wish).error, 0);
    }
}

static void expect_all(const struct store_client_done *done)
{
    char text[48];
    cr_assert_eq(done->error, ERR_OK);
    cr_assert_eq(done->value_count, PARTS_VALUES);
    cr_expect_eq(done->dropped, 0);
    for (uint32_t i = 0; i < PARTS_VALUES; i++) {
        (void)snprintf(text, sizeof(text), "value %u and something to make it longer", i);
        uint32_t found = 0;
        for (size_t k = 0; k < done->value_count; k++) {
            found += slice_is_equal(done->values[k].value, slice_text(text)) ? 1 : 0;
        }
        cr_expect_eq(found, 1, "%u", i);
    }
}

/* FT-10: what one answer cannot hold comes in several, arrays and dictionaries alike. */
Test(store_client, fetches_in_parts_what_is_too_large)
{
    static const uint32_t kinds[] = {WORLD_KIND_ARRAY, WORLD_KIND_DICTIONARY};
    for (size_t k = 0; k < ARRAY_COUNT(kinds); k++) {
        struct fixture *f = start();
        struct store_client_done done;
        fill(f, kinds[k]);
        f->room = k == 0 ? PARTS_ROOM : 3000; /* Stat of all must fit */
        cr_assert_eq(
            store_client_fetch(&f->w->turn, f->client, &f->at, kinds[k], STORE_CLIENT_OVERLAY, 9),
            ERR_OK);
        while (!answer(f, &done)) {
            cr_assert_leq(f->served, STORE_PARTS_CAP);
        }
        expect_all(&done);
        cr_expect_eq(done.tag, 9);
        cr_expect_gt(f->too_large, 0);
        cr_expect_not_null(done.kept);
        store_parts_release(&f->w->turn, done.kept);
        finish(f);
    }
}

/* One element too large for any message; an owner who refuses everything, or counts to 2^32. */
Test(store_client, parts_end)
{
    struct fixture *f = start();
    struct store_client_done done;
    fill(f, WORLD_KIND_ARRAY);
    for (int i = 0; i < 3; i++) {
        f->served = 0;
        f->room = i == 0 ? 60 : 0;
        cr_assert_eq(store_client_fetch(&f->w->turn, f->client, &f->at, WORLD_KIND_ARRAY,
                                        STORE_CLIENT_OVERLAY, 9),
                     ERR_OK);
        bool is_done = false;
        while (!is_done) {
            struct sent *s = pop();
            struct transact_result result = serve(f, s);
            struct wr a = wr_init(f->answer, sizeof(f->answer));
            if (i == 1 || (i == 2 && f->served == 1)) {
                result =
                    result_of(f, s, CONTENT_ERROR_RESPONSE_TOO_LARGE, SLICE_EMPTY, SLICE_EMPTY);
            } else if (i == 2) {
                size_t list = wr_begin(&a, 4);
                size_t block = stored_block_begin(&a, WORLD_KIND_ARRAY, 1);
                stored_wr_synthetic(&a, STORED_ARRAY, 0xfffffff0, SLICE_EMPTY);
                stored_block_end(&a, block);
                wr_end(&a, 4, list);
                result = result_of(f, s, 0, wr_slice(&a), SLICE_EMPTY);
            }
            is_done = store_client_on_result(&f->w->turn, f->client, &result, &done);
            cr_assert_leq(f->served, STORE_PARTS_CAP + 1);
        }
        cr_expect_eq(done.error, i < 2 ? ERR_REMOTE : ERR_OK);
        cr_expect_eq(done.reload_error, i < 2 ? CONTENT_ERROR_RESPONSE_TOO_LARGE : 0);
        cr_expect_eq(done.value_count, 0);
        cr_expect_eq(done.dropped, i < 2 ? 0 : 1, "it says that there was more");
        cr_expect_null(done.kept);
    }
    finish(f);
}

/* An owner that takes a second over each part, where it could take as many as there are parts. */
Test(store_client, parts_take_no_longer_than_so)
{
    struct fixture *f = start();
    struct store_client_done done;
    fill(f, WORLD_KIND_ARRAY);
    f->room = 400;
    uint64_t begun_us = f->w->turn.now_us;
    cr_assert_eq(store_client_fetch(&f->w->turn, f->client, &f->at, WORLD_KIND_ARRAY,
                                    STORE_CLIENT_OVERLAY, 9),
                 ERR_OK);
    bool is_done = false;
    while (!is_done) {
        f->w->turn.now_us += 1000000;
        is_done = answer(f, &done);
    }
    cr_expect_leq(f->w->turn.now_us - begun_us, (STORE_PARTS_S + 1) * UINT64_C(1000000));
    cr_expect_eq(done.error, ERR_OK);
    cr_expect(done.value_count > 0 && done.value_count < PARTS_VALUES, "%zu", done.value_count);
    cr_expect_eq(done.dropped, 1, "it says that there was more");
    store_parts_release(&f->w->turn, done.kept);
    finish(f);
}

/* StatAns of one key, as long as an owner likes. */
static struct transact_result one_long_key(struct fixture *f, const struct sent *s, size_t len)
{
    static uint8_t key[4096];
    struct wr a = wr_init(f->answer, sizeof(f->answer));
    struct stored_meta meta = {.storage_time_ms = WORLD_NOW_MS,
                               .lifetime_s = 60,
                               .model = STORED_DICTIONARY,
                               .key = slice_of(key, len),
                               .exists = true,
                               .value_length = 1};
    size_t list = wr_begin(&a, 4);
    size_t block = stored_block_begin(&a, WORLD_KIND_DICTIONARY, 1);
    stored_wr_meta(&a, &meta);
    stored_block_end(&a, block);
    wr_end(&a, 4, list);
    return result_of(f, s, 0, wr_slice(&a), SLICE_EMPTY);
}

/* An owner whose Stat names a key longer than keys are (found by attack: the next request did not
 * fit, and that was a CHECK). */
Test(store_client, parts_of_a_key_too_long)
{
    static const size_t lengths[] = {STORE_KEY_CAP, STORE_KEY_CAP + 1, 1024, 4096};
    struct fixture *f = start();
    struct store_client_done done;
    for (size_t i = 0; i < ARRAY_COUNT(lengths); i++) {
        cr_assert_eq(store_client_fetch(&f->w->turn, f->client, &f->at, WORLD_KIND_DICTIONARY,
                                        STORE_CLIENT_OVERLAY, 9),
                     ERR_OK);
        struct sent *s = pop();
        struct transact_result result =
            result_of(f, s, CONTENT_ERROR_RESPONSE_TOO_LARGE, SLICE_EMPTY, SLICE_EMPTY);
        cr_assert_not(store_client_on_result(&f->w->turn, f->client, &result, &done));
        s = pop();
        cr_assert_eq(s->what.code, CONTENT_STAT_REQ);
        result = one_long_key(f, s, lengths[i]);
        bool is_done = store_client_on_result(&f->w->turn, f->client, &result, &done);
        cr_assert_eq(is_done, i > 0, "%zu", lengths[i]);
        is_done = is_done || answer(f, &done);
        cr_expect(is_done);
        cr_expect_eq(done.error, ERR_OK);
        cr_expect_eq(done.value_count, 0);
        cr_expect_eq(done.dropped, i > 0 ? 1 : 0, "it says that there was more");
    }
    cr_assert_eq(f->w->buffers.in_use[0] + f->w->buffers.in_use[1], 0);
    finish(f);
}

/* By other ways */

enum { HOPS = 7 };

static struct node_id at_distance(const struct fixture *f, uint8_t behind)
{
    struct node_id id = {{0}};
    memcpy(id.bytes, f->at.bytes, 16);
    id.bytes[0] = (uint8_t)(id.bytes[0] - behind);
    return id;
}

/* Seven peers before the place of alice's record, 8 steps apart, ourselves behind them. */
static struct chord_table *table_for(struct fixture *f)
{
    struct chord_table *table = ARENA_ARRAY(&f->w->arena, struct chord_table, 1);
    struct node_id self = at_distance(f, 100);
    chord_table_init(table, &f->w->arena, 16, &self, 1);
    for (uint8_t i = 1; i <= HOPS; i++) {
        struct chord_table_node n = {.id = at_distance(f, (uint8_t)(8 * i)),
                                     .link = i,
                                     .host = 10u + i,
                                     .state = CHORD_TABLE_PEER};
        cr_assert_eq(chord_table_add(table, &n), ERR_OK);
    }
    return table;
}

static void time_out(struct fixture *f, const struct sent *s, bool is_end)
{
    struct store_client_done done;
    struct transact_result result = {
        .tag = s->what.tag, .owner = s->what.owner, .code = s->what.code, .error = ERR_TIMEOUT};
    cr_assert_eq(store_client_on_result(&f->w->turn, f->client, &result, &done), is_end);
    cr_assert(!is_end || done.error == ERR_TIMEOUT);
}

/* `next` is the peer that whoever was asked names. */
static void answer_query(struct fixture *f, const struct sent *s, const struct node_id *next)
{
    struct store_client_done done;
    struct wr w = wr_init(f->answer, sizeof(f->answer));
    const struct msgs_route_query_ans body = {.next_peer = *next};
    cr_assert_eq(s->what.code, CONTENT_ROUTE_QUERY_REQ);
    msgs_route_query_ans_wr(&w, &f->w->params, &body);
    struct transact_result result = result_of(f, s, 0, wr_slice(&w), SLICE_EMPTY);
    cr_assert_not(store_client_on_result(&f->w->turn, f->client, &result, &done));
}

static void expect_through(const struct fixture *f, const struct sent *s, uint8_t hop)
{
    struct node_id through = at_distance(f, (uint8_t)(8 * (hop + 1)));
    cr_assert(ids_node_is_equal(&s->what.through, &through), "by hop %u", hop);
}

/* A source route over places so far behind that of the record; 0: none. */
static struct sent *expect_route(const struct fixture *f, uint16_t code, int one, int two,
                                 int three)
{
    struct sent *s = pop();
    const int all[3] = {one, two, three};
    size_t len = 0;
    cr_assert_eq(s->what.code, code);
    for (; len < 3 && all[len] != 0; len++) {
        struct node_id id = at_distance(f, (uint8_t)all[len]);
        cr_assert_lt(len, s->route_len);
        cr_assert(ids_node_is_equal(&s->route[len], &id), "%d, %d, %d", one, two, three);
    }
    cr_assert_eq(s->route_len, len);
    cr_assert(ids_node_is_equal(&s->what.target.node, &s->route[len - 1]));
    return s;
}

/* Whoever stands `from` behind names who stands `next` behind. */
static void walk(struct fixture *f, int hop, int from, int next)
{
    struct node_id id = at_distance(f, (uint8_t)next);
    struct sent *q = expect_route(f, CONTENT_ROUTE_QUERY_REQ, hop, hop == from ? 0 : from, 0);
    answer_query(f, q, &id);
}

static struct fixture *start_with_hops(void)
{
    struct fixture *f = start();
    struct store_client_settings s = {.params = &f->w->params,
                                      .config = &f->w->config,
                                      .sign = f->w->sign,
                                      .transact = &link_end,
                                      .table = table_for(f),
                                      .ops = 4};
    f->client = store_client_init(&f->w->arena, &s);
    return f;
}

enum { OWNER = -3, NAMER = 4, HOP = 8, OTHER_HOP = 16, FIRST_COPY = -10, SECOND_COPY = -30 };

/* Until somebody has named the owner, who is asked by way of him. */
static void find_owner(struct fixture *f)
{
    struct sent *q = pop();
    cr_assert(ids_node_is_invalid(&q->what.through), "at first as everything is routed");
    for (uint8_t hop = 1; hop <= 2; hop++) {
        time_out(f, q, false);
        q = pop();
        expect_through(f, q, hop);
        cr_assert_eq(q->what.target.type, TRANSACT_RESOURCE);
    }
    time_out(f, q, false);
    walk(f, HOP, HOP, NAMER);
    walk(f, HOP, NAMER, OWNER);
}

/* The first hops keep silent: two others are tried; then the owner is asked for, peer by peer, and
 * spoken to by its Node-ID, each time by way of another peer before it that does answer us; at last
 * who has copies, whose "nothing here" is no answer.  Eight retries, and that is all. */
Test(store_client, silence_is_met_with_other_ways)
{
    struct fixture *f = start_with_hops();
    cr_assert_eq(store_client_fetch(&f->w->turn, f->client, &f->at, WORLD_KIND_SINGLE,
                                    STORE_CLIENT_OVERLAY, 5),
                 ERR_OK);
    find_owner(f);
    time_out(f, expect_route(f, CONTENT_FETCH_REQ, HOP, NAMER, OWNER), false);
    walk(f, HOP, NAMER, 12); /* 4: the peer before */
    walk(f, HOP, 12, 20);
    time_out(f, expect_route(f, CONTENT_FETCH_REQ, HOP, 12, OWNER), false);
    time_out(f, expect_route(f, CONTENT_ROUTE_QUERY_REQ, HOP, 20, 0), false); /* 5: not by that */
    walk(f, OTHER_HOP, 20, 28);
    time_out(f, expect_route(f, CONTENT_FETCH_REQ, OTHER_HOP, 20, OWNER), false);
    walk(f, OTHER_HOP, 28, 28); /* 6: its own place, farther back then */
    walk(f, OTHER_HOP, 28, 36);
    time_out(f, expect_route(f, CONTENT_FETCH_REQ, OTHER_HOP, 28, OWNER), false);
    walk(f, OTHER_HOP, 36, 44); /* 7: and it knows who stands behind the owner */
    walk(f, OTHER_HOP, 36, SECOND_COPY);
    walk(f, OTHER_HOP, 36, FIRST_COPY);
    walk(f, OTHER_HOP, 36, OWNER);
    struct sent *q = expect_route(f, CONTENT_FETCH_REQ, OTHER_HOP, 36, FIRST_COPY);
    struct store_client_done done;
    struct transact_result nothing = serve(f, q);
    f->message.signer = q->what.target.node;
    cr_assert_not(store_client_on_result(&f->w->turn, f->client, &nothing, &done));
    for (int hop = OTHER_HOP; hop < OTHER_HOP + 4 * 8; hop += 8) { /* 8 */
        time_out(f, expect_route(f, CONTENT_ROUTE_QUERY_REQ, hop, 44, 0), false);
    }
    q = pop();
    cr_assert_eq(q->what.code, CONTENT_FETCH_REQ);
    time_out(f, q, true);
    cr_assert_eq(link_end.count, 0);
    cr_assert_eq(metric_read(&f->w->metrics, METRIC_requests_other_way), 8);
    finish(f);
}

/* cert_usage */

static void run_usage(struct fixture *f, struct cert_usage *cu, uint64_t ms)
{
    struct store_client_done done;
    for (uint64_t end = f->w->turn.now_us + ms * 1000; f->w->turn.now_us < end;) {
        world_pass(f->w, ms > 100000 ? 1000 : 10);
        (void)store_sweep(&f->w->turn, f->w->store);
        struct wheel_timer *timer;
        while ((timer = wheel_take(&f->w->wheel, f->w->turn.now_us)) != NULL) {
            cert_usage_on_timer(&f->w->turn, cu, timer);
        }
        while (link_end.count > 0) {
            cr_assert_leq(link_end.count, 1, "one at a time");
            if (answer(f, &done)) {
                cr_assert_eq(done.user, STORE_CLIENT_CERT_USAGE);
                cert_usage_on_done(&f->w->turn, cu, &done);
            }
        }
    }
}

static uint32_t certificates_at(struct fixture *f, uint32_t kind, struct slice name)
{
    struct overlay_resource at = resource_of(f->w, name);
    struct store_set *set = store_set_find(f->w->store, resource_slice(&at), kind);
    uint32_t count = set == NULL ? 0 : set->count;
    return count;
}

/* US-1: both Kinds; refreshed in place before half life; a renewed one is appended. */
Test(cert_usage, publish_refresh_renew)
{
    struct fixture *f = start();
    struct person *renewed = person_make(f->w, "alice@example.org", 1);
    const struct ident *const first[] = {&f->alice->ident, &f->bob->ident};
    struct cert_usage_settings s = {first, 2, &f->w->params, f->client};
    size_t before = f->w->arena.used;
    struct cert_usage *cu = cert_usage_init(&f->w->turn, &f->w->arena, &s);
    cr_assert_leq(f->w->arena.used - before, cert_usage_bytes(&s));
    run_usage(f, cu, 1000);
    cr_assert_eq(cert_usage_published(cu), 0, "not before we are in the ring");
    cert_usage_start(&f->w->turn, cu);
    run_usage(f, cu, 2000);
    cr_assert_eq(cert_usage_published(cu), 4);
    struct slice node = slice_of(f->alice->ident.node_id.bytes, 16);
    cr_assert_eq(certificates_at(f, 0x10, person_user(f->alice)), 1);
    cr_assert_eq(certificates_at(f, 0x3, node), 1);
    struct overlay_resource at = resource_of(f->w, person_user(f->alice));
    for (int i = 0; i < 7; i++) { /* 14 hours: several lifetimes of four */
        run_usage(f, cu, 2 * 3600 * 1000);
        struct store_set *set = store_set_find(f->w->store, resource_slice(&at), 0x10);
        cr_assert_not_null(set);
        cr_assert(store_set_is_alive(&f->w->turn, f->w->store, set), "hour %d", 2 * i + 2);
        cr_assert_eq(set->count, 1, "same index again and again");
    }
    cert_usage_stop(&f->w->turn, cu);
    cr_assert_eq(f->w->wheel.armed, 0);

    /* Same name and Node-ID, another key: appended, the old one still readable (T13.5). */
    renewed->key.id[0] ^= 1;
    renewed->der[2 + 1 + renewed->ident.user_len + 16 + 16] ^= 1;
    f->w->crypto.sha256(renewed->ident.certificate, renewed->ident.certificate_sha256);
    const struct ident *const second[] = {&renewed->ident};
    struct cert_usage_settings s2 = {second, 1, &f->w->params, f->client};
    struct cert_usage *cu2 = cert_usage_init(&f->w->turn, &f->w->arena, &s2);
    cert_usage_start(&f->w->turn, cu2);
    run_usage(f, cu2, 2000);
    cr_assert_eq(cert_usage_published(cu2), 2);
    cr_assert_eq(certificates_at(f, 0x10, person_user(f->alice)), 2);
    /* Past the end of the certificates nothing is stored any more, and nothing spins. */
    run_usage(f, cu2, 12 * 3600 * 1000);
    cr_assert_eq(cert_usage_published(cu2), 0);
    cr_assert_eq(f->w->wheel.armed, 0);
    free(renewed);
    finish(f);
}

Test(cert_usage, failures_are_tried_again)
{
    struct fixture *f = start();
    const struct ident *const one[] = {&f->alice->ident};
    struct cert_usage_settings s = {one, 1, &f->w->params, f->client};
    struct cert_usage *cu = cert_usage_init(&f->w->turn, &f->w->arena, &s);
    cert_usage_start(&f->w->turn, cu);
    link_end.refuse = ERR_LIMIT;
    run_usage(f, cu, 3000);
    cr_assert_eq(cert_usage_published(cu), 0);
    link_end.refuse = ERR_OK;
    run_usage(f, cu, 30000);
    cr_assert_eq(cert_usage_published(cu), 2);
    cert_usage_stop(&f->w->turn, cu);
    finish(f);
}
